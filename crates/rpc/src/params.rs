//! Reading parameters: positions and names in every refusal, hex as Ethereum writes it.

use crate::error::RpcError;
use alloy_primitives::{Address, B256, U256};
use jsonrpsee::types::Params;
use lonja_chain::history;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use serde_json::value::RawValue;

/// The parameters of one request, by position.
#[derive(Debug)]
pub(crate) struct Args<'a> {
    values: Vec<&'a RawValue>,
}

impl<'a> Args<'a> {
    /// Splits the parameter list; absent parameters are an empty list, more than `most` are refused.
    pub(crate) fn new(params: &'a Params<'_>, most: usize) -> Result<Self, RpcError> {
        let text = params.as_str().map(str::trim).filter(|text| !text.is_empty() && *text != "null");
        let Some(text) = text else { return Ok(Self { values: Vec::new() }) };
        if !text.starts_with('[') {
            return Err(RpcError::InvalidParams(
                "non-array args: parameters are given by position".to_owned(),
            ));
        }
        let values: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| RpcError::InvalidParams(error.to_string()))?;
        if values.len() > most {
            return Err(RpcError::InvalidParams(format!("too many arguments, want at most {most}")));
        }
        Ok(Self { values })
    }

    /// The parameter at this position; absent and `null` are refused.
    pub(crate) fn required<T: DeserializeOwned>(
        &self,
        index: usize,
        name: &'static str,
    ) -> Result<T, RpcError> {
        self.optional(index, name)?.ok_or_else(|| {
            RpcError::InvalidParams(format!("missing value for required argument {index} ({name})"))
        })
    }

    /// The parameter at this position; `None` where it is absent or `null`.
    pub(crate) fn optional<T: DeserializeOwned>(
        &self,
        index: usize,
        name: &'static str,
    ) -> Result<Option<T>, RpcError> {
        let Some(value) = self.values.get(index).filter(|value| value.get() != "null") else {
            return Ok(None);
        };
        serde_json::from_str(value.get()).map(Some).map_err(|error| RpcError::InvalidArgument {
            index,
            name,
            reason: reason(value.get(), &error),
        })
    }
}

/// Longest reason, characters: it may contain what the client wrote.
const REASON_CHARS: usize = 400;

/// What is wrong with a parameter: in our words where the library's name neither the value nor what is wanted.
fn reason(text: &str, error: &serde_json::Error) -> String {
    let plain = plain(error);
    let Some(wanted) = wanted(&plain) else { return plain.chars().take(REASON_CHARS).collect() };
    match culprit(text, error).filter(|_| !plain.starts_with('"')) {
        Some(value) => format!("{}: {wanted}", short(value)),
        None => wanted,
    }
}

/// The library's words about hex and about structures, replaced by what is wanted.
fn wanted(plain: &str) -> Option<String> {
    let odd = "odd number of digits";
    let length = "invalid string length";
    // The library would add the value itself, however long.
    if plain.ends_with("expected a valid hex string") {
        return Some("hex with two digits per byte is expected".to_owned());
    }
    if plain.contains(odd) {
        return Some(plain.replace(odd, "two hex digits per byte are expected, and their number is odd"));
    }
    if plain.contains(length) {
        let wanted = "hex of another length is expected: 40 digits for an address, 64 for a hash or a slot";
        return Some(plain.replace(length, wanted));
    }
    if plain.contains("invalid character '") {
        return Some(plain.replace("invalid character '", "not hex: invalid character '"));
    }
    let (before, _) = plain.split_once("expected struct ").or_else(|| plain.split_once("expected tuple "))?;
    Some(format!("{before}expected an object"))
}

/// The string that was read when the error came up: it ends where the error is.
fn culprit<'a>(text: &'a str, error: &serde_json::Error) -> Option<&'a str> {
    let lines_before = error.line().checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    let read = text.get(..start.checked_add(error.column())?)?.strip_suffix('"')?;
    read.rsplit_once('"').map(|(_, value)| value)
}

/// The error without serde's position, which counts from the start of the parameter and helps nobody.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").and_then(|end| text.get(..end)).map_or(text.clone(), str::to_owned)
}

/// A number as Ethereum writes it: hex with `0x`, without more digits than the type holds. Plain JSON integers
/// are taken too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantity<T>(pub(crate) T);

/// A number that may also be a decimal string, as geth takes for `eth_feeHistory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

fn quantity(value: &Value) -> Result<U256, String> {
    match value {
        Value::Number(number) => {
            number.as_u64().map(U256::from).ok_or_else(|| "not a whole number".to_owned())
        }
        Value::String(text) => hex_quantity(text),
        _ => Err("a hex number with 0x prefix is expected".to_owned()),
    }
}

fn hex_quantity(text: &str) -> Result<U256, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = digits.ok_or_else(|| format!("{}: hex string without 0x prefix", short(text)))?;
    if digits.is_empty() || digits.len() > 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("{}: not a hex number of at most 32 bytes", short(text)));
    }
    U256::from_str_radix(digits, 16).map_err(|_| format!("{}: not a hex number", short(text)))
}

/// What the client wrote, cut to a length that fits an error message.
fn short(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    format!("{cut:?}")
}

