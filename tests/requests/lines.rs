//! Tests of `verify` on request lines (JSON texts that contain a request).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{CALL, Home, NOON, NOON_TEXT, URL};
use crate::json::has_all_members;

/// Returns a signed request as a request line.
pub(super) fn line(home: &Home, more: &[&str]) -> Value {
    let args =
        [&["sign", "--json", "--url", URL, "--at", NOON_TEXT], more, &["body.json"]].concat();
    let signed = home.mcpid(&args).ends(0).json();
    json!({
        "time": NOON_TEXT, "method": "POST", "target": URL, "headers": signed["headers"],
        "body": STANDARD.encode(CALL),
    })
}

#[test]
fn a_line_is_judged_at_its_own_time_if_asked() {
    let home = Home::new();
    let one = line(&home, &[]);
    home.write("l", format!("{one}\n"));
    let ran = home.mcpid(&["verify", "--at", "capture", "--json", "l"]).well();
    let json = has_all_members(ran.out.trim_end());
    assert_eq!((&json["time_source"], &json["now"]), (&json!("capture"), &json!(NOON)));
    home.mcpid(&["verify", "l"]).ends(1);
    let mut later = one.clone();
    later["time"] = json!("2026-11-27T10:00:30Z");
    home.write("l", later.to_string());
    let ran = home.mcpid(&["verify", "--at", "capture", "l"]).ends(1);
    assert!(ran.out.starts_with("rejected at step 5 (window): expired "), "{}", ran.out);
    later["time"] = Value::Null;
    home.write("l", later.to_string());
    let ran = home.mcpid(&["verify", "--at", "capture", "l"]).ends(3);
    let missing = ran.err.lines().next().unwrap();
    assert!(missing.starts_with("mcpid: l"), "{missing}");
}

#[test]
fn a_line_without_its_body_is_judged_without_the_steps_of_the_body() {
    let home = Home::new();
    let mut one = line(&home, &[]);
    one.as_object_mut().unwrap().remove("body");
    home.write("l", one.to_string());
    let ran = home.verify(&["--json", "l"]).ends(5);
    let json = has_all_members(ran.out.trim_end());
    assert_eq!((&json["verdict"], &json["unjudged"]), (&json!("unjudged"), &json!([9, 10, 11])));
    assert_eq!(
        (&json["step"], &json["code"], &json["status"]),
        (&Value::Null, &Value::Null, &json!("unavailable"))
    );
    let said = home.verify(&["l"]).ends(5);
    assert!(
        said.out
            .starts_with("unjudged: the signature holds, but its body was not kept, judged as of "),
        "{}",
        said.out
    );
    // The request's nonce is used up all the same, so the second use is a replay.
    home.write("l", format!("{one}\n{one}\n"));
    let ran = home.verify(&["l"]).ends(5);
    assert!(ran.out.contains("l [1]: rejected at step 12 (nonce)"), "{}", ran.out);
    assert_eq!(ran.err, "mcpid: 0 accepted, 1 rejected, 1 unjudged\n");
    // A fault in the head is a refusal, with or without a body.
    let mut wrong = one.clone();
    wrong["method"] = json!("PUT");
    home.write("l", wrong.to_string());
    assert_eq!(home.verify(&["--json", "l"]).ends(1).json()["code"], "signature_invalid");
}

#[test]
fn an_audit_entry_is_judged_by_its_request() {
    let home = Home::new();
    let mut one = line(&home, &[]);
    let entry = json!({ "version": 1, "time": "2030-01-01T00:00:00Z", "verdict": "accepted", "request": one });
    home.write("l", entry.to_string());
    home.mcpid(&["verify", "--at", "capture", "l"]).well();
    one.as_object_mut().unwrap().remove("body");
    home.write("l", json!({ "request": one }).to_string());
    home.mcpid(&["verify", "--at", "capture", "l"]).ends(5);
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_can_be_looked_at() {
    let home = Home::new();
    let good = line(&home, &[]).to_string();
    let twice = good.replacen("{", "{\"method\":\"POST\",", 1);
    home.write("l", format!("{good}\n\n  \n{{}}\n{good}x\n[1]\n{twice}\n"));
    let ran = home.verify(&["l"]).ends(3);
    assert_eq!(
        ran.out.lines().next(),
        Some("l [0]: accepted: signed 0 s before, judged as of 2026-11-27T10:00:00Z (--at)")
    );
    for index in 1..5 {
        assert!(ran.err.contains(&format!("mcpid: l: request {index}: ")), "{index}: {}", ran.err);
    }
    assert!(ran.err.ends_with("mcpid: 1 accepted, 0 rejected, 4 unreadable\n"), "{}", ran.err);
    let shown = home.sh(ran.hints()[0]).well();
    assert_eq!(shown.out, "4:{}\n");
}
