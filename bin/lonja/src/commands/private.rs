//! `lonja private`: looking after the payloads of a running node.

mod proof;
mod purge;
mod recover;
mod waiting;

use super::permission::table::{plain, table};
use super::status::Target;
use clap::Subcommand;
use eyre::Result;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The payloads of private transactions at a running node: what waits for recipients, what was lost, what has to go, and
/// what can be shown to others.
#[derive(Debug, Subcommand)]
pub enum PrivateCommand {
    /// Get payloads back from the other parties after the payload store was lost, and execute them. Goes on where an
    /// interrupted one stopped
    Recover(recover::RecoverArgs),
    /// Erase a payload for good: its bytes, what came of it here, and the copies of the other parties as far as they carry
    /// the order out
    Purge(purge::PurgeArgs),
    /// Show what waits for recipients that could not be reached
    Outbox {
        #[command(flatten)]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what supervisors read at this node, and check that no record is missing or was changed
    Readings(proof::ReadingsArgs),
    /// Write down what this node states about a payload, signed, for others to check
    Prove(proof::ProveArgs),
    /// Check what another node has stated with `lonja private prove`
    CheckProof(proof::CheckProofArgs),
}

impl PrivateCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Recover(args) => args.run().await,
            Self::Purge(args) => args.run().await,
            Self::Outbox { target, json } => outbox(&target, json).await,
            Self::Readings(args) => args.run().await,
            Self::Prove(args) => args.run().await,
            Self::CheckProof(args) => args.run().await,
        }
    }
}

async fn outbox(target: &Target, as_json: bool) -> Result<()> {
    let status = target.endpoint().call("private_outbox", json!([])).await?;
    if as_json {
        println!("{status:#}");
        return Ok(());
    }
    let line = |waits: &Value| {
        vec![
            plain(&waits["recipient"]),
            plain(&waits["waiting"]),
            utc(waits["sinceMs"].as_u64().unwrap_or_default()),
            waits["lastError"].as_str().unwrap_or("not tried yet").to_owned(),
        ]
    };
    let lines: Vec<_> = status["recipients"].as_array().into_iter().flatten().map(line).collect();
    print!("{}", table(&["RECIPIENT", "WAITING", "SINCE", "LAST ATTEMPT"], &lines, "nothing waits"));
    Ok(())
}

/// A time in milliseconds since 1970, as `2026-01-31T12:00:00Z`.
fn utc(time_ms: u64) -> String {
    let seconds = i64::try_from(time_ms / 1_000).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{time_ms} ms since 1970"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(super::utc(1_767_225_600_999), "2026-01-01T00:00:00Z");
        assert_eq!(super::utc(u64::MAX), format!("{} ms since 1970", u64::MAX));
    }
}
