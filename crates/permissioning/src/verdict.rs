//! What comes of a question.

use std::fmt;

/// A rule that can refuse something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Who may connect (`connectionAllowed`).
    Nodes,
    /// Who may transact (`transactionAllowed`).
    Accounts,
    /// How much gas a member may use (`available`).
    Quotas,
}

impl Rule {
    /// The field of the genesis file's `permissions` that names the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Accounts => "accounts",
            Self::Quotas => "quotas",
        }
    }
}

/// A closed door: the rule, and why, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which rule.
    pub rule: Rule,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rule {})", self.reason, self.rule.name())
    }
}

/// Whether something may be.
pub type Verdict = Result<(), Refusal>;

/// Whether a node may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionVerdict {
    /// It may.
    Allowed,
    /// It may not.
    Refused(Refusal),
    /// The contract looks at its address, which was not given.
    NeedsAddress,
}
