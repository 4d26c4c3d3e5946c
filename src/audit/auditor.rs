//! The audit of a whole log: takes all entries in order, and checks them against the hash tree, the
//! checkpoints, the times and the nonces of earlier entries. If an entry does not fit, it finds out
//! whether that entry was changed, inserted, removed or swapped.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;

use super::archived;
use super::context::Context;
use super::entry_judge::{EntryFindings, Notice, UnjudgedReason, UnjudgedReasons};
use super::erasure_match::ErasureMatcher;
use super::fault::LogError;
use super::folder::Folder;
use super::recovery::Recovery;
use super::reference_checkpoints::Checkpoints;
use super::reuse::NonceUses;
use super::segment::TreeFile;
use super::tree::{Frontier, Hash};
use crate::clock::Timestamp;

mod finish;
mod inconsistent_entries;
mod not_given;

pub use super::auditor_inputs::AuditorInputs;
pub use super::context::CLOCK_LEEWAY;
pub use super::erasure_match::ReportedErasure;
pub use super::finding::{Finding, FindingKind};
pub use super::report::{LogLink, Report};
pub use super::reuse::UsedNonces;
pub use super::segment::{EntryLine, lines};

/// Maximum number of findings that are listed. Further findings are only counted.
const MAX_FINDINGS: usize = 1_000;

/// Audits a log. It is given all entries, in their order.
pub struct Auditor {
    folder: Folder,
    frontier: Frontier,
    stored: Option<std::io::BufReader<std::fs::File>>,
    /// The number of entries whose hashes were stored when the audit began. A writer may append
    /// more entries during the audit.
    stored_at_start: u64,
    checkpoints: Checkpoints,
    /// The number of the first entry of each file that existed when the audit began.
    files: Vec<u64>,
    /// Archived files that the auditor does not have, because their archive folder was not named.
    /// Maps the number of the first entry of a file to the number of its last entry plus 1.
    archived: BTreeMap<u64, u64>,
    /// The ranges of archived entries that were skipped, because the auditor does not have their
    /// archive.
    not_given: Vec<Range<u64>>,
    /// The stored hashes of the tree.
    nodes: Option<TreeFile>,
    erasures: ErasureMatcher,
    context: Context,
    time: Option<Timestamp>,
    nonces: NonceUses,
    allow_clock: bool,
    allow_erased: bool,
    all: bool,
    wants_quorum: bool,
    /// Set after an entry was found inserted or removed: all later entries then have other
    /// positions, so their hashes and checkpoints prove nothing.
    displaced: bool,
    /// The number of entries that were audited or skipped so far.
    position: u64,
    /// The number that the next entry has to state. It differs from `position` after an inserted or
    /// removed entry.
    next_number: u64,
    /// An entry whose own number does not fit its position. The number of the entry after it
    /// decides whether it was changed, inserted or swapped.
    suspect: Option<SuspectEntry>,
    /// The first entry whose hash differs from the stored one. The next checkpoint decides whether
    /// the entry or the stored hash was changed.
    hash_mismatch: Option<u64>,
    /// The number of entries that the last matching checkpoint covers. A checkpoint matches if its
    /// root hash is the root of these entries.
    matched_size: u64,
    report: Report,
}

struct SuspectEntry {
    place: u64,
    n: Option<u64>,
    why: Option<String>,
    what: FindingKind,
}

impl Auditor {
    /// Creates an audit of the log in `folder`. `inputs` is what the auditor has from outside the
    /// log, such as its key and kept checkpoints.
    ///
    /// # Errors
    /// [`LogError`] if the folder cannot be read.
    pub fn new(folder: &Folder, inputs: &AuditorInputs) -> Result<Self, LogError> {
        // The number of stored hashes is read before the first entry, because a writer may be
        // appending, and it stores each hash after its entry.
        let leaves = || TreeFile::open(folder).and_then(|tree| tree.leaves()).unwrap_or(0);
        let stored_at_start = leaves();
        let mut findings = Vec::new();
        let checkpoints = Checkpoints::open(folder, inputs, |why| {
            findings.push(Finding { what: FindingKind::Checkpoint, n: None, why });
        })?;
        let files = archived::entry_files(folder)?.iter().map(|file| file.first).collect();
        let mut auditor = Auditor {
            folder: folder.clone(),
            stored_at_start,
            frontier: Frontier::new(),
            stored: TreeFile::in_order(folder).ok(),
            files,
            archived: BTreeMap::new(),
            not_given: Vec::new(),
            nodes: TreeFile::open(folder).ok(),
            erasures: ErasureMatcher::default(),
            context: Context::new(),
            time: None,
            nonces: NonceUses::default(),
            allow_clock: inputs.allow_clock,
            allow_erased: inputs.allow_erased,
            all: inputs.all,
            wants_quorum: inputs.policy.is_some(),
            displaced: false,
            position: 0,
            next_number: 0,
            suspect: None,
            hash_mismatch: None,
            matched_size: 0,
            report: Report::default(),
            checkpoints,
        };
        // A writer stores the hashes of entries before it signs a checkpoint over them.
        let (stored, signed) = (leaves(), auditor.checkpoints.latest_size());
        for finding in findings {
            auditor.find(finding.what, None, finding.why);
        }
        auditor.read_archive_notes(folder, inputs.log_key.as_ref())?;
        if signed > stored {
            let why = match auditor.stored {
                Some(_) => format!(
                    "hashes are stored of {stored} entries, and its latest checkpoint is over {signed}"
                ),
                None => "the file of hashes is missing".to_owned(),
            };
            auditor.find(FindingKind::Tree, Some(stored), why);
        }
        Ok(auditor)
    }

