//! Tests of entries at the end of a log that no checkpoint covers, and that are statements of the
//! log's operator (an erasure, or the log's end). A process that was killed leaves them, or an
//! attacker without the log's key forges them. Opening the log must not sign them.

use std::fs;
use std::sync::Arc;

use mcpid::audit::auditor::FindingKind;
use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::erase;
use mcpid::audit::tree::Frontier;
use mcpid::audit::{Folder, LogError, LogSettings, entry, succession};
use mcpid::clock::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::erasure_lies::tombstone;
use crate::erasures::{WHY, allowing, base64_of, filled, found};
use crate::fixtures::{LogFixture, START, body, call, key};
use crate::forger::write_lines;

/// Returns the line of entry `n` for this event, with the time of the last of `lines`.
pub(crate) fn statement(lines: &[String], n: usize, event: &str, content: &Value) -> String {
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    format!(
        r#"{{"mcpid":"audit/2","n":{n},"time":{},"event":"{event}","{event}":{content}}}"#,
        last["time"]
    )
}

fn erased(lines: &[String], n: usize, of: usize) -> String {
    let about: Value = serde_json::from_str(&lines[of]).unwrap();
    let content = json!({
        "n": of, "time": about["time"], "leaf": base64_of(&entry::leaf(lines[of].as_bytes())),
        "reason": WHY,
    });
    statement(lines, n, "erased", &content)
}

fn closed(lines: &[String], n: usize) -> String {
    statement(lines, n, "closed", &json!({"successor": "evil.example/log+00000000+AAAA"}))
}

/// Writes the lines, and all hashes over them if `with_hashes`. An attacker can do this without the
/// log's key.
pub(crate) fn plant(fixture: &LogFixture, lines: &[String], with_hashes: bool) {
    write_lines(&fixture.only_segment(), lines);
    if with_hashes {
        let (mut frontier, mut hashes) = (Frontier::new(), Vec::new());
        for line in lines {
            frontier.push(entry::leaf(line.as_bytes()), |hash| hashes.extend_from_slice(hash));
        }
        fs::write(fixture.path().join("tree"), hashes).unwrap();
    }
}

pub(crate) fn signed_size(fixture: &LogFixture) -> u64 {
    Checkpoint::signed(&fixture.checkpoint(), &fixture.log_key).unwrap().0.size
}

#[test]
fn a_forged_erasure_or_end_at_the_tail_is_cut_off_and_never_signed() {
    let lines = filled(5).lines();
    let clock = statement(&lines, 5, "clock", &json!({"offset": 3600}));
    for (case, tail) in [
        ("an erasure", vec![erased(&lines, 5, 2)]),
        ("an end", vec![closed(&lines, 5)]),
        ("an erasure after a step of the clock", vec![clock.clone(), erased(&lines, 6, 2)]),
        ("an end after a step of the clock", vec![clock, closed(&lines, 6)]),
    ] {
        for with_hashes in [false, true] {
            let fixture = filled(5);
            let own = fixture.lines();
            // The signatures differ from log to log, so the record of the erasure is made again
            // for this log.
            let tail: Vec<String> = tail
                .iter()
                .map(|line| match line.contains("\"erased\":") {
                    true => erased(&own, if tail.len() == 2 { 6 } else { 5 }, 2),
                    false => line.clone(),
                })
                .collect();
            let forged = [own.clone(), tail].concat();
            plant(&fixture, &forged, with_hashes);
            let log = fixture.open();
            assert_eq!(log.size(), 6, "{case}");
            drop(log);
            let lines = fixture.lines();
            assert_eq!((&lines[..5], signed_size(&fixture)), (&own[..], 6), "{case}");
            assert!(lines[5].contains("\"event\":\"recovered\""), "{case}");
            assert!(fixture.audit(&[fixture.checkpoint()]).is_good(), "{case}");
            fixture.fill(2, LogSettings::default());
            assert!(fixture.audit(&[fixture.checkpoint()]).is_good(), "{case}");
        }
    }
}

