//! All entries in their order: the tree, the checkpoints, the clock and the nonces, and what was
//! done to those that do not fit.

use std::io::Read as _;

use super::context::Context;
use super::fault::LogError;
use super::finding;
use super::folder::Folder;
use super::held::{Checkpoints, Held};
use super::judge::{Looked, Notice, Reason};
use super::reuse::Nonces;
use super::segment::TreeFile;
use super::tree::{Edge, Hash};
use crate::clock::Timestamp;

pub use super::anchor::Anchor;
pub use super::context::CLOCK_LEEWAY;
pub use super::finding::{Finding, What};
pub use super::report::{Link, Report};
pub use super::reuse::UsedNonces;
pub use super::segment::{Line, lines};

/// Findings that are listed; of more, the number is given.
const FINDINGS: usize = 1_000;

/// Takes entries in their order.
pub struct Auditor {
    folder: Folder,
    edge: Edge,
    stored: Option<std::io::BufReader<std::fs::File>>,
    /// Entries whose hashes were stored when the audit began; a writer may go on meanwhile.
    promised: u64,
    checkpoints: Checkpoints,
    /// Beginnings of files of entries that were there when the audit began.
    files: Vec<u64>,
    context: Context,
    time: Option<Timestamp>,
    nonces: Nonces,
    allow_clock: bool,
    all: bool,
    /// Something structural was found: hashes and checkpoints say nothing about what follows.
    broken: bool,
    /// The number that the next entry should bear.
    expected: u64,
    /// The first entry that did not fit by itself, until the next one is seen.
    suspect: Option<Suspect>,
    /// The first entry whose hash is not the stored one, until a checkpoint decides.
    other_hash: Option<u64>,
    /// Entries under the last checkpoint that fits.
    good: u64,
    report: Report,
}

struct Suspect {
    place: u64,
    n: Option<u64>,
    why: Option<String>,
    what: What,
}

