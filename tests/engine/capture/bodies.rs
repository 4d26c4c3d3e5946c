//! Tests of bodies of captured requests: lengths, chunks and trailers.

use mcpid::message::capture::{CaptureFault, MAX_HEAD};

use super::{BODY, CHUNKED, LIMIT, PLAIN, changed, parse, wrong};

#[test]
fn content_length_has_one_spelling() {
    for length in [
        "+13",
        "-13",
        "0x0d",
        "13, 13",
        "13,13",
        "13;",
        "013",
        "00",
        "1 3",
        "13 ",
        "13\t",
        " 13",
        "\t13",
        "",
        "1e1",
        "13.0",
        "\u{661}\u{663}",
        "99999999999999999999",
        "thirteen",
    ] {
        let line = format!("Content-Length: {length}");
        let (number, fault) = changed(PLAIN, "Content-Length: 13", &line);
        assert!(number == 7 && matches!(fault, CaptureFault::Length(_)), "{length:?}: {fault:?}");
    }
    assert!(parse(&PLAIN.replace("Length: 13", "Length:13")).is_ok());
    for second in ["13", "12"] {
        let lines = format!("Content-Length: 13\r\nContent-Length: {second}");
        let wanted = (8, CaptureFault::LengthRepeated { first: 7 });
        assert_eq!(changed(PLAIN, "Content-Length: 13", &lines), wanted);
    }
}

#[test]
fn an_error_names_both_lengths_where_they_differ() {
    let shorter = changed(PLAIN, "h: 13", "h: 12");
    assert_eq!(shorter, (7, CaptureFault::BodyLong { says: 12, follow: 13 }));
    let longer = changed(PLAIN, "h: 13", "h: 14");
    assert_eq!(longer, (7, CaptureFault::BodyCut { says: 14, follow: 13 }));
    let error = parse(&PLAIN.replace("h: 13", "h: 120").replace("{\"id\":1,\n", "")).err().unwrap();
    assert_eq!(error.to_string(), "line 7: content-length says 120, 4 bytes follow");
    let none = changed(PLAIN, "Content-Length: 13\r\n", "");
    assert_eq!(none, (8, CaptureFault::BodyUnannounced { follow: 13 }));
    // An editor that adds a newline at the end makes the body one byte longer than announced.
    assert_eq!(wrong(&format!("{PLAIN}\n")), (7, CaptureFault::BodyLong { says: 13, follow: 14 }));
    // A second request after the first one is refused.
    let two = "GET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\nHost: a\n\n";
    assert_eq!(wrong(two), (4, CaptureFault::BodyUnannounced { follow: 24 }));
    assert_eq!(
        changed(PLAIN, "h: 13", "h: 4097"),
        (7, CaptureFault::BodyTooLarge { size: 4097, limit: LIMIT })
    );
    let huge = u64::MAX.to_string();
    assert!(matches!(
        changed(PLAIN, "h: 13", &format!("h: {huge}")).1,
        CaptureFault::BodyTooLarge { .. }
    ));
}

#[test]
fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let plain = |size: usize| {
        format!("POST / HTTP/1.1\nHost: a\nContent-Length: {size}\n\n{}", "x".repeat(size))
    };
    assert_eq!(parse(&plain(4096)).unwrap().body().len(), 4096);
    assert!(matches!(wrong(&plain(4097)).1, CaptureFault::BodyTooLarge { size: 4097, .. }));
    let chunks = |count: usize| {
        let chunk = format!("400\n{}\n", "x".repeat(1024)).repeat(count);
        format!("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n{chunk}0\n\n")
    };
    assert_eq!(parse(&chunks(4)).unwrap().body().len(), 4096);
    assert_eq!(wrong(&chunks(5)), (13, CaptureFault::BodyTooLarge { size: 5120, limit: LIMIT }));
}

