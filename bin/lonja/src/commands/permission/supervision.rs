//! `lonja permission supervision`.

use super::act::{Act, Call};
use super::look::Look;
use super::names::{Hashed, MemberName, NodeName};
use super::proposal::propose;
use super::table::{plain, table};
use crate::client::Endpoint;
use alloy_primitives::{Address, B256};
use clap::{Args, Subcommand};
use eyre::Result;
use lonja_permissioning::registry::abi::{Proposal, SUPERVISION, Supervision};
use serde_json::{Value, json};

/// Supervision.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A freeze needs the admins of a supervisor and one key of the council, an emergency suspension members of three control groups,
or a supervisor and a key of the council: each sends the same command with a key of its own.")]
pub enum SupervisionCommand {
    /// List freezes and emergency suspensions
    List {
        #[command(flatten)]
        look: Look,
    },
    /// Freeze an address: nothing is sent by it or to it
    Freeze {
        /// The address
        address: Address,
        /// The order, of which the hash goes on chain: a text, 0x and a hash, or @FILE
        #[arg(long)]
        order: Hashed,
        /// Last block of the freeze; 0 for as long as the policy allows
        #[arg(long, default_value_t = 0)]
        until: u64,
        #[command(flatten)]
        act: Act,
    },
    /// End a freeze
    Unfreeze {
        /// The address
        address: Address,
        /// The order of the freeze
        #[arg(long)]
        order: Hashed,
        #[command(flatten)]
        act: Act,
    },
    /// Suspend a member or node at once, for the time of the policy
    EmergencySuspend {
        #[command(flatten)]
        subject: Subject,
        /// Reason, of which the hash goes on chain; all who agree give the same: a text, 0x and a hash, or @FILE
        #[arg(long)]
        reason: Hashed,
        #[command(flatten)]
        act: Act,
    },
    /// Propose that an emergency suspension stays
    Ratify {
        #[command(flatten)]
        subject: Subject,
        #[command(flatten)]
        act: Act,
    },
    /// Show the keys of the council
    Council {
        #[command(flatten)]
        look: Look,
    },
    /// Propose new keys of the council
    ProposeCouncil {
        /// Address of a key; may be repeated
        #[arg(long = "member-key", required = true, value_name = "ADDRESS")]
        keys: Vec<Address>,
        #[command(flatten)]
        act: Act,
    },
}

/// Whom an emergency suspension is about.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Subject {
    /// A member
    #[arg(long)]
    member: Option<MemberName>,
    /// A node
    #[arg(long)]
    node: Option<NodeName>,
}

impl Subject {
    async fn id(&self, endpoint: Option<&Endpoint>) -> Result<B256> {
        match (&self.member, &self.node) {
            (Some(member), _) => member.id(endpoint).await,
            (None, Some(node)) => node.key(endpoint).await,
            (None, None) => Ok(B256::ZERO),
        }
    }
}

impl SupervisionCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List { look } => list(&look).await,
            Self::Freeze { address, order, until, act } => {
                let call = Supervision::freezeCall { subject: address, orderHash: order.0, until };
                act.run(Call::new(SUPERVISION, &call, format!("freeze {address}"))).await
            }
            Self::Unfreeze { address, order, act } => {
                let call = Supervision::unfreezeCall { subject: address, orderHash: order.0 };
                act.run(Call::new(SUPERVISION, &call, format!("end the freeze of {address}"))).await
            }
            Self::EmergencySuspend { subject, reason, act } => {
                let id = subject.id(act.endpoint().as_ref()).await?;
                let call = Supervision::emergencySuspendCall { subject: id, reasonHash: reason.0 };
                act.run(Call::new(SUPERVISION, &call, format!("ask for the emergency suspension of {id}")))
                    .await
            }
            Self::Ratify { subject, act } => {
                let id = subject.id(act.endpoint().as_ref()).await?;
                propose(&act, Proposal::Ratify { subject: id }, "propose that the emergency suspension stays")
                    .await
            }
            Self::Council { look } => council(&look).await,
            Self::ProposeCouncil { keys, act } => {
                propose(&act, Proposal::Council { keys }, "propose new keys of the council").await
            }
        }
    }
}

async fn list(look: &Look) -> Result<()> {
    let freezes = look.pages("lonja_getFreezes", "freezes", |from| vec![from, json!(200)]).await?;
    let rest = look.ask("lonja_getFreezes", vec![json!(0), json!(1)]).await?;
    if look.json {
        println!("{:#}", json!({ "freezes": freezes, "emergencies": rest["emergencies"] }));
        return Ok(());
    }
    print!("{}", freezes_table(&freezes));
    print!("\n{}", emergencies_table(rest["emergencies"].as_array().map_or(&[][..], Vec::as_slice)));
    Ok(())
}

fn freezes_table(freezes: &[Value]) -> String {
    let line = |freeze: &Value| {
        let force = if freeze["inForce"] == true { "in force" } else { "over" };
        vec![
            plain(&freeze["subject"]),
            force.to_owned(),
            format!("block {}", freeze["until"]),
            plain(&freeze["orderHash"]),
        ]
    };
    let lines: Vec<_> = freezes.iter().map(line).collect();
    table(&["FROZEN", "", "UNTIL", "ORDER"], &lines, "nothing is frozen")
}

fn emergencies_table(emergencies: &[Value]) -> String {
    let line =
        |one: &Value| vec![plain(&one["what"]), plain(&one["subject"]), format!("block {}", one["until"])];
    let lines: Vec<_> = emergencies.iter().map(line).collect();
    table(&["EMERGENCY", "SUSPENDED", "UNTIL"], &lines, "nobody is under an emergency suspension")
}

async fn council(look: &Look) -> Result<()> {
    let council = look.ask("lonja_getCouncil", Vec::new()).await?;
    if look.json {
        println!("{council:#}");
        return Ok(());
    }
    let keys = council["keys"].as_array().map_or(&[][..], Vec::as_slice);
    match keys.is_empty() {
        true => println!("there is no council: supervisors freeze alone"),
        false => keys.iter().for_each(|key| println!("{}", plain(key))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: SupervisionCommand,
    }

    #[test]
    fn an_emergency_is_about_one_member_or_node() {
        let id = B256::repeat_byte(1).to_string();
        let parse = |arguments: &[&str]| {
            Cli::try_parse_from(["test", "emergency-suspend", "--reason", "r"].iter().chain(arguments))
                .map(|cli| drop(cli.command))
        };
        assert!(parse(&["--member", &id]).is_ok() && parse(&["--node", &id]).is_ok());
        assert!(parse(&[]).is_err() && parse(&["--member", &id, "--node", &id]).is_err());
    }

    #[test]
    fn freezes_and_emergencies_are_shown() {
        let text =
            freezes_table(&[json!({ "subject": "0x1", "inForce": true, "until": 9, "orderHash": "0x2" })]);
        assert!(text.contains("0x1     in force  block 9  0x2"), "{text}");
        assert_eq!(freezes_table(&[]), "nothing is frozen\n");
        let text = emergencies_table(&[json!({ "what": "member", "subject": "0x1", "until": 9 })]);
        assert!(text.contains("member"), "{text}");
    }
}
