//! `lonja permission member`.

use super::act::{Act, Call};
use super::look::Look;
use super::names::{Hashed, MemberName};
use super::proposal::propose;
use super::table::{plain, sheet, short, table};
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use clap::{Args, Subcommand};
use eyre::{Context, Result, bail, eyre};
use lonja_permissioning::registry::abi::{MemberKind, MemberRecord, Proposal, REGISTRY, Registry};
use lonja_permissioning::registry::plan::MemberPlan;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Members.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// List all members
    List {
        #[command(flatten)]
        look: Look,
    },
    /// Show one member
    Show {
        /// Id, LEI, taxId:…, euid:…, did:…, or the address of an admin or account
        member: MemberName,
        #[command(flatten)]
        look: Look,
    },
    /// Propose to admit a member, described as in the plan of a new network (lonja genesis new --registry-example)
    Admit {
        /// JSON of the member; its nodes and accounts are added by its own admins once it is admitted
        file: PathBuf,
        #[command(flatten)]
        act: Act,
    },
    /// Propose to suspend a member: its nodes may not connect, its accounts not transact
    Suspend {
        /// The member
        member: MemberName,
        /// Reason, of which the hash goes on chain: a text, 0x and a hash, or @FILE
        #[arg(long)]
        reason: Option<Hashed>,
        #[command(flatten)]
        act: Act,
    },
    /// Propose to lift a member's suspension
    Lift {
        /// The member
        member: MemberName,
        /// Reason, of which the hash goes on chain: a text, 0x and a hash, or @FILE
        #[arg(long)]
        reason: Option<Hashed>,
        #[command(flatten)]
        act: Act,
    },
    /// Propose to expel a member for good
    Expel {
        /// The member
        member: MemberName,
        /// The member's statement after it was heard, of which the hash goes on chain: a text, 0x and a hash, or @FILE
        #[arg(long)]
        statement: Hashed,
        #[command(flatten)]
        act: Act,
    },
    /// Propose to change a member's record
    Change(Box<ChangeArgs>),
    /// Propose new admins for a member that lost its keys
    ReplaceAdmins {
        /// The member
        member: MemberName,
        #[command(flatten)]
        admins: AdminArgs,
        #[command(flatten)]
        act: Act,
    },
    /// Change the admins of one's own member
    RotateAdmins {
        #[command(flatten)]
        admins: AdminArgs,
        #[command(flatten)]
        act: Act,
    },
    /// Say on chain until when one's own member stays
    Notice {
        /// Height of the last block
        #[arg(long)]
        until: u64,
        #[command(flatten)]
        act: Act,
    },
    /// Take one's own member out of the network
    Leave {
        /// Needed, since only a vote brings a member back
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        act: Act,
    },
}

/// Options of `lonja permission member change`: what is left out stays.
#[derive(Args, Debug)]
pub struct ChangeArgs {
    /// The member
    member: MemberName,
    /// ordinary, public-body, research, supervisor, auditor or association
    #[arg(long)]
    kind: Option<MemberKind>,
    /// Whether it has a vote
    #[arg(long, value_name = "BOOL")]
    voting: Option<bool>,
    /// Class of its gas quota, 0 to 7
    #[arg(long)]
    quota_class: Option<u8>,
    /// Sector (first two digits of NACE)
    #[arg(long)]
    sector: Option<u16>,
    /// Region by the network's table
    #[arg(long)]
    region: Option<u16>,
    /// Control group: its name as other members of it say it, or 0x and its hash
    #[arg(long)]
    group: Option<Hashed>,
    /// Name: a text, or 0x and its hash
    #[arg(long)]
    name: Option<Hashed>,
    /// DID document: a text, 0x and a hash, or @FILE
    #[arg(long)]
    did_document: Option<Hashed>,
    /// Signed papers: a text, 0x and a hash, or @FILE
    #[arg(long)]
    documents: Option<Hashed>,
    #[command(flatten)]
    act: Act,
}

/// New admins.
#[derive(Args, Debug)]
pub struct AdminArgs {
    /// Address of an admin; may be repeated
    #[arg(long = "admin", required = true, value_name = "ADDRESS")]
    admins: Vec<Address>,
    /// How many of them must agree to an act [default: 1 for one admin]
    #[arg(long)]
    threshold: Option<u8>,
}

impl AdminArgs {
    fn threshold(&self) -> Result<u8> {
        match (self.threshold, self.admins.len()) {
            (Some(threshold), count) if threshold > 0 && usize::from(threshold) <= count => Ok(threshold),
            (None, 1) => Ok(1),
            (None, count) => bail!("--threshold: say how many of the {count} admins must agree to an act"),
            (Some(threshold), count) => {
                bail!("--threshold {threshold}: from 1 to {count}, the number of admins, is expected")
            }
        }
    }
}

