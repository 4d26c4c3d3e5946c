//! Tests of the order of the checks: if a request has two faults, the client learns the one that
//! AdCP's checklist checks first.

use serde_json::json;

use super::{full_judge, input, judge, judge_of, name, signed, tampered, unsigned};
use crate::fixtures::{CREATED, Call, Input, NOW, key};

/// A fault in the parameters of a signature: the name of the expected refusal, and the change that
/// causes it.
type Fault = (&'static str, fn(&mut Input));

#[test]
fn the_fault_of_the_earlier_check_is_told() {
    let faults: &[Fault] = &[
        ("signature_header_malformed", |i| _ = i.set("keyid", "token")),
        ("signature_params_incomplete", |i| _ = i.unset("nonce")),
        ("signature_tag_invalid", |i| _ = i.set("tag", "\"x\"")),
        ("signature_alg_not_allowed", |i| _ = i.set("alg", "\"hmac-sha256\"")),
        ("signature_window_invalid", |i| _ = i.set("expires", CREATED)),
        ("signature_components_incomplete", |i| _ = i.uncover("@authority")),
        ("signature_key_unknown", |i| _ = i.set("keyid", "\"absent\"")),
    ];
    for (at, (earlier, first)) in faults.iter().enumerate() {
        for (_, second) in &faults[at + 1..] {
            // A `keyid` that is a token and not a string cannot be combined with another fault of
            // `keyid`.
            let call = signed(
                |_| (),
                |i| {
                    second(i);
                    first(i);
                },
            );
            assert_eq!(name(&judge(), &call), *earlier);
        }
    }
}

#[test]
fn the_key_is_judged_before_the_signature_and_the_nonce_before_the_body() {
    let forged = tampered(|c| c.method = "PUT".to_owned());
    let purpose = judge_of(|e| e["adcp_use"] = json!("governance-signing"));
    assert_eq!(name(&purpose, &forged), "signature_key_purpose_invalid");
    let revoked =
        |e: &mut serde_json::Value| e["mcpid"]["revoked_at"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(name(&judge_of(revoked), &forged), "signature_key_revoked");
    let both = judge_of(|e| {
        revoked(e);
        e["adcp_use"] = json!("governance-signing");
    });
    assert_eq!(name(&both, &forged), "signature_key_purpose_invalid");
    assert_eq!(name(&full_judge(), &forged), "signature_rate_abuse");

    // The checks come in this order: signature, digest, nonce, body.
    let double = |call: &mut Call| _ = call.with_body(r#"{"a":1,"a":2}"#);
    let forged = tampered(|c| {
        c.method = "PUT".to_owned();
        c.body = b"{}".to_vec();
    });
    assert_eq!(name(&judge(), &forged), "signature_invalid");
    let judge = judge();
    judge.accepts(&signed(|_| (), |_| ()));
    let replayed = tampered(|c| c.body = b"{}".to_vec());
    assert_eq!(name(&judge, &replayed), "signature_digest_mismatch");
    assert_eq!(name(&judge, &signed(double, |_| ())), "signature_replayed");
}

#[test]
fn a_body_that_arrives_late_is_refused_by_its_window() {
    let mut call = unsigned();
    call.sign(&key(1), "sig1", &input());
    let late = judge().at(NOW + 400);
    assert_eq!(name(&late, &call), "signature_window_invalid");
}
