//! Tests of `verify` on one raw request: every flag about verification, and the messages.

use super::{ALICE, CALL, Home, NOON, NOON_TEXT, URL};

#[test]
fn the_verdict_on_an_accepted_request_names_key_time_and_operation() {
    let home = Home::new();
    let s = home.capture("s");
    let ran = home.mcpid(&["verify", "--at", &format!("@{}", NOON + 3), &s]).well();
    assert_eq!(
        ran.out,
        format!(
            "accepted: signed 3 s before, judged as of 2026-11-27T10:00:03Z (--at)\n    key      {ALICE} (alice)\n    created  {NOON_TEXT}\n    \
             target   POST {URL}\n    mcp      tools/call get_weather\n    replay   unchecked\n"
        )
    );
}

#[test]
fn the_window_is_judged_at_the_given_time() {
    let home = Home::new();
    let s = home.capture("s");
    for (at, accepted) in [
        (NOON - 6, false),
        (NOON - 5, true),
        (NOON, true),
        (NOON + 29, true),
        (NOON + 30, false),
        (NOON + 31, false),
    ] {
        let ran = home.mcpid(&["verify", "--at", &format!("@{at}"), &s]);
        assert_eq!(ran.code, Some(i32::from(!accepted)), "{}", ran.out);
    }
    home.mcpid(&["verify", "--at", "2026-11-27T11:00:10+01:00", &s]).well();
    home.write("old", home.signed(&["--ttl", "none"]).well().bytes);
    let late = format!("@{}", NOON + 42);
    let ran = home.mcpid(&["verify", "--at", &late, "old"]).ends(1);
    assert!(ran.out.starts_with("rejected at step 5 (window): "), "{}", ran.out);
    assert!(ran.out.contains("42 s ago"), "{}", ran.out);
    assert_eq!(ran.number("created"), NOON_TEXT);
    assert_eq!(ran.number("now"), "2026-11-27T10:00:42Z, window 30 s");
    home.mcpid(&["verify", "--at", &late, "--window", "42s", "old"]).well();
    home.mcpid(&["verify", "--at", &late, "--window", "41s", "old"]).ends(1);
    let early = format!("@{}", NOON - 60);
    home.mcpid(&["verify", "--at", &early, "--ahead", "1m", "old"]).well();
    home.mcpid(&["verify", "--at", &early, "--ahead", "59s", "old"]).ends(1);
    home.mcpid(&["verify", "--at", &late, "--profile", "sep2752", "old"]).well();
    home.mcpid(&[
        "verify",
        "--at",
        &format!("@{}", NOON + 9_000_000),
        "--profile",
        "rfc9421",
        "old",
    ])
    .well();
}

#[test]
fn each_step_has_its_line_and_its_numbers() {
    let home = Home::new();
    let s = std::fs::read_to_string(home.path(&home.capture("s"))).unwrap();
    let other = home.mcpid(&["keygen", "-q", "-o", "other.json", "--no-passphrase"]).ends(0);
    let stranger = home.mcpid(&[
        "sign",
        "-k",
        "other.json",
        "--url",
        URL,
        "--at",
        NOON_TEXT,
        "--format",
        "http",
        "body.json",
    ]);
    let tagged = home.signed(&["--client-id", "laptop"]).out;
    let bare = home.signed(&["--no-cover", "content-type"]).out;
    let headed = home.signed(&["-H", "Mcp-Method: tools/list"]).out;
    let double = CALL.replace("\"id\":1", "\"id\":1,\"id\":1");
    home.write("twice.json", double);
    let ambiguous =
        home.sh(&format!("mcpid sign --url {URL} --at {NOON_TEXT} --format http twice.json")).out;
    let unsigned =
        s.lines().filter(|l| !l.starts_with("Signature")).collect::<Vec<_>>().join("\r\n");
    for (bytes, first, named) in [
        (unsigned, "step 2 (present): the request is unsigned", ""),
        (s.replace("Signature: mcp=:", "Signature: mcp=:!"), "step 3 (parse): ", ""),
        (s.replace("nonce=", "n0nce="), "step 4 (parameters): ", ""),
        (bare, "step 6 (coverage): content-type is not covered", "missing"),
        (stranger.out, "step 7 (key): ", ""),
        (tagged, "step 7 (key): ", ""),
        (s.replace("POST /mcp ", "POST /mcq "), "step 8 (signature): ", ""),
        (s.replace("here", "hare"), "step 9 (digest): ", ""),
        (ambiguous, "step 10 (mcp): ", ""),
        (headed, "step 10 (mcp): ", ""),
    ] {
        home.write("x", &bytes);
        let ran = home.verify(&["x"]).ends(1);
        let line = ran.out.lines().next().unwrap();
        assert!(
            line.to_lowercase().starts_with(&format!("rejected at {}", first.to_lowercase())),
            "{line}"
        );
        assert!(named.is_empty() || !ran.number(named).is_empty());
        assert!(!line.ends_with('.'), "{line}");
    }
    let _ = other;
}

