//! Key files on disk.

use super::{KeyFileError, Password, PrivateKeyFile};
use crate::PublicKey;
use crate::crypto::KeyPair;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// How much of a key file is read. The largest has a few hundred bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Only the owner reads a private key.
const PRIVATE_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

fn io(path: &Path, error: &std::io::Error) -> KeyFileError {
    KeyFileError::Io { path: path.into(), reason: error.to_string() }
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let file = File::open(path).map_err(|error| io(path, &error))?;
    let limit = MAX_FILE_BYTES;
    // Room for all at once: a string that grows leaves copies behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(limit as usize + 1));
    file.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(|error| io(path, &error))?;
    if text.len() as u64 > limit {
        return Err(KeyFileError::TooLong { path: path.into(), limit });
    }
    Ok(text)
}

/// Reads a public key file: one line of base64.
pub fn read_public_key(path: &Path) -> Result<PublicKey, KeyFileError> {
    read(path)?.trim().parse().map_err(|_| KeyFileError::NotAPublicKey)
}

/// Reads and opens a private key file. Where a public key file is given, it has to fit: a manager under another's name would
/// open nothing that is sent to it.
pub fn read_key_pair(
    private: &Path,
    public: Option<&Path>,
    password: Option<&Password>,
) -> Result<KeyPair, KeyFileError> {
    let given = public.map(read_public_key).transpose()?;
    let pair = PrivateKeyFile::parse(&read(private)?)?.open(password)?;
    match given {
        Some(given) if given != pair.public() => {
            Err(KeyFileError::Mismatch { derived: pair.public(), given })
        }
        _ => Ok(pair),
    }
}

/// Writes both files of a key pair. Neither may exist, and where one cannot be written neither is left.
pub fn write_key_pair(
    private: &Path,
    key: &PrivateKeyFile,
    public: &Path,
    public_key: &PublicKey,
) -> Result<(), KeyFileError> {
    write_new(private, &key.to_json(), PRIVATE_MODE)?;
    let written = write_new(public, &public_key.to_string(), PUBLIC_MODE);
    if written.is_err() {
        // It was made a moment ago by us: nobody else's key is lost.
        let _ = std::fs::remove_file(private);
    }
    written
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), KeyFileError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => KeyFileError::Exists(path.into()),
        _ => io(path, &error),
    })?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n"));
    written.and_then(|()| file.sync_all()).map_err(|error| {
        let _ = std::fs::remove_file(path);
        io(path, &error)
    })
}
