//! The follower: owns the private state and takes it along the public chain.

use super::block::{self, NamingBlock};
use super::inside::Insides;
use super::payloads::{Ask, Missing, Payloads};
use super::run::{Done, PrivateRun};
use crate::error::ChainError;
use lonja_primitives::{ChainSpec, PayloadHash};
use lonja_ptm::Lookup;
use lonja_storage::private::{Fate, PrivateBlock, PrivateReader, PrivateStore, PrivateWriter};
use lonja_storage::{Head, Reader};
use std::sync::Arc;

/// Blocks without anything private that are passed in one go.
const PASSED_AT_ONCE: u64 = 1_024;

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Stands at the public head.
    UpToDate,
    /// Went on to this block; so many private transactions of it ran here, and so many are of others.
    Moved {
        /// Where the private state stands now.
        head: Head,
        /// Private transactions that ran.
        executed: usize,
        /// Those that this node is no party to.
        not_ours: usize,
    },
    /// The next block waits for a payload.
    Waiting(Waiting),
}

/// Why the private state does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The block that is not executed.
    pub number: u64,
    /// The payload that it waits for.
    pub payload: PayloadHash,
    /// What the manager says.
    pub reason: String,
}

/// What came of a payload that turned up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// No block up to the private head was executed without it.
    InTime,
    /// The private state was led back to this block, and is executed anew from there.
    LedBack(u64),
    /// The block that names it is too old: states of its time are not kept here.
    TooOld(u64),
}

/// Takes the private state along the public chain. One per store, driven by one thread.
pub struct PrivateFollower {
    spec: Arc<ChainSpec>,
    public: Reader,
    writer: PrivateWriter,
    reader: PrivateReader,
}

impl PrivateFollower {
    /// Takes over an open store.
    ///
    /// # Errors
    /// A halt: the private state is not of this chain.
    pub fn open(store: PrivateStore, public: Reader, spec: Arc<ChainSpec>) -> Result<Self, ChainError> {
        let PrivateStore { writer, reader } = store;
        let head = writer.head();
        let ours = public.header(head.number)?.map(|header| header.hash());
        if ours != Some(head.hash) {
            return Err(ChainError::Halt(format!(
                "the private state is that of block {} {}, which is not in this chain. Move the folder `private` away: it is made again from the chain and the payloads",
                head.number, head.hash
            )));
        }
        Ok(Self { spec, public, writer, reader })
    }

    /// Reads what it has done.
    pub fn reader(&self) -> PrivateReader {
        self.reader.clone()
    }

    /// Begins at a later block instead of block 0. For a node that has no payload yet, and is therefore no party to
    /// anything before: it need not read those blocks, nor have them. Changes nothing where the private state is past
    /// block 0 already.
    ///
    /// # Errors
    /// A halt: there is no such block, or the store failed.
    pub fn begin_at(&mut self, number: u64) -> Result<Head, ChainError> {
        if self.head().number == 0 {
            self.pass_to(number)?;
        }
        Ok(self.head())
    }

    /// Where the private state stands.
    pub fn head(&self) -> Head {
        self.writer.head()
    }

    /// Takes the next block, or several without anything private; `ask` asks the manager for payloads.
    ///
    /// # Errors
    /// Always a halt of the private state: our own disk, or a chain that does not execute here again.
    pub fn advance(&mut self, ask: &mut Ask<'_>) -> Result<Advance, ChainError> {
        let (from, newest) = (self.head().number, self.public.head().number);
        if from >= newest {
            return Ok(Advance::UpToDate);
        }
        let last = newest.min(from.saturating_add(PASSED_AT_ONCE));
        for number in from.saturating_add(1)..=last {
            let Some(block) = block::read(&self.public, &self.spec, number)? else { continue };
            self.pass_to(number.saturating_sub(1))?;
            let mut payloads = Payloads::new(ask);
            return match self.execute(&block, &mut payloads)? {
                Ok(done) => self.commit(&block, &done),
                Err(Missing { hash: payload, reason }) => {
                    Ok(Advance::Waiting(Waiting { number, payload, reason }))
                }
            };
        }
        self.pass_to(last)?;
        Ok(Advance::Moved { head: self.head(), executed: 0, not_ours: 0 })
    }

    /// The payloads that the blocks after the private head name, of at most so many blocks: for asking ahead.
    pub fn upcoming(&self, blocks: u64) -> Result<Vec<PayloadHash>, ChainError> {
        let from = self.head().number;
        let last = self.public.head().number.min(from.saturating_add(blocks));
        let mut hashes = Vec::new();
        for number in from.saturating_add(1)..=last {
            let block = block::read(&self.public, &self.spec, number)?;
            hashes.extend(block.into_iter().flat_map(|block| block.named).map(|named| named.hash));
        }
        Ok(hashes)
    }

