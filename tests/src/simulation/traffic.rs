//! People who use the network: they submit transactions somewhere.

use super::plan::COUNTER;
use super::report::Outcome;
use super::schedule::Happening;
use super::world::World;
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip4844, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use lonja_primitives::{NodeKey, Signer, StateView};

/// The chain id of all worlds.
const CHAIN_ID: u64 = 1337;

impl World {
    /// The next transaction comes after a pause.
    pub(super) fn expect_transaction(&mut self) {
        let mean_us = self.plan.transaction_pause_us;
        if mean_us > 0 {
            let pause_us = self.dice.between(mean_us / 4, mean_us * 2);
            self.after(pause_us, Happening::Transaction);
        }
    }

    /// Somebody brings one to a node that is up.
    pub(super) fn transaction(&mut self) -> Outcome {
        self.expect_transaction();
        let node = self.dice.index(self.nodes.len());
        self.submit_to(node)
    }

    /// Submits one transaction to a node.
    pub fn submit_to(&mut self, node: usize) -> Outcome {
        let sender = self.dice.index(self.senders.len());
        let key = self.senders[sender].clone();
        let Some(nonce) = self.nonce_at(node, &key.address()) else { return Ok(()) };
        let to = match self.dice.below(3) {
            0 => (COUNTER, U256::ZERO),
            1 => (self.senders[(sender + 1) % 3].address(), U256::from(self.dice.below(1_000))),
            _ => (Address::with_last_byte(self.dice.next() as u8 | 0x80), U256::from(1)),
        };
        let raw = signed(&key, nonce, to.0, to.1, Bytes::new());
        self.trace(|| format!("n{node} is given transaction {nonce} of {}", key.address()));
        self.take_transactions(node, None, vec![raw])
    }

    /// The nonce that follows what the node knows of.
    pub(super) fn nonce_at(&self, node: usize, sender: &Address) -> Option<u64> {
        let process = self.nodes[node].process.as_ref()?;
        if let Some(nonce) = process.pool.lock().pending_nonce(sender) {
            return Some(nonce);
        }
        let state = process.reader.state_at(process.reader.head().number).ok()?;
        Some(state.account(sender).ok()?.unwrap_or_default().nonce)
    }
}

/// A transaction of a key, in its EIP-2718 form.
pub(super) fn signed(key: &NodeKey, nonce: u64, to: Address, value: U256, input: Bytes) -> Bytes {
    let tx = TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        gas_price: 0,
        gas_limit: 100_000,
        to: TxKind::Call(to),
        value,
        input,
    };
    let signature = key.sign(tx.signature_hash()).0;
    let signature = alloy_primitives::Signature::from_bytes_and_parity(&signature[..64], signature[64] == 1);
    EthereumTxEnvelope::<TxEip4844>::Legacy(tx.into_signed(signature)).encoded_2718().into()
}
