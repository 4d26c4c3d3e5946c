//! The record of what the writer of a log found behind the last checkpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::Record;

/// What the writer of a log found behind the last checkpoint when it opened the log. A process that
/// ended without a last checkpoint leaves such entries.
///
/// The writer keeps the complete entries, appends an entry with this record right behind them, and
/// its next checkpoint signs them as they are in the files. So the log's key does not vouch that
/// the earlier process wrote them. The signatures of requests in them can be verified again. For the
/// rest, such as counts, rules and steps of the clock, only the file of hashes vouches, which is
/// not signed either.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Recovery {
    /// The number of entries under the last checkpoint, which is the number of the first entry
    /// behind it.
    pub checkpoint: u64,
    /// The number of complete entries behind the last checkpoint.
    pub entries: u64,
    /// The number of bytes behind these entries that were cut off: an incomplete entry, or an
    /// erasure or end of the log whose checkpoint is missing.
    pub cut: u64,
}

impl Recovery {
    /// Returns the record of `entries` entries and `cut` bytes behind a checkpoint over `checkpoint`
    /// entries, or None if there is nothing behind it.
    pub(super) fn of(checkpoint: u64, entries: u64, cut: u64) -> Option<Self> {
        (entries > 0 || cut > 0).then_some(Recovery { checkpoint, entries, cut })
    }

    /// Returns true if entry `n` can have this record: the entry stands right behind the entries
    /// that it is about.
    pub(super) fn fits(&self, n: u64) -> bool {
        let is_about_something = self.entries > 0 || self.cut > 0;
        is_about_something && self.checkpoint.checked_add(self.entries) == Some(n)
    }

    pub(super) fn record(&self) -> Record {
        Record::event("recovered", self)
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, cut) = (self.checkpoint, self.cut);
        let last = first.saturating_add(self.entries).saturating_sub(1);
        let (bytes, were) = if cut == 1 { ("byte", "was") } else { ("bytes", "were") };
        let cut_off = format!("{cut} {bytes} of an unfinished write {were} cut off");
        match self.entries {
            0 => {}
            1 => write!(f, "entry {first} was under no checkpoint")?,
            _ => write!(f, "entries {first} to {last} were under no checkpoint")?,
        }
        match (self.entries, cut) {
            (_, 0) => {}
            (0, _) => f.write_str(&cut_off)?,
            (entries, _) => {
                let whose = if entries == 1 { "it" } else { "them" };
                write!(f, ", and {cut_off} behind {whose}")?;
            }
        }
        f.write_str(" when the log was opened")
    }
}
