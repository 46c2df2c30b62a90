//! The disk of a node: what a crash leaves of it is all that the next process gets.

use super::dice::Dice;
use super::report::{Outcome, Violation};
use lonja_storage::{MemoryKv, record};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: what it gave to the operating system is kept.
    Kill,
    /// The power is cut: what was not synced is lost, in whole or in part.
    PowerCut,
}

/// A node's disk.
#[derive(Clone, Default)]
pub struct Disk {
    /// Blocks and states.
    pub chain: MemoryKv,
    /// The consensus log.
    pub log: LogFile,
    /// Payloads of private transactions.
    pub payloads: MemoryKv,
    /// The private state.
    pub private: MemoryKv,
}

/// The bytes of a log file, and how many of them are safe.
#[derive(Clone, Debug, Default)]
pub struct LogFile {
    bytes: Vec<u8>,
    synced: usize,
}

impl LogFile {
    /// Writes records behind the others, as one write.
    pub fn write<T: AsRef<[u8]>>(&mut self, records: &[T]) {
        for payload in records {
            record::encode(payload.as_ref(), &mut self.bytes);
        }
    }

    /// All that was written is safe from here on.
    pub fn sync(&mut self) {
        self.synced = self.bytes.len();
    }

    /// Replaces the whole content at once, as a rename does.
    pub fn rewrite<T: AsRef<[u8]>>(&mut self, records: &[T]) {
        self.bytes.clear();
        self.write(records);
        self.sync();
    }

    /// All that stands in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length, bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Loses everything, which no disk does: for showing that the checks notice.
    pub fn erase(&mut self) {
        *self = Self::default();
    }

    /// What the crash leaves. Returns whether a record was torn.
    fn crash(&mut self, crash: Crash, dice: &mut Dice) -> bool {
        let unsynced = self.bytes.len() - self.synced;
        // A kill can hit the write itself, which may have been cut short.
        let cut = unsynced > 0 && (crash == Crash::PowerCut || dice.chance(30));
        if cut {
            self.bytes.truncate(self.synced + dice.index(unsynced + 1));
        }
        self.synced = self.bytes.len();
        record::decode_all(&self.bytes).1 < self.bytes.len()
    }

    /// Reads the records back as the real log does when it is opened: the torn end is cut off, and damage
    /// before a readable record is an error.
    pub fn open(&mut self) -> Outcome<Vec<Vec<u8>>> {
        let (records, valid) = record::decode_all(&self.bytes);
        if record::contains_record(&self.bytes[valid..]) {
            return Err(Violation::new("the consensus log is damaged before a readable record"));
        }
        self.bytes.truncate(valid);
        self.sync();
        Ok(records)
    }
}

impl Disk {
    /// What the crash leaves. Returns whether the log's end was torn.
    pub fn crash(&mut self, crash: Crash, dice: &mut Dice) -> bool {
        if crash == Crash::PowerCut {
            self.chain.crash();
            self.payloads.crash();
            self.private.crash();
        }
        self.log.crash(crash, dice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_cut_tears_only_what_was_not_synced() {
        let mut torn = 0;
        for seed in 0..200 {
            let mut log = LogFile::default();
            log.write(&[b"first"]);
            log.sync();
            log.write(&[b"second", b"third!"]);
            torn += u32::from(log.crash(Crash::PowerCut, &mut Dice::new(seed)));
            let records = log.open().unwrap();
            assert_eq!(records[0], b"first");
            assert_eq!(record::decode_all(&log.bytes).1, log.len());
        }
        assert!(torn > 100, "{torn}");
    }

    #[test]
    fn damage_in_the_middle_is_noticed() {
        let mut log = LogFile::default();
        log.write(&[b"first".as_slice(), b"second".as_slice()]);
        log.bytes[9] ^= 1;
        assert!(log.open().is_err());
    }
}
