//! `lonja permission node`.

mod add;

use super::act::{Act, Call, quantity};
use super::look::Look;
use super::member::status;
use super::names::{Hashed, MemberName, NodeName};
use super::proposal::propose;
use super::table::{plain, sheet, short, table};
use add::{AddArgs, join};
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::SolCall;
use clap::Subcommand;
use eyre::{Result, bail, eyre};
use lonja_permissioning::registry::abi::{
    EVIDENCE, Evidence, Proposal, REGISTRY, Registry, Role, VALIDATORS, Validators,
};
use serde_json::{Value, json};

/// Nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List nodes
    List {
        /// Of this member only
        #[arg(long)]
        member: Option<MemberName>,
        /// With this role only: regular, validator, boot, supervisor, archive or observer
        #[arg(long)]
        role: Option<Role>,
        /// With this status only: active, deactivated, suspended or revoked
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        look: Look,
    },
    /// Show one node
    Show {
        /// enode://…, public key, key of its entry, or the address that signs for it
        node: NodeName,
        #[command(flatten)]
        look: Look,
    },
    /// Add nodes to one's own member: one by its enode address, or all of a member's file
    Add(Box<AddArgs>),
    /// Change where a node of one's own is reached
    Endpoints {
        /// The node
        node: NodeName,
        /// HOST:PORT; may be repeated, none removes them
        endpoints: Vec<String>,
        #[command(flatten)]
        act: Act,
    },
    /// Put a node of one's own out of use for a while
    Deactivate {
        /// The node
        node: NodeName,
        #[command(flatten)]
        act: Act,
    },
    /// Put a deactivated node of one's own back into use
    Activate {
        /// The node
        node: NodeName,
        #[command(flatten)]
        act: Act,
    },
    /// Put a node of one's own out of use for good: its key is lost or known to others
    Revoke {
        /// The node
        node: NodeName,
        /// Needed, since a revoked key never comes back
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        act: Act,
    },
    /// Propose to revoke another member's node for good
    ProposeRevoke {
        /// The node
        node: NodeName,
        /// The owner's statement after it was heard, of which the hash goes on chain: a text, 0x and a hash, or @FILE
        #[arg(long)]
        statement: Hashed,
        #[command(flatten)]
        act: Act,
    },
    /// Propose to suspend a node
    Suspend {
        /// The node
        node: NodeName,
        /// Reason, of which the hash goes on chain: a text, 0x and a hash, or @FILE
        #[arg(long)]
        reason: Option<Hashed>,
        #[command(flatten)]
        act: Act,
    },
    /// Propose to lift a node's suspension
    Lift {
        /// The node
        node: NodeName,
        /// Reason, of which the hash goes on chain: a text, 0x and a hash, or @FILE
        #[arg(long)]
        reason: Option<Hashed>,
        #[command(flatten)]
        act: Act,
    },
    /// Propose that a node may be chosen as a validator (or with --remove, no longer)
    Candidacy {
        /// The node
        node: NodeName,
        /// It is to be a candidate no longer
        #[arg(long)]
        remove: bool,
        /// Attestation of its fitness, of which the hash goes on chain: a text, 0x and a hash, or @FILE
        #[arg(long)]
        attestation: Option<Hashed>,
        #[command(flatten)]
        act: Act,
    },
    /// Propose to let a validator be chosen again that was barred for good
    Readmit {
        /// The node
        node: NodeName,
        #[command(flatten)]
        act: Act,
    },
    /// Show that a suspended validator follows the chain: signed by its member's admin, or by the validator itself
    Heartbeat {
        /// The node
        node: NodeName,
        #[command(flatten)]
        act: Act,
    },
    /// Prove that a validator sealed two different blocks for one height and round: it is suspended at once
    Accuse {
        /// The one header: RLP in hex, with an empty list of seals
        #[arg(long, value_name = "HEX")]
        header: Bytes,
        /// The validator's seal on it, 65 bytes in hex
        #[arg(long, value_name = "HEX")]
        seal: Bytes,
        /// The other header, likewise
        #[arg(long, value_name = "HEX")]
        other_header: Bytes,
        /// The same validator's seal on that
        #[arg(long, value_name = "HEX")]
        other_seal: Bytes,
        #[command(flatten)]
        act: Act,
    },
    /// Ask for a suspended validator's return, after its time and heartbeats
    Reincorporate {
        /// The node
        node: NodeName,
        #[command(flatten)]
        act: Act,
    },
}

/// Statuses that an owner gives.
const ACTIVE: u8 = 2;
const DEACTIVATED: u8 = 3;
const REVOKED: u8 = 5;

