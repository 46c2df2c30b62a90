//! Clique's rules: the cases of EIP-225, and chains of real blocks that are taken or refused.

use crate::clique::{Clique, digest};
use crate::test_chain::{TestChain, TestChainError, TestSeals};
use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B64, B256, Bytes, Signature, TxKind, U256, hex};
use lonja_primitives::{Block, Header, NodeKey, Signer};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

const DROP: B64 = B64::ZERO;
const ADD: B64 = B64::new([0xff; 8]);
const CHAIN_ID: u64 = 1_337;

/// The keys of signers A, B, C and so on; the same in each run.
fn key(letter: char) -> NodeKey {
    NodeKey::from_bytes(&[letter as u8; 32]).unwrap()
}

fn address(letter: char) -> Address {
    key(letter).address()
}

fn addresses(letters: &str) -> BTreeSet<Address> {
    letters.chars().map(address).collect()
}

fn extra(listed: &BTreeSet<Address>) -> Bytes {
    let listed = listed.iter().flat_map(|address| address.to_vec());
    [0; 32].into_iter().chain(listed).chain([0; 65]).collect()
}

fn signed(mut header: Header, by: char) -> Header {
    let seal = key(by).sign(digest(&header)).0;
    let mut bytes = header.extra_data.to_vec();
    let at = bytes.len() - seal.len();
    bytes[at..].copy_from_slice(&seal);
    header.extra_data = bytes.into();
    header
}

fn difficulty(signers: &BTreeSet<Address>, number: u64, by: char) -> U256 {
    let place = signers.iter().position(|signer| *signer == address(by));
    U256::from(if place == Some(number as usize % signers.len().max(1)) { 2 } else { 1 })
}

/// A vote: who signs, on whom, and whether to add; `*` marks a checkpoint.
fn vote(text: &str) -> (char, Option<(Address, B64)>, bool) {
    let letters: Vec<char> = text.chars().collect();
    let on = |nonce| Some((address(letters[2]), nonce));
    match letters.get(1) {
        Some('+') => (letters[0], on(ADD), false),
        Some('-') => (letters[0], on(DROP), false),
        Some('*') => (letters[0], None, true),
        _ => (letters[0], None, false),
    }
}

/// Runs the blocks of a case and gives the signers after them.
fn signers_after(signers: &str, epoch: u64, votes: &str) -> Result<BTreeSet<Address>, String> {
    let mut signers = addresses(signers);
    let mut parent = Header { extra_data: extra(&signers), ..Header::default() };
    let mut clique = Clique::new(&parent, 1, epoch)?;
    for (number, text) in (1..).zip(votes.split_whitespace()) {
        let (by, vote, is_checkpoint) = vote(text);
        let (beneficiary, nonce) = vote.unwrap_or_default();
        let listed = if is_checkpoint { signers.clone() } else { BTreeSet::new() };
        let header = Header {
            number,
            timestamp: number,
            beneficiary,
            nonce,
            difficulty: difficulty(&signers, number, by),
            extra_data: extra(&listed),
            ..Header::default()
        };
        let header = signed(header, by);
        assert_eq!(clique.step(&header, &parent)?, address(by));
        parent = header;
        signers = clique.signers().clone();
    }
    Ok(signers)
}

