//! Tests of the program's output: closed pipes, full disks, escapes, and JSON on one line.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use tempfile::TempDir;

use super::{ALICE, BINARY, KEYS, alice, command, ends, err, mcpid, out, shell};

#[test]
fn a_closed_pipe_ends_the_program_silently() {
    let folder = TempDir::new().unwrap();
    alice(folder.path());
    for arguments in ["export -k alice.json", "--help", "--json export -k alice.json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(BINARY, folder.path());
        let child = command.args(arguments.split(' ')).stdout(writer).stderr(Stdio::piped());
        let output = child.spawn().unwrap().wait_with_output().unwrap();
        // SIGPIPE ends the program, as it ends other programs on this platform.
        assert_eq!(output.status.signal(), Some(13), "{arguments}: {:?}", output.status);
        assert_eq!(err(&output), "", "{arguments}");
    }
}

#[test]
fn a_full_disk_is_reported() {
    let folder = TempDir::new().unwrap();
    alice(folder.path());
    for (arguments, json) in
        [("export -k alice.json", false), ("--json export -k alice.json", true)]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(BINARY, folder.path())
            .args(arguments.split(' '))
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        let words = "cannot write to stdout: no space left on the device";
        match json {
            false => assert_eq!(err(&output), format!("mcpid: {words}\n")),
            true => assert_eq!(
                err(&output),
                format!(
                    "{{\"error\":{{\"code\":\"disk_full\",\"message\":\"{words}\",\"hint\":null}}}}\n"
                )
            ),
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_whole_is_removed() {
    let folder = TempDir::new().unwrap();
    alice(folder.path());
    ends(&mcpid(folder.path(), "trust add -r trust.json alice.json"), 0);
    let before = fs::read(folder.path().join("trust.json")).unwrap();
    // With this limit no file can grow, which looks to the program like a full disk.
    let limit = "trap '' XFSZ; ulimit -f 0; exec \"$mcpid\"";
    for (arguments, file) in [
        ("keygen -o new.json --no-passphrase", "new.json"),
        ("trust revoke -r trust.json alice", "trust.json"),
        ("passwd -k alice.json --new-passphrase-file \"$keys/correct\"", "alice.json"),
    ] {
        let output = shell(folder.path(), &format!("{limit} {arguments}"));
        ends(&output, 3);
        assert!(err(&output).starts_with(&format!("mcpid: cannot write {file}: ")), "{output:?}");
    }
    assert!(!folder.path().join("new.json").exists());
    assert_eq!(fs::read(folder.path().join("trust.json")).unwrap(), before);
    ends(&mcpid(folder.path(), "export -k alice.json"), 0);
    let left: BTreeSet<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["alice.json", "trust.json"].map(Into::into).into(), "nothing is left behind");
}

#[test]
fn a_file_cannot_forge_a_line_or_control_a_terminal() {
    let folder = TempDir::new().unwrap();
    let jwk = fs::read_to_string(format!("{KEYS}/bob.jwk")).unwrap();
    let x = jwk.split("\"x\":\"").nth(1).unwrap().split('"').next().unwrap();
    let trust = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}","mcpid":{{"name":"eve\u001b]0;pwned\u0007\nalice  {ALICE}  valid"}}}}]}}"#
    );
    let path = folder.path().join("trust.json");
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).unwrap();
    file.write_all(trust.as_bytes()).unwrap();
    let output = mcpid(folder.path(), "trust list -r trust.json");
    // The program may refuse such a file name or show it, but no control character of it may reach
    // the terminal.
    let said = out(&output) + &err(&output);
    assert!(!said.contains('\u{1b}') && !said.contains('\u{7}'), "{said:?}");
    assert!(!said.lines().any(|line| line.starts_with("alice")), "{said}");
    assert!(said.contains("eve"), "{said}");
}

#[test]
fn a_request_for_backtraces_changes_no_message() {
    let folder = TempDir::new().unwrap();
    for arguments in ["export -k nothing.json", "verify --at nonsense", "generate man no/such"] {
        let plain = mcpid(folder.path(), arguments);
        let traced = command(BINARY, folder.path())
            .args(arguments.split(' '))
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        assert_eq!((plain.status, plain.stderr), (traced.status, traced.stderr));
    }
}

#[test]
fn json_failures_are_one_line_of_json() {
    let folder = TempDir::new().unwrap();
    for arguments in [
        "export -k nothing.json --json",
        "--json trust list",
        "keygen --nonsense --json",
        "verify --at nonsense --json",
        "--json",
    ] {
        let output = mcpid(folder.path(), arguments);
        let said = err(&output);
        assert_eq!(said.lines().count(), 1, "{arguments}: {said}");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        for member in ["code", "message"] {
            assert!(said["error"][member].is_string(), "{arguments}: {said}");
        }
        assert_eq!(out(&output), "", "{arguments}");
    }
    // After `--`, the word is a file name.
    let output = mcpid(folder.path(), "trust revoke --nonsense -- --json");
    assert!(err(&output).starts_with("mcpid: no such flag here: --nonsense\n"), "{output:?}");
}
