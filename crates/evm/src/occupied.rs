//! Accounts over which no contract is created though they have neither nonce nor code: those that have storage
//! (EIP-7610). From Spurious Dragon on none comes into being, but a genesis file or an older fork may have left one.
//!
//! revm looks at nonce and code hash only. So it is told a code hash for them that is none, which it takes for "no
//! code" nearly everywhere else; `EXTCODEHASH` alone would show it.

use crate::machine::Machine;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY};
use revm::bytecode::opcode::EXTCODEHASH;
use revm::interpreter::instructions::host;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Instruction, InstructionContext, InstructionResult};

/// What revm is told to be the code hash of an account with storage, but without nonce and code.
pub(crate) const OCCUPIED: B256 = B256::ZERO;

/// Puts an `EXTCODEHASH` into the table that knows of these accounts; its gas stays as it is.
pub(crate) fn install<'a>(table: &mut [Instruction<EthInterpreter, Machine<'a>>; 256]) {
    table[EXTCODEHASH as usize] = Instruction::new(extcodehash);
}

fn extcodehash<'a>(
    step: InstructionContext<'_, Machine<'a>, EthInterpreter>,
) -> Result<(), InstructionResult> {
    let InstructionContext { interpreter, host } = step;
    let address = interpreter.stack.top().map(|top| Address::from_word((*top).into()));
    host::extcodehash(InstructionContext { interpreter: &mut *interpreter, host: &mut *host })?;
    let account = address.and_then(|address| host.journaled_state.inner.state.get(&address));
    if let Some(top) = interpreter.stack.top()
        && account.is_some_and(|account| !account.is_empty() && account.info.code_hash == OCCUPIED)
    {
        *top = KECCAK256_EMPTY.into();
    }
    Ok(())
}
