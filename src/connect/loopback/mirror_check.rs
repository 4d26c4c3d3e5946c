//! Refuses `Mcp-*` fields that contradict the body.
//!
//! `Mcp-Method`, `Mcp-Name` and the others repeat parts of the body, and are signed with it. A
//! server that acts on a field with another tool name would do, under a good signature, an
//! operation that the body does not name and that the consenting person has not seen. The server
//! checks for missing fields.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::mcp::body::Message;
use crate::mcp::headers::decode;
use crate::message::shown::visible;

const PARAM: &str = "mcp-param-";

/// Returns, in words, the first `Mcp-*` field of `passed` that contradicts `message`, whose text is
/// `body`. Returns None if no field does.
///
/// `Mcp-Param-*` is checked only with `params`, when a person is asked about the body. Only the
/// server's schema says which argument such a field repeats, and servers read odd encodings of it
/// differently.
pub(super) fn contradicted(
    passed: &[(HeaderName, HeaderValue)],
    message: &Message<'_>,
    body: &[u8],
    params: bool,
) -> Option<String> {
    passed.iter().find_map(|(name, value)| {
        let said = decode(value.as_bytes());
        let equals = |shown: Option<&str>| said.is_some() && said.as_deref() == shown;
        let agrees = match name.as_str() {
            "mcp-method" => equals(message.method()),
            "mcp-name" => equals(message.name()),
            "mcp-protocol-version" => {
                said.is_some() && message.protocol_version().is_none_or(|shown| equals(Some(shown)))
            }
            name if name.starts_with(PARAM) && !params => true,
            name if name.starts_with(PARAM) => said.as_deref().is_some_and(|said| {
                let body: Option<Value> = serde_json::from_slice(body).ok();
                body.is_some_and(|body| {
                    body.pointer("/params/arguments").is_some_and(|within| holds(within, said))
                })
            }),
            _ => true,
        };
        let value = String::from_utf8_lossy(value.as_bytes());
        (!agrees).then(|| format!("{name} is {}, and the body does not say so", visible(&value)))
    })
}

/// Returns, in words, the first field of `passed` that repeats a part of a body, for a request that
/// has no body. Returns None if there is no such field.
pub(super) fn bodiless(passed: &[(HeaderName, HeaderValue)]) -> Option<String> {
    let says = |name: &str| matches!(name, "mcp-method" | "mcp-name") || name.starts_with(PARAM);
    let (name, _) = passed.iter().find(|(name, _)| says(name.as_str()))?;
    Some(format!("{name} stands beside no body"))
}

/// Returns whether a string, number or boolean somewhere in `arguments` equals `said`. The schema
/// that says which argument the field repeats is not known here. It is enough that the person who
/// is asked sees the value.
fn holds(arguments: &Value, said: &str) -> bool {
    match arguments {
        Value::String(text) => text == said,
        Value::Bool(is) => is.to_string() == said,
        Value::Number(number) => {
            let text = number.to_string();
            text == said || text.strip_suffix(".0") == Some(said)
        }
        Value::Array(items) => items.iter().any(|item| holds(item, said)),
        Value::Object(members) => members.values().any(|member| holds(member, said)),
        Value::Null => false,
    }
}
