//! What a run needs on the chain before it begins: accounts that own something, and contracts.

use super::contracts;
use super::ledger;
use super::rpc::{self, Answer, Endpoint};
use super::workload::{self, Terms};
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy_sol_types::SolCall;
use eyre::{Result, bail, eyre};
use lonja_permissioning::registry::abi::{REGISTRY, Registry};
use lonja_primitives::{NodeKey, Signer};
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant};

/// How long nothing may come into a block before the setup is given up.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Transactions per request. Few enough for the batch limits of all clients.
const BATCH: usize = 100;
/// How many of one account may wait for a block. Few enough for the pools of all clients.
const WAITING_MAX: u64 = 1_000;
/// How often the payer's nonce is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Accounts that get tokens in one call.
const GIVEN_AT_ONCE: usize = 100;
/// Gas of an entry in the registry, with room.
const REGISTER_GAS: u64 = 300_000;
/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

/// An account that prepares a run, transaction by transaction.
pub struct Payer<'a> {
    endpoint: &'a Endpoint,
    key: NodeKey,
    terms: Terms,
    nonce: u64,
    last: Option<B256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    status: Option<U64>,
}

impl<'a> Payer<'a> {
    /// With its nonce as the node has it.
    pub async fn new(endpoint: &'a Endpoint, key: NodeKey, terms: Terms) -> Result<Self> {
        let nonce = endpoint.number("eth_getTransactionCount", json!([key.address(), "pending"])).await?;
        Ok(Self { endpoint, key, terms, nonce, last: None })
    }

    /// Gives every account so many wei.
    pub async fn fund(&mut self, accounts: &[Address], wei: U256) -> Result<()> {
        let pay = |account: &Address| (TRANSFER_GAS, TxKind::Call(*account), wei, Bytes::new());
        self.send(accounts.iter().map(pay).collect()).await
    }

    /// Enters every account in the registry, as one that may do everything. The payer is an organisation's admin.
    pub async fn register(&mut self, accounts: &[Address]) -> Result<()> {
        let enter = |account: &Address| {
            let call = Registry::setAccountCall { account: *account, access: 7, quotaClass: 0, expires: 0 };
            (REGISTER_GAS, TxKind::Call(REGISTRY), U256::ZERO, call.abi_encode().into())
        };
        self.send(accounts.iter().map(enter).collect()).await?;
        let last = accounts.last().copied().unwrap_or_default();
        let call = Registry::memberOfCall { account: last }.abi_encode();
        let asked = json!([{ "to": REGISTRY, "input": Bytes::from(call) }, "latest"]);
        let member: Option<B256> = self.endpoint.call("eth_call", asked).await?;
        match member {
            Some(member) if !member.is_zero() => Ok(()),
            _ => bail!("the registry did not take the accounts of the run"),
        }
    }

    /// Makes a token whose whole supply is shared out to these accounts.
    pub async fn token(&mut self, accounts: &[Address], each: U256) -> Result<Address> {
        let token = self.create(contracts::token(each.saturating_mul(U256::from(accounts.len())))).await?;
        let give = |accounts: &[Address]| {
            let (input, gas) = contracts::give(accounts, each);
            (gas, TxKind::Call(token), U256::ZERO, input)
        };
        self.send(accounts.chunks(GIVEN_AT_ONCE).map(give).collect()).await?;
        let last = accounts.last().copied().unwrap_or_default();
        let call = json!([{ "to": token, "input": contracts::balance_of(last) }, "latest"]);
        let balance: Option<U256> = self.endpoint.call("eth_call", call).await?;
        if balance != Some(each) {
            bail!("the token of the run was not shared out: an account has {balance:?} of {each}");
        }
        Ok(token)
    }

    /// Makes the contract that writes storage.
    pub async fn slots(&mut self) -> Result<Address> {
        self.create(contracts::slots()).await
    }

    /// Makes the contract that keeps a word.
    pub async fn vault(&mut self) -> Result<Address> {
        self.create(contracts::vault()).await
    }

    async fn create(&mut self, code: Bytes) -> Result<Address> {
        let address = self.key.address().create(self.nonce);
        self.send(vec![(contracts::CREATE_GAS, TxKind::Create, U256::ZERO, code)]).await?;
        let params = json!([self.last]);
        let receipt: Option<Receipt> = self.endpoint.call("eth_getTransactionReceipt", params).await?;
        match receipt.and_then(|receipt| receipt.status) {
            Some(status) if status.is_zero() => bail!("a contract of the run could not be created"),
            _ => Ok(address),
        }
    }

    /// Sends, and waits until all are in blocks.
    async fn send(&mut self, transactions: Vec<(u64, TxKind, U256, Bytes)>) -> Result<()> {
        for chunk in transactions.chunks(BATCH) {
            let requests: Vec<bytes::Bytes> = chunk.iter().map(|tx| self.sign(tx.clone())).collect();
            let (bytes, _) = self.endpoint.post(workload::body(requests.iter())).await?;
            if let Some(error) = rpc::answers::<Answer>(&bytes)?.into_iter().find_map(|answer| answer.error) {
                bail!("a transaction that prepares the run was refused: {}", ledger::reason(&error));
            }
            self.wait(WAITING_MAX).await?;
        }
        self.wait(0).await
    }

    fn sign(&mut self, (gas, to, value, input): (u64, TxKind, U256, Bytes)) -> bytes::Bytes {
        let tx = workload::transaction(self.terms, self.nonce, gas, to, value, input);
        let (hash, raw) = workload::sign(&self.key, tx);
        let id = self.nonce;
        self.nonce += 1;
        self.last = Some(hash);
        workload::request(id, &raw).into()
    }

    /// Until no more than so many wait for a block.
    async fn wait(&self, waiting: u64) -> Result<()> {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let params = json!([self.key.address(), "latest"]);
            let done = self.endpoint.number("eth_getTransactionCount", params).await?;
            if done.saturating_add(waiting) >= self.nonce {
                return Ok(());
            }
            if done > before {
                (before, since) = (done, Instant::now());
            }
            if since.elapsed() > TIMEOUT {
                return Err(eyre!("what prepares the run came into no block for {} s", TIMEOUT.as_secs()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
