//! What a transaction does that names a shared state, beside what the EVM did.

use super::PrivateView;
use super::contract::{Management, STATE_SHARED};
use super::shared::{SharedState, Terms, decode};
use crate::error::ChainError;
use crate::private::checks::same_execution;
use crate::private::payloads::{Missing, Payloads};
use crate::private::run::{Ours, PrivateRun, trie_account};
use alloy_primitives::{Address, KECCAK256_EMPTY};
use alloy_trie::TrieAccount;
use lonja_evm::{LayeredView, PrivateOutcome};
use lonja_primitives::{Account, PayloadHash, StateError, StateView};
use lonja_ptm::{Lookup, PrivacyMode, PrivatePayload, PublicKey};
use lonja_storage::StoreError;
use lonja_storage::private::{ContractRecord, Fate, Origin};

/// What a shared state comes to at this node.
#[derive(Default)]
pub(in crate::private) enum Effect {
    /// Nothing beyond what the EVM did.
    #[default]
    None,
    /// It is ours too, and its payload stands for the contract from now on.
    Known(Address, ContractRecord),
    /// The contract comes to this node.
    Brought(Box<SharedState>, ContractRecord),
}

/// Why nothing more is done with a transaction.
pub(in crate::private) enum Stop {
    /// A payload is missing: the block waits.
    Missing(Missing),
    /// Our own disk.
    Fault(ChainError),
    /// It fails, with this in its receipt.
    Refused(String),
}

impl From<Missing> for Stop {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl From<ChainError> for Stop {
    fn from(error: ChainError) -> Self {
        Self::Fault(error)
    }
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

fn refused<T>(why: impl ToString) -> Result<T, Stop> {
    Err(Stop::Refused(format!("contract extension: {}", why.to_string())))
}

/// A state that was named, with all that judges it.
struct Share {
    /// The managing contract.
    by: Address,
    management: Management,
    /// What is known of the managing contract.
    record: ContractRecord,
    /// The payload with the state.
    hash: PayloadHash,
    payload: PrivatePayload,
    state: SharedState,
}

impl PrivateRun<'_> {
    /// Judges the state that a transaction names, where it does. `outcome`: what the EVM made of it, not kept yet.
    pub(in crate::private) fn judge(
        &mut self,
        mine: &Ours,
        outcome: &PrivateOutcome,
        payloads: &mut Payloads<'_, '_>,
    ) -> Result<Effect, Stop> {
        let Some((by, record)) = self.sharing(mine, outcome)? else { return Ok(Effect::None) };
        let mut changes = self.done.changes.clone();
        changes.merge(outcome.changes.clone());
        let after = PrivateView { base: self.private, changes: &changes, brought: &self.done.brought };
        let Some(management) = Management::read(&after, &by)? else { return Ok(Effect::None) };
        let here = after.account(&management.contract)?;
        let Ok(hash) = management.shared.parse::<PayloadHash>() else {
            return refused("what is shared is no payload's name");
        };
        let Some(payload) = self.read_payload(mine, &hash, payloads)? else { return Ok(Effect::None) };
        let state = match decode(&payload.payload) {
            Ok(state) => state,
            Err(error) => return refused(error),
        };
        let share = Share { by, management, record, hash, payload, state };
        self.check_share(&share, payloads)?;
        match here.filter(has_code) {
            None => self.newcomer(mine, &share, here, payloads),
            Some(_) => match self.record_of(&share.management.contract)? {
                Some(known) if known.origin == (Origin::Shared { by }) => {
                    self.newcomer(mine, &share, None, payloads)
                }
                known => self.party(outcome, &share, known, payloads),
            },
        }
    }

    /// The managing contract that a transaction called, where it names a state.
    fn sharing(
        &self,
        mine: &Ours,
        outcome: &PrivateOutcome,
    ) -> Result<Option<(Address, ContractRecord)>, Stop> {
        let Some(to) = mine.tx.kind().to().filter(|_| outcome.success).copied() else { return Ok(None) };
        let shares =
            outcome.logs.iter().any(|log| log.address == to && log.topics().first() == Some(&STATE_SHARED));
        if !shares {
            return Ok(None);
        }
        let record = self.record_of(&to)?.filter(|record| record.origin == Origin::Management);
        Ok(record.map(|record| (to, record)))
    }

    /// A payload that a transaction names. That it was looked at is noted: when it comes late, or is erased, this block is
    /// executed again.
    fn read_payload(
        &mut self,
        mine: &Ours,
        hash: &PayloadHash,
        payloads: &mut Payloads<'_, '_>,
    ) -> Result<Option<PrivatePayload>, Stop> {
        let (fate, found) = match payloads.get(hash)? {
            Lookup::Found(payload) => (Fate::Read, Some(payload)),
            Lookup::Erased => (Fate::Erased, None),
            Lookup::NotOurs | Lookup::Unavailable(_) => (Fate::NotOurs, None),
        };
        let index = mine.named.index;
        if !self.done.seen.iter().any(|(other, at, _)| other == hash && *at == index) {
            self.note_seen(*hash, index, fate);
        }
        Ok(found)
    }

