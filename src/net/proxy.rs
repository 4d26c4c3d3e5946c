//! Connections through an HTTP proxy, with CONNECT (RFC 9110 section 9.3.6).
//!
//! A tunnel is used for `http` targets too: a proxy that forwards plain HTTP may rewrite signed
//! parts, which would break the signature. Loopback targets are always reached directly, because
//! for the proxy, loopback would be its own machine.

use std::fmt;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::message::target::is_loopback;

/// The values of the environment variables for proxies, each empty if the variable is not set.
#[derive(Clone, Default)]
pub struct ProxySettings {
    /// The value of `HTTPS_PROXY`: for `https` targets.
    pub https: String,
    /// The value of `HTTP_PROXY`: for `http` targets.
    pub http: String,
    /// The value of `ALL_PROXY`: for all targets, if the more specific variable is empty.
    pub all: String,
    /// The value of `NO_PROXY`: hosts, domains, addresses and networks that are reached directly,
    /// separated by commas, or `*`.
    pub no: String,
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The debug output shows no values, because they may contain passwords.
        f.write_str("ProxySettings")
    }
}

/// The reason why a value does not name a usable proxy. The value may hold a password, so it is not
/// printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The scheme of the proxy's URL is not `http`.
    #[error(
        "{variable} names a proxy that is not spoken to by HTTP: only http://HOST:PORT is supported"
    )]
    Scheme {
        /// The name of the variable.
        variable: &'static str,
    },
    /// The value is not the URL of a proxy.
    #[error("{variable} is no URL of a proxy, such as http://HOST:PORT")]
    Form {
        /// The name of the variable.
        variable: &'static str,
    },
}

/// A proxy, with its user name and password if it needs them.
#[derive(Clone)]
pub struct Proxy(Intercept);

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.host())
    }
}

impl Proxy {
    /// Returns the proxy for `target`, an absolute URL, or `None` if it is reached directly.
    ///
    /// # Errors
    /// [`ProxyError`] for the variable that applies: a configured proxy is never bypassed.
    pub fn choose(settings: &ProxySettings, target: &Uri) -> Result<Option<Proxy>, ProxyError> {
        let ProxySettings { https, http, all, no } = settings;
        let (name, own) = match target.scheme_str() {
            Some("https") => ("HTTPS_PROXY", https.trim()),
            _ => ("HTTP_PROXY", http.trim()),
        };
        let (variable, value) =
            if own.is_empty() { ("ALL_PROXY", all.trim()) } else { (name, own) };
        if value.is_empty() || target.host().is_none_or(is_loopback) {
            return Ok(None);
        }
        // A proxy with a made-up address shows whether `NO_PROXY` exempts this target, before any
        // variable is parsed.
        let meant = Matcher::builder().all("http://proxy.invalid").no(no.as_str()).build();
        if meant.intercept(target).is_none() {
            return Ok(None);
        }
        let scheme = value.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if scheme.is_some_and(|scheme| scheme != "http") {
            return Err(ProxyError::Scheme { variable });
        }
        let found = Matcher::builder().all(value).build().intercept(target);
        let found = found.filter(|proxy| is_host_and_port(proxy.uri()));
        found.map(|proxy| Some(Proxy(proxy))).ok_or(ProxyError::Form { variable })
    }

    /// Returns host and port, for messages.
    pub fn host(&self) -> String {
        let uri = self.0.uri();
        format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80))
    }

    /// Returns the URI of the proxy to connect to.
    pub(super) fn uri(&self) -> &Uri {
        self.0.uri()
    }

    /// Returns the value of `Proxy-Authorization`, if there is a name or password.
    pub(super) fn authorization(&self) -> Option<&http::HeaderValue> {
        self.0.basic_auth()
    }
}

/// Returns true if `proxy` has a host, and a valid port or none. This is checked because the crate
/// `http` accepts any text as a port.
fn is_host_and_port(proxy: &Uri) -> bool {
    let Some(authority) = proxy.authority() else { return false };
    let host = authority.host();
    let has_port = authority.as_str().rsplit('@').next() != Some(host);
    !host.is_empty() && (!has_port || authority.port_u16().is_some())
}

/// The error for a proxy that refused to make a tunnel.
#[derive(Debug, thiserror::Error)]
#[error("no connection through the proxy {proxy}: {why}")]
pub struct TunnelFailed {
    proxy: String,
    why: String,
}

