//! The keys of a manager, from files or from a Tessera's configuration.

use crate::manager::public_half;
use crate::{files, passwords};
use eyre::{Context, Result, bail, eyre};
use lonja_accounts::Password;
use lonja_ptm::key_file::{self, KeyFileError, PrivateKeyFile, read_key_pair};
use lonja_ptm::{KeyPair, Keyring, PublicKey};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a key pair comes from.
pub enum KeySource {
    /// From files.
    Files {
        /// With the private key.
        private: PathBuf,
        /// With the public key, which then has to fit.
        public: Option<PathBuf>,
    },
    /// From a configuration file.
    Inline {
        /// The private key, maybe locked.
        private: PrivateKeyFile,
        /// The public key, which has to fit.
        public: Option<PublicKey>,
    },
}

impl KeySource {
    /// A private key file, and the public key beside it where there is one.
    pub fn of_file(private: PathBuf) -> Self {
        let public = Some(public_half(&private)).filter(|public| public.exists());
        Self::Files { private, public }
    }

    fn name(&self) -> String {
        match self {
            Self::Files { private, .. } => private.display().to_string(),
            Self::Inline { public: Some(key), .. } => format!("the key {key}"),
            Self::Inline { public: None, .. } => "a key without a public one".into(),
        }
    }

    fn open(self, line: Option<&Password>) -> Result<KeyPair> {
        let name = self.name();
        self.opened(line, &name).wrap_err(name)
    }

    fn opened(self, line: Option<&Password>, name: &str) -> Result<KeyPair> {
        let (private, public) = match self {
            Self::Files { private, public } => {
                files::warn_if_readable_by_others(&private);
                let open = |password: Option<&key_file::Password>| {
                    read_key_pair(&private, public.as_deref(), password)
                };
                return Ok(match open(None) {
                    Err(KeyFileError::PasswordNeeded) => open(Some(&password(line, name)?))?,
                    opened => opened?,
                });
            }
            Self::Inline { private, public } => (private, public),
        };
        let given = if private.needs_password() { Some(password(line, name)?) } else { None };
        let pair = private.open(given.as_ref())?;
        match public.filter(|key| *key != pair.public()) {
            Some(_) => bail!("its private key belongs to {}", pair.public()),
            None => Ok(pair),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({})", self.name())
    }
}

fn password(line: Option<&Password>, name: &str) -> Result<key_file::Password> {
    let asked = match line {
        Some(_) => None,
        None => Some(passwords::ask(&format!("Password of {name}"))?),
    };
    let password = line.or(asked.as_ref()).ok_or_else(|| eyre!("no password was given"))?;
    Ok(key_file::Password::new(password.as_str()))
}

/// Opens all keys. A locked one takes the line of the password file with its number, or the last one.
pub fn open(sources: Vec<KeySource>, password_file: Option<&Path>) -> Result<Keyring> {
    let lines = password_file.map(passwords::read_file).transpose()?;
    let open = |(place, source): (usize, KeySource)| {
        source.open(lines.as_ref().and_then(|lines| lines.get(place).or(lines.last())))
    };
    let pairs: Result<Vec<KeyPair>> = sources.into_iter().enumerate().map(open).collect();
    Keyring::new(pairs?).wrap_err("the keys of this manager")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_ptm::key_file::{ArgonOptions, ArgonVariant};
    use std::fs;

    fn inline(secret: u8, password: Option<&str>, public: Option<PublicKey>) -> KeySource {
        let pair = KeyPair::from_secret(&[secret; 32]);
        let options =
            ArgonOptions { variant: ArgonVariant::Id, memory_kib: 32, iterations: 1, parallelism: 1 };
        let private = match password {
            Some(password) => {
                PrivateKeyFile::lock(&pair, &key_file::Password::new(password), options).unwrap()
            }
            None => PrivateKeyFile::unlocked(pair),
        };
        KeySource::Inline { private, public }
    }

    #[test]
    fn each_key_has_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        let keys: Vec<_> = [1, 2, 3].map(|secret| KeyPair::from_secret(&[secret; 32]).public()).into();
        let sources = || {
            vec![
                inline(1, Some("one"), None),
                inline(2, None, Some(keys[1])),
                inline(3, Some("three"), Some(keys[2])),
            ]
        };
        fs::write(&file, "one\n\nthree\n").unwrap();
        assert_eq!(open(sources(), Some(&file)).unwrap().keys(), keys);
        fs::write(&file, "one\nthree\n").unwrap();
        assert!(open(sources(), Some(&file)).is_ok());
        fs::write(&file, "three\n\none\n").unwrap();
        assert!(open(sources(), Some(&file)).is_err());
    }

    #[test]
    fn a_key_under_another_name_is_refused() {
        let other = KeyPair::from_secret(&[9; 32]).public();
        let error = format!("{:#}", open(vec![inline(1, None, Some(other))], None).err().unwrap());
        assert!(error.contains(&other.to_string()) && error.contains("belongs to"), "{error}");
    }
}
