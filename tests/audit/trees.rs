//! Tests of the tree against an independent implementation of RFC 9162, and of proofs that must be
//! refused.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use mcpid::audit::tree::{self, Frontier, Hash, Nodes};
use sha2::Sha256;

/// All hashes of a tree, in the order in which a log stores them.
#[derive(Default)]
struct Stored {
    hashes: Vec<Hash>,
    frontier: Frontier,
    leaves: Vec<Hash>,
}

impl Stored {
    fn push(&mut self, entry: &[u8]) {
        let leaf = tree::leaf(entry);
        self.leaves.push(leaf);
        self.frontier.push(leaf, |hash| self.hashes.push(*hash));
    }
}

/// This implementation computes each node from the leaves below it. The implementation under test
/// reads each node from the file of hashes.
impl Nodes for Stored {
    type Error = String;

    fn node(&self, level: u32, n: u64) -> Result<Hash, String> {
        let mut place = 0_usize;
        let wanted_end = usize::try_from((n + 1) << level).unwrap();
        for leaf in 0..wanted_end {
            let last = leaf + 1 == wanted_end;
            let ones = leaf.trailing_ones() as usize;
            if last {
                place += usize::try_from(level).unwrap();
            } else {
                place += 1 + ones;
            }
        }
        self.hashes.get(place).copied().ok_or(format!("no node {level}/{n}"))
    }
}

fn entry(n: u64) -> Vec<u8> {
    format!("entry {n}").into_bytes()
}

const MOST: u64 = 1_100;

fn both() -> (Vec<MemoryBackedTree<Sha256, Vec<u8>>>, Stored) {
    let (mut theirs, mut ours) = (MemoryBackedTree::new(), Stored::default());
    let mut all = vec![theirs.clone()];
    for n in 0..MOST {
        theirs.push(entry(n));
        ours.push(&entry(n));
        all.push(theirs.clone());
    }
    (all, ours)
}

fn flat(proof: &[Hash]) -> Vec<u8> {
    proof.concat()
}

#[test]
fn every_root_from_0_to_1100_entries_equals_that_of_another_implementation() {
    let (mut theirs, mut frontier) = (MemoryBackedTree::<Sha256, Vec<u8>>::new(), Frontier::new());
    assert_eq!(theirs.root().as_bytes().as_slice(), frontier.root());
    for n in 0..MOST {
        theirs.push(entry(n));
        frontier.push(tree::leaf(&entry(n)), |_| {});
        assert_eq!(frontier.size(), n + 1);
        assert_eq!(theirs.root().as_bytes().as_slice(), frontier.root(), "{n}");
    }
}

/// Tests trees of every size: some leaves, including the first and last, and consistency with some
/// smaller sizes.
#[test]
fn every_proof_equals_that_of_another_implementation() {
    let (theirs, ours) = both();
    for size in 1..=MOST {
        let tree_now = &theirs[usize::try_from(size).unwrap()];
        let root: Hash = tree_now.root().as_bytes().as_slice().try_into().unwrap();
        for n in picks(size) {
            let at = usize::try_from(n).unwrap();
            let proof = tree::inclusion(&ours, n, size).unwrap();
            assert_eq!(flat(&proof), tree_now.prove_inclusion(at).as_bytes(), "{n} of {size}");
            let leaf = ours.leaves[at];
            assert_eq!(tree::root_of_inclusion(&leaf, n, size, &proof), Some(root));
            refuses_inclusion(&leaf, n, size, &proof, &root);
        }
        for old in picks(size) {
            let (old, added) = (old.max(1), size - old.max(1));
            let proof = tree::consistency(&ours, old, size).unwrap();
            let old_tree = &theirs[usize::try_from(old).unwrap()];
            let old_root: Hash = old_tree.root().as_bytes().as_slice().try_into().unwrap();
            if added > 0 {
                let other = tree_now.prove_consistency(usize::try_from(added).unwrap());
                assert_eq!(flat(&proof), other.as_bytes(), "{old} in {size}");
            }
            assert!(tree::is_consistent((old, &old_root), (size, &root), &proof));
            refuses_consistency((old, &old_root), (size, &root), &proof);
        }
    }
}

/// Returns the leaves that are tested in a tree of `size` leaves.
fn picks(size: u64) -> Vec<u64> {
    let mut picks = vec![0, size / 3, size / 2, size - 1, size.next_power_of_two() / 2 % size];
    picks.dedup();
    picks
}

fn refuses_inclusion(leaf: &Hash, n: u64, size: u64, proof: &[Hash], root: &Hash) {
    let holds = |leaf: &Hash, n, size, proof: &[Hash]| {
        tree::root_of_inclusion(leaf, n, size, proof).as_ref() == Some(root)
    };
    let mut other = *leaf;
    other[0] ^= 1;
    assert!(!holds(&other, n, size, proof));
    assert!(!holds(leaf, n + 1, size, proof) || n + 1 < size && proof.is_empty());
    assert!(!holds(leaf, size, size, proof));
    let mut longer = proof.to_vec();
    longer.push([7; 32]);
    assert!(!holds(leaf, n, size, &longer));
    if let Some((last, shorter)) = proof.split_last() {
        assert!(!holds(leaf, n, size, shorter));
        let mut bent = proof.to_vec();
        let end = bent.len() - 1;
        bent[end] = *last;
        bent[end][31] ^= 128;
        assert!(!holds(leaf, n, size, &bent));
        let mut turned = proof.to_vec();
        turned.reverse();
        assert!(turned == proof || !holds(leaf, n, size, &turned));
    }
}

fn refuses_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) {
    let mut bent = *old.1;
    bent[5] ^= 1;
    assert!(!tree::is_consistent((old.0, &bent), new, proof));
    let mut bent = *new.1;
    bent[5] ^= 1;
    assert!(!tree::is_consistent(old, (new.0, &bent), proof));
    assert!(old.0 == new.0 || !tree::is_consistent(new, old, proof));
    let mut longer = proof.to_vec();
    longer.push([7; 32]);
    assert!(!tree::is_consistent(old, new, &longer));
    if let Some((_, shorter)) = proof.split_last() {
        assert!(!tree::is_consistent(old, new, shorter));
    }
}

#[test]
fn a_frontier_is_rebuilt_from_stored_hashes() {
    let (_, ours) = both();
    let mut frontier = Frontier::new();
    for size in 0..MOST {
        assert_eq!(tree::frontier(&ours, size).unwrap(), frontier, "{size}");
        frontier.push(tree::leaf(&entry(size)), |_| {});
    }
}

#[test]
fn nothing_is_consistent_with_an_empty_tree_but_by_an_empty_proof() {
    let root = tree::leaf(b"x");
    assert!(tree::is_consistent((0, &tree::empty()), (1, &root), &[]));
    assert!(!tree::is_consistent((0, &root), (1, &root), &[]));
    assert!(!tree::is_consistent((0, &tree::empty()), (1, &root), &[root]));
    assert_eq!(tree::root_of_inclusion(&root, 0, 0, &[]), None);
    assert_eq!(tree::root_of_inclusion(&root, 0, 1, &[]), Some(root));
}
