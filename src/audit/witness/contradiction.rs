//! Detects that a log was rolled back (later entries were dropped) or forked (two versions of it
//! exist).

use super::super::fault::LogError;
use super::super::segment::TreeFile;
use super::super::tree::{self, Hash};
use super::ledger::SignedTree;

/// Compares the log with this machine's record of what its witnesses have signed. Returns the
/// contradiction, if there is one.
pub(super) fn find(
    nodes: &TreeFile,
    name: &str,
    last: &SignedTree,
    (size, root): (u64, Hash),
) -> Result<Option<String>, LogError> {
    if last.size > size {
        return Ok(Some(rolled_back(name, last.size, size)));
    }
    let own = if last.size == size { root } else { tree::frontier(nodes, last.size)?.root() };
    Ok((own != last.root).then(|| forked(name, last.size)))
}

fn rolled_back(name: &str, held: u64, size: u64) -> String {
    format!(
        "the log was rolled back: the witness {name} has signed {held} entries of it, and its \
         latest checkpoint is over {size}"
    )
}

fn forked(name: &str, size: u64) -> String {
    format!(
        "the log was forked: the witness {name} has signed another tree of its first {size} entries"
    )
}

/// Returns the message for an answer 409 that states more entries than the checkpoint covers. The
/// answer is not signed, so it proves less than a recorded signature.
pub(super) fn answers_more(name: &str, held: u64, size: u64) -> String {
    format!(
        "the witness {name} answers that it holds {held} entries (409, not signed), and the latest \
         checkpoint is over {size}: the log may have been rolled back"
    )
}

/// Returns the message for an answer 409 or 422 to a checkpoint that covers as many entries as the
/// witness has signed. The only possible reason is another root.
pub(super) fn refuses_root(name: &str, status: u16, size: u64) -> String {
    format!(
        "the witness {name} refuses the tree of the first {size} entries ({status}, not signed): it \
         may hold another one"
    )
}
