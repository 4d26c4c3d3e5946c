//! Tests of erased entries: what remains of them, what an auditor reports, and which attacks they
//! do not make possible.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcpid::audit::auditor::{AuditorInputs, FindingKind, Report};
use mcpid::audit::erase::{self, EraseError, ErasedEntry};
use mcpid::audit::proof::{self, ProofError};
use mcpid::audit::{Folder, LogError, LogSettings, Recorder, check, entry, succession};
use mcpid::clock::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::archives::{self, several};
use crate::fixtures::{LogFixture, START, audit_folder, body, call, key};
use crate::forger::{various, write_lines};

pub(crate) const WHY: &str = "order of the district court, 12 O 34/26";

fn try_erase(fixture: &LogFixture, folder: &Folder, n: u64) -> Result<ErasedEntry, EraseError> {
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    erase::erase(folder, n, WHY, clock)
}

fn erased(fixture: &LogFixture, n: u64) -> u64 {
    try_erase(fixture, &fixture.files(), n).unwrap().recorded_in
}

pub(crate) fn filled(count: u64) -> LogFixture {
    let fixture = LogFixture::new();
    fixture.fill(count, LogSettings::default());
    fixture
}

pub(crate) fn allowing(fixture: &LogFixture, folder: &Folder) -> Report {
    let inputs = AuditorInputs {
        log_key: Some(fixture.log_key.clone()),
        kept: vec![fixture.checkpoint()],
        allow_erased: true,
        ..AuditorInputs::default()
    };
    audit_folder(folder, &inputs, fixture.trust())
}

pub(crate) fn found(report: &Report) -> (FindingKind, Option<u64>) {
    let finding = report.finding().expect("something is found");
    (finding.what, finding.n)
}

#[test]
fn an_erased_entry_is_gone_and_the_log_says_so() {
    let fixture = filled(5);
    let kept = fixture.checkpoint();
    let evidence = proof::prove(&fixture.files(), 4, Some(&kept)).unwrap();
    let lines = fixture.lines();
    let by = erased(&fixture, 2);
    assert_eq!(by, 5);
    let after = fixture.lines();
    assert_eq!(after.len(), 6);
    assert!(!after[2].contains("pay") && !after[2].contains("signature"), "{}", after[2]);
    assert_eq!(entry::leaf(after[2].as_bytes()), entry::leaf(lines[2].as_bytes()));
    for n in [0, 1, 3, 4] {
        assert_eq!(after[n], lines[n]);
    }
    let told: Value = serde_json::from_str(&after[5]).unwrap();
    assert_eq!((&told["erased"]["n"], &told["erased"]["reason"]), (&json!(2), &json!(WHY)));
    assert_eq!(told["erased"]["time"], serde_json::from_str::<Value>(&lines[2]).unwrap()["time"]);
    // An auditor who does not permit erasures does not call the log good, even with a checkpoint
    // from before the erasure.
    let report = fixture.audit(&[kept, fixture.checkpoint()]);
    assert_eq!((report.finding(), report.erased, report.entries), (None, 1, 6));
    assert_eq!(report.unjudged, [("erased", 1)].into());
    assert!(!report.is_good());
    assert!(allowing(&fixture, &fixture.files()).is_good());
    // Proofs of the other entries work as before. Only the erased entry cannot be proved.
    let inputs =
        AuditorInputs { log_key: Some(fixture.log_key.clone()), ..AuditorInputs::default() };
    let checked =
        |text: &str| check::check(text.as_bytes(), &inputs, fixture.trust(), None).unwrap();
    assert!(checked(&evidence).is_good());
    assert!(checked(&proof::prove(&fixture.files(), 3, None).unwrap()).is_good());
    let error = proof::prove(&fixture.files(), 2, None).unwrap_err();
    assert_eq!(error.to_string(), format!("entry 2 was erased, as entry 5 says: {WHY}"));
    let mut forged: Value = serde_json::from_str(&evidence).unwrap();
    forged["entry"] = json!(base64_of(after[2].as_bytes()));
    forged["n"] = json!(2);
    let fault = checked(&forged.to_string()).fault.unwrap();
    assert!(fault.contains("was erased"), "{fault}");
    // After an erasure, entries can be appended, and more of them erased.
    fixture.fill(2, LogSettings::default());
    assert_eq!(erased(&fixture, 0), 8);
    assert_eq!(erased(&fixture, 7), 9);
    let report = allowing(&fixture, &fixture.files());
    assert!(report.is_good() && report.erased == 3, "{:?}", report.findings);
}

