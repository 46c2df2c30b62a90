use super::{Executed, World};
use crate::receipts;
use crate::state_test::logs_hash;
use crate::world::View;
use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B256, Bytes, U64, U256, b256, hex};
use lonja_primitives::genesis::GenesisAccount;
use lonja_primitives::{
    Fork, Receipt, RecoveredTransaction, StateChanges, StateError, StateView, Transaction,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// In place of the block's hash, which nobody knows yet: the value of geth's tool.
const NO_BLOCK: B256 = b256!("1337000000000000000000000000000000000000000000000000000000000000");

/// The state after: that before, and the changes. What is nothing is left out of an account.
pub(super) fn alloc(
    mut accounts: BTreeMap<Address, GenesisAccount>,
    changes: StateChanges,
    view: &View,
) -> Result<Value, StateError> {
    for (address, change) in changes.accounts {
        let Some(after) = change.account else {
            accounts.remove(&address);
            continue;
        };
        let account = accounts.entry(address).or_default();
        (account.nonce, account.balance) = (after.nonce, after.balance);
        account.code = match changes.codes.get(&after.code_hash) {
            Some(code) => code.clone(),
            None => view.code(&after.code_hash)?,
        };
        if change.storage_wiped {
            account.storage.clear();
        }
        account.storage.extend(change.storage);
        account.storage.retain(|_, value| !value.is_zero());
    }
    let named = accounts.iter().map(|(address, account)| (format!("{address:#x}"), account_json(account)));
    Ok(Value::Object(named.collect()))
}

fn account_json(account: &GenesisAccount) -> Value {
    let mut fields = Map::from_iter([("balance".to_owned(), json!(account.balance))]);
    if account.nonce != 0 {
        fields.insert("nonce".to_owned(), json!(U64::from(account.nonce)));
    }
    if !account.code.is_empty() {
        fields.insert("code".to_owned(), json!(account.code));
    }
    if !account.storage.is_empty() {
        let word = |number: &U256| hex::encode_prefixed(number.to_be_bytes::<32>());
        let slots = account.storage.iter().map(|(slot, value)| (word(slot), json!(word(value))));
        fields.insert("storage".to_owned(), Value::Object(slots.collect()));
    }
    Value::Object(fields)
}

/// RLP list of transactions, as in the body of a block.
pub(super) fn body(included: &[RecoveredTransaction]) -> Bytes {
    let transactions: Vec<&Transaction> = included.iter().map(RecoveredTransaction::tx).collect();
    let mut out = Vec::new();
    alloy_rlp::encode_list::<_, Transaction>(&transactions, &mut out);
    out.into()
}

/// What a header would say of it, receipts and refusals.
pub(super) fn result(world: &World<'_>, executed: &Executed, root: B256, merged: bool) -> Value {
    let (header, output) = (world.header, &executed.output);
    let rejected = executed.rejected.iter().map(|(index, error)| json!({ "index": index, "error": error }));
    let receipts_root = match world.rules.fork < Fork::Byzantium {
        true => receipts::root_with_states(&output.receipts, &executed.states),
        false => output.receipts_root,
    };
    let prague = world.rules.fork >= Fork::Prague;
    let mut result = json!({
        "stateRoot": root,
        "txRoot": ordered_trie_root_with_encoder(&executed.included, |tx, out| out.extend_from_slice(tx.raw())),
        "receiptsRoot": receipts_root,
        "logsHash": logs_hash(&output.receipts),
        "logsBloom": output.logs_bloom,
        "receipts": receipts_json(world, executed),
        "gasUsed": U64::from(output.gas_used),
        "requests": prague.then(|| json!([])),
        "currentDifficulty": (!merged).then_some(header.difficulty),
    });
    let quantity = |number: Option<u64>| number.map(|number| json!(U64::from(number)));
    let rejected: Vec<Value> = rejected.collect();
    let sometimes = [
        ("rejected", (!rejected.is_empty()).then(|| json!(rejected))),
        ("currentBaseFee", quantity(header.base_fee_per_gas)),
        ("withdrawalsRoot", header.withdrawals_root.map(|root| json!(root))),
        ("currentExcessBlobGas", quantity(header.excess_blob_gas)),
        ("blobGasUsed", quantity(header.blob_gas_used)),
        ("requestsHash", prague.then(|| json!(EMPTY_REQUESTS_HASH))),
    ];
    for (name, value) in sometimes {
        if let Some(value) = value {
            result[name] = value;
        }
    }
    result
}

fn receipts_json(world: &World<'_>, executed: &Executed) -> Value {
    let (mut used, mut logs) = (0, 0u64);
    let mut receipts = Vec::new();
    for (index, (receipt, tx)) in executed.output.receipts.iter().zip(&executed.included).enumerate() {
        let mut json = receipt_json(world, receipt, tx);
        json["gasUsed"] = json!(U64::from(receipt.cumulative_gas_used.saturating_sub(used)));
        json["transactionIndex"] = json!(format!("{index:#x}"));
        // The state's root stands in receipts before Byzantium.
        json["root"] = executed.states.get(index).map_or_else(|| json!("0x"), |root| json!(root));
        if let Some(logs_json) = json["logs"].as_array_mut() {
            for log in logs_json {
                log["transactionIndex"] = json!(format!("{index:#x}"));
                log["logIndex"] = json!(U64::from(logs));
                logs = logs.saturating_add(1);
            }
        }
        used = receipt.cumulative_gas_used;
        receipts.push(json);
    }
    Value::Array(receipts)
}

fn receipt_json(world: &World<'_>, receipt: &Receipt, tx: &RecoveredTransaction) -> Value {
    let number = U64::from(world.header.number);
    let created = tx.kind().is_create().then(|| tx.sender().create(tx.nonce()));
    let log = |log: &alloy_primitives::Log| {
        json!({
            "address": log.address,
            "topics": log.topics(),
            "data": log.data.data,
            "blockNumber": number,
            "blockHash": NO_BLOCK,
            "transactionHash": tx.hash(),
            "removed": false,
        })
    };
    json!({
        "type": U64::from(receipt.tx_type),
        "status": U64::from(u8::from(receipt.success)),
        "cumulativeGasUsed": U64::from(receipt.cumulative_gas_used),
        "logsBloom": receipt.bloom(),
        "logs": receipt.logs.iter().map(log).collect::<Vec<_>>(),
        "transactionHash": tx.hash(),
        "contractAddress": created.unwrap_or_default(),
        "effectiveGasPrice": null,
        "blockHash": NO_BLOCK,
        "blockNumber": number,
    })
}
