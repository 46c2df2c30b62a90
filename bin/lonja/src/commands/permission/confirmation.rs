//! `lonja permission confirmation`.

use super::act::{Act, Call, quantity};
use super::describe;
use super::look::Look;
use super::names::MemberName;
use super::table::{plain, short, table};
use crate::client::Endpoint;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolEvent, SolInterface};
use clap::Subcommand;
use eyre::{Result, bail, eyre};
use lonja_permissioning::registry::abi::{
    GOVERNANCE, Governance, PARTIES, Parties, Proposal, REGISTRY, Registry, SUPERVISION, Supervision,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Acts that wait for more admins.
#[derive(Debug, Subcommand)]
pub enum ConfirmationCommand {
    /// List the acts that wait for more of a member's admins
    List {
        /// Of this member only
        #[arg(long)]
        member: Option<MemberName>,
        /// How many blocks back to look [default: as long as confirmations count, 100000 at most]
        #[arg(long)]
        blocks: Option<u64>,
        #[command(flatten)]
        look: Look,
    },
    /// Agree to an act that another admin of one's member began: sends the same call
    Give {
        /// Hash of the call (confirmation list), or of the other admin's transaction
        call: B256,
        #[command(flatten)]
        act: Act,
    },
    /// Take one's own confirmation of a call back
    Withdraw {
        /// Hash of the call
        call: B256,
        #[command(flatten)]
        act: Act,
    },
}

/// Blocks looked at for one question: below what nodes allow at once.
const RANGE: u64 = 9_000;
/// Blocks looked at in all when not said otherwise.
const BLOCKS: u64 = 100_000;

/// A call that some admins have sent.
struct Pending {
    member: B256,
    call: B256,
    target: Address,
    have: U256,
    need: U256,
    transaction: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    topics: Vec<B256>,
    data: Bytes,
    transaction_hash: B256,
}

impl ConfirmationCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List { member, blocks, look } => list(member, blocks, &look).await,
            Self::Give { call, act } => {
                let endpoint = act.need_endpoint("what the other admin sent is read from the chain")?;
                let (to, data) = find(&endpoint, call).await?;
                act.run(Call::raw(to, data.clone(), format!("agree to: {}", words(to, &data)))).await
            }
            Self::Withdraw { call, act } => {
                let endpoint = act.need_endpoint("what the call was sent to is read from the chain")?;
                let (target, data) = find(&endpoint, call).await?;
                let what = format!("take the confirmation back of: {}", words(target, &data));
                let hash = alloy_primitives::keccak256(&data);
                let call = Registry::withdrawConfirmationCall { target, callHash: hash };
                act.run(Call::new(REGISTRY, &call, what)).await
            }
        }
    }
}

/// Target and bytes of a call that an admin sent, by the hash of the call or of the transaction.
async fn find(endpoint: &Endpoint, hash: B256) -> Result<(Address, Bytes)> {
    let tx = endpoint.call("eth_getTransactionByHash", json!([hash])).await?;
    if !tx.is_null() {
        return call_of(&tx);
    }
    let logs = confirmed(endpoint, json!([Registry::Confirmed::SIGNATURE_HASH, null, hash]), BLOCKS).await?;
    let log = logs.last().ok_or_else(|| eyre!("no admin sent a call {hash} in the last {BLOCKS} blocks"))?;
    call_of(&endpoint.call("eth_getTransactionByHash", json!([log.transaction_hash])).await?)
}

fn call_of(tx: &Value) -> Result<(Address, Bytes)> {
    let to: Option<Address> = serde_json::from_value(tx["to"].clone())?;
    let to = to.filter(|to| [REGISTRY, GOVERNANCE, SUPERVISION, PARTIES].contains(to));
    let to = to.ok_or_else(|| eyre!("this transaction is no act of a member"))?;
    Ok((to, serde_json::from_value(tx["input"].clone())?))
}

