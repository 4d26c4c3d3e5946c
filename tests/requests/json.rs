//! Tests of the JSON output of `verify`: every verdict has the same members.

use serde_json::{Value, json};

use super::{ALICE, Home, NOON, URL, parameter};

/// The members of a verdict, in their order.
const MEMBERS: [&str; 30] = [
    "version",
    "input",
    "index",
    "profile",
    "verdict",
    "status",
    "step",
    "code",
    "message",
    "label",
    "key",
    "tag",
    "created",
    "expires",
    "nonce",
    "now",
    "time_source",
    "revoked_at",
    "replay",
    "unjudged",
    "covered",
    "not_covered",
    "method",
    "target",
    "mcp",
    "captured",
    "failed",
    "input_sha256",
    "trust",
    "program",
];

/// Checks that the text has every member exactly once, in order. The text itself is searched,
/// because a parsed map would sort the members.
#[track_caller]
pub(super) fn has_all_members(line: &str) -> Value {
    let mut from = 0;
    for name in MEMBERS {
        let at = line[from..].find(&format!("\"{name}\":"));
        from += at.unwrap_or_else(|| panic!("no {name} behind byte {from} of {line}"));
    }
    let value: Value = serde_json::from_str(line).unwrap();
    assert_eq!(value.as_object().unwrap().len(), MEMBERS.len(), "{line}");
    value
}

#[test]
fn accepted_refused_and_unjudged_have_the_same_members() {
    let home = Home::new();
    let s = home.capture("s");
    let text = std::fs::read_to_string(home.path("s")).unwrap();
    let nonce = parameter(&text, "nonce");
    let yes = home.verify(&["--json", &s]).well();
    let covered = json!(["@method", "@target-uri", "content-digest", "content-type"]);
    let expected = json!({
        "version": 1, "input": "s", "index": 0, "profile": "mcp", "verdict": "accepted",
        "status": "verified", "step": null, "code": null, "message": null, "label": "mcp",
        "key": { "id": ALICE, "name": "alice" }, "tag": ALICE, "created": NOON,
        "expires": NOON + 30, "nonce": nonce, "now": NOON, "time_source": "flag",
        "revoked_at": null, "replay": "unchecked", "unjudged": [], "covered": covered,
        "not_covered": ["accept", "content-length"], "method": "POST", "target": URL,
        "mcp": { "method": "tools/call", "name": "get_weather", "name_ambiguous": false },
        "captured": null, "failed": [], "program": format!("mcpid {}", env!("CARGO_PKG_VERSION")),
    });
    let mut expected = expected;
    let judged = has_all_members(yes.out.trim_end());
    for name in ["input_sha256", "trust"] {
        expected[name] = judged[name].clone();
    }
    assert_eq!(has_all_members(yes.out.trim_end()), expected);
    // The verdict on a refused request has the same members, with what its signature states.
    let late = format!("@{}", NOON + 72);
    let no = home.mcpid(&["verify", "--json", "--at", &late, &s]).ends(1);
    assert_eq!(no.err, "");
    let mut wanted = expected.clone();
    for (name, value) in [
        ("verdict", json!("rejected")),
        ("status", json!("invalid")),
        ("step", json!(5)),
        ("code", json!("expired")),
        ("message", json!("expired 42 s ago")),
        ("now", json!(NOON + 72)),
    ] {
        wanted[name] = value;
    }
    assert_eq!(has_all_members(no.out.trim_end()), wanted);
    // Without a signature, the members about it are empty.
    let unsigned = "POST /mcp HTTP/1.1\r\nHost: a.com\r\nContent-Length: 2\r\n\r\n{}";
    home.write("u", unsigned);
    let unsigned = has_all_members(home.verify(&["--json", "u"]).ends(1).out.trim_end());
    for name in ["label", "key", "tag", "created", "expires", "nonce", "revoked_at", "mcp"] {
        assert_eq!(unsigned[name], Value::Null, "{name}");
    }
    assert_eq!(
        (&unsigned["status"], &unsigned["code"]),
        (&json!("unsigned"), &json!("signature_missing"))
    );
    assert_eq!((&unsigned["covered"], &unsigned["unjudged"]), (&json!([]), &json!([])));
    // The verdict on an unknown key has a status of its own.
    home.write("none.json", r#"{"keys":[]}"#);
    let unknown = home.verify(&["--json", "-r", "none.json", &s]).ends(1).json();
    assert_eq!(
        (&unknown["status"], &unknown["code"]),
        (&json!("unknown_key"), &json!("key_unknown"))
    );
    assert_eq!(unknown["key"], json!({ "id": ALICE, "name": null }));
    // `time_source` says whether the time came from the clock or from the captured request.
    let clock = home.mcpid(&["verify", "--json", &s]).ends(1).json();
    assert_eq!(clock["time_source"], "clock");
}

#[test]
fn an_error_without_a_verdict_is_one_line_of_json_on_stderr() {
    let home = Home::new();
    let s = home.capture("s");
    for (args, code, name) in [
        (&["nothing"][..], 3, "not_found"),
        (&["."], 3, "is_folder"),
        (&["--at", "nonsense", &s], 2, "usage"),
        (&["--at", "capture", &s], 3, "no_time"),
        (&["--origin", "x", &s], 2, "usage"),
        (&["-r", "nothing", &s], 3, "not_found"),
        (&["body.json"], 3, "not_a_request"),
    ] {
        let ran = home.mcpid(&[&["verify", "--json"], args].concat()).ends(code);
        assert_eq!((ran.out.as_str(), ran.err.lines().count()), ("", 1), "{}", ran.err);
        let error: Value = serde_json::from_str(&ran.err).unwrap();
        let members: Vec<_> = error["error"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["code", "hint", "message"]);
        assert_eq!(error["error"]["code"], name, "{}", ran.err);
    }
}
