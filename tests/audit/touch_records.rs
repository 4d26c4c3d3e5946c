//! Tests of what an entry records of a touch: which key's signature the touch confirms, and which
//! of several trust files decided. Trust files can state this in many ways, and no honest entry may
//! be called bad.

use std::sync::Arc;

use mcpid::audit::entry_judge::{AuditorTrust, UnjudgedReason};
use mcpid::audit::{RecordedRefusal, Recorder};
use mcpid::key::Sign as _;
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use serde_json::{Value, json};

use crate::fixtures::{Call, LogFixture, START, entry, key, registry, sign, wait};
use crate::forged::check_line_by;
use crate::touches::{keys, recorded, recorded_by, touch_key, touched_by};

/// Returns a log whose server reads several trust files, one for each of these lists of keys.
fn with_files(files: &[Vec<Value>]) -> LogFixture {
    let parsed = files
        .iter()
        .map(|entries| TrustFile::parse(json!({"keys": entries}).to_string().as_bytes()).unwrap());
    let mut fixture = LogFixture::new();
    fixture.registry = Arc::new(Registry::merge(parsed));
    fixture
}

fn touched() -> Call {
    touched_by(Signer::new(Arc::new(key(1)), &Profile::mcp()).unwrap(), START, &touch_key())
}

/// Writes the entry of `call`, which the verifier refuses because no touch of it is accepted.
fn refused(fixture: &LogFixture, call: &Call) -> Value {
    recorded_by(fixture, call, |recorder, judged, evidence| {
        let held = judged.verifier.judge_head(judged.head).unwrap();
        assert_eq!(judged.verifier.judge_body(held, &call.body).unwrap().touch(), None);
        let mut because = RecordedRefusal::default();
        (because.code, because.step) = ("touch_required", Some(11));
        wait(recorder.rejected(judged, Some(evidence), because, None, false)).unwrap();
    })
}

fn security_key(ours: Value) -> Value {
    let mut entry = touch_key().entry("security key of alice", &json!({"for": ["key 1"]}));
    for (name, value) in ours.as_object().unwrap() {
        entry["mcpid"][name] = value.clone();
    }
    entry
}

fn joining(signers: Value) -> Value {
    touch_key().entry("security key of alice", &json!({"for": signers}))
}

#[test]
fn a_touch_that_two_files_allow_in_two_ways_is_good() {
    let id = key(1).public().id().to_string();
    let signers = || vec![entry(1, json!({})), entry(2, json!({}))];
    for lists in [
        vec![json!(["key 1"]), json!([id])],
        vec![json!([id]), json!(["key 1"])],
        vec![json!(["key 1", "key 2"]), json!(["x", id]), json!([id, "key 1"])],
        vec![json!(["key 1"])],
    ] {
        let files = lists.iter().map(|list| vec![joining(list.clone())]);
        let fixture = with_files(&files.chain([signers()]).collect::<Vec<_>>());
        let line = recorded(&fixture, &touched());
        let rules = &line["signatures"][1]["key"]["mcpid"]["security_key"];
        assert_eq!(rules["for"], json!([id]), "{lists:?}");
        let checked = check_line_by(&fixture, &line, fixture.trust()).unwrap();
        assert_eq!(checked.fault, None, "{lists:?}");
        assert!(checked.is_good(), "{lists:?}: {:?}", checked.judged);
        assert!(fixture.audit(&[]).is_good());
        // If the entry names another signer for the touch, the touch is not accepted.
        let mut other = line.clone();
        let all = other["signatures"].as_array_mut().unwrap();
        all[1]["key"]["mcpid"]["security_key"]["for"] = json!([key(2).public().id().as_str()]);
        let checked = check_line_by(&fixture, &other, fixture.trust()).unwrap();
        assert!(checked.fault.is_some(), "{lists:?}");
    }
}

/// The export in OCSF, the event format of SIEM systems, states the touch too, as the log says it.
#[test]
fn the_ocsf_event_of_a_touched_request_states_the_touch() {
    let mut fixture = LogFixture::new();
    fixture.registry = registry(keys(&json!({"for": ["key 1"]})));
    let line = recorded(&fixture, &touched());
    let event = |line: &Value| {
        let text = line.to_string();
        let entry = mcpid::audit::entry::parse(text.as_bytes()).unwrap();
        mcpid::audit::ocsf::event(&entry, text.as_bytes(), "log")
    };
    let told = event(&line);
    assert_eq!(
        told["unmapped"]["mcpid"]["touch"],
        json!({
            "key": key(21).public().id().as_str(), "name": "security key of alice",
            "application": "ssh:mcpid", "presence": "present", "counter": 7,
        })
    );
    assert_eq!(told["actor"]["user"]["uid"], json!(key(1).public().id().as_str()));
    // A touch of a security key that confirms no signature is not accepted, and neither is a
    // signature of another length.
    let mut other = line.clone();
    other["signatures"][1]["key"]["mcpid"]["security_key"]["for"] = json!([]);
    assert_eq!(event(&other)["unmapped"]["mcpid"]["touch"], Value::Null);
    let mut other = line.clone();
    other["signatures"][1]["signature"] = line["signatures"][0]["signature"].clone();
    assert_eq!(event(&other)["unmapped"]["mcpid"]["touch"], Value::Null);
}

