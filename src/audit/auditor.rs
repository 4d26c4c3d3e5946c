//! All entries in their order: the tree, the checkpoints, the clock and the nonces, and what was
//! done to the first entry that does not fit.

use std::collections::BTreeMap;
use std::io::Read as _;

use super::checkpoint::Checkpoint;
use super::fault::LogError;
use super::folder::Folder;
use super::judge::Looked;
use super::note::{Note, NoteKey};
use super::reuse::Nonces;
use super::segment::{self, TreeFile};
use super::tree::{Edge, Hash};
use crate::clock::Timestamp;
use crate::verify::rejection::chain;

pub use super::finding::{Finding, What};
pub use super::segment::{Line, lines};

/// What the auditor brings along, and nobody who can write the log can change.
#[derive(Clone, Debug, Default)]
pub struct Anchor {
    /// The log's key.
    pub log_key: Option<NoteKey>,
    /// Checkpoints that were kept elsewhere, as they were read.
    pub kept: Vec<Vec<u8>>,
    /// Keys of witnesses whose cosignature counts as a checkpoint kept elsewhere.
    pub witnesses: Vec<NoteKey>,
}

/// What was found out about a whole log.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Entries that were read.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Signatures that hold.
    pub signatures: u64,
    /// Entries whose body was not kept.
    pub without_body: u64,
    /// Entries whose signature covers what is not kept.
    pub opaque: u64,
    /// Checkpoints in the log that fit.
    pub checkpoints: u64,
    /// Entries that lie under a checkpoint or cosignature that was kept elsewhere.
    pub anchored: Option<u64>,
    /// Whether an entry was being written at the end.
    pub unfinished: bool,
    /// The root over the entries.
    pub root: Option<Hash>,
    /// The times of the first and the last entry.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The first thing that does not fit.
    pub finding: Option<Finding>,
}

/// A checkpoint to be held against the tree, and whose word it is.
struct Held {
    checkpoint: Checkpoint,
    kept: bool,
    witnessed: bool,
}

