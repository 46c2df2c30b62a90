//! `lonja validator`: the validators, and votes on them, at a running node.

use super::status::Target;
use alloy_primitives::Address;
use clap::Subcommand;
use eyre::{Result, eyre};
use serde_json::{Value, json};

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
    print_votes(&candidates, &snapshot);
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
