//! Tests of the parser of witness policies: the example of C2SP `tlog-policy`, and files that
//! differ from a valid one in one point.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::note::{NoteKey, NoteKeyKind};
use mcpid::audit::witness::{PolicyError, Quorum, WitnessPolicy};
use mcpid::key::Sign as _;
use sha2::{Digest as _, Sha256};

use crate::fixtures;

fn vkey(name: &str, kind: NoteKeyKind, number: u8) -> String {
    NoteKey::new(name, kind, fixtures::key(number).public().clone()).unwrap().to_string()
}

fn log(number: u8) -> String {
    vkey("example.com/log", NoteKeyKind::Log, number)
}

fn witness(number: u8) -> String {
    vkey(&format!("w{number}.example.com"), NoteKeyKind::Witness, number)
}

/// Returns the text form of a public key (vkey) of kind ML-DSA-44, all of whose bytes are
/// `filling`.
fn ml_dsa(name: &str, filling: u8, length: usize) -> String {
    let mut bytes = vec![6];
    bytes.extend(vec![filling; length]);
    let digest = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&bytes);
    let id: String = digest.finalize()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}+{id}+{}", STANDARD.encode(bytes))
}

fn parse(text: &str) -> Result<WitnessPolicy, PolicyError> {
    WitnessPolicy::parse(text.as_bytes())
}

#[track_caller]
fn refused(text: &str, line: usize, why: &str) {
    let error = parse(text).unwrap_err();
    assert!(error.line == line && error.why.contains(why), "{error}\n{text}");
    assert!(!error.why.contains(char::is_control), "{error}");
}

/// Returns the example of the specification, which has two levels of groups.
fn example() -> String {
    let mut text = format!("log {}\n\n", log(200));
    for (at, name) in ["X1", "X2", "X3", "Y1", "Y2", "Y3"].iter().enumerate() {
        text += &format!("witness {name} {}\n", witness(at as u8 + 1));
        if *name == "X3" {
            text += "group X-witnesses 2 X1 X2 X3\n\n";
        }
    }
    text + "group Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
}

#[test]
fn the_example_of_the_specification_is_read() {
    let policy = parse(&example()).unwrap();
    assert_eq!(policy.described(), "2 of (2 of (X1, X2, X3), 1 of (Y1, Y2, Y3))");
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
    let met = |has: &[usize]| policy.quorum().is_met(&|place| has.contains(&place));
    for (has, wanted) in [
        (&[0, 1, 3][..], true),
        (&[1, 2, 5], true),
        (&[0, 1, 2], false),
        (&[0, 3, 4, 5], false),
        (&[3], false),
        (&[], false),
    ] {
        assert_eq!(met(has), wanted, "{has:?}");
    }
}

#[test]
fn white_space_comments_and_octets_are_as_the_specification_has_them() {
    let text = format!(
        " \t# log nonsense\n\t log\t{} \t https://example.com/é\n\n \t \nwitness none1 {} ftp://whatever?\n\
         witness \u{212a} {}\nwitness K {}\ngroup g 1 none1 \u{212a} K\nquorum g\n# the end\n",
        log(200),
        witness(1),
        witness(2),
        witness(3)
    );
    assert_eq!(parse(&text).unwrap().described(), "1 of (none1, \u{212a}, K)");
    // Names are bytes, which need not be UTF-8.
    let mut bytes = format!("witness ?a {}\nwitness ?b {}\n", witness(1), witness(2)).into_bytes();
    for at in [8, 8 + bytes.iter().position(|b| *b == b'\n').unwrap() + 1] {
        assert_eq!(bytes[at], b'?');
        bytes[at] = 0xff;
    }
    bytes.extend(b"quorum \xffb\n");
    assert_eq!(*WitnessPolicy::parse(&bytes).unwrap().quorum(), Quorum::Witness(1));
    assert_eq!(*parse("quorum none\n").unwrap().quorum(), Quorum::None);
    assert_eq!(parse(&format!("quorum none\nlog {}\n", log(200))).unwrap().logs().len(), 1);
}

