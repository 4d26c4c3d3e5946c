//! Fuzzes the check of evidence files. No input may cause a panic, and a signature of a log key
//! other than the pinned one must never count.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::audit::auditor::AuditorInputs;
use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::entry_judge::AuditorTrust;
use mcpid::audit::note::{NoteKeyKind, Note, NoteKey};
use mcpid::audit::proof;
use mcpid::key::{SecretKey, Sign as _};

fuzz_target!(|data: &[u8]| {
    if let Ok(note) = Note::parse(data) {
        let _ = Checkpoint::of(&note);
    }
    let Ok(free) = proof::check(data, &AuditorInputs::default(), AuditorTrust::of_the_log()) else { return };
    assert!(!free.pinned && !free.anchored);
    let _ = free.entry();
    let key = SecretKey::from_seed(&[7; 32]);
    let log_key = NoteKey::new("example.com/another", NoteKeyKind::Log, key.public().clone())
        .expect("a name and a key");
    let inputs = AuditorInputs { log_key: Some(log_key), ..AuditorInputs::default() };
    let pinned = proof::check(data, &inputs, AuditorTrust::of_the_log()).expect("it was read before");
    assert!(pinned.fault.is_some() && !pinned.anchored);
});
