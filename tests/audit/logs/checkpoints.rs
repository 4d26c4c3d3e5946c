//! Tests of files, times and checkpoints while a log is written.

use std::fs;
use std::time::Duration;

use mcpid::audit::{Durability, Recorder};
use mcpid::clock::{Clock as _, Timestamp};
use serde_json::Value;

use crate::fixtures::{LogFixture, START, body, call};

use super::settings;

#[test]
fn files_turn_over_by_size_and_by_day_and_stay_one_tree() {
    let fixture = LogFixture::new();
    let mut small = settings();
    small.file_size = 5_000;
    fixture.fill(10, small.clone());
    let by_size = fixture.segments().len();
    assert!((3..=5).contains(&by_size), "{by_size}");
    fixture.clock.forward(24 * 60 * 60);
    fixture.fill(1, small.clone());
    fixture.clock.forward(24 * 60 * 60);
    fixture.fill(1, small);
    assert_eq!(fixture.segments().len(), by_size + 2);
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!((report.finding().cloned(), report.entries, report.anchored), (None, 12, Some(12)));
    // Opening the log reads only the last file. For the other files, it uses the stored hashes.
    let second = fixture.segments()[1].clone();
    let lines = fs::read(&second).unwrap();
    fs::write(&second, "").unwrap();
    drop(fixture.open());
    fs::write(&second, lines).unwrap();
}

/// The server's clock is set forward and back.
#[test]
fn the_time_of_an_entry_never_goes_back_and_the_log_says_by_how_much_it_is_ahead() {
    let fixture = LogFixture::new();
    fixture.fill(2, settings());
    let late = fixture.clock.now().unix();
    fixture.clock.set(START - 1_000);
    fixture.fill(2, settings());
    let entries: Vec<Value> =
        fixture.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), 5);
    for entry in &entries[1..] {
        assert_eq!(entry["time"], Timestamp::from_unix(late).to_string());
    }
    assert_eq!(entries[2]["event"], "clock");
    assert_eq!(entries[2]["clock"]["offset"], 1_001);
    // The entry's `request` has the time of the clock at which it was judged.
    assert_eq!(entries[4]["request"]["time"], Timestamp::from_unix(START - 998).to_string());
    let report = fixture.audit(&[]);
    assert_eq!((report.finding().cloned(), report.ahead_of_clock), (None, 2));
    assert_eq!(report.unjudged, [("clock", 2)].into());
    // After the clock has caught up with the last entry's time, times are certain again.
    fixture.clock.set(late + 10);
    fixture.fill(1, settings());
    let report = fixture.audit(&[]);
    assert_eq!((report.finding().cloned(), report.entries, report.ahead_of_clock), (None, 7, 2));
    let evidence = |n| {
        let evidence = mcpid::audit::proof::prove(&fixture.files(), n, None).unwrap();
        let key = Some(fixture.log_key.clone());
        let inputs = mcpid::audit::auditor::AuditorInputs { log_key: key, ..Default::default() };
        let check = mcpid::audit::check::check;
        let checked = check(evidence.as_bytes(), &inputs, fixture.trust(), None).unwrap();
        (checked.fault.clone(), checked.is_good(), checked.offset)
    };
    assert_eq!(evidence(1), (None, true, 0));
    assert_eq!(evidence(3), (None, false, 1_001));
    assert_eq!(evidence(6), (None, true, 0));
}

/// If the clock is set back by at most 240 seconds, the log writes no clock entry.
#[test]
fn a_small_step_back_of_the_clock_causes_no_clock_entry() {
    let fixture = LogFixture::new();
    fixture.fill(2, settings());
    fixture.clock.forward(-100);
    fixture.fill(2, settings());
    let report = fixture.audit(&[]);
    assert_eq!((report.finding().cloned(), report.entries, report.not_good), (None, 4, 0));
}

#[test]
fn checkpoints_come_by_number_and_by_time_and_at_the_end() {
    let fixture = LogFixture::new();
    let mut often = settings();
    (often.every, often.pause) = (3, Duration::ZERO);
    fixture.fill(7, often.clone());
    let notes = fs::read_to_string(fixture.path().join("checkpoints")).unwrap();
    let sizes: Vec<&str> = notes.lines().skip(1).step_by(5).collect();
    assert_eq!(sizes.last(), Some(&"7"));
    assert!(sizes.contains(&"3") && sizes.contains(&"6"), "{sizes:?}");
    assert!(notes.ends_with(std::str::from_utf8(&fixture.checkpoint()).unwrap()));
    // With these settings, only time makes a checkpoint due.
    (often.every, often.interval) = (1_000_000, Duration::from_millis(100));
    let recorder = Recorder::new(fixture.try_open(often).unwrap());
    fixture.record(&recorder, &call(1, fixture.clock.now().unix(), &body(1), &[])).unwrap();
    let mut waited = 0;
    while !String::from_utf8(fixture.checkpoint()).unwrap().contains("\n8\n") {
        std::thread::sleep(Duration::from_millis(50));
        waited += 1;
        assert!(waited < 1_200, "no checkpoint within a minute");
    }
    drop(recorder);
    assert_eq!(fixture.audit(&[]).finding().cloned(), None);
}

/// A log with many entries a second does not sign after every thousand of them.
#[test]
fn a_checkpoint_by_number_waits_for_the_pause() {
    let fixture = LogFixture::new();
    let mut rare = settings();
    (rare.every, rare.pause) = (1, Duration::from_secs(3_600));
    rare.interval = Duration::from_secs(3_600);
    fixture.fill(7, rare);
    let notes = fs::read_to_string(fixture.path().join("checkpoints")).unwrap();
    let sizes: Vec<&str> = notes.lines().skip(1).step_by(5).collect();
    assert_eq!(sizes, ["0", "7"]);
    assert!(fixture.audit(&[fixture.checkpoint()]).is_good());
}

#[test]
fn sync_at_checkpoints_writes_the_same_log() {
    let fixture = LogFixture::new();
    let mut lazy = settings();
    lazy.durability = Durability::Checkpoint;
    fixture.fill(5, lazy);
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!((report.finding().cloned(), report.entries), (None, 5));
}
