//! Filters that clients poll (`eth_newFilter` and its kin): a bounded number, each with a limited life.

use crate::error::RpcError;
use crate::params::LogFilter;
use alloy_primitives::{B128, B256};
use lonja_primitives::RecoveredTransaction;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

/// All filters of the node.
#[derive(Debug)]
pub(crate) struct Filters {
    most: usize,
    life: Duration,
    by_id: Mutex<HashMap<B128, Filter>>,
}

#[derive(Debug)]
struct Filter {
    kind: Kind,
    asked_at: Instant,
}

/// What a filter waits for.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Hashes of blocks from `next` on.
    Blocks { next: u64 },
    /// Logs of blocks from these on.
    Logs { filter: LogFilter, from: LogsFrom },
    /// Transactions that come into the pool; hashes, or whole if `full`.
    Transactions { arrivals: broadcast::Receiver<RecoveredTransaction>, full: bool },
}

/// What a poll has to look for.
#[derive(Debug)]
pub(crate) enum Poll {
    Blocks { next: u64 },
    Logs { filter: LogFilter, from: LogsFrom },
    Transactions { arrived: Vec<RecoveredTransaction>, full: bool },
}

/// What of the logs was not handed out yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogsFrom {
    /// The next block for logs that everybody sees.
    pub(crate) next: u64,
    /// The next block for those of private transactions, which become known later.
    pub(crate) next_private: u64,
    /// Private transactions below that block that turned up late: block, and place in it.
    pub(crate) late: Vec<(u64, u32)>,
}

impl LogsFrom {
    /// Everything from a block on.
    pub(crate) fn block(number: u64) -> Self {
        Self { next: number, next_private: number, late: Vec::new() }
    }
}

/// Late transactions that a filter keeps for its next poll; of more, the first ones are forgotten.
const LATE_MAX: usize = 1_024;

/// Most transactions handed out by one poll; the rest comes with the next.
const TRANSACTIONS_PER_POLL: usize = 10_000;

impl Filters {
    pub(crate) fn new(most: usize, life: Duration) -> Self {
        Self { most, life, by_id: Mutex::new(HashMap::new()) }
    }

    /// Makes a filter; its id cannot be guessed by other clients.
    pub(crate) fn add(&self, kind: Kind) -> Result<B128, RpcError> {
        let mut by_id = self.by_id.lock();
        by_id.retain(|_, filter| filter.asked_at.elapsed() < self.life);
        if by_id.len() >= self.most {
            return Err(RpcError::Limit(format!(
                "too many filters: at most {} may exist at a time",
                self.most
            )));
        }
        let id = B128::random();
        by_id.insert(id, Filter { kind, asked_at: Instant::now() });
        Ok(id)
    }

    /// Whether there was such a filter.
    pub(crate) fn remove(&self, id: &B128) -> bool {
        self.by_id.lock().remove(id).is_some()
    }

    /// What to look for now. Asking keeps the filter alive.
    pub(crate) fn poll(&self, id: &B128) -> Result<Poll, RpcError> {
        let mut by_id = self.by_id.lock();
        let filter = self.living(&mut by_id, id)?;
        filter.asked_at = Instant::now();
        Ok(match &mut filter.kind {
            Kind::Blocks { next } => Poll::Blocks { next: *next },
            Kind::Logs { filter, from } => Poll::Logs { filter: filter.clone(), from: from.clone() },
            Kind::Transactions { arrivals, full } => {
                Poll::Transactions { arrived: arrived(arrivals), full: *full }
            }
        })
    }

    /// The log filter with this id. Asking keeps it alive; a filter of another kind is left as it is.
    pub(crate) fn log_filter(&self, id: &B128) -> Result<LogFilter, RpcError> {
        let mut by_id = self.by_id.lock();
        let found = self.living(&mut by_id, id)?;
        let Kind::Logs { filter, .. } = &found.kind else { return Err(not_found()) };
        let filter = filter.clone();
        found.asked_at = Instant::now();
        Ok(filter)
    }

    /// Everything below `next` has been handed out. Never goes back, so that two clients that poll at the same
    /// time see each block at least once.
    pub(crate) fn advance(&self, id: &B128, to: u64) {
        if let Some(filter) = self.by_id.lock().get_mut(id) {
            match &mut filter.kind {
                Kind::Blocks { next } | Kind::Logs { from: LogsFrom { next, .. }, .. } => {
                    *next = to.max(*next)
                }
                Kind::Transactions { .. } => {}
            }
        }
    }

    /// As [`Filters::advance`] for private logs: everything below `next`, and of these late ones.
    pub(crate) fn advance_private(&self, id: &B128, to: u64, handed_out: &[(u64, u32)]) {
        if let Some(Filter { kind: Kind::Logs { from, .. }, .. }) = self.by_id.lock().get_mut(id) {
            from.next_private = to.max(from.next_private);
            from.late.retain(|late| !handed_out.contains(late));
        }
    }

    /// Whether anybody polls for logs.
    pub(crate) fn wait_for_logs(&self) -> bool {
        let is_waiting = |filter: &Filter| {
            matches!(filter.kind, Kind::Logs { .. }) && filter.asked_at.elapsed() < self.life
        };
        self.by_id.lock().values().any(is_waiting)
    }

