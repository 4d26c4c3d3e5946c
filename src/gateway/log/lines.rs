//! Reading a log of the gateway line by line.

use std::io::{self, BufRead, Read as _};

use super::{LONGEST_LINE, LogLine};

/// Reads the lines of a log. An item is `None` if the line is not a log line of this version, or is
/// longer than [`LONGEST_LINE`]. Empty lines are skipped.
#[derive(Debug)]
pub struct LogLines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> LogLines<R> {
    /// Reads lines from `input`. Only one line is in memory at a time.
    pub fn new(input: R) -> Self {
        LogLines { input, line: Vec::new() }
    }

    /// Reads one line without its line feed. Returns `Some(true)` if the line was too long to keep,
    /// and `None` at the end of the input.
    fn read(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let most = LONGEST_LINE as u64 + 1;
        if self.input.by_ref().take(most).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.pop_if(|last| *last == b'\n').is_some() || self.line.len() <= LONGEST_LINE {
            return Ok(Some(false));
        }
        self.input.skip_until(b'\n')?;
        Ok(Some(true))
    }
}

impl<R: BufRead> Iterator for LogLines<R> {
    type Item = io::Result<Option<LogLine>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(None) => return None,
                Ok(Some(true)) => return Some(Ok(None)),
                Ok(Some(false)) if self.line.trim_ascii().is_empty() => {}
                Ok(Some(false)) => return Some(Ok(LogLine::parse(&self.line))),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
