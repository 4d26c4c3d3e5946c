//! The record of entries that no checkpoint covered when a log was opened: after a crash, after a
//! change of the last entries, and after the last entries of a fork were put in.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcpid::audit::auditor::{FindingKind, Report};
use mcpid::audit::{LogSettings, Recorder, Recovery, erase, succession};
use mcpid::clock::Clock;
use serde_json::{Value, json};

use crate::erasures::{WHY, filled, found};
use crate::fixtures::{LogFixture, NAME, body, call};
use crate::forger::forge;
use crate::unsigned_tail::{plant, signed_size, statement};

/// The files of a log's checkpoints, to be put back later, as if the process had ended before the
/// later checkpoints.
pub(crate) struct Checkpoints(Vec<(PathBuf, Vec<u8>)>);

impl Checkpoints {
    pub(crate) fn of(fixture: &LogFixture) -> Self {
        let names = ["checkpoint", "checkpoints"];
        let paths = names.map(|name| fixture.path().join(name));
        Checkpoints(paths.map(|path| (path.clone(), fs::read(path).unwrap())).to_vec())
    }

    pub(crate) fn put_back(&self) {
        self.0.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    }
}

/// Makes a log with `signed` entries under a checkpoint and `more` behind it.
fn crashed(signed: u64, more: u64) -> LogFixture {
    let fixture = filled(signed);
    let checkpoints = Checkpoints::of(&fixture);
    fixture.fill(more, LogSettings::default());
    checkpoints.put_back();
    fixture
}

