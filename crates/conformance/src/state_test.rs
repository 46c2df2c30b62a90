//! GeneralStateTests: one transaction on a state, and the root of the state after it.

use crate::exception::{Refusal, expected};
use crate::fixture::{Alloc, Data, Info, Quantity};
use crate::network::{CHAIN_ID, Network};
use crate::skip::Skip;
use crate::verdict::{Difference, Outcome, Verdict};
use crate::world::{BlockHashes, View, credit, open_with};
use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use lonja_evm::{BlockEnv, BlockExecutor, ExecuteError};
use lonja_primitives::{Fork, NodeKey, Receipt, RecoveredTransaction, Signer, StateChanges, Transaction};
use lonja_storage::ChainWriter;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The blob transaction's type (EIP-4844).
pub(crate) const BLOB_TYPE: u8 = 3;

/// Base fee where the test has none: that of the tool that made the tests.
const DEFAULT_BASE_FEE: u64 = 10;

#[derive(Deserialize)]
struct Probe {
    post: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct StateTest {
    #[serde(rename = "_info", default)]
    info: Info,
    env: Env,
    pre: Alloc,
    transaction: TransactionFixture,
    post: BTreeMap<String, Vec<Post>>,
    /// Only in tests of the newer tool.
    config: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Env {
    current_coinbase: Address,
    current_difficulty: Option<Quantity>,
    current_gas_limit: Quantity,
    current_number: Quantity,
    current_timestamp: Quantity,
    current_base_fee: Option<Quantity>,
    current_random: Option<Quantity>,
    current_excess_blob_gas: Option<Quantity>,
}

/// The parts of a transaction, of which each test picks one each. Used where the test does not have the transaction
/// itself, as old tests do, which know only legacy transactions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionFixture {
    data: Vec<Data>,
    gas_limit: Vec<Quantity>,
    value: Vec<Quantity>,
    nonce: Quantity,
    to: Option<String>,
    gas_price: Option<Quantity>,
    secret_key: Option<B256>,
    max_fee_per_blob_gas: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    hash: B256,
    logs: B256,
    indexes: Indexes,
    txbytes: Option<Data>,
    expect_exception: Option<String>,
}

#[derive(Deserialize)]
struct Indexes {
    data: usize,
    gas: usize,
    value: usize,
}

/// Runs all tests of a file.
pub(crate) fn run_file(text: &[u8]) -> Result<Vec<Outcome>, String> {
    let tests: BTreeMap<String, &RawValue> = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let mut outcomes = Vec::new();
    for (name, test) in tests {
        let probe = serde_json::from_str::<Probe>(test.get());
        if !probe.is_ok_and(|probe| probe.post.is_some()) {
            let verdict = Verdict::Skipped(Skip::OtherFormat);
            outcomes.push(Outcome { name, fork: String::new(), index: 0, verdict });
            continue;
        }
        let test: StateTest =
            serde_json::from_str(test.get()).map_err(|error| format!("test '{name}': {error}"))?;
        run_test(&name, &test, &mut outcomes)?;
    }
    Ok(outcomes)
}

fn run_test(name: &str, test: &StateTest, outcomes: &mut Vec<Outcome>) -> Result<(), String> {
    let alloc = test.pre.accounts().ok_or_else(|| format!("test '{name}': a number is too long"))?;
    let writer = open_with(alloc).map_err(|error| format!("test '{name}': {error}"))?;
    for (fork, posts) in &test.post {
        for (index, post) in posts.iter().enumerate() {
            let verdict = match Network::named(fork).and_then(|network| {
                skip(test, post, network.spec.fork_at(0, 0))?;
                Ok(network)
            }) {
                Ok(network) => run_post(&Case { test, post, network: &network, writer: &writer }).into(),
                Err(skip) => Verdict::Skipped(skip),
            };
            outcomes.push(Outcome { name: name.to_owned(), fork: fork.clone(), index, verdict });
        }
    }
    Ok(())
}

fn skip(test: &StateTest, post: &Post, fork: Fork) -> Result<(), Skip> {
    let blobs = match &post.txbytes {
        Some(raw) => raw.0.first() == Some(&BLOB_TYPE),
        None => test.transaction.max_fee_per_blob_gas.is_some(),
    };
    if test.info.is_draft(fork) {
        return Err(Skip::Draft);
    }
    if blobs {
        return Err(Skip::BlobTransaction);
    }
    let excess = test.env.current_excess_blob_gas.and_then(Quantity::to::<u64>).unwrap_or(0);
    if fork >= Fork::Cancun && blob_fee(fork, excess) != 1 {
        return Err(Skip::BlobFee);
    }
    Ok(())
}

/// What a unit of blob gas costs on mainnet, in wei.
pub(crate) fn blob_fee(fork: Fork, excess: u64) -> u128 {
    blob_params(fork).calc_blob_fee(excess)
}

pub(crate) fn blob_params(fork: Fork) -> BlobParams {
    match fork {
        Fork::Osaka => BlobParams::osaka(),
        Fork::Prague => BlobParams::prague(),
        _ => BlobParams::cancun(),
    }
}

struct Case<'a> {
    test: &'a StateTest,
    post: &'a Post,
    network: &'a Network,
    writer: &'a ChainWriter,
}

/// What a transaction made of the state.
struct After {
    root: B256,
    logs: B256,
    refusal: Option<Refusal>,
}

