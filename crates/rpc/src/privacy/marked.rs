//! Private transactions behind their markers.

use super::payloads_of;
use super::results::{Placed, Results};
use crate::blocks::FullBlock;
use crate::context::Context;
use crate::error::RpcError;
use crate::params::Args;
use crate::register::Table;
use crate::view::{ReceiptView, TransactionView};
use alloy_consensus::Transaction as _;
use alloy_primitives::B256;
use jsonrpsee::types::Params;
use lonja_chain::history::Outcome;
use lonja_primitives::spec::MARKER_PRECOMPILE;
use lonja_primitives::transaction::is_private;
use lonja_primitives::{PayloadHash, RecoveredTransaction};
use std::sync::Arc;

pub(super) fn register(table: &mut Table) {
    table.read("eth_getPrivateTransactionByHash", by_hash);
    table.read("eth_getPrivateTransactionReceipt", receipt);
}

/// A marker in the chain, and what its private transaction gave.
pub(super) struct Marked {
    block: Arc<FullBlock>,
    outcome: Outcome,
    results: Arc<Results>,
}

impl Marked {
    fn find(context: &Context, params: &Params<'_>) -> Result<Option<Self>, RpcError> {
        Self::at(context, Args::new(params, 1)?.required(0, "hash")?)
    }

    /// By the marker's hash. `None` where there is no such transaction in the chain.
    pub(super) fn at(context: &Context, hash: B256) -> Result<Option<Self>, RpcError> {
        let privacy = payloads_of(context)?;
        let Some((number, index)) = context.node.reader.transaction_location(&hash)? else { return Ok(None) };
        let block = context.block(number)?;
        let Some(outcome) = block.outcome(index)? else { return Ok(None) };
        if !privacy.comes_to(number) {
            return Err(privacy.behind(number));
        }
        let results = context.private.results.of(privacy, &block)?;
        Ok(Some(Self { block, outcome, results }))
    }

    /// The private transaction and what it gave; `None` where this node is no party to it.
    fn inner(&self, chain_id: u64) -> Result<Option<(RecoveredTransaction, &Placed)>, RpcError> {
        let Some(placed) = self.results.at(self.outcome.index) else { return Ok(None) };
        let Some(raw) = &placed.receipt.inner else { return Ok(None) };
        let inner = RecoveredTransaction::recover(raw.clone(), chain_id)
            .map_err(|error| RpcError::Internal(format!("a private transaction that ran: {error}")))?;
        Ok(Some((inner, placed)))
    }
}

impl Marked {
    /// The payloads that the transaction names: its own, and where it marks another one that ran here, that one's.
    pub(super) fn payloads(&self, chain_id: u64) -> Result<Vec<PayloadHash>, RpcError> {
        let tx = &self.outcome.transaction;
        let marks = tx.to() == Some(MARKER_PRECOMPILE) && tx.input().len() == PayloadHash::LENGTH;
        let own = is_private(tx, chain_id) || marks;
        let inner = self.inner(chain_id)?.map(|(inner, _)| PayloadHash::from_data(inner.tx().input()));
        Ok(own.then(|| PayloadHash::from_data(tx.input())).into_iter().chain(inner).collect())
    }
}

/// `null` where this node is no party to it, or there is no such marker.
fn by_hash(context: &Context, params: &Params<'_>) -> Result<Option<TransactionView>, RpcError> {
    let Some(marked) = Marked::find(context, params)? else { return Ok(None) };
    let inner = marked.inner(context.node.spec.chain_id)?;
    Ok(inner.map(|(inner, _)| {
        let outcome =
            Outcome { transaction: inner.tx().clone(), sender: inner.sender(), ..marked.outcome.clone() };
        marked.block.transaction(&outcome)
    }))
}

fn receipt(context: &Context, params: &Params<'_>) -> Result<ReceiptView, RpcError> {
    let refuse = |text: &str| RpcError::Refused(text.to_owned());
    let marked = Marked::find(context, params)?;
    let marked = marked.ok_or_else(|| refuse("privacy marker transaction not found"))?;
    let inner = marked.inner(context.node.spec.chain_id)?;
    let (inner, placed) =
        inner.ok_or_else(|| refuse("private transaction not found for this participant"))?;
    let outcome = Outcome {
        transaction: inner.tx().clone(),
        sender: inner.sender(),
        // What it cost is in the marker's receipt.
        gas_used: 0,
        ..marked.outcome.clone()
    };
    let mut view = marked.block.receipt(&outcome);
    view.is_privacy_marker_transaction = Some(false);
    view.lay_over(&marked.block.header, &outcome, placed);
    Ok(view)
}
