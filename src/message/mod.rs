//! From bytes to a request that can be reasoned about.
//!
//! A [`Head`] holds what the signature base is built from, as it came: nothing in it is decoded,
//! joined or normalised. Which origin a request was sent to is not the sender's to say, so the
//! target is resolved later, against the origins that are ours (see [`target`]).

use std::borrow::Cow;

pub mod capture;
pub mod digest;
mod fault;
mod framing;
pub mod har;
mod input;
pub mod line;
mod lines;
pub mod shown;
pub mod structured;
pub mod target;
mod uri;

pub use input::{Body, Inexact, InputKind, InputKindError, InputRequest, detect};

/// One header field line: its name in lower case, its value without surrounding white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, [u8]>,
}

impl<'a> Field<'a> {
    /// One field line. The name is brought to lower case, spaces and tabs around the value are
    /// cut off (RFC 9110 section 5.5 says they are not part of it).
    ///
    /// # Errors
    /// [`HeadError::FieldName`] or [`HeadError::FieldValue`].
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
        // Without an early end: nearly every value is good, and whole registers are compared so.
        let control = |&b: &u8| (b < b' ' && b != b'\t') || b == 0x7f;
        if value.iter().fold(false, |found, b| found | control(b)) {
            return Err(HeadError::FieldValue(uri::shown(&name)));
        }
        Ok(Field { name, value })
    }

    /// The same, holding its own bytes.
    pub fn into_owned(self) -> Field<'static> {
        Field {
            name: Cow::Owned(self.name.into_owned()),
            value: Cow::Owned(self.value.into_owned()),
        }
    }

    /// The name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value as received, without leading and trailing spaces and tabs.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

/// How the request line names its target (RFC 9112 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestTarget<'a> {
    /// `/path?query`, with the authority in `Host`.
    Origin(Cow<'a, str>),
    /// A whole URI on the request line.
    Absolute(Cow<'a, str>),
    /// A whole URI, known from elsewhere than a request line: HTTP/2 pseudo-header fields, a HAR
    /// or request line file, a URL to be signed. Its `@request-target` is the path and query.
    Uri(Cow<'a, str>),
    /// `*`, for a server-wide `OPTIONS`.
    Asterisk,
}

/// A request without its body: method, target and fields in the order received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    method: Cow<'a, str>,
    target: RequestTarget<'a>,
    fields: Vec<Field<'a>>,
}

/// Why something cannot be the head of an HTTP request.
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

/// Whether `byte` may stand in a token (RFC 9110 section 5.6.2).
pub const fn is_tchar(byte: u8) -> bool {
    TCHAR[byte as usize]
}

/// Whether a field, its name in lower case, can make a server see another method, path, host or
/// sender than those of the request.
#[cfg(any(feature = "gateway", feature = "connect"))]
pub(crate) fn is_override(name: &str) -> bool {
    matches!(name, "x-method-override" | "x-original-url" | "x-rewrite-url")
        || matches!(name, "forwarded" | "x-real-ip")
        || name.starts_with("x-http-method")
        || name.starts_with("x-forwarded-")
}

/// Looked up rather than compared: every name of every field and component is made of these.
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
    /// A head with no fields yet.
    ///
    /// # Errors
    /// [`HeadError::Method`].
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

    /// Adds one field line, see [`Field::new`].
    ///
    /// # Errors
    /// [`HeadError::FieldName`] or [`HeadError::FieldValue`].
    pub fn push(
        &mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, [u8]>>,
    ) -> Result<(), HeadError> {
        self.fields.push(Field::new(name, value)?);
        Ok(())
    }

    /// The bytes that this head takes as HTTP/1.1: what a limit on heads is held against,
    /// wherever the head came from.
    pub fn wire_len(&self) -> usize {
        let target = match &self.target {
            RequestTarget::Origin(t) | RequestTarget::Absolute(t) | RequestTarget::Uri(t) => {
                t.len()
            }
            RequestTarget::Asterisk => 1,
        };
        // Beside the texts: two spaces, "HTTP/1.1", and CRLF twice; ": " and CRLF for each field.
        let fields = self.fields.iter().map(|f| f.name.len() + f.value.len() + 4);
        self.method.len() + target + 14 + fields.sum::<usize>()
    }

    /// The same, holding its own bytes.
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

    /// The method, as received: methods are case-sensitive (RFC 9110 section 9.1).
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The target, as the request named it.
    pub fn target(&self) -> &RequestTarget<'a> {
        &self.target
    }

    /// All field lines in the order received.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The values of every line of the field `name` (lower case), in the order received.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        self.fields.iter().filter(move |f| f.name == name).map(|f| f.value.as_ref())
    }

    /// Whether the field `name` (lower case) is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|f| f.name == name)
    }

    /// The value of a field that may stand on one line only.
    ///
    /// # Errors
    /// [`Repeated`] if there are two or more lines: which of them a server would take is anyone's
    /// guess.
    pub fn single(&self, name: &str) -> Result<Option<&[u8]>, Repeated> {
        let mut lines = self.fields.iter().filter(|f| f.name == name);
        let first = lines.next().map(Field::value);
        if lines.next().is_some() { Err(Repeated) } else { Ok(first) }
    }
}

/// A field that may stand on one line only stands on several.
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
