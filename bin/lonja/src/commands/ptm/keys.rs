//! `lonja ptm keys`: who a manager is.

use super::serve::runtime;
use crate::manager::public_half;
use clap::Args;
use eyre::{Result, bail, eyre};
use lonja_ptm::key_file::{KeyFileError, read_key_pair, read_public_key};
use lonja_ptm::tessera::{Address, RemoteManager, RemoteOptions, Timeouts, TlsClientOptions};
use lonja_ptm::{PrivateTransactionManager, PublicKey};
use std::path::{Path, PathBuf};

/// Options of `lonja ptm keys`.
#[derive(Args, Debug)]
pub struct KeysArgs {
    /// Private or public key files
    #[arg(required_unless_present = "url", conflicts_with = "url")]
    files: Vec<PathBuf>,
    /// A running manager: http://HOST:PORT of its API for third parties (or of a lonja's for nodes), or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    url: Option<String>,
    /// File with certificates of the authority that the manager's https address is recognised by
    #[arg(long, value_name = "FILE", requires = "url")]
    tls_authorities: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl KeysArgs {
    pub(super) fn run(self) -> Result<()> {
        let keys = match &self.url {
            Some(url) => {
                asked(url, self.tls_authorities.clone())?.into_iter().map(|key| (key, None)).collect()
            }
            None => {
                self.files.iter().map(|file| Ok((of_file(file)?, Some(file)))).collect::<Result<Vec<_>>>()?
            }
        };
        if self.json {
            let keys: Vec<String> = keys.iter().map(|(key, _)| key.to_string()).collect();
            println!("{}", serde_json::json!(keys));
            return Ok(());
        }
        for (key, file) in keys {
            match file {
                Some(file) => println!("{key}  {}", file.display()),
                None => println!("{key}"),
            }
        }
        Ok(())
    }
}

/// The public key of a file. A locked private key has to have its public one beside it.
fn of_file(path: &Path) -> Result<PublicKey> {
    if path.extension().is_some_and(|ending| ending == "pub") {
        return read_public_key(path).map_err(|error| eyre!("{}: {error}", path.display()));
    }
    match read_key_pair(path, None, None) {
        Ok(pair) => Ok(pair.public()),
        Err(KeyFileError::PasswordNeeded) => {
            let public = public_half(path);
            if !public.exists() {
                bail!("{} is locked, and there is no {} beside it", path.display(), public.display());
            }
            of_file(&public)
        }
        Err(error) => Err(eyre!("{}: {error}", path.display())),
    }
}

fn asked(url: &str, authorities: Option<PathBuf>) -> Result<Vec<PublicKey>> {
    let address: Address = url.parse()?;
    let tls =
        TlsClientOptions { authorities: authorities.into_iter().collect(), ..TlsClientOptions::default() };
    let third_party = Some(address.clone());
    let options = RemoteOptions { address, third_party, timeouts: Timeouts::default(), tls };
    let manager = RemoteManager::new(&options)?;
    Ok(runtime()?.block_on(manager.keys())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_ptm::KeyPair;
    use lonja_ptm::key_file::{ArgonOptions, ArgonVariant, Password, PrivateKeyFile, write_key_pair};

    #[test]
    fn a_locked_key_is_known_by_the_public_one_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (private, public) = (folder.path().join("a.key"), folder.path().join("a.pub"));
        let pair = KeyPair::generate().unwrap();
        let options =
            ArgonOptions { variant: ArgonVariant::Id, memory_kib: 32, iterations: 1, parallelism: 1 };
        let locked = PrivateKeyFile::lock(&pair, &Password::new("x"), options).unwrap();
        write_key_pair(&private, &locked, &public, &pair.public()).unwrap();
        assert_eq!(of_file(&private).unwrap(), pair.public());
        assert_eq!(of_file(&public).unwrap(), pair.public());
        std::fs::remove_file(&public).unwrap();
        assert!(of_file(&private).unwrap_err().to_string().contains("is locked"));
    }
}
