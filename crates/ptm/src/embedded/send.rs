//! Sending.

use super::address::{Addressed, check_size};
use super::deliver::{Letter, Outcome};
use super::{Core, PtmError};
use crate::store::{Keep, Other, now_ms};
use crate::{
    EncodedPayload, PayloadHash, PrivacyMode, PublicKey, RawTransaction, SendRequest, SendSigned, Sent,
};
use alloy_primitives::Bytes;
use metrics::{counter, histogram};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Sealing and opening larger payloads than this is done beside the tasks: it takes longer than a few hundred
/// microseconds.
const LARGE_BYTES: usize = 128 << 10;

/// Numbers of attempts, in order of time, also after a restart.
static LAST_ATTEMPT: AtomicU64 = AtomicU64::new(0);

fn next_attempt() -> u64 {
    let now = now_ms().saturating_mul(1_000).max(1);
    let next = |last: u64| Some(now.max(last.saturating_add(1)));
    let last = LAST_ATTEMPT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
    now.max(last.unwrap_or_else(|last| last).saturating_add(1))
}

/// Does work that may take long.
pub(super) async fn off_the_tasks<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PtmError> {
    if bytes < LARGE_BYTES {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| stopping())
}

fn stopping() -> PtmError {
    PtmError::Unavailable("the manager is stopping".into())
}

/// Carries a send out whether its caller goes on waiting or not: what was begun is either finished or taken back.
pub(super) async fn to_the_end<T: Send + 'static>(
    core: &Arc<Core>,
    work: impl Future<Output = Result<T, PtmError>> + Send + 'static,
) -> Result<T, PtmError> {
    core.runtime.spawn(work).await.unwrap_or_else(|_| Err(stopping()))
}

/// Marks a payload as being sent, until it is dropped.
struct Sending {
    core: Arc<Core>,
    hash: PayloadHash,
}

impl Sending {
    fn begin(core: &Arc<Core>, hash: PayloadHash) -> Result<Self, PtmError> {
        match core.sending.lock().insert(hash) {
            true => Ok(Self { core: core.clone(), hash }),
            false => Err(PtmError::Unavailable(format!("the payload {hash} is being sent at this moment"))),
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.core.sending.lock().remove(&self.hash);
    }
}

impl Core {
    pub(super) async fn send(self: Arc<Self>, request: SendRequest) -> Result<Sent, PtmError> {
        let addressed = self.address_send(&request)?;
        let remote = self.remote(&addressed)?;
        let (core, payload, attempt) = (self.clone(), request.payload.clone(), next_attempt());
        let seal = move || {
            let envelope = addressed.seal(&core, &payload)?;
            Ok::<_, PtmError>((Letter::new(&core, envelope, attempt)?, addressed))
        };
        let (letter, addressed) = off_the_tasks(request.payload.len(), seal).await??;
        self.dispatch(letter, &addressed, &remote, request.payload).await
    }

    pub(super) async fn send_signed(self: Arc<Self>, request: SendSigned) -> Result<Sent, PtmError> {
        let hash = request.hash;
        let none = || PtmError::NotFound(format!("Raw Transaction with hash {hash} was not found"));
        let raw = self.store.raw(&hash)?.ok_or_else(none)?;
        let addressed = self.address_signed(raw.sender, &request.to, &request.metadata)?;
        let remote = self.remote(&addressed)?;
        let _sending = Sending::begin(&self, hash)?;
        let (core, bytes) = (self.clone(), raw.cipher_text.len());
        let wrap = move || {
            let payload = raw.decrypt(&core.keyring)?.payload;
            Ok::<_, PtmError>((raw.wrap(&core.keyring, &addressed.addressing())?, addressed, payload))
        };
        let (envelope, addressed, payload) = off_the_tasks(bytes, wrap).await??;
        // What was sent before may stand in a block: it is never taken back.
        let attempt = if self.store.has(&hash)? { 0 } else { next_attempt() };
        let letter = Letter::new(&self, envelope, attempt)?;
        self.dispatch(letter, &addressed, &remote, payload).await
    }