/// Earlier versions wrote the names of signers, as in the trust file, into the entry.
#[test]
fn an_entry_that_lists_names_is_still_judged() {
    let mut fixture = LogFixture::new();
    fixture.registry = registry(keys(&json!({"for": ["key 1"]})));
    let mut line = recorded(&fixture, &touched());
    line["signatures"][1]["key"]["mcpid"]["security_key"]["for"] = json!(["key 1"]);
    let checked = check_line_by(&fixture, &line, fixture.trust()).unwrap();
    assert_eq!(checked.fault, None);
    assert!(checked.is_good(), "{:?}", checked.judged);
}

#[test]
fn a_touch_that_one_of_two_files_forbids_is_recorded_as_none() {
    let signers = || vec![entry(1, json!({})), entry(2, json!({}))];
    let nameless = || {
        let mut entry = touch_key().entry("x", &json!({}));
        entry["mcpid"].as_object_mut().unwrap().remove("name");
        entry
    };
    for (one, two) in [
        (joining(json!(["key 1"])), joining(json!(["key 2"]))),
        (joining(json!(["key 1"])), joining(json!([]))),
        // If the entry lists no signer, or gives the signer no name, the touch confirms no
        // signature.
        (joining(json!(["key 1"])), nameless()),
        (nameless(), joining(json!(["key 1"]))),
        // One trust file allows the operation, and the other does not.
        (
            security_key(json!({"allow": ["tools/call:*"]})),
            security_key(json!({"allow": ["tools/call:get_*"]})),
        ),
        (
            security_key(json!({"allow": ["tools/list"]})),
            security_key(json!({"allow": ["tools/call:pay"]})),
        ),
    ] {
        let fixture = with_files(&[vec![one.clone()], vec![two], signers()]);
        let line = refused(&fixture, &touched());
        let checked = check_line_by(&fixture, &line, fixture.trust()).unwrap();
        assert_eq!(checked.fault, None, "{one}");
        // The log's operator changes the verdict to verified.
        let mut other = line.clone();
        other["verdict"] = json!("verified");
        let members = other.as_object_mut().unwrap();
        (members["code"], members["step"]) = (Value::Null, Value::Null);
        let checked = check_line_by(&fixture, &other, fixture.trust()).unwrap();
        assert!(checked.fault.unwrap().contains("touch of a security key"), "{one}");
    }
}

#[test]
fn of_two_lists_that_allow_an_operation_the_first_is_recorded() {
    let (wide, narrow) = (json!(["tools/call:*"]), json!(["tools/call:pay", "tools/list"]));
    let files = [&wide, &narrow].map(|allow| {
        vec![
            entry(1, json!({"allow": allow})),
            security_key(json!({"allow": allow})),
            entry(2, json!({})),
        ]
    });
    let fixture = with_files(&files);
    let line = recorded(&fixture, &touched());
    for n in 0..2 {
        assert_eq!(line["signatures"][n]["key"]["mcpid"]["allow"], wide, "{line}");
    }
    let checked = check_line_by(&fixture, &line, fixture.trust()).unwrap();
    assert!(checked.is_good(), "{:?} {:?}", checked.fault, checked.judged);
    // Of three trust files, the entry records the one that forbids the operation: the request was
    // not allowed.
    let third = json!(["tools/list"]);
    let fixture =
        with_files(&[files[0].clone(), files[1].clone(), vec![entry(1, json!({"allow": third}))]]);
    let recorder = Recorder::new(fixture.open());
    fixture.record(&recorder, &touched()).unwrap();
    drop(recorder);
    let line: Value = serde_json::from_str(fixture.lines().last().unwrap()).unwrap();
    assert_eq!((&line["code"], &line["step"]), (&json!("not_allowed"), &json!(11)));
    assert_eq!(line["signatures"][0]["key"]["mcpid"]["allow"], third);
    let checked = check_line_by(&fixture, &line, fixture.trust()).unwrap();
    assert_eq!(checked.fault, None);
    let mut other = line.clone();
    other["verdict"] = json!("verified");
    let members = other.as_object_mut().unwrap();
    (members["code"], members["step"]) = (Value::Null, Value::Null);
    let checked = check_line_by(&fixture, &other, fixture.trust()).unwrap();
    assert!(checked.fault.is_some());
}

