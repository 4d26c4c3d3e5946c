//! Tests of the fields that a log keeps of requests under other profiles than `mcp`.

use std::sync::Arc;

use mcpid::audit::auditor::AuditorInputs;
use mcpid::audit::entry_judge::{AuditorTrust, PinnedRules, UnjudgedReason};
use mcpid::audit::{LogSettings, Recorder, check, proof};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use serde_json::json;

use crate::fixtures::{Call, LogFixture, body, entry, key, registry, sign};

const AGENT: &str = "https://platform.example/.well-known/ucp";

/// Returns a request with the header fields of UCP and an access token that has not expired, signed
/// by `profile`.
fn call(fixture: &LogFixture, profile: &Profile, body: &str) -> Call {
    use mcpid::clock::Clock as _;
    let fields = [
        ("host", "mcp.example.com"),
        ("content-type", "application/json"),
        ("authorization", "Bearer live-token"),
        ("ucp-agent", &format!("profile=\"{AGENT}\"")),
        ("idempotency-key", "550e8400-e29b-41d4-a716-446655440000"),
        ("signature-agent", &format!("sig1=\"{AGENT}\"")),
    ];
    let fields = fields.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    let mut call = Call { method: "POST".to_owned(), fields, body: body.into() };
    let signer = Signer::new(Arc::new(key(1)), profile).unwrap();
    sign(&mut call, &signer, fixture.clock.now().unix());
    call
}

#[test]
fn the_log_keeps_what_ucp_binds_and_the_audit_judges_it_again() {
    let mut fixture = LogFixture::new();
    fixture.registry = registry(vec![entry(1, json!({"client_ids": [AGENT]}))]);
    let recorder = Recorder::new(fixture.try_open(LogSettings::default()).unwrap());
    let recorder = recorder.with_bodies(Vec::new());
    let ucp = Profile::ucp();
    fixture
        .record_by(&recorder, &call(&fixture, &ucp, &body(1)), &fixture.verifier_by(ucp))
        .unwrap();
    // Under the default profile, the log does not keep these fields.
    fixture.record(&recorder, &call(&fixture, &Profile::mcp(), &body(1))).unwrap();
    drop(recorder);
    let lines = fixture.lines();
    let kept = lines.iter().find(|line| line.contains("\"profile\":\"ucp\"")).unwrap();
    for field in ["ucp-agent", "idempotency-key", "signature-agent"] {
        assert!(kept.contains(&format!("[\"{field}\",")), "{field}: {kept}");
        let others = lines.iter().filter(|line| !line.contains("\"profile\":\"ucp\""));
        for line in others {
            assert!(!line.contains(field), "{field}: {line}");
        }
    }
    assert!(!lines.concat().contains("live-token"));
    // The entry contains the signature base, so the signature can be verified again.
    let report = fixture.audit(&[]);
    assert_eq!((report.finding().cloned(), report.base_not_kept, report.signatures), (None, 0, 2));
}

/// Under the profile `adcp`, a verifier stores the nonce before it judges the body, and may then
/// still refuse the request. The audit must not overlook that refusal.
#[test]
fn an_ambiguous_body_that_the_log_calls_verified_is_a_finding() {
    for (text, is_good) in [(body(1), true), (body(1).replace('{', "{\"id\":9,"), false)] {
        let mut fixture = LogFixture::new();
        let mut buyer = entry(1, json!({}));
        buyer["use"] = json!("sig");
        buyer["key_ops"] = json!(["verify"]);
        buyer["adcp_use"] = json!("request-signing");
        fixture.registry = registry(vec![buyer]);
        let recorder = Recorder::new(fixture.try_open(LogSettings::default()).unwrap());
        let recorder = recorder.with_bodies(Vec::new());
        let adcp = Profile::adcp();
        let call = call(&fixture, &adcp, &text);
        fixture.record_by(&recorder, &call, &fixture.verifier_by(adcp)).unwrap();
        drop(recorder);
        assert!(fixture.lines().concat().contains("\"verdict\":\"verified\""));
        let report = fixture.audit(&[]);
        assert_eq!(report.finding().is_none(), is_good, "{text}: {:?}", report.finding());
    }
}

