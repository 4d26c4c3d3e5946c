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

    /// Returns what is wrong with the line.
    pub fn fault(&self) -> &CaptureFault {
        &self.fault
    }

    /// Whether more bytes could complete the request. A reader of a connection then continues.
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
    /// What the fault comes from; the fault itself is already in the text.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

/// What is wrong with a capture. The text of a fault holds nothing of the capture, which may be any
/// file at all, a private key among them; the members do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureFault {
    /// No bytes at all.
    #[error("the input is empty")]
    Empty,
    /// A TLS record: the capture was made outside the encryption.
    #[error("TLS bytes, not an HTTP request")]
    Tls,
    /// HTTP/2, or a version other than 1.1.
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
    /// Not `METHOD TARGET HTTP/1.1` with one space between.
    #[error("not a request line")]
    RequestLine(String),
    /// A target that cannot be signed.
    #[error("the request target cannot be read")]
    Target(#[source] UriError),
    /// Neither path nor URL, nor the `*` of an `OPTIONS`.
    #[error("not a request target")]
    TargetForm(String),
    /// Request line and fields go on past [`MAX_HEAD`](super::capture::MAX_HEAD).
    #[error("the head is longer than {limit} bytes")]
    HeadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// No empty line ends the head.
    #[error("the input ends before the empty line that ends the head")]
    HeadCut,
    /// Some lines end with CRLF and some with LF.
    #[error("the line ends unlike line 1, of LF and CRLF only one may be used")]
    LineEnd,
    /// A control character, a carriage return without line feed among them.
    #[error("byte 0x{0:02x} is a control character")]
    Control(u8),
    /// A line that begins with white space and so continues the one before (obsolete folding,
    /// RFC 9112 section 5.2).
    #[error("a folded header line")]
    Folded,
    /// No colon.
    #[error("a header line without a colon")]
    NoColon,
    /// A field name that is no token, white space before the colon included.
    #[error("not a header field")]
    Field(#[source] HeadError),
    /// No `Host` field.
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
    /// Not plain decimal digits without leading zeros behind at most one space.
    #[error("not a content-length")]
    Length(String),
    /// `Content-Length` and `Transfer-Encoding` together (RFC 9112 section 6.1).
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
        /// `Content-Length`.
        says: u64,
        /// What the input holds.
        follow: u64,
    },
    /// The body is longer than announced.
    #[error("content-length says {says}, {follow} bytes follow")]
    BodyLong {
        /// `Content-Length`.
        says: u64,
        /// What the input holds.
        follow: u64,
    },
    /// There is a body, but neither `Content-Length` nor `Transfer-Encoding`.
    #[error("no content-length, {follow} bytes follow")]
    BodyUnannounced {
        /// What the input holds.
        follow: u64,
    },
    /// Bytes behind the last chunk.
    #[error("{follow} bytes follow the last chunk")]
    AfterLastChunk {
        /// How many.
        follow: u64,
    },
    /// The body is longer than the caller allows.
    #[error("the body has {size} bytes, {limit} are allowed")]
    BodyTooLarge {
        /// As announced, or, for chunks, up to where reading stopped.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// Not a chunk size in hexadecimal digits.
    #[error("not a chunk size")]
    ChunkSize(String),
    /// A chunk extension: no signature can cover it, and servers drop it.
    #[error("a chunk extension")]
    ChunkExtension,
    /// No line end where the chunk's size says it ends.
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
