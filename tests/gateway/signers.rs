//! The log line of a refused request names the trusted key whose signature is valid, and no other.

use std::sync::Arc;

use mcpid::Sign as _;
use mcpid::clock::SystemClock;
use mcpid::key::format;
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::message::target::{Origin, Origins};
use mcpid::profile::Profile;
use mcpid::verify::Verifier;
use serde_json::{Value, json};

use crate::servers::{CALL, TestGateway, TestUpstream, Wire, key};

/// Trusts key 1 without a limit, and each further key with one that refuses the call.
fn trusting(gateway: &TestGateway) {
    let trusted = |number: u8, limits: Value| {
        let mut jwk: Value =
            serde_json::from_str(&format::jwk(key(number).public(), None)).unwrap();
        jwk["mcpid"] = limits;
        jwk
    };
    let file = json!({"keys": [
        trusted(1, json!({"name": "alice"})),
        trusted(2, json!({"name": "bob", "revoked_at": "2020-01-01T00:00:00Z"})),
        trusted(3, json!({"name": "carol", "not_after": "2020-01-01T00:00:00Z"})),
        trusted(4, json!({"name": "dave", "allow": ["tools/list"]})),
    ]});
    let file = TrustFile::parse(file.to_string().as_bytes()).unwrap();
    let origins = Origins::new([Origin::parse(&format!("http://{}", gateway.address)).unwrap()]);
    let replay = gateway.handle.verifier().replay().clone();
    let registry = Arc::new(Registry::merge([file]));
    let verifier = Verifier::new(Profile::mcp(), registry, origins, Arc::new(SystemClock), replay);
    gateway.handle.replace(verifier).unwrap();
}

/// Changes the last character of the signature that still has a meaning.
fn forged(mut wire: Wire) -> Wire {
    let (_, value) = wire.fields.iter_mut().find(|(name, _)| name == "Signature").unwrap();
    let at = value.find(":").unwrap() + 4;
    let other = if value.as_bytes()[at] == b'A' { "B" } else { "A" };
    value.replace_range(at..=at, other);
    wire
}

#[tokio::test]
async fn a_refusal_names_the_key_whose_signature_is_valid() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    trusting(&gateway);
    let good = gateway.signed(1, CALL);
    let mut other_body = gateway.signed(1, CALL);
    other_body.body = CALL.replace("delete_db", "delete_dc").into_bytes();
    let cases = [
        ("verified", good.clone(), None, None),
        ("the same again", good, Some("nonce_replayed"), Some((1, "alice"))),
        ("another body", other_body, Some("digest_mismatch"), Some((1, "alice"))),
        ("revoked", gateway.signed(2, CALL), Some("key_revoked"), Some((2, "bob"))),
        ("no longer valid", gateway.signed(3, CALL), Some("key_not_valid"), Some((3, "carol"))),
        ("not allowed", gateway.signed(4, CALL), Some("not_allowed"), Some((4, "dave"))),
        ("revoked, forged", forged(gateway.signed(2, CALL)), Some("key_revoked"), None),
        ("forged", forged(gateway.signed(1, CALL)), Some("signature_invalid"), None),
        ("of an unknown key", gateway.signed(5, CALL), Some("key_unknown"), None),
        ("unsigned", gateway.plain(CALL), Some("signature_missing"), None),
    ];
    for (number, (what, wire, code, signer)) in cases.into_iter().enumerate() {
        gateway.send(&wire).await;
        let line = gateway.lines(number + 1).await.pop().unwrap();
        assert_eq!(line.code.map(|code| code.as_str()), code, "{what}");
        assert_eq!(line.key.is_some(), code.is_none(), "{what}");
        let named = line.signer.map(|key| (key.id.to_string(), key.name.unwrap().to_string()));
        let named_in_test =
            signer.map(|(n, name)| (key(n).public().id().to_string(), name.to_owned()));
        assert_eq!(named, named_in_test, "{what}");
    }
}
