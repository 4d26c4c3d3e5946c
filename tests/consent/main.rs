//! Tests of consent: which requests need it, what the person is shown, and which answers count as a
//! yes.
#![cfg(feature = "connect")]
#![allow(clippy::unwrap_used)]

#[cfg(all(unix, feature = "cli"))]
mod askpass;
#[cfg(all(unix, feature = "cli"))]
#[path = "../machine/executable.rs"]
mod executable;
mod needed;
mod page;
#[cfg(all(unix, feature = "cli"))]
mod servers;
#[cfg(all(unix, feature = "cli"))]
mod terminal;

use mcpid::mcp::body::{self, AmbiguousBody, Reading, Scope};
use mcpid::message::{Head, RequestTarget};

const TARGET: &str = "https://mcp.example.com/mcp";

/// Parses a POST whose body is `body`.
fn read(body: &[u8]) -> Result<Reading<'_>, AmbiguousBody> {
    let mut head = Head::new("POST", RequestTarget::from_url(TARGET).unwrap()).unwrap();
    head.push("Content-Type", b"application/json").unwrap();
    body::read(&head, body, Scope::Endpoint)
}

/// Returns the text of a `tools/call` of `delete` with these arguments.
fn call(arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"delete","arguments":{arguments}}}}}"#
    )
}