#[test]
fn the_demanded_components_can_be_changed() {
    let home = Home::new();
    let s = home.capture("s");
    let ran = home.verify(&["--require", "x-request-id", &s]).ends(1);
    assert!(
        ran.out.starts_with("rejected at step 6 (coverage): x-request-id is not covered"),
        "{}",
        ran.out
    );
    home.verify(&["--require", "@authority", &s]).ends(1);
    home.write("b", home.signed(&["--no-cover", "content-type"]).bytes);
    home.verify(&["b"]).ends(1);
    home.verify(&["--allow-uncovered", "content-type", "b"]).well();
    for always in ["@method", "@target-uri", "content-digest"] {
        let ran = home.verify(&["--allow-uncovered", always, &s]).ends(2);
        assert_eq!(
            ran.err,
            format!("mcpid: --allow-uncovered {always}: without it a signature says nothing\n")
        );
    }
}

#[test]
fn origins_say_which_targets_are_ours() {
    let home = Home::new();
    let s = home.capture("s");
    let ran = home.verify(&["--origin", "https://other.com", "--json", &s]).ends(1);
    assert_eq!(
        (ran.json()["step"].as_u64(), ran.json()["code"].as_str()),
        (Some(1), Some("target_mismatch"))
    );
    home.verify(&["--origin", "https://other.com", "--origin", "https://mcp.example.com", &s])
        .well();
    home.verify(&["--origin", "HTTPS://MCP.example.com:443", &s]).well();
    // The request was signed for https, so with http it is for another target.
    home.verify(&["--origin", "http://mcp.example.com", &s]).ends(1);
    for wrong in ["mcp.example.com", "https://a.com/path", "https://a.com?q", "https://u@a.com", ""]
    {
        let ran = home.verify(&["--origin", wrong, &s]).ends(2);
        assert!(ran.err.starts_with("mcpid: --origin "), "{}", ran.err);
    }
}

#[test]
fn the_profile_of_the_rfc_names_what_is_not_covered() {
    let home = Home::new();
    home.write("s", home.signed(&["-H", "X-Other: 1"]).bytes);
    let ran = home.verify(&["--profile", "rfc9421", "s"]).well();
    assert_eq!(ran.number("open"), "x-other accept content-length");
    let json = home.verify(&["--profile", "rfc9421", "--json", "s"]).well().json();
    assert_eq!(json["not_covered"], serde_json::json!(["x-other", "accept", "content-length"]));
    assert_eq!(json["profile"], "rfc9421");
}

