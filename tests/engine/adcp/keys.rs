//! Tests of the purpose (signing requests) that the key set of a buyer has to state for its keys,
//! and of the validity of its key.

use serde_json::{Value, json};

use super::{buyer, judge_of, name, signed};
use crate::fixtures::{Judge, key, trusted};
use mcpid::profile::Profile;

#[test]
fn a_key_that_may_not_sign_requests_is_refused_by_the_name_of_its_fault() {
    type Change = (&'static str, &'static str, fn(&mut Value));
    let faults: &[Change] = &[
        ("a key for encrypting", "signature_key_purpose_invalid", |e| e["use"] = json!("enc")),
        ("no use", "signature_key_purpose_invalid", |e| _ = remove(e, "use")),
        ("a key for signing only", "signature_key_purpose_invalid", |e| {
            e["key_ops"] = json!(["sign"])
        }),
        ("no key_ops", "signature_key_purpose_invalid", |e| _ = remove(e, "key_ops")),
        ("no adcp_use", "signature_key_purpose_invalid", |e| _ = remove(e, "adcp_use")),
        ("a key for governance", "signature_key_purpose_invalid", |e| {
            e["adcp_use"] = json!("governance-signing");
        }),
        ("a list of purposes", "signature_key_purpose_invalid", |e| {
            e["adcp_use"] = json!(["request-signing"]);
        }),
        ("the algorithm of another key", "signature_key_purpose_invalid", |e| {
            e["alg"] = json!("ES256")
        }),
        ("revoked", "signature_key_revoked", |e| {
            e["mcpid"]["revoked_at"] = json!("2026-01-01T00:00:00Z");
        }),
        ("not valid yet", "signature_key_unknown", |e| {
            e["mcpid"]["not_before"] = json!("2036-01-01T00:00:00Z");
        }),
    ];
    for (what, expected, change) in faults {
        assert_eq!(name(&judge_of(change), &signed(|_| (), |_| ())), *expected, "{what}");
    }
}

fn remove(entry: &mut Value, name: &str) -> Option<Value> {
    entry.as_object_mut().unwrap().remove(name)
}

/// A request is accepted if one of several keys with its `kid` has signed it. If a second trust
/// file lists a key without the purpose of signing requests, the key is refused.
#[test]
fn several_keys_of_one_kid_are_tried_and_one_entry_without_purpose_spoils_its_key() {
    let mut other = trusted(&key(2));
    for member in ["kid", "use", "key_ops", "adcp_use"] {
        other[member] = buyer()[member].clone();
    }
    let call = signed(|_| (), |_| ());
    let both = Judge::by(Profile::adcp()).trusting(vec![other.clone(), buyer()]);
    both.accepts(&call);
    let elsewhere = Judge::by(Profile::adcp()).trusting(vec![other]);
    assert_eq!(name(&elsewhere, &call), "signature_invalid");
    // If two trust files list the same key, the stricter entry applies.
    let plain = Judge::by(Profile::adcp()).trusting(vec![buyer(), trusted(&key(1))]);
    assert_eq!(name(&plain, &call), "signature_key_purpose_invalid");
    // `keyid` may also be the thumbprint of the key.
    let id = {
        use mcpid::key::Sign as _;
        key(1).public().id().to_string()
    };
    Judge::by(Profile::adcp())
        .trusting(vec![buyer()])
        .accepts(&signed(|_| (), |i| _ = i.set("keyid", format!("\"{id}\""))));
}
