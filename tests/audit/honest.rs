//! Tests of unusual logs that were not forged: an audit must find no fault in any of them.

use std::sync::Arc;
use std::time::Duration;

use mcpid::audit::auditor::AuditorInputs;
use mcpid::audit::entry_judge::{AuditorTrust, PinnedRules};
use mcpid::audit::erase::{self, EraseError};
use mcpid::audit::{Folder, LogSettings, Recorder, archive, proof};
use mcpid::clock::Clock;
use mcpid::message::Head;
use mcpid::profile::{Profile, Window};
use mcpid::verify::coverage::CoverageOverrides;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::fixtures::{LogFixture, audit_folder, body, call, entry, registry};
use crate::recoveries::{Checkpoints, append};

/// The number of logs that the test makes and audits.
const LOGS: u64 = 500;

fn one(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let fixture = LogFixture::new();
    let mut settings = LogSettings::default();
    settings.file_size = random.random_range(1_000..20_000);
    (settings.every, settings.pause) = (random.random_range(1..6), Duration::ZERO);
    let wide = random.random_range(0..4) == 0;
    let rounds = random.random_range(1..4);
    for _ in 0..rounds {
        let (checkpoints, files) = (Checkpoints::of(&fixture), fixture.segments().len());
        let log = fixture.try_open(settings.clone()).unwrap();
        let recorders = [
            Recorder::new(log.clone()),
            Recorder::new(log.clone()).with_bodies(Vec::new()),
            Recorder::new(log).with_bodies(vec![
                "tools/call:*:arguments.password".parse().unwrap(),
                "tools/call:pay:arguments.amount".parse().unwrap(),
            ]),
        ];
        let profile = match wide {
            true => {
                Profile { window: Window { max_age: Some(120), max_skew: 60 }, ..Profile::mcp() }
            }
            false => Profile::mcp(),
        };
        let verifier = fixture.verifier_by(profile);
        let lax = fixture.verifier_by(Profile::mcp()).with_coverage_overrides(CoverageOverrides {
            require: Vec::new(),
            allow_uncovered: vec!["mcp-name".to_owned()],
        });
        for n in 0..random.random_range(1..6) {
            match random.random_range(0..10) {
                0 => fixture.clock.forward(random.random_range(-5..5)),
                1 => fixture.clock.forward(random.random_range(-7_200..7_200)),
                2 => fixture.clock.forward(86_400),
                _ => fixture.clock.forward(random.random_range(0..3)),
            }
            let text = match random.random_range(0..5) {
                0 => r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#.to_owned(),
                1 => r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
                2 => r#"{"jsonrpc":"2.0","id":"größe","result":{}}"#.to_owned(),
                3 => format!(
                    r#"{{"jsonrpc":"2.0","id":{n},"method":"resources/read","params":{{"uri":"file:///a b/{n}\u0021"}}}}"#
                ),
                _ => body(n),
            };
            let name = format!("X{n}");
            let param = ("mcp-param-region", name.as_str());
            let more: &[(&str, &str)] = match random.random_range(0..4) {
                0 => &[("mcp-session-id", "s-1"), ("mcp-protocol-version", "2025-11-25")],
                1 if text.contains("tools/call") => {
                    &[("mcp-method", "tools/call"), ("mcp-name", "=?base64?cGF5?="), param]
                }
                _ => &[],
            };
            let signer = if random.random_range(0..4) == 0 { 2 } else { 1 };
            let signed = fixture.clock.now().unix() - random.random_range(0..20);
            let mut sent = call(signer, signed, &text, more);
            match random.random_range(0..8) {
                0 => sent.body = b"not json".to_vec(),
                1 => sent.body.push(b' '),
                _ => {}
            }
            let recorder = &recorders[random.random_range(0..3)];
            let by = if random.random_range(0..6) == 0 { &lax } else { &verifier };
            let _ = fixture.record_by(recorder, &sent, by);
        }
        drop(recorders);
        // The process was killed before its first checkpoint, which precedes each new file.
        if random.random_range(0..4) == 0 && fixture.segments().len() == files.max(1) {
            checkpoints.put_back();
        }
        if random.random_range(0..8) == 0 && files > 0 {
            append(&fixture, b"{\"mcpid\":\"audit/2\",\"n\":");
        }
    }
    drop(fixture.open());
    let folder = keep(&fixture, &mut random);
    let inputs = AuditorInputs {
        log_key: Some(fixture.log_key.clone()),
        kept: vec![fixture.checkpoint()],
        allow_erased: true,
        ..AuditorInputs::default()
    };
    let audit_by = |trust: AuditorTrust| audit_folder(&folder, &inputs, trust);
    let report = audit_by(fixture.trust());
    assert_eq!(report.finding(), None, "seed {seed}");
    // If the auditor gives rules and the clock was not set back, the verdict is good.
    let rules = PinnedRules { window: Some(120), ahead: Some(60), ..PinnedRules::default() };
    let trust = AuditorTrust::pinned(fixture.registry.clone()).with_rules(rules);
    let report = audit_by(trust);
    let other: Vec<_> = report.unjudged.keys().filter(|reason| **reason != "clock").collect();
    assert!(other.is_empty(), "seed {seed}: {other:?}");
    // The auditor has a later trust file, in which one key is removed, another revoked, and a third
    // limited.
    let later = fixture.clock.now().plus(10_000_000).to_string();
    for today in [
        vec![entry(2, json!({}))],
        vec![entry(1, json!({"revoked_at": later}))],
        vec![
            entry(1, json!({"allow": ["tools/list"]})),
            entry(2, json!({"revoked_at": "2020-01-01T00:00:00Z"})),
        ],
    ] {
        let report = audit_by(AuditorTrust::pinned(registry(today)));
        assert_eq!(report.finding(), None, "seed {seed}");
    }
    for n in 0..report.entries {
        let Ok(evidence) = proof::prove(&folder, n, None) else { continue };
        let checked =
            mcpid::audit::check::check(evidence.as_bytes(), &inputs, fixture.trust(), None)
                .unwrap();
        assert_eq!(checked.fault, None, "seed {seed}, entry {n}");
    }
}

