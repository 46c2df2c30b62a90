//! What an operator writes about the members of a new network.
//!
//! A plan is JSON; lines may end with comments after `//`. [`EXAMPLE`] has every field with its meaning. Names, groups and
//! documents go on chain as hashes only, ids of legal persons as they are. **Nothing about natural persons belongs into a
//! plan**: what is in the registry stays in every copy of the chain.

mod identity;
mod member;
mod policy;

#[cfg(test)]
mod tests;

pub use identity::{hash_of, id_value, member_id};
pub use member::{AccountPlan, MemberPlan, NodePlan};
pub use policy::{
    LimitPlan, PolicyPlan, QuotaPlan, SelectionPlan, SlaPlan, Threshold, VotePlan, default_policy,
};

use crate::registry::abi::{COUNCIL_MAX, PolicyValues, VALIDATORS_MAX};
use alloy_primitives::{Address, B256};
use member::MemberFile;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// A complete plan of four members, with comments. Its node keys and accounts are public ones.
pub const EXAMPLE: &str = include_str!("plan/example.jsonc");

/// Why a plan is refused; names the place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {reason}")]
pub struct PlanError {
    /// Path of the field, for example `members[0].nodes[1].roles`.
    pub place: String,
    /// What is wrong and what is expected.
    pub reason: String,
}

impl PlanError {
    fn at(path: &str, field: &str, reason: impl Into<String>) -> Self {
        Self { place: format!("{path}{field}"), reason: reason.into() }
    }
}

/// The members, council and policy of a new network, checked as far as that goes without the contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the file.
    pub members: Vec<MemberPlan>,
    /// Keys that confirm what supervisors do.
    pub council: Vec<Address>,
    /// What the plan says beside the defaults.
    pub policy: PolicyPlan,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    members: Vec<MemberFile>,
    #[serde(default)]
    council: Vec<Address>,
    #[serde(default)]
    policy: PolicyPlan,
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// Names the field that is wrong or unknown.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        let file: PlanFile = parse(text)?;
        let members = file.members.into_iter().enumerate();
        let members = members.map(|(n, member)| member.check(&format!("members[{n}].")));
        let members = members.collect::<Result<Vec<_>, _>>()?;
        let plan = Self { members, council: file.council, policy: file.policy };
        plan.check_council()?;
        plan.check_validators()?;
        plan.check_electorate()?;
        Ok(plan)
    }

    /// The nodes that make block 1, with their members.
    pub fn first_validators(&self) -> impl Iterator<Item = (&MemberPlan, &NodePlan)> {
        let nodes =
            self.members.iter().flat_map(|member| member.nodes.iter().map(move |node| (member, node)));
        nodes.filter(|(_, node)| node.validates)
    }

    /// The policy of block 1, for a network with this many milliseconds between its blocks.
    pub fn policy_values(&self, block_period_ms: u64) -> PolicyValues {
        self.policy.over(default_policy(self.first_validators().count(), block_period_ms))
    }

    /// What is allowed and hardly meant.
    pub fn warnings(&self, block_period_ms: u64) -> Vec<String> {
        let policy = self.policy_values(block_period_ms).selection;
        let first: Vec<_> = self.first_validators().collect();
        let mut warnings = Vec::new();
        if first.len() < 4 {
            warnings.push(format!("{} validators bear no faulty one among them; four do", first.len()));
        }
        let mut crowded = |what: &str, cap: u16, class: &dyn Fn(&MemberPlan, &NodePlan) -> B256| {
            let mut sizes = BTreeMap::<B256, usize>::new();
            first.iter().for_each(|(member, node)| *sizes.entry(class(member, node)).or_default() += 1);
            let most = sizes.values().copied().max().unwrap_or(0);
            if most > usize::from(cap) {
                warnings.push(format!(
                    "{most} of the first validators are of one {what} (unknown counts as one), and the policy wants at \
                     most {cap}: the first selection may replace some"
                ));
            }
        };
        let word = |number: u32| B256::left_padding_from(&number.to_be_bytes());
        crowded("group", policy.capGroup, &|member, _| member.input.record.controlGroup);
        crowded("sector", policy.capSector, &|member, _| word(member.input.record.sector.into()));
        crowded("region", policy.capRegion, &|_, node| word(node.input.hostRegion.into()));
        crowded("hosting provider", policy.capHost, &|_, node| word(node.input.hostProvider));
        warnings
    }

    fn check_council(&self) -> Result<(), PlanError> {
        let keys: BTreeSet<_> = self.council.iter().collect();
        if keys.len() == self.council.len() && keys.len() <= COUNCIL_MAX && !keys.contains(&Address::ZERO) {
            return Ok(());
        }
        Err(PlanError::at("", "council", format!("at most {COUNCIL_MAX} different addresses are expected")))
    }

    fn check_validators(&self) -> Result<(), PlanError> {
        match self.first_validators().count() {
            0 => {
                let reason = "no node validates: give at least one the role validator";
                Err(PlanError::at("", "members", reason))
            }
            count if count > VALIDATORS_MAX => {
                let reason =
                    format!("{count} nodes validate, at most {VALIDATORS_MAX} can; say validates: false");
                Err(PlanError::at("", "members", reason))
            }
            _ => Ok(()),
        }
    }

    fn check_electorate(&self) -> Result<(), PlanError> {
        let voters = self.members.iter().map(|member| &member.input.record).filter(|record| record.voting);
        let groups: BTreeSet<B256> = voters.map(|record| record.controlGroup).collect();
        let least = usize::from(self.policy.votes.min_electorate.unwrap_or(1));
        if groups.len() >= least {
            return Ok(());
        }
        let reason =
            format!("{} groups of members have a vote, the policy wants at least {least}", groups.len());
        Err(PlanError::at("", "members", reason))
    }
}

/// Reads JSON with comments; errors name the path of the field, or the line.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, PlanError> {
    let text = without_comments(text);
    let mut reader = serde_json::Deserializer::from_str(&text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { "the file".into() } else { path };
        PlanError { place, reason: error.into_inner().to_string() }
    })?;
    reader.end().map_err(|error| PlanError { place: "the file".into(), reason: error.to_string() })?;
    Ok(value)
}

/// The text with spaces in the place of comments, so that lines and columns stay what they are.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped, mut in_comment) = (false, false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        in_comment = match letter {
            '\n' => false,
            '/' if !in_string && letters.peek() == Some(&'/') => true,
            _ => in_comment,
        };
        if !in_comment {
            in_string ^= letter == '"' && !escaped;
            escaped = in_string && letter == '\\' && !escaped;
        }
        out.push(if in_comment { ' ' } else { letter });
    }
    out
}
