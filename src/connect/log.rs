//! Where the bridge says what happens.

use std::fmt;
use std::sync::Arc;

use crate::message::shown::visible;

/// Where the bridge says what happens, line by line; the caller decides what becomes of a line.
#[derive(Clone)]
pub struct LogSink(Arc<Say>);

type Say = dyn Fn(LogLevel, &str) + Send + Sync;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// A detail.
    Note,
    /// Something did not work.
    Warning,
}

impl LogSink {
    /// Calls `say` with every line, which holds no control characters and no secrets.
    pub fn new(say: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        LogSink(Arc::new(say))
    }

    /// Says nothing.
    pub fn silent() -> Self {
        LogSink::new(|_, _| ())
    }

    pub(super) fn note(&self, line: &str) {
        (self.0)(LogLevel::Note, &visible(line));
    }

    pub(super) fn warn(&self, line: &str) {
        (self.0)(LogLevel::Warning, &visible(line));
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}
