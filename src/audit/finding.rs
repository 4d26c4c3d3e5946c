//! The contradictions that an audit found in a log, as data and as text.

use std::fmt;

/// The kind of change to a log that an audit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// An entry was changed, or is not a valid entry.
    Changed,
    /// The entries and all their hashes differ from a checkpoint: the log was written again.
    Rewritten,
    /// Entries are missing.
    Removed,
    /// Two entries have exchanged places.
    Swapped,
    /// The same entry is in the log twice.
    Repeated,
    /// The log has an entry that the writer did not write there.
    Inserted,
    /// Entries at the end of the log are missing.
    Truncated,
    /// The time of an entry is before that of an earlier entry.
    Clock,
    /// A nonce was used twice.
    Replayed,
    /// The stored hashes are damaged, but the entries are not.
    Tree,
    /// A checkpoint is damaged, or is not one of this log.
    Checkpoint,
    /// The number in the name of a file of entries is not the number of its first entry.
    File,
    /// An archived file cannot be read, or contradicts the note about it.
    Archive,
    /// This log names another predecessor or successor than the log that was given as such.
    Successor,
}

impl FindingKind {
    /// Returns a stable name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            FindingKind::Changed => "changed",
            FindingKind::Rewritten => "rewritten",
            FindingKind::Removed => "removed",
            FindingKind::Swapped => "swapped",
            FindingKind::Repeated => "repeated",
            FindingKind::Inserted => "inserted",
            FindingKind::Truncated => "truncated",
            FindingKind::Clock => "clock",
            FindingKind::Replayed => "replayed",
            FindingKind::Tree => "tree",
            FindingKind::Checkpoint => "checkpoint",
            FindingKind::File => "file",
            FindingKind::Archive => "archive",
            FindingKind::Successor => "successor",
        }
    }
}

/// A contradiction that an audit found in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of change.
    pub what: FindingKind,
    /// The number of the entry, or of the first of several.
    pub n: Option<u64>,
    /// The evidence for the finding. The text may quote the log: escape it before printing it on a
    /// terminal.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.n.unwrap_or_default();
        match self.what {
            FindingKind::Changed => write!(f, "entry {n} was changed"),
            FindingKind::Rewritten => {
                write!(f, "the log was rewritten from entry {n} on, or later")
            }
            FindingKind::Removed => write!(f, "entry {n} was removed"),
            FindingKind::Swapped => write!(f, "entry {n} was swapped with the next"),
            FindingKind::Repeated => write!(f, "entry {n} was repeated"),
            FindingKind::Inserted => write!(f, "something was inserted before entry {n}"),
            FindingKind::Truncated => write!(f, "the log was cut off at entry {n}"),
            FindingKind::Clock => write!(f, "entry {n} was changed or moved"),
            FindingKind::Replayed => write!(f, "entry {n} is a replay"),
            FindingKind::Tree => write!(f, "the stored hashes were changed from entry {n} on"),
            FindingKind::Checkpoint => f.write_str("a checkpoint does not fit"),
            FindingKind::File => write!(f, "the file of entry {n} was renamed or put in"),
            FindingKind::Archive => write!(f, "the archive of entry {n} does not fit"),
            FindingKind::Successor => f.write_str("the logs do not follow each other"),
        }?;
        write!(f, ": {}", self.why)
    }
}

/// Decides from the number of an entry, and the number of the entry after it, what was done to the
/// entry at position `place`. The second value is true if all later entries are at wrong positions
/// because of it.
pub(super) fn of_inconsistent_entry(
    place: u64,
    (n, next): (Option<u64>, Option<u64>),
    what: FindingKind,
    why: Option<String>,
) -> (Finding, bool) {
    let find = |what, n, why| Finding { what, n: Some(n), why };
    let finding = match (n, next) {
        (Some(n), Some(next)) if n == place + 1 && next == place => {
            find(FindingKind::Swapped, place, format!("it stands behind entry {n}"))
        }
        (Some(n), _) if n > place => {
            let why = match n - 1 {
                last if last == place => format!("entry {n} follows"),
                last => format!("entry {n} follows, those up to {last} are not there either"),
            };
            find(FindingKind::Removed, place, why)
        }
        (Some(n), _) if n < place => {
            find(FindingKind::Repeated, n, format!("it stands again at place {place}"))
        }
        (_, Some(next)) if next == place => {
            let why = why.unwrap_or_else(|| "the true one follows it".to_owned());
            find(FindingKind::Inserted, place, format!("the true entry follows: {why}"))
        }
        _ => {
            let why = why.unwrap_or_else(|| "it bears no number that can be read".to_owned());
            return (find(what, place, why), false);
        }
    };
    (finding, true)
}
