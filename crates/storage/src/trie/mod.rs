//! The Merkle-Patricia tries of the yellow paper (appendix D), kept up to date a block at a time.
//!
//! Only branches are stored: a leaf's key and value stand in the flat state, and an extension is a field of
//! the branch it leads to. A [`Branch`] is stored under its path from the root, so that a new version
//! replaces the old one and nothing is left behind. A trie with one key has no branch and takes no space.
//!
//! [`update()`] walks the stored trie and a sorted list of changes together, once, touching only the branches
//! above a change; it writes nothing and answers with the root and the branches that differ.

mod branch;
mod catch_up;
mod proof;
mod store;
mod subtree;
mod update;
mod walk;

pub use branch::Branch;
pub use catch_up::catch_up;
pub use proof::prove;
pub use store::{NodeChange, Trie, TrieReader, TrieSnapshot, TrieStore};
pub use subtree::{Leaves, check_part, prove_part, rebuild};
pub use update::{Update, build, update};
pub use walk::{TrieWalk, Walked};

#[cfg(test)]
mod tests;
