//! Reads inputs of any format: a raw request, an HTTP archive (HAR), or request lines.
//!
//! Request lines are read one by one, so that such a file may have any length.

use std::io::{self, BufRead as _, BufReader, Read};
use std::ops::ControlFlow;

use super::capture::{CaptureError, Captured};
use super::har::{Har, HarEntry, HarError};
use super::{InputKind, InputKindError, InputRequest, detect};

/// The largest raw request or archive, in bytes. Verifiers have their own limit on bodies; this
/// limit only prevents a wrong file from filling the memory.
pub const MAX_WHOLE: u64 = 1024 * 1024 * 1024;

/// Number of bytes at the beginning of the input from which its format is detected.
const DETECTION_BYTES: u64 = 64 * 1024;

/// A request that was read from an input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Capture {
    /// The raw request.
    Raw(InputRequest<'static>),
    /// An entry of an HTTP archive (HAR).
    Entry(HarEntry),
    /// A request line, still to be parsed by [`json_line::parse`](super::json_line::parse).
    Line(Vec<u8>),
}

/// Why an input, or the rest of it, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CapturesError {
    /// Reading failed.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
    /// The format is not known.
    #[error(transparent)]
    Kind(#[from] InputKindError),
    /// The raw request or archive is larger than [`MAX_WHOLE`] bytes.
    #[error("it is larger than {MAX_WHOLE} bytes")]
    TooLarge,
    /// The input is not a raw request.
    #[error(transparent)]
    Raw(#[from] CaptureError),
    /// The input is not an HTTP archive.
    #[error(transparent)]
    Har(#[from] HarError),
    /// Reading a line failed.
    #[error("line {line} cannot be read")]
    LineIo {
        /// The line, counted from 1.
        line: u64,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// A line is longer than the limit.
    #[error("line {line} is longer than {limit} bytes")]
    LineTooLong {
        /// The line, counted from 1.
        line: u64,
        /// The limit, in bytes.
        limit: u64,
    },
}

/// An opened input whose format was detected.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use mcpid::message::captures::{Capture, Captures};
/// use mcpid::message::{InputKind, json_line};
///
/// let lines = br#"{"method":"GET","target":"https://mcp.example.com/mcp","headers":[]}"#;
/// let captures = Captures::open(&lines[..], 4096)?;
/// assert_eq!(captures.kind(), InputKind::Lines);
/// let _ = captures.each(&mut |index, capture| {
///     let Capture::Line(text) = capture else { return ControlFlow::Break(()) };
///     assert_eq!((index, json_line::parse(&text).unwrap().head.method()), (0, "GET"));
///     ControlFlow::Continue(())
/// })?;
/// # Ok::<(), mcpid::message::captures::CapturesError>(())
/// ```
#[derive(Debug)]
pub struct Captures<R> {
    kind: InputKind,
    /// The beginning of the input, or all of it.
    start: Vec<u8>,
    /// The unread rest of the input; `None` if `start` is the whole input.
    rest: Option<BufReader<R>>,
    largest_line: u64,
    any_target: bool,
}

impl<R: Read> Captures<R> {
    /// Reads the beginning of `input` and detects its format. A raw request or an archive is read
    /// to its end. `max_body` is the largest body, in bytes, that a request line may hold.
    ///
    /// # Errors
    /// [`CapturesError`] if the input cannot be read, is too large, or has an unknown format.
    pub fn open(input: R, max_body: u64) -> Result<Self, CapturesError> {
        let mut reader = BufReader::new(input);
        let mut start = Vec::new();
        reader.by_ref().take(DETECTION_BYTES).read_to_end(&mut start).map_err(CapturesError::Io)?;
        // An input that has ended is not read again, because reading from a terminal would wait for
        // more.
        let mut rest = if (start.len() as u64) < DETECTION_BYTES { None } else { Some(reader) };
        let kind = detect(&start)?;
        if let Some(mut reader) = rest.take_if(|_| kind != InputKind::Lines) {
            reader.by_ref().take(MAX_WHOLE).read_to_end(&mut start).map_err(CapturesError::Io)?;
            if start.len() as u64 > MAX_WHOLE {
                return Err(CapturesError::TooLarge);
            }
        }
        // A line contains the body in base64, which takes four bytes for three. The extra megabyte
        // is for the head, parts of which an audit entry repeats.
        let largest_line = max_body.saturating_mul(2).saturating_add(1024 * 1024);
        Ok(Captures { kind, start, rest, largest_line, any_target: false })
    }

    /// Also returns a raw request whose target cannot be read; see
    /// [`Captured::parse_with_any_target`]. Request lines are always returned unparsed.
    #[must_use]
    pub fn with_any_target(mut self) -> Self {
        self.any_target = true;
        self
    }

    /// Returns the format of the input.
    pub fn kind(&self) -> InputKind {
        self.kind
    }

    /// Returns true if the whole input was read already.
    pub fn is_read(&self) -> bool {
        self.rest.is_none()
    }

    /// Calls `give` with each request and its position in the input, counted from 0, until `give`
    /// returns `Break`.
    ///
    /// # Errors
    /// [`CapturesError`]. `give` was called for the requests before the error.
    pub fn each(
        self,
        give: &mut dyn FnMut(u64, Capture) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, CapturesError> {
        match self.kind {
            InputKind::Raw => {
                let parse = match self.any_target {
                    true => Captured::parse_with_any_target,
                    false => Captured::parse,
                };
                let request = parse(&self.start, MAX_WHOLE)?.into_request();
                Ok(give(0, Capture::Raw(request.into_owned())))
            }
            InputKind::Har => {
                let har = Har::parse(&self.start)?;
                Ok((0..).zip(har.iter()).try_for_each(|(n, entry)| give(n, Capture::Entry(entry))))
            }
            InputKind::Lines => match self.rest {
                None => lines(&self.start[..], self.largest_line, give),
                Some(rest) => lines(self.start.chain(rest), self.largest_line, give),
            },
        }
    }
}

fn lines(
    mut input: impl io::BufRead,
    limit: u64,
    give: &mut dyn FnMut(u64, Capture) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, CapturesError> {
    let mut index = 0;
    for number in 1.. {
        let mut line = Vec::new();
        match input.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) => break,
            // The line does not end within the limit. Reading stops here, because the rest of the
            // line would be read as the next line.
            Ok(n) if line.last() != Some(&b'\n') && n as u64 == limit => {
                return Err(CapturesError::LineTooLong { line: number, limit });
            }
            Ok(_) if line.trim_ascii().is_empty() => {}
            Ok(_) => {
                if give(index, Capture::Line(line)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                index += 1;
            }
            Err(error) => return Err(CapturesError::LineIo { line: number, error }),
        }
    }
    Ok(ControlFlow::Continue(()))
}
