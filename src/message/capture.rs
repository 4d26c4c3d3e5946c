//! A captured HTTP/1.1 request: the bytes of one request as they were on the wire.
//!
//! The parser is stricter than RFC 9112 requires of a server. It refuses every request about whose
//! end or fields two servers could disagree. All lines must end with CRLF, or all with LF (as in
//! captures that were saved with an editor). A mix is refused, because strict and lenient servers
//! split such a request differently.

use std::borrow::Cow;
use std::ops::Range;

use super::capture_lines::{CaptureLines, split_field};
use super::framing::Framing;
use super::target::TargetError;
use super::uri::shown;
use super::{Body, Field, Head, HeadError, InputRequest, RequestTarget};

pub use super::capture_lines::{LineEnd, MAX_HEAD};
pub use super::fault::{CaptureError, CaptureFault};

/// A parsed request together with the bytes from which it was parsed.
///
/// ```
/// use mcpid::message::capture::Captured;
///
/// let bytes = b"POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Length: 2\r\n\r\n{}";
/// let request = Captured::parse(bytes, 1024)?;
/// assert_eq!((request.head().method(), request.body()), ("POST", &b"{}"[..]));
///
/// // A second Content-Length is refused, also if it is equal.
/// let twice = b"GET / HTTP/1.1\nHost: a\nContent-Length: 0\nContent-Length: 0\n\n";
/// assert_eq!(Captured::parse(twice, 1024).unwrap_err().line(), 4);
/// # Ok::<(), mcpid::message::capture::CaptureError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Captured<'a> {
    source: &'a [u8],
    head: Head<'a>,
    body: Cow<'a, [u8]>,
    /// The byte range of the target on the request line.
    target: Range<usize>,
    /// The byte range of each field line, with its line end.
    lines: Vec<Range<usize>>,
    /// The offset of the empty line that ends the head.
    head_end: usize,
    line_end: LineEnd,
    chunked: bool,
    trailers: usize,
}

/// What [`Captured::print`] does with one field line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit<'e> {
    /// The line is kept, byte for byte.
    Keep,
    /// The line is removed.
    Drop,
    /// The name of the field stays, and its value is replaced.
    Value(Cow<'e, str>),
}

impl<'a> Captured<'a> {
    /// Parses `source`, which must hold one request and nothing else. `max_body` is in bytes.
    ///
    /// A chunked body is decoded. Trailer fields are counted and dropped (RFC 9110 section 6.5.1).
    /// A trailer field that affects framing, routing or signatures is an error.
    ///
    /// # Errors
    /// [`CaptureError`], with the line.
    pub fn parse(source: &'a [u8], max_body: u64) -> Result<Self, CaptureError> {
        read(source, max_body, false)
    }

    /// Parses `source` as [`Captured::parse`] does, but also accepts a URL, path or `Host` that
    /// cannot be read, and keeps it unchanged. A verifier refuses such a request. Use this for
    /// profiles with a separate refusal code for unreadable targets, such as `adcp`.
    ///
    /// # Errors
    /// As [`Captured::parse`].
    pub fn parse_with_any_target(source: &'a [u8], max_body: u64) -> Result<Self, CaptureError> {
        read(source, max_body, true)
    }

    /// Returns the head.
    pub fn head(&self) -> &Head<'a> {
        &self.head
    }

    /// Returns the body: chunks are decoded, content codings such as gzip are not.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns how the lines end.
    pub fn line_end(&self) -> LineEnd {
        self.line_end
    }

    /// Returns true if the body had the chunked transfer coding.
    pub fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// Returns the number of trailer fields that were dropped.
    pub fn trailers(&self) -> usize {
        self.trailers
    }

    /// Converts to the type that all input formats share. A capture has no time.
    pub fn into_request(self) -> InputRequest<'a> {
        InputRequest { head: self.head, body: Body::Kept(self.body), time: None }
    }

    /// Returns the bytes of this request with some field lines changed and others added at the end
    /// of the head; all other bytes stay the same. `target` replaces the target of the request
    /// line.
    ///
    /// # Errors
    /// [`HeadError`] if a new name or value is not valid in a header line.
    pub fn print<'e>(
        &self,
        target: Option<&str>,
        mut edit: impl FnMut(&Field<'_>) -> Edit<'e>,
        added: &[(&str, &str)],
    ) -> Result<Vec<u8>, HeadError> {
        let mut out = Vec::with_capacity(self.source.len() + 1024);
        let bytes = |range: Range<usize>| self.source.get(range).unwrap_or_default();
        let fields_start = self.lines.first().map_or(self.head_end, |line| line.start);
        out.extend_from_slice(bytes(0..self.target.start));
        out.extend_from_slice(target.map_or(bytes(self.target.clone()), str::as_bytes));
        out.extend_from_slice(bytes(self.target.end..fields_start));
        for (field, line) in self.head.fields().iter().zip(&self.lines) {
            match edit(field) {
                Edit::Keep => out.extend_from_slice(bytes(line.clone())),
                Edit::Drop => {}
                Edit::Value(value) => {
                    let spelt = line.start..line.start + field.name().len();
                    self.print_line(&mut out, bytes(spelt), field.name(), &value)?;
                }
            }
        }
        for (name, value) in added {
            self.print_line(&mut out, name.as_bytes(), name, value)?;
        }
        out.extend_from_slice(bytes(self.head_end..self.source.len()));
        Ok(out)
    }

    fn print_line(
        &self,
        out: &mut Vec<u8>,
        spelt: &[u8],
        name: &str,
        value: &str,
    ) -> Result<(), HeadError> {
        Field::new(name, value.as_bytes())?;
        for piece in [spelt, b": ", value.as_bytes(), self.line_end.as_str().as_bytes()] {
            out.extend_from_slice(piece);
        }
        Ok(())
    }
}

