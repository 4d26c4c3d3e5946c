//! The headers of a request for a payload: those that the user gives, and those that an MCP client
//! would send.

use mcpid::mcp::body::{self, Reading, Scope};
use mcpid::mcp::headers;
use mcpid::message::{Head, HeadError, is_tchar};

use crate::input::header_flag;
use crate::output::failure::{Failure, chain};

/// Reads the headers of `-H`, in the order given. A file has one header on each line.
///
/// # Errors
/// A file cannot be read, or a text is not a header.
pub(super) fn from_flags(flags: &[String]) -> Result<Vec<(String, String)>, Failure> {
    header_flag::read_headers(flags, "mcpid sign -H @headers.txt --url URL body.json", header)
}

fn header(line: &str) -> Result<(String, String), Failure> {
    let Some((name, value)) = line.split_once(':') else {
        // The text may be a token, which must not end up in a log, so it is not repeated.
        return Err(Failure::usage("a header is a name, a colon and a value")
            .hint("mcpid sign -H 'Mcp-Session-Id: 42' --url URL body.json"));
    };
    if !name.bytes().all(is_tchar) {
        return Err(Failure::usage(chain(&HeadError::FieldName(name.to_owned()))));
    }
    let lower = name.to_ascii_lowercase();
    if matches!(&*lower, "content-length" | "transfer-encoding" | "signature" | "signature-input") {
        return Err(Failure::usage(format!("{lower} is not for -H: it follows from the request"))
            .hint("leave it out"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Returns the headers that an MCP client would send with this body.
pub(super) fn usual(head: &Head<'_>, body: &[u8]) -> Vec<(&'static str, String)> {
    if body.is_empty() {
        return Vec::new();
    }
    // The body is parsed as if it had a JSON content type, to find out whether it is an MCP
    // message.
    let Ok(mut asked) = Head::new("POST", head.target().clone()) else { return Vec::new() };
    let _ = asked.push("content-type", b"application/json".as_slice());
    let message = match body::read(&asked, body, Scope::Anywhere) {
        Ok(Reading::Message(message)) => message,
        _ => {
            let json = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
            let media = if json { "application/json" } else { "application/octet-stream" };
            return vec![("Content-Type", media.to_owned())];
        }
    };
    let mut headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Accept", "application/json, text/event-stream".to_owned()),
    ];
    headers.extend(headers::for_message(&message));
    headers
}
