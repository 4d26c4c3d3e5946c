//! Tests that a signed request with one changed bit or byte is refused.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::key::{PublicKey, Sign as _};
use mcpid::message::RequestTarget;
use mcpid::verify::{Code, Rejection};

use crate::fixtures::{BODY, Call, Input, key};

use super::{judge, refused};

#[test]
fn no_bit_of_the_base_can_be_flipped() {
    let secret = key(1);
    let public = PublicKey::from_bytes(secret.public().as_bytes().try_into().unwrap()).unwrap();
    let call = Call::unsigned();
    let mut base = call.base(&Input::of(&call, &secret)).into_bytes();
    let signature = secret.sign(&base).unwrap();
    assert!(public.verify_strict(&base, &signature).is_ok());
    for bit in 0..base.len() * 8 {
        base[bit / 8] ^= 1 << (bit % 8);
        assert!(public.verify_strict(&base, &signature).is_err(), "bit {bit}");
        base[bit / 8] ^= 1 << (bit % 8);
    }
    // The message is one byte shorter or one byte longer.
    assert!(public.verify_strict(&base[1..], &signature).is_err());
    assert!(public.verify_strict(&base[..base.len() - 1], &signature).is_err());
    base.push(b'\n');
    assert!(public.verify_strict(&base, &signature).is_err());
}

#[test]
fn no_bit_of_the_signature_can_be_flipped() {
    let (judge, call) = (judge(), Call::signed());
    let text = call.get("signature").trim_start_matches("mcp=:").trim_end_matches(':').to_owned();
    let mut bytes = STANDARD.decode(&text).unwrap();
    for bit in 0..512 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut changed = call.clone();
        changed.set("signature", &format!("mcp=:{}:", STANDARD.encode(&bytes)));
        assert_eq!(judge.refusal(&changed), (8, Code::SignatureInvalid), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Every bit of every covered part of the request is changed, one at a time.
#[test]
fn no_bit_of_a_covered_part_can_be_flipped() {
    let (judge, call) = (judge(), Call::signed());
    judge.accepts(&call);
    let (mut judged, mut codes) = (0, BTreeSet::new());
    let mut note = |rejection: Option<Rejection>| {
        if let Some(rejection) = rejection {
            judged += 1;
            codes.insert(rejection.code().as_str());
        }
    };
    for (at, (name, value)) in call.fields.iter().enumerate() {
        if name == "accept" {
            continue;
        }
        for bit in 0..value.len() * 8 {
            let mut changed = call.clone();
            changed.fields[at].1[bit / 8] ^= 1 << (bit % 8);
            // Only in a host name, changing the case of a letter makes no difference, so these bits
            // are skipped.
            let letters = value[bit / 8].is_ascii_alphabetic() && bit % 8 == 5;
            if name == "host" && letters {
                judge.accepts(&changed);
                continue;
            }
            // A changed label alone is refused, because both signature fields must have the same
            // label.
            note(refused(&judge, &changed));
        }
        // The bits of the fields' names are changed too.
        for bit in 0..name.len() * 8 {
            let mut changed = call.clone();
            let mut bytes = name.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(text) = String::from_utf8(bytes) else { continue };
            if text.eq_ignore_ascii_case(name) {
                continue;
            }
            changed.fields[at].0 = text;
            note(refused(&judge, &changed));
        }
    }
    let RequestTarget::Origin(target) = &call.target else { panic!() };
    for (text, is_method) in [("POST", true), (target.as_ref(), false)] {
        for bit in 0..text.len() * 8 {
            let mut bytes = text.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let mut changed = call.clone();
            match is_method {
                true => changed.method = text,
                false => changed.target = RequestTarget::Origin(text.into()),
            }
            note(refused(&judge, &changed));
        }
    }
    // Half of the changes make a byte that is not ASCII, which no head can contain. The others were
    // judged.
    assert!(judged > 3_500, "{judged}");
    for code in ["signature_invalid", "signature_malformed", "target_mismatch", "key_unknown"] {
        assert!(codes.contains(code), "{codes:?}");
    }
}

#[test]
fn no_bit_of_the_body_can_be_flipped() {
    for call in [Call::signed(), {
        // One bit of every byte of the body is changed. The signature covers the digest of the
        // body.
        let mut call = Call::unsigned();
        call.body = (0..=255).collect();
        let digest = mcpid::message::digest::content_digest(&call.body);
        call.set("content-digest", &digest);
        let input = Input::of(&call, &key(1));
        call.sign(&key(1), "mcp", &input);
        call
    }] {
        let judge = judge().verifier();
        let head = call.head();
        let mut body = call.body.clone();
        for bit in 0..body.len() * 8 {
            body[bit / 8] ^= 1 << (bit % 8);
            // The head stays valid each time; only the digest of the body reveals the change.
            if bit == 0 {
                judge.judge_head(&head).unwrap();
            }
            let held = judge.judge_head(&head).unwrap();
            let rejection = judge.judge_body(held, &body).unwrap_err();
            assert_eq!(rejection.code(), Code::DigestMismatch, "bit {bit}");
            body[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// Cutting bytes off the body, or adding some, always leads to a refusal.
#[test]
fn no_byte_of_the_body_can_be_cut() {
    let (verifier, call) = (judge().verifier(), Call::signed());
    let head = call.head();
    for end in 0..BODY.len() {
        let held = verifier.judge_head(&head).unwrap();
        let rejection = verifier.judge_body(held, &call.body[..end]).unwrap_err();
        assert_eq!(rejection.code(), Code::DigestMismatch, "{end}");
    }
}
