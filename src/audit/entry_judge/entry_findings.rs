//! What was found out about one entry when it was judged by itself.

use super::super::entry::{PreviousLog, Rules, Version};
use super::super::erasure_record::Erasure;
use super::super::recovery::Recovery;
use super::super::tree::Hash;
use super::key_status::KeyStatus;
use super::nonces::NonceUse;
use super::reason::UnjudgedReasons;
use super::touch::JudgedTouch;
use crate::clock::Timestamp;

/// What was found out about one entry when it was judged by itself.
#[derive(Debug)]
#[non_exhaustive]
pub struct EntryFindings {
    /// The entry's position in the log, counted from the first line of the first file.
    pub position: u64,
    /// The entry's position as its file claims: counted from the number in the name of the file.
    pub(in crate::audit) position_by_name: u64,
    /// The leaf hash of the entry.
    pub leaf: Hash,
    /// Whether the line ends with a line feed. If not, it was not written completely.
    pub whole: bool,
    /// The number and time that the entry states, if they can be parsed.
    pub stamp: Option<(u64, Timestamp)>,
    /// What the entry means for the entries after it, if the entry can be parsed.
    pub(in crate::audit) notice: Option<(Version, Notice)>,
    /// The contradiction inside the entry, if there is one.
    pub fault: Option<String>,
    /// Which parts of the entry could be judged.
    pub judged: JudgedEntry,
    /// The nonces that the entry's request used up.
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
    /// Counts of requests that have no entry of their own.
    Counts,
    /// From this entry on, times of entries are this many seconds ahead of the clock of the
    /// machine.
    Clock(i64),
    Rules(Rules),
    /// Entries before this one were under no checkpoint when the log was opened.
    Recovered(Recovery),
    After(PreviousLog),
    Closed(String),
    /// The entry records that another entry was erased.
    Erased(Erasure),
    /// This entry is a tombstone in place of an erased entry.
    Tombstone,
}

/// Which parts of an entry could be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JudgedEntry {
    /// Number of signatures that were verified.
    pub signatures: u64,
    /// Whether the log does not have the complete body. Then digest, MCP checks and `allow` list
    /// (steps 9 to 11 of verification) cannot be checked again, and only the log claims their
    /// results.
    pub without_body: bool,
    /// Whether a signature covers data that the log does not keep, so that this signature cannot be
    /// verified again.
    pub base_not_kept: bool,
    /// Why the entry is not good, although nothing contradicts it.
    pub reasons: UnjudgedReasons,
    /// The index of the signature that authorised the request in the auditor's view.
    pub vouching: Option<usize>,
    /// The thumbprint (RFC 7638) of the key whose signature authorised the request: that at the
    /// index `vouching`.
    pub key: Option<String>,
    /// What the auditor's trust files say about the key whose signature authorised the request (at
    /// the index `vouching`).
    pub known: Option<KeyStatus>,
    /// The touch of a security key that confirms the signature that authorised the request (at the
    /// index `vouching`).
    pub touch: Option<JudgedTouch>,
    /// Whether the recorded MCP operation is only a claim of the log, because no signed data that
    /// the log keeps states it.
    pub operation_claimed: bool,
}
