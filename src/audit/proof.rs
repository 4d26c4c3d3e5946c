//! One entry on its own: a file that shows what was authorised, and that the log has it, to
//! somebody who has nothing else.
//!
//! ```json
//! {"mcpid":"evidence/1",
//!  "n":17,
//!  "size":1000,
//!  "entry":"BASE64 of the line, without its line feed",
//!  "proof":["BASE64","…"],
//!  "checkpoint":"BASE64 of the signed note",
//!  "log_key":"NAME+HASH+KEY",
//!  "log_key_pem":"…",
//!  "keys":{"keys":[…]},
//!  "key_pems":["…"],
//!  "history":[{"as_of":"…","source":"log","key":{…}},{"as_of":"…","source":"trust","key":{…}}]}
//! ```
//!
//! Binary members are base64 of one line each, so that `sed`, `base64`, `sha256sum` and `openssl`
//! are enough to check it all by hand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::auditor::Anchor;
use super::checkpoint::{Checkpoint, CheckpointError};
use super::entry::{self, Entry, Event};
use super::fault::LogError;
use super::folder::Folder;
use super::judge::{Judge, Judged, Trust};
use super::note::{Note, NoteKey};
use super::record;
use super::segment::{self, TreeFile};
use super::tree::{self, Hash};
use crate::clock::Timestamp;
use crate::key::format;
use crate::key::trust::{Registry, TrustFile};
use crate::secret::{json_fault, quoted};
use crate::verify::rejection::chain;

const VERSION: &str = "evidence/1";

/// Bytes of an evidence file at most: an entry of the largest size, in base64.
pub const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no such entry.
    #[error("the log has no entry {0}")]
    NoEntry(u64),
    /// No checkpoint is over it yet.
    #[error("entry {n} lies under no checkpoint yet, the latest is over {size}")]
    NoCheckpoint {
        /// The entry.
        n: u64,
        /// Entries under the checkpoint.
        size: u64,
    },
    /// It tells of no request.
    #[error("entry {0} tells of no request")]
    NoRequest(u64),
    /// The checkpoint is none of this log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What the log stores does not fit together.
    #[error("the log does not fit together: {0}")]
    Damaged(String),
    /// Not what was to be read; says why.
    #[error("{0}")]
    Form(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an evidence file")]
struct Json {
    mcpid: String,
    n: u64,
    size: u64,
    entry: String,
    proof: Vec<String>,
    checkpoint: String,
    log_key: String,
    log_key_pem: String,
    keys: Keys,
    key_pems: Vec<String>,
    history: Vec<Known>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<Box<RawValue>>,
}

/// What was known of a key, and as of when.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    as_of: String,
    source: String,
    key: Box<RawValue>,
}

/// Makes the evidence file of entry `n`, under `checkpoint`, or else the latest one. `known` is
/// what a registry says of the keys at `now`, for instance that one was revoked since.
///
/// # Errors
/// [`ProofError`].
pub fn prove(
    folder: &Folder,
    n: u64,
    checkpoint: Option<&[u8]>,
    known: Option<(&Registry, Timestamp)>,
) -> Result<String, ProofError> {
    let note = match checkpoint {
        Some(note) => note.to_vec(),
        None => latest(folder)?.ok_or(ProofError::NoCheckpoint { n, size: 0 })?,
    };
    let log_key = folder.public()?;
    let (checkpoint, _) = Checkpoint::signed(&note, &log_key)?;
    let line = segment::line(folder, n)?.ok_or(ProofError::NoEntry(n))?;
    if checkpoint.size <= n {
        return Err(ProofError::NoCheckpoint { n, size: checkpoint.size });
    }
    let nodes = TreeFile::open(folder)?;
    let proof = tree::inclusion(&nodes, n, checkpoint.size)?;
    let root = tree::root_of_inclusion(&tree::leaf(&line.bytes), n, checkpoint.size, &proof);
    if root != Some(checkpoint.root) {
        let why = format!("entry {n} is not under the root of the checkpoint");
        return Err(ProofError::Damaged(why));
    }
    let entry = entry::parse(&line.bytes).map_err(|e| ProofError::Damaged(chain(&e)))?;
    let Event::Request(request) = &entry.event else { return Err(ProofError::NoRequest(n)) };
    let keys = distinct(request.signatures.iter().map(|s| s.key.to_owned()).collect());
    let said = registry_of(&keys)?;
    let mut history: Vec<Known> = Vec::new();
    for key in &keys {
        let (as_of, source) = (entry.time.to_string(), "log".to_owned());
        history.push(Known { as_of, source, key: key.clone() });
    }
    if let Some((registry, now)) = known {
        for entry in said.iter().filter_map(|one| registry.by_id(one.key().id().as_str())) {
            let (as_of, source) = (now.to_string(), "trust".to_owned());
            history.push(Known { as_of, source, key: record::trusted(entry) });
        }
    }
    let json = Json {
        mcpid: VERSION.to_owned(),
        n,
        size: checkpoint.size,
        entry: STANDARD.encode(&line.bytes),
        proof: proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
        checkpoint: STANDARD.encode(&note),
        log_key: log_key.to_string(),
        log_key_pem: format::spki_pem(log_key.public()),
        key_pems: said.iter().map(|entry| format::spki_pem(entry.key())).collect(),
        keys: Keys { keys },
        history,
    };
    // Strings, numbers and raw JSON always serialise.
    Ok(serde_json::to_string_pretty(&json).unwrap_or_default() + "\n")
}

