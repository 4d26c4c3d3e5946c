//! Tests of touches of security keys in evidence. An auditor who has only the evidence files, and
//! not the log, learns which security key approved which request, and when. A touch that was
//! invented or removed is reported.

use mcpid::audit::entry_judge::{AuditorTrust, JudgedTouch, PinnedRules, UnjudgedReason};
use mcpid::audit::{Evidence, JudgedRequest, Recorder};
use mcpid::base::Component;
use mcpid::clock::{Clock as _, Timestamp};
use mcpid::key::{Sign as _, SignByTouch as _};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use rand::rngs::SysRng;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::fixtures::{Call, LogFixture, body, call, entry, key, origins, registry, wait};
use crate::forged::check_line_by;
use crate::software_key::SoftwareKey;

pub(crate) const RULE: &str = "tools/call:pay";

pub(crate) fn touch_key() -> SoftwareKey {
    SoftwareKey::new(key(21))
}

/// Returns the keys in the server's trust file: key 1, key 2, and the security key of key 1's owner
/// with `rules`.
pub(crate) fn keys(rules: &Value) -> Vec<Value> {
    vec![
        entry(1, json!({})),
        entry(2, json!({})),
        touch_key().entry("security key of alice", rules),
    ]
}

fn fixture() -> LogFixture {
    let mut fixture = LogFixture::new();
    fixture.registry = registry(keys(&json!({"for": ["key 1"]})));
    fixture
}

/// Returns a call of the tool `pay`, signed by key 1 and confirmed by a touch of `toucher`.
fn touched(at: i64, toucher: &SoftwareKey) -> Call {
    touched_by(Signer::new(Arc::new(key(1)), &Profile::mcp()).unwrap(), at, toucher)
}

pub(crate) fn touched_by(signer: Signer, at: i64, toucher: &SoftwareKey) -> Call {
    let mut call = call(1, at, &body(1), &[("mcp-method", "tools/call"), ("mcp-name", "pay")]);
    call.fields.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("signature"));
    call.fields.push(("user-agent".to_owned(), "agent/1".to_owned()));
    let nonce = Nonce::generate(&mut SysRng).unwrap();
    let (head, at) = (call.head(), Timestamp::from_unix(at));
    let first = signer.sign(&head, &origins(), &call.body, at, &nonce).unwrap();
    let both = signer.sign_touch(toucher, &head, &origins(), &first).unwrap();
    let fields: Vec<_> = both.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    drop(head);
    call.fields.extend(fields);
    call
}

/// Writes the entry of `call`, a verified request to a server that demands a touch of a security
/// key, and returns the entry.
pub(crate) fn recorded(fixture: &LogFixture, call: &Call) -> Value {
    recorded_by(fixture, call, |recorder, judged, evidence| {
        wait(recorder.verified(judged, evidence)).unwrap();
    })
}

/// Records `call` under the touch rule by `record`, and returns its entry.
pub(crate) fn recorded_by(
    fixture: &LogFixture,
    call: &Call,
    record: impl FnOnce(&Recorder, &JudgedRequest<'_, '_>, &Evidence),
) -> Value {
    let recorder = Recorder::new(fixture.open());
    let (verifier, rules) = (fixture.verifier(), [RULE.to_owned()]);
    let head = call.head();
    let judged = JudgedRequest::new(&head, &verifier, fixture.clock.now())
        .with_body(Some(&call.body))
        .with_touch_rules(&rules);
    let held = verifier.judge_head(&head).unwrap();
    let evidence = Evidence::of(verifier.profile(), &head, held.signatures());
    record(&recorder, &judged, &evidence);
    drop(recorder);
    let lines = fixture.lines();
    serde_json::from_str(lines.last().unwrap()).unwrap()
}

fn demanding() -> PinnedRules {
    let touch = vec![RULE.parse().unwrap()];
    PinnedRules { touch, ..PinnedRules::default() }
}

