//! The calls that a block makes when its transactions are done. They are part of the block: every node makes them alike.

use crate::interface::{
    CHARGE_GAS, END_BLOCK_GAS, Quotas, System, VALIDATORS_GAS, VALIDATORS_MAX, Validators,
};
use crate::judge::returned;
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use lonja_evm::{BlockExecutor, ExecuteError};
use lonja_primitives::spec::Permissions;
use std::collections::BTreeMap;

/// What a registry is told of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockEnd {
    /// Who built it.
    pub author: Address,
    /// Whose turns passed before that, in order.
    pub missed: Vec<Address>,
    /// Gas used by members.
    pub used: BTreeMap<B256, u64>,
}

/// Tells the registry that the transactions are done. A contract that fails changes nothing and stops nothing: what failed
/// is returned in words.
pub fn end_block(
    executor: &mut BlockExecutor<'_>,
    permissions: &Permissions,
    end: BlockEnd,
) -> Result<Vec<String>, ExecuteError> {
    let mut failed = Vec::new();
    if let Some(contract) = permissions.quotas.filter(|_| !end.used.is_empty()) {
        let (members, gas) = end.used.into_iter().unzip();
        let input = Quotas::chargeCall { members, gas }.abi_encode();
        let outcome = executor.system_call(contract, input.into(), CHARGE_GAS)?;
        if !outcome.success {
            failed.push(format!("charge of the contract {contract} failed ({} gas)", outcome.gas_used));
        }
    }
    if let Some(contract) = permissions.system {
        let input = System::endBlockCall { author: end.author, missed: end.missed }.abi_encode();
        let outcome = executor.system_call(contract, input.into(), END_BLOCK_GAS)?;
        if !outcome.success {
            failed.push(format!("endBlock of the contract {contract} failed ({} gas)", outcome.gas_used));
        }
    }
    Ok(failed)
}

/// The validators that a contract names at the state the block has reached; or why there is no answer. Whether the list is
/// a set is the caller's to check.
pub fn next_validators(
    executor: &mut BlockExecutor<'_>,
    contract: Address,
) -> Result<Result<Vec<Address>, String>, ExecuteError> {
    let input = Validators::getValidatorsCall {}.abi_encode();
    let said = executor.ask(contract, input.into(), VALIDATORS_GAS)?;
    Ok(returned(&said, contract).and_then(|output| {
        // Two words, and one for each address.
        if output.len() > 64 + 32 * VALIDATORS_MAX {
            return Err(format!("the contract {contract} named more than {VALIDATORS_MAX} validators"));
        }
        let list = Validators::getValidatorsCall::abi_decode_returns(output);
        list.map_err(|_| format!("the contract {contract} answered no list of addresses"))
    }))
}
