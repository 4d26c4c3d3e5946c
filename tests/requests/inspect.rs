//! Tests of `inspect`: it shows what signatures state, without keys and without a verdict.

use serde_json::{Value, json};

use super::{ALICE, Home, NOON, NOON_TEXT, URL, parameter};
use crate::lines::line;

#[test]
fn each_claim_is_shown_with_its_age() {
    let home = Home::new();
    let s = home.capture("s");
    // `inspect` needs neither a key nor a trust file, so the test removes them.
    std::fs::remove_dir_all(home.path(".config")).unwrap();
    let text = std::fs::read_to_string(home.path("s")).unwrap();
    let nonce = parameter(&text, "nonce");
    let ran = home.mcpid(&["inspect", "--at", &format!("@{}", NOON + 10), &s]).well();
    assert_eq!(
        ran.out,
        format!(
            "signature mcp, ages as of 2026-11-27T10:00:10Z (--at)\n    keyid    {ALICE}\n    tag      {ALICE}\n    created  {NOON_TEXT}, 10 s before\n    \
             expires  2026-11-27T10:00:30Z, 20 s after\n    nonce    {nonce}\n    target   POST {URL}\n    \
             mcp      tools/call get_weather\n    covered  @method @target-uri content-digest content-type\n    \
             open     accept content-length\n    seen     not asked\n"
        )
    );
    let ran = home.mcpid(&["inspect", "--nonces", "memory:", &s]).well();
    assert_eq!(ran.number("seen"), "no");
    home.mcpid(&["inspect", "--nonces", "nope:", &s]).ends(2);
}

#[test]
fn the_base_is_the_very_bytes_that_were_signed() {
    let home = Home::new();
    let args = ["sign", "--json", "--url", URL, "body.json"];
    let signed = home.mcpid(&args).well().json();
    let mut request = format!("POST {URL} HTTP/1.1\r\nHost: mcp.example.com\r\n");
    for header in signed["headers"].as_array().unwrap() {
        request += &format!("{}: {}\r\n", header[0].as_str().unwrap(), header[1].as_str().unwrap());
    }
    home.write("s", format!("{request}\r\n"));
    let base = home.mcpid(&["inspect", "--base", "s"]).well();
    assert_eq!(base.out, signed["base"].as_str().unwrap());
    assert!(!base.out.ends_with('\n'));
    let json = home.mcpid(&["inspect", "--json", "s"]).well().json();
    assert_eq!(json["base"], signed["base"]);
    // The signature base is the one that the library builds, and the key signed it.
    let signature = json["signature"].as_str().unwrap();
    let engine = &base64::engine::general_purpose::STANDARD;
    let signature = base64::Engine::decode(engine, signature).unwrap();
    let pem = home.mcpid(&["export", "--format", "hex"]).well();
    let key: Vec<u8> =
        (0..64).step_by(2).map(|i| u8::from_str_radix(&pem.out[i..i + 2], 16).unwrap()).collect();
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key.try_into().unwrap()).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
    key.verify_strict(&base.bytes, &signature).unwrap();
}

#[test]
fn of_several_signatures_each_is_shown_and_one_can_be_picked() {
    let home = Home::new();
    let s = home.capture("s");
    let two = home.mcpid(&["sign", "--label", "b", "--at", NOON_TEXT, &s]).well();
    home.write("two", two.bytes);
    let ran = home.mcpid(&["inspect", "two"]).well();
    assert_eq!(ran.out.matches("two [0]: signature ").count(), 2, "{}", ran.out);
    let one = home.mcpid(&["inspect", "--label", "b", "two"]).well();
    assert!(one.out.starts_with("signature b\n"), "{}", one.out);
    let ran = home.mcpid(&["inspect", "--base", "two"]).ends(2);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        (
            "",
            "mcpid: --base prints one signature's bytes, and here are more\nmcpid: hint: mcpid inspect --base --label b two\n",
        )
    );
    let base = home.sh(ran.hints()[0]).well();
    assert!(base.out.ends_with(&format!(";tag=\"{ALICE}\"")), "{}", base.out);
    assert_ne!(home.mcpid(&["inspect", "--base", "--label", "mcp", &s]).well().out, "");
    let ran = home.mcpid(&["inspect", "--label", "c", "two"]).ends(3);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        (
            "",
            "mcpid: no request bears a signature labelled \"c\"\nmcpid: hint: those that there are: mcpid inspect two\n",
        )
    );
    home.sh(ran.hints()[0].split_once(": ").unwrap().1).well();
    home.mcpid(&["inspect", "--base", "two", "two", "--label", "b"]).ends(2);
    let ran = home.mcpid(&["inspect", "--base", "--json", "s"]).ends(2);
    assert!(
        ran.err.contains("--base prints bytes, and --json an object that holds them"),
        "{}",
        ran.err
    );
}

