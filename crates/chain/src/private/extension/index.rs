//! Which extensions there are at this node.

use super::contract::{CREATED, Management};
use alloy_primitives::{Address, BloomInput};
use lonja_primitives::PayloadHash;
use lonja_ptm::PublicKey;
use lonja_storage::StoreError;
use lonja_storage::private::{Origin, PrivateReader};
use std::collections::BTreeSet;

/// Extensions that are remembered while they go on. Each is the work of people, and is over in days; but any party may
/// begin as many as it likes, and the oldest of more than these are those of nobody.
pub const MAX_OPEN: usize = 1_024;

/// Blocks with something private that one look goes through: a fraction of a second.
pub const BLOCKS_PER_LOOK: usize = 4_096;

/// An extension of which this node is a party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The contract that manages it.
    pub management: Address,
    /// The payload that made that contract.
    pub creation: PayloadHash,
    /// Privacy flag of that contract, which is the extended one's.
    pub flag: u8,
    /// Keys of those who must take part, with flag 2.
    pub mandatory: Vec<PublicKey>,
    /// Where it stands.
    pub state: Management,
}

/// The extension that this contract manages, as of the private head; `None` where it manages none.
pub fn look(reader: &PrivateReader, management: &Address) -> Result<Option<Extension>, StoreError> {
    let number = reader.head().number;
    let record = reader.contract(management, number)?;
    let Some(record) = record.filter(|record| record.origin == Origin::Management) else { return Ok(None) };
    let state = Management::read(&reader.state_at(number)?, management)
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let (management, creation, flag) = (*management, record.creation, record.flag);
    let mandatory = record.mandatory.into_iter().map(PublicKey).collect();
    Ok(state.map(|state| Extension { management, creation, flag, mandatory, state }))
}

/// Finds extensions that are not finished. All it knows follows from the private state, so that nothing is kept on disk:
/// after a start, and after the state was led back, it looks through all blocks again.
#[derive(Debug, Default)]
pub struct ExtensionIndex {
    /// Blocks before this one were looked at.
    next: u64,
    /// The state was not led back since.
    generation: u64,
    /// Management contracts, by the block of their creation.
    open: BTreeSet<(u64, Address)>,
}

impl ExtensionIndex {
    /// Looks at blocks that were not looked at yet, a bounded number of them; whether it came to the private head.
    pub fn look_on(&mut self, reader: &PrivateReader) -> Result<bool, StoreError> {
        let generation = reader.generation();
        if generation != self.generation {
            *self = Self { generation, ..Self::default() };
        }
        let head = reader.head().number;
        for _ in 0..BLOCKS_PER_LOOK {
            let Some(number) = reader.next_block(self.next)?.filter(|number| *number <= head) else {
                self.next = head.saturating_add(1);
                return Ok(true);
            };
            self.look_at(reader, number)?;
            self.next = number.saturating_add(1);
        }
        Ok(false)
    }

    fn look_at(&mut self, reader: &PrivateReader, number: u64) -> Result<(), StoreError> {
        let bloom = reader.bloom_at(number)?;
        if !bloom.is_some_and(|bloom| bloom.contains_input(BloomInput::Raw(CREATED.as_slice()))) {
            return Ok(());
        }
        for (_, receipt) in reader.receipts(number)? {
            let created = receipt.contract.filter(|_| receipt.success);
            let begins = receipt.logs.iter().any(|log| log.data.topics().first() == Some(&CREATED));
            self.open.extend(created.filter(|_| begins).map(|address| (number, address)));
        }
        while self.open.len() > MAX_OPEN {
            self.open.pop_first();
        }
        Ok(())
    }

    /// The extensions among those found that are not finished, oldest first. Those that are, are forgotten.
    pub fn open(&mut self, reader: &PrivateReader) -> Result<Vec<Extension>, StoreError> {
        let mut extensions = Vec::new();
        for found in self.open.clone() {
            match look(reader, &found.1)?.filter(|extension| !extension.state.finished) {
                Some(extension) => extensions.push(extension),
                None => drop(self.open.remove(&found)),
            }
        }
        Ok(extensions)
    }
}
