//! Finds out how entries that do not match the tree were changed: edited, inserted, removed,
//! swapped or repeated.

use super::super::fault::MAX_LINE;
use super::super::finding::{self, FindingKind};
use super::super::judge::EntryFindings;
use super::super::reference_checkpoints::ReferenceCheckpoint;
use super::{Auditor, Suspect};

impl Auditor {
    /// Reports a checkpoint whose root differs from the root of the entries.
    pub(super) fn other_root(&mut self, one: &ReferenceCheckpoint, size: u64) {
        let good = self.good;
        let whose = if one.is_external() { "the checkpoint that was kept" } else { "a checkpoint" };
        match self.other_hash.take() {
            // The next entry shows whether this entry was changed or inserted.
            Some(n) if n + 1 == size => {
                let why = Some(format!("it is not the one under {whose} over {size} entries"));
                self.suspect =
                    Some(Suspect { place: n, n: Some(n), why, what: FindingKind::Changed });
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
        self.broken = true;
        self.stored = None;
    }

    /// Reports what was done to the entry `suspect`, once the number of the entry after it is
    /// known.
    pub(super) fn conclude(&mut self, suspect: Suspect, next: Option<u64>) {
        let Suspect { place, n, why, what } = suspect;
        if let Some(first) = self.other_hash.filter(|first| *first < place) {
            // Two entries have this number. The first of them came after the hashes were stored, so
            // it was inserted.
            if n == Some(first) && place == first + 1 {
                self.find(FindingKind::Inserted, Some(first), "the true entry follows".to_owned());
            } else {
                let why = format!(
                    "it is not the one that its hash was stored of, and entry {place} does not fit either"
                );
                self.find(FindingKind::Changed, Some(first), why);
            }
            self.go_on_at(next);
            return;
        }
        let (finding, structural) = finding::of_inconsistent_entry(place, (n, next), what, why);
        self.find(finding.what, finding.n, finding.why);
        // Otherwise only this one entry is doubtful.
        if structural {
            self.go_on_at(next);
        }
    }

    /// Continues to count from the number of the next entry, if the auditor wants all findings.
    fn go_on_at(&mut self, next: Option<u64>) {
        (self.broken, self.stored, self.other_hash) = (true, None, None);
        if let Some(next) = next {
            self.expected = next;
        }
    }

    /// Reports a last line without a line feed: it is still being written, or was cut.
    pub(super) fn broken_off(&mut self, looked: &EntryFindings) {
        if let Some(why) = &looked.fault {
            self.find(FindingKind::Archive, Some(self.expected), why.clone());
        } else if self.checkpoints.most() > self.frontier.size() {
            let why = format!("its line breaks off after {} bytes", looked.bytes);
            self.find(FindingKind::Truncated, Some(self.expected), why);
        } else if looked.bytes > 16 * 1024 * 1024 && looked.bytes as usize >= MAX_LINE {
            let why = format!("its line has no end within {} bytes", looked.bytes);
            self.find(FindingKind::Changed, Some(self.expected), why);
        } else {
            self.report.unfinished = true;
        }
    }
}
