//! Checks the bytes of an HTTP/1 head before hyper parses them.
//!
//! hyper silently repairs some heads: it drops a `Content-Length` beside a `Transfer-Encoding`,
//! merges two equal lengths, ends lines at a bare line feed and cuts a fragment off the target. A
//! proxy in front of this server may read such a head differently, which allows request smuggling
//! (RFC 9112 sections 2.2, 6.1 and 11.2). So these heads are refused here.

use http::{StatusCode, Uri};

/// The maximum number of field lines of a head, equal to hyper's limit.
pub(super) const MAX_LINES: usize = 100;
/// The maximum number of bytes that are kept of the method and of the path of a refused head.
const LONGEST_WORD: usize = 512;

/// Why the head of a request is refused before it is parsed.
///
/// ```
/// use mcpid::net::HeadFault;
///
/// let fault = HeadFault::LengthAndCoding;
/// assert_eq!((fault.status().as_u16(), fault.reason()), (400, "length_and_coding"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadFault {
    /// The head is longer than the limit.
    TooLong,
    /// The request line alone is longer than the limit.
    TargetTooLong,
    /// The head has more than 100 field lines.
    TooManyLines,
    /// A line ends with a line feed without a carriage return.
    BareLineFeed,
    /// The head violates RFC 9112: a folded line, a control character, or a space before a colon.
    Malformed,
    /// The target is not a URI reference, or has a fragment.
    Target,
    /// The method is CONNECT, after which the connection would no longer be HTTP.
    Method,
    /// The head has two `Content-Length` fields, even equal ones, or one that is not a plain
    /// decimal number.
    ContentLength,
    /// The head has both `Content-Length` and `Transfer-Encoding`.
    LengthAndCoding,
    /// The list of transfer codings ends with `chunked`, but has other codings too.
    Coding,
    /// The transfer coding does not mark the end of the body; or there is a transfer coding in
    /// HTTP/1.0.
    CodingWithoutEnd,
    /// The connection begins with a TLS handshake, and this listener has no certificate.
    Tls,
    /// The connection begins with the PROXY protocol of HAProxy, in version 1 or 2.
    ProxyProtocol,
}

impl HeadFault {
    /// Returns the status of the response (RFC 9110 section 15.5, RFC 6585 section 5).
    pub const fn status(self) -> StatusCode {
        match self {
            HeadFault::TooLong | HeadFault::TooManyLines => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            HeadFault::TargetTooLong => StatusCode::URI_TOO_LONG,
            HeadFault::Method => StatusCode::METHOD_NOT_ALLOWED,
            HeadFault::Coding => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns a stable code for JSON and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            HeadFault::TooLong | HeadFault::TargetTooLong | HeadFault::TooManyLines => "too_large",
            HeadFault::BareLineFeed => "bare_line_feed",
            HeadFault::Malformed => "head_invalid",
            HeadFault::Target => "target",
            HeadFault::Method => "method",
            HeadFault::ContentLength => "content_length",
            HeadFault::LengthAndCoding => "length_and_coding",
            HeadFault::Coding | HeadFault::CodingWithoutEnd => "transfer_coding",
            HeadFault::Tls => "tls",
            HeadFault::ProxyProtocol => "proxy_protocol",
        }
    }

    /// Returns the message for the client. It contains no character that JSON has to escape.
    pub const fn message(self) -> &'static str {
        match self {
            HeadFault::TooLong => "the head of the request is too long",
            HeadFault::TargetTooLong => "the target of the request is too long",
            HeadFault::TooManyLines => "the request has more than 100 header lines",
            HeadFault::BareLineFeed => "a line of the head ends with a line feed alone",
            HeadFault::Malformed => "the head of the request cannot be read",
            HeadFault::Target => "the target of the request cannot be read, or has a fragment",
            HeadFault::Method => "neither CONNECT nor TRACE is for this server",
            HeadFault::ContentLength => "content-length must be one decimal number, once",
            HeadFault::LengthAndCoding => {
                "content-length and transfer-encoding cannot be used together"
            }
            HeadFault::Coding | HeadFault::CodingWithoutEnd => {
                "no transfer coding but chunked is understood, and none in http/1.0"
            }
            HeadFault::Tls => "this port speaks plain http, without TLS",
            HeadFault::ProxyProtocol => "the PROXY protocol is not understood here",
        }
    }
}

/// A head that was refused before it was parsed.
#[derive(Clone, Debug)]
pub struct RefusedRawHead {
    fault: HeadFault,
    method: String,
    path: String,
    is_http_10: bool,
}

impl RefusedRawHead {
    /// Makes the refusal; `head` is the part of the head that has arrived.
    pub(super) fn new(fault: HeadFault, head: &[u8]) -> Self {
        // The bytes of another protocol contain no request line.
        let is_http = !matches!(fault, HeadFault::Tls | HeadFault::ProxyProtocol);
        let head = if is_http { head } else { b"" };
        let start = head.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(head.len());
        let line = head.get(start..).unwrap_or_default();
        let line = line.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
        let is_http_10 = line.ends_with(b" HTTP/1.0");
        let mut words = line.split(|b| *b == b' ');
        let mut word = |end: &[u8]| {
            let word = words.next().unwrap_or_default();
            let word = word.split(|b| end.contains(b)).next().unwrap_or_default();
            String::from_utf8_lossy(word.get(..LONGEST_WORD).unwrap_or(word)).into_owned()
        };
        let (method, path) = (word(b""), word(b"?#"));
        RefusedRawHead { fault, method, path, is_http_10 }
    }

