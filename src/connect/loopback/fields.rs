//! The header fields that are forwarded between a client on loopback and the server.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::message::is_override;

/// Fields that the bridge does not pass on to the server: hop-by-hop fields (RFC 9110, section
/// 7.6.1), which belong to the client's connection, and the fields below.
const DROPPED_FIELDS: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    // A browser sets these fields for the address on loopback. They would be wrong for the server.
    "host",
    "origin",
    "referer",
    "cookie",
    "set-cookie",
    "expect",
    "alt-svc",
    // The signer writes these fields itself.
    "signature",
    "signature-input",
    "content-digest",
];
const DROPPED_PREFIXES: &[&str] = &["sec-", "access-control-", "mcpid-"];

/// Fields of an answer that a web page may read.
const EXPOSED_FIELDS: &str = "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After";
/// Fields that a web page may send if its preflight request does not list any.
const DEFAULT_ALLOWED_FIELDS: &str = "Content-Type, Accept, Authorization, Last-Event-ID, Mcp-Session-Id, \
                     MCP-Protocol-Version, Mcp-Method, Mcp-Name";

/// Returns the fields of `headers` that the bridge passes on to the server.
pub(super) fn passed(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let passes = |name: &str| {
        !DROPPED_FIELDS.contains(&name)
            && !is_override(name)
            && !DROPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            // Some servers treat `mcp_name` as `mcp-name`, so such a field could contradict the
            // checked one.
            && !name.contains('_')
            && !named.iter().any(|named| named == name)
    };
    headers
        .iter()
        .filter(|(name, _)| passes(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Adds the CORS fields that allow a page of `origin` to read the answer.
pub(super) fn for_page(headers: &mut HeaderMap, origin: &str) {
    if let Ok(origin) = HeaderValue::from_str(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED_FIELDS),
        );
    }
}

/// Adds the CORS fields of the answer to a preflight with the fields `asked`.
pub(super) fn for_preflight(headers: &mut HeaderMap, asked: &HeaderMap) {
    let methods = HeaderValue::from_static("POST, GET, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let wanted = wanted.unwrap_or_else(|| HeaderValue::from_static(DEFAULT_ALLOWED_FIELDS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_end_to_end_fields_are_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", "application/json"),
            ("authorization", "Bearer t"),
            ("mcp-session-id", "s"),
            ("traceparent", "00-1"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("host", "127.0.0.1:1"),
            ("cookie", "a=b"),
            ("origin", "https://a"),
            ("sec-fetch-site", "none"),
            ("mcp_name", "x"),
            ("signature", "mcp=:AA==:"),
            ("content-digest", "x"),
            ("mcpid-status", "verified"),
            ("x-forwarded-for", "1"),
            ("x-http-method-override", "DELETE"),
            ("x-http-method", "DELETE"),
            ("x-method-override", "DELETE"),
            ("forwarded", "for=1"),
            ("x-real-ip", "1"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let passed = passed(&headers);
        let names: Vec<_> = passed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["accept", "authorization", "mcp-session-id", "traceparent"]);
    }
}
