//! Tests of the signer that adds a touch.

use std::sync::Arc;

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
