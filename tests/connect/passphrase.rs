//! Tests of a passphrase without a terminal: the program runs an askpass program, which asks the
//! user in a window, as for ssh-add.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::executable::executable;
use crate::program::{BINARY, command, err, folder};

const PASSPHRASE: &str = "tr0ub4dor & 3";

/// Returns a folder with a keyfile that has a passphrase.
fn sealed() -> TempDir {
    let folder = folder();
    fs::write(folder.path().join("pass"), PASSPHRASE).unwrap();
    let arguments = ["passwd", "-k", "key.json", "--new-passphrase-file", "pass"];
    let made = command(folder.path()).args(arguments).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    fs::write(folder.path().join("body"), "{}").unwrap();
    folder
}

fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    let path = folder.join(name);
    executable(&path, &format!("#!/bin/sh\n{body}\n"));
    path
}

/// Runs the program `mcpid` without a terminal.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &Path)]) -> Output {
    let plain = command(folder);
    let mut command = Command::new("setsid");
    command.args(["-w", BINARY]).args(arguments).current_dir(folder);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

const SIGN: &[&str] = &["sign", "-k", "key.json", "--url", "https://h.example/", "body"];

#[test]
fn the_passphrase_program_is_called_as_ssh_add_calls_it() {
    let folder = sealed();
    let at = folder.path();
    let body = format!(
        "printf '%s' \"$#:$1:$SSH_ASKPASS_PROMPT\" >told; cat >input; echo '{PASSPHRASE}'; echo more"
    );
    let program = script(at, "askpass", &body);
    let broken = script(at, "broken", "exit 1");
    for variables in [
        &[("MCPID_ASKPASS", &*program)][..],
        &[("SSH_ASKPASS", &program)],
        &[("MCPID_ASKPASS", &program), ("SSH_ASKPASS", &broken)],
    ] {
        let ran = run(at, SIGN, variables);
        assert!(ran.status.success(), "{variables:?}: {}", err(&ran));
        assert_eq!(fs::read_to_string(at.join("told")).unwrap(), "1:passphrase for key.json: :");
        assert!(fs::read(at.join("input")).unwrap().is_empty(), "stdin is not for it");
        assert!(!format!("{ran:?}").contains("tr0ub"), "{ran:?}");
    }
    // The test runs each command that opens a keyfile.
    let variables = [("MCPID_ASKPASS", &*program)];
    let mut bridge = vec!["connect", "-k", "key.json", "http://127.0.0.1:1/"];
    assert_eq!(run(at, &bridge, &variables).status.code(), Some(0));
    bridge.insert(1, "--check");
    assert_eq!(run(at, &bridge, &variables).status.code(), Some(5));
    // A passphrase given by a flag is used, and the user is not asked.
    fs::remove_file(at.join("told")).unwrap();
    let given = [SIGN, &["--passphrase-file", "pass"]].concat();
    assert!(run(at, &given, &variables).status.success());
    assert!(!at.join("told").exists());
}

#[test]
fn a_wrong_passphrase_ends_the_bridge_and_is_not_repeated() {
    let folder = sealed();
    let at = folder.path();
    for (body, words) in [
        ("exit 1", "no passphrase was given"),
        ("exit 0", "is empty"),
        ("echo", "is empty"),
        ("echo wr0ng-one", "wrong passphrase"),
        ("kill -9 $$", "signal 9 ended it"),
        ("yes s3cret | head -c 100000", "more than the 4096 bytes"),
    ] {
        let program = script(at, "askpass", body);
        let ran = run(at, SIGN, &[("MCPID_ASKPASS", &program)]);
        assert_eq!(ran.status.code(), Some(4), "{body}: {ran:?}");
        assert!(err(&ran).contains(words), "{body}: {}", err(&ran));
        assert!(!err(&ran).contains("wr0ng") && !err(&ran).contains("s3cret"), "{}", err(&ran));
    }
    let ran = run(at, SIGN, &[("MCPID_ASKPASS", Path::new("./nowhere"))]);
    assert!(ran.status.code() == Some(4) && err(&ran).contains("no such file"), "{ran:?}");
    let never =
        [("SSH_ASKPASS", Path::new("./askpass")), ("SSH_ASKPASS_REQUIRE", Path::new("never"))];
    let ran = run(at, SIGN, &never);
    assert!(err(&ran).contains("there is no terminal to ask on"), "{}", err(&ran));
}

#[test]
fn a_new_passphrase_is_asked_for_twice() {
    let folder = folder();
    let at = folder.path();
    let make = ["keygen", "-o", "new.json"];
    for (second, code) in [("good one, long", 0), ("another one, long", 4)] {
        let body =
            format!("case \"$1\" in *again*) echo '{second}';; *) echo 'good one, long';; esac");
        let program = script(at, "askpass", &body);
        let ran = run(at, &make, &[("MCPID_ASKPASS", &program)]);
        assert_eq!(ran.status.code(), Some(code), "{}", err(&ran));
        assert_eq!(at.join("new.json").exists(), code == 0);
        let _ = fs::remove_file(at.join("new.json"));
    }
}

#[test]
fn a_signal_ends_the_asking_program_too() {
    let folder = sealed();
    let at = folder.path();
    let program = script(at, "askpass", "echo $$ >pid; exec sleep 60");
    let mut bridge = crate::program::connect(at, &["http://127.0.0.1:1/"]);
    let mut child = bridge.env("MCPID_ASKPASS", &program).spawn().unwrap();
    let pid = loop {
        let pid = fs::read_to_string(at.join("pid")).unwrap_or_default();
        if pid.ends_with('\n') {
            break pid.trim().to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    child.wait().unwrap();
    // A process that has ended may still be listed until its parent has waited for it.
    let gone = (0..3_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    });
    assert!(gone, "the askpass program outlives us");
}
