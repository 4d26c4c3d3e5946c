//! Fuzzes the reader of Signature-Input and Signature, split at the first newline of the input.
//! Well-formed parameters must be written back in the order received, and a base must hold one line
//! for each component.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::base::{self, header};
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};

fuzz_target!(|data: &[u8]| {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    let (input, signature) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let Ok(target) = RequestTarget::from_url("https://example.com/a?b=c") else { return };
    let Ok(mut head) = Head::new("POST", target) else { return };
    for (name, value) in
        [("signature-input", input), ("signature", signature), ("content-type", b"text/plain")]
    {
        if head.push(name, value).is_err() {
            return;
        }
    }
    let Ok(candidates) = header::read(&head) else { return };
    let none = Origins::default();
    let target = none.resolve(&head).expect("an absolute URL");
    for candidate in candidates {
        let Ok(params) = candidate.params else { continue };
        let mut text = String::new();
        params.write_to(&mut text).expect("what was read can be written");
        if let Ok(base) = base::signature_base(&params, &head, &target) {
            assert!(base.is_ascii() && base.ends_with(&text));
            let lines = base.split('\n').count();
            assert!(lines > params.components().len(), "{lines} lines");
        }
    }
});
