//! Bringing one recipient's copy to its manager, and taking it back.

use super::{Core, MAX_SENT_BYTES};
use crate::courier::CourierError;
use crate::directory::{Route, Standing};
use crate::surroundings::within;
use crate::wire::{Answer, MAX_PUSHED_BYTES, Refusal, Request};
use crate::{Codec, EncodedPayload, PayloadHash, PeerUrl, PtmError, PublicKey, proof};
use alloy_primitives::{B256, Bytes};
use futures::StreamExt;
use lonja_primitives::NodeId;
use metrics::counter;
use std::sync::Arc;
use std::time::Duration;

/// How many of those who claim a key are asked, one after another.
const MAX_ROUTES: usize = 4;

/// Copies under way at a time for one payload, and the memory they take: the largest payload goes to a few at a time.
const MAX_PUSHES: usize = 32;
const MAX_PUSHED_AT_ONCE: usize = 64 << 20;

/// The slowest line that large messages are waited for on: a megabit a second.
const SLOWEST_BYTES_PER_SECOND: usize = 128 << 10;

/// Pauses of those who wait for a node that has too much to do.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// When a withdrawal is tried again that did not get through. What stays is a copy that nobody ever asks for.
const WITHDRAW_AGAIN: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// An envelope on its way.
pub(super) struct Letter {
    pub(super) hash: PayloadHash,
    pub(super) envelope: EncodedPayload,
    /// What shows that a recipient opened it.
    pub(super) proof: B256,
    /// See [`Request::Push`].
    pub(super) attempt: u64,
}

/// Why a recipient did not get its copy.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: PtmError,
    /// Whether it may be tried again later.
    pub(super) later: bool,
    /// Whether the recipient has erased it for good.
    pub(super) erased: bool,
}

/// What came of one recipient.
pub(super) struct Outcome {
    pub(super) recipient: PublicKey,
    pub(super) result: Result<(), Failed>,
    /// Nodes that have the copy, or may have it.
    pub(super) touched: Vec<NodeId>,
}

/// What came of one way to a recipient.
enum Way {
    /// It has the copy.
    Delivered,
    /// There is no way now.
    Closed(String),
    /// The key is not there.
    NotHeld,
    /// It does not want it.
    Refused(String),
    /// It had it, and erased it for good.
    Erased(String),
}

impl Failed {
    fn refused(recipient: PublicKey, reason: String, erased: bool) -> Self {
        Self { error: PtmError::Refused { recipient, reason }, later: false, erased }
    }
}

impl Letter {
    pub(super) fn new(core: &Core, envelope: EncodedPayload, attempt: u64) -> Result<Self, PtmError> {
        let hash = envelope.hash();
        let proof = proof::stored(&hash, &envelope.first_master_key(&core.keyring)?);
        Ok(Self { hash, envelope, proof, attempt })
    }
}

impl Core {
    /// How long an answer is waited for.
    fn answer_time(&self, request_bytes: usize) -> Duration {
        let seconds = u64::try_from(request_bytes / SLOWEST_BYTES_PER_SECOND).unwrap_or(u64::MAX);
        self.settings.answer_time.saturating_add(Duration::from_secs(seconds))
    }

    /// Asks another node.
    pub(super) async fn ask(&self, node: NodeId, request: Bytes) -> Result<Answer, CourierError> {
        let time = self.answer_time(request.len());
        let room = within(&*self.surroundings, time, self.enter_lane(&node, request.len())).await;
        let _room = room.ok_or(CourierError::Busy)?;
        let answer = within(&*self.surroundings, time, self.courier.ask(node, request)).await;
        let answer = answer.ok_or(CourierError::TimedOut)??;
        if answer.is_empty() {
            return Err(CourierError::Failed("no manager answers there".into()));
        }
        Answer::decode(&answer).map_err(|error| CourierError::Failed(format!("its answer: {error}")))
    }

