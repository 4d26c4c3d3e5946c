//! The end of an audit: checks whether entries are missing although stored hashes or checkpoints
//! prove that they existed.

use super::super::fault::LogError;
use super::super::finding::FindingKind;
use super::super::report::Report;
use super::super::reuse::UsedNonces;
use super::Auditor;

impl Auditor {
    /// Ends the audit. Call this after all entries were given.
    ///
    /// # Errors
    /// [`LogError`] if the log has to be read again and cannot be. Usually each entry is read once.
    /// The log is read again only if a request is so old that the nonces of its time were already
    /// dropped from memory; this happens if the log's clock stepped back.
    pub fn finish(self) -> Result<Report, LogError> {
        self.finish_with_nonces().map(|(report, _)| report)
    }

    /// Works as [`Auditor::finish`], and also returns the nonces that the log has used up, for the
    /// audit of its successor.
    ///
    /// # Errors
    /// As [`Auditor::finish`].
    pub fn finish_with_nonces(mut self) -> Result<(Report, UsedNonces), LogError> {
        if self.frontier.size() == 0 {
            self.compare_checkpoints();
        }
        self.skip_archived(u64::MAX);
        if let Some(suspect) = self.suspect.take() {
            self.conclude(suspect, None);
        }
        let size = self.frontier.size();
        let mut faults = Vec::new();
        let rest = self.checkpoints.read_rest(|why| faults.push(why));
        for why in faults {
            self.find(FindingKind::Checkpoint, None, why);
        }
        if let Some((most, kept)) = rest.filter(|(most, _)| *most > size && !self.displaced) {
            let whose = if kept { "the checkpoint that was kept" } else { "a checkpoint" };
            let why = format!("{whose} is over {most} entries, and the log has {size}");
            self.find(FindingKind::Truncated, Some(size), why);
        }
        if let Some(n) = self.hash_mismatch {
            let why = "it is not the one that its hash was stored of; no checkpoint says which of the two was changed".to_owned();
            self.find(FindingKind::Changed, Some(n), why);
        }
        let untold: Vec<u64> = self.erasures.without_record().collect();
        for n in untold {
            let why = "a tombstone is in its place, and no entry tells of an erasure".to_owned();
            self.find(FindingKind::Removed, Some(n), why);
        }
        let unsigned: Vec<(u64, u64)> = self.erasures.unsigned(self.matched_size).collect();
        for (n, by) in unsigned {
            let why = format!(
                "a tombstone is in its place, and entry {by}, which tells of an erasure, is under no checkpoint"
            );
            self.find(FindingKind::Removed, Some(n), why);
        }
        if self.stored_at_start > size && !self.displaced {
            let stored = self.stored_at_start;
            let why = format!("hashes are stored of {stored} entries, and the log has {size}");
            self.find(FindingKind::Truncated, Some(size), why);
        }
        if let Some(first) =
            self.files.last().copied().filter(|first| *first > size && !self.displaced)
        {
            let why = format!("by its name it would begin with entry {first}, and it is empty");
            self.find(FindingKind::File, Some(first), why);
        }
        // If the nonces of the time of a request were already dropped from memory, only a second
        // reading of the whole log can find a replay.
        if let Some((earlier, later)) = self.nonces.look_again(&self.folder)? {
            let why = format!("its nonce was used before by the same key, in entry {earlier}");
            self.find(FindingKind::Replayed, Some(later), why);
        }
        self.report.unfinished |= self.checkpoints.is_unfinished();
        self.report.lacks_quorum = self.wants_quorum && self.report.witnessed.is_none();
        self.report.root = Some(self.frontier.root());
        self.report.link = self.context.link;
        self.report.erasures = self.erasures.into_list();
        Ok((self.report, UsedNonces(self.nonces)))
    }
}
