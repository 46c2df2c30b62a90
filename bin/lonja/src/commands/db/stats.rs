//! `lonja db stats`.

use super::beside::{self, Figures, Store};
use super::{Place, bytes, count, options};
use clap::Args;
use eyre::Result;
use lonja_storage::{ChainFigures, RocksKv, Table, TableFigures, chain_figures, free_bytes};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const DAY_SECONDS: u64 = 86_400;

/// Options of `lonja db stats`.
#[derive(Args, Debug)]
pub struct StatsCommand {
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything that is shown.
struct Stats {
    chain: ChainFigures,
    tables: Vec<TableFigures>,
    /// Of the bytes of bodies, those of the blocks of the last 24 hours.
    bodies_last_day: u64,
    /// Bytes of all files in the data directory.
    directory_bytes: u64,
    /// Of these, RocksDB's write-ahead logs: what was written last, to some hundred megabytes.
    log_bytes: u64,
    free_bytes: u64,
    /// The stores beside the chain's.
    beside: Vec<(Store, Figures)>,
}

impl StatsCommand {
    /// Reads the figures and prints them.
    pub fn run(self) -> Result<()> {
        let kv = RocksKv::open_read_only(&self.place.database(), &options())?;
        let chain = chain_figures(&kv)?;
        let first = chain.head.number.saturating_sub(chain.blocks_last_day).saturating_add(1);
        let beside = self.place.beside().into_iter().map(|store| {
            let figures = store.figures()?;
            Ok((store, figures))
        });
        let stats = Stats {
            beside: beside.collect::<Result<_>>()?,
            chain,
            tables: kv.figures()?,
            bodies_last_day: kv.file_bytes_from(Table::Bodies, &first.to_be_bytes())?,
            directory_bytes: file_bytes(&self.place.data_dir, ""),
            log_bytes: file_bytes(&self.place.database(), ".log"),
            free_bytes: free_bytes(&self.place.data_dir)?,
        };
        match self.json {
            true => println!("{:#}", stats.json()),
            false => stats.print(&self.place.data_dir),
        }
        Ok(())
    }
}

/// Bytes of the files below a directory whose name ends so. What goes away meanwhile counts nothing.
fn file_bytes(path: &Path, ending: &str) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => file_bytes(&entry.path(), ending),
        Ok(metadata) if entry.file_name().to_string_lossy().ends_with(ending) => metadata.len(),
        _ => 0,
    };
    entries.map(size).sum()
}

