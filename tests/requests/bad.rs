//! Tests of wrong input to the commands: each row has the expected exit code, one clear line, and a
//! hint.

use std::os::unix::fs::PermissionsExt as _;

use super::{ALICE, CALL, Home, KEYS, URL};

/// The arguments, the exit code, the whole line on stderr, and the hints.
pub(crate) type Row<'a> = (&'a [&'a str], i32, &'a str, &'a [&'a str]);

#[track_caller]
pub(crate) fn rows(home: &Home, rows: &[Row<'_>]) {
    for (args, code, line, hints) in rows {
        let ran = home.mcpid(args);
        let said = format!("mcpid: {line}\n")
            + &hints.iter().map(|hint| format!("mcpid: hint: {hint}\n")).collect::<String>();
        assert_eq!((ran.code, &*ran.err), (Some(*code), &*said), "mcpid {}", args.join(" "));
        assert_eq!(ran.out, "", "mcpid {}", args.join(" "));
        assert!(!line.ends_with('.') && line.lines().count() == 1, "{line}");
    }
}

const FIRST: &str = "a capture begins with a line such as: POST /mcp HTTP/1.1";
const PAYLOAD: &str =
    "a payload is signed, and sent, with its target: mcpid sign --url URL body.json";

#[test]
fn inputs_that_are_no_request_are_refused() {
    let home = Home::new();
    home.write("empty", "");
    home.write("binary", b"\x7fELF\x02\x01\x01\0\0");
    home.write("list.json", "[1,2]");
    home.write("cut", "POST /mcp HTTP/1.1\r\nHost: a.com\r\nContent-Length: 10\r\n\r\nabc");
    home.write("long", "POST /mcp HTTP/1.1\r\nHost: a.com\r\nContent-Length: 2\r\n\r\nabc");
    home.write("unannounced", "POST /mcp HTTP/1.1\r\nHost: a.com\r\n\r\nabc");
    home.write("head cut", "POST /mcp HTTP/1.1\r\nHost: a.com\r\n");
    home.write("both", "POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    home.write("answer", "HTTP/1.1 200 OK\r\n\r\n");
    home.write("words", "hello there\n");
    for command in ["verify", "inspect", "sign"] {
        rows(
            &home,
            &[
                (&[command, "nothing"], 3, "cannot read nothing: no such file", &["ls ."]),
                (&[command, "no/such"], 3, "cannot read no/such: no such file", &["ls no"]),
                (&[command, "."], 3, "cannot read .: it is a folder", &["ls ."]),
                (&[command, "empty"], 3, "empty: the input is empty", &[FIRST]),
                (&[command], 3, "stdin: the input is empty", &[FIRST]),
                (
                    &[command, "binary"],
                    3,
                    "binary: line 1: byte 0x7f is a control character",
                    &[FIRST],
                ),
                (
                    &[command, "cut"],
                    3,
                    "cut: line 3: content-length says 10, 3 bytes follow",
                    &["capture it again, whole: 7 bytes are missing at its end"],
                ),
                (
                    &[command, "long"],
                    3,
                    "long: line 3: content-length says 2, 3 bytes follow",
                    &["a capture holds one request; some editors add a newline to its end"],
                ),
                (
                    &[command, "unannounced"],
                    3,
                    "unannounced: line 4: no content-length, 3 bytes follow",
                    &["a body is announced by a header line: Content-Length: 3"],
                ),
                (
                    &[command, "head cut"],
                    3,
                    "head cut: line 3: the input ends before the empty line that ends the head",
                    &["capture it again, whole: its end is missing"],
                ),
                (
                    &[command, "both"],
                    3,
                    "both: line 4: transfer-encoding together with the content-length, or a second time, see line 3",
                    &["sed -n 4p both | cat -A"],
                ),
                (
                    &[command, "answer"],
                    3,
                    "answer: line 1: an HTTP response, not a request",
                    &[FIRST],
                ),
                (&[command, "words"], 3, "words: line 1: not a request line", &[FIRST]),
            ],
        );
    }
    for command in ["verify", "inspect"] {
        rows(
            &home,
            &[
                (
                    &[command, "body.json"],
                    3,
                    "body.json: JSON, but neither a HAR file nor request lines",
                    &[PAYLOAD],
                ),
                (
                    &[command, "list.json"],
                    3,
                    "list.json: JSON, but neither a HAR file nor request lines",
                    &[PAYLOAD],
                ),
            ],
        );
    }
    rows(
        &home,
        &[(&["sign", "body.json"], 3, "body.json: line 1: JSON, not an HTTP request", &[PAYLOAD])],
    );
    let shown = home.sh("sed -n 4p both | cat -A").well();
    assert_eq!(shown.out, "Transfer-Encoding: chunked^M$\n");
}

#[test]
fn wrong_keys_and_trust_files_are_refused() {
    let home = Home::new();
    let s = home.capture("s");
    let sealed = format!("{KEYS}/sealed.json");
    home.write("wrong", "wrong");
    std::fs::copy(home.path(".config/mcpid/key.json"), home.path("open.json")).unwrap();
    std::fs::set_permissions(home.path("open.json"), std::fs::Permissions::from_mode(0o640))
        .unwrap();
    home.write("empty.json", "");
    let sign = |key: &'static str| ["sign", "-k", key, "--url", URL, "body.json"];
    rows(
        &home,
        &[
            (
                &sign("nothing.json"),
                3,
                "cannot read nothing.json: no such file",
                &["mcpid keygen -o nothing.json"],
            ),
            (
                &sign("open.json"),
                4,
                "open.json is not encrypted, and its mode 0640 lets others than its owner at it",
                &["chmod 600 open.json"],
            ),
            (
                &["verify", "-r", "nothing.json", &s],
                3,
                "cannot read nothing.json: no such file",
                &["mcpid trust add -r nothing.json"],
            ),
            (
                &["verify", "-r", "empty.json", &s],
                4,
                "empty.json is empty",
                &["rm empty.json && mcpid trust add -r empty.json"],
            ),
        ],
    );
    let ran = home
        .mcpid(&["sign", "-k", &sealed, "--passphrase-file", "wrong", "--url", URL, "body.json"])
        .ends(4);
    assert!(
        ran.err.starts_with("mcpid: wrong passphrase for ") && ran.out.is_empty(),
        "{}",
        ran.err
    );
    // setsid detaches the program from the terminal.
    let ran =
        home.sh(&format!("setsid \"$MCPID\" sign -k '{sealed}' --url {URL} body.json")).ends(4);
    assert_eq!(
        ran.err,
        "mcpid: no passphrase: there is no terminal to ask on, and none of --passphrase-file, \
         --passphrase-fd, MCPID_PASSPHRASE, MCPID_ASKPASS and SSH_ASKPASS is given\n"
    );
    let ran = home.sh(&format!("MCPID_PASSPHRASE=x mcpid sign -k '{sealed}' --passphrase-file wrong --url {URL} body.json")).ends(2);
    assert!(
        ran.err.starts_with(
            "mcpid: two passphrases are given: --passphrase-file and MCPID_PASSPHRASE\n"
        ),
        "{}",
        ran.err
    );
    let fresh = Home::new();
    std::fs::remove_dir_all(fresh.path(".config")).unwrap();
    let folder = fresh.path(".config/mcpid");
    let folder = folder.to_str().unwrap();
    rows(
        &fresh,
        &[
            (
                &["sign", "--url", URL, "body.json"],
                3,
                &format!("cannot read {folder}/key.json: no such file"),
                &["mcpid keygen"],
            ),
            (
                &["verify", "body.json"],
                3,
                &format!("cannot read {folder}/trust.json: no such file"),
                &["mcpid trust add"],
            ),
        ],
    );
}

#[test]
fn a_time_is_given_in_two_ways_or_by_the_capture() {
    let home = Home::new();
    let s = home.capture("s");
    let time = "not an RFC 3339 time such as 2026-11-23T10:00:00Z, nor seconds since 1970 such as @1795773600, nor the word capture";
    for command in ["verify", "inspect"] {
        let help = format!("mcpid {command} --help");
        for wrong in ["nonsense", "2026-11-23", "1795773600", "", "now", "-1"] {
            let line = format!("--at cannot be '{wrong}': {time}");
            // The argument parser refuses an empty text with its own message.
            if wrong.is_empty() {
                home.mcpid(&[command, "--at", wrong, &s]).ends(2);
            } else {
                rows(&home, &[(&[command, "--at", wrong, &s], 2, &line, &[&help])]);
            }
        }
    }
}

#[test]
fn a_body_of_a_hundred_mebibytes_is_refused() {
    let home = Home::new();
    let size = 100 << 20;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n"
    );
    let signed = home.signed(&[]).well();
    let input = signed.header("Signature-Input").trim_end();
    let mut bytes = format!(
        "{head}Content-Digest: {}\r\nSignature-Input: {input}\r\nSignature: {}\r\n\r\n",
        signed.header("Content-Digest").trim_end(),
        signed.header("Signature").trim_end()
    )
    .into_bytes();
    bytes.resize(bytes.len() + size, b' ');
    home.write("huge", &bytes);
    let ran = home.verify(&["huge"]).ends(1);
    assert_eq!(
        ran.out,
        format!(
            "rejected at step 1 (limits): the body is 104857600 bytes long, 4194304 at most, \
             judged as of {} (--at)\n    target  POST {}\n",
            super::NOON_TEXT,
            super::URL
        )
    );
    let ran = home.verify(&["--max-body", "100MiB", "huge"]).ends(1);
    assert!(ran.out.starts_with("rejected at step 9 (digest): "), "{}", ran.out);
    bytes.drain(..bytes.len() - size);
    home.write("payload", &bytes);
    drop(bytes);
    rows(
        &home,
        &[
            (
                &["sign", "--url", URL, "payload"],
                3,
                "payload is larger than 67108864 bytes",
                &["a verifier takes 4 MiB, unless its --max-body says more"],
            ),
            (
                &["sign", "huge"],
                3,
                "huge is larger than 67108864 bytes",
                &["a verifier takes 4 MiB, unless its --max-body says more"],
            ),
        ],
    );
}

#[test]
fn received_text_cannot_fake_a_line_of_output() {
    let home = Home::new();
    let evil = "ev\u{1b}[31mil\nmcpid: all is well";
    let s = home.capture("s");
    std::fs::copy(home.path(&s), home.path(evil)).unwrap();
    let shown = "ev\\u{1b}[31mil\\u{a}mcpid: all is well";
    let ran = home.verify(&[evil, "nothing"]).ends(3);
    assert!(ran.out.starts_with(&format!("{shown} [0]: accepted")), "{}", ran.out);
    let ran = home.mcpid(&["inspect", &format!("{evil}x")]).ends(3);
    assert_eq!(
        ran.err.lines().next(),
        Some(&*format!("mcpid: cannot read {shown}x: no such file"))
    );
    // A header field cannot contain an escape character. Tags, nonces and bodies can contain other
    // characters that would affect a terminal.
    let ran =
        home.mcpid_on(&["verify"], b"POST / HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\r\n\r\n").ends(3);
    assert!(
        ran.err.starts_with("mcpid: stdin: line 3: byte 0x1b is a control character\n"),
        "{}",
        ran.err
    );
    let named = CALL.replace("get_weather", "get\\n    key      alice\\u001b[2J\\u009b");
    home.write("body.json", named);
    home.write("s", home.signed(&[]).ends(0).bytes);
    for command in ["verify", "inspect"] {
        let ran = home.mcpid(&[command, "--at", super::NOON_TEXT, "s"]).ends(0);
        let shown = r#"tools/call "get\u{a}    key      alice\u{1b}[2J\u{9b}" (name ambiguous: "#;
        assert!(ran.number("mcp").starts_with(shown), "{}", ran.number("mcp"));
        assert!(!ran.out.contains('\u{1b}'));
    }
    assert!(home.verify(&["s"]).out.contains(ALICE));
}
