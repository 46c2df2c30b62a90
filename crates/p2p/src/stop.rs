//! How a session ends: one reason, the first one given, seen by all its tasks.

use crate::{dialer::Outcome, hub::Refusal, wire::GoodbyeReason};
use std::time::Duration;
use tokio::sync::watch;

/// Why a session ends, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// For people.
    pub(crate) text: String,
    /// Told to the peer; `None` when it is the peer or the connection that ended.
    pub(crate) goodbye: Option<GoodbyeReason>,
    /// In metrics: whether and why we dropped the peer.
    pub(crate) dropped: Option<&'static str>,
    /// For the schedule of dials, when it is not simply how long the session lived.
    pub(crate) outcome: Option<Outcome>,
    /// Whether the gate refused the connection, so that there never was a session.
    pub(crate) by_gate: bool,
}

/// A flag that is raised once, with a reason.
#[derive(Debug)]
pub(crate) struct Stop(watch::Sender<Option<Ending>>);

impl Ending {
    /// The connection is gone.
    pub(crate) fn lost(text: impl Into<String>) -> Self {
        Self { text: text.into(), goodbye: None, dropped: None, outcome: None, by_gate: false }
    }

    /// We end it.
    pub(crate) fn ours(reason: GoodbyeReason, text: impl Into<String>) -> Self {
        let dropped = match reason {
            GoodbyeReason::Shutdown | GoodbyeReason::AlreadyConnected | GoodbyeReason::Removed => None,
            GoodbyeReason::Version => Some("version"),
            GoodbyeReason::Network => Some("network"),
            GoodbyeReason::NotAllowed => Some("not_permitted"),
            GoodbyeReason::TooManyPeers => Some("too_many_peers"),
            GoodbyeReason::Abuse => Some("abuse"),
            GoodbyeReason::Stalled => Some("stalled"),
        };
        // Who is outside the gate or banned is not dialed anyway, and is due as soon as that is over.
        let outcome = match reason {
            GoodbyeReason::NotAllowed | GoodbyeReason::Abuse | GoodbyeReason::TooManyPeers => None,
            other => outcome(other),
        };
        Self { text: text.into(), goodbye: Some(reason), dropped, outcome, by_gate: false }
    }

    /// We do not let it in.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        let reason = match refusal {
            Refusal::Stopping => GoodbyeReason::Shutdown,
            Refusal::Banned => GoodbyeReason::Abuse,
            _ => GoodbyeReason::NotAllowed,
        };
        let mut ending = Self::ours(reason, refusal.to_string());
        if matches!(refusal, Refusal::NotPermitted(_)) {
            // Counted as a connection that was refused, not as a peer that was dropped.
            ending.dropped = None;
            ending.by_gate = true;
        }
        ending
    }

    /// The same without a word to the peer.
    pub(crate) fn silent(mut self) -> Self {
        self.goodbye = None;
        self
    }

    /// The peer said goodbye.
    pub(crate) fn theirs(reason: GoodbyeReason, text: &str) -> Self {
        let who = match reason {
            GoodbyeReason::NotAllowed => "the other node does not permit this one",
            _ => "the peer ended it",
        };
        let text = format!("{who}: {text} ({reason:?})");
        Self { text, goodbye: None, dropped: None, outcome: outcome(reason), by_gate: false }
    }

    /// What to tell the schedule, given how long the session lived; `None`: there never was one.
    pub(crate) fn outcome(&self, lived: Option<Duration>) -> Outcome {
        self.outcome.unwrap_or_else(|| lived.map_or(Outcome::Failed, Outcome::Lived))
    }
}

fn outcome(reason: GoodbyeReason) -> Option<Outcome> {
    match reason {
        GoodbyeReason::AlreadyConnected => Some(Outcome::Duplicate),
        GoodbyeReason::NotAllowed => Some(Outcome::NotPermitted),
        GoodbyeReason::Version
        | GoodbyeReason::Network
        | GoodbyeReason::TooManyPeers
        | GoodbyeReason::Abuse
        | GoodbyeReason::Removed => Some(Outcome::Unwanted),
        GoodbyeReason::Shutdown | GoodbyeReason::Stalled => None,
    }
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Raises the flag; the first reason stays. `true` when this was the first.
    pub(crate) fn stop(&self, ending: Ending) -> bool {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(ending);
            }
            first
        })
    }

    /// Whether the flag is up.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Why the flag is up, if it is.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.0.borrow().clone()
    }

    /// Waits for the flag.
    pub(crate) async fn stopped(&self) -> Ending {
        let mut receiver = self.0.subscribe();
        match receiver.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(ending)) => ending.clone(),
            // The sender is borrowed by this very future, so it cannot be gone.
            _ => Ending::lost("the session was forgotten"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays() {
        let stop = Stop::new();
        assert!(!stop.is_stopped() && stop.ending().is_none());
        assert!(stop.stop(Ending::lost("one")));
        assert!(!stop.stop(Ending::lost("two")));
        assert_eq!(stop.stopped().await.text, "one");
        assert_eq!(stop.ending().map(|ending| ending.text), Some("one".to_owned()));
    }

    #[test]
    fn endings_lead_to_outcomes() {
        let lived = Some(Duration::from_secs(1));
        assert_eq!(Ending::lost("x").outcome(lived), Outcome::Lived(Duration::from_secs(1)));
        assert_eq!(Ending::lost("x").outcome(None), Outcome::Failed);
        assert_eq!(Ending::theirs(GoodbyeReason::Network, "x").outcome(lived), Outcome::Unwanted);
        assert_eq!(Ending::ours(GoodbyeReason::AlreadyConnected, "x").outcome(None), Outcome::Duplicate);
        assert_eq!(Ending::ours(GoodbyeReason::Network, "x").outcome(None), Outcome::Unwanted);
        let theirs = Ending::theirs(GoodbyeReason::NotAllowed, "x");
        assert_eq!(theirs.outcome(lived), Outcome::NotPermitted);
        assert!(theirs.text.contains("the other node does not permit this one"), "{}", theirs.text);
        let ours = Ending::ours(GoodbyeReason::NotAllowed, "x").outcome(lived);
        assert_eq!(ours, Outcome::Lived(Duration::from_secs(1)), "as soon as the gate allows");
        assert_eq!(Ending::theirs(GoodbyeReason::Shutdown, "x").outcome(None), Outcome::Failed);
        let refused = Ending::refused(Refusal::NotPermitted("node revoked".into()));
        assert_eq!((refused.goodbye, refused.by_gate), (Some(GoodbyeReason::NotAllowed), true));
        assert!(refused.text.contains("node revoked") && refused.silent().goodbye.is_none());
        assert!(!Ending::refused(Refusal::Banned).by_gate);
    }
}
