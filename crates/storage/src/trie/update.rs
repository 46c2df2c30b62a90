//! One pass over a trie and a sorted list of changes.
//!
//! | what stands at a place | what the changes below it do | what stands there after |
//! |---|---|---|
//! | nothing | insert one key, several | a leaf, a branch |
//! | a leaf | replace or delete it, insert beside it | a leaf or nothing, a branch above both |
//! | a branch | follow its extension | the branch with new children; with one child left it merges with that child |
//! | a branch | leave its extension half-way | a new branch there, the old one below it with what is left of its extension |

use super::branch::{Branch, leaf_reference, root_of};
use super::store::{NodeChange, Trie};
use crate::StoreError;
use alloy_primitives::B256;
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieMask};
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

/// Changes below which one thread is faster than sharing the work.
const PARALLEL_CHANGES: usize = 96;

/// A change of one key.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    /// The hashed key.
    pub key: B256,
    /// The new value as it stands in the leaf; `None` deletes.
    pub value: Option<&'a [u8]>,
    /// Whether the trie is known to hold the key. It spares looking up which leaf stands in the way.
    pub existed: bool,
}

/// The root after `updates`, which are sorted by key without doubles, and the stored branches that differ,
/// each path once. Of the flat state only leaves that are not among the updates are read, so it may stand
/// before the updates or after them.
pub fn update(trie: &Trie<'_>, updates: &[Update<'_>]) -> Result<(B256, Vec<NodeChange>), StoreError> {
    let top = Nibbles::new();
    let mut changes = Vec::new();
    let old = trie.branch(&top)?;
    let new = match &old {
        Some(branch) => update_branch(trie, &top, branch, updates, &mut changes)?,
        None => update_leaf(trie, &top, true, updates, &mut changes)?,
    };
    let reference = place(&top, &new, old.as_ref(), &mut changes);
    Ok((reference.map_or(EMPTY_ROOT_HASH, |reference| root_of(&reference)), changes))
}

/// The root and the branches of a trie that holds just these leaves, sorted by key: whatever is stored is not
/// looked at.
pub fn build<'a>(leaves: &[(B256, Cow<'a, [u8]>)]) -> (B256, Vec<NodeChange>) {
    let top = Nibbles::new();
    let mut changes = Vec::new();
    let new = build_subtree(&top, leaves, &mut changes);
    let reference = place(&top, &new, None, &mut changes);
    (reference.map_or(EMPTY_ROOT_HASH, |reference| root_of(&reference)), changes)
}

/// What stands at a place, with what a parent needs to move it up.
pub(super) enum Subtree<'a> {
    Empty,
    Leaf(B256, Cow<'a, [u8]>),
    Branch(Arc<Branch>),
}

impl Subtree<'_> {
    /// The same without a borrowed value.
    pub(super) fn into_owned(self) -> Subtree<'static> {
        match self {
            Self::Empty => Subtree::Empty,
            Self::Leaf(key, value) => Subtree::Leaf(key, Cow::Owned(value.into_owned())),
            Self::Branch(branch) => Subtree::Branch(branch),
        }
    }
}

/// A child of a branch while it is worked on.
enum Slot<'a> {
    /// As the stored branch has it.
    Kept,
    /// Worked on; `old` is the branch that is stored there now.
    New { subtree: Subtree<'a>, old: Option<Arc<Branch>> },
}

fn update_branch<'a>(
    trie: &Trie<'_>,
    path: &Nibbles,
    branch: &Arc<Branch>,
    updates: &[Update<'a>],
    changes: &mut Vec<NodeChange>,
) -> Result<Subtree<'a>, StoreError> {
    if updates.is_empty() {
        return Ok(Subtree::Branch(branch.clone()));
    }
    let full = branch.extension.len();
    let followed = |update: &Update<'_>| shared_nibbles(&update.key, path.len(), &branch.extension);
    // In a sorted list the key that leaves the extension first stands at one of the ends.
    let shared = updates.first().into_iter().chain(updates.last()).map(followed).min().unwrap_or(full);
    if shared == full {
        return update_children(trie, path, branch, updates, changes);
    }
    let pointless = |update: &&Update<'a>| update.value.is_none() && followed(update) < full;
    if updates.iter().any(|update| pointless(&update)) {
        let rest: Vec<_> = updates.iter().filter(|update| !pointless(update)).cloned().collect();
        return update_branch(trie, path, branch, &rest, changes);
    }
    split_extension(trie, path, branch, shared, updates, changes)
}

