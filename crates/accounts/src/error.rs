//! Why an account cannot be used.

use alloy_primitives::Address;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why an account cannot be used, made or read. The short texts are geth's, since tools look for those words; none
/// contains a password or a key.
#[derive(Debug, Error)]
pub enum AccountError {
    /// This node has no key of that address.
    #[error("unknown account")]
    Unknown,
    /// The key is in its file, and nobody unlocked it.
    #[error("authentication needed: password or unlock")]
    Locked,
    /// The password does not fit, or the file is damaged: its sum does not tell which.
    #[error("could not decrypt key with given password")]
    WrongPassword,
    /// There is a file with that key already.
    #[error("account already exists")]
    Exists,
    /// Neither an address nor a number of a key file.
    #[error("{0}")]
    NoSuchAccount(String),
    /// Several files say that they hold the key of one address; which one is meant, the operator must decide.
    #[error("several files hold the key of {0}: {list}; keep one of them", list = list(.1))]
    Ambiguous(Address, Vec<PathBuf>),
    /// A file is no key file that can be used, and why.
    #[error("{0}")]
    Malformed(String),
    /// More files than a keystore is read with.
    #[error("{0} has more than {1} files")]
    TooMany(PathBuf, usize),
    /// The system does not let us.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl AccountError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// The same, with the file it is about.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        match self {
            Self::Malformed(reason) => Self::Malformed(format!("{}: {reason}", path.display())),
            other => other,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}
