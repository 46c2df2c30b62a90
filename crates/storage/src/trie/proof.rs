//! The nodes from the root to a key (EIP-1186).

use super::branch::{leaf_node, root_of};
use super::store::Trie;
use super::update::Update;
use crate::StoreError;
use alloy_primitives::{B256, Bytes};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

/// The nodes that prove what the trie holds under `key`, a value or nothing, from the root on; and the root
/// they prove it against. Nodes that stand inside their parent are not listed again. Empty for an empty trie.
///
/// `updates` are those applied to the trie that the flat state below it does not show, sorted by key.
pub fn prove(trie: &Trie<'_>, updates: &[Update<'_>], key: &B256) -> Result<(B256, Vec<Bytes>), StoreError> {
    let key = Nibbles::unpack_array(&key.0);
    let mut path = Nibbles::new();
    let mut nodes: Vec<Vec<u8>> = Vec::new();
    let mut next = trie.branch(&path)?;
    if next.is_none() {
        nodes.extend(leaf_at(trie, updates, &path)?.map(|(key, value)| leaf_node(&key, 0, &value)));
    }
    while let Some(branch) = next.take() {
        nodes.extend(branch.nodes());
        let rest = key.slice(path.len()..);
        if !rest.starts_with(&branch.extension) {
            // The extension leads elsewhere and proves it alone.
            nodes.pop();
            break;
        }
        path.extend(&branch.extension);
        let Some(nibble) = key.get(path.len()) else { break };
        path.push(nibble);
        if branch.leaves.is_bit_set(nibble) {
            let leaf = leaf_at(trie, updates, &path)?;
            let (key, value) = leaf.ok_or_else(|| trie.missing("leaf", &path))?;
            nodes.push(leaf_node(&key, path.len(), &value));
        } else if branch.children.is_bit_set(nibble) {
            next = Some(trie.known_branch(&path)?);
        }
    }
    let root = nodes.first().map_or(EMPTY_ROOT_HASH, |node| root_of(&RlpNode::from_rlp(node)));
    let is_listed = |(index, node): &(usize, Vec<u8>)| *index == 0 || node.len() >= 32;
    Ok((root, nodes.into_iter().enumerate().filter(is_listed).map(|(_, node)| node.into()).collect()))
}

/// The only leaf below a path.
fn leaf_at(
    trie: &Trie<'_>,
    updates: &[Update<'_>],
    path: &Nibbles,
) -> Result<Option<(B256, Vec<u8>)>, StoreError> {
    let from = B256::right_padding_from(&path.pack());
    let first = updates.partition_point(|update| update.key < from);
    let below = updates.get(first..).unwrap_or_default().iter();
    let mut below = below.take_while(|update| Nibbles::unpack_array(&update.key.0).starts_with(path));
    match below.find_map(|update| Some((update.key, update.value?))) {
        Some((key, value)) => Ok(Some((key, value.to_vec()))),
        None => trie.leaf_under(path, updates),
    }
}
