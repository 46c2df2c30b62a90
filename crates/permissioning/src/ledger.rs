//! The gas that members have left while one block takes up transactions.

use crate::judge::Judge;
use crate::verdict::{Refusal, Rule};
use alloy_primitives::map::{AddressMap, B256Map};
use alloy_primitives::{Address, B256, U256};
use lonja_evm::ExecuteError;
use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

/// What members have left at the state before the block, less what the block used so far.
#[derive(Debug, Default)]
pub struct Ledger {
    members: AddressMap<B256>,
    accounts: B256Map<Account>,
}

#[derive(Debug)]
struct Account {
    /// `None`: no limit.
    left: Option<U256>,
    per_block: U256,
    used: u64,
    /// The contract gave no answer.
    closed: Option<String>,
}

impl Ledger {
    /// Whether a transaction with this gas limit may be the next one: its member must have as much left. Accounts of no
    /// member are not metered.
    pub fn admit(
        &mut self,
        judge: &mut Judge<'_>,
        sender: Address,
        gas_limit: u64,
    ) -> Result<Result<(), Refusal>, ExecuteError> {
        let Some(contract) = judge.quotas() else { return Ok(Ok(())) };
        let member = match self.members.get(&sender) {
            Some(member) => *member,
            None => {
                let member = judge.member_of(contract, sender)?;
                self.members.insert(sender, member);
                member
            }
        };
        if member.is_zero() {
            return Ok(Ok(()));
        }
        let account = match self.accounts.entry(member) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Account::new(judge.available(contract, member)?)),
        };
        Ok(account.admit(gas_limit).map_err(|reason| Refusal { rule: Rule::Quotas, reason }))
    }

    /// Takes off what a transaction used.
    pub fn take(&mut self, sender: Address, gas_used: u64) {
        let Some(member) = self.members.get(&sender) else { return };
        let Some(account) = self.accounts.get_mut(member) else { return };
        account.used = account.used.saturating_add(gas_used);
        if let Some(left) = &mut account.left {
            *left = left.saturating_sub(U256::from(gas_used));
        }
    }

    /// What metered members used, in the order of their ids.
    pub fn used(&self) -> BTreeMap<B256, u64> {
        let metered = self.accounts.iter().filter(|(_, account)| account.left.is_some() && account.used > 0);
        metered.map(|(member, account)| (*member, account.used)).collect()
    }
}

impl Account {
    fn new(available: Result<(U256, U256), String>) -> Self {
        match available {
            Ok((gas, _)) if gas == U256::MAX => {
                Self { left: None, per_block: U256::ZERO, used: 0, closed: None }
            }
            Ok((gas, per_block)) => Self { left: Some(gas), per_block, used: 0, closed: None },
            Err(reason) => {
                Self { left: Some(U256::ZERO), per_block: U256::ZERO, used: 0, closed: Some(reason) }
            }
        }
    }

    fn admit(&self, gas_limit: u64) -> Result<(), String> {
        if let Some(reason) = &self.closed {
            return Err(reason.clone());
        }
        let Some(left) = self.left else { return Ok(()) };
        let want = U256::from(gas_limit);
        if left >= want {
            return Ok(());
        }
        let missing = want.saturating_sub(left);
        let when = match missing.checked_div(self.per_block) {
            Some(_) => {
                let blocks = missing.div_ceil(self.per_block);
                format!("there is room in {blocks} blocks")
            }
            None => "none comes back".to_owned(),
        };
        Err(format!("the member has {left} gas left and the transaction may use {gas_limit}: {when}"))
    }
}
