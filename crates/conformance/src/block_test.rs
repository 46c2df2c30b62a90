//! BlockchainTests: blocks on a genesis block, some of them invalid, and which is the head at the end.

use crate::chain::{Chain, Refused};
use crate::fixture::{Alloc, Data, HeaderFixture, Info, Quantity};
use crate::network::Network;
use crate::skip::Skip;
use crate::state_test::{BLOB_TYPE, blob_fee};
use crate::verdict::{Difference, Outcome, Verdict};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{B256, U256, uint};
use lonja_primitives::{Fork, SealedHeader};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The highest `s` of a signature from Homestead on: half the order of the curve (EIP-2).
const HIGHEST_S: U256 = uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// Refusals for which one would have to know of requests to the beacon chain.
const REQUESTS: [&str; 3] = ["INVALID_DEPOSIT_EVENT", "INVALID_REQUESTS", "SYSTEM_CONTRACT"];

#[derive(Deserialize)]
struct Probe {
    blocks: Option<IgnoredAny>,
    #[serde(rename = "genesisBlockHeader")]
    genesis: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockTest {
    #[serde(rename = "_info", default)]
    info: Info,
    network: String,
    genesis_block_header: HeaderFixture,
    pre: Alloc,
    blocks: Vec<BlockFixture>,
    lastblockhash: B256,
}

#[derive(Deserialize)]
struct BlockFixture {
    rlp: Data,
    /// Only of blocks that are valid.
    #[serde(rename = "blockHeader")]
    header: Option<HeaderFixture>,
    #[serde(default)]
    transactions: Vec<TransactionFixture>,
    rlp_decoded: Option<Decoded>,
    /// Why a block is invalid: `expectException`, in old tests followed by a fork or `ALL`.
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decoded {
    block_header: Option<DecodedHeader>,
    #[serde(default)]
    transactions: Vec<TransactionFixture>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DecodedHeader {
    requests_hash: Option<B256>,
}

#[derive(Deserialize)]
struct TransactionFixture {
    #[serde(rename = "type")]
    tx_type: Option<Quantity>,
    s: Option<Quantity>,
}

/// Runs all tests of a file.
pub(crate) fn run_file(text: &[u8]) -> Result<Vec<Outcome>, String> {
    let tests: BTreeMap<String, &RawValue> = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let mut outcomes = Vec::new();
    for (name, test) in tests {
        let probe = serde_json::from_str::<Probe>(test.get());
        if !probe.is_ok_and(|probe| probe.blocks.is_some() && probe.genesis.is_some()) {
            let verdict = Verdict::Skipped(Skip::OtherFormat);
            outcomes.push(Outcome { name, fork: String::new(), index: 0, verdict });
            continue;
        }
        let test: BlockTest =
            serde_json::from_str(test.get()).map_err(|error| format!("test '{name}': {error}"))?;
        let verdict = run_test(&test);
        outcomes.push(Outcome { name, fork: test.network, index: 0, verdict });
    }
    Ok(outcomes)
}

fn run_test(test: &BlockTest) -> Verdict {
    match Network::named(&test.network).and_then(|network| skip(test, &network).map(|()| network)) {
        Ok(network) => run_blocks(test, network).into(),
        Err(skip) => Verdict::Skipped(skip),
    }
}

fn skip(test: &BlockTest, network: &Network) -> Result<(), Skip> {
    for block in &test.blocks {
        let decoded = block.rlp_decoded.as_ref();
        let transactions = block.transactions.iter().chain(decoded.iter().flat_map(|d| &d.transactions));
        if transactions.filter_map(|tx| tx.tx_type?.to::<u8>()).any(|tx_type| tx_type == BLOB_TYPE) {
            return Err(Skip::BlobTransaction);
        }
        let mut values = block.transactions.iter().filter_map(|tx| tx.s?.0);
        if network.spec.fork_at(0, 0) < Fork::Homestead && values.any(|s| s > HIGHEST_S) {
            return Err(Skip::HighSignature);
        }
        let decoded_hash = decoded.and_then(|d| d.block_header.as_ref()?.requests_hash);
        let requests = block.header.as_ref().and_then(|header| header.requests_hash).or(decoded_hash);
        if requests.is_some_and(|hash| hash != EMPTY_REQUESTS_HASH) || block.is_refused_for(&REQUESTS) {
            return Err(Skip::Requests);
        }
        if block.is_refused_for(&["InvalidBlockNonce"]) {
            return Err(Skip::ProofOfWork);
        }
    }
    let headers = test.blocks.iter().filter_map(|block| block.header.as_ref());
    for header in headers.filter_map(HeaderFixture::header) {
        let fork = network.spec.fork_at(header.number, header.timestamp);
        if test.info.is_draft(fork) {
            return Err(Skip::Draft);
        }
        if fork >= Fork::Cancun && header.excess_blob_gas.is_some_and(|excess| blob_fee(fork, excess) != 1) {
            return Err(Skip::BlobFee);
        }
    }
    Ok(())
}

impl BlockFixture {
    fn exceptions(&self) -> impl Iterator<Item = &str> {
        let rest = self.rest.iter().filter(|(name, _)| name.starts_with("expectException"));
        rest.filter_map(|(_, value)| value.as_str())
    }

    /// Whether the test expects one of these refusals.
    fn is_refused_for(&self, reasons: &[&str]) -> bool {
        self.exceptions().any(|name| reasons.iter().any(|reason| name.contains(reason)))
    }

    fn expected(&self) -> String {
        let names: Vec<&str> = self.exceptions().collect();
        if names.is_empty() { "a refusal".to_owned() } else { names.join("|") }
    }
}

fn run_blocks(test: &BlockTest, network: Network) -> Result<(), Difference> {
    let genesis = test.genesis_block_header.header().zip(test.pre.accounts());
    let (header, alloc) =
        genesis.ok_or_else(|| Difference::new("block 0", "numbers that fit", "longer ones"))?;
    let hash = header.hash_slow();
    expect("hash of block 0", test.genesis_block_header.hash, hash)?;
    let mut chain = Chain::new(network, SealedHeader::new_unchecked(header, hash), alloc)
        .map_err(|error| Difference::new("block 0", "the state of the test", error))?;
    for (index, block) in test.blocks.iter().enumerate() {
        match (chain.import(&block.rlp.0), &block.header) {
            (Ok(hash), Some(header)) => expect("block hash", header.hash, hash)?,
            (Ok(_), None) => {
                return Err(Difference::new(
                    "block",
                    format!("{} at {index}", block.expected()),
                    "a valid block",
                ));
            }
            (Err(Refused::Invalid(_)), None) => {}
            (Err(error), _) => {
                return Err(Difference::new("block", format!("a verdict at {index}"), error));
            }
        }
    }
    expect("last block", test.lastblockhash, chain.best())
}

fn expect(what: &'static str, expected: B256, got: B256) -> Result<(), Difference> {
    if expected == got { Ok(()) } else { Err(Difference::new(what, expected, got)) }
}
