//! Tests of key sets as other programs publish them, with several types of keys, purposes and
//! unknown members.

use super::*;

const RSA: &str = r#"{"kty":"RSA","kid":"rsa","n":"AQAB","e":"AQAB","use":"sig","alg":"RS256"}"#;

/// Returns a member of a key set with this `kid` and these additional members.
fn member(n: u8, kid: &str, more: &str) -> String {
    jwk(&key(n), &format!(r#","kid":"{kid}"{more}"#))
}

#[test]
fn a_mixed_key_set_gives_the_keys_for_requests_and_a_note_about_each_other_key() {
    let text = set(&[
        member(1, "plain", ""),
        member(2, "requests", r#","use":"sig","key_ops":["verify"],"adcp_use":"request-signing""#),
        member(3, "known", r#","alg":"EdDSA","x5t":"a","iat":1,"vendor":{"a":[null]}"#),
        member(4, "governance", r#","adcp_use":"governance-signing""#),
        member(5, "list", r#","adcp_use":["request-signing"]"#),
        member(6, "null", r#","adcp_use":null"#),
        member(7, "encryption", r#","use":"enc""#),
        member(8, "signing", r#","key_ops":["sign"]"#),
        member(9, "other-alg", r#","alg":"ES256""#),
        RSA.to_owned(),
        r#"{"kty":"AKP","kid":"later","pub":"AA","alg":"ML-DSA-44"}"#.to_owned(),
    ]);
    let text = text.replacen('{', r#"{"ucp":{"version":"1"},"signing_keys":[],"#, 1);
    let registry = merged(&[&text]);
    let kids: Vec<_> = registry.iter().flat_map(|entry| entry.kids()).collect();
    assert_eq!(kids, ["plain", "requests", "known"]);
    for kid in ["governance", "list", "null", "encryption", "signing", "other-alg", "rsa", "later"]
    {
        assert!(registry.why_skipped(kid).is_some(), "{kid}");
        assert_eq!(registry.by_kid(kid).count(), 0, "{kid}");
    }
    assert_eq!(notes(&registry).matches("is passed over").count(), 8);
    let id = key(4).id().to_string();
    let why = registry.why_skipped(&id).unwrap();
    assert!(why.contains("adcp_use"), "{why}");
    assert_eq!(registry.why_skipped("plain"), None);
}

#[test]
fn a_key_for_another_purpose_grants_nothing_and_still_restricts_its_key() {
    let plain = set(&[member(1, "a", "")]);
    let revoked =
        r#","adcp_use":"governance-signing","mcpid":{"revoked_at":"2026-01-01T00:00:00Z"}"#;
    let elsewhere = set(&[member(1, "b", revoked)]);
    let registry = merged(&[&plain, &elsewhere]);
    let entry = registry.by_id(key(1).id().as_str()).unwrap();
    assert_eq!(entry.revoked_at(), Some(time("2026-01-01T00:00:00Z")));
    assert_eq!(entry.kids(), ["a"]);
    // A key for a purpose of another program is not imported, because the purpose would be lost.
    let import = format::read_public(elsewhere.replace(revoked, r#","adcp_use":"x""#).as_bytes());
    assert!(import.is_err());
}

#[test]
fn a_kid_that_several_keys_share_is_reported_with_the_ids_of_the_keys() {
    let text = set(&[member(1, "shared", ""), member(2, "shared", ""), member(3, "own", "")]);
    let mut document = Document::parse(text.as_bytes()).unwrap();
    let at = time("2026-01-01T00:00:00Z");
    match document.revoke("shared", at) {
        Err(EditError::Ambiguous { ids, .. }) => assert_eq!(ids, [*key(1).id(), *key(2).id()]),
        other => panic!("{other:?}"),
    }
    assert_eq!(*document.revoke("own", at).unwrap().key().id(), *key(3).id());
    assert!(matches!(document.remove("OWN"), Err(EditError::NotFound(_))));
    assert_eq!(document.remove(key(1).id().as_str()).unwrap().kids(), ["shared"]);
    assert_eq!(*document.remove("shared").unwrap().key().id(), *key(2).id());
}