    /// Asks another node, again for a while where too much waits there.
    async fn ask_patiently(&self, node: NodeId, request: Bytes) -> Result<Answer, CourierError> {
        let until = self.surroundings.now() + self.answer_time(request.len());
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.ask(node, request.clone()).await;
            let busy = matches!(answer, Ok(Answer::Refused(Refusal::Busy, _)) | Err(CourierError::Busy));
            if !busy || self.surroundings.now() + pause > until {
                return answer;
            }
            self.surroundings.sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Brings the copies of all these recipients to their managers.
    pub(super) async fn push_all(
        self: &Arc<Self>,
        letter: &Letter,
        recipients: &[PublicKey],
    ) -> Vec<Outcome> {
        let size = letter.envelope.cipher_text.len().max(1);
        let at_once = (MAX_PUSHED_AT_ONCE / size).clamp(1, MAX_PUSHES);
        let pushes = recipients.iter().copied().map(|recipient| self.push(letter, recipient));
        futures::stream::iter(pushes).buffered(at_once).collect().await
    }

    /// Brings a recipient's copy to its manager, by the best way that works.
    pub(super) async fn push(&self, letter: &Letter, recipient: PublicKey) -> Outcome {
        let mut touched = Vec::new();
        let result = self.push_by_any_way(letter, recipient, &mut touched).await;
        let label = if result.is_ok() { "delivered" } else { "failed" };
        counter!("lonja_ptm_pushes_total", "result" => label).increment(1);
        Outcome { recipient, result, touched }
    }

    async fn push_by_any_way(
        &self,
        letter: &Letter,
        recipient: PublicKey,
        touched: &mut Vec<NodeId>,
    ) -> Result<(), Failed> {
        // What cannot be found out now may be later.
        let routes = self.routes(&recipient);
        let routes = routes.map_err(|error| Failed { error, later: true, erased: false })?;
        let known = !routes.is_empty();
        let copy = letter.envelope.strip_for(&recipient);
        let copy = copy.map_err(|error| Failed { error: error.into(), later: false, erased: false })?;
        let mut message = None;
        let mut closed = None;
        for (route, standing) in routes.into_iter().take(MAX_ROUTES) {
            let way = match route {
                Route::Local => continue,
                Route::Url(url) => self.push_to_url(url, recipient, copy.clone()).await,
                Route::Node(node) => {
                    let message = message
                        .get_or_insert_with(|| Request::push(letter.attempt, &copy.encode(Codec::Cbor)));
                    self.push_to_node(letter, recipient, (node, standing), message.clone(), touched).await
                }
            };
            match way {
                Way::Delivered => return Ok(()),
                Way::Refused(reason) => return Err(Failed::refused(recipient, reason, false)),
                Way::Erased(reason) => return Err(Failed::refused(recipient, reason, true)),
                Way::Closed(reason) => closed = closed.or(Some(reason)),
                Way::NotHeld => {}
            }
        }
        let reason = closed.unwrap_or_else(|| "no node that claims this key has it".into());
        let error = match known {
            true => PtmError::Unreachable { recipient, reason },
            false => PtmError::UnknownRecipient(recipient),
        };
        Err(Failed { error, later: known, erased: false })
    }

    async fn push_to_node(
        &self,
        letter: &Letter,
        recipient: PublicKey,
        (node, standing): (NodeId, Standing),
        message: Bytes,
        touched: &mut Vec<NodeId>,
    ) -> Way {
        if message.len() > MAX_PUSHED_BYTES {
            return Way::Refused(format!("more than {MAX_SENT_BYTES} bytes are too much for one message"));
        }
        if standing < Standing::Proven {
            match self.prove(recipient, node).await {
                Ok(true) => {}
                Ok(false) => return Way::NotHeld,
                Err(error) => return Way::Closed(error.to_string()),
            }
        }
        match self.ask_patiently(node, message).await {
            Err(error @ (CourierError::NotConnected | CourierError::Busy)) => Way::Closed(error.to_string()),
            Err(error) => {
                touched.push(node);
                Way::Closed(error.to_string())
            }
            Ok(Answer::Stored { hash, proof }) if (hash, proof) == (letter.hash, letter.proof) => {
                touched.push(node);
                Way::Delivered
            }
            Ok(Answer::Refused(Refusal::Busy, reason)) => Way::Closed(reason),
            Ok(Answer::Refused(Refusal::NotHeld, _)) => {
                self.settle(&recipient, &node, false);
                Way::NotHeld
            }
            Ok(Answer::Refused(Refusal::Erased, reason)) => Way::Erased(reason),
            Ok(Answer::Refused(_, reason)) => Way::Refused(reason),
            Ok(_) => {
                // Whoever has the key could have answered rightly.
                self.settle(&recipient, &node, false);
                counter!("lonja_ptm_false_proofs_total").increment(1);
                Way::NotHeld
            }
        }
    }

    async fn push_to_url(&self, url: PeerUrl, recipient: PublicKey, copy: EncodedPayload) -> Way {
        let Some(urls) = self.urls.get() else {
            return Way::Closed(format!("nothing goes to {url} from here"));
        };
        let time = self.answer_time(copy.cipher_text.len());
        match within(&*self.surroundings, time, urls.push(url.clone(), recipient, copy)).await {
            Some(Ok(())) => Way::Delivered,
            Some(Err(PtmError::Unreachable { reason, .. })) => Way::Closed(reason),
            Some(Err(PtmError::Refused { reason, .. })) => Way::Refused(reason),
            Some(Err(error @ PtmError::Unavailable(_))) => Way::Closed(error.to_string()),
            Some(Err(error)) => Way::Refused(error.to_string()),
            None => Way::Closed(format!("{url} did not answer in time")),
        }
    }

    /// Takes copies back, on its own.
    pub(super) fn withdraw(self: &Arc<Self>, letter: &Letter, outcomes: &[Outcome]) {
        let (hash, attempt) = (letter.hash, letter.attempt);
        if attempt == 0 {
            return;
        }
        let mut nodes: Vec<NodeId> =
            outcomes.iter().flat_map(|outcome| outcome.touched.iter().copied()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        for node in nodes {
            let (core, surroundings) = (Arc::downgrade(self), self.surroundings.clone());
            self.runtime.spawn(async move {
                let request = Request::Withdraw { hash, attempt }.encode();
                for pause in [Duration::ZERO].into_iter().chain(WITHDRAW_AGAIN) {
                    surroundings.sleep(pause).await;
                    let Some(core) = core.upgrade() else { return };
                    match core.ask(node, request.clone()).await {
                        Ok(Answer::Refused(Refusal::Busy, _)) | Err(_) => {}
                        Ok(_) => return,
                    }
                }
                tracing::debug!(%hash, ?node, "a failed send could not be withdrawn; its copy stays there unused");
            });
        }
    }
}
