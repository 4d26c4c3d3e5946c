//! Fuzzes the reader of HTTP archives, entry by entry.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::message::har::Har;

fuzz_target!(|data: &[u8]| {
    let Ok(har) = Har::parse(data) else { return };
    assert_eq!(har.iter().count(), har.len());
    assert!(har.entry(har.len()).is_none());
});