#[test]
fn a_malformed_policy_line_is_refused_with_its_number() {
    let (log, w1, w2) = (log(200), witness(1), witness(2));
    let two = format!("witness a {w1}\nwitness b {w2}\n");
    for (text, line, why) in [
        (String::new(), 1, "no quorum line"),
        (format!("log {log}\n"), 1, "no quorum line"),
        (format!("{two}quorum a\nquorum a\n"), 4, "a second quorum: line 3"),
        (format!("{two}quorum a\nquorum none\n"), 4, "a second quorum: line 3"),
        (format!("{two}quorum c\n"), 3, "\"c\" is defined on no line above"),
        (format!("quorum a\n{two}"), 1, "is defined on no line above"),
        (format!("{two}quorum a b\n"), 3, "wanted is: quorum NAME"),
        (format!("{two}quorum\n"), 3, "wanted is: quorum NAME"),
        (format!("{two}quorum a # yes\n"), 3, "wanted is: quorum NAME"),
        (format!("{two}QUORUM a\n"), 3, "\"QUORUM\" is none of log"),
        (format!("{two}quorum a"), 3, "no newline"),
        (format!("{two}quorum a\r\n"), 3, "CRLF"),
        (format!("{two}quorum\u{b}a\n"), 3, "control character 0x0b"),
        (format!("{two}quorum a\u{7f}\n"), 3, "control character 0x7f"),
        (format!("{two}quorum a\0\n"), 3, "control character 0x00"),
        (format!("\u{feff}{two}quorum a\n"), 1, "byte order mark"),
        (format!("{two}quorum\u{a0}a\n"), 3, "is none of log"),
        // A name is used twice, or is the reserved name `none`.
        (format!("witness a {w1}\nwitness a {w2}\nquorum a\n"), 2, "that of line 1 too"),
        (format!("{two}group a any b\nquorum a\n"), 3, "that of line 1 too"),
        (format!("{two}group g any a\ngroup g any b\nquorum g\n"), 4, "that of line 3 too"),
        (format!("witness none {w1}\nquorum none\n"), 1, "the name none"),
        (format!("{two}group none any a\nquorum none\n"), 3, "the name none"),
        // A group's threshold or one of its members is wrong.
        (format!("{two}group g any\nquorum g\n"), 3, "wanted is: group"),
        (format!("{two}group g 0 a b\nquorum g\n"), 3, "the threshold 0 of 2"),
        (format!("{two}group g 3 a b\nquorum g\n"), 3, "the threshold 3 of 2"),
        (format!("{two}group g 02 a b\nquorum g\n"), 3, "all, any or a number"),
        (format!("{two}group g +1 a b\nquorum g\n"), 3, "all, any or a number"),
        (format!("{two}group g -1 a b\nquorum g\n"), 3, "all, any or a number"),
        (format!("{two}group g ALL a b\nquorum g\n"), 3, "all, any or a number"),
        (format!("{two}group g 99999999999999999999 a b\nquorum g\n"), 3, "all, any or a number"),
        (format!("{two}group g 2 a c\nquorum g\n"), 3, "\"c\" is defined on no line above"),
        (format!("{two}group g 2 a a\nquorum g\n"), 3, "a member of the group of line 3 already"),
        (
            format!("{two}group g any a\ngroup h all g a\nquorum h\n"),
            4,
            "a member of the group of line 3 already",
        ),
        (format!("{two}group g any a none\nquorum g\n"), 3, "none is no member"),
        (format!("{two}group g any g\nquorum g\n"), 3, "a member of itself"),
        (format!("{two}group g any h\ngroup h any g\nquorum h\n"), 3, "defined on no line above"),
        // Two lines have the same key, or the key of a line is wrong.
        (format!("log {log}\nlog {log}\nquorum none\n"), 2, "the key is that of line 1 too"),
        (
            format!(
                "log {log}\nlog {}\nquorum none\n",
                vkey("example.com/other", NoteKeyKind::Log, 200)
            ),
            2,
            "the key is that of line 1 too",
        ),
        (
            format!("witness a {w1}\nwitness b {}\nquorum a\n", vkey("x", NoteKeyKind::Witness, 1)),
            2,
            "the key is that of line 1 too",
        ),
        (
            format!("log {log}\nwitness a {}\nquorum a\n", vkey("x", NoteKeyKind::Witness, 200)),
            2,
            "the key is that of line 1 too",
        ),
        (format!("log {w1}\nquorum none\n"), 1, "that of a witness (type 0x04)"),
        (format!("witness a {log}\nquorum a\n"), 1, "that of a log (type 0x01)"),
        ("log\nquorum none\n".to_owned(), 1, "wanted is: log VKEY"),
        (format!("log {log} u v\nquorum none\n"), 1, "wanted is: log VKEY"),
        ("witness a\nquorum a\n".to_owned(), 1, "wanted is: witness NAME"),
        (format!("witness a {w1} u v\nquorum a\n"), 1, "wanted is: witness NAME"),
        (format!("witness a {}\nquorum a\n", &w1[..w1.len() - 4]), 1, "the vkey"),
        (format!("witness a {}\nquorum a\n", w1.replace("w1", "w2")), 1, "the vkey: the hash"),
        (format!("witness a {}\nquorum a\n", w1.replacen('+', "-", 1)), 1, "the vkey: "),
    ] {
        refused(&text, line, why);
    }
    let long = format!("#{}\n", "a".repeat(256 * 1024));
    refused(&(long + "quorum none\n"), 1, "over 256 KiB");
    // The error does not repeat text of the file that may be a secret or is not printable.
    let error = parse(
        "witness a PRIVATE+KEY+x+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\nquorum a\n",
    );
    assert!(!error.unwrap_err().to_string().contains("AYEK"));
}

