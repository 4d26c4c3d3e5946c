//! Refuses `Mcp-*` fields that contradict the body.
//!
//! `Mcp-Method`, `Mcp-Name` and similar fields repeat parts of the body, and are signed together
//! with it. If a field named another tool than the body, a server that trusts the field would
//! execute another operation than the one that a person saw in the body and consented to, with a
//! valid signature. A missing field is not refused here; the server decides whether it needs the
//! field.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::mcp::body::Message;
use crate::mcp::headers::decode;
use crate::message::shown::visible;

const PARAM: &str = "mcp-param-";

/// Returns a text about the first `Mcp-*` field of `passed` that contradicts `message`, which was
/// parsed from `body`. Returns None if no field does.
///
/// `Mcp-Param-*` fields are checked only if `params` is set, which means that a person is asked
/// about the body. Only the server's schema says which argument such a field repeats, and servers
/// decode unusual encodings differently.
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
                    body.pointer("/params/arguments").is_some_and(|within| has_value(within, said))
                })
            }),
            _ => true,
        };
        let value = String::from_utf8_lossy(value.as_bytes());
        (!agrees).then(|| format!("{name} is {}, and the body does not say so", visible(&value)))
    })
}

/// Returns a text about the first field of `passed` that claims to repeat a part of a body,
/// although the request has none. Returns None if no field does.
pub(super) fn bodiless(passed: &[(HeaderName, HeaderValue)]) -> Option<String> {
    let says = |name: &str| matches!(name, "mcp-method" | "mcp-name") || name.starts_with(PARAM);
    let (name, _) = passed.iter().find(|(name, _)| says(name.as_str()))?;
    Some(format!("{name} stands beside no body"))
}

/// Returns true if a string, number or boolean somewhere in `arguments` equals `said`, the value of
/// a header field. Which argument the field repeats is not known without the tool's schema. This
/// check is enough, because the person who consents sees every value in the body.
fn has_value(arguments: &Value, said: &str) -> bool {
    match arguments {
        Value::String(text) => text == said,
        Value::Bool(is) => is.to_string() == said,
        Value::Number(number) => {
            let text = number.to_string();
            text == said || text.strip_suffix(".0") == Some(said)
        }
        Value::Array(items) => items.iter().any(|item| has_value(item, said)),
        Value::Object(members) => members.values().any(|member| has_value(member, said)),
        Value::Null => false,
    }
}
