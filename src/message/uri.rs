//! Parsing of `http` and `https` URIs without changing path and query.
//!
//! Some authorities that RFC 3986 allows can be read in two ways, and are refused here: those with
//! user information, with a percent-encoded host, or with a number that only some resolvers accept
//! as an address.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::secret::quoted;

/// The scheme of an HTTP URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// The scheme `http`, without TLS.
    Http,
    /// The scheme `https`, with TLS.
    Https,
}

impl Scheme {
    /// Returns `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// A scheme and an authority, such as `https://mcp.example.com` or `http://[::1]:8080`.
///
/// ```
/// use mcpid::message::target::Origin;
///
/// let origin = Origin::parse("HTTPS://MCP.example.com:443")?;
/// assert_eq!(origin.to_string(), "https://mcp.example.com");
/// assert!(Origin::parse("https://mcp.example.com/").is_err());
/// # Ok::<(), mcpid::message::target::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: Scheme,
    authority: String,
}

impl Origin {
    /// Parses an origin, converts it to lower case, and removes a default port.
    ///
    /// # Errors
    /// [`UriError`]. A path (even a single `/`) and a query are errors, because an origin names
    /// only a server.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parts = UriParts::split(text)?;
        if !parts.path.is_empty() || !parts.rest.is_empty() {
            return Err(UriError::NotAnOrigin);
        }
        Ok(Origin { scheme: parts.scheme, authority: parts.authority.into_owned() })
    }

    /// Makes an origin from parts that are already normalised.
    pub(super) fn from_normal(scheme: Scheme, authority: &str) -> Self {
        Origin { scheme, authority: authority.to_owned() }
    }

    /// Returns the scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the authority: lower case, no default port, IPv6 addresses in brackets.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl FromStr for Origin {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Origin::parse(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority)
    }
}

/// Why a text is not a target that can be signed or verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// A byte is not visible ASCII; a client must send such a character percent-encoded.
    #[error("byte {at} of the target is 0x{byte:02x}, which is not visible ASCII")]
    Character {
        /// Position of the byte, counted from 1.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// The text contains a `#`. Fragments are never sent (RFC 9110 section 7.1), so no signature
    /// can cover them.
    #[error("the target has a fragment, which is never sent")]
    Fragment,
    /// The URL begins with neither `http://` nor `https://`.
    #[error("{} is not an http or https URL", quoted(.0))]
    Scheme(String),
    /// The URL contains a user name or password before the host.
    #[error("the target holds user information")]
    UserInfo,
    /// The host is not a name, a dotted IPv4 address or a bracketed IPv6 address.
    #[error("{} is not a host name or address", quoted(.0))]
    Host(String),
    /// The port is not a number from 1 to 65535 without leading zeros.
    #[error("{} is not a port", quoted(.0))]
    Port(String),
    /// A `%` of the path is not followed by two hexadecimal digits (RFC 3986 section 2.1).
    #[error("a % in the path is not followed by two hexadecimal digits")]
    Percent,
    /// A segment of the path is a dot segment once it is decoded, such as `%2e%2e`.
    #[error("a dot segment of the path is percent-encoded")]
    EncodedDots,
    /// The origin is followed by a path or query.
    #[error("an origin has no path and no query")]
    NotAnOrigin,
}

/// Returns true if `host` (without a port, IPv6 in brackets) always means this machine: `localhost`
/// and names below it (RFC 6761 section 6.3), `127.0.0.0/8`, `[::1]`.
pub fn is_loopback(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return address.parse().is_ok_and(|a: Ipv6Addr| a.is_loopback());
    }
    if host.starts_with("127.") {
        return host.parse().is_ok_and(|a: Ipv4Addr| a.is_loopback());
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

/// The parts of an `http` or `https` URI. Path and query are not changed.
pub(super) struct UriParts<'a> {
    pub(super) scheme: Scheme,
    pub(super) authority: Cow<'a, str>,
    pub(super) path: &'a str,
    /// The query with its question mark, or empty.
    pub(super) rest: &'a str,
    /// Path and query in one piece.
    pub(super) after_authority: &'a str,
}

