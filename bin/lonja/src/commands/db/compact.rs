//! `lonja db compact`.

use super::{Place, bytes, options};
use clap::Args;
use eyre::Result;
use lonja_storage::{RocksKv, Table};
use std::sync::Arc;

/// Options of `lonja db compact`.
#[derive(Args, Debug)]
pub struct CompactCommand {
    #[command(flatten)]
    place: Place,
}

impl CompactCommand {
    /// Rewrites table after table, and says what that gave.
    pub fn run(self) -> Result<()> {
        let genesis = self.place.genesis()?;
        let path = self.place.database();
        // A mistyped directory must not become a new database.
        drop(RocksKv::open_read_only(&path, &options())?);
        let kv = Arc::new(RocksKv::open(&path, &options())?);
        // Opening the chain lets go of the history that is not kept any more, which compaction then drops.
        let opened = lonja_storage::open(kv.clone(), &genesis)?;
        let (mut before, mut after) = (0, 0);
        for table in Table::CHAIN {
            let size = || kv.table_figures(table).map(|found| found.file_bytes);
            let was = size()?;
            kv.compact(table)?;
            let is = size()?;
            println!("{:<16} {:>10} → {:>10}", table.name(), bytes(was), bytes(is));
            before += was;
            after += is;
        }
        println!("{:<16} {:>10} → {:>10}", "all tables", bytes(before), bytes(after));
        drop(opened);
        for store in self.place.beside() {
            println!("{}", store.compact(&self.place)?);
        }
        Ok(())
    }
}
