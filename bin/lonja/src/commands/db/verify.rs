//! `lonja db verify`.

use super::{Place, count, options};
use crate::progress::Progress;
use clap::Args;
use eyre::{Context, Result};
use lonja_storage::{Audit, AuditProgress, RocksKv, Stage, Table, record};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Where an interrupted run is gone on with: JSON behind its length and sum, for with a damaged figure something would
/// be left out.
const PROGRESS_FILE: &str = "verify-progress";

/// Options of `lonja db verify`.
#[derive(Args, Debug)]
pub struct VerifyCommand {
    #[command(flatten)]
    place: Place,
    /// Begin anew instead of going on where the last run was stopped
    #[arg(long)]
    restart: bool,
}

/// What is written down between two runs.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// The newest block when the state was looked at: another state has to be looked at from the beginning.
    head: String,
    tables: usize,
    key: String,
    rows: u64,
    block: u64,
    transactions: u64,
    parts: u16,
    accounts: u64,
    slots: u64,
}

impl VerifyCommand {
    /// Looks at everything and says what was found; an error is the first thing that is wrong.
    pub fn run(self) -> Result<()> {
        let genesis = self.place.genesis()?;
        let kv = Arc::new(RocksKv::open_read_only(&self.place.database(), &options())?);
        let rows: u64 = kv.figures()?.iter().map(|table| table.rows).sum();
        let audit = Audit::open(kv, genesis.spec)?;
        let file = self.place.data_dir.join(PROGRESS_FILE);
        let mut progress = match self.restart {
            true => AuditProgress::default(),
            false => load(&file, &audit).unwrap_or_default(),
        };
        if progress != AuditProgress::default() {
            println!("going on with the run that was stopped (--restart begins anew)");
        }
        let mut shown = Progress::new();
        let mut pace = Pace::begin(audit.stage(&progress), done(&audit, &progress, rows));
        while audit.stage(&progress) != Stage::Done {
            audit.step(&mut progress)?;
            let done = done(&audit, &progress, rows);
            if shown.show(|| {
                format!("{}{}", line(&audit, &progress, done), pace.left(audit.stage(&progress), done))
            }) {
                save(&file, &audit, &progress)?;
            }
        }
        shown.clear();
        let beside = self.place.beside();
        let beside: Vec<String> =
            beside.iter().map(|store| store.verify(&self.place)).collect::<Result<_>>()?;
        // Nothing to go on with; where it was never written there is nothing to remove.
        drop(fs::remove_file(&file));
        println!(
            "all is well: {} rows, {} blocks with {} transactions, {} accounts with {} slots; block {} {}",
            count(progress.rows),
            count(progress.block),
            count(progress.transactions),
            count(progress.accounts),
            count(progress.slots),
            count(audit.head().number),
            audit.head().hash,
        );
        beside.iter().for_each(|line| println!("{line}"));
        Ok(())
    }
}

/// How much of the stage is done, from 0 to 1; `rows` are those of all tables, about.
fn done(audit: &Audit, progress: &AuditProgress, rows: u64) -> f64 {
    let done = match audit.stage(progress) {
        Stage::Rows => progress.rows as f64 / rows.max(1) as f64,
        Stage::Blocks => progress.block as f64 / audit.head().number.saturating_add(1) as f64,
        Stage::State => f64::from(progress.parts) / 256.0,
        Stage::Done => 1.0,
    };
    done.min(1.0)
}

fn line(audit: &Audit, progress: &AuditProgress, done: f64) -> String {
    let percent = done * 100.0;
    match audit.stage(progress) {
        Stage::Rows => {
            let (table, tables) = (progress.tables + 1, Table::CHAIN.len());
            format!(
                "step 1 of 3, rows: {percent:.0} %, table {table} of {tables}, {} rows",
                count(progress.rows)
            )
        }
        Stage::Blocks => {
            let (block, head) = (count(progress.block), count(audit.head().number));
            format!("step 2 of 3, blocks: {percent:.0} %, {block} of {head}")
        }
        Stage::State => {
            let (accounts, slots) = (count(progress.accounts), count(progress.slots));
            format!("step 3 of 3, state: {percent:.0} %, {accounts} accounts, {slots} slots")
        }
        Stage::Done => "done".to_owned(),
    }
}

