//! `lonja evm t8n`: transactions on a state, with the files and streams that geth's tool of that name has.

use alloy_primitives::{Bytes, hex};
use clap::Args;
use eyre::Result;
use lonja_conformance::{TransitionError, TransitionInput, TransitionTransactions, transition};
use serde_json::{Map, Value};
use std::fs;
use std::io::Read;
use std::path::Path;

/// In place of a file: all parts that are there come as one object.
const STDIN: &str = "stdin";
/// In place of a file: all parts that go there are one object.
const STDOUT: &str = "stdout";
/// As [`STDOUT`].
const STDERR: &str = "stderr";

/// Options of `lonja evm t8n`.
#[derive(Args, Debug)]
#[command(
    after_help = "Mainnet's rules. A transaction that may not be in the block is listed under `rejected` and does not \
                        stop the others. Blob transactions are rejected; blob gas that is not at its lowest price and \
                        requests to the beacon chain (EIP-7685) end the run.\n\nExit codes: 0 done, 2 wrong options or a \
                        block that cannot be executed, 3 an unknown fork or an env that lacks what the fork asks for, \
                        4 the hash of an earlier block is missing, 10 not the right JSON, 11 a file cannot be read or \
                        written, 12 not RLP."
)]
pub struct T8nArgs {
    /// State before
    #[arg(long = "input.alloc", value_name = "FILE|stdin", default_value = "alloc.json")]
    input_alloc: String,
    /// Block to execute in
    #[arg(long = "input.env", value_name = "FILE|stdin", default_value = "env.json")]
    input_env: String,
    /// Transactions: a JSON list, signed or with `secretKey`; or, in a file ending in .rlp, RLP in hex
    #[arg(long = "input.txs", value_name = "FILE|stdin", default_value = "txs.json")]
    input_txs: String,
    /// Rules, by the name that the public tests have for them
    #[arg(long = "state.fork", value_name = "NAME", default_value = "GrayGlacier")]
    fork: String,
    /// Chain id
    #[arg(long = "state.chainid", value_name = "ID", default_value_t = 1)]
    chain_id: u64,
    /// What the block brings its author, in wei; -1 for none
    #[arg(long = "state.reward", value_name = "WEI", default_value_t = 0, allow_negative_numbers = true)]
    #[arg(value_parser = wei)]
    reward: i64,
    /// Folder of the files that are written; made where it is not there
    #[arg(long = "output.basedir", value_name = "DIR", default_value = "")]
    folder: String,
    /// State after
    #[arg(long = "output.alloc", value_name = "FILE|stdout|stderr", default_value = "alloc.json")]
    output_alloc: String,
    /// Roots, receipts, rejected transactions
    #[arg(long = "output.result", value_name = "FILE|stdout|stderr", default_value = "result.json")]
    output_result: String,
    /// Executed transactions, RLP in hex; not written where it is not given
    #[arg(long = "output.body", value_name = "FILE|stdout|stderr", default_value = "")]
    output_body: String,
}

impl T8nArgs {
    /// Executes and writes.
    pub fn run(&self) -> Result<()> {
        let done = transition(&self.input()?)?;
        let body = Value::String(done.body.to_string());
        let parts = [
            ("alloc", &self.output_alloc, done.alloc),
            ("result", &self.output_result, done.result),
            ("body", &self.output_body, body),
        ];
        let (mut out, mut err) = (Map::new(), Map::new());
        for (name, target, value) in parts {
            match target.as_str() {
                "" => {}
                STDOUT => drop(out.insert(name.to_owned(), value)),
                STDERR => drop(err.insert(name.to_owned(), value)),
                file => self.write(file, &value)?,
            }
        }
        if !out.is_empty() {
            println!("{:#}", Value::Object(out));
        }
        if !err.is_empty() {
            eprintln!("{:#}", Value::Object(err));
        }
        Ok(())
    }

    fn input(&self) -> Result<TransitionInput, TransitionError> {
        let names = [&self.input_alloc, &self.input_env, &self.input_txs];
        let mut stdin = match names.iter().any(|name| *name == STDIN) {
            true => read_stdin()?,
            false => Value::Null,
        };
        Ok(TransitionInput {
            alloc: part("alloc", &self.input_alloc, &mut stdin)?,
            env: part("env", &self.input_env, &mut stdin)?,
            transactions: self.transactions(&mut stdin)?,
            fork: self.fork.clone(),
            chain_id: self.chain_id,
            reward: u64::try_from(self.reward).ok(),
        })
    }

    fn transactions(&self, stdin: &mut Value) -> Result<TransitionTransactions, TransitionError> {
        let name = &self.input_txs;
        if name == STDIN {
            return match stdin.get("txsRlp").and_then(Value::as_str).filter(|text| !text.is_empty()) {
                Some(text) => from_hex(text),
                None => Ok(TransitionTransactions::Json(part("txs", name, stdin)?)),
            };
        }
        if name.ends_with(".rlp") {
            let text = read_file(name)?;
            return from_hex(String::from_utf8_lossy(&text).trim().trim_matches('"'));
        }
        Ok(TransitionTransactions::Json(part("txs", name, stdin)?))
    }

    fn write(&self, file: &str, value: &Value) -> Result<(), TransitionError> {
        let folder = Path::new(&self.folder);
        let path = folder.join(file);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, format!("{value:#}\n")))
            .map_err(|error| TransitionError::Io(format!("cannot write {}: {error}", path.display())))
    }
}

/// An amount in decimal digits, or in hex after `0x`; -1 for none.
fn wei(text: &str) -> Result<i64, String> {
    let amount = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    amount.ok().filter(|amount| *amount >= -1).ok_or_else(|| "an amount in wei, or -1".to_owned())
}

fn read_stdin() -> Result<Value, TransitionError> {
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .map_err(|error| TransitionError::Io(format!("cannot read standard input: {error}")))?;
    parse("standard input", &text)
}

fn read_file(name: &str) -> Result<Vec<u8>, TransitionError> {
    fs::read(name).map_err(|error| TransitionError::Io(format!("cannot read {name}: {error}")))
}

fn parse(name: &str, text: &[u8]) -> Result<Value, TransitionError> {
    serde_json::from_slice(text).map_err(|error| TransitionError::Json(format!("{name}: {error}")))
}

/// A part of the input, from its file or from what came in.
fn part(part: &str, name: &str, stdin: &mut Value) -> Result<Value, TransitionError> {
    if name != STDIN {
        return parse(name, &read_file(name)?);
    }
    let found = stdin.get_mut(part).map(Value::take);
    found.ok_or_else(|| TransitionError::Json(format!("standard input: there is no '{part}' in it")))
}

fn from_hex(text: &str) -> Result<TransitionTransactions, TransitionError> {
    let raw = hex::decode(text).map_err(|error| TransitionError::Rlp(format!("txs: not hex: {error}")))?;
    Ok(TransitionTransactions::Rlp(Bytes::from(raw)))
}