/// Logs of confirmations in the last blocks, the oldest first.
async fn confirmed(endpoint: &Endpoint, topics: Value, blocks: u64) -> Result<Vec<Log>> {
    let head = u64::try_from(quantity(&endpoint.call("eth_blockNumber", json!([])).await?)?)?;
    let (mut from, mut logs) = (head.saturating_sub(blocks), Vec::new());
    while from <= head {
        let to = from.saturating_add(RANGE - 1).min(head);
        let filter = json!({
            "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"), "address": REGISTRY, "topics": topics,
        });
        let part: Vec<Log> = serde_json::from_value(endpoint.call("eth_getLogs", json!([filter])).await?)?;
        logs.extend(part);
        from = to.saturating_add(1);
    }
    Ok(logs)
}

async fn list(member: Option<MemberName>, blocks: Option<u64>, look: &Look) -> Result<()> {
    let endpoint = look.endpoint();
    if look.at.is_some() {
        bail!("--at does not go here: what waits now is listed");
    }
    let member = match member {
        Some(member) => Some(member.id(Some(&endpoint)).await?),
        None => None,
    };
    let policy = endpoint.call("lonja_getPolicy", json!([])).await?;
    let life = policy["policy"]["votes"]["confirmationLength"].as_u64().unwrap_or(BLOCKS);
    let topics = json!([Registry::Confirmed::SIGNATURE_HASH, member]);
    let logs = confirmed(&endpoint, topics, blocks.unwrap_or(life.min(BLOCKS))).await?;
    let mut waiting = Vec::new();
    for pending in newest_of_each(logs)? {
        if let Some(since) = still_waits(&endpoint, &pending).await? {
            let tx = endpoint.call("eth_getTransactionByHash", json!([pending.transaction])).await?;
            let what = call_of(&tx).map_or_else(|error| error.to_string(), |(to, data)| words(to, &data));
            waiting.push(json!({
                "member": pending.member,
                "call": pending.call,
                "have": u64::try_from(pending.have).unwrap_or(u64::MAX),
                "need": u64::try_from(pending.need).unwrap_or(u64::MAX),
                "until": since.saturating_add(life),
                "what": what,
            }));
        }
    }
    match look.json {
        true => println!("{:#}", Value::Array(waiting)),
        false => print!("{}", waiting_table(&waiting)),
    }
    Ok(())
}

/// The last word on each call of each member.
fn newest_of_each(logs: Vec<Log>) -> Result<Vec<Pending>> {
    let mut all: Vec<Pending> = Vec::new();
    for log in logs {
        let event = Registry::Confirmed::decode_raw_log(log.topics, &log.data)?;
        all.retain(|one| (one.member, one.call) != (event.memberId, event.callHash));
        all.push(Pending {
            member: event.memberId,
            call: event.callHash,
            target: event.target,
            have: event.have,
            need: event.need,
            transaction: log.transaction_hash,
        });
    }
    all.retain(|one| one.have < one.need);
    Ok(all)
}

/// The block of the first confirmation that counts; `None` where none does any more.
async fn still_waits(endpoint: &Endpoint, pending: &Pending) -> Result<Option<u64>> {
    let Pending { member, target, call, .. } = *pending;
    let question = Registry::confirmationCall { memberId: member, target, callHash: call }.abi_encode();
    let request = json!({ "to": REGISTRY, "data": Bytes::from(question) });
    let answer: Bytes = serde_json::from_value(endpoint.call("eth_call", json!([request, "latest"])).await?)?;
    let answer = Registry::confirmationCall::abi_decode_returns(&answer)?;
    Ok(Some(answer.since).filter(|_| !answer.admins.is_zero()))
}

