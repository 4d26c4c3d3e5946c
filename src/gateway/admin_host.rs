//! Which host names may be used to ask the service for operators.
//!
//! A web page can let a name of its own resolve to this machine (DNS rebinding), and then read what
//! a browser gets from there. So a request must name an address, `localhost`, or a name that an
//! attacker cannot register.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::header;
use http::{HeaderMap, Uri};

/// Ends of names that exist only in private networks: they are reserved (RFC 6761, RFC 6762, RFC
/// 8375, ICANN's `internal`), or are used by Kubernetes and Consul, and no registry sells them.
const PRIVATE_ENDS: [&str; 7] =
    [".svc", ".local", ".internal", ".localhost", ".home.arpa", ".lan", ".consul"];

/// A host name under which operators may reach the service, in lower case, without a port.
///
/// ```
/// use mcpid::gateway::AdminHost;
///
/// let host: AdminHost = "Gateway.example.com".parse()?;
/// assert_eq!(host.to_string(), "gateway.example.com");
/// assert!("gateway.example.com:9090".parse::<AdminHost>().is_err());
/// # Ok::<(), mcpid::gateway::AdminHostError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminHost(String);

/// Why a text is not an [`AdminHost`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host name such as gateway.example.com, without a port")]
pub struct AdminHostError;

impl FromStr for AdminHost {
    type Err = AdminHostError;

    fn from_str(text: &str) -> Result<Self, AdminHostError> {
        let name = text.to_ascii_lowercase();
        if is_name(&name) { Ok(AdminHost(name)) } else { Err(AdminHostError) }
    }
}

impl fmt::Display for AdminHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host names under which operators may reach the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AdminHosts {
    /// Whether names that exist only in private networks are accepted.
    pub(super) private: bool,
    /// Further host names that a request to the operators' service may use.
    pub(super) named: Vec<AdminHost>,
}

impl AdminHosts {
    /// Returns true if the request with this target and these fields names an accepted host.
    pub(super) fn accept(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(header::HOST).iter();
        let named = match (lines.next(), lines.next()) {
            (Some(line), None) => line.to_str().ok(),
            (None, _) => uri.authority().map(http::uri::Authority::as_str),
            _ => None,
        };
        named.is_some_and(|named| self.accepts_name(named))
    }

    /// Returns true if the host name in `named` is accepted. `named` has the form `HOST[:PORT]`.
    fn accepts_name(&self, named: &str) -> bool {
        let host = match named.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => named,
        };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if bare.parse::<IpAddr>().is_ok() {
            return true;
        }
        // A dot at the end only marks the name as fully qualified.
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        name == "localhost"
            || self.named.iter().any(|host| host.0 == name)
            || (self.private && is_name(&name) && is_private(&name))
    }
}

/// Returns true if `name` is a name of letters, digits, hyphens, underscores and single dots.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_private(name: &str) -> bool {
    !name.contains('.') || PRIVATE_ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{AdminHost, AdminHosts};

    #[test]
    fn a_host_name_has_no_port_and_no_other_parts() {
        let long = format!("{}.example", "a".repeat(63));
        for text in ["gateway", "a.b.c", "my_gateway", long.as_str()] {
            assert!(text.parse::<AdminHost>().is_ok(), "{text}");
        }
        let too_long = format!("{}.example", "a".repeat(64));
        let many = "a.".repeat(126) + "ab";
        for text in [
            "", ".", "a.", ".a", "a..b", "a:1", "http://a", "a/b", "*", "*.a", "[::1]", "é", " a",
            &too_long, &many,
        ] {
            assert!(text.parse::<AdminHost>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_names_that_no_stranger_can_register_are_accepted() {
        let none = AdminHosts::default();
        let private =
            AdminHosts { private: true, named: vec!["Metrics.example.com".parse().unwrap()] };
        for address in [
            "127.0.0.1",
            "10.1.2.3:9090",
            "[::1]",
            "[::1]:9090",
            "localhost",
            "LOCALHOST:80",
            "localhost.",
        ] {
            assert!(none.accepts_name(address) && private.accepts_name(address), "{address}");
        }
        for name in [
            "gateway",
            "gateway:9090",
            "my_gateway",
            "gateway.monitoring.svc",
            "Gateway.Monitoring.svc.cluster.local:9090",
            "gateway.internal.",
            "mcpid.service.consul",
            "metrics.example.com:9090",
            "METRICS.example.com",
        ] {
            assert!(private.accepts_name(name), "{name}");
            assert!(!none.accepts_name(name), "{name}");
        }
        for name in [
            "",
            ":9090",
            "rebound.example",
            "gateway.monitoring",
            "evil.com",
            "local.evil.com",
            "x.svc.evil.com",
            "evil.com.",
            "evil.com#.local",
            "a..local",
            ".local",
            "evil.com/.local",
            "user@gateway",
            "gateway:80:80",
            "127.0.0.1.evil.com",
            "metrics.example.com.evil.com",
            "xmetrics.example.com",
        ] {
            assert!(!private.accepts_name(name), "{name}");
        }
    }
}
