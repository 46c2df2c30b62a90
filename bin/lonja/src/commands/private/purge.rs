//! `lonja private purge`: erases a payload for good.

use super::waiting::{has_followed, second_pass, until};
use crate::commands::permission::table::{plain, sheet};
use crate::commands::status::Target;
use alloy_primitives::B256;
use clap::Args;
use eyre::{Result, bail};
use serde_json::{Value, json};

/// Options of `lonja private purge`.
#[derive(Args, Debug)]
pub struct PurgeArgs {
    /// Hash of the transaction, or name of the payload: 64 bytes in base64 or hex
    hash: String,
    /// Hash of the document that orders it (32 bytes, hex). It stands in the signed records of all who erase the payload
    #[arg(long, value_name = "HASH")]
    order: B256,
    /// Erase it here only, and ask nobody else
    #[arg(long)]
    here_only: bool,
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl PurgeArgs {
    pub(super) async fn run(self) -> Result<()> {
        let endpoint = self.target.endpoint();
        let params = json!([self.hash, self.order, !self.here_only]);
        let purged = endpoint.call_patiently("private_purge", params).await?;
        let is_done = |status: &Value| status["scrubbed"] == true && has_followed(status);
        let line = |status: &Value| match status["scrubbed"] == true {
            true => format!("executing again without it: {}", second_pass(status)),
            false => "writing the files anew without it".to_owned(),
        };
        let names: Vec<&Value> =
            purged.as_array().into_iter().flatten().map(|one| &one["tombstone"]["payload"]).collect();
        let status = until(&endpoint, "private_purged", json!([names]), is_done, line).await?;
        match self.json {
            true => println!("{:#}", json!({ "purged": purged, "status": status })),
            false => print!("{}", report(&purged, &status)),
        }
        outcome(&purged, self.order)
    }
}

/// What was done, for people.
fn report(purged: &Value, status: &Value) -> String {
    let mut lines = Vec::new();
    for one in purged.as_array().into_iter().flatten() {
        lines.push(("erased", plain(&one["tombstone"]["payload"])));
        lines.push(("by order", plain(&one["tombstone"]["order"])));
        if one["stateStays"] == true {
            lines.push((
                "private state",
                "what it did to the state stays: the states before its block are not kept here (--history archive)"
                    .to_owned(),
            ));
        }
        for party in one["parties"].as_array().into_iter().flatten() {
            let text = match party["refused"].as_str() {
                Some(reason) => format!("{} did not erase it: {reason}", plain(&party["party"])),
                None => format!("{} erased it and signed for it", plain(&party["party"])),
            };
            lines.push(("party", text));
        }
    }
    lines.push(("second pass", second_pass(status)));
    sheet(&lines)
}

/// The command succeeds when everybody who was asked has erased the payload.
fn outcome(purged: &Value, order: B256) -> Result<()> {
    let keeps = |one: &&Value| {
        let parties = one["parties"].as_array();
        parties.is_some_and(|parties| parties.iter().any(|party| !party["refused"].is_null()))
    };
    let again =
        |one: &Value| format!("lonja private purge {} --order {order}", plain(&one["tombstone"]["payload"]));
    let again: Vec<String> = purged.as_array().into_iter().flatten().filter(keeps).map(again).collect();
    match again.is_empty() {
        true => Ok(()),
        false => bail!(
            "it is erased here, and not at all other parties. To ask those again that have not done it:\n  {}",
            again.join("\n  ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_that_keep_it_are_named() {
        let purged = json!([{
            "tombstone": { "payload": "H", "order": "0x9" }, "stateStays": true,
            "parties": [{ "party": "B", "tombstone": {} }, { "party": "C", "refused": "its rules" }],
        }]);
        let status = json!({ "publicHead": 5, "private": { "head": { "number": 5 }, "waiting": null } });
        let text = report(&purged, &status);
        for words in ["B erased it", "C did not erase it: its rules", "--history archive", "at block 5 of 5"]
        {
            assert!(text.contains(words), "{text}");
        }
        let error = outcome(&purged, B256::ZERO).unwrap_err().to_string();
        assert!(error.contains(&format!("lonja private purge H --order {}", B256::ZERO)), "{error}");
        assert!(outcome(&json!([{ "parties": [{ "party": "B", "tombstone": {} }] }]), B256::ZERO).is_ok());
    }
}
