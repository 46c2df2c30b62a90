//! `lonja db`: looking after the databases of a data directory.

mod beside;
mod compact;
mod stats;
mod verify;

use crate::files;
use clap::{Args, Subcommand};
use eyre::Result;
use lonja_storage::StoreOptions;
use std::path::PathBuf;

/// What to do with the database.
#[derive(Subcommand, Debug)]
pub enum DbCommand {
    /// Show how large it is, how fast it grows and how long the disk lasts; also while the node runs
    Stats(stats::StatsCommand),
    /// Compare everything that is stored with its checksums, hashes and roots; also while the node runs
    Verify(verify::VerifyCommand),
    /// Rewrite it without what was replaced or pruned; the node must be stopped
    Compact(compact::CompactCommand),
}

impl DbCommand {
    /// Does it.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Stats(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Compact(command) => command.run(),
        }
    }
}

/// Whose database.
#[derive(Args, Clone, Debug)]
struct Place {
    /// Data directory of the node
    #[arg(long, env = "LONJA_DATA_DIR", default_value_os_t = files::default_data_dir())]
    data_dir: PathBuf,
}

impl Place {
    fn database(&self) -> PathBuf {
        self.data_dir.join("db")
    }

    fn genesis(&self) -> Result<lonja_primitives::Genesis> {
        Ok(files::read_genesis(&self.data_dir.join(files::GENESIS))?.1)
    }
}

/// A command reads everything once: a small cache does.
pub(super) fn options() -> StoreOptions {
    StoreOptions { block_cache_bytes: 64 << 20, ..StoreOptions::default() }
}

/// `1.2 GB`; decimal units, as disks are sold.
fn bytes(count: u64) -> String {
    let units = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let exact = count as f64;
    match units.into_iter().find(|(_, size)| exact >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", exact / size),
        None => format!("{count} B"),
    }
}

/// `1,234,567`.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        assert_eq!(
            (bytes(999), bytes(1_000), bytes(2_550_000_000)),
            ("999 B".into(), "1.0 kB".into(), "2.5 GB".into())
        );
        assert_eq!(
            (count(0), count(999), count(1_000), count(1_234_567)),
            ("0".into(), "999".into(), "1,000".into(), "1,234,567".into())
        );
    }
}