    /// A payload was stored. Where a block was executed without it, the private state is led back to before that block.
    pub fn arrived(&mut self, payload: &PayloadHash) -> Result<Arrived, ChainError> {
        self.lead_back(payload, |fate| fate == Fate::NotOurs)
    }

    /// A payload was erased. Where it was executed, the private state is led back to before that, and goes past it. Where
    /// that is too long ago, at least what it gave (logs, output) is removed; what it did to the state stays.
    pub fn erased(&mut self, payload: &PayloadHash) -> Result<Arrived, ChainError> {
        let outcome = self.lead_back(payload, |fate| matches!(fate, Fate::Executed | Fate::Read))?;
        if matches!(outcome, Arrived::TooOld(_)) {
            for (number, index, fate) in self.reader.seen(payload)? {
                if fate == Fate::Executed {
                    self.writer.erase_receipt(number, index)?;
                }
            }
        }
        Ok(outcome)
    }

    /// Gives up the whole private state: it is made anew from block 0.
    pub fn reset(&mut self) -> Result<Head, ChainError> {
        Ok(self.writer.wipe()?)
    }

    /// Removes from the files what was deleted or led back, and makes the store durable.
    pub fn scrub(&self) -> Result<(), ChainError> {
        Ok(self.writer.scrub()?)
    }

    /// The writer, for working out roots.
    pub(super) fn writer(&self) -> &PrivateWriter {
        &self.writer
    }

    fn lead_back(
        &mut self,
        payload: &PayloadHash,
        concerns: impl Fn(Fate) -> bool,
    ) -> Result<Arrived, ChainError> {
        let seen = self.reader.seen(payload)?;
        let first = seen.into_iter().find(|(_, _, fate)| concerns(*fate)).map(|(number, _, _)| number);
        let Some(to) = first.and_then(|number| number.checked_sub(1)) else { return Ok(Arrived::InTime) };
        if to < self.public.oldest_state().max(self.reader.oldest_state()) {
            return Ok(Arrived::TooOld(to.saturating_add(1)));
        }
        let header = self.public.header(to)?;
        let header = header
            .ok_or_else(|| ChainError::Halt(format!("the header of block {to} is missing in the store")))?;
        self.writer.rewind(Head { number: to, hash: header.hash() })?;
        Ok(Arrived::LedBack(to))
    }

    fn pass_to(&mut self, number: u64) -> Result<(), ChainError> {
        if number <= self.head().number {
            return Ok(());
        }
        let header = self.public.header(number)?;
        let header = header.ok_or_else(|| {
            ChainError::Halt(format!("the header of block {number} is missing in the store"))
        })?;
        Ok(self.writer.advance(number, header.hash())?)
    }

    fn execute(
        &self,
        block: &NamingBlock,
        payloads: &mut Payloads<'_, '_>,
    ) -> Result<Result<Done, Missing>, ChainError> {
        let insides = match self.prefetch(block, payloads) {
            Ok(insides) => insides,
            Err(missing) => return Ok(Err(missing)),
        };
        if self.nothing_runs(block, payloads) {
            let seen = block.named.iter().map(|named| {
                let erased = matches!(payloads.get(&named.hash), Ok(Lookup::Erased));
                (named.hash, named.index, if erased { Fate::Erased } else { Fate::NotOurs })
            });
            return Ok(Ok(Done { seen: seen.collect(), ..Done::default() }));
        }
        let parent = self.public.state_at(block.header.number.saturating_sub(1))?;
        let private = self.writer.state();
        let run = PrivateRun::new(&self.spec, block, &parent, &private, &self.writer, &self.reader);
        run.run(&self.spec, block, payloads, &insides)
    }

    /// Asks for everything that the block names, and for what is inside of its markers.
    fn prefetch(&self, block: &NamingBlock, payloads: &mut Payloads<'_, '_>) -> Result<Insides, Missing> {
        payloads.prefetch(block.named.iter().map(|named| named.hash))?;
        let insides = Insides::open(&self.spec, block, payloads)?;
        payloads.prefetch(insides.hashes())?;
        Ok(insides)
    }

    fn nothing_runs(&self, block: &NamingBlock, payloads: &mut Payloads<'_, '_>) -> bool {
        block.named.iter().all(|named| !matches!(payloads.get(&named.hash), Ok(Lookup::Found(_))))
    }

    fn commit(&mut self, block: &NamingBlock, done: &Done) -> Result<Advance, ChainError> {
        let prepared = self.writer.prepare_with(&done.changes, &done.brought)?;
        self.writer.commit(&PrivateBlock {
            number: block.header.number,
            hash: block.header.hash(),
            changes: &done.changes,
            prepared: &prepared,
            receipts: &done.receipts,
            contracts: &done.contracts,
            seen: &done.seen,
        })?;
        let not_ours = done.seen.iter().filter(|(_, _, fate)| *fate == Fate::NotOurs).count();
        Ok(Advance::Moved { head: self.head(), executed: done.receipts.len(), not_ours })
    }
}
