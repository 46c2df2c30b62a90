//! `lonja ptm keygen`: new keys, in Tessera's files.

use crate::passwords;
use clap::Args;
use eyre::{Context, Result, bail};
use lonja_ptm::KeyPair;
use lonja_ptm::key_file::{ArgonOptions, Password, PrivateKeyFile, write_key_pair};
use std::fs;
use std::path::{Path, PathBuf};

/// Options of `lonja ptm keygen`.
#[derive(Args, Debug)]
pub struct KeygenArgs {
    /// Name of the two files, without `.key` and `.pub`; existing files are never overwritten
    #[arg(default_value = "ptm")]
    file: PathBuf,
    /// Lock the private key with a password
    #[arg(long)]
    locked: bool,
    /// File whose first line is the password; without it the password is asked for
    #[arg(long, value_name = "FILE", requires = "locked")]
    password_file: Option<PathBuf>,
    /// Derive the key from the password as Tessera does where nobody says otherwise (Argon2i, 1 GiB, many seconds), instead of
    /// with 64 MiB; Tessera opens both
    #[arg(long, requires = "locked")]
    tessera_kdf: bool,
}

impl KeygenArgs {
    pub(super) fn run(self) -> Result<()> {
        let (private, public) = (with(&self.file, "key"), with(&self.file, "pub"));
        for file in [&private, &public] {
            if file.exists() {
                bail!("{} exists already; a key is never overwritten", file.display());
            }
        }
        if let Some(folder) = private.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).wrap_err_with(|| format!("cannot make {}", folder.display()))?;
        }
        let pair = KeyPair::generate()?;
        let key = pair.public();
        let file = if self.locked {
            let password = passwords::choose(self.password_file.as_deref())?;
            let password = Password::new(password.as_str());
            let options = if self.tessera_kdf { ArgonOptions::TESSERA } else { ArgonOptions::RECOMMENDED };
            PrivateKeyFile::lock(&pair, &password, options)?
        } else {
            PrivateKeyFile::unlocked(pair)
        };
        write_key_pair(&private, &file, &public, &key)?;
        println!("wrote {} and {}", private.display(), public.display());
        println!("public key  {key}");
        Ok(())
    }
}

/// The file's name with an ending behind it.
fn with(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_ptm::key_file::read_key_pair;
    use std::os::unix::fs::PermissionsExt;

    fn args(file: PathBuf) -> KeygenArgs {
        KeygenArgs { file, locked: false, password_file: None, tessera_kdf: false }
    }

    #[test]
    fn keys_are_written_once_and_open_again() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("new/tm.1");
        args(name.clone()).run().unwrap();
        let (private, public) = (with(&name, "key"), with(&name, "pub"));
        assert!(private.ends_with("new/tm.1.key"));
        assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
        read_key_pair(&private, Some(&public), None).unwrap();
        let before = fs::read(&private).unwrap();
        assert!(args(name).run().unwrap_err().to_string().contains("never overwritten"));
        assert_eq!(fs::read(&private).unwrap(), before);
    }

    #[test]
    fn a_locked_key_opens_with_its_password_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (name, passwords) = (folder.path().join("tm"), folder.path().join("passwords"));
        fs::write(&passwords, "secret\nanother\n").unwrap();
        let locked = KeygenArgs { locked: true, password_file: Some(passwords), ..args(name.clone()) };
        locked.run().unwrap();
        let open = |password: Option<&str>| {
            let password = password.map(Password::new);
            read_key_pair(&with(&name, "key"), Some(&with(&name, "pub")), password.as_ref())
        };
        assert!(open(Some("secret")).is_ok());
        assert!(open(Some("another")).is_err() && open(None).is_err());
    }
}