impl<'de, T: TryFrom<U256>> Deserialize<'de> for Quantity<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = quantity(&value).map_err(D::Error::custom)?;
        T::try_from(number)
            .map(Self)
            .map_err(|_| D::Error::custom(format!("the number {number:#x} is too large here")))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(count) = value.as_str().and_then(|text| text.parse().ok()) {
            return Ok(Self(count));
        }
        let number = quantity(&value).map_err(D::Error::custom)?;
        u64::try_from(number).map(Self).map_err(|_| D::Error::custom("the number is too large here"))
    }
}

/// Which block a client means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockSelector {
    /// By height.
    Number(u64),
    /// By hash. All blocks of a node are canonical, so `requireCanonical` changes nothing.
    Hash(B256),
    /// `earliest`.
    Earliest,
    /// `latest`, `safe` and `finalized`: one and the same, since a block is final when it is there.
    Latest,
    /// `pending`: the head, with the pool's transactions where nonces are concerned.
    Pending,
}

impl BlockSelector {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "latest" | "safe" | "finalized" => Ok(Self::Latest),
            "earliest" => Ok(Self::Earliest),
            "pending" => Ok(Self::Pending),
            hash if hash.len() == 66 => {
                hash.parse().map(Self::Hash).map_err(|_| "not a block hash".to_owned())
            }
            number => u64::try_from(hex_quantity(number)?)
                .map(Self::Number)
                .map_err(|_| format!("{}: the block number is too large", short(number))),
        }
    }

    /// EIP-1898: `{"blockNumber": …}` or `{"blockHash": …, "requireCanonical": …}`.
    fn from_object(object: &serde_json::Map<String, Value>) -> Result<Self, String> {
        let text = |key: &str| object.get(key).filter(|value| !value.is_null());
        match (text("blockNumber"), text("blockHash")) {
            (Some(_), Some(_)) => Err("cannot specify both BlockHash and BlockNumber, choose one".to_owned()),
            (Some(Value::String(number)), None) if number.len() != 66 => Self::from_text(number),
            (None, Some(Value::String(hash))) => {
                hash.parse().map(Self::Hash).map_err(|_| format!("{}: not a block hash", short(hash)))
            }
            _ => Err("an object with blockNumber or blockHash (EIP-1898) is expected".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for BlockSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parsed = match Value::deserialize(deserializer)? {
            Value::String(text) => Self::from_text(&text),
            Value::Number(number) => {
                number.as_u64().map(Self::Number).ok_or_else(|| "not a height".to_owned())
            }
            Value::Object(object) => Self::from_object(&object),
            _ => Err("a block number, tag or hash is expected".to_owned()),
        };
        parsed.map_err(D::Error::custom)
    }
}

/// One value or a list of them; `null` is the empty list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = match Value::deserialize(deserializer)? {
            Value::Null => Vec::new(),
            Value::Array(values) => values,
            one => vec![one],
        };
        let read = |value: Value| {
            let text = value.as_str().map(short);
            serde_json::from_value(value)
                .map_err(|error| text.map_or_else(|| error.to_string(), |text| format!("{text}: {error}")))
        };
        values.into_iter().map(read).collect::<Result<_, String>>().map(Self).map_err(D::Error::custom)
    }
}

/// A filter over logs, as `eth_getLogs`, `eth_newFilter` and the subscription `logs` take it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a filter object")]
pub(crate) struct LogFilter {
    pub(crate) from_block: Option<BlockSelector>,
    pub(crate) to_block: Option<BlockSelector>,
    pub(crate) block_hash: Option<B256>,
    /// Emitters; none means any.
    pub(crate) address: OneOrMany<Address>,
    /// Alternatives per topic position; none at a position means any.
    pub(crate) topics: Option<Vec<OneOrMany<B256>>>,
}

/// Most emitters, and most alternatives of one topic position, in a filter (geth's bound).
const FILTER_ALTERNATIVES_MAX: usize = 1_000;

/// A log has at most four topics.
const TOPICS_MAX: usize = 4;

impl LogFilter {
    /// Refuses what cannot be searched for.
    pub(crate) fn checked(self) -> Result<Self, RpcError> {
        let refuse =
            |reason: &str| Err(RpcError::InvalidParams(format!("invalid argument 0 (filter): {reason}")));
        if self.block_hash.is_some() && (self.from_block.is_some() || self.to_block.is_some()) {
            return refuse("cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other");
        }
        let topics = self.topics.as_deref().unwrap_or_default();
        if topics.len() > TOPICS_MAX {
            return refuse("exceed max topics");
        }
        let longest = topics.iter().map(|alternatives| alternatives.0.len()).max().unwrap_or(0);
        if self.address.0.len() > FILTER_ALTERNATIVES_MAX || longest > FILTER_ALTERNATIVES_MAX {
            return refuse("exceed max addresses or topics");
        }
        Ok(self)
    }

    /// What is searched for, without where.
    pub(crate) fn search(&self) -> history::LogFilter {
        let topics = self.topics.as_deref().unwrap_or_default();
        history::LogFilter {
            addresses: self.address.0.clone(),
            topics: topics.iter().map(|alternatives| alternatives.0.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