    /// Adds the nonces that were used in the previous log, so that a replay in this log is found.
    #[must_use]
    pub fn with_earlier_nonces(mut self, before: UsedNonces) -> Self {
        self.nonces = before.0;
        self
    }

    /// Returns true after a finding that makes all later results unreliable.
    pub fn is_over(&self) -> bool {
        !self.all && !self.report.findings.is_empty()
    }

    /// Returns the number of entries that were audited so far.
    pub fn entries(&self) -> u64 {
        self.report.entries
    }

    /// Returns the number of bytes that were audited so far.
    pub fn bytes(&self) -> u64 {
        self.report.bytes
    }

    /// Audits the next entry. `entry` is what was found by judging that entry by itself; this
    /// function compares it with the entries before it.
    pub fn take(&mut self, entry: EntryFindings) {
        if self.is_over() {
            return;
        }
        if self.frontier.size() == 0 && self.report.entries == 0 {
            self.compare_checkpoints();
        }
        if entry.position_by_name > self.position {
            self.skip_archived(entry.position_by_name);
        }
        if let Some(suspect) = self.suspect.take() {
            self.conclude(suspect, entry.stamp.map(|(n, _)| n));
        }
        if self.is_over() {
            return;
        }
        if !entry.whole {
            self.take_incomplete(&entry);
            return;
        }
        let (place, position) = (self.next_number, self.position);
        self.position += 1;
        let n = entry.stamp.map(|(n, _)| n);
        if let Some(why) = entry.fault.filter(|_| n == Some(place) || n.is_none()) {
            self.suspect =
                Some(SuspectEntry { place, n, why: Some(why), what: FindingKind::Changed });
        } else if n != Some(place) {
            self.suspect = Some(SuspectEntry { place, n, why: None, what: FindingKind::Changed });
        } else if entry.position_by_name != position && !self.displaced {
            let why = format!("by its name it would begin with entry {}", entry.position_by_name);
            self.find(FindingKind::File, Some(place), why);
        } else if let Some(time) = entry.stamp.map(|(_, time)| time) {
            match self.time {
                Some(last) if time < last => {
                    let why =
                        format!("its time {time} is before {last}, that of the entry before it");
                    self.suspect =
                        Some(SuspectEntry { place, n, why: Some(why), what: FindingKind::Clock });
                }
                _ => {
                    self.time = Some(time);
                    let first = self.report.span.map_or(time, |(first, _)| first);
                    self.report.span = Some((first, time));
                }
            }
        }
        let mut reasons = entry.judged.reasons;
        if self.suspect.is_none()
            && let (Some((version, notice)), Some((_, time))) = (entry.notice, entry.stamp)
        {
            let is_request = matches!(notice, Notice::Request { .. });
            self.apply_erasures((place, time, entry.leaf), &notice, &mut reasons);
            if let Notice::Recovered(recovery) = notice {
                self.apply_recovery(place, recovery);
            }
            match self.context.apply_entry(place, version, time, notice) {
                Ok(certain) => {
                    self.report.ahead_of_clock += u64::from(!certain);
                    if !certain && !self.allow_clock && is_request {
                        reasons.add(UnjudgedReason::Clock);
                    }
                }
                Err((what, why)) => {
                    self.suspect = Some(SuspectEntry { place, n, why: Some(why), what });
                }
            }
            self.report.requests += u64::from(is_request);
        }
        for nonce in &entry.nonces {
            if !self.nonces.use_up(place, *nonce) && self.suspect.is_none() {
                let why = "its nonce was used before by the same key".to_owned();
                self.suspect =
                    Some(SuspectEntry { place, n, why: Some(why), what: FindingKind::Replayed });
            }
            self.nonces.forget(nonce.at);
        }
        self.report.count(entry.bytes, &entry.judged, reasons);
        self.next_number = place.saturating_add(1);
        self.add_leaf(entry.leaf, place, false);
        if self.suspect.is_none() {
            self.compare_checkpoints();
        }
    }

