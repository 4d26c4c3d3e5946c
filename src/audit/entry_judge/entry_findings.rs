//! The findings on one entry.

use super::super::entry::{PreviousLog, Rules, Version};
use super::super::erasure_record::Erasure;
use super::super::tree::Hash;
use super::key_status::KeyStatus;
use super::nonces::NonceUse;
use super::reason::UnjudgedReasons;
use super::touch::JudgedTouch;
use crate::clock::Timestamp;

/// The findings on one entry.
#[derive(Debug)]
#[non_exhaustive]
pub struct EntryFindings {
    /// The entry's position in the log, counted from the first line of the first file.
    pub position: u64,
    /// The entry's position, counted from the number in the name of its file.
    pub(in crate::audit) position_by_name: u64,
    /// The leaf hash of the entry.
    pub leaf: Hash,
    /// Whether the line ends with a line feed.
    pub whole: bool,
    /// The number and time that the entry states, if they can be parsed.
    pub stamp: Option<(u64, Timestamp)>,
    /// What the entry means for the audit of the whole log, if the entry can be parsed.
    pub(in crate::audit) notice: Option<(Version, Notice)>,
    /// The contradiction inside the entry, if there is one.
    pub fault: Option<String>,
    /// Which parts of the entry could be judged.
    pub judged: JudgedEntry,
    /// The nonces that the entry uses up.
    pub(in crate::audit) nonces: Vec<NonceUse>,
    /// The length of the entry's line, in bytes.
    pub bytes: u64,
}

/// What an entry means for later entries.
#[derive(Debug)]
pub(in crate::audit) enum Notice {
    /// A request that was judged at `time`. An earlier entry must have stated its `rules`.
    Request {
        time: Timestamp,
        rules: Option<Rules>,
    },
    /// Counts of requests without an entry.
    Counts,
    /// Seconds by which times are ahead of the clock from this entry on.
    Clock(i64),
    Rules(Rules),
    After(PreviousLog),
    Closed(String),
    /// The entry records that another entry was erased.
    Erased(Erasure),
    /// This entry was erased.
    Tombstone,
}

/// Which parts of an entry could be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JudgedEntry {
    /// Number of signatures that were verified.
    pub signatures: u64,
    /// Whether the body was not kept completely: only the log claims the results of steps 9 to 11.
    pub without_body: bool,
    /// Whether a signature covers data that is not kept, so that it cannot be verified again.
    pub base_not_kept: bool,
    /// Why the entry is not good, although nothing contradicts it.
    pub reasons: UnjudgedReasons,
    /// The index of the signature on which the verdict rests.
    pub vouching: Option<usize>,
    /// The thumbprint of the key of that signature.
    pub key: Option<String>,
    /// What the auditor's trust files say about the key of that signature.
    pub known: Option<KeyStatus>,
    /// The touch of a security key that joins that signature.
    pub touch: Option<JudgedTouch>,
    /// Whether the recorded operation is only a claim of the log: no signed data that was kept
    /// states it.
    pub operation_claimed: bool,
}
