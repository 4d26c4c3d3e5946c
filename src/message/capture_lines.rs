//! Splits a captured request into lines, all of which must end in the same way.

use super::HeadError;
use super::fault::{CaptureError, CaptureFault};
use super::uri::shown;

/// Maximum length of request line and header fields together, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;

/// The line end of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// Carriage return and line feed, as on the wire.
    CrLf,
    /// Line feed only.
    Lf,
}

impl LineEnd {
    /// Returns the line end as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            LineEnd::CrLf => "\r\n",
            LineEnd::Lf => "\n",
        }
    }
}

/// Reads a capture line by line.
pub(super) struct CaptureLines<'a> {
    pub(super) source: &'a [u8],
    pub(super) at: usize,
    /// The number of the line that was read last.
    pub(super) number: usize,
    /// The line end of the first line; `None` before it was read.
    pub(super) end: Option<LineEnd>,
}

impl<'a> CaptureLines<'a> {
    /// Returns the next line without its line end, or `None` if no line ends before offset `limit`.
    pub(super) fn next(&mut self, limit: usize) -> Result<Option<&'a [u8]>, CaptureError> {
        let window = self.source.get(self.at..limit.min(self.source.len())).unwrap_or_default();
        let found = window.iter().position(|&b| b == b'\n');
        let (line, end) = match window.get(..found.unwrap_or(window.len())).unwrap_or_default() {
            [line @ .., b'\r'] => (line, LineEnd::CrLf),
            line => (line, LineEnd::Lf),
        };
        self.number += 1;
        // This check also refuses a carriage return that is not followed by a line feed.
        if let Some(&byte) = line.iter().find(|&&b| (b < b' ' && b != b'\t') || b == 0x7f) {
            return Err(self.error(CaptureFault::Control(byte)));
        }
        let Some(length) = found else { return Ok(None) };
        if *self.end.get_or_insert(end) != end {
            return Err(self.error(CaptureFault::LineEnd));
        }
        self.at += length + 1;
        Ok(Some(line))
    }

    pub(super) fn error(&self, fault: CaptureFault) -> CaptureError {
        CaptureError::new(self.number, fault)
    }
}

/// Splits a field line into its name and its value. White space around the value stays.
pub(super) fn split_field(line: &[u8]) -> Result<(&str, &[u8]), CaptureFault> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(CaptureFault::Folded);
    }
    let colon = line.iter().position(|&b| b == b':').ok_or(CaptureFault::NoColon)?;
    let (name, value) = line.split_at(colon);
    match std::str::from_utf8(name) {
        Ok(name) => Ok((name, value.get(1..).unwrap_or_default())),
        Err(_) => {
            let name = shown(&String::from_utf8_lossy(name));
            Err(CaptureFault::Field(HeadError::FieldName(name)))
        }
    }
}