impl MemberCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List { look } => list(&look).await,
            Self::Show { member, look } => show(&member, &look).await,
            Self::Admit { file, act } => {
                let plan = read_member(&file)?;
                if !act.is_json() && !act.only_prints() {
                    println!("{} has id {}", plan.name, plan.id);
                }
                propose(&act, Proposal::AdmitMember(plan.input), &format!("propose to admit {}", plan.name))
                    .await
            }
            Self::Suspend { member, reason, act } => {
                let (id, reason) = (member.id(act.endpoint().as_ref()).await?, hash(reason));
                propose(&act, Proposal::SuspendMember { member: id, reason }, "propose to suspend the member")
                    .await
            }
            Self::Lift { member, reason, act } => {
                let (id, reason) = (member.id(act.endpoint().as_ref()).await?, hash(reason));
                let what = "propose to lift the member's suspension";
                propose(&act, Proposal::LiftMember { member: id, reason }, what).await
            }
            Self::Expel { member, statement, act } => {
                let id = member.id(act.endpoint().as_ref()).await?;
                let proposal = Proposal::ExpelMember { member: id, statement: statement.0 };
                propose(&act, proposal, "propose to expel the member for good").await
            }
            Self::Change(change) => change.run().await,
            Self::ReplaceAdmins { member, admins, act } => {
                let (id, threshold) = (member.id(act.endpoint().as_ref()).await?, admins.threshold()?);
                let proposal = Proposal::ReplaceAdmins { member: id, admins: admins.admins, threshold };
                propose(&act, proposal, "propose new admins for the member").await
            }
            Self::RotateAdmins { admins, act } => {
                let threshold = admins.threshold()?;
                let call = Registry::rotateAdminsCall { admins: admins.admins, threshold };
                own(&act, &call, "change the admins of one's own member").await
            }
            Self::Notice { until, act } => {
                own(&act, &Registry::giveNoticeCall { noticeUntil: until }, "give notice").await
            }
            Self::Leave { yes, act } => {
                if !yes {
                    bail!(
                        "the member's nodes and accounts are out at once, and only a vote brings it back: add --yes"
                    );
                }
                own(&act, &Registry::withdrawMemberCall {}, "take one's own member out of the network").await
            }
        }
    }
}

async fn own(act: &Act, call: &impl SolCall, what: &str) -> Result<()> {
    act.run(Call::new(REGISTRY, call, what)).await
}

fn hash(text: Option<Hashed>) -> B256 {
    text.map_or(B256::ZERO, |hashed| hashed.0)
}

/// A member's file.
pub fn read_member(file: &Path) -> Result<MemberPlan> {
    let text = fs::read_to_string(file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
    MemberPlan::from_json(&text).map_err(|error| eyre!("{}: {error}", file.display()))
}

impl ChangeArgs {
    async fn run(self) -> Result<()> {
        let endpoint =
            self.act.need_endpoint("what is left out stays as it is, and only a node knows that")?;
        let member = endpoint.call("lonja_getMember", json!([self.member.asked()])).await?;
        if member.is_null() {
            bail!("there is no such member");
        }
        let id = serde_json::from_value(member["id"].clone())?;
        let record = self.record(&member)?;
        propose(
            &self.act,
            Proposal::MemberRecord { member: id, record },
            "propose to change the member's record",
        )
        .await
    }

    /// The record of now with the changes.
    fn record(&self, member: &Value) -> Result<MemberRecord> {
        let number = |field: &str| member[field].as_u64().and_then(|number| u16::try_from(number).ok());
        let hash = |field: &str| member[field].as_str().and_then(|hash| hash.parse::<B256>().ok());
        let missing = |field: &'static str| move || eyre!("the node's answer lacks {field}");
        let kind = self.kind.map(|kind| u16::from(kind.number())).or_else(|| number("kindNumber"));
        let quota = self.quota_class.map(u16::from).or_else(|| number("quotaClass"));
        let given = |given: Option<Hashed>, field: &'static str| {
            given.map(|hashed| hashed.0).or_else(|| hash(field)).ok_or_else(missing(field))
        };
        Ok(MemberRecord {
            kind: u8::try_from(kind.ok_or_else(missing("kindNumber"))?)?,
            voting: self.voting.or(member["voting"].as_bool()).ok_or_else(missing("voting"))?,
            quotaClass: u8::try_from(quota.ok_or_else(missing("quotaClass"))?)?,
            sector: self.sector.or(number("sector")).ok_or_else(missing("sector"))?,
            region: self.region.or(number("region")).ok_or_else(missing("region"))?,
            controlGroup: given(self.group, "controlGroup")?,
            legalNameHash: given(self.name, "legalNameHash")?,
            didHash: given(self.did_document, "didHash")?,
            docsHash: given(self.documents, "docsHash")?,
        })
    }
}

async fn list(look: &Look) -> Result<()> {
    let members = look.pages("lonja_listMembers", "members", |from| vec![from, json!(200)]).await?;
    if look.json {
        println!("{:#}", Value::Array(members));
        return Ok(());
    }
    print!("{}", members_table(&members));
    Ok(())
}