#[test]
fn an_auditor_learns_who_touched_what_and_when_from_the_own_trust_file() {
    let fixture = fixture();
    let line = recorded(&fixture, &touched(fixture.clock.now().unix(), &touch_key()));
    assert_eq!(line["rules"]["touch"], json!([RULE]));
    assert_eq!(line["signatures"].as_array().unwrap().len(), 2);
    for trust in [fixture.trust(), fixture.trust().with_rules(demanding())] {
        let checked = check_line_by(&fixture, &line, trust).unwrap();
        assert_eq!(checked.fault, None);
        assert!(checked.is_good(), "{:?}", checked.judged);
        let judged = &checked.judged;
        assert_eq!(judged.key.as_deref(), Some(key(1).public().id().as_str()));
        assert_eq!(judged.known.as_ref().unwrap().name.as_deref(), Some("key 1"));
        let touch: &JudgedTouch = judged.touch.as_ref().unwrap();
        assert_eq!(touch.key, key(21).public().id().as_str());
        assert_eq!(touch.name.as_deref(), Some("security key of alice"));
        assert_eq!(touch.application.as_deref(), Some("ssh:mcpid"));
        assert_eq!((touch.verified, touch.counter, touch.doubt), (false, 7, None));
    }
    // An audit of the whole log gives the same verdict.
    let report = fixture.audit(&[]);
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.touched, (1, 0));
}

#[test]
fn what_the_log_says_of_a_security_key_confirms_no_touch() {
    let fixture = fixture();
    let line = recorded(&fixture, &touched(fixture.clock.now().unix(), &touch_key()));
    let past = json!("2026-11-22T00:00:00Z");
    let doubt = |keys: Vec<Value>, words: &str| {
        let trust = AuditorTrust::pinned(registry(keys));
        let checked = check_line_by(&fixture, &line, trust).unwrap();
        assert_eq!(checked.fault, None, "{words}");
        let touch = checked.judged.touch.as_ref().unwrap();
        assert!(touch.doubt.unwrap().contains(words), "{words:?}: {:?}", touch.doubt);
        // The log's rules demand a touch of a security key, so the entry is not good.
        assert!(checked.judged.reasons.has(UnjudgedReason::Touch), "{words}");
    };
    let known = |rules: Value| keys(&rules);
    doubt(keys(&json!({}))[..2].to_vec(), "no trust file that was given has its key");
    let mut plain = known(json!({"for": ["key 1"]}));
    plain[2]["mcpid"].as_object_mut().unwrap().remove("security_key");
    doubt(plain, "no security key");
    doubt(known(json!({"for": ["key 2"]})), "may not touch for this signer");
    doubt(known(json!({"for": []})), "may not touch for this signer");
    doubt(known(json!({"for": ["key 1"], "application": "ssh:x"})), "another application");
    doubt(known(json!({"for": ["key 1"], "require": "verified"})), "a PIN or a finger");
    for member in ["revoked_at", "not_after"] {
        let mut ended = known(json!({"for": ["key 1"]}));
        ended[2]["mcpid"][member] = past.clone();
        doubt(ended, "revoked or not valid then");
    }
    // Without a trust file, neither the signer nor the security key is known.
    let checked = check_line_by(&fixture, &line, AuditorTrust::of_the_log()).unwrap();
    assert!(!checked.is_good() && checked.judged.touch.unwrap().doubt.is_some());
}

/// Returns the entry without the touch: it is removed from the entry's signatures and from the
/// request.
fn stripped(line: &Value) -> Value {
    let mut line = line.clone();
    let all = line["signatures"].as_array_mut().unwrap();
    all.retain(|one| one["label"] != "touch");
    for field in line["request"]["headers"].as_array_mut().unwrap() {
        let name = field[0].as_str().unwrap().to_ascii_lowercase();
        if name.starts_with("signature") {
            let value = field[1].as_str().unwrap().split(", touch=").next().unwrap().to_owned();
            field[1] = json!(value);
        }
    }
    line
}

