//! Answers that still hold.
//!
//! An answer holds as long as no block changed an account that the contract looked at, and for every question that has
//! the bytes it read ([`InputRead`]). Answers that looked at the block are not kept.

use alloy_primitives::map::B256Map;
use alloy_primitives::{Address, B256};
use lonja_evm::{Answer, InputRead, Said};
use lonja_primitives::StateChanges;
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Subjects (accounts, nodes) with answers at once: as many as a busy network has active. Some 30 MB at most.
const SUBJECTS_MAX: usize = 65_536;
/// Answers per subject: a contract that reads all of a question has one for each, and only the newest are asked again.
const ANSWERS_MAX: usize = 16;
/// Longest question that is kept whole.
const ASKED_BYTES_MAX: usize = 1_024;

/// Answers that hold at the newest block. Shared by all that ask there.
#[derive(Debug, Default)]
pub struct Memo(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The block at whose state the answers hold.
    at: u64,
    answers: B256Map<Vec<Kept>>,
    /// Everything that the answers depend on.
    accounts: BTreeSet<Address>,
    /// Whether an answer was not kept because it depended on the block.
    timed: bool,
}

#[derive(Debug)]
struct Kept {
    asked: Vec<u8>,
    read: InputRead,
    said: Said,
}

impl Memo {
    /// For answers at the state after this block.
    pub fn new(at: u64) -> Self {
        Self(RwLock::new(Known { at, ..Known::default() }))
    }

    /// What was said about a subject to a question with these bytes; `whole` says whether they are all of it.
    pub(crate) fn find(&self, subject: &B256, asked: &[u8], whole: bool) -> Option<Said> {
        let known = self.0.read();
        let fits = |kept: &&Kept| {
            (whole || kept.read.end() <= asked.len()) && kept.read.covers(&kept.asked, asked)
        };
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
            known.answers.clear();
            known.accounts.clear();
        }
        known.accounts.extend(&answer.accounts);
        let asked = asked.get(..end.min(asked.len())).unwrap_or_default().to_vec();
        let kept = known.answers.entry(subject).or_default();
        if kept.len() >= ANSWERS_MAX {
            kept.remove(0);
        }
        kept.push(Kept { asked, read: answer.read.clone(), said: answer.said.clone() });
    }

    /// Goes on to the state after block `at`: the memo itself where nothing changed that an answer depends on, else a new
    /// one. Says whether answers may differ from now on, also by the block alone.
    pub fn after(self: &Arc<Self>, at: u64, changes: &StateChanges) -> (Arc<Self>, bool) {
        let mut known = self.0.write();
        let changed = known.accounts.iter().any(|address| changes.accounts.contains_key(address));
        if changed {
            return (Arc::new(Self::new(at)), true);
        }
        known.at = at;
        (self.clone(), known.timed)
    }

    /// Whether what an answer depends on is known to be untouched, so that nothing has to be asked again.
    pub fn depends_on(&self, address: &Address) -> bool {
        self.0.read().accounts.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Bytes;
    use lonja_primitives::AccountChange;

    fn answer(accounts: &[u8], block: bool) -> Answer {
        Answer {
            said: Said::Returned(Bytes::from_static(&[1])),
            accounts: accounts.iter().map(|n| Address::repeat_byte(*n)).collect(),
            read: InputRead::default(),
            block,
            gas_used: 0,
        }
    }

    fn changes(address: u8) -> StateChanges {
        let mut changes = StateChanges::default();
        changes.accounts.insert(Address::repeat_byte(address), AccountChange::default());
        changes
    }

    #[test]
    fn answers_hold_until_a_block_changes_what_they_looked_at() {
        let (memo, subject) = (Arc::new(Memo::new(5)), B256::repeat_byte(1));
        memo.keep(5, subject, b"asked", true, &answer(&[7], false));
        assert!(memo.find(&subject, b"other", true).is_some(), "nothing of the question was read");
        let (same, differs) = memo.after(6, &changes(8));
        assert!(Arc::ptr_eq(&same, &memo) && !differs);
        let (other, differs) = memo.after(7, &changes(7));
        assert!(other.find(&subject, b"asked", true).is_none() && differs);
    }

    #[test]
    fn an_answer_from_an_older_state_is_not_kept() {
        let (memo, subject) = (Arc::new(Memo::new(5)), B256::repeat_byte(1));
        let (memo, _) = memo.after(6, &changes(7));
        memo.keep(5, subject, b"asked", true, &answer(&[7], false));
        assert!(memo.find(&subject, b"asked", true).is_none());
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
        (0..100).for_each(|_| memo.keep(0, B256::ZERO, b"", true, &answer(&[1], false)));
        assert!(memo.0.read().answers[&B256::ZERO].len() <= ANSWERS_MAX);
    }
}