    /// Private transactions turned up whose blocks some filters are past.
    pub(crate) fn late(&self, places: impl Iterator<Item = (u64, u32)> + Clone) {
        for filter in self.by_id.lock().values_mut() {
            let Kind::Logs { from, .. } = &mut filter.kind else { continue };
            from.late.extend(places.clone().filter(|(number, _)| *number < from.next_private));
            let forgotten = from.late.len().saturating_sub(LATE_MAX);
            drop(from.late.drain(..forgotten));
        }
    }

    fn living<'a>(
        &self,
        by_id: &'a mut HashMap<B128, Filter>,
        id: &B128,
    ) -> Result<&'a mut Filter, RpcError> {
        if by_id.get(id).is_some_and(|filter| filter.asked_at.elapsed() >= self.life) {
            by_id.remove(id);
        }
        by_id.get_mut(id).ok_or_else(not_found)
    }
}

/// The text of geth, by which libraries know that they have to make a new filter.
fn not_found() -> RpcError {
    RpcError::Refused("filter not found".to_owned())
}

/// What arrived since the last poll. A client that polls too rarely loses the oldest, as everywhere.
fn arrived(arrivals: &mut broadcast::Receiver<RecoveredTransaction>) -> Vec<RecoveredTransaction> {
    let mut list = Vec::new();
    while list.len() < TRANSACTIONS_PER_POLL {
        match arrivals.try_recv() {
            Ok(transaction) => list.push(transaction),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    list
}

/// The hashes of transactions.
pub(crate) fn hashes(transactions: &[RecoveredTransaction]) -> Vec<B256> {
    transactions.iter().map(RecoveredTransaction::hash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CHAIN_ID, key, legacy};
    use alloy_primitives::TxKind;

    #[test]
    fn a_filter_lives_as_long_as_it_is_asked() {
        let filters = Filters::new(8, Duration::from_secs(3_600));
        let id = filters.add(Kind::Blocks { next: 7 }).unwrap();
        filters.advance(&id, 9);
        filters.advance(&id, 8);
        assert!(matches!(filters.poll(&id), Ok(Poll::Blocks { next: 9 })));
        assert_eq!(filters.log_filter(&id).unwrap_err().to_string(), "filter not found");
        assert!(filters.remove(&id));
        assert!(!filters.remove(&id));
        assert_eq!(filters.poll(&id).unwrap_err().to_string(), "filter not found");
    }

    #[test]
    fn asking_for_the_logs_of_another_filter_takes_nothing_from_it() {
        let filters = Filters::new(8, Duration::from_secs(3_600));
        let (news, arrivals) = broadcast::channel(4);
        let id = filters.add(Kind::Transactions { arrivals, full: false }).unwrap();
        let raw = legacy(&key(2), 0, TxKind::Create, 0, &[]);
        news.send(RecoveredTransaction::recover(raw, CHAIN_ID).unwrap()).unwrap();
        assert_eq!(filters.log_filter(&id).unwrap_err().to_string(), "filter not found");
        assert!(matches!(filters.poll(&id), Ok(Poll::Transactions { arrived, .. }) if arrived.len() == 1));
    }

    #[test]
    fn what_is_late_is_handed_out_once_and_bounded() {
        let filters = Filters::new(8, Duration::from_secs(3_600));
        assert!(!filters.wait_for_logs());
        let id = filters.add(Kind::Logs { filter: LogFilter::default(), from: LogsFrom::block(5) }).unwrap();
        assert!(filters.wait_for_logs());
        let polled = || match filters.poll(&id) {
            Ok(Poll::Logs { from, .. }) => from,
            other => panic!("{other:?}"),
        };
        filters.late([(4, 0), (5, 0)].into_iter());
        assert_eq!(polled().late, [(4, 0)], "the other is yet to come");
        filters.advance_private(&id, 9, &polled().late);
        filters.advance_private(&id, 7, &[]);
        filters.late([(8, 1), (9, 0)].into_iter());
        assert_eq!(polled(), LogsFrom { next: 5, next_private: 9, late: vec![(8, 1)] });
        filters.late((0..LATE_MAX as u32).map(|index| (8, index + 2)));
        assert_eq!((polled().late.len(), polled().late[0]), (LATE_MAX, (8, 2)));
    }

    #[test]
    fn the_number_is_bounded_and_dead_ones_make_room() {
        let filters = Filters::new(2, Duration::from_secs(3_600));
        filters.add(Kind::Blocks { next: 0 }).unwrap();
        filters.add(Kind::Blocks { next: 0 }).unwrap();
        assert_eq!(filters.add(Kind::Blocks { next: 0 }).unwrap_err().code(), -32005);

        let short = Filters::new(1, Duration::ZERO);
        let id = short.add(Kind::Blocks { next: 0 }).unwrap();
        assert!(short.poll(&id).is_err());
        assert!(short.add(Kind::Blocks { next: 0 }).is_ok());
        assert!(short.add(Kind::Blocks { next: 0 }).is_ok());
    }
}
