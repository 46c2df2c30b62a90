//! From settings to the manager of private transactions: which one, with which keys.

use crate::settings::Settings;
use crate::settings::ptm::{PtmMode, PtmSettings};
use crate::{files, passwords};
use eyre::{Context, Result, bail, eyre};
use lonja_accounts::Password;
use lonja_node::{EmbeddedConfig, ManagerConfig};
use lonja_primitives::ChainSpec;
use lonja_ptm::key_file::{self, KeyFileError, PrivateKeyFile};
use lonja_ptm::tessera::{RemoteOptions, Timeouts};
use lonja_ptm::{KeyPair, Keyring};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Folder of the manager in a data directory.
pub const FOLDER: &str = "ptm";
/// Name of the key file that is made where none is named.
pub const KEY: &str = "key.key";
/// What stands for no limit of time.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The manager that these settings mean on a network with these rules.
pub fn config(settings: &Settings, spec: &ChainSpec) -> Result<ManagerConfig> {
    let ptm = &settings.ptm;
    let address = ptm.remote_address()?;
    let has_private = spec.privacy.iter().any(|(_, privacy)| privacy.transactions);
    match (ptm.mode, address) {
        (PtmMode::Off, _) => Ok(ManagerConfig::Off),
        (PtmMode::Auto, None) if !has_private => Ok(ManagerConfig::Off),
        _ if !has_private => {
            bail!(
                "--ptm: the genesis file of this network has no private transactions; leave the options away"
            )
        }
        (_, Some(_)) => Ok(ManagerConfig::Remote(Box::new(remote(ptm)?))),
        (_, None) => Ok(ManagerConfig::Embedded(Box::new(embedded(ptm, &settings.data_dir)?))),
    }
}

/// Where the Tessera is that these settings name, and how it is asked.
pub fn remote(ptm: &PtmSettings) -> Result<RemoteOptions> {
    let address =
        ptm.remote_address()?.ok_or_else(|| eyre!("no Tessera is named: --ptm-url or --ptm-socket"))?;
    Ok(RemoteOptions {
        address,
        third_party: ptm.third_party.as_deref().map(str::parse).transpose().wrap_err("--ptm-third-party")?,
        timeouts: Timeouts {
            dial: seconds(ptm.dial_timeout),
            request: seconds(ptm.timeout),
            idle: seconds(ptm.idle_timeout),
        },
        tls: ptm.tls_client()?,
    })
}

fn seconds(seconds: u64) -> Duration {
    if seconds == 0 { NO_LIMIT } else { Duration::from_secs(seconds).min(NO_LIMIT) }
}

fn embedded(ptm: &PtmSettings, data_dir: &Path) -> Result<EmbeddedConfig> {
    let pairs = match ptm.keys.is_empty() {
        true => vec![own_key(&data_dir.join(FOLDER), ptm.password_file.as_deref())?],
        false => open_keys(&ptm.keys, ptm.password_file.as_deref())?,
    };
    Ok(EmbeddedConfig {
        keyring: Keyring::new(pairs).wrap_err("--ptm-key")?,
        always_send_to: ptm.always_send_to()?,
        outbox: ptm.outbox,
        accept_erase: ptm.accept_erase.into(),
        clients: ptm.clients()?,
        nodes: ptm.nodes()?,
        managers: ptm.managers()?,
    })
}

