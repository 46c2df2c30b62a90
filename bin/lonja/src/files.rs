//! Files of a data directory: where they stand and how they are written.

use eyre::{Context, Result, bail, eyre};
use lonja_primitives::spec::RuleChange;
use lonja_primitives::{Genesis, NodeKey};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Name of the node key in a data directory.
pub const NODE_KEY: &str = "node.key";
/// Name of the genesis file in a data directory.
pub const GENESIS: &str = lonja_node::rules::GENESIS_FILE;
/// Name of the folder with the accounts' key files in a data directory.
pub const KEYSTORE: &str = "keystore";
/// Name of the configuration file looked for in a data directory.
pub const CONFIG: &str = "lonja.toml";

/// `~/.lonja`, or `./lonja-data` where there is no home.
pub fn default_data_dir() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| "lonja-data".into(), |home| Path::new(&home).join(".lonja"))
}

/// Reads a key file: 64 hex digits.
pub fn read_key(path: &Path) -> Result<NodeKey> {
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            eyre!("there is no key file {} (make one: lonja key new {0})", path.display())
        }
        _ => eyre!("cannot read the key file {}: {error}", path.display()),
    })?;
    warn_if_readable_by_others(path);
    NodeKey::from_hex(&text).map_err(|error| eyre!("{}: {error}", path.display()))
}

/// Writes a key file that only its owner may read. An existing file is not touched.
pub fn write_key(path: &Path, key: &NodeKey) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).wrap_err_with(|| format!("cannot make {}", folder.display()))?;
    }
    write_secret(path, &format!("{}\n", alloy_primitives::hex::encode(key.to_bytes())))
}

/// Writes a file that only its owner may read. An existing file is not touched.
pub fn write_secret(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => eyre!("{} exists already; it is never overwritten", path.display()),
        _ => eyre!("cannot write {}: {error}", path.display()),
    })?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

/// The key in a folder of ours, made when there is none, and whether it was made now.
pub fn read_or_make_key(path: &Path) -> Result<(NodeKey, bool)> {
    // What cannot be looked at is not missing: reading it tells why.
    if path.try_exists().unwrap_or(true) {
        return Ok((read_key(path)?, false));
    }
    let key = NodeKey::generate();
    write_key(path, &key)?;
    Ok((key, true))
}

/// Says so where a secret can be read by others than its owner.
pub fn warn_if_readable_by_others(path: &Path) {
    if let Ok(metadata) = fs::metadata(path)
        && metadata.permissions().mode() & 0o077 != 0
    {
        eprintln!("warning: {} can be read by others; run: chmod 600 {0}", path.display());
    }
}

/// Reads and checks a genesis file, and asks its contract for the first validators where it leaves them to one.
pub fn read_genesis(path: &Path) -> Result<(String, Genesis)> {
    let text = fs::read_to_string(path)
        .wrap_err_with(|| format!("cannot read the genesis file {}", path.display()))?;
    let mut genesis = Genesis::from_json(&text).map_err(|error| eyre!("{}: {error}", path.display()))?;
    let completed = lonja_permissioning::registry::genesis::complete(&mut genesis);
    completed.map_err(|reason| eyre!("{}: the validators of block 1: {reason}", path.display()))?;
    Ok((text, genesis))
}

/// Tells what is odd about a genesis file. Said by the commands that look at the file, and by a node that sees it for
/// the first time; not at every start.
pub fn print_warnings(genesis: &Genesis) {
    genesis.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
}

/// What stands in a data directory where a genesis file is to go.
pub enum Installed {
    /// None.
    Nothing,
    /// The very same file.
    Same,
    /// Another file of the same network.
    Other(Box<Genesis>),
}

/// Compares the genesis file of the data directory with the given one (its text, and what it says). Both must name the
/// same network.
pub fn installed_genesis(data_dir: &Path, text: &str, given: &Genesis) -> Result<Installed> {
    let target = data_dir.join(GENESIS);
    if !target.exists() {
        return Ok(Installed::Nothing);
    }
    if fs::read(&target).is_ok_and(|present| present == text.as_bytes()) {
        return Ok(Installed::Same);
    }
    let (_, present) = read_genesis(&target)?;
    let (here, there) = (present.header.hash(), given.header.hash());
    if here != there {
        bail!(
            "{} belongs to another network (genesis {here}, the given file {there}): use another --data-dir, or \
             remove this one if its chain is not needed any more",
            data_dir.display()
        );
    }
    Ok(Installed::Other(Box::new(present)))
}

/// Puts the genesis file into the data directory. Answers with what it changes in the rules of one that is there
/// already; whether the chain allows that, the node finds out when it starts.
pub fn install_genesis(data_dir: &Path, text: &str, genesis: &Genesis) -> Result<Vec<RuleChange>> {
    let present = installed_genesis(data_dir, text, genesis)?;
    fs::create_dir_all(data_dir).wrap_err_with(|| format!("cannot make {}", data_dir.display()))?;
    lonja_node::rules::write_file(&data_dir.join(GENESIS), text).map_err(|error| eyre!("{error}"))?;
    match present {
        Installed::Other(present) => Ok(present.spec.changes(&genesis.spec)),
        Installed::Nothing | Installed::Same => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/node.key");
        let key = NodeKey::generate();
        write_key(&path, &key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let said = write_key(&path, &NodeKey::generate()).unwrap_err().to_string();
        assert!(said.contains("never overwritten"), "{said}");
        assert_eq!(read_key(&path).unwrap(), key);
        fs::write(&path, "not a key").unwrap();
        assert!(read_key(&path).unwrap_err().to_string().contains("node.key"));
    }

    #[test]
    fn a_hint_fits_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read_key(&folder.path().join("node.key")).unwrap_err().to_string();
        assert!(missing.contains("lonja key new"), "{missing}");
        // A folder in the place of a file cannot be read or written, whoever tries.
        let other = read_key(folder.path()).unwrap_err().to_string();
        assert!(!other.contains("lonja key new"), "{other}");
        fs::write(folder.path().join("file"), "").unwrap();
        let below = write_key(&folder.path().join("file/node.key"), &NodeKey::generate()).unwrap_err();
        assert!(!below.to_string().contains("overwritten"), "{below}");
    }
}
