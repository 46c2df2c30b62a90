//! Brings a validator that was suspended by rule back: once it follows the chain again it shows so on chain, and asks for
//! its seat when its time is over, signed with its own key. Nobody has to type anything after a repair.

use crate::control::Published;
use arc_swap::ArcSwap;
use lonja_chain::{Door, PeerJudge};
use lonja_permissioning::registry::comeback::{Step, next_step, signed};
use lonja_primitives::{NodeKey, Signer, StateView};
use lonja_storage::Reader;
use lonja_txpool::{Origin, TxPool};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// How often a validator looks whether it is suspended. A suspension lasts hours on most networks.
const LOOK: Duration = Duration::from_secs(2);

/// Everything that the way back needs.
pub struct Comeback {
    /// Reads the registry.
    pub judge: PeerJudge,
    /// The newest durable block.
    pub reader: Reader,
    /// Takes the transactions.
    pub door: Door,
    /// Tells whether one waits already.
    pub pool: Arc<Mutex<TxPool>>,
    /// Whether the node is behind.
    pub published: Arc<ArcSwap<Published>>,
    /// The validator's key.
    pub key: NodeKey,
    /// The network's.
    pub chain_id: u64,
}

impl Comeback {
    /// Looks again and again; ends with the node.
    pub async fn run(self) {
        let this = Arc::new(self);
        let mut every = tokio::time::interval(LOOK);
        loop {
            every.tick().await;
            let looking = this.clone();
            match tokio::task::spawn_blocking(move || looking.look()).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => tracing::warn!(%reason, "this validator cannot ask for its seat"),
                Err(error) => tracing::error!(%error, "looking after this validator's seat failed"),
            }
        }
    }

    /// Takes the next step, where there is one.
    fn look(&self) -> Result<(), String> {
        let (own, published) = (self.key.address(), self.published.load());
        if published.syncing.is_some()
            || published.consensus.is_validator
            || self.pool.lock().has_sender(&own)
        {
            return Ok(());
        }
        let head = self.reader.head();
        // A network without a registry has nothing to come back to.
        let Some(step) = self.judge.registry(|registry| next_step(registry, own, (head.number, head.hash)))
        else {
            return Ok(());
        };
        let Some(step) = step? else { return Ok(()) };
        let state = self.reader.state_at(head.number).map_err(|error| error.to_string())?;
        let nonce =
            state.account(&own).map_err(|error| error.to_string())?.map_or(0, |account| account.nonce);
        let raw = signed(&step, &self.key, self.chain_id, nonce);
        self.door
            .submit(vec![raw], Origin::Local)
            .into_iter()
            .try_for_each(|answer| answer.map(drop).map_err(|error| error.to_string()))?;
        match step {
            Step::Heartbeat(_) => tracing::info!(
                block = head.number,
                "this validator is suspended; it shows on chain that it follows the chain again"
            ),
            Step::Return(_) => tracing::info!("this validator's suspension is over; it asks for its seat"),
        }
        Ok(())
    }
}