fn run_post(case: &Case<'_>) -> Result<(), Difference> {
    let post = case.post;
    let after = case.execute().map_err(|error| Difference::new("execution", "an outcome", error))?;
    match (&post.expect_exception, &after.refusal) {
        (Some(names), None) => return Err(Difference::new("transaction", names, "executed")),
        (Some(names), Some(refusal)) if !expected(names, refusal) => {
            return Err(Difference::new("refusal", names, refusal));
        }
        // Old tests say nothing of refusals: the state after tells.
        (None, Some(refusal)) if post.txbytes.is_some() => {
            return Err(Difference::new("transaction", "executed", refusal));
        }
        _ => {}
    }
    if after.root != post.hash {
        return Err(Difference::new("state root", post.hash, after.root));
    }
    if after.logs != post.logs {
        return Err(Difference::new("logs hash", post.logs, after.logs));
    }
    Ok(())
}

impl Case<'_> {
    fn execute(&self) -> Result<After, String> {
        let env = self.block_env();
        let rules = self.network.rules_at(env.number, env.timestamp);
        let view = View {
            state: self.writer.head_state(),
            changes: StateChanges::default(),
            block_hashes: BlockHashes::OfNumber,
        };
        let beneficiary = env.beneficiary;
        let mut executor = BlockExecutor::new(rules, env, &view);
        let outcome = self.transaction().and_then(|tx| match executor.execute(&tx) {
            Ok(()) => Ok(()),
            Err(ExecuteError::Invalid(rule)) => Err(Some(Refusal::Rule(rule))),
            Err(error) => panic!("{error}"),
        });
        let refusal = match outcome {
            Ok(()) => None,
            Err(Some(refusal)) => Some(refusal),
            Err(None) => return Err("the test has no such transaction".to_owned()),
        };
        let output = executor.finish().map_err(|error| error.to_string())?;
        let mut changes = output.changes;
        // The tests end a block with a reward of nothing: it touches the beneficiary, with the older tools also
        // where nothing was executed.
        if refusal.is_none() || self.test.config.is_none() {
            let nothing = (beneficiary, U256::ZERO);
            credit(&mut changes, &view, nothing, rules.fork).map_err(|error| error.to_string())?;
        }
        let root = self.writer.prepare(&changes).map_err(|error| error.to_string())?.root;
        Ok(After { root, logs: logs_hash(&output.receipts), refusal })
    }

    fn block_env(&self) -> BlockEnv {
        let env = &self.test.env;
        let fits = |quantity: Quantity| quantity.to::<u64>().unwrap_or(u64::MAX);
        let random = env.current_random.and_then(|random| random.0).unwrap_or_default();
        let (number, timestamp) = (fits(env.current_number), fits(env.current_timestamp));
        let fork = self.network.spec.fork_at(number, timestamp);
        let difficulty = env.current_difficulty.and_then(|difficulty| difficulty.0).unwrap_or_default();
        let base_fee = env.current_base_fee.map_or(DEFAULT_BASE_FEE, fits);
        BlockEnv {
            number,
            timestamp,
            beneficiary: env.current_coinbase,
            gas_limit: fits(env.current_gas_limit),
            base_fee: (fork >= Fork::London).then_some(base_fee),
            prevrandao: B256::from(random),
            // Paris has no fork of its own with us: all it changes in the EVM is what this opcode says.
            difficulty: if self.network.terminal_difficulty.is_some() { random } else { difficulty },
        }
    }

    /// The transaction, or why there is none: `None` where the test itself is at fault.
    fn transaction(&self) -> Result<RecoveredTransaction, Option<Refusal>> {
        let raw = match &self.post.txbytes {
            Some(raw) => raw.0.clone(),
            None => self.signed()?,
        };
        RecoveredTransaction::recover(raw, CHAIN_ID).map_err(|error| Some(Refusal::Form(error)))
    }

    /// The legacy transaction that a test without a signed one describes.
    fn signed(&self) -> Result<Bytes, Option<Refusal>> {
        let (parts, indexes) = (&self.test.transaction, &self.post.indexes);
        let too_long = || Some(Refusal::Number);
        let to = match parts.to.as_deref() {
            None | Some("") => TxKind::Create,
            Some(to) => TxKind::Call(to.parse().map_err(|_| None)?),
        };
        let tx = TxLegacy {
            chain_id: None,
            nonce: parts.nonce.to().ok_or_else(too_long)?,
            gas_price: parts.gas_price.ok_or(None)?.to().ok_or_else(too_long)?,
            gas_limit: parts.gas_limit.get(indexes.gas).ok_or(None)?.to().ok_or_else(too_long)?,
            to,
            value: parts.value.get(indexes.value).ok_or(None)?.0.ok_or_else(too_long)?,
            input: parts.data.get(indexes.data).ok_or(None)?.0.clone(),
        };
        let key = NodeKey::from_bytes(&parts.secret_key.ok_or(None)?.0).map_err(|_| None)?;
        let signature = alloy_primitives::Signature::from_raw(&key.sign(tx.signature_hash()).0);
        let signed = tx.into_signed(signature.map_err(|_| None)?);
        Ok(Transaction::from(signed).encoded_2718().into())
    }
}

/// Hash of the RLP list of all logs.
pub(crate) fn logs_hash(receipts: &[Receipt]) -> B256 {
    let logs: Vec<_> = receipts.iter().flat_map(|receipt| &receipt.logs).collect();
    let mut out = Vec::new();
    alloy_rlp::encode_list::<_, alloy_primitives::Log>(&logs, &mut out);
    keccak256(out)
}
