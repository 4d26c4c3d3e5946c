//! The access check: decides which requests on loopback may use the key.
//!
//! Any user of this machine can connect to a port on loopback. A web page can make its visitor's
//! browser send requests there, and can let its own host name resolve to this machine (DNS
//! rebinding). So three things are checked: the path holds a secret; `Host` must be a name or
//! address that only this machine has; and the fields in which a browser reports the origin of a
//! request must allow it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::message::target::Origin;
use crate::net::ListenAddress;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The address, secret path and allowed origins of a bridge on loopback.
///
/// ```
/// use mcpid::connect::LoopbackAccess;
/// use mcpid::message::target::Origin;
/// use mcpid::net::ListenAddress;
///
/// let address: ListenAddress = "127.0.0.1:4000".parse()?;
/// let access = LoopbackAccess::new(&address, "hQ9wX2m4Zk7sT1vB8nYc3g")
///     .with_origin(Origin::parse("https://app.example.com")?);
/// assert_eq!(access.path(), "/hQ9wX2m4Zk7sT1vB8nYc3g/mcp");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LoopbackAccess {
    path: String,
    bound: BoundSocket,
    origins: Vec<Origin>,
}

#[derive(Clone, Debug)]
enum BoundSocket {
    Tcp(SocketAddr),
    /// The bridge listens on a Unix socket. The mode of the socket file decides which users may
    /// connect.
    Unix,
}

impl std::fmt::Debug for LoopbackAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path is a secret, so the debug output does not show it.
        f.debug_struct("LoopbackAccess").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// Why a request has no access: the status and the text of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccessDenied {
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
}

const fn denied(status: StatusCode, why: &'static str) -> AccessDenied {
    AccessDenied { status, why }
}

impl LoopbackAccess {
    /// Creates the access check for `address`, the bound address with its port. `secret` becomes a
    /// part of the path and must not be guessable. For a Unix socket there is no secret, and the
    /// path is `/mcp`.
    pub fn new(address: &ListenAddress, secret: &str) -> Self {
        let (path, bound) = match address {
            ListenAddress::Tcp(address) => (format!("/{secret}/mcp"), BoundSocket::Tcp(*address)),
            ListenAddress::Unix(_) => ("/mcp".to_owned(), BoundSocket::Unix),
        };
        LoopbackAccess { path, bound, origins: Vec::new() }
    }

    /// Also allows web pages of `origin`, if they know the path.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// Returns the only path that is served.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Checks whether a request may use the key. If a web page sent the request, returns the origin
    /// of the page.
    ///
    /// # Errors
    /// [`AccessDenied`] with status 404 for another path, 403 for a host or origin that is not
    /// allowed, 400 for a field that cannot be read, 405 for `OPTIONS` without an origin.
    pub(super) fn check(
        &self,
        method: &Method,
        path: &str,
        authority: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Option<String>, AccessDenied> {
        if !same(path.as_bytes(), self.path.as_bytes()) {
            return Err(denied(StatusCode::NOT_FOUND, "there is nothing here"));
        }
        let host = match authority {
            Some(authority) => Some(authority),
            None => single(headers, &header::HOST)?,
        };
        if !host.is_some_and(|host| self.is_here(host)) {
            return Err(denied(StatusCode::FORBIDDEN, "the host field names another host"));
        }
        let origin = single(headers, &header::ORIGIN)?;
        match origin {
            Some(origin) if !self.lets_in(origin) => {
                return Err(denied(
                    StatusCode::FORBIDDEN,
                    "pages of this origin may not use the key",
                ));
            }
            Some(_) => {}
            None => {
                let site = single(headers, &FETCH_SITE)?;
                if !matches!(site, None | Some("none" | "same-origin")) {
                    return Err(denied(StatusCode::FORBIDDEN, "other sites may not use the key"));
                }
            }
        }
        if *method == Method::OPTIONS && origin.is_none() {
            return Err(denied(StatusCode::METHOD_NOT_ALLOWED, "OPTIONS is for pages"));
        }
        Ok(origin.map(str::to_owned))
    }

    /// Returns true if `host` is a name or address that only this machine has.
    fn is_here(&self, host: &str) -> bool {
        let BoundSocket::Tcp(bound) = self.bound else {
            return host.eq_ignore_ascii_case("localhost");
        };
        // Without a port, the default port 80 is meant.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !host.ends_with(']') => (name, port.parse().ok()),
            _ => (host, Some(80)),
        };
        if port != Some(bound.port()) {
            return false;
        }
        let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let literal: Option<IpAddr> = match inner {
            Some(inner) => inner.parse().ok().map(IpAddr::V6),
            None => name.parse().ok().map(IpAddr::V4),
        };
        match literal {
            // `Host` is an IP address, which DNS rebinding cannot change.
            Some(ip) => ip == bound.ip() || bound.ip().is_unspecified(),
            None => name.eq_ignore_ascii_case("localhost"),
        }
    }