/// A call in words: the function, and of a proposal what is proposed.
fn words(to: Address, data: &[u8]) -> String {
    if let Ok(call) = Governance::proposeCall::abi_decode(data)
        && to == GOVERNANCE
    {
        return match Proposal::decode(call.kind, &call.payload) {
            Ok(proposal) => {
                let about = describe::lines(&proposal, None).into_iter().next();
                let about = about.map(|(name, value)| format!(", {name} {value}")).unwrap_or_default();
                format!("propose {}{about}", proposal.kind())
            }
            Err(error) => format!("propose something that does not decode: {error}"),
        };
    }
    let selector: [u8; 4] = match data.first_chunk() {
        Some(selector) => *selector,
        None => return "an empty call".to_owned(),
    };
    let name = match to {
        REGISTRY => Registry::RegistryCalls::name_by_selector(selector),
        GOVERNANCE => Governance::GovernanceCalls::name_by_selector(selector),
        SUPERVISION => Supervision::SupervisionCalls::name_by_selector(selector),
        PARTIES => Parties::PartiesCalls::name_by_selector(selector),
        _ => None,
    };
    match (name, vote(to, data)) {
        (_, Some(vote)) => vote,
        (Some(name), None) => name.to_owned(),
        (None, None) => {
            format!("a call that this version does not know ({})", Bytes::copy_from_slice(&selector))
        }
    }
}

fn vote(to: Address, data: &[u8]) -> Option<String> {
    let Governance::GovernanceCalls::vote(call) = Governance::GovernanceCalls::abi_decode(data).ok()? else {
        return None;
    };
    let word = if call.support { "for" } else { "against" };
    (to == GOVERNANCE).then(|| format!("vote {word} proposal {}", call.id))
}

fn waiting_table(waiting: &[Value]) -> String {
    let line = |one: &Value| {
        vec![
            short(&one["member"]),
            format!("{} of {}", one["have"], one["need"]),
            format!("block {}", one["until"]),
            plain(&one["what"]),
            plain(&one["call"]),
        ]
    };
    let lines: Vec<_> = waiting.iter().map(line).collect();
    table(&["MEMBER", "AGREE", "UNTIL", "WHAT", "CALL"], &lines, "no act waits for more admins")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(call: u8, have: u64, need: u64) -> Log {
        let event = Registry::Confirmed {
            memberId: B256::repeat_byte(1),
            callHash: B256::repeat_byte(call),
            admin: Address::ZERO,
            target: REGISTRY,
            have: U256::from(have),
            need: U256::from(need),
        };
        let data = event.encode_log_data();
        Log {
            topics: data.topics().to_vec(),
            data: data.data,
            transaction_hash: B256::repeat_byte(have as u8),
        }
    }

    #[test]
    fn the_last_word_on_a_call_counts() {
        let waiting = newest_of_each(vec![log(1, 1, 3), log(2, 1, 2), log(1, 2, 3), log(2, 2, 2)]).unwrap();
        assert_eq!(waiting.len(), 1);
        assert_eq!((waiting[0].call, waiting[0].have), (B256::repeat_byte(1), U256::from(2)));
    }

    #[test]
    fn calls_are_told_in_words() {
        let id = B256::repeat_byte(3);
        let proposal = Proposal::SuspendMember { member: id, reason: B256::ZERO };
        let call = Governance::proposeCall { kind: 2, payload: proposal.payload() }.abi_encode();
        assert_eq!(words(GOVERNANCE, &call), format!("propose suspend-member, member {id}"));
        let call = Governance::voteCall { id: U256::from(7), support: false }.abi_encode();
        assert_eq!(words(GOVERNANCE, &call), "vote against proposal 7");
        let call = Registry::withdrawMemberCall {}.abi_encode();
        assert_eq!(words(REGISTRY, &call), "withdrawMember");
        assert!(words(REGISTRY, &[1, 2, 3, 4]).contains("does not know"));
        assert_eq!(words(REGISTRY, &[]), "an empty call");
    }

    #[test]
    fn only_acts_of_members_are_repeated() {
        let tx = |to: Value| call_of(&json!({ "to": to, "input": "0x01" }));
        assert!(tx(json!(REGISTRY)).is_ok());
        assert!(tx(json!(Address::ZERO)).is_err() && tx(Value::Null).is_err());
    }
}
