//! Fuzzes the reader of captured requests. An accepted input must print back to the same bytes, and
//! read back as the same request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::message::capture::{Captured, Edit};

fuzz_target!(|data: &[u8]| {
    let Ok(captured) = Captured::parse(data, 1 << 16) else { return };
    assert!(captured.body().len() <= 1 << 16);
    let printed = captured.print(None, |_| Edit::Keep, &[]).expect("nothing new is added");
    assert_eq!(printed, data, "unchanged is byte for byte the same");

    let added = [("x-added", "one")];
    let more = captured.print(None, |_| Edit::Keep, &added).expect("a plain field");
    let again = Captured::parse(&more, 1 << 16).expect("a request with one field more");
    assert_eq!(again.body(), captured.body());
    assert_eq!(again.head().method(), captured.head().method());
    assert_eq!(again.head().fields().len(), captured.head().fields().len() + 1);
});
