//! Requests as they were received: head, body and target, and the file formats that contain them.
//!
//! A [`Head`] holds method, target and fields exactly as received: values are not decoded, joined
//! or normalised. The target is resolved later, against the configured origins of the server,
//! because the client must not choose the origin for which its request is judged (see [`target`]).

use std::borrow::Cow;

pub mod amend;
pub mod capture;
mod capture_lines;
pub mod captures;
pub mod digest;
pub mod error_chain;
mod fault;
mod framing;
pub mod har;
mod input;
pub mod json_line;
pub(crate) mod json_writer;
pub mod shown;
pub mod structured;
pub mod target;
mod uri;

pub use input::{Body, InexactReason, InputKind, InputKindError, InputRequest, detect};

/// One header field line: its name in lower case, and its value without surrounding white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, [u8]>,
}

impl<'a> Field<'a> {
    /// Makes a field line. The name is converted to lower case. Spaces and tabs around the value
    /// are removed, because they are not part of the value (RFC 9110 section 5.5).
    ///
    /// # Errors
    /// [`HeadError::FieldName`] or [`HeadError::FieldValue`] if HTTP does not allow the name or
    /// value.
    pub fn new(
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Self, HeadError> {
        let mut name = name.into();
        if name.is_empty() || !name.bytes().all(is_tchar) {
            return Err(HeadError::FieldName(uri::shown(&name)));
        }
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            name.to_mut().make_ascii_lowercase();
        }
        let value = match value.into() {
            Cow::Borrowed(bytes) => Cow::Borrowed(trim(bytes)),
            Cow::Owned(bytes) if trim(&bytes).len() == bytes.len() => Cow::Owned(bytes),
            Cow::Owned(bytes) => Cow::Owned(trim(&bytes).to_vec()),
        };
        // The loop always runs to the end, so that the compiler can compare many bytes at once.
        // Nearly every value is valid.
        let control = |&b: &u8| (b < b' ' && b != b'\t') || b == 0x7f;
        if value.iter().fold(false, |found, b| found | control(b)) {
            return Err(HeadError::FieldValue(uri::shown(&name)));
        }
        Ok(Field { name, value })
    }

    /// Copies borrowed bytes, so that the field borrows nothing.
    pub fn into_owned(self) -> Field<'static> {
        Field {
            name: Cow::Owned(self.name.into_owned()),
            value: Cow::Owned(self.value.into_owned()),
        }
    }

    /// Returns the name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value as received, without leading and trailing spaces and tabs.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

/// The form in which a request names its target (RFC 9112 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestTarget<'a> {
    /// `/path?query`, with the authority in `Host`.
    Origin(Cow<'a, str>),
    /// A complete URI on the request line.
    Absolute(Cow<'a, str>),
    /// A complete URI that was not on a request line: from HTTP/2 pseudo-header fields, an HTTP
    /// archive, a request line file, or a URL to sign. Its `@request-target` is its path and query.
    Uri(Cow<'a, str>),
    /// `*`, for a server-wide `OPTIONS`.
    Asterisk,
}

/// A request without its body: method, target and fields in the order received.
///
/// ```
/// use mcpid::message::{Head, HeadError, RequestTarget};
///
/// let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into()))?;
/// head.push("Content-Type", b" application/json ")?;
/// assert_eq!(head.single("content-type"), Ok(Some(&b"application/json"[..])));
/// assert!(matches!(head.push("bad name", b""), Err(HeadError::FieldName(_))));
/// # Ok::<(), HeadError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    method: Cow<'a, str>,
    target: RequestTarget<'a>,
    fields: Vec<Field<'a>>,
}

/// Why a method or field is not allowed in the head of an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The method is not a token (RFC 9110 section 9.1).
    #[error("the method is not a token")]
    Method,
    /// A field name is not a token (RFC 9110 section 5.1).
    #[error("a field name is not a token")]
    FieldName(String),
    /// A field value holds a control character or a line break (RFC 9110 section 5.5).
    #[error("the value of a field holds a control character")]
    FieldValue(String),
}

/// Returns true if `byte` is allowed in a token (RFC 9110 section 5.6.2).
pub const fn is_tchar(byte: u8) -> bool {
    TCHAR[byte as usize]
}

