//! What the parties are told beside the payload: found out by running the transaction before it is sent.

use super::RpcPrivacy;
use super::terms::Terms;
use crate::context::Context;
use crate::error::RpcError;
use lonja_chain::private::{Simulation, SimulationError, execution_root_text, simulate};
use lonja_evm::PrivateMessage;
use lonja_ptm::{Metadata, PrivacyMode};
use std::sync::Arc;

/// The metadata of a transaction with these terms.
pub(super) async fn metadata(
    context: &Arc<Context>,
    privacy: &RpcPrivacy,
    terms: &Terms,
    message: PrivateMessage,
) -> Result<Metadata, RpcError> {
    let mut metadata =
        Metadata { mode: terms.mode, mandatory: terms.mandatory.clone(), ..Metadata::default() };
    let next = context.head().number.saturating_add(1);
    if !context.node.spec.privacy_at(next).enhancements {
        return Ok(metadata);
    }
    let simulated = if terms.mode == PrivacyMode::StateValidation {
        (privacy.simulate_root)(message).await.map(|(simulation, root)| {
            metadata.exec_hash = execution_root_text(root).into_bytes().into();
            simulation
        })
    } else {
        on_worker(context, terms.mode, message).await?
    };
    match simulated {
        Ok(simulation) => metadata.affected = simulation.affected,
        Err(error) if terms.mode == PrivacyMode::Standard && is_its_own_affair(&error) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(metadata)
}

async fn on_worker(
    context: &Arc<Context>,
    mode: PrivacyMode,
    message: PrivateMessage,
) -> Result<Result<Simulation, SimulationError>, RpcError> {
    let owned = Arc::clone(context);
    let job = move || {
        let privacy = super::parties(&owned)?;
        Ok(simulate(&owned.node.spec, &owned.node.reader, &privacy.reader, mode, &message))
    };
    context.workers.heavy.run(job).await
}

/// A transaction that protects nothing may be sent although it fails now: it may not when its turn comes.
fn is_its_own_affair(error: &SimulationError) -> bool {
    matches!(error, SimulationError::Reverted(_) | SimulationError::Failed(_) | SimulationError::State(_))
}
