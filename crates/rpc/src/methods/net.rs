//! `net_`: the network as other Ethereum nodes describe it.

use crate::context::Context;
use crate::error::RpcError;
use crate::register::Table;
use alloy_primitives::U64;
use jsonrpsee::types::Params;

pub(crate) fn register(table: &mut Table) {
    table.inline("net_version", version);
    table.inline("net_peerCount", peer_count);
    table.inline("net_listening", listening);
}

/// The network id, which is the chain id, in decimal.
fn version(context: &Context, _params: &Params<'_>) -> Result<String, RpcError> {
    Ok(context.node.spec.chain_id.to_string())
}

fn peer_count(context: &Context, _params: &Params<'_>) -> Result<U64, RpcError> {
    Ok(U64::from(context.node.control.peers().len()))
}

fn listening(context: &Context, _params: &Params<'_>) -> Result<bool, RpcError> {
    Ok(context.node.control.node_info().listen.is_some())
}
