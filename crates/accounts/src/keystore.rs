//! The folder with the key files.

use crate::kdf::Strength;
use crate::key_file::{self, encrypt};
use crate::name::{address_in, file_name};
use crate::{AccountError, Password};
use alloy_primitives::Address;
use lonja_primitives::{NodeKey, Signer};
use parking_lot::Mutex;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Most files in a keystore: each is read when somebody asks which accounts there are. A node with more keys than that is a
/// wallet service, which signs for itself.
const FILES_MAX: usize = 10_000;
/// Longest key file, bytes. Those of other wallets have some fields more than ours, which take 500.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// A folder that was changed so shortly before it was read may be changed again within the same tick of its clock.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// A key file that was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The address of its key, as the file says.
    pub address: Address,
    /// Where it is.
    pub path: PathBuf,
}

/// What stands in a keystore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Key files, by name: the oldest first.
    pub keys: Vec<KeyFile>,
    /// Other files, with what keeps them from being key files.
    pub others: Vec<(PathBuf, String)>,
}

/// A folder with key files. Others may put files there and take them away at any time.
pub(crate) struct Keystore {
    folder: PathBuf,
    strength: Strength,
    seen: Mutex<Option<Seen>>,
}

/// The folder as it was when it was last read.
struct Seen {
    changed: SystemTime,
    listing: Listing,
}

impl Keystore {
    pub(crate) fn new(folder: PathBuf, strength: Strength) -> Self {
        Self { folder, strength, seen: Mutex::new(None) }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// All files. The folder is read again when it changed.
    pub(crate) fn list(&self) -> Result<Listing, AccountError> {
        let mut seen = self.seen.lock();
        let changed = match fs::metadata(&self.folder).and_then(|metadata| metadata.modified()) {
            Ok(changed) => changed,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Listing::default()),
            Err(error) => return Err(AccountError::io(&self.folder)(error)),
        };
        if let Some(seen) = seen.as_ref().filter(|seen| seen.changed == changed) {
            return Ok(seen.listing.clone());
        }
        let listing = read_folder(&self.folder)?;
        let settled = SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED_AFTER);
        *seen = settled.then(|| Seen { changed, listing: listing.clone() });
        Ok(listing)
    }

    /// The one file with the key of this address.
    pub(crate) fn find(&self, address: Address) -> Result<KeyFile, AccountError> {
        let keys = self.list()?.keys.into_iter();
        let mut found: Vec<KeyFile> = keys.filter(|key| key.address == address).collect();
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(AccountError::Unknown),
            (Some(key), true) => Ok(key),
            (Some(last), false) => {
                found.push(last);
                Err(AccountError::Ambiguous(address, found.into_iter().map(|key| key.path).collect()))
            }
        }
    }

    /// Opens the file with the key of this address. The key is of that address, whatever the file says.
    pub(crate) fn open(&self, address: Address, password: &Password) -> Result<NodeKey, AccountError> {
        let path = self.find(address)?.path;
        let text = read_file(&path)?;
        let key = key_file::decrypt(&text, password).map_err(|error| error.in_file(&path))?;
        match key.address() == address {
            true => Ok(key),
            false => Err(AccountError::Malformed(format!(
                "{} is named after {address}, but holds the key of {}",
                path.display(),
                key.address()
            ))),
        }
    }

    /// Writes a key to a file of its own. A second file for one address is refused.
    pub(crate) fn store(&self, key: &NodeKey, password: &Password) -> Result<KeyFile, AccountError> {
        let address = key.address();
        if self.list()?.keys.iter().any(|known| known.address == address) {
            return Err(AccountError::Exists);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let text = encrypt(key, password, self.strength);
        make_folder(&self.folder)?;
        let path = self.folder.join(file_name(now, &address));
        write_file(&self.folder, &path, &text)?;
        *self.seen.lock() = None;
        Ok(KeyFile { address, path })
    }
}

fn read_folder(folder: &Path) -> Result<Listing, AccountError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(AccountError::io(folder))? {
        let entry = entry.map_err(AccountError::io(folder))?;
        if is_hidden(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if paths.len() == FILES_MAX {
            return Err(AccountError::TooMany(folder.into(), FILES_MAX));
        }
        paths.push(entry.path());
    }
    paths.sort_unstable();
    let mut listing = Listing::default();
    for path in paths {
        match read_address(&path) {
            Ok(address) => listing.keys.push(KeyFile { address, path }),
            Err(error) => listing.others.push((path, error.to_string())),
        }
    }
    Ok(listing)
}

/// What editors and we ourselves leave behind while a file is written.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~')
}

/// The address in the file, or else in its name.
fn read_address(path: &Path) -> Result<Address, AccountError> {
    let written = key_file::address(&read_file(path)?)?;
    let named = || address_in(&path.file_name()?.to_string_lossy());
    written.or_else(named).ok_or_else(|| {
        AccountError::Malformed("neither the file nor its name says which address its key has".into())
    })
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, AccountError> {
    // Opening a pipe would wait for a writer.
    let metadata = fs::metadata(path).map_err(AccountError::io(path))?;
    if !metadata.is_file() {
        return Err(AccountError::Malformed("not a file".into()));
    }
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(AccountError::io(path))?;
    match file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(_) if text.len() as u64 > FILE_BYTES_MAX => {
            Err(AccountError::Malformed(format!("longer than {FILE_BYTES_MAX} bytes")))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(AccountError::Malformed("not a key file: no text".into()))
        }
        Err(error) => Err(AccountError::io(path)(error)),
    }
}

/// Makes the folder for its owner alone; those above it as the system makes folders.
fn make_folder(folder: &Path) -> Result<(), AccountError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above).map_err(AccountError::io(above))?;
    }
    DirBuilder::new().mode(0o700).create(folder).map_err(AccountError::io(folder))
}

/// Writes a file for its owner alone, whole or not at all.
fn write_file(folder: &Path, path: &Path, text: &str) -> Result<(), AccountError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = folder.join(format!(".{name}"));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| {
        // What is left of it is of no use, and its absence none either.
        let _ = fs::remove_file(&unfinished);
        AccountError::io(path)(error)
    })
}

#[cfg(test)]
mod tests;
