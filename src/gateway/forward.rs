//! Heads on their way: a fresh one for the upstream, and the upstream's own for the client.
//!
//! Nothing of the client's framing survives: the library writes one `Content-Length` for a body
//! that was read whole. What could make the upstream see another request than the one that was
//! judged is dropped.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::message::is_override;
use crate::tower::Status;

use super::config::Upstream;

/// Fields that are for one connection only (RFC 9110 section 7.6.1), or for the framing.
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

/// Whether a client's field goes on to the upstream.
fn passes(name: &str) -> bool {
    !(HOP_BY_HOP.contains(&name)
        || is_override(name)
        // Servers behind CGI and its kind cannot tell an underscore, and some of them any other of
        // these, from a hyphen.
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        || name.starts_with("mcpid-")
        || name == "host"
        || name == "origin")
}

/// The fields for the upstream of a request that came with `parts` from `sender`.
pub(super) fn request_fields(
    parts: &Parts,
    sender: Option<IpAddr>,
    scheme: &'static str,
    upstream: &Upstream,
    preserve_host: bool,
) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(parts.headers.len() + 8);
    let named = parts.headers.get(header::HOST).cloned();
    let host = named
        .or_else(|| parts.uri.authority().and_then(|a| HeaderValue::try_from(a.as_str()).ok()));
    // `Host` goes first, as clients send it.
    let own = || HeaderValue::try_from(upstream.origin.authority()).ok();
    let sent = if preserve_host { host.clone() } else { own() };
    if let Some(sent) = sent {
        fields.insert(header::HOST, sent);
    }
    for (name, value) in &parts.headers {
        if passes(name.as_str()) || (preserve_host && *name == header::ORIGIN) {
            fields.append(name, value.clone());
        }
    }
    join_crumbs(&mut fields);
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

/// One line of what HTTP/2 cut into several (RFC 9113 section 8.2.3). Clients of HTTP/1.1 send one.
fn join_crumbs(fields: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = fields.get_all(header::COOKIE).iter().map(|c| c.as_bytes()).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        fields.insert(header::COOKIE, cookie);
    }
}

/// Adds what the gateway knows of a request, for the upstream to rely on.
pub(super) fn add_status(fields: &mut HeaderMap, status: &Status) {
    fields.insert("mcpid-status", HeaderValue::from_static(status.as_str()));
    let reason = match status {
        Status::Verified(_) => None,
        Status::Unavailable(_) => Some("unavailable"),
        other => other.code().map(|code| code.as_str()),
    };
    if let Some(reason) = reason {
        fields.insert("mcpid-reason", HeaderValue::from_static(reason));
    }
    // Who it was is told only where that is proven.
    if let Some(verified) = status.verified() {
        let known = [
            ("mcpid-key-id", Some(verified.key().as_str())),
            ("mcpid-name", verified.name()),
            ("mcpid-tag", verified.tag()),
        ];
        for (name, text) in known {
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(encoded(text)).ok()) {
                fields.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// A text as MCP writes those that a field cannot hold as they are.
fn encoded(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_graphic()) && !text.starts_with("=?");
    if plain { text.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(text)) }
}

/// Drops from the head of an answer what was for the connection to the upstream only, or names
/// another way to the upstream (RFC 7838). Of a length that is said twice, or beside a transfer
/// coding, at most one line is left (RFC 9112 section 6.3).
///
/// # Errors
/// A transfer coding that the library has not taken off.
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
    // Whatever `Connection` names is for that connection too.
    let named: Vec<HeaderName> = fields
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // A length is framing, and the library's to write; naming it here must not hide it.
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

/// Leaves one of several lengths, which the library has found to be equal.
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