/// Returns true if the field `name` (lower case) can make a server use another method, path, host
/// or client address than those of the request, such as `x-http-method-override`.
#[cfg(any(feature = "gateway", feature = "connect"))]
pub(crate) fn is_override(name: &str) -> bool {
    matches!(name, "x-method-override" | "x-original-url" | "x-rewrite-url")
        || matches!(name, "forwarded" | "x-real-ip")
        || name.starts_with("x-http-method")
        || name.starts_with("x-forwarded-")
}

/// Which bytes are allowed in a token. A table is fastest, because every byte of every name is
/// checked.
const TCHAR: [bool; 256] = {
    let others = b"!#$%&'*+-.^_`|~";
    let mut table = [false; 256];
    let mut at = 0;
    while at < 128 {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

impl<'a> Head<'a> {
    /// Makes a head without fields.
    ///
    /// # Errors
    /// [`HeadError::Method`] if the method is not a token.
    pub fn new(
        method: impl Into<Cow<'a, str>>,
        target: RequestTarget<'a>,
    ) -> Result<Self, HeadError> {
        let method = method.into();
        if method.is_empty() || !method.bytes().all(is_tchar) {
            return Err(HeadError::Method);
        }
        Ok(Head { method, target, fields: Vec::with_capacity(16) })
    }

    /// Adds one field line; see [`Field::new`].
    ///
    /// # Errors
    /// [`HeadError::FieldName`] or [`HeadError::FieldValue`] if HTTP does not allow the name or
    /// value.
    pub fn push(
        &mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, [u8]>>,
    ) -> Result<(), HeadError> {
        self.fields.push(Field::new(name, value)?);
        Ok(())
    }

    /// Removes the fields whose name (lower case) is one of `names`.
    pub(crate) fn remove(&mut self, names: &[&str]) {
        self.fields.retain(|field| !names.contains(&field.name()));
    }

    /// Returns the length that this head has in HTTP/1.1, in bytes. Limits on heads use this length
    /// also for requests from HTTP/2 and from files.
    pub fn wire_len(&self) -> usize {
        let target = match &self.target {
            RequestTarget::Origin(t) | RequestTarget::Absolute(t) | RequestTarget::Uri(t) => {
                t.len()
            }
            RequestTarget::Asterisk => 1,
        };
        // 14 bytes are for two spaces, "HTTP/1.1" and two CRLF; 4 bytes for ": " and CRLF in each
        // field line.
        let fields = self.fields.iter().map(|f| f.name.len() + f.value.len() + 4);
        self.method.len() + target + 14 + fields.sum::<usize>()
    }

    /// Copies borrowed bytes, so that the head borrows nothing.
    pub fn into_owned(self) -> Head<'static> {
        let target = match self.target {
            RequestTarget::Origin(t) => RequestTarget::Origin(Cow::Owned(t.into_owned())),
            RequestTarget::Absolute(t) => RequestTarget::Absolute(Cow::Owned(t.into_owned())),
            RequestTarget::Uri(t) => RequestTarget::Uri(Cow::Owned(t.into_owned())),
            RequestTarget::Asterisk => RequestTarget::Asterisk,
        };
        Head {
            method: Cow::Owned(self.method.into_owned()),
            target,
            fields: self.fields.into_iter().map(Field::into_owned).collect(),
        }
    }

    /// Returns the method as received: methods are case-sensitive (RFC 9110 section 9.1).
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the target as the request named it.
    pub fn target(&self) -> &RequestTarget<'a> {
        &self.target
    }

    /// Returns all field lines in the order received.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// Returns the values of every line of the field `name` (lower case), in the order received.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        self.fields.iter().filter(move |f| f.name == name).map(|f| f.value.as_ref())
    }

    /// Returns true if the request carries the field `name` (lower case).
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|f| f.name == name)
    }

    /// Returns the value of a field that must not occur on more than one line, or `None` if the
    /// request does not carry the field.
    ///
    /// # Errors
    /// [`Repeated`] if there are two or more lines: servers differ in which of them they use.
    pub fn single(&self, name: &str) -> Result<Option<&[u8]>, Repeated> {
        let mut lines = self.fields.iter().filter(|f| f.name == name);
        let first = lines.next().map(Field::value);
        if lines.next().is_some() { Err(Repeated) } else { Ok(first) }
    }
}

/// The error for a field that must not be repeated but occurs on several lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stands on more than one line")]
pub struct Repeated;

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
