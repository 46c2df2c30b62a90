//! Answering other nodes.

use super::meter::Effort;
use super::receive::Origin;
use super::resend::Page;
use super::{Core, EncodedPayload};
use crate::wire::{Answer, Refusal, Request};
use crate::{Codec, PtmError};
use alloy_primitives::Bytes;
use lonja_primitives::NodeId;
use metrics::counter;
use std::sync::Arc;

pub(super) fn busy() -> Answer {
    counter!("lonja_ptm_requests_refused_total").increment(1);
    Answer::refused(Refusal::Busy, "too many requests: try again later")
}

/// A refusal in words for the other end.
pub(super) fn refused(error: &PtmError) -> Answer {
    let refusal = match error {
        PtmError::Unavailable(_) => Refusal::Busy,
        PtmError::NoKey(_) => Refusal::NotHeld,
        PtmError::Erased(_) => Refusal::Erased,
        _ => Refusal::Rule,
    };
    Answer::refused(refusal, error.to_string())
}

impl Core {
    /// Whether a peer may ask for this much more.
    pub(super) fn meter(&self, peer: &NodeId, effort: Effort, count: usize) -> bool {
        self.meters.lock().take(peer, effort, count, self.surroundings.now())
    }

    pub(super) async fn handle(self: &Arc<Self>, peer: NodeId, request: Bytes) -> Answer {
        if !self.meter(&peer, Effort::Message, 1) {
            return busy();
        }
        let request = match Request::decode(&request) {
            Ok(request) => request,
            Err(error) => return Answer::refused(Refusal::Unreadable, error.to_string()),
        };
        match request {
            Request::Push { attempt, envelope } => self.handle_push(peer, attempt, &envelope).await,
            Request::Withdraw { hash, attempt } => match self.forget_push(hash, peer, attempt).await {
                Ok(()) => Answer::Noted,
                Err(error) => refused(&error),
            },
            Request::Announce(bindings) => match self.learn(peer, bindings).await {
                Some(()) => Answer::Noted,
                None => busy(),
            },
            Request::Challenge(challenge) => match self.meter(&peer, Effort::Curve, 1) {
                true => self.answer_challenge(peer, &challenge),
                false => busy(),
            },
            Request::Resend { key, cursor, limit } => self.resend(peer, Page { key, cursor, limit }).await,
            Request::Erase(order) => self.handle_order(peer, &order).await,
        }
    }

    async fn handle_push(&self, peer: NodeId, attempt: u64, envelope: &Bytes) -> Answer {
        let envelope = match EncodedPayload::decode(Codec::Cbor, envelope) {
            Ok(envelope) => envelope,
            Err(error) => return Answer::refused(Refusal::Rule, error.to_string()),
        };
        match self.receive(envelope, Origin::Push { peer, attempt }).await {
            Ok(taken) => Answer::Stored { hash: taken.hash, proof: taken.proof },
            Err(error) => refused(&error),
        }
    }
}
