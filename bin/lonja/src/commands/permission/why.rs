//! `lonja permission why`: a verdict in a few sentences, with the rule, the contract, and what to do next.

use super::look::Look;
use super::names::{MemberName, NodeName};
use super::outcome::printable;
use super::table::plain;
use crate::client::Endpoint;
use alloy_primitives::{Address, B256, Bytes};
use clap::Args;
use eyre::{Result, bail};
use serde_json::{Value, json};

/// Options of `lonja permission why`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lonja permission why enode://…@10.0.0.7:30303
  lonja permission why 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
  lonja permission why 0x…(hash of a transaction) --at 1200")]
pub struct WhyCommand {
    /// A node (enode://…, public key, key of its entry), an account (address), a transaction (hash, or signed in hex), or a
    /// member
    what: String,
    #[command(flatten)]
    look: Look,
}

/// What is asked about.
#[derive(Debug)]
enum Subject {
    Node(NodeName),
    Account(Address),
    Transaction(Value),
    Member(MemberName),
}

/// The sentences, and what they rest on.
#[derive(Debug, Default)]
struct Said {
    sentences: Vec<String>,
    next: Vec<String>,
    facts: Value,
}

impl WhyCommand {
    /// Asks and tells.
    pub async fn run(self) -> Result<()> {
        let endpoint = self.look.endpoint();
        let said = match find(&endpoint, &self.what).await? {
            Subject::Node(node) => about_node(&self.look, &node).await?,
            Subject::Account(address) => about_account(&self.look, address).await?,
            Subject::Transaction(tx) => about_transaction(&self.look, tx).await?,
            Subject::Member(member) => about_member(&self.look, &member).await?,
        };
        if self.look.json {
            println!("{:#}", json!({ "sentences": said.sentences, "next": said.next, "facts": said.facts }));
            return Ok(());
        }
        said.sentences.iter().for_each(|sentence| println!("{sentence}"));
        said.next.iter().for_each(|next| println!("next: {next}"));
        Ok(())
    }
}

/// What the text names; 64 digits may be three things, of which the node knows one.
async fn find(endpoint: &Endpoint, text: &str) -> Result<Subject> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    match digits.len() {
        _ if text.starts_with("enode://") => return node(text),
        40 if is_hex => return Ok(Subject::Account(digits.parse()?)),
        128 if is_hex && !text.starts_with("0x") => return node(text),
        64 if is_hex => return by_hash(endpoint, digits.parse()?).await,
        // A signed transaction is longer than a public key: two words of signature, and what it says.
        length if is_hex && length > 128 => {
            let raw: Bytes = digits.parse()?;
            return Ok(Subject::Transaction(json!(raw)));
        }
        128 if is_hex => return node(text),
        _ => {}
    }
    match text.parse() {
        Ok(member) => Ok(Subject::Member(member)),
        Err(_) => bail!("{text:.60}: a node, an address, a transaction or a member is expected (see --help)"),
    }
}

fn node(text: &str) -> Result<Subject> {
    match text.parse() {
        Ok(name) => Ok(Subject::Node(name)),
        Err(reason) => bail!("{reason}"),
    }
}

async fn by_hash(endpoint: &Endpoint, hash: B256) -> Result<Subject> {
    if !endpoint.call("eth_getTransactionByHash", json!([hash])).await?.is_null() {
        return Ok(Subject::Transaction(json!(hash)));
    }
    // Networks without a registry know transactions only.
    if let Ok(node) = endpoint.ask("lonja_getNode", json!([hash])).await?
        && !node.is_null()
    {
        return Ok(Subject::Node(NodeName::Key(hash)));
    }
    if let Ok(member) = endpoint.ask("lonja_getMember", json!([hash])).await?
        && !member.is_null()
    {
        return Ok(Subject::Member(MemberName::Id(hash)));
    }
    bail!("{hash} is no transaction, node or member that this node knows")
}