/// How fast a stage goes, for saying when it ends.
struct Pace {
    stage: Stage,
    begun: Instant,
    /// How much was done then.
    from: f64,
}

impl Pace {
    fn begin(stage: Stage, from: f64) -> Self {
        Self { stage, begun: Instant::now(), from }
    }

    /// The time left for the stage, once there is something to go by.
    fn left(&mut self, stage: Stage, done: f64) -> String {
        if stage != self.stage {
            *self = Self::begin(stage, done);
        }
        let gained = done - self.from;
        if gained <= 0.0 {
            return String::new();
        }
        let seconds = self.begun.elapsed().as_secs_f64() * (1.0 - done) / gained;
        match seconds as u64 {
            seconds @ 0..120 => format!(", {seconds} s left"),
            seconds @ 120..7_200 => format!(", {} min left", seconds / 60),
            seconds => format!(", {} h left", seconds / 3_600),
        }
    }
}

fn save(file: &Path, audit: &Audit, progress: &AuditProgress) -> Result<()> {
    let saved = Saved {
        head: audit.head().hash.to_string(),
        tables: progress.tables,
        key: alloy_primitives::hex::encode(&progress.key),
        rows: progress.rows,
        block: progress.block,
        transactions: progress.transactions,
        parts: progress.parts,
        accounts: progress.accounts,
        slots: progress.slots,
    };
    let mut bytes = Vec::new();
    record::encode(serde_json::to_string(&saved)?.as_bytes(), &mut bytes);
    fs::write(file, bytes).wrap_err_with(|| format!("cannot write {}", file.display()))
}

/// `None` for no file, or one that says nothing sensible: then all is looked at.
fn load(file: &Path, audit: &Audit) -> Option<AuditProgress> {
    let saved = decode(&fs::read(file).ok()?)?;
    let same_state = saved.head == audit.head().hash.to_string();
    let state = |figure: u64| if same_state { figure } else { 0 };
    Some(AuditProgress {
        tables: saved.tables,
        key: alloy_primitives::hex::decode(&saved.key).ok()?,
        rows: saved.rows,
        block: saved.block,
        transactions: saved.transactions,
        parts: if same_state { saved.parts } else { 0 },
        accounts: state(saved.accounts),
        slots: state(saved.slots),
    })
}

fn decode(bytes: &[u8]) -> Option<Saved> {
    serde_json::from_slice(record::decode_all(bytes).0.first()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn damaged_progress_counts_for_nothing() {
        let text = r#"{"head":"0x1","tables":3,"key":"00","rows":7,"block":9,"transactions":1,"parts":0,"accounts":0,"slots":0}"#;
        let mut bytes = Vec::new();
        record::encode(text.as_bytes(), &mut bytes);
        assert_eq!(decode(&bytes).map(|saved| saved.block), Some(9));
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(decode(&damaged).is_none(), "byte {place}");
        }
    }

    #[test]
    fn the_time_left_goes_by_the_pace_of_the_stage() {
        let mut pace = Pace::begin(Stage::Rows, 0.0);
        assert_eq!(pace.left(Stage::Rows, 0.0), "", "nothing to go by");
        pace.begun -= Duration::from_secs(100);
        assert_eq!(pace.left(Stage::Rows, 0.5), ", 100 s left");
        assert_eq!(pace.left(Stage::Rows, 0.1), ", 15 min left");
        assert_eq!(pace.left(Stage::Rows, 0.001), ", 27 h left");
        assert_eq!(pace.left(Stage::Blocks, 0.2), "", "another stage has its own pace");
        pace.begun -= Duration::from_secs(10);
        assert_eq!(pace.left(Stage::Blocks, 0.6), ", 10 s left");
    }
}
