//! The folder of a devnet: what it was made with, whose it is now, and what of it may be removed.

use super::registry;
use crate::files;
use eyre::{Context, Result, bail, eyre};
use lonja_storage::record::crc32c;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Says that a devnet made the folder, and with what.
const MARKER: &str = "devnet.json";
/// Locked by the devnet that runs here. It stays when the rest is removed: a lock on a removed file keeps nobody out.
const LOCK: &str = "devnet.lock";
/// The name of the regular node.
pub const REGULAR: &str = "node";
/// What the names of validators begin with; a number follows.
pub const VALIDATOR: &str = "validator-";
/// What the names of members begin with; a number follows.
pub const MEMBER: &str = "member-";

/// What a devnet was made with and cannot change later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many validators.
    pub validators: u16,
    /// Time between blocks, milliseconds.
    pub block_period_ms: u64,
    /// Time after which an empty block is made, milliseconds.
    pub empty_block_period_ms: u64,
    /// Whether organisations in a registry govern it.
    pub registry: bool,
    /// How many members take part in private transactions.
    pub members: u16,
}

/// A shape as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Marker {
    validators: u16,
    block_period_ms: u64,
    empty_block_period_ms: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    registry: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    members: u16,
    /// CRC-32C of the others: a damaged digit would make another devnet.
    sum: u32,
}

fn is_zero(count: &u16) -> bool {
    *count == 0
}

impl Marker {
    fn of(shape: &Shape) -> Self {
        let Shape { validators, block_period_ms, empty_block_period_ms, registry, members } = *shape;
        // Without a registry and members the sum is what it was before there were any.
        let mark = if registry { " registry" } else { "" };
        let mut text = format!("{validators} {block_period_ms} {empty_block_period_ms}{mark}");
        if members > 0 {
            text.push_str(&format!(" {members} members"));
        }
        let sum = crc32c(text.as_bytes());
        Self { validators, block_period_ms, empty_block_period_ms, registry, members, sum }
    }

    fn shape(&self) -> Shape {
        let Self { validators, block_period_ms, empty_block_period_ms, registry, members, .. } = *self;
        Shape { validators, block_period_ms, empty_block_period_ms, registry, members }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} validators at {} ms", self.validators, self.block_period_ms)?;
        if self.empty_block_period_ms != self.block_period_ms {
            write!(f, " (empty blocks at {} ms)", self.empty_block_period_ms)?;
        }
        if self.members > 0 {
            write!(f, " and {} members", self.members)?;
        }
        if self.registry { f.write_str(" with a registry") } else { Ok(()) }
    }
}

/// A devnet's folder, which no other devnet uses while this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder, or takes one that a devnet made.
    ///
    /// # Errors
    /// Something in it has a name that we use and no devnet made it, or a devnet or a node of one runs in it.
    pub fn take(path: &Path) -> Result<Self> {
        let names = own_names(path)?;
        if let Some(name) = names.first().filter(|_| !names.iter().any(|name| name == MARKER)) {
            bail!(
                "{} has {name} in it but no {MARKER}: no devnet made it, or that of another version. It is left alone; \
                 choose another --dir, or remove it yourself",
                path.display()
            );
        }
        fs::create_dir_all(path).wrap_err_with(|| format!("cannot make {}", path.display()))?;
        let file = path.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&file);
        let lock = lock.wrap_err_with(|| format!("cannot open {}", file.display()))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => eyre!(
                "a devnet runs in {} already; stop it, or choose another --dir (and --port-offset)",
                path.display()
            ),
            TryLockError::Error(error) => eyre!("cannot lock {}: {error}", file.display()),
        })?;
        let folder = Self { path: path.into(), _lock: lock };
        // Nodes hold the locks of their logs: one may outlive its devnet for a moment.
        for name in names.iter().filter_map(|name| name.strip_suffix(".log")) {
            folder.log(name)?;
        }
        Ok(folder)
    }

    /// What the devnet in this folder was made with, if there is one.
    pub fn shape(&self) -> Result<Option<Shape>> {
        let file = self.path.join(MARKER);
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
        let marker: Marker = serde_json::from_str(&text).wrap_err_with(|| format!("{}", file.display()))?;
        let shape = marker.shape();
        if marker.sum != Marker::of(&shape).sum {
            let file = file.display();
            bail!("{file} is damaged: it says {shape}, which its sum contradicts; begin anew with --reset");
        }
        Ok(Some(shape))
    }

    /// Makes it the folder of a devnet of this shape.
    pub fn mark(&self, shape: &Shape) -> Result<()> {
        let text = serde_json::to_string_pretty(&Marker::of(shape))? + "\n";
        lonja_node::rules::write_file(&self.path.join(MARKER), &text).map_err(|error| eyre!("{error}"))
    }

    /// Removes what a devnet made, and nothing else.
    pub fn clear(&self) -> Result<()> {
        // Until everything else is gone the folder stays marked as ours.
        let mut names = own_names(&self.path)?;
        names.sort_by_key(|name| name == MARKER);
        for name in names {
            let path = self.path.join(name);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.wrap_err_with(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Where a node's log is.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.log"))
    }

    /// A node's log, to be added to. It is locked as long as anybody, a child too, has this handle.
    pub fn log(&self, name: &str) -> Result<File> {
        let path = self.log_path(name);
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let file = file.wrap_err_with(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => bail!(
                "{name} of an earlier devnet in {} is still running; it stops by itself, try again in a moment",
                self.path.display()
            ),
            Err(TryLockError::Error(error)) => bail!("cannot lock {}: {error}", path.display()),
        }
    }
}

/// Names in a folder that a devnet uses, sorted; none when there is no such folder.
fn own_names(path: &Path) -> Result<Vec<String>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path).wrap_err_with(|| format!("cannot read {}", path.display()))? {
        let name = entry?.file_name();
        names.extend(name.to_str().filter(|name| is_own(name)).map(str::to_string));
    }
    names.sort();
    Ok(names)
}