/// The end of a sentence about a verdict: by which rule and contract, at which block.
fn by_rule(verdict: &Value) -> String {
    let block = format!("in the block after {}", verdict["block"]);
    match (verdict["rule"].as_str(), verdict["contract"].as_str()) {
        (Some(rule), Some(contract)) => format!("rule {rule}, contract {contract}, {block}"),
        (None, Some(contract)) => format!("contract {contract}, {block}"),
        _ => format!("no contract decides, {block}"),
    }
}

fn reason(verdict: &Value) -> String {
    printable(verdict["reason"].as_str().unwrap_or("it does not say why"))
}

/// The registry's entry, where there is one; nothing on networks without a registry.
async fn entry(look: &Look, method: &str, name: Value) -> Result<Option<Value>> {
    let answer = look.endpoint().ask(method, json!([name, look.block()])).await?;
    Ok(answer.ok().filter(|entry| !entry.is_null()))
}

async fn about_node(look: &Look, name: &NodeName) -> Result<Said> {
    let verdict = look.ask("lonja_connectionPermitted", vec![name.asked()]).await?;
    let node = entry(look, "lonja_getNode", name.asked()).await?;
    let member = match &node {
        Some(node) => entry(look, "lonja_getMember", node["member"].clone()).await?,
        None => None,
    };
    let has_registry = look.endpoint().ask("lonja_getCouncil", json!([look.block()])).await?.is_ok();
    let mut said = told_of_node(&verdict, node.as_ref(), member.as_ref(), has_registry);
    said.facts = json!({ "verdict": verdict, "node": node, "member": member });
    Ok(said)
}

fn told_of_node(verdict: &Value, node: Option<&Value>, member: Option<&Value>, has_registry: bool) -> Said {
    let mut said = Said::default();
    if verdict["needsAddress"] == true {
        said.sentences
            .push(format!("Whether the node may connect depends on its address ({}).", by_rule(verdict)));
        said.next
            .push("ask again with its whole address: lonja permission why enode://KEY@HOST:PORT".to_owned());
        return said;
    }
    said.sentences.push(match verdict["allowed"] == true {
        true => format!("The node may connect ({}).", by_rule(verdict)),
        false => format!("The node may not connect: {} ({}).", reason(verdict), by_rule(verdict)),
    });
    if let Some(node) = node {
        let owner = member.map_or_else(|| plain(&node["member"]), |member| plain(&member["identity"]));
        let status = plain(&node["status"]);
        said.sentences
            .push(format!("The registry has it as {status}, {}, of {owner}.", plain(&node["roles"])));
    }
    if verdict["allowed"] != true {
        said.next = node_steps(verdict, node, member, has_registry);
    } else if verdict["contract"].is_string() {
        said.next.push("if it does not connect all the same, lonja doctor at that node tells why".to_owned());
    }
    said
}

fn node_steps(
    verdict: &Value,
    node: Option<&Value>,
    member: Option<&Value>,
    has_registry: bool,
) -> Vec<String> {
    let Some(node) = node else {
        let key = plain(&verdict["node"]).trim_start_matches("0x").to_owned();
        return vec![match has_registry {
            true => format!(
                "an admin of its member adds it: lonja permission node add enode://{key}@HOST:PORT --key FILE"
            ),
            false => format!("whoever governs the contract {} has to permit it", plain(&verdict["contract"])),
        }];
    };
    let key = plain(&node["key"]);
    let step = match node["status"].as_str() {
        Some("deactivated") => {
            format!("an admin of its member activates it: lonja permission node activate {key} --key FILE")
        }
        Some("suspended") => {
            format!("members vote on lifting it: lonja permission node lift {key} --key FILE")
        }
        Some("revoked") => {
            "a revoked key never comes back: give the node a new one (lonja key new) and let an admin of its \
                            member add that"
                .to_owned()
        }
        _ => match member.filter(|member| member["permitted"] != true) {
            Some(member) => member_step(member),
            None if node["expires"].as_u64().is_some_and(|block| block > 0) => {
                "its permission ran out: give the node a new key, and let an admin of its member add that"
                    .to_owned()
            }
            None => format!(
                "wait for block {}, or let members vote: lonja permission node lift {key}",
                node["suspendedUntil"]
            ),
        },
    };
    vec![step]
}

