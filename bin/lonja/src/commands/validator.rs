//! `lonja validator`: the validators, and votes on them, at a running node.

use super::permission::table::{plain, short, table};
use super::status::Target;
use alloy_primitives::Address;
use clap::{Args, Subcommand};
use eyre::{Result, eyre};
use lonja_permissioning::registry::plan::SelectionPlan;
use serde_json::{Value, json};

/// Options of `lonja validator simulate`: values of the policy's selection, those left out as they are.
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// How many validators
    #[arg(long)]
    n: Option<u16>,
    /// Fewer than this are not seated
    #[arg(long)]
    n_min: Option<u16>,
    /// Blocks before the boundary at which candidates are fixed
    #[arg(long)]
    freeze_length: Option<u32>,
    /// How many incumbents leave at once after their term
    #[arg(long)]
    rotation: Option<u16>,
    /// Blocks after which an incumbent may be rotated out
    #[arg(long)]
    term: Option<u64>,
    /// Most of one control group
    #[arg(long)]
    cap_group: Option<u16>,
    /// Most of one sector
    #[arg(long)]
    cap_sector: Option<u16>,
    /// Most of one region
    #[arg(long)]
    cap_region: Option<u16>,
    /// Most at one hosting provider
    #[arg(long)]
    cap_host: Option<u16>,
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl SimulateArgs {
    async fn run(self) -> Result<()> {
        let overrides = SelectionPlan {
            n: self.n,
            nMin: self.n_min,
            freezeLength: self.freeze_length,
            rotation: self.rotation,
            term: self.term,
            capGroup: self.cap_group,
            capSector: self.cap_sector,
            capRegion: self.cap_region,
            capHost: self.cap_host,
            ..SelectionPlan::default()
        };
        let selection = self.target.endpoint().call("lonja_simulateSelection", json!([overrides])).await?;
        match self.json {
            true => println!("{selection:#}"),
            false => print!("{}", selection_table(&selection)),
        }
        Ok(())
    }
}

/// Who would be chosen first, then the others, each with the reason.
fn selection_table(selection: &Value) -> String {
    let mut candidates: Vec<&Value> = selection["candidates"].as_array().into_iter().flatten().collect();
    candidates.sort_by_key(|candidate| candidate["chosen"] != true);
    let line = |candidate: &&Value| {
        vec![
            plain(&candidate["address"]),
            plain(&candidate["reason"]),
            short(&candidate["member"]),
            short(&candidate["controlGroup"]),
            plain(&candidate["sector"]),
            plain(&candidate["region"]),
            format!("AS{}", candidate["hostProvider"]),
        ]
    };
    let lines: Vec<_> = candidates.iter().map(line).collect();
    let headings = ["VALIDATOR", "WHY", "MEMBER", "GROUP", "SECTOR", "REGION", "PROVIDER"];
    let chosen =
        format!("{} would validate, if block {} ended an epoch\n", selection["chosen"], selection["block"]);
    chosen + &table(&headings, &lines, "there are no candidates")
}

/// Where a contract chooses, the way to change anything is another.
async fn chosen_by(target: &Target) -> Option<String> {
    let status = target.endpoint().call("lonja_status", json!([])).await.ok()?;
    let contract = status["validatorContract"].as_str()?.to_owned();
    Some(format!(
        "the contract {contract} chooses the validators, at the boundaries of epochs: lonja validator simulate; a node becomes a \
         candidate by lonja permission node candidacy"
    ))
}

