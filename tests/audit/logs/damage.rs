//! Tests of opening a log that was cut, damaged or changed.

use std::fs;
use std::time::Duration;

use mcpid::audit::{LogError, Policy, Recorder};
use mcpid::clock::Clock as _;
use serde_json::Value;

use crate::fixtures::{LogFixture, body, call};

use super::settings;

#[test]
fn a_missing_file_of_hashes_is_rebuilt_and_a_wrong_one_is_refused() {
    let fixture = LogFixture::new();
    let mut small = settings();
    small.file_size = 5_000;
    fixture.fill(8, small.clone());
    let tree = fixture.path().join("tree");
    let good = fs::read(&tree).unwrap();
    fs::remove_file(&tree).unwrap();
    drop(fixture.open());
    assert_eq!(fs::read(&tree).unwrap(), good);
    let mut bent = good.clone();
    bent[40] ^= 1;
    fs::write(&tree, &bent).unwrap();
    drop(fixture.open());
    fs::write(&tree, &good[..70]).unwrap();
    drop(fixture.open());
    assert_eq!(fs::read(&tree).unwrap(), good);
    assert_eq!(fixture.audit(&[fixture.checkpoint()]).finding().cloned(), None);
}

#[test]
fn an_incomplete_last_line_is_cut_and_the_log_continues() {
    for torn in ["{\"mcpid\":\"audit/2\",\"n\":3", "\0\0\0\0\0\0", "{\"mcpid\"\0\0\0\n\0\0\n", "{"]
    {
        let fixture = LogFixture::new();
        fixture.fill(3, settings());
        let path = fixture.only_segment();
        let good = fs::read(&path).unwrap();
        fs::write(&path, [&good, torn.as_bytes()].concat()).unwrap();
        drop(fixture.open());
        let (now, cut) = (fs::read(&path).unwrap(), torn.len());
        assert!(now.starts_with(&good), "{torn:?}");
        let record = format!("\"recovered\":{{\"checkpoint\":3,\"entries\":0,\"cut\":{cut}}}}}\n");
        assert!(String::from_utf8(now).unwrap().ends_with(&record), "{torn:?}");
        fixture.fill(2, settings());
        let report = fixture.audit(&[fixture.checkpoint()]);
        assert_eq!((report.finding().cloned(), report.entries), (None, 6), "{torn:?}");
    }
}

#[test]
fn an_incomplete_last_checkpoint_is_cut_too() {
    let fixture = LogFixture::new();
    fixture.fill(3, settings());
    let path = fixture.path().join("checkpoints");
    let good = fs::read(&path).unwrap();
    for cut in [1, 20, 60, 90] {
        fs::write(&path, [&good[..], &good[..cut]].concat()).unwrap();
        drop(fixture.open());
        assert_eq!(fs::read(&path).unwrap(), good, "{cut}");
    }
}

/// A changed log must not be continued, because new entries and checkpoints would hide the change.
#[test]
fn a_changed_log_is_not_continued() {
    let fixture = LogFixture::new();
    fixture.fill(4, settings());
    let path = fixture.only_segment();
    let good = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let whole = |lines: &[&str]| lines.join("\n") + "\n";
    let changed = [
        good.replacen("verified", "refused", 1),
        whole(&lines[..3]),
        whole(&[lines[0], lines[2], lines[3]]),
        whole(&[lines[0], lines[2], lines[1], lines[3]]),
        whole(&[lines[0], lines[1], lines[1], lines[2], lines[3]]),
        whole(&[lines[0], lines[1], lines[2], lines[3], "{}"]),
        whole(&[lines[0], lines[1], "\0", lines[2], lines[3]]),
        good[..good.len() - 1].to_owned(),
        String::new(),
    ];
    for (case, text) in changed.iter().enumerate() {
        fs::write(&path, text).unwrap();
        let error = fixture.try_open(settings()).err();
        assert!(matches!(error, Some(LogError::Changed { .. })), "case {case}: {error:?}");
    }
    fs::write(&path, &good).unwrap();
    let checkpoint = fixture.checkpoint();
    fs::write(fixture.path().join("checkpoint"), &checkpoint[..50]).unwrap();
    assert!(matches!(fixture.try_open(settings()), Err(LogError::Changed { .. })));
    fs::write(fixture.path().join("checkpoint"), &checkpoint).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(fixture.try_open(settings()), Err(LogError::Changed { .. })));
}

#[test]
fn after_a_failed_write_required_refuses_and_best_effort_counts_a_gap() {
    let fixture = LogFixture::new();
    let log = fixture.open();
    let required = Recorder::new(log.clone());
    let lax = Recorder::new(log.clone()).with_policy(Policy::BestEffort);
    let one = || call(1, fixture.clock.now().unix(), &body(1), &[]);
    fixture.record(&required, &one()).unwrap();
    // The file for the next day cannot be created, because a folder has its name.
    fixture.clock.forward(24 * 60 * 60);
    let blocked = fixture.path().join("entries-000000000001.jsonl");
    fs::create_dir(&blocked).unwrap();
    let error = fixture.record(&required, &one()).unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error:?}");
    fixture.record(&lax, &one()).unwrap();
    for _ in 0..3_000 {
        if log.gaps() == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((log.gaps(), log.size(), log.failed()), (1, 1, 2));
    // Writing fails until the blocking folder is removed. Then it succeeds without a restart, and
    // the log counts the requests that have no entry.
    std::thread::sleep(Duration::from_millis(2_700));
    assert!(matches!(log.trouble(), Some(LogError::Io { .. })));
    fs::remove_dir(&blocked).unwrap();
    let begun = std::time::Instant::now();
    while log.trouble().is_some() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!fixture.path().join("probe").exists());
    fixture.record(&required, &one()).unwrap();
    drop((required, lax, log));
    let last: Value = serde_json::from_str(fixture.lines().last().unwrap()).unwrap();
    assert_eq!(last["dropped"]["gaps"], 1);
    assert_eq!(fixture.audit(&[fixture.checkpoint()]).finding().cloned(), None);
}