fn member_step(member: &Value) -> String {
    let id = plain(&member["id"]);
    match member["status"].as_str() {
        Some("suspended") => {
            format!("members vote on lifting it: lonja permission member lift {id} --key FILE")
        }
        Some("expelled") => "the member is expelled for good".to_owned(),
        Some("withdrawn") => {
            "the member has left; members vote on admitting it again: lonja permission member admit"
                .to_owned()
        }
        _ => format!("the member is under an emergency suspension until block {}", member["suspendedUntil"]),
    }
}

/// What an account might do, each asked by an example.
const PROBES: [(&str, &str); 3] = [("transfer", "0x"), ("call", "0x00"), ("deploy", "0x00")];
/// Whom the examples are sent to.
const PROBE_TARGET: Address = Address::repeat_byte(0xee);

async fn about_account(look: &Look, address: Address) -> Result<Said> {
    let mut verdicts = Vec::new();
    for (name, data) in PROBES {
        let to = (name != "deploy").then_some(PROBE_TARGET);
        let tx = json!({ "from": address, "to": to, "data": data });
        verdicts.push((name, look.ask("lonja_transactionPermitted", vec![tx]).await?));
    }
    let account = entry(look, "lonja_getAccountPermission", json!(address)).await?;
    let member = match &account {
        Some(account) if account["member"].is_string() => {
            entry(look, "lonja_getMember", account["member"].clone()).await?
        }
        _ => None,
    };
    let mut said = told_of_account(address, &verdicts, account.as_ref(), member.as_ref());
    let verdicts: serde_json::Map<_, _> =
        verdicts.into_iter().map(|(name, one)| (name.to_owned(), one)).collect();
    said.facts = json!({ "verdicts": verdicts, "account": account, "member": member });
    Ok(said)
}

fn told_of_account(
    address: Address,
    verdicts: &[(&str, Value)],
    account: Option<&Value>,
    member: Option<&Value>,
) -> Said {
    let mut said = Said::default();
    let (may, may_not): (Vec<_>, Vec<_>) =
        verdicts.iter().partition(|(_, verdict)| verdict["allowed"] == true);
    let names = |list: &[&(&str, Value)]| list.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if let Some((_, verdict)) = may.first() {
        said.sentences.push(format!("{address} may: {} ({}).", names(&may), by_rule(verdict)));
    }
    if let Some((_, verdict)) = may_not.first() {
        let text = format!("It may not: {}: {} ({}).", names(&may_not), reason(verdict), by_rule(verdict));
        said.sentences.push(if may.is_empty() { text.replacen("It", &address.to_string(), 1) } else { text });
    }
    if let Some((_, verdict)) = verdicts.first()
        && let Some(gas) = verdict["gasAvailable"].as_u64()
    {
        let more = &verdict["gasPerBlock"];
        said.sentences.push(format!("Its member has {gas} gas left, and gets {more} more with every block."));
    }
    let Some(account) = account else {
        if let Some((_, verdict)) = may_not.first() {
            said.next.push(format!(
                "whoever governs the contract {} has to permit it",
                plain(&verdict["contract"])
            ));
        }
        return said;
    };
    if account["adminOf"].is_string() {
        let text =
            "It is an admin of a member and may call the registry's contracts, whatever its own entry says.";
        said.sentences.push(text.to_owned());
    }
    if !may_not.is_empty() {
        said.next.push(account_step(address, account, member));
    }
    said
}

