//! Tests of `Content-Digest`: the examples of RFC 9530, and values that differ from them in one
//! respect.

use mcpid::message::digest::{Algorithm, ContentDigest, DigestError, content_digest};
use mcpid::message::{Head, RequestTarget};
use proptest::prelude::*;

/// The content in RFC 9530 appendix B.1: `{"hello": "world"}` with a line feed at its end.
const HELLO: &[u8] = b"{\"hello\": \"world\"}\n";
const HELLO_256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";

/// The content of the examples in RFC 9530 appendix D and RFC 9421 appendix B.2, which has no line
/// feed at its end.
const WORLD: &[u8] = b"{\"hello\": \"world\"}";
const WORLD_256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
const WORLD_512: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

fn head(lines: &[&str]) -> Head<'static> {
    let mut head = Head::new("POST", RequestTarget::Origin("/".into())).unwrap();
    head.push("host", &b"a.example"[..]).unwrap();
    for line in lines {
        head.push("Content-Digest", line.as_bytes().to_vec()).unwrap();
    }
    head
}

fn check(lines: &[&str], body: &[u8]) -> Result<(), DigestError> {
    ContentDigest::read(&head(lines))?.check(body)
}

#[test]
fn the_digests_of_the_rfcs_are_reproduced() {
    assert_eq!(content_digest(HELLO), HELLO_256);
    assert_eq!(content_digest(WORLD), WORLD_256);
    // An empty body has a digest too (RFC 9530 appendix B.2).
    let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    assert_eq!(content_digest(b""), empty);
    assert_eq!(check(&[empty], b""), Ok(()));
    assert_eq!(check(&[HELLO_256], HELLO), Ok(()));
    assert_eq!(check(&[WORLD_256], WORLD), Ok(()));
    assert_eq!(check(&[WORLD_512], WORLD), Ok(()));
}

#[test]
fn every_digest_of_a_known_algorithm_must_match() {
    let both = format!("{WORLD_256}, {WORLD_512}");
    assert_eq!(check(&[&both], WORLD), Ok(()));
    assert_eq!(check(&[WORLD_512, WORLD_256], WORLD), Ok(()));
    for (lines, wrong) in [
        ([HELLO_256, WORLD_512], Algorithm::Sha256),
        ([WORLD_512, HELLO_256], Algorithm::Sha256),
        ([WORLD_256, &WORLD_512.replace("WZ", "WY")], Algorithm::Sha512),
    ] {
        let error = check(&lines, WORLD).unwrap_err();
        assert!(matches!(error, DigestError::Mismatch { algorithm, .. } if algorithm == wrong));
    }
}

#[test]
fn a_digest_mismatch_names_both_digests() {
    let error = check(&[HELLO_256], WORLD).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the sha-256 of the 18 bytes received is X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=, \
         content-digest says RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="
    );
    for body in [b"".as_slice(), b"{\"hello\": \"world\"} ", b"{\"hello\": \"World\"}"] {
        assert!(matches!(check(&[WORLD_256], body), Err(DigestError::Mismatch { .. })));
    }
}

#[test]
fn digests_of_other_algorithms_do_not_count() {
    let md5 = "md5=:7Qdih1MuhjZehB6Sv8UNjA==:";
    assert_eq!(check(&[&format!("{md5}, {WORLD_256}, x;a=1, y=(1 2)")], WORLD), Ok(()));
    let missing = |lines: &[&str]| match check(lines, WORLD) {
        Err(DigestError::Missing { algorithms }) => algorithms,
        other => panic!("{lines:?}: {other:?}"),
    };
    assert_eq!(missing(&[]), [""; 0]);
    assert_eq!(missing(&[""]), [""; 0]);
    assert_eq!(missing(&[md5]), ["md5"]);
    assert_eq!(missing(&[md5, "sha=:AA==:, unixsum=?1"]), ["md5", "sha", "unixsum"]);
    assert_eq!(missing(&["sha-384=:AA==:"]), ["sha-384"]);
    let error = check(&[md5], WORLD).unwrap_err();
    assert_eq!(error.to_string(), "content-digest lists md5, but neither sha-256 nor sha-512");
    assert_eq!(check(&[], WORLD).unwrap_err().to_string(), "there is no content-digest");
}

