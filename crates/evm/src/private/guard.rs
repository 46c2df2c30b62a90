//! The one override of frame entry: public code is entered read-only.

use crate::machine::Machine;
use crate::overlay::ReadError;
use alloy_primitives::Address;
use alloy_primitives::map::AddressMap;
use lonja_primitives::{StateError, StateView};
use revm::context::{ContextError, Evm as RevmEvm, FrameStack};
use revm::handler::evm::{ContextDbError, FrameInitResult};
use revm::handler::instructions::EthInstructions;
use revm::handler::{EthFrame, EvmTr, FrameInitOrResult, FrameResult, PrecompileProvider};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{CallInputs, FrameInput, InterpreterResult};
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

type Inner<'a, P> =
    RevmEvm<Machine<'a>, (), EthInstructions<EthInterpreter, Machine<'a>>, P, EthFrame<EthInterpreter>>;

/// A machine whose watch knows the realm, with that override.
pub(crate) struct Guarded<'e, 'a, P>(pub(crate) &'e mut Inner<'a, P>);

impl<P> Guarded<'_, '_, P> {
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

impl<'a, P> EvmTr for Guarded<'_, 'a, P>
where
    P: PrecompileProvider<Machine<'a>, Output = InterpreterResult>,
{
    type Context = Machine<'a>;
    type Instructions = EthInstructions<EthInterpreter, Machine<'a>>;
    type Precompiles = P;
    type Frame = EthFrame<EthInterpreter>;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>) {
        self.0.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Self::Frame>)
    {
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
