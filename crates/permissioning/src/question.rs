//! Questions, in the bytes of the contracts' interface.

use crate::interface::{Connections, ConnectionsByWords, Transactions};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, keccak256};
use alloy_sol_types::SolCall;
use lonja_primitives::spec::ConnectionForm;
use lonja_primitives::{NodeId, RecoveredTransaction};
use std::net::IpAddr;

/// Bytes before the payload: selector, six words, the payload's length.
pub(crate) const HEAD_BYTES: usize = 4 + 7 * 32;
/// Answers to questions with payloads up to this length are kept whatever they looked at.
const SHORT_PAYLOAD: usize = 512;

/// May this transaction be in a block?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionQuestion<'a> {
    /// Who signed it.
    pub sender: Address,
    /// Its target; `None` creates a contract.
    pub target: Option<Address>,
    /// Value in wei.
    pub value: U256,
    /// Price per gas in wei; 0 where the type has none, as Besu asks.
    pub gas_price: u128,
    /// Gas limit.
    pub gas_limit: u64,
    /// Call data or init code.
    pub payload: &'a [u8],
}

impl<'a> TransactionQuestion<'a> {
    /// About a signed transaction.
    pub fn of(tx: &'a RecoveredTransaction) -> Self {
        Self {
            sender: tx.sender(),
            target: tx.kind().to().copied(),
            value: tx.value(),
            gas_price: if tx.tx_type() < 2 { tx.max_fee_per_gas() } else { 0 },
            gas_limit: tx.gas_limit(),
            payload: tx.tx().input(),
        }
    }

    /// Answers are kept by sender.
    pub(crate) fn subject(&self) -> B256 {
        self.sender.into_word()
    }

    /// The question's first bytes, up to the payload: all that most contracts read. Costs no memory.
    pub(crate) fn head(&self) -> [u8; HEAD_BYTES] {
        self.head_of(Transactions::transactionAllowedCall::SELECTOR)
    }

    /// Whether the question is short enough to be kept whole.
    pub(crate) fn is_short(&self) -> bool {
        self.payload.len() <= SHORT_PAYLOAD
    }

    pub(crate) fn allowed(&self) -> Bytes {
        self.encode(Transactions::transactionAllowedCall::SELECTOR)
    }

    pub(crate) fn refusal(&self) -> Bytes {
        self.encode(Transactions::transactionRefusalCall::SELECTOR)
    }

    fn encode(&self, selector: [u8; 4]) -> Bytes {
        let padded = self.payload.len().div_ceil(32) * 32;
        let mut out = Vec::with_capacity(HEAD_BYTES + padded);
        out.extend_from_slice(&self.head_of(selector));
        out.extend_from_slice(self.payload);
        out.resize(HEAD_BYTES + padded, 0);
        out.into()
    }

    /// Written by hand: it is done for every transaction, more than once.
    fn head_of(&self, selector: [u8; 4]) -> [u8; HEAD_BYTES] {
        let words: [B256; 7] = [
            self.sender.into_word(),
            self.target.unwrap_or_default().into_word(),
            self.value.into(),
            U256::from(self.gas_price).into(),
            U256::from(self.gas_limit).into(),
            U256::from(6 * 32).into(),
            U256::from(self.payload.len()).into(),
        ];
        let mut out = [0; HEAD_BYTES];
        let (first, rest) = out.split_at_mut(4);
        first.copy_from_slice(&selector);
        rest.chunks_exact_mut(32)
            .zip(&words)
            .for_each(|(place, word)| place.copy_from_slice(word.as_slice()));
        out
    }
}

/// The asking node, for contracts that look at both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnEnd {
    /// Its key.
    pub node: NodeId,
    /// The address it tells others, where it is an IP address.
    pub ip: Option<IpAddr>,
    /// The port it listens on; 0 for none.
    pub port: u16,
}

/// May this node be connected?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionQuestion<'a> {
    /// Its key.
    pub node: NodeId,
    /// Host and port it listens at, as far as they are known.
    pub at: Option<(&'a str, u16)>,
}

