//! A stream of reads beside the transactions, as wallets and explorers make them.

use super::contracts;
use super::ledger::Ledger;
use super::report::{Reads, Spread};
use super::rpc::Endpoint;
use alloy_primitives::Address;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Reads under way at the same time; what is held back beyond is counted.
const UNDER_WAY_MAX: usize = 128;

/// What is asked for, in turn.
const METHODS: [&str; 5] =
    ["eth_call", "eth_getBalance", "eth_getTransactionReceipt", "eth_getLogs", "eth_blockNumber"];

/// Asks for accounts, receipts and logs of the run, at a fixed rate.
pub struct Reader {
    ledger: Rc<RefCell<Ledger>>,
    endpoints: Vec<Endpoint>,
    accounts: Vec<Address>,
    /// The token that `eth_call` asks for balances; without it nothing is called.
    token: Option<Address>,
    held_back: Cell<u64>,
    seen: RefCell<BTreeMap<&'static str, Seen>>,
}

/// Answers to one method.
#[derive(Default)]
struct Seen {
    latencies: Vec<Answered>,
    errors: u64,
    last_error: Option<String>,
}

#[derive(Clone, Copy)]
struct Answered {
    at: Instant,
    took: Duration,
}

impl Reader {
    /// Reads at these nodes in turn.
    pub fn new(
        ledger: Rc<RefCell<Ledger>>,
        endpoints: Vec<Endpoint>,
        accounts: Vec<Address>,
        token: Option<Address>,
    ) -> Self {
        let (held_back, seen) = (Cell::new(0), RefCell::default());
        Self { ledger, endpoints, accounts, token, held_back, seen }
    }

    /// Asks so often until the given time. Must run inside a `LocalSet`.
    pub async fn run(self: Rc<Self>, per_second: u32, until: Instant) {
        let step = Duration::from_secs_f64(1.0 / f64::from(per_second.max(1)));
        let mut due = Instant::now();
        let mut tasks = JoinSet::new();
        for number in 0.. {
            if due >= until {
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            due += step;
            while tasks.try_join_next().is_some() {}
            if tasks.len() >= UNDER_WAY_MAX {
                self.held_back.set(self.held_back.get() + 1);
                continue;
            }
            let reader = self.clone();
            tasks.spawn_local(async move { reader.ask(number).await });
        }
        tasks.join_all().await;
    }

    async fn ask(&self, number: usize) {
        let (method, round) = (METHODS[number % METHODS.len()], number / METHODS.len());
        let Some(params) = self.params(method, round) else { return };
        let endpoint = &self.endpoints[number % self.endpoints.len()];
        let started = Instant::now();
        let answer = endpoint.call::<IgnoredAny>(method, params).await;
        let (took, at) = (started.elapsed(), Instant::now());
        let mut seen = self.seen.borrow_mut();
        let seen = seen.entry(method).or_default();
        match answer {
            Ok(_) => seen.latencies.push(Answered { at, took }),
            Err(error) => {
                seen.errors += 1;
                seen.last_error = Some(error.to_string());
            }
        }
    }

    /// Nothing for a question that cannot be put yet.
    fn params(&self, method: &str, round: usize) -> Option<Value> {
        let account = *self.accounts.get(round % self.accounts.len().max(1))?;
        Some(match method {
            "eth_call" => json!([{ "to": self.token?, "input": contracts::balance_of(account) }, "latest"]),
            "eth_getBalance" => json!([account, "latest"]),
            "eth_getTransactionReceipt" => json!([self.ledger.borrow().last_hash()?]),
            "eth_getLogs" => json!([{ "fromBlock": "latest", "toBlock": "latest" }]),
            _ => json!([]),
        })
    }

    /// What was answered within a time; errors and what was held back are those of the whole run.
    pub fn report(&self, from: Instant, to: Instant) -> Vec<Reads> {
        let mut all: Vec<Reads> = Vec::new();
        for (method, seen) in self.seen.borrow().iter() {
            let within = seen.latencies.iter().filter(|answered| (from..to).contains(&answered.at));
            let latencies: Vec<f64> = within.map(|answered| answered.took.as_secs_f64() * 1e3).collect();
            all.push(Reads {
                method: (*method).to_owned(),
                answered: latencies.len() as u64,
                errors: seen.errors,
                last_error: seen.last_error.clone(),
                latency_ms: Spread::of(latencies),
            });
        }
        all
    }

    /// Reads that were not made although it was time, because too many were under way.
    pub fn held_back(&self) -> u64 {
        self.held_back.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_cannot_be_put_yet_are_left_out() {
        let ledger = Rc::new(RefCell::new(Ledger::new(vec![Vec::new()], 0)));
        let account = Address::repeat_byte(1);
        let reader = |token| Reader::new(ledger.clone(), Vec::new(), vec![account], token);
        let without = reader(None);
        assert!(without.params("eth_call", 0).is_none());
        assert!(without.params("eth_getTransactionReceipt", 0).is_none());
        assert_eq!(without.params("eth_getBalance", 5), Some(json!([account, "latest"])));
        let call = reader(Some(Address::repeat_byte(2))).params("eth_call", 0).unwrap();
        assert!(call[0]["input"].as_str().unwrap().starts_with("0x70a08231"));
    }

    #[test]
    fn only_answers_of_the_window_count() {
        let ledger = Rc::new(RefCell::new(Ledger::new(Vec::new(), 0)));
        let reader = Reader::new(ledger, Vec::new(), Vec::new(), None);
        let start = Instant::now();
        let answered = |second, millis| Answered {
            at: start + Duration::from_secs(second),
            took: Duration::from_millis(millis),
        };
        let latencies = vec![answered(0, 900), answered(1, 7), answered(2, 9), answered(3, 800)];
        let seen = Seen { latencies, errors: 2, last_error: Some("no".into()) };
        reader.seen.borrow_mut().insert("eth_call", seen);
        let report = reader.report(start + Duration::from_secs(1), start + Duration::from_secs(3));
        assert_eq!((report[0].answered, report[0].errors), (2, 2));
        assert_eq!((report[0].latency_ms.p50, report[0].latency_ms.max), (7.0, 9.0));
    }
}
