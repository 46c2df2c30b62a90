//! The threads of a node, played step by step: loop, outbox, chain, sync. Between any two steps the node may die.

use super::process::{ChainJob, OutboxJob, Process};
use super::report::{Outcome, Violation};
use super::schedule::{Happening, Life};
use super::world::{Break, World};
use lonja_chain::{BlockError, ChainError};
use lonja_consensus::machine::{Verdict, record_height};
use lonja_node::event::{Command, Event};
use lonja_p2p::wire::Message;
use lonja_primitives::CertifiedBlock;
use lonja_storage::Head;

/// The outbox's file is written anew above this, bytes. The real bound is larger; a small one is reached in a
/// short chain.
const REWRITE_ABOVE_BYTES: usize = 6 << 10;
/// Blocks written before the disk confirms them, as in the real node.
const UNSYNCED_MAX: usize = 3;
/// Commands, letters and jobs that may wait: a node that works off what it gets stays far below.
const WAITING_MAX: usize = 1_024;
/// Ticks in one millisecond after which a loop is said to spin.
const IDLE_TICKS: u32 = 40;

impl World {
    // --- the loop ---

    /// Wakes the loop, if it sleeps.
    pub(super) fn rouse(&mut self, node: usize) {
        let Some(process) = &mut self.nodes[node].process else { return };
        if !process.loop_busy {
            process.loop_busy = true;
            let life = process.life;
            let delay_us = self.dice.between(1, 20);
            self.after(delay_us, Happening::Loop { node, life });
        }
    }

    /// Puts a letter of the node's own threads into its box.
    pub fn tell(&mut self, node: usize, event: Event) {
        if let Some(process) = &mut self.nodes[node].process {
            process.inner.push_back(event);
            self.rouse(node);
        }
    }

    pub(super) fn wake(&mut self, node: usize, life: Life) -> Outcome {
        let now_us = self.now_us;
        if let Some(process) = self.nodes[node].alive(life)
            && process.wake_us == Some(now_us)
        {
            process.wake_us = None;
            self.rouse(node);
        }
        Ok(())
    }

    /// One command, or else one event.
    pub(super) fn loop_step(&mut self, node: usize, life: Life) -> Outcome {
        if !self.lives(node, life)? {
            return Ok(());
        }
        let now = self.now_of(node);
        let Some(process) = self.nodes[node].alive(life) else { return Ok(()) };
        let due = process.core.deadline().is_some_and(|at| at <= now.mono_ms);
        if let Some(command) = process.commands.pop_front() {
            self.carry_out(node, command)?;
        } else if due {
            process.idle_ticks = match process.idle_ticks {
                (at, count) if at == now.mono_ms => (at, count + 1),
                _ => (now.mono_ms, 0),
            };
            if process.idle_ticks.1 > IDLE_TICKS {
                return self.violation(format!("node {node} ticks on and on at the same millisecond"));
            }
            self.handle(node, Event::Tick)?;
        } else if let Some(event) = process.next_letter() {
            self.handle(node, event)?;
        } else {
            process.loop_busy = false;
            self.set_alarm(node);
            return Ok(());
        }
        let pause_us = self.dice.between(1, 30);
        self.after(pause_us, Happening::Loop { node, life });
        Ok(())
    }

    /// The loop sleeps until its next deadline.
    fn set_alarm(&mut self, node: usize) {
        let now_us = self.now_us;
        let Some(process) = &mut self.nodes[node].process else { return };
        let Some(deadline) = process.core.deadline() else { return };
        let at_us = process.when_us(deadline).max(now_us + 1);
        if process.wake_us.is_none_or(|set_us| at_us < set_us || set_us <= now_us) {
            process.wake_us = Some(at_us);
            let life = process.life;
            self.schedule.at(at_us, Happening::Wake { node, life });
        }
    }

