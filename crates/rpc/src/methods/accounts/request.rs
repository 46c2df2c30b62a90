//! What is to be signed and sent, as clients write it.

use crate::error::RpcError;
use crate::params::{Args, Quantity};
use alloy_consensus::{TxEip1559, TxEip2930, TxLegacy};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use lonja_evm::CallRequest;
use lonja_primitives::spec::Fork;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// A transaction that the node is to complete and sign. What is absent is filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a transaction object")]
pub(crate) struct SendRequest {
    pub(crate) from: Address,
    pub(crate) to: Option<Address>,
    pub(crate) gas: Option<Quantity<u64>>,
    pub(crate) gas_price: Option<Quantity<u128>>,
    pub(crate) max_fee_per_gas: Option<Quantity<u128>>,
    pub(crate) max_priority_fee_per_gas: Option<Quantity<u128>>,
    pub(crate) value: Option<Quantity<U256>>,
    pub(crate) nonce: Option<Quantity<u64>>,
    /// The older name of `input`. Read through [`SendRequest::payload`] only: what stands in one of the two must not be
    /// published when the other is replaced.
    data: Option<Bytes>,
    input: Option<Bytes>,
    access_list: Option<AccessList>,
    chain_id: Option<Quantity<u64>>,
    #[serde(rename = "type")]
    transaction_type: Option<Quantity<u8>>,
    /// GoQuorum's fields of a private transaction.
    #[serde(flatten)]
    pub(crate) private: PrivateFields,
}

/// What makes a transaction private: GoQuorum's fields, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrivateFields {
    /// The sending key, base64.
    pub(crate) private_from: Option<String>,
    /// The parties' keys, base64. Whatever is not `null` makes the transaction private, the empty list too.
    pub(crate) private_for: Option<Vec<String>>,
    /// 0 to 3.
    pub(crate) privacy_flag: Option<Quantity<u64>>,
    /// Keys, base64, with flag 2.
    pub(crate) mandatory_for: Option<Vec<String>>,
    /// Accepted for older clients; makes no difference.
    pub(crate) restriction: Option<String>,
}

/// Which form a transaction takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Legacy,
    AccessList,
    DynamicFee,
}

/// What a client does not say and the node found out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) chain_id: u64,
    pub(super) nonce: u64,
    pub(super) gas_limit: u64,
    /// What is offered per gas where the client names no price.
    pub(super) price: u128,
}

/// Fields whose loss would change what a transaction does. Others that are not known make no difference, as in geth.
const NOT_SIGNED: [&str; 6] =
    ["authorizationList", "blobs", "blobVersionedHashes", "maxFeePerBlobGas", "commitments", "proofs"];

/// The fields of [`PrivateFields`].
const PRIVATE: [&str; 5] = ["privateFrom", "privateFor", "privacyFlag", "mandatoryFor", "restriction"];

impl SendRequest {
    /// The request at this position.
    pub(crate) fn read(args: &Args<'_>, index: usize) -> Result<Self, RpcError> {
        check_names(args, index, "transaction")?;
        let request: Self = args.required(index, "transaction")?;
        request.private.check()?;
        Ok(request)
    }

    /// Call data or init code; `data` and `input` are two names of it.
    pub(crate) fn payload(&self) -> Result<Bytes, RpcError> {
        match (&self.input, &self.data) {
            (Some(input), Some(data)) if input != data => Err(RpcError::InvalidParams(
                "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction \
                 call data"
                    .to_owned(),
            )),
            (input, data) => Ok(input.as_ref().or(data.as_ref()).cloned().unwrap_or_default()),
        }
    }

    /// Puts something else in the place of the payload, under whichever name it stood.
    pub(crate) fn replace_payload(&mut self, payload: Bytes) {
        (self.input, self.data) = (Some(payload), None);
    }

