//! The result of an audit of a whole log.

use std::collections::BTreeMap;

use super::entry::PreviousLog;
use super::entry_judge::{JudgedEntry, UnjudgedReason, UnjudgedReasons};
use super::erasure_match::ReportedErasure;
use super::finding::Finding;
use super::tree::Hash;
use crate::clock::Timestamp;

/// The result of an audit of a whole log.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The number of entries, including those that could not be read because they are archived.
    pub entries: u64,
    /// The size of the entries that were read, with line feeds, in bytes.
    pub bytes: u64,
    /// The number of valid signatures.
    pub signatures: u64,
    /// The number of entries about requests.
    pub requests: u64,
    /// The number of entries about requests whose body the log does not have completely.
    pub without_body: u64,
    /// The number of entries with a signature that covers data that the log does not keep.
    pub base_not_kept: u64,
    /// The number of entries whose time is ahead of the machine's clock, because that clock was set
    /// back.
    pub ahead_of_clock: u64,
    /// How often the log was opened with entries under no checkpoint, or with an unfinished write.
    pub recoveries: u64,
    /// The number of entries that were under no checkpoint when the log was opened.
    pub recovered: u64,
    /// The number of entries about requests whose tool or method only the log claims.
    pub operation_claimed: u64,
    /// The number of entries with a touch of a security key: first those whose touch the auditor's
    /// trust files confirm, then the others.
    pub touched: (u64, u64),
    /// The number of entries that cannot be called good, by reason.
    pub unjudged: BTreeMap<&'static str, u64>,
    /// The number of entries that cannot be called good. An entry with several reasons counts once.
    pub not_good: u64,
    /// The number of checkpoints in the log that match the tree.
    pub checkpoints: u64,
    /// The number of entries that are covered by a checkpoint that the auditor kept or witnesses
    /// signed.
    pub anchored: Option<u64>,
    /// The number of archived entries that the auditor does not have.
    pub not_given: u64,
    /// The number of entries that a tombstone replaces.
    pub erased: u64,
    /// The first 1,000 erasures that entries of the log record, in the order of these entries.
    pub erasures: Vec<ReportedErasure>,
    /// The number of entries that the last checkpoint with enough signatures of witnesses covers,
    /// and the time at which there were enough.
    pub witnessed: Option<(u64, Timestamp)>,
    /// Whether the auditor demanded a quorum of witnesses, but no matching checkpoint has one.
    pub lacks_quorum: bool,
    /// Whether the last entry is incomplete because it was still being written.
    pub unfinished: bool,
    /// The root of the tree over all entries.
    pub root: Option<Hash>,
    /// The times of the first and the last entry that were read.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The predecessor and successor of this log, as the log itself states them.
    pub link: LogLink,
    /// The findings: all of them if the auditor asked for that, or else only the first.
    pub findings: Vec<Finding>,
    /// The number of findings beyond those that are listed.
    pub more_findings: u64,
}

impl Report {
    /// Returns the first finding.
    pub fn finding(&self) -> Option<&Finding> {
        self.findings.first()
    }

    /// Adds an entry with these results to the counts.
    pub(super) fn count(&mut self, bytes: u64, judged: &JudgedEntry, reasons: UnjudgedReasons) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(1);
        self.signatures += judged.signatures;
        self.without_body += u64::from(judged.without_body);
        self.base_not_kept += u64::from(judged.base_not_kept);
        self.operation_claimed += u64::from(judged.operation_claimed);
        match &judged.touch {
            Some(touch) if touch.is_confirmed() => self.touched.0 += 1,
            Some(_) => self.touched.1 += 1,
            None => {}
        }
        self.not_good += u64::from(!reasons.is_empty());
        for reason in reasons.iter() {
            *self.unjudged.entry(reason.as_str()).or_default() += 1;
        }
    }

    /// Adds archived entries that could not be read to the counts.
    pub(super) fn count_not_given(&mut self, count: u64) {
        self.entries += count;
        self.not_given += count;
        self.not_good += count;
        *self.unjudged.entry(UnjudgedReason::Archived.as_str()).or_default() += count;
    }

    /// Returns true if the log contradicts nothing and lacks nothing that a full audit needs.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.not_good == 0 && !self.lacks_quorum
    }
}

/// The logs before and after a log, as that log itself states them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLink {
    /// The log that this log continues.
    pub after: Option<PreviousLog>,
    /// The number of logs before this one.
    pub predecessors: u64,
    /// Whether entry 0, which would name the predecessor, was erased, or is in an archive that the
    /// auditor does not have.
    pub first_unknown: bool,
    /// The public key of the log that follows this one.
    pub successor: Option<String>,
}
