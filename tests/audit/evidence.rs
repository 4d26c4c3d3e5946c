//! One entry on its own: evidence that is checked offline, redacted bodies, and what a witness signs.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::auditor::Anchor;
use mcpid::audit::growth;
use mcpid::audit::judge::Trust;
use mcpid::audit::note::{Kind, NoteKey};
use mcpid::audit::proof::{self, Checked, ProofError};
use mcpid::audit::{Evidence, Recorder, Settings, redact};
use mcpid::clock::{Clock as _, Timestamp};
use mcpid::key::Sign as _;
use serde_json::{Value, json};

use crate::scene::{self, START, Scene, body, call, key, registry, wait};

fn pinned(scene: &Scene) -> Anchor {
    Anchor { log_key: Some(scene.log_key.clone()), ..Anchor::default() }
}

fn check(scene: &Scene, evidence: &str) -> Checked {
    proof::check(evidence.as_bytes(), &pinned(scene), Trust::of_the_log()).unwrap()
}

#[test]
fn every_entry_of_every_size_can_be_proved() {
    let scene = Scene::new();
    for size in 1..=9 {
        scene.fill(1, Settings::default());
        for n in 0..size {
            let evidence = proof::prove(&scene.files(), n, None, None).unwrap();
            let checked = check(&scene, &evidence);
            assert_eq!(checked.fault, None, "{n} of {size}");
            assert_eq!(checked.checkpoint.size, size);
            assert!(checked.pinned && !checked.anchored);
            assert!(checked.judged.without_body);
            assert_eq!(checked.judged.signatures, 1);
        }
        let beyond = proof::prove(&scene.files(), size, None, None);
        assert!(matches!(beyond, Err(ProofError::NoEntry(n)) if n == size));
    }
}

#[test]
fn an_entry_waits_for_its_checkpoint() {
    let scene = Scene::new();
    let recorder = Recorder::new(scene.open());
    scene.record(&recorder, &call(1, START, &body(1), &[])).unwrap();
    let early = proof::prove(&scene.files(), 0, None, None);
    assert!(matches!(early, Err(ProofError::NoCheckpoint { n: 0, size: 0 })), "{early:?}");
    drop(recorder);
    proof::prove(&scene.files(), 0, None, None).unwrap();
}

