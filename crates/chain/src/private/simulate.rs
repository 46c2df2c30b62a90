//! What a private transaction would do now: looked at before it is sent, because its parties must be told which contracts
//! it concerns and, with validation of the private state, what it comes to.

use super::checks::execution_root;
use super::follow::PrivateFollower;
use super::run::{accounts_after, private_ones};
use alloy_primitives::{Address, B256, Bytes, TxKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lonja_evm::{
    BlockEnv, DualView, ExecuteError, PrivateMessage, PrivateOutcome, execute_private, revert_reason,
};
use lonja_primitives::{ChainSpec, PayloadHash, StateError, StateView};
use lonja_ptm::PrivacyMode;
use lonja_storage::private::{ContractRecord, PrivateReader};
use lonja_storage::{Reader, StoreError};
use thiserror::Error;

/// What a private transaction would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// The transactions that created the protected contracts which it calls.
    pub affected: Vec<PayloadHash>,
    /// Everything that came of it.
    pub outcome: PrivateOutcome,
    /// The private contracts whose code ran.
    pub called: Vec<Address>,
}

/// Why it may not be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SimulationError {
    /// It calls a contract that is not there for this node.
    #[error("contract not found. cannot transact")]
    NoContract,
    /// It calls a contract that has other protection.
    #[error("sent privacy flag doesn't match all affected contract flags")]
    FlagDiffers,
    /// It calls a private contract to which this node is no party, or which has no protection.
    #[error("PrivacyMetadata not found: contract {0}")]
    NoMetadata(Address),
    /// It reverts, with this data.
    #[error("execution reverted{}", reason(.0))]
    Reverted(Bytes),
    /// It breaks a rule of the EVM.
    #[error("{0}")]
    Failed(String),
    /// The state could not be read.
    #[error("{0}")]
    State(String),
}

fn reason(output: &Bytes) -> String {
    revert_reason(output).map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Runs a private transaction on the newest states of which both are known, without keeping anything, and looks at the
/// contracts it calls as a transaction of this mode.
pub fn simulate(
    spec: &ChainSpec,
    public: &Reader,
    private: &PrivateReader,
    mode: PrivacyMode,
    message: &PrivateMessage,
) -> Result<Simulation, SimulationError> {
    let number = private.head().number;
    let header = public.header(number)?.ok_or_else(|| state(format!("no header of block {number}")))?;
    let (above, below) = (private.state_at(number)?, public.state_at(number)?);
    let view = DualView { private: &above, public: &below };
    if mode != PrivacyMode::Standard
        && let TxKind::Call(to) = message.kind
        && above.account(&to)?.is_none_or(|account| account.code_hash == alloy_primitives::KECCAK256_EMPTY)
    {
        return Err(SimulationError::NoContract);
    }
    let rules = spec.rules_at(number.saturating_add(1), header.timestamp);
    let env = BlockEnv { number: number.saturating_add(1), ..BlockEnv::from_header(&header) };
    let outcome = execute_private(&rules, &env, &view, message).map_err(fault)?;
    let called = private_ones(&above, &outcome)?;
    if !outcome.success {
        return Err(match outcome.halt {
            Some(text) => SimulationError::Failed(text),
            None => SimulationError::Reverted(outcome.output),
        });
    }
    let affected = affected(private, number, mode, &called)?;
    Ok(Simulation { affected, outcome, called })
}

/// The creations of the protected contracts among those called.
fn affected(
    private: &PrivateReader,
    number: u64,
    mode: PrivacyMode,
    called: &[Address],
) -> Result<Vec<PayloadHash>, SimulationError> {
    let mut affected = Vec::new();
    for address in called {
        match private.contract(address, number)? {
            Some(record) if record.flag != mode.flag() => return Err(SimulationError::FlagDiffers),
            Some(ContractRecord { creation, .. }) if mode != PrivacyMode::Standard => affected.push(creation),
            None if mode != PrivacyMode::Standard => return Err(SimulationError::NoMetadata(*address)),
            _ => {}
        }
    }
    affected.sort_unstable();
    affected.dedup();
    Ok(affected)
}

impl PrivateFollower {
    /// As [`simulate`] with validation of the private state, and with the root over the contracts that it comes to.
    pub fn simulate_root(
        &self,
        spec: &ChainSpec,
        public: &Reader,
        message: &PrivateMessage,
    ) -> Result<(Simulation, B256), SimulationError> {
        let simulation = simulate(spec, public, &self.reader(), PrivacyMode::StateValidation, message)?;
        let changes = &simulation.outcome.changes;
        let before = self.writer().state();
        let prepared = self.writer().prepare(changes)?;
        let accounts = accounts_after(&prepared, &before, &simulation.outcome, &simulation.called)?;
        Ok((simulation, execution_root(&accounts)))
    }
}

/// The root over contracts as it travels: base64, 44 characters.
pub fn execution_root_text(root: B256) -> String {
    STANDARD.encode(root)
}

fn state(text: String) -> SimulationError {
    SimulationError::State(text)
}

fn fault(error: ExecuteError) -> SimulationError {
    state(error.to_string())
}

impl From<StoreError> for SimulationError {
    fn from(error: StoreError) -> Self {
        state(error.to_string())
    }
}

impl From<StateError> for SimulationError {
    fn from(error: StateError) -> Self {
        state(error.to_string())
    }
}
