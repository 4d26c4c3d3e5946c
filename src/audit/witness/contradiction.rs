//! What shows that a log was rolled back or forked.

use super::super::fault::LogError;
use super::super::segment::TreeFile;
use super::super::tree::{self, Hash};
use super::ledger::SignedTree;

/// What shows that the log is not the one that a witness has signed, by what was kept of it.
pub(super) fn find(
    nodes: &TreeFile,
    name: &str,
    last: &SignedTree,
    (size, root): (u64, Hash),
) -> Result<Option<String>, LogError> {
    if last.size > size {
        return Ok(Some(rolled_back(name, last.size, size)));
    }
    let own = if last.size == size { root } else { tree::edge(nodes, last.size)?.root() };
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
