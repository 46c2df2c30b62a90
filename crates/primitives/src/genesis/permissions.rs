//! The object `permissions`, the same in all shapes, and the addresses of contracts that rules ask.
//!
//! ```json
//! { "nodes": "0x…", "accounts": "0x…", "system": "0x…", "quotas": "0x…" }
//! ```
//!
//! `nodes` may also be an object, `{"contract": "0x…", "interface": 1}`: Besu's interface version 1, which is asked with
//! both ends as words. Without it the interface is 2, which is GoQuorum's too. Names are written exactly, whatever the
//! shape around. What is left out stays as it was before; `null` takes a rule away.

use super::fields::{Fields, Names, address};
use super::json::Json;
use super::{GenesisAccount, GenesisError};
use crate::ChainSpec;
use crate::spec::{ConnectionForm, NodeRule, Permissions};
use alloy_primitives::Address;
use std::collections::BTreeMap;

/// What one object says; the inner `None` takes a rule away.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patch {
    nodes: Option<Option<NodeRule>>,
    accounts: Option<Option<Address>>,
    system: Option<Option<Address>>,
    quotas: Option<Option<Address>>,
}

impl Patch {
    /// The rules with this laid over them.
    pub(super) fn over(&self, base: Permissions) -> Permissions {
        Permissions {
            nodes: self.nodes.unwrap_or(base.nodes),
            accounts: self.accounts.unwrap_or(base.accounts),
            system: self.system.unwrap_or(base.system),
            quotas: self.quotas.unwrap_or(base.quotas),
        }
    }
}

/// Whether `null` may stand for a rule: there must be one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Null {
    /// Block 0: nothing is before it.
    Refused,
    /// A later block.
    TakesAway,
}

/// Takes the field `permissions`.
pub(super) fn take(parent: &mut Fields<'_>, null: Null) -> Result<Option<Patch>, GenesisError> {
    let path = parent.path_of("permissions");
    let Some(value) = parent.take("permissions") else { return Ok(None) };
    let mut fields = Fields::new(&path, value, Names::Exact)?;
    let patch = Patch {
        nodes: take_nodes(&mut fields, null)?,
        accounts: take_contract(&mut fields, "accounts", null)?,
        system: take_contract(&mut fields, "system", null)?,
        quotas: take_contract(&mut fields, "quotas", null)?,
    };
    fields.finish()?;
    Ok(Some(patch))
}

fn take_nodes(fields: &mut Fields<'_>, null: Null) -> Result<Option<Option<NodeRule>>, GenesisError> {
    let path = fields.path_of("nodes");
    let value = fields.take("nodes");
    let Some(value @ Json::Object(_)) = value else {
        let with_form = |contract| NodeRule { contract, form: ConnectionForm::Strings };
        let contract = value.map(|value| contract(&path, value, null)).transpose()?;
        return Ok(contract.map(|contract| contract.map(with_form)));
    };
    let mut rule = Fields::new(&path, value, Names::Exact)?;
    let contract = take_contract(&mut rule, "contract", Null::Refused)?.flatten();
    let contract = contract.ok_or_else(|| rule.error("contract", "it must be given"))?;
    let form = match rule.u64("interface")? {
        None => Some(ConnectionForm::Strings),
        Some(number) => ConnectionForm::from_interface(number),
    };
    let form = form.ok_or_else(|| rule.error("interface", "it is 1 or 2"))?;
    rule.finish()?;
    Ok(Some(Some(NodeRule { contract, form })))
}

/// Takes the address of a contract that a rule asks.
pub(super) fn take_contract(
    fields: &mut Fields<'_>,
    name: &str,
    null: Null,
) -> Result<Option<Option<Address>>, GenesisError> {
    let path = fields.path_of(name);
    fields.take(name).map(|value| contract(&path, value, null)).transpose()
}

fn contract(path: &str, value: &Json, null: Null) -> Result<Option<Address>, GenesisError> {
    match value {
        Json::Null if null == Null::TakesAway => Ok(None),
        Json::Null => {
            Err(GenesisError::new(path, "null takes a rule away, and in block 0 there is none yet"))
        }
        value => match address(path, value)? {
            Address::ZERO => Err(GenesisError::new(path, "no contract stands at the zero address")),
            contract => Ok(Some(contract)),
        },
    }
}

/// A contract that rules of block 0 ask, but that is not there: whatever asks it is refused, and a set of validators
/// stays as it is.
pub(super) fn warn_of_missing(
    spec: &ChainSpec,
    alloc: &BTreeMap<Address, GenesisAccount>,
    warnings: &mut Vec<String>,
) {
    let Permissions { nodes, accounts, system, quotas } = *spec.permissions_at(0);
    let asked = [
        ("the validators", spec.consensus_at(0).validator_contract),
        ("permissions.nodes", nodes.map(|rule| rule.contract)),
        ("permissions.accounts", accounts),
        ("permissions.system", system),
        ("permissions.quotas", quotas),
        ("privacy.parties", spec.privacy_at(0).parties),
    ];
    for (what, contract) in asked {
        let Some(contract) = contract else { continue };
        if alloc.get(&contract).is_none_or(|account| account.code.is_empty()) {
            warnings.push(format!("{what}: the contract {contract} has no code in block 0"));
        }
    }
}
