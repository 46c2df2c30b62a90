//! Who comes in: before the handshake, after it, and when the gate changes.

use super::{Hub, Refusal, State};
use crate::{
    gate::{Gate, Pass, PeerGate},
    limits::SIMULTANEOUS,
    session::Session,
    stop::Ending,
    wire::GoodbyeReason,
};
use lonja_primitives::NodeId;
use std::{sync::Arc, time::Instant};

impl Hub {
    /// Whether a node is kept out whatever the gate says.
    pub(crate) fn barred(&self, node: &NodeId, now: Instant) -> Result<(), Refusal> {
        self.state.read().barred(node, now)
    }

    /// Judges a node that came by itself, its key proven and its address not known.
    pub(crate) fn receive(&self, node: &NodeId) -> Result<Pass, Refusal> {
        self.gate().pass(node, None)
    }

    /// Judges anew if the gate is another one by now.
    pub(crate) fn renew(&self, node: &NodeId, pass: &mut Pass) -> Result<(), Refusal> {
        let gate = self.gate();
        if pass.gate != gate.number() {
            *pass = gate.pass(node, pass.at.take())?;
        }
        Ok(())
    }

    /// Takes a session in after its handshake. Answers with the session it replaces, whose end must be awaited before
    /// the new one is announced, or with how to refuse it. The gate is asked where it has not let the connection through
    /// yet, now that the peer has said where it listens.
    ///
    /// Of two connections between two nodes one must go, the same on both sides. The node with the larger id decides;
    /// it speaks second in the handshake, so that the other knows by its `Status` that this connection is the one.
    pub(crate) fn admit(&self, session: &Arc<Session>, now: Instant) -> Result<Option<Arc<Session>>, Ending> {
        let mut judged = session.link.pass.allowed_by();
        loop {
            let gate = {
                let mut state = self.state.write();
                if judged == Some(state.gate.number()) {
                    return self.take_in(&mut state, session, now);
                }
                state.gate.clone()
            };
            gate.permits(&session.peer, session.at.as_ref()).map_err(Ending::refused)?;
            judged = Some(gate.number());
        }
    }

    fn take_in(
        &self,
        state: &mut State,
        session: &Arc<Session>,
        now: Instant,
    ) -> Result<Option<Arc<Session>>, Ending> {
        state.barred(&session.peer, now).map_err(Ending::refused)?;
        let old = state.sessions.get(&session.peer).cloned();
        match &old {
            Some(old)
                if self.decides(&session.peer) && !old.stop.is_stopped() && !replaces(session, old, now) =>
            {
                return Err(Ending::ours(GoodbyeReason::AlreadyConnected, "there is a session already"));
            }
            None if !state.wanted.contains_key(&session.peer) && state.others().count() >= self.max_peers => {
                return Err(Ending::ours(
                    GoodbyeReason::TooManyPeers,
                    "this node has all the peers it wants",
                ));
            }
            _ => {}
        }
        if let Some(old) = &old {
            old.stop.stop(Ending::ours(GoodbyeReason::AlreadyConnected, "replaced by a newer connection"));
        }
        state.sessions.insert(session.peer, session.clone());
        state.publish();
        self.refusals.wanted_by(&session.peer);
        Ok(old)
    }

    /// Replaces the gate. Sessions of peers it refuses take no message from the return of this call on.
    ///
    /// The gate is in force before the sessions are judged: none that it refuses can come in meanwhile.
    pub(crate) fn set_gate(&self, gate: PeerGate) {
        let change = self.gate_change.lock();
        let (gate, sessions) = {
            let mut state = self.state.write();
            state.gate = Arc::new(state.gate.next(gate));
            let living = state.sessions.values().filter(|s| !s.stop.is_stopped());
            (state.gate.clone(), living.cloned().collect::<Vec<_>>())
        };
        for session in sessions {
            if let Err(refusal) = gate.permits(&session.peer, session.at.as_ref()) {
                self.drop_refused(&session, &refusal);
            }
        }
        drop(change);
        self.state.read().publish();
        self.changed.notify_one();
    }

    fn drop_refused(&self, session: &Session, refusal: &Refusal) {
        let why = match refusal {
            Refusal::NotPermitted(words) => words.clone(),
            other => other.to_string(),
        };
        let text = format!("it is no longer allowed to connect: {why}");
        if session.stop.stop(Ending::ours(GoodbyeReason::NotAllowed, text)) {
            metrics::counter!("lonja_p2p_gate_dropped_total").increment(1);
            self.refusals.note(&session.peer, &session.link.remote, &why, session.link.inbound);
        }
    }

    fn gate(&self) -> Arc<Gate> {
        self.state.read().gate.clone()
    }
}

impl State {
    fn barred(&self, node: &NodeId, now: Instant) -> Result<(), Refusal> {
        if self.stopping {
            Err(Refusal::Stopping)
        } else if self.bans.is_banned(node, now) {
            Err(Refusal::Banned)
        } else {
            Ok(())
        }
    }
}

/// Whether a new connection takes the place of a living session with the same peer: the peer was restarted, or it dials
/// although for us there is a session, so it must have lost it.
fn replaces(new: &Session, old: &Session, now: Instant) -> bool {
    let restarted = new.status.instance != old.status.instance;
    let lost = new.link.inbound && now.saturating_duration_since(old.since) >= SIMULTANEOUS;
    restarted || lost
}

#[cfg(test)]
mod tests;