impl Stats {
    /// All tables, and what stands in the log only.
    fn chain_bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.file_bytes).sum::<u64>() + self.log_bytes
    }

    fn transactions(&self) -> u64 {
        self.tables.iter().find(|figures| figures.table == Table::Transactions).map_or(0, |found| found.rows)
    }

    /// What a day of blocks like those of the last 24 hours takes: their share of all that is stored. What grows with
    /// blocks is shared out by their number; the rest by the bytes of their bodies, once most of these are in files.
    fn growth_per_day(&self) -> Option<u64> {
        let chain = &self.chain;
        let seconds = (chain.last_day_seconds > 0).then_some(chain.last_day_seconds as f64)?;
        let by_blocks = (chain.blocks_last_day as f64 / chain.head.number.max(1) as f64).min(1.0);
        let bodies = self.file_bytes(Table::Bodies);
        let by_bodies = match bodies > self.log_bytes {
            true => (self.bodies_last_day as f64 / bodies as f64).min(1.0),
            false => by_blocks,
        };
        let of_table = |figures: &TableFigures| match figures.table {
            Table::Meta | Table::Headers | Table::Numbers | Table::Votes => {
                figures.file_bytes as f64 * by_blocks
            }
            _ => figures.file_bytes as f64 * by_bodies,
        };
        let of_log = self.log_bytes as f64 * by_bodies.max(by_blocks);
        let all = self.tables.iter().map(of_table).sum::<f64>() + of_log;
        Some((all * DAY_SECONDS as f64 / seconds) as u64)
    }

    fn file_bytes(&self, table: Table) -> u64 {
        self.tables.iter().find(|figures| figures.table == table).map_or(0, |found| found.file_bytes)
    }

    fn days_left(&self) -> Option<f64> {
        let growth = self.growth_per_day().filter(|growth| *growth > 0)?;
        Some((self.free_bytes as f64 / growth as f64 * 10.0).round() / 10.0)
    }

    fn json(&self) -> Value {
        let tables: serde_json::Map<String, Value> = self
            .tables
            .iter()
            .map(|figures| {
                let value = json!({ "rows": figures.rows, "fileBytes": figures.file_bytes });
                (figures.table.name().to_owned(), value)
            })
            .collect();
        json!({
            "head": self.chain.head.number,
            "headHash": self.chain.head.hash,
            "oldestState": self.chain.oldest_state,
            "transactions": self.transactions(),
            "tables": tables,
            "chainBytes": self.chain_bytes(),
            "directoryBytes": self.directory_bytes,
            "logBytes": self.log_bytes,
            "stores": beside::json(&self.beside),
            "bytesPerBlock": ratio(self.chain_bytes(), self.chain.head.number),
            "bytesPerTransaction": ratio(self.chain_bytes(), self.transactions()),
            "growthPerDayBytes": self.growth_per_day(),
            "freeBytes": self.free_bytes,
            "daysLeft": self.days_left(),
        })
    }

    fn print(&self, data_dir: &Path) {
        let (blocks, transactions) = (self.chain.head.number, self.transactions());
        println!("{:<22} {:>14} {:>12} {:>11} {:>11}", "table", "rows", "bytes", "per block", "per tx");
        let line = |name: &str, rows: String, size: u64| {
            let per = |number| ratio(size, number).map_or("-".to_owned(), |ratio| format!("{ratio:.1}"));
            println!(
                "{name:<22} {rows:>14} {:>12} {:>11} {:>11}",
                bytes(size),
                per(blocks),
                per(transactions)
            );
        };
        for figures in &self.tables {
            line(figures.table.name(), count(figures.rows), figures.file_bytes);
        }
        line("write-ahead log", String::new(), self.log_bytes);
        line("all", String::new(), self.chain_bytes());
        println!();
        let field = |name: &str, value: String| println!("{name:<22} {value}");
        field("data directory", data_dir.display().to_string());
        field("newest block", format!("{} {}", count(blocks), self.chain.head.hash));
        field("states kept", format!("from block {} on", count(self.chain.oldest_state)));
        field("transactions", format!("{} (about)", count(transactions)));
        for (store, figures) in &self.beside {
            field(store.name, figures.text());
        }
        field("all files", bytes(self.directory_bytes));
        field("free on the disk", bytes(self.free_bytes));
        match (self.growth_per_day(), self.days_left()) {
            (Some(growth), Some(days)) => {
                field("growth", format!("{} a day, by the blocks of the last 24 hours", bytes(growth)));
                field("the disk lasts", format!("{days} days at that rate"));
            }
            _ => field("growth", "not known yet: no blocks".to_owned()),
        }
    }
}

fn ratio(size: u64, number: u64) -> Option<f64> {
    (number > 0).then(|| (size as f64 / number as f64 * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use lonja_storage::Head;

    fn stats(blocks: u64, last_day: u64, seconds: u64, bodies: u64, bodies_last_day: u64) -> Stats {
        let figures = |table, file_bytes| TableFigures { table, rows: 0, file_bytes };
        Stats {
            chain: ChainFigures {
                head: Head { number: blocks, hash: B256::ZERO },
                head_timestamp: 0,
                oldest_state: 0,
                blocks_last_day: last_day,
                last_day_seconds: seconds,
            },
            tables: vec![
                figures(Table::Headers, 1_000),
                figures(Table::Bodies, bodies),
                figures(Table::AccountHistory, bodies / 2),
            ],
            bodies_last_day,
            directory_bytes: 0,
            log_bytes: 0,
            free_bytes: 10_000_000,
            beside: Vec::new(),
        }
    }

    #[test]
    fn growth_goes_by_what_the_last_day_took() {
        let day = DAY_SECONDS;
        assert_eq!(stats(0, 0, 0, 0, 0).growth_per_day(), None);
        assert_eq!(stats(100, 100, day, 1_000_000, 1_000_000).growth_per_day(), Some(1_501_000));
        // A quiet chain on which much happened in the last tenth of its blocks, and the other way round.
        assert_eq!(stats(100, 10, day, 1_000_000, 900_000).growth_per_day(), Some(1_350_100));
        assert_eq!(stats(100, 10, day, 1_000_000, 1_000).growth_per_day(), Some(1_600));
        // Half a day old.
        let young = stats(100, 100, day / 2, 1_000_000, 1_000_000);
        assert_eq!((young.growth_per_day(), young.days_left()), (Some(3_002_000), Some(3.3)));
    }
}
