//! Goes on with extensions of private contracts that accounts of this node began.
//!
//! ```text
//!  private head ─▶ extensions that are accepted ─▶ read the contract ─▶ payload to all parties ─▶ its name on the chain
//!                             ▲                                                                       │
//!                             └── the contract moved on: once more ◀── what came of it here ◀─────────┘
//!                                                                              └── taken: the extension ends
//! ```
//!
//! What is to be done follows from the private state alone, so that nothing is kept on disk, and a restart in the middle
//! goes on: at worst a state is shared twice. While the account is locked, nothing is done.

use alloy_primitives::{Address, B256, Bytes};
use futures::future::BoxFuture;
use lonja_accounts::Accounts;
use lonja_chain::private::extension::NOT_OURS;
use lonja_chain::private::extension::contract::{finish_call, share_call};
use lonja_chain::private::extension::index::{Extension, ExtensionIndex};
use lonja_chain::private::extension::shared::{MAX_SLOTS, SharedStateError, Terms, encode};
use lonja_chain::private::{PrivateStatus, execution_root_text};
use lonja_primitives::{NodeKey, PayloadHash};
use lonja_ptm::{Lookup, Metadata, PrivacyMode, PrivateTransactionManager, PtmError, SendRequest};
use lonja_rpc::{ExtensionSender, RpcPrivacy, parties_of};
use lonja_storage::{PrivateReader, Reader, StoreError};
use metrics::counter;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;

/// A step that failed is tried again after this, and then more and more slowly up to [`AGAIN_MOST`].
const AGAIN_FIRST: Duration = Duration::from_millis(500);
/// The longest pause: an account that is unlocked, or a party that is back, is noticed within it.
const AGAIN_MOST: Duration = Duration::from_secs(60);
/// A contract that moved on is shared again soon, whatever was before: it is caught between two of its transactions.
const MOVED_ON_MOST: Duration = Duration::from_secs(2);
/// A transaction that is in no block after this is not waited for any longer.
const LOST_AFTER: Duration = Duration::from_secs(120);
/// How often it looks while something waits for its time.
const LOOK: Duration = Duration::from_millis(500);

/// Sends a call of the creator's to a management contract, for all parties.
pub type Sending = dyn Fn(Extension, Bytes) -> BoxFuture<'static, Result<B256, String>> + Send + Sync;

/// What it works with.
pub struct Parts {
    /// The private state.
    pub reader: PrivateReader,
    /// The public chain.
    pub public: Reader,
    /// Hands states to the parties.
    pub manager: Arc<dyn PrivateTransactionManager>,
    /// Whose extensions it goes on with.
    pub accounts: Arc<Accounts>,
    /// Sends by these accounts.
    pub send: Arc<Sending>,
    /// Finds extensions; the node's RPC looks into it too.
    pub index: Arc<Mutex<ExtensionIndex>>,
    /// Signs what is shared.
    pub key: NodeKey,
    /// Where the private state stands.
    pub status: watch::Receiver<PrivateStatus>,
}

impl Parts {
    /// What a node has, whose accounts send by its RPC.
    pub fn of(
        privacy: &RpcPrivacy,
        public: Reader,
        accounts: Arc<Accounts>,
        sender: ExtensionSender,
        key: NodeKey,
    ) -> Self {
        let index = sender.index();
        let send = move |extension: Extension, call| -> BoxFuture<'static, Result<B256, String>> {
            let sender = sender.clone();
            Box::pin(async move { sender.send(&extension, call).await })
        };
        Self {
            reader: privacy.reader.clone(),
            public,
            manager: privacy.manager.clone(),
            accounts,
            send: Arc::new(send),
            index,
            key,
            status: privacy.status.clone(),
        }
    }
}

/// Why a step was not made.
#[derive(Debug, Error)]
enum Failure {
    #[error("the contract is not here")]
    NoContract,
    #[error("the party that began the extension is not known here")]
    NoParty,
    #[error(transparent)]
    State(#[from] SharedStateError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Manager(#[from] PtmError),
    #[error("{0}")]
    Send(String),
    #[error("a look at the store did not come to its end")]
    Lost,
}

/// What is to be done next about an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Share,
    Finish,
}

/// What was done about it.
struct Attempt {
    step: Step,
    /// A transaction on its way, and since when.
    sent: Option<(B256, Instant)>,
    pause: Duration,
    not_before: Instant,
}

