//! `lonja permission supervisors`.

use super::act::Act;
use super::look::Look;
use super::names::MemberName;
use super::proposal::propose;
use super::table::{plain, table};
use crate::client::Endpoint;
use alloy_primitives::{Address, B256};
use clap::{Args, Subcommand};
use eyre::Result;
use lonja_permissioning::registry::abi::{Proposal, Scope};
use lonja_ptm::PublicKey;
use serde_json::Value;

/// Supervisors' keys.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A supervisor's key must be a party of every private transaction of those it is named for. Nodes add it by themselves, unless
they are told not to (--ptm-add-supervisors false). What its node reads as a supervisor leaves a record there.

Examples:
  lonja permission supervisors list
  lonja permission supervisors propose oNspPPgszVUFw0qmGFfWwh1uxVUXgvBxleXORHj07g8= --sector 64 --key admin.key")]
pub enum SupervisorsCommand {
    /// List the rules
    List {
        #[command(flatten)]
        look: Look,
    },
    /// Show the keys that must be parties of what an account sends
    Of {
        /// The account
        account: Address,
        #[command(flatten)]
        look: Look,
    },
    /// Propose that a key must be a party
    Propose {
        #[command(flatten)]
        rule: Rule,
        #[command(flatten)]
        act: Act,
    },
    /// Propose that it need not any more
    ProposeEnd {
        #[command(flatten)]
        rule: Rule,
        #[command(flatten)]
        act: Act,
    },
}

/// A key, and for whom.
#[derive(Args, Debug)]
pub struct Rule {
    /// The supervisor's public key for private transactions, base64
    supervisor: PublicKey,
    #[command(flatten)]
    whom: Whom,
}

/// Of whose private transactions it must be a party.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Whom {
    /// Whoever sends
    #[arg(long)]
    everybody: bool,
    /// The members of a sector
    #[arg(long, value_name = "NUMBER")]
    sector: Option<u16>,
    /// One member
    #[arg(long)]
    member: Option<MemberName>,
}

impl Whom {
    async fn scope(&self, endpoint: Option<&Endpoint>) -> Result<Scope> {
        Ok(match (self.sector, &self.member) {
            (Some(sector), _) => Scope::Sector(sector),
            (None, Some(member)) => Scope::Member(member.id(endpoint).await?),
            (None, None) => Scope::Everybody,
        })
    }
}

impl SupervisorsCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::List { look } => list(&look).await,
            Self::Of { account, look } => of(account, &look).await,
            Self::Propose { rule, act } => {
                let (scope, key) = rule.words(&act).await?;
                let what = format!("propose that {} takes part in what {scope} sends", rule.supervisor);
                propose(&act, Proposal::AddSupervisor { scope, key }, &what).await
            }
            Self::ProposeEnd { rule, act } => {
                let (scope, key) = rule.words(&act).await?;
                let what =
                    format!("propose that {} need not take part in what {scope} sends", rule.supervisor);
                propose(&act, Proposal::RemoveSupervisor { scope, key }, &what).await
            }
        }
    }
}

impl Rule {
    async fn words(&self, act: &Act) -> Result<(Scope, B256)> {
        let scope = self.whom.scope(act.endpoint().as_ref()).await?;
        Ok((scope, B256::from(self.supervisor.0)))
    }
}

async fn list(look: &Look) -> Result<()> {
    let answer = look.ask("lonja_getSupervisors", Vec::new()).await?;
    match look.json {
        true => println!("{answer:#}"),
        false => print!("{}", rules_table(answer["rules"].as_array().map_or(&[][..], Vec::as_slice))),
    }
    Ok(())
}

fn rules_table(rules: &[Value]) -> String {
    let line = |rule: &Value| {
        let whom = [&rule["scope"], &rule["sector"], &rule["member"]].map(plain).join(" ");
        vec![plain(&rule["key"]), whom.trim_end().replace("  ", " ")]
    };
    let lines: Vec<_> = rules.iter().map(line).collect();
    table(&["KEY", "TAKES PART IN WHAT IS SENT BY"], &lines, "nobody has to take part")
}

async fn of(account: Address, look: &Look) -> Result<()> {
    let answer = look.ask("lonja_getRequiredParties", vec![account.to_string().into()]).await?;
    if look.json {
        println!("{answer:#}");
        return Ok(());
    }
    let keys = answer["keys"].as_array().map_or(&[][..], Vec::as_slice);
    match keys.is_empty() {
        true => println!("nobody has to take part in what {account} sends"),
        false => keys.iter().for_each(|key| println!("{}", plain(key))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: SupervisorsCommand,
    }

    const KEY: &str = "oNspPPgszVUFw0qmGFfWwh1uxVUXgvBxleXORHj07g8=";

    #[tokio::test]
    async fn a_rule_is_for_everybody_a_sector_or_a_member() {
        let id = B256::repeat_byte(1);
        let member = id.to_string();
        for (whom, scope) in [
            (&["--everybody"][..], Scope::Everybody),
            (&["--sector", "64"], Scope::Sector(64)),
            (&["--member", &member], Scope::Member(id)),
        ] {
            let cli = Cli::try_parse_from(["test", "propose", KEY].iter().chain(whom)).unwrap();
            let SupervisorsCommand::Propose { rule, .. } = cli.command else { panic!("another command") };
            assert_eq!(rule.whom.scope(None).await.unwrap(), scope);
        }
        let refused = |arguments: &[&str]| {
            Cli::try_parse_from(["test", "propose-end"].iter().chain(arguments)).is_err()
        };
        assert!(refused(&[KEY]) && refused(&[KEY, "--everybody", "--sector", "1"]));
        assert!(refused(&["short", "--everybody"]) && refused(&[KEY, "--sector", "65536"]));
    }

    #[test]
    fn rules_are_shown() {
        let text = rules_table(&[
            json!({ "key": KEY, "scope": "everybody" }),
            json!({ "key": KEY, "scope": "sector", "sector": 64 }),
            json!({ "key": KEY, "scope": "member", "member": "0x01" }),
        ]);
        for line in ["everybody\n", "sector 64\n", "member 0x01\n"] {
            assert!(text.contains(&format!("{KEY}  {line}")), "{text}");
        }
        assert_eq!(rules_table(&[]), "nobody has to take part\n");
    }
}
