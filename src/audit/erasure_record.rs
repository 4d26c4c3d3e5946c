//! What remains of an erased entry: a tombstone with its leaf hash in its place, and a later entry
//! that records the erasure.
//!
//! ```text
//! {"mcpid":"audit/2","n":17,"time":"…","event":"tombstone","tombstone":{"leaf":"BASE64"}}
//! {"mcpid":"audit/2","n":42,"time":"…","event":"erased","erased":{"n":17,"time":"…","leaf":"BASE64","reason":"…"}}
//! ```
//!
//! The tree keeps the hash of the erased line, so that all proofs about other entries stay valid. A
//! tombstone alone proves nothing, because no checkpoint covers it: without the entry that records
//! the erasure, an audit reports the entry as removed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::record::Record;
use super::tree::Hash;
use crate::clock::Timestamp;

/// Maximum length of a reason, in bytes.
pub const MAX_REASON: usize = 1_000;

/// The record of an erasure in an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ErasureMembers", into = "ErasureMembers")]
#[non_exhaustive]
pub struct Erasure {
    /// The number of the erased entry.
    pub n: u64,
    /// The time of the erased entry.
    pub time: Timestamp,
    /// The leaf hash of the erased entry (RFC 9162 section 2.1.1).
    pub leaf: Hash,
    /// The reason for the erasure, as the log's operator gave it.
    pub reason: String,
}

/// The line that replaces an erased entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TombstoneMembers", into = "TombstoneMembers")]
#[non_exhaustive]
pub struct Tombstone {
    /// The hash of the leaf of the erased entry.
    pub leaf: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErasureMembers {
    n: u64,
    time: String,
    leaf: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TombstoneMembers {
    leaf: String,
}

impl TryFrom<ErasureMembers> for Erasure {
    type Error = &'static str;

    fn try_from(members: ErasureMembers) -> Result<Self, Self::Error> {
        let time = Timestamp::parse_rfc3339(&members.time).ok();
        // A time is accepted only in the spelling that this program writes.
        let time = time.filter(|time| time.to_string() == members.time).ok_or("its time")?;
        let leaf = leaf_of(&members.leaf).ok_or("its leaf")?;
        check_reason(&members.reason)?;
        Ok(Erasure { n: members.n, time, leaf, reason: members.reason })
    }
}

impl From<Erasure> for ErasureMembers {
    fn from(erasure: Erasure) -> Self {
        let Erasure { n, time, leaf, reason } = erasure;
        ErasureMembers { n, time: time.to_string(), leaf: STANDARD.encode(leaf), reason }
    }
}

impl TryFrom<TombstoneMembers> for Tombstone {
    type Error = &'static str;

    fn try_from(members: TombstoneMembers) -> Result<Self, Self::Error> {
        Ok(Tombstone { leaf: leaf_of(&members.leaf).ok_or("its leaf")? })
    }
}

impl From<Tombstone> for TombstoneMembers {
    fn from(tombstone: Tombstone) -> Self {
        TombstoneMembers { leaf: STANDARD.encode(tombstone.leaf) }
    }
}

fn leaf_of(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Checks the reason of an erasure.
///
/// # Errors
/// What is wrong, to be printed after the words "the reason": the text is empty, longer than
/// [`MAX_REASON`] or has a control character.
///
/// ```
/// use mcpid::audit::erasure_record::check_reason;
///
/// assert!(check_reason("order of the district court, 12 O 34/26").is_ok());
/// assert!(check_reason("").is_err());
/// assert!(check_reason("two\nlines").is_err());
/// ```
pub fn check_reason(reason: &str) -> Result<(), &'static str> {
    if reason.trim().is_empty() {
        Err("is empty")
    } else if reason.len() > MAX_REASON {
        Err("is over 1000 bytes long")
    } else if reason.chars().any(char::is_control) {
        Err("has a control character")
    } else {
        Ok(())
    }
}

impl Erasure {
    /// Creates the record of the erasure of entry `n`, which was written at `time` and has the leaf
    /// hash `leaf`.
    pub(super) fn new(n: u64, time: Timestamp, leaf: Hash, reason: &str) -> Self {
        Erasure { n, time, leaf, reason: reason.to_owned() }
    }

    /// Returns the entry that records the erasure.
    pub(super) fn record(&self) -> Record {
        Record::event("erased", self)
    }

    /// Returns the line that replaces the erased entry, with its line feed.
    pub(super) fn tombstone(&self) -> Vec<u8> {
        Tombstone { leaf: self.leaf }.line(self.n, self.time)
    }
}

impl Tombstone {
    /// Returns the line of the tombstone, with its line feed. No other spelling is valid.
    pub(super) fn line(&self, n: u64, time: Timestamp) -> Vec<u8> {
        let mut line = Vec::with_capacity(160);
        Record::event("tombstone", self).line(n, &time.to_string(), &mut line);
        line
    }
}
