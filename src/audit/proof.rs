//! Makes an evidence file for one entry. A reader of this file needs no other data to verify which
//! request was signed, and that the log has the entry.
//!
//! ```json
//! {"mcpid":"evidence/2",
//!  "n":17,
//!  "size":1000,
//!  "entry":"BASE64 of the line, without its line feed",
//!  "proof":["BASE64","…"],
//!  "checkpoint":"BASE64 of the signed note",
//!  "log_key":"NAME+HASH+KEY",
//!  "log_key_pem":"…",
//!  "keys":{"keys":[…]},
//!  "key_pems":["…"],
//!  "clock":{"n":15,"entry":"…","proof":["…"]}}
//! ```
//!
//! Binary members are base64 in one line, so that a person can check all of them with `sed`,
//! `base64`, `sha256sum` and `openssl`. `clock` is the log entry that states by how much entry
//! times are ahead of the machine's clock; it is present only if that clock was set back. A check
//! of the file verifies each member.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::entry::{self, Event, Request};
use super::erasure_match;
use super::fault::LogError;
use super::folder::Folder;
use super::note::NoteKey;
use super::segment::{self, EntryLine, TreeFile};
use super::tree;
use crate::key::format;
use crate::key::trust::TrustFile;
use crate::message::error_chain::chain;

/// The format version of an evidence file.
pub(super) const VERSION: &str = "evidence/2";

/// Maximum size of an evidence file, in bytes: an entry of the largest size, in base64.
pub const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Why no evidence file can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log has no entry with this number.
    #[error("the log has no entry {0}")]
    NoEntry(u64),
    /// No checkpoint covers the entry yet.
    #[error("entry {n} lies under no checkpoint yet, the latest is over {size}")]
    NoCheckpoint {
        /// The number of the entry.
        n: u64,
        /// The number of entries that the latest checkpoint covers.
        size: u64,
    },
    /// The entry is not about a request.
    #[error("entry {0} tells of no request")]
    NoRequest(u64),
    /// The entry was erased.
    #[error("entry {n} was erased, as entry {recorded_in} says: {reason}")]
    Erased {
        /// The number of the erased entry.
        n: u64,
        /// The number of the entry that records the erasure.
        recorded_in: u64,
        /// The recorded reason of the erasure.
        reason: String,
    },
    /// A tombstone replaces the entry, but no entry records an erasure.
    #[error("entry {0} was removed: a tombstone is in its place, and no entry tells of an erasure")]
    Removed(u64),
    /// The checkpoint does not belong to this log, or is invalid.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The stored parts of the log contradict each other; the text says how.
    #[error("the log does not fit together: {0}")]
    Damaged(String),
    /// The input does not have the expected form; the text says why.
    #[error("{0}")]
    Form(String),
}

/// The members of an evidence file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an evidence file")]
pub(super) struct EvidenceJson {
    pub(super) mcpid: String,
    pub(super) n: u64,
    pub(super) size: u64,
    pub(super) entry: String,
    pub(super) proof: Vec<String>,
    pub(super) checkpoint: String,
    pub(super) log_key: String,
    pub(super) log_key_pem: String,
    pub(super) keys: EvidenceKeys,
    pub(super) key_pems: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) clock: Option<ClockEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvidenceKeys {
    pub(super) keys: Vec<Box<RawValue>>,
}

/// The entry that states by how many seconds the times of later entries are ahead of the machine's
/// clock.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockEntry {
    pub(super) n: u64,
    pub(super) entry: String,
    pub(super) proof: Vec<String>,
}

/// Makes the evidence file of entry `n`, with a proof that `checkpoint` covers it. If `checkpoint`
/// is `None`, the newest checkpoint that a quorum of witnesses has cosigned is used, or else the
/// latest one.
///
/// # Errors
/// [`ProofError`] if there is no such entry or no checkpoint that covers it, or if the log cannot
/// be read.
pub fn prove(folder: &Folder, n: u64, checkpoint: Option<&[u8]>) -> Result<String, ProofError> {
    let log_key = folder.public()?;
    let (note, checkpoint) = checkpoint_over(folder, n, &log_key, checkpoint)?;
    let (line, clock) = segment::line(folder, n, says_offset)?.ok_or(ProofError::NoEntry(n))?;
    if checkpoint.size <= n {
        return Err(ProofError::NoCheckpoint { n, size: checkpoint.size });
    }
    if entry::is_about(&line.bytes, "tombstone") {
        return Err(match erasure_match::find_record(folder, n)? {
            Some((recorded_in, erasure)) => {
                ProofError::Erased { n, recorded_in, reason: erasure.reason }
            }
            None => ProofError::Removed(n),
        });
    }
    let nodes = TreeFile::open(folder)?;
    let proof = inclusion(&nodes, &line, &checkpoint)?;
    let entry = entry::parse(&line.bytes).map_err(|e| ProofError::Damaged(chain(&e)))?;
    let Event::Request(request) = &entry.event else { return Err(ProofError::NoRequest(n)) };
    let keys = keys_of(request);
    let clock = clock.filter(|line| offset_of(&line.bytes) != Some(0));
    let clock = clock.map(|line| {
        let (n, entry) = (line.position, STANDARD.encode(&line.bytes));
        inclusion(&nodes, &line, &checkpoint).map(|proof| ClockEntry { n, entry, proof })
    });
    let json = EvidenceJson {
        mcpid: VERSION.to_owned(),
        n,
        size: checkpoint.size,
        entry: STANDARD.encode(&line.bytes),
        proof,
        checkpoint: STANDARD.encode(&note),
        log_key: log_key.to_string(),
        log_key_pem: format::spki_pem(log_key.public()),
        key_pems: pems(&keys)?,
        keys: EvidenceKeys { keys },
        clock: clock.transpose()?,
    };
    // Serialization cannot fail: the values are strings, numbers and raw JSON.
    Ok(serde_json::to_string_pretty(&json).unwrap_or_default() + "\n")
}