/// All updates go through the branch itself.
fn update_children<'a>(
    trie: &Trie<'_>,
    path: &Nibbles,
    branch: &Arc<Branch>,
    updates: &[Update<'a>],
    changes: &mut Vec<NodeChange>,
) -> Result<Subtree<'a>, StoreError> {
    let here = path.join(&branch.extension);
    let groups = group_by_nibble(updates, |update| nibble_at(&update.key, here.len()));
    let work = |(nibble, group): &(u8, &[Update<'a>])| {
        let mut below = Vec::new();
        let slot = update_child(trie, &child_path(&here, *nibble), branch, *nibble, group, &mut below)?;
        Ok((*nibble, slot, below))
    };
    let worked: Result<Vec<_>, StoreError> = if trie.in_parallel && updates.len() >= PARALLEL_CHANGES {
        groups.par_iter().map(work).collect()
    } else {
        groups.iter().map(work).collect()
    };
    let mut slots: [Option<Slot<'a>>; 16] = Default::default();
    for nibble in branch.children.iter() {
        slots[usize::from(nibble)] = Some(Slot::Kept);
    }
    for (nibble, slot, below) in worked? {
        slots[usize::from(nibble)] = Some(slot);
        changes.extend(below);
    }
    join(trie, &here, branch.extension, Some(branch), slots, changes)
}

fn update_child<'a>(
    trie: &Trie<'_>,
    path: &Nibbles,
    parent: &Branch,
    nibble: u8,
    updates: &[Update<'a>],
    changes: &mut Vec<NodeChange>,
) -> Result<Slot<'a>, StoreError> {
    let is_child = parent.children.is_bit_set(nibble);
    if is_child && !parent.leaves.is_bit_set(nibble) {
        let old = trie.known_branch(path)?;
        let subtree = update_branch(trie, path, &old, updates, changes)?;
        return Ok(Slot::New { subtree, old: Some(old) });
    }
    let subtree = update_leaf(trie, path, is_child, updates, changes)?;
    Ok(Slot::New { subtree, old: None })
}

/// Where nothing stands, or one leaf.
fn update_leaf<'a>(
    trie: &Trie<'_>,
    path: &Nibbles,
    may_hold_leaf: bool,
    updates: &[Update<'a>],
    changes: &mut Vec<NodeChange>,
) -> Result<Subtree<'a>, StoreError> {
    let mut leaves: Vec<(B256, Cow<'a, [u8]>)> =
        updates.iter().filter_map(|update| Some((update.key, Cow::Borrowed(update.value?)))).collect();
    if may_hold_leaf
        && !updates.iter().any(|update| update.existed)
        && let Some((key, value)) = trie.leaf_under(path, updates)?
    {
        let place = leaves.partition_point(|(other, _)| *other < key);
        leaves.insert(place, (key, Cow::Owned(value)));
    }
    Ok(build_subtree(path, &leaves, changes))
}

/// Some updates leave the extension after `shared` nibbles, and all that do are insertions.
fn split_extension<'a>(
    trie: &Trie<'_>,
    path: &Nibbles,
    branch: &Arc<Branch>,
    shared: usize,
    updates: &[Update<'a>],
    changes: &mut Vec<NodeChange>,
) -> Result<Subtree<'a>, StoreError> {
    let extension = branch.extension.slice(..shared);
    let here = path.join(&extension);
    let old_nibble = branch.extension.get_unchecked(shared);
    let lowered = Arc::new(branch.lowered(shared + 1));
    let mut slots: [Option<Slot<'a>>; 16] = Default::default();
    slots[usize::from(old_nibble)] = Some(Slot::New { subtree: Subtree::Branch(lowered.clone()), old: None });
    for (nibble, group) in group_by_nibble(updates, |update| nibble_at(&update.key, here.len())) {
        let below = child_path(&here, nibble);
        let subtree = match nibble == old_nibble {
            true => update_branch(trie, &below, &lowered, group, changes)?,
            false => update_leaf(trie, &below, false, group, changes)?,
        };
        slots[usize::from(nibble)] = Some(Slot::New { subtree, old: None });
    }
    join(trie, &here, extension, None, slots, changes)
}

