//! Calls, as a tree or by their selectors, and the accounts that an execution touched.

use super::options::Kind;
use alloy_primitives::Log;
use alloy_rpc_types_trace::geth::CallConfig;
use revm::context::TxEnv;
use revm::interpreter::InstructionResult;
use revm_inspectors::tracing::types::{CallKind, CallTrace};
use revm_inspectors::tracing::{FourByteInspector, TracingInspector, TracingInspectorConfig};

/// What a call or a log is counted for beyond its data: about what it takes in an answer.
const FRAME_BYTES: usize = 300;
const LOG_BYTES: usize = 300;
/// What the selector of a call is counted for.
const SELECTOR_BYTES: usize = 40;

/// Collects what [`Kind`] asks for, apart from steps.
pub(crate) struct Frames {
    kind: Kind,
    calls: Option<TracingInspector>,
    selectors: Option<FourByteInspector>,
    records_logs: bool,
    /// Only the outermost call is looked at.
    only_top: bool,
    depth: usize,
    /// What the answer will have, about.
    bytes: usize,
    bytes_max: usize,
}

impl Frames {
    pub(super) fn new(kind: Kind, bytes_max: usize) -> Self {
        let mut parts = Parts::default();
        parts.add(&kind);
        let only_top =
            matches!(kind, Kind::Calls(CallConfig { only_top_call, .. }) if only_top_call == Some(true));
        Self {
            kind,
            calls: parts.calls.map(TracingInspector::new),
            selectors: parts.selectors.then(FourByteInspector::default),
            records_logs: parts.logs,
            only_top,
            depth: 0,
            bytes: 0,
            bytes_max,
        }
    }

    pub(super) fn is_overfull(&self) -> bool {
        self.bytes > self.bytes_max
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Who wants to be told of the call that runs.
    pub(super) fn calls(&mut self) -> Option<&mut TracingInspector> {
        let looks = !self.only_top || self.depth <= 1;
        self.calls.as_mut().filter(|_| looks)
    }

    pub(super) fn selectors(&mut self) -> Option<&mut FourByteInspector> {
        self.selectors.as_mut()
    }

    pub(super) fn enter(&mut self, input_bytes: usize) {
        self.depth = self.depth.saturating_add(1);
        if self.selectors.is_some() {
            self.count(SELECTOR_BYTES);
        }
        if self.calls().is_some() {
            self.count(FRAME_BYTES.saturating_add(input_bytes.saturating_mul(2)));
        }
    }

    pub(super) fn leave(&mut self, output_bytes: usize) {
        if self.calls().is_some() {
            self.count(output_bytes.saturating_mul(2));
        }
        self.depth = self.depth.saturating_sub(1);
    }

    pub(super) fn count_log(&mut self, log: &Log) {
        if self.records_logs && self.calls().is_some() {
            self.count(LOG_BYTES.saturating_add(log.data.data.len().saturating_mul(2)));
        }
    }

    /// A private transaction of others is a call without anything inside, of which everybody sees the hash.
    pub(super) fn see_shell(&mut self, tx: &TxEnv) {
        self.enter(tx.data.len());
        let root = self.calls.as_mut().and_then(|calls| calls.traces_mut().nodes_mut().first_mut());
        if let Some(root) = root {
            root.trace = shell(tx);
        }
        self.leave(0);
    }

    pub(super) fn see_whole(&mut self, tx: &TxEnv) {
        if let Some(calls) = &mut self.calls {
            calls.set_transaction_gas_limit(tx.gas_limit);
        }
    }

    pub(super) fn into_parts(self) -> (Kind, Option<TracingInspector>, Option<FourByteInspector>, usize) {
        (self.kind, self.calls, self.selectors, self.bytes_max)
    }
}

fn shell(tx: &TxEnv) -> CallTrace {
    let (kind, address) = match tx.kind.to() {
        Some(to) => (CallKind::Call, *to),
        None => (CallKind::Create, tx.caller.create(tx.nonce)),
    };
    CallTrace {
        success: true,
        caller: tx.caller,
        address,
        kind,
        value: tx.value,
        data: tx.data.clone(),
        gas_limit: tx.gas_limit,
        status: Some(InstructionResult::Stop),
        ..CallTrace::default()
    }
}

/// What has to be looked at.
#[derive(Default)]
struct Parts {
    calls: Option<TracingInspectorConfig>,
    selectors: bool,
    logs: bool,
}

impl Parts {
    fn add(&mut self, kind: &Kind) {
        match kind {
            Kind::Calls(config) => {
                self.logs |= config.with_log == Some(true);
                let calls = self.calls.get_or_insert_with(TracingInspectorConfig::none);
                calls.merge(TracingInspectorConfig::from_geth_call_config(config));
            }
            Kind::Selectors => self.selectors = true,
            Kind::Several(kinds) => kinds.iter().for_each(|(_, kind)| self.add(kind)),
            // Told by what was executed, without looking on.
            Kind::Prestate(_) | Kind::Nothing | Kind::Steps(_) => {}
        }
    }
}