#[test]
fn a_forged_erasure_does_not_cover_a_tombstone() {
    for with_hashes in [false, true] {
        let fixture = filled(5);
        let own = fixture.lines();
        let mut forged = own.clone();
        forged[2] = tombstone(&own[2]);
        forged.push(erased(&own, 5, 2));
        write_lines(&fixture.only_segment(), &forged);
        if with_hashes {
            let (mut frontier, mut hashes) = (Frontier::new(), Vec::new());
            for line in own.iter().chain(forged.last()) {
                frontier.push(entry::leaf(line.as_bytes()), |hash| hashes.extend_from_slice(hash));
            }
            fs::write(fixture.path().join("tree"), hashes).unwrap();
        }
        let finding = (FindingKind::Removed, Some(2));
        assert_eq!(found(&allowing(&fixture, &fixture.files())), finding);
        // A server opens the log, writes an entry and signs a checkpoint. The audit still finds
        // that an entry was removed.
        fixture.fill(1, LogSettings::default());
        assert!(!fixture.lines().iter().any(|line| line.contains("\"event\":\"erased\"")));
        assert_eq!(found(&allowing(&fixture, &fixture.files())), finding);
    }
}

/// The end of the log is not as an interrupted call leaves it, so opening is refused and changes
/// nothing.
#[test]
fn a_forged_erasure_or_end_at_any_other_place_is_refused() {
    let fixture = filled(4);
    let signed = [fixture.checkpoint(), fs::read(fixture.path().join("checkpoints")).unwrap()];
    fixture.fill(1, LogSettings::default());
    let own = fixture.lines();
    let later = |line: &String, n: usize| line.replacen("\"n\":4", &format!("\"n\":{n}"), 1);
    for (case, tail) in [
        ("behind a request", vec![own[4].clone(), erased(&own, 5, 2)]),
        ("an end behind a request", vec![own[4].clone(), closed(&own, 5)]),
        ("before a request", vec![erased(&own, 4, 2), later(&own[4], 5)]),
        ("two of them", vec![erased(&own, 4, 2), erased(&own, 5, 1)]),
        ("before the begin of a line", vec![erased(&own, 4, 2), "{\"mcpid\"".to_owned()]),
    ] {
        for with_hashes in [false, true] {
            fs::write(fixture.path().join("checkpoint"), &signed[0]).unwrap();
            fs::write(fixture.path().join("checkpoints"), &signed[1]).unwrap();
            let forged = [own[..4].to_vec(), tail.clone()].concat();
            plant(&fixture, &forged, with_hashes);
            let before = fs::read(fixture.only_segment()).unwrap();
            let error = fixture.try_open(LogSettings::default()).unwrap_err();
            assert!(matches!(error, LogError::Changed { .. }), "{case}: {error:?}");
            assert_eq!(fs::read(fixture.only_segment()).unwrap(), before, "{case}");
            assert_eq!(signed_size(&fixture), 4, "{case}");
        }
    }
    // Without the forged statement, a crash could leave the same files.
    fs::write(fixture.path().join("checkpoint"), &signed[0]).unwrap();
    fs::write(fixture.path().join("checkpoints"), &signed[1]).unwrap();
    plant(&fixture, &own, true);
    drop(fixture.open());
    assert_eq!(signed_size(&fixture), 6);
    fixture.fill(1, LogSettings::default());
    assert_eq!(signed_size(&fixture), 7);
}

/// The process was killed after it wrote an erasure or an end, and before it signed a checkpoint.
/// The call can be repeated.
#[test]
fn an_erasure_or_end_that_lost_its_checkpoint_can_be_made_again() {
    let fixture = filled(4);
    let files = ["checkpoint", "checkpoints"].map(|name| fixture.path().join(name));
    let before = files.each_ref().map(|path| fs::read(path).unwrap());
    let lines = fixture.lines();
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let by = erase::erase(&fixture.files(), 1, WHY, clock.clone()).unwrap().recorded_in;
    let mut cut = fixture.lines();
    cut[1] = lines[1].clone();
    write_lines(&fixture.only_segment(), &cut);
    for (path, bytes) in files.iter().zip(&before) {
        fs::write(path, bytes).unwrap();
    }
    let done = erase::erase(&fixture.files(), 1, "another reason", clock.clone()).unwrap();
    assert_eq!((done.recorded_in, &*done.reason), (by + 1, "another reason"));
    let report = allowing(&fixture, &fixture.files());
    assert!(report.is_good() && report.erased == 1, "{:?}", report.findings);

    let before = files.each_ref().map(|path| fs::read(path).unwrap());
    let next = fixture.path().with_file_name("next");
    Folder::init(&next, "example.com/next", &key(201), Timestamp::from_unix(START)).unwrap();
    let next = Folder::at(next).unwrap();
    succession::follow(&next, &fixture.files(), &clock).unwrap();
    for (path, bytes) in files.iter().zip(&before) {
        fs::write(path, bytes).unwrap();
    }
    fixture.files().check_writable().unwrap();
    // The new log is put back into its state before the call.
    fs::remove_dir_all(next.path()).unwrap();
    Folder::init(next.path(), "example.com/next", &key(201), Timestamp::from_unix(START)).unwrap();
    succession::follow(&next, &fixture.files(), &clock).unwrap();
    assert_eq!(signed_size(&fixture), 8);
    assert!(matches!(fixture.files().check_writable(), Err(LogError::Followed { .. })));
    let report = allowing(&fixture, &fixture.files());
    assert!(report.is_good() && report.link.successor.is_some(), "{:?}", report.findings);
}

