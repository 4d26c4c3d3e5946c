//! Tests of requests signed with P-256 keys, by profiles that accept such keys and by profiles that
//! do not.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::key::{KeyKind, SecretKey, Sign as _, format};
use mcpid::message::target::Origins;
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer, SigningError};
use mcpid::verify::Code;
use rand::rngs::SysRng;
use serde_json::{Value, json};

use super::{ORDER, RFC_9421, bytes, key, minus};
use crate::fixtures::{Call, Input, Judge, NOW, time};

/// Returns the trust entry of a key of any kind.
fn trusted(key: &SecretKey) -> Value {
    let mut jwk: Value = serde_json::from_str(&format::jwk(key.public(), None)).unwrap();
    jwk["mcpid"] = json!({"name": "shop", "client_ids": ["shop-laptop"]});
    jwk
}

/// Returns a verifier with the rules of the profile `mcp` that also accepts P-256 keys. It trusts
/// key 1.
fn judge() -> Judge {
    Judge::by(Profile { key_kinds: KeyKind::ALL, ..Profile::mcp() })
        .trusting(vec![trusted(&key(1))])
}

fn signed(change: impl FnOnce(&mut Input)) -> Call {
    let (mut call, secret) = (Call::unsigned(), key(1));
    let mut input = Input::of(&call, &secret);
    change(&mut input);
    call.sign(&secret, "mcp", &input);
    call
}

fn signature(call: &Call) -> Vec<u8> {
    let text = call.get("signature").trim_start_matches("mcp=:").trim_end_matches(':');
    STANDARD.decode(text).unwrap()
}

fn with_signature(call: &Call, signature: &[u8]) -> Call {
    let mut call = call.clone();
    call.set("signature", &format!("mcp=:{}:", STANDARD.encode(signature)));
    call
}

/// Returns the signature `r ‖ s` as DER (ECDSA-Sig-Value, RFC 3279 section 2.2.3).
fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        let sign = if number[0] & 0x80 != 0 { &[0][..] } else { &[] };
        let length = u8::try_from(sign.len() + number.len()).unwrap();
        [&[2, length], sign, number].concat()
    };
    let numbers = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [&[0x30, u8::try_from(numbers.len()).unwrap()], numbers.as_slice()].concat()
}

#[test]
fn a_signature_of_p256_is_accepted_with_its_alg_and_without() {
    let judge = judge();
    let call = signed(|_| ());
    let verified = judge.accepts(&call);
    assert_eq!(verified.entry().key().kind(), KeyKind::P256);
    judge.clone().accepts(&signed(|input| {
        input.set("alg", "\"ecdsa-p256-sha256\"").set("nonce", "\"BBECAwQFBgcICQoLDA0ODw\"");
    }));
    // The profile rfc9421 allows both kinds of keys.
    Judge::by(Profile::rfc9421()).trusting(vec![trusted(&key(1))]).accepts(&call);
    // The second valid form of the signature, (r, order − s), is refused as a replay, because its
    // nonce is the same.
    let held = signature(&call);
    let other = [&held[..32], &minus(bytes(ORDER), &held[32..])].concat();
    let call = with_signature(&call, &other);
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
    self::judge().accepts(&call);
}

#[test]
fn one_change_of_the_signature_is_refused() {
    let call = signed(|_| ());
    let held = signature(&call);
    let order: [u8; 32] = bytes(ORDER);
    let zero = [0; 32];
    let base = call.base(&Input::of(&Call::unsigned(), &key(1)));
    let of_ed25519 = crate::fixtures::key(1).sign(base.as_bytes()).unwrap();
    let other_base = key(1).sign(&base.as_bytes()[1..]).unwrap();
    for (bad, why) in [
        (der(&held), "DER"),
        ([&held[..], &[0]].concat(), "a byte more"),
        ([&[0x30], &held[..]].concat(), "a byte more that begins a SEQUENCE"),
        (held[..63].to_vec(), "a byte less"),
        (Vec::new(), "nothing"),
        ([&[0], &held[..32], &[0], &held[32..]].concat(), "numbers of 33 bytes"),
        ([&zero, &held[32..]].concat(), "r is 0"),
        ([&held[..32], &zero].concat(), "s is 0"),
        ([&zero, &zero[..]].concat(), "both are 0"),
        ([&order, &held[32..]].concat(), "r is the order"),
        ([&held[..32], &order].concat(), "s is the order"),
        ([&held[32..], &held[..32]].concat(), "swapped"),
        (of_ed25519.to_vec(), "a signature of Ed25519"),
        (key(2).sign(base.as_bytes()).unwrap().to_vec(), "another key's"),
        (other_base.to_vec(), "of another base"),
    ] {
        let judge = judge();
        let call = with_signature(&call, &bad);
        assert_eq!(judge.refusal(&call), (8, Code::SignatureInvalid), "{why}");
        let rejection = judge.refuses(&call);
        // A client without a valid signature does not learn that the key is known.
        assert_eq!(rejection.public_code(), Code::KeyUnknown);
        assert_eq!(
            rejection.message().ends_with("looks like DER, and r and s are needed"),
            why == "DER"
        );
    }
}