pub(crate) fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn an_erasure_that_is_not_possible_is_refused_and_nothing_is_written() {
    let fixture = various();
    let by = erased(&fixture, 0);
    let lines = fixture.lines();
    for (n, line) in lines.iter().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let n = n as u64;
        if line["event"] == "request" || line["event"] == "tombstone" {
            continue;
        }
        let error = try_erase(&fixture, &fixture.files(), n).unwrap_err();
        assert!(matches!(error, EraseError::NoRequest { n: m, .. } if m == n), "{error:?}");
    }
    let error = try_erase(&fixture, &fixture.files(), 0).unwrap_err();
    assert!(
        matches!(error, EraseError::Already { n: 0, recorded_in: told } if told == by),
        "{error:?}"
    );
    let beyond = lines.len() as u64;
    let error = try_erase(&fixture, &fixture.files(), beyond).unwrap_err();
    assert!(matches!(error, EraseError::NoEntry(_)), "{error:?}");
    for reason in ["", "  ", "a\nb", "a\u{1b}[31m", &"x".repeat(1_001)] {
        let clock: Arc<dyn Clock> = fixture.clock.clone();
        let error = erase::erase(&fixture.files(), 2, reason, clock).unwrap_err();
        assert!(matches!(error, EraseError::Reason(_)), "{reason:?}: {error:?}");
    }
    assert_eq!(fixture.lines(), lines);
    // Erasing fails while another process writes the log, and after the log is closed.
    let log = fixture.open();
    let error = try_erase(&fixture, &fixture.files(), 2).unwrap_err();
    assert!(matches!(error, EraseError::Log(LogError::Locked(_))), "{error:?}");
    #[cfg(target_os = "linux")]
    assert!(fixture.files().writer().is_none_or(|pid| pid == std::process::id()));
    drop(log);
    let path = fixture.path().with_file_name("next");
    Folder::init(&path, "example.com/next", &key(201), Timestamp::from_unix(START)).unwrap();
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    succession::follow(&Folder::at(path).unwrap(), &fixture.files(), &clock).unwrap();
    let error = try_erase(&fixture, &fixture.files(), 2).unwrap_err();
    assert!(matches!(error, EraseError::Log(LogError::Followed { .. })), "{error:?}");
    assert_eq!(fixture.lines()[..lines.len()], lines);
}

