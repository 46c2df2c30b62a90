//! Answers at one state.

use crate::interface::{Connections, QUESTION_GAS, Quotas, REASON_BYTES_MAX, Transactions};
use crate::memo::Memo;
use crate::question::{ConnectionQuestion, OwnEnd, TransactionQuestion};
use crate::verdict::{ConnectionVerdict, Refusal, Rule, Verdict};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use lonja_evm::{Answer, BlockEnv, ExecuteError, Inquiry, Said, revert_reason};
use lonja_primitives::spec::{ConnectionForm, NodeRule, Permissions};
use lonja_primitives::{BlockRules, StateChanges, StateView};
use std::sync::Arc;

/// The answers that still hold, by what was asked.
#[derive(Clone, Debug)]
pub struct Memos {
    /// The rules under which they were given: under others code may run otherwise.
    pub rules: BlockRules,
    /// About transactions.
    pub transactions: Arc<Memo>,
    /// About members of accounts.
    pub members: Arc<Memo>,
    /// About connections.
    pub connections: Arc<Memo>,
    /// The newest block that may have changed an answer about a transaction.
    pub transactions_changed: u64,
}

impl Memos {
    /// For answers at the state after this block, under the rules of the next.
    pub fn new(at: u64, rules: BlockRules) -> Self {
        let memo = || Arc::new(Memo::new(at));
        Self { rules, transactions: memo(), members: memo(), connections: memo(), transactions_changed: at }
    }

    /// Goes on to the state after block `at`, which made these changes. Says whether an answer about connections may be
    /// another one from now on.
    pub fn after(&self, at: u64, changes: &StateChanges) -> (Self, bool) {
        let (connections, differ) = self.connections.after(at, changes);
        let (transactions, others_differ) = self.transactions.after(at, changes);
        let transactions_changed = if others_differ { at } else { self.transactions_changed };
        let members = self.members.after(at, changes).0;
        (Self { rules: self.rules, transactions, members, connections, transactions_changed }, differ)
    }
}

/// Answers questions at one state, as one block sees it.
pub struct Judge<'a> {
    permissions: Permissions,
    rules: BlockRules,
    env: BlockEnv,
    state: &'a dyn StateView,
    /// Answers that hold at this state, and the block it is the state after.
    memos: Option<(&'a Memos, u64)>,
    /// Made when something is asked that no memo answers.
    inquiry: Option<Inquiry<'a>>,
}

impl<'a> Judge<'a> {
    /// `rules` and `env` are those of the block that is judged, `state` is the one after its parent.
    pub fn new(permissions: Permissions, rules: BlockRules, env: BlockEnv, state: &'a dyn StateView) -> Self {
        Self { permissions, rules, env, state, memos: None, inquiry: None }
    }

    /// Takes answers from these memos and keeps new ones there. They must be of the state after block `at`, which must be
    /// this judge's. Memos of other rules are left alone: a block may be the first of a fork.
    pub fn with_memos(mut self, memos: &'a Memos, at: u64) -> Self {
        self.memos = (memos.rules == self.rules).then_some((memos, at));
        self
    }

    /// Whether anything is asked about transactions at all.
    pub fn asks_about_transactions(&self) -> bool {
        self.permissions.accounts.is_some()
    }

    /// Whether a transaction may be in the block.
    ///
    /// # Errors
    /// Our own state cannot be read: nothing is said about the transaction.
    pub fn transaction(&mut self, question: &TransactionQuestion<'_>) -> Result<Verdict, ExecuteError> {
        let Some(contract) = self.permissions.accounts else { return Ok(Ok(())) };
        let subject = question.subject();
        let memo = self.memos.map(|(memos, at)| (memos.transactions.as_ref(), at));
        let known = memo.and_then(|(memo, _)| memo.find(&subject, &question.head(), false));
        let said = match known {
            Some(said) => said,
            None => self.transaction_said(contract, question)?,
        };
        Ok(is_true(&said, contract).map_err(|reason| Refusal { rule: Rule::Accounts, reason }))
    }

