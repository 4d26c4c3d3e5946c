//! Tests that `verify` accepts what `sign` prints: as a request, and as a curl command that sends
//! it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use super::{CALL, Home, KEYS, NOON_TEXT, Ran, URL, parameter};

#[test]
fn a_printed_request_needs_no_flag_to_be_verified() {
    let home = Home::new();
    for method in ["POST", "GET", "HEAD", "DELETE", "PUT", "OPTIONS"] {
        for (url, line) in [
            ("https://mcp.example.com/mcp", "/mcp"),
            ("http://127.0.0.1:8080/mcp", "/mcp"),
            ("http://mcp.example.com/mcp", "http://mcp.example.com/mcp"),
            ("https://127.0.0.1:8443/mcp", "https://127.0.0.1:8443/mcp"),
            ("https://[::1]:99/a?b", "https://[::1]:99/a?b"),
            ("http://[::1]/", "/"),
            ("https://[2001:db8::1]/x", "/x"),
            ("https://example.com", "/"),
            ("https://example.com?q=1", "/?q=1"),
            ("HTTPS://Example.COM:443/A%2f/../b;c//?x=%zz&[]", "/A%2f/../b;c//?x=%zz&[]"),
            ("http://localhost:80/mcp", "/mcp"),
        ] {
            let script = format!(
                "mcpid sign --method {method} --format http --url '{url}' body.json >s && mcpid verify s"
            );
            let ran = home.sh(&script).well();
            let first = std::fs::read_to_string(home.path("s")).unwrap();
            let wanted = format!("{method} {line} HTTP/1.1\r\n");
            assert!(first.starts_with(&wanted), "{first}");
            assert!(ran.out.starts_with("accepted: signed "), "{}", ran.out);
            let piped = format!(
                "mcpid sign --method {method} --format http --url '{url}' body.json | mcpid verify"
            );
            home.sh(&piped).well();
        }
    }
}

fn sign_capture(home: &Home, source: &[u8], more: &[&str]) -> Ran {
    home.mcpid_on(&[&["sign", "--at", NOON_TEXT], more].concat(), source)
}

fn capture(line: &str, end: &str) -> String {
    format!(
        "{line}{end}hOST: mcp.example.com{end}X-Odd:   spaced  out {end}X-Odd: twice{end}content-type: application/json{end}Content-Length: {}{end}{end}{CALL}",
        CALL.len()
    )
}

#[test]
fn a_capture_stays_the_same_to_the_byte() {
    let home = Home::new();
    for end in ["\r\n", "\n"] {
        for line in [
            "POST /mcp HTTP/1.1",
            "POST https://mcp.example.com/mcp HTTP/1.1",
            "POST /a/../b?%2f HTTP/1.1",
        ] {
            let source = capture(line, end);
            let ran = sign_capture(&home, source.as_bytes(), &[]).well();
            // The signed request has exactly three lines more.
            let added = ["Content-Digest: ", "Signature-Input: ", "Signature: "];
            let is_new = |l: &&str| added.iter().any(|name| l.starts_with(name));
            let old: String = ran.out.split_inclusive(end).filter(|l| !is_new(l)).collect();
            assert_eq!(old, source);
            assert_eq!(ran.out.split_inclusive(end).filter(is_new).count(), 3);
            home.verify(&[&home.write("s", &ran.bytes)]).well();
        }
    }
}

