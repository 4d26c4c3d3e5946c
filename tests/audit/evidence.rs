//! Tests of evidence about one entry, which is checked without the log; of request bodies with
//! values cut out; and of checkpoints that a witness signed too.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::auditor::AuditorInputs;
use mcpid::audit::check::{self, CheckedEvidence};
use mcpid::audit::cosign::{self, WitnessState};
use mcpid::audit::entry_judge::{AuditorTrust, UnjudgedReason};
use mcpid::audit::growth;
use mcpid::audit::note::{NoteKey, NoteKeyKind};
use mcpid::audit::proof::{self, ProofError};
use mcpid::audit::{Evidence, LogSettings, Recorder, redact};
use mcpid::clock::{Clock as _, Timestamp};
use mcpid::key::Sign as _;
use mcpid::profile::Profile;
use serde_json::{Value, json};

use crate::fixtures::{self, LogFixture, START, body, call, key, registry, wait};

fn pinned(fixture: &LogFixture) -> AuditorInputs {
    AuditorInputs { log_key: Some(fixture.log_key.clone()), ..AuditorInputs::default() }
}

fn check(fixture: &LogFixture, evidence: &str) -> CheckedEvidence {
    check::check(evidence.as_bytes(), &pinned(fixture), fixture.trust(), None).unwrap()
}

#[test]
fn every_entry_of_every_size_can_be_proved() {
    let fixture = LogFixture::new();
    for size in 1..=9 {
        fixture.fill(1, LogSettings::default());
        for n in 0..size {
            let evidence = proof::prove(&fixture.files(), n, None).unwrap();
            let checked = check(&fixture, &evidence);
            assert_eq!(checked.fault, None, "{n} of {size}");
            assert_eq!(checked.checkpoint.size, size);
            assert!(checked.pinned && !checked.anchored);
            assert!(checked.judged.without_body);
            assert_eq!(checked.judged.signatures, 1);
        }
        let beyond = proof::prove(&fixture.files(), size, None);
        assert!(matches!(beyond, Err(ProofError::NoEntry(n)) if n == size));
    }
}

#[test]
fn an_entry_waits_for_its_checkpoint() {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open());
    fixture.record(&recorder, &call(1, START, &body(1), &[])).unwrap();
    let early = proof::prove(&fixture.files(), 0, None);
    assert!(matches!(early, Err(ProofError::NoCheckpoint { n: 0, size: 0 })), "{early:?}");
    drop(recorder);
    proof::prove(&fixture.files(), 0, None).unwrap();
}