#[test]
fn one_change_of_the_key_is_refused() {
    let call = signed(|_| ());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut entry = trusted(&key(1));
        change(&mut entry);
        judge().trusting(vec![entry])
    };
    for (judge, step, code, why) in [
        (judge().trusting(vec![trusted(&key(2))]), 7, Code::KeyUnknown, "another key"),
        (with(&|e| e["use"] = json!("enc")), 7, Code::KeyUnknown, "use"),
        (with(&|e| e["key_ops"] = json!(["sign"])), 7, Code::KeyUnknown, "key_ops"),
        (with(&|e| e["alg"] = json!("EdDSA")), 7, Code::KeyUnknown, "alg of another kind"),
        (with(&|e| e["alg"] = json!("ECDH-ES")), 7, Code::KeyUnknown, "alg for agreement"),
        (with(&|e| e["alg"] = json!("ES256K")), 7, Code::KeyUnknown, "alg of another curve"),
        (
            with(&|e| e["mcpid"]["revoked_at"] = json!("2020-01-01T00:00:00Z")),
            7,
            Code::KeyRevoked,
            "revoked",
        ),
        (
            with(&|e| e["mcpid"]["not_after"] = json!("2020-01-01T00:00:00Z")),
            7,
            Code::KeyNotValid,
            "ended",
        ),
        (with(&|e| e["mcpid"]["allow"] = json!(["tools/call:x"])), 11, Code::NotAllowed, "allow"),
    ] {
        assert_eq!(judge.refusal(&call), (step, code), "{why}");
    }
    with(&|e| e["alg"] = json!("ES256")).accepts(&call);
    // A published key is refused.
    let published = SecretKey::from_p256_scalar(&bytes(RFC_9421)).unwrap();
    let mut call = Call::unsigned();
    let input = Input::of(&call, &published);
    call.sign(&published, "mcp", &input);
    let judge = judge().trusting(vec![trusted(&published)]);
    assert_eq!(judge.refusal(&call), (7, Code::KeyPublished));
    assert_eq!(judge.refuses(&call).public_code(), Code::KeyPublished);
}

#[test]
fn a_profile_serves_only_the_kinds_of_keys_that_it_lists() {
    let call = signed(|_| ());
    for profile in [Profile::mcp(), Profile::sep2752()] {
        let name = profile.name.clone();
        let judge = Judge::by(profile.clone()).trusting(vec![trusted(&key(1))]);
        assert_eq!(judge.refusal(&call), (7, Code::AlgNotAllowed), "{name}");
        let rejection = judge.refuses(&call);
        // Only a client with a valid signature learns this reason.
        assert_eq!(rejection.public_code(), Code::AlgNotAllowed);
        let spoiled = with_signature(&call, &[1; 64]);
        assert_eq!(judge.refuses(&spoiled).public_code(), Code::KeyUnknown);
        let words =
            format!("a P-256 key does not serve the profile {name}: an Ed25519 key is needed");
        assert_eq!(rejection.message(), words);
        // If the signature names the algorithm, the request is refused before its key is looked up
        // (step 4).
        let named = signed(|input| {
            input.set("alg", "\"ecdsa-p256-sha256\"");
        });
        assert_eq!(judge.refusal(&named), (4, Code::AlgNotAllowed));
        // The signer refuses to sign by a profile that does not allow P-256 keys.
        let error = Signer::new(Arc::new(key(1)), &profile).err().unwrap();
        assert!(matches!(error, SigningError::KeyKind { kind: KeyKind::P256, .. }));
        assert_eq!(error.to_string(), format!("a P-256 key cannot sign by the profile {name}"));
    }
    let only = Judge::by(Profile { key_kinds: &[KeyKind::P256], ..Profile::mcp() });
    assert_eq!(only.refusal(&Call::signed()), (7, Code::AlgNotAllowed));
    only.trusting(vec![trusted(&key(1))]).accepts(&call);
}