#[test]
fn chunks_are_signed_decoded_and_stay_chunks() {
    let home = Home::new();
    let (one, two) = CALL.split_at(10);
    let chunks = format!("{:x}\r\n{one}\r\n{:X}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
    let head = "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let ran = sign_capture(&home, format!("{head}\r\n{chunks}").as_bytes(), &[]).well();
    assert!(
        ran.out.starts_with(head) && ran.out.ends_with(&format!("\r\n\r\n{chunks}")),
        "{}",
        ran.out
    );
    let whole = home.mcpid(&["sign", "--url", "https://mcp.example.com/mcp", "body.json"]).well();
    assert_eq!(ran.header("Content-Digest").trim_end(), whole.header("Content-Digest"));
    home.verify(&[&home.write("s", &ran.bytes)]).well();
}

#[test]
fn an_origin_says_where_a_request_line_without_one_goes() {
    let home = Home::new();
    let source = capture("POST /mcp HTTP/1.1", "\r\n");
    let ran =
        sign_capture(&home, source.as_bytes(), &["--origin", "http://mcp.example.com"]).well();
    assert!(ran.out.starts_with("POST http://mcp.example.com/mcp HTTP/1.1\r\n"), "{}", ran.out);
    let s = home.write("s", &ran.bytes);
    assert_eq!(home.verify(&[&s]).well().number("target"), "POST http://mcp.example.com/mcp");
    // If the default origin is given by a flag, no byte of the request changes.
    let ran =
        sign_capture(&home, source.as_bytes(), &["--origin", "https://mcp.example.com"]).well();
    assert!(ran.out.starts_with("POST /mcp HTTP/1.1\r\n"), "{}", ran.out);
    let u = home.write("u", &source);
    let ran = home.mcpid(&["sign", "--origin", "https://other.com", &u]).ends(3);
    assert_eq!(
        ran.err,
        "mcpid: the request is for \"mcp.example.com\", not for https://other.com\n\
         mcpid: hint: for the host that it names: mcpid sign --origin https://mcp.example.com u\n"
    );
    home.sh(ran.hints()[0].split_once(": ").unwrap().1).well();
    home.write("u", capture("POST http://mcp.example.com/mcp HTTP/1.1", "\r\n"));
    let ran = home.mcpid(&["sign", "--origin", "https://mcp.example.com", &u]).ends(3);
    assert_eq!(
        ran.hints(),
        ["for the host that it names: mcpid sign --origin http://mcp.example.com u"]
    );
    home.sh(ran.hints()[0].split_once(": ").unwrap().1).well();
    home.write("u", capture("POST https://other.com/mcp HTTP/1.1", "\r\n"));
    let ran = home.mcpid(&["sign", &u]).ends(3);
    let line = "the target is for \"other.com\", the host field says \"mcp.example.com\"";
    assert_eq!(ran.err, format!("mcpid: {line}\n"));
}

#[test]
fn a_second_signature_shares_the_nonce_and_a_label_is_not_taken_twice() {
    let home = Home::new();
    let s = home.capture("s");
    let first = std::fs::read_to_string(home.path("s")).unwrap();
    let nonce = parameter(&first, "nonce").to_owned();
    let ran = home.mcpid(&["sign", &s]).ends(3);
    assert_eq!(ran.out, "");
    assert_eq!(
        ran.err,
        "mcpid: the request already has a signature labelled \"mcp\"\n\
         mcpid: hint: to sign it anew: mcpid sign --replace s\n\
         mcpid: hint: to add a second signature: mcpid sign --label mcp2 s\n"
    );
    for hint in ran.hints() {
        home.sh(&format!("{} | mcpid verify", hint.split_once(": ").unwrap().1)).well();
    }
    let both = home.mcpid(&["sign", "--label", "second", "--at", NOON_TEXT, &s]).well();
    assert_eq!(both.out.matches(&format!(";nonce=\"{nonce}\"")).count(), 2, "{}", both.out);
    assert!(both.out.contains("\r\nSignature: mcp=:") && both.out.contains(":, second=:"));
    // Both signatures of the request have the same nonce, which is stored once.
    let b = home.write("both", &both.bytes);
    home.verify(&[&b]).well();
    home.mcpid(&["verify", "--at", NOON_TEXT, "--nonces", "memory:", &b]).well();
    // If the first signature is removed, the request is still a replay.
    let ran = home.verify(&[&b, &s]).ends(1);
    assert!(ran.out.contains("s [0]: rejected at step 12 (nonce): "), "{}", ran.out);
    // Signing again with `--replace` changes the nonce. Every byte outside of the signature stays.
    let anew = home.mcpid(&["sign", "--replace", "--at", NOON_TEXT, &s]).well();
    assert_ne!(parameter(&anew.out, "nonce"), nonce);
    let without = |text: &str| {
        text.lines().filter(|l| !l.starts_with("Signature")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without(&anew.out), without(&first));
    assert_eq!(anew.out.matches("Signature-Input").count(), 1);
    // Another key may sign the request too, with another label.
    let bob = home.mcpid(&[
        "keygen",
        "-q",
        "-o",
        "bob.json",
        "--import",
        &format!("{KEYS}/erin.hex"),
        "--no-passphrase",
    ]);
    bob.ends(0);
    let two =
        home.mcpid(&["sign", "-k", "bob.json", "--label", "bob", "--at", NOON_TEXT, &s]).well();
    home.verify(&[&home.write("two", &two.bytes)]).well();
}

#[test]
fn a_body_whose_digest_does_not_match_is_not_signed() {
    let home = Home::new();
    let s = home.capture("s");
    let text = std::fs::read_to_string(home.path("s")).unwrap().replace("here", "hare");
    home.write("s", text);
    let ran = home.mcpid(&["sign", "--replace", &s]).ends(3);
    assert!(
        ran.err.starts_with(
            "mcpid: the content-digest that the request carries does not fit its body"
        ),
        "{}",
        ran.err
    );
    let hint = ran.hints()[0].split_once(": ").unwrap().1;
    home.sh(&format!("{hint} && mcpid sign --replace s | mcpid verify")).well();
}

/// Runs the curl command that `sign` prints against a server, and returns the bytes that the server
/// received.
fn recorded(home: &Home, sign: &str, server: &TcpListener) -> Vec<u8> {
    let command = home.sh(sign).ends(0).out;
    let recorder = server.try_clone().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = recorder.accept().unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(120))).unwrap();
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break;
                }
            }
            let read = stream.read(&mut chunk).unwrap();
            assert!(read > 0, "curl broke off: {text}");
            bytes.extend_from_slice(&chunk[..read]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        bytes
    });
    let ran = home.sh(&command.replace("curl ", "curl -sS --max-time 10 "));
    assert_eq!(ran.code, Some(0), "{command}{}", ran.err);
    thread.join().unwrap()
}

