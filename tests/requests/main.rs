//! Tests of `sign`, `verify`, `inspect` and `demo` as users run them: every flag, every mistake,
//! and its message. Nonces differ from run to run, so the tests parse the output and do not compare
//! it whole.
#![cfg(all(unix, feature = "cli"))]
#![allow(clippy::unwrap_used)]

mod bad;
mod changed_copies;
mod demo;
mod effects;
mod flags;
mod har;
mod inspect;
mod json;
mod lines;
mod many;
mod paste;
mod sign;
mod signed;
mod terminal;
mod verdict;
mod verify;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_mcpid");
pub(crate) const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/keys");
/// The id of the key whose seed is in `alice.hex`.
pub(crate) const ALICE: &str = "zp_i9BattBHPu8Ale_rn2MsdjRU7HfSZczx5V53hFnM";
/// The time of all commands in these tests, unless a test sets another one.
pub(crate) const NOON: i64 = 1_795_773_600;
pub(crate) const NOON_TEXT: &str = "2026-11-27T10:00:00Z";
pub(crate) const URL: &str = "https://mcp.example.com/mcp";
pub(crate) const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{"at":"here"}}}"#;

/// The exit code and the outputs of a command that ran.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}{}", self.out, self.err);
        self
    }

    /// Checks that the program succeeded, and printed nothing except its data.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        let ran = self.ends(0);
        assert_eq!(ran.err, "");
        ran
    }

    /// Returns the only line of stdout, parsed as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{}{}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap()
    }

    /// Returns the hints in stderr, without their prefix.
    pub(crate) fn hints(&self) -> Vec<&str> {
        self.err.lines().filter_map(|line| line.strip_prefix("mcpid: hint: ")).collect()
    }

    /// Returns the text after `name` in the indented lines of the output, or after `name:` in the
    /// header fields.
    #[track_caller]
    pub(crate) fn number(&self, name: &str) -> &str {
        let wanted = format!("{name} ");
        let line = self.out.lines().find_map(|l| l.strip_prefix("    ")?.strip_prefix(&*wanted));
        line.unwrap_or_else(|| panic!("no {name} in\n{}", self.out)).trim()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let wanted = format!("{name}: ");
        let line = self.out.lines().find_map(|line| line.strip_prefix(&*wanted));
        line.unwrap_or_else(|| panic!("no {name} in\n{}", self.out))
    }
}

/// A home directory with alice's keyfile, which has no passphrase, and a trust file with her key.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Home { folder: TempDir::new().unwrap() };
        let seed = format!("{KEYS}/alice.hex");
        home.mcpid(&["keygen", "-q", "--import", &seed, "--no-passphrase"]).ends(0);
        home.mcpid(&["trust", "add", "-q", "--name", "alice"]).ends(0);
        home.write("body.json", CALL);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), bytes).unwrap();
        name.to_owned()
    }

    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command.env("MCPID", BINARY);
        for name in ["KEY", "TRUST", "PASSPHRASE", "NONCES"] {
            command.env_remove(format!("MCPID_{name}"));
        }
        command.env_remove("XDG_CONFIG_HOME").env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        command
    }

    pub(crate) fn mcpid(&self, args: &[&str]) -> Ran {
        run(self.command(BINARY).args(args), b"")
    }

    pub(crate) fn mcpid_on(&self, args: &[&str], stdin: &[u8]) -> Ran {
        run(self.command(BINARY).args(args), stdin)
    }

    /// Runs a script as if pasted into a shell whose path has `mcpid`.
    pub(crate) fn sh(&self, script: &str) -> Ran {
        let script = format!("mcpid() {{ \"$MCPID\" \"$@\"; }}\n{script}");
        run(self.command("sh").args(["-c", &script]), b"")
    }

    /// Signs [`CALL`] for [`URL`] at [`NOON`], with further flags. The output is the whole request.
    pub(crate) fn signed(&self, more: &[&str]) -> Ran {
        let noon = format!("@{NOON}");
        let mut args = vec!["sign", "--url", URL, "--at", &noon, "--format", "http"];
        args.extend(more);
        args.push("body.json");
        self.mcpid(&args)
    }

    /// Signs as [`Home::signed`] does, and writes the request to a file.
    pub(crate) fn capture(&self, name: &str) -> String {
        let signed = self.signed(&[]).well();
        self.write(name, signed.bytes)
    }

    /// Verifies at [`NOON`], with further flags.
    pub(crate) fn verify(&self, more: &[&str]) -> Ran {
        let noon = format!("@{NOON}");
        let mut args = vec!["verify", "--at", &noon];
        args.extend(more);
        self.mcpid(&args)
    }
}

pub(crate) fn run(command: &mut Command, stdin: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // If the program has ended without reading its input, writing fails, which does not matter.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        bytes: output.stdout,
    }
}

/// Returns the value of `name="…"` in the signature's parameters. The name must occur once.
#[track_caller]
pub(crate) fn parameter<'t>(text: &'t str, name: &str) -> &'t str {
    let start = format!(";{name}=\"");
    text.split(&*start)
        .nth(1)
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .split('"')
        .next()
        .unwrap()
}

/// Returns the components that the first signature covers, in order.
#[track_caller]
pub(crate) fn covered(input: &str) -> Vec<&str> {
    let list = input.split('(').nth(1).unwrap().split(')').next().unwrap();
    list.split(' ').map(|name| name.trim_matches('"')).collect()
}