    /// What holds for whoever looks at it.
    fn check_share(&self, share: &Share, payloads: &mut Payloads<'_, '_>) -> Result<(), Stop> {
        let Share { by, management, record, payload, state, .. } = share;
        let terms =
            Terms { genesis: self.reader.genesis_hash(), contract: management.contract, management: *by };
        if let Err(error) = state.check(&terms, self.env.number, self.rules.limits.code_size) {
            return refused(error);
        }
        let metadata = &payload.metadata;
        if metadata.mode.flag() != record.flag {
            return refused("the state was sent with another privacy flag than the extension");
        }
        if metadata.mode == PrivacyMode::StateValidation
            && same_execution(&metadata.exec_hash, state.root).is_err()
        {
            return refused("the state was sent with another root than its own");
        }
        match sender_of(&record.creation, payloads)? == Some(payload.sender) {
            true => Ok(()),
            false => refused("the state was sent by another party than the one who began the extension"),
        }
    }

    /// The new party, for the first time or once more. `here`: an account without code at the contract's address.
    fn newcomer(
        &mut self,
        mine: &Ours,
        share: &Share,
        here: Option<Account>,
        payloads: &mut Payloads<'_, '_>,
    ) -> Result<Effect, Stop> {
        let key = share.management.key.parse::<PublicKey>().ok();
        let Some(key) = key.filter(|key| share.payload.managed_parties.contains(key)) else {
            // Some other party, to whom the contract does not come.
            return Ok(Effect::None);
        };
        if !self.has_consented(mine, share, &key, payloads)? {
            return refused("the new party's node has not consented to it");
        }
        let public = LayeredView { base: self.parent, changes: &self.public_changes };
        let taken = public.account(&share.management.contract)?;
        if here.is_some() || taken.is_some_and(|account| account.nonce > 0 || has_code(&account)) {
            return refused("there is another account at the contract's address");
        }
        let mandatory = share.payload.metadata.mandatory.iter().map(|key| key.0).collect();
        let origin = Origin::Shared { by: share.by };
        let record = ContractRecord { creation: share.hash, flag: share.record.flag, mandatory, origin };
        Ok(Effect::Brought(Box::new(share.state.clone()), record))
    }

    /// Whether the new party's own node named this extension in a payload: a contract that is put into its state may stand
    /// where it expects something else.
    fn has_consented(
        &mut self,
        mine: &Ours,
        share: &Share,
        key: &PublicKey,
        payloads: &mut Payloads<'_, '_>,
    ) -> Result<bool, Stop> {
        let Ok(consent) = share.management.consent.parse::<PayloadHash>() else { return Ok(false) };
        let consent = self.read_payload(mine, &consent, payloads)?;
        Ok(consent.is_some_and(|consent| consent.sender == *key && *consent.payload == *share.by.as_slice()))
    }

    /// A party that has the contract.
    fn party(
        &self,
        outcome: &PrivateOutcome,
        share: &Share,
        known: Option<ContractRecord>,
        payloads: &mut Payloads<'_, '_>,
    ) -> Result<Effect, Stop> {
        let contract = share.management.contract;
        let flag = known.as_ref().map_or(PrivacyMode::Standard.flag(), |record| record.flag);
        if flag != share.record.flag {
            return refused("the contract has another privacy flag than the extension");
        }
        let mandatory: Vec<[u8; 32]> = share.payload.metadata.mandatory.iter().map(|key| key.0).collect();
        if let Some(known) = &known
            && flag != PrivacyMode::Standard.flag()
        {
            if sender_of(&known.creation, payloads)? != Some(share.payload.sender) {
                return refused("only the party that made the contract may extend it");
            }
            if known.mandatory != mandatory {
                return refused("the state was sent with other mandatory recipients than the contract has");
            }
        }
        if self.account_after(outcome, &contract)? != Some(share.state.trie_account()) {
            let block = share.state.statement.block;
            metrics::counter!("lonja_private_extension_not_ours_total").increment(1);
            tracing::warn!(
                %contract,
                management = %share.by,
                block,
                "the shared state of a contract is not ours: it moved on before the block, or the parties differ"
            );
            return refused(format!("the shared state is not ours as of block {block}"));
        }
        let known = known.filter(|_| flag != PrivacyMode::Standard.flag());
        Ok(known.map_or(Effect::None, |known| {
            Effect::Known(contract, ContractRecord { creation: share.hash, ..known })
        }))
    }

    /// An account as of after this transaction.
    fn account_after(
        &self,
        outcome: &PrivateOutcome,
        address: &Address,
    ) -> Result<Option<TrieAccount>, Stop> {
        let mut changes = self.done.changes.clone();
        changes.merge(outcome.changes.clone());
        let prepared = self.writer.prepare_with(&changes, &self.done.brought)?;
        Ok(trie_account(&prepared, self.private, address)?)
    }
}

fn has_code(account: &Account) -> bool {
    account.code_hash != KECCAK256_EMPTY
}

/// Who sent a payload; `None` where it is not known here.
fn sender_of(hash: &PayloadHash, payloads: &mut Payloads<'_, '_>) -> Result<Option<PublicKey>, Stop> {
    Ok(match payloads.get(hash)? {
        Lookup::Found(payload) => Some(payload.sender),
        Lookup::NotOurs | Lookup::Erased | Lookup::Unavailable(_) => None,
    })
}
