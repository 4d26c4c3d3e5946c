//! Matches tombstones with the entries that record an erasure: neither is valid without the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::entry::{self, Event};
use super::erasure::Erasure;
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

/// The erasures in the entries so far.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    /// Tombstones for which no record was found yet: time and leaf hash of the erased entry, by its
    /// number.
    open: BTreeMap<u64, (Timestamp, Hash)>,
    /// Erased entries for which a record was found.
    told: BTreeSet<u64>,
    /// Erased entries with both tombstone and record, and the number of the entry that records the
    /// erasure.
    done: BTreeMap<u64, u64>,
}

impl Erasures {
    /// Adds the tombstone of entry `n`.
    pub(super) fn add_tombstone(&mut self, n: u64, time: Timestamp, leaf: Hash) {
        self.open.insert(n, (time, leaf));
    }

    /// Adds the record of an erasure in entry `by`. `stored` is the stored leaf hash, and `unseen`
    /// the archived entries that were not read. Returns true if a tombstone replaces the erased
    /// entry, or if that entry was not read.
    pub(super) fn add_record(
        &mut self,
        by: u64,
        erasure: &Erasure,
        (stored, unseen): (Option<Hash>, &[Range<u64>]),
    ) -> Result<bool, (FindingKind, u64, String)> {
        let n = erasure.n;
        let changed = |why: String| Err((FindingKind::Changed, by, why));
        if n >= by {
            return changed(format!(
                "it tells of the erasure of entry {n}, which is not before it"
            ));
        }
        if stored.is_some_and(|stored| stored != erasure.leaf) {
            return changed(format!("the leaf that it names is not that of entry {n}"));
        }
        if !self.told.insert(n) {
            return changed(format!("another entry has told of the erasure of entry {n} before"));
        }
        match self.open.remove(&n) {
            Some(found) if found == (erasure.time, erasure.leaf) => {
                self.done.insert(n, by);
                Ok(true)
            }
            Some(_) => {
                let why = format!("entry {by} tells of the erasure of another one in its place");
                Err((FindingKind::Removed, n, why))
            }
            None => Ok(unseen.iter().any(|range| range.contains(&n))),
        }
    }

    /// Returns the tombstones without an erasure record.
    pub(super) fn without_record(&self) -> impl Iterator<Item = u64> {
        self.open.keys().copied()
    }

    /// Returns the erased entries whose record is under no checkpoint, each with the number of the
    /// record. `signed` is the number of entries under a checkpoint. An attacker without the log's
    /// key can write a tombstone and a record, but cannot sign a checkpoint.
    pub(super) fn unsigned(&self, signed: u64) -> impl Iterator<Item = (u64, u64)> {
        self.done.iter().map(|(n, by)| (*n, *by)).filter(move |(_, by)| *by >= signed)
    }
}