#[test]
fn transfer_encoding_is_chunked_and_alone() {
    assert_eq!(parse(CHUNKED).unwrap().body(), BODY);
    assert!(parse(CHUNKED).unwrap().is_chunked());
    assert!(parse(&CHUNKED.replace("chunked", "CHUNKED")).is_ok());
    for coding in [
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "identity",
        "xchunked",
        "chunked;q=1",
        "",
        "\"chunked\"",
        "chunked,",
        " chunked",
        "chunked ",
        "chunke",
    ] {
        let line = format!("Transfer-Encoding: {coding}");
        let (number, fault) = changed(CHUNKED, "Transfer-Encoding: chunked", &line);
        assert!(number == 3 && matches!(fault, CaptureFault::Coding(_)), "{coding:?}: {fault:?}");
    }
    let both = "Transfer-Encoding: chunked\r\n";
    for (lines, first) in [
        ("Transfer-Encoding: chunked\r\nContent-Length: 13\r\n", 3),
        ("Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", 3),
        ("Transfer-Encoding: chunked\r\nX: y\r\nTransfer-Encoding: chunked\r\n", 3),
    ] {
        let (line, fault) = changed(CHUNKED, both, lines);
        assert_eq!(
            (line, fault),
            (2 + lines.lines().count(), CaptureFault::LengthAndCoding { first })
        );
    }
}

#[test]
fn chunks_have_one_spelling() {
    for size in ["", "-9", "+9", "0x9", "9 ", " 9", "9h", "g", "00000000000000009", "9\t"] {
        let (line, fault) = changed(CHUNKED, "9\r\n", &format!("{size}\r\n"));
        let control = size == "9\t" && line == 5;
        assert!(
            line == 5 && (control || matches!(fault, CaptureFault::ChunkSize(_))),
            "{size:?} {fault}"
        );
    }
    for extension in ["9;a=b", "9;", "9;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let line = format!("{extension}\r\n");
        assert_eq!(changed(CHUNKED, "9\r\n", &line), (5, CaptureFault::ChunkExtension));
    }
    assert_eq!(changed(CHUNKED, "9\r\n", "8\r\n"), (5, CaptureFault::ChunkEnd { size: 8 }));
    assert!(matches!(changed(CHUNKED, "9\r\n", "a\r\n"), (5, CaptureFault::ChunkEnd { size: 10 })));
    // The line number of the second chunk takes the line feed in the first chunk into account.
    assert_eq!(changed(CHUNKED, "004", "00x"), (8, CaptureFault::ChunkSize("00x".into())));
    assert!(matches!(
        changed(CHUNKED, "004", "fffffffffffffff").1,
        CaptureFault::BodyTooLarge { .. }
    ));
    assert!(matches!(
        changed(CHUNKED, "004", "ffffffffffffffff").1,
        CaptureFault::BodyTooLarge { .. }
    ));
    assert_eq!(wrong(&format!("{CHUNKED}x")), (12, CaptureFault::AfterLastChunk { follow: 1 }));
    assert_eq!(wrong(&format!("{CHUNKED}\r\n")), (12, CaptureFault::AfterLastChunk { follow: 2 }));
    let cut = CHUNKED.replace("004\r\n", "f00\r\n");
    assert_eq!(wrong(&cut), (8, CaptureFault::ChunkCut));
}

#[test]
fn trailer_fields_are_dropped_unless_they_would_steer() {
    let with = |line: &str| CHUNKED.replace("0\r\n\r\n", &format!("0\r\n{line}\r\n\r\n"));
    let text = with("X-Checksum: 1\r\nExpires: 0");
    let captured = parse(&text).unwrap();
    assert_eq!((captured.trailers(), captured.body()), (2, BODY));
    assert!(!captured.head().has("x-checksum"));
    for name in [
        "Signature",
        "signature-input",
        "Signature-Agent",
        "Content-Digest",
        "Repr-Digest",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Content-Type",
        "Content-Encoding",
        "Authorization",
        "Cookie",
        "DPoP",
        "Mcp-Method",
        "MCP-Session-Id",
        "Last-Event-ID",
        "Connection",
        "Trailer",
        "Content_Type",
        "Mcp_Session-Id",
    ] {
        let (line, fault) = wrong(&with(&format!("{name}: x")));
        assert_eq!((line, fault), (11, CaptureFault::Trailer(name.to_ascii_lowercase())));
    }
    assert_eq!(wrong(&with("X: y\r\n z")), (12, CaptureFault::Folded));
    assert_eq!(wrong(&with("X")), (11, CaptureFault::NoColon));
    assert_eq!(wrong(&with("X: \x01")), (11, CaptureFault::Control(1)));
    let long = with(&format!("X: {}", "y".repeat(MAX_HEAD)));
    assert!(matches!(wrong(&long).1, CaptureFault::HeadTooLarge { .. }));
}
