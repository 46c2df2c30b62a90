//! `lonja permission party`.

use super::act::{Act, Call};
use super::look::Look;
use super::names::NodeName;
use super::proposal::propose;
use super::table::{plain, short, table};
use alloy_primitives::B256;
use clap::{Args, Subcommand};
use eyre::Result;
use lonja_permissioning::registry::abi::{PARTIES, Parties, Proposal};
use lonja_ptm::PublicKey;
use serde_json::{Value, json};

/// Where parties are.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A key that is bound is found at the nodes it is bound to and nowhere else, whatever other nodes announce. Keys that are not
bound are found by what nodes say of themselves, and show.

Examples:
  lonja permission party bind enode://…@10.0.0.7:30303 BULeR8JyUWhiuuCMU/HLA0Q5pzkYT+cHII3ZKBey3Bo= --key admin.key
  lonja permission party list")]
pub enum PartyCommand {
    /// List the nodes with the keys that are bound to them
    List {
        #[command(flatten)]
        look: Look,
    },
    /// Show where a key is
    Show {
        /// The public key for private transactions, base64
        party: PublicKey,
        #[command(flatten)]
        look: Look,
    },
    /// Bind a key to a node of one's own member
    Bind {
        #[command(flatten)]
        binding: Binding,
        #[command(flatten)]
        act: Act,
    },
    /// End that
    Unbind {
        #[command(flatten)]
        binding: Binding,
        #[command(flatten)]
        act: Act,
    },
    /// Propose that a key is bound to no node any more, so that another member can bind it
    ProposeRelease {
        /// The public key for private transactions, base64
        party: PublicKey,
        #[command(flatten)]
        act: Act,
    },
}

/// A node, and a key that it holds.
#[derive(Args, Debug)]
pub struct Binding {
    /// The node: enode://…, its public key, or the key of its entry
    node: NodeName,
    /// The public key for private transactions, base64
    party: PublicKey,
}

fn word(key: &PublicKey) -> B256 {
    B256::from(key.0)
}

impl PartyCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List { look } => list(&look).await,
            Self::Show { party, look } => show(&party, &look).await,
            Self::Bind { binding: Binding { node, party }, act } => {
                let node_key = node.key(act.endpoint().as_ref()).await?;
                let call = Parties::bindPartyCall { nodeKey: node_key, party: word(&party) };
                act.run(Call::new(PARTIES, &call, format!("bind {party} to node {node_key}"))).await
            }
            Self::Unbind { binding: Binding { node, party }, act } => {
                let node_key = node.key(act.endpoint().as_ref()).await?;
                let call = Parties::unbindPartyCall { nodeKey: node_key, party: word(&party) };
                let what = format!("end the binding of {party} to node {node_key}");
                act.run(Call::new(PARTIES, &call, what)).await
            }
            Self::ProposeRelease { party, act } => {
                let what = format!("propose that {party} is bound to no node any more");
                propose(&act, Proposal::ReleaseParty { party: word(&party) }, &what).await
            }
        }
    }
}

async fn list(look: &Look) -> Result<()> {
    let bindings = look.pages("lonja_listPartyBindings", "bindings", |from| vec![from, json!(200)]).await?;
    match look.json {
        true => println!("{:#}", json!({ "bindings": bindings })),
        false => print!("{}", bindings_table(&bindings)),
    }
    Ok(())
}

fn bindings_table(bindings: &[Value]) -> String {
    let of_node = |binding: &Value| {
        let parties = binding["parties"].as_array().cloned().unwrap_or_default();
        let (node, member) = (plain(&binding["node"]), short(&binding["member"]));
        parties.into_iter().map(move |party| vec![plain(&party), node.clone(), member.clone()])
    };
    let lines: Vec<_> = bindings.iter().flat_map(of_node).collect();
    table(&["KEY", "NODE", "MEMBER"], &lines, "no key is bound to a node")
}

async fn show(party: &PublicKey, look: &Look) -> Result<()> {
    let answer = look.ask("lonja_getPartyBinding", vec![json!(party)]).await?;
    if look.json {
        println!("{answer:#}");
        return Ok(());
    }
    if answer.is_null() {
        println!("{party} is bound to no node: it is found by what nodes say of themselves");
        return Ok(());
    }
    println!("{party} is bound by member {}", plain(&answer["member"]));
    let nodes = answer["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    nodes.iter().for_each(|node| println!("  node {}", plain(&node["key"])));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: PartyCommand,
    }

    const KEY: &str = "oNspPPgszVUFw0qmGFfWwh1uxVUXgvBxleXORHj07g8=";

    #[test]
    fn a_binding_is_a_node_and_a_key() {
        let node = B256::repeat_byte(1).to_string();
        let parse = |arguments: &[&str]| Cli::try_parse_from(["test"].iter().chain(arguments)).is_ok();
        assert!(parse(&["bind", &node, KEY]) && parse(&["unbind", &node, KEY]) && parse(&["show", KEY]));
        assert!(!parse(&["bind", &node]) && !parse(&["bind", KEY, &node]));
    }

    #[test]
    fn bindings_are_shown() {
        let text = bindings_table(&[json!({ "node": "0x1", "member": "0x2", "parties": [KEY, "other"] })]);
        assert!(text.contains(&format!("{KEY}  0x1   0x2\n")) && text.contains("other"), "{text}");
        assert_eq!(bindings_table(&[]), "no key is bound to a node\n");
    }
}
