//! Tests of the files that a log writes, and of opening a log.

mod checkpoints;
mod damage;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mcpid::audit::{Folder, LogError, LogSettings, Recorder};
use mcpid::clock::Timestamp;
use serde_json::Value;

use crate::fixtures::{self, LogFixture, NAME, START, body, call, key};

fn settings() -> LogSettings {
    LogSettings::default()
}

#[test]
fn entries_are_lines_that_hold_all_to_judge_again_and_no_secret() {
    let fixture = LogFixture::new();
    fixture.fill(3, settings());
    let lines = fixture.lines();
    assert_eq!(lines.len(), 3);
    for (n, line) in lines.iter().enumerate() {
        let json: Value = serde_json::from_str(line).unwrap();
        assert!(line.starts_with(r#"{"mcpid":"audit/2","n":"#), "{line}");
        assert_eq!(json["n"], n);
        assert_eq!(json["verdict"], "verified");
        assert_eq!(json["mcp"]["name"], "pay");
        assert_eq!(json["signatures"][0]["key"]["mcpid"]["name"], "key 1");
        let base = json["signatures"][0]["base"].as_str().unwrap();
        assert!(base.contains("\"@target-uri\": https://mcp.example.com/mcp?tenant=a%2fb"));
        assert_eq!(json["request"]["target"], "https://mcp.example.com/mcp?tenant=a%2fb");
        assert_eq!(json["request"]["body"], Value::Null, "bodies are off by default");
        for secret in ["live-token", "live-cookie", "live-dpop", "live-other", "hunter2"] {
            assert!(!line.contains(secret), "{secret}");
        }
    }
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!(report.finding().cloned(), None);
    assert_eq!((report.entries, report.signatures, report.without_body), (3, 3, 3));
    assert_eq!(report.anchored, Some(3));
}

#[test]
fn an_audit_entry_is_a_request_line_for_verify() {
    let fixture = LogFixture::new();
    fixture.fill(1, settings());
    let line = fixture.lines().remove(0);
    let request = mcpid::message::json_line::parse(line.as_bytes()).unwrap();
    assert_eq!(request.time, Some(Timestamp::from_unix(START + 1)));
    let held = fixture.verifier().judge_head(&request.head).map(|_| ());
    assert_eq!(held, Ok(()));
}

#[test]
fn bodies_are_kept_if_the_log_keeps_bodies_and_are_judged_again() {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open()).with_bodies(Vec::new());
    fixture.record(&recorder, &call(1, START, &body(7), &[])).unwrap();
    drop(recorder);
    let request = fixture.lines().remove(0);
    let request = mcpid::message::json_line::parse(request.as_bytes()).unwrap();
    assert_eq!(request.body, mcpid::message::Body::Kept(body(7).into_bytes().into()));
    let report = fixture.audit(&[]);
    assert_eq!((report.finding().cloned(), report.without_body), (None, 0));
}

#[test]
fn every_file_is_the_owners_alone() {
    let fixture = LogFixture::new();
    fixture.fill(2, settings());
    let recorder = Recorder::new(fixture.open());
    fixture.record(&recorder, &call(9, START + 2, &body(1), &[])).unwrap();
    drop(recorder);
    let mut names = Vec::new();
    for entry in fs::read_dir(fixture.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let wanted = if name == "log-key.pub" { 0o644 } else { 0o600 };
        assert_eq!(mode, wanted, "{name} {mode:o}");
        names.push(name);
    }
    names.sort();
    let wanted = [
        "checkpoint",
        "checkpoints",
        "entries-000000000000.jsonl",
        "log-key.json",
        "log-key.pub",
        "refused.jsonl",
        "tree",
    ];
    assert_eq!(names, wanted);
    let mode = fs::metadata(fixture.path()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[test]
fn a_folder_that_other_users_can_change_is_refused_for_a_log() {
    let fixture = LogFixture::new();
    for mode in [0o720, 0o702, 0o777] {
        fs::set_permissions(fixture.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = fixture.try_open(settings()).unwrap_err();
        assert!(matches!(error, LogError::TooOpen { mode: found, .. } if found & 0o777 == mode));
    }
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o750)).unwrap();
    fixture.open();
    let key = fixture.path().join("log-key.json");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(fixture.try_open(settings()), Err(LogError::Key(_))));
}

#[test]
fn only_one_process_writes_a_log_and_no_file_is_made_twice() {
    let fixture = LogFixture::new();
    assert!(matches!(fixture.files().check_writable(), Ok(false)));
    let log = fixture.open();
    assert!(matches!(fixture.try_open(settings()), Err(LogError::Locked(_))));
    assert!(matches!(fixture.files().check_writable(), Ok(true)));
    drop(log);
    assert!(matches!(fixture.files().check_writable(), Ok(false)));
    fixture.open();
    let again = Folder::init(fixture.path(), NAME, &key(201), Timestamp::from_unix(0));
    assert!(matches!(again, Err(LogError::Exists(_))), "{again:?}");
    let nowhere = Folder::at(fixture.path().join("nowhere"));
    assert!(matches!(nowhere, Err(LogError::NotALog(_))));
    let empty = tempfile::tempdir().unwrap();
    let error = Folder::at(empty.path()).unwrap().key().unwrap_err();
    assert!(matches!(error, LogError::NotALog(_)));
    for name in ["", "two words", "a+b", "line\nfeed"] {
        let made = Folder::init(empty.path().join("x"), name, &key(3), Timestamp::from_unix(0));
        assert!(matches!(made, Err(LogError::KeyUnfit(_))), "{name:?}");
    }
}

#[test]
fn a_symbolic_link_does_not_lead_the_log_elsewhere() {
    let fixture = LogFixture::new();
    let target = fixture.path().with_file_name("elsewhere");
    fs::write(&target, "").unwrap();
    fs::remove_file(fixture.path().join("tree")).unwrap();
    std::os::unix::fs::symlink(&target, fixture.path().join("tree")).unwrap();
    assert!(matches!(fixture.try_open(settings()), Err(LogError::Io { .. })));
    assert_eq!(fs::read(&target).unwrap(), b"");
}

#[test]
fn refused_requests_fill_a_small_file_and_are_counted_in_the_log() {
    let fixture = LogFixture::new();
    let mut small = settings();
    small.refused_size = 20_000;
    let recorder = Recorder::new(fixture.try_open(small).unwrap());
    let begun = std::time::Instant::now();
    for n in 0..2_000 {
        let mut stranger = call(9, START, &body(n), &[]);
        if n % 2 == 0 {
            stranger.fields.retain(|(name, _)| {
                !name.starts_with("signature") && !name.starts_with("Signature")
            });
        }
        fixture.record(&recorder, &stranger).unwrap();
    }
    drop(recorder);
    let size = |name: &str| fs::metadata(fixture.path().join(name)).unwrap().len();
    assert!(size("refused.jsonl") <= 10_000 && size("refused.old.jsonl") <= 10_000);
    let lines = fixture.lines();
    assert_eq!(lines.len(), 1, "one entry for all of them");
    let json: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(json["event"], "dropped");
    assert_eq!(json["dropped"]["seen"], 2_000);
    assert_eq!(json["dropped"]["codes"]["signature_missing"], 1_000);
    assert_eq!(json["dropped"]["codes"]["key_unknown"], 1_000);
    let dropped = json["dropped"]["dropped"].as_u64().unwrap();
    // The operator's log may have five hundred lines at once, and then fifty a second.
    let more = 100 + 50 * begun.elapsed().as_secs();
    assert!(dropped <= 1_500 && dropped + more >= 1_500, "{dropped}, {more}");
    assert!(!fs::read_to_string(fixture.path().join("refused.jsonl")).unwrap().contains("live-"));
    assert_eq!(fixture.audit(&[fixture.checkpoint()]).finding().cloned(), None);
}

#[test]
fn requests_refused_after_a_valid_signature_are_entries_up_to_a_rate() {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open());
    let good = call(1, START, &body(1), &[]);
    let begun = std::time::Instant::now();
    for _ in 0..1_500 {
        let mut changed = good.clone();
        changed.body = body(2).into_bytes();
        fixture.record(&recorder, &changed).unwrap();
    }
    fixture.record(&recorder, &good).unwrap();
    drop(recorder);
    let lines = fixture.lines();
    let most = 1_100 + begun.elapsed().as_millis() as usize / 10;
    assert!((1_000..most).contains(&lines.len()), "{} of {most}", lines.len());
    let json: Value = serde_json::from_str(&lines[0]).unwrap();
    let facts = [&json["verdict"], &json["step"], &json["code"]];
    assert_eq!(facts, [&Value::from("refused"), &Value::from(9), &Value::from("digest_mismatch")]);
    let verified = lines.iter().filter(|line| line.contains(r#""verdict":"verified""#)).count();
    assert_eq!(verified, 1);
    assert_eq!(fixture.audit(&[]).finding().cloned(), None);
}

#[test]
fn a_signature_base_with_a_secret_is_kept_as_a_hash_and_marked() {
    use mcpid::base::Component;
    use mcpid::sign::Signer;
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open()).with_bodies(Vec::new());
    for name in ["authorization", "cookie", "dpop", "x-other"] {
        let mut call = call(1, START, &body(1), &[]);
        call.fields.retain(|(name, _)| !name.to_lowercase().starts_with("signature"));
        let signer = Signer::new(std::sync::Arc::new(key(1)), &mcpid::profile::Profile::mcp());
        let signer = signer.unwrap().cover(Component::new(name).unwrap());
        fixtures::sign(&mut call, &signer, START);
        fixture.record(&recorder, &call).unwrap();
    }
    drop(recorder);
    for line in fixture.lines() {
        let json: Value = serde_json::from_str(&line).unwrap();
        assert!(!line.contains("live-"), "{line}");
        assert_eq!(json["signatures"][0]["base"], Value::Null);
        assert_eq!(json["signatures"][0]["base_sha256"].as_str().unwrap().len(), 44);
    }
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!((report.finding().cloned(), report.base_not_kept, report.signatures), (None, 4, 0));
}
