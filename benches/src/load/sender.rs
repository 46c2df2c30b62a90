//! Offering transactions: at a fixed rate whatever the network does, or as fast as it takes them.

use super::ledger::Ledger;
use super::rpc::{self, Endpoint};
use super::workload::Workload;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Requests under way at the same time at a fixed rate. Beyond that the network is so far behind that sending more would
/// only measure this tool's memory; the rate is then missed, and the report shows it.
const UNDER_WAY_MAX: usize = 512;
/// How long a saturating sender pauses when enough is outstanding.
const PAUSE: Duration = Duration::from_millis(5);

/// How often holes are looked for at the end.
const HOLES_LOOK: Duration = Duration::from_millis(500);

/// How transactions are offered.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many per second.
    Rate(u32),
    /// As many as are taken: so many connections send one batch after the other while fewer than `outstanding`
    /// transactions wait to be finalised.
    Saturate {
        /// Requests under way at the same time.
        connections: usize,
        /// Bound of what waits.
        outstanding: usize,
    },
}

/// Sends a workload. The accounts take turns in groups of one batch each. What is refused is offered again at the
/// account's next turn, before anything later of that account: a later nonce would be of no use alone.
pub struct Sender {
    workload: Rc<Workload>,
    ledger: Rc<RefCell<Ledger>>,
    endpoints: Vec<Endpoint>,
    batch: usize,
    /// The nonce that each account offers next.
    next: RefCell<Vec<usize>>,
    /// The group whose turn it is.
    turn: Cell<usize>,
    exhausted: Cell<bool>,
}

impl Sender {
    /// Sends to these nodes.
    pub fn new(
        workload: Rc<Workload>,
        ledger: Rc<RefCell<Ledger>>,
        endpoints: Vec<Endpoint>,
        batch: usize,
    ) -> Self {
        let next = RefCell::new(vec![0; workload.accounts()]);
        let (turn, exhausted) = (Cell::new(0), Cell::new(false));
        Self { workload, ledger, endpoints, batch, next, turn, exhausted }
    }

    /// Whether everything that was signed has been sent.
    pub fn exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// Offers transactions until the given time. Must run inside a `LocalSet`.
    pub async fn run(self: Rc<Self>, pace: Pace, until: Instant) {
        match pace {
            Pace::Rate(rate) => self.at_rate(rate, until).await,
            Pace::Saturate { connections, outstanding } => {
                let mut tasks = JoinSet::new();
                for _ in 0..connections {
                    let sender = self.clone();
                    tasks.spawn_local(async move { sender.saturate(outstanding, until).await });
                }
                tasks.join_all().await;
            }
        }
    }

    async fn at_rate(self: Rc<Self>, rate: u32, until: Instant) {
        let step = Duration::from_secs_f64(self.batch as f64 / f64::from(rate));
        let mut due = Instant::now();
        let mut tasks = JoinSet::new();
        while due < until {
            tokio::time::sleep_until(due.into()).await;
            due += step;
            while tasks.try_join_next().is_some() {}
            if tasks.len() >= UNDER_WAY_MAX {
                continue;
            }
            let Some((indexes, body)) = self.take() else { break };
            let sender = self.clone();
            tasks.spawn_local(async move { sender.send(&indexes, body).await });
        }
        tasks.join_all().await;
    }

    async fn saturate(&self, outstanding: usize, until: Instant) {
        while Instant::now() < until {
            if self.ledger.borrow().outstanding() >= outstanding {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let Some((indexes, body)) = self.take() else { return };
            self.send(&indexes, body).await;
        }
    }

    /// Offers again what was refused and has later transactions of its account waiting behind it, and nothing new. Does not
    /// end while there may be any. Must run inside a `LocalSet`.
    pub async fn fill_holes(&self) {
        loop {
            let holes = self.holes();
            for indexes in holes.chunks(self.batch) {
                self.send(indexes, self.workload.request(indexes)).await;
            }
            tokio::time::sleep(HOLES_LOOK).await;
        }
    }

    fn holes(&self) -> Vec<usize> {
        let (next, ledger) = (self.next.borrow(), self.ledger.borrow());
        let mut holes = Vec::new();
        for account in 0..self.workload.accounts() {
            let from_next = (next[account]..).map_while(|nonce| self.workload.index(account, nonce));
            let offered: Vec<usize> = from_next.take_while(|index| ledger.was_offered(*index)).collect();
            let last_taken = offered.iter().rposition(|index| ledger.is_taken(*index)).unwrap_or(0);
            holes.extend(offered.into_iter().take(last_taken).filter(|index| ledger.is_refused(*index)));
        }
        holes
    }

    /// The transactions of the next group that has any, and their request.
    fn take(&self) -> Option<(Vec<usize>, Bytes)> {
        let groups = self.workload.accounts() / self.batch;
        for _ in 0..groups {
            let group = self.turn.get();
            self.turn.set((group + 1) % groups);
            let indexes = self.of_group(group);
            if !indexes.is_empty() {
                let request = self.workload.request(&indexes);
                return Some((indexes, request));
            }
        }
        self.exhausted.set(true);
        None
    }

    fn of_group(&self, group: usize) -> Vec<usize> {
        let (mut next, ledger) = (self.next.borrow_mut(), self.ledger.borrow());
        let accounts = group * self.batch..(group + 1) * self.batch;
        let of_account = |account: usize| {
            while let Some(index) = self.workload.index(account, next[account]) {
                next[account] += 1;
                if !ledger.is_taken(index) {
                    return Some(index);
                }
            }
            None
        };
        accounts.filter_map(of_account).collect()
    }

    fn refused(&self, index: usize, reason: &str) {
        if self.ledger.borrow_mut().refused(index, reason) {
            let (account, nonce) = self.workload.place(index);
            let next = &mut self.next.borrow_mut()[account];
            *next = nonce.min(*next);
        }
    }

    async fn send(&self, indexes: &[usize], body: Bytes) {
        let Some(first) = indexes.first() else { return };
        let endpoint = &self.endpoints[self.workload.endpoint(*first, self.endpoints.len())];
        self.ledger.borrow_mut().offering(indexes, Instant::now());
        let answers = match endpoint.post(body).await {
            Ok((bytes, _)) => rpc::answers(&bytes),
            Err(error) => Err(error),
        };
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                let reason = format!("no answer: {error}");
                indexes.iter().for_each(|index| self.refused(*index, &reason));
                return;
            }
        };
        let mut unanswered: BTreeSet<usize> = indexes.iter().copied().collect();
        for answer in &answers {
            let index = answer.id.and_then(|id| usize::try_from(id).ok()).filter(|id| unanswered.remove(id));
            let Some(index) = index else { continue };
            match &answer.error {
                Some(error) if !is_known(&error.message) => self.refused(index, &error.message),
                _ => self.ledger.borrow_mut().accepted(index),
            }
        }
        let whole = answers.iter().find_map(|answer| answer.error.as_ref().filter(|_| answer.id.is_none()));
        let reason = whole.map_or("no answer to this one in the batch", |error| &error.message);
        unanswered.iter().for_each(|index| self.refused(*index, reason));
    }
}

/// The node has it, from an earlier offer whose answer got lost, or from a peer.
fn is_known(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["already known", "known transaction", "already imported"].iter().any(|text| message.contains(text))
}
