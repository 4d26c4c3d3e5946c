//! Tests of a process that is killed while it writes, and of a full disk.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use mcpid::audit::{Folder, Log, LogError, LogSettings, Policy, Recorder};
use mcpid::clock::SystemClock;
use rand::rngs::SysRng;
use rand::{RngExt as _, SeedableRng as _, TryRng as _};
use serde_json::Value;

use crate::fixtures::{LogFixture, body, call};

const ROLE: &str = "MCPID_TEST_AUDIT_ROLE";
const FOLDER: &str = "MCPID_TEST_AUDIT_FOLDER";

/// Starts this test program as a child process, through the command `wrapper` if that is not empty.
pub(crate) fn child(role: &str, folder: &Path, wrapper: &[&str]) -> Command {
    let program = env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    command
        .args([
            "--exact",
            "crash::child_process_of_a_crash_test",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role)
        .env(FOLDER, folder);
    command
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n={line}").unwrap();
    out.flush().unwrap();
}

/// The child process that the crash tests start runs this function. It is not a test itself.
#[test]
fn child_process_of_a_crash_test() {
    let Some(role) = env::var_os(ROLE) else { return };
    let folder = env::var_os(FOLDER).unwrap();
    match role.to_str().unwrap() {
        "victim" => victim(Path::new(&folder)),
        "full" => full(Path::new(&folder)),
        "archive" => crate::killed_maintenance::archive_all(Path::new(&folder)),
        "erase" => crate::killed_maintenance::erase_all(Path::new(&folder)),
        "erase_one" => crate::killed_calls::erase_one(Path::new(&folder)),
        other => panic!("{other}"),
    }
}

/// The child process appends entries from several threads, and prints the number of each entry
/// after it was acknowledged.
fn victim(path: &Path) {
    let mut settings = LogSettings::default();
    (settings.every, settings.file_size, settings.pause) = (7, 40_000, Duration::ZERO);
    let log = Log::open(Folder::at(path).unwrap(), settings, Arc::new(SystemClock)).unwrap();
    let recorder = Recorder::new(log);
    let fixture = LogFixture::new();
    let count = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let n = count.fetch_add(1, Ordering::Relaxed);
                    let one = call(1, crate::fixtures::START, &body(n), &[]);
                    let nonce = nonce(&one.fields);
                    fixture.record(&recorder, &one).unwrap();
                    say(&nonce);
                }
            });
        }
    });
}

fn nonce(fields: &[(String, String)]) -> String {
    let input = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("signature-input"));
    let (_, rest) = input.unwrap().1.split_once("nonce=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

/// This test kills the process in twenty rounds. `tests/long audit-crash` makes two hundred.
#[test]
fn an_acknowledged_entry_survives_every_end_of_the_process() {
    let rounds: usize = env::var("MCPID_TEST_AUDIT_KILLS").map_or(20, |n| n.parse().unwrap());
    let mut seed = [0; 8];
    SysRng.try_fill_bytes(&mut seed).unwrap();
    let mut random = rand::rngs::StdRng::seed_from_u64(u64::from_ne_bytes(seed));
    let fixture = LogFixture::new();
    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds {
        let mut child = child("victim", &fixture.path(), &[])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.filter_map(|line| line.strip_prefix('=').map(str::to_owned)).collect::<Vec<_>>()
        });
        // If the child wrote too little so far (the machine is busy), it may run longer before it
        // is killed.
        let most = if acknowledged.len() < round { 2_000_000 } else { 120_000 };
        thread::sleep(Duration::from_micros(random.random_range(0..most)));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(reader.join().unwrap());
        // The log that the killed process left must verify, even before a writer repairs its end.
        let report = fixture.audit(&[]);
        assert_eq!(report.finding().cloned(), None, "round {round}, seed {seed:?}");
    }
    drop(fixture.open());
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!((&report.finding().cloned(), report.unfinished), (&None, false), "seed {seed:?}");
    assert_eq!(report.anchored, Some(report.entries));
    let held: BTreeSet<String> = fixture
        .lines()
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|json| json["event"] == "request")
        .map(|json| {
            let base = json["signatures"][0]["base"].as_str().unwrap().to_owned();
            base.split_once("nonce=\"").unwrap().1.split_once('"').unwrap().0.to_owned()
        })
        .collect();
    let lost: Vec<_> = acknowledged.difference(&held).collect();
    assert!(lost.is_empty(), "lost {lost:?}, seed {seed:?}");
    assert!(acknowledged.len() >= rounds, "{}", acknowledged.len());
}

/// The log is on a file system of 256 KiB, mounted in a namespace that ends with the process.
#[test]
fn a_full_disk_is_an_outage_under_required_and_a_gap_under_best_effort() {
    let folder = tempfile::tempdir().unwrap();
    let mount =
        "mount -t tmpfs -o size=256k tmpfs \"$MCPID_TEST_AUDIT_FOLDER\" && exec \"$0\" \"$@\"";
    let wrapper: &[&str] = &["unshare", "-Urm", "sh", "-c", mount];
    let done = child("full", folder.path(), wrapper).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
    assert!(out.contains("=refused=mended"), "{out}{err}");
}

fn full(path: &Path) {
    std::fs::write(path.join("ballast"), vec![7; 64 * 1024]).unwrap();
    let fixture = LogFixture::at(path.join("log"), crate::fixtures::NAME);
    let log = fixture.open();
    let required = Recorder::new(log.clone());
    let lax = Recorder::new(log.clone()).with_policy(Policy::BestEffort);
    let one = || call(1, crate::fixtures::START, &body(1), &[]);
    let mut written = 0;
    let error = loop {
        match fixture.record(&required, &one()) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "the disk is larger than it should be");
    };
    let LogError::Io { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{error:?}");
    assert!(written > 50, "{written}");
    // Writing keeps failing, and the log contains every acknowledged entry.
    for _ in 0..5 {
        assert!(fixture.record(&required, &one()).is_err());
        fixture.record(&lax, &one()).unwrap();
    }
    for _ in 0..6_000 {
        if log.gaps() == 5 {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(log.gaps(), 5);
    assert_eq!(fixture.lines().len(), written);
    let report = fixture.audit(&[]);
    assert_eq!((report.finding().cloned(), report.unfinished), (None, false));
    // The disk has room again: the writer recovers without a restart, and writes entries.
    std::fs::remove_file(path.join("ballast")).unwrap();
    fixture.record(&required, &one()).unwrap();
    drop((required, lax, log));
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!((&report.finding().cloned(), report.anchored), (&None, Some(report.entries)));
    assert!(report.entries > written as u64);
    say("refused=mended");
}
