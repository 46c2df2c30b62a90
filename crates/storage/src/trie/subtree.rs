//! A part of a trie by itself: all leaves whose keys begin with some nibbles, checked against the root of the whole.
//!
//! The proof of a part is the nodes from the root down to it. Whoever has the leaves builds the part anew, and its
//! reference must be the one that the last of these nodes holds: so nothing in the part is wrong, missing or too
//! much.

use super::branch::{KEY_NIBBLES, root_of};
use super::proof::prove;
use super::store::{NodeChange, Trie};
use super::update::{Subtree, assemble, build_subtree, place};
use crate::StoreError;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::nodes::{RlpNode, TrieNode};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use rayon::prelude::*;
use std::borrow::Cow;

/// Leaves, sorted by key.
pub type Leaves<'a> = [(B256, Cow<'a, [u8]>)];

/// Parts held at once, of the 256 by the first byte of the key, while a trie is built from more leaves than memory
/// should hold.
const PARTS_AT_ONCE: usize = 8;

/// What a proof says of a part.
enum Found {
    /// The part is empty.
    Nothing,
    /// The whole trie.
    Root,
    /// The node this many nibbles down, which the node above refers to so.
    Node(usize, RlpNode),
}

/// The nodes that prove the part below `prefix`, from the root on; none for the whole trie.
pub fn prove_part(trie: &Trie<'_>, prefix: &Nibbles) -> Result<Vec<Bytes>, StoreError> {
    let key = B256::right_padding_from(&prefix.pack());
    let (root, mut nodes) = prove(trie, &[], &key)?;
    let (_, used) = follow(&root, &nodes, prefix)
        .ok_or_else(|| StoreError::damaged("the nodes above a part of a trie do not fit together"))?;
    nodes.truncate(used);
    Ok(nodes)
}

/// Whether these are exactly the leaves below `prefix` of the trie with this root. The reason is for the peer that
/// says so.
pub fn check_part(
    root: &B256,
    prefix: &Nibbles,
    proof: &[Bytes],
    leaves: &Leaves<'_>,
) -> Result<(), &'static str> {
    if prefix.len() >= KEY_NIBBLES {
        return Err("the part is no part");
    }
    let ascend = leaves.windows(2).all(|pair| matches!(pair, [left, right] if left.0 < right.0));
    if !ascend || !leaves.iter().all(|(key, _)| Nibbles::unpack_array(&key.0).starts_with(prefix)) {
        return Err("keys are out of order, or not of this part");
    }
    let (found, used) = follow(root, proof, prefix).ok_or("the proof does not lead from the root")?;
    if used != proof.len() {
        return Err("the proof has nodes that nothing asks for");
    }
    let fits = match &found {
        Found::Nothing => leaves.is_empty(),
        Found::Root => root_of_leaves(leaves) == *root,
        Found::Node(depth, reference) => {
            let top = prefix.slice(..*depth);
            let mut branches = Vec::new();
            let built = build_subtree(&top, leaves, &mut branches);
            place(&top, &built, None, &mut branches).as_ref() == Some(reference)
        }
    };
    if fits { Ok(()) } else { Err("the leaves are not those that the proof promises") }
}

fn root_of_leaves(leaves: &Leaves<'_>) -> B256 {
    super::build(leaves).0
}

/// Walks down the nodes towards `prefix`, each of which must be the one that is referred to; and how many it took.
fn follow(root: &B256, nodes: &[Bytes], prefix: &Nibbles) -> Option<(Found, usize)> {
    if *root == EMPTY_ROOT_HASH {
        return Some((Found::Nothing, 0));
    }
    let (mut found, mut depth, mut used) = (Found::Root, 0usize, 0usize);
    while depth < prefix.len() {
        let node = match &found {
            Found::Node(_, reference) if reference.as_hash().is_none() => reference.as_slice(),
            above => {
                let node = nodes.get(used)?;
                used += 1;
                let is_it = match above {
                    Found::Node(_, reference) => RlpNode::from_rlp(node) == *reference,
                    _ => keccak256(node) == *root,
                };
                is_it.then_some(&node[..])?
            }
        };
        let rest = prefix.slice(depth..);
        let (step, below) = match TrieNode::decode(&mut &*node).ok()? {
            TrieNode::EmptyRoot => return None,
            TrieNode::Branch(branch) => {
                let nibble = rest.get(0)?;
                if !branch.state_mask.is_bit_set(nibble) {
                    return Some((Found::Nothing, used));
                }
                let earlier = branch.state_mask.get() & ((1u16 << nibble) - 1);
                (1, branch.stack.get(earlier.count_ones() as usize)?.clone())
            }
            TrieNode::Extension(extension) if rest.starts_with(&extension.key) => {
                (extension.key.len(), extension.child)
            }
            // What it leads to lies wholly in the part, and so does it.
            TrieNode::Extension(extension) if extension.key.starts_with(&rest) => break,
            TrieNode::Leaf(leaf) if leaf.key.starts_with(&rest) => break,
            TrieNode::Extension(_) | TrieNode::Leaf(_) => return Some((Found::Nothing, used)),
        };
        depth = depth.checked_add(step).filter(|_| step > 0)?;
        found = Found::Node(depth, below);
    }
    Some((found, used))
}

/// Builds a trie anew from the leaves that stand in the flat table, a portion at a time, and answers its root. The
/// branches go to `write`; nothing that is stored is looked at.
pub fn rebuild(
    trie: &Trie<'_>,
    write: &mut dyn FnMut(Vec<NodeChange>) -> Result<(), StoreError>,
) -> Result<B256, StoreError> {
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let mut parts = Vec::with_capacity(bytes.len());
    for portion in bytes.chunks(PARTS_AT_ONCE) {
        let built: Result<Vec<_>, StoreError> = portion
            .par_iter()
            .map(|byte| {
                let top = Nibbles::unpack([*byte]);
                let leaves = trie.leaves(&top)?;
                let mut branches = Vec::new();
                Ok((build_subtree(&top, &leaves, &mut branches).into_owned(), branches))
            })
            .collect();
        for (part, branches) in built? {
            parts.push(part);
            write(branches)?;
        }
    }
    let mut branches = Vec::new();
    let mut nibbles = Vec::with_capacity(16);
    for nibble in 0u8..16 {
        let below: Vec<(u8, Subtree<'static>)> = (0u8..).zip(parts.drain(..16)).collect();
        let path = Nibbles::from_nibbles([nibble]);
        nibbles.push((nibble, assemble(&path, below, &mut branches)));
    }
    let whole = assemble(&Nibbles::new(), nibbles, &mut branches);
    let top = place(&Nibbles::new(), &whole, None, &mut branches);
    let root = top.map_or(EMPTY_ROOT_HASH, |top| root_of(&top));
    write(branches)?;
    Ok(root)
}
