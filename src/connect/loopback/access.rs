//! Who may borrow the key: not another user of this machine, and not a page in a browser.
//!
//! A page can make its visitor's browser send requests to loopback, and a name that it controls
//! can be made to stand for this machine (DNS rebinding). Another user can connect to any port. So
//! the path holds a secret, `Host` has to be what only this machine is called, and whatever a
//! browser says about where a request comes from has to be good.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::message::target::Origin;
use crate::net::ListenAddress;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where requests are taken, and from whom.
#[derive(Clone)]
pub struct LoopbackAccess {
    path: String,
    bound: BoundSocket,
    origins: Vec<Origin>,
}

#[derive(Clone, Debug)]
enum BoundSocket {
    Tcp(SocketAddr),
    /// The file's mode says who may connect.
    Unix,
}

impl std::fmt::Debug for LoopbackAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path is a secret.
        f.debug_struct("LoopbackAccess").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// What is said to those who may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccessDenied {
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
}

const fn denied(status: StatusCode, why: &'static str) -> AccessDenied {
    AccessDenied { status, why }
}

impl LoopbackAccess {
    /// A door at `address`, the one that was bound, behind a path with `secret`, which nobody can
    /// guess. A Unix socket needs none.
    pub fn new(address: &ListenAddress, secret: &str) -> Self {
        let (path, bound) = match address {
            ListenAddress::Tcp(address) => (format!("/{secret}/mcp"), BoundSocket::Tcp(*address)),
            ListenAddress::Unix(_) => ("/mcp".to_owned(), BoundSocket::Unix),
        };
        LoopbackAccess { path, bound, origins: Vec::new() }
    }

    /// Lets pages of `origin` in, if they know the path.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// The only path that is answered.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether a request may enter; the origin it comes from, if it is a page's.
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

    /// Whether `host` is what only this machine is called.
    fn is_here(&self, host: &str) -> bool {
        let BoundSocket::Tcp(bound) = self.bound else {
            return host.eq_ignore_ascii_case("localhost");
        };
        // Port 80 may be left out.
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
            // An address cannot be made to stand for another.
            Some(ip) => ip == bound.ip() || bound.ip().is_unspecified(),
            None => name.eq_ignore_ascii_case("localhost"),
        }
    }

    fn lets_in(&self, origin: &str) -> bool {
        Origin::parse(origin).is_ok_and(|origin| self.origins.contains(&origin))
    }
}

/// The one value of a field, if it is there.
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

/// Compares in a time that says nothing about where they differ.
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
    fn only_who_knows_the_path_and_comes_from_here_enters() {
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
    fn other_sockets_have_other_names() {
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
