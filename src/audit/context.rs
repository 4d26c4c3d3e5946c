//! What a log states about itself: its format, its clock, the rules of verification, and the logs
//! before and after it.

use super::entry::{Rules, Version};
use super::entry_judge::Notice;
use super::finding::FindingKind;
use super::report::LogLink;
use crate::clock::Timestamp;

/// Maximum difference, in seconds, between the time of an entry and the time of its request, after
/// correction by the clock entries of the log.
pub const CLOCK_LEEWAY: i64 = 300;

/// What the entries read so far state about the log.
#[derive(Debug)]
pub(super) struct Context {
    version: Version,
    offset: i64,
    rules: Option<Rules>,
    pub(super) link: LogLink,
}

impl Context {
    /// Creates the state before the first entry.
    pub(super) fn new() -> Self {
        Context { version: Version::First, offset: 0, rules: None, link: LogLink::default() }
    }

    /// Skips archived entries that were not read. The clock offset and the rules are unknown
    /// afterwards, until the next entry that states them. Each file of entries begins with the
    /// clock offset if there is one.
    pub(super) fn skip_archived(&mut self) {
        (self.offset, self.rules) = (0, None);
    }

    /// Updates this state with an entry, and checks the entry against the entries before it.
    /// Returns true if the time of the entry is certain.
    pub(super) fn apply_entry(
        &mut self,
        n: u64,
        version: Version,
        time: Timestamp,
        notice: Notice,
    ) -> Result<bool, (FindingKind, String)> {
        let changed = |why: &str| Err((FindingKind::Changed, why.to_owned()));
        if version < self.version {
            return changed("it is of an older format than the entry before it");
        }
        self.version = version;
        if self.link.successor.is_some() {
            return changed("it stands behind the entry that closes the log");
        }
        match notice {
            Notice::Request { time: asked, rules } => {
                let second = version >= Version::Second;
                if rules.is_some() && rules != self.rules {
                    if second && self.rules.is_some() {
                        return changed("its rules are not those that the log says were in force");
                    }
                    self.rules = rules;
                }
                let off = time.since(asked).saturating_sub(self.offset);
                let fits = (-CLOCK_LEEWAY..=CLOCK_LEEWAY).contains(&off);
                if !fits && second {
                    let why = format!(
                        "its time {time} does not fit that of its request, {asked}, of {CLOCK_LEEWAY} s allowed"
                    );
                    return Err((FindingKind::Clock, why));
                }
                return Ok(fits && self.offset == 0);
            }
            Notice::Counts => {}
            Notice::Clock(offset) => self.offset = offset,
            Notice::Rules(rules) => self.rules = Some(rules),
            Notice::After(_) if n > 0 => return changed("only a first entry says what it follows"),
            Notice::After(after) => {
                self.link.predecessors = after.predecessors;
                self.link.after = Some(after);
            }
            Notice::Closed(successor) => self.link.successor = Some(successor),
            Notice::Erased(_) | Notice::Recovered(_) => {}
            // If the erased entry is the first of the log, it may have been the entry that named
            // the previous log.
            Notice::Tombstone => self.link.first_unknown |= n == 0,
        }
        Ok(true)
    }
}
