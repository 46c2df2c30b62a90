//! The two ways to send private transactions: signed by clients, and signed by the node.

use super::book::Book;
use crate::load::contracts;
use crate::load::ledger::reason;
use crate::load::rpc::{self, Endpoint, RpcError};
use crate::load::workload::{self, Terms};
use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes as HexBytes, TxKind, U256, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eyre::{Result, WrapErr};
use lonja_primitives::{NodeKey, PayloadHash, Signer};
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a sender pauses when enough is outstanding, or something was refused.
const PAUSE: Duration = Duration::from_millis(5);

/// Sends to one member. Its methods must run inside a `LocalSet`.
pub struct Client {
    /// The member's JSON-RPC.
    pub rpc: Endpoint,
    /// Where its manager stores payloads.
    pub store: Endpoint,
    /// The contract that all calls go to.
    pub vault: Address,
    /// Key of the party that receives.
    pub receiver: String,
    /// What transactions have in common.
    pub terms: Terms,
    /// Where it is written down.
    pub book: Rc<RefCell<Book>>,
    /// How many may wait for their execution.
    pub outstanding: usize,
    /// Counts payloads: each call leaves another word.
    pub count: Cell<u64>,
}

/// An account of a client.
pub struct Account {
    key: NodeKey,
    nonce: u64,
}

/// One answer to a request that sends.
#[derive(Deserialize)]
struct Sent {
    id: Option<usize>,
    result: Option<B256>,
    error: Option<RpcError>,
}

/// The answer of a manager that stored a payload.
#[derive(Deserialize)]
struct Stored {
    key: PayloadHash,
}

impl Account {
    /// With a new key.
    pub fn new() -> Self {
        Self { key: NodeKey::generate(), nonce: 0 }
    }
}

impl Client {
    /// Signs by itself: stores payloads, signs their names, and has them sent; as many at a time as there are accounts.
    pub async fn sign(self: Rc<Self>, mut accounts: Vec<Account>, until: Instant) {
        while self.may_go_on(until).await {
            let began = Instant::now();
            let stores = accounts.iter().map(|_| self.clone().store()).map(tokio::task::spawn_local);
            let stores: Vec<_> = stores.collect();
            let mut hashes = Vec::with_capacity(accounts.len());
            for stored in stores {
                match stored.await.wrap_err("storing").flatten() {
                    Ok(hash) => hashes.push(hash),
                    Err(error) => self.book.borrow_mut().refused(&format!("storeraw: {error}")),
                }
            }
            let signed = accounts.iter().zip(&hashes).map(|(account, hash)| self.signed(account, hash));
            let requests = (0..).zip(signed).map(|(id, raw)| self.raw_request(id, &raw)).collect();
            match self.offer(began, requests).await {
                Some(taken) => {
                    for (account, _) in accounts.iter_mut().zip(taken).filter(|(_, taken)| *taken) {
                        account.nonce += 1;
                    }
                }
                None => self.count_again(&mut accounts).await,
            }
        }
    }

    /// Has the node sign, in turns by its accounts, `at_once` at a time.
    pub async fn ask(self: Rc<Self>, accounts: Rc<Vec<Address>>, at_once: usize, until: Instant) {
        while self.may_go_on(until).await {
            let request = |id: usize| {
                let call = self.count.get() as usize % accounts.len().max(1);
                let word = HexBytes::from(self.word());
                let params = json!([{
                    "from": accounts.get(call),
                    "to": self.vault,
                    "data": word,
                    "gas": U256::from(contracts::VAULT_GAS),
                    "privateFor": [self.receiver],
                }]);
                request(id, "eth_sendTransaction", &params)
            };
            let requests = (0..at_once).map(request).collect();
            self.offer(Instant::now(), requests).await;
        }
    }

