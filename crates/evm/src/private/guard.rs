//! The one override of frame entry: public code is entered read-only.

use crate::machine::{Evm, Machine};
use crate::overlay::ReadError;
use crate::watch::TimedPrecompiles;
use alloy_primitives::Address;
use alloy_primitives::map::AddressMap;
use lonja_primitives::{StateError, StateView};
use revm::context::{ContextError, FrameStack};
use revm::handler::evm::{ContextDbError, FrameInitResult};
use revm::handler::instructions::EthInstructions;
use revm::handler::{EthFrame, EvmTr, FrameInitOrResult, FrameResult};
use revm::inspector::{Inspector, InspectorEvmTr};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{CallInputs, FrameInput};
use std::collections::BTreeSet;

/// Which accounts are private, and what code ran.
pub(crate) struct Realm<'a> {
    private: &'a dyn StateView,
    known: AddressMap<bool>,
    called: BTreeSet<Address>,
}

impl<'a> Realm<'a> {
    pub(crate) fn new(private: &'a dyn StateView) -> Self {
        Self { private, known: AddressMap::default(), called: BTreeSet::new() }
    }

    /// Whether the account was private before this message.
    pub(crate) fn is_private(&mut self, address: &Address) -> Result<bool, StateError> {
        if let Some(known) = self.known.get(address) {
            return Ok(*known);
        }
        let private = self.private.account(address)?.is_some();
        self.known.insert(*address, private);
        Ok(private)
    }

    /// The accounts whose code ran, apart from init code.
    pub(crate) fn into_called(self) -> BTreeSet<Address> {
        self.called
    }
}

/// A machine whose watch knows the realm, with that override.
pub(crate) struct Guarded<'e, 'a, Observer>(pub(crate) &'e mut Evm<'a, Observer>);

impl<Observer> Guarded<'_, '_, Observer> {
    /// Whether code, or the storage it works on, is public.
    fn is_public(&mut self, inputs: &CallInputs) -> Result<bool, StateError> {
        Ok(self.belongs_to_public(&inputs.bytecode_address)?
            || self.belongs_to_public(&inputs.target_address)?)
    }

    fn belongs_to_public(&mut self, address: &Address) -> Result<bool, StateError> {
        let machine = &mut self.0.ctx;
        let Some(realm) = &mut machine.chain.realm else { return Ok(false) };
        let account = machine.journaled_state.inner.state.get(address);
        // What is nowhere belongs to nobody; what was created in this message is private.
        let Some(account) = account.filter(|account| !account.is_empty()) else { return Ok(false) };
        if account.is_created() {
            return Ok(false);
        }
        Ok(!realm.is_private(address)?)
    }
}

type Instructions<'a> = EthInstructions<EthInterpreter, Machine<'a>>;
type Frames = FrameStack<EthFrame<EthInterpreter>>;

impl<'a, Observer> EvmTr for Guarded<'_, 'a, Observer> {
    type Context = Machine<'a>;
    type Instructions = Instructions<'a>;
    type Precompiles = TimedPrecompiles;
    type Frame = EthFrame<EthInterpreter>;

    fn all(&self) -> (&Machine<'a>, &Instructions<'a>, &TimedPrecompiles, &Frames) {
        self.0.all()
    }

    fn all_mut(&mut self) -> (&mut Machine<'a>, &mut Instructions<'a>, &mut TimedPrecompiles, &mut Frames) {
        self.0.all_mut()
    }

    fn frame_init(
        &mut self,
        mut frame: FrameInit,
    ) -> Result<FrameInitResult<'_, Self::Frame>, ContextDbError<Self::Context>> {
        if let FrameInput::Call(inputs) = &mut frame.frame_input {
            let public = self.is_public(inputs).map_err(|error| ContextError::Db(ReadError::State(error)))?;
            inputs.is_static |= public;
            let (_, code) = &inputs.known_bytecode;
            if let Some(realm) = self.0.ctx.chain.realm.as_mut().filter(|_| !code.is_empty()) {
                realm.called.insert(inputs.bytecode_address);
            }
        }
        self.0.frame_init(frame)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Self::Frame>, ContextDbError<Self::Context>> {
        self.0.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<Self::Context>> {
        self.0.frame_return_result(result)
    }
}

impl<'a, Observer: Inspector<Machine<'a>>> InspectorEvmTr for Guarded<'_, 'a, Observer> {
    type Inspector = Observer;

    fn all_inspector(&self) -> (&Machine<'a>, &Instructions<'a>, &TimedPrecompiles, &Frames, &Observer) {
        self.0.all_inspector()
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (&mut Machine<'a>, &mut Instructions<'a>, &mut TimedPrecompiles, &mut Frames, &mut Observer) {
        self.0.all_mut_inspector()
    }
}
