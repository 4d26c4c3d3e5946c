//! The findings on one entry.

use super::super::entry::{PreviousLog, Rules, Version};
use super::super::erasure::Erasure;
use super::super::tree::Hash;
use super::key_status::Known;
use super::nonces::NonceUse;
use super::reason::Reasons;
use crate::clock::Timestamp;

/// The findings on one entry.
#[derive(Debug)]
#[non_exhaustive]
pub struct EntryFindings {
    /// The entry's position in the log, by counting.
    pub n: u64,
    /// The entry's position according to the name of its file.
    pub(in crate::audit) named: u64,
    /// The leaf hash of the entry.
    pub leaf: Hash,
    /// True if the line ends with a line feed.
    pub whole: bool,
    /// The number and time that it bears, if they can be read.
    pub stamp: Option<(u64, Timestamp)>,
    /// The entry's message to the audit of the whole log, if the entry can be read.
    pub(in crate::audit) notice: Option<(Version, Notice)>,
    /// The fault in the entry itself, if there is one.
    pub fault: Option<String>,
    /// The parts of the entry that could be judged.
    pub judged: Judged,
    /// Nonces that it uses up.
    pub(in crate::audit) nonces: Vec<NonceUse>,
    /// The length of the entry's line, in bytes.
    pub bytes: u64,
}

/// The effect of an entry on later entries.
#[derive(Debug)]
pub(in crate::audit) enum Notice {
    /// A request that was judged at `time` by rules that the log has to have named.
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
    /// Another entry was erased.
    Erased(Erasure),
    /// The entry was erased.
    Tombstone,
}

/// The parts of an entry that could be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judged {
    /// Signatures that were verified.
    pub signatures: u64,
    /// The body was not kept, or not whole: steps 9 to 11 rest on the log's word.
    pub without_body: bool,
    /// True if a signature covers data that is not kept, so that it cannot be verified again.
    pub opaque: bool,
    /// The reasons why the entry is not good, although nothing contradicts it.
    pub reasons: Reasons,
    /// The index of the signature that vouches for the entry.
    pub vouching: Option<usize>,
    /// The thumbprint of the vouching signature's key.
    pub key: Option<String>,
    /// The statement of the auditor's trust files about the vouching signature's key.
    pub known: Option<Known>,
    /// True if only the log claims which operation the request asks for.
    pub operation_claimed: bool,
}
