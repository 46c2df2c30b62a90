//! Comparing a trie with the leaves below it, node by node.

use super::branch::{Branch, leaf_reference};
use super::store::Trie;
use crate::StoreError;
use alloy_trie::Nibbles;
use std::sync::Arc;

/// A walk over all of a trie that lies within a path.
pub struct TrieWalk<'a> {
    trie: Trie<'a>,
    within: Nibbles,
}

impl<'a> TrieWalk<'a> {
    /// Over what lies below `within`.
    pub fn new(trie: Trie<'a>, within: Nibbles) -> Self {
        Self { trie, within }
    }

    /// Compares how each branch refers to its children with what is there, and answers the number of leaves.
    /// A leaf is there once where its branch says so; that none is there too much shows in their number.
    pub fn check(&self) -> Result<u64, StoreError> {
        let top = Nibbles::new();
        match self.trie.branch(&top)? {
            Some(branch) => self.check_branch(&top, &branch),
            None => Ok(self.trie.leaf_under(&self.within, &[])?.map_or(0, |_| 1)),
        }
    }

    fn check_branch(&self, place: &Nibbles, branch: &Arc<Branch>) -> Result<u64, StoreError> {
        let here = place.join(&branch.extension);
        let mut leaves = 0;
        for nibble in branch.children.iter() {
            let mut path = here;
            path.push(nibble);
            if !path.starts_with(&self.within) && !self.within.starts_with(&path) {
                continue;
            }
            let (reference, below) = if branch.leaves.is_bit_set(nibble) {
                let (key, value) = self.trie.known_leaf(&path)?;
                let is_within = Nibbles::unpack_array(&key.0).starts_with(&self.within);
                (leaf_reference(&key, path.len(), &value), u64::from(is_within))
            } else {
                let child = self.trie.known_branch(&path)?;
                (child.node_reference(), self.check_branch(&path, &child)?)
            };
            if branch.reference(nibble) != Some(&reference) {
                return Err(self.trie.differs(&path));
            }
            leaves += below;
        }
        Ok(leaves)
    }
}
