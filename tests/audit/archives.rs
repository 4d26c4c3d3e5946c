//! Tests of entries that were moved to an archive: the log can be continued, is complete together
//! with the archive, and reports which entries were not read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mcpid::audit::archive::{self, Archived};
use mcpid::audit::auditor::{self, AuditorInputs, Report};
use mcpid::audit::proof::{self, ProofError};
use mcpid::audit::{Folder, LogError, LogSettings, Recorder, check, growth, succession};
use mcpid::clock::{Clock, Timestamp};

use crate::fixtures::{LogFixture, NAME, START, audit_folder, body, call, key};

/// A time after every entry of these tests.
pub(crate) fn later() -> Timestamp {
    Timestamp::from_unix(START + 1_000_000)
}

pub(crate) fn small() -> LogSettings {
    let mut settings = LogSettings::default();
    settings.file_size = 5_000;
    settings
}

/// Returns a log of twelve entries in several files, and the folder for its archive.
pub(crate) fn several() -> (LogFixture, PathBuf) {
    let fixture = LogFixture::new();
    fixture.fill(12, small());
    assert!(fixture.segments().len() >= 4);
    let to = fixture.path().with_file_name("archive");
    (fixture, to)
}

pub(crate) fn archived(fixture: &LogFixture, to: &Path) -> Archived {
    archive::archive(&fixture.files(), later(), to).unwrap()
}

pub(crate) fn with(fixture: &LogFixture, to: &Path) -> Folder {
    fixture.files().with_archives(vec![to.to_owned()])
}

pub(crate) fn inputs(fixture: &LogFixture) -> AuditorInputs {
    let kept = vec![fixture.checkpoint()];
    AuditorInputs { log_key: Some(fixture.log_key.clone()), kept, ..AuditorInputs::default() }
}

pub(crate) fn audit(fixture: &LogFixture, folder: &Folder) -> Report {
    audit_folder(folder, &inputs(fixture), fixture.trust())
}

/// Checks that an audit finds no fault, both with the archive and without it, and that some entries
/// are unjudged if the archive is missing.
#[track_caller]
pub(crate) fn is_whole(fixture: &LogFixture, to: &Path) {
    let whole = audit(fixture, &with(fixture, to));
    assert_eq!(whole.finding(), None);
    assert!(whole.is_good() && whole.not_given == 0, "{:?}", whole.unjudged);
    assert_eq!(whole.anchored, Some(whole.entries));
    let without = audit(fixture, &fixture.files());
    assert_eq!((without.finding(), without.entries), (None, whole.entries));
    assert_eq!(without.anchored, Some(whole.entries));
}

