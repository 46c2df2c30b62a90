//! `lonja private recover`: gets payloads back from the other parties.

use super::waiting::{has_followed, second_pass, until};
use crate::commands::permission::table::{plain, sheet};
use crate::commands::ptm::Incomplete;
use crate::commands::status::Target;
use clap::Args;
use eyre::{Result, bail};
use serde_json::{Value, json};

/// Options of `lonja private recover`.
#[derive(Args, Debug)]
pub struct RecoverArgs {
    /// Read everything again that others have, also what was read before
    #[arg(long)]
    afresh: bool,
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl RecoverArgs {
    pub(super) async fn run(self) -> Result<()> {
        let endpoint = self.target.endpoint();
        let status = endpoint.call("private_recovery", json!([])).await?;
        if status["running"] == true {
            eprintln!("a recovery is under way already; this is how it gets on");
        } else {
            endpoint.call("private_recover", json!([self.afresh])).await?;
        }
        let asking = |status: &Value| {
            format!(
                "asking {} of {} nodes; {} payloads recovered",
                status["asked"], status["nodes"], status["recovered"]
            )
        };
        until(&endpoint, "private_recovery", json!([]), |status| status["running"] == false, asking).await?;
        let executing = |status: &Value| format!("executing what came back: {}", second_pass(status));
        let status = until(&endpoint, "private_recovery", json!([]), has_followed, executing).await?;
        match self.json {
            true => println!("{status:#}"),
            false => print!("{}", report(&status)),
        }
        outcome(&status)
    }
}

/// What came of it, for people.
fn report(status: &Value) -> String {
    let mut lines = vec![
        ("nodes asked", plain(&status["nodes"])),
        ("payloads recovered", plain(&status["recovered"])),
        ("here already", plain(&status["known"])),
        ("refused", plain(&status["refused"])),
        ("without contract", plain(&status["unproven"])),
        ("still missing", plain(&status["missing"])),
    ];
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    lines.extend(list("missingPayloads").iter().map(|hash| ("", plain(hash))));
    lines.extend(list("incomplete").iter().map(|page| {
        let text = [&page["key"], &page["node"], &page["reason"]].map(plain);
        ("not given", format!("{} by {}: {}", text[0], text[1], text[2]))
    }));
    lines.push(("second pass", second_pass(status)));
    sheet(&lines)
}

fn outcome(status: &Value) -> Result<()> {
    if let Some(reason) = status["failed"].as_str() {
        bail!("the recovery ended early: {reason}");
    }
    if status["nodes"] == 0 {
        bail!(
            "no other node with a manager is known here yet: is this node connected to the other parties? (lonja status)"
        );
    }
    let given = status["incomplete"].as_array().is_none_or(Vec::is_empty);
    match given && status["missing"] == 0 {
        true => Ok(()),
        false if given => bail!(Incomplete::some(
            "not everything was recovered: whoever is a party of what is missing, and is not among the nodes that were \
             asked, has it. Run it again when those nodes are connected",
        )),
        false => bail!(Incomplete::some(
            "not everything was recovered: what is missing may be at the nodes that gave nothing. Run it again when they \
             are connected",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(changes: Value) -> Value {
        let mut status = json!({
            "running": false, "nodes": 2, "asked": 2, "recovered": 3, "known": 0, "refused": 0, "unproven": 0, "missing": 0,
            "missingPayloads": [], "incomplete": [], "failed": null, "followed": true, "publicHead": 9,
            "private": { "head": { "number": 9 }, "waiting": null },
        });
        for (name, value) in changes.as_object().unwrap() {
            status[name] = value.clone();
        }
        status
    }

    #[test]
    fn the_outcome_says_what_is_missing_and_who_has_it() {
        assert!(outcome(&status(json!({}))).is_ok());
        let failing = [
            (json!({ "nodes": 0 }), "connected to the other parties"),
            (json!({ "failed": "no room" }), "no room"),
            (json!({ "missing": 1 }), "not among the nodes that were asked"),
            (json!({ "missing": 1, "incomplete": [{}] }), "gave nothing"),
            (json!({ "incomplete": [{}] }), "gave nothing"),
        ];
        for (changes, words) in failing {
            let error = outcome(&status(changes)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let page = json!({ "node": "0x1", "key": "K", "reason": "away" });
        let text = report(&status(json!({ "missing": 1, "missingPayloads": ["H"], "incomplete": [page] })));
        for words in ["still missing", "H\n", "K by 0x1: away", "at block 9 of 9"] {
            assert!(text.contains(words), "{text}");
        }
    }
}
