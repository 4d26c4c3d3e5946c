//! The errors of a captured request.

use std::fmt;

use super::HeadError;
use super::uri::UriError;

/// Why bytes are not one HTTP/1.1 request, with the line.
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

    /// Returns the fault of the line.
    pub fn fault(&self) -> &CaptureFault {
        &self.fault
    }

    /// Returns true if more bytes could complete the request. A reader of a connection then
    /// continues.
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
    /// Returns the source of the fault; the text of this error already holds the fault itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

/// A fault of a capture. Its text repeats no byte of the capture, because the file may be a private
/// key given by mistake; the fields of the variants do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureFault {
    /// The input is empty.
    #[error("the input is empty")]
    Empty,
    /// A TLS record: the capture was made outside the encryption.
    #[error("TLS bytes, not an HTTP request")]
    Tls,
    /// The request is HTTP/2, or of a version other than 1.1.
    #[error("not HTTP/1.1")]
    Version(String),
    /// A status line.
    #[error("an HTTP response, not a request")]
    Response,
    /// JSON, such as a body without its request.
    #[error("JSON, not an HTTP request")]
    Json,
    /// A byte order mark in front.
    #[error("a byte order mark before the request line")]
    ByteOrderMark,
    /// The first line is not `METHOD TARGET HTTP/1.1` with single spaces.
    #[error("not a request line")]
    RequestLine(String),
    /// A target that cannot be signed.
    #[error("the request target cannot be read")]
    Target(#[source] UriError),
    /// The target is neither a path, nor a URL, nor the `*` of an `OPTIONS` request.
    #[error("not a request target")]
    TargetForm(String),
    /// Request line and fields go on past [`MAX_HEAD`](super::capture::MAX_HEAD).
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
    /// A control character, a carriage return without line feed among them.
    #[error("byte 0x{0:02x} is a control character")]
    Control(u8),
    /// A line begins with white space and so continues the line before (obsolete folding, RFC 9112
    /// section 5.2).
    #[error("a folded header line")]
    Folded,
    /// A header line has no colon.
    #[error("a header line without a colon")]
    NoColon,
    /// A field name that is no token, white space before the colon included.
    #[error("not a header field")]
    Field(#[source] HeadError),
    /// The head has no `Host` field.
    #[error("the head ends without a host field")]
    HostMissing,
    /// A second `Host` field.
    #[error("a second host field, the first is on line {first}")]
    HostRepeated {
        /// The line of the first.
        first: usize,
    },
    /// A `Host` that is not a host with an optional port.
    #[error("the host field cannot be read")]
    Host(#[source] UriError),
    /// A second `Content-Length`, be it the same.
    #[error("a second content-length, the first is on line {first}")]
    LengthRepeated {
        /// The line of the first.
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
        /// The line of the other.
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
        /// Size in bytes: the announced one, or for chunks the sum up to the place where reading
        /// stopped.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The line is not a chunk size in hexadecimal digits.
    #[error("not a chunk size")]
    ChunkSize(String),
    /// A chunk extension: no signature can cover it, and servers drop it.
    #[error("a chunk extension")]
    ChunkExtension,
    /// The chunk does not end with a line end after the announced number of bytes.
    #[error("the chunk is longer than the {size} bytes it announces")]
    ChunkEnd {
        /// The size announced.
        size: u64,
    },
    /// The input ends inside the chunks.
    #[error("the input ends before the last chunk")]
    ChunkCut,
    /// A trailer field that would change the request if it stood in the head.
    #[error("a trailer field that would decide about the request")]
    Trailer(String),
}
