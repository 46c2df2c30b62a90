//! Key files, as Tessera writes them: the public key as one line of base64, the private key in JSON, in the open or under a
//! password.

mod files;
mod json;

use crate::crypto::{CryptoError, KeyPair, SealingKey, random_bytes};
use crate::{Nonce, PublicKey, RecipientBox};
use argon2::{Algorithm, Argon2, Params, Version};
pub use files::{read_key_pair, read_public_key, write_key_pair};
use std::path::PathBuf;
use thiserror::Error;
use zeroize::Zeroizing;

/// Memory that opening a key file may take, in KiB. Tessera's default is half of it; the file says how much, and a slip in
/// it must not take the machine down.
pub const MAX_MEMORY_KIB: u32 = 2 * 1024 * 1024;

/// Passes over the memory that opening a key file may take. Tessera's default is 10.
pub const MAX_ITERATIONS: u32 = 1_000;

/// Lanes in which the memory may be filled. Tessera's default is 4.
pub const MAX_PARALLELISM: u32 = 64;

/// Bytes of salt. Files with 16 and with 32 are known; Argon2 wants 8 at least.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=128;

/// Bytes of salt in a new file.
const NEW_SALT_BYTES: usize = 16;

/// Why a key file cannot be read, opened or written. Nothing of what stands in it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyFileError {
    /// The file system refused.
    #[error("{path}: {reason}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// A key is never overwritten.
    #[error("{path} exists already; a key is never overwritten", path = .0.display())]
    Exists(PathBuf),
    /// A key file is small.
    #[error("{path} is no key file: it has more than {limit} bytes", path = path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// What is read at most.
        limit: u64,
    },
    /// It is not the JSON of a private key.
    #[error("no private key in JSON: line {line}, column {column}")]
    NotJson {
        /// Where, from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// Something is missing in the JSON.
    #[error("the private key's JSON has no {0}")]
    Missing(&'static str),
    /// Something in the JSON is not what it should be.
    #[error("in the private key's JSON, {field} is not {want}")]
    BadField {
        /// Which.
        field: &'static str,
        /// What should stand there.
        want: &'static str,
    },
    /// It is not the file of a public key.
    #[error("no public key: one line with 32 bytes in base64 is expected")]
    NotAPublicKey,
    /// Opening would take more than this program gives.
    #[error(
        "Argon2 with {memory} KiB, {iterations} iterations and {parallelism} lanes is out of bounds: at most \
         {MAX_MEMORY_KIB} KiB, {MAX_ITERATIONS} iterations and {MAX_PARALLELISM} lanes, 8 KiB for each lane"
    )]
    Options {
        /// KiB.
        memory: u32,
        /// Passes.
        iterations: u32,
        /// Lanes.
        parallelism: u32,
    },
    /// The machine has not the memory that the file asks for.
    #[error("there is no memory of {0} KiB to open the private key")]
    NoMemory(u32),
    /// The key is locked and no password was given.
    #[error("the private key is locked: a password is needed")]
    PasswordNeeded,
    /// The password does not open it.
    #[error("the password does not open the private key")]
    WrongPassword,
    /// The files belong to different pairs.
    #[error("the private key's public half is {derived}, the public key file says {given}")]
    Mismatch {
        /// What follows from the private key.
        derived: PublicKey,
        /// What the file says.
        given: PublicKey,
    },
    /// No randomness.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// A password. Wiped when it is dropped, and shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

/// Which Argon2 turns a password into a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgonVariant {
    /// Argon2i: Tessera's choice for new files.
    I,
    /// Argon2d.
    D,
    /// Argon2id: the best of both, and lonja's choice.
    Id,
}

/// How a password is turned into a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgonOptions {
    /// Which Argon2.
    pub variant: ArgonVariant,
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes in which it is filled.
    pub parallelism: u32,
}

/// A private key as it stands in a file.
pub enum PrivateKeyFile {
    /// In the open.
    Unlocked(KeyPair),
    /// Under a password.
    Locked(LockedKey),
}

