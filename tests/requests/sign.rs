//! Tests of `sign` with `--url` and a body.

use super::{ALICE, CALL, Home, KEYS, NOON, Ran, URL, covered, parameter};

fn sign(home: &Home, more: &[&str]) -> Ran {
    let noon = format!("@{NOON}");
    let mut args = vec!["sign", "--url", URL, "--at", &noon];
    args.extend(more);
    home.mcpid(&args)
}

fn names(ran: &Ran) -> Vec<&str> {
    ran.out.lines().map(|line| line.split(':').next().unwrap()).collect()
}

#[test]
fn a_payload_gets_the_headers_to_send_with_it() {
    let home = Home::new();
    let ran = sign(&home, &["body.json"]).well();
    assert_eq!(
        names(&ran),
        ["Content-Type", "Accept", "Content-Digest", "Signature-Input", "Signature"]
    );
    assert_eq!(ran.header("Content-Type"), "application/json");
    assert_eq!(ran.header("Accept"), "application/json, text/event-stream");
    let input = ran.header("Signature-Input");
    assert_eq!(covered(input), ["@method", "@target-uri", "content-digest", "content-type"]);
    let nonce = parameter(input, "nonce");
    assert_eq!(nonce.len(), 22);
    // The signature's parameters are in exactly this order.
    let (expires, rest) = (NOON + 30, input.split_once(')').unwrap().1);
    assert_eq!(
        rest,
        format!(
            ";created={NOON};expires={expires};nonce=\"{nonce}\";keyid=\"{ALICE}\";tag=\"{ALICE}\""
        )
    );
    // The body is read from stdin, with or without the argument `-`.
    for more in [&["-"][..], &[]] {
        let noon = format!("@{NOON}");
        let args = [&["sign", "--url", URL, "--at", &noon], more].concat();
        let again = home.mcpid_on(&args, CALL.as_bytes()).well();
        assert_eq!(again.header("Content-Digest"), ran.header("Content-Digest"));
        assert_ne!(parameter(&again.out, "nonce"), nonce, "a nonce was used twice");
    }
}

#[test]
fn headers_of_the_current_revision_come_from_the_body() {
    let home = Home::new();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    home.write("new.json", body);
    let ran = sign(&home, &["new.json"]).well();
    assert_eq!(ran.header("MCP-Protocol-Version"), "2026-07-28");
    assert_eq!(ran.header("Mcp-Method"), "tools/call");
    assert_eq!(ran.header("Mcp-Name"), "pay");
    let named = ["content-type", "mcp-protocol-version", "mcp-method", "mcp-name"];
    assert_eq!(covered(ran.header("Signature-Input"))[3..], named);
    // If the user gives one of the added fields, it is not added again. If it contradicts the body,
    // there is a warning.
    let ran = sign(&home, &["-H", "mcp-name: steal", "new.json"]).ends(0);
    assert_eq!(ran.header("mcp-name"), "steal");
    assert!(!ran.out.contains("Mcp-Name"), "{}", ran.out);
    assert_eq!(
        ran.err,
        "mcpid: warning: verify would refuse this at step 10 (header_body_mismatch): \
         Mcp-Name is \"steal\", and the body says \"pay\"\n"
    );
}

#[test]
fn the_kind_of_body_decides_the_added_headers() {
    let home = Home::new();
    for (body, added) in [
        (&b"{\"a\":1}"[..], &["Content-Type: application/json"][..]),
        (b"[1,2]", &["Content-Type: application/json"]),
        (b"plain words", &["Content-Type: application/octet-stream"]),
        (b"\xff\xfe\x00", &["Content-Type: application/octet-stream"]),
        (b"", &[]),
        (
            CALL.as_bytes(),
            &["Content-Type: application/json", "Accept: application/json, text/event-stream"],
        ),
    ] {
        home.write("it", body);
        let ran = sign(&home, &["-q", "it"]).ends(0);
        let lines: Vec<_> =
            ran.out.lines().take_while(|l| !l.starts_with("Content-Digest")).collect();
        assert_eq!(lines, added, "{body:?}");
        // Fields that the user gives stay unchanged, and come first.
        let ran = sign(&home, &["-q", "-H", "content-TYPE:text/x", "it"]).ends(0);
        assert_eq!(ran.out.lines().next(), Some("content-TYPE: text/x"));
        assert_eq!(ran.out.to_lowercase().matches("content-type:").count(), 1);
    }
}