    fn handle(&mut self, node: usize, event: Event) -> Outcome {
        let now = self.now_of(node);
        self.trace(|| format!("n{node} <- {}", brief_event(&event)));
        let this = &mut self.nodes[node];
        let Some(process) = &mut this.process else { return Ok(()) };
        let commands = process.core.handle(now, event);
        process.commands.extend(commands);
        let status = process.core.status();
        let view = (status.height, status.round);
        if view < process.view {
            let before = process.view;
            return self.violation(format!("node {node} goes back from {before:?} to {view:?}"));
        }
        process.view = view;
        let waiting =
            process.commands.len() + process.outbox.len() + process.jobs.len() + process.inner.len();
        if waiting > WAITING_MAX {
            return self.violation(format!("node {node} has {waiting} things waiting"));
        }
        Ok(())
    }

    fn carry_out(&mut self, node: usize, command: Command) -> Outcome {
        self.trace(|| format!("n{node} -> {}", brief_command(&command)));
        match command {
            Command::Persist(record) => self.hand_to_outbox(node, OutboxJob::Persist(record)),
            Command::Forget { below_height } => self.hand_to_outbox(node, OutboxJob::Forget(below_height)),
            Command::Send { to, message: message @ (Message::Consensus(_) | Message::Relay { .. }) } => {
                self.hand_to_outbox(node, OutboxJob::Send { to, message });
            }
            Command::Send { to, message } => self.send(node, &to, message)?,
            Command::Announce { number, hash } => self.announce(node, Head { number, hash })?,
            Command::Build(request) => self.hand_to_chain(node, ChainJob::Build(request)),
            Command::Check { height, digest, block } => {
                self.hand_to_chain(node, ChainJob::Check { height, digest, block });
            }
            Command::Commit(block) => self.hand_to_chain(node, ChainJob::Commit(block)),
            Command::Penalise { peer, reason } => self.penalise(node, &peer, &reason)?,
            Command::Halt(reason) => self.halt(node, &reason)?,
        }
        Ok(())
    }

    /// A node that stops for good is a broken promise, unless it is one of the faulty.
    pub(super) fn halt(&mut self, node: usize, reason: &str) -> Outcome {
        if self.nodes[node].honest {
            return self.violation(format!("node {node} halts: {reason}"));
        }
        self.nodes[node].retired = true;
        self.crash(node, super::disk::Crash::Kill)
    }

    // --- the outbox ---

    fn hand_to_outbox(&mut self, node: usize, job: OutboxJob) {
        let Some(process) = &mut self.nodes[node].process else { return };
        process.outbox.push_back(job);
        if !process.outbox_busy {
            process.outbox_busy = true;
            let life = process.life;
            let delay_us = self.dice.between(1, 40);
            self.after(delay_us, Happening::Outbox { node, life });
        }
    }

    /// One job. What was persisted is made durable before the next message leaves.
    pub(super) fn outbox_step(&mut self, node: usize, life: Life) -> Outcome {
        if !self.lives(node, life)? {
            return Ok(());
        }
        let early = self.options.broken == Some(Break::UnsyncedLog);
        let Some(process) = self.nodes[node].alive(life) else { return Ok(()) };
        let clean = process.unwritten.is_empty();
        match process.outbox.front() {
            None if clean => {
                process.outbox_busy = false;
                return Ok(());
            }
            None => return self.sync_log(node, life),
            Some(OutboxJob::Persist(_)) => {}
            Some(OutboxJob::Send { .. }) if clean || early => {}
            Some(OutboxJob::Forget(_)) if clean => {}
            Some(_) => return self.sync_log(node, life),
        }
        match process.outbox.pop_front() {
            Some(OutboxJob::Persist(record)) => process.unwritten.push(record),
            Some(OutboxJob::Send { to, message }) => self.send(node, &to, message)?,
            Some(OutboxJob::Forget(below)) => self.forget(node, below),
            None => {}
        }
        let pause_us = self.dice.between(1, 30);
        self.after(pause_us, Happening::Outbox { node, life });
        Ok(())
    }

