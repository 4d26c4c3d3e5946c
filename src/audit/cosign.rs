//! A witness: it signs a checkpoint only if a proof shows that the log has only grown since the
//! checkpoint that it signed last. The witness needs the checkpoint and the proof, and no other
//! part of the log.
//!
//! The last signed checkpoint of each log is kept in a file, which is on the disk before a
//! signature is returned. A witness that lost this file could sign two different histories of one
//! log.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::fault::LogError;
use super::files;
use super::note::{MAX_NOTE, NoteKey, NoteKeyKind};
use super::proof::ProofError;
use super::tree::{self, Hash};
use crate::clock::Timestamp;
use crate::key::Sign;
use crate::key::file_io::{self, FileError};

/// Maximum number of hashes in a proof (C2SP `tlog-witness`).
const MAX_PROOF: usize = 63;

/// Maximum size of a request, in bytes.
pub const MAX_REQUEST: usize = MAX_NOTE + 64 * 46;

/// Maximum size of a state file, in bytes.
const MAX_STATE: usize = 16 * 1024 * 1024;

const VERSION: &str = "witness-state/1";

/// The body of a request to a witness, to sign (cosign) a checkpoint.
///
/// ```
/// use mcpid::audit::cosign::CosignRequest;
///
/// // A checkpoint alone, and one with a proof that begins at 3 entries.
/// assert_eq!(CosignRequest::parse(b"example.com/audit\n3\n")?.old, None);
/// let hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
/// let request = CosignRequest::parse(format!("old 3\n{hash}\n\nexample.com/audit\n4\n").as_bytes())?;
/// assert_eq!((request.old, request.proof.len()), (Some(3), 1));
/// # Ok::<(), mcpid::audit::proof::ProofError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CosignRequest {
    /// The size at which the proof begins; `None` if the request is only a checkpoint.
    pub old: Option<u64>,
    /// The consistency proof (RFC 9162 section 2.1.4).
    pub proof: Vec<Hash>,
    /// The checkpoint, as a signed note.
    pub note: Vec<u8>,
}

impl CosignRequest {
    /// Parses a checkpoint, or the body of an `add-checkpoint` request: `old N`, the hashes of the
    /// proof, an empty line and the checkpoint.
    ///
    /// # Errors
    /// [`ProofError::Form`] if the bytes are neither.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        let form = |why: &str| ProofError::Form(format!("not a request to a witness: {why}"));
        if !bytes.starts_with(b"old ") {
            return Ok(CosignRequest { old: None, proof: Vec::new(), note: bytes.to_vec() });
        }
        let at = bytes.windows(2).position(|two| two == b"\n\n");
        let at = at.ok_or(form("no empty line behind the proof"))?;
        let head = std::str::from_utf8(bytes.get(..at).unwrap_or_default());
        let mut lines = head.map_err(|_| form("it is not UTF-8"))?.split('\n');
        let digits = lines.next().and_then(|line| line.strip_prefix("old ")).unwrap_or_default();
        let old = digits.parse::<u64>().ok().filter(|old| old.to_string() == digits);
        let old = old.ok_or(form("the old size is not a number"))?;
        let hash = |line: &str| STANDARD.decode(line).ok()?.try_into().ok();
        let proof = lines.map(hash).collect::<Option<Vec<Hash>>>();
        let proof = proof.ok_or(form("a line of the proof is not a hash"))?;
        if proof.len() > MAX_PROOF {
            return Err(form("the proof has over 63 hashes"));
        }
        let note = bytes.get(at + 2..).unwrap_or_default().to_vec();
        Ok(CosignRequest { old: Some(old), proof, note })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a witness's state")]
struct WitnessStateJson {
    mcpid: String,
    logs: BTreeMap<String, CosignedTree>,
}

/// The number of entries and the root hash in the last checkpoint that the witness signed for one
/// log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CosignedTree {
    size: u64,
    root: String,
}

/// The checkpoints that a witness has signed, with the locked file that records them.
#[derive(Debug)]
pub struct WitnessState {
    path: PathBuf,
    /// The locked folder of the state file. The lock is on the folder, because each write replaces
    /// the file.
    _lock: File,
    logs: BTreeMap<String, (u64, Hash)>,
}

