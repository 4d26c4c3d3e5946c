//! Fuzzes the files of an audit log. A log that opens for writing must open again, must keep all
//! entries under its checkpoint, and must pass through an audit without a panic.
//!
//! The first byte of the input selects which of the hashes and the checkpoint a writer would have
//! left. The second byte is the number of entries under the checkpoint. The third byte is the place
//! at which the hashes are cut off. The other bytes are the entries.
#![no_main]

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mcpid::audit::auditor::{self, Auditor, AuditorInputs};
use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::entry_judge::{EntryJudge, AuditorTrust};
use mcpid::audit::note::{NoteKeyKind, NoteKey};
use mcpid::audit::tree::{self, Frontier};
use mcpid::audit::{Folder, Log, LogError, Settings};
use mcpid::clock::{FixedClock, Timestamp};
use mcpid::key::{SecretKey, Sign as _};

const NAME: &str = "example.com/fuzz";

thread_local! {
    static FOLDER: RefCell<tempfile::TempDir> =
        RefCell::new(tempfile::tempdir().expect("a folder"));
}

fuzz_target!(|data: &[u8]| {
    let [flags, under, cut, entries @ ..] = data else { return };
    FOLDER.with_borrow(|folder| {
        let path = folder.path().join("log");
        let _ = fs::remove_dir_all(&path);
        let key = SecretKey::from_seed(&[7; 32]);
        Folder::init(&path, NAME, &key, Timestamp::from_unix(0)).expect("a log");
        let size = write_log(&path, &key, *flags, (*under).into(), (*cut).into(), entries);
        audit(&path, &key);
        let clock = || Arc::new(FixedClock(Timestamp::from_unix(2_000_000_000)));
        let open = || Log::open(Folder::at(&path)?, Settings::default(), clock());
        let log: Result<Log, LogError> = open();
        let Ok(log) = log else { return };
        let found = log.size();
        assert!(found >= size, "{found} of {size} entries");
        drop(log);
        let again = open().expect("what was opened can be opened again");
        assert_eq!(again.size(), found);
        drop(again);
        audit(&path, &key);
    });
});

/// Writes the files of the log. Returns the number of entries under the checkpoint.
fn write_log(path: &Path, key: &SecretKey, flags: u8, under: u64, cut: usize, entries: &[u8]) -> u64 {
    fs::write(path.join("entries-000000000000.jsonl"), entries).expect("entries");
    let (mut frontier, mut hashes, mut note) = (Frontier::new(), Vec::new(), None);
    let lines = entries.split_inclusive(|b| *b == b'\n');
    for line in lines.filter_map(|line| line.strip_suffix(b"\n")) {
        if frontier.size() == under {
            note = Some((under, frontier.root()));
        }
        frontier.push(tree::leaf(line), |hash| hashes.extend_from_slice(hash));
    }
    if flags & 1 == 0 {
        hashes.truncate(hashes.len().saturating_sub(cut));
        fs::write(path.join("tree"), hashes).expect("hashes");
    } else {
        fs::write(path.join("tree"), entries).expect("no hashes");
    }
    let Some((size, root)) = note.filter(|_| flags & 2 == 0) else { return 0 };
    let as_key = NoteKey::new(NAME, NoteKeyKind::Log, key.public().clone()).expect("a key");
    let note =
        Checkpoint { origin: NAME.to_owned(), size, root }.sign(&as_key, key).expect("a note");
    let part = if flags & 4 == 0 { note.len() } else { note.len().saturating_sub(cut) };
    fs::write(path.join("checkpoints"), &note[..part]).expect("checkpoints");
    if flags & 8 == 0 {
        fs::write(path.join("checkpoint"), &note).expect("a checkpoint");
        return size;
    }
    if part == note.len() { size } else { 0 }
}

fn audit(path: &Path, key: &SecretKey) {
    let folder = Folder::at(path).expect("a folder");
    let log_key = NoteKey::new(NAME, NoteKeyKind::Log, key.public().clone()).expect("a key");
    let inputs = AuditorInputs { log_key: Some(log_key), ..AuditorInputs::default() };
    let mut auditor = Auditor::new(&folder, &inputs).expect("files that can be read");
    let mut judge = EntryJudge::new(AuditorTrust::of_the_log());
    for line in auditor::lines(&folder).expect("files that can be read") {
        auditor.take(judge.judge_line(&line.expect("lines that can be read")));
    }
    let _ = auditor.finish().finding.map(|finding| finding.to_string());
}
