//! The organisations of a devnet that governs itself, and one that is to be admitted.

use super::accounts::ACCOUNTS;
use super::{DevNode, Role, members, own_command};
use crate::commands::genesis::registry as contracts;
use crate::files;
use alloy_primitives::{Address, address};
use eyre::{Context, Result, eyre};
use lonja_permissioning::registry::plan::Plan;
use lonja_primitives::NodeKey;
use lonja_primitives::genesis::NewNetwork;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The plan that the genesis file was made of, for whoever wants to look at one.
pub const PLAN: &str = "registry.json";
/// Folder of the admins' keys.
pub const KEYS: &str = "keys";
/// Folder of a node that the network does not permit yet.
pub const OUTSIDER: &str = "outsider";
/// What admits the outsider's organisation.
const OUTSIDER_MEMBER: &str = "member.json";
/// The key of the outsider's admin, in its folder.
const OUTSIDER_KEY: &str = "admin.key";

/// Who founds the network; one validator each.
struct Organisation {
    name: &'static str,
    /// Name and value of its id.
    id: (&'static str, &'static str),
    kind: &'static str,
    sector: u16,
    region: u16,
}

/// As many as there are validators.
pub const ORGANISATIONS: u16 = FOUNDERS.len() as u16;

const FOUNDERS: [Organisation; 4] = [
    Organisation {
        name: "Astilleros Norte",
        id: ("lei", "9598000ASTILLEROS040"),
        kind: "ordinary",
        sector: 30,
        region: 3,
    },
    Organisation {
        name: "Banca Levante",
        id: ("lei", "9598000BANCALEVA0T48"),
        kind: "ordinary",
        sector: 64,
        region: 10,
    },
    Organisation {
        name: "Energía Sur",
        id: ("lei", "9598000ENERGIASUR017"),
        kind: "ordinary",
        sector: 35,
        region: 1,
    },
    Organisation {
        name: "Universidad Centro",
        id: ("did", "did:web:universidad-centro.example"),
        kind: "research",
        sector: 85,
        region: 13,
    },
];

const NEWCOMER: Organisation = Organisation {
    name: "Cooperativa Oeste",
    id: ("lei", "9598000COOPOESTE0041"),
    kind: "ordinary",
    sector: 1,
    region: 11,
};

/// The account after the ten of every devnet, by the same phrase.
const NEWCOMER_ADMIN: (Address, &str) = (
    address!("Bcd4042DE499D14e55001CcbB24a551F3b954096"),
    "f214f2b2cd398c806f84e317254e0f0b801d0643303237d97a22a48e01628897",
);

/// The founders' admins come first among the accounts, then a further account for each, then the council.
const COUNCIL: std::ops::Range<usize> = 8..10;

impl Organisation {
    /// The name as a file's.
    fn key_name(&self) -> String {
        let plain = self.name.to_lowercase().replace('í', "i");
        format!("{}.key", plain.replace(' ', "-"))
    }

    fn member(&self, admin: Address, nodes: Vec<Value>, accounts: Vec<Value>) -> Value {
        let mut member = json!({
            "name": self.name,
            "kind": self.kind,
            "sector": self.sector,
            "region": self.region,
            "group": format!("{} group", self.name),
            "admins": [admin],
            "nodes": nodes,
            "accounts": accounts,
        });
        member[self.id.0] = self.id.1.into();
        member
    }
}