#[test]
fn curl_sends_the_signed_request() {
    if Command::new("curl").arg("--version").output().is_err() {
        let note = "curl is not installed: what it would send is not tested\n";
        std::io::stderr().write_all(note.as_bytes()).unwrap();
        return;
    }
    let home = Home::new();
    home.write("it's a $body `x`.json", format!("{CALL}\n\n"));
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", server.local_addr().unwrap());
    for (args, has) in [
        ("/mcp' body.json", "POST /mcp HTTP/1.1"),
        (
            "/a/../b/./c?x=[1-3]&y={a,b}&z=%2f' body.json",
            "POST /a/../b/./c?x=[1-3]&y={a,b}&z=%2f HTTP/1.1",
        ),
        ("/mcp' -- \"it's a \\$body \\`x\\`.json\"", "POST /mcp HTTP/1.1"),
        (
            "/mcp' -H 'X-Empty:' -H \"X-Q: it's \\$HOME \\`id\\` \\\\ \\\"\" --cover x-empty --cover x-q body.json",
            "X-Q: it's $HOME `id` \\ \"",
        ),
        ("/mcp' --method GET", "GET /mcp HTTP/1.1"),
        ("/mcp' --method HEAD", "HEAD /mcp HTTP/1.1"),
        ("/mcp' --method DELETE", "DELETE /mcp HTTP/1.1"),
        ("/mcp' --method GET body.json", "GET /mcp HTTP/1.1"),
        ("/mcp' /dev/null", "Content-Length: 0"),
        ("/mcp' --method PUT body.json", "PUT /mcp HTTP/1.1"),
    ] {
        let bytes =
            recorded(&home, &format!("mcpid sign --format curl --url '{base}{args}"), &server);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains(has), "{args}: {text}");
        assert!(!text.contains("Expect:"), "{text}");
        home.write("recorded", &bytes);
        home.sh("mcpid verify recorded").well();
    }
    let ran =
        home.sh(&format!("mcpid sign --format curl --method HEAD --url {base} body.json")).ends(2);
    assert!(
        ran.err.starts_with("mcpid: curl sends no body with HEAD\nmcpid: hint: "),
        "{}",
        ran.err
    );
    // If curl could not read the body again, the printed command contains the body, with any
    // bytes.
    let every: Vec<u8> = (0..=255).collect();
    for body in [
        CALL.as_bytes(),
        b"@body.json",
        b"it's\n\"$HOME\" `id` \\ %d %% !\n\n",
        b"-n",
        b"-",
        b"{\"a\":\t1}\r\n",
        "\u{202e}\u{feff}é".as_bytes(),
        b"\0",
        b"\xff\xfe",
        &every,
    ] {
        home.write("raw", body);
        for sign in [
            format!("mcpid sign --format curl --url {base} < raw"),
            format!("cat raw | mcpid sign --format curl --url {base} -"),
            format!("cat raw | mcpid sign --format curl --url {base} /dev/stdin"),
        ] {
            let bytes = recorded(&home, &sign, &server);
            home.write("recorded", &bytes);
            assert!(bytes.ends_with(body), "{body:?}");
            home.sh("mcpid verify recorded").ends(0);
        }
    }
    // If the body is too long for the printed command, the user has to give it to `mcpid sign` and
    // to curl, each on stdin.
    let long = "x".repeat(20_000);
    let args = ["sign", "--format", "curl", "--url", &base];
    let ran = home.mcpid_on(&args, long.as_bytes()).ends(0);
    assert!(ran.out.contains(" --data-binary @- "), "{}", ran.out);
    assert_eq!(ran.err, "mcpid: curl takes the body from stdin: the 20000 bytes signed\n");
}