    /// Refuses what can be no transaction of this chain, whatever is filled in.
    pub(crate) fn check(&self, chain_id: u64) -> Result<(), RpcError> {
        let refuse = |reason: String| Err(RpcError::InvalidParams(reason));
        if let Some(Quantity(have)) = self.chain_id.filter(|have| have.0 != chain_id) {
            return refuse(format!("chainId does not match node's (have={have}, want={chain_id})"));
        }
        if self.gas_price.is_some() && self.is_dynamic() {
            return refuse("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified".to_owned());
        }
        if let (Some(Quantity(most)), Some(Quantity(tip))) =
            (self.max_fee_per_gas, self.max_priority_fee_per_gas)
            && most < tip
        {
            return refuse(format!("maxFeePerGas ({most}) < maxPriorityFeePerGas ({tip})"));
        }
        if self.to.is_none() && self.payload()?.is_empty() {
            return refuse("contract creation without any data provided".to_owned());
        }
        Ok(())
    }

    /// Refuses what leaves to the node how it is to be sent: gas, price and nonce, in GoQuorum's words.
    pub(crate) fn check_complete(&self) -> Result<(), RpcError> {
        let refuse = |reason: &str| Err(RpcError::Refused(reason.to_owned()));
        match (self.gas, self.gas_price.or(self.max_fee_per_gas), self.nonce) {
            (None, _, _) => refuse("gas not specified"),
            (_, None, _) => refuse("gasPrice not specified"),
            (_, _, None) => refuse("nonce not specified"),
            _ => Ok(()),
        }
    }

    /// The form that the fields ask for, or the newest that the rules of the next block have.
    pub(super) fn form(&self, fork: Fork) -> Result<Form, RpcError> {
        let refuse = |reason: &str| Err(RpcError::InvalidParams(format!("invalid transaction: {reason}")));
        let has_list = self.has_access_list();
        match self.transaction_type.map(|wanted| wanted.0) {
            Some(0) if self.is_dynamic() => refuse("type 0 has a gasPrice, not maxFeePerGas"),
            Some(0) if has_list => refuse("type 0 has no accessList"),
            Some(0) => Ok(Form::Legacy),
            Some(1) if self.is_dynamic() => refuse("type 1 has a gasPrice, not maxFeePerGas"),
            Some(1) => Ok(Form::AccessList),
            Some(2) if self.gas_price.is_some() => refuse("type 2 has maxFeePerGas, not a gasPrice"),
            Some(2) => Ok(Form::DynamicFee),
            Some(other) => refuse(&format!("type {other} is not signed by this node; 0, 1 and 2 are")),
            None if self.is_dynamic() => Ok(Form::DynamicFee),
            None if self.gas_price.is_none() && fork >= Fork::London => Ok(Form::DynamicFee),
            None if self.access_list.is_some() => Ok(Form::AccessList),
            None => Ok(Form::Legacy),
        }
    }

    /// The message whose gas is to be estimated.
    pub(crate) fn message(&self) -> Result<CallRequest, RpcError> {
        Ok(CallRequest {
            from: Some(self.from),
            to: self.to,
            gas: None,
            gas_price: self.gas_price.map(|price| price.0),
            max_fee_per_gas: self.max_fee_per_gas.map(|price| price.0),
            max_priority_fee_per_gas: self.max_priority_fee_per_gas.map(|price| price.0),
            value: self.value(),
            data: self.payload()?,
            nonce: None,
            access_list: self.access_list.clone(),
            authorization_list: Vec::new(),
        })
    }

    /// A fee of type 2 becomes the price: private transactions have no other type, whatever the client is used to.
    pub(super) fn legacy(&self, found: Found) -> Result<TxLegacy, RpcError> {
        let offered = self.gas_price.or(self.max_fee_per_gas).or(self.max_priority_fee_per_gas);
        Ok(TxLegacy {
            chain_id: Some(found.chain_id),
            nonce: found.nonce,
            gas_price: offered.map_or(found.price, |price| price.0),
            gas_limit: found.gas_limit,
            to: self.kind(),
            value: self.value(),
            input: self.payload()?,
        })
    }