#[test]
fn unsigned_and_malformed_requests_are_told_apart() {
    let home = Home::new();
    home.write("u", "GET /mcp HTTP/1.1\nHost: a.com\n\n");
    let ran = home.mcpid(&["inspect", "u"]).well();
    assert_eq!(ran.out, "unsigned\n    target  GET https://a.com/mcp\n");
    let json = home.mcpid(&["inspect", "--json", "u"]).well().json();
    assert_eq!(
        (&json["status"], &json["base"], &json["seen"]),
        (&json!("unsigned"), &Value::Null, &Value::Null)
    );
    let ran = home.mcpid(&["inspect", "--base", "u"]).ends(3);
    assert_eq!(ran.err, "mcpid: u [0]: the request is unsigned\n");
    let s = home.capture("s");
    let text = std::fs::read_to_string(home.path("s")).unwrap();
    for (from, to) in [
        ("Signature-Input: mcp=(", "Signature-Input: mcp=(("),
        ("Signature: mcp=", "Signature: other="),
        ("Signature: mcp=:", "Signature: mcp=:*"),
        ("\"@method\" ", "\"@method\" \"@method\" "),
        (";created=", ";created=1;created="),
    ] {
        home.write("m", text.replacen(from, to, 1));
        let ran = home.mcpid(&["inspect", "m", &s]).ends(3);
        assert!(ran.err.starts_with("mcpid: m [0]: "), "{}", ran.err);
        assert!(ran.out.starts_with("s [0]: signature mcp\n"), "{to}: {}", ran.out);
        let ran = home.mcpid(&["inspect", "--json", "m"]).ends(3);
        let error: Value = serde_json::from_str(&ran.err).unwrap();
        assert_eq!(error["error"]["code"], "signature_malformed", "{to}");
    }
    // `inspect` shows the parameters of a signature although its bytes are not a signature.
    let signature = text.split("Signature: mcp=").nth(1).unwrap().split('\r').next().unwrap();
    home.write("m", text.replace(signature, "AAAA"));
    let ran = home.mcpid(&["inspect", "m"]).ends(0);
    assert!(ran.number("signature").starts_with("malformed: "), "{}", ran.out);
    // If the signature base cannot be built, the output says so. It is an error only if the base
    // was asked for.
    home.write("m", text.replace("Content-Type: application/json\r\n", ""));
    let ran = home.mcpid(&["inspect", "m"]).ends(0);
    assert!(ran.number("base").starts_with("cannot be rebuilt: "), "{}", ran.out);
    home.mcpid(&["inspect", "--base", "m"]).ends(3);
}

#[test]
fn inspect_reads_lines_and_times_of_captures() {
    let home = Home::new();
    let one = line(&home, &[]);
    home.write("l", format!("{one}\n{{\"target\":1}}\n{one}\n"));
    let ran = home.mcpid(&["inspect", "--at", "capture", "l"]).ends(3);
    assert!(ran.out.starts_with("l [0]: signature mcp, ages as of "), "{}", ran.out);
    assert!(ran.out.contains("\nl [2]: signature mcp, ages as of "), "{}", ran.out);
    assert!(ran.err.starts_with("mcpid: l: request 1: "), "{}", ran.err);
    assert_eq!(ran.number("created"), format!("{NOON_TEXT}, 0 s before"));
    home.write("l", one.to_string());
    let json = home.mcpid(&["inspect", "--json", "--at", "capture", "l"]).well().json();
    assert_eq!((&json["time_source"], &json["now"]), (&json!("capture"), &json!(NOON)));
    let names = ["verdict", "step", "code", "message", "profile", "status"];
    assert!(names.iter().all(|name| json[*name].is_null()), "{json}");
    assert_eq!(json.as_object().unwrap().len(), 33);
}

#[test]
fn many_unknown_senders_are_summed_up() {
    let home = Home::new();
    let request = |signatures: usize| {
        let all = |member: &str| {
            (0..signatures).map(|n| format!("s{n}={member}")).collect::<Vec<_>>().join(", ")
        };
        let (input, signature) = (all("()"), all("::"));
        json!([["signature-input", input], ["signature", signature]])
    };
    let write = |headers: Value| {
        let line = json!({"method": "GET", "target": URL, "headers": headers});
        home.write("r", line.to_string())
    };
    let r = write(request(32));
    let ran = home.mcpid(&["inspect", "--json", &r]).well();
    assert_eq!(ran.out.lines().count(), 32);
    let r = write(request(33));
    let ran = home.mcpid(&["inspect", &r]).ends(3);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        ("", "mcpid: r [0]: 33 signatures, 32 at most\n")
    );
    // The head of a captured request is limited when it is parsed. For a request line or an
    // archive, `inspect` checks the limit itself.
    let r = write(json!([["x", "y".repeat(65_536)]]));
    let ran = home.mcpid(&["inspect", "--json", &r]).ends(3);
    assert!(ran.err.contains("\"too_large\"") && ran.err.contains("65536 at most"), "{}", ran.err);
}
