//! What the parties are told beside the payload: found out by running the transaction before it is sent.

use super::RpcPrivacy;
use super::terms::Terms;
use crate::context::Context;
use crate::error::RpcError;
use lonja_chain::private::{Simulation, SimulationError, execution_root_text, simulate};
use lonja_evm::PrivateMessage;
use lonja_primitives::PayloadHash;
use lonja_ptm::{Metadata, PrivacyMode};
use std::sync::Arc;

/// The metadata of a transaction with these terms.
pub(super) async fn metadata(
    context: &Arc<Context>,
    privacy: &RpcPrivacy,
    terms: &Terms,
    message: PrivateMessage,
) -> Result<Metadata, RpcError> {
    if terms.mode != PrivacyMode::StateValidation {
        let (owned, terms) = (Arc::clone(context), terms.clone());
        return context.workers.heavy.run(move || found_out(&owned, &terms, &message)).await;
    }
    let mut metadata = plain(terms);
    if is_enhanced(context) {
        let simulated = (privacy.simulate_root)(message).await.map(|(simulation, root)| {
            metadata.exec_hash = execution_root_text(root).into_bytes().into();
            simulation
        });
        metadata.affected = affected(terms, simulated)?;
    }
    Ok(metadata)
}

/// The same, except where states are compared. Blocks, and executes the message.
pub(super) fn found_out(
    context: &Context,
    terms: &Terms,
    message: &PrivateMessage,
) -> Result<Metadata, RpcError> {
    let mut metadata = plain(terms);
    if is_enhanced(context) {
        let privacy = super::parties(context)?;
        let node = &context.node;
        let simulated = simulate(&node.spec, &node.reader, &privacy.reader, terms.mode, message);
        metadata.affected = affected(terms, simulated)?;
    }
    Ok(metadata)
}

fn plain(terms: &Terms) -> Metadata {
    Metadata { mode: terms.mode, mandatory: terms.mandatory.clone(), ..Metadata::default() }
}

fn is_enhanced(context: &Context) -> bool {
    let next = context.head().number.saturating_add(1);
    context.node.spec.privacy_at(next).enhancements
}

fn affected(
    terms: &Terms,
    simulated: Result<Simulation, SimulationError>,
) -> Result<Vec<PayloadHash>, RpcError> {
    match simulated {
        Ok(simulation) => Ok(simulation.affected),
        Err(error) if terms.mode == PrivacyMode::Standard && is_its_own_affair(&error) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// A transaction that protects nothing may be sent although it fails now: it may not when its turn comes.
fn is_its_own_affair(error: &SimulationError) -> bool {
    matches!(error, SimulationError::Reverted(_) | SimulationError::Failed(_) | SimulationError::State(_))
}