/// The log's latest checkpoint, as it stands; none where it has not made one.
pub(super) fn latest(folder: &Folder) -> Result<Option<Vec<u8>>, LogError> {
    let path = folder.checkpoint();
    match std::fs::read(&path) {
        Ok(note) => Ok(Some(note)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(LogError::io("read", &path, e)),
    }
}

/// Two signatures may be of one key, and a trust file has each once.
fn distinct(keys: Vec<Box<RawValue>>) -> Vec<Box<RawValue>> {
    let mut distinct: Vec<Box<RawValue>> = Vec::new();
    for key in keys {
        if !distinct.iter().any(|other| other.get() == key.get()) {
            distinct.push(key);
        }
    }
    distinct
}

fn registry_of(keys: &[Box<RawValue>]) -> Result<Registry, ProofError> {
    let keys: Vec<&str> = keys.iter().map(|key| key.get()).collect();
    let text = format!("{{\"keys\":[{}]}}", keys.join(","));
    let file = TrustFile::parse(text.as_bytes());
    Ok(Registry::merge([file.map_err(|e| ProofError::Form(chain(&e)))?]))
}

/// What an evidence file shows.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checked {
    /// The line of the entry, for whoever wants to show it.
    pub line: Vec<u8>,
    /// The checkpoint that the proof leads to.
    pub checkpoint: Checkpoint,
    /// Whose word the checkpoint is.
    pub log_key: NoteKey,
    /// Whether that key was pinned by whoever checks.
    pub pinned: bool,
    /// Whether the checkpoint was kept elsewhere, or cosigned by a witness that was pinned.
    pub anchored: bool,
    /// When a pinned witness cosigned it.
    pub witnessed: Option<Timestamp>,
    /// How far the request could be judged again.
    pub judged: Judged,
    /// When the file says that a key was revoked, if it does.
    pub revoked_at: Option<Timestamp>,
    /// The first thing that does not fit.
    pub fault: Option<String>,
}

impl Checked {
    /// The entry, if it can be read.
    pub fn entry(&self) -> Option<Entry<'_>> {
        entry::parse(&self.line).ok()
    }
}

