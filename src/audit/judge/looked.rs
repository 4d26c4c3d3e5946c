//! What was found out about one entry.

use super::super::entry::{After, Rules, Version};
use super::super::erasure::Erasure;
use super::super::tree::Hash;
use super::nonces::NonceUse;
use super::reason::Reasons;
use super::standing::Known;
use crate::clock::Timestamp;

/// What was found out about one entry.
#[derive(Debug)]
#[non_exhaustive]
pub struct Looked {
    /// Its place by counting.
    pub n: u64,
    /// Its place by the name of its file.
    pub(in crate::audit) named: u64,
    /// The hash of the leaf that it stands for.
    pub leaf: Hash,
    /// Whether a line feed ends it.
    pub whole: bool,
    /// The number and time that it bears, if they can be read.
    pub stamp: Option<(u64, Timestamp)>,
    /// What it tells the auditor of all entries, if it can be read.
    pub(in crate::audit) notice: Option<(Version, Notice)>,
    /// What is wrong with it by itself.
    pub fault: Option<String>,
    /// How far it could be judged.
    pub judged: Judged,
    /// Nonces that it uses up.
    pub(in crate::audit) nonces: Vec<NonceUse>,
    /// Bytes of its line.
    pub bytes: u64,
}

/// What an entry means for those behind it.
#[derive(Debug)]
pub(in crate::audit) enum Notice {
    /// A request that was judged at `time` by rules that the log has to have named.
    Request {
        time: Timestamp,
        rules: Option<Rules>,
    },
    /// Counts of requests without an entry.
    Counts,
    /// By how much times are ahead of the clock from here on.
    Clock(i64),
    Rules(Rules),
    After(After),
    Closed(String),
    /// Another entry was erased.
    Erased(Erasure),
    /// This entry was erased.
    Tombstone,
}

/// How far an entry could be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judged {
    /// Signatures that were verified.
    pub signatures: u64,
    /// The body was not kept, or not whole: steps 9 to 11 rest on the log's word.
    pub without_body: bool,
    /// A signature covers what is not kept, and cannot be verified again.
    pub opaque: bool,
    /// Why it is not good, though nothing contradicts it.
    pub reasons: Reasons,
    /// The place among the entry's signatures of the one that vouches for it.
    pub vouching: Option<usize>,
    /// The thumbprint of the key of that one.
    pub key: Option<String>,
    /// What the auditor's trust files say of the key of that one.
    pub known: Option<Known>,
    /// What it asks for rests on the log's word alone.
    pub operation_claimed: bool,
}
