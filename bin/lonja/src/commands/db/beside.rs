//! The stores beside that of the chain: the private state, and the payloads of private transactions.

use super::{Place, bytes, count};
use eyre::Result;
use lonja_storage::{KvRead, RocksKv, StoreOptions, open_private, verify_private};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// A store that is there.
pub(super) struct Store {
    /// What it is called for people, and in JSON.
    pub(super) name: &'static str,
    key: &'static str,
    holds_state: bool,
    path: PathBuf,
    options: StoreOptions,
}

/// How large a store is.
pub(super) struct Figures {
    rows: u64,
    file_bytes: u64,
}

impl Place {
    /// The stores beside the chain's that this data directory has.
    pub(super) fn beside(&self) -> Vec<Store> {
        let stores = [
            ("private state", "privateState", true, "private", StoreOptions::private()),
            ("private payloads", "privatePayloads", false, "ptm/db", StoreOptions::payloads()),
        ];
        let all = stores.into_iter().map(|(name, key, holds_state, folder, options)| {
            let path = self.data_dir.join(folder);
            Store { name, key, holds_state, path, options }
        });
        all.filter(|store| store.path.join("CURRENT").exists()).collect()
    }
}

impl Store {
    /// Rows and bytes of its tables; also while the node runs.
    pub(super) fn figures(&self) -> Result<Figures> {
        let tables = RocksKv::open_read_only(&self.path, &self.options)?.figures()?;
        Ok(Figures {
            rows: tables.iter().map(|table| table.rows).sum(),
            file_bytes: tables.iter().map(|table| table.file_bytes).sum(),
        })
    }

    /// Compares what is stored, and says what was looked at.
    pub(super) fn verify(&self, place: &Place) -> Result<String> {
        let kv = Arc::new(RocksKv::open_read_only(&self.path, &self.options)?);
        if !self.holds_state {
            let mut rows = 0;
            for table in self.options.tables {
                kv.scan(*table, &[], &mut |_, _| {
                    rows += 1;
                    true
                })?;
            }
            return Ok(format!("{}: {} rows", self.name, count(rows)));
        }
        let found = verify_private(kv, place.genesis()?.header.hash())?;
        Ok(format!(
            "{}: {} rows, {} blocks with {} private receipts, {} accounts with {} slots; block {} {}",
            self.name,
            count(found.rows),
            count(found.blocks),
            count(found.receipts),
            count(found.accounts),
            count(found.slots),
            count(found.head.number),
            found.head.hash,
        ))
    }

    /// Rewrites it without what was replaced, deleted or forgotten, and says what that gave.
    pub(super) fn compact(&self, place: &Place) -> Result<String> {
        let kv = Arc::new(RocksKv::open(&self.path, &self.options)?);
        if self.holds_state {
            // Lets go of the history that is not kept any more.
            drop(open_private(kv.clone(), place.genesis()?.header.hash())?);
        }
        let size = || kv.figures().map(|tables| tables.iter().map(|table| table.file_bytes).sum::<u64>());
        let before = size()?;
        self.options.tables.iter().try_for_each(|table| kv.compact(*table))?;
        Ok(format!("{:<16} {:>10} → {:>10}", self.name, bytes(before), bytes(size()?)))
    }
}

impl Figures {
    /// For people.
    pub(super) fn text(&self) -> String {
        format!("{} in tables, {} rows (about)", bytes(self.file_bytes), count(self.rows))
    }
}

/// All of them, by name.
pub(super) fn json(stores: &[(Store, Figures)]) -> Value {
    let value = |figures: &Figures| json!({ "rows": figures.rows, "fileBytes": figures.file_bytes });
    stores.iter().map(|(store, figures)| (store.key.to_owned(), value(figures))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use lonja_storage::{Batch, Table, open_payloads, open_rocks};

    const EXAMPLE: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../genesis/example-lonja.json"));

    #[test]
    fn stores_that_are_there_are_shown_verified_and_compacted() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place { data_dir: directory.path().to_owned() };
        std::fs::write(directory.path().join(files::GENESIS), EXAMPLE).unwrap();
        assert!(place.beside().is_empty());
        let genesis = place.genesis().unwrap().header.hash();
        let kv = open_rocks(&directory.path().join("private"), &StoreOptions::private()).unwrap();
        drop(open_private(kv.clone(), genesis).unwrap());
        drop(kv);
        let payloads = open_payloads(&directory.path().join("ptm/db"), &StoreOptions::payloads()).unwrap();
        let mut batch = Batch::default();
        batch.put(Table::Groups, *b"id", *b"row");
        payloads.write(batch).unwrap();
        drop(payloads);
        let stores = place.beside();
        let names: Vec<_> = stores.iter().map(|store| store.name).collect();
        assert_eq!(names, ["private state", "private payloads"]);
        let verified: Vec<_> = stores.iter().map(|store| store.verify(&place).unwrap()).collect();
        assert!(verified[0].contains(&genesis.to_string()), "{}", verified[0]);
        assert_eq!(verified[1], "private payloads: 1 rows");
        for store in stores {
            assert!(store.compact(&place).unwrap().contains('→'));
            assert!(store.figures().unwrap().rows > 0);
        }
    }

    #[test]
    fn a_private_state_of_another_network_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place { data_dir: directory.path().to_owned() };
        std::fs::write(directory.path().join(files::GENESIS), EXAMPLE).unwrap();
        let kv = open_rocks(&directory.path().join("private"), &StoreOptions::private()).unwrap();
        drop(open_private(kv, [7; 32].into()).unwrap());
        let error = place.beside()[0].verify(&place).unwrap_err();
        assert!(error.to_string().contains("genesis"), "{error}");
    }
}
