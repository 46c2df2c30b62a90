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
            Self::Propose { address, remove, target } => {
                target.endpoint().call("istanbul_propose", json!([address, !remove])).await?;
                let what = if remove { "removing" } else { "adding" };
                println!("this node now votes for {what} {address} whenever it proposes a block");
                println!("see how it stands: lonja validator status");
                Ok(())
            }
            Self::Discard { address, target } => {
                target.endpoint().call("istanbul_discard", json!([address])).await?;
                println!("this node does not vote on {address} any more");
                Ok(())
            }
            Self::Status { target, json } => status(&target, json).await,
        }
    }
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