impl WitnessState {
    /// Opens the state file at `path`. A missing file means that nothing was signed yet.
    ///
    /// # Errors
    /// [`ProofError::Log`] if the file cannot be read or another process has locked it;
    /// [`ProofError::Form`] if it is not a state file.
    pub fn open(path: &Path) -> Result<Self, ProofError> {
        let folder = file_io::folder_of(path);
        let lock = File::open(folder).map_err(|e| LogError::io("read", folder, e))?;
        if !files::lock(&lock, folder)? {
            return Err(LogError::Locked(path.to_owned()).into());
        }
        let logs = match files::small(path, MAX_STATE)? {
            None => BTreeMap::new(),
            Some(bytes) => {
                let form =
                    || ProofError::Form(format!("{} is no state of a witness", path.display()));
                let json: WitnessStateJson = serde_json::from_slice(&bytes).map_err(|_| form())?;
                if json.mcpid != VERSION {
                    return Err(form());
                }
                let log = |(origin, signed): (String, CosignedTree)| {
                    let root = STANDARD.decode(&signed.root).ok()?.try_into().ok()?;
                    Some((origin, (signed.size, root)))
                };
                json.logs.into_iter().map(log).collect::<Option<_>>().ok_or_else(form)?
            }
        };
        Ok(WitnessState { path: path.to_owned(), _lock: lock, logs })
    }

    /// Returns true if a checkpoint of the log `origin` was ever signed.
    pub fn knows(&self, origin: &str) -> bool {
        self.logs.contains_key(origin)
    }

    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<(), ProofError> {
        self.logs.insert(checkpoint.origin.clone(), (checkpoint.size, checkpoint.root));
        let signed =
            |(size, root): &(u64, Hash)| CosignedTree { size: *size, root: STANDARD.encode(root) };
        let logs = self.logs.iter().map(|(origin, log)| (origin.clone(), signed(log))).collect();
        let json = WitnessStateJson { mcpid: VERSION.to_owned(), logs };
        let text = serde_json::to_string_pretty(&json).unwrap_or_default() + "\n";
        file_io::replace(&self.path, text.as_bytes(), 0o600, None).map_err(|error| {
            ProofError::Log(match error {
                FileError::Io(e) => LogError::io("write", &self.path, e),
                other => LogError::Key(Arc::new(other)),
            })
        })
    }
}

/// Records a checkpoint in the state file, then adds the witness's signature to it. `first` must be
/// true if and only if the witness has not signed a checkpoint of this log before.
///
/// # Errors
/// [`ProofError::Checkpoint`] for an invalid checkpoint; [`ProofError::Damaged`] if the log did not
/// only grow, or if the state contradicts `first`; [`ProofError::Log`] if the state cannot be
/// written.
pub fn cosign(
    state: &mut WitnessState,
    log_key: &NoteKey,
    request: &CosignRequest,
    first: bool,
    (name, key): (&str, &dyn Sign),
    now: Timestamp,
) -> Result<(Checkpoint, String), ProofError> {
    let damaged = |why: String| Err(ProofError::Damaged(why));
    let (checkpoint, note) = Checkpoint::signed(&request.note, log_key)?;
    match state.logs.get(&checkpoint.origin) {
        None if !first => {
            return damaged(format!(
                "nothing of the log {:?} was signed before",
                checkpoint.origin
            ));
        }
        None if checkpoint.size == 0 && checkpoint.root != tree::empty() => {
            return damaged("a log without entries has another root".to_owned());
        }
        None => {}
        Some((size, _)) if first => {
            return damaged(format!("{size} entries of this log were signed for already"));
        }
        Some((size, root)) => {
            if checkpoint.size < *size {
                return damaged(format!(
                    "it is over {} entries, and {size} were signed for already",
                    checkpoint.size
                ));
            }
            let new = (checkpoint.size, &checkpoint.root);
            if checkpoint.size == *size && checkpoint.root != *root {
                return damaged(format!("another root over the same {size} entries was signed"));
            }
            if checkpoint.size != *size && request.old.is_some_and(|old| old != *size) {
                let old = request.old.unwrap_or_default();
                return damaged(format!("its proof begins at {old} entries, not at {size}"));
            }
            let proof = if checkpoint.size == *size { &[][..] } else { &request.proof };
            if !tree::is_consistent((*size, root), new, proof) {
                return damaged(format!("no proof shows that the {size} entries are still there"));
            }
        }
    }
    let witness = NoteKey::new(name, NoteKeyKind::Witness, key.public().clone())
        .map_err(|e| ProofError::Form(e.to_string()))?;
    let text = note.cosign(&witness, key, now).map_err(LogError::from)?;
    state.keep(&checkpoint)?;
    Ok((checkpoint, text))
}
