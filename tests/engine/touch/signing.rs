//! Tests of signers that add a touch or sign with a security key.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::sign::{Nonce, Signer, SigningError, TOUCH_LABEL};
use mcpid::{Origins, Profile, Sign};
use rand::rngs::SysRng;

use super::*;
use crate::fixtures::time;

fn signed(signer: &Signer, call: &Call) -> mcpid::sign::Signed {
    let nonce = Nonce::generate(&mut SysRng).unwrap();
    let origins = Origins::unknown();
    signer.sign(&call.head(), &origins, &call.body, time(CREATED), &nonce).unwrap()
}

fn signer(profile: &Profile) -> Signer {
    Signer::new(Arc::new(key(1)) as Arc<dyn Sign>, profile).unwrap()
}

#[test]
fn a_touch_that_the_signer_adds_is_accepted() {
    for label in ["mcp", "other"] {
        let (call, touch_key) = (Call::unsigned(), security_key());
        let signer = signer(&Profile::mcp()).with_label(label).with_client_id("alice-laptop");
        let first = signed(&signer, &call);
        let origins = Origins::unknown();
        let touched = signer.sign_touch(&touch_key, &call.head(), &origins, &first).unwrap();
        assert_eq!((touched.created, touched.expires), (first.created, first.expires));
        assert_eq!(touched.nonce, first.nonce);
        let id = touch_key.secret.public().id().as_str();
        assert_eq!((touched.keyid.as_str(), touched.tag.as_deref()), (id, Some(id)));
        let more = [
            format!("\"signature\";key=\"{label}\""),
            format!("\"signature-input\";key=\"{label}\""),
        ];
        assert_eq!(touched.covered, [&first.covered[..], &more].concat());
        assert!(touched.signature_input.contains(&format!("{TOUCH_LABEL}=(")));
        let mut whole = call.clone();
        for (name, value) in touched.headers() {
            whole.set(&name.to_ascii_lowercase(), value);
        }
        let trust = vec![trusted(&key(1)), touch_key.entry("alice", &json!({}))];
        let verified = Judge::mcp().trusting(trust).accepts(&whole);
        assert_eq!((verified.label(), verified.tag()), (label, Some("alice-laptop")));
        assert_eq!(verified.touch().unwrap().label, TOUCH_LABEL);
    }
}

#[test]
fn a_profile_without_touches_makes_none() {
    for profile in [Profile::sep2752(), Profile::rfc9421()] {
        let (call, signer) = (Call::unsigned(), signer(&profile));
        let first = signed(&signer, &call);
        let origins = Origins::unknown();
        let refused = signer.sign_touch(&security_key(), &call.head(), &origins, &first);
        assert!(matches!(refused, Err(SigningError::Touch(_))), "{refused:?}");
    }
}

#[test]
fn a_first_signature_with_the_label_of_touches_gets_none() {
    let (call, signer) = (Call::unsigned(), signer(&Profile::mcp()).with_label(TOUCH_LABEL));
    let first = signed(&signer, &call);
    let origins = Origins::unknown();
    let refused = signer.sign_touch(&security_key(), &call.head(), &origins, &first);
    assert!(matches!(refused, Err(SigningError::Add(_))), "{refused:?}");
}

/// Returns a call that was signed by a security key alone.
fn signed_alone(touch_key: SoftwareKey) -> Call {
    let mut call = Call::unsigned();
    let signer = Signer::by_security_key(Arc::new(touch_key), &Profile::mcp()).unwrap();
    let first = signed(&signer, &call);
    for (name, value) in first.headers() {
        call.set(&name.to_ascii_lowercase(), value);
    }
    call
}

#[test]
fn a_security_key_that_signs_alone_is_accepted_where_its_entry_says_alone() {
    let alone = |more| Judge::mcp().trusting(vec![security_key().entry("alice", &more)]);
    let call = signed_alone(security_key());
    let verified = alone(json!({"alone": true})).accepts(&call);
    let id = *key(9).public().id();
    assert_eq!((verified.label(), verified.name(), verified.key()), ("mcp", Some("alice"), &id));
    assert_eq!(verified.tag(), Some(id.as_str()));
    let touch = verified.touch().unwrap();
    assert_eq!((touch.label, touch.counter, touch.verified), ("mcp", 7, false));
    // Each of these verifiers differs from the accepting one in one respect, and refuses the call.
    for more in [
        json!({}),
        json!({"alone": false}),
        json!({"for": ["alice"]}),
        json!({"alone": true, "require": "verified"}),
        json!({"alone": true, "application": "ssh:"}),
    ] {
        alone(more.clone()).refusal(&call);
    }
    // The trust file has the key as an ordinary key, or does not have it.
    Judge::mcp().trusting(vec![trusted(&key(9))]).refusal(&call);
    Judge::mcp().trusting(vec![trusted(&key(1))]).refusal(&call);
    let judge = alone(json!({"alone": true}));
    for changed in [
        SoftwareKey { flags: 0x00, ..security_key() },
        SoftwareKey { flags: 0x04, ..security_key() },
        SoftwareKey { flags: 0x41, ..security_key() },
        SoftwareKey { flags: 0x81, ..security_key() },
        SoftwareKey { application: "ssh:", ..security_key() },
        SoftwareKey { application: "ssh:other", ..security_key() },
    ] {
        judge.refusal(&signed_alone(changed));
    }
    // A changed flag or counter makes the signature invalid, because both are signed.
    for at in [64, 65, 68] {
        let mut call = call.clone();
        let (_, value) = call.fields.iter().find(|(name, _)| name == "signature").unwrap();
        let value = String::from_utf8(value.clone()).unwrap();
        let (label, encoded) = value.split_once("=:").unwrap();
        let mut bytes = STANDARD.decode(encoded.trim_end_matches(':')).unwrap();
        assert_eq!(bytes.len(), 69);
        bytes[at] ^= 0x04;
        let value = format!("{label}=:{}:", STANDARD.encode(bytes));
        call.set("signature", &value);
        judge.refusal(&call);
    }
}

#[test]
fn a_security_key_signs_alone_only_by_a_profile_with_touches() {
    for profile in [Profile::sep2752(), Profile::rfc9421()] {
        let refused = Signer::by_security_key(Arc::new(security_key()), &profile).err();
        assert!(matches!(refused, Some(SigningError::Touch(_))), "{refused:?}");
    }
    let signer = Signer::by_security_key(Arc::new(security_key()), &Profile::mcp()).unwrap();
    assert_eq!(signer.public(), key(9).public());
    assert!(signer.security_key().is_some());
    // The second signature of the request gets the nonce of the first one.
    let mut call = Call::unsigned();
    let first = signed(&signer, &call);
    for (name, value) in first.headers() {
        call.set(&name.to_ascii_lowercase(), value);
    }
    let second = Signer::by_security_key(Arc::new(security_key()), &Profile::mcp()).unwrap();
    assert_eq!(signed(&second.with_label("second"), &call).nonce, first.nonce);
}