impl<'a> UriParts<'a> {
    pub(super) fn split(text: &'a str) -> Result<Self, UriError> {
        check_characters(text)?;
        let (scheme, after) = match text.split_once("://") {
            Some((s, after)) if s.eq_ignore_ascii_case("https") => (Scheme::Https, after),
            Some((s, after)) if s.eq_ignore_ascii_case("http") => (Scheme::Http, after),
            _ => return Err(UriError::Scheme(shown(text))),
        };
        let end = after.bytes().position(|b| b == b'/' || b == b'?').unwrap_or(after.len());
        let (authority, after_authority) = after.split_at(end);
        let authority = Authority::read(authority)?.normal(scheme);
        let (path, rest) = split_query(after_authority);
        Ok(UriParts { scheme, authority, path, rest, after_authority })
    }
}

/// Checks that `text` is visible ASCII and has no fragment.
pub(super) fn check_characters(text: &str) -> Result<(), UriError> {
    match text.bytes().position(|b| !b.is_ascii_graphic() || b == b'#') {
        None => Ok(()),
        Some(at) => match text.as_bytes().get(at) {
            Some(b'#') => Err(UriError::Fragment),
            byte => Err(UriError::Character { at: at + 1, byte: byte.copied().unwrap_or(0) }),
        },
    }
}

/// Splits `text` at the first question mark, which stays in the second part.
pub(super) fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|b| b == b'?').unwrap_or(text.len()))
}

/// A valid host and port, in the spelling of the URI.
pub(super) struct Authority<'a> {
    text: &'a str,
    pub(super) host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses host and port. An empty port counts as none (RFC 3986 section 6.2.3).
    pub(super) fn read(text: &'a str) -> Result<Self, UriError> {
        if text.bytes().any(|b| b == b'@') {
            return Err(UriError::UserInfo);
        }
        let (host, port) = match text.rfind([':', ']']) {
            Some(at) if text.as_bytes().get(at) == Some(&b':') => text.split_at(at),
            _ => (text, ""),
        };
        if !is_host(host) {
            return Err(UriError::Host(shown(text)));
        }
        let digits = port.strip_prefix(':').unwrap_or_default();
        if digits.is_empty() {
            return Ok(Authority { text, host, port: None });
        }
        // A leading zero is refused because parsers disagree about "0443", and `u16` alone would
        // also accept "+443".
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        match digits.parse() {
            Ok(port) if plain => Ok(Authority { text, host, port: Some(port) }),
            _ => Err(UriError::Port(shown(digits))),
        }
    }

    /// Returns the authority in lower case and without the default port of `scheme`.
    pub(super) fn normal(&self, scheme: Scheme) -> Cow<'a, str> {
        let text = match self.port {
            Some(port) if port != scheme.default_port() => self.text,
            _ => self.host,
        };
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        }
    }
}

/// Returns true if `host` is a name (letters, digits, `-` and `_`, with single dots between the
/// labels) or an address in its plain spelling. RFC 3986 also allows percent-encoding and
/// punctuation, which resolvers treat differently.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|a| a.parse::<Ipv6Addr>().is_ok());
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let mut label_length = 0_usize;
    let mut digits_only = true;
    for byte in name.bytes() {
        match byte {
            b'.' if label_length == 0 => return false,
            b'.' => (label_length, digits_only) = (0, true),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                label_length += 1;
                digits_only &= byte.is_ascii_digit();
            }
            _ => return false,
        }
    }
    if label_length == 0 {
        return false;
    }
    // If the last label is a number, some resolvers treat the host as an IPv4 address, even
    // "127.1", "017700000001" and "0x7f.1". Only the form with four decimal parts means the same
    // everywhere.
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
    !(digits_only || hexadecimal) || host.parse::<Ipv4Addr>().is_ok()
}

/// Returns the beginning of a text for an error message, so that a long text does not make its
/// refusal costly.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
