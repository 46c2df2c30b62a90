//! Tells subscribers and filters about private logs, as the second pass comes to them: behind the public ones of the same
//! block, and also those of old blocks whose payloads turn up late. No log is told twice.

use super::RpcPrivacy;
use crate::context::{Context, HEAD_NEWS_WAITING};
use crate::error::RpcError;
use lonja_chain::history::LogFilter;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Transactions with logs that are remembered as told: as far back as these reach, what turns up late is told. Some hundred
/// kilobytes.
const TOLD_MAX: usize = 16_384;

/// How often, and how long each time, it waits for slow subscribers before they are dropped: as the feed of heads does.
const PATIENCE_STEPS: usize = 20;
const PATIENCE_STEP: Duration = Duration::from_millis(10);

/// Runs until stopped, or until the node's second pass is gone. Ends at once where there is none.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let Some(privacy) = context.node.privacy.clone() else { return };
    let mut status = privacy.status.clone();
    status.borrow_and_update();
    let mut teller = Teller::new(&privacy);
    loop {
        let (owned, asked) = (Arc::clone(&context), Arc::clone(&privacy));
        let looked = tokio::task::spawn_blocking(move || {
            if let Err(error) = teller.look(&owned, &asked) {
                // While the private state is led back there is no answer; the next step of the pass asks again.
                tracing::debug!(%error, "private logs are told later");
            }
            teller
        });
        teller = match looked.await {
            Ok(teller) => teller,
            Err(error) => {
                tracing::error!(%error, "subscribers miss private logs");
                Teller::new(&privacy)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}

/// What was told.
struct Teller {
    generation: u64,
    /// The first block that concerns those who listen now.
    since: u64,
    /// The first block that was not looked at.
    next: u64,
    /// Transactions whose logs were told: block, and place in it.
    told: BTreeSet<(u64, u32)>,
}

impl Teller {
    fn new(privacy: &RpcPrivacy) -> Self {
        let next = privacy.reader.head().number.saturating_add(1);
        Self { generation: privacy.reader.generation(), since: next, next, told: BTreeSet::new() }
    }

    fn look(&mut self, context: &Context, privacy: &RpcPrivacy) -> Result<(), RpcError> {
        if privacy.reader.generation() != self.generation {
            context.private.results.forget();
        }
        if context.private.news.receiver_count() == 0 && !context.filters.wait_for_logs() {
            *self = Self::new(privacy);
            return Ok(());
        }
        let (generation, head) = (privacy.reader.generation(), privacy.reader.head().number);
        // Led back: any block since may have become another.
        let mut from = if generation == self.generation { self.next } else { self.since };
        while let Some(number) = privacy.reader.next_block(from)?.filter(|number| *number <= head) {
            self.tell(context, privacy, number)?;
            from = number.saturating_add(1);
        }
        self.generation = generation;
        self.next = self.next.max(head.saturating_add(1));
        while self.told.len() > TOLD_MAX
            && let Some((number, _)) = self.told.pop_first()
        {
            self.since = self.since.max(number.saturating_add(1));
        }
        Ok(())
    }

    fn tell(&mut self, context: &Context, privacy: &RpcPrivacy, number: u64) -> Result<(), RpcError> {
        let block = context.block(number)?;
        let results = context.private.results.of(privacy, &block)?;
        let fresh: BTreeSet<u32> =
            results.with_logs().filter(|index| !self.told.contains(&(number, *index))).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let logs = results.logs(&block, &LogFilter::default(), &|index| fresh.contains(&index));
        self.told.extend(fresh.iter().map(|index| (number, *index)));
        if number < self.next {
            context.filters.late(fresh.iter().map(|index| (number, *index)));
        }
        // Nobody is left to hear it: nothing is lost.
        drop(context.private.news.send(Arc::new(logs)));
        wait_for_subscribers(context);
        Ok(())
    }
}

fn wait_for_subscribers(context: &Context) {
    for _ in 0..PATIENCE_STEPS {
        if context.private.news.len() < HEAD_NEWS_WAITING / 2 {
            return;
        }
        std::thread::sleep(PATIENCE_STEP);
    }
}