#[test]
fn the_cases_of_eip_225() {
    let long = 30_000;
    for (signers, votes, after) in [
        ("A", "A", "A"),
        ("A", "A+B B A+C", "AB"),
        ("AB", "A+C B+C A+D B+D C A+E B+E", "ABCD"),
        ("A", "A-A", ""),
        ("AB", "A-B", "AB"),
        ("AB", "A-B B-B", "A"),
        ("ABC", "A-C B-C", "AB"),
        ("ABCD", "A-C B-C", "ABCD"),
        ("ABCD", "A-D B-D C-D", "ABC"),
        ("AB", "A+C B A+C B A+C", "AB"),
        ("AB", "A+C B A+D B A B+D A B+C", "ABCD"),
        ("AB", "A-B B A-B B A-B", "AB"),
        ("ABCD", "A-C B C A-D B C A B-D C-D A B-C", "AB"),
        ("ABC", "C-B A-C B-C A-B", "AB"),
        ("ABC", "C+D A-C B-C A+D", "AB"),
        ("ABCD", "A-C B C A-D B-C C A B-D C-D", "ABC"),
        ("ABCD", "A-C B C A-D B-C C A B-D C-D A C+C", "AB"),
        ("ABCD", "A-C B C A-D B-C C A B-D C-D A B+C", "ABC"),
        ("ABCDE", "A+F B+F C+F D-F E-F B-F C-F D+F E+F B-A C-A D-A E-A B+F", "BCDEF"),
    ] {
        assert_eq!(signers_after(signers, long, votes), Ok(addresses(after)), "{signers}: {votes}");
    }
    assert_eq!(signers_after("AB", 3, "A+C B A* B+C"), Ok(addresses("AB")));
    for (signers, epoch, votes, rule) in [
        ("A", long, "B", "is not a signer"),
        ("AB", long, "A A", "signed recently"),
        ("ABC", 3, "A B A* A", "signed recently"),
        ("AB", 3, "A B A", "not the signers of the checkpoint"),
        ("AB", long, "A B*", "outside a checkpoint"),
    ] {
        let error = signers_after(signers, epoch, votes).unwrap_err();
        assert!(error.contains(rule), "{signers}: {votes}: {error}");
    }
}

/// A chain of signers A, B and C under the rules up to Berlin.
struct Net {
    chain: TestChain,
    parent: Header,
}

fn genesis() -> String {
    let extra = hex::encode(extra(&addresses("ABC")));
    let rich = hex::encode(address('R'));
    format!(
        r#"{{ "config": {{ "chainId": {CHAIN_ID}, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
            "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0,
            "istanbulBlock": 0, "berlinBlock": 0, "clique": {{ "period": 5, "epoch": 8 }} }},
            "difficulty": "1", "gasLimit": "8000000", "extraData": "0x{extra}",
            "alloc": {{ "{rich}": {{ "balance": "1000000000000000000" }} }} }}"#
    )
}

impl Net {
    fn new(seals: TestSeals) -> Self {
        let chain = TestChain::open(&genesis(), seals).unwrap();
        let parent = chain.head_header().clone();
        Self { chain, parent }
    }

    /// The next header, with the state of its parent.
    fn header(&self, by: char) -> Header {
        let number = self.parent.number + 1;
        let signers = addresses("ABC");
        Header {
            number,
            parent_hash: self.parent.hash_slow(),
            timestamp: self.parent.timestamp + 5,
            state_root: self.parent.state_root,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            gas_limit: self.parent.gas_limit,
            difficulty: difficulty(&signers, number, by),
            extra_data: extra(&if number.is_multiple_of(8) { signers } else { BTreeSet::new() }),
            ..Header::default()
        }
    }

