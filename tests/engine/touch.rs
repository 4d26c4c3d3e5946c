//! Tests of touches: signatures by security keys that confirm another signature of the request.

use mcpid::key::{SecretKey, Sign as _};
use mcpid::verify::{Code, Verified};
use serde_json::{Value, json};

use crate::fixtures::{CREATED, Call, Input, Judge, key, trusted};
use software_key::SoftwareKey;

mod attacks;
mod claims;
mod covering;
mod entries;
mod faults;
mod signing;
pub(crate) mod software_key;

/// Returns the security key of these tests, which is simulated in software.
fn security_key() -> SoftwareKey {
    SoftwareKey::new(key(9))
}

/// Returns the components and parameters of a touch of a security key that confirms the signature
/// `label`.
fn input(call: &Call, touch_key: &SoftwareKey, label: &str) -> Input {
    let mut input = Input::of(call, &touch_key.secret);
    for field in ["signature", "signature-input"] {
        input.components.push(format!("\"{field}\";key=\"{label}\""));
    }
    input
}

/// A call signed by key 1 (Alice), with a touch of a security key. The trust entries of both keys
/// have the same name.
struct TouchedCall {
    judge: Judge,
    call: Call,
    touch_key: SoftwareKey,
    input: Input,
}

impl TouchedCall {
    /// Returns the call without its touch.
    fn untouched() -> Self {
        let (call, touch_key) = (Call::signed(), security_key());
        let input = input(&call, &touch_key, "mcp");
        let judge =
            Judge::mcp().trusting(vec![trusted(&key(1)), touch_key.entry("alice", &json!({}))]);
        TouchedCall { judge, call, touch_key, input }
    }

    fn new() -> Self {
        let mut it = TouchedCall::untouched();
        it.touch();
        it
    }

    /// Adds the touch, a signature by the security key.
    fn touch(&mut self) -> &mut Self {
        let signature = self.touch_key.sign(self.call.base(&self.input).as_bytes());
        self.call.attach("touch", &self.input.to_string(), &signature);
        self
    }

    /// Sets a member inside of `security_key` in the trust entry of the security key.
    fn rule(&mut self, member: &str, value: Value) -> &mut Self {
        self.judge.trust[1]["mcpid"]["security_key"][member] = value;
        self
    }

    /// Sets a member of the trust entry of the security key, for example a limit.
    fn limit(&mut self, member: &str, value: Value) -> &mut Self {
        self.judge.trust[1]["mcpid"][member] = value;
        self
    }

    #[track_caller]
    fn accepted(&self) -> Verified {
        self.judge.accepts(&self.call)
    }

    /// Checks that the request is verified, but not confirmed by a touch of a security key.
    #[track_caller]
    fn counts_for_nothing(&self, why: &str) {
        let verified = self.accepted();
        assert_eq!(verified.touch(), None, "{why}");
        assert_eq!((verified.label(), verified.key()), ("mcp", key(1).public().id()), "{why}");
    }
}

#[test]
fn a_touch_of_each_kind_of_key_is_reported() {
    #[cfg(feature = "p256")]
    let p256 = SecretKey::from_p256_scalar(b"9 scalar that no publication has").ok();
    #[cfg(not(feature = "p256"))]
    let p256 = None;
    for secret in [Some(key(9)), p256].into_iter().flatten() {
        for (flags, verified) in [(0x01, false), (0x05, true), (0x09, false), (0x1d, true)] {
            let mut it = TouchedCall::untouched();
            let secret = match secret.public().kind() {
                mcpid::KeyKind::Ed25519 => key(9),
                _ => SecretKey::from_p256_scalar(b"9 scalar that no publication has").unwrap(),
            };
            it.touch_key = SoftwareKey { flags, ..SoftwareKey::new(secret) };
            it.judge.trust[1] = it.touch_key.entry("alice", &json!({}));
            it.input = input(&it.call, &it.touch_key, "mcp");
            it.touch();
            let accepted = it.accepted();
            let touch = accepted.touch().unwrap();
            assert_eq!(touch.key, it.touch_key.secret.public().id());
            assert_eq!((touch.name, touch.label), (Some("alice"), "touch"));
            assert_eq!((touch.verified, touch.counter), (verified, 7), "{flags}");
            assert_eq!(touch.as_str(), if verified { "verified" } else { "present" });
            assert_eq!(touch.application, "ssh:mcpid");
            // The verdict names the label and the key of the confirmed signature, and not those of
            // the touch.
            assert_eq!((accepted.label(), accepted.key()), ("mcp", key(1).public().id()));
            assert_eq!(accepted.tag(), Some(key(1).public().id().as_str()));
        }
    }
}

