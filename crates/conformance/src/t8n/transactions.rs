use super::TransitionError;
use crate::block::cut;
use crate::fixture::{Number, Quantity};
use crate::geth::object;
use alloy_consensus::{EthereumTypedTransaction, SignableTransaction, TxEip4844};
use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, Signature, U64, U256};
use alloy_rlp::Header as RlpHeader;
use lonja_evm::TxInvalid;
use lonja_primitives::transaction::TransactionError;
use lonja_primitives::{BlockRules, Fork, NodeKey, RecoveredTransaction, Signer};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// What is to be executed.
#[derive(Clone, Debug)]
pub enum TransitionTransactions {
    /// A list of objects, signed or with the `secretKey` to sign with.
    Json(Value),
    /// An RLP list of signed transactions, as in the body of a block.
    Rlp(Bytes),
}

/// A transaction, or why it is none that could be executed.
pub(super) type Candidate = Result<RecoveredTransaction, String>;

type Fields = Map<String, Value>;
type Unsigned = EthereumTypedTransaction<TxEip4844>;

pub(super) fn read(
    transactions: &TransitionTransactions,
    rules: &BlockRules,
) -> Result<Vec<Candidate>, TransitionError> {
    match transactions {
        TransitionTransactions::Json(value) => {
            let wrong = |reason| TransitionError::Json(format!("txs: {reason}"));
            let all = Option::<Vec<Value>>::deserialize(value).map_err(|error| wrong(error.to_string()))?;
            let read = |tx: &Value| Ok(raw(tx, rules).map_err(wrong)?.and_then(|raw| recover(raw, rules)));
            all.unwrap_or_default().iter().map(read).collect()
        }
        TransitionTransactions::Rlp(raw) => {
            let items = items(raw).map_err(|reason| TransitionError::Rlp(format!("txs: {reason}")))?;
            Ok(items.into_iter().map(|item| recover(unwrapped(item)?, rules)).collect())
        }
    }
}

fn recover(raw: Bytes, rules: &BlockRules) -> Candidate {
    let tx = RecoveredTransaction::recover(raw, rules.chain_id).map_err(|error| error.to_string())?;
    // Before EIP-155 what names the chain is no signature at all.
    match rules.fork < Fork::SpuriousDragon && tx.tx().is_legacy() && tx.tx().is_replay_protected() {
        true => Err(TxInvalid::WrongChain.to_string()),
        false => Ok(tx),
    }
}

/// The elements of a list that fills `raw`.
fn items(raw: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut rest = raw;
    let payload = RlpHeader::decode_bytes(&mut rest, true).map_err(|error| error.to_string())?;
    match rest.len() {
        0 => cut(payload),
        more => Err(format!("{more} bytes follow the list")),
    }
}

/// The EIP-2718 form of an element: typed transactions stand in the list as strings.
fn unwrapped(mut item: &[u8]) -> Result<Bytes, String> {
    let is_list = |raw: &[u8]| raw.first().is_some_and(|byte| *byte >= alloy_rlp::EMPTY_LIST_CODE);
    if is_list(item) {
        return Ok(Bytes::copy_from_slice(item));
    }
    let inner = RlpHeader::decode_bytes(&mut item, false).map_err(|error| error.to_string())?;
    match is_list(inner) {
        true => Err("a legacy transaction stands in a list as it is".to_owned()),
        false => Ok(Bytes::copy_from_slice(inner)),
    }
}

