//! Tests of the command line: the sessions in `tests/cmd`, and cases that a session file cannot
//! show, such as closed pipes, full disks, no terminal, and bytes that are not text.
#![cfg(all(unix, feature = "cli"))]
#![allow(clippy::unwrap_used)]

mod keys;
mod logs;
mod output;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_mcpid");
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/keys");
const ALICE: &str = "zp_i9BattBHPu8Ale_rn2MsdjRU7HfSZczx5V53hFnM";

/// Variables of the user's environment that must not affect the tests.
const SETTINGS: [&str; 7] = [
    "MCPID_KEY",
    "MCPID_TRUST",
    "MCPID_PASSPHRASE",
    "MCPID_NONCES",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "RUST_BACKTRACE",
];

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("HOME", folder).stdin(Stdio::null());
    for name in SETTINGS {
        command.env_remove(name);
    }
    command
}

/// Runs `mcpid` with `arguments`, split at spaces.
fn mcpid(folder: &Path, arguments: &str) -> Output {
    // The words are split first, because the path of the repository may contain blanks.
    let words = arguments.split(' ').map(|word| word.replace("$keys", KEYS));
    command(BINARY, folder).args(words).output().unwrap()
}

/// Runs an `sh` script, in which `$mcpid` is the binary and `$keys` the folder of test keys.
fn shell(folder: &Path, script: &str) -> Output {
    let mut shell = command("sh", folder);
    shell.env("mcpid", BINARY).env("keys", KEYS).args(["-c", script]).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", out(output), err(output));
}

/// Creates the keyfile `alice.json`, without a passphrase.
fn alice(folder: &Path) {
    let made = mcpid(folder, "keygen -o alice.json --import $keys/alice.hex --no-passphrase");
    ends(&made, 0);
}

#[test]
fn sessions() {
    for name in SETTINGS.iter().filter(|name| name.starts_with("MCPID")) {
        assert!(std::env::var_os(name).is_none(), "unset {name} to run these tests");
    }
    let cases = trycmd::TestCases::new();
    // The paths are relative, so that the program prints the same default folder in every run.
    cases.env("HOME", "home").env("XDG_CONFIG_HOME", "").env("XDG_STATE_HOME", "");
    cases.env("NO_COLOR", "1").env("SSH_AUTH_SOCK", "");
    for program in ["cat", "chmod", "ln", "stat"] {
        cases.register_bin(program, trycmd::schema::Bin::Path(which(program).into()));
    }
    cases.case("tests/cmd/*.trycmd");
}

/// Returns the path of `program`, because a session file has no shell to find it.
fn which(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|p| p.join(program)).find(|p| p.is_file());
    found.unwrap().to_str().unwrap().to_owned()
}

/// Returns the first word or flag of each line that `-h` lists under `heading`.
fn listed(help: &str, heading: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    let lines = lines.take_while(|line| line.starts_with(' '));
    lines.filter_map(|line| Some(line.trim().split(' ').next()?.to_owned())).collect()
}

/// Returns the long and short flags that `-h` lists for a command, without those that every command
/// has.
fn flags(folder: &Path, path: &str) -> BTreeSet<String> {
    let help = out(&mcpid(folder, format!("{path} -h").trim()));
    let mut flags = BTreeSet::new();
    for line in help.lines().filter(|line| line.trim_start().starts_with('-')) {
        // In the help, two blanks separate the flags from the explanation.
        let names = line.trim_start().split("  ").next().unwrap();
        flags.extend(names.split([' ', ',']).filter(|w| w.starts_with('-')).map(str::to_owned));
    }
    for common in ["-h", "--help", "-q", "--quiet", "-v", "--verbose", "--json"] {
        assert!(flags.remove(common), "{path} has no {common}");
    }
    flags
}