/// The accounts of a founder, its admin's first.
fn accounts_of(place: usize) -> [(Address, &'static str); 2] {
    [ACCOUNTS[place], ACCOUNTS[place + FOUNDERS.len()]]
}

/// Where the outsider is found when it runs.
#[derive(Clone, Copy)]
pub struct OutsiderPorts {
    pub p2p: u16,
    pub rpc: u16,
    pub metrics: u16,
}

/// A node as the registry has it. Everything runs on one machine, and yet each organisation has a provider of its own (by
/// numbers that nobody has in public): caps are there to be tried.
fn node(member: &DevNode, place: usize) -> Value {
    let roles = if member.seat.role.validates() { ["regular", "validator"].as_slice() } else { &["regular"] };
    json!({
        "key": enode(&member.id.to_string(), member.seat.p2p_port),
        "roles": roles,
        "hostProvider": 64512 + place,
    })
}

fn enode(id: &str, port: u16) -> String {
    format!("enode://{id}@127.0.0.1:{port}")
}

/// Times short enough to see everything happen, and limits that let a suspension happen among four.
fn policy() -> Value {
    json!({
        "selection": { "n": 4, "nMin": 1, "epochLength": 20, "freezeLength": 4, "term": 0 },
        "sla": {
            "window": 100, "warnBps": 1000, "suspendBps": 5000, "minOwnSlots": 10, "consecutiveMisses": 5,
            "jailLength": 20, "strikeDecay": 1000, "heartbeats": 1, "heartbeatInterval": 5,
        },
        "votes": { "votingLength": 600, "executionLength": 600, "confirmationLength": 600 },
        "limits": { "emergencyLength": 120, "freezeLength": 600 },
    })
}

/// Whose a node is that does not validate: the regular one is the first organisation's, members are the others'.
fn organisation_of(role: Role) -> usize {
    role.member().map_or(0, |number| usize::from(number) % FOUNDERS.len())
}

/// The plan of a devnet.
fn plan(members: &[DevNode]) -> Value {
    let (validators, regular): (Vec<&DevNode>, Vec<&DevNode>) =
        members.iter().partition(|one| one.seat.role.validates());
    let organisations = FOUNDERS.iter().enumerate().map(|(place, organisation)| {
        let mut own: Vec<&DevNode> = validators.iter().skip(place).step_by(FOUNDERS.len()).copied().collect();
        let regular = || regular.iter().copied().filter(|node| organisation_of(node.seat.role) == place);
        own.extend(regular());
        let nodes = own.into_iter().map(|member| node(member, place)).collect();
        let [admin, second] = accounts_of(place).map(|(address, _)| address);
        let mut accounts = vec![admin, second];
        accounts.extend(regular().filter_map(|node| members::account(node.seat.role.member()?)));
        let accounts: Vec<Value> = accounts.iter().map(|address| json!({ "address": address })).collect();
        organisation.member(admin, nodes, accounts)
    });
    let council: Vec<Address> = ACCOUNTS[COUNCIL].iter().map(|(key, _)| *key).collect();
    json!({ "members": organisations.collect::<Vec<_>>(), "council": council, "policy": policy() })
}

/// Puts the organisations into a new network, and their plan beside the genesis file.
pub fn add(network: &mut NewNetwork, dir: &Path, members: &[DevNode]) -> Result<()> {
    let text = pretty(&plan(members))?;
    let plan = Plan::from_json(&text).map_err(|error| eyre!("{error}"))?;
    contracts::add_plan(network, &plan)?;
    write(&dir.join(PLAN), &text)
}

/// Puts the admins' keys into files, and prepares the outsider.
pub fn prepare(dir: &Path, members: &[DevNode], ports: OutsiderPorts) -> Result<()> {
    let keys = dir.join(KEYS);
    for (place, organisation) in FOUNDERS.iter().enumerate() {
        let [(_, key), _] = accounts_of(place);
        keep_key(&keys.join(organisation.key_name()), key)?;
    }
    for (place, (_, key)) in ACCOUNTS[COUNCIL].iter().enumerate() {
        keep_key(&keys.join(council_key_name(place)), key)?;
    }
    let folder = dir.join(OUTSIDER);
    let (key, _) = files::read_or_make_key(&folder.join(files::NODE_KEY))?;
    keep_key(&folder.join(OUTSIDER_KEY), NEWCOMER_ADMIN.1)?;
    let (text, genesis) = files::read_genesis(&dir.join(files::GENESIS))?;
    files::install_genesis(&folder, &text, &genesis)?;
    write(&folder.join(files::CONFIG), &outsider_settings(members, ports))?;
    let own = json!({ "key": enode(&key.node_id().to_string(), ports.p2p), "roles": ["regular"], "hostProvider": 64999 });
    let admin = NEWCOMER_ADMIN.0;
    let member = NEWCOMER.member(admin, vec![own], vec![json!({ "address": admin })]);
    write(&folder.join(OUTSIDER_MEMBER), &pretty(&member)?)
}

fn council_key_name(place: usize) -> String {
    format!("council-{}.key", place + 1)
}

/// The settings of a node that is not started by the devnet: it wants to connect to all of its nodes.
fn outsider_settings(members: &[DevNode], ports: OutsiderPorts) -> String {
    let OutsiderPorts { p2p, rpc, metrics } = ports;
    let peers = members
        .iter()
        .map(|member| format!("  {:?},\n", enode(&member.id.to_string(), member.seat.p2p_port)));
    let peers: String = peers.collect();
    format!(
        "identity = \"{OUTSIDER}\"\nvalidator = false\np2p-addr = \"127.0.0.1\"\np2p-port = {p2p}\nhttp-port = {rpc}\n\
         ws-port = 0\nmetrics-port = {metrics}\npeers = [\n{peers}]\n"
    )
}

/// A public key of everybody's test phrase, as a file that tools read.
fn keep_key(path: &Path, key: &str) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let key = NodeKey::from_hex(key).map_err(|error| eyre!("{error}"))?;
    files::write_key(path, &key)
}