/// Takes entries in their order.
pub struct Auditor {
    edge: Edge,
    stored: Option<std::io::BufReader<std::fs::File>>,
    /// Entries whose hashes were stored when the audit began; a writer may go on meanwhile.
    promised: u64,
    /// By size; several may be of one.
    held: BTreeMap<u64, Vec<Held>>,
    time: Option<Timestamp>,
    nonces: Nonces,
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
    /// An audit of the log in `folder`. Reads its checkpoints.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn new(folder: &Folder, anchor: &Anchor) -> Result<Self, LogError> {
        // Before the first entry is read: a writer stores hashes behind their entries.
        let promised = TreeFile::open(folder).and_then(|tree| tree.leaves()).unwrap_or(0);
        let mut auditor = Auditor {
            promised,
            edge: Edge::new(),
            stored: TreeFile::in_order(folder).ok(),
            held: BTreeMap::new(),
            time: None,
            nonces: Nonces::default(),
            suspect: None,
            other_hash: None,
            good: 0,
            report: Report::default(),
        };
        for (at, bytes) in anchor.kept.iter().enumerate() {
            let place = format!("the checkpoint that was kept, number {}", at + 1);
            auditor.checkpoint(bytes, &place, true, anchor);
        }
        // The latest is read first: what a writer adds meanwhile stands behind it then.
        let latest = std::fs::read(folder.checkpoint()).ok();
        let (notes, whole) = segment::notes(folder)?;
        auditor.report.unfinished = !whole;
        let count = notes.len();
        let mut size = 0;
        for (at, note) in notes.iter().enumerate() {
            let place = format!("checkpoint {} of {count} in the log", at + 1);
            match auditor.checkpoint(note, &place, false, anchor) {
                Some(next) if next < size => {
                    let why = format!("{place} is over less than the one before");
                    auditor.find(What::Checkpoint, None, why);
                }
                Some(next) => size = next,
                None => {}
            }
        }
        let fault = match latest {
            // It is written to the file of all of them first.
            Some(latest) if !notes.contains(&latest) => "is not in the file of all of them",
            None if count > 1 => "is missing",
            _ => return Ok(auditor),
        };
        auditor.find(What::Checkpoint, None, format!("the latest checkpoint {fault}"));
        Ok(auditor)
    }

    /// Reads one checkpoint, and gives its size.
    fn checkpoint(
        &mut self,
        bytes: &[u8],
        place: &str,
        kept: bool,
        anchor: &Anchor,
    ) -> Option<u64> {
        let read = match &anchor.log_key {
            Some(key) => Checkpoint::signed(bytes, key),
            None => Note::parse(bytes)
                .map_err(Into::into)
                .and_then(|note| Checkpoint::of(&note).map(|checkpoint| (checkpoint, note))),
        };
        match read {
            Ok((checkpoint, note)) => {
                let witnessed = anchor.witnesses.iter().any(|key| note.signed_by(key).is_some());
                // Without the log's key nothing says that it is one of this log.
                let kept = kept && anchor.log_key.is_some();
                let size = checkpoint.size;
                let held = self.held.entry(size).or_default();
                held.push(Held { checkpoint, kept, witnessed });
                Some(size)
            }
            Err(error) => {
                self.find(What::Checkpoint, None, format!("{place}: {}", chain(&error)));
                None
            }
        }
    }

    /// Whether something was found already: what follows it could not be relied on.
    pub fn is_over(&self) -> bool {
        self.report.finding.is_some()
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
            return;
        }
        if !looked.whole {
            self.broken_off(&looked);
            return;
        }
        let place = looked.n;
        let n = looked.stamp.map(|(n, _)| n);
        if let Some(why) = looked.fault.filter(|_| n == Some(place) || n.is_none()) {
            self.suspect = Some(Suspect { place, n, why: Some(why), what: What::Changed });
        } else if n != Some(place) {
            self.suspect = Some(Suspect { place, n, why: None, what: What::Changed });
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
                    self.nonces.forget(time.unix());
                }
            }
        }
        for (id, until) in &looked.nonces {
            if !self.nonces.use_up(*id, *until) && self.suspect.is_none() {
                let why = "its nonce was used before by the same key".to_owned();
                self.suspect = Some(Suspect { place, n, why: Some(why), what: What::Replayed });
            }
        }
        self.report.entries += 1;
        self.report.bytes = self.report.bytes.saturating_add(looked.bytes + 1);
        self.report.signatures += looked.judged.signatures;
        self.report.without_body += u64::from(looked.judged.without_body);
        self.report.opaque += u64::from(looked.judged.opaque);
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
        } else if !same && self.other_hash.is_none() {
            self.other_hash = Some(place);
        }
    }

    /// Holds the tree against the checkpoints of its size.
    fn meet(&mut self) {
        let size = self.edge.size();
        let Some(held) = self.held.remove(&size) else { return };
        let root = self.edge.root();
        for one in held {
            if one.checkpoint.root != root {
                let (good, kept) = (self.good, one.kept || one.witnessed);
                let whose = if kept { "the checkpoint that was kept" } else { "a checkpoint" };
                match self.other_hash {
                    // The next entry tells whether this one was changed, or put in.
                    Some(n) if n + 1 == size => {
                        let why =
                            Some(format!("it is not the one under {whose} over {size} entries"));
                        let (place, what) = (n, What::Changed);
                        self.suspect = Some(Suspect { place, n: Some(n), why, what });
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
                return;
            }
            self.report.checkpoints += u64::from(!one.kept);
            if one.kept || one.witnessed {
                self.report.anchored = Some(size);
            }
        }
        self.good = size;
        if let Some(n) = self.other_hash {
            let why = format!(
                "the entries are those of a checkpoint over {size}, but the stored hashes from entry {n} on are not theirs"
            );
            self.find(What::Tree, Some(n), why);
        }
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
            return;
        }
        match (n, next) {
            (Some(n), Some(next)) if n == place + 1 && next == place => {
                self.find(What::Swapped, Some(place), format!("it stands behind entry {n}"));
            }
            (Some(n), _) if n > place => {
                let why = match n - 1 {
                    last if last == place => format!("entry {n} follows"),
                    last => format!("entry {n} follows, those up to {last} are not there either"),
                };
                self.find(What::Removed, Some(place), why);
            }
            (Some(n), _) if n < place => {
                self.find(What::Repeated, Some(n), format!("it stands again at place {place}"));
            }
            (_, Some(next)) if next == place => {
                let why = why.unwrap_or_else(|| "the true one follows it".to_owned());
                self.find(What::Inserted, Some(place), format!("the true entry follows: {why}"));
            }
            _ => {
                let why = why.unwrap_or_else(|| "it bears no number that can be read".to_owned());
                self.find(what, Some(place), why);
            }
        }
    }

    /// The last line has no end: it is being written, or was cut.
    fn broken_off(&mut self, looked: &Looked) {
        let promised = self.held.keys().any(|size| *size > looked.n);
        if promised {
            let why = format!("its line breaks off after {} bytes", looked.bytes);
            self.find(What::Truncated, Some(looked.n), why);
        } else {
            self.report.unfinished = true;
        }
    }

    fn find(&mut self, what: What, n: Option<u64>, why: String) {
        self.report.finding.get_or_insert(Finding { what, n, why });
    }

    /// All entries were taken.
    pub fn finish(mut self) -> Report {
        if self.edge.size() == 0 {
            self.meet();
        }
        if let Some(suspect) = self.suspect.take() {
            self.conclude(suspect, None);
        }
        let size = self.edge.size();
        if let Some((most, held)) = self.held.last_key_value().filter(|(most, _)| **most > size) {
            let kept = held.iter().any(|one| one.kept || one.witnessed);
            let whose = if kept { "the checkpoint that was kept" } else { "a checkpoint" };
            let why = format!("{whose} is over {most} entries, and the log has {size}");
            self.find(What::Truncated, Some(size), why);
        }
        if let Some(n) = self.other_hash {
            let why = "it is not the one that its hash was stored of; no checkpoint says which of the two was changed".to_owned();
            self.find(What::Changed, Some(n), why);
        }
        if self.promised > size {
            let stored = self.promised;
            let why = format!("hashes are stored of {stored} entries, and the log has {size}");
            self.find(What::Truncated, Some(size), why);
        }
        self.report.root = Some(self.edge.root());
        self.report
    }
}
