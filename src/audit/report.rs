//! The result of an audit of a whole log.

use std::collections::BTreeMap;

use super::entry::PreviousLog;
use super::finding::Finding;
use super::judge::{Judged, Reason, Reasons};
use super::tree::Hash;
use crate::clock::Timestamp;

/// The result of an audit of a whole log.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Entries of the log, with those that were not seen.
    pub entries: u64,
    /// Size of the entries that were seen, line feeds included, in bytes.
    pub bytes: u64,
    /// Signatures that hold.
    pub signatures: u64,
    /// Entries about requests.
    pub requests: u64,
    /// Entries whose body was not kept.
    pub without_body: u64,
    /// Entries whose signature covers data that is not kept.
    pub opaque: u64,
    /// Entries under an offset of the log's clock.
    pub under_offset: u64,
    /// Entries about requests whose tool or method is the log's word alone.
    pub claimed: u64,
    /// Number of entries that are not good, for each reason.
    pub unjudged: BTreeMap<&'static str, u64>,
    /// Entries that are not good for some reason.
    pub not_good: u64,
    /// Checkpoints in the log that fit.
    pub checkpoints: u64,
    /// Entries that lie under a checkpoint or cosignature that was kept elsewhere.
    pub anchored: Option<u64>,
    /// Entries that are archived, and whose archive was not given.
    pub unseen: u64,
    /// Entries that a tombstone replaces.
    pub erased: u64,
    /// Entries under the last checkpoint that enough witnesses have cosigned, and the time at which
    /// they were enough.
    pub witnessed: Option<(u64, Timestamp)>,
    /// True if a quorum of witnesses was demanded, and none has cosigned a fitting checkpoint.
    pub lacks_quorum: bool,
    /// True if the last entry is incomplete because it was still being written.
    pub unfinished: bool,
    /// The root over the entries.
    pub root: Option<Hash>,
    /// The times of the first and the last entry.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The log that this one follows, by its own word.
    pub link: LogLink,
    /// The findings; only the first one unless all were requested.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub more_findings: u64,
}

impl Report {
    /// Returns the first finding.
    pub fn finding(&self) -> Option<&Finding> {
        self.findings.first()
    }

    /// Counts an entry that was judged so.
    pub(super) fn count(&mut self, bytes: u64, judged: &Judged, reasons: Reasons) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(1);
        self.signatures += judged.signatures;
        self.without_body += u64::from(judged.without_body);
        self.opaque += u64::from(judged.opaque);
        self.claimed += u64::from(judged.operation_claimed);
        self.not_good += u64::from(!reasons.is_empty());
        for reason in reasons.iter() {
            *self.unjudged.entry(reason.as_str()).or_default() += 1;
        }
    }

    /// Counts entries that were not seen.
    pub(super) fn count_unseen(&mut self, count: u64) {
        self.entries += count;
        self.unseen += count;
        self.not_good += count;
        *self.unjudged.entry(Reason::Archived.as_str()).or_default() += count;
    }

    /// Returns true if the log has no contradiction and lacks nothing that a full audit needs.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.not_good == 0 && !self.lacks_quorum
    }
}

/// The logs before and after this one, according to the log itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLink {
    /// The log that this one follows.
    pub after: Option<PreviousLog>,
    /// The number of logs before this one.
    pub predecessors: u64,
    /// The first entry, which names the log before this one, is archived and was not given, or was
    /// erased.
    pub first_unknown: bool,
    /// The key of the log that follows this one.
    pub successor: Option<String>,
}
