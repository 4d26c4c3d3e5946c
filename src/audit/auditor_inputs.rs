//! Trust anchors that an auditor checks a log against.

use std::sync::Arc;

use super::note::{Note, NoteKey};
use super::witness::WitnessPolicy;
use crate::clock::Timestamp;

/// Data that the auditor has from outside the log: a writer of the log cannot change it.
#[derive(Clone, Debug, Default)]
pub struct AuditorInputs {
    /// The log's public key.
    pub log_key: Option<NoteKey>,
    /// Checkpoints that were kept elsewhere, as they were read.
    pub kept: Vec<Vec<u8>>,
    /// Keys of witnesses whose cosignature counts as a checkpoint kept elsewhere.
    pub witnesses: Vec<NoteKey>,
    /// The policy whose quorum of witnesses is demanded, in place of `witnesses`.
    pub policy: Option<Arc<WitnessPolicy>>,
    /// Accept entry times that the log's clock cannot prove.
    pub allow_clock: bool,
    /// Entries that were erased, as the log says, do not keep it from being good.
    pub allow_erased: bool,
    /// Report all findings, not only the first.
    pub all: bool,
}

impl AuditorInputs {
    /// Returns the time at which enough witnesses had cosigned `note`: the quorum of the policy, or
    /// one witness if there is no policy.
    pub(super) fn witnessed(&self, note: &Note) -> Option<Timestamp> {
        match &self.policy {
            Some(policy) => policy.cosignatures(note).complete,
            None => self.witnesses.iter().find_map(|key| note.signed_by(key)),
        }
    }
}
