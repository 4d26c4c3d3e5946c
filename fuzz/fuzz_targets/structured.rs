//! Fuzzes the reader of structured fields. A value that the strict reader accepts must be written,
//! and read back as the same value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::message::structured::{Dictionary, Item, List};

fuzz_target!(|data: &[u8]| {
    let mut text = String::new();
    if let Ok(read) = Dictionary::strict(data) {
        read.write_to(&mut text).expect("what was read can be written");
        let again = Dictionary::strict(text.as_bytes()).expect("what was written can be read");
        let bare = |d: &Dictionary<'_>| -> Vec<_> {
            d.members.iter().map(|(k, m)| (k.to_string(), m.value.clone().into_owned())).collect()
        };
        assert_eq!(bare(&read), bare(&again));
    }
    text.clear();
    if let Ok(read) = List::strict(data) {
        read.write_to(&mut text).expect("what was read can be written");
        let again = List::strict(text.as_bytes()).expect("what was written can be read");
        assert_eq!(read.members.len(), again.members.len());
        assert!(read.members.iter().zip(&again.members).all(|(a, b)| a.value == b.value));
    }
    text.clear();
    if let Ok(read) = Item::strict(data) {
        read.write_to(&mut text).expect("what was read can be written");
        assert_eq!(Item::strict(text.as_bytes()).expect("what was written can be read"), read);
    }
    // The lenient reader accepts each input that the strict reader accepts.
    if Dictionary::parse(data).is_err() {
        assert!(Dictionary::strict(data).is_err());
    }
});