/// Every command with its flags. The test fails if the program gets a flag that is missing here.
const GRAMMAR: &[(&str, &str)] = &[
    ("demo", ""),
    (
        "keygen",
        "-o --output --name --algorithm --import --no-passphrase --weak --passphrase-file \
         --passphrase-fd",
    ),
    (
        "sign",
        "-k --key --public-key --profile --client-id --keyid --cover --no-cover --label --ttl --at --format --url \
         --method -H --header --origin --replace --touch --passphrase-file --passphrase-fd",
    ),
    (
        "verify",
        "-r --trust --profile --window --ahead --require --allow-uncovered --max-body --origin \
         --at --nonces --allow-evicting-store --raise-retention --touch --only --html",
    ),
    ("inspect", "--base --label --at --nonces --allow-evicting-store"),
    ("export", "-k --key --public-key --format --jwk-alg"),
    (
        "passwd",
        "-k --key --passphrase-file --passphrase-fd --new-passphrase-file --new-passphrase-fd \
         --no-passphrase --weak --remember --forget",
    ),
    (
        "trust add",
        "-r --trust --public-key --kid --name --client-id --not-before --not-after --allow --for --alone \
         --require-verified",
    ),
    ("trust list", "-r --trust"),
    ("trust revoke", "-r --trust --at"),
    ("trust remove", "-r --trust"),
    ("nonce list", "--nonces --allow-evicting-store"),
    ("nonce prune", "--nonces --allow-evicting-store"),
    (
        "gateway",
        "--config --check-config --upstream --listen -r --trust --profile --window --ahead \
         --require --allow-uncovered --max-body --origin --nonces --allow-evicting-store \
         --raise-retention --mode --strict --permissive --touch --refuse-with --realm --path --open \
         --allow-origin --preserve-host --trusted-proxy --tls-cert --tls-key --upstream-ca \
         --allow-remote-upstream --log --admin --allow-remote-admin --max-connections --budget \
         --head-timeout --body-timeout --idle-timeout --connect-timeout --answer-timeout \
         --drain-timeout --audit --audit-policy --audit-bodies --audit-redact --audit-sync \
         --witness-policy --admin-host --learned-tools --tools-key --tools-public-key \
         --audit-key --audit-passphrase-file --passphrase-file --passphrase-fd",
    ),
    ("gateway report", "--html --since --until"),
    (
        "connect",
        "-k --key --public-key --profile --client-id --ttl -H --header --max-body --timeout --ca --log-file \
         --print-config --check --passphrase-file --passphrase-fd --listen --allow-origin \
         --allow-remote --confirm --confirm-via --confirm-timeout --touch --touch-key --audit --audit-policy --audit-bodies \
         --audit-redact --audit-sync --audit-key --audit-passphrase-file --witness-policy",
    ),
    ("agent add", "-k --key --lifetime --ask --passphrase-file --passphrase-fd"),
    (
        "authz",
        "--listen --allow-remote --dialect --path-prefix --config --check-config -r --trust --profile \
         --window --ahead --require --allow-uncovered --max-body --origin --nonces \
         --allow-evicting-store --raise-retention --mode --strict --permissive --touch --refuse-with --realm \
         --tools --path --open --allow-origin --trusted-proxy --tls-cert --tls-key --log --admin \
         --admin-host --allow-remote-admin --max-connections --budget --head-timeout --body-timeout \
         --idle-timeout --drain-timeout --audit --audit-policy --audit-bodies --audit-redact \
         --audit-sync --audit-key --audit-passphrase-file --witness-policy",
    ),
    (
        "audit init",
        "--audit --audit-key --audit-passphrase-file --public-key --name --after --after-key \
         --after-passphrase-file --log-key",
    ),
    (
        "audit verify",
        "--audit --log-key --checkpoint --witness --witness-policy -r --trust --profile --window --ahead --require \
         --allow-uncovered --allow-erased --archive --origin --touch --allow-clock --predecessor --all",
    ),
    (
        "audit report",
        "--audit --log-key --checkpoint --witness --witness-policy -r --trust --profile --window --ahead --require \
         --allow-uncovered --allow-erased --archive --origin --touch --allow-clock --predecessor --all --html",
    ),
    ("audit show", "--archive --audit --key --tool --status --since --until --format"),
    ("audit prove", "--archive --audit --checkpoint --format -o --output"),
    (
        "audit check",
        "--log-key --checkpoint --witness --witness-policy -r --trust --profile --window --ahead --require \
         --allow-uncovered --origin --touch --allow-clock --body --html",
    ),
    ("audit archive", "--audit --audit-key --audit-passphrase-file --before --to"),
    ("audit erase", "--archive --audit --audit-key --audit-passphrase-file --reason"),
    ("audit consistency", "--audit --log-key --print"),
    ("audit witness", "--witness-policy"),
    (
        "audit cosign",
        "--log-key --state --first -k --key --public-key --name --passphrase-file --passphrase-fd",
    ),
    ("help", ""),
    ("version", ""),
    ("generate man", ""),
    ("generate completions", ""),
];

#[test]
fn the_binary_accepts_exactly_the_listed_commands() {
    let folder = TempDir::new().unwrap();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    for (path, expected) in GRAMMAR {
        assert_eq!(flags(folder.path(), path), words(expected), "mcpid {path}");
    }
    let help = out(&mcpid(folder.path(), "-h"));
    let first = |(path, _): &(&str, &str)| path.split(' ').next().unwrap().to_owned();
    let mut commands: BTreeSet<_> = GRAMMAR.iter().map(first).collect();
    assert!(commands.remove("generate"), "it is there, and hidden");
    assert_eq!(listed(&help, "Commands:"), commands);
    for group in ["trust", "nonce", "gateway", "agent", "audit", "generate"] {
        let help = out(&mcpid(folder.path(), &format!("{group} -h")));
        let second = GRAMMAR.iter().filter_map(|(path, _)| path.strip_prefix(group));
        let second = second.filter_map(|path| path.strip_prefix(' ')).map(str::to_owned).collect();
        assert_eq!(listed(&help, "Commands:"), second, "mcpid {group}");
    }
}

#[test]
fn every_command_shows_examples_and_they_parse() {
    let folder = TempDir::new().unwrap();
    for (path, _) in GRAMMAR {
        let help = out(&mcpid(folder.path(), &format!("{path} --help")));
        let examples: Vec<_> = help
            .lines()
            .skip_while(|line| *line != "Examples:")
            .skip(1)
            .filter_map(|line| line.trim().strip_prefix("mcpid "))
            .collect();
        assert!(!examples.is_empty(), "{path}: {help}");
        for example in examples {
            // Only the first command of each example in the help is run, with `--help` added:
            // everything before `--help` must parse.
            let words = shlex(example.split([';', '|', '>', '&']).next().unwrap());
            let parsed = command(BINARY, folder.path()).args(&words).arg("--help").output();
            ends(&parsed.unwrap(), 0);
        }
    }
}

/// Splits a text into words as a shell does, with single quotes.
fn shlex(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in text.trim().chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}
