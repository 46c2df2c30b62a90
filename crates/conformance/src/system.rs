//! The calls that mainnet's blocks make themselves.

use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, Bytes};
use lonja_evm::{BlockExecutor, ExecuteError};
use lonja_primitives::{Fork, Header};

/// Gas of a call by the block (EIP-4788).
const SYSTEM_GAS: u64 = 30_000_000;

/// Before the transactions: keeps the beacon root (EIP-4788) and the parent's hash (EIP-2935).
pub(crate) fn before(
    executor: &mut BlockExecutor<'_>,
    header: &Header,
    fork: Fork,
) -> Result<(), ExecuteError> {
    if let Some(root) = header.parent_beacon_block_root {
        executor.system_call(eip4788::BEACON_ROOTS_ADDRESS, root.into(), SYSTEM_GAS)?;
    }
    if fork >= Fork::Prague {
        let hash = Bytes::from(header.parent_hash);
        executor.system_call(eip2935::HISTORY_STORAGE_ADDRESS, hash, SYSTEM_GAS)?;
    }
    Ok(())
}

/// After the transactions: takes the requests for withdrawals and consolidations out of their queues (EIP-7002,
/// EIP-7251), and says whether there were any.
pub(crate) fn after(executor: &mut BlockExecutor<'_>, fork: Fork) -> Result<bool, ExecuteError> {
    let mut any = false;
    if fork >= Fork::Prague {
        for contract in queues() {
            let outcome = executor.system_call(contract, Bytes::new(), SYSTEM_GAS)?;
            any |= !outcome.output.is_empty();
        }
    }
    Ok(any)
}

fn queues() -> [Address; 2] {
    [eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS]
}
