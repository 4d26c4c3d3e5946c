//! Tests of requests with several signatures: the first signature with the tag of the profile
//! decides.

use mcpid::verify::ReplayCheck;

use super::{Call, Judge, input, judge, name, unsigned};
use crate::fixtures::{Counting, Input, key};

const FIRST: &str = "\"AAAAAAAAAAAAAAAAAAAAAA\"";
const SECOND: &str = "\"BBBBBBBBBBBBBBBBBBBBBA\"";

/// Returns a call with two signatures by key 1. `first` and `second` change their parameters.
fn call(first: impl FnOnce(&mut Input), second: impl FnOnce(&mut Input)) -> Call {
    let mut call = unsigned();
    let (mut one, mut two) = (input(), input());
    one.set("nonce", FIRST);
    two.set("nonce", SECOND);
    first(&mut one);
    second(&mut two);
    call.sign(&key(1), "sig1", &one);
    call.sign(&key(1), "sig2", &two);
    call
}

/// Returns a verifier, and its nonce store, which records the nonces that the verifier stores.
fn counting() -> (Judge, std::sync::Arc<Counting>) {
    let store = Counting::new();
    (judge().replay(ReplayCheck::Claim(store.clone())), store)
}

#[test]
fn the_first_tagged_signature_decides_and_every_tagged_nonce_is_used_up() {
    let other_tag = |i: &mut Input| _ = i.set("tag", "\"web-bot-auth\"");
    let (both, store) = counting();
    assert_eq!(both.accepts(&call(|_| (), |_| ())).label(), "sig1");
    assert_eq!(*store.nonces.lock().unwrap(), [FIRST, SECOND].map(|n| n.replace('"', "")));

    let (untagged_first, store) = counting();
    assert_eq!(untagged_first.accepts(&call(other_tag, |_| ())).label(), "sig2");
    assert_eq!(*store.nonces.lock().unwrap(), [SECOND.replace('"', "")]);

    // An invalid second signature makes no difference, because the first one decides.
    let (second_bad, store) = counting();
    let bad = call(|_| (), |i| _ = i.uncover("content-digest"));
    assert_eq!(second_bad.accepts(&bad).label(), "sig1");
    assert_eq!(*store.nonces.lock().unwrap(), [FIRST.replace('"', "")]);
}

#[test]
fn a_good_second_signature_does_not_save_a_request_whose_first_one_fails() {
    let (judge, store) = counting();
    let bad = call(|i| _ = i.uncover("content-digest"), |_| ());
    assert_eq!(name(&judge, &bad), "signature_components_incomplete");
    let untagged = call(|i| _ = i.set("tag", "\"a\""), |i| _ = i.set("tag", "\"b\""));
    assert_eq!(name(&judge, &untagged), "signature_tag_invalid");
    assert!(store.nonces.lock().unwrap().is_empty());
}

#[test]
fn a_request_from_which_the_first_signature_was_removed_is_a_replay() {
    let judge = judge();
    let whole = call(|_| (), |_| ());
    judge.accepts(&whole);
    let mut stripped = whole.clone();
    for field in ["signature-input", "signature"] {
        let second =
            whole.fields.iter().filter(|(name, _)| name == field).nth(1).unwrap().1.clone();
        stripped.remove(field).push(field, std::str::from_utf8(&second).unwrap());
    }
    assert_eq!(name(&judge, &stripped), "signature_replayed");
}
