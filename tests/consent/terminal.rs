//! Tests of questions for consent on a terminal, by a bridge on stdio.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::servers::{Server, answers, call, ends, folder, on_terminal};

const PATH: &str = r#"{"path":"/home/me/notes.txt"}"#;
const QUESTION: &str = "sign it and send it? [y/N; 60 s] ";

fn refused(folder: &tempfile::TempDir, id: u32, why: &str) {
    let answers = answers(folder);
    let answer = answers.iter().find(|a| a["id"] == id).unwrap_or_else(|| panic!("{answers:?}"));
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains(why), "{why:?} is not in {answer}");
    assert_eq!(answer["error"]["code"], mcpid::connect::NOT_SENT, "{answer}");
}

#[test]
fn yes_sends_exactly_what_was_shown() {
    let server = Server::start();
    let message = call(1, "delete", r#"{"path":"/home/me/notes.txt",  "n": 1.00}"#);
    let folder = folder(std::slice::from_ref(&message));
    let mut session = on_terminal(&folder, &server, "--confirm tools/call");
    let seen = session.exp_string(QUESTION).unwrap();
    for part in [
        "mcpid: a request wants your yes before it is signed (--confirm tools/call)\r\n",
        &format!("  target:\r\n  | \"{}\"\r\n", server.url),
        "  | \"delete\"\r\n",
        "  signed by the key:\r\n  | \"",
        "  | {\"path\": \"/home/me/notes.txt\", \"n\": 1.00}\r\n",
    ] {
        assert!(seen.contains(part), "{part:?} is not in {seen}");
    }
    assert!(server.calls().is_empty(), "it was sent before the answer");
    session.send_line("y").unwrap();
    let after = ends(session, 0);
    assert!(after.contains("mcpid: yes, it is signed and sent"), "{after}");
    // The server received exactly the bytes that the question showed.
    assert_eq!(server.calls(), [message]);
    assert_eq!(answers(&folder)[0]["result"]["content"][0]["text"], "done");
}

#[test]
fn every_answer_but_yes_counts_as_no() {
    for (typed, words) in [
        ("n\r", "declined"),
        ("no\r", "declined"),
        ("\r", "declined"),
        ("\u{4}", "declined"),
        ("N\r", "declined"),
        // These answers are neither yes nor no.
        ("maybe\rja\rye\r", "declined"),
        ("yy\r1\ryes!\r", "declined"),
        ("\u{1b}[Ay\ry y\ryes please\r", "declined"),
        // The person typed yes, and deleted it again.
        ("yes\u{7f}\u{7f}\u{7f}no\r", "declined"),
        // The answer is longer than any valid one.
        ("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\r", "declined"),
    ] {
        let server = Server::start();
        let folder = folder(&[call(1, "delete", PATH)]);
        let mut session = on_terminal(&folder, &server, "--confirm 'tools/call:del*'");
        for line in typed.split_inclusive('\r') {
            session.exp_string(QUESTION).unwrap();
            session.send(line).unwrap();
            session.flush().unwrap();
        }
        let after = ends(session, 0);
        assert!(after.contains("mcpid: not sent: declined"), "{typed:?} {after}");
        assert!(server.calls().is_empty(), "{typed:?}");
        refused(&folder, 1, words);
    }
}

#[test]
fn yes_is_accepted_in_several_spellings() {
    for typed in ["Y", "YES", "Yes", "yex\u{7f}s", "maybe\ry"] {
        let server = Server::start();
        let folder = folder(&[call(1, "delete", PATH)]);
        let mut session = on_terminal(&folder, &server, "--confirm destructive");
        for line in typed.split('\r') {
            session.exp_string(QUESTION).unwrap();
            session.send_line(line).unwrap();
        }
        ends(session, 0);
        assert_eq!(server.calls().len(), 1, "{typed:?}");
    }
}

#[test]
fn silence_counts_as_no_and_earlier_typing_is_ignored() {
    let server = Server::start();
    let folder = folder(&[call(1, "delete", PATH), call(2, "delete", PATH)]);
    let start = Instant::now();
    let mut session = on_terminal(&folder, &server, "--confirm destructive --confirm-timeout 1s");
    session.exp_string("sign it and send it? [y/N; 1 s] ").unwrap();
    // The person types the beginning of yes, without Enter.
    session.send("ye").unwrap();
    session.flush().unwrap();
    session.exp_string("not sent: no answer within 1 s").unwrap();
    session.exp_string("sign it and send it? [y/N; 1 s] ").unwrap();
    ends(session, 0);
    assert!(start.elapsed() > Duration::from_secs(2));
    assert!(server.calls().is_empty());
    refused(&folder, 1, "no answer within 1 s");
    refused(&folder, 2, "no answer within 1 s");
}

#[test]
fn questions_come_one_after_another() {
    let server = Server::start();
    let messages: Vec<String> =
        (1..=4).map(|n| call(n, "delete", &format!("{{\"number\":{n}}}"))).collect();
    let folder = folder(&messages);
    let mut session = on_terminal(&folder, &server, "--confirm destructive");
    let mut agreed = Vec::new();
    for n in 0..4 {
        let seen = session.exp_string(QUESTION).unwrap();
        let shown: Vec<u32> =
            (1..=4).filter(|n| seen.contains(&format!("{{\"number\": {n}}}"))).collect();
        assert_eq!(shown.len(), 1, "{seen}");
        let yes = n % 2 == 0;
        session.send_line(if yes { "y" } else { "n" }).unwrap();
        if yes {
            agreed.push(shown[0]);
        }
    }
    ends(session, 0);
    assert_eq!(server.calls().len(), 2);
    for n in 1..=4 {
        let sent = server.calls().contains(&messages[n as usize - 1]);
        assert_eq!(sent, agreed.contains(&n), "{n}");
        if !sent {
            refused(&folder, n, "declined");
        }
    }
}

#[test]
fn ctrl_c_ends_the_program_and_leaves_the_terminal_as_it_was() {
    let server = Server::start();
    let folder = folder(&[call(1, "delete", PATH)]);
    let mut session = on_terminal(&folder, &server, "--confirm destructive");
    session.exp_string(QUESTION).unwrap();
    session.send("y").unwrap();
    session.send_control('c').unwrap();
    let after = ends(session, 130);
    let words = "mcpid: interrupted: this request was not signed, and nothing of it was sent";
    assert!(after.contains(words), "{after}");
    assert!(server.calls().is_empty());
    refused(&folder, 1, "");
}

#[test]
fn a_signal_during_a_question_ends_the_program() {
    for signal in ["TERM", "INT", "HUP"] {
        let server = Server::start();
        let folder = folder(&[call(1, "delete", PATH)]);
        let mut session =
            crate::servers::with_its_id_shown(&folder, &server, "--confirm destructive");
        let (_, id) = session.exp_regex("id=[0-9]+\\.").unwrap();
        let id = id.trim_matches(|c: char| !c.is_ascii_digit()).to_owned();
        session.exp_string(QUESTION).unwrap();
        let sent =
            std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap();
        assert!(sent.success());
        let code = match signal {
            "TERM" => 0,
            "INT" => 130,
            _ => 129,
        };
        ends(session, code);
        assert!(server.calls().is_empty());
        refused(&folder, 1, "");
    }
}

#[test]
fn only_requests_that_match_the_pattern_need_consent() {
    let server = Server::start();
    let list = r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#.to_owned();
    let folder = folder(&[list, call(1, "look", "{}")]);
    // By default, a call of a tool that the bridge does not know needs consent. With this pattern,
    // neither of these two calls does.
    let session = on_terminal(&folder, &server, "--confirm 'tools/call:delete'");
    let seen = ends(session, 0);
    assert!(!seen.contains("wants your yes"), "{seen}");
    assert_eq!(server.calls().len(), 1);
}

#[test]
fn an_unreadable_body_is_refused_without_a_question() {
    let server = Server::start();
    let twice = call(1, "delete", PATH).replace("\"name\":", "\"name\":\"look\",\"name\":");
    let folder = folder(&[twice]);
    let session = on_terminal(&folder, &server, "--confirm 'tools/call:delete'");
    let seen = ends(session, 0);
    assert!(!seen.contains("wants your yes"), "{seen}");
    assert!(server.calls().is_empty());
    assert!(answers(&folder)[0]["error"].is_object());
}

#[test]
fn long_arguments_are_shown_whole_on_demand() {
    let server = Server::start();
    let long = format!(r#"{{"text":"{}THE END"}}"#, "word ".repeat(1_000));
    let folder = folder(&[call(1, "delete", &long)]);
    let mut session = on_terminal(&folder, &server, "--confirm destructive");
    let seen = session.exp_string("sign it and send it? [y/N, a shows all; 60 s] ").unwrap();
    assert!(seen.contains("bytes of this request are NOT shown"), "{seen}");
    session.send_line("a").unwrap();
    let seen = session.exp_string(QUESTION).unwrap();
    assert!(seen.contains("THE END") && !seen.contains("not shown"), "{seen}");
    // The tool, the target and the key are printed right above the question, even if the page is
    // long.
    let last: String = seen.lines().rev().take(4).map(str::trim_end).collect::<Vec<_>>().join(" ");
    for part in ["\"tools/call\" \"delete\" at", &*server.url, "in short:"] {
        assert!(last.contains(part), "{part} is not in {last}");
    }
    assert!(seen.matches("word").count() >= 1_000 - 70, "{}", seen.matches("word").count());
    session.send_line("y").unwrap();
    ends(session, 0);
    assert_eq!(server.calls().len(), 1);
}

#[test]
fn received_text_cannot_control_the_terminal() {
    let server = Server::start();
    let nasty = r#"{"path":"\u001b[2J\u001b[1;1H\u202egnp.\r\nsign it and send it? yes\u009b31m"}"#;
    let folder = folder(&[call(1, "delete", nasty)]);
    let mut session = on_terminal(&folder, &server, "--confirm destructive");
    let seen = session.exp_string(QUESTION).unwrap();
    let printable = |c: char| c == '\r' || c == '\n' || !mcpid::message::shown::is_unsafe(c);
    assert!(seen.chars().all(printable), "{seen:?}");
    assert!(seen.contains(r"\u{1b}[2J\u{1b}[1;1H\u{202e}gnp.\u{d}\u{a}"), "{seen}");
    session.send_line("n").unwrap();
    ends(session, 0);
}

#[test]
fn no_question_is_asked_on_a_terminal_that_another_program_uses() {
    let server = Server::start();
    let folder = folder(&[call(1, "delete", PATH)]);
    let flags = "--confirm destructive --confirm-timeout 2s";
    // Before the bridge starts, the terminal is set to the mode in which an editor leaves it.
    let mut session = crate::servers::on_terminal_after(&folder, &server, flags, "stty -icanon");
    let seen = session.exp_string("ended 0").unwrap();
    assert!(!seen.contains("wants your yes"), "{seen}");
    refused(&folder, 1, "there is no way to ask: another program has the terminal");
    // The bridge runs as a background job of the shell.
    let mut session = crate::servers::in_background(&folder, &server, flags);
    let seen = session.exp_string("ended 0").unwrap();
    assert!(!seen.contains("wants your yes"), "{seen}");
    refused(&folder, 1, "there is no way to ask: another program has the terminal");
    assert!(server.calls().is_empty());
}

#[test]
fn two_bridges_on_one_terminal_ask_one_after_the_other() {
    let server = Server::start();
    let folder = folder(&[call(1, "delete", PATH)]);
    let mut session = crate::servers::two(&folder, &server, "--confirm destructive");
    for _ in 0..2 {
        let seen = session.exp_string(QUESTION).unwrap();
        assert_eq!(seen.matches("wants your yes").count(), 1, "{seen}");
        session.send_line("y").unwrap();
    }
    ends(session, 0);
    assert_eq!(server.calls().len(), 2);
}

#[test]
fn a_question_whose_request_is_cancelled_is_taken_back() {
    let server = Server::start();
    let folder = folder(&[]);
    let input = folder.path().join("in");
    std::fs::remove_file(&input).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&input).status().unwrap().success());
    let mut session = on_terminal(&folder, &server, "--confirm destructive");
    let mut client = std::fs::OpenOptions::new().write(true).open(&input).unwrap();
    writeln!(client, "{}", call(1, "delete", PATH)).unwrap();
    session.exp_string(QUESTION).unwrap();
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    writeln!(client, "{cancelled}").unwrap();
    session.exp_string("mcpid: withdrawn, and not sent").unwrap();
    // The next question works as usual.
    writeln!(client, "{}", call(2, "delete", PATH)).unwrap();
    session.exp_string(QUESTION).unwrap();
    session.send_line("y").unwrap();
    session.exp_string("it is signed and sent").unwrap();
    drop(client);
    ends(session, 0);
    assert_eq!(server.calls(), [call(2, "delete", PATH)]);
}

#[test]
fn an_http_client_is_asked_about_as_well() {
    let server = Server::start();
    let folder = folder(&[]);
    let mut session = crate::servers::listening(&folder, &server, "--confirm destructive");
    let (_, url) = session.exp_regex("http://127.0.0.1:[0-9]+/[A-Za-z0-9_-]{22}/mcp").unwrap();
    for (typed, sent) in [("n", false), ("y", true)] {
        let client = {
            let url = url.clone();
            std::thread::spawn(move || crate::servers::post(&url, &call(1, "delete", PATH)))
        };
        session.exp_string(QUESTION).unwrap();
        session.send_line(typed).unwrap();
        let answer = client.join().unwrap();
        assert_eq!(answer.contains("done"), sent, "{answer}");
        assert_eq!(answer.contains("declined"), !sent, "{answer}");
    }
    assert_eq!(server.calls().len(), 1);
    session.send_control('c').unwrap();
    ends(session, 130);
}
