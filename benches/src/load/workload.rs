//! What is sent: transfers signed and encoded before the clock starts, so that the load costs the machine under test as
//! little as it can.

use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_primitives::{Address, B256, Bytes as HexBytes, Signature, TxKind, U256, hex};
use bytes::Bytes;
use lonja_primitives::{NodeKey, Signer};
use std::ops::Range;

/// Gas of a plain transfer.
pub const TRANSFER_GAS: u64 = 21_000;

/// What all transactions of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Chain id (EIP-155).
    pub chain_id: u64,
    /// Wei per gas offered.
    pub gas_price: u128,
    /// Wei per transfer.
    pub value: U256,
}

/// Signed transactions in the order in which they are to be sent. Transaction `i` is that of account
/// `i % accounts` with nonce `i / accounts`, so that each account's come in nonce order, as far apart as possible.
pub struct Workload {
    batch: usize,
    accounts: usize,
    hashes: Vec<B256>,
    /// Encoded requests, one per batch.
    bodies: Vec<Bytes>,
    /// Where in the body of its batch a transaction's request stands.
    places: Vec<Range<u32>>,
}

impl Workload {
    /// Signs `each` transactions of every account on all processors. Account `n` pays account `n + 1`. The number of
    /// accounts must be a multiple of `batch`.
    pub fn sign(keys: &[NodeKey], terms: Terms, each: usize, batch: usize) -> Self {
        let count = keys.len() * each;
        let recipients: Vec<Address> =
            keys.iter().cycle().skip(1).take(keys.len()).map(Signer::address).collect();
        let batches: Vec<usize> = (0..count.div_ceil(batch)).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = batches.len().div_ceil(threads).max(1);
        let sign_batch = |number: usize| {
            let transactions = (number * batch..count.min((number + 1) * batch)).map(|index| {
                let account = index % keys.len();
                let nonce = (index / keys.len()) as u64;
                let (hash, raw) = sign_transfer(&keys[account], nonce, recipients[account], terms);
                (hash, request(index, &raw))
            });
            Encoded::join(transactions, batch > 1)
        };
        let encoded: Vec<Encoded> = std::thread::scope(|scope| {
            let spawn = |share: &[usize]| {
                let share = share.to_vec();
                scope.spawn(move || share.into_iter().map(sign_batch).collect::<Vec<_>>())
            };
            let workers: Vec<_> = batches.chunks(share).map(spawn).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("signing does not panic")).collect()
        });
        let mut workload =
            Self { batch, accounts: keys.len(), hashes: Vec::new(), bodies: Vec::new(), places: Vec::new() };
        for part in encoded {
            workload.hashes.extend(part.hashes);
            workload.places.extend(part.places);
            workload.bodies.push(part.body);
        }
        workload
    }

    /// How many transactions there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// How many accounts send.
    pub fn accounts(&self) -> usize {
        self.accounts
    }

    /// The transaction of an account with this nonce, unless there are fewer.
    pub fn index(&self, account: usize, nonce: usize) -> Option<usize> {
        let index = nonce.checked_mul(self.accounts)?.checked_add(account)?;
        (index < self.len()).then_some(index)
    }

    /// The account of a transaction, and its nonce.
    pub fn place(&self, index: usize) -> (usize, usize) {
        (index % self.accounts, index / self.accounts)
    }

    /// Hashes, by transaction.
    pub fn hashes(&self) -> &[B256] {
        &self.hashes
    }

    /// The request that offers these transactions: a prepared one where they are just a batch.
    pub fn request(&self, indexes: &[usize]) -> Bytes {
        let first = indexes.first().copied().unwrap_or(0);
        let in_order = indexes.iter().zip(first..).all(|(index, expected)| *index == expected);
        if in_order && indexes.len() == self.batch && first.is_multiple_of(self.batch) {
            return self.bodies[first / self.batch].clone();
        }
        let requests = indexes.iter().map(|index| {
            let Range { start, end } = self.places[*index];
            self.bodies[index / self.batch].slice(start as usize..end as usize)
        });
        let requests = requests.map(|request| (B256::ZERO, request));
        Encoded::join(requests, indexes.len() > 1).body
    }

    /// Which of `endpoints` gets a batch: always the same for one account, so that its nonces arrive in order.
    pub fn endpoint(&self, index: usize, endpoints: usize) -> usize {
        (index % self.accounts) / self.batch % endpoints
    }
}

