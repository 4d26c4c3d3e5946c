//! Tests of questions for consent by an askpass program, without a terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::executable::executable;
use crate::servers::{Server, answers, call, folder, without_terminal};

const PATH: &str = r#"{"path":"/home/me/notes.txt","note":"\u202e<b>x</b>"}"#;
const CONFIRM: &[&str] = &["--confirm", "destructive"];

fn script(folder: &TempDir, name: &str, body: &str) -> PathBuf {
    let path = folder.path().join(name);
    executable(&path, &format!("#!/bin/sh\n{body}\n"));
    path
}

/// Returns Ok if the call reached the server, and otherwise why it did not.
fn outcome(server: &Server, folder: &TempDir) -> Result<(), String> {
    let answer = answers(folder).remove(0);
    match answer["error"]["message"].as_str() {
        None => {
            assert_eq!(server.calls().len(), 1);
            Ok(())
        }
        Some(why) => {
            assert!(server.calls().is_empty(), "refused and sent: {why}");
            Err(why.to_owned())
        }
    }
}

fn asked(body: &str, flags: &[&str]) -> (Result<(), String>, TempDir) {
    let server = Server::start();
    let folder = folder(&[call(1, "delete", PATH)]);
    let program = script(&folder, "askpass", body);
    let run = without_terminal(
        &folder,
        &server,
        &[CONFIRM, flags].concat(),
        &[("MCPID_ASKPASS", &program)],
    );
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    (outcome(&server, &folder), folder)
}

#[test]
fn an_askpass_program_gets_what_openssh_gives_it() {
    let body = "printf '%s' \"$1\" >text; printf '%s' \"$SSH_ASKPASS_PROMPT $#\" >prompt; \
                cat >stdin; env >env";
    let server = Server::start();
    let folder = folder(&[call(1, "delete", PATH)]);
    let program = script(&folder, "askpass", body);
    let secret = Path::new("tr0ub4dor");
    let variables = [("MCPID_ASKPASS", &*program), ("MCPID_PASSPHRASE", secret)];
    without_terminal(&folder, &server, CONFIRM, &variables);
    outcome(&server, &folder).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("prompt"), "confirm 1");
    // The askpass program gets neither the client's messages nor the passphrase.
    assert_eq!(read("stdin"), "");
    assert!(!read("env").contains("tr0ub4dor"));
    let text = read("text");
    for part in [
        "mcpid: may this request be signed and sent?\n",
        "  | \"delete\"\n",
        "\"path\": \"/home/me/notes.txt\"",
        r#""\u{202e}<b>x</b>""#,
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn yes_is_an_exit_code_of_0_with_nothing_or_yes() {
    for body in ["exit 0", "echo", "echo yes", "echo YES", "printf yes", "echo yes; echo no"] {
        let (outcome, _folder) = asked(body, &[]);
        assert_eq!(outcome, Ok(()), "{body}");
    }
    for body in [
        "exit 1",
        "echo yes; exit 1",
        "echo no",
        "echo y",
        "echo ' yes'",
        "echo yes please",
        "echo; echo no; exit 2",
        "head -c 100000 /dev/zero",
        "kill -9 $$",
    ] {
        let (outcome, _folder) = asked(body, &["--confirm-timeout", "5s"]);
        let why = outcome.unwrap_err();
        let expected = match body {
            "kill -9 $$" => "signal 9 ended it",
            _ => "declined",
        };
        assert!(why.contains(expected) || why.contains("no answer"), "{body}: {why}");
    }
}

#[test]
fn an_askpass_program_that_hangs_is_ended_with_its_child_processes() {
    let start = Instant::now();
    let (outcome, folder) =
        asked("sleep 300 & echo $! >inner; echo $$ >outer; wait", &["--confirm-timeout", "3s"]);
    assert!(outcome.unwrap_err().contains("no answer within 3 s"));
    assert!(start.elapsed() < Duration::from_secs(60));
    for name in ["inner", "outer"] {
        let id = fs::read_to_string(folder.path().join(name)).unwrap();
        let status = format!("/proc/{}/stat", id.trim());
        // The process has ended, or is a zombie for which its parent has not waited. A process that
        // was killed needs some time to end.
        let mut state = String::new();
        let has_ended = (0..3_000).any(|_| {
            state = fs::read_to_string(&status).unwrap_or_default();
            let has_ended = state.is_empty() || state.contains(") Z ");
            if !has_ended {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            has_ended
        });
        assert!(has_ended, "{name}: {state}");
    }
}

#[test]
fn child_processes_of_an_ended_askpass_program_are_not_waited_for() {
    let start = Instant::now();
    let (outcome, _folder) = asked("sleep 300 & exit 0", &[]);
    assert_eq!(outcome, Ok(()));
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn a_request_without_a_way_to_ask_is_refused() {
    let server = Server::start();
    for (flags, variables, words) in [
        (
            &[][..],
            &[][..],
            "there is no terminal, and neither MCPID_ASKPASS nor SSH_ASKPASS is set",
        ),
        (&["--confirm-via", "askpass"], &[], "neither MCPID_ASKPASS nor SSH_ASKPASS is set"),
        (&["--confirm-via", "terminal"], &[], "there is no terminal"),
        (&["--confirm-via", "terminal"], &[("SSH_ASKPASS", "/bin/true")], "there is no terminal"),
        (&[], &[("MCPID_ASKPASS", "")], "neither MCPID_ASKPASS nor SSH_ASKPASS is set"),
        (&[], &[("MCPID_ASKPASS", "/no/such")], "the askpass program /no/such: no such file"),
        (&[], &[("SSH_ASKPASS", "/etc/passwd")], "/etc/passwd: permission denied"),
        // If the program in MCPID_ASKPASS fails, `mcpid` does not try another.
        (&[], &[("MCPID_ASKPASS", "/no/such"), ("SSH_ASKPASS", "/bin/true")], "/no/such"),
    ] {
        let folder = folder(&[call(1, "delete", PATH)]);
        let variables: Vec<(&str, &Path)> =
            variables.iter().map(|(name, value)| (*name, Path::new(*value))).collect();
        without_terminal(&folder, &server, &[CONFIRM, flags].concat(), &variables);
        let why = outcome(&server, &folder).unwrap_err();
        assert!(why.contains(words), "{words:?} is not in {why}");
    }
}

#[test]
fn the_askpass_variable_of_openssh_serves_where_no_other_is_set() {
    for (variables, through) in [
        (&[("SSH_ASKPASS", "/bin/true")][..], true),
        (&[("SSH_ASKPASS", "/bin/false")], false),
        (&[("MCPID_ASKPASS", "/bin/false"), ("SSH_ASKPASS", "/bin/true")], false),
        (&[("MCPID_ASKPASS", "/bin/true"), ("SSH_ASKPASS", "/bin/false")], true),
    ] {
        let server = Server::start();
        let folder = folder(&[call(1, "delete", PATH)]);
        let variables: Vec<(&str, &Path)> =
            variables.iter().map(|(name, value)| (*name, Path::new(*value))).collect();
        without_terminal(&folder, &server, CONFIRM, &variables);
        assert_eq!(outcome(&server, &folder).is_ok(), through, "{variables:?}");
    }
}
