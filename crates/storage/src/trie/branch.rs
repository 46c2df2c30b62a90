//! One branch with the extension above it.

use crate::StoreError;
use alloy_primitives::{B256, keccak256};
use alloy_rlp::Header;
use alloy_trie::nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode};
use alloy_trie::{Nibbles, TrieMask};

/// Nibbles of a key.
pub(super) const KEY_NIBBLES: usize = 64;

/// A branch with at least two children, and the extension that leads to it.
///
/// Stored as: number of nibbles of the extension (1) ++ extension packed ++ mask of children (2) ++ mask of
/// those that are leaves (2) ++ the children's references in order, as they stand in the branch node: a hash
/// as 33 bytes of RLP, or a node shorter than 32 bytes as itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Nibbles between the place this is stored under and the branch itself; empty without an extension.
    pub(super) extension: Nibbles,
    /// Which children there are.
    pub(super) children: TrieMask,
    /// Which of them are leaves.
    pub(super) leaves: TrieMask,
    /// References of the children, as many as `children` has bits.
    pub(super) references: Vec<RlpNode>,
}

impl Branch {
    /// The reference of a child.
    pub(super) fn reference(&self, nibble: u8) -> Option<&RlpNode> {
        if !self.children.is_bit_set(nibble) {
            return None;
        }
        let below = self.children.get() & ((1u16 << nibble) - 1);
        self.references.get(below.count_ones() as usize)
    }

    /// This branch below a longer extension.
    pub(super) fn lifted(&self, above: &Nibbles, nibble: u8) -> Self {
        let mut extension = *above;
        extension.push(nibble);
        extension.extend(&self.extension);
        Self { extension, ..self.clone() }
    }

    /// This branch without the first `count` nibbles of its extension.
    pub(super) fn lowered(&self, count: usize) -> Self {
        Self { extension: self.extension.slice(count..), ..self.clone() }
    }

    /// The nodes it stands for, from the top: the extension where there is one, then the branch.
    pub(super) fn nodes(&self) -> Vec<Vec<u8>> {
        let mut branch = Vec::with_capacity(self.references.len() * 33 + 20);
        let reference = BranchNodeRef::new(&self.references, self.children).rlp(&mut branch);
        if self.extension.is_empty() {
            return vec![branch];
        }
        let mut extension = Vec::with_capacity(72);
        ExtensionNodeRef::new(&self.extension, &reference).rlp(&mut extension);
        vec![extension, branch]
    }

    /// How a parent refers to it.
    pub(super) fn node_reference(&self) -> RlpNode {
        let mut buffer = Vec::with_capacity(self.references.len() * 33 + 20);
        let reference = BranchNodeRef::new(&self.references, self.children).rlp(&mut buffer);
        if self.extension.is_empty() {
            return reference;
        }
        buffer.clear();
        ExtensionNodeRef::new(&self.extension, &reference).rlp(&mut buffer)
    }

    /// The stored form.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(5 + self.extension.byte_len() + self.references.len() * 33);
        out.push(self.extension.len() as u8);
        out.extend_from_slice(&self.extension.pack());
        out.extend_from_slice(&self.children.get().to_be_bytes());
        out.extend_from_slice(&self.leaves.get().to_be_bytes());
        for reference in &self.references {
            out.extend_from_slice(reference);
        }
        out
    }

    /// Reads the stored form.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(bytes).ok_or_else(|| StoreError::damaged("a stored trie node does not decode"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first()?;
        let length = usize::from(*length);
        let (packed, rest) = rest.split_at_checked(length.div_ceil(2))?;
        let (children, rest) = rest.split_first_chunk::<2>()?;
        let (leaves, mut rest) = rest.split_first_chunk::<2>()?;
        if length >= KEY_NIBBLES {
            return None;
        }
        let extension = Nibbles::unpack(packed).slice(..length);
        let children = TrieMask::new(u16::from_be_bytes(*children));
        let leaves = TrieMask::new(u16::from_be_bytes(*leaves));
        let count = usize::from(children.count_bits());
        let mut references = Vec::with_capacity(count);
        for _ in 0..count {
            references.push(read_reference(&mut rest)?);
        }
        let sound = count >= 2 && leaves.is_subset_of(children) && rest.is_empty();
        sound.then_some(Self { extension, children, leaves, references })
    }

    /// Bytes it takes in memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.references.len() * size_of::<RlpNode>()
    }
}

fn read_reference(rest: &mut &[u8]) -> Option<RlpNode> {
    let mut after = *rest;
    let head = Header::decode(&mut after).ok()?;
    let length = (rest.len() - after.len()).checked_add(head.payload_length)?;
    let (reference, after) = rest.split_at_checked(length)?;
    *rest = after;
    RlpNode::from_raw(reference)
}

/// The node of a leaf whose place is `depth` nibbles down.
pub(super) fn leaf_node(key: &B256, depth: usize, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 40);
    LeafNodeRef::new(&Nibbles::unpack_array(&key.0).slice(depth..), value).rlp(&mut out);
    out
}

/// How a parent refers to such a leaf.
pub(super) fn leaf_reference(key: &B256, depth: usize, value: &[u8]) -> RlpNode {
    RlpNode::from_rlp(&leaf_node(key, depth, value))
}

/// The root hash of a trie whose topmost node is referred to so: the root is hashed whatever its length.
pub(super) fn root_of(reference: &RlpNode) -> B256 {
    reference.as_hash().unwrap_or_else(|| keccak256(reference.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(extension: &[u8], children: u16, leaves: u16) -> Branch {
        let children = TrieMask::new(children);
        let references = children
            .iter()
            .map(|nibble| match nibble % 2 {
                0 => RlpNode::word_rlp(&B256::repeat_byte(nibble)),
                _ => RlpNode::from_rlp(&leaf_node(&B256::ZERO, 62, &[nibble])),
            })
            .collect();
        let extension = Nibbles::from_nibbles(extension);
        Branch { extension, children, leaves: TrieMask::new(leaves), references }
    }

    #[test]
    fn round_trip_and_refusals() {
        for branch in [sample(&[], 0xffff, 0), sample(&[1, 2, 3], 0b110, 0b010), sample(&[7; 63], 3, 3)] {
            let bytes = branch.encode();
            assert_eq!(Branch::decode(&bytes), Ok(branch));
            for cut in 0..bytes.len() {
                assert!(Branch::decode(&bytes[..cut]).is_err());
            }
            assert!(Branch::decode(&[&bytes[..], &[0x80]].concat()).is_err());
        }
        assert!(Branch::decode(&sample(&[], 0b1, 0).encode()).is_err(), "one child");
        assert!(Branch::decode(&sample(&[], 0b11, 0b100).encode()).is_err(), "a leaf that is no child");
    }

    #[test]
    fn references_by_nibble() {
        let branch = sample(&[], 0b1000_0000_0001_0100, 0);
        assert_eq!(branch.reference(2), Some(&RlpNode::word_rlp(&B256::repeat_byte(2))));
        assert_eq!(branch.reference(4), Some(&RlpNode::word_rlp(&B256::repeat_byte(4))));
        assert_eq!(branch.reference(15), branch.references.last());
        assert_eq!(branch.reference(3), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Branch::decode(&bytes);
        }
    }
}
