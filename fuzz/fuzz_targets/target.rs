//! Fuzzes the reader of URLs. An accepted URL keeps its path and query byte for byte, and is
//! accepted again in its printed form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let none = Origins::default();
    let Some(head) = head_of(text) else { return };
    let Ok(target) = none.resolve(&head) else { return };
    for part in [target.path(), target.query()].into_iter().flatten() {
        assert!(text.contains(part) || part == "/", "{part:?} of {text:?}");
    }
    let uri = target.target_uri();
    let head = head_of(&uri).expect("what is told can be read");
    assert_eq!(none.resolve(&head).expect("what is told resolves").target_uri(), uri);
});

fn head_of(url: &str) -> Option<Head<'_>> {
    Head::new("GET", RequestTarget::from_url(url).ok()?).ok()
}
