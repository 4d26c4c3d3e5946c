//! Error responses of JSON-RPC 2.0, for all code that answers in place of an MCP server.

use std::borrow::Cow;

/// Returns the error response to the request with the id `id`, which is JSON in the spelling of the
/// request. `data` is JSON too. Without an id, the member `id` is left out.
///
/// ```
/// use mcpid::mcp::error_response::error_response;
///
/// let body = error_response(Some("7"), -31401, "expired", Some(r#"{"reason":"expired"}"#));
/// assert_eq!(
///     body,
///     r#"{"jsonrpc":"2.0","id":7,"error":{"code":-31401,"message":"expired","data":{"reason":"expired"}}}"#
/// );
/// ```
pub fn error_response(id: Option<&str>, code: i64, message: &str, data: Option<&str>) -> String {
    let mut body = String::with_capacity(256);
    body.push_str(r#"{"jsonrpc":"2.0","#);
    if let Some(id) = id {
        body.extend([r#""id":"#, id, ","]);
    }
    body.extend([r#""error":{"code":"#, &code.to_string(), r#","message":"#, &quoted(message)]);
    if let Some(data) = data {
        body.extend([r#","data":"#, data]);
    }
    body.push_str("}}");
    body
}

/// Returns `text` as a JSON string.
fn quoted(text: &str) -> Cow<'static, str> {
    // This cannot fail: a string can always be written as JSON.
    serde_json::to_string(text).map_or(Cow::Borrowed("\"\""), Cow::Owned)
}
