//! The errors of parsing a captured request.

use std::fmt;

use super::HeadError;
use super::uri::UriError;

/// Why bytes are not one HTTP/1.1 request, with the line number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureError {
    line: usize,
    fault: CaptureFault,
}

impl CaptureError {
    pub(super) fn new(line: usize, fault: CaptureFault) -> Self {
        CaptureError { line, fault }
    }

    /// Returns the line, counted from 1; line feeds in the body count too.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns what is wrong with the line.
    pub fn fault(&self) -> &CaptureFault {
        &self.fault
    }

    /// Returns true if the request is only incomplete: a reader of a connection then reads more
    /// bytes.
    pub fn is_incomplete(&self) -> bool {
        matches!(
            self.fault,
            CaptureFault::Empty
                | CaptureFault::HeadCut
                | CaptureFault::BodyCut { .. }
                | CaptureFault::ChunkCut
        )
    }
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl std::error::Error for CaptureError {
    /// Returns the source of the fault. The text of this error already contains the fault itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

/// What is wrong with a capture. Its text does not quote the capture, because the file may be a
/// private key that was given by mistake. The fields of the variants do contain parts of the
/// capture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureFault {
    /// The input is empty.
    #[error("the input is empty")]
    Empty,
    /// The bytes are a TLS record, so the capture contains encrypted data.
    #[error("TLS bytes, not an HTTP request")]
    Tls,
    /// The request is HTTP/2, or of a version other than 1.1.
    #[error("not HTTP/1.1")]
    Version(String),
    /// The input begins with a status line, so it is a response.
    #[error("an HTTP response, not a request")]
    Response,
    /// The input is JSON, for example a body without its request.
    #[error("JSON, not an HTTP request")]
    Json,
    /// The input begins with a byte order mark.
    #[error("a byte order mark before the request line")]
    ByteOrderMark,
    /// The first line is not `METHOD TARGET HTTP/1.1` with single spaces.
    #[error("not a request line")]
    RequestLine(String),
    /// The target cannot be parsed, so it cannot be signed.
    #[error("the request target cannot be read")]
    Target(#[source] UriError),
    /// The target is neither a path, nor a URL, nor the `*` of an `OPTIONS` request.
    #[error("not a request target")]
    TargetForm(String),
    /// Request line and fields are longer than [`MAX_HEAD`](super::capture::MAX_HEAD).
    #[error("the head is longer than {limit} bytes")]
    HeadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The input ends before the empty line that ends the head.
    #[error("the input ends before the empty line that ends the head")]
    HeadCut,
    /// Some lines end with CRLF and some with LF.
    #[error("the line ends unlike line 1, of LF and CRLF only one may be used")]
    LineEnd,
    /// A control character, such as a carriage return without a line feed.
    #[error("byte 0x{0:02x} is a control character")]
    Control(u8),
    /// A line begins with white space, which continues the line before (obsolete folding, RFC 9112
    /// section 5.2).
    #[error("a folded header line")]
    Folded,
    /// A header line has no colon.
    #[error("a header line without a colon")]
    NoColon,
    /// A field name is not a token, for example because of white space before the colon.
    #[error("not a header field")]
    Field(#[source] HeadError),
    /// The head has no `Host` field.
    #[error("the head ends without a host field")]
    HostMissing,
    /// The head has a second `Host` field.
    #[error("a second host field, the first is on line {first}")]
    HostRepeated {
        /// The line number of the first `Host`.
        first: usize,
    },
    /// The value of `Host` is not a host with an optional port.
    #[error("the host field cannot be read")]
    Host(#[source] UriError),
    /// The head has a second `Content-Length`, even if the value is the same.
    #[error("a second content-length, the first is on line {first}")]
    LengthRepeated {
        /// The line number of the first `Content-Length`.
        first: usize,
    },
    /// The value is not plain decimal digits without leading zeros, after at most one space.
    #[error("not a content-length")]
    Length(String),
    /// The head has both `Content-Length` and `Transfer-Encoding` (RFC 9112 section 6.1).
    #[error(
        "transfer-encoding together with the content-length, or a second time, see line {first}"
    )]
    LengthAndCoding {
        /// The line number of the other field.
        first: usize,
    },
    /// A transfer coding other than `chunked`.
    #[error("a transfer coding other than chunked")]
    Coding(String),
    /// The body is shorter than announced.
    #[error("content-length says {says}, {follow} bytes follow")]
    BodyCut {
        /// The value of `Content-Length`, in bytes.
        says: u64,
        /// Number of bytes that follow the head.
        follow: u64,
    },
    /// The body is longer than announced.
    #[error("content-length says {says}, {follow} bytes follow")]
    BodyLong {
        /// The value of `Content-Length`, in bytes.
        says: u64,
        /// Number of bytes that follow the head.
        follow: u64,
    },
    /// The request has a body, but neither `Content-Length` nor `Transfer-Encoding`.
    #[error("no content-length, {follow} bytes follow")]
    BodyUnannounced {
        /// Number of bytes that follow the head.
        follow: u64,
    },
    /// Bytes follow the last chunk.
    #[error("{follow} bytes follow the last chunk")]
    AfterLastChunk {
        /// Number of bytes after the last chunk.
        follow: u64,
    },
    /// The body is longer than the caller allows.
    #[error("the body has {size} bytes, {limit} are allowed")]
    BodyTooLarge {
        /// The size in bytes: the announced size, or for chunks the sum at the point where reading
        /// stopped.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The line is not a chunk size in hexadecimal digits.
    #[error("not a chunk size")]
    ChunkSize(String),
    /// The chunk has an extension. Servers drop extensions, and no signature can cover them.
    #[error("a chunk extension")]
    ChunkExtension,
    /// The chunk does not end with a line end after the announced number of bytes.
    #[error("the chunk is longer than the {size} bytes it announces")]
    ChunkEnd {
        /// The announced size.
        size: u64,
    },
    /// The input ends inside the chunks.
    #[error("the input ends before the last chunk")]
    ChunkCut,
    /// The trailer has a field that would change the meaning of the request if it were in the head.
    #[error("a trailer field that would decide about the request")]
    Trailer(String),
}
