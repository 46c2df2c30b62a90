//! The accounts of a node: which there are, which are unlocked, and signing with those.

use crate::kdf::Strength;
use crate::key_file;
use crate::keystore::{KeyFile, Keystore, Listing};
use crate::{AccountError, Password};
use alloy_primitives::{Address, B256};
use lonja_primitives::{NodeKey, Signature, Signer};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The accounts of a node. Any thread may use it.
///
/// All methods that take a password last as long as the file's derivation: a second and 256 MiB for files of the
/// standard strength. Only one of them derives at a time, so that memory stays bounded.
pub struct Accounts {
    keystore: Keystore,
    unlocked: Mutex<BTreeMap<Address, Unlocked>>,
    deriving: Mutex<()>,
}

/// A key that may be used.
struct Unlocked {
    key: NodeKey,
    /// `None` for as long as the node runs.
    until: Option<Instant>,
}

impl Unlocked {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }
}

impl Accounts {
    /// The accounts whose files stand in this folder, which is made with the first of them. None is unlocked.
    pub fn new(folder: PathBuf, strength: Strength) -> Self {
        let keystore = Keystore::new(folder, strength);
        Self { keystore, unlocked: Mutex::default(), deriving: Mutex::default() }
    }

    /// Where the files stand.
    pub fn folder(&self) -> &Path {
        self.keystore.folder()
    }

    /// What stands in the keystore.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Listing, AccountError> {
        self.keystore.list()
    }

    /// Every account, unlocked or not: by the age of its file, then those whose file is gone.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn addresses(&self) -> Result<Vec<Address>, AccountError> {
        let stored = self.keystore.list()?.keys.into_iter().map(|key| key.address);
        let mut seen = HashSet::new();
        Ok(stored.chain(self.unlocked()).filter(|address| seen.insert(*address)).collect())
    }

    /// Whether there is such an account, unlocked or not.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn has(&self, address: Address) -> Result<bool, AccountError> {
        let unlocked = self.unlocked.lock().get(&address).is_some_and(|known| !known.is_over());
        Ok(unlocked || self.is_stored(address)?)
    }

    /// The accounts that are unlocked now.
    pub fn unlocked(&self) -> Vec<Address> {
        self.forget_expired();
        self.unlocked.lock().keys().copied().collect()
    }

    /// The account that an operator means: an address, or the number of a key file counted from 0, the oldest first.
    ///
    /// # Errors
    /// There is no such account.
    pub fn find(&self, text: &str) -> Result<Address, AccountError> {
        if let Ok(address) = text.parse() {
            return self.keystore.find(address).map(|key| key.address);
        }
        let keys = self.keystore.list()?.keys;
        let Ok(index) = text.parse::<usize>() else {
            return Err(AccountError::NoSuchAccount(format!(
                "{text:?} is neither an address (0x and 40 hex digits) nor the number of an account"
            )));
        };
        keys.get(index).map(|key| key.address).ok_or_else(|| {
            AccountError::NoSuchAccount(format!(
                "there is no account number {index}: {} holds {}, counted from 0",
                self.folder().display(),
                keys.len()
            ))
        })
    }

    /// Makes a new key and its file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(&self, password: &Password) -> Result<KeyFile, AccountError> {
        self.import(&NodeKey::generate(), password)
    }

    /// Puts a key into a file of its own.
    ///
    /// # Errors
    /// There is a file of that address; the file cannot be written.
    pub fn import(&self, key: &NodeKey, password: &Password) -> Result<KeyFile, AccountError> {
        let _alone = self.deriving.lock();
        self.keystore.store(key, password)
    }

    /// Puts the key of another keystore's file into one of our own, with the same password.
    ///
    /// # Errors
    /// As of [`key_file::decrypt`](crate::decrypt) and [`Accounts::import`].
    pub fn import_file(&self, text: &str, password: &Password) -> Result<KeyFile, AccountError> {
        let _alone = self.deriving.lock();
        self.keystore.store(&key_file::decrypt(text, password)?, password)
    }

    /// Makes an account usable without its password, for this long or (`None`) for as long as the node runs. Who
    /// unlocks an account again sets its time anew, but one without an end keeps being so: geth's rule.
    ///
    /// # Errors
    /// There is no such account, or its file does not open.
    pub fn unlock(
        &self,
        address: Address,
        password: &Password,
        lasting: Option<Duration>,
    ) -> Result<(), AccountError> {
        let key = self.open(address, password)?;
        // A time beyond what the clock can tell has no end.
        let until = lasting.and_then(|lasting| Instant::now().checked_add(lasting));
        let mut unlocked = self.unlocked.lock();
        let keeps_being = unlocked.get(&address).is_some_and(|known| known.until.is_none());
        if !keeps_being {
            unlocked.insert(address, Unlocked { key, until });
        }
        Ok(())
    }

    /// Forgets the key of an account; whether it was unlocked.
    pub fn lock(&self, address: Address) -> bool {
        self.unlocked.lock().remove(&address).is_some_and(|known| !known.is_over())
    }

    /// Wipes the keys whose time is over. They are not used in any case.
    pub fn forget_expired(&self) {
        self.unlocked.lock().retain(|_, known| !known.is_over());
    }

    /// Whether the account could sign now; otherwise as [`Accounts::sign`].
    ///
    /// # Errors
    /// As of [`Accounts::sign`].
    pub fn check_unlocked(&self, address: Address) -> Result<(), AccountError> {
        match self.unlocked.lock().get(&address).is_some_and(|known| !known.is_over()) {
            true => Ok(()),
            false => Err(self.refusal(address)),
        }
    }

    /// Signs with an account that is unlocked.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], or [`AccountError::Locked`].
    pub fn sign(&self, address: Address, digest: B256) -> Result<Signature, AccountError> {
        let signed = {
            let unlocked = self.unlocked.lock();
            unlocked.get(&address).filter(|known| !known.is_over()).map(|known| known.key.sign(digest))
        };
        signed.ok_or_else(|| self.refusal(address))
    }

    /// Signs once with an account whose password is given, and leaves it as it is.
    ///
    /// # Errors
    /// There is no such account, or its file does not open.
    pub fn sign_with(
        &self,
        address: Address,
        password: &Password,
        digest: B256,
    ) -> Result<Signature, AccountError> {
        Ok(self.open(address, password)?.sign(digest))
    }

    fn open(&self, address: Address, password: &Password) -> Result<NodeKey, AccountError> {
        let _alone = self.deriving.lock();
        self.keystore.open(address, password)
    }

    /// Why an account that is not unlocked cannot sign.
    fn refusal(&self, address: Address) -> AccountError {
        match self.is_stored(address) {
            Ok(true) => AccountError::Locked,
            Ok(false) => AccountError::Unknown,
            Err(error) => error,
        }
    }

    fn is_stored(&self, address: Address) -> Result<bool, AccountError> {
        Ok(self.keystore.list()?.keys.iter().any(|key| key.address == address))
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unlocked: Vec<Address> = self.unlocked.lock().keys().copied().collect();
        f.debug_struct("Accounts").field("folder", &self.folder()).field("unlocked", &unlocked).finish()
    }
}

#[cfg(test)]
mod tests;
