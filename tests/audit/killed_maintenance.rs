//! Tests of processes that are killed while they archive or erase entries.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mcpid::audit::auditor::{AuditorInputs, Report};
use mcpid::audit::erase::{self, EraseError};
use mcpid::audit::{Folder, LogError, LogSettings, archive};
use mcpid::clock::{SystemClock, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::crash::child;
use crate::fixtures::{LogFixture, START, audit_folder};

/// The number of entries of a log in these tests. Each file has three.
const ENTRIES: u64 = 24;

fn filled() -> LogFixture {
    let fixture = LogFixture::new();
    let mut small = LogSettings::default();
    small.file_size = 5_000;
    fixture.fill(ENTRIES, small);
    fixture
}

fn with_archive(path: &Path) -> Folder {
    let to = path.with_file_name("archive");
    let folder = Folder::at(path).unwrap();
    if to.exists() { folder.with_archives(vec![to]) } else { folder }
}

/// Archives all files that can be archived, in the process that the test kills.
pub(crate) fn archive_all(path: &Path) {
    let later = Timestamp::from_unix(START + 1_000_000);
    archive::archive(&Folder::at(path).unwrap(), later, &path.with_file_name("archive")).unwrap();
}

/// Erases every second entry, in the process that the test kills.
pub(crate) fn erase_all(path: &Path) {
    for n in (0..ENTRIES).step_by(2) {
        match erase::erase(&with_archive(path), n, "a request", Arc::new(SystemClock)) {
            Ok(_) | Err(EraseError::Already { .. }) => {}
            Err(error) => panic!("{n}: {error:?}"),
        }
    }
}

fn kill_one(role: &str, fixture: &LogFixture, random: &mut StdRng) {
    let mut process = child(role, &fixture.path(), &[])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_micros(random.random_range(5_000..150_000)));
    process.kill().unwrap();
    process.wait().unwrap();
}

pub(crate) fn audit(fixture: &LogFixture) -> Report {
    let inputs = AuditorInputs {
        log_key: Some(fixture.log_key.clone()),
        kept: vec![fixture.checkpoint()],
        allow_erased: true,
        allow_clock: true,
        ..AuditorInputs::default()
    };
    audit_folder(&with_archive(&fixture.path()), &inputs, fixture.trust())
}

#[test]
fn a_killed_archiving_leaves_a_complete_log() {
    let mut random = StdRng::seed_from_u64(20_261_202);
    for round in 0..10 {
        let fixture = filled();
        for _ in 0..3 {
            kill_one("archive", &fixture, &mut random);
            let report = audit(&fixture);
            assert_eq!((report.finding(), report.not_given), (None, 0), "round {round}");
            assert!(report.is_good(), "round {round}: {:?}", report.unjudged);
        }
        archive_all(&fixture.path());
        let report = audit(&fixture);
        assert!(report.is_good() && report.entries == ENTRIES, "round {round}");
        assert_eq!(fixture.segments().len(), 1, "round {round}");
    }
}

#[test]
fn a_killed_erasure_is_found_and_completed_by_a_second_call() {
    let mut random = StdRng::seed_from_u64(20_261_203);
    for round in 0..6 {
        let fixture = filled();
        if round % 2 == 0 {
            archive_all(&fixture.path());
        }
        for _ in 0..3 {
            kill_one("erase", &fixture, &mut random);
            let report = audit(&fixture);
            assert_eq!(report.finding(), None, "round {round}");
            let half = report.unjudged.get("not_erased").copied().unwrap_or_default();
            assert!(half <= 1, "round {round}: {half}");
        }
        erase_all(&fixture.path());
        let report = audit(&fixture);
        assert!(report.is_good(), "round {round}: {:?}", report.unjudged);
        assert_eq!(report.erased, ENTRIES / 2, "round {round}");
    }
}

/// While one process archives or erases, a second one gets an error that says so.
#[test]
fn one_process_archives_or_erases_at_a_time() {
    let fixture = filled();
    let held = std::fs::File::open(fixture.path().join("log-key.pub")).unwrap();
    held.lock().unwrap();
    let to = fixture.path().with_file_name("archive");
    let later = Timestamp::from_unix(START + 1_000_000);
    let error = archive::archive(&fixture.files(), later, &to).unwrap_err().source;
    assert!(matches!(error, LogError::Maintained(_)), "{error:?}");
    let error = erase::erase(&fixture.files(), 0, "a request", Arc::new(SystemClock)).unwrap_err();
    assert!(matches!(error, EraseError::Log(LogError::Maintained(_))), "{error:?}");
    drop(held);
    archive::archive(&fixture.files(), later, &to).unwrap();
}