#[test]
fn a_quorum_that_needs_ml_dsa_is_refused_and_one_that_does_not_is_not() {
    let (pq, w1, w2) = (ml_dsa("pq.example.com", 7, 1312), witness(1), witness(2));
    let base = format!("witness a {w1}\nwitness b {w2}\nwitness pq {pq}\n");
    for (rest, wanted) in [
        ("group g 2 a b pq\nquorum g\n", Ok(())),
        ("group g any pq a\nquorum g\n", Ok(())),
        ("quorum none\n", Ok(())),
        ("group g 3 a b pq\nquorum g\n", Err(5)),
        ("quorum pq\n", Err(4)),
        ("group h any pq\ngroup g all a h\nquorum g\n", Err(6)),
    ] {
        match (parse(&format!("{base}{rest}")), wanted) {
            (Ok(policy), Ok(())) => assert!(policy.witnesses()[2].key.is_none()),
            (Err(error), Err(line)) => {
                assert_eq!(error.line, line, "{error}");
                assert!(error.why.contains("ML-DSA-44") && error.why.contains("\"pq\""), "{error}");
            }
            other => panic!("{rest} {other:?}"),
        }
    }
    refused(&format!("witness a {}\nquorum none\n", ml_dsa("x", 7, 1311)), 1, "1312 bytes");
    let wrong = pq.replacen("pq.", "qp.", 1);
    refused(&format!("witness a {wrong}\nquorum none\n"), 1, "the hash");
    let twice = format!("witness a {pq}\nwitness b {}\nquorum none\n", ml_dsa("y", 7, 1312));
    refused(&twice, 2, "the key is that of line 1 too");
    // If the policy names one log, and its key is of an unsupported kind, the policy is still only
    // for that log.
    let policy = parse(&format!("log {}\nwitness a {w1}\nquorum a\n", ml_dsa("l", 7, 1312)));
    let own = log(200).parse().unwrap();
    assert!(!policy.unwrap().is_for(&own));
    assert!(parse(&format!("witness a {w1}\nquorum a\n")).unwrap().is_for(&own));
    assert!(!parse(&format!("log {}\nquorum none\n", log(201))).unwrap().is_for(&own));
}

#[test]
fn only_witnesses_that_can_be_reached_make_a_quorum_that_can_be_asked_for() {
    let own = log(200).parse().unwrap();
    let check = |url: &str| {
        let text = format!("witness a {} {url}\nquorum a\n", witness(1));
        parse(&text).unwrap().check(&own).map_err(|e| e.to_string())
    };
    for url in [
        "https://w.example.com",
        "https://w.example.com/",
        "https://w.example.com:8443/a/b/",
        "http://127.0.0.1:7380",
        "http://[::1]:7380/",
        "http://localhost:1/x",
    ] {
        assert_eq!(check(url), Ok(()), "{url}");
    }
    for url in [
        "http://w.example.com",
        "http://localhost.example.com/",
        "ftp://w.example.com",
        "w.example.com",
        "https://",
        "https://user:p4ssw0rd@w.example.com/",
        "https://w.example.com/?a=b",
        "https://w.example.com/#a",
        "https://w.ex\u{e4}mple.com/",
        "https://w.example.com:99999/",
        "unix:/run/w.sock",
        "",
    ] {
        let error = check(url).unwrap_err();
        assert!(error.starts_with("line ") && !error.contains("p4ss"), "{url} {error}");
    }
    let text = format!("witness a {} http://127.0.0.1:1\nwitness b {}\n", witness(1), witness(2));
    let check = |rest: &str| parse(&format!("{text}{rest}")).unwrap().check(&own);
    assert!(check("group g any a b\nquorum g\n").is_ok());
    assert_eq!(check("group g all a b\nquorum g\n").unwrap_err().line, 4);
    assert_eq!(check("quorum b\n").unwrap_err().line, 3);
    assert!(check("quorum none\n").is_ok());
    assert!(parse("quorum none\n").unwrap().check(&own).is_err());
}
