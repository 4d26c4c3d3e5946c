//! The checkpoints against which a log is checked: those in its own file, in order, and those that
//! were kept outside the log.

use std::collections::BTreeMap;

use super::auditor_inputs::AuditorInputs;
use super::checkpoint::Checkpoint;
use super::fault::LogError;
use super::folder::Folder;
use super::note::Note;
use super::segment::Notes;
use crate::clock::Timestamp;
use crate::message::error_chain::chain;

/// A checkpoint to compare with the tree, and who besides the log confirms it.
pub(super) struct ReferenceCheckpoint {
    pub(super) checkpoint: Checkpoint,
    /// Whether the auditor kept the checkpoint, and the log's key signed it.
    pub(super) kept: bool,
    /// Whether the checkpoint is in the log's own file.
    pub(super) from_log: bool,
    /// The time at which enough witnesses had signed the checkpoint.
    pub(super) witnessed: Option<Timestamp>,
}

/// The checkpoints of a log. Those in its own file are read one at a time, because ten years can
/// have one for every minute.
pub(super) struct Checkpoints {
    /// What the auditor trusts, except the kept checkpoints.
    inputs: AuditorInputs,
    notes: Notes,
    /// The next checkpoint from the log's own file.
    next: Option<ReferenceCheckpoint>,
    /// The number of checkpoints that were read so far.
    count: u64,
    /// The content of the file `checkpoint`, until it is found in the file `checkpoints` too.
    latest: Option<Vec<u8>>,
    latest_size: u64,
    /// The checkpoints that the auditor kept, by the number of entries that they cover. Several can
    /// have the same number.
    kept: BTreeMap<u64, Vec<ReferenceCheckpoint>>,
}

impl Checkpoints {
    /// Opens the checkpoints of the log in `folder`. Calls `fault` with an error text for each
    /// invalid checkpoint.
    pub(super) fn open(
        folder: &Folder,
        inputs: &AuditorInputs,
        mut fault: impl FnMut(String),
    ) -> Result<Self, LogError> {
        // The latest checkpoint is read first: the file of all checkpoints then contains it, even
        // if a writer adds more meanwhile.
        let latest = folder.latest().unwrap_or_else(|error| {
            fault(format!("the latest checkpoint: {}", chain(&error)));
            None
        });
        let mut checkpoints = Checkpoints {
            inputs: AuditorInputs { kept: Vec::new(), ..inputs.clone() },
            notes: Notes::open(folder)?,
            next: None,
            count: 0,
            latest_size: 0,
            latest: None,
            kept: BTreeMap::new(),
        };
        match &latest {
            None => fault("the latest checkpoint is missing".to_owned()),
            Some(note) => match read(inputs, note) {
                Ok(reference) => checkpoints.latest_size = reference.checkpoint.size,
                Err(why) => fault(format!("the latest checkpoint: {why}")),
            },
        }
        checkpoints.latest = latest;
        for (at, bytes) in inputs.kept.iter().enumerate() {
            match read(inputs, bytes) {
                Ok(reference) => {
                    // Without a pinned log key, nothing proves that a checkpoint that the auditor
                    // kept belongs to this log.
                    let reference = ReferenceCheckpoint {
                        kept: inputs.log_key.is_some(),
                        from_log: false,
                        ..reference
                    };
                    checkpoints.kept.entry(reference.checkpoint.size).or_default().push(reference);
                }
                Err(why) => {
                    fault(format!("the checkpoint that was kept, number {}: {why}", at + 1));
                }
            }
        }
        if inputs.policy.is_some() {
            checkpoints.take_cosigned(folder, inputs, &mut fault);
        }
        checkpoints.step(0, &mut fault);
        if checkpoints.next.is_none() && checkpoints.count == 0 {
            fault("the log has no checkpoint, not even the one that it began with".to_owned());
        }
        Ok(checkpoints)
    }

    /// Adds the checkpoint with witnesses' signatures in the folder, if enough witnesses have
    /// signed it. The log stores this file itself, but cannot forge the signatures.
    fn take_cosigned(
        &mut self,
        folder: &Folder,
        inputs: &AuditorInputs,
        fault: &mut impl FnMut(String),
    ) {
        let read = match folder.latest_cosigned() {
            Ok(None) => return,
            Ok(Some(bytes)) => read(inputs, &bytes),
            Err(error) => Err(chain(&error)),
        };
        match read {
            Ok(reference) if reference.witnessed.is_some() => {
                let reference = ReferenceCheckpoint { from_log: false, ..reference };
                self.kept.entry(reference.checkpoint.size).or_default().push(reference);
            }
            Ok(_) => {}
            Err(why) => fault(format!("the cosigned checkpoint: {why}")),
        }
    }

