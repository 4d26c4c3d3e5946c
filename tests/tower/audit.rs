//! Tests of the audit log in the layer: the entry is on the disk before the service is called. If
//! the log fails, its policy decides about the request.

use std::sync::Arc;

use mcpid::audit::{Folder, Log, LogSettings, Policy, Recorder};
use mcpid::clock::Timestamp;
use mcpid::tower::{Modes, VerifyLayer};
use serde_json::Value;

use crate::servers::{
    CALL, START, Seen, bare, clock, key, plain, refused, sign_by, signed, strict, through,
};

struct Kept {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    log: Log,
}

fn kept() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    Folder::init(&path, "example.com/audit", &key(99), Timestamp::from_unix(START)).unwrap();
    let log = Log::open(Folder::at(&path).unwrap(), LogSettings::default(), clock()).unwrap();
    Kept { _folder: folder, path, log }
}

impl Kept {
    fn recorder(&self) -> Arc<Recorder> {
        Arc::new(Recorder::new(self.log.clone()))
    }

    fn entries(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path.join("entries-000000000000.jsonl"));
        let text = text.unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Makes every further write fail.
    fn close(&self) {
        self.log.close();
    }
}

#[tokio::test]
async fn a_verified_request_is_written_down_before_the_service_gets_it() {
    let (at, kept) = (clock(), kept());
    let layer = strict(&at).with_audit(kept.recorder());
    let seen = Seen::default();
    let response = through(&layer, &seen, signed(&at, CALL).await).await;
    assert_eq!((response.status().as_u16(), seen.calls()), (202, 1));
    assert_eq!(&seen.body()[..], CALL.as_bytes());
    let entries = kept.entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["verdict"], "verified");
    assert_eq!(entries[0]["mcp"]["name"], "get_weather");
    assert_eq!(entries[0]["rules"]["profile"], "mcp");
    assert_eq!(entries[0]["signatures"][0]["key"]["kid"], layer_key());
}

fn layer_key() -> String {
    use mcpid::key::Sign as _;
    key(1).public().id().to_string()
}

#[tokio::test]
async fn a_request_without_an_audit_entry_is_not_dispatched() {
    let (at, kept) = (clock(), kept());
    let layer = strict(&at).with_audit(kept.recorder());
    kept.close();
    let answer = refused(&layer, signed(&at, CALL).await).await;
    assert_eq!((answer.status, answer.reason()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    let why = answer.refused.unwrap();
    assert_eq!(why.to_string(), "503 unavailable: not recorded: the log is closed");
    assert!(!answer.text.contains("closed"), "a client is not told of it");
}

#[tokio::test]
async fn best_effort_passes_the_request_on_and_counts_the_gap() {
    let (at, kept) = (clock(), kept());
    let recorder = Recorder::new(kept.log.clone()).with_policy(Policy::BestEffort);
    let layer = strict(&at).with_audit(Arc::new(recorder));
    kept.close();
    let seen = Seen::default();
    let response = through(&layer, &seen, signed(&at, CALL).await).await;
    assert_eq!((response.status().as_u16(), seen.calls()), (202, 1));
    assert_eq!(kept.log.gaps(), 1);
}

#[tokio::test]
async fn a_refusal_after_a_valid_signature_is_an_entry_and_other_refusals_are_counted() {
    let (at, kept) = (clock(), kept());
    let layer = strict(&at).with_audit(kept.recorder());
    let seen = Seen::default();
    let good = signed(&at, CALL).await;
    through(&layer, &seen, good.clone()).await;
    assert_eq!(refused(&layer, good).await.reason(), "nonce_replayed");
    refused(&layer, plain(CALL)).await;
    refused(&layer, sign_by(key(2), &at, plain(CALL)).await).await;
    at.forward(100);
    refused(&layer, signed(&clock(), CALL).await).await;
    drop(layer);
    kept.close();
    let entries = kept.entries();
    let facts: Vec<String> = entries
        .iter()
        .map(|e| format!("{} {} {}", e["event"], e["verdict"], e["code"]).replace('"', ""))
        .collect();
    let wanted = ["request verified null", "request refused nonce_replayed", "dropped null null"];
    assert_eq!(facts, wanted);
    let codes = &entries[2]["dropped"]["codes"];
    for code in ["signature_missing", "key_unknown", "expired"] {
        assert_eq!(codes[code], 1, "{codes}");
    }
}

#[tokio::test]
async fn an_unsigned_request_does_not_close_the_service_after_the_log_fails() {
    let (at, kept) = (clock(), kept());
    let recorder = kept.recorder();
    let strict = strict(&at).with_audit(recorder.clone());
    let open: VerifyLayer = crate::servers::strict(&at).with_modes(Modes::permissive());
    let open = open.with_audit(recorder);
    kept.close();
    assert_eq!(refused(&strict, plain(CALL)).await.status, 403);
    let seen = Seen::default();
    // No key authorised this request, so the log only counts it.
    let response = through(&open, &seen, plain(CALL)).await;
    assert_eq!(response.status().as_u16(), 202);
    through(&open, &seen, bare("GET")).await;
    assert_eq!(seen.calls(), 2);
    // A signed request that strict mode would refuse is passed on only if its entry is written.
    let good = signed(&at, CALL).await;
    let other = bytes::Bytes::from_static(b"{}");
    let changed = good.map(|_| http_body_util::Full::new(other));
    assert_eq!(refused(&open, changed).await.status, 503);
}