#[test]
fn an_untouched_call_has_no_touch() {
    TouchedCall::untouched().counts_for_nothing("no touch");
}

#[test]
fn a_touch_counts_from_each_place_of_the_request() {
    let whole = TouchedCall::new();
    let lines = whole.call.fields.iter().filter(|(name, _)| name.starts_with("signature"));
    let lines: Vec<_> = lines.cloned().collect();
    // The lines of the touch stand before those of the confirmed signature.
    let mut it = TouchedCall::new();
    it.call.remove("signature").remove("signature-input");
    it.call.fields.extend(lines.iter().rev().cloned());
    assert_eq!(it.accepted().touch().unwrap().label, "touch");
    assert_eq!(it.judge.refusal(&whole.call), (12, Code::NonceReplayed));
}

#[test]
fn the_two_components_of_a_touch_do_not_count_against_the_limit() {
    for (count, fits) in [(32, true), (33, false)] {
        let mut it = TouchedCall::untouched();
        it.call = Call::unsigned();
        let mut plain = Input::of(&it.call, &key(1));
        for n in plain.components.len()..32 {
            it.call.push(&format!("x-{n}"), "1");
            plain.components.push(format!("\"x-{n}\""));
        }
        it.call.push("x-more", "1");
        it.call.sign(&key(1), "mcp", &plain);
        it.input = input(&it.call, &it.touch_key, "mcp");
        it.input.components = plain.components.clone();
        it.input.components.extend((count == 33).then(|| "\"x-more\"".to_owned()));
        for field in ["signature", "signature-input"] {
            it.input.components.push(format!("\"{field}\";key=\"mcp\""));
        }
        it.touch();
        assert_eq!(it.accepted().touch().is_some(), fits, "{count}");
    }
    // An ordinary signature may not cover more components because of the exception for touches.
    let mut call = Call::unsigned();
    let mut plain = Input::of(&call, &key(1));
    for n in plain.components.len()..33 {
        call.push(&format!("x-{n}"), "1");
        plain.components.push(format!("\"x-{n}\""));
    }
    call.sign(&key(1), "mcp", &plain);
    assert_eq!(Judge::mcp().refusal(&call), (1, Code::TooLarge));
}

#[test]
fn a_touch_joins_a_signature_of_any_label() {
    for label in ["sig1", "a", "touched"] {
        let mut it = TouchedCall::untouched();
        it.call = Call::unsigned();
        let plain = Input::of(&it.call, &key(1));
        it.call.sign(&key(1), label, &plain);
        it.input = input(&it.call, &it.touch_key, label);
        it.touch();
        assert!(it.accepted().touch().is_some(), "{label}");
    }
}

#[test]
fn of_two_touches_the_verified_one_is_reported() {
    for verified_first in [true, false] {
        let mut it = TouchedCall::untouched();
        let other = SoftwareKey { counter: 8, ..SoftwareKey::new(key(8)) };
        it.judge.trust.push(other.entry("alice", &json!({})));
        it.touch_key.flags = if verified_first { 0x05 } else { 0x01 };
        it.touch();
        let second = input(&it.call, &other, "mcp");
        let other = SoftwareKey { flags: if verified_first { 0x01 } else { 0x05 }, ..other };
        let signature = other.sign(it.call.base(&second).as_bytes());
        it.call.attach("second", &second.to_string(), &signature);
        let accepted = it.accepted();
        let touch = accepted.touch().unwrap();
        assert_eq!(
            (touch.verified, touch.label),
            (true, if verified_first { "touch" } else { "second" })
        );
    }
}

#[test]
fn a_touched_signature_names_the_request_wherever_it_stands() {
    // Key 2 signs too and comes first. The touch confirms the signature of key 1.
    let mut it = TouchedCall::untouched();
    it.judge.trust.push({
        let mut bob = trusted(&key(2));
        bob["mcpid"]["name"] = json!("bob");
        bob
    });
    it.call = Call::unsigned();
    for (label, by) in [("first", 2), ("mcp", 1)] {
        let plain = Input::of(&it.call, &key(by));
        it.call.sign(&key(by), label, &plain);
    }
    assert_eq!(it.judge.accepts(&it.call).name(), Some("bob"));
    it.judge = Judge::mcp().trusting(it.judge.trust.clone());
    it.touch();
    let accepted = it.accepted();
    assert_eq!((accepted.name(), accepted.label()), (Some("alice"), "mcp"));
    assert!(accepted.touch().is_some());
}
