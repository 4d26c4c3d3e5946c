//! The paths of a server: the MCP endpoint, and paths that are open to unsigned requests. All other
//! paths are refused.
//!
//! A request to an open path must not reach the endpoint through another spelling of the path.
//! Servers decode paths, change their letter case, and remove slashes in many ways. So a path that
//! can be read in two ways is never open.

use std::fmt;
use std::str::FromStr;

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The MCP endpoint, whose requests are judged.
    Endpoint,
    /// An open path, whose requests need no signature.
    Open,
    /// Any other path. The server answers 404.
    NotFound,
}

/// The paths that a server serves.
///
/// ```
/// use mcpid::tower::{Paths, Route};
///
/// let paths = Paths::at("/mcp")?.with_open("GET /healthz".parse()?)?;
/// assert_eq!(paths.route("POST", "/mcp"), Route::Endpoint);
/// assert_eq!(paths.route("GET", "/healthz"), Route::Open);
/// // Some servers would decode this to the endpoint.
/// assert_eq!(paths.route("GET", "/%6dcp"), Route::NotFound);
/// # Ok::<(), mcpid::tower::PathError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Paths {
    endpoint: String,
    /// The path of the endpoint on the upstream server, if there is one.
    upstream: Option<String>,
    open: Vec<OpenPath>,
}

/// A path whose requests need no signature. Its text form is `[METHOD ]PATH[/*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPath {
    method: Option<String>,
    path: String,
    /// True if the paths below this path are open, but this path itself is not.
    below: bool,
}

/// Why a path cannot be the endpoint or an open path, which needs no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The text does not begin with a slash, or has characters that cannot be in a request line.
    #[error("{0:?} is not a path such as /mcp")]
    Form(String),
    /// Servers could read the text as another path.
    #[error("{0:?} can be read as more than one path")]
    Ambiguous(String),
    /// The path is the endpoint, or lies below it.
    #[error("{0:?} leads to the endpoint, where nothing is open")]
    Endpoint(String),
    /// The word before the path is not an HTTP method.
    #[error("{0:?} is not an HTTP method")]
    Method(String),
}

/// Documents that tell clients how to log in (RFC 9728, RFC 8414, OpenID Connect Discovery). A
/// client reads them before it has a trusted key.
const WELL_KNOWN: [&str; 3] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

impl Paths {
    /// Creates paths with the endpoint `endpoint`. Open are only the well-known documents for
    /// login.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Paths { endpoint: endpoint.into(), upstream: None, open: Vec::new() }
    }

    /// Works as [`Paths::new`], and checks that `path` can be written in a request line.
    ///
    /// # Errors
    /// [`PathError::Form`] if `path` does not begin with a slash, has a query or fragment, or holds
    /// other characters than visible ASCII.
    pub fn at(path: &str) -> Result<Self, PathError> {
        if is_path(path) { Ok(Paths::new(path)) } else { Err(PathError::Form(path.to_owned())) }
    }

    /// Adds an open path, whose requests need no signature.
    ///
    /// # Errors
    /// [`PathError::Endpoint`] if a request to the open path would reach the endpoint.
    pub fn with_open(mut self, open: OpenPath) -> Result<Self, PathError> {
        if !open.below && self.leads_to_endpoint(&open.path) {
            return Err(PathError::Endpoint(open.path));
        }
        self.open.push(open);
        Ok(self)
    }

    /// Adds the path of the endpoint at the upstream server, which may differ from the public path.
    /// Requests to open paths reach the upstream with the same path, so this path is never open
    /// either.
    #[must_use]
    pub fn with_upstream(mut self, path: impl Into<String>) -> Self {
        self.upstream = Some(path.into());
        self
    }

    /// Returns the path of the endpoint.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns what `path` is for. `path` must be the path of a request as the client sent it,
    /// without query.
    pub fn route(&self, method: &str, path: &str) -> Route {
        if path == self.endpoint && path != "/" {
            return Route::Endpoint;
        }
        if self.is_open(method, path) {
            Route::Open
        } else if path == self.endpoint {
            Route::Endpoint
        } else {
            Route::NotFound
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

    /// Returns true if some server could read `path` as the endpoint (public or at the upstream),
    /// or as a path below it.
    fn leads_to_endpoint(&self, path: &str) -> bool {
        let path = folded(path);
        std::iter::once(&self.endpoint).chain(&self.upstream).any(|endpoint| {
            let endpoint = folded(endpoint);
            // Every path lies below `/`, so an endpoint `/` matches only the path `/` itself.
            path == endpoint
                || (!endpoint.is_empty()
                    && path.strip_prefix(&endpoint).is_some_and(|rest| rest.starts_with('/')))
        })
    }
}

impl OpenPath {
    fn covers(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|ours| ours == method)
            && match path.strip_prefix(self.path.as_str()) {
                Some("") => !self.below,
                Some(rest) => self.below && rest.len() > 1 && rest.starts_with('/'),
                None => false,
            }
    }
}

impl FromStr for OpenPath {
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
        // The text `/*` opens all paths. `path` is then empty, because nothing stands before `/*`.
        if !(is_path(path) || (below && path.is_empty())) || path.contains('*') {
            return Err(PathError::Form(path.to_owned()));
        }
        if is_ambiguous(path) {
            return Err(PathError::Ambiguous(path.to_owned()));
        }
        Ok(OpenPath { method: method.map(str::to_owned), path: path.to_owned(), below })
    }
}

impl fmt::Display for OpenPath {
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

/// Returns true if servers may read `path` as different paths: because of dot segments, empty
/// segments, path parameters or backslashes, or percent-encodings of such characters.
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

/// Returns `path` as the most lenient server might read it: decoded, in lower case, without slashes
/// and white space at the end.
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
