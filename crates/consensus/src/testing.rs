//! What the tests of this crate share: a chain spec to vary, keys by number, and access to vector files.

use crate::VoteState;
use alloy_primitives::{Address, B256, U256, hex};
use alloy_rlp::Encodable;
use lonja_primitives::spec::{
    ClientRules, ConsensusParams, DigestRule, ForkStart, Limits, Permissions, Privacy, ProposerPolicy,
    QuorumRule,
};
use lonja_primitives::{Block, ChainSpec, Fork, Header, HeaderFormat, NodeKey, Signature};
use serde_json::Value;

/// A file of `tests/vectors/istanbul`, parsed.
macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/vectors/istanbul/",
            $name,
            ".json"
        )))
        .unwrap()
    };
}
pub(crate) use vectors;

/// QBFT with a period of one second, under the rules of new networks.
pub(crate) fn params() -> ConsensusParams {
    ConsensusParams {
        format: HeaderFormat::Qbft,
        block_period_ms: 1000,
        empty_block_period_ms: 1000,
        request_timeout_ms: 2000,
        max_request_timeout_ms: 60_000,
        epoch_length: 30_000,
        proposer_policy: ProposerPolicy::RoundRobin,
        quorum: QuorumRule::CeilTwoThirds,
        digest: DigestRule::Eea,
        rules: ClientRules::GoQuorum,
        validators: None,
        validator_contract: None,
        block_reward: U256::ZERO,
        beneficiary: None,
    }
}

/// A network before London with these parameters throughout.
pub(crate) fn spec(params: ConsensusParams) -> ChainSpec {
    let limits = Limits {
        code_size: 24_576,
        init_code_size: 49_152,
        transaction_size: 65_536,
        block_size: 1 << 20,
        gas_limit: None,
    };
    ChainSpec {
        chain_id: 1337,
        free_gas: true,
        forks: vec![(Fork::Istanbul, ForkStart::Block(0))],
        consensus: vec![(0, params)],
        limits: vec![(0, limits)],
        permissions: vec![(0, Permissions::default())],
        privacy: vec![(0, Privacy::default())],
    }
}

/// The key whose number is `n`.
pub(crate) fn key(n: u8) -> NodeKey {
    NodeKey::from_bytes(B256::with_last_byte(n).as_ref()).unwrap()
}

pub(crate) fn cases(file: &Value) -> &Vec<Value> {
    file["cases"].as_array().unwrap()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

pub(crate) fn address(value: &Value) -> Address {
    text(value).parse().unwrap()
}

pub(crate) fn addresses(value: &Value) -> Vec<Address> {
    value.as_array().unwrap().iter().map(address).collect()
}

pub(crate) fn hash(value: &Value) -> B256 {
    text(value).parse().unwrap()
}

pub(crate) fn block(value: &Value) -> Block {
    alloy_rlp::decode_exact(bytes(value)).unwrap()
}

pub(crate) fn header(value: &Value) -> Header {
    alloy_rlp::decode_exact(bytes(value)).unwrap()
}

/// The vote state after block `number`, without waiting votes.
pub(crate) fn state_at(number: u64, validators: &[Address]) -> VoteState {
    let list = validators.to_vec();
    let mut payload = alloy_rlp::encode(number);
    list.encode(&mut payload);
    Vec::<u64>::new().encode(&mut payload);
    let mut bytes = vec![1];
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut bytes);
    bytes.extend(payload);
    VoteState::decode(&bytes, &spec(params())).unwrap()
}

/// The same signature with the other value of `s`: recovers to the same signer, but is high.
pub(crate) fn malleated(signature: Signature) -> Signature {
    let order = uint_hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    let s = U256::from_be_slice(&signature.0[32..64]);
    let mut high = signature;
    high.0[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
    high.0[64] ^= 1;
    high
}

fn uint_hex(digits: &str) -> U256 {
    U256::from_str_radix(digits, 16).unwrap()
}

/// Every file of the vectors is asked for by the tests of some crate.
#[test]
fn every_vector_file_is_read() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut sources = String::new();
    let mut folders = vec![root.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                sources += &std::fs::read_to_string(entry).unwrap();
            }
        }
    }
    for file in std::fs::read_dir(root.join("tests/vectors/istanbul")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".json") else { continue };
        let macros = [format!("vectors!(\"{stem}\")"), format!("vector!(\"{name}\")")];
        let read = macros.iter().chain([&format!("/istanbul/{name}\"")]).any(|text| sources.contains(text));
        assert!(read, "no test reads {name}");
    }
}