    fn take(&mut self, header: Header, transactions: Vec<Bytes>) -> Result<(), String> {
        let raw = alloy_rlp::encode(Block { header: header.clone(), transactions });
        match self.chain.import(&raw, &mut |_| ControlFlow::Continue(())) {
            Ok(()) => {
                self.parent = header;
                Ok(())
            }
            Err(TestChainError::Block { number, reason }) if number == header.number => Err(reason),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_chain_in_turns_is_taken_over_an_epoch() {
    let mut net = Net::new(TestSeals::Clique);
    for number in 1..=20u64 {
        let by = ['A', 'B', 'C'][number as usize % 3];
        let header = signed(net.header(by), by);
        net.take(header, Vec::new()).unwrap();
    }
    assert_eq!(net.chain.head(), (20, net.parent.hash_slow()));
}

#[test]
fn what_breaks_a_rule_is_refused_by_name() {
    let changes: [(fn(&mut Header), &str); 8] = [
        (|header| header.difficulty = U256::from(3) - header.difficulty, "difficulty"),
        (|header| header.nonce = B64::new([1; 8]), "nonce"),
        (|header| header.mix_hash = B256::repeat_byte(1), "mix hash"),
        (|header| header.timestamp -= 1, "timestamp"),
        (|header| header.extra_data = extra(&addresses("ABC")), "outside a checkpoint"),
        (|header| header.extra_data = vec![0; 32].into(), "no room for the signature"),
        (|header| header.gas_limit *= 2, "gas limit"),
        (|header| header.state_root = B256::repeat_byte(1), "state root"),
    ];
    let mut net = Net::new(TestSeals::Clique);
    for (change, rule) in changes {
        let mut header = net.header('A');
        change(&mut header);
        if header.extra_data.len() > 65 {
            header = signed(header, 'A');
        }
        let error = net.take(header, Vec::new()).unwrap_err();
        assert!(error.contains(rule), "{rule}: {error}");
    }
    let stranger = signed(net.header('D'), 'D');
    assert!(net.take(stranger, Vec::new()).unwrap_err().contains("is not a signer"));
    // A header that is changed after it was signed is of another signer, whom nobody knows.
    let mut changed = signed(net.header('A'), 'A');
    changed.beneficiary = address('D');
    assert!(net.take(changed, Vec::new()).unwrap_err().contains("is not a signer"));
    let first = signed(net.header('A'), 'A');
    net.take(first, Vec::new()).unwrap();
    let again = signed(net.header('A'), 'A');
    assert!(net.take(again, Vec::new()).unwrap_err().contains("signed recently"));
}

#[test]
fn fees_are_the_signers() {
    let price = 7u64;
    let tx = TxLegacy {
        chain_id: Some(CHAIN_ID),
        gas_limit: 21_000,
        gas_price: u128::from(price),
        to: TxKind::Call(address('Z')),
        value: U256::from(5),
        ..TxLegacy::default()
    };
    let signature = key('R').sign(tx.signature_hash()).0;
    let signature = Signature::from_bytes_and_parity(&signature[..64], signature[64] == 1);
    let raw = Bytes::from(tx.into_signed(signature).encoded_2718());
    let mut net = Net::new(TestSeals::Clique);
    let mut header = net.header('B');
    header.transactions_root = Block::transactions_root(std::slice::from_ref(&raw));
    header.gas_used = 21_000;
    // What execution gives stands in the refusals.
    for _ in 0..2 {
        let error = net.take(signed(header.clone(), 'B'), vec![raw.clone()]).unwrap_err();
        let given = error.rsplit(' ').next().unwrap().parse().unwrap();
        match error.split(':').next().unwrap() {
            "receipts root" => header.receipts_root = given,
            "state root" => header.state_root = given,
            other => panic!("{other}: {error}"),
        }
    }
    net.take(signed(header, 'B'), vec![raw]).unwrap();
    assert_eq!(net.chain.balance(&address('B')), U256::from(21_000 * price));
    assert_eq!((net.chain.balance(&address('Z')), net.chain.transactions()), (U256::from(5), 1));
}

#[test]
fn without_seals_anybody_may_seal_and_all_else_is_verified() {
    let mut net = Net::new(TestSeals::None);
    let header = Header { difficulty: U256::from(9), extra_data: Bytes::new(), ..net.header('D') };
    let wrong = Header { state_root: B256::ZERO, ..header.clone() };
    assert!(net.take(wrong, Vec::new()).unwrap_err().contains("state root"));
    let wrong = Header { gas_used: 1, ..header.clone() };
    assert!(net.take(wrong, Vec::new()).unwrap_err().contains("gas used"));
    let wrong = Header { base_fee_per_gas: Some(7), ..header.clone() };
    assert!(net.take(wrong, Vec::new()).unwrap_err().contains("base fee"));
    net.take(header, Vec::new()).unwrap();
}

#[test]
fn a_genesis_file_is_read_or_refused_by_field() {
    let open = |text: &str| TestChain::open(text, TestSeals::Clique).err().map(|error| error.to_string());
    assert_eq!(open(&genesis()), None);
    for (old, new, field) in [
        (r#""clique""#, r#""other""#, "config.clique"),
        (r#""berlinBlock": 0"#, r#""moonBlock": 0"#, "moonBlock"),
        (r#""gasLimit": "8000000""#, r#""gasLimit": "many""#, "gasLimit"),
        (r#""balance": "1"#, r#""balance": "x"#, "balance"),
    ] {
        let text = genesis().replacen(old, new, 1);
        assert_ne!(text, genesis());
        let error = open(&text).unwrap();
        assert!(error.contains(field), "{field}: {error}");
    }
}
