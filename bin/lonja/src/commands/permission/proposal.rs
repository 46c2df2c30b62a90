//! `lonja permission proposal`.

use super::act::{Act, Call};
use super::describe;
use super::look::Look;
use super::names::Hashed;
use super::table::{plain, sheet, short, table};
use crate::client::Endpoint;
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolEvent};
use clap::{ArgGroup, Args, Subcommand};
use eyre::{Context, Result, bail, eyre};
use lonja_permissioning::registry::abi::{GOVERNANCE, Governance, POLICY, Policy, PolicyValues, Proposal};
use serde_json::{Value, json};

/// Proposals.
#[derive(Debug, Subcommand)]
pub enum ProposalCommand {
    /// List proposals, the newest first
    List {
        /// Of this state only: open, passed, rejected, expired, executed or cancelled
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        look: Look,
    },
    /// Show a proposal: what it says, who voted
    Show {
        /// Its number
        id: u64,
        #[command(flatten)]
        look: Look,
    },
    /// Vote for or against a proposal, for the control group of one's member; the last word counts
    Vote(VoteArgs),
    /// Take the vote of one's group back
    Withdraw {
        /// Its number
        id: u64,
        #[command(flatten)]
        act: Act,
    },
    /// Carry a proposal out that has passed; an admin of any active member may
    Execute {
        /// Its number
        id: u64,
        /// What it says, as it was proposed [default: from the chain's logs]
        #[arg(long, value_name = "HEX")]
        payload: Option<Bytes>,
        #[command(flatten)]
        act: Act,
    },
    /// Take back a proposal of one's own member
    Cancel {
        /// Its number
        id: u64,
        #[command(flatten)]
        act: Act,
    },
    /// Write down that a proposal is rejected or expired; anybody who may transact can
    Close {
        /// Its number
        id: u64,
        #[command(flatten)]
        act: Act,
    },
    /// Propose a statement of the network, for what people must do themselves
    Statement {
        /// In a few words
        title: String,
        /// The document, of which the hash goes on chain: a text, 0x and a hash, or @FILE
        #[arg(long)]
        document: Hashed,
        /// Until when, in seconds since 1970; 0 for no time
        #[arg(long, default_value_t = 0)]
        deadline: u64,
        #[command(flatten)]
        act: Act,
    },
}

/// Options of `lonja permission proposal vote`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("word").required(true).args(["in_favour", "against"])))]
pub struct VoteArgs {
    /// Its number
    id: u64,
    /// Vote for it
    #[arg(long = "for")]
    in_favour: bool,
    /// Vote against it
    #[arg(long)]
    against: bool,
    #[command(flatten)]
    act: Act,
}

impl ProposalCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List { state, look } => list(state, &look).await,
            Self::Show { id, look } => show(id, &look).await,
            Self::Vote(vote) => {
                let word = if vote.in_favour { "for" } else { "against" };
                let call = Governance::voteCall { id: U256::from(vote.id), support: vote.in_favour };
                govern(&vote.act, &call, format!("vote {word} proposal {}", vote.id)).await
            }
            Self::Withdraw { id, act } => {
                let call = Governance::withdrawVoteCall { id: U256::from(id) };
                govern(&act, &call, format!("take the vote on proposal {id} back")).await
            }
            Self::Execute { id, payload, act } => {
                let payload = match payload {
                    Some(payload) => payload,
                    None => {
                        let endpoint =
                            act.need_endpoint("without --payload what was proposed is read from the chain")?;
                        payload_of(&endpoint, id).await?
                    }
                };
                let call = Governance::executeCall { id: U256::from(id), payload };
                govern(&act, &call, format!("carry proposal {id} out")).await
            }
            Self::Cancel { id, act } => {
                govern(
                    &act,
                    &Governance::cancelCall { id: U256::from(id) },
                    format!("take proposal {id} back"),
                )
                .await
            }
            Self::Close { id, act } => {
                govern(&act, &Governance::closeCall { id: U256::from(id) }, format!("close proposal {id}"))
                    .await
            }
            Self::Statement { title, document, deadline, act } => {
                let proposal = Proposal::Statement { document: document.0, deadline, title };
                propose(&act, proposal, "propose a statement of the network").await
            }
        }
    }
}

