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
    /// Creates the error for an ambiguity that shows near byte `at` of the body.
    pub(super) fn near(why: Ambiguity, at: usize) -> Self {
        AmbiguousBody { why, at: Some(at) }
    }

    /// Returns the reason.
    pub fn why(&self) -> &Ambiguity {
        &self.why
    }

    /// Returns the byte of the body near which the ambiguity shows, counted from 0. Returns `None` if
    /// the reason lies in the head.
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
        // `Display` already says the reason; its own source comes next.
        self.why.source()
    }
}

impl From<Ambiguity> for AmbiguousBody {
    fn from(why: Ambiguity) -> Self {
        AmbiguousBody { why, at: None }
    }
}

/// Why a body can be read in more than one way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ambiguity {
    /// At an endpoint, content with a method other than POST, or a method that it does not know.
    #[error("a {0} request with content, or one that MCP does not know")]
    Method(String),
    /// No `Content-Type`, or none that is `application/json` in UTF-8.
    #[error("the content type is {0}, not application/json in utf-8")]
    ContentType(String),
    /// More than one `Content-Type` line.
    #[error("there is more than one content type")]
    ContentTypes,
    /// A `Content-Encoding`, even `identity`.
    #[error("there is a content encoding")]
    ContentEncoding,
    /// The bytes are not UTF-8.
    #[error("not valid utf-8")]
    Utf8,
    /// A byte order mark (RFC 8259 section 8.1).
    #[error("it starts with a byte order mark")]
    ByteOrderMark,
    /// Not RFC 8259, or a number that overflows a double, which some parsers read as infinity.
    #[error("not JSON")]
    Json(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Objects and arrays nest more than 64 deep.
    #[error("objects and arrays nest more than {} deep", MAX_DEPTH)]
    TooDeep,
    /// A key stands twice in one object.
    #[error("the key {0:?} stands twice in one object")]
    Duplicate(String),
    /// A key differs in letter case only from one that decides what the message does.
    #[error("the key {found:?} differs from {real:?} in letter case only")]
    CaseVariant {
        /// The key in the body.
        found: String,
        /// The key that some servers take it for.
        real: &'static str,
    },
    /// Not a JSON-RPC message: what is wrong with it.
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

/// Cuts `text` to 64 characters, and marks the cut with an ellipsis: text from outside must not fill
/// logs or a terminal.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
