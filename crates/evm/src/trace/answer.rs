//! Puts together what was collected.

use super::frames::Frames;
use super::options::Kind;
use super::{Ended, TraceError};
use crate::block::ExecuteError;
use crate::overlay::{Overlay, ReadError};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_trace::geth::{CallFrame, FourByteFrame, NoopFrame, PreStateConfig, PreStateFrame};
use revm::bytecode::Bytecode;
use revm::context_interface::result::ResultAndState;
use revm::state::{Account, AccountInfo, EvmState};
use revm::{Database, DatabaseRef};
use revm_inspectors::tracing::geth::GethTraceBuilder;
use revm_inspectors::tracing::{FourByteInspector, TracingInspector};
use serde::Serialize;
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

/// What an account and a slot take in an answer beyond code, in one of the two states of a difference.
const ACCOUNT_BYTES: usize = 150;
const SLOT_BYTES: usize = 140;

#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Calls(Box<CallFrame>),
    Prestate(PreStateFrame),
    Selectors(FourByteFrame),
    Nothing(NoopFrame),
    Several(BTreeMap<&'static str, Told>),
}

/// All that answers are made of.
struct Sources<'s, 'o, 'a> {
    calls: Option<TracingInspector>,
    selectors: Option<FourByteInspector>,
    ended: &'s Ended<'s>,
    before: Before<'o, 'a>,
    bytes_max: usize,
}

/// The state before the execution, which the library wants to read without changing it.
struct Before<'o, 'a>(RefCell<&'o mut Overlay<'a>>);

impl DatabaseRef for Before<'_, '_> {
    type Error = ReadError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ReadError> {
        self.0.borrow_mut().basic(address)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, ReadError> {
        self.0.borrow_mut().code_by_hash(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ReadError> {
        self.0.borrow_mut().storage(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ReadError> {
        self.0.borrow_mut().block_hash(number)
    }
}

impl Frames {
    pub(super) fn answer(
        self,
        ended: &Ended<'_>,
        before: &mut Overlay<'_>,
    ) -> Result<Box<RawValue>, TraceError> {
        let (kind, calls, selectors, bytes_max) = self.into_parts();
        let sources = Sources { calls, selectors, ended, before: Before(RefCell::new(before)), bytes_max };
        written(&sources.told(&kind)?, bytes_max)
    }
}

impl Sources<'_, '_, '_> {
    fn told(&self, kind: &Kind) -> Result<Told, TraceError> {
        Ok(match kind {
            Kind::Calls(config) => {
                let calls = self.calls.as_ref().map(TracingInspector::geth_builder);
                let frame = calls.map(|calls| calls.geth_call_traces(*config, self.ended.gas_used));
                Told::Calls(Box::new(frame.unwrap_or_default()))
            }
            Kind::Prestate(config) => Told::Prestate(self.prestate(config)?),
            Kind::Selectors => Told::Selectors(self.selectors.as_ref().map(Into::into).unwrap_or_default()),
            Kind::Nothing | Kind::Steps(_) => Told::Nothing(NoopFrame::default()),
            Kind::Several(kinds) => {
                let told = kinds.iter().map(|(name, kind)| Ok((*name, self.told(kind)?)));
                Told::Several(told.collect::<Result<_, TraceError>>()?)
            }
        })
    }

    fn prestate(&self, config: &PreStateConfig) -> Result<PreStateFrame, TraceError> {
        let outcome = self.ended.outcome;
        let mut touched = outcome.state.clone();
        if config.is_diff_mode() {
            // What is only looked at does not differ, nor what is not changed by this execution.
            touched.retain(|address, account| account.is_touched() && !self.ended.foreign.contains(address));
        }
        if self.prestate_bytes(&touched, config)? > self.bytes_max {
            return Err(TraceError::TooLong { bytes_max: self.bytes_max });
        }
        let outcome = ResultAndState::new(outcome.result.clone(), touched);
        let builder = GethTraceBuilder::new(Vec::new());
        builder.geth_prestate_traces(&outcome, config, &self.before).map_err(unread)
    }

    /// What it comes to, about, known before it is put together.
    fn prestate_bytes(&self, touched: &EvmState, config: &PreStateConfig) -> Result<usize, TraceError> {
        let mut bytes: usize = 0;
        for (address, account) in touched {
            let slots = if config.storage_enabled() { account.storage.len() } else { 0 };
            bytes = bytes.saturating_add(slots.saturating_mul(SLOT_BYTES)).saturating_add(ACCOUNT_BYTES);
            if config.code_enabled() {
                bytes = bytes.saturating_add(self.code_bytes(address, account, config)?);
            }
            if bytes > self.bytes_max {
                break;
            }
        }
        Ok(bytes)
    }

    fn code_bytes(
        &self,
        address: &Address,
        account: &Account,
        config: &PreStateConfig,
    ) -> Result<usize, TraceError> {
        let before = self.before.basic_ref(*address).map_err(unread)?;
        let hash = before.map(|before| before.code_hash).unwrap_or_default();
        if config.is_diff_mode() && account.info.code_hash == hash {
            // The same before and after is left out.
            return Ok(0);
        }
        let code = if hash.is_zero() { 0 } else { self.before.code_by_hash_ref(hash).map_err(unread)?.len() };
        let after = account.info.code.as_ref().filter(|_| config.is_diff_mode()).map_or(0, Bytecode::len);
        Ok(code.saturating_add(after).saturating_mul(2))
    }
}

fn unread(error: ReadError) -> TraceError {
    match error {
        ReadError::State(error) => error.into(),
        ReadError::Stopped => TraceError::Stopped,
    }
}

/// JSON of at most so many bytes.
struct Page {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_overfull: bool,
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) > self.bytes_max {
            self.is_overfull = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(told: &Told, bytes_max: usize) -> Result<Box<RawValue>, TraceError> {
    let internal = |text: String| TraceError::from(ExecuteError::Internal(text));
    let mut page = Page { bytes: Vec::new(), bytes_max, is_overfull: false };
    let result = serde_json::to_writer(&mut page, told);
    if page.is_overfull {
        return Err(TraceError::TooLong { bytes_max });
    }
    result.map_err(|error| internal(error.to_string()))?;
    let text = String::from_utf8(page.bytes).map_err(|error| internal(error.to_string()))?;
    RawValue::from_string(text).map_err(|error| internal(error.to_string()))
}
