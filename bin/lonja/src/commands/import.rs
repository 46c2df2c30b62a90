//! `lonja import`: takes the blocks of files into a chain.

use super::export::is_gzip;
use crate::files;
use crate::progress::Progress;
use crate::settings::{Kept, NodeArgs};
use clap::Args;
use eyre::{Result, WrapErr};
use flate2::read::MultiGzDecoder;
use lonja_chain::ChainCore;
use lonja_node::chain_file::{BlockReader, ImportProgress, import};
use lonja_node::rules;
use lonja_primitives::ChainSpec;
use lonja_storage::StoreOptions;
use lonja_txpool::{PoolConfig, TxPool};
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Options of `lonja import`.
#[derive(Args, Debug)]
pub struct ImportCommand {
    /// Files of blocks in RLP, oldest first, as Ethereum clients export them; gzip if they end in .gz
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Data directory; its node must be stopped
    #[arg(long, env = "LONJA_DATA_DIR", default_value_os_t = files::default_data_dir())]
    data_dir: PathBuf,
    /// Genesis file of the chain [default: the data directory's]
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// As the node's option of this name [default: as lonja.toml in the data directory says, or archive]
    #[arg(long, env = "LONJA_HISTORY", value_name = "BLOCKS")]
    history: Option<Kept>,
}

impl ImportCommand {
    /// Verifies and executes block after block. Stopped at any moment it can be run again: what is there is passed
    /// over.
    pub fn run(self) -> Result<()> {
        let path = self.genesis.clone().unwrap_or_else(|| self.data_dir.join(files::GENESIS));
        let (text, genesis) = files::read_genesis(&path)?;
        std::fs::create_dir_all(&self.data_dir)
            .wrap_err_with(|| format!("cannot make {}", self.data_dir.display()))?;
        let kv = lonja_storage::open_rocks(&self.data_dir.join("db"), &self.store_options()?)?;
        let spec = Arc::new(genesis.spec.clone());
        let pool = Arc::new(parking_lot::Mutex::new(TxPool::new(PoolConfig::default())));
        let mut core = ChainCore::open(lonja_storage::open(kv, &genesis)?, spec.clone(), pool)?;
        rules::accept(&self.data_dir, &text, &genesis, &core.position().head)?;
        for file in &self.files {
            import_file(&mut core, &spec, file)?;
        }
        let head = core.position().head.clone();
        println!("the newest block is {} {}", head.number, head.hash());
        Ok(())
    }

    /// Room and history as the node on this directory will have them.
    fn store_options(&self) -> Result<StoreOptions> {
        let asked =
            NodeArgs { data_dir: Some(self.data_dir.clone()), history: self.history, ..NodeArgs::default() };
        let settings = asked.resolve(None)?;
        Ok(StoreOptions {
            block_cache_bytes: settings.cache_mib.saturating_mul(1 << 20),
            history: settings.history.0,
            ..StoreOptions::default()
        })
    }
}

fn import_file(core: &mut ChainCore, spec: &ChainSpec, path: &Path) -> Result<()> {
    let file = File::open(path).wrap_err_with(|| format!("cannot open {}", path.display()))?;
    let input: Box<dyn Read + Send> = match is_gzip(path) {
        true => Box::new(BufReader::with_capacity(1 << 20, MultiGzDecoder::new(BufReader::new(file)))),
        false => Box::new(BufReader::with_capacity(1 << 20, file)),
    };
    let begun = Instant::now();
    let mut shown = Progress::new();
    let mut report = |progress: &ImportProgress| {
        shown.show(|| line(progress, begun));
        ControlFlow::Continue(())
    };
    let result = import(core, spec, BlockReader::new(input), &mut report);
    shown.clear();
    let progress = result.wrap_err_with(|| {
        let head = core.position().head.number;
        format!("{} (blocks up to {head} are in the chain and stay)", path.display())
    })?;
    println!("{}: {}", path.display(), line(&progress, begun));
    Ok(())
}

fn line(progress: &ImportProgress, begun: Instant) -> String {
    let seconds = begun.elapsed().as_secs_f64().max(0.001);
    let known = match progress.known {
        0 => String::new(),
        known => format!("{known} blocks were there, "),
    };
    format!(
        "{known}{} blocks with {} transactions imported up to block {}, {:.0} transactions/s",
        progress.blocks,
        progress.transactions,
        progress.head,
        progress.transactions as f64 / seconds,
    )
}
