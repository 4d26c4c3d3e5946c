//! Tests of an erasure that is killed before each of its calls that change a file, and of the next
//! process, which is killed likewise while it opens the log again.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use mcpid::audit::erase::{self, EraseError};
use mcpid::audit::{Folder, LogSettings};
use mcpid::clock::SystemClock;

use crate::crash::child;
use crate::fixtures::LogFixture;
use crate::killed_maintenance::audit;

/// The number of the entry that is erased.
const ERASED: u64 = 1;

/// Runs in the process that is killed.
pub(crate) fn erase_one(path: &Path) {
    match erase::erase(&Folder::at(path).unwrap(), ERASED, "a request", Arc::new(SystemClock)) {
        Ok(_) | Err(EraseError::Already { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
}

/// Erases the entry in a process that is killed before its call with this number, counted from 1.
/// Returns false if the process ended by itself, because it makes fewer calls.
fn is_killed(fixture: &LogFixture, shim: &Path, call: usize) -> bool {
    let status = child("erase_one", &fixture.path(), &[])
        .env("LD_PRELOAD", shim)
        .env("KILL_BEFORE", call.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success() || status.signal() == Some(9), "call {call}: {status:?}");
    !status.success()
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn an_audit_accuses_no_log_of_a_process_that_was_killed_between_two_calls() {
    let fixture = LogFixture::new();
    fixture.fill(4, LogSettings::default());
    let folder = tempfile::tempdir().unwrap();
    let [shim, whole, once] = ["shim.so", "whole", "once"].map(|name| folder.path().join(name));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit/kill_before.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(source).status();
    assert!(built.unwrap().success());
    copy(&fixture.path(), &whole);
    let check = |what: &dyn Fn() -> String| {
        let report = audit(&fixture);
        assert_eq!(report.finding(), None, "{}", what());
        let half = report.unjudged.get("not_erased").copied().unwrap_or_default();
        assert!(half <= 1, "{}: {half}", what());
    };
    let mut kills = 0;
    for first in 1.. {
        copy(&whole, &fixture.path());
        if !is_killed(&fixture, &shim, first) {
            break;
        }
        check(&|| format!("killed before call {first}"));
        kills += 1;
        copy(&fixture.path(), &once);
        // Opening the log again takes fewer calls than this.
        for second in 1..=10 {
            copy(&once, &fixture.path());
            if !is_killed(&fixture, &shim, second) {
                break;
            }
            check(&|| format!("killed before call {first}, and then before call {second}"));
            kills += 1;
        }
        erase_one(&fixture.path());
        assert!(audit(&fixture).is_good(), "after call {first}");
    }
    assert!(kills > 50, "only {kills} kills");
}
