//! Tests of the output of `verify`: each verdict names its request and its time, different
//! untrusted names never look the same, and long names are cut with a mark.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{ALICE, CALL, Home, KEYS, NOON, NOON_TEXT, URL};

fn call(name: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}}).to_string()
}

/// Signs a call of this tool, and writes the whole request to a file.
fn signed(home: &Home, name: &str, file: &str) {
    home.write("call.json", call(name));
    let args = ["sign", "--url", URL, "--at", NOON_TEXT, "--format", "http", "call.json"];
    let request = home.mcpid(&args).ends(0).bytes;
    home.write(file, request);
}

#[test]
fn two_operations_that_differ_never_print_the_same_line() {
    let home = Home::new();
    let long = "a".repeat(5000);
    let names = [
        "get_weather".to_owned(),
        "get_weather ".to_owned(),
        " get_weather".to_owned(),
        "get_weather\u{2028}".to_owned(),
        "get_weather\u{a0}".to_owned(),
        "get_weather\u{200b}".to_owned(),
        "get_weather\\u{2028}".to_owned(),
        "get_weather\t".to_owned(),
        "\"get_weather \"".to_owned(),
        String::new(),
        format!("{long}x"),
        format!("{long}y"),
    ];
    for command in ["verify", "inspect"] {
        let mut seen = HashMap::new();
        for name in &names {
            signed(&home, name, "s.http");
            let ran = home.mcpid(&[command, "--at", NOON_TEXT, "s.http"]).ends(0);
            let line = ran.number("mcp").to_owned();
            assert!(line.starts_with("tools/call ") && line.chars().count() < 300, "{line}");
            assert_eq!(seen.insert(line, name), None, "{command}: {name:?}");
        }
    }
}

#[test]
fn a_long_value_is_cut_and_its_length_stated() {
    let home = Home::new();
    let name = "n".repeat(3_000_000);
    signed(&home, &name, "s.http");
    let more = ["--max-body", "8MiB"];
    for at in [NOON_TEXT, "2026-11-27T12:00:00Z"] {
        for json in [&[][..], &["--json"]] {
            let args = [&["verify", "--at", at][..], &more, json, &["s.http"]].concat();
            let ran = home.mcpid(&args);
            assert!(ran.out.len() + ran.err.len() < 4000, "{} bytes", ran.out.len());
            assert!(ran.out.contains("… (3000000 characters, sha256 "), "{}", ran.out);
        }
    }
    // The name in the numbers of a refusal is cut with a mark too.
    home.mcpid(&["trust", "remove", "-q", "alice"]).ends(0);
    let key = format!("{KEYS}/alice.hex");
    home.mcpid(&["keygen", "-q", "--import", &key, "--no-passphrase", "-o", "again.json"]).ends(0);
    home.mcpid(&["trust", "add", "-q", "--allow", "tools/call:pay", "again.json"]).ends(0);
    let ran = home.verify(&["--max-body", "8MiB", "s.http"]).ends(1);
    assert!(ran.out.contains("rejected at step 11") && ran.out.len() < 4000, "{}", ran.out.len());
    // The name in a header field that contradicts the body is cut with a mark too.
    let text = String::from_utf8(std::fs::read(home.path("s.http")).unwrap()).unwrap();
    home.write("s.http", text.replace("\r\nAccept:", "\r\nMcp-Name: x\r\nAccept:"));
    home.sh("mcpid sign --replace --at @1795773600 s.http > t.http").ends(0);
    let ran = home.verify(&["--max-body", "8MiB", "t.http"]).ends(1);
    assert!(ran.out.contains("rejected at step 10") && ran.out.len() < 4000, "{}", ran.out.len());
    // Of a long target, the beginning is shown.
    let url = format!("{URL}?q={}", "x".repeat(5000));
    home.sh(&format!("mcpid sign --url '{url}' --format http body.json > u.http")).ends(0);
    for json in [&["u.http"][..], &["--json", "u.http"]] {
        let ran = home.mcpid(&[&["verify"], json].concat());
        assert!(ran.out.len() < 5000 && ran.out.contains("… (5030 characters"), "{}", ran.out);
    }
}