/// Adds the signature of key 2, which no touch of a security key confirms.
fn with_a_second_signer(mut call: Call) -> Call {
    let second = Signer::new(Arc::new(key(2)), &Profile::mcp()).unwrap().with_label("second");
    sign(&mut call, &second, START);
    call
}

#[test]
fn an_auditor_who_knows_only_the_other_signer_cannot_judge_the_touch() {
    let mut fixture = LogFixture::new();
    fixture.registry = registry(keys(&json!({"for": ["key 1"]})));
    let line = recorded(&fixture, &with_a_second_signer(touched()));
    let by = |entries: Vec<Value>, line: &Value| {
        let trust = AuditorTrust::pinned(registry(entries));
        check_line_by(&fixture, line, trust).unwrap()
    };
    let past = json!("2026-11-22T00:00:00Z");
    let ended = entry(1, json!({"not_after": past}));
    for entries in [vec![entry(2, json!({}))], vec![ended, entry(2, json!({}))]] {
        let checked = by(entries.clone(), &line);
        assert_eq!(checked.fault, None, "{entries:?}");
        assert_eq!(checked.judged.key.as_deref(), Some(key(2).public().id().as_str()));
        assert!(checked.judged.touch.is_none() && !checked.is_good());
        assert!(checked.judged.reasons.has(UnjudgedReason::Touch), "{entries:?}");
        // The entry says that the request was refused because it lacks a touch of a security key,
        // and the request has one. The audit of this auditor finds a contradiction too.
        let mut refused = line.clone();
        (refused["verdict"], refused["code"], refused["step"]) =
            (json!("refused"), json!("touch_required"), json!(11));
        assert!(by(entries, &refused).fault.unwrap().contains("touch_required"));
    }
    // If no touch of a security key is left, the entry contradicts its own rules.
    let mut other = line.clone();
    let all = other["signatures"].as_array_mut().unwrap();
    let touch = all.iter().position(|one| one["label"] == "touch").unwrap();
    all[touch]["key"]["mcpid"]["security_key"]["for"] = json!([]);
    let checked = by(vec![entry(2, json!({}))], &other);
    assert!(checked.fault.unwrap().contains("touch of a security key"));
}

/// The touch confirms the signature of a key that may not do this. The other key may, but no touch
/// of a security key confirms its signature.
#[test]
fn a_touch_of_a_signer_that_is_not_allowed_is_no_touch_of_the_request() {
    let mut fixture = LogFixture::new();
    let mut own = keys(&json!({"for": ["key 1"]}));
    own[0] = entry(1, json!({"allow": ["tools/list"]}));
    fixture.registry = registry(own);
    let line = refused(&fixture, &with_a_second_signer(touched()));
    let checked = check_line_by(&fixture, &line, fixture.trust()).unwrap();
    assert_eq!(checked.fault, None);
}

/// One security key confirms two signatures of one request, which two keys made.
#[test]
fn one_key_with_two_touches_is_recorded_once_with_both_signers() {
    let mut fixture = LogFixture::new();
    fixture.registry = registry(keys(&json!({"for": ["key 1", "key 2"]})));
    let mut call = touched();
    let second = Signer::new(Arc::new(key(2)), &Profile::mcp()).unwrap().with_label("second");
    let nonce = mcpid::sign::Nonce::generate(&mut rand::rngs::SysRng).unwrap();
    let at = mcpid::clock::Timestamp::from_unix(START);
    let (head, origins) = (call.head(), crate::fixtures::origins());
    let mut first = second.sign(&head, &origins, &call.body, at, &nonce).unwrap();
    // No signature covers the label of a touch of a security key.
    first.signature_input = first.signature_input.replace("touch=", "first-touch=");
    first.signature = first.signature.replace("touch=", "first-touch=");
    let both = second.sign_touch(&touch_key(), &head, &origins, &first).unwrap();
    let new: Vec<_> = both.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    drop(head);
    call.fields.retain(|(name, _)| !new.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    call.fields.extend(new);
    let line = recorded(&fixture, &call);
    assert_eq!(line["signatures"].as_array().unwrap().len(), 4, "{line}");
    let mut ids = [1, 2].map(|n| key(n).public().id().to_string());
    ids.sort();
    for one in line["signatures"].as_array().unwrap() {
        let joins = &one["key"]["mcpid"]["security_key"]["for"];
        assert!(joins.is_null() || *joins == json!(ids), "{line}");
    }
    for known in [1, 2] {
        let entries =
            vec![entry(known, json!({})), keys(&json!({"for": ["key 1", "key 2"]})).remove(2)];
        let checked =
            check_line_by(&fixture, &line, AuditorTrust::pinned(registry(entries))).unwrap();
        assert!(checked.is_good(), "{known}: {:?} {:?}", checked.fault, checked.judged);
    }
}
