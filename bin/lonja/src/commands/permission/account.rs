//! `lonja permission account`.

use super::act::{Act, Call};
use super::look::Look;
use super::proposal::propose;
use super::table::{plain, sheet, short, table};
use alloy_primitives::Address;
use clap::{Args, Subcommand};
use eyre::{Result, bail};
use lonja_permissioning::registry::abi::{Access, Proposal, REGISTRY, Registry};
use lonja_permissioning::registry::plan::AccountPlan;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// List accounts
    List {
        #[command(flatten)]
        look: Look,
    },
    /// Show what an address may do
    Show {
        /// The address
        address: Address,
        #[command(flatten)]
        look: Look,
    },
    /// Permit an account of one's own member, or change what it may do
    Set(SetArgs),
    /// Permit all accounts of a member's file
    Add {
        /// JSON of the member
        file: PathBuf,
        #[command(flatten)]
        act: Act,
    },
    /// Take the permission of an account of one's own member away
    Remove {
        /// The address
        address: Address,
        #[command(flatten)]
        act: Act,
    },
    /// Propose to release an account from its member, so that another may have it
    Release {
        /// The address
        address: Address,
        #[command(flatten)]
        act: Act,
    },
}

/// Options of `lonja permission account set`.
#[derive(Args, Debug)]
pub struct SetArgs {
    /// The address
    address: Address,
    /// What it may do, with commas: transfer, call, deploy, governance
    #[arg(long, value_delimiter = ',', default_values = ["transfer", "call", "deploy"])]
    access: Vec<Access>,
    /// Class for the member's own tools, 0 to 7
    #[arg(long, default_value_t = 0)]
    quota_class: u8,
    /// First block at which it is not permitted any more; 0 for never
    #[arg(long, default_value_t = 0)]
    expires: u64,
    #[command(flatten)]
    act: Act,
}

impl AccountCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List { look } => list(&look).await,
            Self::Show { address, look } => show(address, &look).await,
            Self::Set(set) => {
                let access = set.access.iter().fold(0, |bits, access| bits | access.number());
                let plan = AccountPlan {
                    address: set.address,
                    access,
                    quota_class: set.quota_class,
                    expires: set.expires,
                };
                set.act.run(put(&plan)).await
            }
            Self::Add { file, act } => {
                let member = super::member::read_member(&file)?;
                if member.accounts.is_empty() {
                    bail!("{}: the member has no accounts", file.display());
                }
                act.run_all(member.accounts.iter().map(put).collect()).await
            }
            Self::Remove { address, act } => {
                let call =
                    Registry::setAccountCall { account: address, access: 0, quotaClass: 0, expires: 0 };
                act.run(Call::new(REGISTRY, &call, format!("take the permission of {address} away"))).await
            }
            Self::Release { address, act } => {
                let what = format!("propose to release {address} from its member");
                propose(&act, Proposal::ReleaseAccount { account: address }, &what).await
            }
        }
    }
}

fn put(account: &AccountPlan) -> Call {
    let call = Registry::setAccountCall {
        account: account.address,
        access: account.access,
        quotaClass: account.quota_class,
        expires: account.expires,
    };
    Call::new(REGISTRY, &call, format!("permit account {}", account.address))
}

async fn list(look: &Look) -> Result<()> {
    let accounts = look.pages("lonja_listAccounts", "accounts", |from| vec![from, json!(200)]).await?;
    match look.json {
        true => println!("{:#}", Value::Array(accounts)),
        false => print!("{}", accounts_table(&accounts)),
    }
    Ok(())
}

fn accounts_table(accounts: &[Value]) -> String {
    let line = |account: &Value| {
        let expires = match account["expires"].as_u64() {
            None | Some(0) => String::new(),
            Some(block) => format!("block {block}"),
        };
        vec![plain(&account["address"]), plain(&account["access"]), short(&account["member"]), expires]
    };
    let lines: Vec<_> = accounts.iter().map(line).collect();
    table(&["ADDRESS", "MAY", "MEMBER", "EXPIRES"], &lines, "there are no accounts")
}

async fn show(address: Address, look: &Look) -> Result<()> {
    let account = look.ask("lonja_getAccountPermission", vec![json!(address)]).await?;
    match look.json {
        true => println!("{account:#}"),
        false => print!("{}", account_sheet(&account)),
    }
    Ok(())
}

fn account_sheet(account: &Value) -> String {
    let yes = |field: &str, text: &str| if account[field] == true { text.to_owned() } else { String::new() };
    let permitted = match (account["permitted"] == true, account["status"] == "unknown") {
        (true, _) => plain(&account["permittedAccess"]),
        (false, true) => "nothing: the registry has no such account".to_owned(),
        (false, false) => "nothing now".to_owned(),
    };
    let expires = match account["expires"].as_u64() {
        None | Some(0) => String::new(),
        Some(block) => format!("block {block}"),
    };
    let freeze = match account["frozen"] == true {
        true => format!(
            "until block {} by order {}",
            account["freeze"]["until"],
            plain(&account["freeze"]["orderHash"])
        ),
        false => String::new(),
    };
    sheet(&[
        ("account", plain(&account["address"])),
        ("member", plain(&account["member"])),
        ("may", permitted),
        ("entry says", plain(&account["access"])),
        ("expires", expires),
        ("frozen", freeze),
        ("admin of", plain(&account["adminOf"])),
        ("validates for", plain(&account["validatorOf"])),
        ("governs", yes("mayGovern", "may call the registry's contracts as an admin")),
        ("council", yes("council", "holds a key of the council")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    #[test]
    fn what_an_address_may_do_is_told() {
        let account = json!({
            "address": Address::repeat_byte(1), "status": "active", "member": B256::repeat_byte(2), "permitted": false,
            "access": ["transfer", "call"], "permittedAccess": [], "expires": 0, "frozen": true,
            "freeze": { "until": 90, "orderHash": B256::repeat_byte(3) }, "mayGovern": true, "council": false,
        });
        let text = account_sheet(&account);
        assert!(text.contains("nothing now") && text.contains("until block 90 by order 0x0303"), "{text}");
        assert!(
            text.contains("governs") && !text.contains("council ") && !text.contains("expires"),
            "{text}"
        );
        let stranger = account_sheet(&json!({ "status": "unknown", "permitted": false }));
        assert!(stranger.contains("no such account"), "{stranger}");
        let table =
            accounts_table(&[json!({ "address": "0x1", "access": ["call"], "member": "0x2", "expires": 7 })]);
        assert!(table.contains("0x1      call  0x2     block 7"), "{table}");
    }
}