    /// What the contract says of a transaction that no known answer covers by what stands before its payload.
    fn transaction_said(
        &mut self,
        contract: Address,
        question: &TransactionQuestion<'_>,
    ) -> Result<Said, ExecuteError> {
        let (asked, subject) = (question.allowed(), question.subject());
        let memo = self.memos.map(|(memos, at)| (memos.transactions.as_ref(), at));
        let whole = memo.filter(|_| question.is_short());
        if let Some(said) = whole.and_then(|(memo, _)| memo.find(&subject, &asked, true)) {
            return Ok(said);
        }
        let answer = self.ask(contract, asked.clone())?;
        if let Some((memo, at)) = memo {
            memo.keep(at, subject, &asked, true, &answer);
        }
        Ok(answer.said)
    }

    /// A refusal in the contract's own words, where it has some.
    pub fn transaction_in_words(
        &mut self,
        question: &TransactionQuestion<'_>,
        refusal: Refusal,
    ) -> Result<Refusal, ExecuteError> {
        let Some(contract) = self.permissions.accounts else { return Ok(refusal) };
        let answer = self.ask(contract, question.refusal())?;
        let words = words(&answer.said, Transactions::transactionRefusalCall::abi_decode_returns);
        Ok(refusal_in(words, refusal))
    }

    /// Whether a node may connect.
    pub fn connection(
        &mut self,
        question: &ConnectionQuestion<'_>,
        own: &OwnEnd,
    ) -> Result<ConnectionVerdict, ExecuteError> {
        let Some(NodeRule { contract, form }) = self.permissions.nodes else {
            return Ok(ConnectionVerdict::Allowed);
        };
        let (asked, subject) = (question.allowed(form, own), question.subject());
        let memo = self.memos.map(|(memos, at)| (memos.connections.as_ref(), at));
        if let Some(said) = memo.and_then(|(memo, _)| memo.find(&subject, &asked, true))
            && let Ok(()) = is_yes(&said, contract, form)
        {
            return Ok(ConnectionVerdict::Allowed);
        }
        let answer = self.ask(contract, asked.clone())?;
        if let Some((memo, at)) = memo {
            memo.keep(at, subject, &asked, true, &answer);
        }
        let Err(reason) = is_yes(&answer.said, contract, form) else { return Ok(ConnectionVerdict::Allowed) };
        let elsewhere = question.elsewhere().allowed(form, own);
        if question.at.is_none() && !answer.read.covers(&asked, &elsewhere) {
            return Ok(ConnectionVerdict::NeedsAddress);
        }
        let refusal = Refusal { rule: Rule::Nodes, reason };
        let answer = self.ask(contract, question.refusal())?;
        let words = words(&answer.said, Connections::connectionRefusalCall::abi_decode_returns);
        Ok(ConnectionVerdict::Refused(refusal_in(words, refusal)))
    }

    /// The member that an account belongs to; zero for none, and where the contract has no answer.
    pub(crate) fn member_of(&mut self, contract: Address, account: Address) -> Result<B256, ExecuteError> {
        let word = account.into_word();
        Ok(match self.ask_of_members(contract, word, Quotas::memberOfCall::SELECTOR)? {
            Said::Returned(output) => Quotas::memberOfCall::abi_decode_returns(&output).unwrap_or_default(),
            _ => B256::ZERO,
        })
    }

    /// Gas that a member has left, and gas that comes back with every block; or why that is not known.
    pub(crate) fn available(
        &mut self,
        contract: Address,
        member: B256,
    ) -> Result<Result<(U256, U256), String>, ExecuteError> {
        let said = self.ask_of_members(contract, member, Quotas::availableCall::SELECTOR)?;
        Ok(returned(&said, contract).and_then(|output| {
            let answer = Quotas::availableCall::abi_decode_returns(output);
            answer.map(|left| (left.gas, left.gasPerBlock)).map_err(|_| no_answer(contract, output))
        }))
    }

