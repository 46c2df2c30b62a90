//! The thread that looks after the store while the node works, with as little as can be noticed: it gives back the room
//! of history that was dropped, and compares the newest state with the roots in the headers, over and over. What it
//! finds wrong halts the node: it would have served, or voted on, a state that is not the chain's.

use crate::halt::Halt;
use lonja_storage::{Position, Reader, StoreError, Upkeep};
use metrics::{counter, gauge};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Accounts and slots compared in one piece: some ten milliseconds of work, and as long is a snapshot of the database
/// held.
const ROWS_PER_PIECE: u64 = 4_096;
/// After each piece it rests so many times as long: a pass takes 2 % of one processor.
const REST: u32 = 49;
/// How often it is looked whether room can be given back.
const ROOM_EVERY: Duration = Duration::from_secs(3_600);
/// How often the progress of giving room back is told.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// The longest sleep, so that a node that stops is not held up.
const NAP: Duration = Duration::from_millis(100);

/// Starts the thread. A pass over the state begins at the start and then every `audit_every`; with `None` there is
/// none. It ends when `stopping` is set, or with the node halted.
pub fn start(
    reader: Reader,
    audit_every: Option<Duration>,
    halt: Halt,
    stopping: Arc<AtomicBool>,
) -> JoinHandle<()> {
    let worker = Worker { upkeep: Upkeep::new(reader), halt, stopping };
    let thread = thread::Builder::new().name("upkeep".into());
    thread.spawn(move || worker.run(audit_every)).expect("the system can start a thread")
}

struct Worker {
    upkeep: Upkeep,
    halt: Halt,
    stopping: Arc<AtomicBool>,
}

impl Worker {
    fn run(&self, audit_every: Option<Duration>) {
        let (mut next_room, mut next_pass) = (Instant::now(), Instant::now());
        while !self.stops() {
            if Instant::now() >= next_room {
                self.or_halt(self.give_room());
                next_room = Instant::now() + ROOM_EVERY;
            }
            if let Some(every) = audit_every.filter(|_| Instant::now() >= next_pass) {
                next_pass = Instant::now() + every;
                self.or_halt(self.audit());
            }
            thread::sleep(NAP);
        }
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || self.halt.reason().is_some()
    }

    /// A disk that refuses is told by those who write; what is damaged nobody may go on with.
    fn or_halt(&self, result: Result<(), StoreError>) {
        match result {
            Ok(()) => {}
            Err(error @ StoreError::Damaged(_)) => self.halt.now(format!("looking after the state: {error}")),
            Err(error) => tracing::warn!(%error, "looking after the store was given up for now"),
        }
    }

    fn give_room(&self) -> Result<(), StoreError> {
        if !self.upkeep.has_room_to_give()? {
            return Ok(());
        }
        let begun = Instant::now();
        let mut told = begun;
        tracing::info!("the room of dropped history is given back to the disk");
        self.upkeep.give_room(&mut |done, of| {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tracing::info!(percent = u64::from(done) * 100 / u64::from(of), "giving room back");
            }
            if self.stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if !self.stops() {
            tracing::info!(seconds = begun.elapsed().as_secs(), "the room of dropped history is given back");
        }
        Ok(())
    }

    /// One pass over the state, or what of it fits until the node stops.
    fn audit(&self) -> Result<(), StoreError> {
        let begun = Instant::now();
        let (mut accounts, mut slots) = (0, 0);
        let mut at = Some(Position::default());
        let mut last = 0;
        while let Some(from) = at {
            let piece_begun = Instant::now();
            match self.upkeep.compare(&from, ROWS_PER_PIECE) {
                Ok((block, slice)) => {
                    accounts += slice.accounts;
                    slots += slice.slots;
                    counter!("lonja_audit_rows_total").increment(slice.accounts + slice.slots);
                    (at, last) = (slice.next, block);
                }
                // Blocks came without a pause, or the look fell behind: again, later.
                Err(error) if !error.is_halt() => tracing::debug!(%error, "a look at the state is put off"),
                Err(error) => return Err(error),
            }
            self.rest(piece_begun.elapsed().saturating_mul(REST));
            if self.stops() {
                return Ok(());
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        gauge!("lonja_audit_block").set(last as f64);
        gauge!("lonja_audit_seconds").set(seconds);
        gauge!("lonja_audit_timestamp").set(crate::clock::unix_ms() as f64 / 1e3);
        tracing::info!(
            block = last,
            accounts,
            slots,
            seconds = seconds as u64,
            "the state agrees with its root"
        );
        Ok(())
    }

    fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.stops() && Instant::now() < until {
            thread::sleep(NAP.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::Genesis;
    use lonja_primitives::genesis::NewNetwork;
    use lonja_storage::{Batch, Kv, KvRead, MemoryKv, Table, open};

    fn store() -> (MemoryKv, Reader) {
        let balances = (1..=50)
            .map(|byte| (alloy_primitives::Address::repeat_byte(byte), alloy_primitives::U256::from(byte)));
        let network = NewNetwork {
            validators: vec![alloy_primitives::Address::repeat_byte(7)],
            balances: balances.collect(),
            ..NewNetwork::default()
        };
        let kv = MemoryKv::new();
        let genesis = Genesis::from_json(&network.to_json()).unwrap();
        let opened = open(Arc::new(kv.clone()), &genesis).unwrap();
        (kv, opened.reader)
    }

    #[test]
    fn a_row_changed_behind_the_back_halts_the_node() {
        let (kv, reader) = store();
        let (key, mut row) = kv.first_from(Table::Accounts, &[], None).unwrap().unwrap();
        *row.last_mut().unwrap() ^= 1;
        let mut batch = Batch::default();
        batch.put(Table::Accounts, key, row);
        kv.write(batch).unwrap();
        let halt = Halt::new();
        let thread = start(reader, Some(ROOM_EVERY), halt.clone(), Arc::default());
        thread.join().unwrap();
        assert!(halt.reason().unwrap().contains("looking after the state: the data is damaged"));
    }

    #[test]
    fn a_sound_state_is_gone_over_again_and_again_until_the_node_stops() {
        let (_, reader) = store();
        let stopping = Arc::new(AtomicBool::new(false));
        let worker =
            Worker { upkeep: Upkeep::new(reader.clone()), halt: Halt::new(), stopping: stopping.clone() };
        worker.audit().unwrap();
        let halt = Halt::new();
        let thread = start(reader, Some(Duration::ZERO), halt.clone(), stopping.clone());
        thread::sleep(NAP * 3);
        stopping.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        assert_eq!(halt.reason(), None);
    }
}
