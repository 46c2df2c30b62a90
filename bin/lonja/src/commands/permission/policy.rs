//! `lonja permission policy`.

use super::act::{Act, refusal};
use super::describe;
use super::look::Look;
use super::proposal::{newest_policy, propose};
use super::table::{plain, table};
use crate::client::Endpoint;
use alloy_primitives::{Bytes, keccak256};
use clap::Subcommand;
use eyre::{Context, Result, bail, eyre};
use lonja_permissioning::registry::abi::{GOVERNANCE, POLICY, PolicyValues, Proposal};
use lonja_permissioning::registry::plan::PolicyPlan;
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// The policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show the values in force, and those that come
    Show {
        #[command(flatten)]
        look: Look,
    },
    /// Propose new values
    #[command(after_help = "\
FILE has what is to change, in the form of policy show --json, for example:
  { \"selection\": { \"n\": 7, \"capSector\": 2 }, \"sla\": { \"consecutiveMisses\": 30 } }")]
    Propose {
        /// JSON of the values that change; what it leaves out stays
        file: PathBuf,
        #[command(flatten)]
        act: Act,
    },
}

impl PolicyCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Show { look } => show(&look).await,
            Self::Propose { file, act } => {
                let text =
                    fs::read_to_string(&file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
                let plan: PolicyPlan =
                    serde_json::from_str(&text).map_err(|error| eyre!("{}: {error}", file.display()))?;
                let endpoint =
                    act.need_endpoint("what is left out stays as it is, and only a node knows that")?;
                let (revision, before) = newest_policy(&endpoint).await?;
                let values = change(&plan, &before)?;
                let proposal = Proposal::Policy { revision, values: Box::new(values) };
                would_hold(&endpoint, &proposal).await?;
                if !act.is_json() && !act.only_prints() {
                    let lines = describe::lines(&proposal, Some(&before));
                    lines
                        .iter()
                        .filter(|(name, _)| *name == "changes")
                        .for_each(|(_, text)| println!("{text}"));
                }
                propose(&act, proposal, "propose new values of the policy").await
            }
        }
    }
}

/// The function by which a vote is carried out; only the contract of the votes may call it. It takes what the proposal says.
const REPLACE: &str = "replace(uint64,((uint16,uint16,uint32,uint32,uint16,uint64,uint16,uint16,uint16,uint16),(uint32,uint16,\
                       uint16,uint16,uint16,uint32,uint32,uint16,uint32),(uint32,uint32,uint32,uint16,uint16,uint16,uint32,\
                       uint16[24]),(uint32,uint32,uint16,uint32),(bool,uint32,uint64[8])))";

/// Asks what the carrying out would ask: some bounds depend on the values of before, and a vote of months would be in vain.
async fn would_hold(endpoint: &Endpoint, proposal: &Proposal) -> Result<()> {
    let data = [&keccak256(REPLACE)[..4], &proposal.payload()].concat();
    let request = json!({ "from": GOVERNANCE, "to": POLICY, "data": Bytes::from(data) });
    match endpoint.ask("eth_call", json!([request, "latest"])).await? {
        Ok(_) => Ok(()),
        Err(refused) => bail!("these values could not come into force: {}", refusal(&refused)),
    }
}

/// The whole new policy.
fn change(plan: &PolicyPlan, before: &PolicyValues) -> Result<PolicyValues> {
    let values = plan.over(before.clone());
    match values == *before {
        true => bail!("the policy says all of this already"),
        false => Ok(values),
    }
}

async fn show(look: &Look) -> Result<()> {
    let answer = look.ask("lonja_getPolicy", Vec::new()).await?;
    if look.json {
        println!("{answer:#}");
        return Ok(());
    }
    let plan: PolicyPlan = serde_json::from_value(answer["policy"].clone())?;
    let values = plan.over(PolicyValues::default());
    println!("revision {}", answer["revision"]);
    print!("{}", values_table(&values));
    if !answer["next"].is_null() {
        println!("\nfrom block {} on:", answer["next"]["effective"]);
        let next: PolicyPlan = serde_json::from_value(answer["next"]["policy"].clone())?;
        let next = next.over(PolicyValues::default());
        let lines = describe::lines(&Proposal::Policy { revision: 0, values: Box::new(next) }, Some(&values));
        lines.iter().filter(|(name, _)| *name == "changes").for_each(|(_, text)| println!("  {text}"));
    }
    Ok(())
}

fn values_table(values: &PolicyValues) -> String {
    let lines: Vec<_> =
        describe::flat(values).into_iter().map(|(name, value)| vec![name, plain(&value)]).collect();
    table(&["VALUE", ""], &lines, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_permissioning::registry::plan::default_policy;
    use serde_json::Value;

    /// As the compiler wrote it down.
    #[test]
    fn the_function_is_the_contracts() {
        let artifact: Value = serde_json::from_str(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../genesis/contracts/artifacts/Policy.json"
        )))
        .unwrap();
        let functions = artifact["abi"].as_array().unwrap();
        let replace = functions.iter().find(|function| function["name"] == "replace").unwrap();
        assert_eq!(REPLACE, format!("replace{}", tuple(&replace["inputs"])));
    }

    fn tuple(fields: &Value) -> String {
        let one = |field: &Value| match field["type"].as_str().unwrap() {
            "tuple" => tuple(&field["components"]),
            other => other.to_owned(),
        };
        format!("({})", fields.as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn a_change_keeps_the_rest() {
        let now = default_policy(4, 1_000);
        let plan: PolicyPlan = serde_json::from_value(json!({ "selection": { "capSector": 3 } })).unwrap();
        let values = change(&plan, &now).unwrap();
        assert_eq!(values.selection.capSector, 3);
        assert_eq!((&values.sla, &values.votes), (&now.sla, &now.votes));
        assert!(change(&PolicyPlan::default(), &now).unwrap_err().to_string().contains("already"));
    }

    #[test]
    fn all_values_are_shown() {
        let text = values_table(&default_policy(4, 1_000));
        for name in [
            "selection.epochLength",
            "sla.window",
            "votes.thresholds.policy",
            "limits.nodesPerMember",
            "quota.rates",
        ] {
            assert!(text.contains(name), "{name} is not in\n{text}");
        }
    }
}
