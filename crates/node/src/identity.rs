//! Whose a data directory is. A damaged digit makes another key of a key file, and nothing in it tells; so the id that
//! the node first started with stands in the directory.

use crate::rules::{RulesError, write_file};
use lonja_primitives::NodeId;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Name of the file in the data directory: the node id in hex.
pub const FILE: &str = "node.id";

/// Why a key does not go with a data directory.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The key is another one.
    #[error(
        "the node key is that of node {key}, but the node of {} was {known}, says {FILE} there. Restore node.key from \
         its backup; if this node is to have another key from now on, remove {FILE}", data_dir.display()
    )]
    Other {
        /// Node id of the key.
        key: NodeId,
        /// What stands in the file.
        known: String,
        /// The data directory.
        data_dir: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {error}. If the node key is known to be right, remove it", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] RulesError),
}

/// Compares the node id of a key with the one that a data directory knows; one without any knows nothing.
///
/// # Errors
/// The key is another one, or the file cannot be read.
pub fn check(data_dir: &Path, key: &NodeId) -> Result<(), IdentityError> {
    let file = data_dir.join(FILE);
    let known = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(IdentityError::Read { file, error }),
    };
    match known == line(key).as_bytes() {
        true => Ok(()),
        false => Err(IdentityError::Other {
            key: *key,
            known: String::from_utf8_lossy(&known).trim_end().to_string(),
            data_dir: data_dir.into(),
        }),
    }
}

/// As [`check`]; a data directory without a node id gets this one.
///
/// # Errors
/// See [`IdentityError`].
pub fn accept(data_dir: &Path, key: &NodeId) -> Result<(), IdentityError> {
    check(data_dir, key)?;
    Ok(write_file(&data_dir.join(FILE), &line(key))?)
}

fn line(key: &NodeId) -> String {
    format!("{key}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::NodeKey;

    #[test]
    fn a_directory_knows_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (own, other) = (NodeKey::generate().node_id(), NodeKey::generate().node_id());
        check(folder, &other).unwrap();
        accept(folder, &own).unwrap();
        accept(folder, &own).unwrap();
        let said = accept(folder, &other).unwrap_err().to_string();
        assert!(said.contains(&own.to_string()) && said.contains(&other.to_string()), "{said}");
        assert!(said.contains("node.key") && said.contains("remove node.id"), "{said}");
    }

    #[test]
    fn every_flip_in_the_file_is_noticed_and_the_file_named() {
        let folder = tempfile::tempdir().unwrap();
        let own = NodeKey::generate().node_id();
        accept(folder.path(), &own).unwrap();
        let file = folder.path().join(FILE);
        let whole = std::fs::read(&file).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x81;
            std::fs::write(&file, bytes).unwrap();
            let said = check(folder.path(), &own).unwrap_err().to_string();
            assert!(said.contains(FILE), "{said}");
        }
    }
}
