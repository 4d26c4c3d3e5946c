//! What is refused on sight, before anything is judged: requests that two servers could frame or
//! address differently.
//!
//! The HTTP library has parsed the head by then, and has refused or repaired what it does not show
//! (bare line feeds, folded lines, a length beside chunks). None of the client's framing goes on to
//! the upstream, so a repair there cannot be seen from behind.

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Version, header};

/// A fault that needs no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// A stable word.
    pub(super) reason: &'static str,
    /// What the client is told.
    pub(super) words: &'static str,
}

const fn fault(status: StatusCode, reason: &'static str, words: &'static str) -> Fault {
    Fault { status, reason, words }
}

const BAD: StatusCode = StatusCode::BAD_REQUEST;

/// The faults, each with its own word.
pub(super) const VERSION: Fault = fault(
    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    "http_version",
    "only HTTP/1.1 and HTTP/2 are spoken here",
);
pub(super) const METHOD: Fault =
    fault(StatusCode::METHOD_NOT_ALLOWED, "method", "neither CONNECT nor TRACE is for this server");
pub(super) const HOST: Fault =
    fault(BAD, "host", "the request must name its host once, and nowhere differently");
pub(super) const USER_INFO: Fault =
    fault(BAD, "user_information", "the target holds user information");
pub(super) const CODING: Fault = fault(
    StatusCode::NOT_IMPLEMENTED,
    "transfer_coding",
    "no transfer coding but chunked is understood",
);
pub(super) const UPGRADE: Fault =
    fault(BAD, "upgrade", "the protocol cannot be changed on this connection");
pub(super) const CONNECTION: Fault =
    fault(BAD, "connection", "connection options other than close, keep-alive and te are refused");

/// Looks at the head of a request.
pub(super) fn check(parts: &Parts) -> Result<(), Fault> {
    let multiplexed = match parts.version {
        Version::HTTP_11 => false,
        Version::HTTP_2 => true,
        _ => return Err(VERSION),
    };
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(METHOD);
    }
    check_host(parts, multiplexed)?;
    let headers = &parts.headers;
    // `chunked` alone, once: the library has taken it off already, and what else there was would
    // have to be as well.
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        _ => return Err(CODING),
    }
    if headers.contains_key(header::UPGRADE) || headers.contains_key("http2-settings") {
        return Err(UPGRADE);
    }
    for option in options(headers) {
        if !["close", "keep-alive", "te"].iter().any(|known| option.eq_ignore_ascii_case(known)) {
            return Err(if option.eq_ignore_ascii_case("upgrade") { UPGRADE } else { CONNECTION });
        }
    }
    Ok(())
}

fn check_host(parts: &Parts, multiplexed: bool) -> Result<(), Fault> {
    let authority = parts.uri.authority();
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(USER_INFO);
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(HOST);
    }
    match (host, authority) {
        (Some(host), _) if host.as_bytes().contains(&b'@') => Err(USER_INFO),
        (Some(host), Some(authority)) => match host.to_str() {
            Ok(host) if same(host, authority) => Ok(()),
            _ => Err(HOST),
        },
        (Some(_), None) => Ok(()),
        // RFC 9113 section 8.3.1: there the pseudo-header field is enough.
        (None, Some(_)) if multiplexed => Ok(()),
        (None, _) => Err(HOST),
    }
}

fn same(host: &str, authority: &Authority) -> bool {
    host.eq_ignore_ascii_case(authority.as_str())
}

/// The options that a `Connection` field names; what is no text counts as an unknown one.
fn options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .filter(|option| !option.is_empty())
}
