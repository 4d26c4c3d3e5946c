//! The Merkle tree of RFC 9162 section 2.1, which combines a log's entries into one hash.
//!
//! Leaves are the exact bytes of the lines of entries. A full subtree of a growing tree never
//! changes. So the hash of each full subtree is computed and stored once; its position in the file
//! follows from its position in the tree. Appending needs only the right edge of the tree, a proof
//! needs a few stored hashes, and no entry is read again.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Size of a hash, in bytes.
pub(super) const HASH: u64 = 32;

/// Returns the hash of a leaf (RFC 9162 section 2.1.1).
pub fn leaf(entry: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    hash.finalize().into()
}

/// Returns the hash of an inner node.
fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// Returns the root of a tree without leaves.
pub fn empty() -> Hash {
    Sha256::digest([]).into()
}

/// Returns the number of stored hashes for `size` leaves: one for each leaf and one for each full
/// inner node.
pub(super) fn stored(size: u64) -> u64 {
    // One perfect tree over `n` leaves has `2n - 1` nodes, and the leaves are in one perfect tree
    // for each bit of `size`.
    size.saturating_mul(2).saturating_sub(u64::from(size.count_ones()))
}

/// Returns the largest number of leaves for which at most `hashes` hashes are stored.
pub(super) fn leaves_of(hashes: u64) -> u64 {
    // `stored(n)` lies between 2n − 64 and 2n.
    let (mut low, mut high) = (hashes / 2, hashes / 2 + 64);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if stored(middle) <= hashes { low = middle } else { high = middle - 1 }
    }
    low
}

/// Returns the position, among the stored hashes, of the root of the `n`th full subtree of
/// 2^`level` leaves. A hash is stored as soon as its subtree is full.
pub(super) fn place(level: u32, n: u64) -> u64 {
    // The root is stored after its last leaf and after the smaller subtrees that end with that
    // leaf.
    let last_leaf = (n << level) + ((1 << level) - 1);
    stored(last_leaf) + u64::from(level)
}

/// The right edge of a growing tree: the roots of its perfect subtrees, largest first.
///
/// ```
/// use mcpid::audit::tree::{Frontier, empty, leaf};
///
/// let mut frontier = Frontier::new();
/// assert_eq!(frontier.root(), empty());
/// frontier.push(leaf(b"one"), |_stored_hash| {});
/// assert_eq!((frontier.size(), frontier.root()), (1, leaf(b"one")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// Creates a tree without leaves.
    pub fn new() -> Self {
        Frontier::default()
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf. Calls `final_hash` with the hash of the leaf and of every subtree that is
    /// now full, in the order of storage.
    pub fn push(&mut self, leaf: Hash, mut final_hash: impl FnMut(&Hash)) {
        let mut hash = leaf;
        final_hash(&hash);
        // Each trailing one bit of the size stands for a full subtree as large as the new one. The
        // two are merged.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = node(&left, &hash);
                final_hash(&hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// Returns the root.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else { return empty() };
        roots.fold(*last, |right, left| node(left, &right))
    }
}

/// A source of the stored hashes of a tree.
pub trait Nodes {
    /// The reason why a hash cannot be read.
    type Error;

    /// Returns the root of the `n`th subtree of 2^`level` leaves, which must be full.
    ///
    /// # Errors
    /// [`Self::Error`] if the hash is not stored.
    fn node(&self, level: u32, n: u64) -> Result<Hash, Self::Error>;
}

/// Returns the frontier (right edge) of the tree of the first `size` leaves, from O(log n) stored
/// hashes.
///
/// # Errors
/// The error of `nodes`.
pub fn frontier<N: Nodes>(nodes: &N, size: u64) -> Result<Frontier, N::Error> {
    let mut frontier = Frontier { size, roots: Vec::new() };
    let mut from = 0_u64;
    for level in (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1) {
        frontier.roots.push(nodes.node(level, from >> level)?);
        from += 1 << level;
    }
    Ok(frontier)
}

/// Returns the hash over the leaves from `low` to `high` (exclusive). `low` must be where a subtree
/// of that length begins.
fn range<N: Nodes>(nodes: &N, low: u64, high: u64) -> Result<Hash, N::Error> {
    let length = high - low;
    if length.is_power_of_two() {
        return nodes.node(length.trailing_zeros(), low >> length.trailing_zeros());
    }
    let middle = low + split(length);
    Ok(node(&range(nodes, low, middle)?, &range(nodes, middle, high)?))
}

/// Returns the largest power of two below `length`, which must be at least 2.
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// Returns the inclusion proof of leaf `n` in the tree of the first `size` leaves (section
/// 2.1.3.1).
///
/// # Errors
/// The error of `nodes`. A leaf that is not in the tree gets an empty proof, which is valid for no
/// leaf.
pub fn inclusion<N: Nodes>(nodes: &N, n: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    let (mut low, mut high) = (0, size);
    while n < size && high - low > 1 {
        let middle = low + split(high - low);
        if n < middle {
            proof.push(range(nodes, middle, high)?);
            high = middle;
        } else {
            proof.push(range(nodes, low, middle)?);
            low = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Returns the proof that the first `old` leaves are the beginning of the tree of the first `new`
/// leaves (section 2.1.4.1). The proof is empty if `old` is zero or equals `new`.
///
/// # Errors
/// The error of `nodes`.
pub fn consistency<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let (mut low, mut high, mut whole) = (0, new, true);
    while old < high {
        let middle = low + split(high - low);
        if old <= middle {
            proof.push(range(nodes, middle, high)?);
            high = middle;
        } else {
            proof.push(range(nodes, low, middle)?);
            (low, whole) = (middle, false);
        }
    }
    if !whole {
        proof.push(range(nodes, low, high)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Returns the root that an inclusion proof leads to (section 2.1.3.2); `None` if the proof has the
/// wrong length, or if the leaf is not in the tree.
pub fn root_of_inclusion(leaf: &Hash, n: u64, size: u64, proof: &[Hash]) -> Option<Hash> {
    if n >= size {
        return None;
    }
    let (mut at, mut last) = (n, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

/// Returns true if `proof` shows that the tree with the root `old_root` is the beginning of the
/// tree with the root `new_root` (section 2.1.4.2).
pub fn is_consistent(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> bool {
    if old > new {
        return false;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty();
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let mut hashes = proof.iter();
    let (mut at, mut last) = (old - 1, new - 1);
    let shift = at.trailing_ones();
    (at, last) = (at >> shift, last >> shift);
    // If the old tree is a full subtree of the new tree, the first hash to combine is the old root,
    // which the proof then does not contain.
    let first = if at == 0 { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let (mut from_old, mut from_new) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            from_old = node(hash, &from_old);
            from_new = node(hash, &from_new);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            from_new = node(&from_new, hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}
