//! What the caller of `eth_call` may want different from the chain.

use crate::call::CallError;
use crate::env::BlockEnv;
use crate::overlay::Overlay;
use alloy_primitives::{Address, B256, Bytes, U256};
use lonja_primitives::BlockRules;
use std::collections::BTreeMap;

/// Everything that a call may see different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Accounts.
    pub state: StateOverrides,
    /// The block.
    pub block: BlockOverrides,
}

/// Overridden accounts by address.
pub type StateOverrides = BTreeMap<Address, AccountOverride>;

/// What is different about one account; `None` is as on the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Balance in wei.
    pub balance: Option<U256>,
    /// Nonce.
    pub nonce: Option<u64>,
    /// Code; empty for none.
    pub code: Option<Bytes>,
    /// The whole storage: slots that are not named are 0. Not together with `state_diff`.
    pub state: Option<BTreeMap<U256, U256>>,
    /// Single slots. Not together with `state`.
    pub state_diff: Option<BTreeMap<U256, U256>>,
}

/// What is different about the block; `None` is as in its header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOverrides {
    /// Height.
    pub number: Option<u64>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// Gas limit.
    pub gas_limit: Option<u64>,
    /// Answer of `COINBASE`.
    pub beneficiary: Option<Address>,
    /// Answer of `PREVRANDAO`.
    pub prevrandao: Option<B256>,
    /// Answer of `DIFFICULTY` before Shanghai.
    pub difficulty: Option<U256>,
    /// Base fee per gas in wei.
    pub base_fee: Option<u64>,
    /// Answers of `BLOCKHASH` by height; others as on the chain.
    pub block_hashes: BTreeMap<u64, B256>,
}

impl BlockOverrides {
    pub(crate) fn apply(&self, rules: &mut BlockRules, env: &mut BlockEnv) {
        env.number = self.number.unwrap_or(env.number);
        env.timestamp = self.timestamp.unwrap_or(env.timestamp);
        env.gas_limit = self.gas_limit.unwrap_or(env.gas_limit);
        env.prevrandao = self.prevrandao.unwrap_or(env.prevrandao);
        env.difficulty = self.difficulty.unwrap_or(env.difficulty);
        env.base_fee = self.base_fee.or(env.base_fee);
        if let Some(beneficiary) = self.beneficiary {
            env.beneficiary = beneficiary;
            rules.beneficiary = None;
        }
    }
}

/// Puts overridden accounts into the overlay.
pub(crate) fn apply_state(overrides: &StateOverrides, overlay: &mut Overlay<'_>) -> Result<(), CallError> {
    for (address, change) in overrides {
        if change.state.is_some() && change.state_diff.is_some() {
            let text = format!("account {address} has both 'state' and 'stateDiff'");
            return Err(CallError::BadRequest(text));
        }
        let mut account = overlay.account(*address)?.unwrap_or_default();
        account.balance = change.balance.unwrap_or(account.balance);
        account.nonce = change.nonce.unwrap_or(account.nonce);
        if let Some(code) = &change.code {
            account.code_hash = overlay.add_code(code);
        }
        overlay.replace_account(*address, account)?;
        if change.state.is_some() {
            overlay.wipe_storage(*address)?;
        }
        for (slot, value) in change.state.iter().chain(&change.state_diff).flatten() {
            overlay.set_storage(*address, *slot, *value)?;
        }
    }
    Ok(())
}
