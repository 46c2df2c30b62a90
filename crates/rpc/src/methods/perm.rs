//! `perm_`: the allowlists of Besu's files, read from the registry. Here no file on anybody's disk permits anything.

use super::permissions::Standpoint;
use super::quorum_permission::{every_account, url};
use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, BlockSelector};
use crate::register::Table;
use alloy_primitives::{Address, U256};
use jsonrpsee::types::Params;
use lonja_permissioning::registry::abi::{REGISTRY, Registry};

const NODES: &str = "governed on chain: use lonja permission node …";
const ACCOUNTS: &str = "governed on chain: use lonja permission account …";

/// Nodes that one list has room for.
const LIST_MAX: u64 = 2_000;

pub(crate) fn register(table: &mut Table) {
    table.heavy("perm_getNodesAllowlist", nodes);
    table.heavy("perm_getAccountsAllowlist", accounts);
    table.refused("perm_addNodesToAllowlist", NODES);
    table.refused("perm_removeNodesFromAllowlist", NODES);
    table.refused("perm_addAccountsToAllowlist", ACCOUNTS);
    table.refused("perm_removeAccountsFromAllowlist", ACCOUNTS);
    table.refused(
        "perm_reloadPermissionsFromFile",
        "governed on chain: use lonja permission …; there is no file",
    );
}

/// The nodes that may connect, as `enode://` addresses.
fn nodes(context: &Context, params: &Params<'_>) -> Result<Vec<String>, RpcError> {
    Args::new(params, 0)?;
    let standpoint = Standpoint::at(context, BlockSelector::Latest)?;
    let mut contracts = standpoint.registry()?;
    let total = u64::try_from(contracts.read(REGISTRY, Registry::nodeCountCall {})?).unwrap_or(u64::MAX);
    if total > LIST_MAX {
        return Err(RpcError::Limit(format!(
            "{total} nodes, at most {LIST_MAX} go into this list: use lonja_listNodes"
        )));
    }
    let mut list = Vec::new();
    for place in 0..total {
        let key = contracts.read(REGISTRY, Registry::nodeAtCall { index: U256::from(place) })?;
        if contracts.read(REGISTRY, Registry::nodePermittedCall { nodeKey: key })? {
            list.push(url(&contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: key })?));
        }
    }
    Ok(list)
}

/// The accounts that may send something.
fn accounts(context: &Context, params: &Params<'_>) -> Result<Vec<Address>, RpcError> {
    Args::new(params, 0)?;
    let standpoint = Standpoint::at(context, BlockSelector::Latest)?;
    let mut contracts = standpoint.registry()?;
    let mut list = Vec::new();
    for (address, _) in every_account(&mut contracts)? {
        let word = contracts.read(REGISTRY, Registry::senderWordCall { sender: address })?;
        let frozen = contracts.read(REGISTRY, Registry::isFrozenCall { subject: address })?;
        if word.bit(16) && !frozen {
            list.push(address);
        }
    }
    Ok(list)
}
