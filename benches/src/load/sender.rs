//! Offering transactions: at a fixed rate whatever the network does, or as fast as it takes them.

use super::ledger::{self, Ledger};
use super::rpc::{self, Answer, Endpoint};
use super::signing::Signing;
use bytes::Bytes;
use eyre::Result;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Requests under way at the same time at a fixed rate. Beyond that the network is so far behind that sending more would
/// only measure this tool's memory; what is held back is counted.
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

/// Sends transactions. The accounts take turns in groups of one batch each, those first that wait for no answer: what
/// follows in an account while its earlier transaction may yet be refused is of no use alone. What was refused is offered
/// again at the account's next turn, before anything later.
pub struct Sender {
    ledger: Rc<RefCell<Ledger>>,
    signing: Rc<Signing>,
    endpoints: Vec<Endpoint>,
    batch: usize,
    /// The group whose turn it is.
    turn: Cell<usize>,
    /// Requests without an answer, by group.
    unanswered: RefCell<Vec<u32>>,
}

impl Sender {
    /// Sends to these nodes. The number of accounts must be a multiple of `batch`.
    pub fn new(
        ledger: Rc<RefCell<Ledger>>,
        signing: Rc<Signing>,
        endpoints: Vec<Endpoint>,
        batch: usize,
    ) -> Self {
        let groups = ledger.borrow().accounts() / batch;
        let (turn, unanswered) = (Cell::new(0), RefCell::new(vec![0; groups]));
        Self { ledger, signing, endpoints, batch, turn, unanswered }
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
                self.ledger.borrow_mut().held_back(self.batch);
                continue;
            }
            let Some((numbers, body)) = self.take() else {
                self.ledger.borrow_mut().unsigned(self.batch);
                continue;
            };
            let sender = self.clone();
            tasks.spawn_local(async move { sender.send(&numbers, body).await });
        }
        tasks.join_all().await;
    }

    async fn saturate(&self, outstanding: usize, until: Instant) {
        while Instant::now() < until {
            if self.ledger.borrow().outstanding() >= outstanding {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            match self.take() {
                Some((numbers, body)) => self.send(&numbers, body).await,
                None => {
                    self.ledger.borrow_mut().unsigned(self.batch);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Offers again what was refused and has later transactions of its account waiting behind it, and nothing new. Does not
    /// end while there may be any. Must run inside a `LocalSet`.
    pub async fn fill_holes(&self) {
        loop {
            let holes = self.ledger.borrow().holes();
            for numbers in holes.chunks(self.batch) {
                let body = self.ledger.borrow().request(numbers);
                self.send(numbers, body).await;
            }
            tokio::time::sleep(HOLES_LOOK).await;
        }
    }

    /// The transactions of the next group that has any, and their request.
    fn take(&self) -> Option<(Vec<u64>, Bytes)> {
        self.take_of(|unanswered| unanswered == 0).or_else(|| self.take_of(|unanswered| unanswered > 0))
    }

    /// The same, of groups with such a number of requests without an answer.
    fn take_of(&self, wanted: fn(u32) -> bool) -> Option<(Vec<u64>, Bytes)> {
        let groups = self.unanswered.borrow().len();
        for _ in 0..groups {
            let group = self.turn.get();
            self.turn.set((group + 1) % groups);
            if !wanted(self.unanswered.borrow()[group]) {
                continue;
            }
            let numbers = self.of_group(group);
            if !numbers.is_empty() {
                let body = self.ledger.borrow().request(&numbers);
                return Some((numbers, body));
            }
        }
        None
    }

    fn of_group(&self, group: usize) -> Vec<u64> {
        let mut ledger = self.ledger.borrow_mut();
        let mut numbers = Vec::with_capacity(self.batch);
        for account in group * self.batch..(group + 1) * self.batch {
            numbers.extend(ledger.take(account));
            if let Some(nonces) = ledger.order(account) {
                self.signing.order(account, nonces);
            }
        }
        numbers
    }

    async fn send(&self, numbers: &[u64], body: Bytes) {
        let Some(first) = numbers.first() else { return };
        let group = self.ledger.borrow().place(*first).0 / self.batch;
        // Always the same node for one account, so that its nonces arrive in order.
        let endpoint = &self.endpoints[group % self.endpoints.len()];
        self.ledger.borrow_mut().offering(numbers, Instant::now());
        self.unanswered.borrow_mut()[group] += 1;
        let answers = match endpoint.post(body).await {
            Ok((bytes, _)) => rpc::answers(&bytes),
            Err(error) => Err(error),
        };
        self.unanswered.borrow_mut()[group] -= 1;
        self.enter(numbers, answers);
    }

    fn enter(&self, numbers: &[u64], answers: Result<Vec<Answer>>) {
        let mut ledger = self.ledger.borrow_mut();
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                let reason = format!("no answer: {error}");
                numbers.iter().for_each(|number| ledger.refused(*number, &reason));
                return;
            }
        };
        let mut unanswered: BTreeSet<u64> = numbers.iter().copied().collect();
        for answer in &answers {
            let Some(number) = answer.id.filter(|id| unanswered.remove(id)) else { continue };
            match &answer.error {
                Some(error) if !is_known(&error.message) => {
                    ledger.refused(number, &ledger::reason(error));
                }
                _ => ledger.accepted(number),
            }
        }
        let whole = answers.iter().find_map(|answer| answer.error.as_ref().filter(|_| answer.id.is_none()));
        let reason = whole.map_or("no answer to this one in the batch".into(), ledger::reason);
        unanswered.iter().for_each(|number| ledger.refused(*number, &reason));
    }
}

/// The node has it, from an earlier offer whose answer got lost, or from a peer.
fn is_known(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let texts = ["already known", "known transaction", "already imported"];
    texts.iter().any(|text| message.contains(text)) && !message.contains("unknown")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_transaction_that_the_node_has_is_not_refused() {
        for known in ["already known", "Known transaction", "transaction already imported"] {
            assert!(super::is_known(known), "{known}");
        }
        assert!(!super::is_known("nonce too low") && !super::is_known("unknown transaction type"));
    }
}