/// Checks an evidence file against what `anchor` pins, and judges its request again at its time.
///
/// # Errors
/// [`ProofError::Form`]. What can be read and does not hold is a [`Checked::fault`].
pub fn check(bytes: &[u8], anchor: &Anchor, trust: Trust) -> Result<Checked, ProofError> {
    let form = |why: String| ProofError::Form(format!("not an evidence file: {why}"));
    let json: Json = serde_json::from_slice(bytes).map_err(|e| form(json_fault(&e)))?;
    if json.mcpid != VERSION {
        return Err(form(format!("an unknown version {}", quoted(&json.mcpid))));
    }
    let not_base64 = |_| form("a member is not base64".to_owned());
    let decode = |text: &str| STANDARD.decode(text).map_err(not_base64);
    let line = decode(&json.entry)?;
    let note = decode(&json.checkpoint)?;
    let proof = json.proof.iter().map(|hash| {
        decode(hash)?.try_into().map_err(|_| form("a hash of the proof has not 32 bytes".into()))
    });
    let proof: Vec<Hash> = proof.collect::<Result<_, _>>()?;
    let named: NoteKey = json.log_key.parse().map_err(|e| form(format!("its log_key is {e}")))?;
    let log_key = anchor.log_key.clone().unwrap_or(named.clone());
    let parsed = Note::parse(&note).map_err(|e| form(e.to_string()))?;
    let checkpoint = Checkpoint::of(&parsed).map_err(|e| form(e.to_string()))?;
    let mut checked = Checked {
        line,
        pinned: anchor.log_key.is_some(),
        anchored: false,
        witnessed: None,
        judged: Judged::default(),
        revoked_at: None,
        fault: None,
        checkpoint,
        log_key,
    };
    let fault = hold(&json, &note, &proof, &named, anchor, &mut checked)
        .and_then(|()| judge(&json, trust, &mut checked))
        .err();
    checked.fault = fault;
    Ok(checked)
}

/// Checkpoint, proof and whose word they are.
fn hold(
    json: &Json,
    note: &[u8],
    proof: &[Hash],
    named: &NoteKey,
    anchor: &Anchor,
    checked: &mut Checked,
) -> Result<(), String> {
    if named != &checked.log_key {
        return Err(format!("it is of the log {named}, not of the one that was pinned"));
    }
    let (checkpoint, parsed) =
        Checkpoint::signed(note, &checked.log_key).map_err(|e| format!("its checkpoint is {e}"))?;
    if json.size != checkpoint.size {
        return Err(format!("it says {}, its checkpoint {}", json.size, checkpoint.size));
    }
    let leaf = tree::leaf(&checked.line);
    let root = tree::root_of_inclusion(&leaf, json.n, checkpoint.size, proof);
    if root != Some(checkpoint.root) {
        return Err("the entry is not under the root of its checkpoint".to_owned());
    }
    checked.witnessed = anchor.witnesses.iter().find_map(|key| parsed.signed_by(key));
    let mut kept = false;
    for bytes in &anchor.kept {
        let (other, _) = Checkpoint::signed(bytes, &checked.log_key)
            .map_err(|e| format!("the checkpoint that was kept is {e}"))?;
        if other.size == checkpoint.size {
            if other.root != checkpoint.root {
                return Err("the checkpoint that was kept has another root".to_owned());
            }
            kept = true;
        }
    }
    checked.anchored = checked.pinned && (kept || checked.witnessed.is_some());
    Ok(())
}

/// The entry itself.
fn judge(json: &Json, trust: Trust, checked: &mut Checked) -> Result<(), String> {
    let entry = entry::parse(&checked.line).map_err(|e| format!("its entry is {}", chain(&e)))?;
    if entry.n != json.n {
        return Err(format!("it says entry {}, and the entry says {}", json.n, entry.n));
    }
    let Event::Request(request) = &entry.event else {
        return Err("its entry tells of no request".to_owned());
    };
    let keys = registry_of(&json.keys.keys).map_err(|e| chain(&e))?;
    let said: Vec<Box<RawValue>> = json.history.iter().map(|one| one.key.clone()).collect();
    for key in &said {
        let one = registry_of(std::slice::from_ref(key)).map_err(|e| chain(&e))?;
        for entry in one.iter() {
            if keys.by_id(entry.key().id().as_str()).is_none() {
                return Err(format!("its history is of another key, {}", entry.key().id()));
            }
            if let Some(revoked) = entry.revoked_at() {
                checked.revoked_at =
                    Some(checked.revoked_at.map_or(revoked, |known| known.min(revoked)));
            }
        }
    }
    // Compared as what they say: a file may have been written again by any JSON tool.
    let own: Vec<Box<RawValue>> = request.signatures.iter().map(|s| s.key.to_owned()).collect();
    let own = registry_of(&distinct(own)).map_err(|e| chain(&e))?;
    let same = own.len() == keys.len()
        && own.iter().all(|one| {
            let other = keys.by_id(one.key().id().as_str());
            other.is_some_and(|other| record::trusted(one).get() == record::trusted(other).get())
        });
    if !same {
        return Err("its keys are not those of its entry".to_owned());
    }
    checked.judged = Judge::new(trust).request(request, &mut Vec::new())?;
    Ok(())
}
