//! Tests with generated and with damaged captures.

use mcpid::message::capture::{Captured, Edit};
use mcpid::message::detect;
use proptest::prelude::*;

use super::{CHUNKED, LIMIT, PLAIN, parse};

#[test]
fn every_cut_is_an_error_and_says_that_more_could_follow() {
    for text in [PLAIN, CHUNKED] {
        for cut in 0..text.len() {
            let error = parse(&text[..cut]).expect_err(&text[..cut]);
            assert!(error.is_incomplete(), "{cut}: {error}");
        }
    }
    let error = parse(&PLAIN.replace("Host", "H\u{1}st")).unwrap_err();
    assert!(!error.is_incomplete());
}

#[test]
fn a_request_is_printed_again_byte_for_byte() {
    for text in [PLAIN.to_owned(), CHUNKED.to_owned(), CHUNKED.replace("\r\n", "\n")] {
        let captured = parse(&text).unwrap();
        let same = captured.print(None, |_| Edit::Keep, &[]).unwrap();
        assert_eq!(String::from_utf8(same).unwrap(), text);
    }
    let captured = parse(PLAIN).unwrap();
    let edit = |field: &mcpid::message::Field<'_>| match field.name() {
        "accept" => Edit::Drop,
        "content-type" => Edit::Value("text/plain".into()),
        _ => Edit::Keep,
    };
    let signed =
        captured.print(Some("https://a/b"), edit, &[("Signature", "mcp=:AA==:"), ("X", "")]);
    assert_eq!(
        String::from_utf8(signed.unwrap()).unwrap(),
        PLAIN
            .replace("/mcp?a=%41", "https://a/b")
            .replace("Accept: a\r\nAccept:  b \t\r\n", "")
            .replace("application/json", "text/plain")
            .replace("13\r\n", "13\r\nSignature: mcp=:AA==:\r\nX: \r\n")
    );
    // The name or value of an added field cannot be used to add a second line.
    for (name, value) in [("X", "a\r\nY: b"), ("X: a\r\nY", "b"), ("", "b"), ("X", "\0")] {
        assert!(captured.print(None, |_| Edit::Keep, &[(name, value)]).is_err(), "{name:?}");
    }
    let broken = |_: &mcpid::message::Field<'_>| Edit::Value("a\nb".into());
    assert!(captured.print(None, broken, &[]).is_err());
}

/// A generator of requests with a random change at one position.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![Just(PLAIN), Just(CHUNKED)];
    (text, any::<prop::sample::Index>(), any::<u8>(), 0..3_u8).prop_map(|(text, at, byte, how)| {
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
        bytes
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_capture_reader_panic(bytes in any::<Vec<u8>>()) {
        let _ = Captured::parse(&bytes, LIMIT);
        let _ = detect(&bytes);
    }

    /// A capture that is accepted is read in the same way by another parser, and printing it gives
    /// the same bytes.
    #[test]
    fn an_accepted_capture_is_read_alike_by_another_parser(bytes in mutated()) {
        if let Ok(captured) = Captured::parse(&bytes, LIMIT) {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut other = httparse::Request::new(&mut fields);
            prop_assert!(other.parse(&bytes).unwrap().is_complete());
            prop_assert_eq!(other.method, Some(captured.head().method()));
            prop_assert_eq!(other.headers.len(), captured.head().fields().len());
            for (theirs, ours) in other.headers.iter().zip(captured.head().fields()) {
                prop_assert_eq!(theirs.name.to_ascii_lowercase(), ours.name());
                prop_assert_eq!(theirs.value.trim_ascii(), ours.value());
            }
            prop_assert_eq!(captured.print(None, |_| Edit::Keep, &[]).unwrap(), bytes);
        }
    }
}