    /// Asks the contract that meters gas about one word, unless the answer is known. A known one costs no memory.
    fn ask_of_members(
        &mut self,
        contract: Address,
        subject: B256,
        selector: [u8; 4],
    ) -> Result<Said, ExecuteError> {
        let mut asked = [0; 36];
        asked[..4].copy_from_slice(&selector);
        asked[4..].copy_from_slice(subject.as_slice());
        let memo = self.memos.map(|(memos, at)| (memos.members.as_ref(), at));
        if let Some(said) = memo.and_then(|(memo, _)| memo.find(&subject, &asked, true)) {
            return Ok(said);
        }
        let answer = self.ask(contract, Bytes::copy_from_slice(&asked))?;
        if let Some((memo, at)) = memo {
            memo.keep(at, subject, &asked, true, &answer);
        }
        Ok(answer.said)
    }

    /// The contract that meters gas, where there is one.
    pub(crate) fn quotas(&self) -> Option<Address> {
        self.permissions.quotas
    }

    fn ask(&mut self, contract: Address, input: Bytes) -> Result<Answer, ExecuteError> {
        metrics::counter!("lonja_permission_questions_total").increment(1);
        let state = self.state;
        let inquiry = self.inquiry.get_or_insert_with(|| Inquiry::new(&self.rules, &self.env, state));
        inquiry.ask(contract, input, QUESTION_GAS)
    }
}

/// What was returned, or why there is no answer.
pub(crate) fn returned(said: &Said, contract: Address) -> Result<&Bytes, String> {
    match said {
        Said::Returned(output) => Ok(output),
        Said::Reverted(output) => {
            let reason = revert_reason(output).map(|reason| format!(": {reason}")).unwrap_or_default();
            Err(format!("the contract {contract} reverted{reason}"))
        }
        Said::Failed(reason) => Err(format!("the contract {contract} failed: {reason}")),
        Said::NoContract => Err(format!("there is no contract at {contract}")),
    }
}

fn no_answer(contract: Address, output: &Bytes) -> String {
    format!("the contract {contract} answered {} bytes that are no answer", output.len())
}

/// A `bool` as the ABI has it, and nothing else.
fn is_true(said: &Said, contract: Address) -> Result<(), String> {
    let output = returned(said, contract)?;
    match output.as_ref() {
        word if word.len() == 32 && word[..31] == [0; 31] && word[31] == 1 => Ok(()),
        word if word == [0; 32] => Err(format!("the contract {contract} does not allow it")),
        _ => Err(no_answer(contract, output)),
    }
}

fn is_yes(said: &Said, contract: Address, form: ConnectionForm) -> Result<(), String> {
    match form {
        ConnectionForm::Strings => is_true(said, contract),
        ConnectionForm::Words => {
            let output = returned(said, contract)?;
            match output.as_ref() {
                word if word == [0xff; 32] => Ok(()),
                word if word.len() == 32 && word[0] == 0x7f && word[1..] == [0xff; 31] => {
                    Err(format!("the contract {contract} does not allow it"))
                }
                _ => Err(no_answer(contract, output)),
            }
        }
    }
}

fn words(said: &Said, decode: impl Fn(&[u8]) -> alloy_sol_types::Result<String>) -> Option<String> {
    let Said::Returned(output) = said else { return None };
    let mut words = decode(output).ok()?;
    // Whatever a contract says goes into logs and answers: one line, not endless.
    words.retain(|letter| !letter.is_control());
    while words.len() > REASON_BYTES_MAX {
        words.pop();
    }
    Some(words).filter(|words| !words.is_empty())
}

fn refusal_in(words: Option<String>, refusal: Refusal) -> Refusal {
    match words {
        Some(reason) => Refusal { reason, ..refusal },
        None => refusal,
    }
}
