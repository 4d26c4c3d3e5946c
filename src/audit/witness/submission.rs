//! A checkpoint that is sent to witnesses, and the outcomes of asking them.

use std::sync::Mutex;

use super::super::checkpoint::Checkpoint;
use super::super::note::Note;
use crate::clock::Timestamp;

/// A checkpoint that is sent to witnesses, with their signatures so far.
#[derive(Debug)]
pub struct Submission {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: Note,
    pub(super) text: String,
    pub(super) gathered: Mutex<Vec<Cosigned>>,
}

/// A valid signature of a witness under a checkpoint (a cosignature).
#[derive(Clone, Debug)]
pub(super) struct Cosigned {
    /// The index of the witness in the policy.
    pub(super) place: usize,
    pub(super) time: Timestamp,
    /// The line of the witness's signature in the note.
    pub(super) line: String,
}

impl Submission {
    /// Returns the checkpoint.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Returns the checkpoint as the log signed it, without signatures of witnesses.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The result of a request to a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WitnessOutcome {
    /// The witness signed, and its signature is valid. Holds the time in it.
    Cosigned(Timestamp),
    /// The answer is final: this witness is not asked again.
    Refused(String),
    /// The request failed; a retry may succeed.
    Failed(String),
    /// The log has a newer checkpoint, which the witness has already signed.
    Superseded,
    /// The answer says that the log was replaced by an older copy or continues in two versions. The
    /// answer is not signed, so the other witnesses decide
    /// ([`WitnessClient::settle`](super::WitnessClient::settle)).
    Disputed(String),
    /// Signatures that the witness made, as recorded before, show that the log was rolled back or
    /// forked.
    Contradicted(String),
}

/// The result of a request to a witness, and what it shows about that witness.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WitnessReply {
    /// The outcome of the request.
    pub outcome: WitnessOutcome,
    /// If the witness lost its state: the number of entries that it had signed, and the smaller
    /// number that it states now.
    pub forgot: Option<(u64, u64)>,
}
