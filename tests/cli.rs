//! The command line as its users meet it: sessions in `tests/cmd`, and here what a session file
//! cannot show: closed pipes, full disks, no terminal, bytes that are no text.
#![cfg(all(unix, feature = "cli"))]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_mcpid");
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/keys");
const ALICE: &str = "zp_i9BattBHPu8Ale_rn2MsdjRU7HfSZczx5V53hFnM";

/// The user's own settings must not decide what a test sees.
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
    // The words are told apart first: the repository may lie at a path with spaces.
    let words = arguments.split(' ').map(|word| word.replace("$keys", KEYS));
    command(BINARY, folder).args(words).output().unwrap()
}

/// Runs a script of `sh`, where `$mcpid` is the binary and `$keys` the folder of test keys.
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

/// A plain keyfile `alice.json`.
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
    // Relative on purpose: the default folder then has the same name in every run.
    cases.env("HOME", "home").env("XDG_CONFIG_HOME", "").env("XDG_STATE_HOME", "");
    cases.env("NO_COLOR", "1").env("SSH_AUTH_SOCK", "");
    for program in ["cat", "chmod", "ln", "stat"] {
        cases.register_bin(program, trycmd::schema::Bin::Path(which(program).into()));
    }
    cases.case("tests/cmd/*.trycmd");
}

/// Where the system keeps `program`; a session file has no shell to look it up.
fn which(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|p| p.join(program)).find(|p| p.is_file());
    found.unwrap().to_str().unwrap().to_owned()
}

/// What a `-h` lists under `heading`, by its first word or flag.
fn listed(help: &str, heading: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    let lines = lines.take_while(|line| line.starts_with(' '));
    lines.filter_map(|line| Some(line.trim().split(' ').next()?.to_owned())).collect()
}

/// The long flags and short flags that a command's `-h` shows, without those of every command.
fn flags(folder: &Path, path: &str) -> BTreeSet<String> {
    let help = out(&mcpid(folder, format!("{path} -h").trim()));
    let mut flags = BTreeSet::new();
    for line in help.lines().filter(|line| line.trim_start().starts_with('-')) {
        // Flags end where two spaces begin the explanation.
        let names = line.trim_start().split("  ").next().unwrap();
        flags.extend(names.split([' ', ',']).filter(|w| w.starts_with('-')).map(str::to_owned));
    }
    for common in ["-h", "--help", "-q", "--quiet", "-v", "--verbose", "--json"] {
        assert!(flags.remove(common), "{path} has no {common}");
    }
    flags
}

/// The grammar of DESIGN section 7, as far as it is built: every command with every flag. What is
/// added to the binary has to be added here, and the other way round.
const GRAMMAR: &[(&str, &str)] = &[
    ("demo", ""),
    (
        "keygen",
        "-o --output --name --import --no-passphrase --weak --passphrase-file --passphrase-fd",
    ),
    (
        "sign",
        "-k --key --profile --client-id --cover --no-cover --label --ttl --at --format --url \
         --method -H --header --origin --replace --passphrase-file --passphrase-fd",
    ),
    (
        "verify",
        "-r --trust --profile --window --ahead --require --allow-uncovered --max-body --origin \
         --at --nonces --allow-evicting-store --raise-retention --only",
    ),
    ("inspect", "--base --label --at --nonces --allow-evicting-store"),
    ("export", "-k --key --format --jwk-alg"),
    (
        "passwd",
        "-k --key --passphrase-file --passphrase-fd --new-passphrase-file --new-passphrase-fd \
         --no-passphrase --weak",
    ),
    ("trust add", "-r --trust --name --client-id --not-before --not-after --allow"),
    ("trust list", "-r --trust"),
    ("trust revoke", "-r --trust --at"),
    ("trust remove", "-r --trust"),
    ("nonce list", "--nonces --allow-evicting-store"),
    ("nonce prune", "--nonces --allow-evicting-store"),
    (
        "gateway",
        "--config --check-config --upstream --listen -r --trust --profile --window --ahead \
         --require --allow-uncovered --max-body --origin --nonces --allow-evicting-store \
         --raise-retention --mode --strict --permissive --refuse-with --realm --path --open \
         --allow-origin --preserve-host --trusted-proxy --tls-cert --tls-key --upstream-ca \
         --allow-remote-upstream --log --admin --allow-remote-admin --max-connections --budget \
         --head-timeout --body-timeout --idle-timeout --connect-timeout --answer-timeout \
         --drain-timeout --audit --audit-policy --audit-bodies --audit-redact --audit-sync",
    ),
    ("gateway report", "--html --since --until"),
    (
        "connect",
        "-k --key --profile --client-id --ttl -H --header --max-body --timeout --ca --log-file \
         --print-config --check --passphrase-file --passphrase-fd --listen --allow-origin \
         --allow-remote --confirm --confirm-via --confirm-timeout --audit --audit-policy --audit-bodies \
         --audit-redact --audit-sync",
    ),
    ("agent add", "-k --key --lifetime --ask --passphrase-file --passphrase-fd"),
    ("audit init", "--audit --name --after --log-key"),
    (
        "audit verify",
        "--audit --log-key --checkpoint --witness -r --trust --profile --window --ahead --require \
         --allow-uncovered --origin --allow-clock --predecessor --all",
    ),
    ("audit show", "--audit --key --tool --status --since --until --format"),
    ("audit prove", "--audit --checkpoint -o --output"),
    (
        "audit check",
        "--log-key --checkpoint --witness -r --trust --profile --window --ahead --require \
         --allow-uncovered --origin --allow-clock --body",
    ),
    ("audit consistency", "--audit --log-key --print"),
    ("audit cosign", "--log-key --state --first -k --key --name --passphrase-file --passphrase-fd"),
    ("help", ""),
    ("version", ""),
    ("generate man", ""),
    ("generate completions", ""),
];

