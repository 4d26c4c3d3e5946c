//! Fuzzes the reader of trust files. A file that is accepted for judging can be edited, and an edit
//! without changes keeps its content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::key::trust::{Document, Registry, TrustFile};

fuzz_target!(|data: &[u8]| {
    let Ok(file) = TrustFile::parse(data) else { return };
    let registry = Registry::merge([file.clone()]);
    for entry in file.entries() {
        let found = registry.by_id(entry.key().id().as_str()).expect("every entry is registered");
        assert_eq!(found.revoked_at(), entry.revoked_at());
    }
    let Ok(document) = Document::parse(data) else { return };
    let again = TrustFile::parse(document.to_json().as_bytes()).expect("what is written is read");
    assert_eq!(again.entries().len(), file.entries().len());
    for (a, b) in again.entries().iter().zip(file.entries()) {
        assert_eq!((a.key().id(), a.name(), a.kids()), (b.key().id(), b.name(), b.kids()));
        assert_eq!((a.not_before(), a.not_after()), (b.not_before(), b.not_after()));
        assert_eq!((a.revoked_at(), a.client_ids()), (b.revoked_at(), b.client_ids()));
        assert_eq!(a.is_limited(), b.is_limited());
    }
});
