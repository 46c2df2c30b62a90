//! Finds what a message reads beyond its sender and target (`eth_createAccessList`, EIP-2930).

use crate::call::{CallContext, CallError, CallRequest, Session, gas_cap, halt_text};
use crate::overrides::Overrides;
use crate::revert::revert_reason;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::map::AddressSet;
use alloy_primitives::{Address, B256, TxKind};
use revm::bytecode::opcode;
use revm::context_interface::result::ExecutionResult;
use revm::interpreter::Interpreter;
use revm::interpreter::interpreter_types::{InputsTr, Jumps};
use revm::{InspectEvm, Inspector};
use std::collections::{BTreeMap, BTreeSet};

/// Runs before the list is taken as it stands. A list changes only the gas of a run, so that a second run all but
/// always reads what the first read; code that looks at its gas may go on changing its mind.
const MOST_RUNS: usize = 16;

/// The access list of a message, the gas it uses with that list, and what it fails with if it fails. Sender,
/// target, precompiles and the accounts that set delegations are warm anyway and listed only with slots.
pub fn create_access_list(
    context: &CallContext<'_>,
    request: &CallRequest,
) -> Result<(AccessList, u64, Option<String>), CallError> {
    let gas = request.gas.unwrap_or(u64::MAX).min(gas_cap(context));
    let observer = Reads::default();
    let mut session = Session::new(context, request, &Overrides::default(), observer)?;
    session.evm.inspector = Reads::new(&session, request);
    let mut runs = 1;
    loop {
        let before = session.evm.inspector.to_list();
        if !before.is_empty() {
            session.tx.tx_type = session.tx.tx_type.max(1);
        }
        session.tx.access_list = before.clone();
        let result = session.run_with(gas, |evm, tx| evm.inspect_one_tx(tx))?;
        if session.evm.inspector.to_list() == before || runs == MOST_RUNS {
            return Ok((before, result.tx_gas_used(), failure(&result)));
        }
        runs += 1;
    }
}

fn failure(result: &ExecutionResult) -> Option<String> {
    match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { output, .. } => Some(match revert_reason(output) {
            Some(reason) => format!("execution reverted: {reason}"),
            None => "execution reverted".to_owned(),
        }),
        ExecutionResult::Halt { reason, .. } => Some(halt_text(reason)),
    }
}

/// Collects accounts and slots that code reads.
#[derive(Default)]
struct Reads {
    warm: AddressSet,
    seen: BTreeMap<Address, BTreeSet<B256>>,
}

impl Reads {
    fn new(session: &Session<'_, Reads>, request: &CallRequest) -> Self {
        let tx = &session.tx;
        let target = match tx.kind {
            TxKind::Call(to) => to,
            TxKind::Create => tx.caller.create(tx.nonce),
        };
        let authorities = request.authorization_list.iter().filter_map(|a| a.recover_authority().ok());
        let precompiles = session.evm.precompiles.addresses().iter().copied();
        let warm = [tx.caller, target].into_iter().chain(precompiles).chain(authorities).collect();
        let mut reads = Self { warm, seen: BTreeMap::new() };
        for item in &tx.access_list.0 {
            reads.account(item.address);
            for slot in &item.storage_keys {
                reads.slot(item.address, *slot);
            }
        }
        reads
    }

    fn account(&mut self, address: Address) {
        if !self.warm.contains(&address) {
            self.seen.entry(address).or_default();
        }
    }

    fn slot(&mut self, address: Address, slot: B256) {
        self.seen.entry(address).or_default().insert(slot);
    }

    fn to_list(&self) -> AccessList {
        let item = |(address, slots): (&Address, &BTreeSet<B256>)| AccessListItem {
            address: *address,
            storage_keys: slots.iter().copied().collect(),
        };
        AccessList(self.seen.iter().map(item).collect())
    }
}

impl<Context> Inspector<Context> for Reads {
    fn step(&mut self, interpreter: &mut Interpreter, _context: &mut Context) {
        let from_top = match interpreter.bytecode.opcode() {
            opcode::SLOAD | opcode::SSTORE => {
                if let Ok(slot) = interpreter.stack.peek(0) {
                    self.slot(interpreter.input.target_address(), B256::from(slot));
                }
                return;
            }
            opcode::BALANCE
            | opcode::EXTCODESIZE
            | opcode::EXTCODECOPY
            | opcode::EXTCODEHASH
            | opcode::SELFDESTRUCT => 0,
            opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL => 1,
            _ => return,
        };
        if let Ok(word) = interpreter.stack.peek(from_top) {
            self.account(Address::from_word(B256::from(word)));
        }
    }
}
