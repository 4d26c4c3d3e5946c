//! Tests of `verify` on many requests: the order of the verdicts, replays, and the summary.

use serde_json::{Value, json};

use super::{Home, NOON_TEXT};
use crate::lines::line;

#[test]
fn verdicts_come_in_input_order() {
    let home = Home::new();
    let good = line(&home, &[]).to_string();
    let bad = good.replace("\"POST\"", "\"PUT\"");
    let mut text = String::new();
    for n in 0..10_000 {
        text += if n % 7 == 3 { &bad } else { &good };
        text.push('\n');
    }
    home.write("l", text);
    let ran = home.verify(&["--json", "l"]).ends(1);
    assert_eq!(ran.err, "mcpid: 1 accepted, 9999 rejected\n");
    let mut count = 0;
    for (n, verdict) in ran.out.lines().enumerate() {
        let verdict: Value = serde_json::from_str(verdict).unwrap();
        assert_eq!(verdict["index"], n);
        let code = match n {
            0 => Value::Null,
            _ if n % 7 == 3 => json!("signature_invalid"),
            _ => json!("nonce_replayed"),
        };
        assert_eq!(verdict["code"], code, "{n}");
        count += 1;
    }
    assert_eq!(count, 10_000);
}

#[test]
fn the_later_of_two_equal_nonces_is_the_replay_across_files_and_kinds() {
    let home = Home::new();
    let s = home.capture("s");
    let one = line(&home, &[]);
    let mut unread = one.clone();
    unread.as_object_mut().unwrap().remove("body");
    home.write("read", one.to_string());
    home.write("unread", unread.to_string());
    for (inputs, second) in [([&*s, "./s"], 1), (["read", "unread"], 1), (["unread", "read"], 5)] {
        let ran = home.verify(&inputs).ends(second);
        let first = format!("{} [0]: ", inputs[0]);
        assert!(
            ran.out.starts_with(&first) && !ran.out.starts_with(&format!("{first}rejected")),
            "{}",
            ran.out
        );
        assert!(
            ran.out.contains(&format!("{} [0]: rejected at step 12 (nonce)", inputs[1])),
            "{}",
            ran.out
        );
    }
}

#[test]
fn an_unreadable_input_does_not_stop_the_rest() {
    let home = Home::new();
    let s = home.capture("s");
    let ran = home.verify(&["nothing", &s, ".", "body.json"]).ends(3);
    assert!(ran.out.starts_with("s [0]: accepted"), "{}", ran.out);
    assert!(
        ran.err.starts_with("mcpid: cannot read nothing: no such file\nmcpid: hint: ls .\n"),
        "{}",
        ran.err
    );
    assert!(ran.err.ends_with("mcpid: 1 accepted, 0 rejected, 3 unreadable\n"), "{}", ran.err);
    // The exit code is the highest of all requests' codes, in any order.
    let text = std::fs::read_to_string(home.path("s")).unwrap();
    home.write("bad", text.replace("here", "hare"));
    home.verify(&["bad", &s]).ends(1);
    home.verify(&["nothing", "bad"]).ends(3);
    let mut unread = line(&home, &[]);
    unread.as_object_mut().unwrap().remove("body");
    home.write("unread", unread.to_string());
    let ran = home.verify(&["unread", "nothing", "bad", &s]).ends(5);
    // The refused request has not used up its nonce.
    assert!(
        ran.err.ends_with("mcpid: 1 accepted, 1 rejected, 1 unjudged, 1 unreadable\n"),
        "{}",
        ran.err
    );
    let ran = home.mcpid(&["verify", "--at", NOON_TEXT, "-", &s]).ends(3);
    assert!(ran.err.starts_with("mcpid: stdin: the input is empty\n"), "{}", ran.err);
}

#[test]
fn the_flag_only_selects_targets_and_the_other_requests_are_counted() {
    let home = Home::new();
    let (one, mut two) = (line(&home, &[]), line(&home, &[]));
    two["target"] = json!("https://other.com/");
    home.write("l", format!("{one}\n{two}\n"));
    let ran = home.verify(&["--only", "https://mcp.example.com/", "l"]).ends(0);
    assert_eq!(ran.err, "mcpid: 1 accepted, 0 rejected, 1 for other targets passed over\n");
    let ran = home.verify(&["--only", "https://nobody.com/", "l"]).ends(3);
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("mcpid: there is no request to judge\n"), "{}", ran.err);
}

#[test]
fn a_closed_pipe_and_a_full_disk_end_the_command() {
    let home = Home::new();
    let good = line(&home, &[]).to_string();
    home.write("l", format!("{good}\n").repeat(5_000));
    let ran = home.sh(&format!("mcpid verify --at {NOON_TEXT} l | head -n 1")).ends(0);
    let first = format!("l [0]: accepted: signed 0 s before, judged as of {NOON_TEXT} (--at)\n");
    assert_eq!((ran.out, ran.err.as_str()), (first, ""));
    for command in ["verify", "inspect"] {
        let ran = home.sh(&format!("mcpid {command} --at {NOON_TEXT} l >/dev/full")).ends(3);
        assert_eq!(ran.err, "mcpid: cannot write to stdout: no space left on the device\n");
    }
    let ran = home.sh("mcpid inspect l | head -n 1").ends(0);
    assert_eq!(ran.err, "");
    home.capture("s");
    for command in ["sign --replace s", "sign --url https://a.com body.json", "demo"] {
        let ran = home.sh(&format!("mcpid {command} >/dev/full")).ends(3);
        let last = ran.err.lines().last();
        let full = "mcpid: cannot write to stdout: no space left on the device";
        assert_eq!(last, Some(full), "{command}");
    }
}
