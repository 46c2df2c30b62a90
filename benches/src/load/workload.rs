//! What is sent: the transactions of every account, signed and encoded.

use super::contracts;
use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_primitives::{Address, B256, Bytes as HexBytes, Signature, TxKind, U256, hex};
use bytes::Bytes;
use clap::ValueEnum;
use lonja_primitives::transaction::PRIVATE_MARK;
use lonja_primitives::{NodeKey, Signer};
use std::ops::Range;

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

/// What kind of transactions are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Plain transfers between the accounts
    Transfers,
    /// Transfers of an ERC-20 token between the accounts
    Erc20,
    /// Calls that write fresh storage slots
    Storage,
    /// Plain transfers, beside a stream of reads
    Mixed,
}

/// What all transactions of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Chain id (EIP-155).
    pub chain_id: u64,
    /// Wei per gas offered.
    pub gas_price: u128,
}

/// What a call does.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Sends so many wei to the next account.
    Transfer(U256),
    /// Sends one unit of the token at this address to the next account.
    Token(Address),
    /// Writes so many slots of the contract at this address.
    Slots(Address, u64),
    /// Leaves the number of the transaction with the contract at this address that keeps a word.
    Vault(Address),
}

/// How the transactions of a run are made. Each has a number: that of account `a` with nonce `n` is
/// `n * accounts + a`.
pub struct Workload {
    keys: Vec<NodeKey>,
    addresses: Vec<Address>,
    terms: Terms,
    action: Action,
}

/// A transaction ready to be sent.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Its hash.
    pub hash: B256,
    /// The request that sends it. Its id is the transaction's number.
    pub request: Bytes,
}

impl Action {
    /// Gas that it may use.
    pub fn gas(&self) -> u64 {
        match self {
            Self::Transfer(_) => TRANSFER_GAS,
            Self::Token(_) => contracts::TOKEN_TRANSFER_GAS,
            Self::Slots(_, count) => contracts::write_gas(*count),
            Self::Vault(_) => contracts::VAULT_GAS,
        }
    }

    /// Wei that it sends along.
    pub fn value(&self) -> U256 {
        if let Self::Transfer(value) = self { *value } else { U256::ZERO }
    }
}

impl Workload {
    /// Of accounts with these keys.
    pub fn new(keys: Vec<NodeKey>, terms: Terms, action: Action) -> Self {
        let addresses = keys.iter().map(Signer::address).collect();
        Self { keys, addresses, terms, action }
    }

    /// How many accounts send.
    pub fn accounts(&self) -> usize {
        self.keys.len()
    }

    /// Makes the transaction of an account with a nonce. Account `a` pays account `a + 1`.
    pub fn sign(&self, account: usize, nonce: u64) -> Signed {
        let neighbour = self.addresses[(account + 1) % self.addresses.len()];
        let number = nonce * self.keys.len() as u64 + account as u64;
        let (to, input) = match self.action {
            Action::Transfer(_) => (neighbour, HexBytes::new()),
            Action::Token(token) => (token, contracts::transfer(neighbour, U256::ONE)),
            Action::Slots(contract, count) => (contract, contracts::write(count)),
            Action::Vault(contract) => (contract, B256::from(U256::from(number + 1)).into()),
        };
        let (gas, value) = (self.action.gas(), self.action.value());
        let tx = transaction(self.terms, nonce, gas, TxKind::Call(to), value, input);
        let (hash, raw) = sign(&self.keys[account], tx);
        Signed { hash, request: request(number, &raw).into() }
    }

    /// Makes the first `each` transactions of every account, on all processors.
    pub fn sign_all(&self, each: u64) -> Vec<Vec<Signed>> {
        let accounts: Vec<usize> = (0..self.accounts()).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = accounts.len().div_ceil(threads).max(1);
        let of_account =
            |account: &usize| (0..each).map(|nonce| self.sign(*account, nonce)).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            let spawn =
                |share| scope.spawn(move || <[usize]>::iter(share).map(of_account).collect::<Vec<_>>());
            let workers: Vec<_> = accounts.chunks(share).map(spawn).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("signing does not panic")).collect()
        })
    }
}

/// A legacy transaction before it is signed (EIP-155).
pub fn transaction(
    terms: Terms,
    nonce: u64,
    gas_limit: u64,
    to: TxKind,
    value: U256,
    input: HexBytes,
) -> TxLegacy {
    let Terms { chain_id, gas_price } = terms;
    TxLegacy { chain_id: Some(chain_id), nonce, gas_price, gas_limit, to, value, input }
}