fn account_step(address: Address, account: &Value, member: Option<&Value>) -> String {
    if account["frozen"] == true {
        let order = plain(&account["freeze"]["orderHash"]);
        return format!(
            "the supervisor who froze it may end that: lonja permission supervision unfreeze {address} --order {order} --key FILE"
        );
    }
    match member {
        Some(member) if member["permitted"] != true => member_step(member),
        Some(_) => format!(
            "an admin of its member says what it may do: lonja permission account set {address} --access \
             transfer,call,deploy --key FILE"
        ),
        None => format!("an admin of a member permits it: lonja permission account set {address} --key FILE"),
    }
}

async fn about_transaction(look: &Look, tx: Value) -> Result<Said> {
    let mut params = vec![tx];
    // Without a block one that is mined is judged as its block was.
    params.extend(look.at.as_ref().map(|_| look.block()));
    let verdict = look.endpoint().call("lonja_transactionPermitted", Value::Array(params)).await?;
    let sender: Address = serde_json::from_value(verdict["sender"].clone())?;
    let account = entry(look, "lonja_getAccountPermission", json!(sender)).await?;
    let member = match &account {
        Some(account) if account["member"].is_string() => {
            entry(look, "lonja_getMember", account["member"].clone()).await?
        }
        _ => None,
    };
    let mut said = told_of_transaction(&verdict, sender, account.as_ref(), member.as_ref());
    said.facts = json!({ "verdict": verdict, "account": account, "member": member });
    Ok(said)
}

fn told_of_transaction(
    verdict: &Value,
    sender: Address,
    account: Option<&Value>,
    member: Option<&Value>,
) -> Said {
    let mut said = Said::default();
    let place = match verdict["minedIn"].as_u64() {
        Some(block) => format!("It is in block {block}."),
        None if verdict["hash"].is_string() => "It is in no block.".to_owned(),
        None => String::new(),
    };
    said.sentences.push(match verdict["allowed"] == true {
        true => format!("The transaction of {sender} is permitted ({}). {place}", by_rule(verdict)),
        false => format!(
            "The transaction of {sender} is not permitted: {} ({}). {place}",
            reason(verdict),
            by_rule(verdict)
        ),
    });
    if let Some(gas) = verdict["gasAvailable"].as_u64() {
        let more = &verdict["gasPerBlock"];
        said.sentences
            .push(format!("The sender's member has {gas} gas left, and gets {more} more with every block."));
    }
    match (verdict["allowed"] == true, verdict["rule"].as_str()) {
        (true, _) if verdict["minedIn"].is_null() && verdict["hash"].is_string() => {
            said.next.push(match verdict["waiting"] {
                Value::Bool(true) => {
                    "it waits in the node's pool: a nonce before it may be missing (txpool_content)"
                        .to_owned()
                }
                _ => "the node does not have it: lonja permission send sends one that is signed".to_owned(),
            })
        }
        (false, Some("quotas")) => {
            said.next
                .push("send it again when the member has gas enough, or with a lower gas limit".to_owned());
        }
        (false, _) => said.next.push(match account {
            Some(account) => account_step(sender, account, member),
            None => format!("whoever governs the contract {} has to permit it", plain(&verdict["contract"])),
        }),
        _ => {}
    }
    said
}

async fn about_member(look: &Look, name: &MemberName) -> Result<Said> {
    let Some(member) = entry(look, "lonja_getMember", name.asked()).await? else {
        bail!("the registry has no such member");
    };
    let mut said = Said::default();
    let identity = plain(&member["identity"]);
    let block = &member["block"];
    if member["permitted"] == true {
        said.sentences.push(format!("{identity} is an active member (registry, after block {block})."));
    } else {
        let status = match plain(&member["status"]) {
            active if active == "active" => "under an emergency suspension".to_owned(),
            other => other,
        };
        said.sentences.push(format!(
            "{identity} is {status}: its nodes may not connect, its accounts not transact (registry, after block {block})."
        ));
        said.next.push(member_step(&member));
    }
    said.facts = json!({ "member": member });
    Ok(said)
}

#[cfg(test)]
mod tests;
