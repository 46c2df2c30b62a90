//! What private transactions gave in a block, laid over what everybody sees of them.

use super::RpcPrivacy;
use crate::blocks::FullBlock;
use crate::context::Context;
use crate::error::RpcError;
use crate::view::ReceiptView;
use alloy_consensus::Transaction as _;
use alloy_primitives::keccak256;
use lonja_chain::history::{FoundLog, LogFilter, Outcome};
use lonja_primitives::Transaction;
use lonja_primitives::spec::MARKER_PRECOMPILE;
use lonja_primitives::transaction::is_private;
use lonja_storage::PrivateReceipt;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Results kept decoded for clients that ask for one receipt of a block after the other: a quarter of what whole blocks get.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
const CACHE_ITEMS: usize = 512;

/// What a receipt and a log cost in the cache beyond their bytes.
const ITEM_BYTES: usize = 256;

/// What the private transactions of a block gave here, by index.
pub(crate) struct Results {
    generation: u64,
    placed: Vec<Placed>,
}

/// What one gave, and where its logs stand.
pub(crate) struct Placed {
    index: u32,
    /// Behind all logs that everybody sees of the block, so that no two have the same place.
    pub(crate) first_log_index: u32,
    pub(crate) receipt: PrivateReceipt,
}

/// Results that were asked for lately.
pub(crate) struct RecentResults(Cache<u64, Arc<Results>, Weight>);

#[derive(Clone, Copy)]
struct Weight;

impl Weighter<u64, Arc<Results>> for Weight {
    fn weight(&self, _number: &u64, results: &Arc<Results>) -> u64 {
        let bytes = |placed: &Placed| {
            let logs = placed.receipt.logs.iter();
            let logs: usize = logs.map(|log| log.data.data.len().saturating_add(ITEM_BYTES)).sum();
            logs.saturating_add(placed.receipt.output.len()).saturating_add(ITEM_BYTES)
        };
        results.placed.iter().map(bytes).sum::<usize>().saturating_add(ITEM_BYTES) as u64
    }
}

impl RecentResults {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(CACHE_ITEMS, CACHE_BYTES, Weight))
    }

    /// Gives up what may not hold any more, or was erased.
    pub(crate) fn forget(&self) {
        self.0.clear();
    }

    /// What the private transactions of a block gave; of a block that the second pass is past.
    pub(crate) fn of(&self, privacy: &RpcPrivacy, block: &FullBlock) -> Result<Arc<Results>, RpcError> {
        let number = block.header.number;
        let generation = privacy.reader.generation();
        if let Some(known) = self.0.get(&number).filter(|known| known.generation == generation) {
            return Ok(known);
        }
        let results = Arc::new(Results::read(privacy, block)?);
        if privacy.reader.head().number >= number {
            self.0.insert(number, Arc::clone(&results));
        }
        Ok(results)
    }
}

impl Results {
    /// Reads what there is now.
    pub(crate) fn read(privacy: &RpcPrivacy, block: &FullBlock) -> Result<Self, RpcError> {
        let generation = privacy.reader.generation();
        let receipts = privacy.reader.receipts(block.header.number)?;
        let mut next_log: u32 = block.receipts.iter().map(|receipt| count(receipt.logs.len())).sum();
        let mut placed = Vec::with_capacity(receipts.len());
        for (index, receipt) in receipts {
            let first_log_index = next_log;
            next_log = next_log.saturating_add(count(receipt.logs.len()));
            placed.push(Placed { index, first_log_index, receipt });
        }
        Ok(Self { generation, placed })
    }

    /// What the transaction at this place gave; `None` where it is not ours.
    pub(crate) fn at(&self, index: u32) -> Option<&Placed> {
        let place = self.placed.binary_search_by_key(&index, |placed| placed.index);
        place.ok().and_then(|place| self.placed.get(place))
    }

    /// Places of those that left logs.
    pub(crate) fn with_logs(&self) -> impl Iterator<Item = u32> + '_ {
        self.placed.iter().filter(|placed| !placed.receipt.logs.is_empty()).map(|placed| placed.index)
    }

    /// The logs that the filter takes, of the transactions that `takes` takes, in order.
    pub(crate) fn logs(
        &self,
        block: &FullBlock,
        filter: &LogFilter,
        takes: &dyn Fn(u32) -> bool,
    ) -> Vec<FoundLog> {
        let mut found = Vec::new();
        for Placed { index, first_log_index, receipt } in self.placed.iter().filter(|one| takes(one.index)) {
            let mut hash = None;
            for (log_index, log) in (*first_log_index..).zip(&receipt.logs) {
                if !filter.matches(log) {
                    continue;
                }
                let raw = block.transactions.get(*index as usize);
                found.push(FoundLog {
                    log: log.clone(),
                    block_number: block.header.number,
                    block_hash: block.header.hash(),
                    block_timestamp: block.header.timestamp,
                    transaction_hash: *hash.get_or_insert_with(|| raw.map(keccak256).unwrap_or_default()),
                    transaction_index: *index,
                    log_index,
                });
            }
        }
        found
    }
}

fn count(logs: usize) -> u32 {
    u32::try_from(logs).unwrap_or(u32::MAX)
}

/// How a transaction concerns what is private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    Marker,
}

/// Whether a transaction has nothing to do with what is private.
pub(super) fn is_public(block: &FullBlock, tx: &Transaction) -> bool {
    kind(block, tx) == Kind::Public
}

fn kind(block: &FullBlock, tx: &Transaction) -> Kind {
    let rules = block.rules();
    let marks = || rules.privacy.markers.is_some() && tx.to() == Some(MARKER_PRECOMPILE);
    match rules.privacy.transactions && is_private(tx, rules.chain_id) {
        true => Kind::Private,
        false if marks() => Kind::Marker,
        false => Kind::Public,
    }
}

/// The receipt at this place. `None` behind the last, and while the second pass has not come so far: what it will say is not
/// known yet.
pub(crate) fn receipt(
    context: &Context,
    block: &FullBlock,
    index: u32,
) -> Result<Option<ReceiptView>, RpcError> {
    match block.outcome(index)? {
        Some(outcome) => seen(context, block, &outcome),
        None => Ok(None),
    }
}

/// All receipts of a block in order, or `None` while one of them is not known.
pub(crate) fn receipts(context: &Context, block: &FullBlock) -> Result<Option<Vec<ReceiptView>>, RpcError> {
    block.outcomes()?.iter().map(|outcome| seen(context, block, outcome)).collect()
}

/// A receipt as this node sees it: of a private transaction that it is a party to, what the payload gave.
fn seen(context: &Context, block: &FullBlock, outcome: &Outcome) -> Result<Option<ReceiptView>, RpcError> {
    let mut view = block.receipt(outcome);
    if !context.node.spec.privacy.iter().any(|(_, rules)| rules.transactions) {
        return Ok(Some(view));
    }
    let kind = kind(block, &outcome.transaction);
    view.is_privacy_marker_transaction = Some(kind == Kind::Marker);
    let Some(privacy) = context.node.privacy.as_ref().filter(|_| kind != Kind::Public) else {
        return Ok(Some(view));
    };
    if !privacy.comes_to(block.header.number) {
        return Ok(None);
    }
    if kind == Kind::Private {
        let results = context.private.results.of(privacy, block)?;
        if let Some(placed) = results.at(outcome.index) {
            view.lay_over(&block.header, outcome, placed);
        }
    }
    Ok(Some(view))
}
