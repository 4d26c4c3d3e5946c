//! The error response of a server or proxy that answers in place of the MCP server.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::mcp::error_response;

/// Returns a JSON-RPC error whose data has the member `reason`, a word that needs no escapes in
/// JSON. `id` is JSON, in the spelling of the request.
///
/// ```
/// use http::StatusCode;
/// use mcpid::tower::{REFUSED, error_response};
///
/// let status = StatusCode::NOT_FOUND;
/// let response = error_response(status, REFUSED, "no such path", "not_found", None);
/// let body = r#"{"jsonrpc":"2.0","error":{"code":-31401,"message":"no such path","data":{"reason":"not_found"}}}"#;
/// assert_eq!(response.body(), body);
/// ```
pub fn error_response(
    status: StatusCode,
    code: i32,
    message: &str,
    reason: &str,
    id: Option<&str>,
) -> Response<Bytes> {
    let data = [r#"{"reason":""#, reason, r#""}"#].concat();
    let body = error_response::error_response(id, code.into(), message, Some(&data));
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
