//! Tests of the fields that a log keeps of requests under other profiles than `mcp`.

use std::sync::Arc;

use mcpid::audit::{Recorder, Settings};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use serde_json::json;

use crate::fixtures::{Call, LogFixture, body, entry, key, registry, sign};

const AGENT: &str = "https://platform.example/.well-known/ucp";

/// Returns a request with the fields of UCP and a live access token, signed by `profile`.
fn call(fixture: &LogFixture, profile: &Profile) -> Call {
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
    let mut call = Call { method: "POST".to_owned(), fields, body: body(1).into_bytes() };
    let signer = Signer::new(Arc::new(key(1)), profile).unwrap();
    sign(&mut call, &signer, fixture.clock.now().unix());
    call
}

#[test]
fn the_log_keeps_what_ucp_binds_and_the_audit_judges_it_again() {
    let mut fixture = LogFixture::new();
    fixture.registry = registry(vec![entry(1, json!({"client_ids": [AGENT]}))]);
    let recorder = Recorder::new(fixture.try_open(Settings::default()).unwrap());
    let recorder = recorder.with_bodies(Vec::new());
    let ucp = Profile::ucp();
    fixture.record_by(&recorder, &call(&fixture, &ucp), &fixture.verifier_by(ucp)).unwrap();
    // Under the default profile, the same fields are not kept.
    fixture.record(&recorder, &call(&fixture, &Profile::mcp())).unwrap();
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
    // The base is kept, so the signature can be verified again.
    let report = fixture.audit(&[]);
    assert_eq!((report.finding().cloned(), report.opaque, report.signatures), (None, 0, 2));
}
