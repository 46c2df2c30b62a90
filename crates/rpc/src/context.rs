//! What the methods stand on: the node's readers and doors, and this crate's own queues, filters and caches.

use crate::blocks::{FullBlock, missing};
use crate::config::RpcLimits;
use crate::control::NodeControl;
use crate::error::{RpcError, StartError};
use crate::feed::HeadNews;
use crate::filters::Filters;
use crate::methods::accounts::sending::Turns;
use crate::params::BlockSelector;
use crate::privacy::{RpcPrivacy, Shared};
use crate::submit::Submitter;
use crate::workers::Workers;
use alloy_primitives::B256;
use lonja_accounts::Accounts;
use lonja_chain::Door;
use lonja_chain::private::extension::index::ExtensionIndex;
use lonja_primitives::{BlockRules, ChainSpec, RecoveredTransaction, SealedHeader};
use lonja_storage::{Head, Reader, StateAt};
use lonja_txpool::TxPool;
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};

/// What the node hands to the RPC.
#[derive(Clone)]
pub struct RpcContext {
    /// The chain.
    pub reader: Reader,
    /// Its rules.
    pub spec: Arc<ChainSpec>,
    /// Where transactions go in.
    pub door: Door,
    /// Where they wait.
    pub pool: Arc<Mutex<TxPool>>,
    /// The accounts that the node holds.
    pub accounts: Arc<Accounts>,
    /// The running node.
    pub control: Arc<dyn NodeControl>,
    /// The durable head; changes with every block.
    pub heads: watch::Receiver<Head>,
    /// Every transaction that newly came into the pool.
    pub transactions: broadcast::Sender<RecoveredTransaction>,
    /// Private transactions; `None` where the node has no manager for them.
    pub privacy: Option<Arc<RpcPrivacy>>,
    /// The metrics in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Blocks kept decoded for the receipts and transactions that clients ask for right after they are mined: bytes
/// of transactions and logs. A few hundred ordinary blocks, a hundredth of a small machine's memory.
const BLOCK_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Blocks in the cache, by the count it is sized for.
const BLOCK_CACHE_ITEMS: usize = 512;

/// News of heads that a slow subscriber may lag behind before it is dropped.
pub(crate) const HEAD_NEWS_WAITING: usize = 256;

/// Everything a method may use.
pub(crate) struct Context {
    pub(crate) node: RpcContext,
    pub(crate) limits: RpcLimits,
    pub(crate) workers: Workers,
    pub(crate) submitter: Submitter,
    /// Who of the node's accounts is sending.
    pub(crate) turns: Turns,
    /// What private transactions have in common.
    pub(crate) private: Shared,
    /// Extensions of private contracts that are not finished.
    pub(crate) extensions: Arc<Mutex<ExtensionIndex>>,
    /// Why accounts cannot be unlocked by clients, where they cannot.
    pub(crate) unlocking_refused: Option<String>,
    pub(crate) filters: Filters,
    pub(crate) news: broadcast::Sender<Arc<HeadNews>>,
    pub(crate) suggested_price: Mutex<Option<(B256, u128)>>,
    blocks: Cache<u64, Arc<FullBlock>, BlockWeight>,
}

#[derive(Clone, Copy, Debug)]
struct BlockWeight;

impl Weighter<u64, Arc<FullBlock>> for BlockWeight {
    fn weight(&self, _number: &u64, block: &Arc<FullBlock>) -> u64 {
        block.weight_bytes()
    }
}

impl Context {
    pub(crate) fn new(node: RpcContext, limits: RpcLimits) -> Result<Self, StartError> {
        let door = node.door.clone();
        let submitter =
            Submitter::start(&limits, move |raws| crate::methods::eth::submit_batch(&door, raws))?;
        Ok(Self {
            workers: Workers::new(&limits),
            submitter,
            turns: Turns::new(),
            private: Shared::new(),
            extensions: Arc::default(),
            unlocking_refused: None,
            filters: Filters::new(limits.filters, limits.filter_life),
            news: broadcast::channel(HEAD_NEWS_WAITING).0,
            suggested_price: Mutex::new(None),
            blocks: Cache::with_weighter(BLOCK_CACHE_ITEMS, BLOCK_CACHE_BYTES, BlockWeight),
            node,
            limits,
        })
    }

    /// The durable head.
    pub(crate) fn head(&self) -> Head {
        self.node.reader.head()
    }

    /// The height that is meant; `None` for a block that this node does not know.
    pub(crate) fn height(&self, selector: BlockSelector) -> Result<Option<u64>, RpcError> {
        let head = self.head().number;
        Ok(match selector {
            BlockSelector::Latest | BlockSelector::Pending => Some(head),
            BlockSelector::Earliest => Some(0),
            BlockSelector::Number(number) => Some(number).filter(|number| *number <= head),
            // A block that is written but not yet durable is not known to anybody but the writer.
            BlockSelector::Hash(hash) => self.node.reader.number_of(&hash)?.filter(|number| *number <= head),
        })
    }

    /// As [`Context::height`], where an unknown block is an error.
    pub(crate) fn known_height(&self, selector: BlockSelector) -> Result<u64, RpcError> {
        let unknown = || match selector {
            BlockSelector::Hash(_) => RpcError::Refused("header for hash not found".to_owned()),
            _ => RpcError::header_not_found(),
        };
        self.height(selector)?.ok_or_else(unknown)
    }

    /// The header of a height that is known.
    pub(crate) fn header(&self, number: u64) -> Result<SealedHeader, RpcError> {
        self.node.reader.header(number)?.ok_or_else(|| missing(&self.node.reader, "header", number))
    }

    /// The state after a height that is known.
    pub(crate) fn state(&self, number: u64) -> Result<StateAt, RpcError> {
        Ok(self.node.reader.state_at(number)?)
    }

    /// The rules that a header was made under.
    pub(crate) fn rules(&self, header: &SealedHeader) -> BlockRules {
        self.node.spec.rules_at(header.number, header.timestamp)
    }

    /// Says how much is left of the time of a heavy request that begins now.
    pub(crate) fn time_left(&self) -> impl Fn() -> Duration + Sync + use<> {
        let (started, time) = (Instant::now(), self.limits.call_time);
        move || time.saturating_sub(started.elapsed())
    }

    /// Says whether a heavy request that begins now has used up its time.
    pub(crate) fn time_limit(&self) -> impl Fn() -> bool + Sync + use<> {
        let left = self.time_left();
        move || left().is_zero()
    }

    /// A block with receipts and senders, kept for the next question about it.
    pub(crate) fn block(&self, number: u64) -> Result<Arc<FullBlock>, RpcError> {
        let block = self.passing_block(number)?;
        self.blocks.insert(number, Arc::clone(&block));
        Ok(block)
    }

    /// As [`Context::block`], for those who go through many blocks once and must not push out the recent ones.
    pub(crate) fn passing_block(&self, number: u64) -> Result<Arc<FullBlock>, RpcError> {
        match self.blocks.get(&number) {
            Some(block) => Ok(block),
            None => FullBlock::read(&self.node, number).map(Arc::new),
        }
    }
}
