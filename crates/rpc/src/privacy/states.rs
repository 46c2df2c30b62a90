//! Which state a question is answered on. An account that the private state has is private, everything else public; what is
//! private is known up to the private head, and both states of one answer are of the same block.

use super::RpcPrivacy;
use crate::context::Context;
use crate::error::RpcError;
use crate::params::BlockSelector;
use alloy_primitives::Address;
use lonja_evm::DualView;
use lonja_primitives::StateView;
use lonja_storage::{StateAt, StoreError};
use std::time::{Duration, Instant};

/// The second pass follows the public head within milliseconds: whoever asks about the newest block in between waits for so
/// long, rather than to be told to ask again.
const PATIENCE: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(1);

/// Blocks that the second pass may be behind while somebody waits for it. Further behind it is at work for longer.
const NEARLY_THERE_BLOCKS: u64 = 2;

/// The states that a question is answered on.
pub(crate) struct Place {
    /// The block after which they are.
    pub(crate) number: u64,
    public: StateAt,
    /// Where what is asked about is private.
    private: Option<StateAt>,
}

impl Place {
    /// For a question about this account, or about nobody's in particular.
    pub(crate) fn of(
        context: &Context,
        selector: BlockSelector,
        account: Option<&Address>,
    ) -> Result<Self, RpcError> {
        let private = account.map(|account| private_at(context, selector, account)).transpose()?.flatten();
        let (number, private) = match private {
            Some((number, state)) => (number, Some(state)),
            None => (context.known_height(selector)?, None),
        };
        Ok(Self { number, public: context.state(number)?, private })
    }

    /// Both states after the newest block of which both are known, whatever is asked.
    pub(crate) fn shared(context: &Context, privacy: &RpcPrivacy) -> Result<Self, RpcError> {
        let number = privacy.reader.head().number;
        let private = Some(privacy.reader.state_at(number)?);
        Ok(Self { number, public: context.state(number)?, private })
    }

    /// Runs something on the state, with the private one of the two where there is one.
    pub(crate) fn with<T>(&self, run: impl FnOnce(&dyn StateView, Option<&dyn StateView>) -> T) -> T {
        match &self.private {
            Some(private) => run(&DualView { private, public: &self.public }, Some(private)),
            None => run(&self.public, None),
        }
    }
}

/// The state that an account belongs to, after the block that is meant.
pub(crate) fn state_of(
    context: &Context,
    selector: BlockSelector,
    account: &Address,
) -> Result<StateAt, RpcError> {
    match private_at(context, selector, account)? {
        Some((_, state)) => Ok(state),
        None => context.state(context.known_height(selector)?),
    }
}

/// The private state after the block that is meant, and the block, if the account is in it.
pub(crate) fn private_at(
    context: &Context,
    selector: BlockSelector,
    account: &Address,
) -> Result<Option<(u64, StateAt)>, RpcError> {
    let Some(privacy) = &context.node.privacy else { return Ok(None) };
    let head = privacy.reader.head().number;
    let number = match selector {
        BlockSelector::Latest | BlockSelector::Pending => head,
        other => context.known_height(other)?,
    };
    let is_private_now = || has(&privacy.reader.state_at(privacy.reader.head().number)?, account);
    if number > head && is_private_now()? && !privacy.comes_to(number) {
        return Err(privacy.behind(number));
    }
    if number > privacy.reader.head().number {
        return Ok(None);
    }
    let state = match privacy.reader.state_at(number) {
        // Older than what is kept: then what is not private now is taken to be public.
        Err(StoreError::NotAvailable { .. }) if !is_private_now()? => return Ok(None),
        other => other?,
    };
    Ok(has(&state, account)?.then_some((number, state)))
}

fn has(state: &StateAt, account: &Address) -> Result<bool, RpcError> {
    Ok(state.account(account)?.is_some())
}

impl RpcPrivacy {
    /// Whether the second pass is past a block, or is in a moment. Blocks for that moment.
    pub(crate) fn comes_to(&self, number: u64) -> bool {
        let until = Instant::now() + PATIENCE;
        loop {
            let head = self.reader.head().number;
            if head >= number {
                return true;
            }
            let is_close = number.saturating_sub(head) <= NEARLY_THERE_BLOCKS;
            if !is_close || self.status.borrow().waiting.is_some() || Instant::now() >= until {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What is said of a block that the second pass has not come to.
    pub(crate) fn behind(&self, number: u64) -> RpcError {
        let head = self.reader.head().number;
        let why = match &self.status.borrow().waiting {
            Some(wait) => format!(": {}", wait.reason),
            None => String::new(),
        };
        RpcError::Limit(format!(
            "the private state of block {number} is not known yet, it is at block {head}{why}"
        ))
    }
}