#[test]
fn headers_are_given_one_by_one_or_in_a_file() {
    let home = Home::new();
    home.write("headers", "Mcp-Session-Id: 42\r\n\r\nLast-Event-ID:7 \nMcp-Param-B: b\n");
    let more = [
        "-H",
        "X-First:  a  ",
        "-H",
        "@headers",
        "--header",
        "mcp-param-a: a",
        "-H",
        "X-Empty:",
        "body.json",
    ];
    let ran = sign(&home, &more).well();
    let given = [
        "X-First: a",
        "Mcp-Session-Id: 42",
        "Last-Event-ID: 7",
        "Mcp-Param-B: b",
        "mcp-param-a: a",
        "X-Empty: ",
    ];
    assert_eq!(ran.out.lines().take(6).collect::<Vec<_>>(), given);
    // The covered components are in this order, fields of parameters in byte order, and no other
    // component is covered.
    assert_eq!(
        covered(ran.header("Signature-Input"))[3..],
        ["content-type", "mcp-session-id", "mcp-param-a", "mcp-param-b", "last-event-id"]
    );
}

#[test]
fn secrets_stay_out_of_the_signature_base() {
    let home = Home::new();
    home.write("token", "Authorization: Bearer SECRET\nCookie: SECRET\nDPoP: SECRET\n");
    let ran = home.mcpid(&["sign", "--json", "--url", URL, "-H", "@token", "body.json"]).well();
    let json = ran.json();
    assert!(!json["base"].as_str().unwrap().contains("SECRET"));
    assert!(!json["covered"].to_string().contains("authorization"));
    assert_eq!(json["headers"][0], serde_json::json!(["Authorization", "Bearer SECRET"]));
    // No error message repeats the value of a header field.
    for wrong in ["Bearer SECRET", "Bad Name: SECRET", "X-A: SECRET\u{1}", "Content-Length: SECRET"]
    {
        let ran = sign(&home, &["-H", wrong, "body.json"]).ends(2);
        assert!(!ran.err.contains("SECRET"), "{}", ran.err);
    }
    let fragment =
        ["sign", "--url", "https://a.com/#x", "-H", "Authorization: SECRET", "body.json"];
    let ran = home.mcpid(&fragment).ends(2);
    assert!(!ran.err.contains("SECRET"), "{}", ran.err);
    let ran = home.mcpid(&["sign", "--url", "https://me:SECRET@a.com/", "body.json"]).ends(2);
    assert_eq!(ran.err, "mcpid: --url: the target holds user information\n");
}

#[test]
fn the_covered_components_can_be_changed() {
    let home = Home::new();
    let ran = sign(
        &home,
        &["-H", "X-Request-Id: 7", "--cover", "x-request-id", "--cover", "@authority", "body.json"],
    );
    let ran = ran.well();
    let all =
        ["@method", "@target-uri", "content-digest", "x-request-id", "@authority", "content-type"];
    let mut listed = covered(ran.header("Signature-Input"));
    let mut all = all.to_vec();
    listed.sort();
    all.sort();
    assert_eq!(listed, all);
    let ran = sign(&home, &["--no-cover", "content-type", "body.json"]).ends(0);
    assert_eq!(
        covered(ran.header("Signature-Input")),
        ["@method", "@target-uri", "content-digest"]
    );
    assert_eq!(
        ran.err,
        "mcpid: warning: verify would refuse this at step 6 (coverage_insufficient): \
         content-type is not covered by the signature\n"
    );
    let part = r#""content-digest";key="sha-256""#;
    let ran = sign(&home, &["--cover", part, "--profile", "rfc9421", "body.json"]).well();
    assert!(ran.out.contains(part), "{}", ran.out);
}