impl ConnectionQuestion<'_> {
    /// Answers are kept by node.
    pub(crate) fn subject(&self) -> B256 {
        keccak256(self.node.0)
    }

    /// The same question about another address: an answer that does not cover it looked at the address.
    pub(crate) fn elsewhere(&self) -> ConnectionQuestion<'static> {
        ConnectionQuestion { node: self.node, at: Some(("192.0.2.1", 1)) }
    }

    pub(crate) fn allowed(&self, form: ConnectionForm, own: &OwnEnd) -> Bytes {
        let (host, port) = self.at.unwrap_or(("", 0));
        match form {
            ConnectionForm::Strings => {
                let enode = alloy_primitives::hex::encode(self.node.0);
                Connections::connectionAllowedCall { enodeId: enode, host: host.to_owned(), port }
                    .abi_encode()
                    .into()
            }
            ConnectionForm::Words => {
                let (source, target) = (halves(&own.node), halves(&self.node));
                ConnectionsByWords::connectionAllowedCall {
                    sourceHigh: source.0,
                    sourceLow: source.1,
                    sourceIp: ip_word(own.ip),
                    sourcePort: own.port,
                    targetHigh: target.0,
                    targetLow: target.1,
                    targetIp: ip_word(host.parse().ok()),
                    targetPort: port,
                }
                .abi_encode()
                .into()
            }
        }
    }

    pub(crate) fn refusal(&self) -> Bytes {
        let (host, port) = self.at.unwrap_or(("", 0));
        let enode = alloy_primitives::hex::encode(self.node.0);
        Connections::connectionRefusalCall { enodeId: enode, host: host.to_owned(), port }.abi_encode().into()
    }
}

fn halves(node: &NodeId) -> (B256, B256) {
    (B256::from_slice(&node.0[..32]), B256::from_slice(&node.0[32..]))
}

/// IPv4 mapped into IPv6, as Besu packs it; zeros where there is none.
fn ip_word(ip: Option<IpAddr>) -> FixedBytes<16> {
    match ip {
        None => FixedBytes::ZERO,
        Some(IpAddr::V4(ip)) => FixedBytes(ip.to_ipv6_mapped().octets()),
        Some(IpAddr::V6(ip)) => FixedBytes(ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B512, address};

    #[test]
    fn a_transaction_is_encoded_as_the_interface_says() {
        for payload in [&[][..], &[1, 2, 3], &[7; 32], &[9; 600]] {
            let question = TransactionQuestion {
                sender: address!("00000000000000000000000000000000000000aa"),
                target: Some(address!("00000000000000000000000000000000000000bb")),
                value: U256::from(5),
                gas_price: 6,
                gas_limit: 7,
                payload,
            };
            let call = Transactions::transactionAllowedCall {
                sender: question.sender,
                target: question.target.unwrap(),
                value: question.value,
                gasPrice: U256::from(6),
                gasLimit: U256::from(7),
                payload: payload.to_vec().into(),
            };
            assert_eq!(question.allowed(), Bytes::from(call.abi_encode()));
            assert_eq!(question.is_short(), payload.len() <= SHORT_PAYLOAD);
            assert!(question.allowed().starts_with(&question.head()));
        }
        assert_eq!(Transactions::transactionAllowedCall::SELECTOR, [0x93, 0x64, 0x21, 0xd5]);
    }

    #[test]
    fn both_forms_of_the_connection_question_are_besus() {
        let own =
            OwnEnd { node: NodeId(B512::repeat_byte(1)), ip: Some("10.0.0.1".parse().unwrap()), port: 30303 };
        let question = ConnectionQuestion { node: NodeId(B512::repeat_byte(2)), at: Some(("10.0.0.2", 99)) };
        assert_eq!(question.allowed(ConnectionForm::Strings, &own)[..4], [0x45, 0xa5, 0x9e, 0x5b]);
        let words = question.allowed(ConnectionForm::Words, &own);
        assert_eq!(words[..4], [0x36, 0x20, 0xb1, 0xdf]);
        assert_eq!(words.len(), 4 + 8 * 32);
        let ip = &words[4 + 6 * 32..4 + 7 * 32];
        assert_eq!(ip[..16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2]);
        assert_eq!(ip[16..], [0; 16]);
    }
}