/// Validators and the votes that add and remove them.
#[derive(Debug, Subcommand)]
pub enum ValidatorCommand {
    /// List the validators of the next block
    List {
        #[command(flatten)]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Vote for adding (or with --remove, for removing) a validator. The vote stands in every block this node
    /// proposes until it came true or is discarded; more than half of the validators must vote alike
    Propose {
        /// Address of the validator
        address: Address,
        /// Vote for removal
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Take this node's vote on a validator back
    Discard {
        /// Address of the validator
        address: Address,
        #[command(flatten)]
        target: Target,
    },
    /// Show whom the contract would choose now, and why not others; with other values of the policy if given
    Simulate(Box<SimulateArgs>),
    /// Show this node's votes, the counted votes, and who has proposed lately
    Status {
        #[command(flatten)]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl ValidatorCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List { target, json } => list(&target, json).await,
            Self::Propose { address, remove, target } => propose(&target, address, remove).await,
            Self::Discard { address, target } => {
                target.endpoint().call("istanbul_discard", json!([address])).await?;
                println!("this node does not vote on {address} any more");
                Ok(())
            }
            Self::Simulate(simulate) => simulate.run().await,
            Self::Status { target, json } => status(&target, json).await,
        }
    }
}

async fn propose(target: &Target, address: Address, remove: bool) -> Result<()> {
    let endpoint = target.endpoint();
    // Asked first: this vote may be the last that was missing.
    let validators: Vec<Address> =
        serde_json::from_value(endpoint.call("istanbul_getValidators", json!([])).await?)?;
    let own: Address = serde_json::from_value(endpoint.call("istanbul_nodeAddress", json!([])).await?)?;
    endpoint.call("istanbul_propose", json!([address, !remove])).await?;
    let reasons = without_effect(&validators, own, address, remove);
    if reasons.is_empty() {
        let what = if remove { "removing" } else { "adding" };
        println!("this node now votes for {what} {address} whenever it proposes a block");
        println!("see how it stands: lonja validator status");
    }
    reasons.iter().for_each(|reason| println!("{reason}"));
    Ok(())
}

/// Why a vote changes nothing as things stand; empty when it counts.
fn without_effect(validators: &[Address], own: Address, candidate: Address, remove: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if !validators.contains(&own) {
        reasons.push(format!(
            "this vote has no effect now: this node ({own}) is no validator and proposes no blocks. Run the command \
             at nodes that are"
        ));
    }
    match (validators.contains(&candidate), remove) {
        (true, false) => {
            reasons.push(format!("this vote has no effect: {candidate} is a validator already"));
        }
        (false, true) => {
            reasons.push(format!(
                "this vote has no effect: {candidate} is no validator, so it cannot be removed"
            ));
        }
        _ => {}
    }
    reasons
}

async fn list(target: &Target, as_json: bool) -> Result<()> {
    let validators = target.endpoint().call("istanbul_getValidators", json!([])).await?;
    if as_json {
        println!("{validators:#}");
        return Ok(());
    }
    let own = target.endpoint().call("istanbul_nodeAddress", json!([])).await.unwrap_or_default();
    for validator in validators.as_array().ok_or_else(|| eyre!("no list of validators came back"))? {
        let mark = if *validator == own { "  (this node)" } else { "" };
        println!("{}{mark}", validator.as_str().unwrap_or_default());
    }
    if let Some(words) = chosen_by(target).await {
        println!("{words}");
    }
    Ok(())
}

async fn status(target: &Target, as_json: bool) -> Result<()> {
    let endpoint = target.endpoint();
    let candidates = endpoint.call("istanbul_candidates", json!([])).await?;
    let snapshot = endpoint.call("istanbul_getSnapshot", json!([])).await?;
    let activity = endpoint.call("istanbul_status", json!([])).await?;
    if as_json {
        let all = json!({ "candidates": candidates, "snapshot": snapshot, "activity": activity });
        println!("{all:#}");
        return Ok(());
    }
    match chosen_by(target).await {
        Some(words) => println!("{words}"),
        None => print_votes(&candidates, &snapshot),
    }
    println!("blocks proposed among the last {}:", activity["numBlocks"]);
    for (address, count) in activity["sealerActivity"].as_object().into_iter().flatten() {
        println!("  {address}  {count}");
    }
    Ok(())
}

fn print_votes(candidates: &Value, snapshot: &Value) {
    let word = |add: &Value| if add.as_bool() == Some(true) { "add" } else { "remove" };
    match candidates.as_object() {
        Some(own) if !own.is_empty() => {
            println!("votes of this node:");
            own.iter().for_each(|(address, add)| println!("  {} {address}", word(add)));
        }
        _ => println!("this node votes on nobody"),
    }
    let needed = snapshot["validators"].as_array().map_or(0, Vec::len) / 2 + 1;
    if let Some(tally) = snapshot["tally"].as_object().filter(|tally| !tally.is_empty()) {
        println!("counted in blocks ({needed} votes needed):");
        for (address, entry) in tally {
            println!("  {} {address}: {} votes", word(&entry["authorize"]), entry["votes"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_told_with_reasons() {
        let one = |address: &str, chosen: bool, reason: &str| json!({ "address": address, "chosen": chosen, "reason": reason, "sector": 64, "hostProvider": 1 });
        let selection = json!({
            "chosen": 1, "block": 7,
            "candidates": [one("0x1", false, "a cap stands against it"), one("0x2", true, "stays")],
        });
        let text = selection_table(&selection);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1 would validate, if block 7 ended an epoch");
        assert!(lines[2].starts_with("0x2") && lines[3].contains("a cap stands against it"), "{text}");
    }

    #[test]
    fn a_vote_without_effect_is_told() {
        let address = Address::repeat_byte;
        let validators = [address(1), address(2)];
        let said = |own, candidate, remove| {
            without_effect(&validators, address(own), address(candidate), remove).join("\n")
        };
        assert_eq!((said(1, 3, false), said(1, 2, true)), (String::new(), String::new()));
        assert!(said(1, 2, false).contains("is a validator already"));
        assert!(said(1, 3, true).contains("cannot be removed"));
        assert!(said(3, 4, false).contains("proposes no blocks"));
        assert_eq!(said(3, 1, false).lines().count(), 2);
    }
}
