//! Tests that the programs which `mcpid` starts inherit none of its descriptors but stdin, stdout and
//! stderr: that of a passphrase least of all.

use std::fs;
use std::process::{Command, Stdio};

use crate::executable::executable;
use crate::home::{Home, URL, ends};

/// Lists in the file `open` the descriptors of a script of `sh`, a number and a target on each line.
const LIST: &str = r#"
(for fd in /proc/$$/fd/*; do echo "${fd##*/} $(readlink "$fd")"; done) > open
"#;

/// Returns a home with the file `words` of a passphrase, and the keyfile `sealed.json` under it.
fn home() -> Home {
    let home = Home::new();
    home.write("words", "correct horse battery\n");
    let keygen = ["keygen", "-o", "sealed.json", "--passphrase-file", "words"];
    ends(&home.mcpid(&keygen), 0, "");
    home
}

/// Returns a command of `mcpid` that inherits the descriptors 7 and 9 of the file `words`, and 8 of a
/// pipe.
fn with_descriptors(home: &Home, args: &[&str]) -> Command {
    let plain = home.command(args);
    let mut command = Command::new("bash");
    command.arg("-c").arg(r#"exec "$@" 7<words 9<words 8< <(cat words)"#).arg("bash");
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(home.path());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null());
    command
}

/// Writes an executable script that lists its descriptors, and then does `what`.
fn program(home: &Home, name: &str, what: &str) {
    executable(&home.path().join(name), &format!("#!/bin/sh\n{LIST}{what}\n"));
}

/// Checks the list of a program that was started.
fn is_closed(home: &Home) {
    let list = home.read("open");
    assert!(list.lines().count() >= 3, "no list: {list:?}");
    for line in list.lines() {
        let (number, target) = line.split_once(' ').unwrap();
        // The shell itself has its script open.
        let is_script = ["/script", "/askpass", "/secret-tool"].iter().any(|n| target.ends_with(n));
        assert!(is_script || ["0", "1", "2"].contains(&number), "inherited: {line} of {list}");
        assert!(!target.ends_with("/words"), "inherited: {line}");
    }
    fs::remove_file(home.path().join("open")).unwrap();
}

#[test]
fn a_program_of_exec_inherits_no_descriptor() {
    let home = home();
    home.write("script", LIST);
    let sign = ["sign", "--url", URL, "body.json", "-k", "exec:/bin/sh script"];
    let args = [&sign[..], &["--public-key", "public.pem", "--passphrase-fd", "7"]].concat();
    let output = with_descriptors(&home, &args).output().unwrap();
    ends(&output, 4, "the program sh printed nothing");
    is_closed(&home);
}

#[test]
fn a_descriptor_of_a_passphrase_is_still_read() {
    let home = home();
    for descriptor in ["7", "8", "9"] {
        let sign = ["sign", "--url", URL, "body.json", "-k", "sealed.json", "--passphrase-fd"];
        let output = with_descriptors(&home, &[&sign[..], &[descriptor]].concat()).output();
        ends(&output.unwrap(), 0, "");
    }
}

#[test]
fn an_askpass_program_inherits_no_descriptor() {
    let home = home();
    program(&home, "askpass", "cat words");
    let askpass = home.path().join("askpass");
    let sign = ["sign", "--url", URL, "body.json", "-k", "sealed.json"];
    let mut command = with_descriptors(&home, &sign);
    ends(&command.env("MCPID_ASKPASS", askpass).output().unwrap(), 0, "");
    is_closed(&home);
}

#[test]
fn the_program_of_the_secret_service_inherits_no_descriptor() {
    let home = home();
    program(&home, "secret-tool", "test \"$1\" = lookup && printf 'correct horse battery'; exit 0");
    let remember = ["passwd", "-k", "sealed.json", "--remember", "--passphrase-fd", "7"];
    let mut command = with_descriptors(&home, &remember);
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    ends(&command.output().unwrap(), 0, "");
    is_closed(&home);
}