#[test]
fn the_grammar_is_the_one_of_the_design() {
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
            // Only the first command, with `--help` behind it: the rest must be known by then.
            let words = shlex(example.split([';', '|', '>', '&']).next().unwrap());
            let parsed = command(BINARY, folder.path()).args(&words).arg("--help").output();
            ends(&parsed.unwrap(), 0);
        }
    }
}

/// Words as a shell splits them, single quotes included.
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

#[test]
fn a_closed_pipe_ends_the_program_without_a_word() {
    let folder = TempDir::new().unwrap();
    alice(folder.path());
    for arguments in ["export -k alice.json", "--help", "--json export -k alice.json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(BINARY, folder.path());
        let child = command.args(arguments.split(' ')).stdout(writer).stderr(Stdio::piped());
        let output = child.spawn().unwrap().wait_with_output().unwrap();
        // As every program on this platform that does not know better.
        assert_eq!(output.status.signal(), Some(13), "{arguments}: {:?}", output.status);
        assert_eq!(err(&output), "", "{arguments}");
    }
}

#[test]
fn a_full_disk_is_said() {
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
fn a_file_that_cannot_be_written_whole_is_not_there_at_all() {
    let folder = TempDir::new().unwrap();
    alice(folder.path());
    ends(&mcpid(folder.path(), "trust add -r trust.json alice.json"), 0);
    let before = fs::read(folder.path().join("trust.json")).unwrap();
    // No file may grow beyond nothing: to the program this is a full disk.
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
fn without_a_terminal_all_three_other_ways_are_named() {
    let folder = TempDir::new().unwrap();
    fs::copy(format!("{KEYS}/sealed.json"), folder.path().join("sealed.json")).unwrap();
    // Stdin holds the passphrase, and is not asked for it.
    for arguments in ["keygen -o new.json", "passwd -k sealed.json --no-passphrase"] {
        let script = format!("exec setsid -w \"$mcpid\" {arguments} <\"$keys/correct\"");
        let output = shell(folder.path(), &script);
        ends(&output, 4);
        for way in ["--passphrase-file", "--passphrase-fd", "MCPID_PASSPHRASE"] {
            assert!(err(&output).lines().next().unwrap().contains(way), "{output:?}");
        }
    }
    let script =
        "exec setsid -w \"$mcpid\" passwd -k sealed.json --passphrase-file \"$keys/correct\"";
    let output = shell(folder.path(), script);
    ends(&output, 4);
    for way in ["--new-passphrase-file", "--new-passphrase-fd", "--no-passphrase"] {
        assert!(err(&output).lines().next().unwrap().contains(way), "{output:?}");
    }
    assert!(!folder.path().join("new.json").exists());
}

#[test]
fn a_passphrase_is_bytes_without_one_trailing_newline() {
    let folder = TempDir::new().unwrap();
    let keyfile = folder.path().join("key.json");
    let try_with = |passphrase: &[u8]| {
        fs::write(folder.path().join("pass"), passphrase).unwrap();
        fs::copy(&keyfile, folder.path().join("copy.json")).unwrap();
        let tried =
            mcpid(folder.path(), "passwd -k copy.json --no-passphrase --passphrase-file pass");
        match tried.status.code() {
            Some(0) => true,
            Some(4) => false,
            other => panic!("{other:?} {}", err(&tried)),
        }
    };
    fs::write(folder.path().join("pass"), b"\xffno text\n\r\n").unwrap();
    ends(&mcpid(folder.path(), "keygen -o key.json --passphrase-file pass"), 0);
    for (passphrase, opens) in [
        (&b"\xffno text\n"[..], false),
        (b"\xffno text\n\n", true),
        (b"\xffno text\n\r\n", true),
        (b"\xffno text", false),
        (b"\xffno text\n\n\n", false),
        (b"\xfeno text\n\n", false),
        ("\u{ff}no text\n\n".as_bytes(), false),
        ("\u{fffd}no text\n\n".as_bytes(), false),
    ] {
        assert_eq!(try_with(passphrase), opens, "{passphrase:?}");
    }
    // The other two ways give the same bytes.
    let script = "pass=$(printf '\\377no text\\n.'); pass=${pass%.}\n\
                  cp key.json a.json; cp key.json b.json; cp key.json c.json\n\
                  MCPID_PASSPHRASE=$pass\"\n\" \"$mcpid\" passwd -k a.json --no-passphrase || exit 1\n\
                  printf '\\377no text\\n\\n' | \"$mcpid\" passwd -k b.json --passphrase-fd 0 --no-passphrase || exit 2\n\
                  printf '\\377no text\\n\\n' >file\n\
                  \"$mcpid\" passwd -k c.json --passphrase-fd 7 --no-passphrase 7<file || exit 3";
    ends(&shell(folder.path(), script), 0);
}

#[test]
fn keys_come_from_stdin_where_a_dash_says_so() {
    let folder = TempDir::new().unwrap();
    let script = "\"$mcpid\" keygen -q -o a.json --import - --no-passphrase <\"$keys/alice.hex\"\n\
                  \"$mcpid\" export -k a.json --format pem | \"$mcpid\" trust add -r t.json --name alice -\n\
                  \"$mcpid\" trust list -q -r t.json";
    let output = shell(folder.path(), script);
    ends(&output, 0);
    let expected = format!(
        "{ALICE}\n{ALICE}\nNAME   KEY ID{:37}  STATUS  CLIENT IDS  MAY\nalice  {ALICE}  valid   -           anything\n",
        ""
    );
    assert_eq!(out(&output), expected);
}

#[test]
fn no_flag_for_files_is_needed() {
    let folder = TempDir::new().unwrap();
    let script = "\"$mcpid\" keygen -q --no-passphrase && \"$mcpid\" trust add -q && \"$mcpid\" trust list -q --json";
    let output = shell(folder.path(), script);
    ends(&output, 0);
    let printed = out(&output);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], lines[1]);
    let list: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!(list["keys"][0]["id"], lines[0]);
    assert_eq!(list["keys"][0]["status"], "valid");
    let mode =
        |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(".config/mcpid"), 0o700);
    assert_eq!(mode(".config/mcpid/key.json"), 0o600);
}

