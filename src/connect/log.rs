//! The log of a bridge: lines for the program around it.

use std::fmt;
use std::sync::Arc;

use crate::message::shown::visible;

/// Receives what a bridge reports, line by line.
///
/// ```
/// use mcpid::connect::{LogLevel, LogSink};
///
/// let log = LogSink::new(|level, line| {
///     if level == LogLevel::Warning {
///         eprintln!("warning: {line}");
///     }
/// });
/// # let _ = log;
/// ```
#[derive(Clone)]
pub struct LogSink(Arc<ReportLine>);

type ReportLine = dyn Fn(LogLevel, &str) + Send + Sync;

/// The importance of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// A detail, for example that an answer is resumed.
    Note,
    /// A failure, for example a request that could not be sent.
    Warning,
}

impl LogSink {
    /// Creates a log that calls `report` with every line. A line holds no control characters and no
    /// secrets.
    pub fn new(report: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        LogSink(Arc::new(report))
    }

    /// Creates a log that drops every line.
    pub fn silent() -> Self {
        LogSink::new(|_, _| ())
    }

    /// Says a detail.
    pub fn note(&self, line: &str) {
        (self.0)(LogLevel::Note, &visible(line));
    }

    /// Says that something did not work.
    pub fn warn(&self, line: &str) {
        (self.0)(LogLevel::Warning, &visible(line));
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}