/// The EIP-2718 form of a transaction in JSON, signed. The outer error is that of the JSON, the inner one says why
/// the transaction cannot be in a block.
fn raw(tx: &Value, rules: &BlockRules) -> Result<Result<Bytes, String>, String> {
    let fields = object(tx, "a transaction")?;
    let tx_type = field::<Number<u8>>(fields, "type")?.map_or(0, |number| number.0);
    let seal = Seal::read(fields, tx_type)?;
    let mut fields = normal(fields, rules);
    let unsigned = match tx_type {
        0 => {
            fields.remove("chainId");
            Unsigned::Legacy(TxLegacy { chain_id: seal.chain_id(rules), ..parse(fields)? })
        }
        1 => Unsigned::Eip2930(parse::<TxEip2930>(fields)?),
        2 => Unsigned::Eip1559(parse::<TxEip1559>(fields)?),
        4 if !fields.contains_key("to") => return Ok(Err(TxInvalid::AuthorizationListOnCreate.to_string())),
        4 => Unsigned::Eip7702(parse::<TxEip7702>(fields)?),
        3 => return Ok(Err(TransactionError::Blob.to_string())),
        other => return Ok(Err(TransactionError::UnknownType(other).to_string())),
    };
    let signature = seal.signature(unsigned.signature_hash())?;
    Ok(signature
        .map(|signature| unsigned.into_envelope(signature).encoded_2718().into())
        .ok_or_else(|| TransactionError::BadSignature.to_string()))
}

fn parse<T: DeserializeOwned>(fields: Fields) -> Result<T, String> {
    T::deserialize(Value::Object(fields)).map_err(|error| error.to_string())
}

fn field<T: DeserializeOwned>(fields: &Fields, name: &str) -> Result<Option<T>, String> {
    let value = fields.get(name).unwrap_or(&Value::Null);
    Option::deserialize(value).map_err(|error| format!("{name}: {error}"))
}

/// The fields by one name each, with those added that may be left out.
fn normal(fields: &Fields, rules: &BlockRules) -> Fields {
    let mut all = Fields::from_iter([
        ("chainId".to_owned(), json!(U64::from(rules.chain_id))),
        ("value".to_owned(), json!("0x0")),
        ("input".to_owned(), json!("0x")),
        ("accessList".to_owned(), json!([])),
        ("authorizationList".to_owned(), json!([])),
    ]);
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let name = match name.as_str() {
            "gasLimit" => "gas",
            "data" => "input",
            "to" if value == "" || value == "0x" => continue,
            name => name,
        };
        all.insert(name.to_owned(), value.clone());
    }
    all
}

/// The signature of a transaction in JSON, or what makes one.
struct Seal {
    v: U256,
    r: U256,
    s: U256,
    secret_key: Option<B256>,
    protected: bool,
    legacy: bool,
}

impl Seal {
    fn read(fields: &Fields, tx_type: u8) -> Result<Self, String> {
        let number = |name: &str| field::<Quantity>(fields, name).map(|number| number.and_then(|n| n.0));
        Ok(Self {
            v: number("v")?.or(number("yParity")?).unwrap_or_default(),
            r: number("r")?.unwrap_or_default(),
            s: number("s")?.unwrap_or_default(),
            secret_key: field(fields, "secretKey")?,
            protected: field(fields, "protected")?.unwrap_or(true),
            legacy: tx_type == 0,
        })
    }

    fn is_there(&self) -> bool {
        [self.v, self.r, self.s].iter().any(|part| !part.is_zero())
    }

    /// The chain that a legacy transaction names (EIP-155).
    fn chain_id(&self, rules: &BlockRules) -> Option<u64> {
        match self.is_there() {
            true => self.v.checked_sub(U256::from(35)).map(|v| (v >> 1usize).saturating_to()),
            false => (rules.fork >= Fork::SpuriousDragon && self.protected).then_some(rules.chain_id),
        }
    }

    fn signature(&self, hash: B256) -> Result<Option<Signature>, String> {
        match self.secret_key {
            Some(key) if !self.is_there() => {
                let key = NodeKey::from_bytes(&key.0).map_err(|error| format!("secretKey: {error}"))?;
                Ok(Signature::from_raw(&key.sign(hash).0).ok())
            }
            _ => Ok(self.parity().map(|parity| Signature::new(self.r, self.s, parity))),
        }
    }

    /// Which of two points the signature stands for: 0 or 1, in legacy transactions 27 or 28, and from 35 on
    /// together with the chain.
    fn parity(&self) -> Option<bool> {
        match u64::try_from(self.v) {
            Ok(parity @ (0 | 1)) if !self.legacy => Some(parity == 1),
            Ok(parity @ (27 | 28)) if self.legacy => Some(parity == 28),
            Ok(..35) => None,
            _ => self.legacy.then_some(!self.v.bit(0)),
        }
    }
}
