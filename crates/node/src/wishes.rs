//! The operator's votes on validators, kept on disk: a wish outlives a restart, until it came true or is taken back.

use crate::rules::write_file;
use alloy_primitives::Address;
use lonja_consensus::machine::CANDIDATES_MAX;
use lonja_primitives::VoteKind;
use lonja_rpc::ControlError;
use lonja_storage::record::crc32c;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

/// Name of the file in the data directory: a line a candidate, `add 0x…` or `drop 0x…`, and a last line `sum` with the
/// CRC-32C of the others in hex: a damaged digit would be a vote on somebody else.
const FILE: &str = "votes";
/// What the last line begins with.
const SUM: &str = "sum ";

/// The wishes, in the file and in memory.
pub struct Wishes {
    file: PathBuf,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    wishes: BTreeMap<Address, VoteKind>,
    /// What the agreement did not list at the last look.
    missing: BTreeSet<Address>,
}

impl Wishes {
    /// Reads the file of a data directory; none holds no wish.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it means nothing.
    pub fn open(data_dir: &std::path::Path) -> io::Result<Self> {
        let file = data_dir.join(FILE);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let wishes = parse_all(&text).ok_or_else(|| {
            let rule =
                "each line must be `add 0x…` or `drop 0x…`, and the last `sum` with the sum of the others";
            io::Error::new(io::ErrorKind::InvalidData, rule)
        })?;
        Ok(Self { file, held: Mutex::new(Held { wishes, ..Held::default() }) })
    }

    /// All of them.
    pub fn list(&self) -> Vec<(Address, VoteKind)> {
        self.held.lock().wishes.iter().map(|(address, kind)| (*address, *kind)).collect()
    }

    /// Adds a wish, on disk before it returns.
    pub fn propose(&self, address: Address, kind: VoteKind) -> Result<(), ControlError> {
        let mut held = self.held.lock();
        if held.wishes.len() >= CANDIDATES_MAX && !held.wishes.contains_key(&address) {
            return Err(ControlError::Invalid(format!(
                "this node votes on {CANDIDATES_MAX} candidates already, and on no more; discard one first"
            )));
        }
        held.missing.remove(&address);
        held.wishes.insert(address, kind);
        self.write(&held)
    }

    /// Takes a wish back.
    pub fn discard(&self, address: &Address) -> Result<(), ControlError> {
        let mut held = self.held.lock();
        match held.wishes.remove(address) {
            Some(_) => self.write(&held),
            None => Ok(()),
        }
    }

    /// Drops the wishes that the agreement does not list any more: they came true. Only those it did not list at the
    /// last call either, for a new wish needs a moment to get there.
    pub fn follow(&self, listed: &[(Address, VoteKind)]) -> Result<(), ControlError> {
        let mut held = self.held.lock();
        let is_listed = |address: &Address| listed.iter().any(|(other, _)| other == address);
        let missing: BTreeSet<Address> =
            held.wishes.keys().filter(|address| !is_listed(address)).copied().collect();
        let gone: Vec<Address> = missing.intersection(&held.missing).copied().collect();
        held.missing = missing;
        if gone.is_empty() {
            return Ok(());
        }
        held.wishes.retain(|address, _| !gone.contains(address));
        self.write(&held)
    }

    fn write(&self, held: &Held) -> Result<(), ControlError> {
        let line = |(address, kind): (&Address, &VoteKind)| format!("{} {address}\n", word(*kind));
        let text: String = held.wishes.iter().map(line).collect();
        let text = text.clone() + &sum_line(&text);
        write_file(&self.file, &text).map_err(|error| ControlError::Unavailable(error.to_string()))
    }
}

fn word(kind: VoteKind) -> &'static str {
    match kind {
        VoteKind::Add => "add",
        VoteKind::Drop => "drop",
    }
}

fn sum_line(text: &str) -> String {
    format!("{SUM}{:08x}\n", crc32c(text.as_bytes()))
}

fn parse_all(text: &str) -> Option<BTreeMap<Address, VoteKind>> {
    let lines = match text.rfind(SUM) {
        Some(end) => text.split_at_checked(end).filter(|(lines, sum)| *sum == sum_line(lines))?.0,
        None if text.is_empty() => text,
        None => return None,
    };
    lines.lines().map(parse).collect()
}

fn parse(line: &str) -> Option<(Address, VoteKind)> {
    let (what, address) = line.split_once(' ')?;
    let kind = [VoteKind::Add, VoteKind::Drop].into_iter().find(|kind| word(*kind) == what)?;
    Some((address.parse().ok()?, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> Address {
        Address::with_last_byte(number)
    }

    #[test]
    fn wishes_outlive_a_restart_until_they_are_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let wishes = Wishes::open(folder.path()).unwrap();
        wishes.propose(address(1), VoteKind::Add).unwrap();
        wishes.propose(address(2), VoteKind::Drop).unwrap();
        wishes.propose(address(3), VoteKind::Add).unwrap();
        wishes.discard(&address(3)).unwrap();
        wishes.discard(&address(9)).unwrap();
        let again = Wishes::open(folder.path()).unwrap();
        assert_eq!(again.list(), [(address(1), VoteKind::Add), (address(2), VoteKind::Drop)]);
    }

    #[test]
    fn what_came_true_is_dropped_and_what_is_new_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let wishes = Wishes::open(folder.path()).unwrap();
        wishes.propose(address(1), VoteKind::Add).unwrap();
        wishes.propose(address(2), VoteKind::Add).unwrap();
        let listed = [(address(2), VoteKind::Add)];
        wishes.follow(&listed).unwrap();
        assert_eq!(wishes.list().len(), 2, "it may be on its way");
        wishes.propose(address(3), VoteKind::Drop).unwrap();
        wishes.follow(&listed).unwrap();
        assert_eq!(
            Wishes::open(folder.path()).unwrap().list(),
            [(address(2), VoteKind::Add), (address(3), VoteKind::Drop)]
        );
    }

    #[test]
    fn one_too_many_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wishes = Wishes::open(folder.path()).unwrap();
        for number in 0..CANDIDATES_MAX {
            wishes.propose(address(u8::try_from(number).unwrap()), VoteKind::Add).unwrap();
        }
        let error = wishes.propose(address(255), VoteKind::Add).unwrap_err();
        assert!(error.to_string().contains("discard one first"), "{error}");
        wishes.propose(address(0), VoteKind::Drop).unwrap();
    }

    #[test]
    fn a_file_that_means_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (wishes, candidate) = (Wishes::open(folder.path()).unwrap(), address(7));
        wishes.propose(candidate, VoteKind::Add).unwrap();
        let whole = fs::read(folder.path().join(FILE)).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(folder.path().join(FILE), bytes).unwrap();
            assert!(Wishes::open(folder.path()).is_err(), "byte {place}");
        }
        for text in ["add\n", "keep 0x0000000000000000000000000000000000000001\n", "add 0x01\n", "\n"] {
            fs::write(folder.path().join(FILE), text).unwrap();
            assert!(Wishes::open(folder.path()).is_err(), "{text:?}");
        }
    }
}
