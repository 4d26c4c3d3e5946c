//! Archived entries that the auditor does not have: the audit uses the hashes of these entries that
//! the log stores.

use std::io::Read as _;

use super::super::archived;
use super::super::fault::LogError;
use super::super::finding::FindingKind;
use super::super::folder::Folder;
use super::super::note::NoteKey;
use super::super::tree::{Hash, Nodes as _};
use super::Auditor;

impl Auditor {
    /// Reads the notes about archived files. Without a note, a file that is not there counts as
    /// removed by an attacker, so it must be signed by the log key that the auditor pinned; or by
    /// the log's own key if the auditor pinned none.
    pub(super) fn read_archive_notes(
        &mut self,
        folder: &Folder,
        key: Option<&NoteKey>,
    ) -> Result<(), LogError> {
        let stubs = folder.stubs()?;
        if stubs.is_empty() {
            return Ok(());
        }
        let own = folder.public().ok();
        for (first, path) in stubs {
            let key = key.or(own.as_ref()).ok_or_else(|| "is of an unknown key".to_owned());
            match key.and_then(|key| archived::note_at(&path, first, key)) {
                Ok(note) => {
                    if first == 0 && self.files.first() != Some(&0) {
                        self.context.link.first_unknown = true;
                        self.context.link.predecessors = note.predecessors;
                    }
                    if self.files.binary_search(&first).is_err() {
                        self.archived.insert(first, note.next);
                    }
                }
                Err(why) => {
                    let why = format!("the note that it was archived {why}");
                    self.find(FindingKind::Archive, Some(first), why);
                }
            }
        }
        Ok(())
    }

    /// Skips the archived files that the auditor does not have, up to entry `to`, the first entry
    /// of the next file that can be read.
    pub(super) fn skip_archived(&mut self, to: u64) {
        while let Some(next) = self.archived.remove(&self.position) {
            if next > to {
                let why = format!("the note says that it goes up to entry {}", next - 1);
                return self.find(FindingKind::Archive, Some(self.position), why);
            }
            if let Some(suspect) = self.suspect.take() {
                self.conclude(suspect, Some(self.position));
            }
            let (first, count) = (self.position, next - self.position);
            self.not_given.push(first..next);
            self.report.count_not_given(count);
            self.context.skip_archived();
            (self.position, self.next_number) = (next, self.next_number.saturating_add(count));
            for n in first..next {
                if self.displaced || self.is_over() {
                    break;
                }
                self.take_not_given(n);
            }
        }
    }

    /// Takes an archived entry into the audit. Only its hash is known.
    fn take_not_given(&mut self, n: u64) {
        let mut leaf = [0; 32];
        let read = self.stored.as_mut().is_some_and(|stored| stored.read_exact(&mut leaf).is_ok());
        if !read {
            let why = "the hashes of entries that are archived were removed".to_owned();
            self.find(FindingKind::Tree, Some(n), why);
            self.displaced = true;
            return;
        }
        self.add_leaf(leaf, n, true);
        self.compare_checkpoints();
    }

    /// Returns the stored leaf hash of entry `n`.
    pub(super) fn stored_leaf(&self, n: u64) -> Option<Hash> {
        self.nodes.as_ref()?.node(0, n).ok()
    }
}
