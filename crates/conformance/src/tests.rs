//! A selection of the public tests, and that the harness can fail.

mod clique;
mod rlp;
mod selection;
mod transactions;
mod tries;

use std::path::PathBuf;

/// A folder or file of the selection.
pub(crate) fn vectors(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/ethereum")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(vectors(path)).unwrap()
}
