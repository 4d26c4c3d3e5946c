//! What an auditor brings along to hold a log against.

use std::sync::Arc;

use super::note::{Note, NoteKey};
use super::witness::WitnessPolicy;
use crate::clock::Timestamp;

/// What the auditor brings along: a writer of the log cannot change it.
#[derive(Clone, Debug, Default)]
pub struct Anchor {
    /// The log's key.
    pub log_key: Option<NoteKey>,
    /// Checkpoints that were kept elsewhere, as they were read.
    pub kept: Vec<Vec<u8>>,
    /// Keys of witnesses whose cosignature counts as a checkpoint kept elsewhere.
    pub witnesses: Vec<NoteKey>,
    /// The policy whose quorum of witnesses is demanded, in place of `witnesses`.
    pub policy: Option<Arc<WitnessPolicy>>,
    /// Times of which the log's clock makes nothing certain are taken as they are.
    pub allow_clock: bool,
    /// Entries that were erased, as the log says, do not keep it from being good.
    pub allow_erased: bool,
    /// All findings are wanted, and not the first alone.
    pub all: bool,
}

impl Anchor {
    /// When those witnesses had cosigned `note` that are enough: the quorum of the policy, or one of
    /// the witnesses where there is no policy.
    pub(super) fn witnessed(&self, note: &Note) -> Option<Timestamp> {
        match &self.policy {
            Some(policy) => policy.cosignatures(note).complete,
            None => self.witnesses.iter().find_map(|key| note.signed_by(key)),
        }
    }
}
