//! No `Mcp-*` field may say otherwise than the body beside it.
//!
//! The fields are signed, so that a server that goes by them would do with a good signature what
//! the body does not say, and what a person who was asked was not shown. A field that is missing is
//! the server's to miss.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::mcp::body::Message;
use crate::mcp::headers::decode;
use crate::message::shown::visible;

const PARAM: &str = "mcp-param-";

/// The first `Mcp-*` field of `passed` that says what `message`, whose text is `body`, does not.
/// `Mcp-Param-*` counts only with `params`, where a person is asked about the body: which argument
/// it repeats is in a schema that the server has, and servers read odd encodings differently.
pub(super) fn contradicted(
    passed: &[(HeaderName, HeaderValue)],
    message: &Message<'_>,
    body: &[u8],
    params: bool,
) -> Option<String> {
    passed.iter().find_map(|(name, value)| {
        let said = decode(value.as_bytes());
        let told = |shown: Option<&str>| said.is_some() && said.as_deref() == shown;
        let agrees = match name.as_str() {
            "mcp-method" => told(message.method()),
            "mcp-name" => told(message.name()),
            "mcp-protocol-version" => {
                said.is_some() && message.protocol_version().is_none_or(|shown| told(Some(shown)))
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

/// The first field of `passed` that says what is in a body, for a request that has none.
pub(super) fn bodiless(passed: &[(HeaderName, HeaderValue)]) -> Option<String> {
    let says = |name: &str| matches!(name, "mcp-method" | "mcp-name") || name.starts_with(PARAM);
    let (name, _) = passed.iter().find(|(name, _)| says(name.as_str()))?;
    Some(format!("{name} stands beside no body"))
}

/// Whether a text, a number or a truth value somewhere in `arguments` is `said`. Which one the
/// field stands for is in a schema that was not seen here; that it is shown is what counts.
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
