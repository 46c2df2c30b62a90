//! What members vote on, the policy, and the orders of supervisors.

use super::members::count;
use super::params::{PAGE_MAX, Page, Tail};
use super::views;
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::permissions::{Contracts, Standpoint};
use crate::params::{Args, Count, Quantity};
use crate::register::Table;
use alloy_primitives::U256;
use jsonrpsee::types::Params;
use lonja_permissioning::registry::abi::{
    GOVERNANCE, Governance, POLICY, Policy, REGISTRY, Registry, SUPERVISION, Supervision, proposal_state,
};
use lonja_permissioning::registry::plan::PolicyPlan;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn register(table: &mut Table) {
    table.heavy("lonja_getProposals", proposals);
    table.heavy("lonja_getProposal", proposal);
    table.heavy("lonja_getPolicy", policy);
    table.heavy("lonja_getCouncil", council);
    table.heavy("lonja_getFreezes", freezes);
}

/// Proposals that one request looks at: each is counted anew against its electorate.
const LOOKED_AT_MAX: u64 = 1_000;

/// Which proposals are listed: a state alone, or an object.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a state (open, passed, rejected, expired, executed, cancelled) or a filter object"
)]
enum ProposalFilter {
    State(String),
    Object(ProposalPage),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProposalPage {
    state: Option<String>,
    /// The newest proposal to look at.
    from: Option<Count>,
    limit: Option<Count>,
}

impl ProposalPage {
    fn checked(self) -> Result<(Option<String>, u64, usize), RpcError> {
        if let Some(state) = &self.state
            && !(1..=6).any(|number| proposal_state(number) == state)
        {
            let words = (1..=6).map(proposal_state).collect::<Vec<_>>().join(", ");
            return Err(RpcError::InvalidParams(format!("the state of a proposal is one of {words}")));
        }
        let page = Page::new(None, self.limit)?;
        Ok((self.state, self.from.map_or(u64::MAX, |from| from.0), page.limit))
    }
}

/// The newest first; `next` is where to go on.
fn proposals(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let filter = match args.optional(0, "filter")? {
        None => ProposalPage::default(),
        Some(ProposalFilter::State(state)) => ProposalPage { state: Some(state), ..ProposalPage::default() },
        Some(ProposalFilter::Object(page)) => page,
    };
    let (state, from, limit) = filter.checked()?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 1)?.block)?;
    let mut contracts = standpoint.registry()?;
    let total = count(contracts.read(GOVERNANCE, Governance::proposalCountCall {})?);
    let mut id = from.min(total);
    let (end, stop) = (id.saturating_sub(LOOKED_AT_MAX), context.time_limit());
    let mut proposals = Vec::new();
    while id > end && proposals.len() < limit && !stop() {
        let view = contracts.read(GOVERNANCE, Governance::getProposalCall { id: U256::from(id) })?;
        if state.as_deref().is_none_or(|state| proposal_state(view.status) == state) {
            proposals.push(Value::Object(views::proposal(&view)));
        }
        id = id.saturating_sub(1);
    }
    let next = Some(id).filter(|id| *id > 0);
    Ok(json!({ "block": standpoint.number, "total": total, "proposals": proposals, "next": next }))
}

/// One proposal with its votes; `null` where there is none with this number.
fn proposal(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let id: Quantity<u64> = args.required(0, "id")?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 1)?.block)?;
    let mut contracts = standpoint.registry()?;
    let total = count(contracts.read(GOVERNANCE, Governance::proposalCountCall {})?);
    if id.0 == 0 || id.0 > total {
        return Ok(Value::Null);
    }
    let id = U256::from(id.0);
    let view = contracts.read(GOVERNANCE, Governance::getProposalCall { id })?;
    let votes = contracts.read(GOVERNANCE, Governance::votesOfCall { id })?;
    let mut entry = views::proposal(&view);
    entry.insert("votes".to_owned(), votes.iter().map(views::vote).collect());
    entry.insert("block".to_owned(), json!(standpoint.number));
    Ok(Value::Object(entry))
}

/// The values in force in the next block, and those that come.
fn policy(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 1)?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 0)?.block)?;
    let mut contracts = standpoint.registry()?;
    let values = contracts.read(POLICY, Policy::policyCall {})?;
    let next = contracts.read(POLICY, Policy::nextPolicyCall {})?;
    let coming = next.effective > standpoint.number.saturating_add(1);
    Ok(json!({
        "block": standpoint.number,
        "revision": next.revision,
        "policy": PolicyPlan::of(&values),
        "next": coming.then(|| json!({ "effective": next.effective, "policy": PolicyPlan::of(&next._2) })),
    }))
}

fn council(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 1)?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 0)?.block)?;
    let mut contracts = standpoint.registry()?;
    Ok(json!({
        "block": standpoint.number,
        "keys": contracts.read(REGISTRY, Registry::councilCall {})?,
        "electorate": views::number(contracts.read(REGISTRY, Registry::electorateCall {})?),
    }))
}

/// Frozen addresses, and members and nodes under an emergency suspension.
fn freezes(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 3)?;
    let page = Page::of(&args, 0)?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 2)?.block)?;
    let mut contracts = standpoint.registry()?;
    let total = count(contracts.read(REGISTRY, Registry::frozenCountCall {})?);
    let (places, next) = page.places(total);
    let mut freezes = Vec::new();
    for place in places {
        let subject = contracts.read(REGISTRY, Registry::frozenAtCall { index: U256::from(place) })?;
        let freeze = contracts.read(REGISTRY, Registry::getFreezeCall { subject })?;
        let in_force = contracts.read(REGISTRY, Registry::isFrozenCall { subject })?;
        freezes.push(views::freeze(subject, &freeze, in_force));
    }
    Ok(json!({
        "block": standpoint.number,
        "total": total,
        "freezes": freezes,
        "next": next,
        "emergencies": emergencies(&mut contracts)?,
    }))
}

fn emergencies(contracts: &mut Contracts<'_>) -> Result<Vec<Value>, RpcError> {
    let subjects = contracts.read(SUPERVISION, Supervision::standingEmergenciesCall {})?;
    let one = |subject: &alloy_primitives::B256| {
        let member = contracts.read(REGISTRY, Registry::getMemberCall { memberId: *subject })?;
        let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: *subject })?;
        let (what, until) = match member.status {
            0 => ("node", node.suspendedUntil),
            _ => ("member", member.suspendedUntil),
        };
        Ok(json!({ "subject": subject, "what": what, "until": until }))
    };
    subjects.iter().take(PAGE_MAX).map(one).collect()
}
