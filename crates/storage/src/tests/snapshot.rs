//! A state handed over in parts: nothing else arrives, and nothing wrong is taken.

use super::*;
use crate::snapshot::{
    BackfillBlock, CheckedPart, ImportedBlock, Part, PartId, Pinned, StateImport, WholeAccount, has_blocks,
};
use crate::tables::{META_JOINING, account_key};
use crate::{MemoryKv, Table};
use alloy_rlp::Decodable;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What a joining node does, against one giver.
struct Taker<'a> {
    pinned: &'a Pinned<'a>,
    root: B256,
    import: StateImport,
    asked: usize,
    split_storages: Vec<(B256, B256)>,
}

impl Taker<'_> {
    fn part(&mut self, id: &PartId) -> Part {
        self.asked += 1;
        let part = self.pinned.part(id).unwrap().expect("the account is there");
        let bytes = alloy_rlp::encode(&part);
        assert_eq!(Part::decode(&mut &bytes[..]).unwrap(), part, "what travels");
        part
    }

    fn take(&mut self, id: PartId, root: B256) {
        match self.part(&id).check(&id, &root).unwrap() {
            CheckedPart::Split => id.split().unwrap().into_iter().for_each(|part| self.take(part, root)),
            CheckedPart::Slots(slots, branches) => {
                self.import.put_slots(&id.owner.unwrap(), &slots, branches.as_deref()).unwrap();
                if !id.prefix.is_empty() && !self.split_storages.contains(&(id.owner.unwrap(), root)) {
                    self.split_storages.push((id.owner.unwrap(), root));
                }
            }
            CheckedPart::Accounts(accounts) => {
                self.import.put_accounts(&accounts).unwrap();
                for account in accounts.iter().filter(|checked| checked.account.slots.is_none()) {
                    let WholeAccount { key, flat, .. } = account.account;
                    self.take(PartId::whole(Some(key)), flat.storage_root);
                }
            }
        }
    }

    fn finish(self, block: &Block) -> Result<usize, StoreError> {
        for (owner, root) in &self.split_storages {
            self.import.finish_storage(owner, root)?;
        }
        let number = block.header.number;
        let imported = ImportedBlock {
            block,
            hash: block.header.hash_slow(),
            transaction_hashes: &[keccak256(transaction(number))],
            senders: &[address(number)],
            receipts: &[receipt(number)],
        };
        self.import.finish(&imported, b"votes")?;
        Ok(self.asked)
    }
}

/// Hands the newest state of a chain over to an empty store, and compares the two.
fn hand_over(chain: &Chain) -> (Arc<MemoryKv>, usize) {
    let kv = Arc::new(MemoryKv::default());
    let pinned = chain.reader.pin().unwrap();
    let block = chain.blocks.last().unwrap();
    assert_eq!(pinned.block().hash, block.header.hash_slow());
    let import = StateImport::begin(kv.clone(), &chain.genesis).unwrap();
    assert!(!has_blocks(&*kv).unwrap());
    assert_eq!(
        open_chain(kv.clone(), &chain.genesis, &chain.genesis_state).err(),
        Some(StoreError::Unfinished)
    );
    let parents = chain.blocks.iter().rev().skip(1).take(1);
    let parents: Vec<_> = parents
        .map(|block| SealedHeader::new_unchecked(block.header.clone(), block.header.hash_slow()))
        .collect();
    import.put_headers(&parents).unwrap();
    let root = block.header.state_root;
    let mut taker = Taker { pinned: &pinned, root, import, asked: 0, split_storages: Vec::new() };
    taker.take(PartId::whole(None), taker.root);
    let asked = taker.finish(block).unwrap();
    assert!(has_blocks(&*kv).unwrap());

    let mut batch = crate::Batch::default();
    chain.writer.tries.write_all(&mut batch);
    chain.kv.write(batch).unwrap();
    for table in [Table::Accounts, Table::Slots, Table::AccountTrie, Table::StorageTrie] {
        assert!(rows(&*chain.kv, table) == rows(&*kv, table), "table {}", table.name());
    }
    (kv, asked)
}

fn rows(kv: &dyn Kv, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    kv.scan(table, &[], &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    })
    .unwrap();
    rows
}

fn large_state(accounts: u64, slots: u64) -> StateChanges {
    let mut changes = StateChanges::default();
    for number in 0..accounts {
        let change = AccountChange { account: Some(account(number, 7)), ..AccountChange::default() };
        changes.accounts.insert(address(number), change);
    }
    for (number, count) in [(3, slots), (4, 64), (5, 65), (6, 1)] {
        let storage = (0..count).map(|slot| (U256::from(slot), U256::from(slot + 1))).collect();
        changes.accounts.get_mut(&address(number)).unwrap().storage = storage;
    }
    changes
}

