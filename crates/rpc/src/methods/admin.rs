//! `admin_`: the node and its peers.

use crate::context::Context;
use crate::control::{PeerEntry, RefusedPeer};
use crate::error::RpcError;
use crate::params::Args;
use crate::register::Table;
use alloy_primitives::U256;
use jsonrpsee::types::Params;
use lonja_primitives::{HeaderFormat, NodeId};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;

pub(crate) fn register(table: &mut Table) {
    table.read("admin_nodeInfo", node_info);
    table.inline("admin_peers", peers);
    table.inline("admin_refusals", refusals);
    table.dangerous("admin_addPeer", add_peer);
    table.dangerous("admin_removePeer", remove_peer);
}

/// The shape of geth, with the protocol that is really spoken.
fn node_info(context: &Context, _params: &Params<'_>) -> Result<Value, RpcError> {
    let info = context.node.control.node_info();
    let head = context.head();
    let listen: Option<SocketAddr> = info.listen.as_deref().and_then(|address| address.parse().ok());
    let port = listen.map_or(0, |address| address.port());
    let difficulty = U256::from(head.number).saturating_add(U256::from(1));
    let protocol = json!({
        "network": context.node.spec.chain_id,
        "difficulty": difficulty,
        "genesis": context.node.reader.genesis_hash(),
        "head": head.hash,
        "consensus": consensus_name(context.node.spec.format_at(head.number)),
    });
    Ok(json!({
        "id": info.node_id.to_string(),
        "name": info.client,
        "enode": info.enode,
        "ip": listen.map_or_else(String::new, |address| address.ip().to_string()),
        "ports": { "discovery": 0, "listener": port },
        "listenAddr": info.listen.unwrap_or_default(),
        "protocols": { "eth": protocol, "istanbul": protocol },
    }))
}

fn consensus_name(format: HeaderFormat) -> &'static str {
    match format {
        HeaderFormat::Qbft => "qbft",
        HeaderFormat::Ibft2 => "ibft2",
        HeaderFormat::Ibft1 => "istanbul",
    }
}

fn peers(context: &Context, _params: &Params<'_>) -> Result<Vec<Value>, RpcError> {
    Ok(context.node.control.peers().iter().map(peer).collect())
}

fn peer(peer: &PeerEntry) -> Value {
    json!({
        "enode": format!("enode://{}@{}", peer.node_id, peer.address),
        "id": peer.node_id.to_string(),
        "name": peer.client,
        "caps": ["lonja/1"],
        "network": {
            "localAddress": peer.local_address.clone().unwrap_or_default(),
            "remoteAddress": peer.address,
            "inbound": peer.inbound,
            "trusted": false,
            "static": !peer.inbound,
        },
        "protocols": { "lonja": { "number": peer.head.0, "head": peer.head.1 } },
    })
}

/// Why nodes do not meet: whom this node refused lately, who refused it, and which of the peers to keep are missing.
fn refusals(context: &Context, _params: &Params<'_>) -> Result<Value, RpcError> {
    let control = &context.node.control;
    let connected: BTreeSet<NodeId> = control.peers().iter().map(|peer| peer.node_id).collect();
    let refused = |peer: &RefusedPeer| {
        json!({
            "id": peer.node_id.to_string(),
            "address": peer.address,
            "reason": peer.reason,
            "inbound": peer.inbound,
            "connected": connected.contains(&peer.node_id),
            "secondsAgo": peer.when.elapsed().unwrap_or_default().as_secs(),
        })
    };
    let kept =
        |(id, enode): &(NodeId, String)| json!({ "enode": enode, "connected": connected.contains(id) });
    Ok(json!({
        "refused": control.refusals().iter().map(refused).collect::<Vec<_>>(),
        "refusedBy": control.refused_by().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "staticPeers": control.static_peers().iter().map(kept).collect::<Vec<_>>(),
    }))
}

fn add_peer(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    let address: String = Args::new(params, 1)?.required(0, "enode")?;
    context.node.control.add_peer(&address)?;
    Ok(true)
}

fn remove_peer(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    let address: String = Args::new(params, 1)?.required(0, "enode")?;
    context.node.control.remove_peer(&address)?;
    Ok(true)
}
