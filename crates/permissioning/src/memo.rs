//! Answers that still hold.
//!
//! An answer holds as long as no block changed what the contract looked at (accounts and slots), and for every question
//! that has the bytes it read ([`InputRead`]). Answers that looked at the block are not kept.

use alloy_primitives::map::{AddressMap, B256Map, HashMap};
use alloy_primitives::{B256, U256};
use lonja_evm::{Answer, InputRead, Said};
use lonja_primitives::{Account, AccountChange, StateChanges};
use parking_lot::RwLock;
use std::mem;
use std::sync::Arc;

/// Subjects (accounts, nodes) with answers at once: as many as a busy network has active. Some 50 MB at most.
const SUBJECTS_MAX: usize = 65_536;
/// Answers per subject: a contract that reads all of a question has one for each, and only the newest are asked again.
const ANSWERS_MAX: usize = 16;
/// Longest question that is kept whole.
const ASKED_BYTES_MAX: usize = 1_024;
/// A slot on which more subjects depend than this is one on which all do.
const DEPENDENTS_MAX: usize = 64;

/// The state of a memo whose time is over.
const NEVER: u64 = u64::MAX;

/// Answers that hold at the newest block. Shared by all that ask there.
#[derive(Debug, Default)]
pub struct Memo(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The block at whose state the answers hold.
    at: u64,
    answers: B256Map<Vec<Kept>>,
    /// Everything that the answers depend on.
    accounts: AddressMap<Looked>,
    /// Whether an answer was not kept because it depended on the block.
    timed: bool,
    /// Whether answers were forgotten to make room: nobody would notice that they changed.
    forgot: bool,
}

#[derive(Debug)]
struct Kept {
    asked: Vec<u8>,
    read: InputRead,
    said: Said,
}

/// An account that answers depend on.
#[derive(Debug)]
struct Looked {
    account: Account,
    slots: HashMap<U256, Dependents>,
}

/// The subjects whose answers depend on a slot.
#[derive(Debug)]
enum Dependents {
    Some(Vec<B256>),
    All,
}

/// What a block did to the answers.
enum Effect {
    /// They all hold.
    None,
    /// These subjects' do not.
    Some(Vec<B256>),
    /// None can be relied on.
    All,
}

impl Memo {
    /// For answers at the state after this block.
    pub fn new(at: u64) -> Self {
        Self(RwLock::new(Known { at, ..Known::default() }))
    }

    /// What was said about a subject to a question with these bytes; `whole` says whether they are all of it.
    pub(crate) fn find(&self, subject: &B256, asked: &[u8], whole: bool) -> Option<Said> {
        let known = self.0.read();
        let fits =
            |kept: &&Kept| (whole || kept.read.end() <= asked.len()) && kept.read.covers(&kept.asked, asked);
        known.answers.get(subject)?.iter().rev().find(fits).map(|kept| kept.said.clone())
    }

    /// Keeps an answer that was given at the state after block `at`, if that is still the newest.
    pub(crate) fn keep(&self, at: u64, subject: B256, asked: &[u8], whole: bool, answer: &Answer) {
        let mut known = self.0.write();
        if known.at != at {
            return;
        }
        if answer.block {
            known.timed = true;
            return;
        }
        let end = answer.read.end();
        if (end > asked.len() && !whole) || (end == usize::MAX && asked.len() > ASKED_BYTES_MAX) {
            return;
        }
        if known.answers.len() >= SUBJECTS_MAX && !known.answers.contains_key(&subject) {
            *known = Known { at, timed: known.timed, forgot: true, ..Known::default() };
        }
        known.depend(subject, answer);
        let asked = asked.get(..end.min(asked.len())).unwrap_or_default().to_vec();
        let kept = known.answers.entry(subject).or_default();
        if kept.len() >= ANSWERS_MAX {
            kept.remove(0);
        }
        kept.push(Kept { asked, read: answer.read.clone(), said: answer.said.clone() });
    }

