//! The policy in a plan: what it says lies over values that fit most networks.
//!
//! Lengths are in blocks. Their defaults are times (a day, two weeks) divided by the block period.

use crate::registry::abi::{
    LimitPolicy, PolicyValues, ProposalKind, QUOTA_CLASSES, QuotaPolicy, SUPERVISION_THRESHOLD,
    SelectionPolicy, SlaPolicy, VALIDATORS_MAX, VotePolicy,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A boundary's candidates are fixed this many blocks before it, in short epochs fewer.
const FREEZE_BLOCKS: u32 = 256;
/// The longest that the contract takes for most lengths.
const BLOCKS_MAX: u64 = 31_536_000;

/// Gas per block, for every class until a network tells them apart.
const RATE: u64 = 1_000_000;

/// The name of place 0 in the list of thresholds.
const SUPERVISION: &str = "supervision";

/// A part of the policy with everything optional; the names are the contract's.
macro_rules! part {
    ($(#[$doc:meta])* $part:ident of $values:ident: $($field:ident $type:ty),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(non_snake_case, missing_docs)]
        pub struct $part {
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>),+
        }

        impl $part {
            fn of(values: &$values) -> Self {
                Self { $($field: Some(values.$field)),+ }
            }

            fn lay_over(&self, values: &mut $values) {
                $(if let Some(value) = self.$field { values.$field = value; })+
            }
        }
    };
}

part! {
    /// Selection of validators.
    SelectionPlan of SelectionPolicy:
    n u16, nMin u16, epochLength u32, freezeLength u32, rotation u16, term u64, capGroup u16, capSector u16,
    capRegion u16, capHost u16,
}

part! {
    /// Service level of validators.
    SlaPlan of SlaPolicy:
    window u32, warnBps u16, suspendBps u16, minOwnSlots u16, consecutiveMisses u16, jailLength u32, strikeDecay u32,
    heartbeats u16, heartbeatInterval u32,
}

part! {
    /// Limits of members' own acts and of supervision.
    LimitPlan of LimitPolicy:
    emergencyLength u32, freezeLength u32, nodesPerMember u16, accountsPerMember u32,
}

part! {
    /// Gas per member.
    QuotaPlan of QuotaPolicy:
    enabled bool, capBlocks u32, rates [u64; QUOTA_CLASSES],
}

/// Votes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct VotePlan {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voting_length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmation_length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participation_bps: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_electorate: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_proposals: Option<u16>,
    /// Kinds by name: more than the threshold is needed, not just as much. Replaces the whole list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict_kinds: Option<Vec<Threshold>>,
    /// Basis points of the electorate by the name of the kind, or `supervision`; kinds not named keep theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<BTreeMap<Threshold, u16>>,
}

/// What a threshold is for: a kind of proposal, or acts against supervisors and auditors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Threshold {
    /// Acts against supervisors and auditors.
    Supervision,
    /// A kind of proposal.
    Kind(ProposalKind),
}

impl Threshold {
    /// All of them, by their place in the list.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Supervision).chain(ProposalKind::ALL.into_iter().map(Self::Kind))
    }

    /// The place in the contract's list.
    pub fn place(self) -> usize {
        match self {
            Self::Supervision => SUPERVISION_THRESHOLD,
            Self::Kind(kind) => usize::from(kind.number()),
        }
    }
}

impl From<Threshold> for String {
    fn from(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Supervision => SUPERVISION.into(),
            Threshold::Kind(kind) => kind.name().into(),
        }
    }
}

impl TryFrom<String> for Threshold {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == SUPERVISION {
            return Ok(Self::Supervision);
        }
        text.parse().map(Self::Kind).map_err(|unknown| format!("{unknown}, or {SUPERVISION}"))
    }
}

impl VotePlan {
    fn of(values: &VotePolicy) -> Self {
        let strict = |threshold: &Threshold| values.strictKinds & (1 << threshold.place()) != 0;
        let share = |threshold: Threshold| (threshold, values.thresholds[threshold.place()]);
        Self {
            voting_length: Some(values.votingLength),
            execution_length: Some(values.executionLength),
            confirmation_length: Some(values.confirmationLength),
            participation_bps: Some(values.participationBps),
            min_electorate: Some(values.minElectorate),
            open_proposals: Some(values.openProposals),
            strict_kinds: Some(Threshold::all().filter(strict).collect()),
            thresholds: Some(Threshold::all().map(share).collect()),
        }
    }

    fn lay_over(&self, values: &mut VotePolicy) {
        let Self { voting_length, execution_length, confirmation_length, .. } = *self;
        let Self { participation_bps, min_electorate, open_proposals, .. } = *self;
        values.votingLength = voting_length.unwrap_or(values.votingLength);
        values.executionLength = execution_length.unwrap_or(values.executionLength);
        values.confirmationLength = confirmation_length.unwrap_or(values.confirmationLength);
        values.participationBps = participation_bps.unwrap_or(values.participationBps);
        values.minElectorate = min_electorate.unwrap_or(values.minElectorate);
        values.openProposals = open_proposals.unwrap_or(values.openProposals);
        if let Some(strict) = &self.strict_kinds {
            values.strictKinds = strict.iter().fold(0, |bits, threshold| bits | 1 << threshold.place());
        }
        for (threshold, share) in self.thresholds.iter().flatten() {
            values.thresholds[threshold.place()] = *share;
        }
    }
}

