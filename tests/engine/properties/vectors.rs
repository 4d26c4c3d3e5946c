//! Tests with complete test vectors: those of this project, and the example of RFC 9421.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpid::key::SecretKey;
use mcpid::message::RequestTarget;
use mcpid::profile::{Profile, Window};
use mcpid::sign::{Nonce, Signer};
use mcpid::verify::{Code, NonceOutcome, VerifyError};
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::fixtures::{CREATED, Call, Judge, NOW, key, time};

use super::origins;

/// Verifies the test vectors of this project, in all twelve steps.
#[test]
fn our_vectors_hold_until_one_part_is_changed() {
    let file: Value = serde_json::from_str(include_str!("../../vectors/mcp-profile.json")).unwrap();
    let published = json!({"kty": "OKP", "crv": "Ed25519", "x": file["key"]["x"]});
    let mut seen = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let mut call = Call {
            method: vector["method"].as_str().unwrap().to_owned(),
            target: RequestTarget::Origin("/mcp".into()),
            fields: Vec::new(),
            body: vector["body"].as_str().unwrap().as_bytes().to_vec(),
        };
        for (name, value) in vector["headers"].as_object().unwrap() {
            call.push(&name.to_lowercase(), value.as_str().unwrap());
        }
        let window = Window { max_age: Some(300), max_skew: 5 };
        let for_tests = Profile { refuse_published: false, window, ..Profile::mcp() };
        let judge = Judge::by(for_tests)
            .at(file["now"].as_i64().unwrap())
            .trusting(vec![published.clone()]);
        let verified = judge.accepts(&call);
        assert_eq!(verified.key().as_str(), file["key"]["thumbprint"].as_str().unwrap());
        assert_eq!((verified.label(), verified.nonce_outcome()), ("mcp", NonceOutcome::Fresh));
        assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
        call.body.push(b' ');
        assert_eq!(judge.refusal(&call), (9, Code::DigestMismatch));
        call.body.pop();
        // Without the exception that these tests make, the key of the vector is refused, because
        // its private key is published.
        let strict = Judge::mcp().at(file["now"].as_i64().unwrap());
        let rejection = strict.trusting(vec![published.clone()]).refuses(&call);
        assert_eq!((rejection.step().number(), rejection.code()), (7, Code::KeyPublished));
        assert_eq!(rejection.public_code(), Code::KeyPublished);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// Verifies the example of RFC 9421 appendix B.2.6, in the form in which a server would receive it.
#[test]
fn the_example_of_the_rfc_holds_until_one_part_is_changed() {
    let mut call = Call {
        method: "POST".to_owned(),
        target: RequestTarget::Origin("/foo?param=Value&Pet=dog".into()),
        fields: Vec::new(),
        body: br#"{"hello": "world"}"#.to_vec(),
    };
    let digest = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    for (name, value) in [
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-digest", digest),
        ("content-length", "18"),
        (
            "signature-input",
            "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
        ),
        (
            "signature",
            "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
        ),
    ] {
        call.push(name, value);
    }
    let x = URL_SAFE_NO_PAD
        .encode(URL_SAFE_NO_PAD.decode("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs").unwrap());
    let trust = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "test-key-ed25519"});
    let judge = Judge {
        origins: vec!["https://example.com"],
        ..Judge::by(Profile { refuse_published: false, ..Profile::rfc9421() })
    }
    .trusting(vec![trust]);
    let verified = judge.accepts(&call);
    assert_eq!(verified.created(), Some(time(1_618_884_473)));
    assert_eq!(verified.nonce_outcome(), NonceOutcome::Unchecked);
    // The named profile refuses the RFC's key, because its private half is published.
    let named = Judge { profile: Profile::rfc9421(), ..judge.clone() };
    assert_eq!(named.refusal(&call), (7, Code::KeyPublished));
    assert_eq!(judge.clone().at(1_618_884_473 - 6).refusal(&call), (5, Code::NotYetValid));
    for (name, value) in [
        ("date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("content-type", "application/json "),
        ("content-length", "19"),
    ] {
        let mut changed = call.clone();
        changed.set(name, value);
        if value.ends_with(' ') {
            // White space before or after a value is no part of it, so the signature stays valid.
            judge.accepts(&changed);
        } else {
            assert_eq!(judge.refusal(&changed), (8, Code::SignatureInvalid), "{name}");
        }
    }
    call.body.push(b' ');
    assert_eq!(judge.refusal(&call), (9, Code::DigestMismatch));
}

/// Signing a signed request again with the same key adds a signature with the same nonce. Both are
/// valid.
#[test]
fn a_second_signature_shares_the_nonce() {
    let profile = Profile::mcp();
    let mut call = Call::signed();
    let signer = Signer::new(Arc::new(key(1)), &profile).unwrap();
    let nonce = Nonce::generate(&mut SysRng).unwrap();
    let sign = |signer: &Signer, call: &Call| {
        signer.sign(&call.head(), &origins(), &call.body, time(CREATED), &nonce)
    };
    assert!(sign(&signer, &call).is_err(), "the label is taken");
    let signed = sign(&signer.with_label("second"), &call).unwrap();
    assert_eq!(signed.nonce.as_deref(), Some(crate::fixtures::NONCE));
    call.remove("signature").remove("signature-input");
    for (name, value) in signed.headers() {
        call.push(&name.to_ascii_lowercase(), value);
    }
    let judge = Judge::mcp();
    assert_eq!(judge.accepts(&call).label(), "mcp");
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
    // A signature by another key has another nonce.
    let other = Signer::new(Arc::new(key(2)) as Arc<dyn mcpid::key::Sign>, &profile).unwrap();
    assert_eq!(
        sign(&other.with_label("third"), &call).unwrap().nonce.as_deref(),
        Some(nonce.as_str())
    );
    let _: &SecretKey = &key(2);
    assert!(matches!(judge.at(NOW + 60).judge(&call), Err(VerifyError::Rejected(_))));
}