pub(crate) fn packed(to: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(to)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "gz"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn an_archived_log_passes_with_its_archive_and_continues_without_it() {
    let (fixture, to) = several();
    let before = fixture.lines();
    let files = fixture.segments().len();
    let done = archived(&fixture, &to);
    assert_eq!(done.files, files as u64 - 1);
    assert_eq!((done.first, fixture.segments().len()), (0, 1));
    assert!(done.packed < done.bytes);
    is_whole(&fixture, &to);
    let without = audit(&fixture, &fixture.files());
    assert_eq!(without.unjudged, [("archived", done.next)].into());
    assert_eq!((without.not_given, without.is_good()), (done.next, false));
    // A second call of `archive` finds nothing more to move.
    assert_eq!(archived(&fixture, &to).files, 0);
    // After archiving, the log still supports appending, consistency proofs for a late witness, and
    // proofs of entries that are in the log.
    let kept = fixture.checkpoint();
    fixture.fill(3, small());
    growth::consistent(&fixture.files(), &fixture.log_key, &kept, &fixture.checkpoint()).unwrap();
    is_whole(&fixture, &to);
    let n = done.next + 1;
    let evidence = proof::prove(&fixture.files(), n, None).unwrap();
    let checked =
        check::check(evidence.as_bytes(), &inputs(&fixture), fixture.trust(), None).unwrap();
    assert!(checked.is_good());
    // Proving an archived entry needs the archive.
    let error = proof::prove(&fixture.files(), 1, None).unwrap_err();
    assert!(matches!(error, ProofError::Log(LogError::Archived(1))), "{error:?}");
    let evidence = proof::prove(&with(&fixture, &to), 1, None).unwrap();
    let checked =
        check::check(evidence.as_bytes(), &inputs(&fixture), fixture.trust(), None).unwrap();
    assert!(checked.is_good());
    // A second call of `archive` adds further files to the same archive.
    fixture.fill(6, small());
    assert!(archived(&fixture, &to).files > 0);
    is_whole(&fixture, &to);
    // The archive is a gzip file that other tools can read.
    let first = Command::new("gzip").arg("-dc").arg(&packed(&to)[0]).output().unwrap();
    let text = String::from_utf8(first.stdout).unwrap();
    assert_eq!(text.lines().next(), Some(&*before[0]));
}

#[test]
fn only_complete_and_old_enough_files_are_archived() {
    let fixture = LogFixture::new();
    let to = fixture.path().with_file_name("archive");
    assert_eq!(archived(&fixture, &to).files, 0);
    for _ in 0..4 {
        fixture.fill(2, LogSettings::default());
        fixture.clock.forward(24 * 60 * 60);
    }
    assert_eq!(fixture.segments().len(), 4);
    let at = |days: i64| Timestamp::from_unix(START + days * 24 * 60 * 60);
    let until = |before| archive::archive(&fixture.files(), before, &to).unwrap().next;
    assert_eq!(until(at(0)), 0);
    // The last entry of the first file has exactly this time. Only files whose entries are all
    // earlier are archived.
    assert_eq!(until(Timestamp::from_unix(START + 2)), 0);
    assert_eq!(until(Timestamp::from_unix(START + 3)), 2);
    assert_eq!(until(at(2)), 4);
    // Two files are never moved: the newest, and one that no checkpoint follows.
    assert_eq!(until(later()), 6);
    assert_eq!(fixture.segments().len(), 1);
    is_whole(&fixture, &to);
    // Another process has the log open for writing.
    let log = fixture.open();
    let recorder = Recorder::new(log);
    let one = |n| call(1, fixture.clock.now().unix(), &body(n), &[]);
    fixture.record(&recorder, &one(1)).unwrap();
    assert_eq!(until(later()), 0, "its first entry lies under no checkpoint yet");
    fixture.clock.forward(24 * 60 * 60);
    fixture.record(&recorder, &one(2)).unwrap();
    fixture.clock.forward(24 * 60 * 60);
    fixture.record(&recorder, &one(3)).unwrap();
    assert!(until(later()) > 0);
    fixture.record(&recorder, &one(4)).unwrap();
    drop(recorder);
    is_whole(&fixture, &to);
}

#[test]
fn every_file_of_an_archive_is_the_owners_alone() {
    let (fixture, to) = several();
    archived(&fixture, &to);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&to), 0o700);
    for path in packed(&to) {
        assert_eq!(mode(&path), 0o600);
    }
    let stub = fixture.path().join("entries-000000000000.archived");
    assert_eq!(mode(&stub), 0o600);
    // A folder that other users can write is refused as an archive.
    let (fixture, _) = several();
    let open = fixture.path().with_file_name("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let error = archive::archive(&fixture.files(), later(), &open).unwrap_err().source;
    assert!(matches!(error, LogError::TooOpen { .. }), "{error:?}");
    // Neither the log itself nor the archive of another log is accepted.
    let error = archive::archive(&fixture.files(), later(), &fixture.path()).unwrap_err().source;
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
    let other = LogFixture::at(fixture.path().with_file_name("other"), "example.com/other");
    other.fill(12, small());
    let error = archive::archive(&other.files(), later(), &to).unwrap_err().source;
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
    assert_eq!(
        archive::owner(&to).unwrap().map(|key| key.name().to_owned()).as_deref(),
        Some(NAME)
    );
}

/// Stops an archiving process after each step. The log must verify with the files that are left,
/// and archiving must succeed when repeated.
#[test]
fn a_process_that_ends_while_archiving_leaves_a_complete_log() {
    for state in 0..6 {
        let (fixture, to) = several();
        let first = fixture.segments().remove(0);
        let bytes = fs::read(&first).unwrap();
        let done = archived(&fixture, &to);
        let (stub, gz) =
            (fixture.path().join("entries-000000000000.archived"), packed(&to).remove(0));
        let half = fs::read(&gz).unwrap();
        let half = &half[..half.len() / 2];
        let temporary = to.join(format!(".{}.tmp", gz.file_name().unwrap().to_str().unwrap()));
        let note = fs::read(&stub).unwrap();
        match state {
            // The number `state` says how far archiving of the first file came. 0: no copy. 1: half
            // a copy. 2: a copy. 3: a copy and half of its archive note.
            0 => fs::remove_file(&gz).unwrap(),
            1 => {
                fs::remove_file(&gz).unwrap();
                fs::write(&temporary, half).unwrap();
            }
            2 => {}
            3 => {
                let name = ".entries-000000000000.archived.tmp";
                fs::write(fixture.path().join(name), &note[..note.len() / 2]).unwrap();
            }
            // 4: the copy and the note are complete, and the original still exists. 5: the original
            // is removed too.
            4 | 5 => {}
            _ => unreachable!(),
        }
        if state < 4 {
            fs::remove_file(&stub).unwrap();
        }
        if state < 5 {
            fs::write(&first, &bytes).unwrap();
        }
        // In each of these states the files with the later entries are archived already, so an
        // audit without the archive does not read those entries.
        is_whole(&fixture, &to);
        fixture.fill(1, small());
        is_whole(&fixture, &to);
        let again = archived(&fixture, &to);
        assert_eq!(again.files > 0 && again.first == 0, state < 5, "state {state}");
        is_whole(&fixture, &to);
        assert!(!first.exists() && stub.exists() && gz.exists(), "state {state}");
        assert!(!temporary.exists(), "state {state}");
        assert!(audit(&fixture, &fixture.files()).not_given >= done.next, "state {state}");
    }
}

