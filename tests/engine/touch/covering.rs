//! Tests of signatures that cover other signatures, and of security keys that sign alone.

use mcpid::Origins;
use mcpid::base::{header, signature_base};

use super::*;

/// Adds a signature by an ordinary key that covers members of other signatures.
fn covering(call: &mut Call, by: u8, label: &str, covered: &[&str]) {
    let mut input = Input::of(call, &key(by));
    input.components.extend(covered.iter().map(|text| (*text).to_owned()));
    call.sign(&key(by), label, &input);
}

const BOTH: [&str; 2] = ["\"signature\";key=\"mcp\"", "\"signature-input\";key=\"mcp\""];

fn both_trusted() -> Judge {
    let mut bob = trusted(&key(2));
    bob["mcpid"]["name"] = json!("bob");
    Judge::mcp().trusting(vec![trusted(&key(1)), bob])
}

#[test]
fn a_signature_over_another_never_names_the_request() {
    for covered in [&BOTH[..], &BOTH[..1], &BOTH[1..]] {
        for reversed in [false, true] {
            let mut call = Call::signed();
            covering(&mut call, 2, "proxy", covered);
            if reversed {
                call.fields.reverse();
            }
            let verified = both_trusted().accepts(&call);
            assert_eq!((verified.name(), verified.label()), (Some("alice"), "mcp"), "{covered:?}");
        }
    }
}

#[test]
fn a_signature_over_another_never_holds_without_it() {
    // Bob's signature covers Alice's signature. Alice's key is limited, revoked or removed.
    type EntryFault = (fn(&mut Value), (u8, Code));
    let faults: [EntryFault; 3] = [
        (|alice| alice["mcpid"]["allow"] = json!(["tools/list"]), (11, Code::NotAllowed)),
        (
            |alice| alice["mcpid"]["revoked_at"] = json!("2026-01-01T00:00:00Z"),
            (7, Code::KeyRevoked),
        ),
        (|alice| *alice = trusted(&key(3)), (7, Code::KeyUnknown)),
    ];
    for (fault, refusal) in faults {
        let mut call = Call::signed();
        covering(&mut call, 2, "proxy", &BOTH);
        let mut judge = both_trusted();
        fault(&mut judge.trust[0]);
        assert_eq!(judge.refusal(&call), refusal);
    }
}

#[test]
fn two_signatures_over_each_other_are_refused() {
    // Each signature covers only the `Signature-Input` member of the other one, so that both can be
    // made.
    let mut call = Call::unsigned();
    let inputs = [("a", 1, "b"), ("b", 2, "a")].map(|(label, by, other)| {
        let mut input = Input::of(&call, &key(by));
        input.components.push(format!("\"signature-input\";key=\"{other}\""));
        (label, by, input)
    });
    for (label, _, input) in &inputs {
        call.attach(label, &input.to_string(), &[]);
    }
    let made = inputs.map(|(label, by, input)| {
        let head = call.head();
        let candidates = header::read(&head).unwrap();
        let one = candidates.into_iter().find(|one| one.label == label).unwrap();
        let origins = Origins::unknown();
        let target = origins.resolve(&head).unwrap();
        let base = signature_base(&one.params.unwrap(), &head, &target).unwrap();
        (label, key(by).sign(base.as_bytes()).unwrap(), input)
    });
    let mut call = Call::unsigned();
    for (label, signature, input) in made {
        call.attach(label, &input.to_string(), &signature);
    }
    assert_eq!(both_trusted().refusal(&call), (2, Code::SignatureMissing));
}

#[test]
fn a_signature_over_one_that_covers_another_holds_and_does_not_count() {
    let mut call = Call::signed();
    covering(&mut call, 2, "proxy", &BOTH);
    covering(&mut call, 2, "outer", &["\"signature\";key=\"proxy\""]);
    let verified = both_trusted().accepts(&call);
    assert_eq!(verified.label(), "mcp");
}

/// Returns a call that is signed only by the security key.
fn alone(touch_key: &SoftwareKey) -> Call {
    let mut call = Call::unsigned();
    let input = Input::of(&call, &touch_key.secret);
    let signature = touch_key.sign(call.base(&input).as_bytes());
    call.attach("mcp", &input.to_string(), &signature);
    call
}

