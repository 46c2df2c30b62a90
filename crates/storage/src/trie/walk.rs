//! Comparing a trie with the leaves below it, node by node.

use super::branch::{Branch, leaf_reference};
use super::store::Trie;
use crate::StoreError;
use alloy_primitives::B256;
use alloy_trie::Nibbles;
use std::cmp::Ordering;
use std::sync::Arc;

/// A walk over the leaves of a trie in order, from one key on and up to another.
pub struct TrieWalk<'a> {
    trie: Trie<'a>,
    from: B256,
    from_path: Nibbles,
    until: Option<B256>,
    /// Leaves after which it stops.
    rows: u64,
    walked: Walked,
}

/// What a walk saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Leaves.
    pub leaves: u64,
    /// Where the next walk goes on; `None` at the end.
    pub next: Option<B256>,
}

impl<'a> TrieWalk<'a> {
    /// Over the keys from `from` on and below `until`, about `rows` of them.
    pub fn new(trie: Trie<'a>, from: B256, until: Option<B256>, rows: u64) -> Self {
        let from_path = Nibbles::unpack_array(&from.0);
        Self { trie, from, from_path, until, rows, walked: Walked::default() }
    }

    /// Compares how each branch refers to its children with what is there. A leaf is there once where its branch says
    /// so; that none is there too much shows in their number.
    pub fn check(mut self) -> Result<Walked, StoreError> {
        let top = Nibbles::new();
        match self.trie.branch(&top)? {
            Some(branch) => self.check_branch(&top, &branch)?,
            None => {
                let leaf = self.trie.leaf_under(&top, &[])?;
                leaf.into_iter().for_each(|(key, _)| self.count(&key));
            }
        }
        Ok(self.walked)
    }

    fn check_branch(&mut self, place: &Nibbles, branch: &Arc<Branch>) -> Result<(), StoreError> {
        let here = place.join(&branch.extension);
        for nibble in branch.children.iter() {
            let mut path = here;
            path.push(nibble);
            let first = B256::right_padding_from(&path.pack());
            if path.cmp(&self.from_path.slice(..path.len())) == Ordering::Less {
                continue;
            }
            if self.walked.next.is_some() || self.until.is_some_and(|until| first >= until) {
                break;
            }
            if self.walked.leaves >= self.rows {
                self.walked.next = Some(first);
                break;
            }
            let reference = if branch.leaves.is_bit_set(nibble) {
                let (key, value) = self.trie.known_leaf(&path)?;
                self.count(&key);
                leaf_reference(&key, path.len(), &value)
            } else {
                let child = self.trie.known_branch(&path)?;
                self.check_branch(&path, &child)?;
                child.node_reference()
            };
            if branch.reference(nibble) != Some(&reference) {
                return Err(self.trie.differs(&path));
            }
        }
        Ok(())
    }

    fn count(&mut self, key: &B256) {
        let is_within = *key >= self.from && self.until.is_none_or(|until| *key < until);
        self.walked.leaves += u64::from(is_within);
    }
}
