//! Tests of signatures that an audit cannot verify, because they cover a header field that the log
//! does not keep. They occur beside other signatures, under them, and as a cover for false ones.
//! Such an entry is never good, and if it is honest it is never bad.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::Recorder;
use mcpid::audit::entry_judge::UnjudgedReason;
use mcpid::base::Component;
use mcpid::clock::Timestamp;
use mcpid::key::Sign as _;
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::fixtures::{Call, LogFixture, START, body, call, entry, key, origins, registry};
use crate::forged::check_line_by;
use crate::touches::touch_key;

/// A covered field that the log does not keep.
const UNKEPT: &[&str] = &["\"user-agent\""];

fn over(label: &str) -> [String; 2] {
    ["signature", "signature-input"].map(|field| format!("\"{field}\";key=\"{label}\""))
}

/// Returns a call without signatures.
fn unsigned() -> Call {
    let mut call = call(1, START, &body(1), &[("user-agent", "agent/1")]);
    call.fields.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("signature"));
    call
}

/// Adds a signature of key `by` that covers the components in `more` too. The signature's nonce is
/// made from `nonce`. `change` may replace the signature's bytes.
fn attach<T: AsRef<str>>(
    call: &mut Call,
    (by, label, nonce): (u8, &str, &str),
    more: &[T],
    change: impl Fn(&[u8]) -> Vec<u8>,
) {
    let mut signer = Signer::new(Arc::new(key(by)), &Profile::mcp()).unwrap().with_label(label);
    for text in more {
        signer = signer.cover(Component::parse(text.as_ref()).unwrap().into_owned());
    }
    let seed = nonce.bytes().map(u64::from).sum();
    let nonce = Nonce::generate(&mut StdRng::seed_from_u64(seed)).unwrap();
    let at = Timestamp::from_unix(START);
    let signed = signer.sign(&call.head(), &origins(), &call.body, at, &nonce).unwrap();
    let base = signed.base.as_bytes();
    let plain = STANDARD.encode(key(by).sign(base).unwrap());
    let changed = STANDARD.encode(change(base));
    let new: Vec<_> =
        signed.headers().map(|(n, v)| (n.to_owned(), v.replace(&plain, &changed))).collect();
    call.fields.retain(|(name, _)| !new.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    call.fields.extend(new);
}

fn add<T: AsRef<str>>(call: &mut Call, by: u8, label: &str, more: &[T]) {
    attach(call, (by, label, label), more, |base| key(by).sign(base).unwrap().to_vec());
}

/// Adds a signature of the security key, with the nonce of the signature `joined`, which it
/// confirms.
fn add_touch<T: AsRef<str>>(call: &mut Call, label: &str, joined: &str, more: &[T]) {
    attach(call, (21, label, joined), more, |base| touch_key().sign(base).to_vec());
}

/// Returns the entry of a verified call, with its body.
fn recorded(fixture: &LogFixture, call: &Call) -> Value {
    let recorder = Recorder::new(fixture.open()).with_bodies(Vec::new());
    fixture.record(&recorder, call).unwrap();
    drop(recorder);
    let line: Value = serde_json::from_str(fixture.lines().last().unwrap()).unwrap();
    assert_eq!(line["verdict"], "verified", "{line}");
    line
}

fn fault(fixture: &LogFixture, line: &Value) -> Option<String> {
    match check_line_by(fixture, line, fixture.trust()) {
        Ok(checked) => {
            assert!(
                checked.fault.is_some() || checked.judged.reasons.has(UnjudgedReason::BaseNotKept),
                "{line}"
            );
            checked.fault
        }
        Err(error) => Some(error.to_string()),
    }
}

fn labels(line: &Value) -> Vec<(&str, bool)> {
    let all = line["signatures"].as_array().unwrap();
    all.iter().map(|one| (one["label"].as_str().unwrap(), one.get("base").is_some())).collect()
}

/// Returns a request with three signatures: `c` covers a field that the log does not keep, `b`
/// covers `c`, and `d` covers `b`.
fn chain(order: &str) -> Call {
    let mut call = unsigned();
    for label in order.chars() {
        match label {
            'a' => add::<&str>(&mut call, 1, "a", &[]),
            'c' => add(&mut call, 2, "c", UNKEPT),
            'b' => add(&mut call, 2, "b", &over("c")),
            _ => add(&mut call, 1, "d", &over("b")[..1]),
        }
    }
    call
}

#[test]
fn a_signature_over_an_unseen_one_makes_no_honest_entry_bad() {
    for order in ["acb", "cab", "cba", "acbd", "cbda", "cb", "cbd", "c"] {
        let fixture = LogFixture::new();
        let line = recorded(&fixture, &chain(order));
        assert_eq!(line["signatures"].as_array().unwrap().len(), order.len(), "{line}");
        // The log keeps all that `b` and `d` cover, so the audit verifies them.
        for (label, has_base) in labels(&line) {
            assert_eq!(has_base, label != "c", "{order}");
        }
        assert_eq!(fault(&fixture, &line), None, "{order}");
        let report = fixture.audit(&[]);
        assert!(report.findings.is_empty() && !report.is_good(), "{order}: {report:?} {line}");
    }
}

#[test]
fn an_unseen_signature_shields_no_false_one() {
    let fixture = LogFixture::new();
    let line = recorded(&fixture, &chain("acbd"));
    let place = |label: &str| labels(&line).iter().position(|(one, _)| *one == label).unwrap();
    let told = |line: &Value, label: &str| {
        line["signatures"][place(label)]["signature"].as_str().unwrap().to_owned()
    };
    let bad = |case: &str, line: &Value| {
        assert!(fault(&fixture, line).is_some(), "{case}: {line}");
    };
    for label in ["a", "b", "d"] {
        // The signature's bytes are changed, in the entry and in its request.
        let own = told(&line, label);
        let mut bytes = STANDARD.decode(&own).unwrap();
        bytes[7] ^= 1;
        let text = line.to_string().replace(&own, &STANDARD.encode(&bytes));
        bad("other bytes", &serde_json::from_str(&text).unwrap());
        let text = line.to_string().replace(&own, &STANDARD.encode([7; 64]));
        bad("arbitrary bytes", &serde_json::from_str(&text).unwrap());
        // The signature base is removed, or replaced.
        let mut other = line.clone();
        let one = other["signatures"][place(label)].as_object_mut().unwrap();
        one.remove("base");
        bad("no base", &other);
        let hash = json!(STANDARD.encode([9; 32]));
        other["signatures"][place(label)]["base_sha256"] = hash.clone();
        bad("a hash in place of the base", &other);
        let mut other = line.clone();
        other["signatures"][place(label)]["base_sha256"] = hash;
        bad("base and hash", &other);
        let mut other = line.clone();
        other["signatures"][place(label)]["base"] = line["signatures"][place("a")]["base"].clone();
        if label != "a" {
            bad("the base of another one", &other);
        }
        // The key is replaced.
        let mut other = line.clone();
        let at = if label == "b" { "a" } else { "b" };
        other["signatures"][place(label)]["key"] = line["signatures"][place(at)]["key"].clone();
        bad("another key", &other);
    }
    for label in ["a", "b", "c", "d"] {
        let mut other = line.clone();
        other["signatures"].as_array_mut().unwrap().remove(place(label));
        bad("it is not told", &other);
        let mut other = line.clone();
        let twice = line["signatures"][place(label)].clone();
        other["signatures"].as_array_mut().unwrap().push(twice);
        bad("it is told twice", &other);
        let mut other = line.clone();
        other["signatures"][place(label)]["label"] = json!("e");
        bad("it is relabelled", &other);
        let mut other = line.clone();
        let time = json!("2026-11-22T00:00:00Z");
        other["signatures"][place(label)]["key"]["mcpid"]["revoked_at"] = time;
        bad("its key was revoked then", &other);
    }
    // The signature gets a length that none can have.
    let own = told(&line, "c");
    let text = line.to_string().replace(&own, &STANDARD.encode([7; 65]));
    bad("65 bytes", &serde_json::from_str(&text).unwrap());
}

#[test]
fn two_signatures_that_cover_each_other_are_not_unseen() {
    let fixture = LogFixture::new();
    let mut line = recorded(&fixture, &chain("acb"));
    // `c` covers `b`, `b` covers `c`, and neither covers a field that the log does not keep.
    let text = line["request"].to_string();
    let text = text.replace(r#"\"user-agent\""#, r#"\"signature-input\";key=\"b\""#);
    line["request"] = serde_json::from_str(&text).unwrap();
    for n in 0..3 {
        let one = line["signatures"][n].as_object_mut().unwrap();
        if one["label"] == "b" {
            one.remove("base");
            one.insert("base_sha256".to_owned(), json!(STANDARD.encode([9; 32])));
        }
    }
    assert!(fault(&fixture, &line).is_some());
}

fn with_security_key() -> LogFixture {
    let mut fixture = LogFixture::new();
    fixture.registry = registry(vec![
        entry(1, json!({})),
        entry(2, json!({})),
        touch_key().entry("security key", &json!({"for": ["key 1", "key 2"]})),
    ]);
    fixture
}

#[test]
fn a_security_key_beside_an_unseen_signer_makes_no_honest_entry_bad() {
    let fixture = with_security_key();
    // The security key may not sign alone, so its signature is not accepted. The entry contains it
    // all the same.
    let mut call = unsigned();
    add(&mut call, 2, "c", UNKEPT);
    add_touch::<&str>(&mut call, "s", "s", &[]);
    let line = recorded(&fixture, &call);
    assert_eq!(labels(&line), [("c", false), ("s", true)]);
    assert_eq!(fault(&fixture, &line), None);
    // A signature that covers one of a security key that may not sign alone is not recorded,
    // whether or not an audit can verify the covered one.
    let mut call = unsigned();
    add::<&str>(&mut call, 1, "a", &[]);
    add_touch(&mut call, "s", "s", UNKEPT);
    add(&mut call, 2, "b", &over("s"));
    let line = recorded(&fixture, &call);
    assert_eq!(labels(&line), [("a", true), ("s", false)]);
    assert_eq!(fault(&fixture, &line), None);
}

#[test]
fn an_unseen_signer_may_be_the_one_whose_key_is_allowed() {
    let mut fixture = LogFixture::new();
    fixture.registry =
        registry(vec![entry(1, json!({"allow": ["tools/list"]})), entry(2, json!({}))]);
    let line = recorded(&fixture, &chain("ac"));
    assert_eq!(fault(&fixture, &line), None);
    // The audit judges the body although it cannot verify the signature.
    let mut other = line.clone();
    other["request"]["body"] = json!(STANDARD.encode(body(2)));
    assert!(fault(&fixture, &other).is_some());
    // If the signature that the audit cannot verify is removed, no key authorised the request.
    let mut call = unsigned();
    add::<&str>(&mut call, 2, "a", &[]);
    let mut alone = recorded(&fixture, &call);
    alone["signatures"][0]["key"]["mcpid"]["allow"] = json!(["tools/list"]);
    let checked = check_line_by(&fixture, &alone, fixture.trust()).unwrap();
    assert!(checked.fault.is_some());
}

/// The touch makes the verifier judge the signature of key 1 before that of key 2, and the auditor
/// cannot verify the touch.
#[test]
fn an_unseen_touch_may_have_changed_the_order() {
    let fixture = with_security_key();
    let mut call = unsigned();
    add::<&str>(&mut call, 2, "e", &[]);
    add::<&str>(&mut call, 1, "a", &[]);
    let covered = [over("a").to_vec(), vec![UNKEPT[0].to_owned()]].concat();
    add_touch(&mut call, "t", "a", &covered);
    let line = recorded(&fixture, &call);
    assert_eq!(labels(&line), [("a", true), ("e", true), ("t", false)]);
    assert_eq!(fault(&fixture, &line), None);
    // If the auditor can verify every signature, their order is that of the verifier.
    let mut call = unsigned();
    add::<&str>(&mut call, 1, "a", &[]);
    add::<&str>(&mut call, 2, "e", &[]);
    let whole = recorded(&fixture, &call);
    let mut seen = whole.clone();
    seen["signatures"].as_array_mut().unwrap().reverse();
    let checked = check_line_by(&fixture, &seen, fixture.trust()).unwrap();
    assert!(checked.fault.is_some());
    let checked = check_line_by(&fixture, &whole, fixture.trust()).unwrap();
    assert!(checked.is_good(), "{:?}", checked.judged);
}

/// A signer uses one nonce in all its signatures of a request, and a verifier stores it once.
#[test]
fn one_key_that_signs_twice_with_one_nonce_is_no_replay() {
    let fixture = LogFixture::new();
    let mut call = unsigned();
    for label in ["a", "b"] {
        attach::<&str>(&mut call, (1, label, "same"), &[], |base| {
            key(1).sign(base).unwrap().to_vec()
        });
    }
    recorded(&fixture, &call);
    let report = fixture.audit(&[]);
    assert!(report.findings.is_empty() && report.is_good(), "{report:?}");
    // If a second entry contains the same request, that is a replay.
    recorded(&fixture, &call);
    let report = fixture.audit(&[]);
    let what = report.finding().map(|finding| finding.what);
    assert_eq!(what, Some(mcpid::audit::auditor::FindingKind::Replayed), "{report:?}");
}

/// Under a profile that looks keys up by `kid`, one key can sign a request twice: once by its
/// fingerprint and once by its `kid`.
#[test]
fn one_key_that_is_named_in_two_ways_makes_no_honest_entry_bad() {
    let mut fixture = LogFixture::new();
    let mut alice = entry(1, json!({}));
    alice["kid"] = json!("alice-2026");
    fixture.registry = registry(vec![alice]);
    let profile = Profile::rfc9421();
    let mut call = unsigned();
    for (label, kid) in [("a", None), ("b", Some("alice-2026"))] {
        let signer = Signer::new(Arc::new(key(1)), &profile).unwrap().with_label(label);
        let signer = match kid {
            Some(kid) => signer.with_keyid(kid).unwrap(),
            None => signer,
        };
        crate::fixtures::sign(&mut call, &signer, START);
    }
    let recorder = Recorder::new(fixture.open());
    fixture.record_by(&recorder, &call, &fixture.verifier_by(profile)).unwrap();
    drop(recorder);
    let line: Value = serde_json::from_str(fixture.lines().last().unwrap()).unwrap();
    assert_eq!(labels(&line), [("a", true), ("b", true)], "{line}");
    assert_ne!(line["signatures"][0]["key"], line["signatures"][1]["key"]);
    let checked = check_line_by(&fixture, &line, fixture.trust()).unwrap();
    assert_eq!(checked.fault, None);
    // The second signature is invalid. The audit finds it although the first is valid.
    let mut other = line.clone();
    other["signatures"][1]["signature"] = line["signatures"][0]["signature"].clone();
    let checked = check_line_by(&fixture, &other, fixture.trust()).unwrap();
    assert!(checked.fault.is_some());
}