    /// Reads on in the file of all checkpoints, up to the next checkpoint that covers `least`
    /// entries or more.
    fn step(&mut self, least: u64, fault: &mut impl FnMut(String)) {
        self.next = None;
        if let Some(note) = self.notes.next() {
            let note = match note {
                Ok(note) => note,
                Err(error) => return fault(chain(&error)),
            };
            self.count += 1;
            if self.latest.as_ref() == Some(&note) {
                self.latest = None;
            }
            let place = format!("checkpoint {} in the log", self.count);
            match read(&self.inputs, &note) {
                Ok(reference) if reference.checkpoint.size < least => {
                    fault(format!("{place} is over less than the one before"));
                }
                Ok(reference) => self.next = Some(reference),
                // Only the first unreadable note is reported, because the file could have any
                // number of them.
                Err(why) => fault(format!("{place}: {why}")),
            }
        }
    }

    /// Returns the number of entries that the latest checkpoint covers.
    pub(super) fn latest_size(&self) -> u64 {
        self.latest_size
    }

    /// Returns the checkpoints that cover exactly `size` entries.
    pub(super) fn over_size(
        &mut self,
        size: u64,
        mut fault: impl FnMut(String),
    ) -> Vec<ReferenceCheckpoint> {
        let mut found = self.kept.remove(&size).unwrap_or_default();
        while let Some(next) = self.next.take_if(|next| next.checkpoint.size <= size) {
            let least = next.checkpoint.size;
            found.extend((next.checkpoint.size == size).then_some(next));
            self.step(least, &mut fault);
        }
        found
    }

    /// Returns the largest number of entries that a checkpoint covers, among the kept ones and
    /// those that were read so far.
    pub(super) fn largest_size(&self) -> u64 {
        let next = self.next.as_ref().map_or(0, |next| next.checkpoint.size);
        let kept = self.kept.last_key_value().map_or(0, |(size, _)| *size);
        self.latest_size.max(next).max(kept)
    }

    /// Reads all remaining checkpoints. Returns the largest number of entries in a checkpoint that
    /// could not be compared with the tree, and whether the auditor kept that checkpoint.
    pub(super) fn read_rest(&mut self, mut fault: impl FnMut(String)) -> Option<(u64, bool)> {
        let mut most = self.latest_size;
        while let Some(next) = self.next.take() {
            most = most.max(next.checkpoint.size);
            self.step(next.checkpoint.size, &mut fault);
        }
        // The writer adds a checkpoint to the file of all checkpoints before it writes
        // `checkpoint`. So the latest checkpoint must be in the file of all checkpoints.
        if self.latest.is_some() {
            fault("the latest checkpoint is not in the file of all of them".to_owned());
        }
        let kept = self.kept.last_key_value();
        match kept.map(|(size, checkpoints)| {
            (*size, checkpoints.iter().any(ReferenceCheckpoint::is_external))
        }) {
            Some((size, kept)) if size >= most => Some((size, kept)),
            _ => Some((most, false)),
        }
    }

    /// Returns true if the last checkpoint in the file of all checkpoints is incomplete.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.notes.incomplete.is_empty()
    }
}

impl ReferenceCheckpoint {
    /// Returns true if the auditor kept the checkpoint or witnesses signed it, so that not only the
    /// writer of the log confirms it.
    pub(super) fn is_external(&self) -> bool {
        self.kept || self.witnessed.is_some()
    }
}

/// Parses a checkpoint from the log's own files.
fn read(inputs: &AuditorInputs, bytes: &[u8]) -> Result<ReferenceCheckpoint, String> {
    let read = match &inputs.log_key {
        Some(key) => Checkpoint::signed(bytes, key),
        None => Note::parse(bytes)
            .map_err(Into::into)
            .and_then(|note| Checkpoint::of(&note).map(|checkpoint| (checkpoint, note))),
    };
    let (checkpoint, note) = read.map_err(|error| chain(&error))?;
    let witnessed = inputs.witnessed(&note);
    Ok(ReferenceCheckpoint { checkpoint, kept: false, from_log: true, witnessed })
}
