use super::super::qbft;
use super::*;
use crate::testing::TestNode;
use alloy_primitives::Bytes;
use alloy_rlp::Encodable;
use lonja_consensus::VoteState;
use lonja_primitives::{Block, ChainSpec, Genesis, SealedHeader};
use serde_json::{Value, json};

macro_rules! vector {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/vectors/istanbul/",
            $name
        )))
        .unwrap()
    };
}

/// Headers of a vector file, without bodies and state.
struct VectorChain {
    spec: ChainSpec,
    headers: BTreeMap<u64, SealedHeader>,
    votes: VoteState,
}

impl HeaderChain for VectorChain {
    fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    fn head(&self) -> u64 {
        *self.headers.last_key_value().unwrap().0
    }

    fn header(&self, number: u64) -> Result<Option<SealedHeader>, RpcError> {
        Ok(self.headers.get(&number).cloned())
    }

    fn number_of(&self, hash: &B256) -> Result<Option<u64>, RpcError> {
        Ok(self.headers.values().find(|header| header.hash() == *hash).map(|header| header.number))
    }

    fn votes_near(&self, _number: u64) -> Result<VoteState, RpcError> {
        Ok(self.votes.clone())
    }
}

/// The rules of the migration network: IBFT 1.0 until block 100, QBFT from 101 on.
fn spec() -> (ChainSpec, SealedHeader) {
    let cases = vector!("genesis.json");
    let case =
        cases["cases"].as_array().unwrap().iter().find(|case| case["id"] == "ibft1-migration").unwrap();
    let genesis = Genesis::from_json(&case["genesis"].to_string()).unwrap();
    let mut spec = genesis.spec;
    let mut qbft = spec.consensus_at(100).clone();
    qbft.format = lonja_primitives::HeaderFormat::Qbft;
    qbft.request_timeout_ms = 10_000;
    spec.consensus.retain(|(from, _)| *from < 101);
    spec.consensus.push((101, qbft));
    // The vectors count on the epoch of `qbft_chain.json`, not on the genesis file's.
    spec.consensus.iter_mut().for_each(|(_, params)| params.epoch_length = 30_000);
    (spec, genesis.header)
}

fn headers<'a>(spec: &ChainSpec, blocks: impl Iterator<Item = &'a Value>) -> BTreeMap<u64, SealedHeader> {
    let header = |block: &Value| {
        let rlp: Bytes = block["rlp"].as_str().unwrap().parse().unwrap();
        let header = alloy_rlp::decode_exact::<Block>(&rlp).unwrap().header;
        let number = header.number;
        (number, SealedHeader::seal(header, spec.format_at(number)).unwrap())
    };
    blocks.map(header).collect()
}

fn ibft1_chain() -> VectorChain {
    let (spec, genesis) = spec();
    let file = vector!("ibft1_chain.json");
    let headers = headers(
        &spec,
        file["blocks"].as_array().unwrap().iter().filter(|block| block["number"].as_u64() <= Some(66)),
    );
    let votes = VoteState::genesis(&spec, &genesis).unwrap();
    VectorChain { spec, headers, votes }
}

/// Blocks 100 to 108, with a vote state as it is stored after block 100.
fn qbft_chain() -> VectorChain {
    let (spec, _) = spec();
    let file = vector!("qbft_chain.json");
    let parent = &file["parent_block"];
    let headers = headers(&spec, std::iter::once(parent).chain(file["blocks"].as_array().unwrap()));
    let extra = lonja_primitives::ExtraData::decode(&headers[&100].extra_data, spec.format_at(100)).unwrap();
    let mut payload = Vec::new();
    100_u64.encode(&mut payload);
    extra.validators.encode(&mut payload);
    payload.push(alloy_rlp::EMPTY_LIST_CODE);
    let mut stored = vec![1];
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut stored);
    stored.extend(payload);
    let votes = VoteState::decode(&stored, &spec).unwrap();
    VectorChain { spec, headers, votes }
}

/// Runs a reading method on a chain of headers.
fn read(chain: &VectorChain, method: &str, params: &Value) -> Result<Value, RpcError> {
    let text = params.to_string();
    let params = Params::new(Some(&text));
    let most = 1_000;
    let json = |value: &dyn erased::Json| value.to_json();
    Ok(match method {
        "istanbul_getSnapshot" => json(&snapshot(chain, block(chain, &params)?)?),
        "istanbul_getSnapshotAtHash" => json(&snapshot(chain, by_hash(chain, &params)?)?),
        "istanbul_getValidators" => json(&validators(chain, block(chain, &params)?)?),
        "istanbul_getValidatorsAtHash" => json(&validators(chain, by_hash(chain, &params)?)?),
        "istanbul_getSignersFromBlock" => json(&signers(chain, block(chain, &params)?)?),
        "istanbul_getSignersFromBlockByHash" => json(&signers(chain, by_hash(chain, &params)?)?),
        "istanbul_status" => json(&status(chain, &params, most)?),
        "qbft_getValidatorsByBlockNumber" => json(&qbft::validators_by_number(chain, &params)?),
        "qbft_getValidatorsByBlockHash" => json(&qbft::validators_by_hash(chain, &params)?),
        "qbft_getSignerMetrics" => json(&qbft::signer_metrics(chain, &params, most)?),
        "qbft_getRequestTimeoutSeconds" => json(&qbft::request_timeout_s(chain)),
        other => panic!("{other} does not read headers"),
    })
}

/// Any serialisable value as JSON.
mod erased {
    pub(super) trait Json {
        fn to_json(&self) -> serde_json::Value;
    }

    impl<T: serde::Serialize> Json for T {
        fn to_json(&self) -> serde_json::Value {
            serde_json::to_value(self).unwrap()
        }
    }
}