/// The policy in a plan: every field may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct PolicyPlan {
    pub selection: SelectionPlan,
    pub sla: SlaPlan,
    pub votes: VotePlan,
    pub limits: LimitPlan,
    pub quota: QuotaPlan,
}

impl PolicyPlan {
    /// A plan that says all of these values.
    pub fn of(values: &PolicyValues) -> Self {
        Self {
            selection: SelectionPlan::of(&values.selection),
            sla: SlaPlan::of(&values.sla),
            votes: VotePlan::of(&values.votes),
            limits: LimitPlan::of(&values.limits),
            quota: QuotaPlan::of(&values.quota),
        }
    }

    /// These values with what the plan says in their place.
    pub fn over(&self, mut values: PolicyValues) -> PolicyValues {
        self.selection.lay_over(&mut values.selection);
        self.sla.lay_over(&mut values.sla);
        self.votes.lay_over(&mut values.votes);
        self.limits.lay_over(&mut values.limits);
        self.quota.lay_over(&mut values.quota);
        values
    }
}

/// The policy of a new network with so many validators and milliseconds between its blocks.
pub fn default_policy(validators: usize, block_period_ms: u64) -> PolicyValues {
    let blocks = |seconds: u64| {
        let blocks = seconds.saturating_mul(1000) / block_period_ms.max(1);
        // Bounded by the contract's own bound, which fits.
        blocks.clamp(2, BLOCKS_MAX) as u32
    };
    PolicyValues {
        selection: selection(validators, blocks(DAY), u64::from(blocks(90 * DAY))),
        sla: SlaPolicy {
            window: blocks(8 * HOUR),
            warnBps: 1_000,
            suspendBps: 3_000,
            minOwnSlots: 20,
            consecutiveMisses: 20,
            jailLength: blocks(DAY),
            strikeDecay: blocks(90 * DAY),
            heartbeats: 20,
            heartbeatInterval: blocks(5 * MINUTE),
        },
        votes: votes(blocks(14 * DAY), blocks(7 * DAY)),
        limits: LimitPolicy {
            emergencyLength: blocks(3 * DAY),
            freezeLength: blocks(30 * DAY),
            nodesPerMember: 32,
            accountsPerMember: 10_000,
        },
        quota: QuotaPolicy { enabled: false, capBlocks: 30, rates: [RATE; QUOTA_CLASSES] },
    }
}

/// The largest number 3f+1 that the validators fill: more would need more signatures and bear no more faults. No class of
/// validators may be so many that it could stop the network.
fn selection(validators: usize, epoch: u32, term: u64) -> SelectionPolicy {
    let faulty = validators.clamp(1, VALIDATORS_MAX).saturating_sub(1) / 3;
    let n = (3 * faulty + 1) as u16;
    let cap = (faulty as u16).max(1);
    SelectionPolicy {
        n,
        // So many that the rule can act on one of four: who fails is missed whether suspended or not.
        nMin: n.saturating_sub(faulty as u16).min(4),
        epochLength: epoch,
        freezeLength: (epoch / 2).clamp(1, FREEZE_BLOCKS),
        rotation: (faulty as u16).min(1),
        term,
        capGroup: 1,
        capSector: cap,
        capRegion: cap,
        capHost: cap,
    }
}

/// More than half for what members do all the time, two thirds for what is hard to undo, three quarters for what touches
/// those who supervise.
fn votes(voting: u32, execution: u32) -> VotePolicy {
    // Two thirds of every electorate below 5,000, as a share that whole numbers of votes reach.
    const TWO_THIRDS: u16 = 6_666;
    const HALF: u16 = 5_000;
    let mut thresholds = [0; 24];
    let mut strict_kinds = 0;
    for threshold in Threshold::all() {
        let share = match threshold {
            Threshold::Supervision => 7_500,
            Threshold::Kind(
                ProposalKind::ExpelMember
                | ProposalKind::RevokeNode
                | ProposalKind::Policy
                | ProposalKind::ReplaceAdmins
                | ProposalKind::Council
                | ProposalKind::ReleaseAccount
                | ProposalKind::AddSupervisor
                | ProposalKind::RemoveSupervisor
                | ProposalKind::ReleaseParty,
            ) => TWO_THIRDS,
            Threshold::Kind(_) => HALF,
        };
        thresholds[threshold.place()] = share;
        strict_kinds |= u32::from(share == HALF) << threshold.place();
    }
    VotePolicy {
        votingLength: voting,
        executionLength: execution,
        confirmationLength: execution,
        participationBps: 3_333,
        minElectorate: 1,
        openProposals: 20,
        strictKinds: strict_kinds,
        thresholds,
    }
}
