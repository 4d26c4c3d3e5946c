//! What an auditor finds, in words.

use std::fmt;

/// What was done to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// An entry is not what it was, or never was one.
    Changed,
    /// Entries and all their hashes are not those of a checkpoint.
    Rewritten,
    /// Entries are not there.
    Removed,
    /// Two entries stand in each other's place.
    Swapped,
    /// An entry stands a second time.
    Repeated,
    /// There is one too many.
    Inserted,
    /// Entries at the end are not there.
    Truncated,
    /// The time of an entry is before that of an earlier one.
    Clock,
    /// A nonce was used twice.
    Replayed,
    /// The stored hashes are damaged; the entries are not.
    Tree,
    /// A checkpoint is none of this log.
    Checkpoint,
}

impl What {
    /// One word, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            What::Changed => "changed",
            What::Rewritten => "rewritten",
            What::Removed => "removed",
            What::Swapped => "swapped",
            What::Repeated => "repeated",
            What::Inserted => "inserted",
            What::Truncated => "truncated",
            What::Clock => "clock",
            What::Replayed => "replayed",
            What::Tree => "tree",
            What::Checkpoint => "checkpoint",
        }
    }
}

/// The first thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was done.
    pub what: What,
    /// To which entry, or from which on.
    pub n: Option<u64>,
    /// How that is seen. May hold text from the log: escape it on a terminal.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.n.unwrap_or_default();
        match self.what {
            What::Changed => write!(f, "entry {n} was changed"),
            What::Rewritten => write!(f, "the log was rewritten from entry {n} on, or later"),
            What::Removed => write!(f, "entry {n} was removed"),
            What::Swapped => write!(f, "entry {n} was swapped with the next"),
            What::Repeated => write!(f, "entry {n} was repeated"),
            What::Inserted => write!(f, "something was inserted before entry {n}"),
            What::Truncated => write!(f, "the log was cut off at entry {n}"),
            What::Clock => write!(f, "entry {n} was changed or moved"),
            What::Replayed => write!(f, "entry {n} is a replay"),
            What::Tree => write!(f, "the stored hashes were changed from entry {n} on"),
            What::Checkpoint => f.write_str("a checkpoint does not fit"),
        }?;
        write!(f, ": {}", self.why)
    }
}
