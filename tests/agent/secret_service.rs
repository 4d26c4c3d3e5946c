//! Tests of passphrases in the Secret Service (a D-Bus service for passwords): with the keyring
//! daemon of GNOME, and with programs in place of `secret-tool` that fail.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::servers::script;

/// Returns a home directory with the passphrase `pass`, the keyfile `k.json` and the request body
/// `body.json`. The id of the key begins with a hyphen, so that `secret-tool` could take it for an
/// option.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("pass"), "correct horse ü\n").unwrap();
    fs::write(home.path().join("body.json"), r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
        .unwrap();
    fs::write(home.path().join("seed"), "5eed0025".repeat(8)).unwrap();
    let args = ["keygen", "-q", "-o", "k.json", "--name", "alice", "--passphrase-file", "pass"];
    let mut command = isolated(home.path(), env!("CARGO_BIN_EXE_mcpid"));
    let made = command.args(args).args(["--import", "seed"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    home
}

/// Returns a command without a terminal, without a D-Bus session, and without the variables that
/// `mcpid` reads.
fn isolated(home: &Path, program: &str) -> Command {
    let mut command = Command::new("setsid");
    command.args(["--wait", program]).current_dir(home).env("HOME", home).stdin(Stdio::null());
    for name in [
        "DBUS_SESSION_BUS_ADDRESS",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "DISPLAY",
        "MCPID_KEY",
        "MCPID_PASSPHRASE",
        "MCPID_ASKPASS",
        "SSH_ASKPASS",
    ] {
        command.env_remove(name);
    }
    command
}

const BEFORE: &str = r#"
printf swordfish | gnome-keyring-daemon --unlock --components=secrets > /dev/null 2>&1
n=0
until printf x | secret-tool store --label=ready is ready 2> /dev/null; do
    n=$((n + 1)); [ $n -lt 600 ] || { echo "no keyring daemon"; exit 1; }
    sleep 0.1
done
url=https://mcp.example.com/mcp
try() { echo "== $*"; "$MCPID" "$@" 2>&1 > out; echo "exit $?"; }
"#;

/// Runs a script in a D-Bus session with a keyring daemon, and returns what the script printed.
fn in_session(home: &Path, steps: &str) -> String {
    fs::write(home.join("steps"), format!("{BEFORE}{steps}")).unwrap();
    let runtime = home.join("run");
    fs::create_dir(&runtime).unwrap();
    let mut command = isolated(home, "dbus-run-session");
    command.args(["--", "sh", "steps"]).env("XDG_RUNTIME_DIR", &runtime);
    command.env("MCPID", env!("CARGO_BIN_EXE_mcpid")).env("LC_ALL", "C.UTF-8");
    let done = command.output().expect("dbus-run-session, of dbus-daemon");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    text
}

#[test]
fn a_remembered_passphrase_is_not_asked_for_again() {
    let home = home();
    let id = {
        let args = ["export", "-k", "k.json", "--format", "thumbprint"];
        let told = isolated(home.path(), env!("CARGO_BIN_EXE_mcpid")).args(args).output().unwrap();
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    };
    let steps = r#"
try sign -k k.json --url $url body.json
echo incorrect > wrong
try passwd --remember -k k.json --passphrase-file wrong
try passwd --remember -k k.json --passphrase-file pass
secret-tool lookup -- application mcpid key "$ID" | od -An -c
try sign -v -k k.json --url $url body.json
try sign -k k.json --url $url --passphrase-file wrong body.json
try passwd --json --remember -k k.json --passphrase-file pass; cat out
echo "another horse" > new
try passwd -k k.json --new-passphrase-file new
try sign -k k.json --url $url body.json
printf "stale horse" | secret-tool store --label=x -- application mcpid key "$ID"
try sign -k k.json --url $url body.json
try passwd --forget -k k.json
try passwd --forget -k k.json
try sign -k k.json --url $url body.json
printf '\377\376 not text' > bytes
try passwd -k k.json --passphrase-file new --new-passphrase-file bytes
try passwd --remember -k k.json --passphrase-file bytes
try passwd -k k.json --passphrase-file bytes --new-passphrase-file new
try passwd --remember -k k.json --passphrase-file new
try passwd -k k.json --no-passphrase
secret-tool lookup -- application mcpid key "$ID" || echo "nothing is left"
try passwd --remember -k k.json
"#;
    let told = in_session(home.path(), &steps.replace("$ID", &id));
    let expected = r#"
== sign -k k.json --url https://mcp.example.com/mcp body.json
mcpid: no passphrase: there is no terminal to ask on, [..]
exit 4
== passwd --remember -k k.json --passphrase-file wrong
mcpid: wrong passphrase for k.json, or the file was changed
[..]
exit 4
== passwd --remember -k k.json --passphrase-file pass
mcpid: the Secret Service remembers the passphrase of k.json
exit 0
   c   o   r   r   e   c   t       h   o   r   s   e     303 274
== sign -v -k k.json --url https://mcp.example.com/mcp body.json
mcpid: the passphrase is the one that the Secret Service remembers
exit 0
== sign -k k.json --url https://mcp.example.com/mcp --passphrase-file wrong body.json
mcpid: wrong passphrase for k.json, or the file was changed
[..]
exit 4
== passwd --json --remember -k k.json --passphrase-file pass
mcpid: the Secret Service remembers the passphrase of k.json
exit 0
{"version":1,"id":"$ID","file":"k.json","remembered":true}
== passwd -k k.json --new-passphrase-file new
mcpid: the Secret Service remembers the new passphrase
mcpid: k.json has a new passphrase
exit 0
== sign -k k.json --url https://mcp.example.com/mcp body.json
exit 0
== sign -k k.json --url https://mcp.example.com/mcp body.json
mcpid: the passphrase that the Secret Service remembers does not open k.json
mcpid: hint: to remember the right one: mcpid passwd --forget -k k.json && mcpid passwd --remember -k k.json
exit 4
== passwd --forget -k k.json
mcpid: the Secret Service has forgotten the passphrase of k.json
exit 0
== passwd --forget -k k.json
mcpid: the Secret Service did not remember the passphrase of k.json
exit 0
== sign -k k.json --url https://mcp.example.com/mcp body.json
mcpid: no passphrase: there is no terminal to ask on, [..]
exit 4
== passwd -k k.json --passphrase-file new --new-passphrase-file bytes
mcpid: k.json has a new passphrase
exit 0
== passwd --remember -k k.json --passphrase-file bytes
mcpid: the passphrase is not UTF-8, and the Secret Service takes only text
exit 4
== passwd -k k.json --passphrase-file bytes --new-passphrase-file new
mcpid: k.json has a new passphrase
exit 0
== passwd --remember -k k.json --passphrase-file new
mcpid: the Secret Service remembers the passphrase of k.json
exit 0
== passwd -k k.json --no-passphrase
mcpid: the Secret Service has forgotten the passphrase
mcpid: k.json is not encrypted any more: [..]
exit 0
nothing is left
== passwd --remember -k k.json
mcpid: k.json is not encrypted: it has no passphrase
exit 4
"#;
    let expected = expected.replace("$ID", &id);
    let mut told = told.lines();
    for line in expected.trim().lines() {
        let (start, is_open) = match line.strip_suffix("[..]") {
            Some(start) => (start, true),
            None => (line, false),
        };
        let said = told.next().unwrap_or_default();
        let is_like = if is_open { said.starts_with(start) } else { said.trim() == line.trim() };
        assert!(is_like, "expected {line:?}, and it is {said:?}");
    }
    assert_eq!(told.next(), None);
}

/// Runs `mcpid` with a `secret-tool` whose script is `body`. The D-Bus address leads nowhere, so
/// only this tool can answer.
fn with_tool(home: &Path, body: Option<&str>, args: &[&str]) -> Output {
    let bin = home.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let tool = bin.join("secret-tool");
    let _ = fs::remove_file(&tool);
    if let Some(body) = body {
        script(&tool, body);
    }
    let mut command = isolated(home, env!("CARGO_BIN_EXE_mcpid"));
    let nowhere = format!("unix:path={}", home.join("nowhere").display());
    command.args(args).env("DBUS_SESSION_BUS_ADDRESS", nowhere);
    // The PATH must also contain the folder of `setsid`.
    let path = std::env::join_paths([bin.as_path(), Path::new("/usr/bin"), Path::new("/bin")]);
    command.env("PATH", path.unwrap()).output().unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32, words: &str) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(err.contains(words), "{words:?} is not in {err}");
}

#[test]
fn a_tool_that_fails_remembers_nothing_and_is_named() {
    let home = home();
    let remember = ["passwd", "--remember", "-k", "k.json", "--passphrase-file", "pass"];
    for (body, words) in [
        ("echo swordfish >&2; exit 1", "the Secret Service refused: secret-tool failed"),
        ("kill -9 $$", "the Secret Service refused: secret-tool failed"),
        ("exec cat /dev/zero", "the Secret Service refused: secret-tool failed"),
        // These tools accept the passphrase for storing, and return another or none when it is
        // looked up.
        ("exit 0", "gave the passphrase back changed; it is not remembered"),
        ("echo 'correct horse ü'", "gave the passphrase back changed; it is not remembered"),
    ] {
        let output = with_tool(home.path(), Some(body), &remember);
        ends(&output, 4, words);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("swordfish"));
    }
    // The passphrase is passed to `secret-tool` by stdin, and is in none of its arguments.
    let noting = "printf '%s\\n' \"$@\" >> args; [ \"$1\" != store ] || cat > stored; cat stored";
    ends(&with_tool(home.path(), Some(noting), &remember), 0, "remembers the passphrase");
    let args = fs::read_to_string(home.path().join("args")).unwrap();
    assert!(
        args.starts_with("store\n--label=mcpid passphrase of alice\n--\napplication\nmcpid\nkey\n")
    );
    assert!(!args.contains("horse"), "{args}");
    assert_eq!(fs::read_to_string(home.path().join("stored")).unwrap(), "correct horse ü");
    // A lookup that fails is no error: `mcpid` asks for the passphrase, as it does without a Secret
    // Service.
    let sign = ["sign", "-k", "k.json", "--url", "https://mcp.example.com/mcp", "body.json"];
    for body in ["exit 1", "kill -9 $$", "exec cat /dev/zero", "exit 0"] {
        ends(&with_tool(home.path(), Some(body), &sign), 4, "mcpid: no passphrase: ");
    }
    ends(&with_tool(home.path(), Some(noting), &sign), 0, "");
    // If a flag gives the passphrase, the Secret Service is not asked.
    let given = [&sign[..], &["--passphrase-file", "body.json"]].concat();
    ends(
        &with_tool(home.path(), Some(noting), &given),
        4,
        "wrong passphrase for k.json, or the file was changed\n",
    );
}

#[test]
fn a_session_without_a_bus_has_no_secret_service() {
    let home = home();
    for act in [&["--remember", "--passphrase-file", "pass"][..], &["--forget"]] {
        let args = [&["passwd", "-k", "k.json"], act].concat();
        let output = isolated(home.path(), env!("CARGO_BIN_EXE_mcpid")).args(args).output();
        ends(&output.unwrap(), 4, "there is no Secret Service: this session has no D-Bus");
    }
    for flags in [
        &["--remember", "--forget"][..],
        &["--remember", "--no-passphrase"],
        &["--remember", "--new-passphrase-file", "pass"],
        &["--forget", "--passphrase-file", "pass"],
        &["--forget", "--weak"],
    ] {
        let args = [&["passwd", "-k", "k.json"], flags].concat();
        let output = isolated(home.path(), env!("CARGO_BIN_EXE_mcpid")).args(args).output();
        ends(&output.unwrap(), 2, "cannot be used ");
    }
}