#[test]
fn every_verdict_names_target_tool_and_times() {
    let home = Home::new();
    home.capture("s.http");
    let ten = format!("@{}", NOON + 10);
    let ran = home.mcpid(&["verify", "--at", &ten, "s.http"]).ends(0);
    let as_of = "judged as of 2026-11-27T10:00:10Z (--at)";
    assert!(
        ran.out.starts_with(&format!("accepted: signed 10 s before, {as_of}\n")),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains(" ago"), "{}", ran.out);
    // The refused requests are a late one, an unsigned one, and one for another host.
    home.write("plain.http", format!("POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{CALL}", CALL.len()));
    for (args, file) in [
        (&["--at", "2026-11-27T12:00:00Z"][..], "s.http"),
        (&["--at", &ten], "plain.http"),
        (&["--at", &ten, "--origin", "https://other.example.com"], "s.http"),
        (&[], "plain.http"),
    ] {
        let ran = home.mcpid(&[&["verify"], args, &[file]].concat()).ends(1);
        assert_eq!(ran.number("target"), format!("POST {URL}"));
        assert_eq!(ran.number("mcp"), "tools/call get_weather");
        assert_eq!(ran.out.contains("(--at)"), !args.is_empty(), "{}", ran.out);
    }
    // The time in the input is used.
    let args = ["sign", "--json", "--url", URL, "--at", NOON_TEXT, "body.json"];
    let headers = home.mcpid(&args).ends(0).json()["headers"].clone();
    let line = json!({"time": "2026-11-27t10:00:02z", "method": "POST", "target": URL,
        "headers": headers, "body": null});
    let body = "eyJqc29ucnBjIjoiMi4wIn0=";
    let line = line.to_string().replace("\"body\":null", &format!("\"body\":\"{body}\""));
    home.write("line", line);
    let ran = home.mcpid(&["verify", "--at", "capture", "line"]).ends(1);
    assert!(ran.out.contains("judged as of 2026-11-27T10:00:02Z (--at capture)"), "{}", ran.out);
    assert_eq!(ran.number("captured"), "2026-11-27T10:00:02Z");
    let ran = home.mcpid(&["verify", "--json", "line"]).ends(1).json();
    assert_eq!(ran["captured"], NOON + 2);
}

#[test]
fn a_failed_signature_of_a_known_key_is_named_beside_a_valid_one() {
    let home = Home::new();
    // The second signature is alice's too, with one byte changed.
    let bob = ["keygen", "-q", "--no-passphrase", "--name", "bob", "-o", "bob.json"];
    home.mcpid(&bob).ends(0);
    home.mcpid(&["trust", "add", "-q", "bob.json"]).ends(0);
    home.capture("s.http");
    home.sh("mcpid sign -k bob.json --label second --at @1795773600 s.http > two.http").ends(0);
    let text = String::from_utf8(std::fs::read(home.path("two.http")).unwrap()).unwrap();
    home.verify(&["two.http"]).ends(0);
    let at = text.find("second=:").unwrap() + 8;
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    let broken = format!("{}{other}{}", &text[..at], &text[at + 1..]);
    home.write("two.http", &broken);
    let ran = home.verify(&["two.http"]).ends(0);
    let failed = ran.number("failed");
    assert!(failed.starts_with("signature second by "), "{failed}");
    assert!(failed.ends_with(" (bob), step 8 (signature_invalid)"), "{failed}");
    assert_eq!(ran.err, "");
    let ran = home.verify(&["-v", "two.http"]).ends(0);
    assert!(
        ran.err.contains("(bob), step 8 (signature_invalid): the signature does not hold"),
        "{}",
        ran.err
    );
    let verdict = home.verify(&["--json", "two.http"]).ends(0).json();
    let failed = &verdict["failed"][0];
    assert_eq!(failed["key"]["name"], "bob");
    assert_eq!((&failed["key_known"], &failed["step"]), (&json!(true), &json!(8)));
    assert_eq!(failed["code"], "signature_invalid");
    // The output is the same if the request is refused later, because of its body.
    home.write("two.http", broken.replace("get_weather", "get_whether"));
    let ran = home.verify(&["two.http"]).ends(1);
    assert!(ran.number("failed").contains("(bob)"), "{}", ran.out);
    // Only the JSON output mentions the signature of an unknown key.
    home.write("two.http", &broken);
    home.mcpid(&["trust", "remove", "-q", "bob"]).ends(0);
    let ran = home.verify(&["two.http"]).ends(0);
    assert!(!ran.out.contains("failed"), "{}", ran.out);
    let verdict = home.verify(&["--json", "two.http"]).ends(0).json();
    assert_eq!(verdict["failed"][0]["key_known"], false);
    // For a valid request, nothing is reported.
    home.write("one.http", text);
    home.mcpid(&["trust", "add", "-q", "bob.json"]).ends(0);
    let verdict = home.verify(&["--json", "one.http"]).ends(0).json();
    assert_eq!(verdict["failed"], json!([]));
}

