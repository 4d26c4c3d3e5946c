//! Tests of several signatures on one request.

use super::*;

/// Returns a call with two signatures: `a` by key 1, and `b` by key 2 with another nonce.
fn two() -> (Judge, Call) {
    let judge = Judge::mcp().trusting(vec![trusted(&key(1)), trusted(&key(2))]);
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    call.sign(&key(1), "a", &input);
    input = Input::of(&call, &key(2));
    call.sign(&key(2), "b", input.set("nonce", "\"second-nonce-of-22-chr\""));
    (judge, call)
}

/// Returns the call without its other signatures: only the one with the label `keep` stays.
fn stripped(call: &Call, keep: &str) -> Call {
    let mut call = call.clone();
    let other = |value: &[u8]| !value.starts_with(format!("{keep}=").as_bytes());
    call.fields.retain(|(name, value)| !(name.starts_with("signature") && other(value)));
    call
}

#[test]
fn the_nonces_of_all_valid_signatures_are_claimed() {
    let (judge, call) = two();
    assert_eq!(judge.accepts(&call).label(), "a");
    for keep in ["a", "b"] {
        let refused = judge.refusal(&stripped(&call, keep));
        assert_eq!(refused, (12, Code::NonceReplayed), "{keep} alone");
    }
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
    // If one of the two signatures was already used alone, the request with both signatures is
    // refused as a replay.
    for keep in ["a", "b"] {
        let (judge, call) = two();
        judge.accepts(&stripped(&call, keep));
        assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed), "{keep} first");
    }
}

#[test]
fn one_valid_signature_is_enough() {
    for broken in ["a", "b"] {
        let (judge, mut call) = two();
        for (name, value) in &mut call.fields {
            if name == "signature" && value.starts_with(broken.as_bytes()) {
                value[10] ^= 1;
            }
        }
        let held = if broken == "a" { "b" } else { "a" };
        assert_eq!(judge.accepts(&call).label(), held);
        // The nonce of an invalid signature is not stored, so it can still be used.
        let (_, whole) = two();
        judge.accepts(&stripped(&whole, broken));
    }
    // The second signature is malformed or by an unknown key. The first one is enough.
    for (input, signature) in [
        ("(\"@method\" \"@method\");created=1", ":AAAA:"),
        ("(\"Bad\");created=1", ":AAAA:"),
        ("1", ":AAAA:"),
        ("()", "1"),
        ("()", ":AAAA:;x"),
        ("();a;a", ":AAAA:"),
        ("()", ":AB==:"),
        ("(\"@method\");created=1;keyid=\"stranger\"", ":AAAA:"),
    ] {
        for first in [true, false] {
            let (judge, mut call) = (Judge::mcp(), Call::signed());
            let at = if first { 0 } else { call.fields.len() };
            let line = |name: &str, value| (name.to_owned(), format!("x={value}").into_bytes());
            call.fields.insert(at, line("signature", signature));
            call.fields.insert(at, line("signature-input", input));
            assert_eq!(judge.accepts(&call).label(), "mcp", "{input} {signature}");
        }
    }
}

#[test]
fn a_fault_of_the_dictionary_refuses_all() {
    for (name, more) in [
        ("signature", "x=:AAAA:"),
        ("signature-input", "x=()"),
        ("signature", "mcp=:AAAA:"),
        ("signature-input", "mcp=()"),
        ("signature", "="),
        ("signature-input", "x=("),
        ("signature", "X=:AAAA:"),
        ("signature", "x=:AAAA"),
    ] {
        let mut call = Call::signed();
        call.push(name, more);
        let refused = Judge::mcp().refusal(&call);
        assert_eq!(refused, (3, Code::SignatureMalformed), "{name}: {more}");
    }
}

#[test]
fn four_labels_are_the_most() {
    let mut call = Call::signed();
    for label in ["b", "c", "d"] {
        call.attach(label, "()", &[]);
    }
    Judge::mcp().accepts(&call);
    call.attach("e", "()", &[]);
    assert_eq!(Judge::mcp().refusal(&call), (1, Code::TooLarge));
}

#[test]
fn the_signature_that_got_furthest_is_reported() {
    let broken = |call: &mut Call, label: &str, change: fn(&mut Input)| {
        let mut input = Input::of(call, &key(1));
        change(&mut input);
        call.attach(label, &input.to_string(), &[1; 64]);
    };
    type Change = fn(&mut Input);
    let changes: [(u8, Change); 5] = [
        (4, |i| drop(i.params.remove(2))),
        (5, |i| {
            i.set("created", 0).set("expires", 1);
        }),
        (6, |i| i.components.clear()),
        (7, |i| {
            i.set("keyid", "\"stranger\"");
        }),
        (8, |_| ()),
    ];
    for (first, one) in changes {
        for (second, other) in changes {
            let mut call = Call::unsigned();
            broken(&mut call, "one", one);
            broken(&mut call, "other", other);
            let rejection = Judge::mcp().refuses(&call);
            assert_eq!(rejection.step().number(), first.max(second));
            let label = &rejection.statement().unwrap().label;
            assert_eq!(label, if second > first { "other" } else { "one" }, "{first} {second}");
        }
    }
}