impl Auditor {
    /// An audit of the log in `folder`. Opens its checkpoints.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn new(folder: &Folder, anchor: &Anchor) -> Result<Self, LogError> {
        // Before the first entry is read: a writer stores hashes behind their entries.
        let leaves = || TreeFile::open(folder).and_then(|tree| tree.leaves()).unwrap_or(0);
        let promised = leaves();
        let mut findings = Vec::new();
        let checkpoints = Checkpoints::open(folder, anchor, |why| {
            findings.push(Finding { what: What::Checkpoint, n: None, why });
        })?;
        let files = folder.segments()?.into_iter().map(|(first, _)| first).collect();
        let mut auditor = Auditor {
            folder: folder.clone(),
            promised,
            edge: Edge::new(),
            stored: TreeFile::in_order(folder).ok(),
            files,
            context: Context::new(),
            time: None,
            nonces: Nonces::default(),
            allow_clock: anchor.allow_clock,
            all: anchor.all,
            broken: false,
            expected: 0,
            suspect: None,
            other_hash: None,
            good: 0,
            report: Report::default(),
            checkpoints,
        };
        // Hashes are stored before a checkpoint over them is signed.
        let (stored, signed) = (leaves(), auditor.checkpoints.latest_size());
        for finding in findings {
            auditor.find(finding.what, None, finding.why);
        }
        if signed > stored {
            let why = match auditor.stored {
                Some(_) => format!(
                    "hashes are stored of {stored} entries, and its latest checkpoint is over {signed}"
                ),
                None => "the file of hashes is missing".to_owned(),
            };
            auditor.find(What::Tree, Some(stored), why);
        }
        Ok(auditor)
    }

    /// The same, with the nonces that the log before this one has used up.
    #[must_use]
    pub fn behind(mut self, before: UsedNonces) -> Self {
        self.nonces = before.0;
        self
    }

    /// Whether something was found already: what follows it could not be relied on.
    pub fn is_over(&self) -> bool {
        !self.all && !self.report.findings.is_empty()
    }

    /// Entries so far.
    pub fn entries(&self) -> u64 {
        self.report.entries
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.report.bytes
    }

    /// Takes the next entry.
    pub fn take(&mut self, looked: Looked) {
        if self.is_over() {
            return;
        }
        if self.edge.size() == 0 && self.report.entries == 0 {
            self.meet();
        }
        if let Some(suspect) = self.suspect.take() {
            self.conclude(suspect, looked.stamp.map(|(n, _)| n));
            if self.is_over() {
                return;
            }
        }
        if !looked.whole {
            self.broken_off(&looked);
            return;
        }
        let place = self.expected;
        let n = looked.stamp.map(|(n, _)| n);
        if let Some(why) = looked.fault.filter(|_| n == Some(place) || n.is_none()) {
            self.suspect = Some(Suspect { place, n, why: Some(why), what: What::Changed });
        } else if n != Some(place) {
            self.suspect = Some(Suspect { place, n, why: None, what: What::Changed });
        } else if looked.named != looked.n && !self.broken {
            let why = format!("by its name it would begin with entry {}", looked.named);
            self.find(What::File, Some(place), why);
        } else if let Some(time) = looked.stamp.map(|(_, time)| time) {
            match self.time {
                Some(last) if time < last => {
                    let why =
                        format!("its time {time} is before {last}, that of the entry before it");
                    self.suspect = Some(Suspect { place, n, why: Some(why), what: What::Clock });
                }
                _ => {
                    self.time = Some(time);
                    let first = self.report.span.map_or(time, |(first, _)| first);
                    self.report.span = Some((first, time));
                }
            }
        }
        let mut reasons = looked.judged.reasons;
        if self.suspect.is_none()
            && let (Some((version, notice)), Some((_, time))) = (looked.notice, looked.stamp)
        {
            let is_request = matches!(notice, Notice::Request { .. });
            match self.context.heed(place, version, time, notice) {
                Ok(certain) => {
                    self.report.under_offset += u64::from(!certain);
                    if !certain && !self.allow_clock && is_request {
                        reasons.add(Reason::Clock);
                    }
                }
                Err((what, why)) => {
                    self.suspect = Some(Suspect { place, n, why: Some(why), what });
                }
            }
            self.report.requests += u64::from(is_request);
        }
        for nonce in &looked.nonces {
            if !self.nonces.use_up(place, *nonce) && self.suspect.is_none() {
                let why = "its nonce was used before by the same key".to_owned();
                self.suspect = Some(Suspect { place, n, why: Some(why), what: What::Replayed });
            }
            self.nonces.forget(nonce.at);
        }
        self.report.count(looked.bytes, &looked.judged, reasons);
        self.expected = place.saturating_add(1);
        self.grow(looked.leaf, place);
        if self.suspect.is_none() {
            self.meet();
        }
    }

    /// Adds a leaf, and holds the new hashes against the stored ones.
    fn grow(&mut self, leaf: Hash, place: u64) {
        let (stored, mut same) = (&mut self.stored, true);
        let mut missing = false;
        self.edge.push(leaf, |hash| {
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
        } else if !same && self.other_hash.is_none() && !self.broken {
            self.other_hash = Some(place);
        }
    }

    /// Holds the tree against the checkpoints of its size.
    fn meet(&mut self) {
        let size = self.edge.size();
        let mut faults = Vec::new();
        let held = self.checkpoints.over(size, |why| faults.push(why));
        for why in faults {
            self.find(What::Checkpoint, None, why);
        }
        if held.is_empty() || self.broken {
            return;
        }
        let root = self.edge.root();
        for one in &held {
            if one.checkpoint.root != root {
                self.other_root(one, size);
                return;
            }
            self.report.checkpoints += u64::from(!one.kept);
            if one.kept || one.witnessed {
                self.report.anchored = Some(size);
            }
        }
        self.good = size;
        if let Some(n) = self.other_hash.take() {
            let why = format!(
                "the entries are those of a checkpoint over {size}, but the stored hashes from entry {n} on are not theirs"
            );
            self.stored = None;
            self.find(What::Tree, Some(n), why);
        }
    }

    /// A checkpoint has another root than the entries.
    fn other_root(&mut self, one: &Held, size: u64) {
        let good = self.good;
        let whose =
            if one.kept || one.witnessed { "the checkpoint that was kept" } else { "a checkpoint" };
        match self.other_hash.take() {
            // The next entry tells whether this one was changed, or put in.
            Some(n) if n + 1 == size => {
                let why = Some(format!("it is not the one under {whose} over {size} entries"));
                self.suspect = Some(Suspect { place: n, n: Some(n), why, what: What::Changed });
            }
            Some(n) => {
                let why = format!(
                    "{whose} over {size} entries, and the hash stored for it, are of another"
                );
                self.find(What::Changed, Some(n), why);
            }
            None => {
                let why = format!(
                    "{whose} over {size} entries has another root: entries {good} to {} were rewritten with all their hashes",
                    size.saturating_sub(1)
                );
                self.find(What::Rewritten, Some(good), why);
            }
        }
        self.broken = true;
        self.stored = None;
    }

    /// Says what was done, once it is known what follows.
    fn conclude(&mut self, suspect: Suspect, next: Option<u64>) {
        let Suspect { place, n, why, what } = suspect;
        if let Some(first) = self.other_hash.filter(|first| *first < place) {
            // The number comes again: what bore it first was not there when hashes were stored.
            if n == Some(first) && place == first + 1 {
                self.find(What::Inserted, Some(first), "the true entry follows".to_owned());
            } else {
                let why = format!(
                    "it is not the one that its hash was stored of, and entry {place} does not fit either"
                );
                self.find(What::Changed, Some(first), why);
            }
            self.go_on_at(next);
            return;
        }
        let (finding, structural) = finding::of_a_misfit(place, (n, next), what, why);
        self.find(finding.what, finding.n, finding.why);
        // Else only this one is in doubt.
        if structural {
            self.go_on_at(next);
        }
    }

    /// Where all findings are wanted: counts on from what the next entry says.
    fn go_on_at(&mut self, next: Option<u64>) {
        (self.broken, self.stored, self.other_hash) = (true, None, None);
        if let Some(next) = next {
            self.expected = next;
        }
    }

    /// The last line has no end: it is being written, or was cut.
    fn broken_off(&mut self, looked: &Looked) {
        if self.checkpoints.most() > self.edge.size() {
            let why = format!("its line breaks off after {} bytes", looked.bytes);
            self.find(What::Truncated, Some(self.expected), why);
        } else if looked.bytes > 16 * 1024 * 1024 && looked.bytes as usize >= super::fault::MAX_LINE
        {
            let why = format!("its line has no end within {} bytes", looked.bytes);
            self.find(What::Changed, Some(self.expected), why);
        } else {
            self.report.unfinished = true;
        }
    }

    fn find(&mut self, what: What, n: Option<u64>, why: String) {
        let room = if self.all { FINDINGS } else { 1 };
        match self.report.findings.len() < room {
            true => self.report.findings.push(Finding { what, n, why }),
            false => self.report.more_findings += u64::from(self.all),
        }
    }

    /// All entries were taken.
    ///
    /// # Errors
    /// The log cannot be read again, where its clock went back so far that this was needed.
    pub fn finish(self) -> Result<Report, LogError> {
        self.finish_with_nonces().map(|(report, _)| report)
    }

    /// As [`Auditor::finish`], with the nonces for the log that follows this one.
    ///
    /// # Errors
    /// As [`Auditor::finish`].
    pub fn finish_with_nonces(mut self) -> Result<(Report, UsedNonces), LogError> {
        if self.edge.size() == 0 {
            self.meet();
        }
        if let Some(suspect) = self.suspect.take() {
            self.conclude(suspect, None);
        }
        let size = self.edge.size();
        let mut faults = Vec::new();
        let rest = self.checkpoints.rest(|why| faults.push(why));
        for why in faults {
            self.find(What::Checkpoint, None, why);
        }
        if let Some((most, kept)) = rest.filter(|(most, _)| *most > size && !self.broken) {
            let whose = if kept { "the checkpoint that was kept" } else { "a checkpoint" };
            let why = format!("{whose} is over {most} entries, and the log has {size}");
            self.find(What::Truncated, Some(size), why);
        }
        if let Some(n) = self.other_hash {
            let why = "it is not the one that its hash was stored of; no checkpoint says which of the two was changed".to_owned();
            self.find(What::Changed, Some(n), why);
        }
        if self.promised > size && !self.broken {
            let stored = self.promised;
            let why = format!("hashes are stored of {stored} entries, and the log has {size}");
            self.find(What::Truncated, Some(size), why);
        }
        if let Some(first) =
            self.files.last().copied().filter(|first| *first > size && !self.broken)
        {
            let why = format!("by its name it would begin with entry {first}, and it is empty");
            self.find(What::File, Some(first), why);
        }
        // Where requests are older than what was forgotten, the whole log is looked at again.
        if let Some((earlier, later)) = self.nonces.look_again(&self.folder)? {
            let why = format!("its nonce was used before by the same key, in entry {earlier}");
            self.find(What::Replayed, Some(later), why);
        }
        self.report.unfinished |= self.checkpoints.is_unfinished();
        self.report.root = Some(self.edge.root());
        self.report.link = self.context.link;
        Ok((self.report, UsedNonces(self.nonces)))
    }
}