#[test]
fn a_nonce_is_claimed_unless_a_time_is_given() {
    let home = Home::new();
    let now = home.sh(&format!("mcpid sign --url {URL} --format http body.json >now && mcpid verify --nonces memory: now")).well();
    assert_eq!(now.number("replay"), "the nonce is fresh, but the store may have forgotten");
    let twice = home.mcpid(&["verify", "--nonces", "memory:", "now", "now"]).ends(1);
    assert!(twice.out.contains("now [0]: rejected at step 12 (nonce): "), "{}", twice.out);
    // With `memory:` no nonce is stored for later commands, but of two equal requests in one
    // command the later one is a replay.
    let s = home.capture("s");
    home.verify(&["--nonces", "memory:", &s]).well();
    home.verify(&["--nonces", "memory:", &s, &s]).ends(1);
    for wrong in ["", "memory", "nope:", "memory:?max=x", "memory:?max=0", "redis:x"] {
        let ran = home.verify(&["--nonces", wrong, &s]).ends(2);
        assert!(ran.err.starts_with("mcpid: --nonces"), "{}", ran.err);
    }
}

#[test]
fn a_password_of_a_store_is_given_once_and_never_repeated() {
    let home = Home::new();
    home.capture("s");
    home.write("empty", "\n");
    home.write("pw", "s3cret\n");
    // A systemd service gets its credentials in a folder.
    for (folder, password) in [("credentials", "s3cret\n"), ("hollow", "\n")] {
        std::fs::create_dir(home.path(folder)).unwrap();
        home.write(&format!("{folder}/nonces-password"), password);
    }
    let store = "mcpid verify --nonces redis://127.0.0.1:1 s";
    for (given, exit, said) in [
        ("MCPID_NONCES_PASSWORD=", 2, "MCPID_NONCES_PASSWORD gives an empty password"),
        ("MCPID_NONCES_PASSWORD_FILE=empty", 2, "gives an empty password"),
        ("MCPID_NONCES_PASSWORD_FILE=none", 3, "cannot read none: no such file"),
        ("MCPID_NONCES_PASSWORD_FILE=/dev/zero", 3, "larger than 4096 bytes"),
        ("MCPID_NONCES_PASSWORD=s3cret MCPID_NONCES_PASSWORD_FILE=pw", 2, "both give a password"),
        // No server listens at this address, so an error about the connection shows that the
        // password was read. The message does not repeat it.
        ("MCPID_NONCES_PASSWORD_FILE=pw", 5, "the nonce store redis://127.0.0.1:1"),
        ("CREDENTIALS_DIRECTORY=credentials", 5, "the nonce store redis://127.0.0.1:1"),
        ("CREDENTIALS_DIRECTORY=nothing", 5, "the nonce store redis://127.0.0.1:1"),
        ("CREDENTIALS_DIRECTORY=hollow", 2, "nonces-password gives an empty password"),
        (
            "CREDENTIALS_DIRECTORY=hollow MCPID_NONCES_PASSWORD=s3cret",
            5,
            "the nonce store redis://127.0.0.1:1",
        ),
    ] {
        let ran = home.sh(&format!("{given} {store}")).ends(exit);
        assert!(ran.err.contains(said), "{given}: {}", ran.err);
        assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    }
}

#[test]
fn a_body_may_have_the_given_limit() {
    let home = Home::new();
    home.write("big", vec![b'x'; 5 << 20]);
    let ran = home.sh(&format!("mcpid sign --url {URL} --at {NOON_TEXT} --format http big >s; mcpid verify --at {NOON_TEXT} s")).ends(1);
    assert_eq!(
        ran.out,
        format!(
            "rejected at step 1 (limits): the body is 5242880 bytes long, 4194304 at most, \
             judged as of {NOON_TEXT} (--at)\n    target  POST {URL}\n"
        )
    );
    assert_eq!(
        ran.hints(),
        [format!("to judge it all the same: mcpid verify --max-body 5242880 --at {NOON_TEXT} s")]
    );
    home.sh(ran.hints()[0].split_once(": ").unwrap().1).well();
    home.verify(&["--max-body", "5MiB", "s"]).well();
    home.verify(&["--max-body", "5242879", "s"]).ends(1);
}