fn members_table(members: &[Value]) -> String {
    let line = |member: &Value| {
        let admins = member["admins"].as_array().map_or(0, Vec::len);
        vec![
            name(member),
            status(member),
            plain(&member["kind"]),
            plain(&member["voting"]),
            plain(&member["sector"]),
            plain(&member["region"]),
            format!("{} of {admins}", member["adminThreshold"]),
            plain(&member["id"]),
        ]
    };
    let lines: Vec<_> = members.iter().map(line).collect();
    table(
        &["MEMBER", "STATUS", "KIND", "VOTE", "SECTOR", "REGION", "ADMINS", "ID"],
        &lines,
        "there are no members",
    )
}

/// What a member is known by, short enough for a table: of a DID there is only a hash.
fn name(member: &Value) -> String {
    match member["idScheme"] == "did" {
        true => format!("DID {}", short(&member["idValue"])),
        false => plain(&member["identity"]),
    }
}

/// The status in a word, and a second one where the contract says otherwise for now.
pub fn status(entry: &Value) -> String {
    let status = plain(&entry["status"]);
    match status == "active" && entry["permitted"] == false {
        true => "active, not permitted".to_owned(),
        false => status,
    }
}

async fn show(name: &MemberName, look: &Look) -> Result<()> {
    let member = look.ask("lonja_getMember", vec![name.asked()]).await?;
    if member.is_null() {
        bail!("there is no such member");
    }
    match look.json {
        true => println!("{member:#}"),
        false => print!("{}", member_sheet(&member)),
    }
    Ok(())
}

fn member_sheet(member: &Value) -> String {
    let block = |field: &str| match member[field].as_u64() {
        None | Some(0) => String::new(),
        Some(number) => format!("block {number}"),
    };
    sheet(&[
        ("member", plain(&member["identity"])),
        ("id", plain(&member["id"])),
        ("status", status(member)),
        ("kind", plain(&member["kind"])),
        ("has a vote", plain(&member["mayVote"])),
        ("sector", plain(&member["sector"])),
        ("region", plain(&member["region"])),
        ("control group", plain(&member["controlGroup"])),
        ("quota class", plain(&member["quotaClass"])),
        ("admins", plain(&member["admins"])),
        ("must agree", plain(&member["adminThreshold"])),
        ("nodes", plain(&member["nodes"])),
        ("name hash", plain(&member["legalNameHash"])),
        ("joined", format!("block {}", member["joined"])),
        ("changed", block("changed")),
        ("notice until", block("noticeUntil")),
        ("suspended until", block("suspendedUntil")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        change: ChangeArgs,
    }

    fn member() -> Value {
        json!({
            "id": B256::repeat_byte(1), "identity": "LEI 506700GE1G29325QX363", "status": "active", "permitted": false,
            "kind": "ordinary", "kindNumber": 1, "voting": true, "mayVote": true, "sector": 64, "region": 28,
            "quotaClass": 2, "controlGroup": B256::repeat_byte(2), "legalNameHash": B256::repeat_byte(3),
            "didHash": B256::ZERO, "docsHash": B256::ZERO, "admins": [Address::ZERO], "adminThreshold": 1,
            "joined": 0, "changed": 7, "noticeUntil": 0, "suspendedUntil": 90, "nodes": [],
        })
    }

    #[test]
    fn what_is_left_out_of_a_change_stays() {
        let id = B256::repeat_byte(1).to_string();
        let arguments = ["test", &id, "--sector", "35", "--kind", "research", "--documents", "signed"];
        let change = Cli::try_parse_from(arguments).unwrap().change;
        let record = change.record(&member()).unwrap();
        assert_eq!((record.kind, record.sector, record.region, record.quotaClass), (3, 35, 28, 2));
        assert_eq!((record.docsHash, record.controlGroup), (keccak256("signed"), B256::repeat_byte(2)));
        assert!(record.voting);
        assert!(change.record(&json!({})).unwrap_err().to_string().contains("lacks"));
    }

    #[test]
    fn thresholds_fit_the_admins() {
        let admins = |count: usize, threshold: Option<u8>| {
            AdminArgs { admins: vec![Address::ZERO; count], threshold }.threshold()
        };
        assert_eq!(admins(1, None).unwrap(), 1);
        assert_eq!(admins(3, Some(2)).unwrap(), 2);
        assert!(admins(3, None).is_err() && admins(3, Some(4)).is_err() && admins(1, Some(0)).is_err());
    }

    #[test]
    fn members_are_shown_with_what_matters() {
        let text = members_table(&[member()]);
        assert!(text.contains("LEI 506700GE1G29325QX363  active, not permitted  ordinary"), "{text}");
        let text = member_sheet(&member());
        assert!(text.contains("suspended until  block 90") && !text.contains("notice until"), "{text}");
    }
}