/// In every third log, entries are archived and erased, in a random order. Returns the log with its
/// archive.
fn keep(fixture: &LogFixture, random: &mut StdRng) -> Folder {
    let to = fixture.path().with_file_name("archive");
    let mut folder = fixture.files();
    if random.random_range(0..3) > 0 {
        return folder;
    }
    for _ in 0..random.random_range(1..5) {
        let clock: Arc<dyn Clock> = fixture.clock.clone();
        if random.random_range(0..2) == 0 {
            let before = fixture.clock.now().plus(random.random_range(-100_000..10_000));
            archive::archive(&fixture.files(), before, &to).unwrap();
            folder = fixture.files().with_archives(vec![to.clone()]);
            continue;
        }
        match erase::erase(&folder, random.random_range(0..8), "a request", clock) {
            Ok(_)
            | Err(EraseError::NoRequest { .. } | EraseError::Already { .. })
            | Err(EraseError::NoEntry(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    folder
}

#[test]
fn unusual_honest_logs_pass_the_audit() {
    for seed in 0..LOGS {
        one(seed);
    }
}

/// The log does not keep all fields of a request, and an audit must assume nothing about the
/// missing ones.
#[test]
fn an_entry_about_a_request_without_a_body_is_good() {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open());
    for method in ["GET", "DELETE"] {
        let mut sent = call(1, fixture.clock.now().unix(), "", &[]);
        sent.method = method.to_owned();
        sent.fields.retain(|(name, _)| {
            let name = name.to_ascii_lowercase();
            !name.starts_with("signature") && name != "content-digest" && name != "content-type"
        });
        let signer =
            mcpid::sign::Signer::new(std::sync::Arc::new(crate::fixtures::key(1)), &Profile::mcp());
        crate::fixtures::sign(&mut sent, &signer.unwrap(), fixture.clock.now().unix());
        let _: Head<'_> = sent.head();
        fixture.record(&recorder, &sent).unwrap();
    }
    drop(recorder);
    let report = fixture.audit(&[]);
    assert_eq!((report.finding(), report.entries, report.is_good()), (None, 2, true));
}

/// Some requests with a valid signature were refused for reasons that an audit cannot repeat, for
/// example an expired token.
#[test]
fn a_refusal_that_cannot_be_repeated_is_no_contradiction() {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open());
    let verifier = fixture.verifier();
    for (step, code) in [
        (None, "too_large"),
        (Some(1), "too_large"),
        (None, "unavailable"),
        (None, "body_broken"),
        (Some(5), "expired"),
        (Some(11), "not_allowed"),
        (Some(12), "nonce_quota"),
    ] {
        let sent = call(1, fixture.clock.now().unix(), &body(1), &[]);
        let head = sent.head();
        let held = verifier.judge_head(&head).unwrap();
        let evidence = mcpid::audit::Evidence::of(&Profile::mcp(), &head, held.signatures());
        let mut because = mcpid::audit::RecordedRefusal::default();
        (because.step, because.code) = (step, code);
        for passes in [true, false] {
            let judged = mcpid::audit::JudgedRequest::new(&head, &verifier, fixture.clock.now());
            let done = recorder.rejected(&judged, Some(&evidence), because, None, passes);
            crate::fixtures::wait(done).unwrap();
        }
    }
    drop(recorder);
    let report = fixture.audit(&[]);
    assert_eq!((report.finding(), report.entries, report.is_good()), (None, 14, true));
}
