//! Proofs that a log only grew between two checkpoints, and the request that sends such a proof to
//! a witness.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::Checkpoint;
use super::folder::Folder;
use super::note::NoteKey;
use super::proof::ProofError;
use super::segment::TreeFile;
use super::tree::{self, Hash};

/// Two checkpoints of a log, with a proof that the log only grew between them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsistencyProof {
    /// The older checkpoint.
    pub old: Checkpoint,
    /// The newer checkpoint.
    pub new: Checkpoint,
    /// The consistency proof (RFC 9162 section 2.1.4).
    pub proof: Vec<Hash>,
}

impl ConsistencyProof {
    /// Returns the body of an `add-checkpoint` request with this proof (C2SP `tlog-witness`). `new`
    /// is the newer checkpoint as a signed note.
    pub fn request(&self, new: &str) -> String {
        request(self.old.size, &self.proof, new)
    }
}

/// Returns the body of an `add-checkpoint` request: the number of entries at which the proof
/// begins, its hashes, an empty line, and the signed checkpoint `new`.
pub(super) fn request(old: u64, proof: &[Hash], new: &str) -> String {
    let proof: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("old {old}\n{proof}\n{new}")
}

/// Makes, from the stored hashes, the proof that the log only grew between two checkpoints.
///
/// # Errors
/// [`ProofError::Checkpoint`] or [`ProofError::Log`] if a checkpoint or the log cannot be read;
/// [`ProofError::Damaged`] if the log did not only grow, or its hashes do not prove that.
pub fn consistent(
    folder: &Folder,
    log_key: &NoteKey,
    old: &[u8],
    new: &[u8],
) -> Result<ConsistencyProof, ProofError> {
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
        true => Ok(ConsistencyProof { old, new, proof }),
        false => Err(ProofError::Damaged(format!(
            "the first {} entries under the newer checkpoint are not those under the older",
            old.size
        ))),
    }
}