    pub(super) async fn store_raw(
        &self,
        payload: Bytes,
        from: Option<PublicKey>,
    ) -> Result<PayloadHash, PtmError> {
        check_size(&payload)?;
        let sender = self.keyring.sender(from)?;
        let (keyring, surroundings) = (self.keyring.clone(), self.surroundings.clone());
        let bytes = payload.len();
        let seal = move || RawTransaction::encrypt_from(&*surroundings, &keyring, sender, &payload);
        let raw = off_the_tasks(bytes, seal).await??;
        let hash = raw.hash();
        self.store.keep_raw(hash, &raw).await?;
        Ok(hash)
    }

    /// Stores our own copy and brings the others' to them, all at once. Either all of it is done, or all is taken back.
    async fn dispatch(
        self: &Arc<Self>,
        letter: Letter,
        addressed: &Addressed,
        remote: &[PublicKey],
        payload: Bytes,
    ) -> Result<Sent, PtmError> {
        let started = Instant::now();
        let changes = self.cache.changes();
        let result = match letter.attempt {
            0 => self.send_again(&letter, remote).await,
            _ => self.send_anew(&letter, remote).await,
        };
        let label = if result.is_ok() { "sent" } else { "failed" };
        counter!("lonja_ptm_sends_total", "result" => label).increment(1);
        result?;
        histogram!("lonja_ptm_send_seconds").record(started.elapsed().as_secs_f64());
        let Letter { hash, envelope, .. } = letter;
        self.cache.put(hash, self.in_clear(&envelope, payload), changes);
        let managed_parties = self.keyring.managed_among(&addressed.recipients);
        Ok(Sent { hash, managed_parties, sender: addressed.sender })
    }

    fn keep_own(&self, envelope: &EncodedPayload, hash: PayloadHash) -> Keep {
        Keep { hash, envelope: envelope.clone(), sent_here: true, other: Other::Refuse }
    }

    async fn send_anew(self: &Arc<Self>, letter: &Letter, remote: &[PublicKey]) -> Result<(), PtmError> {
        // Under way from here on, beside the pushes.
        let kept = self.store.keep(self.keep_own(&letter.envelope, letter.hash));
        let outcomes = self.push_all(letter, remote).await;
        let result = match kept.await {
            Ok(_) => self.conclude(letter, &outcomes).await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            self.take_back(letter, &outcomes).await;
        }
        result
    }

    /// A payload that was sent before: our own copy takes in the new boxes only when everybody has theirs.
    async fn send_again(self: &Arc<Self>, letter: &Letter, remote: &[PublicKey]) -> Result<(), PtmError> {
        let outcomes = self.push_all(letter, remote).await;
        self.conclude(letter, &outcomes).await?;
        self.store.keep(self.keep_own(&letter.envelope, letter.hash)).await?;
        self.cache.forget(&letter.hash);
        Ok(())
    }

    /// What the outcomes come to. With an outbox, what can be delivered later waits there; but not what concerns protected
    /// contracts: another party may call one before this payload has made it everywhere, and where it is not yet nothing
    /// would vouch for the call, then or later.
    async fn conclude(&self, letter: &Letter, outcomes: &[Outcome]) -> Result<(), PtmError> {
        let failed = outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err());
        let may_wait = self.settings.outbox && letter.envelope.mode == PrivacyMode::Standard;
        let waits = |failed: &&super::deliver::Failed| failed.later && may_wait;
        if let Some(failed) = failed.clone().find(|failed| !waits(failed)) {
            return Err(failed.error.clone());
        }
        if failed.clone().next().is_none() {
            return Ok(());
        }
        let waiting = outcomes.iter().filter(|outcome| outcome.result.is_err());
        let waiting: Vec<PublicKey> = waiting.map(|outcome| outcome.recipient).collect();
        self.outbox.put(&self.store, letter.hash, &waiting).await
    }

    /// Nobody shall have anything of a send that failed.
    async fn take_back(self: &Arc<Self>, letter: &Letter, outcomes: &[Outcome]) {
        self.withdraw(letter, outcomes);
        if let Err(error) = self.store.delete(letter.hash).await {
            tracing::warn!(hash = %letter.hash, %error, "the copy of a failed send stays here unused");
        }
        self.cache.forget(&letter.hash);
    }
}