/// What stands at a place whose leaves are all there, none of it stored.
pub(super) fn build_subtree<'a>(
    path: &Nibbles,
    leaves: &[(B256, Cow<'a, [u8]>)],
    changes: &mut Vec<NodeChange>,
) -> Subtree<'a> {
    let (first, last) = match leaves {
        [] => return Subtree::Empty,
        [(key, value)] => return Subtree::Leaf(*key, value.clone()),
        [(first, _), .., (last, _)] => (Nibbles::unpack_array(&first.0), last),
    };
    let depth = path.len();
    let shared = shared_nibbles(last, depth, &first.slice(depth..));
    let here = first.slice(..depth + shared);
    let mut node = NodeBuilder::new(first.slice(depth..depth + shared));
    for (nibble, group) in group_by_nibble(leaves, |(key, _)| nibble_at(key, here.len())) {
        let below = child_path(&here, nibble);
        let subtree = build_subtree(&below, group, changes);
        if let Some(reference) = place(&below, &subtree, None, changes) {
            node.push(nibble, reference, matches!(subtree, Subtree::Leaf(..)));
        }
    }
    Subtree::Branch(node.finish())
}

/// What stands at a place, made of what stands below it at each nibble, none of it stored.
pub(super) fn assemble<'a>(
    path: &Nibbles,
    mut children: Vec<(u8, Subtree<'a>)>,
    changes: &mut Vec<NodeChange>,
) -> Subtree<'a> {
    children.retain(|(_, child)| !matches!(child, Subtree::Empty));
    if children.len() < 2 {
        return match children.pop() {
            None => Subtree::Empty,
            Some((nibble, Subtree::Branch(branch))) => {
                Subtree::Branch(Arc::new(branch.lifted(&Nibbles::new(), nibble)))
            }
            Some((_, leaf)) => leaf,
        };
    }
    let mut node = NodeBuilder::new(Nibbles::new());
    for (nibble, child) in &children {
        if let Some(reference) = place(&child_path(path, *nibble), child, None, changes) {
            node.push(*nibble, reference, matches!(child, Subtree::Leaf(..)));
        }
    }
    Subtree::Branch(node.finish())
}

/// Makes a branch of its children; with fewer than two left it becomes what is left.
fn join<'a>(
    trie: &Trie<'_>,
    here: &Nibbles,
    extension: Nibbles,
    stored: Option<&Arc<Branch>>,
    slots: [Option<Slot<'a>>; 16],
    changes: &mut Vec<NodeChange>,
) -> Result<Subtree<'a>, StoreError> {
    let stands = |slot: &Slot<'_>| !matches!(slot, Slot::New { subtree: Subtree::Empty, .. });
    if slots.iter().flatten().filter(|slot| stands(slot)).count() < 2 {
        return collapse(trie, here, extension, stored, slots, changes);
    }
    let mut node = NodeBuilder::new(extension);
    for (nibble, slot) in (0u8..).zip(&slots) {
        match slot {
            None => {}
            Some(Slot::Kept) => {
                let (branch, reference) = stored
                    .and_then(|branch| Some((branch, branch.reference(nibble)?)))
                    .ok_or_else(|| StoreError::damaged("a trie node lacks a child"))?;
                node.push(nibble, reference.clone(), branch.leaves.is_bit_set(nibble));
            }
            Some(Slot::New { subtree, old }) => {
                let reference = place(&child_path(here, nibble), subtree, old.as_ref(), changes);
                if let Some(reference) = reference {
                    node.push(nibble, reference, matches!(subtree, Subtree::Leaf(..)));
                }
            }
        }
    }
    let new = node.finish();
    // An unchanged branch is handed back as the one that is stored, so that it is not written again.
    Ok(Subtree::Branch(stored.filter(|stored| ***stored == *new).cloned().unwrap_or(new)))
}

