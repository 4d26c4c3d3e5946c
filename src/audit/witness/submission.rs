//! A checkpoint that is sent to witnesses, and the outcomes of asking them.

use std::sync::Mutex;

use super::super::checkpoint::Checkpoint;
use super::super::note::Note;
use crate::clock::Timestamp;

/// A checkpoint that is sent to witnesses, with the cosignatures so far.
#[derive(Debug)]
pub struct Submission {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: Note,
    pub(super) text: String,
    pub(super) gathered: Mutex<Vec<Cosigned>>,
}

/// A valid cosignature of a witness over a checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Cosigned {
    /// The index of the witness in the policy.
    pub(super) place: usize,
    pub(super) time: Timestamp,
    /// The line of the cosignature in the note.
    pub(super) line: String,
}

impl Submission {
    /// Returns the checkpoint.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Returns the signed note, as the log has it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What a request to a witness led to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WitnessOutcome {
    /// The cosignature is valid. Holds its time.
    Cosigned(Timestamp),
    /// The answer is final: this witness is not asked again.
    Refused(String),
    /// The request failed; a retry may succeed.
    Failed(String),
    /// The log has a newer checkpoint, which the witness has already signed.
    Superseded,
    /// The answer says that the log was rolled back or forked. It is not signed, so the quorum of
    /// the other witnesses decides ([`WitnessClient::settle`](super::WitnessClient::settle)).
    Disputed(String),
    /// The records of what the witness has signed show that the log was rolled back or forked.
    Contradicted(String),
}

/// What a request led to, and what it shows about the witness.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WitnessReply {
    /// The outcome of the request.
    pub outcome: WitnessOutcome,
    /// If the witness lost its state: the size that it had signed, and the smaller size that it has
    /// now.
    pub forgot: Option<(u64, u64)>,
}
