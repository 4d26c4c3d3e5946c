//! Which paths there are: the endpoint, what is open to unsigned requests, and nothing else.
//!
//! What is open must not lead to the endpoint by another spelling. Servers decode, fold, collapse
//! and trim paths in many ways, so whatever could be read as more than one path is not open.

use std::fmt;
use std::str::FromStr;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The MCP endpoint: judged.
    Endpoint,
    /// Passed through unsigned.
    Open,
    /// Not there.
    Nothing,
}

/// The paths of a gateway.
#[derive(Clone, Debug)]
pub struct Paths {
    endpoint: String,
    /// The endpoint of the server behind, if it is known by then.
    behind: Option<String>,
    open: Vec<Open>,
}

/// A path that is open to unsigned requests: `[METHOD ]PATH[/*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    method: Option<String>,
    path: String,
    /// Whether everything below is meant.
    below: bool,
}

/// Why a path cannot be the endpoint, or cannot be open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with a slash, or holds what no request line can.
    #[error("{0:?} is not a path such as /mcp")]
    Form(String),
    /// It could be read as another path.
    #[error("{0:?} can be read as more than one path")]
    Ambiguous(String),
    /// It is the endpoint, or lies below it.
    #[error("{0:?} leads to the endpoint, where nothing is open")]
    Endpoint(String),
    /// The word before the path is not an HTTP method.
    #[error("{0:?} is not an HTTP method")]
    Method(String),
}

/// Documents by which clients find out how to log in (RFC 9728, RFC 8414, OpenID Connect
/// Discovery). They have to be read before anything can be signed.
const WELL_KNOWN: [&str; 3] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

impl Paths {
    /// An endpoint, and the well-known documents.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Paths { endpoint: endpoint.into(), behind: None, open: Vec::new() }
    }

    /// The endpoint `path`, as it stands on the wire.
    ///
    /// # Errors
    /// [`PathError::Form`].
    pub fn at(path: &str) -> Result<Self, PathError> {
        if is_path(path) { Ok(Paths::new(path)) } else { Err(PathError::Form(path.to_owned())) }
    }

    /// The same with one more open path.
    ///
    /// # Errors
    /// [`PathError::Endpoint`] for one that could never be taken.
    pub fn with_open(mut self, open: Open) -> Result<Self, PathError> {
        if !open.below && self.leads_to_endpoint(&open.path) {
            return Err(PathError::Endpoint(open.path));
        }
        self.open.push(open);
        Ok(self)
    }

    /// The same before a server whose own endpoint is at `path`. What is open goes on under its
    /// own path, so that one is not open either, by whatever path clients know the endpoint.
    #[must_use]
    pub fn before(mut self, path: impl Into<String>) -> Self {
        self.behind = Some(path.into());
        self
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn route(&self, method: &str, path: &str) -> Route {
        if path == self.endpoint && path != "/" {
            return Route::Endpoint;
        }
        if self.is_open(method, path) {
            Route::Open
        } else if path == self.endpoint {
            Route::Endpoint
        } else {
            Route::Nothing
        }
    }

    fn is_open(&self, method: &str, path: &str) -> bool {
        if is_ambiguous(path) || self.leads_to_endpoint(path) {
            return false;
        }
        let well_known = matches!(method, "GET" | "HEAD")
            && WELL_KNOWN.iter().any(|place| {
                path.strip_prefix(place)
                    .is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('/'))
            });
        well_known || self.open.iter().any(|open| open.covers(method, path))
    }

    /// Whether some server could take `path` for the endpoint, ours or the one behind, or for
    /// something below it.
    fn leads_to_endpoint(&self, path: &str) -> bool {
        let path = folded(path);
        std::iter::once(&self.endpoint).chain(&self.behind).any(|endpoint| {
            let endpoint = folded(endpoint);
            // Nothing lies below `/`, or everything would.
            path == endpoint
                || (!endpoint.is_empty()
                    && path.strip_prefix(&endpoint).is_some_and(|rest| rest.starts_with('/')))
        })
    }
}

impl Open {
    fn covers(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|ours| ours == method)
            && match path.strip_prefix(self.path.as_str()) {
                Some("") => !self.below,
                Some(rest) => self.below && rest.len() > 1 && rest.starts_with('/'),
                None => false,
            }
    }
}

impl FromStr for Open {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), path.trim_start()),
            None => (None, text),
        };
        if let Some(method) = method
            && (method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()))
        {
            return Err(PathError::Method(method.to_owned()));
        }
        let (path, below) = match path.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (path, false),
        };
        // `/*` alone is everything, and then no path is left.
        if !(is_path(path) || (below && path.is_empty())) || path.contains('*') {
            return Err(PathError::Form(path.to_owned()));
        }
        if is_ambiguous(path) {
            return Err(PathError::Ambiguous(path.to_owned()));
        }
        Ok(Open { method: method.map(str::to_owned), path: path.to_owned(), below })
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        write!(f, "{}{}", self.path, if self.below { "/*" } else { "" })
    }
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#')
}

/// Whether servers may disagree about which path this is: dot segments, empty segments, path
/// parameters, backslashes, and encodings of what would be one of these.
fn is_ambiguous(path: &str) -> bool {
    let encoded = |byte: &[u8]| {
        byte.len() == 2
            && matches!(&byte.to_ascii_lowercase()[..], b"2e" | b"2f" | b"5c" | b"25" | b"00")
    };
    let bytes = path.as_bytes();
    path.split('/').any(|segment| segment == "." || segment == "..")
        || path.contains("//")
        || path.contains([';', '\\'])
        || bytes.iter().any(|b| !b.is_ascii_graphic())
        || bytes
            .iter()
            .enumerate()
            .any(|(at, b)| *b == b'%' && bytes.get(at + 1..at + 3).is_none_or(encoded))
}

/// A path as the most lenient server might read it: decoded, in lower case, without slashes and
/// white space at its end.
fn folded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                plain.push(decoded);
                at += 3;
            }
            _ => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    let text = String::from_utf8_lossy(&plain).to_lowercase();
    text.trim_end_matches(|c: char| c == '/' || c.is_whitespace() || c.is_control()).to_owned()
}