#[test]
fn a_large_state_arrives_whole_and_goes_on() {
    let mut chain = Chain::with_genesis(Arc::new(MemoryKv::default()), large_state(5_000, 5_000));
    chain.commit_and_publish(&change(1, 9, &[]));
    chain.commit_and_publish(&change(3, 9, &[(1, 0), (2, 77)]));
    let (kv, asked) = hand_over(&chain);
    // All accounts and all of one storage are too much for one answer; another storage comes alone.
    assert_eq!(asked, 1 + 16 + 1 + 16 + 1);

    let mut joined = Chain::with_genesis(Arc::new(MemoryKv::default()), chain.genesis_state.clone());
    let Opened { writer, reader, backfill } =
        open_chain(kv.clone(), &chain.genesis, &chain.genesis_state).unwrap();
    assert_eq!((reader.head().number, reader.oldest_state(), reader.oldest_block()), (2, 2, 2));
    assert_eq!(reader.block(1).unwrap(), None, "nothing is said of what is not there");
    assert_eq!(reader.senders(1).unwrap(), None);
    assert!(reader.block(0).unwrap().is_some() && reader.block(2).unwrap().is_some());
    assert!(reader.state_at(1).is_err());
    chain.model.check(&reader.state_at(2).unwrap(), &[address(1), address(3)], &[U256::ONE, U256::from(2)]);

    let mut backfill = backfill.unwrap();
    (joined.kv, joined.writer, joined.reader) = (kv.clone(), writer, reader);
    (joined.model, joined.past) = (chain.model.clone(), chain.past.clone());
    joined.blocks = chain.blocks.clone();
    joined.commit_and_publish(&change(3, 10, &[(4, 4)]));

    let wrong = backfilled(&chain.blocks[2]);
    assert!(matches!(backfill.put(&[wrong]), Err(StoreError::OutOfOrder(_))));
    assert_eq!(backfill.wanted().unwrap(), Some((1, chain.blocks[1].header.hash_slow())));
    backfill.put(&[backfilled(&chain.blocks[1])]).unwrap();
    assert_eq!(backfill.wanted().unwrap(), None);
    joined.check_blocks();
    joined.reopen();
    joined.check_blocks();
    assert_eq!(joined.reader.oldest_block(), 0);
}

fn backfilled(block: &Block) -> BackfillBlock {
    let number = block.header.number;
    BackfillBlock {
        block: block.clone(),
        hash: block.header.hash_slow(),
        transaction_hashes: vec![keccak256(transaction(number))],
        senders: vec![address(number)],
        receipts: vec![receipt(number)],
    }
}

#[test]
fn a_pinned_state_stays_as_it_was() {
    let mut chain = Chain::with_genesis(Arc::new(MemoryKv::default()), large_state(100, 100));
    chain.commit_and_publish(&change(1, 2, &[]));
    let root = chain.reader.header(1).unwrap().unwrap().state_root;
    // The reader is borrowed by what it pinned.
    let reader = chain.reader.clone();
    let pinned = reader.pin().unwrap();
    for nonce in 3..20 {
        chain.commit_and_publish(&change(3, nonce, &[(nonce, nonce), (1, 0)]));
    }
    assert_eq!(pinned.block().number, 1);
    for id in [PartId::whole(None), PartId::whole(Some(account_key(&address(3))))] {
        let flat = chain.past[1].trie_account(&address(3)).unwrap();
        let root = if id.owner.is_some() { flat.storage_root } else { root };
        assert!(pinned.part(&id).unwrap().unwrap().check(&id, &root).is_ok());
        for part in id.split().unwrap() {
            assert!(pinned.part(&part).unwrap().unwrap().check(&part, &root).is_ok(), "{part:?}");
        }
    }
    let nobody = PartId::whole(Some(B256::repeat_byte(9)));
    assert_eq!(pinned.part(&nobody).unwrap(), None);
}