/// A verifier demands that a key was published for signing requests. An auditor demands the same of
/// the keys in the auditor's own trust file.
#[test]
fn an_entry_whose_key_has_another_purpose_by_the_auditors_file_is_not_good() {
    let mut fixture = LogFixture::new();
    let mut buyer = entry(1, json!({}));
    buyer["use"] = json!("sig");
    buyer["key_ops"] = json!(["verify"]);
    buyer["adcp_use"] = json!("request-signing");
    fixture.registry = registry(vec![buyer.clone()]);
    let recorder = Recorder::new(fixture.try_open(LogSettings::default()).unwrap());
    let recorder = recorder.with_bodies(Vec::new());
    let adcp = Profile::adcp();
    let call = call(&fixture, &adcp, &body(1));
    fixture.record_by(&recorder, &call, &fixture.verifier_by(adcp)).unwrap();
    drop(recorder);
    let lines = fixture.lines();
    let n = lines.iter().position(|line| line.contains("\"verdict\":\"verified\"")).unwrap();
    let evidence = proof::prove(&fixture.files(), n as u64, None).unwrap();
    let pinned = AuditorInputs { log_key: Some(fixture.log_key.clone()), ..Default::default() };
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 6] = [
        ("no change", |_| ()),
        ("no use", |jwk| drop(jwk.as_object_mut().unwrap().remove("use"))),
        ("no key_ops", |jwk| drop(jwk.as_object_mut().unwrap().remove("key_ops"))),
        ("no adcp_use", |jwk| drop(jwk.as_object_mut().unwrap().remove("adcp_use"))),
        ("key_ops for signing", |jwk| jwk["key_ops"] = json!(["sign"])),
        ("adcp_use for governance", |jwk| jwk["adcp_use"] = json!("governance-signing")),
    ];
    for (name, change) in changes {
        let mut changed = buyer.clone();
        change(&mut changed);
        // A key that was published for another purpose is left out when the file is read.
        let reason = match name {
            "no change" => None,
            "no use" | "no key_ops" | "no adcp_use" => Some(UnjudgedReason::Purpose),
            _ => Some(UnjudgedReason::Signer),
        };
        let trust = || AuditorTrust::pinned(registry(vec![changed.clone()]));
        let log = fixture.audit_by(trust());
        let reasons = reason.map(|reason| (reason.as_str(), 1)).into_iter().collect();
        assert_eq!(log.unjudged, reasons, "{name}");
        let checked = check::check(evidence.as_bytes(), &pinned, trust(), None);
        let checked = checked.unwrap();
        let found: Vec<UnjudgedReason> = checked.judged.reasons.iter().collect();
        assert_eq!(found, reason.into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(checked.is_good(), reason.is_none(), "{name}");
    }
    // Other profiles do not demand that a key was published for signing requests.
    let fixture = LogFixture::new();
    fixture.fill(1, LogSettings::default());
    assert!(fixture.audit_by(fixture.trust()).unjudged.is_empty());
}

/// An auditor demands the rules of the profile `mcp`. An entry that names a profile with laxer
/// rules is not good, even if its signatures expire as soon.
#[test]
fn an_entry_of_a_laxer_profile_is_not_good_for_an_auditor_who_demands_mcp() {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.try_open(LogSettings::default()).unwrap());
    let window = Profile::mcp().window;
    let lax = Profile { window, ..Profile::rfc9421() };
    fixture
        .record_by(&recorder, &call(&fixture, &lax, &body(1)), &fixture.verifier_by(lax))
        .unwrap();
    drop(recorder);
    let rules = |profile| PinnedRules { profile: Some(profile), ..PinnedRules::default() };
    let by = |profile| fixture.audit_by(fixture.trust().with_rules(rules(profile))).not_good;
    assert_eq!((by(Profile::rfc9421()), by(Profile::mcp())), (0, 1));
}