    /// Goes on to the state after block `at`: the memo itself, without the answers that the block put in doubt, or a new
    /// one. Says whether answers may differ from now on, also by the block alone.
    pub fn after(self: &Arc<Self>, at: u64, changes: &StateChanges) -> (Arc<Self>, bool) {
        let mut known = self.0.write();
        match known.effect_of(changes) {
            Effect::All => {
                // Nobody's answer from an older state may be kept here any more and be taken for known.
                known.at = NEVER;
                (Arc::new(Self::new(at)), true)
            }
            Effect::Some(subjects) => {
                known.at = at;
                subjects.iter().for_each(|subject| drop(known.answers.remove(subject)));
                (self.clone(), true)
            }
            Effect::None => {
                known.at = at;
                let forgot = mem::take(&mut known.forgot);
                (self.clone(), known.timed || forgot)
            }
        }
    }
}

impl Memo {
    /// Whether the memo holds answers at the state after this block: then whatever was asked there is known to it, and a
    /// later block that changes the answer says so.
    pub fn is_at(&self, number: u64) -> bool {
        self.0.read().at == number
    }
}

impl Known {
    fn depend(&mut self, subject: B256, answer: &Answer) {
        for (address, seen) in &answer.accounts {
            let looked = self
                .accounts
                .entry(*address)
                .or_insert_with(|| Looked { account: seen.account, slots: HashMap::default() });
            for slot in &seen.slots {
                looked.slots.entry(*slot).or_insert_with(|| Dependents::Some(Vec::new())).add(subject);
            }
        }
    }

    fn effect_of(&self, changes: &StateChanges) -> Effect {
        let mut subjects = Vec::new();
        for (address, looked) in &self.accounts {
            let Some(change) = changes.accounts.get(address) else { continue };
            if looked.is_another(change) {
                return Effect::All;
            }
            for slot in change.storage.keys() {
                match looked.slots.get(slot) {
                    Some(Dependents::All) => return Effect::All,
                    Some(Dependents::Some(some)) => subjects.extend_from_slice(some),
                    None => {}
                }
            }
        }
        if subjects.is_empty() { Effect::None } else { Effect::Some(subjects) }
    }
}

impl Looked {
    /// Whether more than slots changed.
    fn is_another(&self, change: &AccountChange) -> bool {
        change.storage_wiped || change.account.unwrap_or_default() != self.account
    }
}