fn pretty(value: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).wrap_err_with(|| format!("cannot make {}", folder.display()))?;
    }
    lonja_node::rules::write_file(path, text).map_err(|error| eyre!("{error}"))
}

/// Who is who.
pub fn print_organisations(dir: &Path, members: &[DevNode]) {
    let keys = dir.join(KEYS);
    println!("  each organisation has an admin and a further account, both with full access");
    for (place, organisation) in FOUNDERS.iter().enumerate() {
        let own = members.iter().enumerate().filter(|(number, member)| match member.seat.role {
            Role::Validator => number % FOUNDERS.len() == place,
            role => organisation_of(role) == place,
        });
        let nodes: Vec<&str> = own.map(|(_, member)| member.seat.name.as_str()).collect();
        println!(
            "  {:<20} {:<18} key {}",
            organisation.name,
            nodes.join(", "),
            keys.join(organisation.key_name()).display()
        );
        for (what, (address, key)) in ["admin", "account"].into_iter().zip(accounts_of(place)) {
            println!("    {what:<8} {address}  0x{key}");
        }
    }
    println!("  council");
    for (place, (address, key)) in ACCOUNTS[COUNCIL].iter().enumerate() {
        println!("    {address}  0x{key}  {}", keys.join(council_key_name(place)).display());
    }
}

/// What to try with the registry: reads, and the way of the outsider into the network.
pub fn print_hints(dir: &Path, rpc: u16) {
    let permission = format!("{} permission", own_command());
    let rpc = format!("--rpc http://127.0.0.1:{rpc}");
    let outsider = dir.join(OUTSIDER);
    let member = outsider.join(OUTSIDER_MEMBER);
    let [first, second, third] =
        [0, 1, 2].map(|place: usize| dir.join(KEYS).join(FOUNDERS[place].key_name()));
    println!("      {permission} member list {rpc}");
    println!("      {permission} why {} {rpc}", NEWCOMER_ADMIN.0);
    println!(
        "\nThe organisation {} is not in the registry, and the others refuse its node. Start that with",
        NEWCOMER.name
    );
    println!("      {} node --data-dir {}", own_command(), outsider.display());
    println!(
        "propose to admit the organisation; more than half of the four must be for it, so two more vote:"
    );
    println!("      {permission} member admit {} --key {} {rpc}", member.display(), first.display());
    println!("      {permission} proposal vote 1 --for --key {} {rpc}", second.display());
    println!("      {permission} proposal vote 1 --for --key {} {rpc}", third.display());
    println!("      {permission} proposal execute 1 --key {} {rpc}", first.display());
    println!("and let its own admin ({}) add the node, which then connects:", NEWCOMER_ADMIN.0);
    let key = outsider.join(OUTSIDER_KEY);
    println!("      {permission} node add {} --key {} {rpc}", member.display(), key.display());
}

#[cfg(test)]
mod tests;