#[test]
fn a_security_key_signs_alone_only_if_its_entry_says_so() {
    let touch_key = security_key();
    let judge = |more: Value| Judge::mcp().trusting(vec![touch_key.entry("alice", &more)]);
    let call = alone(&touch_key);
    for more in [json!({}), json!({"alone": false}), json!({"for": ["alice"]})] {
        assert_eq!(judge(more).refusal(&call), (11, Code::NotAllowed));
    }
    let accepted = judge(json!({"alone": true})).accepts(&call);
    assert_eq!((accepted.name(), accepted.label()), (Some("alice"), "mcp"));
    // The signature of the security key itself is the touch.
    let touch = accepted.touch().unwrap();
    assert_eq!((touch.label, touch.key), ("mcp", touch_key.secret.public().id()));
    // If the presence flag of the security key is not set, its signature is refused.
    let untouched = SoftwareKey { flags: 0, ..security_key() };
    let refused = judge(json!({"alone": true})).refusal(&alone(&untouched));
    assert_eq!(refused, (8, Code::SignatureInvalid));
    let verified = json!({"alone": true, "require": "verified"});
    assert_eq!(judge(verified.clone()).refusal(&call), (8, Code::SignatureInvalid));
    judge(verified).accepts(&alone(&SoftwareKey { flags: 0x05, ..security_key() }));
}

#[test]
fn one_entry_that_forbids_signing_alone_is_enough() {
    let touch_key = security_key();
    let call = alone(&touch_key);
    let entry = |more: Value| touch_key.entry("alice", &more);
    let (may, may_not) = (entry(json!({"alone": true})), entry(json!({})));
    for trust in [vec![may.clone(), may_not.clone()], vec![may_not, may.clone()]] {
        assert_eq!(Judge::mcp().trusting(trust).refusal(&call), (11, Code::NotAllowed));
    }
    Judge::mcp().trusting(vec![may.clone(), may]).accepts(&call);
}

#[test]
fn a_security_key_that_may_not_sign_alone_supports_no_touch() {
    // The touch of a second security key confirms the signature of the first one.
    let (first, second) = (security_key(), SoftwareKey::new(key(8)));
    let trust = |alone| {
        vec![first.entry("alice", &json!({"alone": alone})), second.entry("alice", &json!({}))]
    };
    let mut call = alone(&first);
    let joining = input(&call, &second, "mcp");
    let signature = second.sign(call.base(&joining).as_bytes());
    call.attach("touch", &joining.to_string(), &signature);
    assert_eq!(Judge::mcp().trusting(trust(false)).refusal(&call), (11, Code::NotAllowed));
    assert!(Judge::mcp().trusting(trust(true)).accepts(&call).touch().is_some());
}

#[test]
fn a_security_key_beside_an_ordinary_signature_does_not_name_the_request() {
    let touch_key = security_key();
    let mut call = Call::unsigned();
    let input = Input::of(&call, &touch_key.secret);
    let signature = touch_key.sign(call.base(&input).as_bytes());
    call.attach("sk", &input.to_string(), &signature);
    let plain = Input::of(&call, &key(1));
    call.sign(&key(1), "mcp", &plain);
    let judge = Judge::mcp().trusting(vec![touch_key.entry("bob", &json!({})), trusted(&key(1))]);
    let verified = judge.accepts(&call);
    assert_eq!((verified.name(), verified.touch()), (Some("alice"), None));
}

#[test]
fn other_profiles_know_no_security_keys() {
    use mcpid::Profile;
    for profile in [Profile::sep2752(), Profile::rfc9421()] {
        let it = TouchedCall::new();
        let trust = it.judge.trust.clone();
        let judge = Judge::by(profile.clone()).trusting(trust);
        let verified = judge.accepts(&it.call);
        assert_eq!((verified.label(), verified.touch()), ("mcp", None), "{}", profile.name);
        let touch_key = security_key();
        let only =
            Judge::by(profile).trusting(vec![touch_key.entry("alice", &json!({"alone": true}))]);
        assert_eq!(only.refusal(&alone(&touch_key)), (7, Code::AlgNotAllowed));
    }
}