struct Encoded {
    hashes: Vec<B256>,
    places: Vec<Range<u32>>,
    body: Bytes,
}

impl Encoded {
    fn join<R: AsRef<[u8]>>(requests: impl Iterator<Item = (B256, R)>, as_list: bool) -> Self {
        let (mut hashes, mut places, mut body) = (Vec::new(), Vec::new(), Vec::new());
        for (hash, request) in requests {
            if as_list {
                body.push(if hashes.is_empty() { b'[' } else { b',' });
            }
            let start = body.len() as u32;
            body.extend_from_slice(request.as_ref());
            places.push(start..body.len() as u32);
            hashes.push(hash);
        }
        if as_list {
            body.push(b']');
        }
        Self { hashes, places, body: body.into() }
    }
}

/// A request to send a raw transaction. The id is the transaction's index.
pub fn request(index: usize, raw: &[u8]) -> String {
    let raw = hex::encode(raw);
    format!(r#"{{"jsonrpc":"2.0","id":{index},"method":"eth_sendRawTransaction","params":["0x{raw}"]}}"#)
}

/// A legacy transfer (EIP-155): its hash and its encoding.
pub fn sign_transfer(key: &NodeKey, nonce: u64, to: Address, terms: Terms) -> (B256, Vec<u8>) {
    let tx = TxLegacy {
        chain_id: Some(terms.chain_id),
        nonce,
        gas_price: terms.gas_price,
        gas_limit: TRANSFER_GAS,
        to: TxKind::Call(to),
        value: terms.value,
        input: HexBytes::new(),
    };
    let signature = key.sign(tx.signature_hash()).0;
    let word = |range: Range<usize>| U256::from_be_slice(&signature[range]);
    let signed = tx.into_signed(Signature::new(word(0..32), word(32..64), signature[64] == 1));
    let mut raw = Vec::with_capacity(128);
    signed.eip2718_encode(&mut raw);
    (*signed.hash(), raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;
    use lonja_primitives::RecoveredTransaction;
    use serde_json::Value;

    const TERMS: Terms = Terms { chain_id: 1337, gas_price: 5, value: U256::ONE };

    fn raw(request: &Value) -> HexBytes {
        request["params"][0].as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn transactions_stand_in_nonce_order_and_can_be_sent_in_any_company() {
        let keys: Vec<NodeKey> = (0..6).map(|_| NodeKey::generate()).collect();
        let workload = Workload::sign(&keys, TERMS, 3, 3);
        assert_eq!((workload.len(), workload.accounts()), (18, 6));
        for indexes in [[0, 1, 2], [15, 16, 17], [1, 2, 3], [7, 0, 12]] {
            let requests: Vec<Value> = serde_json::from_slice(&workload.request(&indexes)).unwrap();
            assert_eq!(requests.len(), 3);
            for (index, request) in indexes.into_iter().zip(&requests) {
                assert_eq!(request["id"], index);
                let tx = RecoveredTransaction::recover(raw(request), 1337).unwrap();
                let (account, nonce) = workload.place(index);
                assert_eq!((tx.sender(), tx.nonce()), (keys[account].address(), nonce as u64));
                assert_eq!(workload.index(account, nonce), Some(index));
                assert_eq!(tx.hash(), workload.hashes()[index]);
                assert_eq!(tx.hash(), keccak256(raw(request)));
                let alone: Value = serde_json::from_slice(&workload.request(&[index])).unwrap();
                assert_eq!(&alone, request);
            }
        }
        assert_eq!(workload.index(0, 3), None);
        assert_eq!(workload.endpoint(2, 2), workload.endpoint(8, 2));
        assert_ne!(workload.endpoint(2, 2), workload.endpoint(3, 2));
    }

    #[test]
    fn a_batch_of_one_is_no_list() {
        let workload = Workload::sign(&[NodeKey::generate()], TERMS, 2, 1);
        let request: Value = serde_json::from_slice(&workload.request(&[1])).unwrap();
        assert_eq!(request["id"], 1);
    }
}