/// A change that a dishonest giver might make.
fn tamper(part: &mut Part, how: usize, rng: &mut StdRng) -> bool {
    let (proof, slots) = match part {
        Part::Split => return false,
        Part::Accounts { accounts, .. } if how < 6 => {
            let count = accounts.len();
            let Some(account) = accounts.get_mut(rng.random_range(0..count.max(1))) else { return false };
            match how {
                0 => account.flat.account.balance += U256::ONE,
                1 => account.flat.account.nonce += 1,
                2 => account.key.0[31] ^= 1,
                3 => account.flat.account.code_hash.0[0] ^= 1,
                4 => {
                    let Some(slot) = account.slots.as_mut().and_then(|slots| slots.first_mut()) else {
                        return false;
                    };
                    slot.1 += U256::ONE;
                }
                _ => {
                    let gone = rng.random_range(0..count);
                    accounts.remove(gone);
                }
            }
            return true;
        }
        Part::Accounts { proof, .. } => (proof, None),
        Part::Slots { proof, slots } => (proof, Some(slots)),
    };
    match (how, slots) {
        (0, Some(slots)) if !slots.is_empty() => slots[0].1 += U256::ONE,
        (1, Some(slots)) if !slots.is_empty() => drop(slots.pop()),
        (2, Some(slots)) if slots.len() > 1 => slots.swap(0, 1),
        (3, Some(slots)) => slots.push((B256::repeat_byte(0xff), U256::ONE)),
        (6, _) if !proof.is_empty() => drop(proof.pop()),
        (7, _) => proof.push(Bytes::from_static(&[0xc0])),
        (8, _) if !proof.is_empty() => {
            let (node, byte) = (rng.random_range(0..proof.len()), rng.random::<u32>() as usize);
            let mut bytes = proof[node].to_vec();
            let place = byte % bytes.len();
            bytes[place] ^= 1 << (byte % 7);
            proof[node] = bytes.into();
        }
        _ => return false,
    }
    true
}

#[test]
fn whatever_is_tampered_with_is_refused() {
    let mut chain = Chain::with_genesis(Arc::new(MemoryKv::default()), large_state(5_000, 5_000));
    chain.commit_and_publish(&change(1, 2, &[]));
    let pinned = chain.reader.pin().unwrap();
    let owner = account_key(&address(3));
    let roots = [chain.reader.header(1).unwrap().unwrap().state_root, chain.model.storage_root(&address(3))];
    let mut rng = StdRng::seed_from_u64(7);
    let (mut refused, mut kinds) = (0, std::collections::BTreeSet::new());
    for (whole, root) in [PartId::whole(None), PartId::whole(Some(owner))].into_iter().zip(roots) {
        let first: Vec<PartId> = whole.split().unwrap();
        let second = first.iter().flat_map(|part| part.split().unwrap().into_iter().take(3));
        for id in first.iter().copied().chain(second) {
            for how in 0..9 {
                let mut part = pinned.part(&id).unwrap().unwrap();
                assert!(part.clone().check(&id, &root).is_ok());
                if tamper(&mut part, how, &mut rng) {
                    assert!(part.check(&id, &root).is_err(), "{id:?} {how}");
                    refused += 1;
                    kinds.insert((id.owner.is_some(), how));
                }
            }
            let other =
                PartId { prefix: first[(usize::from(id.prefix.get(0).unwrap()) + 1) % 16].prefix, ..id };
            assert!(pinned.part(&other).unwrap().unwrap().check(&id, &root).is_err(), "another part");
        }
    }
    assert!(refused > 800, "{refused}");
    assert_eq!(kinds.len(), 9 + 7, "{kinds:?}");
}

#[test]
fn a_state_is_fetched_into_an_empty_store_only() {
    let chain = Chain::new(Arc::new(MemoryKv::default()));
    assert!(StateImport::begin(chain.kv.clone(), &chain.genesis).is_err());
    assert!(!has_blocks(&*chain.kv).unwrap(), "block 0 alone");
    assert!(chain.kv.get(Table::Meta, META_JOINING).unwrap().is_none());
    assert!(!has_blocks(&MemoryKv::default()).unwrap(), "nothing at all");
    let mut batch = crate::Batch::default();
    batch.delete(Table::Meta, crate::tables::META_HEAD);
    chain.kv.write(batch).unwrap();
    assert!(matches!(has_blocks(&*chain.kv), Err(StoreError::Damaged(_))), "this is not to be thrown away");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_state_arrives_whole(seed: u64, accounts in 7u64..300, slots in 0u64..200) {
        let mut chain = Chain::with_genesis(Arc::new(MemoryKv::default()), large_state(accounts, slots));
        let mut rng = StdRng::seed_from_u64(seed);
        for nonce in 2..6 {
            let slot = (rng.random_range(0..70u64), rng.random_range(0..2u64));
            chain.commit_and_publish(&change(rng.random_range(0..accounts), nonce, &[slot]));
        }
        hand_over(&chain);
    }

    #[test]
    fn arbitrary_parts_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Part::decode(&mut &bytes[..]);
        let _ = PartId::decode(&mut &bytes[..]);
    }
}
