//! Tests of trust files that are refused.

use super::*;

#[test]
fn a_mistake_in_an_entry_is_an_error() {
    let good = set(&[jwk(&key(2), ""), jwk(&key(1), FULL)]);
    parse(&good).unwrap();
    for (from, to, why) in [
        // An unknown or misspelt member is an error, because the limit that it should set would
        // have no effect.
        (r#""allow":"#, r#""allows":"#, "\"allows\" of \"mcpid\" is not known"),
        (r#""revoked_at":"#, r#""revokedAt":"#, "\"revokedAt\" of \"mcpid\" is not known"),
        (r#""not_after":"#, r#""Not_after":"#, "is not known"),
        (r#""mcpid":"#, r#""MCPID":"#, "must be spelled \"mcpid\""),
        (r#""mcpid":"#, r#""mcpId":"#, "must be spelled \"mcpid\""),
        // A member has a value of a wrong type.
        (r#""name":"alice""#, r#""name":null"#, "\"name\" is null, not a string"),
        (r#""name":"alice""#, r#""name":["alice"]"#, "\"name\" is an array"),
        (r#"["alice-laptop","ci"]"#, r#""ci""#, "\"client_ids\" is not an array of strings"),
        (r#"["alice-laptop","ci"]"#, r#"["ci",1]"#, "\"client_ids\" is not an array of strings"),
        (r#"["alice-laptop","ci"]"#, "null", "\"client_ids\" is not an array of strings"),
        (r#""2026-01-01T00:00:00Z""#, "1767225600", "\"not_before\" is a number"),
        (r#""2026-01-01T00:00:00Z""#, r#""2026-01-01""#, "\"not_before\" is not an RFC 3339"),
        (r#""2026-11-23T10:00:00.9Z""#, r#""now""#, "\"revoked_at\" is not an RFC 3339"),
        (r#""2026-11-23T10:00:00.9Z""#, "true", "\"revoked_at\" is a boolean"),
        (r#"["tools/call:get_*","resources/*"]"#, r#""*""#, "\"allow\" is not an array of strings"),
        (r#""resources/*""#, r#""resources/*:""#, "\"allow\" holds \"resources/*:\""),
        (r#""resources/*""#, r#""""#, "\"allow\" holds \"\""),
        (r#""resources/*""#, "{}", "\"allow\" is not an array of strings"),
        (r#""2027-01-01T00:00:00+01:00""#, r#""2026-01-01T00:00:00Z""#, "is not later than"),
        (r#""mcpid":{"#, r#""mcpid":[],"m":{"#, "belongs into \"mcpid\""),
        (r#""kid":"one""#, r#""kid":1"#, "\"kid\" is a number"),
        (r#""use":"sig""#, r#""use":null"#, "\"use\" is null"),
        (r#"["verify"]"#, r#""verify""#, "\"key_ops\" is a string"),
        (r#""alg":"EdDSA""#, r#""alg":["EdDSA"]"#, "\"alg\" is an array"),
        // The JWK members of the key itself are malformed.
        (x(&key(1)).as_str(), "AA", "\"x\" has 1 bytes"),
        (x(&key(1)).as_str(), &format!("{}=", x(&key(1))), "base64url"),
        (x(&key(1)).as_str(), &URL_SAFE_NO_PAD.encode([0xff; 32]), "canonical"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        match parse(&text).expect_err(to) {
            TrustError::Entry { position: 2, why: said } => {
                assert!(said.contains(why), "{to}: {said}");
            }
            other => panic!("{to}: {other:?}"),
        }
    }
    // If an entry without limits has a malformed key, the key is just unknown, which is safe.
    for (from, why) in
        [(r#""kty":"OKP","#, "\"kty\" is missing"), (r#""crv":"Ed25519","#, "\"crv\"")]
    {
        let file = parse(&good.replacen(from, "", 1)).unwrap();
        assert_eq!(file.entries().len(), 1);
        let note = &file.notes()[0].text;
        assert!(note.starts_with("key 1 is passed over: ") && note.contains(why), "{note}");
    }
}

#[test]
fn duplicates_at_any_level_are_errors() {
    let good = set(&[jwk(&key(1), FULL)]);
    for member in [r#""keys":"#, r#""kty":"OKP","#, r#""name":"alice","#, r#""use":"sig","#] {
        let twice = match member {
            r#""keys":"# => good.replacen(member, r#""keys":[],"keys":"#, 1),
            _ => good.replacen(member, &format!("{member}{member}"), 1),
        };
        let error = parse(&twice).unwrap_err();
        assert!(matches!(error, TrustError::Json(_)), "{member}");
        assert!(error.to_string().contains("stands twice at line"), "{error}");
    }
    let deep = good.replacen(r#""x5u":"https://x""#, r#""x5u":[{"a":{"b":1,"\u0062":2}}]"#, 1);
    assert!(matches!(parse(&deep), Err(TrustError::Json(_))));
}

#[test]
fn a_repeated_key_is_an_error_and_a_repeated_kid_is_not() {
    let one = r#","kid":"one""#;
    let same_key = set(&[jwk(&key(2), ""), jwk(&key(1), ""), jwk(&key(1), one)]);
    let said = parse(&same_key).unwrap_err().to_string();
    assert_eq!(said, format!("keys 2 and 3 are the same key, {}", key(1).id()));
    for passed_over in [r#","use":"enc""#, r#","alg":"ES256""#, r#","key_ops":[]"#] {
        let twice = set(&[jwk(&key(1), passed_over), jwk(&key(1), "")]);
        assert!(matches!(parse(&twice), Err(TrustError::Repeated { first: 1, second: 2, .. })));
    }
    // Several keys may share a kid (RFC 7517 section 4.5). The verifier tries all of them.
    let same_kid = set(&[jwk(&key(1), one), jwk(&key(2), ""), jwk(&key(3), one)]);
    let registry = merged(&[&same_kid]);
    assert_eq!(
        registry.by_kid("one").map(|entry| entry.key().clone()).collect::<Vec<_>>(),
        [key(1), key(3)]
    );
}

#[test]
fn private_keys_are_refused() {
    for secret in [
        jwk(&key(1), r#","d":"AA""#),
        jwk(&key(1), r#","d":null"#),
        r#"{"kty":"RSA","n":"AA","e":"AQAB","d":"AA"}"#.to_owned(),
        r#"{"kty":"oct","k":"AA"}"#.to_owned(),
    ] {
        let error = parse(&set(&[jwk(&key(2), ""), secret.clone()])).unwrap_err();
        assert!(matches!(error, TrustError::PrivateKey { position: 2 }), "{secret}");
        assert!(parse(&secret).is_err());
    }
}

#[test]
fn keys_for_other_uses_are_passed_over_with_a_note() {
    let others = [
        r#"{"kty":"RSA","n":"AA","e":"AQAB"}"#.to_owned(),
        r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(),
        r#"{"kty":"AKP","pub":"AA","alg":"ML-DSA-44"}"#.to_owned(),
        jwk(&key(2), r#","use":"enc""#),
        jwk(&key(3), r#","key_ops":["sign"]"#),
        jwk(&key(4), r#","key_ops":[]"#),
        jwk(&key(5), r#","alg":"ES256""#),
        jwk(&key(1), ""),
    ];
    let file = parse(&set(&others)).unwrap();
    assert_eq!(file.entries().len(), 1);
    assert_eq!(file.notes().len(), 8);
    for (at, words) in [
        "an RSA key",
        "a key on the curve \"P-384\"",
        "an X25519 key",
        "\"AKP\"",
        "\"use\"",
        "\"key_ops\"",
        "\"key_ops\"",
        "\"alg\"",
    ]
    .iter()
    .enumerate()
    {
        let text = &file.notes()[at].text;
        let start = format!("key {} is passed over", at + 1);
        assert!(text.starts_with(&start) && text.contains(words), "{text}");
    }
    let none = parse(&set(&others[..4])).unwrap();
    assert_eq!(
        none.notes().last().unwrap().text,
        "holds no key that may verify: an Ed25519 or P-256 key is needed"
    );
    assert_eq!(parse(&set(&[])).unwrap().notes()[0].text, "holds no keys");
}

#[test]
fn a_limit_at_the_wrong_level_is_refused() {
    let beside = set(&[jwk(&key(1), "")]).replacen('{', r#"{"mcpid":{"allow":[]},"#, 1);
    assert!(parse(&beside).is_err());
}

#[test]
fn a_file_that_is_no_trust_file_is_reported_as_such() {
    let secret = SecretKey::from_seed(&[0x3c; 32]);
    let keyfile = Keyfile::plain(&secret, "a", Timestamp::from_unix(0)).unwrap().to_json();
    for (text, words) in [
        ("[]", "an array, not a JWK set or a JWK"),
        ("7", "a number, not a JWK set or a JWK"),
        ("{}", "an object, not a JWK set or a JWK"),
        (r#"{"keys":{}}"#, "an object, not"),
        (r#"{"keys":[],"kty":"OKP"}"#, "\"keys\" and \"kty\""),
        (keyfile.as_str(), "a keyfile, not a JWK set or a JWK"),
        ("", "not strict JSON"),
        ("{\"keys\":[]", "not strict JSON"),
        ("{\"keys\":[],}", "not strict JSON"),
        ("{\"keys\":[]} x", "not strict JSON"),
        ("\u{feff}\u{feff}{\"keys\":[]}", "not strict JSON"),
        ("{\u{feff}\"keys\":[]}", "not strict JSON"),
        ("{'keys':[]}", "not strict JSON"),
        ("{\"keys\":[{\"kty\":\"\\ud800\"}]}", "not strict JSON"),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(TrustFile::parse(b"{\"keys\":[\xff]}").is_err());
}

#[test]
fn weak_and_published_keys_are_kept_and_flagged() {
    let weak = PublicKey::from_bytes(&[0; 32]).unwrap();
    let published = SecretKey::from_seed(&[1; 32]).public().clone();
    let registry = merged(&[&set(&[jwk(&weak, ""), jwk(&published, ""), jwk(&key(1), "")])]);
    assert_eq!(registry.len(), 3);
    assert!(registry.by_id(weak.id().as_str()).unwrap().key().is_weak());
    assert!(registry.by_id(published.id().as_str()).unwrap().key().is_published());
    assert_eq!(registry.notes().len(), 2);
    assert!(notes(&registry).contains("is weak") && notes(&registry).contains("is published"));
}
