//! Tests of changes to the folder of a log by another process: each is found, and a log that cannot
//! be continued is not changed.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpid::audit::auditor::{self, Auditor, FindingKind};
use mcpid::audit::entry_judge::EntryJudge;
use mcpid::audit::note::{NoteKey, NoteKeyKind};
use mcpid::audit::{Folder, LogError, LogSettings, Recorder, succession};
use mcpid::clock::{Clock, Timestamp};
use mcpid::key::Sign as _;

use crate::fixtures::{LogFixture, NAME, START, audit, body, call, key};
use crate::forger::{forge, sealed};

fn all(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Returns a log of eight entries in several files.
fn several() -> LogFixture {
    let fixture = LogFixture::new();
    let mut small = LogSettings::default();
    small.file_size = 5_000;
    fixture.fill(8, small);
    assert!(fixture.segments().len() >= 3);
    fixture
}

fn what(fixture: &LogFixture) -> Option<FindingKind> {
    fixture.audit(&[]).finding().map(|finding| finding.what)
}

#[test]
fn a_log_with_files_removed_renamed_or_emptied_is_not_continued() {
    type Act = fn(&LogFixture);
    let acts: [(&str, Act, FindingKind); 12] = [
        (
            "a file of entries renamed",
            |s| {
                let last = s.segments().pop().unwrap();
                fs::rename(last, s.path().join("entries-000000000099.jsonl")).unwrap();
            },
            FindingKind::File,
        ),
        (
            "the first file renamed",
            |s| {
                let first = s.segments().remove(0);
                fs::rename(first, s.path().join("entries-000000000001.jsonl")).unwrap();
            },
            FindingKind::File,
        ),
        (
            "an empty file put in",
            |s| {
                fs::write(s.path().join("entries-000000000099.jsonl"), "").unwrap();
            },
            FindingKind::File,
        ),
        (
            "the first file emptied",
            |s| fs::write(&s.segments()[0], "").unwrap(),
            FindingKind::Removed,
        ),
        (
            "the last file emptied",
            |s| fs::write(s.segments().pop().unwrap(), "").unwrap(),
            FindingKind::Truncated,
        ),
        (
            "the hashes cut",
            |s| {
                let tree = s.path().join("tree");
                let bytes = fs::read(&tree).unwrap();
                fs::write(&tree, &bytes[..64]).unwrap();
            },
            FindingKind::Tree,
        ),
        ("the hashes gone", |s| fs::remove_file(s.path().join("tree")).unwrap(), FindingKind::Tree),
        (
            "the hashes emptied",
            |s| fs::write(s.path().join("tree"), "").unwrap(),
            FindingKind::Tree,
        ),
        (
            "checkpoints gone",
            |s| fs::remove_file(s.path().join("checkpoints")).unwrap(),
            FindingKind::Checkpoint,
        ),
        (
            "the latest gone",
            |s| fs::remove_file(s.path().join("checkpoint")).unwrap(),
            FindingKind::Checkpoint,
        ),
        (
            "checkpoints emptied",
            |s| fs::write(s.path().join("checkpoints"), "").unwrap(),
            FindingKind::Checkpoint,
        ),
        (
            "both gone",
            |s| {
                fs::remove_file(s.path().join("checkpoints")).unwrap();
                fs::remove_file(s.path().join("checkpoint")).unwrap();
            },
            FindingKind::Checkpoint,
        ),
    ];
    for (case, act, wanted) in acts {
        let fixture = several();
        act(&fixture);
        assert_eq!(what(&fixture), Some(wanted), "{case}");
        // Opening the log reads only the last file. Faults in the other files are found by an
        // audit.
        if case.starts_with("the first file") {
            continue;
        }
        let before = all(&fixture.path());
        match fixture.try_open(LogSettings::default()) {
            // When the log is opened, lost hashes are computed again from entries under a
            // checkpoint, and a lost copy of the latest checkpoint is written again.
            Ok(log) => {
                assert!(case.contains("hashes") || case == "the latest gone", "{case}");
                drop(log);
                assert_eq!(what(&fixture), None, "{case}");
            }
            Err(error) => {
                assert!(matches!(error, LogError::Changed { .. }), "{case}: {error:?}");
                assert_eq!(all(&fixture.path()), before, "{case}: it was written to");
            }
        }
    }
}

/// Only their stored hashes protect the entries after the last checkpoint. If these entries were
/// changed, opening the log must not sign them.
#[test]
fn a_tail_that_was_changed_or_renumbered_is_not_signed() {
    let fixture = several();
    let tail = {
        let recorder = Recorder::new(fixture.open());
        for n in 0..3 {
            fixture.record(&recorder, &call(1, fixture.clock.now().unix(), &body(n), &[])).unwrap();
        }
        // The copy of the log is in the state that a killed process leaves.
        let copy = tempfile::tempdir().unwrap();
        for (name, bytes) in all(&fixture.path()) {
            fs::write(copy.path().join(name), bytes).unwrap();
        }
        copy
    };
    for (name, bytes) in all(tail.path()) {
        fs::write(fixture.path().join(name), bytes).unwrap();
    }
    let last = fixture.segments().pop().unwrap();
    let good = fs::read_to_string(&last).unwrap();
    let renumbered: Vec<String> = {
        let mut lines: Vec<&str> = good.lines().collect();
        let gone = lines.remove(lines.len() - 2);
        let number =
            |line: &str| line.split("\"n\":").nth(1).unwrap().split(',').next().unwrap().to_owned();
        let (from, to) = (number(lines[lines.len() - 1]), number(gone));
        let end =
            lines.pop().unwrap().replacen(&format!("\"n\":{from},"), &format!("\"n\":{to},"), 1);
        lines.iter().map(|line| (*line).to_owned()).chain([end]).collect()
    };
    // The entries are renumbered and the stored hashes removed. Opening must fail, and must change
    // nothing.
    fs::write(&last, renumbered.join("\n") + "\n").unwrap();
    fs::remove_file(fixture.path().join("tree")).unwrap();
    let before = all(&fixture.path());
    let error = fixture.try_open(LogSettings::default()).unwrap_err();
    assert!(matches!(error, LogError::Changed { .. }), "{error:?}");
    assert_eq!(all(&fixture.path()), before);
}

#[test]
fn nothing_but_regular_files_is_opened_and_nothing_hangs() {
    let begun = Instant::now();
    for name in ["checkpoint", "checkpoints", "tree", "entries-000000000000.jsonl", "log-key.pub"] {
        let fixture = LogFixture::new();
        fixture.fill(2, LogSettings::default());
        let path = fixture.path().join(name);
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let audited = || {
            let inputs = auditor::AuditorInputs {
                log_key: Some(fixture.log_key.clone()),
                ..Default::default()
            };
            let mut auditor = Auditor::new(&fixture.files(), &inputs)?;
            let mut judge = EntryJudge::new(fixture.trust());
            for line in auditor::lines(&fixture.files())? {
                auditor.take(judge.judge_line(&line?));
            }
            auditor.finish()
        };
        if name != "log-key.pub" {
            assert!(
                audited().is_ok_and(|report| !report.is_good()) || audited().is_err(),
                "{name}"
            );
            assert!(fixture.try_open(LogSettings::default()).is_err(), "{name}");
        }
        let _ = mcpid::audit::proof::prove(&fixture.files(), 0, None);
        let _ = fixture.files().check_writable();
        let _ = fixture.files().public();
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_file_of_any_length_takes_no_memory() {
    let fixture = LogFixture::new();
    fixture.fill(2, LogSettings::default());
    let good = fs::read(fixture.path().join("checkpoints")).unwrap();
    let sparse =
        |name: &str| File::create(fixture.path().join(name)).unwrap().set_len(1 << 30).unwrap();
    sparse("checkpoint");
    assert_eq!(what(&fixture), Some(FindingKind::Checkpoint));
    assert!(fixture.try_open(LogSettings::default()).is_err());
    fs::write(fixture.path().join("checkpoint"), &good[good.len() / 2..]).unwrap();
    fs::write(fixture.path().join("checkpoints"), vec![b'\n'; 60_000_000]).unwrap();
    assert_eq!(what(&fixture), Some(FindingKind::Checkpoint));
    assert!(fixture.try_open(LogSettings::default()).is_err());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 700_000, "{peak} KiB");
}

/// In older versions there was a lock file, and removing it let a second writer in.
#[test]
fn no_file_that_is_removed_or_exchanged_lets_a_second_writer_in() {
    let fixture = LogFixture::new();
    let log = fixture.open();
    let recorder = Recorder::new(log.clone());
    let one = |n| call(1, fixture.clock.now().unix(), &body(n), &[]);
    fixture.record(&recorder, &one(1)).unwrap();
    assert!(!fixture.path().join("lock").exists());
    for (name, _) in all(&fixture.path()) {
        let (path, aside) = (fixture.path().join(&name), fixture.path().join("aside"));
        // The open file is replaced by a copy, and then put back.
        fs::copy(&path, &aside).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        fs::rename(&aside, &path).unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
        let second = fixture.try_open(LogSettings::default());
        assert!(matches!(second, Err(LogError::Locked(_))), "{name}: {second:?}");
    }
    // The writer's open file is no longer in the folder. The writer reports it, and reads the
    // folder again.
    let error = fixture.record(&recorder, &one(2)).unwrap_err();
    assert!(matches!(error, LogError::Changed { .. }), "{error:?}");
    fixture.record(&recorder, &one(3)).unwrap();
    // Another process has written lines meanwhile. They are kept, and the writer stops.
    let path = fixture.only_segment();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"mcpid\":\"audit/2\",\"n\":2,\"ti\n");
    fs::write(&path, &bytes).unwrap();
    for n in 4..6 {
        let error = fixture.record(&recorder, &one(n)).unwrap_err();
        assert!(matches!(error, LogError::Changed { .. }), "{error:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // Another folder takes the place of the log's folder.
    let (path, aside) = (fixture.path(), fixture.path().with_file_name("aside"));
    fs::rename(&path, &aside).unwrap();
    Folder::init(&path, NAME, &key(200), Timestamp::from_unix(START)).unwrap();
    assert!(fixture.record(&recorder, &one(6)).is_err());
}

#[test]
fn a_log_begins_with_a_checkpoint_over_nothing() {
    let fixture = LogFixture::new();
    let report = fixture.audit(&[]);
    assert_eq!((report.finding(), report.checkpoints, report.entries), (None, 1, 0));
    drop(fixture.open());
    fs::write(fixture.path().join("checkpoints"), "").unwrap();
    fs::remove_file(fixture.path().join("checkpoint")).unwrap();
    assert!(matches!(fixture.try_open(LogSettings::default()), Err(LogError::Changed { .. })));
}

fn second(fixture: &LogFixture, number: u8, name: &str) -> (Folder, NoteKey) {
    let path = fixture.path().with_file_name(name.replace('/', "-"));
    let key = Folder::init(&path, name, &key(number), Timestamp::from_unix(START)).unwrap();
    (Folder::at(path).unwrap(), key)
}

#[test]
fn a_log_follows_another_and_both_say_so() {
    let fixture = LogFixture::new();
    fixture.fill(3, LogSettings::default());
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let (next, next_key) = second(&fixture, 201, "example.com/next");
    succession::follow(&next, &fixture.files(), &clock).unwrap();
    let old = fixture.audit(&[]);
    assert_eq!((old.finding(), old.entries), (None, 4));
    assert_eq!(old.link.successor.as_deref(), Some(&*next_key.to_string()));
    let at = |folder: &Folder, key: &NoteKey| {
        let inputs = auditor::AuditorInputs { log_key: Some(key.clone()), ..Default::default() };
        audit(folder.path(), &inputs, fixture.trust())
    };
    let new = at(&next, &next_key);
    assert_eq!((new.finding(), new.entries), (None, 1));
    assert_eq!(new.link.after.as_ref().unwrap().predecessors, 1);
    let follows = |new, old| succession::follows(new, old);
    let key_of = &fixture.log_key;
    assert_eq!(follows((&new, &next_key), (&old, key_of)), Ok(None));
    // Once another log has succeeded it, the log is closed for ever.
    let closed = fixture.try_open(LogSettings::default()).unwrap_err();
    assert!(matches!(closed, LogError::Followed { .. }), "{closed:?}");
    let looked = fixture.files().check_writable().unwrap_err();
    assert!(matches!(looked, LogError::Followed { .. }), "{looked:?}");
    // A second call of `follow` changes nothing, and the same log cannot be succeeded by another.
    assert!(matches!(
        succession::follow(&next, &fixture.files(), &clock),
        Err(LogError::Exists(_))
    ));
    let (third, third_key) = second(&fixture, 202, "example.com/third");
    let error = succession::follow(&third, &fixture.files(), &clock).unwrap_err();
    assert!(matches!(error, LogError::Followed { .. }), "{error:?}");
    // The third log is made from a checkpoint of the old log, which has another successor
    // already (a fork). The audit with the old log reveals it.
    let note = fixture.checkpoint();
    succession::follow_abandoned(&third, (key_of, &note), &clock).unwrap();
    let fork = at(&third, &third_key);
    let finding = follows((&fork, &third_key), (&old, key_of)).unwrap_err();
    assert!(finding.why.contains("names another successor"), "{finding}");
    // The previous log was abandoned without a last checkpoint, so its end is uncertain.
    let lost = LogFixture::new();
    lost.fill(2, LogSettings::default());
    let (next, next_key) = second(&lost, 203, "example.com/after");
    succession::follow_abandoned(&next, (&lost.log_key, &lost.checkpoint()), &clock).unwrap();
    let (new, old) = (at(&next, &next_key), lost.audit(&[]));
    let why = follows((&new, &next_key), (&old, &lost.log_key)).unwrap().unwrap();
    assert!(why.contains("abandoned"), "{why}");
    // The new log must not have the name (origin) of the previous one.
    let path = lost.path().with_file_name("same");
    Folder::init(&path, NAME, &key(204), Timestamp::from_unix(START)).unwrap();
    let same = Folder::at(path).unwrap();
    let error = succession::follow(&same, &lost.files(), &clock).unwrap_err();
    assert!(matches!(error, LogError::KeyUnfit(_)), "{error:?}");
    drop(lost.open());
}

/// The holder of the log's key cut off the end of a closed log. The log that succeeds it reveals
/// the attack.
#[test]
fn a_successor_shows_what_was_cut_from_the_log_before() {
    let fixture = LogFixture::new();
    fixture.fill(3, LogSettings::default());
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let (next, next_key) = second(&fixture, 201, "example.com/next");
    succession::follow(&next, &fixture.files(), &clock).unwrap();
    let inputs = auditor::AuditorInputs { log_key: Some(next_key.clone()), ..Default::default() };
    let new = audit(next.path(), &inputs, fixture.trust());
    let lines = fixture.lines();
    for keep in [lines[..3].to_vec(), lines[..2].to_vec()] {
        forge(&fixture, &keep, 200);
        let old = fixture.audit(&[]);
        assert_eq!(old.finding(), None);
        let follows = succession::follows((&new, &next_key), (&old, &fixture.log_key));
        assert!(follows.is_err());
    }
    let other = NoteKey::new("example.com/x", NoteKeyKind::Log, key(9).public().clone()).unwrap();
    let old = fixture.audit(&[]);
    assert!(succession::follows((&new, &next_key), (&old, &other)).is_err());
    let _ = sealed(0, mcpid::audit::tree::empty(), 200);
}