impl TunnelFailed {
    pub(super) fn new(proxy: &Proxy, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut last = error;
        while let Some(next) = last.source() {
            last = next;
        }
        let last = last.to_string();
        let why = match last.split(" (os error").next().unwrap_or_default() {
            "tunnel error: proxy authorization required" => {
                "it wants a user and a password, http://USER:PASSWORD@HOST:PORT (407)"
            }
            "tunnel error: unsuccessful" => "it refuses to connect to the server",
            "tunnel error: unexpected end of file" => "it closes the connection",
            "tunnel error: proxy response headers too long" => "it does not speak HTTP",
            "Connection refused" => "nothing listens there",
            other => other,
        };
        TunnelFailed { proxy: proxy.host(), why: why.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn chosen(settings: &ProxySettings, target: &str) -> Result<Option<String>, ProxyError> {
        let chosen = Proxy::choose(settings, &target.parse().unwrap());
        chosen.map(|proxy| proxy.map(|proxy| proxy.host()))
    }

    fn settings_for_all(value: &str, no: &str) -> ProxySettings {
        ProxySettings { all: value.to_owned(), no: no.to_owned(), ..ProxySettings::default() }
    }

    #[test]
    fn each_scheme_has_its_own_variable_and_all_proxy_is_for_the_rest() {
        let settings = ProxySettings {
            https: "http://s:1".to_owned(),
            http: "h:2".to_owned(),
            all: "http://a:3/".to_owned(),
            no: String::new(),
        };
        let host = |settings: &ProxySettings, target| chosen(settings, target).unwrap();
        assert_eq!(host(&settings, "https://m.example/").as_deref(), Some("s:1"));
        assert_eq!(host(&settings, "http://m.example/").as_deref(), Some("h:2"));
        let settings = ProxySettings { https: " ".to_owned(), ..settings };
        assert_eq!(host(&settings, "https://m.example/").as_deref(), Some("a:3"));
        assert_eq!(host(&ProxySettings::default(), "https://m.example/"), None);
        assert_eq!(
            host(&settings_for_all("HTTP://p", ""), "https://m.example/").as_deref(),
            Some("p:80")
        );
    }

    #[test]
    fn hosts_in_no_proxy_are_reached_directly() {
        for (no, target, direct) in [
            ("m.example", "https://m.example/", true),
            ("example", "https://m.example:8443/", true),
            (".m.example", "https://a.m.example/", true),
            ("*", "https://m.example/", true),
            ("a.example, m.example", "https://M.example/", true),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("fd00::/8", "http://[fd00::1]/", true),
            ("m.example", "https://notm.example/", false),
            ("m.example", "https://m.example.evil/", false),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("", "https://m.example/", false),
            ("", "http://127.0.0.1:8080/", true),
            ("", "http://localhost:8080/", true),
            ("", "http://[::1]/", true),
            ("", "http://localhost.example/", false),
        ] {
            let host = chosen(&settings_for_all("http://p:1", no), target).unwrap();
            assert_eq!(host.is_none(), direct, "{no:?} {target}");
        }
    }

    #[test]
    fn a_configured_proxy_is_never_bypassed_silently() {
        for value in ["socks5://p:1", "socks5h://u:p4ss@p:1", "https://p:1", "ftp://p:1"] {
            let error = chosen(&settings_for_all(value, ""), "https://m.example/").unwrap_err();
            assert_eq!(error, ProxyError::Scheme { variable: "ALL_PROXY" }, "{value}");
        }
        for value in [
            "http://",
            "http://p:port",
            "p:p",
            "http://p:65536",
            "http://p:",
            "http://p q:1",
            "/p",
            "http://u:p4ss@:1",
            "ü",
        ] {
            let error = chosen(&settings_for_all(value, ""), "https://m.example/").unwrap_err();
            assert_eq!(error, ProxyError::Form { variable: "ALL_PROXY" }, "{value}");
            assert!(!error.to_string().contains("p4ss"));
        }
        // The variable for the other scheme is not read, even if its value is wrong.
        let other =
            ProxySettings { http: "socks5://p:1".to_owned(), ..settings_for_all("http://p:1", "") };
        assert_eq!(chosen(&other, "https://m.example/").unwrap().as_deref(), Some("p:1"));
        assert_eq!(
            chosen(&settings_for_all("socks5://p:1", "m.example"), "https://m.example/"),
            Ok(None)
        );
    }

    #[test]
    fn a_proxy_password_is_never_shown() {
        let settings = settings_for_all("http://user:p4ss%21@p.example:8080", "");
        let proxy = Proxy::choose(&settings, &"https://m.example/".parse().unwrap());
        let proxy = proxy.unwrap().unwrap();
        assert_eq!(proxy.host(), "p.example:8080");
        // The encoded text is "user:p4ss!".
        assert_eq!(proxy.authorization().unwrap(), "Basic dXNlcjpwNHNzIQ==");
        let shown = format!("{settings:?} {proxy:?} {:?}", proxy.authorization());
        assert!(!shown.contains("p4ss") && !shown.contains("dXNlcj"), "{shown}");
    }
}