    /// Applies an entry that records the erasure of an earlier entry.
    fn apply_erasures(
        &mut self,
        (n, time, leaf): (u64, Timestamp, Hash),
        notice: &Notice,
        reasons: &mut UnjudgedReasons,
    ) {
        match notice {
            Notice::Tombstone => {
                self.erasures.add_tombstone(n, time, leaf);
                self.report.erased += 1;
                if !self.allow_erased {
                    reasons.add(UnjudgedReason::Erased);
                }
            }
            Notice::Erased(erasure) => {
                let stored = self.stored_leaf(erasure.n).filter(|_| !self.displaced);
                match self.erasures.add_record((n, time), erasure, (stored, &self.not_given)) {
                    Ok(true) => {}
                    Ok(false) => reasons.add(UnjudgedReason::NotErased),
                    Err((what, n, why)) => self.find(what, Some(n), why),
                }
            }
            _ => {}
        }
    }

    /// Applies an entry that records which entries before it were under no checkpoint: no checkpoint
    /// may lie between the one that it names and the entry itself.
    fn apply_recovery(&mut self, place: u64, recovery: Recovery) {
        self.report.recoveries += 1;
        self.report.recovered = self.report.recovered.saturating_add(recovery.entries);
        let (named, signed) = (recovery.checkpoint, self.matched_size);
        let (what, why) = if self.displaced {
            return;
        } else if !recovery.fits(place) {
            (FindingKind::Changed, "it is not right behind the entries that it tells of".to_owned())
        } else if named < signed {
            let why = format!(
                "it names a last checkpoint over {named} entries, and that was over {signed}"
            );
            (FindingKind::Changed, why)
        } else if named > signed {
            let why = format!("entry {place} names one over {named} entries, which is missing");
            (FindingKind::Checkpoint, why)
        } else {
            return;
        };
        self.find(what, Some(place), why);
    }

    /// Adds a leaf hash to the tree, and compares the new hashes of the tree with the stored ones.
    /// `is_read` means that `leaf` itself was read from the stored hashes, because its entry is
    /// archived.
    fn add_leaf(&mut self, leaf: Hash, place: u64, is_read: bool) {
        let (stored, mut same, mut first) = (&mut self.stored, true, true);
        let mut missing = false;
        self.frontier.push(leaf, |hash| {
            if std::mem::take(&mut first) && is_read {
                return;
            }
            if let Some(reader) = stored {
                let mut other = [0; 32];
                match reader.read_exact(&mut other) {
                    Ok(()) => same &= other == *hash,
                    Err(_) => missing = true,
                }
            }
        });
        if missing {
            self.stored = None;
        } else if !same && self.hash_mismatch.is_none() && !self.displaced {
            self.hash_mismatch = Some(place);
        }
    }

    /// Compares the root of the tree with all checkpoints that cover as many entries as the tree
    /// has now.
    fn compare_checkpoints(&mut self) {
        let size = self.frontier.size();
        let mut faults = Vec::new();
        let held = self.checkpoints.over_size(size, |why| faults.push(why));
        for why in faults {
            self.find(FindingKind::Checkpoint, None, why);
        }
        if held.is_empty() || self.displaced {
            return;
        }
        let root = self.frontier.root();
        for one in &held {
            if one.checkpoint.root != root {
                self.report_other_root(one, size);
                return;
            }
            self.report.checkpoints += u64::from(one.from_log);
            if one.is_external() {
                self.report.anchored = Some(size);
            }
            if let Some(time) = one.witnessed {
                self.report.witnessed = Some((size, time));
            }
        }
        self.matched_size = size;
        if let Some(n) = self.hash_mismatch.take() {
            let why = format!(
                "the entries are those of a checkpoint over {size}, but the stored hashes from entry {n} on are not theirs"
            );
            self.stored = None;
            self.find(FindingKind::Tree, Some(n), why);
        }
    }

    fn find(&mut self, what: FindingKind, n: Option<u64>, why: String) {
        let room = if self.all { MAX_FINDINGS } else { 1 };
        match self.report.findings.len() < room {
            true => self.report.findings.push(Finding { what, n, why }),
            false => self.report.more_findings += u64::from(self.all),
        }
    }
}