#[test]
fn a_touch_that_was_taken_out_or_made_up_is_named() {
    let fixture = fixture();
    let line = recorded(&fixture, &touched(fixture.clock.now().unix(), &touch_key()));
    let fault = |line: &Value| {
        let checked = check_line_by(&fixture, line, fixture.trust()).unwrap();
        checked.fault.unwrap_or_else(|| panic!("no fault: {:?}", checked.judged))
    };
    // The touch is removed from the entry's signatures, from the request, or from both.
    let both = stripped(&line);
    let mut only_entry = line.clone();
    only_entry["signatures"] = both["signatures"].clone();
    let mut only_request = line.clone();
    only_request["request"] = both["request"].clone();
    fault(&only_entry);
    fault(&only_request);
    assert!(fault(&both).contains("touch of a security key"), "{}", fault(&both));
    // The log's operator removed the demand for a touch of a security key too. The auditor's own
    // rule finds it.
    let mut ruleless = both.clone();
    ruleless["rules"].as_object_mut().unwrap().remove("touch");
    let checked = check_line_by(&fixture, &ruleless, fixture.trust()).unwrap();
    assert!(checked.is_good() && checked.judged.touch.is_none());
    let trust = fixture.trust().with_rules(demanding());
    let checked = check_line_by(&fixture, &ruleless, trust).unwrap();
    assert!(checked.fault.is_none() && checked.judged.reasons.has(UnjudgedReason::Touch));
    // The counter, or the flag that says that a PIN was entered, is changed in the signature.
    for at in [64, 68] {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let told = line["signatures"][1]["signature"].as_str().unwrap();
        let mut bytes = STANDARD.decode(told).unwrap();
        assert_eq!(bytes.len(), 69);
        bytes[at] ^= 0x04;
        let other = STANDARD.encode(bytes);
        let text = line.to_string().replace(told, &other);
        fault(&serde_json::from_str(&text).unwrap());
    }
    // The entry says that the request was refused because it lacks a touch of a security key, and
    // the request has one.
    let mut refused = line.clone();
    (refused["verdict"], refused["code"], refused["step"]) =
        (json!("refused"), json!("touch_required"), json!(11));
    assert!(fault(&refused).contains("touch_required"));
    // The same refusal is good if the request has no touch of a security key.
    (refused["signatures"], refused["request"]) =
        (both["signatures"].clone(), both["request"].clone());
    let checked = check_line_by(&fixture, &refused, fixture.trust()).unwrap();
    assert_eq!(checked.fault, None);
}

/// The log's operator may write into the entry that the security key may sign alone (`alone`), so
/// the auditor's own trust file decides.
#[test]
fn a_security_key_that_the_auditor_does_not_let_sign_alone_makes_no_entry_good() {
    let mut fixture = fixture();
    let lets = json!({"for": [], "alone": true});
    fixture.registry = registry(keys(&lets));
    let at = fixture.clock.now().unix();
    // The touch for key 1's call is made again, and does not cover the signature of key 1.
    let mut call = touched(at, &touch_key());
    let verifier = fixture.verifier();
    let head = call.head();
    let held = verifier.judge_head(&head).unwrap();
    let first = held.signatures().find(|one| one.label == "mcp").unwrap();
    let id = key(1).public().id().as_str().to_owned();
    let base = first.base.replace(&id, key(21).public().id().as_str());
    let params = base.rsplit_once("\"@signature-params\": ").unwrap().1.to_owned();
    let signature = touch_key().sign(base.as_bytes());
    drop(held);
    drop(head);
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(signature);
    call.fields.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("signature"));
    call.fields.push(("signature-input".to_owned(), format!("mcp={params}")));
    call.fields.push(("signature".to_owned(), format!("mcp=:{text}:")));
    let line = recorded(&fixture, &call);
    let judged = |rules: Option<Value>| {
        let mut own = keys(&rules.clone().unwrap_or_else(|| lets.clone()));
        if rules.is_none() {
            own[2]["mcpid"].as_object_mut().unwrap().remove("security_key");
        }
        let trust = AuditorTrust::pinned(registry(own));
        let checked = check_line_by(&fixture, &line, trust).unwrap();
        assert_eq!(checked.fault, None);
        checked
    };
    assert!(judged(Some(lets.clone())).is_good());
    for rules in [
        Some(json!({"for": []})),
        Some(json!({"for": [], "alone": true, "application": "ssh:x"})),
        Some(json!({"for": [], "alone": true, "require": "verified"})),
        None,
    ] {
        let checked = judged(rules.clone());
        assert!(checked.judged.reasons.has(UnjudgedReason::SecurityKey), "{rules:?}");
        assert!(!checked.judged.reasons.has(UnjudgedReason::NotTrustedThen), "{rules:?}");
        let known = checked.judged.known.as_ref().unwrap();
        assert!(known.not_then.is_none() && known.not_alone.is_some(), "{rules:?}");
    }
}