/// Returns the checkpoint that the proof of entry `n` uses, with its signed note: the given one, or
/// the best one in the folder.
fn checkpoint_over(
    folder: &Folder,
    n: u64,
    log_key: &NoteKey,
    given: Option<&[u8]>,
) -> Result<(Vec<u8>, Checkpoint), ProofError> {
    if given.is_none()
        && let Some(note) = folder.latest_cosigned()?
        && let Ok((checkpoint, _)) = Checkpoint::signed(&note, log_key)
        && checkpoint.size > n
    {
        return Ok((note, checkpoint));
    }
    let note = match given {
        Some(note) => note.to_vec(),
        None => folder.latest()?.ok_or(ProofError::NoCheckpoint { n, size: 0 })?,
    };
    let (checkpoint, _) = Checkpoint::signed(&note, log_key)?;
    Ok((note, checkpoint))
}

/// Makes a C2SP `tlog-proof` of entry `n`, with the checkpoint that [`prove`] would choose. Its
/// `extra` line holds the entry, so that a reader can compute the leaf hash: SHA-256 of a zero byte
/// and the entry.
///
/// # Errors
/// [`ProofError`] as for [`prove`].
pub fn tlog_proof(
    folder: &Folder,
    n: u64,
    checkpoint: Option<&[u8]>,
) -> Result<String, ProofError> {
    let log_key = folder.public()?;
    let (note, checkpoint) = checkpoint_over(folder, n, &log_key, checkpoint)?;
    let (line, _) = segment::line(folder, n, |_| false)?.ok_or(ProofError::NoEntry(n))?;
    if checkpoint.size <= n {
        return Err(ProofError::NoCheckpoint { n, size: checkpoint.size });
    }
    let proof = inclusion(&TreeFile::open(folder)?, &line, &checkpoint)?;
    let hashes: String = proof.iter().map(|hash| format!("{hash}\n")).collect();
    let (entry, note) = (STANDARD.encode(&line.bytes), String::from_utf8_lossy(&note));
    Ok(format!("c2sp.org/tlog-proof@v1\nextra {entry}\nindex {n}\n{hashes}\n{note}"))
}

/// Makes the inclusion proof of an entry's line, in base64.
fn inclusion(
    nodes: &TreeFile,
    line: &EntryLine,
    checkpoint: &Checkpoint,
) -> Result<Vec<String>, ProofError> {
    let proof = tree::inclusion(nodes, line.position, checkpoint.size)?;
    let leaf = tree::leaf(&line.bytes);
    if tree::root_of_inclusion(&leaf, line.position, checkpoint.size, &proof)
        != Some(checkpoint.root)
    {
        let why = format!("entry {} is not under the root of the checkpoint", line.position);
        return Err(ProofError::Damaged(why));
    }
    Ok(proof.iter().map(|hash| STANDARD.encode(hash)).collect())
}

fn says_offset(line: &EntryLine) -> bool {
    // Entries about the clock are rare, so an entry is parsed only if its beginning names the event
    // `clock`.
    entry::is_about(&line.bytes, "clock") && offset_of(&line.bytes).is_some()
}

/// Returns by how many seconds the times of later entries are ahead of the machine's clock, if the
/// entry states this.
pub(super) fn offset_of(line: &[u8]) -> Option<i64> {
    match entry::parse(line).ok()?.event {
        Event::Clock(step) => Some(step.offset),
        _ => None,
    }
}

/// Returns the keys of an entry, each once, because two signatures can have the same key.
pub(super) fn keys_of(request: &Request<'_>) -> Vec<Box<RawValue>> {
    let mut keys: Vec<Box<RawValue>> = Vec::new();
    for signature in &request.signatures {
        if !keys.iter().any(|other| other.get() == signature.key.get()) {
            keys.push(signature.key.to_owned());
        }
    }
    keys
}

/// Returns the keys as PEM, one for each of `keys`. The same key can occur twice, under two ids.
pub(super) fn pems(keys: &[Box<RawValue>]) -> Result<Vec<String>, ProofError> {
    let mut pems = Vec::new();
    for key in keys {
        let file = TrustFile::parse(format!("{{\"keys\":[{}]}}", key.get()).as_bytes());
        let file = file.map_err(|e| ProofError::Form(chain(&e)))?;
        pems.extend(file.entries().iter().map(|entry| format::spki_pem(entry.key())));
    }
    Ok(pems)
}
