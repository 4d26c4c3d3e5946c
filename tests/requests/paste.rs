//! Tests that hints are commands: each is pasted into a shell and must work, with the user's own
//! flags in it.

use super::{Home, KEYS, NOON, NOON_TEXT, URL};

#[test]
fn an_old_request_can_be_judged_as_of_its_own_time() {
    let home = Home::new();
    std::fs::create_dir(home.path("odd 'dir")).unwrap();
    std::fs::copy(home.path(".config/mcpid/trust.json"), home.path("odd 'dir/t.json")).unwrap();
    let more = ["-H", "X-A: 1", "--cover", "x-a"];
    home.write("-dash it's.http", home.signed(&more).well().bytes);
    for flags in [
        vec!["-r", "odd 'dir/t.json"],
        vec!["--trust", "odd 'dir", "--window", "20s", "--ahead", "1s", "--require", "x-a"],
        vec!["--origin", "https://mcp.example.com", "--max-body", "1KiB", "--only", "https://mcp"],
        vec!["--profile", "sep2752", "--allow-uncovered", "mcp-session-id", "--nonces", "memory:"],
    ] {
        let late = format!("@{}", NOON + 4000);
        let args = [&["verify", "--at", &late], &flags[..], &["--", "-dash it's.http"]].concat();
        let ran = home.mcpid(&args).ends(1);
        let hints = ran.hints();
        assert_eq!(hints.len(), 2, "{}", ran.err);
        assert_eq!(hints[1], "that shows it was valid then, not that it was sent then");
        let command = hints[0].strip_prefix("to judge it as of its own time: ").unwrap();
        assert!(command.contains(&format!(" --at {NOON_TEXT}")), "{command}");
        for flag in flags.iter().filter(|flag| flag.starts_with("--") && **flag != "--trust") {
            assert!(command.contains(flag), "{command} lacks {flag}");
        }
        let pasted = home.sh(command).ends(0);
        assert!(pasted.out.starts_with("accepted"), "{}", pasted.out);
    }
}

#[test]
fn an_unsigned_request_can_be_signed() {
    let home = Home::new();
    home.write("it's.http", "GET /mcp HTTP/1.1\nHost: a.com\n\n");
    let ran = home.mcpid(&["verify", "it's.http"]).ends(1);
    assert_eq!(ran.hints(), [r"to sign it: mcpid sign 'it'\''s.http'"]);
    home.sh(&format!("{} | mcpid verify", ran.hints()[0].split_once(": ").unwrap().1)).well();
}

#[test]
fn a_capture_without_a_time_can_be_judged_by_the_clock() {
    let home = Home::new();
    let now = home.mcpid(&["sign", "--url", URL, "--format", "http", "body.json"]).well();
    home.write("s", now.bytes);
    for (command, words) in
        [("verify --origin https://mcp.example.com", "judge it"), ("inspect", "tell ages")]
    {
        let args: Vec<_> = command.split(' ').chain(["--at", "capture", "s"]).collect();
        let ran = home.mcpid(&args).ends(3);
        let expected = format!(
            "mcpid: s [0]: the capture bears no time of its own\nmcpid: hint: to {words} by the clock: mcpid {command} s\n"
        );
        assert_eq!(ran.err, expected);
        home.sh(ran.hints()[0].split_once(": ").unwrap().1).well();
    }
}

#[test]
fn sign_repeats_its_own_flags_but_no_header_value() {
    let home = Home::new();
    home.write("headers", "X-A: 1\n");
    let (key, pass) = (format!("{KEYS}/sealed.json"), format!("{KEYS}/correct"));
    let args = [
        "sign",
        "-k",
        &key,
        "--passphrase-file",
        &pass,
        "--profile",
        "sep2752",
        "--client-id",
        "my id",
        "--cover",
        "x-a",
        "--no-cover",
        "content-digest",
        "--label",
        "l",
        "--ttl",
        "2m",
        "--at",
        NOON_TEXT,
        "--format",
        "http",
        "--method",
        "PUT",
        "-H",
        "@headers",
        "--url",
        "https://a.com/x?y=[1]#part",
        "body.json",
    ];
    let ran = home.mcpid(&args).ends(2);
    assert!(
        ran.err.starts_with("mcpid: --url: the target has a fragment, which is never sent\n"),
        "{}",
        ran.err
    );
    let pasted = home.sh(ran.hints()[0]).ends(0);
    assert!(
        pasted.out.starts_with("PUT /x?y=[1] HTTP/1.1\r\nHost: a.com\r\nX-A: 1\r\n"),
        "{}",
        pasted.out
    );
    for kept in [
        "l=(\"@method\" \"@target-uri\"",
        "\"x-a\"",
        &format!(";created={NOON};expires={}", NOON + 120),
        ";tag=\"my id\"",
    ] {
        assert!(pasted.out.contains(kept), "{kept}: {}", pasted.out);
    }
    // A header may be a secret, so the message repeats only the wrong part.
    let ran =
        home.mcpid(&["sign", "--url", "https://a.com/#f", "-H", "X: SECRET", "body.json"]).ends(2);
    assert_eq!(ran.hints(), ["--url https://a.com/"]);
    let ran = home.mcpid(&["sign", "--url", "a.com/x", "body.json"]).ends(2);
    assert_eq!(
        ran.err,
        "mcpid: --url: \"a.com/x\" is not an http or https URL\nmcpid: hint: mcpid sign --url https://a.com/x body.json\n"
    );
    home.sh(ran.hints()[0]).well();
    let ran = home
        .mcpid(&["sign", "--url", URL, "--cover", "@query-param;name=\"q\"", "body.json"])
        .ends(2);
    assert_eq!(ran.hints(), [r#"with quotes around the name: --cover '"@query-param";name="q"'"#]);
    home.sh(&format!(
        "mcpid sign --url '{URL}?q=1' {} body.json",
        ran.hints()[0].split_once(": ").unwrap().1
    ))
    .well();
}
