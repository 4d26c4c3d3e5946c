//! Tests of questions on a terminal. Each test runs the program on a pseudo-terminal.
#![cfg(all(unix, feature = "cli"))]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;

const PASSPHRASE: &str = "tr0ub4dor & 3, auf Deutsch: Überraschung";

/// Starts a shell on a pseudo-terminal in an empty folder, with the program as `mcpid`. After the
/// command, the shell prints its exit code, and whether the terminal shows what is typed.
fn start(folder: &TempDir, script: &str) -> PtySession {
    let mut shell = Command::new("sh");
    let script = format!(
        "stty echo sane; mcpid() {{ '{}' \"$@\"; }}\n{script}\n\
         echo \"ended $?\"; stty -a | grep -q -- '-echo ' && echo silent || echo echoes; \
         stty -a | grep -q -- '-icanon' && echo raw || echo cooked",
        env!("CARGO_BIN_EXE_mcpid")
    );
    shell.args(["-c", &script]).current_dir(folder.path());
    shell.env("HOME", folder.path()).env_remove("XDG_CONFIG_HOME");
    for variable in ["MCPID_KEY", "MCPID_TRUST", "MCPID_PASSPHRASE"] {
        shell.env_remove(variable);
    }
    spawn_command(shell, Some(120_000)).unwrap()
}

/// Checks the exit code of the command and the state of the terminal. Returns the rest of the
/// output.
fn ends(mut session: PtySession, code: u8) -> String {
    let before = session.exp_string(&format!("ended {code}")).unwrap();
    let after = session.exp_eof().unwrap();
    assert!(after.contains("echoes"), "the terminal was left without echo: {after}");
    assert!(after.contains("cooked"), "the terminal was left raw: {after}");
    before
}

/// Returns true if `passphrase` opens `file`. A process without a terminal tries it.
fn opens(folder: &Path, file: &str, passphrase: &str) -> bool {
    let given = folder.join("given");
    fs::write(&given, passphrase).unwrap();
    let copy = folder.join("copy.json");
    fs::copy(folder.join(file), &copy).unwrap();
    let mcpid = Command::new(env!("CARGO_BIN_EXE_mcpid"))
        .args(["passwd", "--no-passphrase", "-k"])
        .arg(&copy)
        .arg("--passphrase-file")
        .arg(&given)
        .env_remove("MCPID_PASSPHRASE")
        .output()
        .unwrap();
    match mcpid.status.code() {
        Some(0) => true,
        Some(4) => false,
        other => panic!("{other:?} {}", String::from_utf8_lossy(&mcpid.stderr)),
    }
}

#[test]
fn keygen_asks_twice_and_shows_nothing() {
    let folder = TempDir::new().unwrap();
    let mut session = start(&folder, "mcpid keygen -o key.json");
    let mut seen = session.exp_string("new passphrase for key.json").unwrap();
    session.send_line(PASSPHRASE).unwrap();
    seen += &session.exp_string("the same again: ").unwrap();
    session.send_line(PASSPHRASE).unwrap();
    seen += &ends(session, 0);
    assert!(!seen.contains("tr0ub") && !seen.contains("berraschung"), "{seen}");
    assert!(opens(folder.path(), "key.json", PASSPHRASE));
    assert!(!opens(folder.path(), "key.json", "tr0ub4dor"));
}

#[test]
fn keygen_refuses_two_answers_that_differ() {
    let folder = TempDir::new().unwrap();
    let mut session = start(&folder, "mcpid keygen -o key.json");
    session.exp_string("new passphrase").unwrap();
    session.send_line("number one").unwrap();
    session.exp_string("again: ").unwrap();
    session.send_line("number two").unwrap();
    let seen = ends(session, 4);
    assert!(seen.contains("mcpid: the two passphrases differ; nothing was written"), "{seen}");
    assert!(!folder.path().join("key.json").exists());
}

#[test]
fn an_empty_answer_generates_words_shown_on_the_terminal_only() {
    let mut made = Vec::new();
    for _ in 0..2 {
        let folder = TempDir::new().unwrap();
        let mut session = start(&folder, "mcpid keygen -o key.json >out 2>err");
        session.exp_string("(empty: make one up): ").unwrap();
        session.send_line("").unwrap();
        session.exp_string("77 bits, shown only now:").unwrap();
        let (_, words) = session.exp_regex("[a-z]+(-[a-z]+){6}").unwrap();
        ends(session, 0);
        assert_eq!(words.split('-').count(), 7, "{words}");
        assert!(opens(folder.path(), "key.json", &words), "{words}");
        for stream in ["out", "err"] {
            let text = fs::read_to_string(folder.path().join(stream)).unwrap();
            assert!(!text.contains(&words), "{stream}: {text}");
        }
        made.push(words);
    }
    assert_ne!(made[0], made[1]);
}

