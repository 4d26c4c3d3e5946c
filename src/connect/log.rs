//! The log of a bridge, whose lines go to the program that embeds it.

use std::fmt;
use std::sync::Arc;

use crate::message::shown::visible;

/// A function that receives each line that a bridge logs.
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
    /// A detail, for example that a broken stream was resumed.
    Note,
    /// A failure, for example a request that could not be sent.
    Warning,
}

impl LogSink {
    /// Creates a log that calls `report` with every line. Lines contain no control characters and
    /// no secrets.
    pub fn new(report: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        LogSink(Arc::new(report))
    }

    /// Creates a log that drops every line.
    pub fn silent() -> Self {
        LogSink::new(|_, _| ())
    }

    /// Logs a detail.
    pub fn note(&self, line: &str) {
        (self.0)(LogLevel::Note, &visible(line));
    }

    /// Logs a failure.
    pub fn warn(&self, line: &str) {
        (self.0)(LogLevel::Warning, &visible(line));
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}