impl NodeCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List { member, role, status, look } => list(member, role, status, &look).await,
            Self::Show { node, look } => show(&node, &look).await,
            Self::Add(add) => add.run().await,
            Self::Endpoints { node, endpoints, act } => {
                let endpoints = join(&endpoints)?;
                let node_key = node.key(act.endpoint().as_ref()).await?;
                let call = Registry::updateEndpointsCall {
                    nodeKey: node_key,
                    endpoints: endpoints.into_bytes().into(),
                };
                own(&act, &call, "change where the node is reached").await
            }
            Self::Deactivate { node, act } => {
                set_status(&act, &node, DEACTIVATED, "deactivate the node").await
            }
            Self::Activate { node, act } => set_status(&act, &node, ACTIVE, "activate the node").await,
            Self::Revoke { node, yes, act } => {
                if !yes {
                    bail!("the key of a revoked node never comes back: add --yes");
                }
                set_status(&act, &node, REVOKED, "revoke the node for good").await
            }
            Self::Heartbeat { node, act } => heartbeat(&act, &node).await,
            Self::Accuse { header, seal, other_header, other_seal, act } => {
                let call = Evidence::submitEquivocationCall {
                    headerA: header,
                    sealA: seal,
                    headerB: other_header,
                    sealB: other_seal,
                };
                act.run(Call::new(EVIDENCE, &call, "prove that a validator sealed two blocks")).await
            }
            Self::Reincorporate { node, act } => {
                let node_key = node.key(act.endpoint().as_ref()).await?;
                let call = Validators::requestReincorporationCall { nodeKey: node_key };
                act.run(Call::new(VALIDATORS, &call, "ask for the validator's return")).await
            }
            other => other.put_to_the_vote().await,
        }
    }

    async fn put_to_the_vote(self) -> Result<()> {
        let key = async |node: &NodeName, act: &Act| node.key(act.endpoint().as_ref()).await;
        let hash = |text: Option<Hashed>| text.map_or(B256::ZERO, |hashed| hashed.0);
        let (act, proposal, what) = match self {
            Self::ProposeRevoke { node, statement, act } => {
                let proposal = Proposal::RevokeNode { node: key(&node, &act).await?, statement: statement.0 };
                (act, proposal, "propose to revoke the node for good")
            }
            Self::Suspend { node, reason, act } => {
                let proposal = Proposal::SuspendNode { node: key(&node, &act).await?, reason: hash(reason) };
                (act, proposal, "propose to suspend the node")
            }
            Self::Lift { node, reason, act } => {
                let proposal = Proposal::LiftNode { node: key(&node, &act).await?, reason: hash(reason) };
                (act, proposal, "propose to lift the node's suspension")
            }
            Self::Candidacy { node, remove, attestation, act } => {
                let node = key(&node, &act).await?;
                let proposal =
                    Proposal::Candidacy { node, candidate: !remove, attestation: hash(attestation) };
                let what = if remove {
                    "propose that the node is no candidate for validator any more"
                } else {
                    "propose that the node may be chosen as a validator"
                };
                (act, proposal, what)
            }
            Self::Readmit { node, act } => {
                let proposal = Proposal::ReadmitValidator { node: key(&node, &act).await? };
                (act, proposal, "propose to let the validator be chosen again")
            }
            _ => return Err(eyre!("this is not put to the vote")),
        };
        propose(&act, proposal, what).await
    }
}

async fn own(act: &Act, call: &impl SolCall, what: &str) -> Result<()> {
    act.run(Call::new(REGISTRY, call, what)).await
}

async fn set_status(act: &Act, node: &NodeName, status: u8, what: &str) -> Result<()> {
    let node_key = node.key(act.endpoint().as_ref()).await?;
    own(act, &Registry::setOwnNodeStatusCall { nodeKey: node_key, status }, what).await
}

/// Names a block just made. The validator itself may speak for itself, an admin of its member for any of its nodes.
async fn heartbeat(act: &Act, node: &NodeName) -> Result<()> {
    let endpoint = act.need_endpoint("a heartbeat names a block just made")?;
    let entry = endpoint.call("lonja_getNode", json!([node.asked()])).await?;
    let key: B256 = entry["key"]
        .as_str()
        .and_then(|key| key.parse().ok())
        .ok_or_else(|| eyre!("there is no such node"))?;
    let head = endpoint.call("eth_getBlockByNumber", json!(["latest", false])).await?;
    // The one before the newest: in the newest block itself no contract knows that block's hash, and nodes try calls there.
    let height = u64::try_from(quantity(&head["number"])?)?.saturating_sub(1);
    let hash: B256 = serde_json::from_value(head["parentHash"].clone())?;
    let itself = !act.only_prints() && entry["validatorAddress"] == json!(act.sender()?);
    let what = format!("show that the validator follows the chain, at block {height}");
    let call = match itself {
        true => Call::new(VALIDATORS, &Validators::heartbeatCall { height, hash }, what),
        false => Call::new(VALIDATORS, &Validators::heartbeatForCall { nodeKey: key, height, hash }, what),
    };
    act.run(call).await
}

