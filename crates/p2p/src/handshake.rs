//! The first message of each side, and whether a session follows.
//!
//! The node with the smaller id speaks first. The one with the larger id answers only on a connection that it
//! takes for the session, so that of two connections made at the same time both sides keep the same one.

use crate::{
    config::NetworkId,
    hub::Hub,
    lanes::{Inlet, Outlet, ReadError, WriteError},
    session::{Link, Session},
    stop::{Ending, Stop},
    wire::{self, GoodbyeReason, Kind, PROTOCOL_VERSION, Status, WireError},
};
use alloy_primitives::Bytes;
use futures::{AsyncRead, AsyncWrite};
use lonja_primitives::NodeId;
use std::{sync::Arc, time::Instant};

/// A session that others can see already, but that has not begun.
pub(crate) struct Admitted {
    pub(crate) session: Arc<Session>,
    /// The session it replaces.
    pub(crate) predecessor: Option<Arc<Session>>,
    /// What is still to be said before anything else.
    pub(crate) opening: Option<Bytes>,
}

/// Speaks, listens and decides. May be dropped at any point where it waits: nobody else sees the session before its
/// last step.
pub(crate) async fn run<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    hub: &Hub,
    peer: NodeId,
    link: Link,
    inlet: &mut Inlet<R>,
    outlet: &mut Outlet<W>,
    stop: &Arc<Stop>,
) -> Result<Admitted, Ending> {
    let opening = wire::encode_status_frame(&hub.status());
    let speaks_first = !hub.decides(&peer);
    if speaks_first {
        outlet.write(std::slice::from_ref(&opening)).await.map_err(unwritten)?;
        outlet.flush().await.map_err(unwritten)?;
    }
    let status = hear(inlet).await?;
    check(&hub.network, &status)?;
    let session = Arc::new(Session::new(hub, peer, link, status, stop.clone()));
    let predecessor = hub.admit(&session, Instant::now())?;
    Ok(Admitted { session, predecessor, opening: (!speaks_first).then_some(opening) })
}

async fn hear<R: AsyncRead + Unpin>(inlet: &mut Inlet<R>) -> Result<Status, Ending> {
    let (kind, length) = inlet.header().await.map_err(unread)?;
    if !matches!(kind, Kind::Status | Kind::Goodbye) {
        return Err(unread(WireError::Misplaced(kind).into()));
    }
    let bytes = inlet.body(kind, length).await.map_err(unread)?;
    if kind == Kind::Goodbye {
        let goodbye = wire::decode_goodbye(&bytes).map_err(|e| unread(e.into()))?;
        return Err(Ending::theirs(goodbye.reason, &goodbye.text));
    }
    wire::decode_status(&bytes).map_err(|e| unread(e.into()))
}

/// Both must speak the same protocol about the same chain under the same rules.
fn check(ours: &NetworkId, status: &Status) -> Result<(), Ending> {
    let theirs = &status.network;
    let other = |what: &str, here: String, there: String| {
        Err(Ending::ours(GoodbyeReason::Network, format!("{what} {here} here, {there} there")))
    };
    if status.version != PROTOCOL_VERSION {
        let text = format!("protocol version {PROTOCOL_VERSION} here, {} there", status.version);
        return Err(Ending::ours(GoodbyeReason::Version, text));
    }
    if theirs.genesis_hash != ours.genesis_hash {
        return other("genesis", ours.genesis_hash.to_string(), theirs.genesis_hash.to_string());
    }
    if theirs.chain_id != ours.chain_id {
        return other("chain id", ours.chain_id.to_string(), theirs.chain_id.to_string());
    }
    if theirs.fork_id != ours.fork_id {
        return other("chain rules", ours.fork_id.to_string(), theirs.fork_id.to_string());
    }
    Ok(())
}

fn unread(error: ReadError) -> Ending {
    match error {
        ReadError::Lost(error) => {
            Ending::lost(format!("it hung up before the handshake (it may not allow this node): {error}"))
        }
        ReadError::Broken(error) => {
            let mut ending = Ending::ours(GoodbyeReason::Abuse, error.to_string());
            ending.dropped = Some("malformed");
            ending
        }
    }
}

fn unwritten(error: WriteError) -> Ending {
    Ending::lost(format!("it hung up before the handshake (it may not allow this node): {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    fn status() -> Status {
        Status {
            version: PROTOCOL_VERSION,
            network: network(),
            head_number: 0,
            head_hash: B256::ZERO,
            client: "x".into(),
            listen_port: 0,
            instance: 0,
        }
    }

    fn network() -> NetworkId {
        NetworkId { genesis_hash: B256::repeat_byte(1), chain_id: 1, fork_id: B256::repeat_byte(2) }
    }

    #[test]
    fn every_difference_is_refused_and_named() {
        assert_eq!(check(&network(), &status()), Ok(()));
        let differs = |change: fn(&mut Status), word: &str, reason| {
            let mut other = status();
            change(&mut other);
            let ending = check(&network(), &other).unwrap_err();
            assert!(ending.text.contains(word), "{}", ending.text);
            assert_eq!(ending.goodbye, Some(reason));
        };
        differs(|s| s.version = 2, "version", GoodbyeReason::Version);
        differs(|s| s.network.genesis_hash = B256::ZERO, "genesis", GoodbyeReason::Network);
        differs(|s| s.network.chain_id = 2, "chain id", GoodbyeReason::Network);
        differs(|s| s.network.fork_id = B256::ZERO, "rules", GoodbyeReason::Network);
    }

    #[tokio::test]
    async fn only_a_status_or_a_goodbye_may_come_first() {
        use futures::io::Cursor;
        let hear_bytes = |bytes: Bytes| async move {
            hear(&mut Inlet::new(Cursor::new(bytes.to_vec()), wire::Lane::Consensus)).await
        };
        assert_eq!(hear_bytes(wire::encode_status_frame(&status())).await, Ok(status()));
        let early = wire::encode_frame(&wire::Message::Consensus(Bytes::from_static(b"vote"))).unwrap();
        assert_eq!(hear_bytes(early).await.unwrap_err().goodbye, Some(GoodbyeReason::Abuse));
        let goodbye = wire::Goodbye { reason: GoodbyeReason::TooManyPeers, text: "full".into() };
        let ending = hear_bytes(wire::encode_goodbye_frame(&goodbye)).await.unwrap_err();
        assert!(ending.text.contains("full") && ending.goodbye.is_none());
        assert!(hear_bytes(Bytes::new()).await.unwrap_err().text.contains("hung up"));
    }
}