fn read(source: &[u8], max_body: u64, any_target: bool) -> Result<Captured<'_>, CaptureError> {
    sniff(source).map_err(|fault| CaptureError::new(1, fault))?;
    let mut lines = CaptureLines { source, at: 0, number: 0, end: None };
    let first = head_line(&mut lines)?;
    let (method, target) = request_line(first).map_err(|fault| lines.error(fault))?;
    let target_start = method.len() + 1;
    let target_range = target_start..target_start + target.len();
    let target = match request_target(method, target) {
        Err(CaptureFault::Target(_)) if any_target && target.starts_with('/') => {
            RequestTarget::Origin(target.into())
        }
        Err(CaptureFault::Target(_)) if any_target => RequestTarget::Absolute(target.into()),
        read => read.map_err(|fault| lines.error(fault))?,
    };
    let mut head = Head::new(method, target).map_err(|_| {
        lines.error(CaptureFault::RequestLine(shown(&String::from_utf8_lossy(first))))
    })?;

    let mut spans = Vec::with_capacity(16);
    let mut framing = Framing::default();
    let head_end = loop {
        let start = lines.at;
        let line = head_line(&mut lines)?;
        if line.is_empty() {
            break start;
        }
        let (name, value) = split_field(line).map_err(|fault| lines.error(fault))?;
        head.push(name, value).map_err(|error| lines.error(CaptureFault::Field(error)))?;
        let name = head.fields().last().map(Field::name).unwrap_or_default();
        match framing.field(name, value, lines.number) {
            Err(CaptureFault::Host(_)) if any_target => {}
            read => read.map_err(|fault| lines.error(fault))?,
        }
        spans.push(start..lines.at);
    };
    framing.check_host().map_err(|fault| lines.error(fault))?;

    let line_end = lines.end.unwrap_or(LineEnd::Lf);
    let chunked = framing.is_chunked();
    let (body, trailers) = framing.body(lines, max_body)?;
    let target = target_range;
    Ok(Captured { source, head, body, target, lines: spans, head_end, line_end, chunked, trailers })
}

fn head_line<'a>(lines: &mut CaptureLines<'a>) -> Result<&'a [u8], CaptureError> {
    match lines.next(MAX_HEAD)? {
        Some(line) => Ok(line),
        None if lines.source.len() >= MAX_HEAD => {
            Err(lines.error(CaptureFault::HeadTooLarge { limit: MAX_HEAD }))
        }
        None => Err(lines.error(CaptureFault::HeadCut)),
    }
}

/// Recognizes frequent mistakes, such as TLS bytes or JSON in place of a request, to give a better
/// error than "not a request line".
fn sniff(source: &[u8]) -> Result<(), CaptureFault> {
    let text = source.trim_ascii_start();
    match source {
        [] => Err(CaptureFault::Empty),
        // A TLS record of type handshake, RFC 8446 section 5.1.
        [0x16, 0x03, ..] => Err(CaptureFault::Tls),
        [0xef, 0xbb, 0xbf, ..] => Err(CaptureFault::ByteOrderMark),
        _ if source.starts_with(b"HTTP/") => Err(CaptureFault::Response),
        _ if source.starts_with(b"PRI * HTTP/2.0") => {
            Err(CaptureFault::Version("HTTP/2.0".to_owned()))
        }
        _ if matches!(text.first(), Some(b'{' | b'[' | b'"')) => Err(CaptureFault::Json),
        _ => Ok(()),
    }
}

/// Parses `METHOD TARGET HTTP/1.1`, with single spaces only (RFC 9112 section 3).
fn request_line(line: &[u8]) -> Result<(&str, &str), CaptureFault> {
    let malformed = || CaptureFault::RequestLine(shown(&String::from_utf8_lossy(line)));
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(_) => return Err(malformed()),
    };
    let mut words = text.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some("HTTP/1.1"), None) => Ok((method, target)),
        (Some(_), Some(_), Some(version), None) if version.starts_with("HTTP/") => {
            Err(CaptureFault::Version(shown(version)))
        }
        _ => Err(malformed()),
    }
}

fn request_target<'a>(method: &str, text: &'a str) -> Result<RequestTarget<'a>, CaptureFault> {
    match RequestTarget::from_bytes(text.as_bytes()) {
        Ok(RequestTarget::Asterisk) if method != "OPTIONS" => {
            Err(CaptureFault::TargetForm(text.to_owned()))
        }
        Ok(target) => Ok(target),
        Err(TargetError::Uri(why)) => Err(CaptureFault::Target(why)),
        Err(_) => Err(CaptureFault::TargetForm(shown(text))),
    }
}
