//! Tests of the reason in a refusal because of a missing touch.

use mcpid::verify::Rejection;

use super::*;

/// Judges the call as a server that demands a touch of a security key.
#[track_caller]
fn refusal(it: &TouchedCall) -> Rejection {
    let (verifier, head) = (it.judge.verifier(), it.call.head());
    let held = verifier.judge_head(&head).unwrap();
    let judged = verifier.judge_body(held, &it.call.body).unwrap();
    assert_eq!(judged.touch(), None);
    let rule = "tools/call:*".parse().unwrap();
    let refusal = judged.touch_required(&head, Some(&rule));
    assert!(refusal.message().starts_with("tools/call:* needs a touch: "), "{refusal}");
    assert!(!refusal.message().contains('\n'), "{refusal}");
    let plain = judged.touch_required(&head, None);
    assert_eq!(
        refusal.message().strip_prefix("tools/call:* needs a touch: "),
        Some(plain.message())
    );
    refusal
}

#[track_caller]
fn gives(it: &TouchedCall, word: &str) {
    let refusal = refusal(it);
    assert_eq!(refusal.touch_fault().unwrap().as_str(), word, "{refusal}");
    assert!(refusal.details().contains(&("touch", word.to_owned())), "{:?}", refusal.details());
    assert_eq!(refusal.code(), Code::TouchRequired);
}

/// A case: the expected reason, and the change before the touch is made.
type FaultCase = (&'static str, fn(&mut TouchedCall));

#[test]
fn the_refusal_says_why_a_touch_counts_for_nothing() {
    let cases: &[FaultCase] = &[
        ("not_present", |it| it.touch_key.flags = 0x00),
        ("not_present", |it| it.touch_key.flags = 0x04),
        ("signature_invalid", |it| it.touch_key.flags = 0x41),
        ("signature_invalid", |it| it.touch_key.application = "ssh:other"),
        ("not_verified", |it| {
            it.rule("require", json!("verified"));
        }),
        ("other_parameters", |it| {
            it.input.set("created", CREATED + 1);
        }),
        ("other_parameters", |it| {
            it.input.set("expires", CREATED + 29);
        }),
        ("other_parameters", |it| {
            it.input.set("nonce", "\"AAECAwQFBgcICQoLDA0OEA\"");
        }),
        ("parameter_missing", |it| {
            it.input.unset("tag");
        }),
        ("coverage_insufficient", |it| {
            it.input.uncover("content-digest");
        }),
        ("not_joined", |it| {
            it.input.components.retain(|c| !c.starts_with("\"signature\""));
        }),
        ("not_joined", |it| {
            it.input.components.retain(|c| !c.starts_with("\"signature-input\""));
        }),
        ("not_joined", |it| it.input.components.retain(|c| !c.contains("key="))),
        ("key_revoked", |it| {
            it.limit("revoked_at", json!("2026-01-01T00:00:00Z"));
        }),
        ("key_not_valid", |it| {
            it.limit("not_after", json!("2026-01-01T00:00:00Z"));
        }),
        ("key_unknown", |it| it.judge.trust.truncate(1)),
        ("not_allowed", |it| {
            it.limit("allow", json!(["tools/call:get_time"]));
        }),
        ("not_for", |it| {
            it.limit("name", json!("bob"));
        }),
        ("not_for", |it| {
            it.rule("for", json!([]));
        }),
        ("signature_invalid", |it| {
            it.judge.trust[1]["mcpid"].as_object_mut().unwrap().remove("security_key");
        }),
    ];
    for (word, change) in cases {
        let mut it = TouchedCall::untouched();
        change(&mut it);
        it.touch();
        gives(&it, word);
    }
    gives(&TouchedCall::untouched(), "absent");
}

#[test]
fn the_refusal_says_that_a_label_was_changed() {
    let mut it = TouchedCall::new();
    for (name, value) in &mut it.call.fields {
        if name.starts_with("signature") && value.starts_with(b"mcp=") {
            *value = [b"renamed", &value[3..]].concat();
        }
    }
    gives(&it, "relabelled");
}

#[test]
fn the_refusal_says_that_an_ordinary_key_signed_over_the_signature() {
    let mut it = TouchedCall::untouched();
    it.judge.trust[1] = trusted(&key(2));
    let covering = input(&it.call, &SoftwareKey::new(key(2)), "mcp");
    it.call.sign(&key(2), "touch", &covering);
    gives(&it, "not_security_key");
}

#[test]
fn the_refusal_says_that_the_touch_joins_another_signer() {
    let mut it = TouchedCall::untouched();
    let mut bob = trusted(&key(2));
    bob["mcpid"]["name"] = json!("bob");
    it.judge.trust.push(bob);
    it.judge.trust[0]["mcpid"]["allow"] = json!(["tools/list"]);
    let plain = Input::of(&it.call, &key(2));
    it.call.sign(&key(2), "bob", &plain);
    it.touch();
    gives(&it, "other_signer");
}

#[test]
fn the_refusal_says_that_the_joined_signature_is_invalid() {
    let mut it = TouchedCall::untouched();
    let mut bob = trusted(&key(2));
    bob["mcpid"]["name"] = json!("bob");
    it.judge.trust.push(bob);
    // Alice's key is no longer trusted, and Bob signed too.
    it.judge.trust[0] = trusted(&key(3));
    let plain = Input::of(&it.call, &key(2));
    it.call.sign(&key(2), "bob", &plain);
    it.touch();
    gives(&it, "joined_invalid");
}

/// If there are two touches, the reason is about the one that passed more steps, in
/// either order.
#[test]
fn of_two_touches_the_one_that_got_furthest_gives_the_reason() {
    for unknown_first in [true, false] {
        let mut it = TouchedCall::untouched();
        it.rule("for", json!([]));
        let other = SoftwareKey::new(key(8));
        let second = input(&it.call, &other, "mcp");
        let signature = other.sign(it.call.base(&second).as_bytes());
        if unknown_first {
            it.call.attach("second", &second.to_string(), &signature);
            it.touch();
        } else {
            it.touch();
            it.call.attach("second", &second.to_string(), &signature);
        }
        gives(&it, "not_for");
    }
}

/// If only a security key signed, the refusal says why its signature is no acceptable touch.
#[test]
fn a_lone_signature_of_a_security_key_says_what_it_lacks() {
    for (flags, word) in [(0x00, "not_present"), (0x01, "not_verified")] {
        let mut it = TouchedCall::untouched();
        it.rule("alone", json!(true)).rule("require", json!("verified"));
        it.touch_key.flags = flags;
        it.call = Call::unsigned();
        let plain = Input::of(&it.call, &it.touch_key.secret);
        let signature = it.touch_key.sign(it.call.base(&plain).as_bytes());
        it.call.attach("mcp", &plain.to_string(), &signature);
        let refusal = it.judge.refuses(&it.call);
        assert_eq!(refusal.code(), Code::SignatureInvalid);
        assert_eq!(refusal.touch_fault().unwrap().as_str(), word);
    }
    // Refusals with other codes contain no reason about a touch of a security key.
    let mut it = TouchedCall::new();
    it.judge.trust[0] = trusted(&key(3));
    assert_eq!(it.judge.refuses(&it.call).touch_fault(), None);
}