#[test]
fn a_digest_is_bytes_of_its_length() {
    let raw = WORLD_256.strip_prefix("sha-256=:").unwrap().strip_suffix(':').unwrap();
    for value in [
        "?1".to_owned(),
        "5".to_owned(),
        "token".to_owned(),
        format!("\"{raw}\""),
        format!("(:{raw}:)"),
        "::".to_owned(),
        ":AA==:".to_owned(),
        WORLD_512.replace("sha-512=", ""),
        ":X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBA==:".to_owned(),
        ":X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPEA:".to_owned(),
    ] {
        let error = check(&[&format!("sha-256={value}")], WORLD).unwrap_err();
        assert!(
            matches!(error, DigestError::Invalid { algorithm: Algorithm::Sha256, expected: 32 }),
            "{value}: {error}"
        );
        // A malformed `sha-256` is refused even if a valid `sha-512` stands beside it.
        let error = check(&[WORLD_512, &format!("sha-256={value}")], WORLD).unwrap_err();
        assert!(matches!(error, DigestError::Invalid { .. }), "{value}: {error}");
    }
    let error = check(&[&WORLD_256.replace("256", "512")], WORLD).unwrap_err();
    assert_eq!(error.to_string(), "sha-512 in content-digest is not 64 bytes");
    assert!(matches!(check(&["sha-256"], WORLD), Err(DigestError::Invalid { .. })));
}

#[test]
fn a_digest_in_a_second_spelling_is_refused() {
    for value in [
        WORLD_256.replace("PE=", "PE"),
        WORLD_256.replace("PE=", "PF="),
        WORLD_256.replace("X48", "X4 8"),
        WORLD_256.replace("=:X", "= :X"),
        WORLD_256.replace("sha", "SHA"),
        WORLD_256.replace("=:X", ":X"),
        WORLD_256.trim_end_matches(':').to_owned(),
        format!("{WORLD_256},"),
        format!(",{WORLD_256}"),
        format!("{WORLD_256} {WORLD_512}"),
        format!("{WORLD_256};"),
        format!("{WORLD_256}, {WORLD_256}"),
        format!("{HELLO_256}, {WORLD_256}"),
        format!("{WORLD_256}, md5=:A:"),
        format!("{WORLD_256}, md5=:AB==:"),
        format!("{WORLD_256}, md5=1, md5=1"),
        format!("{WORLD_256}, md5;a;a"),
        format!("{WORLD_256}\u{e4}"),
        format!("\"{WORLD_256}\""),
        "X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=".to_owned(),
        // This is the format of RFC 3230, which RFC 9530 replaced.
        "sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=".to_owned(),
    ] {
        let error = check(&[&value], WORLD).unwrap_err();
        assert!(matches!(error, DigestError::Malformed(_)), "{value}: {error}");
    }
    // All lines of the field form one dictionary, so a key that occurs in two lines is repeated
    // too.
    for lines in [[WORLD_256, WORLD_256], [HELLO_256, WORLD_256], [WORLD_256, ""]] {
        let error = check(&lines, WORLD).unwrap_err();
        assert!(matches!(error, DigestError::Malformed(_)), "{lines:?}: {error}");
    }
}

proptest! {
    #[test]
    fn our_own_digest_holds_for_its_body_only(body in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
        let line = content_digest(&body);
        prop_assert_eq!(check(&[&line], &body), Ok(()));
        prop_assert_eq!(check(&[&line], &other).is_ok(), body == other);
    }

    #[test]
    fn every_flipped_bit_of_the_body_shows(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut body = WORLD.to_vec();
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        for line in [WORLD_256, WORLD_512] {
            let mismatched = matches!(check(&[line], &body), Err(DigestError::Mismatch { .. }));
            prop_assert!(mismatched);
        }
    }

    #[test]
    fn every_change_of_the_digest_field_is_found(at in any::<prop::sample::Index>(), byte in b' '..b'~') {
        let mut line = WORLD_256.as_bytes().to_vec();
        let at = at.index(line.len());
        prop_assume!(line[at] != byte);
        line[at] = byte;
        let line = String::from_utf8(line).unwrap();
        // Changes that only add blanks at the end are skipped, because those are not part of a
        // field's value.
        prop_assume!(line.trim() != WORLD_256);
        prop_assert!(check(&[&line], WORLD).is_err());
    }
}
