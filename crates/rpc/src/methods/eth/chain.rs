//! About the chain and the node as a whole.

use crate::context::Context;
use crate::control::SyncStatus;
use crate::register::Table;
use alloy_primitives::U64;
use serde_json::{Value, json};

pub(super) fn register(table: &mut Table) {
    table.inline("eth_chainId", |context, _| Ok(U64::from(context.node.spec.chain_id)));
    table.inline("eth_blockNumber", |context, _| Ok(U64::from(context.head().number)));
    table.inline("eth_syncing", |context, _| Ok(syncing(context)));
    table.inline("eth_coinbase", |context, _| Ok(context.node.control.node_info().address));
    table.inline("eth_mining", |context, _| Ok(context.node.control.consensus_status().is_validator));
    table.inline("eth_hashrate", |_, _| Ok(U64::ZERO));
}

/// `false`, or where the node stands.
pub(super) fn syncing(context: &Context) -> Value {
    match context.node.control.sync_status() {
        SyncStatus::Synced => Value::Bool(false),
        SyncStatus::Syncing { start, highest } => json!({
            "startingBlock": U64::from(start),
            "currentBlock": U64::from(context.head().number),
            "highestBlock": U64::from(highest),
        }),
    }
}
