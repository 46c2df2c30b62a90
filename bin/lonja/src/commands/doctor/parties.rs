//! The check of the manager of private transactions: its key files, or whether the Tessera answers.

use super::Check;
use crate::manager;
use crate::settings::Settings;
use crate::settings::ptm::PtmMode;
use lonja_ptm::key_file::{KeyFileError, read_key_pair};
use lonja_ptm::tessera::RemoteManager;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const NAME: &str = "private";

/// How it is with the manager of these settings; nothing where there is none.
pub async fn checks(settings: &Settings) -> Vec<Check> {
    let ptm = &settings.ptm;
    match (ptm.mode, ptm.remote_address()) {
        (PtmMode::Off, _) => Vec::new(),
        (_, Err(error)) => vec![Check::fail(NAME, format!("{error:#}"))],
        (_, Ok(Some(_))) => vec![remote(settings).await],
        (_, Ok(None)) if ptm.keys.is_empty() => {
            own(&settings.data_dir.join(manager::FOLDER).join(manager::KEY))
        }
        (_, Ok(None)) => ptm.keys.iter().map(|path| key(path)).collect(),
    }
}

/// The key that a node makes for itself, on networks that need one.
fn own(path: &Path) -> Vec<Check> {
    if path.exists() { vec![key(path)] } else { Vec::new() }
}

/// Only the owner reads a key, and it is the other half of the public key beside it. A locked one is not opened here.
fn key(path: &Path) -> Check {
    let place = path.display();
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Check::fail(
                NAME,
                format!("there is no key file {place}: correct --ptm-key, or make it: lonja ptm keygen"),
            );
        }
        Err(error) => return Check::fail(NAME, format!("{place} cannot be looked at: {error}")),
    };
    let public = Some(manager::public_half(path)).filter(|public| public.exists());
    let opened = match read_key_pair(path, public.as_deref(), None) {
        Ok(pair) => format!("{place}, of party {}", pair.public()),
        Err(KeyFileError::PasswordNeeded) => format!("{place}, which is under a password"),
        Err(error) => return Check::fail(NAME, format!("{place}: {error}")),
    };
    match mode & 0o077 {
        0 => Check::ok(NAME, opened),
        _ => Check::fail(NAME, format!("{place} can be read by others: chmod 600 {place}")),
    }
}

/// Whether the Tessera answers, and is not too old.
async fn remote(settings: &Settings) -> Check {
    let found = async {
        let options = manager::remote(&settings.ptm)?;
        let address = options.address.to_string();
        RemoteManager::new(&options)?.features().await?;
        Ok::<_, eyre::Report>(address)
    };
    match found.await {
        Ok(address) => Check::ok(NAME, format!("the Tessera at {address} answers")),
        Err(error) => Check::fail(
            NAME,
            format!(
                "{error:#}: start it, or correct --ptm-url or --ptm-socket; until then private transactions wait"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::settings::NodeArgs;

    async fn found(folder: &Path, toml: &str) -> Vec<Check> {
        let file = folder.join("lonja.toml");
        fs::write(&file, format!("[ptm]\n{toml}\n")).unwrap();
        let args = NodeArgs { data_dir: Some(folder.into()), ..NodeArgs::default() };
        checks(&args.resolve(Some(&file)).unwrap()).await
    }

    #[tokio::test]
    async fn keys_and_places_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(found(folder.path(), "").await, [], "a node without any needs none yet");
        let path = folder.path().join("ptm/key.key");
        fs::create_dir_all(folder.path().join("ptm")).unwrap();
        let public = manager::make_key(&path).unwrap();
        let check = &found(folder.path(), "").await[0];
        assert!(check.level == Level::Ok && check.text.contains(&public.to_string()), "{check:?}");
        assert_eq!(found(folder.path(), "mode = \"off\"").await, []);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(found(folder.path(), "").await[0].text.contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(manager::public_half(&path), "BULeR8JyUWhiuuCMU/HLA0Q5pzkYT+cHII3ZKBey3Bo=\n").unwrap();
        assert_eq!(found(folder.path(), "").await[0].level, Level::Fail);
        let missing = &found(folder.path(), "keys = [\"/nowhere.key\"]").await[0];
        assert!(missing.level == Level::Fail && missing.text.contains("/nowhere.key"), "{missing:?}");
        let away = &found(folder.path(), "socket = \"/nowhere.ipc\"").await[0];
        assert!(away.level == Level::Fail && away.text.contains("nowhere.ipc"), "{away:?}");
    }
}