#[test]
fn label_tag_and_lifetime_are_as_given() {
    let home = Home::new();
    let more = ["--label", "my-1*", "--client-id", r#"a "b"\c"#, "--ttl", "5m", "body.json"];
    let ran = sign(&home, &more).well();
    let input = ran.header("Signature-Input");
    assert!(input.starts_with("my-1*=("), "{input}");
    assert!(input.ends_with(r#";tag="a \"b\"\\c""#), "{input}");
    assert!(input.contains(&format!(";expires={};", NOON + 300)), "{input}");
    assert!(ran.header("Signature").starts_with("my-1*=:"));
    let ran = sign(&home, &["--ttl", "none", "body.json"]).well();
    assert!(!ran.out.contains("expires"), "{}", ran.out);
    for (profile, list, expires) in [
        ("mcp", &["@method", "@target-uri", "content-digest", "content-type"][..], true),
        ("sep2752", &["@method", "@target-uri", "content-digest"], false),
        ("rfc9421", &["@method", "@target-uri", "content-digest", "content-type"], false),
    ] {
        let ran = sign(&home, &["--profile", profile, "body.json"]).well();
        let input = ran.header("Signature-Input");
        assert_eq!(
            (covered(input), input.contains(";expires=")),
            (list.to_vec(), expires),
            "{profile}"
        );
    }
}

#[test]
fn the_json_of_sign_states_every_parameter() {
    let home = Home::new();
    let ran = sign(&home, &["--json", "--label", "a", "body.json"]).well();
    let json = ran.json();
    let names: Vec<_> = [
        "\"version\"",
        "\"label\"",
        "\"key\"",
        "\"tag\"",
        "\"created\"",
        "\"expires\"",
        "\"nonce\"",
        "\"covered\"",
        "\"method\"",
        "\"target\"",
        "\"headers\"",
        "\"base\"",
    ]
    .iter()
    .map(|name| ran.out.find(&format!("{name}:")).unwrap_or_else(|| panic!("no {name}")))
    .collect();
    assert!(names.is_sorted(), "{}", ran.out);
    assert_eq!(json["key"], serde_json::json!({ "id": ALICE, "name": "key" }));
    assert_eq!(
        json["covered"],
        serde_json::json!(["@method", "@target-uri", "content-digest", "content-type"])
    );
    assert_eq!((json["created"].as_i64(), json["expires"].as_i64()), (Some(NOON), Some(NOON + 30)));
    assert_eq!((json["method"].as_str(), json["target"].as_str()), (Some("POST"), Some(URL)));
    assert!(json["base"].as_str().unwrap().starts_with("\"@method\": POST\n"));
    assert_eq!(json["headers"][0][0], "Content-Type");
}

#[test]
fn a_passphrase_is_asked_for_after_all_other_checks() {
    let home = Home::new();
    let sealed = format!("{KEYS}/sealed.json");
    // The file contains a wrong passphrase, so the command fails if it opens the key.
    let pass = home.write("pass", "wrong");
    for (more, code) in [
        (&["--url", URL, "nothing.json"][..], 3),
        (&["--url", "https://a.com/#f", "body.json"], 2),
        (&["--url", URL, "--cover", "x-nothing", "body.json"], 2),
        (&["--url", URL, "-H", "@nothing", "body.json"], 3),
        (&["--url", URL, "-H", "Content-Digest: sha-256=:AAAA:", "body.json"], 2),
        (&["body.json"], 3),
    ] {
        let args = [&["sign", "-k", &sealed, "--passphrase-file", &pass], more].concat();
        let ran = home.mcpid(&args).ends(code);
        assert!(!ran.err.contains("wrong passphrase"), "{}", ran.err);
    }
    let args = ["sign", "-k", &sealed, "--passphrase-file", &pass, "--url", URL, "body.json"];
    let ran = home.mcpid(&args).ends(4);
    assert!(ran.err.starts_with("mcpid: wrong passphrase for "), "{}", ran.err);
    let right = format!("{KEYS}/correct");
    home.mcpid(&["sign", "-k", &sealed, "--passphrase-file", &right, "--url", URL, "body.json"])
        .well();
    // A mistake in the flags is reported before a missing keyfile.
    let ran = home.mcpid(&["sign", "-k", "nothing.json", "--url", "nonsense", "body.json"]).ends(2);
    assert!(ran.err.starts_with("mcpid: --url: \"nonsense\" is not"), "{}", ran.err);
}

#[test]
fn methods_without_a_body_read_none() {
    let home = Home::new();
    let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    for method in ["GET", "HEAD", "DELETE"] {
        let args = ["sign", "--url", URL, "--method", method];
        let ran = home.mcpid_on(&args, b"this is not for it").well();
        assert_eq!(ran.header("Content-Digest"), empty, "{method}");
        let ran = home.mcpid(&["sign", "--url", URL, "--method", method, "body.json"]).well();
        assert_ne!(ran.header("Content-Digest"), empty, "{method}");
    }
    let ran = home.mcpid_on(&["sign", "--url", URL, "--method", "PUT"], b"x").well();
    assert_ne!(ran.header("Content-Digest"), empty);
}