    /// False at the end; before, it waits while enough is outstanding.
    async fn may_go_on(&self, until: Instant) -> bool {
        while self.book.borrow().outstanding() >= self.outstanding && Instant::now() < until {
            tokio::time::sleep(PAUSE).await;
        }
        Instant::now() < until
    }

    fn word(&self) -> B256 {
        self.count.set(self.count.get() + 1);
        U256::from(self.count.get()).into()
    }

    async fn store(self: Rc<Self>) -> Result<PayloadHash> {
        let body = json!({ "payload": STANDARD.encode(self.word()) }).to_string();
        let (answer, _) = self.store.post(body.into()).await?;
        Ok(serde_json::from_slice::<Stored>(&answer)?.key)
    }

    fn signed(&self, account: &Account, payload: &PayloadHash) -> Vec<u8> {
        let (to, name) = (TxKind::Call(self.vault), HexBytes::copy_from_slice(payload.as_slice()));
        let gas = contracts::VAULT_GAS;
        let tx = workload::transaction(self.terms, account.nonce, gas, to, U256::ZERO, name);
        workload::sign_private(&account.key, TxLegacy { chain_id: None, ..tx }).1
    }

    fn raw_request(&self, id: usize, raw: &[u8]) -> bytes::Bytes {
        let params = json!([hex::encode_prefixed(raw), { "privateFor": [self.receiver] }]);
        request(id, "eth_sendRawPrivateTransaction", &params)
    }

    /// Sends, and writes down what became of each, in the order of the requests; `None` where there was no answer.
    async fn offer(&self, began: Instant, requests: Vec<bytes::Bytes>) -> Option<Vec<bool>> {
        if requests.is_empty() {
            tokio::time::sleep(PAUSE).await;
            return Some(Vec::new());
        }
        let posted = self.rpc.post(workload::body(requests.iter())).await;
        let answers = posted.and_then(|(bytes, _)| rpc::answers::<Sent>(&bytes));
        let mut taken = vec![false; requests.len()];
        let is_lost = answers.is_err();
        {
            let mut book = self.book.borrow_mut();
            match answers {
                Ok(answers) => enter(&mut book, began, answers, &mut taken),
                Err(error) => requests.iter().for_each(|_| book.refused(&format!("no answer: {error}"))),
            }
        }
        if taken.contains(&false) {
            tokio::time::sleep(PAUSE).await;
        }
        (!is_lost).then_some(taken)
    }

    /// After a lost answer nobody knows what the node took.
    async fn count_again(&self, accounts: &mut [Account]) {
        for account in accounts {
            let params = json!([account.key.address(), "pending"]);
            if let Ok(nonce) = self.rpc.number("eth_getTransactionCount", params).await {
                account.nonce = nonce;
            }
        }
    }
}

fn enter(book: &mut Book, began: Instant, answers: Vec<Sent>, taken: &mut [bool]) {
    for answer in answers {
        match (answer.result, answer.error) {
            (Some(hash), _) => {
                book.accepted(hash, began);
                if let Some(taken) = answer.id.and_then(|id| taken.get_mut(id)) {
                    *taken = true;
                }
            }
            (None, Some(error)) => book.refused(&reason(&error)),
            (None, None) => book.refused("an answer without a hash"),
        }
    }
}

fn request(id: usize, method: &str, params: &Value) -> bytes::Bytes {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_requests() {
        let text = r#"[{"id":1,"result":"0x1111111111111111111111111111111111111111111111111111111111111111"},
            {"id":0,"error":{"code":-32005,"message":"busy"}}]"#;
        let (mut book, mut taken) = (Book::default(), vec![false; 2]);
        enter(&mut book, Instant::now(), rpc::answers(text.as_bytes()).unwrap(), &mut taken);
        assert_eq!(taken, [false, true]);
        assert_eq!((book.outstanding(), book.answers().refusals), (1, 1));
        assert_eq!(book.reasons().keys().collect::<Vec<_>>(), ["(-32005) busy"]);
    }
}
