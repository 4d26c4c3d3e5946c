//! What is refused on sight, before anything is judged: requests that two servers could address or
//! understand differently.
//!
//! The bytes of the head were checked by the server before they were parsed (see
//! [`HeadFault`]), and none of the client's framing goes on to the upstream.

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Version, header};

use crate::net::HeadFault;

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

impl From<HeadFault> for Fault {
    fn from(fault: HeadFault) -> Self {
        self::fault(fault.status(), fault.reason(), fault.message())
    }
}

/// The faults, each with its own word.
pub(super) const VERSION: Fault = fault(
    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    "http_version",
    "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here",
);
pub(super) const HOST: Fault =
    fault(BAD, "host", "the request must name its host once, and nowhere differently");
pub(super) const USER_INFO: Fault =
    fault(BAD, "user_information", "the target holds user information");
pub(super) const CONNECTION: Fault = fault(
    BAD,
    "connection",
    "connection options other than close, keep-alive, te, upgrade and http2-settings are refused",
);

/// Connection options that hide no field which counts. An offer to change the protocol is ignored,
/// as any server may (RFC 9110 section 7.8): the fields go no further.
const OPTIONS: [&str; 5] = ["close", "keep-alive", "te", "upgrade", "http2-settings"];

/// Looks at the head of a request.
pub(super) fn check(parts: &Parts) -> Result<(), Fault> {
    let multiplexed = match parts.version {
        Version::HTTP_10 | Version::HTTP_11 => false,
        Version::HTTP_2 => true,
        _ => return Err(VERSION),
    };
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(HeadFault::Method.into());
    }
    check_host(parts, multiplexed)?;
    let known = |option: &str| OPTIONS.iter().any(|known| option.eq_ignore_ascii_case(known));
    if options(&parts.headers).all(known) { Ok(()) } else { Err(CONNECTION) }
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
