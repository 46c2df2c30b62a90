//! `lonja permission node add`.

use crate::commands::permission::act::{Act, Call};
use crate::commands::permission::member::read_member;
use crate::commands::permission::names::NodeName;
use alloy_primitives::Address;
use clap::Args;
use eyre::{Result, bail, eyre};
use lonja_permissioning::registry::abi::{ENDPOINTS_BYTES_MAX, NodeInput, REGISTRY, Registry, Role};
use lonja_permissioning::registry::plan::NodePlan;
use std::path::Path;

/// Options of `lonja permission node add`.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// enode://KEY@HOST:PORT, a public key, or a file: all nodes of a member's JSON
    what: String,
    /// Roles of the one node, with commas: regular, boot, supervisor, archive, observer [default: regular]
    #[arg(long, value_delimiter = ',')]
    roles: Vec<Role>,
    /// HOST:PORT by which others reach it; may be repeated [default: that of the enode address]
    #[arg(long = "endpoint")]
    endpoints: Vec<String>,
    /// Region where it runs
    #[arg(long, default_value_t = 0)]
    host_region: u16,
    /// Autonomous system of the provider where it runs
    #[arg(long, default_value_t = 0)]
    host_provider: u32,
    /// First block at which it may not connect any more; 0 for never
    #[arg(long, default_value_t = 0)]
    expires: u64,
    /// Address that signs for it when it validates [default: that of its key]
    #[arg(long)]
    validator_address: Option<Address>,
    #[command(flatten)]
    act: Act,
}

impl AddArgs {
    /// Adds them, one transaction each.
    pub async fn run(self) -> Result<()> {
        let calls: Vec<Call> = self
            .inputs()?
            .into_iter()
            .map(|(what, input)| Call::new(REGISTRY, &Registry::addNodeCall { input }, what))
            .collect();
        self.act.run_all(calls).await
    }

    /// What is added, with words about it. The role validator comes from a vote and is left out.
    fn inputs(&self) -> Result<Vec<(String, NodeInput)>> {
        let is_name = self.what.starts_with("enode://") || self.what.len() >= 128;
        if is_name && !Path::new(&self.what).exists() {
            return Ok(vec![self.single()?]);
        }
        let member = read_member(Path::new(&self.what))?;
        if member.nodes.is_empty() {
            bail!("{}: the member has no nodes", self.what);
        }
        Ok(member.nodes.into_iter().map(|node| self.planned(node)).collect())
    }

    fn planned(&self, node: NodePlan) -> (String, NodeInput) {
        let candidate = node.input.roles & Role::Validator.number() != 0;
        let hint = if candidate { " (the role validator comes from a vote: node candidacy)" } else { "" };
        let mut roles = node.input.roles & !Role::Validator.number();
        if roles == 0 {
            roles = Role::Regular.number();
        }
        (format!("add node {}{hint}", node.node.address()), NodeInput { roles, ..node.input })
    }

    fn single(&self) -> Result<(String, NodeInput)> {
        let name: NodeName = self.what.parse().map_err(|reason: String| eyre!("{}: {reason}", self.what))?;
        let NodeName::Public(node, place) = name else {
            bail!("{}: the public key of the node is needed (128 hex digits, or enode://…)", self.what);
        };
        if self.roles.contains(&Role::Validator) {
            bail!("the role validator comes from a vote: lonja permission node candidacy");
        }
        let roles = self.roles.iter().fold(0, |bits, role| bits | role.number());
        let endpoints = match self.endpoints.is_empty() {
            true => place.into_iter().collect(),
            false => self.endpoints.clone(),
        };
        let input = NodeInput {
            publicKey: node.0.to_vec().into(),
            roles: if roles == 0 { Role::Regular.number() } else { roles },
            expires: self.expires,
            validatorAddress: self.validator_address.unwrap_or_default(),
            hostRegion: self.host_region,
            hostProvider: self.host_provider,
            swVersion: 0,
            endpoints: join(&endpoints)?.into_bytes().into(),
        };
        Ok((format!("add node {}", node.address()), input))
    }
}

/// `host:port` texts as the contract has them.
pub fn join(endpoints: &[String]) -> Result<String> {
    for endpoint in endpoints {
        let (host, port) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
        let fits =
            !host.is_empty() && !host.contains(',') && host.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if !fits || port.parse::<u16>().is_err() {
            bail!("{endpoint}: HOST:PORT is expected");
        }
    }
    let joined = endpoints.join(",");
    match joined.len() > ENDPOINTS_BYTES_MAX {
        true => bail!("these are too many endpoints: together they may have 256 characters"),
        false => Ok(joined),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use lonja_primitives::NodeKey;
    use serde_json::{Value, json};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        add: AddArgs,
    }

    fn add(arguments: &[&str]) -> AddArgs {
        Cli::try_parse_from(["test"].iter().chain(arguments)).unwrap().add
    }

    #[test]
    fn a_node_is_added_by_its_enode_address() {
        let id = NodeKey::generate().node_id();
        let enode = format!("enode://{id}@10.0.0.7:30303");
        let (_, input) =
            add(&[&enode, "--roles", "regular,boot", "--host-provider", "64512"]).inputs().unwrap().remove(0);
        assert_eq!((input.roles, input.hostProvider), (5, 64_512));
        assert_eq!((&input.publicKey[..], &input.endpoints[..]), (&id.0[..], &b"10.0.0.7:30303"[..]));
        let (_, input) =
            add(&[&id.to_string(), "--endpoint", "a:1", "--endpoint", "b:2"]).inputs().unwrap().remove(0);
        assert_eq!((input.roles, &input.endpoints[..]), (1, &b"a:1,b:2"[..]));
        assert!(
            add(&[&enode, "--roles", "validator"]).inputs().unwrap_err().to_string().contains("candidacy")
        );
        assert!(add(&[&enode, "--endpoint", "nowhere"]).inputs().is_err());
        assert!(add(&["/no/such/file.json"]).inputs().unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn all_nodes_of_a_member_are_added_without_the_role_validator() {
        let node = |roles: Value| json!({ "key": NodeKey::generate().node_id().to_string(), "roles": roles });
        let member = json!({
            "taxId": "ESA12345674", "name": "Dos", "admins": [Address::repeat_byte(1)],
            "nodes": [node(json!(["validator"])), node(json!(["regular", "archive"]))],
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("member.json");
        std::fs::write(&file, member.to_string()).unwrap();
        let inputs = add(&[file.to_str().unwrap()]).inputs().unwrap();
        let roles: Vec<u16> = inputs.iter().map(|(_, input)| input.roles).collect();
        assert_eq!(roles, [1, 17]);
        assert!(inputs[0].0.contains("candidacy"));
    }

    #[test]
    fn endpoints_are_hosts_and_ports() {
        assert_eq!(join(&["a:1".into(), "[::1]:2".into()]).unwrap(), "a:1,[::1]:2");
        assert_eq!(join(&[]).unwrap(), "");
        for wrong in ["a", ":1", "a:b", "a,b:1", "a b:1", "a:99999"] {
            assert!(join(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(join(&vec!["host-with-a-name:30303".to_owned(); 20]).is_err());
    }
}