#[test]
fn a_pair_of_key_and_nonce_is_claimed_once() {
    let counting = Counting::new();
    let judge = Judge::mcp().replay(ReplayCheck::Claim(counting.clone()));
    let mut call = Call::unsigned();
    for label in ["a", "b", "c"] {
        let mut input = Input::of(&call, &key(1));
        call.sign(&key(1), label, input.set("x", format!("\"{label}\"")));
    }
    judge.accepts(&call);
    assert_eq!(counting.claimed(), 1);
    for keep in ["a", "b", "c"] {
        assert_eq!(judge.refusal(&stripped(&call, keep)), (12, Code::NonceReplayed), "{keep}");
    }
    // The same nonce with two keys counts as two nonces.
    let mut call = Call::unsigned();
    for (label, by) in [("a", 1), ("b", 2)] {
        let input = Input::of(&call, &key(by));
        call.sign(&key(by), label, &input);
    }
    let counting = Counting::new();
    let both = vec![trusted(&key(1)), trusted(&key(2))];
    let judge = Judge::mcp().trusting(both).replay(ReplayCheck::Claim(counting.clone()));
    judge.accepts(&call);
    assert_eq!(counting.claimed(), 2);
}

/// In the profile `rfc9421`, two signatures may share a nonce and have different or no ends of
/// validity. The nonce is kept until the last of them has ended.
#[test]
fn a_shared_nonce_is_remembered_until_the_last_signature_is_over() {
    for first_ends in [Some(CREATED + 20), None] {
        let mut call = Call::unsigned();
        for (label, ends) in [("a", first_ends), ("b", Some(CREATED + 3_600))] {
            let mut input = Input::of(&call, &key(1));
            match ends {
                Some(ends) => input.set("expires", ends),
                None => input.unset("expires"),
            };
            call.sign(&key(1), label, &input);
        }
        let shared = Arc::new(
            mcpid::nonce::memory::Memory::new(time(NOW), Retention::new(0, 5), &mut {
                rand::rngs::SysRng
            })
            .unwrap()
            .without_floor(),
        );
        let judge = Judge::by(Profile::rfc9421()).replay(ReplayCheck::WithinRun(shared));
        judge.accepts(&call);
        for later in [0, 100, 3_500] {
            let again = judge.clone().at(NOW + later).refusal(&stripped(&call, "b"));
            assert_eq!(again, (12, Code::NonceReplayed), "{first_ends:?} {later}");
        }
    }
}

#[test]
fn the_verdict_names_the_first_authorised_signature() {
    let (mut judge, call) = two();
    judge.trust[0]["mcpid"]["allow"] = json!(["tools/list"]);
    let verified = judge.accepts(&call);
    assert_eq!((verified.label(), verified.key()), ("b", key(2).public().id()));
    // The nonce of the signature that is not allowed the operation was used up too.
    judge.trust[0]["mcpid"]["allow"] = json!(["tools/call"]);
    assert_eq!(judge.refusal(&stripped(&call, "a")), (12, Code::NonceReplayed));
}

#[test]
fn nonces_are_claimed_in_the_order_of_their_signatures() {
    let counting = Counting::new();
    let (mut judge, call) = two();
    judge.replay = ReplayCheck::Claim(counting.clone());
    // The second signature authorises the request, but the nonce of the first one is stored first.
    judge.trust[0]["mcpid"]["allow"] = json!(["tools/list"]);
    assert_eq!(judge.accepts(&call).label(), "b");
    assert_eq!(*counting.nonces.lock().unwrap(), [NONCE, "second-nonce-of-22-chr"]);
}

/// If two signatures share a nonce, the older `created` decides whether the store may have lost the
/// nonce: the older signature may have been used before the store was created.
#[test]
fn a_shared_nonce_is_as_old_as_its_first_signature() {
    for (first, second) in [(NOW, NOW + 6), (NOW + 6, NOW)] {
        let mut call = Call::unsigned();
        for (label, created) in [("a", first), ("b", second)] {
            let mut input = Input::of(&call, &key(1));
            call.sign(&key(1), label, input.set("created", created).unset("expires"));
        }
        let judge = Judge::mcp().at(NOW + 4).replay(ReplayCheck::Claim(Arc::new(memory())));
        let Err(VerifyError::Unavailable(Unavailable::BelowFloor { created, .. })) =
            judge.judge(&call)
        else {
            panic!("the store may have forgotten it")
        };
        assert_eq!(created, Some(time(NOW)));
    }
}