/// The log does not keep `user-agent`. Two signatures cover it, so neither can be verified again.
#[test]
fn a_touch_over_a_field_that_is_not_kept_makes_no_honest_entry_bad() {
    let fixture = fixture();
    let signer = Signer::new(Arc::new(key(1)), &Profile::mcp()).unwrap();
    let signer = signer.cover(Component::new("user-agent").unwrap());
    let call = touched_by(signer, fixture.clock.now().unix(), &touch_key());
    let line = recorded(&fixture, &call);
    assert!(line["signatures"][1].get("base_sha256").is_some(), "{line}");
    let checked = check_line_by(&fixture, &line, fixture.trust()).unwrap();
    assert_eq!(checked.fault, None);
    let reasons = &checked.judged.reasons;
    assert!(
        reasons.has(UnjudgedReason::BaseNotKept)
            && reasons.has(UnjudgedReason::Touch)
            && !checked.is_good()
    );
    // A signature of another length cannot be of this type of key.
    let told = line["signatures"][1]["signature"].as_str().unwrap().to_owned();
    let short = line.to_string().replace(&told, &told[..88]);
    let checked = check_line_by(&fixture, &serde_json::from_str(&short).unwrap(), fixture.trust());
    assert!(checked.unwrap().fault.is_some());
}

/// The log's operator removed the touch and the body, and could also state another operation.
#[test]
fn an_operation_that_only_the_log_names_does_not_evade_the_auditors_rule() {
    let fixture = fixture();
    let at = fixture.clock.now().unix();
    let head = [("mcp-method", "tools/call"), ("mcp-name", "pay")];
    for (fields, is_covered) in [(&head[..], true), (&[], false)] {
        let call = call(1, at, &body(1), fields);
        let recorder = Recorder::new(fixture.open());
        let (head, verifier) = (call.head(), fixture.verifier());
        let judged = JudgedRequest::new(&head, &verifier, fixture.clock.now());
        let judged = judged.with_body(Some(&call.body));
        let held = verifier.judge_head(&head).unwrap();
        let evidence = Evidence::of(verifier.profile(), &head, held.signatures());
        wait(recorder.verified(&judged, &evidence)).unwrap();
        drop(recorder);
        let line: Value = serde_json::from_str(fixture.lines().last().unwrap()).unwrap();
        let rule = |text: &str| {
            let touch = vec![text.parse().unwrap()];
            let rules = PinnedRules { touch, ..PinnedRules::default() };
            let trust = fixture.trust().with_rules(rules);
            let checked = check_line_by(&fixture, &line, trust).unwrap();
            assert_eq!(checked.fault, None);
            checked.judged.reasons.has(UnjudgedReason::Touch)
        };
        assert!(rule(RULE));
        assert_eq!(rule("tools/call:delete_db"), !is_covered);
    }
}

#[test]
fn a_security_key_never_names_the_signer_of_an_entry() {
    let fixture = fixture();
    let line = recorded(&fixture, &touched(fixture.clock.now().unix(), &touch_key()));
    // The auditor's trust file contains only the security key.
    let trust = AuditorTrust::pinned(registry(keys(&json!({"for": ["key 1"]})).split_off(2)));
    let checked = check_line_by(&fixture, &line, trust).unwrap();
    assert_eq!(checked.judged.key.as_deref(), Some(key(1).public().id().as_str()));
    assert!(checked.judged.reasons.has(UnjudgedReason::Signer));
    assert!(checked.judged.touch.unwrap().doubt.is_some());
}

#[test]
fn a_signers_own_copy_holds_its_touch() {
    let fixture = fixture();
    let sent = touched(fixture.clock.now().unix(), &touch_key());
    let (head, verifier) = (sent.head(), fixture.verifier());
    let held = verifier.judge_head(&head).unwrap();
    let one = held.signatures().find(|one| one.label == "mcp").unwrap();
    let touch = held.signatures().find(|one| one.label == "touch").unwrap();
    let signer = key(1);
    let evidence =
        Evidence::signed(&Profile::mcp(), &head, "mcp", signer.public(), one.base, one.signature)
            .with_touch(
                &head,
                (touch_key().security_key(), signer.public().id()),
                ("touch", touch.base, touch.signature),
            );
    let recorder = Recorder::new(fixture.open());
    let by = (&Profile::mcp(), &origins());
    wait(recorder.signed(&head, by, &sent.body, &evidence, fixture.clock.now())).unwrap();
    drop(recorder);
    let line: Value = serde_json::from_str(fixture.lines().last().unwrap()).unwrap();
    let checked = check_line_by(&fixture, &line, fixture.trust()).unwrap();
    assert_eq!(checked.fault, None);
    assert!(checked.is_good(), "{:?}", checked.judged);
    assert!(checked.judged.touch.unwrap().is_confirmed());
}
