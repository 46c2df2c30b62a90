//! One measurement: offers, waits, counts.

use super::ledger::{Answers, Ledger, SeenBlock};
use super::meter::Meter;
use super::process::{Machine, Usage, Watched};
use super::reads::Reader;
use super::report::{self, Blocks, Process, Processors, Report, Spread, Tool, Transactions};
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
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How often the end of the draining is looked for.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// What was used until some moment.
struct Sample {
    at: Instant,
    answers: Answers,
    usage: Vec<Usage>,
    own: Usage,
    machine: Machine,
}

/// What was used until the beginning and the end of the run, and of the window in it.
pub struct Window {
    start: Sample,
    from: Sample,
    to: Sample,
    end: Sample,
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
        local.spawn_local(Meter::new(self.target.meter.clone(), self.ledger.clone(), poll).run(next));
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
        let from = self.sample()?;
        tokio::time::sleep_until(end.into()).await;
        let to = self.sample()?;
        sending.await?;
        self.drain().await;
        if self.ledger.borrow().blocks().is_empty() {
            bail!("no block was seen during the whole measurement");
        }
        Ok(Window { start, from, to, end: self.sample()? })
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
        Ok(Sample {
            at: Instant::now(),
            answers: self.ledger.borrow().answers(),
            usage: self.target.watched.iter().map(Watched::usage).collect::<Result<_>>()?,
            own: Watched::own().usage()?,
            machine: Machine::now()?,
        })
    }

    /// Some of what was accepted and is in no block.
    pub fn lost(&self, at_most: usize) -> Vec<B256> {
        self.ledger.borrow().lost().take(at_most).collect()
    }

    /// What was measured. The client's name and what became of lost ones is not known here.
    pub fn report(&self, window: &Window) -> Result<Report> {
        let ledger = self.ledger.borrow();
        let Window { from, to, end, .. } = window;
        let seconds = to.at.duration_since(from.at).as_secs_f64();
        let within = |block: &&SeenBlock| (from.at..to.at).contains(&block.seen);
        let blocks: Vec<SeenBlock> = ledger.blocks().iter().filter(within).copied().collect();
        let finalised: usize = blocks.iter().map(|block| block.ours).sum();
        let tally = ledger.tally(from.at, to.at);
        let processes = self.processes(window, finalised, ledger.finalised().len());
        let tool = self.tool(from, to, end);
        let kind = self.options.workload.to_possible_value();
        Ok(Report {
            command: std::env::args().skip(1).collect(),
            client: String::new(),
            workload: kind.map(|kind| kind.get_name().to_owned()).unwrap_or_default(),
            warm_up: from.at.duration_since(ledger.start()).as_secs_f64(),
            seconds,
            rate: self.options.rate,
            finalised_per_s: report::rate(&blocks),
            offered_per_s: (to.answers.offers - from.answers.offers) as f64 / seconds,
            refused_per_s: (to.answers.refusals - from.answers.refusals) as f64 / seconds,
            transactions: Transactions::of(&tally),
            whole_run: Transactions::of(&ledger.tally(ledger.start(), end.at)),
            lost_still_waiting: None,
            reasons: ledger.reasons().clone(),
            latency_ms: Spread::of(report::milliseconds(&tally.latencies)),
            blocks: Blocks::of(&blocks),
            reads: self.reader.report(from.at, to.at),
            machine: processors(from, to, &processes),
            processes,
            tool,
            series: series::seconds(ledger.start(), ledger.seconds(), ledger.blocks(), ledger.finalised()),
            memory: self.memory.series(),
        })
    }

    fn processes(&self, window: &Window, finalised: usize, in_all: usize) -> Vec<Process> {
        let of = |(number, process): (usize, &Watched)| {
            let [start, from, to, end] =
                [&window.start, &window.from, &window.to, &window.end].map(|sample| &sample.usage[number]);
            let cpu_s = to.cpu_s - from.cpu_s;
            // The system remembers the highest of all time; where that was before the run, our own looks must do.
            let highest = end.peak_rss_bytes;
            let rose = highest > start.peak_rss_bytes;
            let peak = if rose { highest } else { self.memory.peak_bytes(number) };
            let disk = end.disk_bytes.zip(start.disk_bytes);
            Process {
                name: process.name.clone(),
                cpu_s,
                cpu_us_per_transaction: cpu_s * 1e6 / finalised.max(1) as f64,
                rss_mib: mib(to.rss_bytes),
                peak_rss_mib: mib(peak),
                disk_bytes_per_transaction: disk
                    .map(|(after, before)| (after as f64 - before as f64) / in_all.max(1) as f64),
                threads: to.threads_since(from),
            }
        };
        self.target.watched.iter().enumerate().map(of).collect()
    }

    fn tool(&self, from: &Sample, to: &Sample, end: &Sample) -> Tool {
        let seconds = to.at.duration_since(from.at).as_secs_f64();
        Tool {
            processors: (to.own.cpu_s - from.own.cpu_s) / seconds,
            peak_rss_mib: mib(end.own.peak_rss_bytes),
            signed_ahead: self.signed_ahead,
            signed_meanwhile: self.signing.count(),
            held_back: end.answers.held_back,
            unsigned: end.answers.unsigned,
            reads_held_back: self.reader.held_back(),
        }
    }
}

fn processors(from: &Sample, to: &Sample, processes: &[Process]) -> Processors {
    let watched_s = processes.iter().map(|process| process.cpu_s).sum::<f64>();
    let tool_s = to.own.cpu_s - from.own.cpu_s;
    Processors {
        count: std::thread::available_parallelism().map_or(1, usize::from),
        watched_s,
        tool_s,
        others_s: to.machine.busy_s - from.machine.busy_s - watched_s - tool_s,
        stolen_s: to.machine.stolen_s - from.machine.stolen_s,
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
