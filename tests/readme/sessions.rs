//! Runs the commands of a document's `console` blocks. Each document has its own home directory.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::blocks::{Block, Step, blocks, fits, steps};
use super::executable::executable;
use super::{BINARY, ROOT, document, documents};

/// In the output, this character marks the number and exit status of an ended command. No command
/// prints it.
const MARK: char = '\u{1e}';
const LONGEST: Duration = Duration::from_secs(120);

const CARGO: &str = r#"#!/bin/sh
case "$*" in
"run --release -- demo") exec mcpid demo ;;
"install --locked --path .") mkdir -p "$HOME/.cargo/bin" && cp "$(command -v mcpid)" "$HOME/.cargo/bin/" ;;
*) echo "tests/readme does not know: cargo $*"; exit 99 ;;
esac
"#;

const PIP: &str = r#"#!/bin/sh
case "$*" in
"install fastmcp")
    if python3 -c 'import fastmcp' 2>/dev/null; then echo "Requirement already satisfied: fastmcp"
    else python3 -m venv "$HOME/venv" && "$HOME/venv/bin/python" -m pip install -q fastmcp \
        && ln -s "$HOME/venv/bin/python3" "$HOME/bin/python3"; fi ;;
*) echo "tests/readme does not know: pip $*"; exit 99 ;;
esac
"#;

/// The ssh-agent of a document's commands, which may load OpenSSH's software security key.
const SSH_AGENT: &str = r#"#!/bin/sh
export PATH="${PATH#*:}"
exec ssh-agent -P "$SSH_SK_PROVIDER" "$@"
"#;

/// Returns the path of OpenSSH's software security key, which the document about touches uses.
fn sk_dummy() -> String {
    let script = Path::new(ROOT).join("tests/agent/sk-dummy");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openssh-tests");
    let found = Command::new(script).arg(folder).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).unwrap().trim_end().to_owned()
}

/// Makes a test for each document, so that one can be run alone: `cargo test --test readme --
/// gateway`.
macro_rules! pages {
    ($($name:ident = $path:literal,)*) => {
        const PAGES: &[&str] = &[$($path),*];
        $(#[test]
        fn $name() {
            run_page($path);
        })*
    };
}

pages! {
    readme_runs = "README.md",
    adcp_runs = "docs/adcp.md",
    audit_runs = "docs/audit.md",
    captures_runs = "docs/captures.md",
    connect_runs = "docs/connect.md",
    gateway_runs = "docs/gateway.md",
    keys_runs = "docs/keys.md",
    patterns_runs = "docs/patterns.md",
    proxies_runs = "docs/proxies.md",
    profiles_runs = "docs/profiles.md",
    signing_runs = "docs/signing.md",
    stores_runs = "docs/stores.md",
    touch_runs = "docs/touch.md",
    trust_runs = "docs/trust.md",
}

/// Waits until no other test process uses the ports in the documents. The lock is a port too, so it
/// holds for all users of the machine, and ends with the process.
fn documented_ports() -> TcpListener {
    let begun = Instant::now();
    loop {
        match TcpListener::bind("127.0.0.1:11999") {
            Ok(lock) => return lock,
            Err(error) => assert!(begun.elapsed() < 5 * LONGEST, "port 11999: {error}"),
        }
        sleep(Duration::from_millis(50));
    }
}