/// A log whose first entry is archived can be succeeded by another, and an audit still knows the
/// number of earlier logs.
#[test]
fn a_log_with_archived_entries_can_be_followed() {
    let (fixture, to) = several();
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let make = |name: &str, number: u8| {
        let path = fixture.path().with_file_name(name.replace('/', "-"));
        let public = Folder::init(&path, name, &key(number), Timestamp::from_unix(START)).unwrap();
        (Folder::at(path).unwrap(), public)
    };
    let (second, second_key) = make("example.com/second", 201);
    succession::follow(&second, &fixture.files(), &clock).unwrap();
    // The second log gets entries, and its first file is archived.
    let log = mcpid::audit::Log::open(second.clone(), small(), fixture.clock.clone()).unwrap();
    let recorder = Recorder::new(log);
    for n in 0..8 {
        fixture.record(&recorder, &call(1, fixture.clock.now().unix(), &body(n), &[])).unwrap();
    }
    drop(recorder);
    assert!(archive::archive(&second, later(), &to).unwrap().files > 0);
    let (third, third_key) = make("example.com/third", 202);
    succession::follow(&third, &second, &clock).unwrap();
    let audit = |folder: &Folder, key: &mcpid::audit::note::NoteKey| {
        let inputs = AuditorInputs { log_key: Some(key.clone()), ..AuditorInputs::default() };
        let report = audit_folder(folder, &inputs, fixture.trust());
        assert_eq!(report.finding(), None);
        report
    };
    let (first, newest) = (audit(&fixture.files(), &fixture.log_key), audit(&third, &third_key));
    assert_eq!(newest.link.predecessors, 2);
    let without = audit(&second, &second_key);
    assert_eq!((without.link.predecessors, without.link.first_unknown), (1, true));
    let with = audit(&second.clone().with_archives(vec![to]), &second_key);
    assert_eq!((with.link.predecessors, with.link.first_unknown), (1, false));
    let follows = succession::follows;
    assert_eq!(follows((&newest, &third_key), (&with, &second_key)), Ok(None));
    assert_eq!(follows((&with, &second_key), (&first, &fixture.log_key)), Ok(None));
    let not_seen = follows((&without, &second_key), (&first, &fixture.log_key));
    assert!(not_seen.unwrap().unwrap().contains("was not seen"));
}

/// A packed file of a megabyte can hold a thousand million empty lines. The reader must stop long
/// before their end.
#[test]
fn reading_a_file_of_empty_lines_ends_after_a_bounded_number() {
    let (fixture, to) = several();
    archived(&fixture, &to);
    let first = packed(&to)[0].clone();
    let made = Command::new("sh")
        .args(["-c", "head -c 50000000 /dev/zero | tr '\\0' '\\n' | gzip -1 > \"$0\""])
        .arg(&first)
        .status();
    assert!(made.unwrap().success());
    let begun = std::time::Instant::now();
    let mut count = 0;
    for line in auditor::lines(&with(&fixture, &to)).unwrap() {
        let line = line.unwrap();
        count += 1;
        assert!(count < 2_000, "reading does not end");
        if let Some(why) = line.fault {
            assert!(why.contains("has over 1000 lines that are too short for an entry"), "{why}");
            break;
        }
    }
    assert_eq!(count, 1_002);
    let report = audit(&fixture, &with(&fixture, &to));
    assert!(report.finding().is_some());
    let error = proof::prove(&with(&fixture, &to), 1, None).unwrap_err();
    assert!(!error.to_string().is_empty());
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

/// The second file cannot be archived, and the error says that the first file was.
#[test]
fn archiving_that_breaks_off_names_what_it_moved() {
    let (fixture, to) = several();
    let second = fixture.segments()[1].clone();
    let good = fs::read_to_string(&second).unwrap();
    fs::write(&second, good.replacen("verified", "refused", 1)).unwrap();
    let error = archive::archive(&fixture.files(), later(), &to).unwrap_err();
    assert!(matches!(error.source, LogError::Changed { .. }), "{error:?}");
    assert_eq!((error.moved.files, error.moved.first), (1, 0));
    let number = second.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(number.contains(&format!("{:012}", error.moved.next)), "{number}");
    assert_eq!(packed(&to).len(), 1);
    // A repeated call continues with the second file.
    fs::write(&second, good).unwrap();
    let rest = archived(&fixture, &to);
    assert_eq!(rest.first, error.moved.next);
    is_whole(&fixture, &to);
}