async fn govern(act: &Act, call: &impl SolCall, what: String) -> Result<()> {
    act.run(Call::new(GOVERNANCE, call, what)).await
}

/// Proposes something, which counts as voting for it.
pub async fn propose(act: &Act, proposal: Proposal, what: &str) -> Result<()> {
    let call = Governance::proposeCall { kind: proposal.kind().number(), payload: proposal.payload() };
    act.run(Call::new(GOVERNANCE, &call, what)).await
}

async fn list(state: Option<String>, look: &Look) -> Result<()> {
    let page = |from: Value| vec![json!({ "state": state, "from": from, "limit": 200 })];
    let proposals = look.pages("lonja_getProposals", "proposals", page).await?;
    match look.json {
        true => println!("{:#}", Value::Array(proposals)),
        false => print!("{}", proposals_table(&proposals)),
    }
    Ok(())
}

fn proposals_table(proposals: &[Value]) -> String {
    let line = |proposal: &Value| {
        vec![
            plain(&proposal["id"]),
            plain(&proposal["kind"]),
            plain(&proposal["status"]),
            format!("{} / {}", proposal["votesFor"], proposal["votesAgainst"]),
            format!("{} of {}", proposal["needed"], proposal["electorate"]),
            format!("block {}", proposal["votingEnds"]),
            short(&proposal["subject"]),
        ]
    };
    let lines: Vec<_> = proposals.iter().map(line).collect();
    let headings = ["NUMBER", "KIND", "STATE", "FOR / AGAINST", "NEEDED", "VOTING ENDS", "ABOUT"];
    table(&headings, &lines, "there are no such proposals")
}

async fn show(id: u64, look: &Look) -> Result<()> {
    let mut view = look.ask("lonja_getProposal", vec![json!(id)]).await?;
    if !view.is_object() {
        bail!("there is no proposal {id}");
    }
    let endpoint = look.endpoint();
    let payload = logged_payload(&endpoint, id, &view).await;
    let kind = view["kindNumber"].as_u64().and_then(|kind| u16::try_from(kind).ok()).unwrap_or(0);
    let content = payload.as_ref().ok().and_then(|payload| Proposal::decode(kind, payload).ok());
    if look.json {
        view["payload"] = json!(payload.as_ref().ok());
        view["content"] = content.as_ref().map_or(Value::Null, describe::json);
        println!("{view:#}");
        return Ok(());
    }
    print!("{}", proposal_sheet(&view));
    match content {
        Some(content) => {
            let current = match &content {
                Proposal::Policy { .. } => newest_policy(&endpoint).await.ok().map(|(_, values)| values),
                _ => None,
            };
            println!("\nit says:");
            let lines = describe::lines(&content, current.as_ref());
            sheet(&lines).lines().for_each(|line| println!("  {line}"));
        }
        None => println!(
            "\nwhat it says is not known here: {}",
            payload.err().map_or("?".into(), |e| e.to_string())
        ),
    }
    print!("{}", votes_table(&view["votes"]));
    Ok(())
}

fn proposal_sheet(view: &Value) -> String {
    let end = match view["status"].as_str() {
        Some("open") => format!("voting until block {}", view["votingEnds"]),
        Some("passed") => format!("to be carried out before block {}", view["expires"]),
        _ => String::new(),
    };
    sheet(&[
        ("proposal", format!("{}: {}", view["id"], plain(&view["kind"]))),
        ("state", plain(&view["status"])),
        ("time", end),
        (
            "votes",
            format!(
                "{} for, {} against, {} needed of {} control groups",
                view["votesFor"], view["votesAgainst"], view["needed"], view["electorate"]
            ),
        ),
        ("proposed by", plain(&view["proposer"])),
        ("at", format!("block {}", view["created"])),
        ("about", plain(&view["subject"])),
    ])
}

