//! One measurement: offers, waits, counts.

use super::ledger::{Answers, Ledger, SeenBlock};
use super::meter::Meter;
use super::reads::Reader;
use super::report::{self, Blocks, Report, Spread, Tool, Transactions};
use super::rpc::BlockView;
use super::sample::{Sample, Samples};
use super::sender::{Pace, Sender};
use super::series::{self, MemoryWatch};
use super::signing::Signing;
use super::{LoadCommand, Prepared, Target};
use alloy_primitives::B256;
use clap::ValueEnum;
use eyre::{Result, bail};
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

/// After the last offer, what is accepted counts as lost when none of it has come into a block for this time.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How often the end of the draining is looked for.
pub const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// What was used, and the answers until the beginning and the end of the window, and until the end of the run.
pub struct Window {
    used: Samples,
    answers: [Answers; 3],
}

/// One measurement.
pub struct Run<'a> {
    options: &'a LoadCommand,
    target: &'a Target,
    ledger: Rc<RefCell<Ledger>>,
    signing: Rc<Signing>,
    sender: Rc<Sender>,
    reader: Rc<Reader>,
    memory: Rc<MemoryWatch>,
    signed_ahead: u64,
}

impl<'a> Run<'a> {
    /// Signs ahead.
    pub fn new(options: &'a LoadCommand, target: &'a Target, prepared: &Prepared) -> Self {
        let started = Instant::now();
        let accounts = prepared.accounts.len() as u64;
        let each = prepared.each_max.min(options.ahead.div_ceil(accounts)).max(1);
        let stock = prepared.workload.sign_all(each);
        println!("{} transactions signed in {:.1?}", each * accounts, started.elapsed());
        let ledger = Rc::new(RefCell::new(Ledger::new(stock, prepared.each_max)));
        let signing = Rc::new(Signing::start(prepared.workload.clone()));
        let senders = target.senders.clone();
        let sender = Sender::new(ledger.clone(), signing.clone(), senders.clone(), options.batch_size());
        let reader = Reader::new(ledger.clone(), senders, prepared.accounts.clone(), prepared.token);
        let (sender, reader) = (Rc::new(sender), Rc::new(reader));
        let memory = MemoryWatch::new(&target.watched);
        let signed_ahead = each * accounts;
        Self { options, target, ledger, signing, sender, reader, memory, signed_ahead }
    }

    /// Offers, and waits for what was accepted.
    pub async fn offer(&mut self) -> Result<Window> {
        let next = self.target.meter.number("eth_blockNumber", json!([])).await? + 1;
        let poll = Duration::from_millis(self.options.poll_ms);
        let local = LocalSet::new();
        let ledger = self.ledger.clone();
        let enter = move |block: &BlockView, seen| ledger.borrow_mut().block(block, seen);
        local.spawn_local(Meter::new(self.target.meter.clone(), poll).run(next, enter));
        local.spawn_local(self.signing.clone().deliver(self.ledger.clone()));
        local.spawn_local(self.memory.clone().run());
        local.run_until(self.offer_locally()).await
    }

    async fn offer_locally(&self) -> Result<Window> {
        let options = self.options;
        let pace = match options.rate {
            0 => Pace::Saturate {
                connections: options.connections.max(1),
                outstanding: options.outstanding.max(1),
            },
            rate => Pace::Rate(rate),
        };
        let start = self.sample()?;
        self.ledger.borrow_mut().begin(start.at);
        let begin = start.at + Duration::from_secs(options.warm_up);
        let end = begin + Duration::from_secs(options.seconds);
        let sending = tokio::task::spawn_local(self.sender.clone().run(pace, end));
        let reads = options.reads_per_second();
        if reads > 0 {
            tokio::task::spawn_local(self.reader.clone().run(reads, end));
        }
        tokio::time::sleep_until(begin.into()).await;
        let (from, answers_before) = (self.sample()?, self.answers());
        tokio::time::sleep_until(end.into()).await;
        let (to, answers) = (self.sample()?, self.answers());
        sending.await?;
        self.drain().await;
        if self.ledger.borrow().blocks().is_empty() {
            bail!("no block was seen during the whole measurement");
        }
        let used = Samples { start, from, to, end: self.sample()? };
        Ok(Window { used, answers: [answers_before, answers, self.answers()] })
    }

    async fn drain(&self) {
        let sender = self.sender.clone();
        let filling = tokio::task::spawn_local(async move { sender.fill_holes().await });
        let (mut waiting, mut since) = (usize::MAX, Instant::now());
        while self.ledger.borrow().outstanding() > 0 && since.elapsed() < DRAIN_TIMEOUT {
            let outstanding = self.ledger.borrow().outstanding();
            if outstanding < waiting {
                (waiting, since) = (outstanding, Instant::now());
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        filling.abort();
    }

    fn sample(&self) -> Result<Sample> {
        Sample::take(&self.target.watched)
    }

    fn answers(&self) -> Answers {
        self.ledger.borrow().answers()
    }

    /// Some of what was accepted and is in no block.
    pub fn lost(&self, at_most: usize) -> Vec<B256> {
        self.ledger.borrow().lost().take(at_most).collect()
    }

    /// What was measured. The client's name and what became of lost ones is not known here.
    pub fn report(&self, window: &Window) -> Result<Report> {
        let ledger = self.ledger.borrow();
        let Window { used, answers: [before, after, _] } = window;
        let (Samples { from, to, end, .. }, seconds) = (used, used.seconds());
        let within = |block: &&SeenBlock| (from.at..to.at).contains(&block.seen);
        let blocks: Vec<SeenBlock> = ledger.blocks().iter().filter(within).copied().collect();
        let finalised: usize = blocks.iter().map(|block| block.ours).sum();
        let tally = ledger.tally(from.at, to.at);
        let in_all = ledger.finalised().len();
        let processes = used.processes(&self.target.watched, &self.memory, finalised, in_all);
        let kind = self.options.workload.to_possible_value();
        Ok(Report {
            command: std::env::args().skip(1).collect(),
            client: String::new(),
            workload: kind.map(|kind| kind.get_name().to_owned()).unwrap_or_default(),
            warm_up: from.at.duration_since(ledger.start()).as_secs_f64(),
            seconds,
            rate: self.options.rate,
            finalised_per_s: report::rate(&blocks),
            offered_per_s: (after.offers - before.offers) as f64 / seconds,
            refused_per_s: (after.refusals - before.refusals) as f64 / seconds,
            transactions: Transactions::of(&tally),
            whole_run: Transactions::of(&ledger.tally(ledger.start(), end.at)),
            lost_still_waiting: None,
            reasons: ledger.reasons().clone(),
            latency_ms: Spread::of(report::milliseconds(&tally.latencies)),
            blocks: Blocks::of(&blocks),
            reads: self.reader.report(from.at, to.at),
            machine: used.processors(&processes),
            processes,
            tool: self.tool(window),
            series: series::seconds(ledger.start(), ledger.seconds(), ledger.blocks(), ledger.finalised()),
            memory: self.memory.series(),
        })
    }

    fn tool(&self, window: &Window) -> Tool {
        let Window { used, answers: [_, _, answers] } = window;
        Tool {
            processors: used.tool_s() / used.seconds(),
            peak_rss_mib: used.tool_peak_mib(),
            signed_ahead: self.signed_ahead,
            signed_meanwhile: self.signing.count(),
            held_back: answers.held_back,
            unsigned: answers.unsigned,
            reads_held_back: self.reader.held_back(),
        }
    }
}