#[test]
fn no_live_secret_gets_into_evidence_and_what_it_needs_is_inside() {
    let scene = Scene::new();
    scene.fill(3, Settings::default());
    let known = registry(vec![scene::entry(1, json!({"revoked_at": "2027-01-01T00:00:00Z"}))]);
    let evidence =
        proof::prove(&scene.files(), 1, None, Some((&known, scene.clock.now()))).unwrap();
    let json: Value = serde_json::from_str(&evidence).unwrap();
    let entry = STANDARD.decode(json["entry"].as_str().unwrap()).unwrap();
    for secret in ["live-token", "live-cookie", "live-dpop", "hunter2"] {
        assert!(!evidence.contains(secret) && !String::from_utf8_lossy(&entry).contains(secret));
    }
    assert_eq!(json["history"].as_array().unwrap().len(), 2);
    assert_eq!(json["history"][1]["key"]["mcpid"]["revoked_at"], "2027-01-01T00:00:00Z");
    assert!(json["key_pems"][0].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----"));
    // A key that was revoked since is told of, and is no fault.
    let checked = check(&scene, &evidence);
    assert_eq!(checked.fault, None);
    assert_eq!(checked.revoked_at, Some(Timestamp::parse_rfc3339("2027-01-01T00:00:00Z").unwrap()));
    // Nothing but the file is needed.
    fs::remove_dir_all(scene.path()).unwrap();
    assert_eq!(check(&scene, &evidence).fault, None);
}

#[test]
fn evidence_with_one_thing_changed_does_not_hold() {
    let scene = Scene::new();
    scene.fill(5, Settings::default());
    let good = proof::prove(&scene.files(), 2, None, None).unwrap();
    let json: Value = serde_json::from_str(&good).unwrap();
    let other: Value =
        serde_json::from_str(&proof::prove(&scene.files(), 3, None, None).unwrap()).unwrap();
    let strange = {
        let scene = Scene::new();
        scene.fill(5, Settings::default());
        serde_json::from_str::<Value>(&proof::prove(&scene.files(), 2, None, None).unwrap())
            .unwrap()
    };
    let with = |path: &str, value: Value| {
        let mut json = json.clone();
        *json.pointer_mut(path).unwrap() = value;
        json.to_string()
    };
    let entry =
        String::from_utf8(STANDARD.decode(json["entry"].as_str().unwrap()).unwrap()).unwrap();
    let forged = entry.replace(r#""verdict":"verified""#, r#""verdict":"refused""#);
    let log_key = NoteKey::new("example.com/audit", Kind::Log, key(201).public().clone()).unwrap();
    let changed = [
        with("/n", json!(3)),
        with("/size", json!(6)),
        with("/entry", other["entry"].clone()),
        with("/entry", json!(STANDARD.encode(forged))),
        with("/proof", other["proof"].clone()),
        with("/proof/0", json!(STANDARD.encode([0; 32]))),
        with("/proof", json!([])),
        with("/checkpoint", strange["checkpoint"].clone()),
        with("/log_key", json!(log_key.to_string())),
        with("/keys", json!({"keys": [scene::entry(2, json!({}))]})),
        with("/keys", json!({"keys": []})),
        with("/history/0/key", scene::entry(2, json!({}))),
    ];
    for (case, text) in changed.iter().enumerate() {
        assert!(check(&scene, text).fault.is_some(), "case {case}");
    }
    // What is no evidence at all is not judged.
    for text in [
        "{}".to_owned(),
        String::new(),
        with("/mcpid", json!("evidence/2")),
        with("/entry", json!("?")),
        with("/proof/0", json!("AAAA")),
        with("/log_key", json!("x")),
        good.replacen("\"n\"", "\"n\":2,\"n\"", 1),
        good.replacen("{", "{\"more\":1,", 1),
    ] {
        let error = proof::check(text.as_bytes(), &pinned(&scene), Trust::of_the_log());
        assert!(matches!(error, Err(ProofError::Form(_))), "{text:.60}");
    }
    // A whole log that somebody else has made is not the one that was pinned.
    let foreign = strange.to_string();
    assert_eq!(
        proof::check(foreign.as_bytes(), &Anchor::default(), Trust::of_the_log()).unwrap().fault,
        None
    );
    let key = NoteKey::new("example.com/audit", Kind::Log, key(77).public().clone()).unwrap();
    let anchor = Anchor { log_key: Some(key), ..Anchor::default() };
    let fault = proof::check(foreign.as_bytes(), &anchor, Trust::of_the_log()).unwrap().fault;
    assert!(fault.unwrap().contains("not of the one that was pinned"));
}

#[test]
fn a_key_that_the_auditor_does_not_know_or_that_was_not_valid_is_a_fault() {
    let scene = Scene::new();
    scene.fill(2, Settings::default());
    let good = proof::prove(&scene.files(), 1, None, None).unwrap();
    let fault = |entries: Vec<Value>| {
        let trust = Trust::pinned(registry(entries));
        proof::check(good.as_bytes(), &pinned(&scene), trust).unwrap().fault
    };
    assert_eq!(fault(vec![scene::entry(1, json!({}))]), None);
    let unknown = fault(vec![scene::entry(2, json!({}))]).unwrap();
    assert!(unknown.contains("in none of the trust files"), "{unknown}");
    let before = Timestamp::from_unix(START).to_string();
    let revoked = fault(vec![scene::entry(1, json!({"revoked_at": before}))]).unwrap();
    assert!(revoked.contains("key_revoked"), "{revoked}");
}

#[test]
fn a_witness_signs_what_has_only_grown() {
    let scene = Scene::new();
    scene.fill(3, Settings::default());
    let first = scene.checkpoint();
    let cosign = |kept: Option<&[u8]>, new: Option<&[u8]>| {
        let now = scene.clock.now();
        growth::cosign(&scene.files(), &scene.log_key, (kept, new), ("w", &key(50)), now)
    };
    let (checkpoint, signed) = cosign(None, None).unwrap();
    assert_eq!(checkpoint.size, 3);
    scene.fill(4, Settings::default());
    let second = scene.checkpoint();
    let (checkpoint, cosigned) = cosign(Some(signed.as_bytes()), None).unwrap();
    assert_eq!(checkpoint.size, 7);
    growth::consistent(&scene.files(), &scene.log_key, &first, &second).unwrap();
    let back = growth::consistent(&scene.files(), &scene.log_key, &second, &first);
    assert!(matches!(back, Err(ProofError::Damaged(_))));
    assert!(matches!(cosign(Some(&second), Some(&first)), Err(ProofError::Damaged(_))));
    // The proof of an entry under it is anchored by the witness alone.
    let evidence = proof::prove(&scene.files(), 5, Some(cosigned.as_bytes()), None).unwrap();
    let witness = NoteKey::new("w", Kind::Witness, key(50).public().clone()).unwrap();
    let anchor = Anchor { witnesses: vec![witness], ..pinned(&scene) };
    let checked = proof::check(evidence.as_bytes(), &anchor, Trust::of_the_log()).unwrap();
    assert!(checked.anchored && checked.fault.is_none());
    assert_eq!(checked.witnessed, Some(scene.clock.now()));
    // Another history of the same length, by whoever has the log's key.
    let other = Scene::new();
    other.fill(7, Settings::default());
    let split = other.checkpoint();
    assert!(matches!(cosign(Some(signed.as_bytes()), Some(&split)), Err(ProofError::Damaged(_))));
    let kept = Anchor { kept: vec![split], ..pinned(&scene) };
    let checked = proof::check(evidence.as_bytes(), &kept, Trust::of_the_log()).unwrap();
    assert!(checked.fault.unwrap().contains("another root"));
}

#[test]
fn what_is_redacted_is_gone_and_can_be_shown_again_by_its_salt() {
    let scene = Scene::new();
    let rules = vec!["tools/call:*:arguments.password".parse().unwrap()];
    let recorder = Recorder::new(scene.open()).with_bodies(rules);
    let secret = body(7);
    let sent = call(1, START, &secret, &[]);
    scene.record(&recorder, &sent).unwrap();
    let other = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    scene.record(&recorder, &call(1, START, other, &[])).unwrap();
    drop(recorder);
    let lines = scene.lines();
    let json: Value = serde_json::from_str(&lines[0]).unwrap();
    assert!(!lines[0].contains("hunter2"));
    assert_eq!(json["request"]["body"], Value::Null);
    assert_eq!(json["redacted"]["cuts"][0]["at"], "/params/arguments/password");
    let rest: Vec<&str> =
        json["redacted"]["rest"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert_eq!(rest.join("\"hunter2\""), secret, "put back, it is the body that was signed");
    // The holder of the log's key can hand out the salt of this one value.
    let binding = json["signatures"][0]["signature"].as_str().unwrap();
    let salt = redact::salt(&key(200), binding, "/params/arguments/password").unwrap();
    let wanted = json["redacted"]["cuts"][0]["sha256"].as_str().unwrap();
    assert_eq!(redact::commitment(&salt, "\"hunter2\""), wanted);
    assert_ne!(redact::commitment(&salt, "\"hunter3\""), wanted);
    let other_salt = redact::salt(&key(201), binding, "/params/arguments/password").unwrap();
    assert_ne!(redact::commitment(&other_salt, "\"hunter2\""), wanted);
    // A body without such a value is kept whole, and both still verify.
    let json: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(json["request"]["body"], STANDARD.encode(other));
    let report = scene.audit(&[scene.checkpoint()]);
    assert_eq!((report.finding, report.signatures, report.without_body), (None, 2, 1));
}

#[test]
fn rules_find_every_way_to_write_a_name_and_keep_nothing_they_cannot_read() {
    let scene = Scene::new();
    let rules = vec![
        "tools/call:pay:arguments.*.secret".parse().unwrap(),
        "tools/call:arguments.list.1".parse().unwrap(),
    ];
    let recorder = Recorder::new(scene.open()).with_bodies(rules);
    let of = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"pay","arguments":{arguments}}}}}"#
        )
    };
    let padded = of(r#"{"a":{"secret":"hidden"}}"#).replace("\"pay\"", "\"pay\u{200b}\"");
    let bodies = [
        padded,
        of(r#"{"a":{"secret":"hidden"},"b":{"secret":["hidden",{"x":"hidden"}]}}"#),
        of(r#"{"a":{"\u0073ecret":"hidden"}}"#),
        of(r#"{"list":["plain",{"secret":"hidden"}]}"#),
    ];
    for text in &bodies {
        scene.record(&recorder, &call(1, START, text, &[])).unwrap();
    }
    drop(recorder);
    let lines = scene.lines();
    assert_eq!(lines.len(), 4);
    for line in &lines {
        assert!(!line.contains("hidden"), "{line}");
        assert!(line.contains("redacted"), "{line}");
    }
    for (text, wrong) in [
        ("tools/call", true),
        ("arguments.password", true),
        ("tools/call:", true),
        ("tools/call:a..b", true),
        (":a", true),
        ("tools/call:*:", true),
        ("tools/call::a", true),
        ("pay:*:arguments.secret", true),
        ("tools/cal:*:arguments.secret", true),
        ("=acme/run:*:secret", false),
        ("tools/call:a", false),
        ("resources/read:file://*:uri", false),
    ] {
        let rule = text.parse::<redact::Rule>();
        assert_eq!(rule.is_err(), wrong, "{text}");
        if let Ok(rule) = rule {
            assert_eq!(rule.to_string(), text);
        }
    }
}

#[test]
fn a_signers_own_copy_holds_too() {
    let scene = Scene::new();
    let recorder = Recorder::new(scene.open()).with_bodies(Vec::new());
    let sent = call(1, START, &body(3), &[]);
    let head = sent.head();
    let verifier = scene.verifier();
    let held = verifier.judge_head(&head).unwrap();
    let one = held.signatures().next().unwrap();
    let evidence = Evidence::signed(&head, one.label, key(1).public(), one.base, one.signature);
    let (origins, now) = (scene::origins(), scene.clock.now());
    wait(recorder.signed(&head, &origins, &sent.body, &evidence, now)).unwrap();
    drop(held);
    drop(recorder);
    let json: Value = serde_json::from_str(&scene.lines()[0]).unwrap();
    assert_eq!((&json["verdict"], &json["rules"]), (&json!("signed"), &Value::Null));
    assert!(!scene.lines()[0].contains("live-"));
    let report = scene.audit(&[scene.checkpoint()]);
    assert_eq!((report.finding, report.signatures), (None, 1));
}
