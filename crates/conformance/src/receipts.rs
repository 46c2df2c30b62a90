//! Receipts before Byzantium: they carry the root of the state after each transaction, not whether it succeeded. The
//! node's receipts are those from Byzantium on.

use crate::chain::Refused;
use crate::world::View;
use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::B256;
use alloy_rlp::{BufMut, Encodable, Header as RlpHeader};
use lonja_evm::{BlockEnv, BlockExecutor};
use lonja_primitives::{BlockRules, Receipt, RecoveredTransaction};
use lonja_storage::ChainWriter;

/// Root of the state after each transaction, which is had by executing the block up to there.
pub(crate) fn states(
    rules: BlockRules,
    env: &BlockEnv,
    view: &View,
    transactions: &[RecoveredTransaction],
    writer: &ChainWriter,
) -> Result<Vec<B256>, Refused> {
    let mut roots = Vec::with_capacity(transactions.len());
    for last in 1..=transactions.len() {
        let mut executor = BlockExecutor::new(rules, env.clone(), view);
        for tx in transactions.iter().take(last) {
            executor.execute(tx)?;
        }
        let mut changes = view.changes.clone();
        changes.merge(executor.finish()?.changes);
        roots.push(writer.prepare(&changes)?.root);
    }
    Ok(roots)
}

/// Root of the trie of receipts with these states.
pub(crate) fn root_with_states(receipts: &[Receipt], states: &[B256]) -> B256 {
    let receipts: Vec<(&Receipt, &B256)> = receipts.iter().zip(states).collect();
    ordered_trie_root_with_encoder(&receipts, |(receipt, root), out| encode(receipt, root, out))
}

fn encode(receipt: &Receipt, root: &B256, out: &mut dyn BufMut) {
    let bloom = receipt.bloom();
    let payload_length =
        root.length() + receipt.cumulative_gas_used.length() + bloom.length() + receipt.logs.length();
    RlpHeader { list: true, payload_length }.encode(out);
    root.encode(out);
    receipt.cumulative_gas_used.encode(out);
    bloom.encode(out);
    receipt.logs.encode(out);
}
