//! `lonja_status`: everything an operator looks at first.

use super::verdicts::connection;
use crate::context::Context;
use crate::control::{ConsensusStatus, SyncStatus};
use crate::error::RpcError;
use crate::methods::permissions::Standpoint;
use crate::register::Table;
use alloy_primitives::Address;
use jsonrpsee::types::Params;
use lonja_primitives::spec::Permissions;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) fn register(table: &mut Table) {
    table.read("lonja_status", status);
    table.inline("lonja_syncing", |context, _| Ok(syncing(context)));
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
    let params = context.node.spec.consensus_at(head.number.saturating_add(1));
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
        "private": context.node.privacy.as_ref().map(|privacy| privacy.standing()),
        "blockPeriodMs": params.block_period_ms.max(params.empty_block_period_ms),
        "validatorContract": params.validator_contract,
        "validatorsConnected": validators_connected(context, &consensus),
        "consensus": consensus,
        "permission": permission(context, head.number)?,
        "txpool": { "pending": pool.pending, "queued": pool.queued, "bytes": pool.bytes },
        "live": health.liveness.iter().all(|check| check.ok),
        "ready": health.readiness.iter().all(|check| check.ok),
        "checks": health.liveness.iter().chain(&health.readiness).collect::<Vec<_>>(),
    }))
}

/// What the node is behind with: the public chain, and private transactions. `false` where with nothing.
fn syncing(context: &Context) -> Value {
    let head = context.head().number;
    let standing = context.node.privacy.as_ref().map(|privacy| privacy.standing());
    let behind = standing.filter(|standing| standing["head"]["number"].as_u64() < Some(head));
    json!({
        "public": sync(context.node.control.sync_status()),
        "private": behind.unwrap_or(Value::Bool(false)),
    })
}

/// How many validators of the next block are this node or a peer of it, by the addresses of their keys.
fn validators_connected(context: &Context, consensus: &ConsensusStatus) -> usize {
    let mut here: BTreeSet<Address> =
        context.node.control.peers().iter().map(|peer| peer.node_id.address()).collect();
    here.insert(context.node.control.node_info().address);
    consensus.validators.iter().filter(|validator| here.contains(*validator)).count()
}

/// What the network's contracts say of this node at its head, and who refused whom lately. `null` without contracts.
fn permission(context: &Context, head: u64) -> Result<Value, RpcError> {
    let control = &context.node.control;
    let standpoint = Standpoint::after(context, head)?;
    let contracts = &standpoint.permissions;
    if *contracts == Permissions::default() {
        return Ok(Value::Null);
    }
    let own = connection(context, &standpoint, control.node_info().node_id, None)?;
    let needs_address = own["needsAddress"] == true;
    Ok(json!({
        "contracts": {
            "nodes": contracts.nodes.map(|rule| rule.contract),
            "accounts": contracts.accounts,
            "system": contracts.system,
            "quotas": contracts.quotas,
        },
        "ownNode": {
            // A rule about addresses cannot be asked about our own, which others see and we do not.
            "allowed": if needs_address { Value::Null } else { own["allowed"].clone() },
            "reason": own["reason"],
        },
        "refusals": control.refusals().len(),
        "peersRefusingUs": control.refused_by().iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}

fn sync(status: SyncStatus) -> Value {
    match status {
        SyncStatus::Synced => Value::Bool(false),
        SyncStatus::Syncing { start, highest } => json!({ "start": start, "highest": highest }),
    }
}