    /// The records are written and the disk begins to sync them.
    fn sync_log(&mut self, node: usize, life: Life) -> Outcome {
        let (least, most) = self.nodes[node].sync_us;
        let time_us = self.dice.between(least, most);
        let this = &mut self.nodes[node];
        let Some(process) = this.process.as_mut() else { return Ok(()) };
        this.disk.log.write(&process.unwritten);
        self.after(time_us, Happening::LogSynced { node, life });
        Ok(())
    }

    pub(super) fn log_synced(&mut self, node: usize, life: Life) -> Outcome {
        if !self.lives(node, life)? {
            return Ok(());
        }
        let this = &mut self.nodes[node];
        let Some(process) = this.process.as_mut() else { return Ok(()) };
        this.disk.log.sync();
        process.kept.extend(process.unwritten.drain(..).map(|record| record.to_vec()));
        self.after(1, Happening::Outbox { node, life });
        Ok(())
    }

    fn forget(&mut self, node: usize, below: u64) {
        let this = &mut self.nodes[node];
        let Some(process) = this.process.as_mut() else { return };
        process.kept.retain(|record| record_height(record).is_none_or(|height| height >= below));
        if this.disk.log.len() > REWRITE_ABOVE_BYTES {
            this.disk.log.rewrite(&process.kept);
        }
    }

    // --- the chain ---

    fn hand_to_chain(&mut self, node: usize, job: ChainJob) {
        if let Some(process) = &mut self.nodes[node].process {
            process.jobs.push_back(job);
            self.start_chain(node);
        }
    }

    /// Begins the next job, unless one is under way or too much waits for the disk.
    fn start_chain(&mut self, node: usize) {
        let (least, most) = self.plan.work_us;
        let time_us = self.dice.between(least, most);
        let Some(process) = &mut self.nodes[node].process else { return };
        if process.chain_busy || process.jobs.is_empty() || process.to_sync.len() >= UNSYNCED_MAX {
            return;
        }
        process.chain_busy = true;
        let life = process.life;
        self.after(time_us, Happening::ChainDone { node, life });
    }

    pub(super) fn chain_done(&mut self, node: usize, life: Life) -> Outcome {
        if !self.lives(node, life)? {
            return Ok(());
        }
        let Some(process) = self.nodes[node].alive(life) else { return Ok(()) };
        process.chain_busy = false;
        match process.jobs.pop_front() {
            Some(ChainJob::Build(request)) => {
                let result = process.chain.build(&request, &|| false);
                if let Err(ChainError::Halt(reason)) = &result {
                    return self.halt(node, &reason.clone());
                }
                let result = result.map_err(|error| error.to_string());
                self.tell(node, Event::Built { height: request.height, round: request.round, result });
            }
            Some(ChainJob::Check { height, digest, block }) => {
                let verdict = match process.chain.check(&block) {
                    Ok(()) => Verdict::Valid,
                    Err(BlockError::Invalid(reason)) => Verdict::Invalid(reason),
                    Err(BlockError::Unavailable(reason)) => Verdict::Unavailable(reason),
                    Err(BlockError::Halt(reason)) => return self.halt(node, &reason),
                };
                self.tell(node, Event::Checked { height, digest, verdict });
            }
            Some(ChainJob::Commit(block)) => self.commit(node, &block)?,
            None => {}
        }
        self.start_chain(node);
        Ok(())
    }

    fn commit(&mut self, node: usize, block: &CertifiedBlock) -> Outcome {
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        let committed = match process.chain.commit(block) {
            Ok(Some(committed)) => committed,
            Ok(None) => return Ok(()),
            Err(error) => return self.halt(node, &error.to_string()),
        };
        let waiting = process.chain.work_waiting();
        process.work_told = waiting;
        process.to_sync.push_back(Head { number: committed.number, hash: committed.hash });
        self.nodes[node].written = committed.number;
        if self.checks.chain.add(node, committed.hash, block.block())? {
            self.reached_us.push(self.now_us);
        }
        let validators = committed.position.votes.validators().as_slice();
        self.checks.chain.expect_validators(node, committed.number, validators)?;
        self.check_verdicts(node, committed.number)?;
        if committed.connections_differ {
            self.new_gate(node)?;
        }
        self.tell(node, Event::Committed(committed.position));
        self.tell(node, Event::WorkWaiting(waiting));
        self.start_sync(node);
        Ok(())
    }

