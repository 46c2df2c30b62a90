//! Finds the least gas limit with which a message succeeds (`eth_estimateGas`).

use crate::call::{CallContext, CallError, CallRequest, Session, gas_cap, halt_text};
use crate::invalid::TxInvalid;
use crate::overrides::Overrides;
use crate::transaction::transaction_gas_cap;
use alloy_primitives::{KECCAK256_EMPTY, TxKind, U256};
use revm::context_interface::ContextTr;
use revm::context_interface::result::{ExecutionResult, HaltReason};

/// Gas of a transfer of value to an account without code.
const TRANSFER_GAS: u64 = 21_000;
/// Gas a call that carries value gives away for free.
const CALL_STIPEND: u64 = 2_300;
/// The search ends when the answer is known to this many thousandths: wallets add more than that anyway.
const TOLERANCE_PER_MILLE: u128 = 15;

/// The gas limit to give this message. Not always the least that would do, but never too little on this state.
pub fn estimate_gas(
    context: &CallContext<'_>,
    request: &CallRequest,
    overrides: &Overrides,
) -> Result<u64, CallError> {
    let mut session = Session::new(context, request, overrides, ())?;
    let highest = highest_gas(&mut session, context, request)?;
    if is_transfer(&mut session)? && matches!(attempt(&mut session, TRANSFER_GAS)?, Attempt::Enough { .. }) {
        return Ok(TRANSFER_GAS);
    }
    match attempt(&mut session, highest)? {
        Attempt::Enough { used, peak } => search(&mut session, highest, used, peak),
        Attempt::TooLittle => Err(CallError::GasAllowance(highest)),
        Attempt::Fails(error) => Err(error),
    }
}

/// What the sender may give at most: its wish or the block's limit, the cap on one transaction, what its balance
/// pays for, the cap of the node.
fn highest_gas(
    session: &mut Session<'_>,
    context: &CallContext<'_>,
    request: &CallRequest,
) -> Result<u64, CallError> {
    let mut highest = request.gas.filter(|gas| *gas >= TRANSFER_GAS).unwrap_or(session.env.gas_limit);
    if let Some(cap) = transaction_gas_cap(&session.rules) {
        highest = highest.min(cap);
    }
    if session.tx.gas_price > 0 {
        highest = highest.min(affordable_gas(session)?);
    }
    Ok(highest.min(gas_cap(context)))
}

fn affordable_gas(session: &mut Session<'_>) -> Result<u64, CallError> {
    let (address, want) = (session.tx.caller, session.tx.value);
    let have = session.evm.ctx.db_mut().account(address)?.map_or(U256::ZERO, |account| account.balance);
    let Some(available) = have.checked_sub(want) else {
        return Err(TxInvalid::InsufficientFunds { address, have, want }.into());
    };
    let gas = available.checked_div(U256::from(session.tx.gas_price)).unwrap_or(U256::MAX);
    Ok(gas.saturating_to())
}

fn is_transfer(session: &mut Session<'_>) -> Result<bool, CallError> {
    let TxKind::Call(to) = session.tx.kind else { return Ok(false) };
    if !session.tx.data.is_empty() {
        return Ok(false);
    }
    let account = session.evm.ctx.db_mut().account(to)?;
    Ok(account.is_none_or(|account| account.code_hash == KECCAK256_EMPTY))
}

enum Attempt {
    /// Succeeds; `used` is what it pays for, `peak` what it used before refunds.
    Enough { used: u64, peak: u64 },
    /// Fails for lack of gas.
    TooLittle,
    /// Fails for another reason.
    Fails(CallError),
}

fn attempt(session: &mut Session<'_>, gas: u64) -> Result<Attempt, CallError> {
    let result = match session.run(gas) {
        Ok(result) => result,
        Err(CallError::Invalid(TxInvalid::IntrinsicGas { .. } | TxInvalid::FloorDataGas { .. })) => {
            return Ok(Attempt::TooLittle);
        }
        Err(error) => return Err(error),
    };
    Ok(match result {
        ExecutionResult::Success { gas, .. } => {
            Attempt::Enough { used: gas.tx_gas_used(), peak: gas.total_gas_spent().max(gas.floor_gas()) }
        }
        ExecutionResult::Revert { output, .. } => Attempt::Fails(CallError::Reverted(output)),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => Attempt::TooLittle,
        ExecutionResult::Halt { reason, .. } => Attempt::Fails(CallError::Failed(halt_text(&reason))),
    })
}

/// Searches between what is known to fail and what is known to do. What the message used before refunds does for
/// all but those that call others: a contract gives at most 63/64 of its gas away (EIP-150), and a little more than
/// that nearly always does. So these two are tried first.
fn search(session: &mut Session<'_>, highest: u64, used: u64, peak: u64) -> Result<u64, CallError> {
    let (mut fails, mut works) = (used.saturating_sub(1), highest);
    let with_reserve = peak.saturating_add(CALL_STIPEND).saturating_add((peak + CALL_STIPEND) / 63 + 1);
    for likely in [peak, with_reserve] {
        if likely < works {
            narrow(session, likely, &mut fails, &mut works)?;
        }
    }
    if works == peak {
        return Ok(peak);
    }
    while fails.saturating_add(1) < works {
        let gap = u128::from(works - fails);
        if gap * 1000 < u128::from(works) * TOLERANCE_PER_MILLE {
            break;
        }
        // Most messages need little more than they use: no need to try far above.
        let middle = (fails + (works - fails) / 2).min(fails.saturating_mul(2)).max(fails + 1);
        narrow(session, middle, &mut fails, &mut works)?;
    }
    Ok(works)
}

fn narrow(session: &mut Session<'_>, gas: u64, fails: &mut u64, works: &mut u64) -> Result<(), CallError> {
    match attempt(session, gas)? {
        Attempt::Enough { .. } => *works = gas,
        Attempt::TooLittle | Attempt::Fails(_) => *fails = (*fails).max(gas),
    }
    Ok(())
}