/// If a line differs from the one that the checkpoint covers, it was changed. It is evidence,
/// so it is not erased.
#[test]
fn a_changed_entry_cannot_be_erased() {
    let fixture = filled(4);
    let path = fixture.only_segment();
    let lines = fixture.lines();
    let mut bent = lines.clone();
    bent[1] = bent[1].replacen("verified", "refused", 1);
    write_lines(&path, &bent);
    let before = fs::read(&path).unwrap();
    let error = try_erase(&fixture, &fixture.files(), 1).unwrap_err();
    assert!(matches!(error, EraseError::Log(LogError::Changed { .. })), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
    // In an older file, the writer does not notice the changed line, but its hash in the tree
    // differs.
    let (fixture, _) = several();
    let path = fixture.segments().remove(0);
    let text = fs::read_to_string(&path).unwrap().replacen("verified", "refused", 1);
    fs::write(&path, &text).unwrap();
    let error = try_erase(&fixture, &fixture.files(), 0).unwrap_err();
    assert!(matches!(error, EraseError::Log(LogError::Changed { .. })), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

/// The process was killed after it recorded the erasure and before it replaced the entry.
#[test]
fn an_interrupted_erasure_is_reported_and_can_be_repeated() {
    let fixture = filled(4);
    let lines = fixture.lines();
    let by = erased(&fixture, 1);
    let mut cut = fixture.lines();
    cut[1] = lines[1].clone();
    write_lines(&fixture.only_segment(), &cut);
    let report = allowing(&fixture, &fixture.files());
    assert_eq!((report.finding(), report.erased), (None, 0));
    assert_eq!(report.unjudged, [("not_erased", 1)].into());
    drop(fixture.open());
    assert_eq!(erased(&fixture, 1), by, "nothing is appended twice");
    let report = allowing(&fixture, &fixture.files());
    assert!(report.is_good() && report.erased == 1 && report.entries == 5);
    // A half-written temporary file is not part of the log.
    let path = fixture.only_segment();
    let name = format!(".{}.tmp", path.file_name().unwrap().to_str().unwrap());
    fs::write(path.with_file_name(&name), "{").unwrap();
    assert!(allowing(&fixture, &fixture.files()).is_good());
    erased(&fixture, 2);
    assert!(!path.with_file_name(&name).exists());
}

fn archived() -> (LogFixture, PathBuf) {
    let (fixture, to) = several();
    assert!(archives::archived(&fixture, &to).files > 1);
    (fixture, to)
}

fn with(fixture: &LogFixture, to: &Path) -> Folder {
    fixture.files().with_archives(vec![to.to_owned()])
}

#[test]
fn an_entry_is_erased_in_its_archive_too() {
    let (fixture, to) = archived();
    let error = try_erase(&fixture, &fixture.files(), 1).unwrap_err();
    assert!(matches!(error, EraseError::Log(LogError::Archived(1))), "{error:?}");
    let before = fixture.lines();
    let done = try_erase(&fixture, &with(&fixture, &to), 1).unwrap();
    assert_eq!((done.recorded_in, done.files), (12, 1));
    assert_eq!(fixture.lines().len(), before.len() + 1);
    let report = allowing(&fixture, &with(&fixture, &to));
    assert!(report.is_good() && report.erased == 1, "{:?}", report.findings);
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&to.join("entries-000000000000.jsonl.gz")), 0o600);
    // Without the archive, the audit cannot tell whether the entry is erased.
    let report = allowing(&fixture, &fixture.files());
    assert_eq!(report.finding(), None);
    assert_eq!(report.unjudged.keys().collect::<Vec<_>>(), [&"archived"]);
    let error = try_erase(&fixture, &with(&fixture, &to), 1).unwrap_err();
    assert!(matches!(error, EraseError::Already { n: 1, recorded_in: 12 }), "{error:?}");
    let error = proof::prove(&with(&fixture, &to), 1, None).unwrap_err();
    assert!(matches!(error, ProofError::Erased { n: 1, recorded_in: 12, .. }), "{error:?}");
    // An older copy of the archive still contains the entry. The audit reports it, and a second
    // call of `erase` erases the entry there too.
    let second = to.with_file_name("second");
    let (other, copy) = archived();
    fs::rename(&copy, &second).unwrap();
    assert_eq!(archives::archived(&other, &second).files, 0);
    let backup = other.path().with_file_name("backup");
    fs::create_dir(&backup).unwrap();
    for entry in fs::read_dir(&second).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, backup.join(path.file_name().unwrap())).unwrap();
    }
    try_erase(&other, &with(&other, &second), 1).unwrap();
    let report = allowing(&other, &with(&other, &backup));
    assert_eq!((report.finding(), report.is_good()), (None, false));
    assert_eq!(try_erase(&other, &with(&other, &backup), 1).unwrap().recorded_in, 12);
    assert!(allowing(&other, &with(&other, &backup)).is_good());
}

