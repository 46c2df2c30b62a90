//! The argument objects of `eth_call` and its kin.

use crate::error::RpcError;
use crate::params::Quantity;
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, U256};
use lonja_evm::{AccountOverride, BlockOverrides, CallRequest, StateOverrides};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A message as clients write it. Fields that make no difference here (`type`, blob fields) are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a transaction object")]
pub(crate) struct RequestArgs {
    from: Option<Address>,
    to: Option<Address>,
    gas: Option<Quantity<u64>>,
    gas_price: Option<Quantity<u128>>,
    max_fee_per_gas: Option<Quantity<u128>>,
    max_priority_fee_per_gas: Option<Quantity<u128>>,
    value: Option<Quantity<U256>>,
    nonce: Option<Quantity<u64>>,
    /// The older name of `input`.
    data: Option<Bytes>,
    input: Option<Bytes>,
    access_list: Option<AccessList>,
    authorization_list: Option<Vec<SignedAuthorization>>,
    chain_id: Option<Quantity<u64>>,
}

/// Accounts that a call shall see different. What is asked for and not known is refused: the answer would be that
/// of another question.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct StateOverrideArgs(BTreeMap<Address, AccountOverrideArgs>);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields, expecting = "an object of overrides")]
struct AccountOverrideArgs {
    balance: Option<Quantity<U256>>,
    nonce: Option<Quantity<u64>>,
    code: Option<Bytes>,
    state: Option<BTreeMap<B256, B256>>,
    state_diff: Option<BTreeMap<B256, B256>>,
}

/// What a call shall see different about the block. `coinbase` and `random` are geth's older names.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields, expecting = "an object of block overrides")]
pub(crate) struct BlockOverrideArgs {
    number: Option<Quantity<u64>>,
    #[serde(alias = "timestamp")]
    time: Option<Quantity<u64>>,
    gas_limit: Option<Quantity<u64>>,
    #[serde(alias = "coinbase")]
    fee_recipient: Option<Address>,
    #[serde(alias = "random")]
    prev_randao: Option<B256>,
    difficulty: Option<Quantity<U256>>,
    #[serde(alias = "baseFee")]
    base_fee_per_gas: Option<Quantity<u64>>,
    block_hash: BTreeMap<String, B256>,
}

fn inner<T>(quantity: Option<Quantity<T>>) -> Option<T> {
    quantity.map(|quantity| quantity.0)
}

impl RequestArgs {
    /// Whether the value is named, and is 0.
    pub(super) fn names_no_value(&self) -> bool {
        self.value.is_some_and(|value| value.0.is_zero())
    }

    /// The message, or why the object makes none on this chain.
    pub(crate) fn into_request(self, chain_id: u64) -> Result<CallRequest, RpcError> {
        if let Some(Quantity(have)) = self.chain_id.filter(|have| have.0 != chain_id) {
            let reason = format!("chainId does not match node's (have={have}, want={chain_id})");
            return Err(RpcError::InvalidParams(reason));
        }
        let data = match (self.input, self.data) {
            (Some(input), Some(data)) if input != data => {
                return Err(RpcError::InvalidParams(
                    "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass \
                     transaction call data"
                        .to_owned(),
                ));
            }
            (input, data) => input.or(data).unwrap_or_default(),
        };
        Ok(CallRequest {
            from: self.from,
            to: self.to,
            gas: inner(self.gas),
            gas_price: inner(self.gas_price),
            max_fee_per_gas: inner(self.max_fee_per_gas),
            max_priority_fee_per_gas: inner(self.max_priority_fee_per_gas),
            value: inner(self.value).unwrap_or_default(),
            data,
            nonce: inner(self.nonce),
            access_list: self.access_list,
            authorization_list: self.authorization_list.unwrap_or_default(),
        })
    }
}