#[test]
fn alg_has_to_name_the_algorithm_of_the_key() {
    let of_p256 = |alg: &str| {
        signed(|input| {
            input.set("alg", alg);
        })
    };
    judge().accepts(&of_p256("\"ecdsa-p256-sha256\""));
    for (alg, step) in [
        ("\"ed25519\"", 7),
        ("\"ecdsa-p384-sha384\"", 4),
        ("\"rsa-v1_5-sha256\"", 4),
        ("\"hmac-sha256\"", 4),
        ("\"ES256\"", 4),
        ("\"EdDSA\"", 4),
        ("\"ECDSA-P256-SHA256\"", 4),
        ("\"ecdsa-p256-sha256 \"", 4),
        ("\"\"", 4),
        ("ecdsa-p256-sha256", 4),
        ("1", 4),
        (":AAAA:", 4),
    ] {
        assert_eq!(judge().refusal(&of_p256(alg)), (step, Code::AlgNotAllowed), "{alg}");
    }
    let (mut call, secret) = (Call::unsigned(), crate::fixtures::key(1));
    let mut input = Input::of(&call, &secret);
    input.set("alg", "\"ecdsa-p256-sha256\"");
    call.sign(&secret, "mcp", &input);
    let judge = judge().trusting(vec![crate::fixtures::trusted(&secret)]);
    assert_eq!(judge.refusal(&call), (7, Code::AlgNotAllowed));
}

/// An Ed25519 key and a P-256 key have the same `kid`. A signature by either of them is accepted.
#[test]
fn keys_of_both_kinds_share_a_kid() {
    let (ec, ed) = (key(1), crate::fixtures::key(1));
    let mut entries = vec![trusted(&ec), trusted(&ed)];
    for entry in &mut entries {
        entry["kid"] = json!("shop-1");
    }
    let judge = Judge::by(Profile::rfc9421()).trusting(entries);
    for secret in [&ec, &ed] {
        let mut call = Call::unsigned();
        let mut input = Input::of(&call, secret);
        input.set("keyid", "\"shop-1\"");
        call.sign(secret, "mcp", &input);
        let judge = judge.clone();
        let verified = judge.accepts(&call);
        assert_eq!(verified.entry().key().id(), secret.public().id());
        call.edit("signature-input", "nonce=\"A", "nonce=\"B");
        assert_eq!(judge.refuses(&call).public_code(), Code::KeyUnknown);
    }
}

#[test]
fn the_signer_makes_what_the_verifier_accepts() {
    let call = Call::unsigned();
    let signer = Signer::new(Arc::new(key(1)), &Profile::rfc9421()).unwrap();
    let nonce = Nonce::generate(&mut SysRng).unwrap();
    let head = call.head();
    let signed = signer.sign(&head, &Origins::unknown(), &call.body, time(NOW), &nonce).unwrap();
    let mut sent = Call::unsigned();
    for (name, value) in signed.headers() {
        sent.set(&name.to_ascii_lowercase(), value);
    }
    judge().accepts(&sent);
    // A second signature by the same key gets the nonce of the first one, although another nonce is
    // given.
    let head = sent.head();
    let other = Nonce::generate(&mut SysRng).unwrap();
    let second = Signer::new(Arc::new(key(1)), &Profile::rfc9421()).unwrap().with_label("two");
    let second = second.sign(&head, &Origins::unknown(), &sent.body, time(NOW), &other).unwrap();
    assert_eq!(second.nonce.as_deref(), Some(nonce.as_str()));
}

#[test]
fn no_bit_of_a_request_can_be_flipped() {
    let (call, judge) = (signed(|_| ()), judge());
    judge.clone().accepts(&call);
    let (mut refused, verifier) = (0, judge.verifier());
    for (at, (name, value)) in call.fields.iter().enumerate() {
        if name == "accept" {
            continue;
        }
        for bit in 0..value.len() * 8 {
            let mut changed = call.clone();
            changed.fields[at].1[bit / 8] ^= 1 << (bit % 8);
            let letters = value[bit / 8].is_ascii_alphabetic() && bit % 8 == 5;
            if name == "host" && letters {
                continue;
            }
            let mut head = mcpid::message::Head::new("POST", changed.target.clone()).unwrap();
            let fits =
                changed.fields.iter().all(|(n, v)| head.push(n.as_str(), v.as_slice()).is_ok());
            if fits {
                verifier.judge_head(&head).unwrap_err();
                refused += 1;
            }
        }
    }
    assert!(refused > 3_000, "{refused}");
    let mut body = call.body.clone();
    let head = call.head();
    for bit in 0..body.len() * 8 {
        body[bit / 8] ^= 1 << (bit % 8);
        let held = verifier.judge_head(&head).unwrap();
        let rejection = verifier.judge_body(held, &body).unwrap_err();
        assert_eq!(rejection.code(), Code::DigestMismatch, "bit {bit}");
        body[bit / 8] ^= 1 << (bit % 8);
    }
}
