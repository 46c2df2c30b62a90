//! `lonja private prove`, `check-proof` and `readings`: what can be shown to others, and what others have shown.

use super::utc;
use crate::client::Endpoint;
use crate::commands::permission::table::{plain, sheet, table};
use crate::commands::status::Target;
use crate::files;
use alloy_primitives::{B256, B512, Bytes, FixedBytes, hex};
use clap::Args;
use eyre::{Context, Result, bail, eyre};
use lonja_primitives::{NodeId, PayloadHash, Signature};
use lonja_ptm::{Reading, Standing, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// Records that are asked for at a time.
const READINGS_AT_ONCE: u64 = 1_000;

/// Options of `lonja private prove`.
#[derive(Args, Debug)]
pub struct ProveArgs {
    /// Hash of the transaction, or name of the payload: 64 bytes in base64 or hex
    hash: String,
    /// Let whoever has the statement read the payload: the key that opens it goes with it
    #[arg(long)]
    disclose: bool,
    /// Where to write it; standard output otherwise
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// Options of `lonja private check-proof`.
#[derive(Args, Debug)]
pub struct CheckProofArgs {
    /// The file with the statement
    file: PathBuf,
    /// Show the disclosed payload (hex)
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    target: Target,
}

/// Options of `lonja private readings`.
#[derive(Args, Debug)]
pub struct ReadingsArgs {
    /// Show records from this number on; all are checked
    #[arg(long, default_value_t = 1)]
    since: u64,
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ProveArgs {
    pub(super) async fn run(self) -> Result<()> {
        let params = json!([self.hash, self.disclose]);
        let statements = self.target.endpoint().call("private_statement", params).await?;
        let text = format!("{statements:#}\n");
        match &self.out {
            None => print!("{text}"),
            Some(path) => {
                files::write_secret(path, &text)?;
                println!("written; check it with: lonja private check-proof {}", path.display());
            }
        }
        Ok(())
    }
}

impl CheckProofArgs {
    pub(super) async fn run(self) -> Result<()> {
        let shown = self.file.display();
        let text = fs::read(&self.file).wrap_err_with(|| format!("cannot read {shown}"))?;
        let statements: Vec<Statement> =
            serde_json::from_slice(&text).wrap_err_with(|| format!("{shown} has no statements"))?;
        if statements.is_empty() {
            bail!("{shown} has no statements");
        }
        let endpoint = self.target.endpoint();
        let genesis = genesis(&endpoint).await?;
        for statement in &statements {
            if statement.genesis != genesis {
                bail!("the statement is about another network: its genesis is {}", statement.genesis);
            }
            let payload =
                statement.check().wrap_err_with(|| format!("the statement about {}", statement.payload))?;
            let mut lines = lines(statement);
            if let Some(hash) = statement.transaction {
                lines.push(("on the chain", on_chain(&endpoint, hash, &statement.payload).await?));
            }
            print!("{}", sheet(&lines));
            match payload {
                Some(payload) if self.show => println!("payload: 0x{}", hex::encode(payload)),
                Some(payload) => println!("the disclosed key opens it: {} bytes (--show)", payload.len()),
                None => {}
            }
        }
        Ok(())
    }
}

async fn genesis(endpoint: &Endpoint) -> Result<B256> {
    let block = endpoint.call("eth_getBlockByNumber", json!(["0x0", false])).await?;
    serde_json::from_value(block["hash"].clone()).wrap_err("the node sent no genesis block")
}

/// Where a transaction that names the payload stands; an error where it names another, or stands nowhere.
async fn on_chain(endpoint: &Endpoint, hash: B256, payload: &PayloadHash) -> Result<String> {
    let tx = endpoint.call("eth_getTransactionByHash", json!([hash])).await?;
    let input: Option<Bytes> = serde_json::from_value(tx["input"].clone()).unwrap_or_default();
    let input = input.ok_or_else(|| eyre!("the transaction {hash} is not known at this node"))?;
    if input.len() != PayloadHash::LENGTH || PayloadHash::from_data(&input) != *payload {
        bail!("the transaction {hash} does not name the payload {payload}");
    }
    let (block, from) = (plain(&tx["blockNumber"]), plain(&tx["from"]));
    Ok(format!("transaction {hash} in block {block}, signed by {from}"))
}

fn lines(statement: &Statement) -> Vec<(&'static str, String)> {
    let standing = match statement.standing {
        Standing::Held => "the node has it",
        Standing::Erased => "the node has erased it",
        Standing::Absent => "the node does not have it",
    };
    let mut lines = vec![
        ("payload", statement.payload.to_string()),
        ("stated by", format!("0x{}", hex::encode(statement.node.0))),
        ("at", utc(statement.time_ms)),
        ("standing", standing.to_owned()),
    ];
    lines.extend(statement.order.map(|order| ("by order", order.to_string())));
    lines.extend(statement.sender.map(|sender| ("sent by", sender.to_string())));
    lines.extend(statement.recipients.iter().map(|key| ("received by", key.to_string())));
    lines.extend(statement.opened_by.iter().map(|key| ("opened by", key.to_string())));
    lines
}

/// A record as the node sends it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    number: u64,
    time_ms: u64,
    payload: PayloadHash,
    key: lonja_ptm::PublicKey,
    previous: B256,
    node: B512,
    signature: FixedBytes<65>,
}

impl From<Record> for Reading {
    fn from(record: Record) -> Self {
        let Record { number, time_ms, payload: hash, key, previous, node, signature } = record;
        Self { number, time_ms, hash, key, previous, node: NodeId(node), signature: Signature(signature.0) }
    }
}

impl ReadingsArgs {
    pub(super) async fn run(self) -> Result<()> {
        let endpoint = self.target.endpoint();
        let genesis = genesis(&endpoint).await?;
        let (mut shown, mut lines) = (Vec::new(), Vec::new());
        let mut last: Option<Reading> = None;
        loop {
            let next = last.as_ref().map_or(1, |last| last.number.saturating_add(1));
            let page = endpoint.call("private_readings", json!([next, READINGS_AT_ONCE])).await?;
            let page = page.as_array().ok_or_else(|| eyre!("no list of records came back"))?;
            for record in page {
                let reading: Reading = serde_json::from_value::<Record>(record.clone())?.into();
                check(&reading, last.as_ref(), genesis)?;
                if reading.number >= self.since {
                    shown.push(record.clone());
                    lines.push(vec![
                        reading.number.to_string(),
                        utc(reading.time_ms),
                        plain(&record["key"]),
                        reading.hash.to_string(),
                    ]);
                }
                last = Some(reading);
            }
            if (page.len() as u64) < READINGS_AT_ONCE {
                break;
            }
        }
        if self.json {
            println!("{:#}", Value::from(shown));
            return Ok(());
        }
        print!("{}", table(&["NUMBER", "WHEN", "SUPERVISOR", "PAYLOAD"], &lines, "nothing was read"));
        if let Some(last) = last {
            println!("{} records, each signed and following the one before", last.number);
        }
        Ok(())
    }
}

fn check(reading: &Reading, previous: Option<&Reading>, genesis: B256) -> Result<()> {
    if !reading.is_signed(genesis) {
        bail!("record {} is not signed by the node that it names: it was changed", reading.number);
    }
    let follows = match previous {
        Some(previous) => reading.follows(previous),
        None => reading.number == 1 && reading.previous.is_zero(),
    };
    if !follows {
        bail!("record {} does not follow the one before: some are missing or were changed", reading.number);
    }
    Ok(())
}