#[test]
fn a_revoked_key_keeps_its_verdict_as_of_before() {
    let home = Home::new();
    let s = home.write("s", home.signed(&["--ttl", "none"]).well().bytes);
    let later = format!("@{}", NOON + 3600);
    home.mcpid(&["trust", "revoke", "alice", "--at", &later]).ends(0);
    let ran = home.verify(&[&s]).ends(0);
    assert!(ran.out.starts_with("accepted: "), "{}", ran.out);
    let only = "only a log proof shows that it was signed before";
    assert_eq!(ran.number("revoked"), format!("2026-11-27T11:00:00Z; {only}"));
    assert_eq!(home.verify(&["-q", &s]).well().out, ran.out, "the verdict itself says so");
    assert_eq!(
        ran.err,
        "mcpid: the key was revoked later; only a log proof shows that it signed before that\n"
    );
    let many = home.verify(&[&s, "nothing"]).ends(3);
    assert!(
        many.err.ends_with("only a log proof shows that it signed before that\n"),
        "{}",
        many.err
    );
    let json = home.verify(&["--json", &s]).ends(0).json();
    assert_eq!(
        (json["verdict"].as_str(), json["revoked_at"].as_i64()),
        (Some("accepted"), Some(NOON + 3600))
    );
    assert_eq!(json["message"], format!("the key was revoked later; {only}"));
    let now =
        home.mcpid(&["verify", "--at", &later, "--window", "2h", "--json", &s]).ends(1).json();
    assert_eq!(now["revoked_at"].as_i64(), Some(NOON + 3600));
}

#[test]
fn published_test_keys_are_refused() {
    let home = Home::new();
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/mcp-profile.json");
    let vectors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(vectors).unwrap()).unwrap();
    home.write(
        "test.jwk",
        serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": vectors["key"]["x"]}).to_string(),
    );
    let now = format!("@{}", vectors["now"]);
    let mut refused = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let (method, target) =
            (vector["method"].as_str().unwrap(), vector["target_uri"].as_str().unwrap());
        let body = vector["body"].as_str().unwrap_or_default();
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in vector["headers"].as_object().unwrap() {
            text += &format!("{name}: {}\r\n", value.as_str().unwrap());
        }
        if !text.to_lowercase().contains("\r\ncontent-length:") && !body.is_empty() {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        home.write("v", format!("{text}\r\n{body}"));
        for profile in ["mcp", "sep2752", "rfc9421"] {
            let args = [
                "verify",
                "--json",
                "-r",
                "test.jwk",
                "--profile",
                profile,
                "--at",
                &now,
                "--window",
                "10m",
                "v",
            ];
            let json = home.mcpid(&args).ends(1).json();
            if json["code"] == "key_published" {
                assert_eq!(json["step"], 7);
                refused += 1;
            } else {
                // The request is refused at a step before the seventh.
                assert!(json["step"].as_u64().unwrap() < 7, "{json}");
            }
        }
    }
    assert!(refused >= 3, "{refused} refusals only");
}

#[test]
fn the_example_of_the_rfc_is_refused_for_its_key() {
    let home = Home::new();
    let x = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs";
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"test-key-ed25519","x":"{x}"}}"#);
    home.write("rfc.jwk", jwk);
    // This is the example in RFC 9421, appendix B.2.6.
    home.write("b26", "\
POST /foo?param=Value&Pet=dog HTTP/1.1
Host: example.com
Date: Tue, 20 Apr 2021 02:07:55 GMT
Content-Type: application/json
Content-Digest: sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:
Content-Length: 18
Signature-Input: sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"
Signature: sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:

{\"hello\": \"world\"}");
    let ran = home.mcpid(&["verify", "-r", "rfc.jwk", "--profile", "rfc9421", "b26"]).ends(1);
    assert!(ran.out.starts_with("rejected at step 7 (key): "), "{}", ran.out);
    let ran = home.mcpid(&["verify", "-r", "rfc.jwk", "--profile", "rfc9421", "--json", "b26"]);
    assert_eq!(ran.ends(1).json()["code"], "key_published");
}