fn votes_table(votes: &Value) -> String {
    let line = |vote: &Value| {
        let word = if vote["support"] == true { "for" } else { "against" };
        let counts = if vote["counts"] == true { "" } else { "does not count any more" };
        vec![word.to_owned(), plain(&vote["member"]), format!("block {}", vote["castAt"]), counts.to_owned()]
    };
    let lines: Vec<_> = votes.as_array().into_iter().flatten().map(line).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!("\n{}", table(&["VOTE", "MEMBER", "CAST AT", ""], &lines, "")),
    }
}

/// What a proposal says, from the log of its creation.
pub async fn payload_of(endpoint: &Endpoint, id: u64) -> Result<Bytes> {
    let view = endpoint.call("lonja_getProposal", json!([id])).await?;
    if view.is_null() {
        bail!("there is no proposal {id}");
    }
    logged_payload(endpoint, id, &view).await
}

async fn logged_payload(endpoint: &Endpoint, id: u64, view: &Value) -> Result<Bytes> {
    let block = format!("{:#x}", view["created"].as_u64().unwrap_or(0));
    let filter = json!({
        "fromBlock": block,
        "toBlock": block,
        "address": GOVERNANCE,
        "topics": [Governance::ProposalCreated::SIGNATURE_HASH, B256::from(U256::from(id))],
    });
    let logs = endpoint.call("eth_getLogs", json!([filter])).await?;
    let log = logs.get(0).ok_or_else(|| eyre!("the log of its creation is not there: give --payload"))?;
    let topics: Vec<B256> = serde_json::from_value(log["topics"].clone())?;
    let data: Bytes = serde_json::from_value(log["data"].clone())?;
    Ok(Governance::ProposalCreated::decode_raw_log(topics, &data)?.payload)
}

/// The newest policy there is, in force or coming, and its revision. From the contract itself: what it keeps for kinds to
/// come has no name in JSON.
pub async fn newest_policy(endpoint: &Endpoint) -> Result<(u64, PolicyValues)> {
    let request = json!({ "to": POLICY, "data": Bytes::from(Policy::nextPolicyCall {}.abi_encode()) });
    let answer: Bytes = serde_json::from_value(endpoint.call("eth_call", json!([request, "latest"])).await?)?;
    let newest = Policy::nextPolicyCall::abi_decode_returns(&answer)
        .wrap_err("this network has no registry of lonja's")?;
    Ok((newest.revision, newest._2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        vote: VoteArgs,
    }

    #[test]
    fn a_vote_is_for_or_against() {
        let vote = |arguments: &[&str]| {
            Cli::try_parse_from(["test", "7"].iter().chain(arguments)).map(|cli| cli.vote)
        };
        assert!(vote(&["--for"]).unwrap().in_favour);
        assert!(vote(&["--against"]).unwrap().against);
        assert!(vote(&[]).is_err() && vote(&["--for", "--against"]).is_err());
    }

    #[test]
    fn proposals_are_shown_with_their_votes() {
        let view = json!({
            "id": 7, "kind": "suspend-member", "status": "open", "votesFor": 2, "votesAgainst": 1, "needed": 3,
            "electorate": 4, "votingEnds": 90, "subject": "0x12", "created": 5, "expires": 99, "proposer": "0x34",
            "votes": [{ "support": false, "member": "0x34", "castAt": 6, "counts": false }],
        });
        let text = proposals_table(std::slice::from_ref(&view));
        assert!(text.contains("7       suspend-member  open   2 / 1"), "{text}");
        let text = proposal_sheet(&view) + &votes_table(&view["votes"]);
        assert!(text.contains("2 for, 1 against, 3 needed of 4 control groups"), "{text}");
        assert!(text.contains("against  0x34    block 6  does not count any more"), "{text}");
        assert_eq!(votes_table(&json!([])), "");
    }
}