/// The key in the manager's own folder, made when there is none.
fn own_key(folder: &Path, password_file: Option<&Path>) -> Result<KeyPair> {
    let path = folder.join(KEY);
    // What cannot be looked at is not missing: reading it tells why.
    if path.try_exists().unwrap_or(true) {
        let mut pairs = open_keys(std::slice::from_ref(&path), password_file)?;
        return pairs.pop().ok_or_else(|| eyre!("{} has no key", path.display()));
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.wrap_err_with(|| format!("cannot make {}", folder.display()))?;
    let key = make_key(&path)?;
    tracing::info!(file = %path.display(), %key, "there was no key for private transactions; a new one was made");
    let mut pairs = open_keys(std::slice::from_ref(&path), None)?;
    pairs.pop().ok_or_else(|| eyre!("{} has no key", path.display()))
}

/// Makes a key pair, in the open: the private half at this path, the public half beside it. Says the public half.
pub fn make_key(path: &Path) -> Result<lonja_ptm::PublicKey> {
    let pair = KeyPair::generate()?;
    let public = pair.public();
    key_file::write_key_pair(path, &PrivateKeyFile::unlocked(pair), &public_half(path), &public)?;
    Ok(public)
}

/// Where the public half of a key file stands, if anywhere.
pub fn public_half(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

/// Opens key files in their order. A locked one takes the line of the password file with its number, or the last one; without
/// a file its password is asked for.
pub fn open_keys(paths: &[PathBuf], password_file: Option<&Path>) -> Result<Vec<KeyPair>> {
    let lines = password_file.map(passwords::read_file).transpose()?;
    let open = |(place, path): (usize, &PathBuf)| {
        let line = lines.as_ref().and_then(|lines| lines.get(place).or(lines.last()));
        open_key(path, line).wrap_err_with(|| path.display().to_string())
    };
    paths.iter().enumerate().map(open).collect()
}

fn open_key(path: &Path, line: Option<&Password>) -> Result<KeyPair> {
    files::warn_if_readable_by_others(path);
    let public = Some(public_half(path)).filter(|public| public.exists());
    let open = |password: Option<&Password>| {
        let password = password.map(|password| key_file::Password::new(password.as_str()));
        key_file::read_key_pair(path, public.as_deref(), password.as_ref())
    };
    let opened = match (open(None), line) {
        (Err(KeyFileError::PasswordNeeded), Some(line)) => open(Some(line)),
        (Err(KeyFileError::PasswordNeeded), None) => {
            open(Some(&passwords::ask(&format!("Password of {}", path.display()))?))
        }
        (opened, _) => opened,
    };
    Ok(opened?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::NodeArgs;
    use lonja_primitives::genesis::NewNetwork;
    use lonja_primitives::spec::Privacy;
    use lonja_ptm::key_file::{ArgonOptions, ArgonVariant};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn spec(privacy: Privacy) -> ChainSpec {
        let validators = vec![alloy_primitives::Address::repeat_byte(1)];
        let network = NewNetwork { validators, privacy, ..NewNetwork::default() };
        lonja_primitives::Genesis::from_json(&network.to_json()).unwrap().spec
    }

    fn settings(folder: &Path, toml: &str) -> Settings {
        let file = folder.join("lonja.toml");
        fs::write(&file, format!("[ptm]\n{toml}\n")).unwrap();
        NodeArgs { data_dir: Some(folder.into()), ..NodeArgs::default() }.resolve(Some(&file)).unwrap()
    }

    fn keys(config: ManagerConfig) -> Vec<lonja_ptm::PublicKey> {
        match config {
            ManagerConfig::Embedded(config) => config.keyring.keys().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_genesis_file_decides_where_nobody_does() {
        let folder = tempfile::tempdir().unwrap();
        let (with, without) = (spec(Privacy::OF_NEW_NETWORKS), spec(Privacy::default()));
        let of = |toml: &str, spec: &ChainSpec| config(&settings(folder.path(), toml), spec);
        assert!(matches!(of("", &without), Ok(ManagerConfig::Off)));
        assert!(matches!(of("mode = \"off\"", &with), Ok(ManagerConfig::Off)));
        assert!(!folder.path().join(FOLDER).exists(), "no key for nothing");
        assert!(matches!(of("url = \"http://tm:1\"", &with), Ok(ManagerConfig::Remote(_))));
        assert!(of("mode = \"embedded\"", &without).is_err());
        assert!(of("url = \"http://tm:1\"", &without).is_err());
        let first = keys(of("", &with).unwrap());
        assert_eq!(keys(of("mode = \"embedded\"", &with).unwrap()), first, "the same key again");
        let key = folder.path().join(FOLDER).join(KEY);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let public = fs::read_to_string(public_half(&key)).unwrap();
        assert_eq!(public.trim(), first[0].to_string());
    }

    #[test]
    fn key_files_are_opened_in_order_with_their_passwords() {
        let folder = tempfile::tempdir().unwrap();
        let [open, locked] = ["a.key", "b.key"].map(|name| folder.path().join(name));
        let first = make_key(&open).unwrap();
        let pair = KeyPair::generate().unwrap();
        let second = pair.public();
        let options =
            ArgonOptions { variant: ArgonVariant::Id, memory_kib: 64, iterations: 1, parallelism: 1 };
        let file = PrivateKeyFile::lock(&pair, &key_file::Password::new("two"), options).unwrap();
        key_file::write_key_pair(&locked, &file, &public_half(&locked), &second).unwrap();
        let passwords = folder.path().join("passwords");
        let read = |text: &str| {
            fs::write(&passwords, text).unwrap();
            open_keys(&[open.clone(), locked.clone()], Some(&passwords))
        };
        let opened: Vec<_> = read("\ntwo\n").unwrap().iter().map(KeyPair::public).collect();
        assert_eq!(opened, [first, second]);
        assert!(read("two\n").is_ok(), "the last line is for all further ones");
        let wrong = format!("{:#}", read("two\none\n").err().unwrap());
        assert!(wrong.contains("b.key") && wrong.contains("does not open"), "{wrong}");
        fs::write(public_half(&open), format!("{second}\n")).unwrap();
        let mixed = format!("{:#}", read("\ntwo\n").err().unwrap());
        assert!(mixed.contains("a.key") && mixed.contains(&first.to_string()), "{mixed}");
    }
}