    // --- the sync thread ---

    /// One sync covers everything written before it.
    fn start_sync(&mut self, node: usize) {
        let (least, most) = self.nodes[node].sync_us;
        let time_us = self.dice.between(least, most);
        let Some(process) = &mut self.nodes[node].process else { return };
        if process.syncing.is_some() {
            return;
        }
        let Some(newest) = process.to_sync.back().copied() else { return };
        process.to_sync.clear();
        process.syncing = Some(newest);
        let life = process.life;
        self.after(time_us, Happening::StoreSynced { node, life });
        self.start_chain(node);
    }

    pub(super) fn store_synced(&mut self, node: usize, life: Life) -> Outcome {
        if !self.lives(node, life)? {
            return Ok(());
        }
        let broken = self.options.broken == Some(Break::UnsyncedStore);
        let Some(process) = self.nodes[node].alive(life) else { return Ok(()) };
        let Some(head) = process.syncing.take() else { return Ok(()) };
        if !broken {
            process
                .publisher
                .publish(head)
                .map_err(|error| Violation::new(format!("node {node} cannot publish: {error}")))?;
        }
        let this = &mut self.nodes[node];
        (this.published, this.safe) = (this.published.max(head.number), this.written);
        self.tell(node, Event::Durable { number: head.number, hash: head.hash });
        self.follow(node);
        self.start_sync(node);
        Ok(())
    }
}

impl Process {
    /// Whether everything that was asked of it is done.
    pub fn is_idle(&self) -> bool {
        !self.loop_busy && !self.outbox_busy && !self.chain_busy && self.syncing.is_none()
    }
}

fn brief_event(event: &Event) -> String {
    match event {
        Event::Consensus { message, relay_to, .. } => {
            let view = message.view();
            let kind = match message.as_ref() {
                lonja_consensus::VerifiedMessage::Proposal(_) => "PROPOSAL",
                lonja_consensus::VerifiedMessage::Prepare(_) => "PREPARE",
                lonja_consensus::VerifiedMessage::Commit(_) => "COMMIT",
                lonja_consensus::VerifiedMessage::RoundChange(_) => "ROUND-CHANGE",
            };
            let author = message.author();
            format!("{kind} {}/{} of {author}, pass on to {}", view.sequence, view.round, relay_to.len())
        }
        Event::Committed(position) => format!("Committed {}", position.head.number),
        Event::Built { height, round, result } => format!("Built {height}/{round} {}", result.is_ok()),
        Event::Checked { height, verdict, .. } => format!("Checked {height} {verdict:?}"),
        Event::Blocks { request, blocks, .. } => format!("Blocks {request} ({})", blocks.len()),
        other => format!("{other:?}"),
    }
}

fn brief_command(command: &Command) -> String {
    match command {
        Command::Persist(record) => format!("Persist {} bytes", record.len()),
        Command::Send { to, message } => match message {
            Message::Consensus(bytes) => format!("Send {:#x} to {}", bytes[0], to.len()),
            Message::Relay { to: last, message } => {
                format!("Send {:#x} to {} for {last:?}", message[0], to.len())
            }
            other => format!("Send {other:?} to {}", to.len()),
        },
        Command::Build(request) => format!("Build {}/{}", request.height, request.round),
        Command::Check { height, digest, .. } => format!("Check {height} {digest}"),
        Command::Commit(block) => format!("Commit {} {}", block.number(), block.hash()),
        other => format!("{other:?}"),
    }
}