#[test]
fn a_keyfile_with_any_bit_flipped_opens_nothing() {
    let sealed = fs::read(format!("{KEYS}/sealed.json")).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key.json");
    // Every bit is flipped in the tests of the library; here a few, to see the words and the code.
    for place in (0..sealed.len()).step_by(29) {
        let mut flipped = sealed.clone();
        flipped[place] ^= 1 << (place % 8);
        fs::write(&path, &flipped).unwrap();
        let output = mcpid(
            folder.path(),
            "passwd -k key.json --no-passphrase --passphrase-file $keys/correct",
        );
        ends(&output, 4);
        let said = err(&output);
        assert!(said.starts_with("mcpid: ") && said.contains("key.json"), "{place}: {said}");
        assert_eq!(fs::read(&path).unwrap(), flipped, "{place}: it was written");
    }
}

#[test]
fn what_stands_in_a_file_cannot_fake_a_line_or_steer_a_terminal() {
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
    // Whether such a name is refused or shown, no byte of it may act.
    let said = out(&output) + &err(&output);
    assert!(!said.contains('\u{1b}') && !said.contains('\u{7}'), "{said:?}");
    assert!(!said.lines().any(|line| line.starts_with("alice")), "{said}");
    assert!(said.contains("eve"), "{said}");
}

#[test]
fn a_wish_for_backtraces_changes_no_words() {
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
    // Behind `--` it is a file's name.
    let output = mcpid(folder.path(), "trust revoke --nonsense -- --json");
    assert!(err(&output).starts_with("mcpid: no such flag here: --nonsense\n"), "{output:?}");
}
