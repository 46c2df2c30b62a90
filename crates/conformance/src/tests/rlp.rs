//! RLPTests: the encoding everything that travels is in.

use super::read;
use crate::fixture::Data;
use alloy_primitives::{U512, hex};
use alloy_rlp::{Decodable, Encodable, Header};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Test {
    #[serde(rename = "in")]
    value: Value,
    out: Data,
}

fn tests(file: &str) -> BTreeMap<String, Test> {
    serde_json::from_str(&read(file)).unwrap()
}

/// Text as bytes, a number (`#…` where it is long) as such, a list as a list.
fn encode(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => match text.strip_prefix('#') {
            Some(number) => alloy_rlp::encode(number.parse::<U512>().unwrap()),
            None => alloy_rlp::encode(text.as_bytes()),
        },
        Value::Number(number) => alloy_rlp::encode(number.as_u64().unwrap()),
        Value::Array(items) => {
            let payload = items.iter().flat_map(encode).collect::<Vec<u8>>();
            let mut out = Vec::new();
            Header { list: true, payload_length: payload.len() }.encode(&mut out);
            out.extend(payload);
            out
        }
        other => panic!("{other} is no RLP item"),
    }
}

/// Decodes whatever stands there, all the way down, and encodes it again.
fn round_trip(raw: &[u8]) -> alloy_rlp::Result<Vec<u8>> {
    let mut rest = raw;
    let out = item(&mut rest)?;
    if rest.is_empty() { Ok(out) } else { Err(alloy_rlp::Error::UnexpectedLength) }
}

fn item(rest: &mut &[u8]) -> alloy_rlp::Result<Vec<u8>> {
    let mut out = Vec::new();
    if Header::decode(&mut &**rest)?.list {
        let mut payload = Header::decode_bytes(rest, true)?;
        let mut items = Vec::new();
        while !payload.is_empty() {
            items.extend(item(&mut payload)?);
        }
        Header { list: true, payload_length: items.len() }.encode(&mut out);
        out.extend(items);
    } else {
        alloy_primitives::Bytes::decode(rest)?.encode(&mut out);
    }
    Ok(out)
}

#[test]
fn values_have_the_encoding_of_the_tests() {
    let tests = tests("rlp/rlptest.json");
    assert!(tests.len() > 20);
    for (name, test) in tests {
        assert_eq!(hex::encode(encode(&test.value)), hex::encode(&test.out.0), "{name}");
        assert_eq!(round_trip(&test.out.0).unwrap(), test.out.0, "{name}");
    }
}

#[test]
fn what_is_not_canonical_is_refused() {
    let tests = tests("rlp/invalidRLPTest.json");
    assert!(tests.len() > 20);
    for (name, test) in tests {
        assert!(round_trip(&test.out.0).is_err(), "{name}");
        assert!(lonja_primitives::Header::decode(&mut test.out.0.as_ref()).is_err(), "{name}: header");
        assert!(lonja_primitives::Block::decode(&mut test.out.0.as_ref()).is_err(), "{name}: block");
    }
}
