//! Finds out how entries that do not match the tree were changed: edited, inserted, removed,
//! swapped or repeated.

use super::super::entry_judge::EntryFindings;
use super::super::fault::MAX_LINE;
use super::super::finding::{self, FindingKind};
use super::super::reference_checkpoints::ReferenceCheckpoint;
use super::{Auditor, SuspectEntry};

impl Auditor {
    /// Reports a checkpoint whose root differs from the root of the entries.
    pub(super) fn report_other_root(&mut self, one: &ReferenceCheckpoint, size: u64) {
        let good = self.matched_size;
        let whose = if one.is_external() { "the checkpoint that was kept" } else { "a checkpoint" };
        match self.hash_mismatch.take() {
            // The next entry shows whether this entry was changed or inserted.
            Some(n) if n + 1 == size => {
                let why = Some(format!("it is not the one under {whose} over {size} entries"));
                self.suspect =
                    Some(SuspectEntry { place: n, n: Some(n), why, what: FindingKind::Changed });
            }
            Some(n) => {
                let why = format!(
                    "{whose} over {size} entries, and the hash stored for it, are of another"
                );
                self.find(FindingKind::Changed, Some(n), why);
            }
            None => {
                let why = format!(
                    "{whose} over {size} entries has another root: entries {good} to {} were rewritten with all their hashes",
                    size.saturating_sub(1)
                );
                self.find(FindingKind::Rewritten, Some(good), why);
            }
        }
        self.displaced = true;
        self.stored = None;
    }

    /// Reports what was done to the entry `suspect`, once the number of the entry after it is
    /// known.
    pub(super) fn conclude(&mut self, suspect: SuspectEntry, next: Option<u64>) {
        let SuspectEntry { place, n, why, what } = suspect;
        if let Some(first) = self.hash_mismatch.filter(|first| *first < place) {
            // Two entries have the same number. The hash of the first of them differs from the
            // stored hash, so it was inserted later.
            if n == Some(first) && place == first + 1 {
                self.find(FindingKind::Inserted, Some(first), "the true entry follows".to_owned());
            } else {
                let why = format!(
                    "it is not the one that its hash was stored of, and entry {place} does not fit either"
                );
                self.find(FindingKind::Changed, Some(first), why);
            }
            self.continue_at(next);
            return;
        }
        let (finding, structural) = finding::of_inconsistent_entry(place, (n, next), what, why);
        self.find(finding.what, finding.n, finding.why);
        // A change inside one entry leaves later entries at their positions. An inserted or removed
        // entry displaces them.
        if structural {
            self.continue_at(next);
        }
    }

    /// Continues the audit at the number that the next entry states, so that an auditor who wants
    /// all findings gets them. Hashes of later entries are not compared any more.
    fn continue_at(&mut self, next: Option<u64>) {
        (self.displaced, self.stored, self.hash_mismatch) = (true, None, None);
        if let Some(next) = next {
            self.next_number = next;
        }
    }

    /// Reports a last line without a line feed: either the writer is still writing it, or its end
    /// was cut off.
    pub(super) fn take_incomplete(&mut self, entry: &EntryFindings) {
        if let Some(why) = &entry.fault {
            self.find(FindingKind::Archive, Some(self.next_number), why.clone());
        } else if self.checkpoints.largest_size() > self.frontier.size() {
            let why = format!("its line breaks off after {} bytes", entry.bytes);
            self.find(FindingKind::Truncated, Some(self.next_number), why);
        } else if entry.bytes > 16 * 1024 * 1024 && entry.bytes as usize >= MAX_LINE {
            let why = format!("its line has no end within {} bytes", entry.bytes);
            self.find(FindingKind::Changed, Some(self.next_number), why);
        } else {
            self.report.unfinished = true;
        }
    }
}
