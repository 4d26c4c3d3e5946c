//! The file that records what each witness has signed last, beside the log. It says from which
//! checkpoint the next proof must start, and reveals that a witness lost its state or that the log
//! was rolled back.
//!
//! ```json
//! {"mcpid":"witnesses/1",
//!  "witnesses":{"NAME+HASH+KEY":{"size":17,"root":"BASE64","time":"2026-11-29T15:00:00Z","rollbacks":0}}}
//! ```

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::super::fault::LogError;
use super::super::files;
use super::super::folder::Folder;
use super::super::note::NoteKey;
use super::super::tree::Hash;
use crate::clock::Timestamp;
use crate::key::file_io::{self, FileError};

const VERSION: &str = "witnesses/1";

/// Maximum size of the file, in bytes.
const MAX_LEDGER: usize = 1024 * 1024;

/// The last checkpoint that a witness has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignedTree {
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) time: Timestamp,
}

/// The file that records what each witness signed last. While this value exists, no other process
/// can write it.
#[derive(Debug)]
pub(super) struct WitnessLedger {
    path: PathBuf,
    /// A separate lock file, because the file itself is replaced at each write.
    _lock: File,
    witnesses: BTreeMap<String, LedgerEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerFile {
    mcpid: String,
    witnesses: BTreeMap<String, LedgerEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerEntry {
    size: u64,
    root: String,
    time: String,
    /// How many times the witness stated fewer entries than it had signed before.
    rollbacks: u64,
}

impl WitnessLedger {
    /// Opens the file in `folder`. A missing file means that no witness has signed yet.
    ///
    /// # Errors
    /// [`LogError::Locked`] if another process asks the witnesses of this log;
    /// [`LogError::Changed`] if the file is damaged or was changed.
    pub(super) fn open(folder: &Folder) -> Result<Self, LogError> {
        let lock = folder.path().join("witnesses.lock");
        let file = files::open(&lock, OpenOptions::new().append(true).create(true))?;
        if !files::lock(&file, &lock)? {
            return Err(LogError::Locked(folder.path().to_owned()));
        }
        let path = folder.path().join("witnesses.json");
        let changed = || LogError::changed(folder.path(), "its witnesses.json cannot be read");
        let witnesses = match files::small(&path, MAX_LEDGER)? {
            None => BTreeMap::new(),
            Some(bytes) => {
                let whole: LedgerFile = serde_json::from_slice(&bytes).map_err(|_| changed())?;
                if whole.mcpid != VERSION || !whole.witnesses.values().all(|j| read(j).is_some()) {
                    return Err(changed());
                }
                whole.witnesses
            }
        };
        Ok(WitnessLedger { path, _lock: file, witnesses })
    }

    /// Returns the last checkpoint that the witness `key` signed.
    pub(super) fn last(&self, key: &NoteKey) -> Option<SignedTree> {
        self.witnesses.get(&key.to_string()).and_then(read)
    }

    /// Returns how many times the witness `key` stated fewer entries than it had signed before.
    pub(super) fn rollbacks(&self, key: &NoteKey) -> u64 {
        self.witnesses.get(&key.to_string()).map_or(0, |json| json.rollbacks)
    }

    /// Records the checkpoint that the witness `key` signed, and whether the witness had lost an
    /// earlier signature.
    ///
    /// # Errors
    /// [`LogError`] if the file cannot be written.
    pub(super) fn note(
        &mut self,
        key: &NoteKey,
        signed: SignedTree,
        forgot: bool,
    ) -> Result<(), LogError> {
        let rollbacks = self.rollbacks(key).saturating_add(u64::from(forgot));
        let (size, root, time) = (signed.size, STANDARD.encode(signed.root), signed.time);
        let json = LedgerEntry { size, root, time: time.to_string(), rollbacks };
        self.witnesses.insert(key.to_string(), json);
        let whole = LedgerFile { mcpid: VERSION.to_owned(), witnesses: self.witnesses.clone() };
        let text = serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n";
        replace(&self.path, text.as_bytes())
    }
}

fn read(json: &LedgerEntry) -> Option<SignedTree> {
    let root = STANDARD.decode(&json.root).ok()?.try_into().ok()?;
    let time = Timestamp::parse_rfc3339(&json.time).ok()?;
    Some(SignedTree { size: json.size, root, time })
}

/// Replaces the content of a file of the log by `bytes`.
pub(super) fn replace(path: &std::path::Path, bytes: &[u8]) -> Result<(), LogError> {
    file_io::replace(path, bytes, 0o600, None).map_err(|error| match error {
        FileError::Io(e) => LogError::io("write", path, e),
        other => LogError::Key(Arc::new(other)),
    })
}
