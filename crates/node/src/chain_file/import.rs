//! Taking the blocks of a file into a chain: headers, seals and votes are verified and every transaction is
//! executed, as if the blocks came from peers.
//!
//! One thread reads and recovers senders, on all processors, while the other verifies and executes what was
//! read before.

use super::FileError;
use lonja_chain::{ChainCore, ChainError};
use lonja_consensus::{HeaderError, certify};
use lonja_primitives::extra::{ExtraError, block_hash};
use lonja_primitives::{Block, ChainSpec, RecoveredTransaction, TransactionError, transaction::recover_all};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use thiserror::Error;

/// A portion that is read and recovered at once ends with the block that fills it.
const PORTION_TRANSACTIONS: usize = 4_096;
const PORTION_BLOCKS: usize = 256;
/// Portions that wait: one, so that neither side stands still.
const PORTIONS_WAITING: usize = 1;

/// Why an import stops. What was imported before is in the chain and stays.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A header, seal or body breaks a rule.
    #[error("block {0}: {1}")]
    Header(u64, HeaderError),
    /// The extra data of a block that is to be compared with ours.
    #[error("block {0}: {1}")]
    Extra(u64, ExtraError),
    /// A transaction.
    #[error("block {0}: transaction {1}: {2}")]
    Transaction(u64, usize, TransactionError),
    /// Another chain.
    #[error("block {number} of the file is {theirs}, but this node has {ours}: the file is of another chain")]
    OtherChain {
        /// The height.
        number: u64,
        /// Hash in the file.
        theirs: alloy_primitives::B256,
        /// Hash here.
        ours: alloy_primitives::B256,
    },
    /// Blocks between ours and the file's are missing.
    #[error(
        "the file goes on with block {found}, but block {wanted} is the next: import the blocks before it first"
    )]
    Gap {
        /// The block that is needed.
        wanted: u64,
        /// The block that is there.
        found: u64,
    },
    /// Execution or the store.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// How far an import got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Blocks taken into the chain.
    pub blocks: u64,
    /// Their transactions.
    pub transactions: u64,
    /// Blocks that were there already.
    pub known: u64,
    /// The newest block of the chain.
    pub head: u64,
}

/// A block of the file with the senders of its transactions.
type Prepared = Result<(Block, Vec<RecoveredTransaction>), ImportError>;

/// Imports blocks in the order of the file; those that are in the chain already are compared and passed over, so that
/// an import can be begun again. Everything is durable when it returns, and whenever `report` is called: after each
/// portion, and `Break` stops there.
pub fn import(
    core: &mut ChainCore,
    spec: &ChainSpec,
    blocks: impl Iterator<Item = Result<Block, FileError>> + Send,
    report: &mut dyn FnMut(&ImportProgress) -> ControlFlow<()>,
) -> Result<ImportProgress, ImportError> {
    let head = core.position().head.number;
    let (sender, portions) = sync_channel(PORTIONS_WAITING);
    thread::scope(|scope| {
        scope.spawn(move || prepare(blocks, head, spec.chain_id, &sender));
        take(core, spec, portions, report)
    })
}

fn take(
    core: &mut ChainCore,
    spec: &ChainSpec,
    portions: Receiver<Vec<Prepared>>,
    report: &mut dyn FnMut(&ImportProgress) -> ControlFlow<()>,
) -> Result<ImportProgress, ImportError> {
    let mut progress = ImportProgress { head: core.position().head.number, ..ImportProgress::default() };
    for portion in portions {
        let taken = take_portion(core, spec, portion, &mut progress);
        core.sync_and_publish()?;
        taken?;
        if report(&progress).is_break() {
            break;
        }
    }
    Ok(progress)
}

fn take_portion(
    core: &mut ChainCore,
    spec: &ChainSpec,
    portion: Vec<Prepared>,
    progress: &mut ImportProgress,
) -> Result<(), ImportError> {
    for prepared in portion {
        let (block, transactions) = prepared?;
        let (number, position) = (block.header.number, core.position());
        let wanted = position.head.number.saturating_add(1);
        if number < wanted {
            compare(core, spec, &block)?;
            progress.known += 1;
            continue;
        }
        if number > wanted {
            return Err(ImportError::Gap { wanted, found: number });
        }
        let validators = position.votes.validators_for(spec, &block.header);
        let certified = validators
            .and_then(|validators| certify(spec, block, &position.head, &validators))
            .map_err(|error| ImportError::Header(number, error))?;
        progress.transactions += transactions.len() as u64;
        core.commit_recovered(&certified, transactions)?;
        progress.blocks += 1;
        progress.head = number;
    }
    Ok(())
}

fn compare(core: &ChainCore, spec: &ChainSpec, block: &Block) -> Result<(), ImportError> {
    let number = block.header.number;
    let theirs = block_hash(&block.header, spec.format_at(number))
        .map_err(|error| ImportError::Extra(number, error))?;
    let head = core.position().head.clone();
    let ours = match number == head.number {
        true => Some(head.hash()),
        false => core.reader().header(number).map_err(ChainError::from)?.map(|header| header.hash()),
    };
    match ours {
        Some(ours) if ours != theirs => Err(ImportError::OtherChain { number, theirs, ours }),
        _ => Ok(()),
    }
}

/// Reads and recovers portion after portion until the file ends, something is wrong, or nobody takes them.
fn prepare(
    mut blocks: impl Iterator<Item = Result<Block, FileError>>,
    head: u64,
    chain_id: u64,
    portions: &SyncSender<Vec<Prepared>>,
) {
    loop {
        let mut portion = Vec::new();
        let mut transactions = 0;
        while portion.len() < PORTION_BLOCKS && transactions < PORTION_TRANSACTIONS {
            let Some(block) = blocks.next() else { break };
            transactions += block.as_ref().map_or(0, |block| block.transactions.len());
            portion.push(block);
        }
        if portion.is_empty() || portions.send(recover(portion, head, chain_id)).is_err() {
            return;
        }
    }
}

/// Recovers the senders of all blocks above `head` at once: blocks may be small.
fn recover(portion: Vec<Result<Block, FileError>>, head: u64, chain_id: u64) -> Vec<Prepared> {
    let is_new = |block: &Block| block.header.number > head;
    let new = portion.iter().flatten().filter(|block| is_new(block));
    let mut recovered =
        recover_all(new.flat_map(|block| block.transactions.iter().cloned()).collect(), chain_id).into_iter();
    let prepare = |block: Result<Block, FileError>| {
        let block = block?;
        let number = block.header.number;
        let count = if is_new(&block) { block.transactions.len() } else { 0 };
        let transactions = recovered.by_ref().take(count).enumerate();
        let transactions: Result<_, ImportError> = transactions
            .map(|(index, result)| result.map_err(|error| ImportError::Transaction(number, index, error)))
            .collect();
        Ok((block, transactions?))
    };
    portion.into_iter().map(prepare).collect()
}