/// Runs until it is aborted.
pub async fn run(parts: Parts) {
    let mut status = parts.status.clone();
    let mut service = Service::new(parts);
    loop {
        service.round(Instant::now()).await;
        let changed = async {
            // The follower is gone: so is the node, in a moment.
            if status.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match service.attempts.is_empty() {
            // Also for an account that is unlocked while no block comes.
            true => drop(tokio::time::timeout(AGAIN_MOST, changed).await),
            false => drop(tokio::time::timeout(LOOK, changed).await),
        }
    }
}

struct Service {
    parts: Parts,
    attempts: HashMap<Address, Attempt>,
}

impl Service {
    fn new(parts: Parts) -> Self {
        Self { parts, attempts: HashMap::new() }
    }

    /// Looks at everything once, and makes the steps whose time has come.
    async fn round(&mut self, now: Instant) {
        let extensions = match self.accepted().await {
            Ok(extensions) => extensions,
            Err(error) => {
                tracing::debug!(%error, "extensions of private contracts cannot be looked at now");
                return;
            }
        };
        self.attempts.retain(|management, _| extensions.iter().any(|open| open.management == *management));
        for extension in extensions {
            self.go_on(extension, now).await;
        }
    }

    /// Extensions that unlocked accounts of ours began and everybody accepted.
    async fn accepted(&self) -> Result<Vec<Extension>, Failure> {
        let accounts = self.parts.accounts.unlocked();
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let (reader, index) = (self.parts.reader.clone(), Arc::clone(&self.parts.index));
        let open = blocking(move || {
            let mut index = index.lock();
            while !index.look_on(&reader)? {}
            index.open(&reader)
        });
        let ours = |extension: &Extension| {
            extension.state.is_accepted() && accounts.contains(&extension.state.creator)
        };
        Ok(open.await?.into_iter().filter(ours).collect())
    }

    async fn go_on(&mut self, extension: Extension, now: Instant) {
        let step = if extension.state.shared.is_empty() { Step::Share } else { Step::Finish };
        let management = extension.management;
        let attempt = self.attempts.remove(&management).filter(|attempt| attempt.step == step);
        let fresh = || Attempt { step, sent: None, pause: AGAIN_FIRST, not_before: now };
        let mut attempt = attempt.unwrap_or_else(fresh);
        if let Some((hash, since)) = attempt.sent {
            match self.came_to(hash).await {
                // As the step is still to be made, it had no effect.
                Ok(Some(reason)) => attempt.failed(now, &extension, &reason),
                Ok(None) if now.duration_since(since) >= LOST_AFTER => {
                    attempt.failed(now, &extension, "its transaction came into no block");
                }
                Ok(None) | Err(_) => {}
            }
        }
        if attempt.sent.is_none() && attempt.not_before <= now {
            match self.make(step, &extension).await {
                Ok(hash) => {
                    let what = if step == Step::Share { "is shared" } else { "has its new party" };
                    tracing::info!(contract = %extension.state.contract, %management, "a private contract {what}");
                    attempt.sent = Some((hash, now));
                }
                Err(error) => attempt.failed(now, &extension, &error.to_string()),
            }
        }
        self.attempts.insert(management, attempt);
    }

    /// Why a transaction of ours had no effect, once it was executed.
    async fn came_to(&self, hash: B256) -> Result<Option<String>, Failure> {
        let (reader, public) = (self.parts.reader.clone(), self.parts.public.clone());
        let found = blocking(move || {
            let Some((number, index)) = public.transaction_location(&hash)? else { return Ok(None) };
            if number > reader.head().number {
                return Ok(None);
            }
            let receipt = reader.receipt(number, index)?;
            let reason = receipt.and_then(|receipt| receipt.error);
            Ok(Some(reason.unwrap_or_else(|| "its transaction did nothing here".to_owned())))
        });
        found.await
    }

    async fn make(&self, step: Step, extension: &Extension) -> Result<B256, Failure> {
        let call = match step {
            Step::Share => share_call(&self.hand_out(extension).await?),
            Step::Finish => finish_call(),
        };
        (self.parts.send)(extension.clone(), call).await.map_err(Failure::Send)
    }

    /// Hands the contract as it is now to all parties; the name of the payload.
    async fn hand_out(&self, extension: &Extension) -> Result<PayloadHash, Failure> {
        let manager = &*self.parts.manager;
        let Lookup::Found(begun) = manager.lookup(extension.creation).await else {
            return Err(Failure::NoParty);
        };
        let to = parties_of(manager, extension).await?;
        let mode = PrivacyMode::from_flag(u64::from(extension.flag)).unwrap_or_default();
        let (payload, root) = self.state(extension).await?;
        let mut metadata = Metadata { mode, mandatory: extension.mandatory.clone(), ..Metadata::default() };
        if mode == PrivacyMode::StateValidation {
            metadata.exec_hash = execution_root_text(root).into_bytes().into();
        }
        let sent = manager.send(SendRequest { payload, from: Some(begun.sender), to, metadata }).await?;
        Ok(sent.hash)
    }

    /// The contract's state as a payload, and the root of its storage.
    async fn state(&self, extension: &Extension) -> Result<(Bytes, B256), Failure> {
        let (reader, key, contract) =
            (self.parts.reader.clone(), self.parts.key.clone(), extension.state.contract);
        let terms = Terms { genesis: reader.genesis_hash(), contract, management: extension.management };
        let encoded = blocking(move || {
            let Some(state) = reader.contract_state(&contract, MAX_SLOTS)? else { return Ok(None) };
            let payload = encode(&state, &terms, key.node_id(), &key);
            Ok(Some((payload, state.flat.storage_root)))
        });
        let (payload, root) = encoded.await?.ok_or(Failure::NoContract)?;
        Ok((payload?, root))
    }
}

impl Attempt {
    /// The same again, later.
    fn failed(&mut self, now: Instant, extension: &Extension, reason: &str) {
        let moved_on = reason.starts_with(NOT_OURS);
        let most = if moved_on { MOVED_ON_MOST } else { AGAIN_MOST };
        (self.sent, self.not_before) = (None, now + self.pause.min(most));
        self.pause = self.pause.saturating_mul(2).min(most);
        let outcome = if moved_on { "moved_on" } else { "failed" };
        counter!("lonja_private_extension_retries_total", "outcome" => outcome).increment(1);
        let (contract, management) = (&extension.state.contract, &extension.management);
        match self.step {
            Step::Share => {
                tracing::warn!(%contract, %management, reason, "a private contract was not shared")
            }
            Step::Finish => tracing::warn!(%contract, %management, reason, "an extension was not ended"),
        }
    }
}

async fn blocking<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    Ok(tokio::task::spawn_blocking(look).await.map_err(|_| Failure::Lost)??)
}

#[cfg(test)]
mod tests;