    fn lets_in(&self, origin: &str) -> bool {
        Origin::parse(origin).is_ok_and(|origin| self.origins.contains(&origin))
    }
}

/// Returns the value of a field that must not occur twice, or None if the field is absent.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, AccessDenied> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| denied(StatusCode::BAD_REQUEST, "a field that is no text")),
        _ => Err(denied(StatusCode::BAD_REQUEST, "a field that must stand once stands twice")),
    }
}

/// Compares the secret path in constant time. The duration of the comparison does not reveal how
/// many bytes of a guess are right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn access(at: &str) -> LoopbackAccess {
        let access = LoopbackAccess::new(&at.parse().unwrap(), "secret");
        access.with_origin(Origin::parse("https://app.example").unwrap())
    }

    fn status(access: &LoopbackAccess, path: &str, fields: &[(&str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, value.parse().unwrap());
        }
        match access.check(&Method::POST, path, None, &headers) {
            Ok(_) => 200,
            Err(denied) => denied.status.as_u16(),
        }
    }

    #[test]
    fn a_request_needs_the_path_and_a_local_host_and_origin() {
        let access = access("127.0.0.1:4000");
        let good = ("host", "127.0.0.1:4000");
        for fields in [
            vec![good],
            vec![("host", "localhost:4000")],
            vec![("host", "LOCALHOST:4000")],
            vec![good, ("sec-fetch-site", "none")],
            vec![good, ("sec-fetch-site", "same-origin")],
            vec![good, ("origin", "https://app.example")],
            vec![good, ("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(status(&access, "/secret/mcp", &fields), 200, "{fields:?}");
        }
        for path in [
            "/",
            "/mcp",
            "/secret",
            "/secret/",
            "/secret/mcp/",
            "//secret/mcp",
            "/Secret/mcp",
            "/secret/mcp?x",
        ] {
            assert_eq!(status(&access, path, &[good]), 404, "{path}");
        }
        for (expected, fields) in [
            (403, vec![]),
            (403, vec![("host", "evil.example:4000")]),
            (403, vec![("host", "evil.example")]),
            (403, vec![("host", "127.0.0.1")]),
            (403, vec![("host", "127.0.0.1:4001")]),
            (403, vec![("host", "127.0.0.2:4000")]),
            (403, vec![("host", "[::1]:4000")]),
            (403, vec![("host", "localhost.:4000")]),
            (403, vec![("host", "localhost.evil.example:4000")]),
            (400, vec![good, good]),
            (403, vec![good, ("origin", "null")]),
            (403, vec![good, ("origin", "http://127.0.0.1:4000")]),
            (403, vec![good, ("origin", "https://app.example.evil.example")]),
            (403, vec![good, ("origin", "http://app.example")]),
            (403, vec![good, ("origin", "https://app.example:8443")]),
            (400, vec![good, ("origin", "https://app.example"), ("origin", "null")]),
            (403, vec![good, ("sec-fetch-site", "cross-site")]),
            (403, vec![good, ("sec-fetch-site", "same-site")]),
            (403, vec![good, ("sec-fetch-site", "")]),
        ] {
            assert_eq!(status(&access, "/secret/mcp", &fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn the_host_depends_on_the_socket() {
        let six = access("[::1]:4000");
        assert_eq!(status(&six, "/secret/mcp", &[("host", "[::1]:4000")]), 200);
        assert_eq!(status(&six, "/secret/mcp", &[("host", "127.0.0.1:4000")]), 403);
        let all = access("0.0.0.0:4000");
        assert_eq!(status(&all, "/secret/mcp", &[("host", "192.0.2.7:4000")]), 200);
        assert_eq!(status(&all, "/secret/mcp", &[("host", "rebound.example:4000")]), 403);
        let unix = access("unix:/run/x.sock");
        assert_eq!(status(&unix, "/mcp", &[("host", "localhost")]), 200);
        assert_eq!(status(&unix, "/secret/mcp", &[("host", "localhost")]), 404);
        assert_eq!(status(&unix, "/mcp", &[("host", "evil.example")]), 403);
    }
}
