//! The addresses at which a server can listen.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a listener: TCP or a Unix socket.
///
/// ```
/// use mcpid::net::ListenAddress;
///
/// let address: ListenAddress = "127.0.0.1:8080".parse()?;
/// assert!(address.is_local());
/// assert!("unix:/run/mcpid.sock".parse::<ListenAddress>()?.is_local());
/// assert!("mcp.example.com:80".parse::<ListenAddress>().is_err());
/// # Ok::<(), mcpid::net::ListenAddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address, such as `127.0.0.1:8080` or `[::1]:8080`; names are not looked up.
    Tcp(SocketAddr),
    /// The path of a Unix socket, written `unix:PATH`.
    Unix(PathBuf),
}

/// Why a text is not an address of a listener.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenAddressError {
    /// The text is `unix:` without a path.
    #[error("unix: needs a path behind it")]
    NoPath,
    /// The text is neither a TCP address nor `unix:PATH`.
    #[error("not an address such as 127.0.0.1:8080, [::1]:8080 or unix:PATH")]
    Form,
}

impl ListenAddress {
    /// Returns true if the address can be reached only from this machine.
    pub fn is_local(&self) -> bool {
        match self {
            ListenAddress::Tcp(address) => is_loopback(address.ip()),
            ListenAddress::Unix(_) => true,
        }
    }
}

/// Returns true if `ip` is a loopback address, also in the mapped form `::ffff:127.0.0.1`.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip == Ipv6Addr::LOCALHOST || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        match text.strip_prefix("unix:") {
            Some("") => Err(ListenAddressError::NoPath),
            Some(path) => Ok(ListenAddress::Unix(PathBuf::from(path))),
            // `localhost` is taken as 127.0.0.1, without a look-up.
            None => match text.strip_prefix("localhost:") {
                Some(port) => format!("127.0.0.1:{port}").parse(),
                None => text.parse(),
            }
            .map(ListenAddress::Tcp)
            .map_err(|_| ListenAddressError::Form),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
