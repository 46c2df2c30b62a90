//! One measurement of private transactions.

use super::book::{Book, Stand};
use super::client::{Account, Client};
use super::network::{Member, Network};
use super::table::Case;
use super::{PrivateCommand, Way};
use crate::load::meter::Meter;
use crate::load::report::{self, Blocks, Report, Spread, Tool, Transactions};
use crate::load::rpc;
use crate::load::run::{DRAIN_LOOK, DRAIN_TIMEOUT};
use crate::load::sample::{Sample, Samples};
use crate::load::series::MemoryWatch;
use crate::load::workload::{self, Terms};
use alloy_primitives::{Address, B256, U64};
use eyre::Result;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, LocalSet};

/// Receipts that are asked for at a time.
const RECEIPTS: usize = 100;

/// What is sent, how, and from whom to whom.
pub struct Run<'a> {
    pub options: &'a PrivateCommand,
    pub network: &'a Network,
    pub terms: Terms,
    pub vault: Address,
    pub way: Way,
    pub book: Rc<RefCell<Book>>,
}

/// A receipt as a party sees it.
#[derive(Deserialize)]
struct Receipt {
    status: Option<U64>,
    logs: Vec<IgnoredAny>,
}

impl Run<'_> {
    /// Sends for as long as the options say, waits for what was accepted, and looks what became of it at both parties.
    pub async fn measure(&self) -> Result<Case> {
        let [sender, receiver] = self.parties();
        let memory = MemoryWatch::new(&self.network.watched);
        let local = LocalSet::new();
        let next = self.network.validator.number("eth_blockNumber", json!([])).await? + 1;
        let poll = Duration::from_millis(self.options.poll_ms);
        let endpoints = [&self.network.validator, &sender.rpc, &receiver.rpc];
        for (stand, endpoint) in Stand::ALL.into_iter().zip(endpoints) {
            let book = self.book.clone();
            let enter = move |block: &_, seen| book.borrow_mut().block(stand, block, seen);
            local.spawn_local(Meter::new(endpoint.clone(), poll).patient().run(next, enter));
        }
        local.spawn_local(memory.clone().run());
        let (used, answers) = local.run_until(self.offer()).await?;
        drop(local);
        let mut case = self.case(&used, answers, &memory);
        for (member, well) in [sender, receiver].into_iter().zip(&mut case.executed_well) {
            *well = self.executed_well(member).await?;
        }
        Ok(case)
    }

    /// The member that sends, and the one that receives: which of them puts transactions in markers is fixed.
    fn parties(&self) -> [&Member; 2] {
        let [plain, marking] = &self.network.members;
        if self.way == Way::Marked { [marking, plain] } else { [plain, marking] }
    }

    /// What was used, and how much was offered and refused within the window.
    async fn offer(&self) -> Result<(Samples, [u64; 2])> {
        let take = || Sample::take(&self.network.watched);
        let start = take()?;
        let begin = start.at + Duration::from_secs(self.options.warm_up);
        let end = begin + Duration::from_secs(self.options.seconds);
        let mut sending = self.start_sending(end);
        tokio::time::sleep_until(begin.into()).await;
        let (from, before) = (take()?, self.book.borrow().answers());
        tokio::time::sleep_until(end.into()).await;
        let (to, after) = (take()?, self.book.borrow().answers());
        while sending.join_next().await.is_some() {}
        self.drain().await;
        let used = Samples { start, from, to, end: take()? };
        Ok((used, [after.offers - before.offers, after.refusals - before.refusals]))
    }

    fn start_sending(&self, until: Instant) -> JoinSet<()> {
        let [sender, receiver] = self.parties();
        let client = Rc::new(Client {
            rpc: sender.rpc.clone(),
            store: sender.store.clone(),
            vault: self.vault,
            receiver: receiver.key.clone(),
            terms: self.terms,
            book: self.book.clone(),
            outstanding: self.options.outstanding.max(1),
            count: Cell::new(0),
        });
        let batch = usize::from(self.options.batch);
        let held = Rc::new(sender.accounts.clone());
        let mut tasks = JoinSet::new();
        for _ in 0..self.options.in_flight.div_ceil(batch).max(1) {
            let (client, held) = (client.clone(), held.clone());
            let own = (0..batch).map(|_| Account::new()).collect();
            if self.way == Way::Signed {
                tasks.spawn_local(client.sign(own, until));
            } else {
                tasks.spawn_local(client.ask(held, batch, until));
            }
        }
        tasks
    }

    async fn drain(&self) {
        let (mut waiting, mut since) = (usize::MAX, Instant::now());
        loop {
            let outstanding = self.book.borrow().outstanding();
            if outstanding == 0 || since.elapsed() > DRAIN_TIMEOUT {
                return;
            }
            if outstanding < waiting {
                (waiting, since) = (outstanding, Instant::now());
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }

    fn case(&self, used: &Samples, [offers, refusals]: [u64; 2], memory: &MemoryWatch) -> Case {
        let book = self.book.borrow();
        let (from, to, seconds) = (used.from.at, used.to.at, used.seconds());
        let per_s = Stand::ALL.map(|stand| report::rate(&book.blocks(stand, from..to)));
        let blocks = book.blocks(Stand::Receiver, from..to);
        let executed = blocks.iter().map(|block| block.ours).sum();
        let (latencies, lost) = book.latencies(from..to);
        let (all, all_lost) = book.latencies(used.start.at..used.end.at);
        let processes = used.processes(&self.network.watched, memory, executed, all.len());
        let counts = |finalised: usize, lost| {
            let finalised = finalised as u64;
            Transactions { accepted: finalised + lost, finalised, lost, unanswered: 0 }
        };
        let report = Report {
            command: std::env::args().skip(1).collect(),
            workload: self.way.name().to_owned(),
            warm_up: from.duration_since(used.start.at).as_secs_f64(),
            seconds,
            finalised_per_s: per_s.into_iter().fold(f64::INFINITY, f64::min),
            offered_per_s: offers as f64 / seconds,
            refused_per_s: refusals as f64 / seconds,
            transactions: counts(latencies.len(), lost),
            whole_run: counts(all.len(), all_lost),
            reasons: book.reasons().clone(),
            latency_ms: Spread::of(report::milliseconds(&latencies)),
            blocks: Blocks::of(&blocks),
            machine: used.processors(&processes),
            processes,
            tool: Tool {
                processors: used.tool_s() / seconds,
                peak_rss_mib: used.tool_peak_mib(),
                ..Tool::default()
            },
            memory: memory.series(),
            ..Report::default()
        };
        Case { way: self.way, per_s, executed_well: [0; 2], report }
    }

    /// How many of those that were accepted a party has executed well: only who ran the call has its log.
    async fn executed_well(&self, member: &Member) -> Result<u64> {
        let method = match self.way {
            Way::Marked => "eth_getPrivateTransactionReceipt",
            _ => "eth_getTransactionReceipt",
        };
        #[derive(Deserialize)]
        struct Answer {
            result: Option<Receipt>,
        }
        let hashes = self.book.borrow().hashes();
        let mut count = 0;
        for hashes in hashes.chunks(RECEIPTS) {
            let request = |hash: &B256| {
                let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [hash] });
                bytes::Bytes::from(request.to_string())
            };
            let requests: Vec<_> = hashes.iter().map(request).collect();
            let (bytes, _) = member.rpc.post(workload::body(requests.iter())).await?;
            let receipts = rpc::answers::<Answer>(&bytes)?.into_iter().filter_map(|answer| answer.result);
            let well = |receipt: &Receipt| receipt.status == Some(U64::ONE) && receipt.logs.len() == 1;
            count += receipts.filter(well).count() as u64;
        }
        Ok(count)
    }
}
