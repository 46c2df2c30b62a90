//! An account that signs transactions.

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use lonja_primitives::{NodeKey, Signer};

/// The first of the ten accounts that every developer tool knows; networks here give it a million ether.
pub const FUNDED_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// Chain id of all networks here.
const CHAIN_ID: u64 = 1337;

/// A key and the next nonce. Gas is free, so an empty account may send as much as any other.
pub struct Wallet {
    key: NodeKey,
    nonce: u64,
}

/// A transaction ready to be sent.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Its bytes.
    pub raw: Bytes,
    /// Its hash.
    pub hash: B256,
}

impl Wallet {
    /// An account that nobody has ever seen.
    pub fn empty() -> Self {
        Self { key: NodeKey::generate(), nonce: 0 }
    }

    /// An account that is the same in every run.
    pub fn numbered(n: usize) -> Self {
        let key = NodeKey::from_bytes(&keccak256(format!("organisation {n}")).0);
        Self { key: key.expect("a hash is below the order of the curve"), nonce: 0 }
    }

    /// The account with a balance.
    pub fn funded() -> Self {
        Self { key: NodeKey::from_hex(FUNDED_KEY).expect("a valid key"), nonce: 0 }
    }

    /// Who sends.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The next transfer, with the fees that a wallet suggests on an ordinary chain.
    pub fn transfer(&mut self, to: Address, wei: u64) -> Signed {
        self.sign(TxEip1559 {
            gas_limit: 21_000,
            to: TxKind::Call(to),
            value: U256::from(wei),
            ..TxEip1559::default()
        })
    }

    /// The next call of a contract, or the creation of one.
    pub fn call(&mut self, to: TxKind, input: Bytes) -> Signed {
        self.call_with(to, input, 500_000)
    }

    /// The same with another gas limit.
    pub fn call_with(&mut self, to: TxKind, input: Bytes, gas_limit: u64) -> Signed {
        self.sign(TxEip1559 { gas_limit, to, input, ..TxEip1559::default() })
    }

    /// Leaves a nonce out: what comes after it waits.
    pub fn skip(&mut self) {
        self.nonce += 1;
    }

    /// The last transaction came to nothing: its nonce is used again.
    pub fn again(&mut self) {
        self.nonce -= 1;
    }

    /// The address of the contract that the next transaction creates.
    pub fn next_contract(&self) -> Address {
        self.address().create(self.nonce)
    }

    fn sign(&mut self, transaction: TxEip1559) -> Signed {
        let transaction = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.nonce,
            max_fee_per_gas: 2_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            ..transaction
        };
        self.nonce += 1;
        let signature = self.key.sign(transaction.signature_hash()).0;
        let signature = Signature::from_bytes_and_parity(&signature[..64], signature[64] == 1);
        let envelope = EthereumTxEnvelope::<TxEip4844>::Eip1559(transaction.into_signed(signature));
        let raw = Bytes::from(envelope.encoded_2718());
        Signed { hash: keccak256(&raw), raw }
    }
}

impl Signed {
    /// As `eth_sendRawTransaction` takes it.
    pub fn text(&self) -> String {
        hex::encode_prefixed(&self.raw)
    }
}
