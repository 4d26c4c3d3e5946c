//! Detects that a log was rolled back or forked.

use super::super::fault::LogError;
use super::super::segment::TreeFile;
use super::super::tree::{self, Hash};
use super::ledger::SignedTree;

/// Compares the log with what its witnesses have signed, as this machine recorded it. Returns the
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

pub(super) fn rolled_back(name: &str, held: u64, size: u64) -> String {
    format!(
        "the log was rolled back: the witness {name} has signed {held} entries of it, and its \
         latest checkpoint is over {size}"
    )
}

pub(super) fn forked(name: &str, size: u64) -> String {
    format!("the log was forked: the witness {name} holds another tree of its first {size} entries")
}
