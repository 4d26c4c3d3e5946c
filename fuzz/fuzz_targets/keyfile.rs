//! Fuzzes the reader of keyfiles. Bounds are checked before any work, and an accepted keyfile is
//! written back as the same file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::key::keyfile::Keyfile;

fuzz_target!(|data: &[u8]| {
    let Ok(file) = Keyfile::from_json(data) else { return };
    let text = file.to_json();
    let again = Keyfile::from_json(text.as_bytes()).expect("what was written can be read");
    assert_eq!(again.public().id(), file.public().id());
    assert_eq!((again.name(), again.created()), (file.name(), file.created()));
    if file.is_plain() {
        let _ = file.open(None);
    }
});
