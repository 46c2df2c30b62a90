//! `web3_`: the version, and hashing for those who cannot.

use crate::context::Context;
use crate::error::RpcError;
use crate::params::Args;
use crate::register::Table;
use alloy_primitives::{B256, Bytes, keccak256};
use jsonrpsee::types::Params;

pub(crate) fn register(table: &mut Table) {
    table.inline("web3_clientVersion", client_version);
    table.inline("web3_sha3", sha3);
}

fn client_version(context: &Context, _params: &Params<'_>) -> Result<String, RpcError> {
    Ok(context.node.control.node_info().client)
}

fn sha3(_context: &Context, params: &Params<'_>) -> Result<B256, RpcError> {
    let data: Bytes = Args::new(params, 1)?.required(0, "data")?;
    Ok(keccak256(data))
}
