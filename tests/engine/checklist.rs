//! Tests of all twelve verification steps together: their order, several signatures, what a refusal
//! reveals, the profiles, and the use of nonces.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mcpid::clock::{Clock, Timestamp};
use mcpid::key::{SecretKey, Sign as _};
use mcpid::mcp::body::Scope;
use mcpid::nonce::{NonceStore as _, Retention};
use mcpid::profile::{Profile, Window};
use mcpid::verify::{Code, NonceOutcome, Rejection, ReplayCheck, Unavailable, VerifyError};
use serde_json::json;

use crate::fixtures::{
    CREATED, Call, Counting, Input, Judge, NONCE, NOW, key, memory, ready, store, time, trusted,
};
use crate::refusals::{Play, use_up};
mod profiles;
mod replay;
mod several;

/// A fault that one step finds: the number of the step, a change before signing, and a change after
/// signing. The faults of all steps can be combined in one request.
type Fault = (u8, fn(&mut Play), fn(&mut Play));

const FAULTS: [Fault; 12] = [
    (
        1,
        |_| (),
        |p| {
            p.call.push("mcp-name", "get_weather");
        },
    ),
    (
        2,
        |_| (),
        |p| {
            p.call.remove("signature");
        },
    ),
    (
        3,
        |_| (),
        |p| {
            p.call.edit("signature-input", "mcp=(", "mcp=(\"@method\" ");
        },
    ),
    (4, |p| drop(p.input.params.remove(4)), |_| ()),
    (5, |_| (), |p| p.judge = p.judge.clone().at(CREATED + 31)),
    (
        6,
        |p| {
            p.input.uncover("content-type");
        },
        |_| (),
    ),
    (7, |p| p.limit("revoked_at", json!(time(CREATED).to_string())), |_| ()),
    (8, |_| (), |p| p.key = key(2)),
    (9, |_| (), |p| p.call.body.push(b' ')),
    (
        10,
        |p| {
            p.call.set("mcp-name", "delete_weather");
        },
        |_| (),
    ),
    (11, |p| p.limit("allow", json!([])), |_| ()),
    (12, |p| use_up(&p.judge.clone().trusting(vec![trusted(&key(1))]), NONCE), |_| ()),
];

fn with_faults(faults: &[&Fault]) -> u8 {
    let mut play = Play::new();
    // The faults are applied in reverse order, because the fault of the nonce needs a request that
    // was accepted before.
    for (_, before, _) in faults.iter().rev() {
        before(&mut play);
    }
    if faults.iter().any(|(step, ..)| *step == 8) {
        play.key = key(2);
    }
    play.sign();
    for (_, _, after) in faults.iter().rev() {
        after(&mut play);
    }
    play.judge.refuses(&play.call).step().number()
}

#[test]
fn of_two_faults_that_of_the_earlier_step_is_reported() {
    for (at, first) in FAULTS.iter().enumerate() {
        assert_eq!(with_faults(&[first]), first.0);
        for second in &FAULTS[at + 1..] {
            assert_eq!(with_faults(&[first, second]), first.0, "{} and {}", first.0, second.0);
        }
    }
    assert_eq!(with_faults(&FAULTS.each_ref()), 1);
    assert_eq!(with_faults(&FAULTS.each_ref()[2..]), 3);
}

fn both_codes(rejection: &Rejection) -> (Code, Code) {
    (rejection.code(), rejection.public_code())
}

/// A client without the private key cannot find out which keys are trusted: it gets the same answer
/// for unknown, revoked, expired and published keys, and for a wrong tag.
#[test]
fn an_unknown_sender_learns_nothing_about_the_registry() {
    type Change = fn(&mut Play);
    let cases: [(Code, Change); 7] = [
        (Code::KeyUnknown, |p| p.judge.trust.clear()),
        (Code::KeyRevoked, |p| p.limit("revoked_at", json!(time(CREATED).to_string()))),
        (Code::KeyNotValid, |p| p.limit("not_after", json!(time(CREATED).to_string()))),
        (Code::KeyNotValid, |p| p.limit("not_before", json!(time(NOW + 9).to_string()))),
        (Code::TagMismatch, |p| {
            p.input.set("tag", "\"bob\"");
        }),
        (Code::KeyPublished, |p| {
            p.key = SecretKey::from_seed(&[7; 32]);
            p.judge.trust = vec![trusted(&p.key)];
            p.input = Input::of(&p.call, &p.key);
        }),
        (Code::SignatureInvalid, |p| p.key = key(2)),
    ];
    for (code, change) in cases {
        let mut play = Play::new();
        change(&mut play);
        // Case 1: a genuine signature, for which the exact reason is given.
        play.sign();
        let genuine = play.judge.refuses(&play.call);
        let known = !matches!(code, Code::KeyUnknown | Code::SignatureInvalid);
        assert_eq!(both_codes(&genuine), (code, if known { code } else { Code::KeyUnknown }));
        // Case 2: a forged signature.
        let mut forged = play.call.clone();
        forged.remove("signature").remove("signature-input");
        forged.attach("mcp", &play.input.to_string(), &[9; 64]);
        assert_eq!(both_codes(&play.judge.refuses(&forged)), (code, Code::KeyUnknown));
        // Case 3: a signature of the wrong length.
        let mut short = play.call.clone();
        short.remove("signature").remove("signature-input");
        short.attach("mcp", &play.input.to_string(), &[9; 63]);
        assert_eq!(play.judge.refuses(&short).public_code(), Code::KeyUnknown);
    }
    // Refusals at other steps than 7 and 8 reveal nothing about the trust files either.
    for case in crate::refusals::cases() {
        if matches!(case.step, 7 | 8) {
            continue;
        }
        let mut play = Play::new();
        (case.before)(&mut play);
        play.sign();
        (case.after)(&mut play);
        let rejection = play.judge.refuses(&play.call);
        assert_eq!(rejection.public_code(), rejection.code(), "{}", case.why);
    }
}

#[test]
fn a_statement_says_what_was_signed() {
    let mut call = Call::signed();
    call.push("x-forwarded-for", "10.0.0.1");
    call.body.push(b' ');
    let mut judge = Judge::mcp();
    judge.trust[0]["mcpid"]["revoked_at"] = json!(time(NOW + 1_000).to_string());
    let rejection = judge.refuses(&call);
    let said = rejection.statement().unwrap();
    assert_eq!(said.label, "mcp");
    assert_eq!(said.key.as_deref(), Some(key(1).public().id().as_str()));
    assert_eq!(said.key_name.as_deref(), Some("alice"));
    assert_eq!(said.revoked_at, Some(time(NOW + 1_000)));
    assert_eq!((said.created, said.expires), (Some(time(CREATED)), Some(time(CREATED + 30))));
    assert_eq!(said.covered[..3], ["@method", "@target-uri", "content-digest"]);
    assert_eq!(said.not_covered, ["accept", "x-forwarded-for"]);
}