    /// Returns why the head was refused.
    pub fn fault(&self) -> HeadFault {
        self.fault
    }

    /// Returns the first word of the request line, cut to 512 bytes.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the second word of the request line without query and fragment, cut to 512 bytes. A
    /// target in absolute form begins with a scheme.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns true if the request line says HTTP/1.0.
    pub fn is_http_10(&self) -> bool {
        self.is_http_10
    }
}

/// How the end of the body after a head is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// The body has this length in bytes; 0 for none.
    Length(u64),
    Chunked,
    /// This is the connection preface of HTTP/2, after which there are no HTTP/1 heads.
    Http2,
}

/// Finds the end of a head that arrives in pieces. Each byte is scanned once.
#[derive(Debug, Default)]
pub(super) struct HeadEnd {
    scanned: usize,
    line_start: usize,
    lines: usize,
}

impl HeadEnd {
    /// Returns the length of the head at the start of `bytes`, or `None` if it is not complete.
    /// `bytes` begins with the bytes of the last call.
    pub(super) fn find(&mut self, bytes: &[u8], most: usize) -> Result<Option<usize>, HeadFault> {
        while let Some(found) = memchr::memchr(b'\n', bytes.get(self.scanned..).unwrap_or_default())
        {
            let at = self.scanned + found;
            self.scanned = at + 1;
            if at == self.line_start || bytes.get(at - 1) != Some(&b'\r') {
                return Err(HeadFault::BareLineFeed);
            }
            let is_empty = at - 1 == self.line_start;
            self.line_start = at + 1;
            if at >= most {
                return Err(self.too_long());
            }
            match (is_empty, self.lines) {
                // RFC 9112 section 2.2: an empty line before a request line is ignored.
                (true, 0) => {}
                (true, _) => return Ok(Some(at + 1)),
                (false, lines) if lines > MAX_LINES => return Err(HeadFault::TooManyLines),
                (false, _) => self.lines += 1,
            }
        }
        self.scanned = bytes.len();
        if bytes.len() >= most { Err(self.too_long()) } else { Ok(None) }
    }

    fn too_long(&self) -> HeadFault {
        if self.lines == 0 { HeadFault::TargetTooLong } else { HeadFault::TooLong }
    }
}

/// Finds out that a connection does not begin with HTTP, from its first `bytes`. Both cases (TLS,
/// and the PROXY protocol of HAProxy) are common mistakes in the configuration of a proxy in front.
pub(super) fn other_protocol(bytes: &[u8]) -> Option<HeadFault> {
    /// The first byte of a TLS handshake (RFC 8446 section 5.1). No HTTP method begins with this
    /// byte.
    const HANDSHAKE: u8 = 22;
    const PROXY_LINES: [&[u8]; 4] = [
        b"PROXY TCP4 ",
        b"PROXY TCP6 ",
        b"PROXY UNKNOWN",
        // Version 2 of the PROXY protocol begins with these bytes.
        b"\r\n\r\n\0\r\nQUIT\n",
    ];
    if bytes.first() == Some(&HANDSHAKE) {
        Some(HeadFault::Tls)
    } else {
        let is_proxy = PROXY_LINES.iter().any(|line| bytes.starts_with(line));
        is_proxy.then_some(HeadFault::ProxyProtocol)
    }
}

/// Checks a complete head, whose lines all end with CRLF.
pub(super) fn check(head: &[u8]) -> Result<BodyFraming, HeadFault> {
    if head == b"PRI * HTTP/2.0\r\n\r\n" {
        return Ok(BodyFraming::Http2);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_LINES];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(HeadFault::TooManyLines),
        _ => return Err(HeadFault::Malformed),
    }
    if request.method == Some("CONNECT") {
        return Err(HeadFault::Method);
    }
    let target = request.path.unwrap_or_default();
    if target.contains('#') || target.parse::<Uri>().is_err() {
        return Err(HeadFault::Target);
    }
    let (mut length, mut coding) = (None, None);
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            if length.replace(field.value).is_some() {
                return Err(HeadFault::ContentLength);
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            let chunked = field.value.eq_ignore_ascii_case(b"chunked");
            // Only `chunked` as the last coding marks the end of the body (RFC 9112 section 6.1).
            let last = field.value.rsplit(|b| *b == b',').next().unwrap_or_default();
            let ends = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            let fault = match (ends, chunked && coding.is_none()) {
                (true, true) => None,
                (true, false) => Some(HeadFault::Coding),
                (false, _) => Some(HeadFault::CodingWithoutEnd),
            };
            coding = Some(fault);
        }
    }
    match (length, coding) {
        (Some(_), Some(_)) => Err(HeadFault::LengthAndCoding),
        (None, Some(_)) if request.version == Some(0) => Err(HeadFault::CodingWithoutEnd),
        (None, Some(Some(fault))) => Err(fault),
        (None, Some(None)) => Ok(BodyFraming::Chunked),
        (Some(length), None) => {
            decimal(length).map(BodyFraming::Length).ok_or(HeadFault::ContentLength)
        }
        (None, None) => Ok(BodyFraming::Length(0)),
    }
}

/// Parses a length that consists of digits, without a sign and without leading zeros, which some
/// parsers read as octal.
fn decimal(value: &[u8]) -> Option<u64> {
    let plain = value.iter().all(u8::is_ascii_digit) && (value == b"0" || !value.starts_with(b"0"));
    let length: u64 = std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()?;
    // Larger lengths are refused, because hyper uses the largest values of the type for other
    // purposes.
    (length <= i64::MAX as u64).then_some(length)
}