#[test]
fn an_unauthorised_key_is_named_beside_an_authorised_key() {
    let home = Home::new();
    home.mcpid(&["keygen", "-q", "--no-passphrase", "--name", "bob", "-o", "bob.json"]).ends(0);
    home.mcpid(&["trust", "add", "-q", "--allow", "tools/call:pay", "bob.json"]).ends(0);
    home.capture("s.http");
    home.sh("mcpid sign -k bob.json --label second --at @1795773600 s.http > two.http").ends(0);
    let ran = home.verify(&["two.http"]).ends(0);
    assert!(ran.number("failed").ends_with("(bob), step 11 (not_allowed)"), "{}", ran.out);
}

#[test]
fn json_names_the_bytes_that_were_judged_and_by_which() {
    let home = Home::new();
    home.capture("s.http");
    let sum = |file: &str| home.sh(&format!("sha256sum '{file}'")).ends(0).out[..64].to_owned();
    let verdict = home.verify(&["--json", "s.http"]).ends(0).json();
    assert_eq!(verdict["input_sha256"], sum("s.http"));
    assert_eq!(verdict["key"]["id"], ALICE);
    assert_eq!(verdict["program"], format!("mcpid {}", env!("CARGO_PKG_VERSION")));
    let trust = verdict["trust"][0]["file"].as_str().unwrap();
    assert_eq!(verdict["trust"][0]["sha256"], sum(trust));
    assert_eq!(verdict["trust"].as_array().unwrap().len(), 1);
    // The hash covers each file of a folder, lines longer than the part that is read first, a
    // stream, and an empty rest.
    std::fs::create_dir(home.path("folder")).unwrap();
    std::fs::copy(trust, home.path("folder/a.json")).unwrap();
    home.write("folder/b.json", "{\"keys\":[]}");
    let args = ["sign", "--json", "--url", URL, "--at", NOON_TEXT, "body.json"];
    let headers = home.mcpid(&args).ends(0).json()["headers"].clone();
    let line = json!({"method": "POST", "target": URL, "headers": headers});
    let lines = format!("{line}\n").repeat(400);
    assert!(lines.len() > 128 * 1024);
    home.write("lines", &lines);
    let ran = home.verify(&["--json", "-r", "folder", "lines"]);
    let verdicts: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(verdicts.len(), 400);
    for verdict in &verdicts {
        assert_eq!(verdict["input_sha256"], sum("lines"));
        assert_eq!(verdict["trust"][1]["sha256"], sum("folder/b.json"));
    }
    let noon = ["verify", "--json", "--at", NOON_TEXT];
    let ran = home.mcpid_on(&noon, line.to_string().as_bytes());
    home.write("one", line.to_string());
    assert_eq!(ran.json()["input_sha256"], sum("one"));
    let ran = home.mcpid_on(&noon, lines.as_bytes());
    assert!(ran.out.lines().all(|line| line.contains("\"input_sha256\":null")));
    let claims = home.mcpid(&["inspect", "--json", "s.http"]).ends(0).json();
    assert_eq!(claims["input_sha256"], sum("s.http"));
}
