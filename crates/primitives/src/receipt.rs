//! Receipts: the outcome of a transaction.

use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::{B256, Bloom, Log};
use alloy_rlp::{BufMut, Encodable, Header as RlpHeader};

/// The outcome of a transaction, as far as the receipts root covers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Type of the transaction (EIP-2718), 0 for legacy.
    pub tx_type: u8,
    /// Whether it succeeded; a reverted or failed transaction is `false` (EIP-658).
    pub success: bool,
    /// Gas used by this and all earlier transactions of the block.
    pub cumulative_gas_used: u64,
    /// Logs in order.
    pub logs: Vec<Log>,
}

impl Receipt {
    /// The bloom filter over the logs.
    pub fn bloom(&self) -> Bloom {
        alloy_primitives::logs_bloom(&self.logs)
    }

    /// Writes the consensus form: the type byte for typed transactions, then
    /// `rlp([status, cumulativeGasUsed, bloom, logs])` (EIP-2718, EIP-658).
    pub fn encode_2718(&self, out: &mut dyn BufMut) {
        if self.tx_type != 0 {
            out.put_u8(self.tx_type);
        }
        let bloom = self.bloom();
        let payload_length =
            self.success.length() + self.cumulative_gas_used.length() + bloom.length() + self.logs.length();
        RlpHeader { list: true, payload_length }.encode(out);
        self.success.encode(out);
        self.cumulative_gas_used.encode(out);
        bloom.encode(out);
        self.logs.encode(out);
    }
}

/// Root of the receipts trie of a block.
pub fn receipts_root(receipts: &[Receipt]) -> B256 {
    ordered_trie_root_with_encoder(receipts, |receipt, out| receipt.encode_2718(out))
}

/// Bloom over all receipts of a block.
pub fn receipts_bloom(receipts: &[Receipt]) -> Bloom {
    receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{Eip658Value, Receipt as AlloyReceipt, ReceiptEnvelope};
    use alloy_eips::Encodable2718;
    use alloy_primitives::{Address, LogData, bytes};

    #[test]
    fn encodes_like_alloy() {
        let log = Log {
            address: Address::repeat_byte(9),
            data: LogData::new_unchecked(vec![B256::repeat_byte(1)], bytes!("0102")),
        };
        for (tx_type, success) in [(0, true), (1, false), (2, true), (4, true)] {
            let ours = Receipt { tx_type, success, cumulative_gas_used: 21_000, logs: vec![log.clone()] };
            let inner = AlloyReceipt {
                status: Eip658Value::Eip658(success),
                cumulative_gas_used: 21_000,
                logs: vec![log.clone()],
            }
            .with_bloom();
            let theirs = match tx_type {
                0 => ReceiptEnvelope::Legacy(inner),
                1 => ReceiptEnvelope::Eip2930(inner),
                2 => ReceiptEnvelope::Eip1559(inner),
                _ => ReceiptEnvelope::Eip7702(inner),
            };
            let mut bytes = Vec::new();
            ours.encode_2718(&mut bytes);
            assert_eq!(bytes, theirs.encoded_2718());
        }
    }

    #[test]
    fn an_empty_block_has_the_empty_root() {
        assert_eq!(receipts_root(&[]), alloy_trie::EMPTY_ROOT_HASH);
    }
}
