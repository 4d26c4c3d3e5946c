//! The request type that captures, HTTP archives and request lines share, and format detection.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

use super::Head;
use crate::clock::Timestamp;

/// A request that was read from a capture, an HTTP archive or a request line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequest<'a> {
    /// Method, target and fields.
    pub head: Head<'a>,
    /// The body, as far as the input has it.
    pub body: Body<'a>,
    /// When the request was made; `None` if the input does not say.
    pub time: Option<Timestamp>,
}

impl InputRequest<'_> {
    /// Returns true if this is a CORS preflight (Fetch standard, section 3.2.2). Browsers send
    /// preflights on their own before a request, and never sign them.
    pub fn is_preflight(&self) -> bool {
        self.head.method() == "OPTIONS"
            && self.head.has("origin")
            && self.head.has("access-control-request-method")
    }

    /// Copies borrowed bytes, so that the request borrows nothing.
    pub fn into_owned(self) -> InputRequest<'static> {
        InputRequest { head: self.head.into_owned(), body: self.body.into_owned(), time: self.time }
    }
}

/// The body of a request, and how exactly the input has kept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// The body is exactly these bytes.
    Kept(Cow<'a, [u8]>),
    /// The input does not have the body.
    NotKept,
    /// The input may have changed the body. If the digest of these bytes matches, they were sent.
    /// If it does not match, that must not be reported as a mismatch, because it proves nothing.
    Inexact {
        /// The bytes that the input has.
        bytes: Cow<'a, [u8]>,
        /// Why the bytes may differ from those that were sent.
        why: InexactReason,
    },
}

impl Body<'_> {
    /// Returns the bytes, or `None` if the body was not kept.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Body::Kept(bytes) | Body::Inexact { bytes, .. } => Some(bytes),
            Body::NotKept => None,
        }
    }

    /// Copies borrowed bytes, so that the body borrows nothing.
    pub fn into_owned(self) -> Body<'static> {
        match self {
            Body::Kept(bytes) => Body::Kept(Cow::Owned(bytes.into_owned())),
            Body::NotKept => Body::NotKept,
            Body::Inexact { bytes, why } => {
                Body::Inexact { bytes: Cow::Owned(bytes.into_owned()), why }
            }
        }
    }
}

/// Why the body in an archive may differ from the bytes that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InexactReason {
    /// The archive has no body. Exporters give the size 0 for a body that they did not keep, so
    /// only the request's own `Content-Length` can say that the body was empty.
    Missing {
        /// The size that the archive gives, in bytes.
        size: Option<u64>,
    },
    /// The archive has only the parameters of a form, and not the text that was sent.
    ParamsOnly,
    /// The text has U+FFFD in place of bytes that could not be decoded.
    Replaced,
    /// The text is not Unicode: it contains half of a surrogate pair.
    NotUnicode,
    /// The body was sent in another charset than UTF-8.
    Charset(String),
    /// The body was sent with a content coding such as gzip.
    Coded(String),
    /// The body is marked as base64, but is not base64.
    Base64,
    /// The body is marked with an unknown encoding.
    Encoding(String),
    /// The size that the archive gives is not the size of its body.
    Size {
        /// The size that the archive gives, in bytes.
        says: u64,
        /// The size of the body in the archive, in bytes.
        holds: u64,
    },
}

impl fmt::Display for InexactReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InexactReason::Missing { size: None | Some(0) } => {
                f.write_str("the archive holds no body")
            }
            InexactReason::Missing { size: Some(size) } => {
                write!(f, "the archive says the body has {size} bytes, and holds none of them")
            }
            InexactReason::ParamsOnly => {
                f.write_str("the archive holds the form's parameters only")
            }
            InexactReason::Replaced => {
                f.write_str("the archive replaced bytes of the body that it could not decode")
            }
            InexactReason::NotUnicode => {
                f.write_str("the archive's text of the body is not Unicode")
            }
            InexactReason::Charset(name) => write!(
                f,
                "the body was sent in the charset {name:?}, and the archive holds its text only"
            ),
            InexactReason::Coded(coding) => write!(
                f,
                "the body was sent with the coding {coding:?}, and the archive holds text"
            ),
            InexactReason::Base64 => {
                f.write_str("the archive's base64 of the body cannot be decoded")
            }
            InexactReason::Encoding(name) => {
                write!(f, "the archive holds the body in the unknown encoding {name:?}")
            }
            InexactReason::Size { says, holds } => {
                write!(f, "the archive says the body has {says} bytes, and holds {holds}")
            }
        }
    }
}

/// The format of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputKind {
    /// The input is not JSON, so it can only be a raw HTTP/1.1 request; see
    /// [`capture`](super::capture).
    Raw,
    /// An HTTP archive; see [`har`](super::har).
    Har,
    /// Request lines or audit entries; see [`json_line`](super::json_line).
    Lines,
}

/// The error for JSON that is neither an HTTP archive nor request lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("JSON, but neither a HAR file nor request lines")]
#[non_exhaustive]
pub struct InputKindError;

/// Detects the format of an input from its first bytes.
///
/// `start` is the whole input or its beginning; 64 KiB are enough. The member names of the first
/// JSON object decide: `log` means an HTTP archive, `target`, `headers` or `request` mean request
/// lines.
///
/// # Errors
/// [`InputKindError`] for JSON that is neither.
///
/// ```
/// use mcpid::message::{InputKind, detect};
///
/// assert_eq!(detect(b"POST /mcp HTTP/1.1"), Ok(InputKind::Raw));
/// assert_eq!(detect(br#"{"log":{"version":"1.2","#), Ok(InputKind::Har));
/// assert!(detect(b"[1, 2]").is_err());
/// ```
pub fn detect(start: &[u8]) -> Result<InputKind, InputKindError> {
    // Some exporters write a byte order mark before an archive; other formats must not have one.
    let marked = start.strip_prefix(b"\xef\xbb\xbf").filter(|rest| rest.starts_with(b"{"));
    let start = marked.unwrap_or(start);
    match start.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(b'[' | b'"') => return Err(InputKindError),
        _ => return Ok(InputKind::Raw),
    }
    let mut kind = None;
    // `start` may end inside a value, so an error is expected. The names before it are enough.
    let _ = serde_json::Deserializer::from_slice(start).deserialize_map(KindVisitor(&mut kind));
    kind.ok_or(InputKindError)
}

/// Reads the member names of an object until one of them decides the format.
struct KindVisitor<'k>(&'k mut Option<InputKind>);

impl<'de> Visitor<'de> for KindVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            *self.0 = match name.as_str() {
                "log" => Some(InputKind::Har),
                "target" | "headers" | "request" => Some(InputKind::Lines),
                // A JSON-RPC message, which is only the body of a request, is the most frequent
                // mistake. Both a JSON-RPC message and a request line have a member `method`, so
                // `method` does not decide the format.
                "jsonrpc" => return Ok(()),
                _ => None,
            };
            if self.0.is_some() {
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}
