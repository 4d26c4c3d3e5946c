//! Refuses requests that another server could route or frame differently, before a signature is
//! checked.
//!
//! The bytes of the head were checked before parsing (see [`HeadFault`]). The client's framing is
//! not passed on: hyper frames the request to the upstream again.

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Version, header};

use crate::net::HeadFault;

/// An error with which the gateway itself answers a request, before or after the verification
/// layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GatewayError {
    pub(super) status: StatusCode,
    /// A stable code for JSON and logs.
    pub(super) reason: &'static str,
    /// The message for the client. It contains no character that JSON has to escape.
    pub(super) message: &'static str,
}

impl GatewayError {
    pub(super) const fn new(
        status: StatusCode,
        reason: &'static str,
        message: &'static str,
    ) -> Self {
        GatewayError { status, reason, message }
    }
}

const BAD: StatusCode = StatusCode::BAD_REQUEST;

impl From<HeadFault> for GatewayError {
    fn from(fault: HeadFault) -> Self {
        GatewayError::new(fault.status(), fault.reason(), fault.message())
    }
}

const VERSION: GatewayError = GatewayError::new(
    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    "http_version",
    "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here",
);
const HOST: GatewayError =
    GatewayError::new(BAD, "host", "the request must name its host once, and nowhere differently");
const USER_INFO: GatewayError =
    GatewayError::new(BAD, "user_information", "the target holds user information");
const CONNECTION: GatewayError = GatewayError::new(
    BAD,
    "connection",
    "connection options other than close, keep-alive, te, upgrade and http2-settings are refused",
);

/// The options that a client may list in `Connection`. Proxies remove the fields that are listed
/// there, so only fields that no signature covers may be listed. `Upgrade` is accepted but ignored
/// (RFC 9110 section 7.8) and not passed on.
const OPTIONS: [&str; 5] = ["close", "keep-alive", "te", "upgrade", "http2-settings"];

/// Checks version, method, host and connection options of a request.
pub(super) fn check(parts: &Parts) -> Result<(), GatewayError> {
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

fn check_host(parts: &Parts, multiplexed: bool) -> Result<(), GatewayError> {
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
        // RFC 9113 section 8.3.1: in HTTP/2 the pseudo-header field replaces `Host`.
        (None, Some(_)) if multiplexed => Ok(()),
        (None, _) => Err(HOST),
    }
}

fn same(host: &str, authority: &Authority) -> bool {
    host.eq_ignore_ascii_case(authority.as_str())
}

/// Returns the options that the `Connection` lines list. A value that is not text counts as an
/// unknown option.
fn options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .filter(|option| !option.is_empty())
}