/// A process that cuts off such an entry cuts the file of hashes first. If the process is killed
/// behind that step, no hash is without its entry, so the log is not called cut off.
#[test]
fn a_log_whose_hashes_were_cut_before_its_entries_is_sound() {
    for (case, torn) in [("an erasure", ""), ("an erasure, and a part of a line", "{\"mcpid")] {
        let fixture = filled(5);
        let own = fixture.lines();
        let hashes = fs::read(fixture.path().join("tree")).unwrap();
        let forged = [own.clone(), vec![erased(&own, 5, 2)]].concat();
        write_lines(&fixture.only_segment(), &forged);
        let mut bytes = fs::read(fixture.only_segment()).unwrap();
        bytes.extend_from_slice(torn.as_bytes());
        fs::write(fixture.only_segment(), bytes).unwrap();
        // After the first step, the file of hashes has those of the five entries.
        assert_eq!(fs::read(fixture.path().join("tree")).unwrap(), hashes);
        let finding = fixture.audit(&[fixture.checkpoint()]).finding().map(|found| found.what);
        assert!(finding != Some(FindingKind::Truncated), "{case}: {finding:?}");
        if torn.is_empty() {
            drop(fixture.open());
            assert!(fixture.audit(&[fixture.checkpoint()]).is_good(), "{case}");
        }
    }
}

/// An interrupted erasure whose record is under a checkpoint is completed with the reason in that
/// record.
#[test]
fn a_resumed_erasure_keeps_its_reason() {
    let fixture = filled(4);
    let lines = fixture.lines();
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let by = erase::erase(&fixture.files(), 1, WHY, clock.clone()).unwrap().recorded_in;
    let mut cut = fixture.lines();
    cut[1] = lines[1].clone();
    write_lines(&fixture.only_segment(), &cut);
    let done = erase::erase(&fixture.files(), 1, "another reason", clock).unwrap();
    assert_eq!((done.recorded_in, &*done.reason), (by, WHY));
    assert_eq!(fixture.lines().len(), 5, "no second record");
}

#[test]
fn a_report_names_each_erasure() {
    let fixture = filled(5);
    let times: Vec<Value> = fixture
        .lines()
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["time"].clone())
        .collect();
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    for (n, reason) in [(3, "the first"), (1, "the second")] {
        fixture.clock.forward(10);
        erase::erase(&fixture.files(), n, reason, clock.clone()).unwrap();
    }
    let report = allowing(&fixture, &fixture.files());
    let listed: Vec<_> = report
        .erasures
        .iter()
        .map(|one| (one.n, one.recorded_in, &*one.reason, one.seen, one.recorded_at.unix() - START))
        .collect();
    assert_eq!(listed, [(3, 5, "the first", true, 15), (1, 6, "the second", true, 25)]);
    for one in &report.erasures {
        assert_eq!(json!(one.entry_time.to_string()), times[usize::try_from(one.n).unwrap()]);
    }
    // An entry about a request is not a record of an erasure, and neither is a record that matches
    // no entry.
    let plain = filled(2);
    let call = call(1, plain.clock.now().unix(), &body(7), &[]);
    let recorder = mcpid::audit::Recorder::new(plain.open());
    plain.record(&recorder, &call).unwrap();
    drop(recorder);
    assert!(allowing(&plain, &plain.files()).erasures.is_empty());
}
