//! Header fields that the gateway passes on: those of requests to the upstream, and those of
//! answers to the client.
//!
//! The framing of the client (`Content-Length`, `Transfer-Encoding`) is not passed on: the gateway
//! has read the whole body, and hyper writes its `Content-Length`. The gateway also drops fields
//! that could make the upstream read another request than the one that was judged.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::message::is_override;
use crate::tower::Status;
use crate::verify::Verified;

/// Fields that belong to one connection (RFC 9110 section 7.6.1) or to the framing.
const HOP_BY_HOP: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
    "expect",
];

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Returns true if a field of the client is passed on to the upstream.
fn passes(name: &str) -> bool {
    !(HOP_BY_HOP.contains(&name)
        || is_override(name)
        // Servers that follow CGI (RFC 3875 section 4.1.18) treat underscores and hyphens in field
        // names alike, and some replace other characters too. So fields with other characters than
        // letters, digits and hyphens are removed.
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        || name.starts_with("mcpid-")
        || name == "host"
        || name == "origin")
}

/// Returns the fields of a request to the upstream. `sender` is the address of the client, and
/// `upstream_host` the `Host` of the upstream; if it is `None`, `Host` and `Origin` stay those of
/// the client.
pub(super) fn request_fields(
    parts: &Parts,
    sender: Option<IpAddr>,
    scheme: &'static str,
    upstream_host: Option<&HeaderValue>,
) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(parts.headers.len() + 8);
    let named = parts.headers.get(header::HOST).cloned();
    let host = named
        .or_else(|| parts.uri.authority().and_then(|a| HeaderValue::try_from(a.as_str()).ok()));
    // `Host` comes first, as most clients send it.
    if let Some(sent) = upstream_host.cloned().or_else(|| host.clone()) {
        fields.insert(header::HOST, sent);
    }
    for (name, value) in &parts.headers {
        if passes(name.as_str()) || (upstream_host.is_none() && *name == header::ORIGIN) {
            fields.append(name, value.clone());
        }
    }
    join_cookies(&mut fields);
    let sender = sender.and_then(|address| HeaderValue::try_from(address.to_string()).ok());
    let told = [
        ("x-forwarded-for", sender),
        ("x-forwarded-host", host),
        ("x-forwarded-proto", Some(HeaderValue::from_static(scheme))),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            fields.insert(HeaderName::from_static(name), value);
        }
    }
    fields
}

/// Sets the trace fields (W3C Trace Context section 3.2) to the trace that the log line has. A
/// malformed `traceparent` is removed, together with `tracestate`. `trace` also says whether the
/// trace came in a header field and not in the body.
pub(super) fn set_trace(fields: &mut HeaderMap, trace: Option<(&str, bool)>) {
    let is_from_head = trace.is_some_and(|(_, is_from_head)| is_from_head);
    if !is_from_head {
        fields.remove(TRACESTATE);
    }
    match trace.and_then(|(text, _)| HeaderValue::from_str(text).ok()) {
        Some(value) => _ = fields.insert(TRACEPARENT, value),
        None => _ = fields.remove(TRACEPARENT),
    }
}

/// Joins several `Cookie` lines, which HTTP/2 clients may send (RFC 9113 section 8.2.3), into one.
fn join_cookies(fields: &mut HeaderMap) {
    let mut lines = fields.get_all(header::COOKIE).iter();
    if lines.by_ref().nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = fields.get_all(header::COOKIE).iter().map(|c| c.as_bytes()).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        fields.insert(header::COOKIE, cookie);
    }
}

/// Adds the verdict of the verifier to a request, as `Mcpid-*` fields. The upstream can trust these
/// fields, because all `Mcpid-*` fields of the client were removed.
pub(super) fn add_status(fields: &mut HeaderMap, status: &Status) {
    for (name, value) in status_fields(Some(status)) {
        if let Some(value) = value {
            fields.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Returns all `Mcpid-*` fields, each with its value for `status`. `status` is `None` on an open
/// path, which needs no signature.
pub(super) fn status_fields(status: Option<&Status>) -> [(&'static str, Option<HeaderValue>); 6] {
    let reason = status.and_then(|status| match status {
        Status::Verified(_) => None,
        Status::Unavailable(why) => Some(why.reason()),
        other => other.code().map(|code| code.as_str()),
    });
    // The key is reported only if its signature was verified.
    let verified = status.and_then(Status::verified);
    let touch = verified.and_then(Verified::touch);
    [
        ("mcpid-status", status.map(|status| HeaderValue::from_static(status.as_str()))),
        ("mcpid-reason", reason.map(HeaderValue::from_static)),
        ("mcpid-key-id", verified.and_then(|verified| field_value(verified.key().as_str()))),
        ("mcpid-name", verified.and_then(Verified::name).and_then(field_value)),
        ("mcpid-tag", verified.and_then(Verified::tag).and_then(field_value)),
        ("mcpid-touch", touch.map(|touch| HeaderValue::from_static(touch.as_str()))),
    ]
}

/// Returns `text` as a field value. A text that cannot be a field value is encoded as MCP encodes
/// parameters: `=?base64?…?=`.
fn field_value(text: &str) -> Option<HeaderValue> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic()) && !text.starts_with("=?");
    match plain {
        true => HeaderValue::from_str(text).ok(),
        false => HeaderValue::try_from(format!("=?base64?{}?=", STANDARD.encode(text))).ok(),
    }
}

/// Removes fields of an answer that belong to the connection to the upstream, and fields that
/// advertise another address of the upstream (`Alt-Svc`, RFC 7838). At most one `Content-Length`
/// line is left (RFC 9112 section 6.3).
///
/// # Errors
/// If the answer has a transfer coding that hyper has not decoded.
pub(super) fn answer_fields(fields: &mut HeaderMap) -> Result<(), &'static str> {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => one_length(fields),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            fields.remove(header::CONTENT_LENGTH);
        }
        _ => return Err("the upstream used a transfer coding other than chunked"),
    }
    fields.remove(header::ALT_SVC);
    // Fields that the field `Connection` lists belong to that connection too.
    let named: Vec<HeaderName> = fields
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // `Content-Length` is kept even if `Connection` lists it, because hyper has checked it.
        .filter(|name| *name != header::CONTENT_LENGTH)
        .collect();
    for name in named {
        fields.remove(name);
    }
    for name in HOP_BY_HOP.iter().filter(|name| **name != "content-length") {
        if *name != "proxy-authenticate" {
            fields.remove(*name);
        }
    }
    Ok(())
}

/// Leaves one of several `Content-Length` lines. hyper has checked that they are equal.
fn one_length(fields: &mut HeaderMap) {
    let repeated = {
        let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
        let first = lengths.next();
        first.is_some_and(|first| first.as_bytes().contains(&b',')) || lengths.next().is_some()
    };
    if repeated && let Some(lengths) = fields.remove(header::CONTENT_LENGTH) {
        let length = lengths.to_str().ok().and_then(|lengths| lengths.split(',').next());
        if let Some(length) = length.and_then(|length| HeaderValue::try_from(length.trim()).ok()) {
            fields.insert(header::CONTENT_LENGTH, length);
        }
    }
}