/// Creates a keyfile `key.json` with a passphrase.
fn sealed(folder: &TempDir, passphrase: &str) {
    let file = folder.path().join("given");
    fs::write(&file, passphrase).unwrap();
    let mcpid = Command::new(env!("CARGO_BIN_EXE_mcpid"))
        .args(["keygen", "-o", "key.json", "--passphrase-file", "given"])
        .current_dir(folder.path())
        .env_remove("MCPID_PASSPHRASE")
        .output()
        .unwrap();
    assert!(mcpid.status.success(), "{}", String::from_utf8_lossy(&mcpid.stderr));
    fs::remove_file(file).unwrap();
}

#[test]
fn a_typed_passphrase_needs_eight_characters() {
    let folder = TempDir::new().unwrap();
    // The program counts characters, not bytes: seven characters of two bytes each are too few.
    for (typed, count) in
        [("7letter", 7), ("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", 7), ("x", 1)]
    {
        let mut session = start(&folder, "mcpid keygen -o key.json");
        session.exp_string("new passphrase for key.json").unwrap();
        session.send_line(typed).unwrap();
        let seen = ends(session, 4);
        let plural = if count == 1 { "" } else { "s" };
        let said = format!("mcpid: a passphrase of {count} character{plural} is guessed quickly");
        assert!(seen.contains(&said) && !seen.contains("again"), "{seen}");
        assert!(!folder.path().join("key.json").exists());
    }
    for (file, typed, flag) in [
        ("a.json", "8letters", ""),
        ("b.json", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", ""),
        ("c.json", "x", " --weak"),
    ] {
        let mut session = start(&folder, &format!("mcpid keygen -o {file}{flag}"));
        session.exp_string("new passphrase for").unwrap();
        session.send_line(typed).unwrap();
        session.exp_string("again: ").unwrap();
        session.send_line(typed).unwrap();
        let seen = ends(session, 0);
        assert!(seen.contains(&format!("mcpid: wrote {file}")), "{seen}");
    }
    // If a file gives the new passphrase, it is checked before the old one is asked for.
    fs::write(folder.path().join("short"), "7letter\n").unwrap();
    let command = "mcpid passwd -k a.json --new-passphrase-file short";
    let seen = ends(start(&folder, command), 4);
    assert!(seen.contains("7 characters") && !seen.contains("passphrase for"), "{seen}");
    let seen = ends(start(&folder, "mcpid passwd -k a.json --new-passphrase-fd 5 5<short"), 4);
    assert!(seen.contains("7 characters"), "{seen}");
    let mut session = start(&folder, &format!("{command} --weak"));
    session.exp_string("passphrase for a.json: ").unwrap();
    session.send_line("8letters").unwrap();
    assert!(ends(session, 0).contains("has a new passphrase"));
}

#[test]
fn passwd_asks_for_the_old_and_twice_for_the_new() {
    let folder = TempDir::new().unwrap();
    sealed(&folder, "the old one");
    // The program does not read the answer from stdin.
    let mut session = start(&folder, "printf 'no\\nno\\nno\\n' | mcpid passwd -k key.json");
    session.exp_string("passphrase for key.json: ").unwrap();
    // The user corrects a typing error with the delete key.
    session.send_line("the old onn\u{7f}e").unwrap();
    session.exp_string("new passphrase for key.json").unwrap();
    session.send_line("the new one").unwrap();
    session.exp_string("again: ").unwrap();
    session.send_line("the new one").unwrap();
    let seen = ends(session, 0);
    assert!(seen.contains("mcpid: key.json has a new passphrase"), "{seen}");
    assert!(opens(folder.path(), "key.json", "the new one"));
    assert!(!opens(folder.path(), "key.json", "the old one"));
}

#[test]
fn a_wrong_passphrase_is_reported_once_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    sealed(&folder, "the old one");
    let before = fs::read(folder.path().join("key.json")).unwrap();
    let mut session = start(&folder, "mcpid passwd -k key.json --no-passphrase");
    session.exp_string("passphrase for key.json: ").unwrap();
    session.send_line("another").unwrap();
    let seen = ends(session, 4);
    assert!(seen.contains("mcpid: wrong passphrase for key.json"), "{seen}");
    assert_eq!(fs::read(folder.path().join("key.json")).unwrap(), before);
}

