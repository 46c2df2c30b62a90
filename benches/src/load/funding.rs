//! Giving the accounts of a run something to spend.

use super::rpc::{self, Endpoint};
use super::workload::{TRANSFER_GAS, Terms, request, sign_transfer};
use alloy_primitives::U256;
use eyre::{Result, bail};
use lonja_primitives::{NodeKey, Signer};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long funding may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Transfers per request. Few enough for the batch limits of all clients.
const BATCH: usize = 100;
/// How often the funder's nonce is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Pays every account enough for `each` transfers under these terms, and waits until the payments are in blocks.
pub async fn fund(
    endpoint: &Endpoint,
    funder: &NodeKey,
    keys: &[NodeKey],
    terms: Terms,
    each: u64,
) -> Result<()> {
    let fee = U256::from(terms.gas_price) * U256::from(TRANSFER_GAS);
    let pay = Terms { value: (terms.value + fee) * U256::from(each.saturating_add(1)), ..terms };
    let funder_nonce = |block: &'static str| {
        let params = json!([funder.address(), block]);
        async move { endpoint.number("eth_getTransactionCount", params).await }
    };
    let mut nonce = funder_nonce("pending").await?;
    for chunk in keys.chunks(BATCH) {
        let requests: Vec<String> = chunk
            .iter()
            .zip(nonce..)
            .map(|(key, nonce)| request(0, &sign_transfer(funder, nonce, key.address(), pay).1))
            .collect();
        nonce += chunk.len() as u64;
        let (bytes, _) = endpoint.post(format!("[{}]", requests.join(",")).into()).await?;
        if let Some(error) = rpc::answers(&bytes)?.into_iter().find_map(|answer| answer.error) {
            bail!("an account could not be funded: {}", error.message);
        }
    }
    let started = Instant::now();
    while funder_nonce("latest").await? < nonce {
        if started.elapsed() > TIMEOUT {
            bail!("the accounts were not funded within {} s", TIMEOUT.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
