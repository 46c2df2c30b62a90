//! TransactionTests: what decodes, who sent it, and its intrinsic gas under each fork.

use super::vectors;
use crate::files::find;
use crate::fixture::{Data, Quantity};
use crate::network::{CHAIN_ID, Network};
use alloy_primitives::{Address, B256};
use alloy_rlp::Header;
use lonja_evm::intrinsic_gas;
use lonja_primitives::{Fork, RecoveredTransaction};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Test {
    txbytes: Data,
    result: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    hash: Option<B256>,
    sender: Option<Address>,
    intrinsic_gas: Quantity,
    exception: Option<String>,
}

/// What is different from mainnet on purpose: a high `s` is refused under Frontier too, a transaction that names the
/// chain is taken under forks before EIP-155 too, and a price per gas has 128 bits, more than there will ever be wei.
fn differs(fork: Fork, raw: &[u8], tx: Option<&RecoveredTransaction>) -> bool {
    match tx {
        Some(tx) => fork < Fork::SpuriousDragon && tx.tx().is_replay_protected(),
        None => fork == Fork::Frontier || has_long_price(raw).unwrap_or(false),
    }
}

/// Whether one of the fields among which the prices are is longer than 128 bits: the second of a legacy transaction,
/// the third or fourth of one of type 2.
fn has_long_price(raw: &[u8]) -> alloy_rlp::Result<bool> {
    let (mut payload, fields) = match raw.split_first() {
        Some((2, payload)) => (payload, 2..4),
        _ => (raw, 1..2),
    };
    let mut list = Header::decode_bytes(&mut payload, true)?;
    let mut long = false;
    for index in 0..fields.end {
        let field = Header::decode_bytes(&mut list, false)?;
        long |= fields.contains(&index) && field.len() > 16;
    }
    Ok(long)
}

#[test]
fn transactions_are_taken_and_refused_as_everywhere() {
    let (mut taken, mut refused, mut wrong) = (0, 0, Vec::new());
    let folder = std::env::var("LONJA_TRANSACTION_TESTS").map_or_else(|_| vectors("transaction"), Into::into);
    for file in find(&[folder]).unwrap() {
        let tests: BTreeMap<String, Test> =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for (name, test) in tests {
            let tx = RecoveredTransaction::recover(test.txbytes.0.clone(), CHAIN_ID).ok();
            for (fork_name, expected) in &test.result {
                let Ok(network) = Network::named(fork_name) else { continue };
                let rules = network.rules_at(0, 0);
                if expected.exception.is_none() != tx.is_some()
                    && differs(rules.fork, &test.txbytes.0, tx.as_ref())
                {
                    continue;
                }
                let gas = tx.as_ref().and_then(|tx| intrinsic_gas(&rules, tx).ok());
                let what = format!("{} {name} {fork_name}", file.display());
                match &expected.exception {
                    Some(_) if gas.is_none() => refused += 1,
                    Some(exception) => wrong.push(format!("{what}: taken, expected {exception}")),
                    None => {
                        let got = tx.as_ref().map(|tx| (Some(tx.hash()), Some(tx.sender())));
                        let right = got == Some((expected.hash, expected.sender));
                        if right && gas == expected.intrinsic_gas.to() {
                            taken += 1;
                        } else {
                            wrong.push(format!("{what}: {got:?}, gas {gas:?}"));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(taken > 100 && refused > 300, "{taken} taken, {refused} refused");
}