/// Signs: the hash and the encoding.
pub fn sign(key: &NodeKey, tx: TxLegacy) -> (B256, Vec<u8>) {
    let signature = signature(key, &tx);
    encode(tx, signature)
}

/// As [`sign`], for a transaction without a chain id that becomes a private one: its data is the name of a payload.
pub fn sign_private(key: &NodeKey, tx: TxLegacy) -> (B256, Vec<u8>) {
    let signature = signature(key, &tx);
    encode(TxLegacy { chain_id: Some(PRIVATE_MARK), ..tx }, signature)
}

fn signature(key: &NodeKey, tx: &TxLegacy) -> Signature {
    let signature = key.sign(tx.signature_hash()).0;
    let word = |range: Range<usize>| U256::from_be_slice(&signature[range]);
    Signature::new(word(0..32), word(32..64), signature[64] == 1)
}

fn encode(tx: TxLegacy, signature: Signature) -> (B256, Vec<u8>) {
    let signed = tx.into_signed(signature);
    let mut raw = Vec::with_capacity(192);
    signed.eip2718_encode(&mut raw);
    (*signed.hash(), raw)
}

/// A request to send a raw transaction.
pub fn request(id: u64, raw: &[u8]) -> String {
    let raw = hex::encode(raw);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_sendRawTransaction","params":["0x{raw}"]}}"#)
}

/// Several requests as one body: a batch, where they are more than one.
pub fn body<'a>(requests: impl ExactSizeIterator<Item = &'a Bytes>) -> Bytes {
    let is_batch = requests.len() > 1;
    let mut body = Vec::with_capacity(512 * requests.len());
    for (position, request) in requests.enumerate() {
        if is_batch {
            body.push(if position == 0 { b'[' } else { b',' });
        }
        body.extend_from_slice(request);
    }
    if is_batch {
        body.push(b']');
    }
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;
    use lonja_primitives::RecoveredTransaction;
    use serde_json::Value;

    const TERMS: Terms = Terms { chain_id: 1337, gas_price: 5 };

    fn workload(action: Action) -> Workload {
        Workload::new((0..3).map(|_| NodeKey::generate()).collect(), TERMS, action)
    }

    fn recovered(signed: &Signed) -> (u64, RecoveredTransaction) {
        let request: Value = serde_json::from_slice(&signed.request).unwrap();
        let raw: HexBytes = request["params"][0].as_str().unwrap().parse().unwrap();
        assert_eq!(keccak256(&raw), signed.hash);
        let id = request["id"].as_u64().unwrap();
        (id, RecoveredTransaction::recover(raw, TERMS.chain_id).unwrap())
    }

    #[test]
    fn every_account_has_its_transactions_in_nonce_order() {
        let contract = Address::repeat_byte(9);
        let calls = [Action::Token(contract), Action::Slots(contract, 10), Action::Vault(contract)];
        for action in calls.into_iter().chain([Action::Transfer(U256::ONE)]) {
            let workload = workload(action);
            let signed = workload.sign_all(2);
            assert_eq!(signed.len(), workload.accounts());
            for (account, own) in signed.iter().enumerate() {
                assert_eq!(own.len(), 2);
                for (nonce, signed) in own.iter().enumerate() {
                    let (id, tx) = recovered(signed);
                    assert_eq!((tx.sender(), tx.nonce()), (workload.addresses[account], nonce as u64));
                    assert_eq!(id, (nonce * 3 + account) as u64);
                }
            }
        }
    }

    #[test]
    fn a_private_transaction_is_one() {
        let key = NodeKey::generate();
        let free = Terms { gas_price: 0, ..TERMS };
        let call = TxKind::Call(Address::repeat_byte(9));
        let tx = transaction(free, 7, 100_000, call, U256::ZERO, HexBytes::from(vec![3; 64]));
        let (hash, raw) = sign_private(&key, TxLegacy { chain_id: None, ..tx });
        let tx = RecoveredTransaction::recover(raw.into(), TERMS.chain_id).unwrap();
        assert!(tx.is_private() && tx.payload_hash().is_some());
        assert_eq!((tx.hash(), tx.sender(), tx.nonce()), (hash, key.address(), 7));
    }

    #[test]
    fn requests_are_joined_to_a_batch_only_when_there_are_several() {
        let [one, two] = [Bytes::from_static(b"{\"id\":1}"), Bytes::from_static(b"{\"id\":2}")];
        assert_eq!(body([&one].into_iter()), one);
        assert_eq!(body([&one, &two].into_iter()), "[{\"id\":1},{\"id\":2}]");
    }
}
