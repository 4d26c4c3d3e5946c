//! A home directory with a key that openssl made, and a program that signs with the key.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub(crate) const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
pub(crate) const URL: &str = "https://mcp.example.com/mcp";

/// The flags that make `mcpid` sign with the program `sign` and its key `key.pem`.
pub(crate) const BY_OPENSSL: [&str; 4] =
    ["-k", "exec:bash sign key.pem", "--public-key", "public.pem"];

/// A program that signs with the private key whose file is its first argument. openssl writes an
/// Ed25519 signature as 64 bytes, and an ECDSA signature in DER, from which the program extracts
/// the two numbers.
const SIGN_BY_OPENSSL: &str = r#"
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
sed 's/.*"payload":"\([^"]*\)".*/\1/' | base64 -d > "$folder/base"
openssl pkeyutl -sign -rawin -inkey "$1" -in "$folder/base" -out "$folder/signature"
if [ "$(wc -c < "$folder/signature")" -ne 64 ]; then
    openssl asn1parse -inform DER -in "$folder/signature" > "$folder/numbers"
    for number in $(sed -n 's/.*INTEGER *://p' "$folder/numbers"); do
        printf '%64s' "$number" | tr ' ' 0
    done | sed 's/../\\x&/g' > "$folder/hex"
    printf "$(cat "$folder/hex")" > "$folder/signature"
fi
printf '{"signature":"%s"}\n' "$(base64 -w0 "$folder/signature")"
"#;

/// A folder that is also the home directory, with the program `sign`, the request body `body.json`,
/// and keys that openssl made.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = Home(tempfile::tempdir().unwrap());
        home.write("sign", SIGN_BY_OPENSSL);
        home.write("body.json", BODY);
        home.openssl("genpkey -algorithm ed25519 -out key.pem");
        home.openssl("pkey -in key.pem -pubout -out public.pem");
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub(crate) fn openssl(&self, args: &str) {
        let mut command = Command::new("openssl");
        let done = command.current_dir(self.path()).args(args.split(' ')).output().unwrap();
        assert!(done.status.success(), "{args}: {}", String::from_utf8_lossy(&done.stderr));
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command_in(self.path(), args)
    }

    pub(crate) fn mcpid(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Returns a command that signs by the script of `sh` with this text, in the file `script`.
    pub(crate) fn sign_by(&self, script: &str) -> Command {
        self.write("script", script);
        let key = ["-k", "exec:/bin/sh script", "--public-key", "public.pem"];
        self.command(&[&["sign", "--url", URL, "body.json"], &key[..]].concat())
    }
}

/// Returns a command of `mcpid` in `folder`, which is also its home directory. The command has no
/// agent, no D-Bus session and no stdin.
pub(crate) fn command_in(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    command.current_dir(folder).env("HOME", folder).stdin(Stdio::null()).args(args);
    for name in [
        "MCPID_KEY",
        "MCPID_TRUST",
        "MCPID_PASSPHRASE",
        "MCPID_ASKPASS",
        "MCPID_PKCS11_MODULE",
        "XDG_CONFIG_HOME",
        "SSH_AUTH_SOCK",
        "SSH_ASKPASS",
    ] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Checks the exit code, and that stderr contains `words`. A command that fails must print nothing
/// to stdout.
#[track_caller]
pub(crate) fn ends(output: &Output, code: i32, words: &str) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}{err}", out(output));
    assert!(err.contains(words), "{words:?} is not in {err}");
    if code != 0 {
        assert!(output.stdout.is_empty(), "{}", out(output));
    }
}
