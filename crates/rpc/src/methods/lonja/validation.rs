//! Who validates, how that is chosen, how well validators serve; and the gas that members have.

use super::members::count;
use super::params::{NodeName, PAGE_MAX, Page, Tail, member_id};
use super::views;
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::permissions::{Contracts, Standpoint};
use crate::params::{Args, Count};
use crate::register::Table;
use alloy_primitives::{B256, U256};
use jsonrpsee::types::Params;
use lonja_permissioning::registry::abi::{
    POLICY, Policy, PolicyValues, QUOTAS, Quotas, REGISTRY, Registry, VALIDATORS, Validators, node_status,
};
use lonja_permissioning::registry::plan::{PolicyPlan, SelectionPlan};
use serde_json::{Value, json};

pub(super) fn register(table: &mut Table) {
    table.heavy("lonja_getValidatorSet", validator_set);
    table.heavy("lonja_simulateSelection", simulate_selection);
    table.heavy("lonja_getSla", sla);
    table.heavy("lonja_getActs", acts);
    table.heavy("lonja_getQuota", quota);
}

/// Acts that can be read; older ones are overwritten (a bound of the contract).
const ACTS_KEPT: u64 = 4_096;

fn standpoint(context: &Context, args: &Args<'_>, index: usize) -> Result<Standpoint, RpcError> {
    Standpoint::at(context, Tail::of(args, index)?.block)
}

/// The set of the next block, with what is known of each, and who else may be chosen.
fn validator_set(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 1)?;
    let standpoint = standpoint(context, &args, 0)?;
    let mut contracts = standpoint.registry()?;
    let addresses = contracts.read(VALIDATORS, Validators::getValidatorsCall {})?;
    let epoch = contracts.read(VALIDATORS, Validators::epochCall {})?;
    let mut validators = Vec::new();
    for address in addresses.iter().take(PAGE_MAX) {
        let key = contracts.read(REGISTRY, Registry::nodeOfValidatorCall { validator: *address })?;
        let mut entry = seat(&mut contracts, key)?;
        entry["address"] = json!(address);
        validators.push(entry);
    }
    Ok(json!({
        "block": standpoint.number,
        "validators": validators,
        "epoch": { "nextBoundary": epoch.boundary, "beganWith": epoch.size, "spared": epoch.held },
        "candidates": contracts.read(REGISTRY, Registry::candidatesCall {})?,
    }))
}

fn seat(contracts: &mut Contracts<'_>, key: B256) -> Result<Value, RpcError> {
    let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: key })?;
    let state = contracts.read(VALIDATORS, Validators::getValidatorCall { nodeKey: key })?;
    let permitted = contracts.read(REGISTRY, Registry::nodePermittedCall { nodeKey: key })?;
    let mut entry = views::validator(&state);
    entry["node"] = json!(key);
    entry["member"] = json!(node.memberId);
    entry["permitted"] = json!(permitted);
    Ok(entry)
}

/// The validators that would be chosen if the next block ended an epoch, with the policy in force or one that differs in
/// the fields given.
fn simulate_selection(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let overrides: SelectionPlan = args.optional(0, "overrides")?.unwrap_or_default();
    let standpoint = standpoint(context, &args, 1)?;
    let mut contracts = standpoint.registry()?;
    // In the contract's question 0 stands for the policy's own value.
    let plan = PolicyPlan { selection: overrides, ..PolicyPlan::default() };
    let overrides = plan.over(PolicyValues::default()).selection;
    let answer = contracts.read(VALIDATORS, Validators::simulateSelectionCall { overrides })?;
    let mut candidates = Vec::new();
    for (key, reason) in answer.nodeKeys.iter().zip(&answer.reasons).take(PAGE_MAX) {
        let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: *key })?;
        let member = contracts.read(REGISTRY, Registry::getMemberCall { memberId: node.memberId })?;
        candidates.push(json!({
            "node": key,
            "address": node.validatorAddress,
            "member": node.memberId,
            "sector": member.sector,
            "region": member.region,
            "controlGroup": member.controlGroup,
            "hostProvider": node.hostProvider,
            "chosen": matches!(reason, 1 | 2),
            "reason": views::selection_reason(*reason),
            "reasonNumber": reason,
        }));
    }
    let chosen = answer.reasons.iter().filter(|reason| matches!(reason, 1 | 2)).count();
    Ok(json!({ "block": standpoint.number, "chosen": chosen, "candidates": candidates }))
}

/// The service of a validator or candidate, and what the policy expects of it.
fn sla(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let name = NodeName::parse(&args.required::<String>(0, "node")?)?;
    let standpoint = standpoint(context, &args, 1)?;
    let mut contracts = standpoint.registry()?;
    let key = name.key(&mut contracts)?;
    let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: key })?;
    if node.status == 0 {
        return Ok(Value::Null);
    }
    let policy = contracts.read(POLICY, Policy::slaPolicyCall {})?;
    let mut entry = seat(&mut contracts, key)?;
    entry["block"] = json!(standpoint.number);
    entry["address"] = json!(node.validatorAddress);
    entry["candidate"] = json!(node.roles & 2 != 0);
    entry["status"] = json!(node_status(node.status));
    entry["statusNumber"] = json!(node.status);
    entry["policy"] = json!(PolicyPlan::of(&PolicyValues { sla: policy, ..PolicyValues::default() }).sla);
    Ok(entry)
}

/// What the ends of blocks did, the oldest first. Without a place: the newest page.
fn acts(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 3)?;
    let from: Option<Count> = args.optional(0, "from")?;
    let page = Page::new(from, args.optional(1, "count")?)?;
    let standpoint = standpoint(context, &args, 2)?;
    let mut contracts = standpoint.registry()?;
    let total = count(contracts.read(VALIDATORS, Validators::actCountCall {})?);
    let oldest = total.saturating_sub(ACTS_KEPT);
    let newest_page = total.saturating_sub(page.limit as u64);
    let offset = if from.is_some() { page.offset } else { newest_page };
    let (places, next) = Page { offset: offset.max(oldest), ..page }.places(total);
    let mut acts = Vec::new();
    for place in places {
        let act = contracts.read(VALIDATORS, Validators::actAtCall { index: U256::from(place) })?;
        acts.push(views::act(place, &act));
    }
    Ok(json!({ "block": standpoint.number, "total": total, "oldest": oldest, "acts": acts, "next": next }))
}

/// The gas that a member has left in the next block, by its id or by one of its accounts.
fn quota(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let name: String = args.required(0, "member")?;
    let standpoint = standpoint(context, &args, 1)?;
    let mut contracts = standpoint.registry()?;
    let member = member_id(&name, &mut contracts)?;
    let left = contracts.read(QUOTAS, Quotas::availableCall { member })?;
    let limited = left.gas != U256::MAX;
    Ok(json!({
        "block": standpoint.number,
        "member": Some(member).filter(|member| !member.is_zero()),
        "limited": limited,
        "gasAvailable": limited.then(|| views::number(left.gas)),
        "gasPerBlock": limited.then(|| views::number(left.gasPerBlock)),
    }))
}