impl StateOverrideArgs {
    pub(crate) fn into_overrides(self) -> StateOverrides {
        let slots = |slots: BTreeMap<B256, B256>| -> BTreeMap<U256, U256> {
            slots.into_iter().map(|(slot, value)| (slot.into(), value.into())).collect()
        };
        let account = |args: AccountOverrideArgs| AccountOverride {
            balance: inner(args.balance),
            nonce: inner(args.nonce),
            code: args.code,
            state: args.state.map(slots),
            state_diff: args.state_diff.map(slots),
        };
        self.0.into_iter().map(|(address, args)| (address, account(args))).collect()
    }
}

impl BlockOverrideArgs {
    pub(crate) fn into_overrides(self) -> Result<BlockOverrides, RpcError> {
        let height = |(text, hash): (String, B256)| {
            let number: Result<Quantity<u64>, _> = serde_json::from_value(text.clone().into());
            let number = number.or_else(|error| text.parse().map(Quantity).map_err(|_| error));
            number
                .map(|number| (number.0, hash))
                .map_err(|error| RpcError::InvalidParams(format!("blockHash override: {error}")))
        };
        Ok(BlockOverrides {
            number: inner(self.number),
            timestamp: inner(self.time),
            gas_limit: inner(self.gas_limit),
            beneficiary: self.fee_recipient,
            prevrandao: self.prev_randao,
            difficulty: inner(self.difficulty),
            base_fee: inner(self.base_fee_per_gas),
            block_hashes: self.block_hash.into_iter().map(height).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> Result<CallRequest, RpcError> {
        serde_json::from_str::<RequestArgs>(json).unwrap().into_request(1337)
    }

    #[test]
    fn data_and_input_are_one_field() {
        let data = Bytes::from(vec![1, 2]);
        for json in [r#"{"data":"0x0102"}"#, r#"{"input":"0x0102"}"#, r#"{"input":"0x0102","data":"0x0102"}"#]
        {
            assert_eq!(request(json).unwrap().data, data, "{json}");
        }
        let error = request(r#"{"input":"0x0102","data":"0x"}"#).unwrap_err();
        assert_eq!(error.code(), -32602);
        assert!(error.to_string().contains("not equal"), "{error}");
    }

    #[test]
    fn every_field_arrives() {
        let json = r#"{"from":"0x0101010101010101010101010101010101010101","to":null,"gas":"0x5208","value":"0x1",
            "maxFeePerGas":"0x2","maxPriorityFeePerGas":"0x1","nonce":"0x3","type":"0x2","chainId":"0x539",
            "accessList":[{"address":"0x0202020202020202020202020202020202020202","storageKeys":[]}]}"#;
        let request = request(json).unwrap();
        assert_eq!(request.from, Some(Address::repeat_byte(1)));
        assert_eq!((request.to, request.gas, request.nonce), (None, Some(21_000), Some(3)));
        assert_eq!((request.max_fee_per_gas, request.max_priority_fee_per_gas), (Some(2), Some(1)));
        assert_eq!(request.access_list.unwrap().0.len(), 1);
    }

    #[test]
    fn another_chain_is_refused() {
        assert!(request(r#"{"chainId":"0x1"}"#).unwrap_err().to_string().contains("want=1337"));
    }

    #[test]
    fn overrides_in_old_and_new_names() {
        let hash = B256::repeat_byte(7);
        let json = format!(
            r#"{{"time":"0x5","coinbase":"{}","baseFee":"0x1","blockHash":{{"0x2":"{hash}","3":"{hash}"}}}}"#,
            Address::ZERO
        );
        let args: BlockOverrideArgs = serde_json::from_str(&json).unwrap();
        let overrides = args.into_overrides().unwrap();
        assert_eq!((overrides.timestamp, overrides.base_fee), (Some(5), Some(1)));
        assert_eq!(overrides.beneficiary, Some(Address::ZERO));
        assert_eq!(overrides.block_hashes, BTreeMap::from([(2, hash), (3, hash)]));
        let bad: BlockOverrideArgs =
            serde_json::from_str(&format!(r#"{{"blockHash":{{"x":"{hash}"}}}}"#)).unwrap();
        assert_eq!(bad.into_overrides().unwrap_err().code(), -32602);
    }
}