/// Methods that ask or order the node instead of reading headers.
const CONTROL_METHODS: [&str; 7] = [
    "qbft_proposeValidatorVote",
    "qbft_discardValidatorVote",
    "qbft_getPendingVotes",
    "istanbul_candidates",
    "istanbul_propose",
    "istanbul_discard",
    "istanbul_isValidator",
];

fn sorted(mut list: Value) -> Value {
    list.as_array_mut().unwrap().sort_by_key(|entry| entry["address"].to_string());
    list
}

/// Texts of errors in the vectors are descriptions, except where they are GoQuorum's own words.
fn check_error(id: &str, expected: &Value, code: i32, message: &str) {
    match expected {
        Value::Object(fields) => assert_eq!(fields["code"], json!(code), "{id}"),
        Value::String(text) if ["unknown block", "pass the end block number"].contains(&text.as_str()) => {
            assert_eq!(message, text, "{id}");
        }
        _ => assert!(code < 0, "{id}"),
    }
}

#[test]
fn vectors_that_read_headers() {
    let (ibft1, qbft) = (ibft1_chain(), qbft_chain());
    let file = vector!("rpc.json");
    let mut run = 0;
    for case in file["cases"].as_array().unwrap() {
        let (id, method) = (case["id"].as_str().unwrap(), case["method"].as_str().unwrap());
        if CONTROL_METHODS.contains(&method) {
            continue;
        }
        let chain = if case["chain"] == "ibft1-0-66" { &ibft1 } else { &qbft };
        run += 1;
        match read(chain, method, &case["params"]) {
            Ok(result) if method == "qbft_getSignerMetrics" => {
                assert_eq!(sorted(result), sorted(case["result"].clone()), "{id}");
            }
            Ok(result) => assert_eq!(Some(&result), case.get("result"), "{id}"),
            Err(error) => check_error(id, &case["error"], error.code(), &error.to_string()),
        }
    }
    assert_eq!(run, 26);
}

/// The vectors of a network whose validators a contract chooses are met as far as orders go: the node refuses
/// them, and the refusal has Besu's code.
#[tokio::test]
async fn vectors_that_ask_the_node() {
    let node = TestNode::new();
    let client = node.client();
    let file = vector!("rpc.json");
    for case in file["cases"].as_array().unwrap() {
        let (id, method) = (case["id"].as_str().unwrap(), case["method"].as_str().unwrap());
        let contract_mode = case["chain"] == "contract-mode";
        if !CONTROL_METHODS.contains(&method) || id == "besu-pending-contract-mode" {
            continue;
        }
        *node.control.votes_enabled.lock() = !contract_mode;
        node.control.candidates.lock().clear();
        if id == "goquorum-is-validator-other" {
            // This node's key is in the set, the vector's is not.
            assert_eq!(client.call(method, case["params"].clone()).await, json!(true));
            continue;
        }
        match client.try_call(method, case["params"].clone()).await {
            Ok(result) => assert_eq!(Some(&result), case.get("result"), "{id}"),
            Err(error) => check_error(id, &case["error"], error.code as i32, &error.message),
        }
    }
}

#[tokio::test]
async fn votes_are_seen_in_both_namespaces_until_discarded() {
    let node = TestNode::new();
    let client = node.client();
    let candidate = "0xabababababababababababababababababababab";
    client.call("istanbul_propose", json!([candidate, true])).await;
    assert_eq!(client.call("istanbul_candidates", json!([])).await, json!({ candidate: true }));
    client.call("qbft_proposeValidatorVote", json!([candidate, false])).await;
    assert_eq!(client.call("qbft_getPendingVotes", json!([])).await, json!({ candidate: false }));
    client.call("qbft_discardValidatorVote", json!([candidate])).await;
    assert_eq!(client.call("istanbul_candidates", json!([])).await, json!({}));
}

#[tokio::test]
async fn a_real_chain_answers_too() {
    let mut node = TestNode::new();
    (1..=3).for_each(|height| assert_eq!(node.mine(), height));
    let client = node.client();
    let validator = client.call("istanbul_nodeAddress", json!([])).await;
    let signers = client.call("istanbul_getSignersFromBlock", json!([])).await;
    assert_eq!(signers["Number"], json!(3));
    assert_eq!((&signers["Author"], &signers["Committers"]), (&validator, &json!([validator])));
    let snapshot = client.call("istanbul_getSnapshot", json!(["0x2"])).await;
    assert_eq!((&snapshot["number"], &snapshot["validators"]), (&json!(2), &json!([validator])));
    let status = client.call("istanbul_status", json!([])).await;
    assert_eq!(status, json!({ "sealerActivity": { validator.as_str().unwrap(): 2 }, "numBlocks": 2 }));
    let metrics = client.call("qbft_getSignerMetrics", json!(["0x1", "0x3"])).await;
    assert_eq!(metrics[0]["proposedBlockCount"], json!("0x2"));
    assert_eq!(client.call("qbft_getValidatorsByBlockNumber", json!(["pending"])).await, json!([validator]));
    assert_eq!(client.call("istanbul_isValidator", json!([])).await, json!(true));
    let limits = crate::RpcLimits { log_blocks: 1, ..Default::default() };
    let bounded = node.client_with(crate::Access::full(), limits);
    assert_eq!(bounded.refused("istanbul_status", json!(["0x1", "0x3"])).await.code, -32005);
    // Without a range only as many blocks are meant as may be looked at.
    let status = bounded.call("istanbul_status", json!([])).await;
    assert_eq!(status["numBlocks"], json!(1));
    let metrics = bounded.call("qbft_getSignerMetrics", json!([])).await;
    assert_eq!(metrics[0]["proposedBlockCount"], json!("0x1"));
}
