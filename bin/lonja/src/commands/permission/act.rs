//! What changes something: a call of a contract that is signed, sent, waited for, and told about in words.

use super::outcome;
use crate::client::{Endpoint, Refused};
use crate::commands::status::Target;
use crate::files;
use crate::progress::Progress;
use alloy_consensus::{SignableTransaction, TxEnvelope, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall;
use clap::Args;
use eyre::{Context, Result, bail, eyre};
use lonja_permissioning::registry::abi::explain_revert;
use lonja_primitives::{NodeKey, Signer};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Gas when no node can be asked: the dearest act needs about half of it.
const OFFLINE_GAS: u64 = 5_000_000;
/// What is added to an estimate: between it and the block others may act.
const GAS_SPARE_PERCENT: u64 = 30;
/// How often a node is asked for the receipt.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// Who signs, and what becomes of the signed transaction.
#[derive(Args, Clone, Debug)]
pub struct Act {
    #[command(flatten)]
    target: Target,
    /// File of the key that signs (64 hex digits, as lonja key new writes it): an admin of the member, or of the council
    #[arg(long, value_name = "FILE", conflicts_with = "key_env", help_heading = "Signing")]
    key: Option<PathBuf>,
    /// Environment variable with the key that signs
    #[arg(long, value_name = "NAME", help_heading = "Signing")]
    key_env: Option<String>,
    /// Print the call (to, data) unsigned, for another wallet
    #[arg(long, conflicts_with_all = ["key", "key_env", "offline"], help_heading = "Signing")]
    print: bool,
    /// Print the signed transaction without asking any node; send it with lonja permission send
    #[arg(long, requires = "nonce", requires = "chain_id", help_heading = "Signing")]
    offline: bool,
    /// Nonce of the transaction [default: the sender's next]
    #[arg(long, value_name = "N", help_heading = "Signing")]
    nonce: Option<u64>,
    /// Chain id of the network [default: the node's]
    #[arg(long, value_name = "ID", help_heading = "Signing")]
    chain_id: Option<u64>,
    /// Gas limit [default: an estimate and a third; offline 5000000]
    #[arg(long, value_name = "GAS", help_heading = "Signing")]
    gas: Option<u64>,
    /// Price per gas in wei [default: what the node suggests; offline 0]
    #[arg(long, value_name = "WEI", help_heading = "Signing")]
    gas_price: Option<u128>,
    #[command(flatten)]
    waiting: Waiting,
}

/// How long a sent transaction is waited for.
#[derive(Args, Clone, Copy, Debug)]
pub struct Waiting {
    /// Seconds to wait for the block with the transaction; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = "Signing")]
    timeout: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A call of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    to: Address,
    data: Bytes,
    /// What it does, for people.
    what: String,
}

impl Call {
    /// Of this function.
    pub fn new(to: Address, call: &impl SolCall, what: impl Into<String>) -> Self {
        Self::raw(to, call.abi_encode().into(), what)
    }

    /// With these bytes.
    pub fn raw(to: Address, data: Bytes, what: impl Into<String>) -> Self {
        Self { to, data, what: what.into() }
    }
}

impl Act {
    /// The node that may be asked; none offline.
    pub fn endpoint(&self) -> Option<Endpoint> {
        (!self.offline).then(|| self.target.endpoint())
    }

    /// The node, for what cannot be put together without one.
    pub fn need_endpoint(&self, why: &str) -> Result<Endpoint> {
        self.endpoint().ok_or_else(|| eyre!("--offline does not go here: {why}"))
    }

    /// Whether the outcome is for a machine.
    pub fn is_json(&self) -> bool {
        self.waiting.json
    }

    /// Whether a call is only printed, signed or not.
    pub fn only_prints(&self) -> bool {
        self.print || self.offline
    }

    /// The address that signs.
    pub fn sender(&self) -> Result<Address> {
        Ok(self.signer()?.address())
    }

    /// Does it: prints, or signs and sends and waits.
    pub async fn run(&self, call: Call) -> Result<()> {
        self.run_all(vec![call]).await
    }

    /// Several calls, one after the other; what comes after one that failed is not sent.
    pub async fn run_all(&self, calls: Vec<Call>) -> Result<()> {
        if self.print {
            calls.iter().for_each(|call| println!("{:#}", unsigned(call)));
            return Ok(());
        }
        let key = self.signer()?;
        for (place, call) in (0_u64..).zip(&calls) {
            if self.offline {
                let raw = self.sign_offline(&key, call, place)?;
                println!("{raw}");
            } else {
                self.send(&key, call, place).await?;
            }
        }
        Ok(())
    }

    fn signer(&self) -> Result<NodeKey> {
        match (&self.key, &self.key_env) {
            (Some(file), _) => files::read_key(file),
            (None, Some(name)) => {
                let text =
                    std::env::var(name).map_err(|_| eyre!("--key-env: there is no variable {name}"))?;
                NodeKey::from_hex(&text).map_err(|error| eyre!("--key-env {name}: {error}"))
            }
            (None, None) => bail!(
                "who signs? --key FILE or --key-env NAME name the key; --print prints the call for another wallet instead"
            ),
        }
    }

    fn sign_offline(&self, key: &NodeKey, call: &Call, place: u64) -> Result<Bytes> {
        let (Some(chain_id), Some(nonce)) = (self.chain_id, self.nonce) else {
            bail!("--offline needs --nonce and --chain-id");
        };
        let tx = TxLegacy {
            chain_id: Some(chain_id),
            nonce: nonce.saturating_add(place),
            gas_price: self.gas_price.unwrap_or(0),
            gas_limit: self.gas.unwrap_or(OFFLINE_GAS),
            to: TxKind::Call(call.to),
            value: U256::ZERO,
            input: call.data.clone(),
        };
        Ok(sign(key, tx))
    }

    async fn send(&self, key: &NodeKey, call: &Call, place: u64) -> Result<()> {
        let (endpoint, sender) = (self.target.endpoint(), key.address());
        let request = json!({ "from": sender, "to": call.to, "data": call.data });
        // Asked before it is sent: what a contract refuses now is said in its words and costs no block.
        if let Err(refused) = endpoint.ask("eth_call", json!([request, "latest"])).await? {
            bail!("{}: {}", call.what, refusal(&refused));
        }
        let raw = sign(key, self.fill_in(&endpoint, sender, call, &request, place).await?);
        if !self.waiting.json {
            println!("{}", call.what);
        }
        send_raw(&endpoint, &raw, self.waiting).await
    }

    async fn fill_in(
        &self,
        endpoint: &Endpoint,
        sender: Address,
        call: &Call,
        request: &Value,
        place: u64,
    ) -> Result<TxLegacy> {
        let chain_id = quantity(&endpoint.call("eth_chainId", json!([])).await?)?;
        if let Some(given) = self.chain_id.filter(|given| u128::from(*given) != chain_id) {
            bail!("the node's network has chain id {chain_id}, not {given}");
        }
        let nonce = match self.nonce {
            Some(nonce) => nonce.saturating_add(place),
            None => {
                let next = endpoint.call("eth_getTransactionCount", json!([sender, "pending"])).await?;
                u64::try_from(quantity(&next)?)?
            }
        };
        let gas_limit = match self.gas {
            Some(gas) => gas,
            None => {
                let estimate = endpoint.call("eth_estimateGas", json!([request, "latest"])).await?;
                let estimate = u64::try_from(quantity(&estimate)?)?;
                estimate.saturating_add(estimate / 100 * GAS_SPARE_PERCENT)
            }
        };
        let gas_price = match self.gas_price {
            Some(price) => price,
            None => quantity(&endpoint.call("eth_gasPrice", json!([])).await?)?,
        };
        Ok(TxLegacy {
            chain_id: Some(u64::try_from(chain_id)?),
            nonce,
            gas_price,
            gas_limit,
            to: TxKind::Call(call.to),
            value: U256::ZERO,
            input: call.data.clone(),
        })
    }
}

/// What another wallet needs to know.
fn unsigned(call: &Call) -> Value {
    json!({ "to": call.to, "data": call.data, "value": "0x0", "what": call.what })
}

fn sign(key: &NodeKey, tx: TxLegacy) -> Bytes {
    let signature = key.sign(tx.signature_hash());
    let signature = Signature::from_bytes_and_parity(&signature.0[..64], signature.0[64] == 1);
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

/// What a node or a contract said against something.
pub fn refusal(refused: &Refused) -> String {
    let words = refused.data.as_ref().and_then(|data| explain_revert(data));
    words.unwrap_or_else(|| refused.message.clone())
}

/// Sends a signed transaction, waits for its block, and tells what came of it. A failure is an error.
pub async fn send_raw(endpoint: &Endpoint, raw: &Bytes, waiting: Waiting) -> Result<()> {
    let sent = endpoint.ask("eth_sendRawTransaction", json!([raw])).await?;
    let hash =
        sent.map_err(|refused| eyre!("the node does not take the transaction: {}", refusal(&refused)))?;
    let hash: B256 = serde_json::from_value(hash).wrap_err("the node answered no hash")?;
    if waiting.timeout == 0 {
        match waiting.json {
            true => println!("{:#}", json!({ "hash": hash, "waiting": true })),
            false => println!("sent: {hash}; look later: lonja permission why {hash}"),
        }
        return Ok(());
    }
    let Some(receipt) = wait(endpoint, hash, Duration::from_secs(waiting.timeout)).await? else {
        bail!(
            "{hash} is sent, and in no block after {} s. It stays with the node; see how it stands: lonja status, \
             lonja doctor, lonja permission why {hash}",
            waiting.timeout
        );
    };
    let block = quantity(&receipt["blockNumber"])?;
    if receipt["status"] != "0x1" {
        bail!("{hash} failed in block {block}: {}", failure(endpoint, hash, block).await);
    }
    let happened = outcome::read(&receipt["logs"]);
    if waiting.json {
        println!("{:#}", outcome::json(hash, block, &receipt, &happened));
    } else {
        println!("done in block {block} by transaction {hash}");
        outcome::lines(&happened).iter().for_each(|line| println!("  {line}"));
        if happened.is_empty() {
            println!("  no contract of the registry reported anything: look at what it was sent to");
        }
        outcome::next_steps(&happened).iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

async fn wait(endpoint: &Endpoint, hash: B256, time: Duration) -> Result<Option<Value>> {
    let (started, mut progress) = (Instant::now(), Progress::new());
    loop {
        let receipt = endpoint.call("eth_getTransactionReceipt", json!([hash])).await?;
        if !receipt.is_null() {
            progress.clear();
            return Ok(Some(receipt));
        }
        if started.elapsed() >= time {
            progress.clear();
            return Ok(None);
        }
        progress.show(|| format!("waiting for the block with {hash}, {} s", started.elapsed().as_secs()));
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Why a transaction failed: asked again at the state before its block, which is near enough for words.
async fn failure(endpoint: &Endpoint, hash: B256, block: u128) -> String {
    let unknown = "the contract did not say why".to_owned();
    let Ok(tx) = endpoint.call("eth_getTransactionByHash", json!([hash])).await else { return unknown };
    let request = json!({ "from": tx["from"], "to": tx["to"], "data": tx["input"], "gas": tx["gas"] });
    let before = format!("{:#x}", block.saturating_sub(1));
    match endpoint.ask("eth_call", json!([request, before])).await {
        Ok(Err(refused)) => refusal(&refused),
        _ => unknown,
    }
}

/// A number that the node wrote in hex.
pub fn quantity(value: &Value) -> Result<u128> {
    let text = value.as_str().unwrap_or_default();
    let digits = text.strip_prefix("0x").unwrap_or_default();
    u128::from_str_radix(digits, 16)
        .map_err(|_| eyre!("the node answered {value} where a number was expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::Transaction;
    use alloy_primitives::hex;
    use clap::Parser;
    use lonja_permissioning::registry::abi::{GOVERNANCE, Governance};
    use lonja_primitives::RecoveredTransaction;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        act: Act,
    }

    fn act(arguments: &[&str]) -> Result<Act, clap::Error> {
        Cli::try_parse_from(["test"].iter().chain(arguments)).map(|cli| cli.act)
    }

    fn call() -> Call {
        Call::new(GOVERNANCE, &Governance::voteCall { id: U256::from(7), support: true }, "vote")
    }

    #[test]
    fn what_is_signed_offline_comes_back_with_its_sender() {
        let key = NodeKey::generate();
        let act = act(&["--offline", "--nonce", "5", "--chain-id", "1337"]).unwrap();
        for place in [0, 3] {
            let raw = act.sign_offline(&key, &call(), place).unwrap();
            let tx = RecoveredTransaction::recover(raw, 1337).unwrap();
            assert_eq!((tx.sender(), tx.nonce(), tx.gas_limit()), (key.address(), 5 + place, OFFLINE_GAS));
            assert_eq!((tx.kind(), tx.tx().input()), (TxKind::Call(GOVERNANCE), &call().data));
        }
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        assert!(act(&["--offline"]).is_err());
        assert!(act(&["--offline", "--nonce", "1"]).is_err());
        assert!(act(&["--print", "--key", "a"]).is_err());
        assert!(act(&["--key", "a", "--key-env", "B"]).is_err());
        let none = act(&[]).unwrap();
        assert!(none.signer().unwrap_err().to_string().contains("--key FILE"));
        let missing = act(&["--key-env", "SURELY_NOT_SET_ANYWHERE"]).unwrap();
        assert!(missing.signer().unwrap_err().to_string().contains("no variable"));
        assert!(act(&["--offline", "--nonce", "1", "--chain-id", "1"]).unwrap().endpoint().is_none());
    }

    #[test]
    fn refusals_are_in_words_where_they_are_known() {
        let refused = |data: &[u8]| {
            let data = Some(Bytes::copy_from_slice(data)).filter(|data| !data.is_empty());
            refusal(&Refused { code: 3, message: "execution reverted".into(), data })
        };
        // VotingOver(uint256)
        let mut data = alloy_primitives::keccak256("VotingOver(uint256)")[..4].to_vec();
        data.extend(U256::from(9).to_be_bytes::<32>());
        assert_eq!(refused(&data), "the time to vote on proposal 9 is over");
        assert_eq!(refused(&[]), "execution reverted");
        assert_eq!(refused(&hex!("01020304")), "execution reverted");
    }

    #[test]
    fn numbers_of_nodes_are_hex() {
        assert_eq!(quantity(&json!("0x10")).unwrap(), 16);
        for wrong in [json!("16"), json!(16), json!(null), json!("0x"), json!("0xzz")] {
            assert!(quantity(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_wallet_gets_target_and_data() {
        let printed = unsigned(&call());
        assert_eq!((&printed["to"], &printed["data"]), (&json!(GOVERNANCE), &json!(call().data)));
    }
}
