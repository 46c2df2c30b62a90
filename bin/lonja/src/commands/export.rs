//! `lonja export`: writes a chain's blocks to a file.

use super::db::options;
use crate::files;
use crate::progress::Progress;
use clap::Args;
use eyre::{Result, WrapErr, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use lonja_node::chain_file::{BlockReader, export_block};
use lonja_storage::RocksKv;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Options of `lonja export`.
#[derive(Args, Debug)]
pub struct ExportCommand {
    /// File to write: blocks in RLP, oldest first, as other Ethereum clients export them; gzip if it ends in .gz
    file: PathBuf,
    /// Data directory of the node, which may run
    #[arg(long, env = "LONJA_DATA_DIR", default_value_os_t = files::default_data_dir())]
    data_dir: PathBuf,
    /// First block
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Last block [default: the newest]
    #[arg(long)]
    to: Option<u64>,
    /// Go on where an interrupted export ended; not for .gz
    #[arg(long)]
    resume: bool,
}

impl ExportCommand {
    /// Writes the blocks, and says how far it is.
    pub fn run(self) -> Result<()> {
        let (_, genesis) = files::read_genesis(&self.data_dir.join(files::GENESIS))?;
        let kv = Arc::new(RocksKv::open_read_only(&self.data_dir.join("db"), &options())?);
        let reader = lonja_storage::open(kv, &genesis)?.reader;
        let newest = reader.head().number;
        let to = self.to.unwrap_or(newest);
        if to > newest {
            bail!("block {to} is not there yet: the newest is {newest}");
        }
        let from = match self.resume {
            true => self.resume_at()?,
            false => self.from,
        };
        let oldest = reader.oldest_block();
        if from < oldest {
            bail!(
                "this node joined by a state: its oldest block is {oldest}. Run it until the blocks before are fetched \
                 (--backfill), or export with --from {oldest}"
            );
        }
        if from > to {
            println!("nothing to export: the next block would be {from}, the last is {to}");
            return Ok(());
        }
        let mut out = Output::open(&self.file, self.resume)?;
        let mut progress = Progress::new();
        for number in from..=to {
            let Some(block) = export_block(&reader, number)? else { bail!("block {number} is missing") };
            out.write(&block).wrap_err_with(|| format!("cannot write {}", self.file.display()))?;
            progress.show(|| format!("block {number} of {to}"));
        }
        out.finish().wrap_err_with(|| format!("cannot write {}", self.file.display()))?;
        progress.clear();
        println!("blocks {from} to {to} are in {}", self.file.display());
        Ok(())
    }

    /// The block after the last whole one of the file, whose torn end is cut off.
    fn resume_at(&self) -> Result<u64> {
        if is_gzip(&self.file) {
            bail!(
                "a compressed file cannot be gone on with: export the rest to another file with --from, or begin anew"
            );
        }
        if !self.file.exists() {
            return Ok(self.from);
        }
        let file = OpenOptions::new().read(true).write(true).open(&self.file);
        let file = file.wrap_err_with(|| format!("cannot open {}", self.file.display()))?;
        let mut blocks = BlockReader::new(BufReader::new(&file));
        let mut next = self.from;
        let mut end = 0;
        while let Some(Ok(block)) = blocks.next() {
            next = block.header.number.saturating_add(1);
            end = blocks.offset();
        }
        file.set_len(end)?;
        Ok(next)
    }
}

pub(super) fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

enum Output {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Output {
    /// An existing file is never overwritten.
    fn open(path: &Path, append: bool) -> Result<Self> {
        let mut open = OpenOptions::new();
        let file = match append {
            true => open.append(true).create(true).open(path),
            false => open.write(true).create_new(true).open(path),
        };
        let file = file.wrap_err_with(|| {
            format!("cannot make {} (an existing file is not overwritten; see --resume)", path.display())
        })?;
        let file = BufWriter::with_capacity(1 << 20, file);
        Ok(match is_gzip(path) {
            true => Self::Gzip(GzEncoder::new(file, Compression::default())),
            false => Self::Plain(file),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Gzip(file) => file.write_all(bytes),
        }
    }

    /// What was written is on the disk when this returns.
    fn finish(self) -> std::io::Result<()> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Gzip(file) => file.finish()?,
        };
        file.into_inner().map_err(|error| error.into_error())?.sync_all()
    }
}
