//! That a log only grows: between two checkpoints, and by the word of a witness.

use super::checkpoint::Checkpoint;
use super::fault::LogError;
use super::folder::Folder;
use super::note::{Kind, NoteKey};
use super::proof::{ProofError, latest};
use super::segment::TreeFile;
use super::tree;
use crate::clock::Timestamp;
use crate::key::Sign;

/// Whether the log between two checkpoints has only grown, by the hashes that it stores: the
/// older and the newer one.
///
/// # Errors
/// [`ProofError::Checkpoint`], [`ProofError::Log`]; [`ProofError::Damaged`] where it has not, or
/// its hashes do not show it.
pub fn consistent(
    folder: &Folder,
    log_key: &NoteKey,
    old: &[u8],
    new: &[u8],
) -> Result<(Checkpoint, Checkpoint), ProofError> {
    let (old, _) = Checkpoint::signed(old, log_key)?;
    let (new, _) = Checkpoint::signed(new, log_key)?;
    if old.size > new.size {
        let why =
            format!("the older one is over {} entries, the newer over {}", old.size, new.size);
        return Err(ProofError::Damaged(why));
    }
    let nodes = TreeFile::open(folder)?;
    let leaves = nodes.leaves()?;
    if leaves < new.size {
        let why =
            format!("hashes are stored of {leaves} entries, the newer checkpoint has {}", new.size);
        return Err(ProofError::Damaged(why));
    }
    let proof = tree::consistency(&nodes, old.size, new.size)?;
    match tree::is_consistent((old.size, &old.root), (new.size, &new.root), &proof) {
        true => Ok((old, new)),
        false => Err(ProofError::Damaged(format!(
            "the first {} entries under the newer checkpoint are not those under the older",
            old.size
        ))),
    }
}

/// A witness's signature behind those of a checkpoint: that the log has only grown since `kept`,
/// the one that the witness signed last.
///
/// # Errors
/// As [`consistent`].
pub fn cosign(
    folder: &Folder,
    log_key: &NoteKey,
    (kept, new): (Option<&[u8]>, Option<&[u8]>),
    (name, key): (&str, &dyn Sign),
    now: Timestamp,
) -> Result<(Checkpoint, String), ProofError> {
    let new = match new {
        Some(new) => new.to_vec(),
        None => latest(folder)?.ok_or(ProofError::Form("the log has no checkpoint yet".into()))?,
    };
    // What a witness has seen first, it holds the log to from then on.
    consistent(folder, log_key, kept.unwrap_or(&new), &new)?;
    let (checkpoint, note) = Checkpoint::signed(&new, log_key)?;
    let witness = NoteKey::new(name, Kind::Witness, key.public().clone())
        .map_err(|e| ProofError::Form(e.to_string()))?;
    let text = note.cosign(&witness, key, now).map_err(LogError::from)?;
    Ok((checkpoint, text))
}