#[test]
fn a_request_that_servers_will_refuse_leads_to_a_warning() {
    let home = Home::new();
    for (body, place) in [
        ("{'jsonrpc': 1}", "line 1, column 2"),
        ("{\"a\":1,\n \"b\":}", "line 2, column 6"),
        ("[1,\n2", "line 2, column 2"),
        ("{\"é\": x}", "line 1, column 7"),
        ("{\"a\": NaN}", "line 1, column 7"),
        ("{} {}", "line 1, column 4"),
        ("\u{feff}{}", "line 1, column 1"),
    ] {
        let ran = home.mcpid_on(&["sign", "--url", URL], body.as_bytes()).ends(0);
        let says = format!("not JSON ({place}): MCP servers will refuse it");
        assert!(ran.err.contains(&says), "{body}: {}", ran.err);
    }
    let ran = home.mcpid_on(&["sign", "--url", URL], b"{\"a\":\"\xff\"}").ends(0);
    assert!(ran.err.contains("not JSON (line 1, column 7)"), "{}", ran.err);
    let typed = ["sign", "--url", URL, "-H", "Content-Type: application/json; charset=utf-8"];
    let ran = home.mcpid_on(&typed, b"nonsense").ends(0);
    assert!(ran.err.contains("not JSON (line 1, column 2)"), "{}", ran.err);
    for body in ["{}", "[]", "{\"a\":1}\n", "plain text", ""] {
        let ran = home.mcpid_on(&["sign", "--url", URL], body.as_bytes()).ends(0);
        assert!(!ran.err.contains("not JSON"), "{body}: {}", ran.err);
    }
    for (method, meant) in [("get", "GET"), ("Post", "POST"), ("dELETE", "DELETE")] {
        let ran = home.mcpid(&["sign", "--url", URL, "--method", method]).ends(0);
        assert!(ran.err.contains(&format!("{method} is not {meant}: ")), "{}", ran.err);
        assert!(ran.hints().contains(&&*format!("--method {meant}")), "{}", ran.err);
    }
    for method in ["GET", "DELETE", "x-own"] {
        home.mcpid(&["sign", "--url", URL, "--method", method]).well();
    }
}
