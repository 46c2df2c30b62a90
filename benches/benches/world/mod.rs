//! What the benches stand on: a genesis with funded accounts, and transfers between them.
#![allow(dead_code, reason = "each bench uses its part")]

#[allow(unused_imports, reason = "its tests run with the load meter")]
#[path = "../../src/load/contracts.rs"]
pub mod contracts;

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EthereumTxEnvelope, SignableTransaction, TxEip4844, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::header::ISTANBUL_MIX_HASH;
use lonja_primitives::{Block, Genesis, Header, NodeKey, RecoveredTransaction, Signer};

/// Chain id of all transactions.
pub const CHAIN_ID: u64 = 1337;

/// The key with this number, from 0.
pub fn key(number: u64) -> NodeKey {
    let bytes = B256::from(U256::from(number) + U256::ONE);
    NodeKey::from_bytes(&bytes.0).expect("a small number other than 0 is a key")
}

/// A network of these validators whose first `accounts` keys own something.
pub fn genesis(validators: &[NodeKey], accounts: u64) -> Genesis {
    let balance = U256::from(1_000_000_000_000_000_000u64);
    let network = NewNetwork {
        chain_id: CHAIN_ID,
        validators: validators.iter().map(Signer::address).collect(),
        balances: (0..accounts).map(|number| (key(number).address(), balance)).collect(),
        ..NewNetwork::default()
    };
    Genesis::from_json(&network.to_json()).expect("a genesis file of our own")
}

/// A signed transfer of one wei from one key to another account.
pub fn transfer(from: u64, nonce: u64, to: Address) -> Bytes {
    transaction(from, nonce, 21_000, TxKind::Call(to), U256::ONE, Bytes::new())
}

/// A signed transaction.
pub fn transaction(from: u64, nonce: u64, gas_limit: u64, to: TxKind, value: U256, input: Bytes) -> Bytes {
    let tx = TxLegacy { chain_id: Some(CHAIN_ID), nonce, gas_price: 0, gas_limit, to, value, input };
    let signature = key(from).sign(tx.signature_hash()).0;
    let (r, s) = (U256::from_be_slice(&signature[..32]), U256::from_be_slice(&signature[32..64]));
    let signed = tx.into_signed(Signature::new(r, s, signature[64] == 1));
    EthereumTxEnvelope::<TxEip4844>::from(signed).encoded_2718().into()
}

/// One transfer with this nonce by each of `count` accounts to its neighbour.
pub fn transfers(count: u64, nonce: u64) -> Vec<Bytes> {
    (0..count).map(|number| transfer(number, nonce, key((number + 1) % count).address())).collect()
}

/// One transfer of a token with this nonce by each of `count` accounts to its neighbour.
pub fn token_transfers(token: Address, count: u64, nonce: u64) -> Vec<Bytes> {
    let pay = |number: u64| {
        let call = contracts::transfer(key((number + 1) % count).address(), U256::ONE);
        transaction(number, nonce, contracts::TOKEN_TRANSFER_GAS, TxKind::Call(token), U256::ZERO, call)
    };
    (0..count).map(pay).collect()
}

/// Decoded, with their senders.
pub fn recovered(raws: &[Bytes]) -> Vec<RecoveredTransaction> {
    raws.iter()
        .map(|raw| RecoveredTransaction::recover(raw.clone(), CHAIN_ID).expect("a signed transfer"))
        .collect()
}

/// An unsealed block after `parent`, with a state that nobody checks.
pub fn block(parent: &Header, parent_hash: B256, transactions: Vec<Bytes>) -> Block {
    let header = Header {
        parent_hash,
        number: parent.number + 1,
        timestamp: parent.timestamp + 1,
        gas_limit: parent.gas_limit,
        base_fee_per_gas: parent.base_fee_per_gas,
        extra_data: parent.extra_data.clone(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        transactions_root: Block::transactions_root(&transactions),
        mix_hash: ISTANBUL_MIX_HASH,
        difficulty: U256::ONE,
        ..Header::default()
    };
    Block { header, transactions }
}