/// A private key under a password.
pub struct LockedKey {
    options: ArgonOptions,
    salt: Vec<u8>,
    nonce: Nonce,
    sealed: RecipientBox,
    /// Very old files have it inside.
    password: Option<Password>,
}

impl Password {
    /// The password with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
}

impl ArgonOptions {
    /// What Tessera uses where nobody says anything. Takes 1 GiB and many seconds.
    pub const TESSERA: Self =
        Self { variant: ArgonVariant::I, memory_kib: 1024 * 1024, iterations: 10, parallelism: 4 };

    /// What lonja uses for new files: the second recommendation of RFC 9106, for machines that have other things to do
    /// with their memory. Tessera reads it.
    pub const RECOMMENDED: Self =
        Self { variant: ArgonVariant::Id, memory_kib: 64 * 1024, iterations: 3, parallelism: 4 };

    fn argon(&self) -> Result<Argon2<'static>, KeyFileError> {
        let Self { variant, memory_kib, iterations, parallelism } = *self;
        let refused = KeyFileError::Options { memory: memory_kib, iterations, parallelism };
        if memory_kib > MAX_MEMORY_KIB || iterations > MAX_ITERATIONS || parallelism > MAX_PARALLELISM {
            return Err(refused);
        }
        let params = Params::new(memory_kib, iterations, parallelism, Some(32)).map_err(|_| refused)?;
        let algorithm = match variant {
            ArgonVariant::I => Algorithm::Argon2i,
            ArgonVariant::D => Algorithm::Argon2d,
            ArgonVariant::Id => Algorithm::Argon2id,
        };
        Ok(Argon2::new(algorithm, Version::V0x13, params))
    }

    fn key(&self, password: &Password, salt: &[u8]) -> Result<SealingKey, KeyFileError> {
        let mut key = Zeroizing::new([0; 32]);
        let hashed = self.argon()?.hash_password_into(password.0.as_bytes(), salt, key.as_mut());
        hashed.map_err(|error| match error {
            argon2::Error::OutOfMemory => KeyFileError::NoMemory(self.memory_kib),
            _ => KeyFileError::BadField { field: "asalt", want: "a salt for Argon2" },
        })?;
        Ok(SealingKey::from_bytes(&key))
    }
}

impl PrivateKeyFile {
    /// The key in the open.
    pub fn unlocked(pair: KeyPair) -> Self {
        Self::Unlocked(pair)
    }

    /// The key under a password. Takes as long as the options say.
    pub fn lock(pair: &KeyPair, password: &Password, options: ArgonOptions) -> Result<Self, KeyFileError> {
        let salt = random_bytes::<NEW_SALT_BYTES>()?.to_vec();
        let nonce = random_bytes()?;
        let secret = SealingKey::from_bytes(pair.secret());
        let sealed = options.key(password, &salt)?.seal_key(&nonce, &secret);
        Ok(Self::Locked(LockedKey { options, salt, nonce, sealed, password: None }))
    }

    /// Whether a password has to be given to open it.
    pub fn needs_password(&self) -> bool {
        matches!(self, Self::Locked(LockedKey { password: None, .. }))
    }

    /// The key pair. A locked key takes as long as its options say: seconds, and much memory.
    pub fn open(self, password: Option<&Password>) -> Result<KeyPair, KeyFileError> {
        match self {
            Self::Unlocked(pair) => Ok(pair),
            Self::Locked(locked) => locked.open(password),
        }
    }
}

impl LockedKey {
    fn open(&self, password: Option<&Password>) -> Result<KeyPair, KeyFileError> {
        let password = password.or(self.password.as_ref()).ok_or(KeyFileError::PasswordNeeded)?;
        let opened = self.options.key(password, &self.salt)?.open_key(&self.nonce, &self.sealed);
        let secret = opened.map_err(|_| KeyFileError::WrongPassword)?;
        Ok(KeyPair::from_secret(secret.as_bytes()))
    }
}

#[cfg(test)]
mod tests;