#[test]
fn ctrl_c_restores_the_terminal() {
    let folder = TempDir::new().unwrap();
    let mut session = start(&folder, "mcpid keygen -o key.json");
    session.exp_string("new passphrase").unwrap();
    session.send("half of i").unwrap();
    session.send_control('c').unwrap();
    let seen = ends(session, 130);
    assert!(!seen.contains("half of"), "{seen}");
    assert!(!folder.path().join("key.json").exists());
}

#[test]
fn ctrl_c_at_the_second_question_too() {
    let folder = TempDir::new().unwrap();
    let mut session = start(&folder, "mcpid keygen -o key.json");
    session.exp_string("new passphrase").unwrap();
    session.send_line("number one").unwrap();
    session.exp_string("again: ").unwrap();
    session.send_control('c').unwrap();
    ends(session, 130);
    assert!(!folder.path().join("key.json").exists());
}

#[test]
fn a_signal_from_elsewhere_restores_the_terminal() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let folder = TempDir::new().unwrap();
        // The program is started directly, because a shell function would hide its process id.
        let script = format!(
            "'{}' keygen -o key.json & echo \"id=$!.\"; wait $!",
            env!("CARGO_BIN_EXE_mcpid")
        );
        let mut session = start(&folder, &format!("trap '' INT; trap - INT; {script}"));
        let (_, id) = session.exp_regex("id=[0-9]+\\.").unwrap();
        session.exp_string("make one up): ").unwrap();
        let id = id.trim_matches(|c: char| !c.is_ascii_digit());
        let sent = Command::new("kill").args([&format!("-{signal}"), id]).status().unwrap();
        assert!(sent.success());
        ends(session, code);
        assert!(!folder.path().join("key.json").exists());
    }
}

#[test]
fn ctrl_d_is_not_a_passphrase() {
    let folder = TempDir::new().unwrap();
    let mut session = start(&folder, "mcpid keygen -o key.json");
    session.exp_string("new passphrase").unwrap();
    session.send_control('d').unwrap();
    let seen = ends(session, 4);
    assert!(seen.contains("mcpid: no passphrase was given"), "{seen}");
    assert!(!folder.path().join("key.json").exists());
}

#[test]
fn checks_come_before_the_question() {
    let folder = TempDir::new().unwrap();
    sealed(&folder, "the old one");
    fs::write(folder.path().join("text"), "no key").unwrap();
    std::os::unix::fs::symlink("key.json", folder.path().join("link")).unwrap();
    for (command, code, words) in [
        ("keygen -o key.json", 3, "output exists: key.json"),
        ("keygen -o link", 3, "output exists: link"),
        ("keygen -o no/key.json", 3, "no such folder: no"),
        ("keygen -o new --import text", 4, "text: not a key in any known form"),
        ("keygen -o new --import nothing", 3, "cannot read nothing: no such file"),
        ("passwd -k nothing", 3, "cannot read nothing: no such file"),
        ("passwd -k text", 4, "text is not a keyfile"),
        ("passwd -k link", 3, "link is a symbolic link"),
        (
            "passwd -k key.json --new-passphrase-file nothing",
            3,
            "--new-passphrase-file names no file",
        ),
    ] {
        let session = start(&folder, &format!("mcpid {command}"));
        let seen = ends(session, code);
        assert!(seen.contains(words), "{command}: {seen}");
        assert!(!seen.contains("passphrase for"), "{command}: {seen}");
    }
}

#[test]
fn a_note_says_that_stdin_is_a_terminal() {
    let folder = TempDir::new().unwrap();
    let mut session = start(&folder, "mcpid keygen -o key.json --no-passphrase --import -");
    session.exp_string("mcpid: reading from the terminal; end with Ctrl-D").unwrap();
    session.send_line(&"ab".repeat(32)).unwrap();
    session.send_control('d').unwrap();
    ends(session, 0);
    assert!(folder.path().join("key.json").exists());
}

#[test]
fn received_text_cannot_control_the_terminal() {
    let folder = TempDir::new().unwrap();
    let name = "alice\u{202e}ecila\u{200b}";
    let script = format!(
        "mcpid keygen -q -o key.json --no-passphrase --name '{name}'\n\
         mcpid export -q -k key.json --format openssh >plain; mcpid export -k key.json --format openssh"
    );
    let seen = ends(start(&folder, &script), 0);
    assert!(seen.contains(r"alice\u{202e}ecila\u{200b}"), "{seen}");
    // In a file, the line is not escaped.
    let plain = fs::read_to_string(folder.path().join("plain")).unwrap();
    assert!(plain.ends_with(&format!(" {name}\n")), "{plain}");
}
