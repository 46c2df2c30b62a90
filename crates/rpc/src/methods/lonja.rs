//! `lonja_`: what has no name elsewhere.

use crate::context::Context;
use crate::control::SyncStatus;
use crate::error::RpcError;
use crate::register::Table;
use jsonrpsee::types::Params;
use serde_json::{Value, json};

pub(crate) fn register(table: &mut Table) {
    table.read("lonja_status", status);
}

/// Everything an operator looks at first, in one answer; numbers are JSON numbers.
fn status(context: &Context, _params: &Params<'_>) -> Result<Value, RpcError> {
    let control = &context.node.control;
    let info = control.node_info();
    let head = context.head();
    let header = context.header(head.number)?;
    let consensus = control.consensus_status();
    let pool = context.node.pool.lock().status();
    let health = control.health();
    let rules = context.rules(&header);
    Ok(json!({
        "client": info.client,
        "chainId": context.node.spec.chain_id,
        "genesisHash": context.node.reader.genesis_hash(),
        "freeGas": rules.free_gas,
        "fork": format!("{:?}", rules.fork),
        "nodeAddress": info.address,
        "enode": info.enode,
        "role": if consensus.is_validator { "validator" } else { "regular" },
        "head": { "number": head.number, "hash": head.hash, "timestamp": header.timestamp },
        "peers": control.peers().len(),
        "sync": sync(control.sync_status()),
        "consensus": consensus,
        "txpool": { "pending": pool.pending, "queued": pool.queued, "bytes": pool.bytes },
        "live": health.liveness.iter().all(|check| check.ok),
        "ready": health.readiness.iter().all(|check| check.ok),
        "checks": health.liveness.iter().chain(&health.readiness).collect::<Vec<_>>(),
    }))
}

fn sync(status: SyncStatus) -> Value {
    match status {
        SyncStatus::Synced => Value::Bool(false),
        SyncStatus::Syncing { start, highest } => json!({ "start": start, "highest": highest }),
    }
}
