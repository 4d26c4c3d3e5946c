//! Tests of which nonces are stored for requests with a touch of a security key: those of all valid
//! signatures.

use super::*;

/// Returns the call without its other signatures: only the one with the label `keep` stays.
fn stripped(call: &Call, keep: &str) -> Call {
    let mut call = call.clone();
    let other = |value: &[u8]| !value.starts_with(format!("{keep}=").as_bytes());
    call.fields.retain(|(name, value)| !(name.starts_with("signature") && other(value)));
    call
}

#[test]
fn the_same_touch_is_accepted_once() {
    let it = TouchedCall::new();
    it.accepted();
    assert_eq!(it.judge.refusal(&it.call), (12, Code::NonceReplayed));
}

#[test]
fn a_touch_stripped_from_a_used_request_is_a_replay() {
    let it = TouchedCall::new();
    it.accepted();
    assert_eq!(it.judge.refusal(&stripped(&it.call, "mcp")), (12, Code::NonceReplayed));
}

#[test]
fn a_touch_added_to_a_used_request_is_a_replay() {
    let it = TouchedCall::new();
    it.judge.accepts(&stripped(&it.call, "mcp"));
    assert_eq!(it.judge.refusal(&it.call), (12, Code::NonceReplayed));
}

#[test]
fn the_nonce_of_the_touch_is_claimed_too() {
    // The security key may also sign alone. With the nonce that its touch has used, it is refused.
    let mut it = TouchedCall::new();
    it.rule("alone", json!(true));
    it.accepted();
    let mut call = Call::unsigned();
    let plain = Input::of(&call, &it.touch_key.secret);
    let signature = it.touch_key.sign(call.base(&plain).as_bytes());
    call.attach("mcp", &plain.to_string(), &signature);
    assert_eq!(it.judge.refusal(&call), (12, Code::NonceReplayed));
}

#[test]
fn the_nonce_of_a_touch_that_counts_for_nothing_is_claimed_too() {
    let mut it = TouchedCall::new();
    it.rule("alone", json!(true)).rule("for", json!(["bob"]));
    it.counts_for_nothing("for bob");
    let mut call = Call::unsigned();
    let plain = Input::of(&call, &it.touch_key.secret);
    let signature = it.touch_key.sign(call.base(&plain).as_bytes());
    call.attach("mcp", &plain.to_string(), &signature);
    assert_eq!(it.judge.refusal(&call), (12, Code::NonceReplayed));
}
