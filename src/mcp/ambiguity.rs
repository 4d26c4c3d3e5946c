//! Why a body is refused as ambiguous: two servers could read it differently.

use std::fmt;

/// How deeply objects and arrays may nest, the outermost one included.
pub(super) const MAX_DEPTH: usize = 64;

/// A body that two servers may read differently, such as one with the same key twice in an object.
///
/// ```
/// use mcpid::mcp::body::{Ambiguity, Scope, read};
/// use mcpid::message::{Head, RequestTarget};
///
/// let mut head = Head::new("POST", RequestTarget::from_url("https://mcp.example.com/mcp")?)?;
/// head.push("Content-Type", b"application/json")?;
/// let twice = br#"{"jsonrpc":"2.0","method":"ping","method":"tools/call"}"#;
/// let error = read(&head, twice, Scope::Endpoint).unwrap_err();
/// assert!(matches!(error.why(), Ambiguity::Duplicate(key) if key == "method"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AmbiguousBody {
    why: Ambiguity,
    at: Option<usize>,
}

impl AmbiguousBody {
    /// Creates the error for an ambiguity at about byte `at` of the body.
    pub(super) fn near(why: Ambiguity, at: usize) -> Self {
        AmbiguousBody { why, at: Some(at) }
    }

    /// Returns why the body is ambiguous.
    pub fn why(&self) -> &Ambiguity {
        &self.why
    }

    /// Returns the approximate position of the ambiguity in the body, in bytes from 0. Returns
    /// `None` if the cause is in the head.
    pub fn at(&self) -> Option<usize> {
        self.at
    }
}

impl fmt::Display for AmbiguousBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{}, near byte {at}", self.why),
            None => self.why.fmt(f),
        }
    }
}

impl std::error::Error for AmbiguousBody {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // `Display` already contains the reason, so `source` returns the source of the reason.
        self.why.source()
    }
}

impl From<Ambiguity> for AmbiguousBody {
    fn from(why: Ambiguity) -> Self {
        AmbiguousBody { why, at: None }
    }
}

/// Why two servers may read a body differently.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ambiguity {
    /// The method is unknown, or the request has a body with a method other than POST. This is
    /// refused only at an MCP endpoint.
    #[error("a {0} request with content, or one that MCP does not know")]
    Method(String),
    /// There is no `Content-Type`, or it is not `application/json` in UTF-8.
    #[error("the content type is {0}, not application/json in utf-8")]
    ContentType(String),
    /// There is more than one `Content-Type` line.
    #[error("there is more than one content type")]
    ContentTypes,
    /// There is a `Content-Encoding`, even if it is `identity`.
    #[error("there is a content encoding")]
    ContentEncoding,
    /// The bytes are not UTF-8.
    #[error("not valid utf-8")]
    Utf8,
    /// The body begins with a byte order mark (RFC 8259 section 8.1).
    #[error("it starts with a byte order mark")]
    ByteOrderMark,
    /// The body is not valid JSON (RFC 8259), or has a number that overflows a double, which some
    /// parsers read as infinity.
    #[error("not JSON")]
    Json(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The body is JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Objects and arrays are nested more than 64 deep.
    #[error("objects and arrays nest more than {} deep", MAX_DEPTH)]
    TooDeep,
    /// An object has the same key twice.
    #[error("the key {0:?} stands twice in one object")]
    Duplicate(String),
    /// A key differs only in letter case from a key that decides what the message does.
    #[error("the key {found:?} differs from {real:?} in letter case only")]
    CaseVariant {
        /// The key in the body.
        found: String,
        /// The key that some servers would read it as.
        real: &'static str,
    },
    /// The body is not a JSON-RPC message; the text says why.
    #[error("not a JSON-RPC message: {0}")]
    JsonRpc(&'static str),
}

impl Ambiguity {
    pub(super) fn duplicate(key: &str) -> Self {
        Ambiguity::Duplicate(shorten(key))
    }

    pub(super) fn case_variant(key: &str, real: &'static str) -> Self {
        Ambiguity::CaseVariant { found: shorten(key), real }
    }
}

/// Cuts `text` to 64 characters and adds an ellipsis, so that text from a client cannot fill logs
/// or a terminal.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
