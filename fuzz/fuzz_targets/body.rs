//! Fuzzes the reader of MCP bodies. The first byte selects the scope. Each body that is accepted
//! must be one JSON object for serde too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::mcp::body::{self, Scope};
use mcpid::mcp::headers;
use mcpid::message::{Head, RequestTarget};

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let scope = if choice & 1 == 0 { Scope::Anywhere } else { Scope::Endpoint };
    let Ok(target) = RequestTarget::from_url("https://example.com/mcp") else { return };
    let mut head = Head::new("POST", target).expect("a plain head");
    head.push("content-type", b"application/json").expect("a plain field");
    let Ok(reading) = body::read(&head, body, scope) else { return };
    let _ = headers::check(&head, &reading);
    if let Some(message) = reading.message() {
        for (_, value) in headers::for_message(message) {
            assert!(headers::decode(value.as_bytes()).is_some(), "what is sent can be read");
        }
    }
});
