//! Matches tombstones (lines that replace erased entries) with the entries that record an erasure.
//! Each is valid only together with the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::entry::{self, Event};
use super::erasure_record::Erasure;
use super::fault::LogError;
use super::finding::FindingKind;
use super::folder::Folder;
use super::segment;
use super::tree::Hash;
use crate::clock::Timestamp;

/// Finds the entry that records the erasure of entry `n`. Returns the number of that entry and the
/// record.
///
/// # Errors
/// [`LogError`] if the log cannot be read.
pub(super) fn find_record(folder: &Folder, n: u64) -> Result<Option<(u64, Erasure)>, LogError> {
    for line in segment::lines(folder)? {
        let line = line?;
        if !entry::is_about(&line.bytes, "erased") {
            continue;
        }
        let Ok(entry) = entry::parse(&line.bytes) else { continue };
        if let Event::Erased(erasure) = entry.event
            && erasure.n == n
        {
            return Ok(Some((entry.n, erasure)));
        }
    }
    Ok(None)
}

/// Maximum number of erasures that are listed; further ones are only counted. The list would
/// otherwise fill the memory: each erasure has a reason of up to 1,000 bytes, and a forged log can
/// consist of erasures only.
const MOST_LISTED: usize = 1_000;

/// An erasure, as the entry that records it states it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedErasure {
    /// The number of the erased entry.
    pub n: u64,
    /// The time of the erased entry.
    pub entry_time: Timestamp,
    /// The number of the entry that records the erasure.
    pub recorded_in: u64,
    /// The time of the entry that records the erasure.
    pub recorded_at: Timestamp,
    /// The reason, as the log's operator gave it.
    pub reason: String,
    /// True if the tombstone was read; false if its archive was not given.
    pub seen: bool,
}

/// The erasures found in the entries that were read so far.
#[derive(Debug, Default)]
pub(super) struct ErasureMatcher {
    /// Tombstones for which no entry that records the erasure was found yet. Maps the number of the
    /// erased entry to its time and leaf hash.
    unmatched: BTreeMap<u64, (Timestamp, Hash)>,
    /// Numbers of the erased entries for which an entry that records the erasure was found.
    recorded: BTreeSet<u64>,
    /// Erased entries with both a tombstone and an entry that records the erasure. Maps the number
    /// of the erased entry to the number of the entry that records the erasure.
    matched: BTreeMap<u64, u64>,
    /// The first erasures, at most [`MOST_LISTED`], in the order of the entries that record them.
    listed: Vec<ReportedErasure>,
}

impl ErasureMatcher {
    /// Adds the tombstone that replaces entry `n`.
    pub(super) fn add_tombstone(&mut self, n: u64, time: Timestamp, leaf: Hash) {
        self.unmatched.insert(n, (time, leaf));
    }

    /// Adds the erasure that entry `recorded_in` records at the time `recorded_at`. `stored` is the
    /// leaf hash of the erased entry in the file of hashes. `not_given` are the archived entries
    /// that the auditor does not have. Returns true if a tombstone replaces the erased entry, or if
    /// the erased entry is among `not_given`.
    pub(super) fn add_record(
        &mut self,
        (recorded_in, recorded_at): (u64, Timestamp),
        erasure: &Erasure,
        (stored, not_given): (Option<Hash>, &[Range<u64>]),
    ) -> Result<bool, (FindingKind, u64, String)> {
        let n = erasure.n;
        let changed = |why: String| Err((FindingKind::Changed, recorded_in, why));
        if n >= recorded_in {
            return changed(format!(
                "it tells of the erasure of entry {n}, which is not before it"
            ));
        }
        if stored.is_some_and(|stored| stored != erasure.leaf) {
            return changed(format!("the leaf that it names is not that of entry {n}"));
        }
        if !self.recorded.insert(n) {
            return changed(format!("another entry has told of the erasure of entry {n} before"));
        }
        match self.unmatched.remove(&n) {
            Some(found) if found == (erasure.time, erasure.leaf) => {
                self.matched.insert(n, recorded_in);
                self.list((recorded_in, recorded_at), erasure, true);
                Ok(true)
            }
            Some(_) => {
                let why =
                    format!("entry {recorded_in} tells of the erasure of another one in its place");
                Err((FindingKind::Removed, n, why))
            }
            None => {
                let is_not_given = not_given.iter().any(|range| range.contains(&n));
                if is_not_given {
                    self.list((recorded_in, recorded_at), erasure, false);
                }
                Ok(is_not_given)
            }
        }
    }

    fn list(
        &mut self,
        (recorded_in, recorded_at): (u64, Timestamp),
        erasure: &Erasure,
        seen: bool,
    ) {
        if self.listed.len() < MOST_LISTED {
            let (n, entry_time, reason) = (erasure.n, erasure.time, erasure.reason.clone());
            self.listed.push(ReportedErasure {
                n,
                entry_time,
                recorded_in,
                recorded_at,
                reason,
                seen,
            });
        }
    }

    /// Returns the listed erasures, in the order of the entries that record them.
    pub(super) fn into_list(self) -> Vec<ReportedErasure> {
        self.listed
    }

    /// Returns the numbers of the erased entries for which no entry records the erasure.
    pub(super) fn without_record(&self) -> impl Iterator<Item = u64> {
        self.unmatched.keys().copied()
    }

    /// Returns the erased entries whose erasure is recorded in an entry that no checkpoint covers,
    /// each with the number of that entry. `signed` is the number of entries under a checkpoint. An
    /// attacker without the log's key can write a tombstone and a record, but cannot sign a
    /// checkpoint.
    pub(super) fn unsigned(&self, signed: u64) -> impl Iterator<Item = (u64, u64)> {
        self.matched.iter().map(|(n, by)| (*n, *by)).filter(move |(_, by)| *by >= signed)
    }
}