#[test]
fn evidence_holds_all_that_its_check_needs_and_no_usable_secret() {
    let fixture = LogFixture::new();
    fixture.fill(3, LogSettings::default());
    let evidence = proof::prove(&fixture.files(), 1, None).unwrap();
    let json: Value = serde_json::from_str(&evidence).unwrap();
    let entry = STANDARD.decode(json["entry"].as_str().unwrap()).unwrap();
    for secret in ["live-token", "live-cookie", "live-dpop", "hunter2"] {
        assert!(!evidence.contains(secret) && !String::from_utf8_lossy(&entry).contains(secret));
    }
    assert!(json["key_pems"][0].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----"));
    // If the auditor's trust file revokes the key after the request, the check reports it, but
    // finds no fault.
    let revoked = registry(vec![fixtures::entry(1, json!({"revoked_at": "2027-01-01T00:00:00Z"}))]);
    let trust = AuditorTrust::pinned(revoked);
    let checked = check::check(evidence.as_bytes(), &pinned(&fixture), trust, None).unwrap();
    assert!(checked.is_good(), "{checked:?}");
    let revoked = checked.judged.known.unwrap().revoked_at;
    assert_eq!(revoked, Some(Timestamp::parse_rfc3339("2027-01-01T00:00:00Z").unwrap()));
    // The log's folder is removed, so the check has only the evidence file.
    fs::remove_dir_all(fixture.path()).unwrap();
    assert_eq!(check(&fixture, &evidence).fault, None);
}

#[test]
fn evidence_with_one_changed_member_fails_the_check() {
    let fixture = LogFixture::new();
    fixture.fill(5, LogSettings::default());
    let good = proof::prove(&fixture.files(), 2, None).unwrap();
    let json: Value = serde_json::from_str(&good).unwrap();
    let other: Value =
        serde_json::from_str(&proof::prove(&fixture.files(), 3, None).unwrap()).unwrap();
    let strange = {
        let fixture = LogFixture::new();
        fixture.fill(5, LogSettings::default());
        serde_json::from_str::<Value>(&proof::prove(&fixture.files(), 2, None).unwrap()).unwrap()
    };
    let with = |path: &str, value: Value| {
        let mut json = json.clone();
        *json.pointer_mut(path).unwrap() = value;
        json.to_string()
    };
    let entry =
        String::from_utf8(STANDARD.decode(json["entry"].as_str().unwrap()).unwrap()).unwrap();
    let forged = entry.replace(r#""verdict":"verified""#, r#""verdict":"refused""#);
    let log_key =
        NoteKey::new("example.com/audit", NoteKeyKind::Log, key(201).public().clone()).unwrap();
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
        with("/keys", json!({"keys": [fixtures::entry(2, json!({}))]})),
        with("/keys", json!({"keys": []})),
        with("/log_key_pem", other["key_pems"][0].clone()),
        with("/key_pems/0", other["log_key_pem"].clone()),
        with("/key_pems", json!([])),
        with("/keys/keys/0/mcpid/name", json!("mallory")),
        with("/keys/keys/0/mcpid", json!({})),
    ];
    for (case, text) in changed.iter().enumerate() {
        assert!(check(&fixture, text).fault.is_some(), "case {case}");
    }
    // A text that is no evidence gives an error, not a verdict.
    for text in [
        "{}".to_owned(),
        String::new(),
        with("/mcpid", json!("evidence/3")),
        with("/entry", json!("?")),
        with("/proof/0", json!("AAAA")),
        with("/log_key", json!("x")),
        good.replacen("\"n\"", "\"n\":2,\"n\"", 1),
        good.replacen("{", "{\"more\":1,", 1),
        good.replacen("{", "{\"history\":[],", 1),
        with("/mcpid", json!("evidence/1")),
    ] {
        let error = check::check(text.as_bytes(), &pinned(&fixture), fixture.trust(), None);
        assert!(matches!(error, Err(ProofError::Form(_))), "{text:.60}");
    }
    // The evidence comes from the log of another operator, and does not match the pinned key.
    let foreign = strange.to_string();
    assert_eq!(
        check::check(foreign.as_bytes(), &AuditorInputs::default(), fixture.trust(), None)
            .unwrap()
            .fault,
        None
    );
    let key =
        NoteKey::new("example.com/audit", NoteKeyKind::Log, key(77).public().clone()).unwrap();
    let inputs = AuditorInputs { log_key: Some(key), ..AuditorInputs::default() };
    let fault = check::check(foreign.as_bytes(), &inputs, fixture.trust(), None).unwrap().fault;
    assert!(fault.unwrap().contains("not of the one that was pinned"));
}

#[test]
fn a_key_that_the_auditor_does_not_know_or_that_was_not_valid_is_never_good() {
    let fixture = LogFixture::new();
    fixture.fill(2, LogSettings::default());
    let good = proof::prove(&fixture.files(), 1, None).unwrap();
    let by = |trust: AuditorTrust| {
        check::check(good.as_bytes(), &pinned(&fixture), trust, None).unwrap()
    };
    let reasons = |entries: Vec<Value>| {
        let checked = by(AuditorTrust::pinned(registry(entries)));
        assert_eq!(checked.fault, None, "none of these is a changed entry");
        checked.judged.reasons.iter().collect::<Vec<_>>()
    };
    assert_eq!(reasons(vec![fixtures::entry(1, json!({}))]), []);
    assert_eq!(reasons(vec![fixtures::entry(2, json!({}))]), [UnjudgedReason::Signer]);
    let before = Timestamp::from_unix(START).to_string();
    for then in ["revoked_at", "not_after"] {
        assert_eq!(
            reasons(vec![fixtures::entry(1, json!({then: before}))]),
            [UnjudgedReason::NotTrustedThen]
        );
    }
    let after = Timestamp::from_unix(START + 60).to_string();
    assert_eq!(
        reasons(vec![fixtures::entry(1, json!({"not_before": after}))]),
        [UnjudgedReason::NotTrustedThen]
    );
    // If the key may not make such a request by today's trust file, the check reports it, but finds
    // no fault.
    let limited = registry(vec![fixtures::entry(1, json!({"allow": ["tools/list"]}))]);
    let checked = by(AuditorTrust::pinned(limited));
    assert!(checked.is_good() && checked.judged.known.unwrap().no_longer_allowed);
    // Without a trust file the auditor knows no key, even if the log gives the key a name.
    let checked = by(AuditorTrust::of_the_log());
    assert!(!checked.is_good() && checked.judged.known.is_none());
    assert!(checked.judged.reasons.has(UnjudgedReason::Signer));
}

#[test]
fn a_witness_signs_only_extensions_and_remembers_the_checkpoint() {
    let fixture = LogFixture::new();
    fixture.fill(3, LogSettings::default());
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("witness.state");
    let sign = |bytes: &[u8], first: bool| {
        let mut state = WitnessState::open(&state).unwrap();
        let request = cosign::CosignRequest::parse(bytes).unwrap();
        let (key, now) = (key(50), fixture.clock.now());
        cosign::cosign(&mut state, &fixture.log_key, &request, first, ("w", &key), now)
    };
    let damaged = |bytes: &[u8], first: bool| match sign(bytes, first) {
        Err(ProofError::Damaged(why)) => why,
        other => panic!("{other:?}"),
    };
    let first = fixture.checkpoint();
    assert!(damaged(&first, false).contains("nothing of the log"));
    assert_eq!(sign(&first, true).unwrap().0.size, 3);
    assert!(damaged(&first, true).contains("were signed for already"));
    // The holder of the log's key makes another log of the same length.
    let other = LogFixture::new();
    other.fill(3, LogSettings::default());
    assert!(damaged(&other.checkpoint(), false).contains("another root"));
    fixture.fill(4, LogSettings::default());
    let second = fixture.checkpoint();
    assert!(damaged(&second, false).contains("no proof"));
    let growth = growth::consistent(&fixture.files(), &fixture.log_key, &first, &second).unwrap();
    let request = growth.request(std::str::from_utf8(&second).unwrap());
    let shorter = request.replacen("old 3\n", "old 2\n", 1);
    assert!(damaged(shorter.as_bytes(), false).contains("begins at 2"));
    let bent = request.replacen(&request.lines().nth(1).unwrap()[..4], "AAAA", 1);
    assert!(damaged(bent.as_bytes(), false).contains("no proof"));
    let (checkpoint, cosigned) = sign(request.as_bytes(), false).unwrap();
    assert_eq!(checkpoint.size, 7);
    assert!(damaged(&first, false).contains("7 were signed"));
    // A second signature over the same checkpoint does not make another checkpoint of it.
    sign(&second, false).unwrap();
    let back = growth::consistent(&fixture.files(), &fixture.log_key, &second, &first);
    assert!(matches!(back, Err(ProofError::Damaged(_))));
    // The proof's checkpoint is trusted only because the witness signed it.
    let evidence = proof::prove(&fixture.files(), 5, Some(cosigned.as_bytes())).unwrap();
    let witness = NoteKey::new("w", NoteKeyKind::Witness, key(50).public().clone()).unwrap();
    let inputs = AuditorInputs { witnesses: vec![witness], ..pinned(&fixture) };
    let checked = check::check(evidence.as_bytes(), &inputs, fixture.trust(), None).unwrap();
    assert!(checked.anchored && checked.fault.is_none());
    assert_eq!(checked.witnessed, Some(fixture.clock.now()));
    let split = LogFixture::new();
    split.fill(7, LogSettings::default());
    let kept = AuditorInputs { kept: vec![split.checkpoint()], ..pinned(&fixture) };
    let checked = check::check(evidence.as_bytes(), &kept, fixture.trust(), None).unwrap();
    assert!(checked.fault.unwrap().contains("another root"));
    // If the witness's state file cannot be parsed, it must not be treated as empty.
    for text in ["", "{}", "{\"mcpid\":\"witness-state/2\",\"logs\":{}}"] {
        fs::write(&state, text).unwrap();
        assert!(matches!(WitnessState::open(&state), Err(ProofError::Form(_))), "{text}");
    }
}

#[test]
fn redacted_values_are_absent_and_can_be_disclosed_with_their_salt() {
    let fixture = LogFixture::new();
    let rules = vec!["tools/call:*:arguments.password".parse().unwrap()];
    let recorder = Recorder::new(fixture.open()).with_bodies(rules);
    let secret = body(7);
    let sent = call(1, START, &secret, &[]);
    fixture.record(&recorder, &sent).unwrap();
    let other = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    fixture.record(&recorder, &call(1, START, other, &[])).unwrap();
    drop(recorder);
    let lines = fixture.lines();
    let json: Value = serde_json::from_str(&lines[0]).unwrap();
    assert!(!lines[0].contains("hunter2"));
    assert_eq!(json["request"]["body"], Value::Null);
    assert_eq!(json["redacted"]["cuts"][0]["at"], "/params/arguments/password");
    let rest: Vec<&str> =
        json["redacted"]["rest"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert_eq!(rest.join("\"hunter2\""), secret, "put back, it is the body that was signed");
    // The holder of the log's key can disclose the salt of this one value, and so prove what it
    // was.
    let binding = json["signatures"][0]["signature"].as_str().unwrap();
    let salt = redact::salt(&key(200), binding, "/params/arguments/password").unwrap();
    let wanted = json["redacted"]["cuts"][0]["sha256"].as_str().unwrap();
    assert_eq!(redact::commitment(&salt, "\"hunter2\""), wanted);
    assert_ne!(redact::commitment(&salt, "\"hunter3\""), wanted);
    let other_salt = redact::salt(&key(201), binding, "/params/arguments/password").unwrap();
    assert_ne!(redact::commitment(&other_salt, "\"hunter2\""), wanted);
    // A body that has no such value is kept completely, and both entries verify.
    let json: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(json["request"]["body"], STANDARD.encode(other));
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!((report.finding().cloned(), report.signatures, report.without_body), (None, 2, 1));
    // If the auditor has the body, no part of the verdict depends on what only the log says.
    let evidence = proof::prove(&fixture.files(), 0, None).unwrap();
    let by = |body: Option<&str>| {
        let body = body.map(str::as_bytes);
        check::check(evidence.as_bytes(), &pinned(&fixture), fixture.trust(), body).unwrap()
    };
    let alone = by(None);
    assert!(alone.judged.without_body && alone.judged.operation_claimed);
    let whole = by(Some(&secret));
    assert!(whole.is_good() && !whole.judged.without_body && !whole.judged.operation_claimed);
    for wrong in [body(8), secret.replace("hunter2", "hunter3"), secret.replace("bob", "eve")] {
        assert!(by(Some(&wrong)).fault.is_some(), "{wrong}");
    }
}

#[test]
fn rules_find_every_way_to_write_a_name_and_keep_nothing_they_cannot_read() {
    let fixture = LogFixture::new();
    let rules = vec![
        "tools/call:pay:arguments.*.secret".parse().unwrap(),
        "tools/call:arguments.list.1".parse().unwrap(),
    ];
    let recorder = Recorder::new(fixture.open()).with_bodies(rules);
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
        fixture.record(&recorder, &call(1, START, text, &[])).unwrap();
    }
    drop(recorder);
    let lines = fixture.lines();
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
fn evidence_from_a_signers_own_log_passes_the_check() {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open()).with_bodies(Vec::new());
    let sent = call(1, START, &body(3), &[]);
    let head = sent.head();
    let verifier = fixture.verifier();
    let held = verifier.judge_head(&head).unwrap();
    let one = held.signatures().next().unwrap();
    let evidence = Evidence::signed(
        &Profile::mcp(),
        &head,
        one.label,
        key(1).public(),
        one.base,
        one.signature,
    );
    let (origins, now) = (fixtures::origins(), fixture.clock.now());
    let by = (&Profile::mcp(), &origins);
    wait(recorder.signed(&head, by, &sent.body, &evidence, now)).unwrap();
    drop(held);
    drop(recorder);
    let json: Value = serde_json::from_str(&fixture.lines()[0]).unwrap();
    assert_eq!((&json["verdict"], &json["rules"]["profile"]), (&json!("signed"), &json!("mcp")));
    assert!(!fixture.lines()[0].contains("live-"));
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!((report.finding().cloned(), report.signatures, report.not_good), (None, 1, 0));
}