fn is_own(name: &str) -> bool {
    let node = |name: &str| {
        let number = name.strip_prefix(VALIDATOR).or(name.strip_prefix(MEMBER)).unwrap_or_default();
        name == REGULAR || (!number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let of_registry = [registry::PLAN, "registry.draft", registry::KEYS, registry::OUTSIDER];
    [MARKER, files::GENESIS, "devnet.draft", "genesis.draft"].contains(&name)
        || of_registry.contains(&name)
        || node(name)
        || name.strip_suffix(".log").is_some_and(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        validators: 4,
        block_period_ms: 1000,
        empty_block_period_ms: 1000,
        registry: false,
        members: 0,
    };

    fn fill(path: &Path) {
        for name in ["validator-1", "node", "validator-x"] {
            fs::create_dir_all(path.join(name)).unwrap();
            fs::write(path.join(name).join("node.key"), "secret").unwrap();
        }
        for name in ["genesis.json", "node.log", "validator-12.log", "notes.txt", "other.log"] {
            fs::write(path.join(name), "text").unwrap();
        }
    }

    #[test]
    fn only_what_a_devnet_made_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("README"), "mine").unwrap();
        let ours = Folder::take(path).unwrap();
        ours.mark(&SHAPE).unwrap();
        fill(path);
        assert_eq!(ours.shape().unwrap(), Some(SHAPE));
        let marker = fs::read_to_string(path.join(MARKER)).unwrap();
        for place in 0..marker.len() {
            let mut damaged = marker.clone().into_bytes();
            damaged[place] ^= 1;
            fs::write(path.join(MARKER), damaged).unwrap();
            match ours.shape() {
                Ok(shape) => assert_eq!(shape, Some(SHAPE), "byte {place}"),
                Err(error) => assert!(format!("{error:#}").contains(MARKER), "{error:#}"),
            }
        }
        fs::write(path.join(MARKER), marker.replacen(": 4", ": 5", 1)).unwrap();
        let said = ours.shape().unwrap_err().to_string();
        assert!(said.contains(MARKER) && said.contains("5 validators"), "{said}");
        fs::write(path.join(MARKER), marker).unwrap();
        ours.clear().unwrap();
        let mut left: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["README", LOCK, "notes.txt", "other.log", "validator-x"]);
        assert_eq!(ours.shape().unwrap(), None);
    }

    #[test]
    fn a_devnet_with_a_registry_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let ours = Folder::take(folder.path()).unwrap();
        let shape = Shape { registry: true, ..SHAPE };
        ours.mark(&shape).unwrap();
        assert_eq!(ours.shape().unwrap(), Some(shape));
        assert_ne!(shape.to_string(), SHAPE.to_string());
        let marker = folder.path().join(MARKER);
        let text = fs::read_to_string(&marker).unwrap();
        fs::write(&marker, text.replace("true", "false")).unwrap();
        assert!(ours.shape().unwrap_err().to_string().contains("damaged"));
        for name in ["registry.json", "keys", "outsider", "member-3", "member-3.log"] {
            assert!(is_own(name), "{name}");
        }
        ours.mark(&SHAPE).unwrap();
        let text = fs::read_to_string(&marker).unwrap();
        assert!(!text.contains("registry") && !text.contains("members"), "as it always was");
        let shape = Shape { members: 3, ..SHAPE };
        ours.mark(&shape).unwrap();
        assert_eq!(ours.shape().unwrap(), Some(shape));
        let text = fs::read_to_string(&marker).unwrap();
        fs::write(&marker, text.replace("3", "2")).unwrap();
        assert!(ours.shape().is_err());
    }

    #[test]
    fn a_folder_that_no_devnet_made_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        let said = Folder::take(folder.path()).unwrap_err().to_string();
        assert!(said.contains("genesis.json") && said.contains("left alone"), "{said}");
        assert!(!folder.path().join(LOCK).exists());
    }

    #[test]
    fn one_devnet_at_a_time_uses_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::take(folder.path()).unwrap();
        first.mark(&SHAPE).unwrap();
        let said = Folder::take(folder.path()).unwrap_err().to_string();
        assert!(said.contains("runs in") && said.contains(&folder.path().display().to_string()), "{said}");
        let mut log = first.log("node").unwrap();
        std::io::Write::write_all(&mut log, b"one\n").unwrap();
        drop(first);
        let said = Folder::take(folder.path()).unwrap_err().to_string();
        assert!(said.contains("node of an earlier devnet"), "{said}");
        drop(log);
        let second = Folder::take(folder.path()).unwrap();
        std::io::Write::write_all(&mut second.log("node").unwrap(), b"two\n").unwrap();
        assert_eq!(fs::read_to_string(second.log_path("node")).unwrap(), "one\ntwo\n");
    }
}