fn collapse<'a>(
    trie: &Trie<'_>,
    here: &Nibbles,
    extension: Nibbles,
    stored: Option<&Arc<Branch>>,
    slots: [Option<Slot<'a>>; 16],
    changes: &mut Vec<NodeChange>,
) -> Result<Subtree<'a>, StoreError> {
    let mut left = Subtree::Empty;
    for (nibble, slot) in (0u8..).zip(slots) {
        let Some(slot) = slot else { continue };
        let below = child_path(here, nibble);
        let is_leaf = stored.is_some_and(|branch| branch.leaves.is_bit_set(nibble));
        let (subtree, was_stored) = match slot {
            Slot::New { subtree, old } => (subtree, old.is_some()),
            Slot::Kept if is_leaf => {
                let (key, value) = trie.known_leaf(&below)?;
                (Subtree::Leaf(key, Cow::Owned(value)), false)
            }
            Slot::Kept => (Subtree::Branch(trie.known_branch(&below)?), true),
        };
        if was_stored {
            changes.push((below, None));
        }
        match subtree {
            Subtree::Empty => {}
            Subtree::Branch(branch) => left = Subtree::Branch(Arc::new(branch.lifted(&extension, nibble))),
            leaf => left = leaf,
        }
    }
    Ok(left)
}

/// Settles what stands at a place: notes the change of the stored branch, and answers how a parent refers to
/// it.
pub(super) fn place(
    path: &Nibbles,
    subtree: &Subtree<'_>,
    old: Option<&Arc<Branch>>,
    changes: &mut Vec<NodeChange>,
) -> Option<RlpNode> {
    match subtree {
        Subtree::Branch(branch) => {
            if old.is_none_or(|old| !Arc::ptr_eq(old, branch)) {
                changes.push((*path, Some(branch.clone())));
            }
            return Some(branch.node_reference());
        }
        _ if old.is_some() => changes.push((*path, None)),
        _ => {}
    }
    match subtree {
        Subtree::Leaf(key, value) => Some(leaf_reference(key, path.len(), value)),
        _ => None,
    }
}

struct NodeBuilder {
    branch: Branch,
}

impl NodeBuilder {
    fn new(extension: Nibbles) -> Self {
        let none = TrieMask::default();
        Self {
            branch: Branch { extension, children: none, leaves: none, references: Vec::with_capacity(16) },
        }
    }

    fn push(&mut self, nibble: u8, reference: RlpNode, is_leaf: bool) {
        self.branch.children.set_bit(nibble);
        if is_leaf {
            self.branch.leaves.set_bit(nibble);
        }
        self.branch.references.push(reference);
    }

    fn finish(mut self) -> Arc<Branch> {
        self.branch.references.shrink_to_fit();
        Arc::new(self.branch)
    }
}

fn child_path(here: &Nibbles, nibble: u8) -> Nibbles {
    let mut path = *here;
    path.push(nibble);
    path
}

fn nibble_at(key: &B256, index: usize) -> u8 {
    let byte = key.get(index / 2).copied().unwrap_or_default();
    if index.is_multiple_of(2) { byte >> 4 } else { byte & 0xf }
}

/// How many nibbles of `path` the key follows from `depth` on.
fn shared_nibbles(key: &B256, depth: usize, path: &Nibbles) -> usize {
    Nibbles::unpack_array(&key.0).slice(depth..).common_prefix_length(path)
}

/// Cuts a sorted list where the nibble changes.
fn group_by_nibble<T>(sorted: &[T], nibble: impl Fn(&T) -> u8) -> Vec<(u8, &[T])> {
    sorted
        .chunk_by(|left, right| nibble(left) == nibble(right))
        .filter_map(|group| Some((nibble(group.first()?), group)))
        .collect()
}