impl Dependents {
    fn add(&mut self, subject: B256) {
        let Self::Some(subjects) = self else { return };
        match subjects.len() {
            _ if subjects.contains(&subject) => {}
            DEPENDENTS_MAX => *self = Self::All,
            _ => subjects.push(subject),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, Bytes};
    use lonja_evm::Looked as Seen;

    fn answer(accounts: &[u8], block: bool) -> Answer {
        let seen =
            |n: &u8| (Address::repeat_byte(*n), Seen { slots: [U256::from(1)].into(), ..Seen::default() });
        Answer {
            said: Said::Returned(Bytes::from_static(&[1])),
            accounts: accounts.iter().map(seen).collect(),
            read: InputRead::default(),
            block,
            gas_used: 0,
        }
    }

    /// A block that changes one slot of an account.
    fn changes(address: u8, slot: u64) -> StateChanges {
        let mut changes = StateChanges::default();
        let storage = [(U256::from(slot), U256::from(9))].into();
        let change = AccountChange { account: Some(Account::default()), storage, ..AccountChange::default() };
        changes.accounts.insert(Address::repeat_byte(address), change);
        changes
    }

    #[test]
    fn answers_hold_until_a_block_changes_what_they_looked_at() {
        let (memo, subject) = (Arc::new(Memo::new(5)), B256::repeat_byte(1));
        memo.keep(5, subject, b"asked", true, &answer(&[7], false));
        assert!(memo.find(&subject, b"other", true).is_some(), "nothing of the question was read");
        for unrelated in [changes(8, 1), changes(7, 2)] {
            let (same, differs) = memo.after(6, &unrelated);
            assert!(Arc::ptr_eq(&same, &memo) && !differs);
        }
        let (other, differs) = memo.after(7, &changes(7, 1));
        assert!(other.find(&subject, b"asked", true).is_none() && differs);
    }

    #[test]
    fn only_those_are_asked_again_whom_a_change_concerns() {
        let memo = Arc::new(Memo::new(0));
        let (one, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
        memo.keep(0, one, b"", true, &answer(&[7], false));
        memo.keep(0, other, b"", true, &answer(&[8], false));
        let (memo, differs) = memo.after(1, &changes(7, 1));
        assert!(differs && memo.find(&one, b"", true).is_none() && memo.find(&other, b"", true).is_some());
    }

    #[test]
    fn an_account_that_gets_other_code_or_balance_or_is_emptied_changes_everything() {
        let account = Account { nonce: 1, ..Account::default() };
        let other = AccountChange { account: Some(account), ..AccountChange::default() };
        let wiped = AccountChange {
            account: Some(Account::default()),
            storage_wiped: true,
            ..AccountChange::default()
        };
        for change in [other, wiped] {
            let (memo, subject) = (Arc::new(Memo::new(0)), B256::ZERO);
            memo.keep(0, subject, b"", true, &answer(&[7], false));
            let accounts = [(Address::repeat_byte(7), change)].into();
            let changes = StateChanges { accounts, ..StateChanges::default() };
            assert!(memo.after(1, &changes).0.find(&subject, b"", true).is_none());
        }
    }

    #[test]
    fn a_slot_of_many_counts_for_all() {
        let memo = Arc::new(Memo::new(0));
        let subject = |n: usize| B256::with_last_byte(n as u8);
        (0..=DEPENDENTS_MAX).for_each(|n| memo.keep(0, subject(n), b"", true, &answer(&[7], false)));
        let (memo, differs) = memo.after(1, &changes(7, 1));
        assert!(differs && (0..=DEPENDENTS_MAX).all(|n| memo.find(&subject(n), b"", true).is_none()));
    }

    #[test]
    fn an_answer_from_an_older_state_is_not_kept() {
        let (memo, subject) = (Arc::new(Memo::new(5)), B256::repeat_byte(1));
        let (memo, _) = memo.after(6, &changes(7, 1));
        memo.keep(5, subject, b"asked", true, &answer(&[7], false));
        assert!(memo.find(&subject, b"asked", true).is_none() && !memo.is_at(5));
        memo.keep(6, subject, b"asked", true, &answer(&[7], false));
        let (next, _) = memo.after(7, &changes(7, 1));
        next.after(8, &changes(8, 1));
        let account = Account { nonce: 1, ..Account::default() };
        let change = AccountChange { account: Some(account), ..AccountChange::default() };
        next.keep(8, subject, b"asked", true, &answer(&[7], false));
        let accounts = [(Address::repeat_byte(7), change)].into();
        let (new, _) = next.after(9, &StateChanges { accounts, ..StateChanges::default() });
        assert!(new.is_at(9) && !next.is_at(8) && !next.is_at(9), "the old one is of no use any more");
    }

    #[test]
    fn an_answer_that_looked_at_the_block_is_asked_again() {
        let (memo, subject) = (Arc::new(Memo::new(5)), B256::repeat_byte(1));
        memo.keep(5, subject, b"asked", true, &answer(&[7], true));
        assert!(memo.find(&subject, b"asked", true).is_none());
        assert!(memo.after(6, &StateChanges::default()).1, "it may differ at every block");
    }

    #[test]
    fn the_memo_is_bounded() {
        let memo = Memo::new(0);
        for n in 0..SUBJECTS_MAX + 10 {
            let mut subject = B256::ZERO;
            subject[..8].copy_from_slice(&n.to_be_bytes());
            memo.keep(0, subject, b"", true, &answer(&[1], false));
        }
        assert!(memo.0.read().answers.len() <= SUBJECTS_MAX);
        let memo = Arc::new(memo);
        assert!(memo.after(0, &StateChanges::default()).1, "what was forgotten may have changed");
        assert!(!memo.after(0, &StateChanges::default()).1, "said once");
        (0..100).for_each(|_| memo.keep(0, B256::ZERO, b"", true, &answer(&[1], false)));
        assert!(memo.0.read().answers[&B256::ZERO].len() <= ANSWERS_MAX);
    }
}