fn run_page(name: &str) {
    let text = document(name);
    let mut home = Home::new(name == "README.md");
    if text.contains("ed25519-sk") && text.contains("--touch") {
        home.add_security_key();
    }
    // Documents with servers use fixed ports, so only one of them can run at a time on a machine.
    let _lock = text.contains("127.0.0.1:8080").then(documented_ports);
    let (blocks, _) = blocks(&text).unwrap();
    let wrong: Vec<_> =
        blocks.iter().filter_map(|b| home.run(b).err()).map(|e| format!("{name}, {e}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn no_page_with_a_session_is_left_out() {
    for name in documents() {
        let text = document(&name);
        let (blocks, _) = blocks(&text).unwrap();
        let runs = blocks.iter().any(|block| ["console", "sh"].contains(&block.tag));
        assert_eq!(runs, PAGES.contains(&name.as_str()), "{name}");
        for block in &blocks {
            let known =
                ["console", "sh", "rust", "python", "text", "json", "toml"].contains(&block.tag);
            assert!(known, "{name}, line {}: {:?}", block.line, block.tag);
            if block.tag == "rust" {
                let compiled = format!("include_str!(\"../{name}\")");
                assert!(document("src/lib.rs").contains(&compiled), "{name} is not compiled");
            }
        }
    }
}

struct Home {
    folder: TempDir,
    /// The path of the library that simulates a security key, if the document uses one.
    security_key: Option<String>,
}

impl Home {
    /// Creates a home directory with an empty working folder, or with a clone of the repository.
    fn new(is_clone: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let (bin, work) = (folder.path().join("bin"), folder.path().join("work"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&work).unwrap();
        symlink(BINARY, bin.join("mcpid")).unwrap();
        for (name, script) in [("cargo", CARGO), ("pip", PIP)] {
            executable(&bin.join(name), script);
        }
        for shared in ["man", "completions"].iter().filter(|_| is_clone) {
            symlink(Path::new(ROOT).join(shared), work.join(shared)).unwrap();
        }
        Home { folder, security_key: None }
    }

    /// Lets ssh-keygen and ssh-agent use OpenSSH's software security key.
    fn add_security_key(&mut self) {
        let agent = self.folder.path().join("bin/ssh-agent");
        executable(&agent, SSH_AGENT);
        self.security_key = Some(sk_dummy());
    }

    /// Runs a script. Returns its exit status and everything that it printed.
    fn bash(&self, script: &str) -> Result<(i32, String), String> {
        let (path, output) = (self.folder.path().join("script"), self.folder.path().join("output"));
        fs::write(&path, script).unwrap();
        // The output goes to a file and not to a pipe, because a process that a session leaves
        // running may keep it open.
        let printed = fs::File::create(&output).unwrap();
        let bin = self.folder.path().join("bin");
        let search = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .arg(&path)
            .current_dir(self.folder.path().join("work"))
            .env_clear()
            .env("PATH", search)
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.folder.path().join(".config"))
            .env("LC_ALL", "C.UTF-8")
            .envs(self.security_key.iter().map(|library| ("SSH_SK_PROVIDER", library)))
            .stdin(Stdio::null())
            .stderr(printed.try_clone().unwrap())
            .stdout(printed)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("bash: {e}"))?;
        let begun = Instant::now();
        let status = loop {
            match bash.try_wait().unwrap() {
                Some(status) => break status.code().unwrap_or(-1),
                None if begun.elapsed() > LONGEST => {
                    let group = format!("-{}", bash.id());
                    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
                    let _ = bash.wait();
                    break -1;
                }
                None => sleep(Duration::from_millis(10)),
            }
        };
        Ok((status, String::from_utf8_lossy(&fs::read(&output).unwrap()).into_owned()))
    }

    /// Runs one block. The error shows how the output differs from the document.
    fn run(&self, block: &Block<'_>) -> Result<(), String> {
        let wrong = |what: String| Err(format!("line {}: {what}", block.line));
        match block.tag {
            "console" => self.console(block, &steps(block)?),
            "sh" => match self.bash(&format!("set -e\n{}\n", block.lines.join("\n")))? {
                (0, printed) if printed.is_empty() => Ok(()),
                (status, printed) => wrong(format!("exit {status}, printed:\n{printed}")),
            },
            "rust" | "python" | "text" | "json" | "toml" => Ok(()),
            other => wrong(format!("a block of an unknown kind: {other:?}")),
        }
    }

    fn console(&self, block: &Block<'_>, steps: &[Step<'_>]) -> Result<(), String> {
        let mut script = String::new();
        for (at, step) in steps.iter().enumerate() {
            script.push_str(&step.command);
            script.push_str(&format!(
                "\n__status=$?; printf '\\n\\036%d %d\\n' {at} \"$__status\"; (exit \"$__status\")\n"
            ));
        }
        let (_, printed) = self.bash(&script)?;
        let mut rest = printed.as_str();
        for (at, step) in steps.iter().enumerate() {
            let wrong = |what: &str, printed: &str| {
                let (command, shown) = (&step.command, step.shown.join("\n"));
                let line = block.line;
                Err(format!(
                    "line {line}: $ {command}\n{what}\n-- shown:\n{shown}\n-- printed:\n{printed}"
                ))
            };
            let Some((output, after)) = rest.split_once(&format!("\n{MARK}{at} ")) else {
                return wrong("did not end", rest);
            };
            let Some((status, after)) = after.split_once('\n') else {
                return wrong("did not end", rest);
            };
            rest = after;
            let shows_status = steps.get(at + 1).is_some_and(|next| next.command == "echo $?");
            if status != "0" && !shows_status {
                return wrong(
                    &format!("exits with {status}, and the page does not say so"),
                    output,
                );
            }
            if !fits(&step.shown, &output.lines().collect::<Vec<_>>()) {
                return wrong("prints something else", output);
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(format!("line {}: then: {rest}", block.line)) }
    }
}

#[test]
fn a_session_with_other_output_fails() {
    let home = Home::new(false);
    let judge = |text: &str| {
        let (blocks, _) = blocks(text)?;
        blocks.iter().try_for_each(|block| home.run(block))
    };
    let console = |lines: &str| judge(&format!("```console\n{lines}\n```\n"));
    let holds = [
        "$ echo a; echo b >&2\na\nb",
        "$ echo one 1 two 2\none [..] two [..]",
        "$ seq 9\n1\n...\n8\n9",
        "$ seq 1\n...\n1\n...",
        "$ false\n$ echo $?\n1",
        "$ cat <<END\n> x\n> END\nx",
        "$ cd /; x=1\n$ echo $x $PWD\n1 /",
        "$ ls -A",
    ];
    for lines in holds {
        assert_eq!(console(lines), Ok(()), "{lines}");
    }
    let fails = [
        "$ echo a\nb",
        "$ echo a",
        "$ true\na",
        "$ echo a >&2",
        "$ seq 9\n1\n...\n8",
        "$ seq 9\n...\n10",
        "$ echo ab\na[..]c",
        "$ echo a b\na [..]b [..]c",
        "$ false",
        "$ false\n$ echo $?\n2",
        "$ exit 0",
        "$ nosuchprogram\n...",
        "$ if\n...",
        "$ cargo build\n...",
        "a",
        "",
    ];
    for lines in fails {
        assert!(console(lines).is_err(), "{lines}");
    }
    assert_eq!(judge("```sh\nx=$(mktemp)\nrm \"$x\"\n```\n"), Ok(()));
    for block in [
        "```sh\necho a\n```",
        "```sh\nfalse\ntrue\n```",
        "```bash\ntrue\n```",
        "```\ntrue\n```",
        "```sh\ntrue",
        "  ```console\n  $ true\n  ```",
    ] {
        assert!(judge(block).is_err(), "{block}");
    }
}
