//! Tests of the output on a terminal: progress, escapes, and the message that stdin is being read.

use std::process::Stdio;

use rexpect::session::spawn_command;

use super::{BINARY, CALL, Home, NOON_TEXT};
use crate::lines::line;

fn on_terminal(home: &Home, script: &str) -> String {
    let mut shell = home.command("sh");
    shell.args(["-c", &format!("mcpid() {{ '{BINARY}' \"$@\"; }}\n{script}")]);
    shell.stdin(Stdio::inherit());
    shell.env("TERM", "xterm");
    spawn_command(shell, Some(120_000)).unwrap().exp_eof().unwrap()
}

#[test]
fn received_text_cannot_control_the_terminal() {
    let home = Home::new();
    let tricky = "get\\u202exfdp\\u200b\\u001b]0;x\\u0007";
    home.write("body.json", CALL.replace("get_weather", tricky));
    home.write("s\u{202e}ptth", home.signed(&[]).ends(0).bytes);
    let evil = "e\u{202e}v\u{200b}e";
    home.mcpid(&["trust", "remove", "-q", "alice"]).ends(0);
    home.mcpid(&["trust", "add", "-q", "--name", evil]).ends(0);
    let seen = on_terminal(
        &home,
        &format!(
            "mcpid verify --at {NOON_TEXT} s*; mcpid verify --json --at {NOON_TEXT} s*; mcpid inspect s* s*; mcpid verify s* s*x"
        ),
    );
    for bad in ["\u{202e}", "\u{200b}", "\u{1b}]", "\u{7}"] {
        assert!(!seen.contains(bad), "{bad:?} in {seen:?}");
    }
    assert!(seen.contains("get\\u{202e}xfdp\\u{200b}\\u{1b}]0;x\\u{7}"), "{seen}");
    assert!(seen.contains("(e\\u{202e}v\\u{200b}e)"), "{seen}");
    assert!(seen.contains("\"name\":\"e\\u202ev\\u200be\""), "{seen}");
    assert!(seen.contains("s\\u{202e}ptth [0]: "), "{seen}");
    // Control characters in a signed request are escaped when it is printed.
    let seen = on_terminal(
        &home,
        "printf 'x\\033[2Jy' >raw; mcpid sign --format http --url https://a.com/ raw",
    );
    assert!(!seen.contains("\u{1b}[2J") && seen.contains("x\\u{1b}[2Jy"), "{seen:?}");
}

#[test]
fn long_work_shows_how_far_it_is() {
    let home = Home::new();
    let one = line(&home, &[]).to_string();
    home.write("l", format!("{one}\n").repeat(3_000));
    let seen = on_terminal(&home, &format!("mcpid verify --at {NOON_TEXT} l >/dev/null"));
    assert!(seen.contains(" judged, ") && seen.contains(" %, "), "{seen:?}");
    assert!(seen.ends_with("\u{1b}[Kmcpid: 1 accepted, 2999 rejected\r\n"), "{seen:?}");
    for quiet in ["-q", "--json"] {
        let seen =
            on_terminal(&home, &format!("mcpid verify {quiet} --at {NOON_TEXT} l >/dev/null"));
        assert!(!seen.contains(" judged, "), "{seen:?}");
    }
}

#[test]
fn a_command_that_waits_for_a_person_says_so() {
    let home = Home::new();
    for command in ["verify", "inspect", "sign", "sign --url https://a.com/"] {
        let mut shell = home.command(BINARY);
        shell.args(command.split(' ')).stdin(Stdio::inherit());
        let mut session = spawn_command(shell, Some(120_000)).unwrap();
        session.exp_string("mcpid: reading from the terminal; end with Ctrl-D").unwrap();
        session.send_control('d').unwrap();
        session.exp_eof().unwrap();
    }
}