/// Returns a log of 12 entries whose first files are archived, the folder of the archive, and the
/// former path and content of the first file.
fn archived_log() -> (LogFixture, PathBuf, PathBuf, Vec<u8>) {
    let (fixture, to) = several();
    let first = fixture.segments().remove(0);
    let bytes = fs::read(&first).unwrap();
    archives::archived(&fixture, &to);
    (fixture, to, first, bytes)
}

/// An archiving process was killed and left a copy of a file in the archive, and then an entry of
/// that file was erased.
#[test]
fn an_erased_entry_does_not_come_back_from_a_copy_that_was_left() {
    let (fixture, to, first, bytes) = archived_log();
    fs::remove_file(fixture.path().join("entries-000000000000.archived")).unwrap();
    fs::write(&first, &bytes).unwrap();
    let left = fs::read(to.join("entries-000000000000.jsonl.gz")).unwrap();
    let done = try_erase(&fixture, &with(&fixture, &to), 1).unwrap();
    assert_eq!(done.files, 2);
    fs::write(to.join("entries-000000000000.jsonl.gz"), left).unwrap();
    assert_eq!(archives::archived(&fixture, &to).files, 1);
    let report = allowing(&fixture, &with(&fixture, &to));
    assert!(report.is_good() && report.erased == 1, "{:?} {:?}", report.findings, report.unjudged);
}

/// Archiving was killed after it had written the archive note, and once more while it wrote a copy.
/// The entry is therefore in three files.
#[test]
fn erasing_finds_every_copy_that_a_killed_archiving_left() {
    let (fixture, to, first, bytes) = archived_log();
    fs::write(&first, &bytes).unwrap();
    let rest = [
        to.join(".entries-000000000000.jsonl.gz.tmp"),
        first.with_file_name(".entries-000000000000.jsonl.tmp"),
    ];
    for path in &rest {
        fs::write(path, &bytes).unwrap();
    }
    // This archive contains the later files, but not the copy of the first.
    let other = to.with_file_name("other");
    fs::create_dir(&other).unwrap();
    for name in fs::read_dir(&to).unwrap().map(|file| file.unwrap().file_name()) {
        if !name.to_str().unwrap().contains("entries-000000000000") {
            fs::copy(to.join(&name), other.join(&name)).unwrap();
        }
    }
    let error = try_erase(&fixture, &with(&fixture, &other), 1).unwrap_err();
    assert!(matches!(error, EraseError::Log(LogError::Archived(1))), "{error:?}");
    let done = try_erase(&fixture, &with(&fixture, &to), 1).unwrap();
    assert_eq!(done.files, 2);
    assert!(rest.iter().all(|path| !path.exists()));
    let report = allowing(&fixture, &with(&fixture, &to));
    assert!(report.is_good() && report.erased == 1, "{:?} {:?}", report.findings, report.unjudged);
}

/// After a tombstone at any place in the log, the writer continues with the clock offset and the
/// rules from before it.
#[test]
fn entries_can_be_appended_after_a_tombstone() {
    for n in 0..3 {
        let fixture = filled(3);
        erased(&fixture, n);
        // In this case the tombstone is the last line of the newest file.
        if n == 2 {
            fixture.fill(1, LogSettings::default());
            erased(&fixture, 4);
        }
        fixture.clock.forward(24 * 60 * 60);
        let recorder = Recorder::new(fixture.open());
        let by = fixture.verifier();
        fixture
            .record_by(&recorder, &call(1, fixture.clock.now().unix(), &body(9), &[]), &by)
            .unwrap();
        drop(recorder);
        fs::remove_file(fixture.path().join("tree")).unwrap();
        drop(fixture.open());
        let report = allowing(&fixture, &fixture.files());
        assert!(report.is_good(), "{n}: {:?} {:?}", report.findings, report.unjudged);
    }
}