    pub(super) fn with_access_list(&self, found: Found) -> Result<TxEip2930, RpcError> {
        Ok(TxEip2930 {
            chain_id: found.chain_id,
            nonce: found.nonce,
            gas_price: self.gas_price.map_or(found.price, |price| price.0),
            gas_limit: found.gas_limit,
            to: self.kind(),
            value: self.value(),
            access_list: self.access_list.clone().unwrap_or_default(),
            input: self.payload()?,
        })
    }

    /// One of the two fees follows from the other: the base fee is 0.
    pub(super) fn dynamic(&self, found: Found) -> Result<TxEip1559, RpcError> {
        let (most, tip) = (self.max_fee_per_gas, self.max_priority_fee_per_gas);
        let (most, tip) = match (most.map(|most| most.0), tip.map(|tip| tip.0)) {
            (Some(most), Some(tip)) => (most, tip),
            (Some(most), None) => (most, found.price.min(most)),
            (None, Some(tip)) => (tip, tip),
            (None, None) => (found.price, found.price),
        };
        Ok(TxEip1559 {
            chain_id: found.chain_id,
            nonce: found.nonce,
            gas_limit: found.gas_limit,
            max_fee_per_gas: most,
            max_priority_fee_per_gas: tip,
            to: self.kind(),
            value: self.value(),
            access_list: self.access_list.clone().unwrap_or_default(),
            input: self.payload()?,
        })
    }

    /// Whether everything is named that is offered per gas, in either form.
    pub(super) fn has_price(&self) -> bool {
        self.gas_price.is_some() || self.max_priority_fee_per_gas.is_some()
    }

    pub(crate) fn has_access_list(&self) -> bool {
        self.access_list.as_ref().is_some_and(|list| !list.is_empty())
    }

    fn is_dynamic(&self) -> bool {
        self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some()
    }

    pub(crate) fn kind(&self) -> TxKind {
        self.to.map_or(TxKind::Create, TxKind::Call)
    }

    pub(crate) fn value(&self) -> U256 {
        self.value.map(|value| value.0).unwrap_or_default()
    }
}

impl PrivateFields {
    /// The fields at this position, for a transaction that is signed already. Absent, there are none.
    pub(crate) fn read(args: &Args<'_>, index: usize) -> Result<Self, RpcError> {
        check_names(args, index, "privateArgs")?;
        Ok(args.optional(index, "privateArgs")?.unwrap_or_default())
    }

    /// Whether the transaction is to be private.
    pub(crate) fn is_private(&self) -> bool {
        self.private_for.is_some()
    }

    /// Whoever names a sending key, mandatory parties or a flag means a private transaction. Sent as a public one, its
    /// payload would be published.
    fn check(&self) -> Result<(), RpcError> {
        let flag = self.privacy_flag.is_some_and(|flag| flag.0 != 0);
        match !self.is_private() && (self.private_from.is_some() || self.mandatory_for.is_some() || flag) {
            true => Err(RpcError::InvalidParams(
                "the fields of a private transaction are set, but privateFor is not: an empty list makes it private \
                 to this node"
                    .to_owned(),
            )),
            false => Ok(()),
        }
    }
}

fn check_names(args: &Args<'_>, index: usize, what: &'static str) -> Result<(), RpcError> {
    let names: BTreeMap<String, Option<IgnoredAny>> = args.optional(index, what)?.unwrap_or_default();
    names.iter().filter(|(_, value)| value.is_some()).try_for_each(|(name, _)| check_name(name))
}

/// Refuses fields that would change what a transaction does and are not known. A misspelt `privateFor` above all: the payload
/// would be published in clear.
fn check_name(name: &str) -> Result<(), RpcError> {
    if NOT_SIGNED.contains(&name) {
        return Err(RpcError::InvalidParams(format!(
            "transactions with {name} are not signed by this node; types 0, 1 and 2 are"
        )));
    }
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let means_privacy = ["priv", "mandatory", "restrict"].iter().any(|word| plain.starts_with(word));
    match means_privacy && !PRIVATE.contains(&name) {
        true => Err(RpcError::InvalidParams(format!(
            "the field {:?} is not known; those of private transactions are {}",
            name.chars().take(40).collect::<String>(),
            PRIVATE.join(", ")
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