pub(crate) fn append(fixture: &LogFixture, bytes: &[u8]) {
    let path = fixture.segments().pop().unwrap();
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// The members `checkpoint`, `entries` and `cut` of the recoveries in a log, with their numbers.
fn recorded(fixture: &LogFixture) -> Vec<(u64, [u64; 3])> {
    let lines = fixture.lines();
    let entries = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let number = |value: &Value| value.as_u64().unwrap();
    entries
        .filter(|entry| entry["event"] == "recovered")
        .map(|entry| {
            let said = ["checkpoint", "entries", "cut"].map(|m| number(&entry["recovered"][m]));
            assert_eq!(entry["recovered"].as_object().unwrap().len(), 3);
            (number(&entry["n"]), said)
        })
        .collect()
}

fn numbers(recovery: Recovery) -> [u64; 3] {
    [recovery.checkpoint, recovery.entries, recovery.cut]
}

fn good(fixture: &LogFixture) -> Report {
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert!(report.is_good(), "{:?} {:?}", report.findings, report.unjudged);
    report
}

#[test]
fn a_log_that_was_closed_gets_no_record() {
    let fixture = filled(4);
    let lines = fixture.lines();
    assert_eq!(fixture.open().recovery(), None);
    fixture.files().check_writable().unwrap();
    assert_eq!((fixture.lines(), good(&fixture).recoveries), (lines, 0));
    // The log without any entry, too.
    assert_eq!(filled(0).open().recovery(), None);
}

#[test]
fn what_a_crash_leaves_is_recorded() {
    for (signed, more, torn, said, text) in [
        (4, 2, "", [4, 2, 0], "entries 4 to 5 were under no checkpoint when the log was opened"),
        (4, 1, "", [4, 1, 0], "entry 4 was under no checkpoint when the log was opened"),
        (0, 3, "", [0, 3, 0], "entries 0 to 2 were under no checkpoint when the log was opened"),
        (4, 0, "{", [4, 0, 1], "1 byte of an unfinished write was cut off when the log was opened"),
        (
            4,
            0,
            "{\"mcpid\":\"audit/2\",\"n\":4,",
            [4, 0, 25],
            "25 bytes of an unfinished write were cut off when the log was opened",
        ),
        (
            4,
            2,
            "{\"mcpid",
            [4, 2, 7],
            "entries 4 to 5 were under no checkpoint, and 7 bytes of an unfinished write were cut \
             off behind them when the log was opened",
        ),
        (
            4,
            1,
            "\0\0\0",
            [4, 1, 3],
            "entry 4 was under no checkpoint, and 3 bytes of an unfinished write were cut off \
             behind it when the log was opened",
        ),
    ] {
        let fixture = crashed(signed, more);
        append(&fixture, torn.as_bytes());
        let log = fixture.open();
        let recovery = log.recovery().unwrap();
        assert_eq!((numbers(recovery), recovery.to_string().as_str()), (said, text));
        assert_eq!(log.size(), signed + more + 1);
        drop(log);
        assert_eq!(recorded(&fixture), [(signed + more, said)]);
        assert_eq!(signed_size(&fixture), signed + more + 1);
        let report = good(&fixture);
        assert_eq!((report.recoveries, report.recovered), (1, more));
        // The log goes on, and nothing is recorded twice.
        fixture.fill(2, LogSettings::default());
        assert_eq!(fixture.open().recovery(), None);
        assert_eq!(good(&fixture).recoveries, 1);
    }
}

/// A process that ends again before its first checkpoint leaves the record under no checkpoint.
#[test]
fn each_of_several_crashes_is_recorded() {
    let fixture = filled(4);
    let checkpoints = Checkpoints::of(&fixture);
    for _ in 0..3 {
        fixture.fill(1, LogSettings::default());
        checkpoints.put_back();
    }
    drop(fixture.open());
    let said = [(5, [4, 1, 0]), (7, [4, 3, 0]), (9, [4, 5, 0])];
    assert_eq!(recorded(&fixture), said);
    let report = good(&fixture);
    assert_eq!((report.recoveries, report.recovered), (3, 9));
}

/// The record comes before every checkpoint, so that none covers the entries without it.
#[test]
fn the_record_comes_before_the_next_checkpoint() {
    // A checkpoint is due at once, by number.
    let fixture = crashed(4, 3);
    let mut settings = LogSettings::default();
    (settings.every, settings.pause) = (1, Duration::ZERO);
    fixture.fill(1, settings);
    assert_eq!(recorded(&fixture), [(7, [4, 3, 0])]);
    good(&fixture);
    // The file of entries is full, or of an earlier day.
    let fixture = crashed(4, 3);
    fixture.clock.forward(2 * 86_400);
    let mut settings = LogSettings::default();
    settings.file_size = 1;
    fixture.fill(1, settings);
    let first = fs::read_to_string(&fixture.segments()[0]).unwrap();
    assert_eq!((first.lines().count(), fixture.segments().len()), (8, 2));
    assert_eq!(recorded(&fixture), [(7, [4, 3, 0])]);
    good(&fixture);
    // Only the begin of the first entry is in the newest file.
    let fixture = filled(4);
    fixture.clock.forward(86_400);
    fs::write(fixture.path().join("entries-000000000004.jsonl"), "{\"mcp").unwrap();
    fixture.fill(1, LogSettings::default());
    assert_eq!(recorded(&fixture), [(4, [4, 0, 5])]);
    good(&fixture);
}

/// Erasing and closing open the log too.
#[test]
fn every_command_that_writes_records_it() {
    let fixture = crashed(4, 2);
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let by = erase::erase(&fixture.files(), 1, WHY, clock).unwrap().recorded_in;
    assert_eq!((by, recorded(&fixture)), (7, vec![(6, [4, 2, 0])]));

    let fixture = crashed(4, 2);
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let next = LogFixture::at(fixture.path().with_file_name("next"), "example.com/next");
    let untouched = Checkpoints::of(&next);
    succession::follow(&next.files(), &fixture.files(), &clock).unwrap();
    assert_eq!(recorded(&fixture), [(6, [4, 2, 0])]);
    good(&fixture);
    // The new log lost the checkpoint over its first entry, twice. The call is made again.
    for size in [2, 3] {
        untouched.put_back();
        succession::follow(&next.files(), &fixture.files(), &clock).unwrap();
        assert_eq!(signed_size_of(&next), size);
    }
    assert_eq!(recorded(&next), [(1, [0, 1, 0]), (2, [0, 2, 0])]);
    // With any other entry, the log is not the one that the call began.
    fs::remove_dir_all(next.path()).unwrap();
    let next = LogFixture::at(fixture.path().with_file_name("next"), "example.com/next");
    let untouched = Checkpoints::of(&next);
    succession::follow(&next.files(), &fixture.files(), &clock).unwrap();
    next.fill(1, LogSettings::default());
    untouched.put_back();
    succession::follow(&next.files(), &fixture.files(), &clock).unwrap_err();
}

fn signed_size_of(fixture: &LogFixture) -> u64 {
    let note = String::from_utf8(fixture.checkpoint()).unwrap();
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// An attacker without the log's key can write steps of the clock, rules and counts at the end. The
/// record names them, and the audit counts them.
#[test]
fn forged_entries_at_the_end_are_among_the_recorded() {
    let fixture = crashed(4, 2);
    let counts = json!({"seen": 9, "dropped": 0, "codes": {}, "gaps": 0});
    let mut forged = fixture.lines();
    forged.push(statement(&forged, 6, "clock", &json!({"offset": 3600})));
    forged.push(statement(&forged, 7, "dropped", &counts));
    let false_record = json!({"checkpoint": 4, "entries": 4, "cut": 0});
    forged.push(statement(&forged, 8, "recovered", &false_record));
    plant(&fixture, &forged, true);
    let log = fixture.open();
    assert_eq!(log.recovery().map(numbers), Some([4, 5, 0]));
    drop(log);
    assert_eq!(recorded(&fixture), [(8, [4, 4, 0]), (9, [4, 5, 0])]);
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!((report.finding(), report.recoveries, report.recovered), (None, 2, 9));
}

/// Two processes continued copies of one log. The last entries of one copy are put into the other.
#[test]
fn the_end_of_a_fork_is_recorded_and_found_by_the_checkpoint_of_the_other() {
    let fixture = filled(4);
    let (checkpoints, own) = (Checkpoints::of(&fixture), fixture.lines());
    fixture.fill(2, LogSettings::default());
    let kept = fixture.checkpoint();
    let tail = fixture.lines();
    plant(&fixture, &own, true);
    checkpoints.put_back();
    fixture.fill(3, LogSettings::default());
    let fork = fixture.lines();
    assert!(fork[4] != tail[4]);
    checkpoints.put_back();
    drop(fixture.open());
    assert_eq!(recorded(&fixture), [(7, [4, 3, 0])]);
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!((report.finding(), report.recovered), (None, 3));
    let (what, n) = found(&fixture.audit(&[kept]));
    assert!(matches!(what, FindingKind::Rewritten | FindingKind::Changed), "{what:?} {n:?}");
}

/// Returns a log with a record of recovery that is not the last entry, and the number of the record.
fn with_a_record() -> (LogFixture, usize) {
    let fixture = crashed(4, 2);
    fixture.fill(2, LogSettings::default());
    assert_eq!(recorded(&fixture), [(6, [4, 2, 0])]);
    (fixture, 6)
}

/// The holder of the log's key changes the record, and makes everything else match.
#[test]
fn every_change_of_the_record_is_found() {
    type Change<'c> = &'c dyn Fn(&mut Value);
    let changes: [(&str, Change<'_>); 20] = [
        ("fewer entries", &|e| e["recovered"]["entries"] = json!(1)),
        ("more entries", &|e| e["recovered"]["entries"] = json!(3)),
        ("an earlier checkpoint", &|e| e["recovered"]["checkpoint"] = json!(3)),
        ("a later checkpoint", &|e| e["recovered"]["checkpoint"] = json!(5)),
        ("a later one, and fewer", &|e| {
            e["recovered"] = json!({"checkpoint": 5, "entries": 1, "cut": 0});
        }),
        ("an earlier one, and more", &|e| {
            e["recovered"] = json!({"checkpoint": 3, "entries": 3, "cut": 0});
        }),
        ("nothing", &|e| e["recovered"] = json!({"checkpoint": 6, "entries": 0, "cut": 0})),
        ("only a cut", &|e| e["recovered"] = json!({"checkpoint": 6, "entries": 0, "cut": 9})),
        ("a sum above 64 bits", &|e| e["recovered"]["entries"] = json!(u64::MAX)),
        ("a negative number", &|e| e["recovered"]["cut"] = json!(-1)),
        ("a fraction", &|e| e["recovered"]["cut"] = json!(0.5)),
        ("a text", &|e| e["recovered"]["cut"] = json!("0")),
        ("no cut", &|e| _ = e["recovered"].as_object_mut().unwrap().remove("cut")),
        ("a member more", &|e| e["recovered"]["by"] = json!("alice")),
        ("no content", &|e| _ = e.as_object_mut().unwrap().remove("recovered")),
        ("null", &|e| e["recovered"] = json!(null)),
        ("another event", &|e| e["event"] = json!("dropped")),
        ("a member of another event", &|e| e["clock"] = json!({"offset": 1})),
        ("a member of a request", &|e| e["verdict"] = json!("verified")),
        ("the first format", &|e| e["mcpid"] = json!("audit/1")),
    ];
    for (case, change) in changes {
        let (fixture, n) = with_a_record();
        let checkpoints = fs::read_to_string(fixture.path().join("checkpoints")).unwrap();
        let mut lines = fixture.lines();
        let mut entry: Value = serde_json::from_str(&lines[n]).unwrap();
        change(&mut entry);
        lines[n] = entry.to_string();
        resign(&fixture, &lines, &checkpoints);
        let report = fixture.audit(&[fixture.checkpoint()]);
        let (what, place) = found(&report);
        let fits = matches!(what, FindingKind::Changed | FindingKind::Checkpoint);
        assert!(fits && place == Some(n as u64), "{case}: {:?}", report.findings);
    }
    // In an entry about a request.
    let (fixture, n) = with_a_record();
    let checkpoints = fs::read_to_string(fixture.path().join("checkpoints")).unwrap();
    let mut lines = fixture.lines();
    let mut entry: Value = serde_json::from_str(&lines[n + 1]).unwrap();
    entry["recovered"] = json!({"checkpoint": 4, "entries": 3, "cut": 0});
    lines[n + 1] = entry.to_string();
    resign(&fixture, &lines, &checkpoints);
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!(found(&report), (FindingKind::Changed, Some(n as u64 + 1)));
}

/// Writes the lines and the hashes, and signs a checkpoint wherever `checkpoints` has one.
fn resign(fixture: &LogFixture, lines: &[String], checkpoints: &str) {
    let size = |note: &str| note.strip_prefix('\n')?.lines().next()?.parse::<usize>().ok();
    let sizes = checkpoints.split(NAME).filter_map(size);
    let mut all = String::new();
    for size in sizes.filter(|size| *size < lines.len()).chain([lines.len()]) {
        forge(fixture, &lines[..size], 200);
        all.push_str(std::str::from_utf8(&fixture.checkpoint()).unwrap());
    }
    fs::write(fixture.path().join("checkpoints"), all).unwrap();
}

/// A record at a place where nothing was recovered is a false one.
#[test]
fn a_record_where_a_checkpoint_was_is_found() {
    let fixture = filled(4);
    fixture.fill(2, LogSettings::default());
    let checkpoints = fs::read_to_string(fixture.path().join("checkpoints")).unwrap();
    let own = fixture.lines();
    for said in [
        json!({"checkpoint": 4, "entries": 2, "cut": 0}),
        json!({"checkpoint": 3, "entries": 3, "cut": 0}),
        json!({"checkpoint": 0, "entries": 6, "cut": 0}),
    ] {
        let lines = [own.clone(), vec![statement(&own, 6, "recovered", &said)]].concat();
        resign(&fixture, &lines, &checkpoints);
        let report = fixture.audit(&[fixture.checkpoint()]);
        assert_eq!(found(&report), (FindingKind::Changed, Some(6)), "{said}");
    }
    // A checkpoint that the record names was taken out.
    let (fixture, n) = with_a_record();
    let path = fixture.path().join("checkpoints");
    let notes = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = notes.split_inclusive('\n').collect();
    fs::write(&path, [&lines[..5], &lines[10..]].concat().concat()).unwrap();
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!(found(&report), (FindingKind::Checkpoint, Some(n as u64)));
    assert!(report.finding().unwrap().why.contains("names one over 4 entries, which is missing"));
}

/// The record does not change what the signatures of the recorded requests prove.
#[test]
fn a_changed_request_among_the_recorded_is_found() {
    let fixture = crashed(4, 2);
    let mut lines = fixture.lines();
    lines[4] = lines[4].replace("tenant=a%2fb", "tenant=a%2fc");
    assert!(lines[4] != fixture.lines()[4]);
    plant(&fixture, &lines, true);
    let sent = call(1, fixture.clock.now().unix(), &body(9), &[]);
    let recorder = Recorder::new(fixture.open());
    fixture.record(&recorder, &sent).unwrap();
    drop(recorder);
    assert_eq!(recorded(&fixture), [(6, [4, 2, 0])]);
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!(found(&report), (FindingKind::Changed, Some(4)));
}
