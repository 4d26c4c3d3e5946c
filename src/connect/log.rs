//! Where the bridge says what happens.

use std::fmt;
use std::sync::Arc;

use crate::message::shown::visible;

/// Where the bridge says what happens, line by line; the caller decides what becomes of a line.
#[derive(Clone)]
pub struct Log(Arc<Say>);

type Say = dyn Fn(Weight, &str) + Send + Sync;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A detail.
    Note,
    /// Something did not work.
    Warning,
}

impl Log {
    /// Calls `say` with every line, which holds no control characters and no secrets.
    pub fn new(say: impl Fn(Weight, &str) + Send + Sync + 'static) -> Self {
        Log(Arc::new(say))
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Log::new(|_, _| ())
    }

    pub(super) fn note(&self, line: &str) {
        (self.0)(Weight::Note, &visible(line));
    }

    pub(super) fn warn(&self, line: &str) {
        (self.0)(Weight::Warning, &visible(line));
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}
