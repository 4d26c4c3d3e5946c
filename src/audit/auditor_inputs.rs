//! What an auditor trusts when checking a log.

use std::sync::Arc;

use super::note::{Note, NoteKey};
use super::witness::WitnessPolicy;
use crate::clock::Timestamp;

/// Data that the auditor has from outside the log, so that a writer of the log cannot change it.
#[derive(Clone, Debug, Default)]
pub struct AuditorInputs {
    /// The log's public key.
    pub log_key: Option<NoteKey>,
    /// Checkpoints that were kept outside the log, as bytes.
    pub kept: Vec<Vec<u8>>,
    /// Keys of witnesses. A checkpoint that one of them signed counts as kept outside the log.
    pub witnesses: Vec<NoteKey>,
    /// The policy whose quorum of witnesses a checkpoint needs. It replaces `witnesses`.
    pub policy: Option<Arc<WitnessPolicy>>,
    /// Whether to accept an entry whose time is uncertain because the log's clock stepped.
    pub allow_clock: bool,
    /// Whether a log is good although entries were erased, if the log records the erasures.
    pub allow_erased: bool,
    /// Whether to report all findings, and not only the first one.
    pub all: bool,
}

impl AuditorInputs {
    /// Returns the time at which enough witnesses had signed `note`: the quorum of the policy, or
    /// any one witness if there is no policy.
    pub(super) fn witnessed(&self, note: &Note) -> Option<Timestamp> {
        match &self.policy {
            Some(policy) => policy.cosignatures(note).complete,
            None => self.witnesses.iter().find_map(|key| note.signed_by(key)),
        }
    }
}