async fn list(
    member: Option<MemberName>,
    role: Option<Role>,
    status: Option<String>,
    look: &Look,
) -> Result<()> {
    let filter = |from: Value| {
        vec![json!({
            "member": member.as_ref().map(MemberName::asked),
            "role": role.map(Role::name),
            "status": status,
            "offset": from,
            "limit": 200,
        })]
    };
    let nodes = look.pages("lonja_listNodes", "nodes", filter).await?;
    match look.json {
        true => println!("{:#}", Value::Array(nodes)),
        false => print!("{}", nodes_table(&nodes)),
    }
    Ok(())
}

fn nodes_table(nodes: &[Value]) -> String {
    let line = |node: &Value| {
        vec![
            plain(&node["validatorAddress"]),
            status(node),
            plain(&node["roles"]),
            short(&node["member"]),
            plain(&node["endpoints"]),
            plain(&node["key"]),
        ]
    };
    let lines: Vec<_> = nodes.iter().map(line).collect();
    table(&["ADDRESS", "STATUS", "ROLES", "MEMBER", "REACHED AT", "KEY"], &lines, "there are no such nodes")
}

async fn show(name: &NodeName, look: &Look) -> Result<()> {
    let node = look.ask("lonja_getNode", vec![name.asked()]).await?;
    if node.is_null() {
        bail!("the registry has no such node");
    }
    if look.json {
        println!("{node:#}");
        return Ok(());
    }
    print!("{}", node_sheet(&node));
    if plain(&node["roles"]).contains("validator") {
        let sla = look.ask("lonja_getSla", vec![node["key"].clone()]).await?;
        print!("{}", service_sheet(&sla));
    }
    Ok(())
}

fn node_sheet(node: &Value) -> String {
    let block = |field: &str| match node[field].as_u64() {
        None | Some(0) => String::new(),
        Some(number) => format!("block {number}"),
    };
    sheet(&[
        ("node", plain(&node["validatorAddress"])),
        ("key", plain(&node["key"])),
        ("public key", plain(&node["publicKey"])),
        ("status", status(node)),
        ("roles", plain(&node["roles"])),
        ("member", plain(&node["member"])),
        ("reached at", plain(&node["endpoints"])),
        ("region", plain(&node["hostRegion"])),
        ("provider", format!("AS{}", node["hostProvider"])),
        ("registered", format!("block {}", node["registered"])),
        ("changed", block("changed")),
        ("expires", block("expires")),
        ("suspended until", block("suspendedUntil")),
    ])
}

/// How a validator serves.
fn service_sheet(sla: &Value) -> String {
    let place = match (&sla["seated"], &sla["suspended"], &sla["barred"]) {
        (_, _, Value::Bool(true)) => "barred: comes back by a vote only".to_owned(),
        (_, Value::Bool(true), _) => {
            format!("suspended until block {}, then by reincorporation", sla["jailedUntil"])
        }
        (Value::Bool(true), _, _) => format!("validates since block {}", sla["seatSince"]),
        _ => "a candidate, without a seat".to_owned(),
    };
    let missed = format!(
        "{} of {} turns missed in this window, {} in a row",
        sla["missed"],
        sla["missed"].as_u64().unwrap_or(0).saturating_add(sla["proposed"].as_u64().unwrap_or(0)),
        sla["consecutiveMissed"]
    );
    sheet(&[("validator", place), ("service", missed), ("strikes", plain(&sla["strikes"]))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_is_told_in_words() {
        let sla = |fields: Value| {
            let mut sla = json!({
                "seated": false, "suspended": false, "barred": false, "missed": 2, "proposed": 8,
                "consecutiveMissed": 1, "strikes": 1, "seatSince": 5, "jailedUntil": 90,
            });
            sla.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            service_sheet(&sla)
        };
        assert!(sla(json!({ "seated": true })).contains("validates since block 5"));
        assert!(sla(json!({ "suspended": true })).contains("suspended until block 90"));
        assert!(sla(json!({ "barred": true, "suspended": true })).contains("by a vote only"));
        assert!(sla(json!({})).contains("2 of 10 turns missed"));
    }
}
