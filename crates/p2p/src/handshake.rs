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
    mut link: Link,
    inlet: &mut Inlet<R>,
    outlet: &mut Outlet<W>,
    stop: &Arc<Stop>,
) -> Result<Admitted, Ending> {
    // The gate may have changed since the connection was let in: then it hears as little as it would have then.
    hub.renew(&peer, &mut link.pass).map_err(|refusal| Ending::refused(refusal).silent())?;
    let opening = wire::encode_status_frame(&hub.status());
    let speaks_first = !hub.decides(&peer);
    if speaks_first {
        outlet.write(std::slice::from_ref(&opening)).await.map_err(unwritten)?;
        outlet.flush().await.map_err(unwritten)?;
    }
    let status = hear(inlet).await?;
    if let Some(block) = check(&hub.network, hub.head_number(), &status)? {
        tracing::warn!(%peer, block, "the peer plans other rules than this node from that block on");
    }
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

/// Both must speak the same protocol about the same chain under the same rules, as far as the chain has come. Answers
/// with the block from which they plan different ones, if they do.
fn check(ours: &NetworkId, head: u64, theirs: &Status) -> Result<Option<u64>, Ending> {
    let other = |what: &str, here: String, there: String| {
        Err(Ending::ours(GoodbyeReason::Network, format!("{what} {here} here, {there} there")))
    };
    if theirs.version != PROTOCOL_VERSION {
        let text = format!("protocol version {PROTOCOL_VERSION} here, {} there", theirs.version);
        return Err(Ending::ours(GoodbyeReason::Version, text));
    }
    if theirs.genesis_hash != ours.genesis_hash {
        return other("genesis", ours.genesis_hash.to_string(), theirs.genesis_hash.to_string());
    }
    if theirs.chain_id != ours.chain_id {
        return other("chain id", ours.chain_id.to_string(), theirs.chain_id.to_string());
    }
    let compared = ours.rules.compare(head, theirs.rules, theirs.head_number);
    compared.map_err(|difference| Ending::ours(GoodbyeReason::Network, difference.to_string()))
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
    use alloy_primitives::{Address, B256};
    use lonja_primitives::{ChainSpec, Genesis, genesis::NewNetwork};

    fn status() -> Status {
        Status {
            version: PROTOCOL_VERSION,
            genesis_hash: network().genesis_hash,
            chain_id: 1,
            rules: network().rules.at(0),
            head_number: 0,
            head_hash: B256::ZERO,
            client: "x".into(),
            listen_port: 0,
            instance: 0,
        }
    }

    fn network() -> NetworkId {
        let genesis_hash = B256::repeat_byte(1);
        NetworkId { genesis_hash, chain_id: 1, rules: spec().rule_ids(genesis_hash) }
    }

    fn spec() -> ChainSpec {
        let network = NewNetwork { validators: vec![Address::repeat_byte(1)], ..NewNetwork::default() };
        Genesis::from_json(&network.to_json()).unwrap().spec
    }

    #[test]
    fn every_difference_is_refused_and_named() {
        assert_eq!(check(&network(), 0, &status()), Ok(None));
        let differs = |change: fn(&mut Status), word: &str, reason| {
            let mut other = status();
            change(&mut other);
            let ending = check(&network(), 0, &other).unwrap_err();
            assert!(ending.text.contains(word), "{}", ending.text);
            assert_eq!(ending.goodbye, Some(reason));
        };
        differs(|s| s.version = 2, "version", GoodbyeReason::Version);
        differs(|s| s.genesis_hash = B256::ZERO, "genesis", GoodbyeReason::Network);
        differs(|s| s.chain_id = 2, "chain id", GoodbyeReason::Network);
        differs(|s| s.rules.id = B256::ZERO, "rules", GoodbyeReason::Network);
        let made_without = |s: &mut Status| (s.rules.next_change, s.head_number) = (Some(7), 7);
        differs(made_without, "from block 7 on", GoodbyeReason::Network);
    }

    #[test]
    fn other_plans_for_blocks_to_come_are_only_told() {
        let mut planning = status();
        (planning.rules.next_change, planning.head_number) = (Some(7), 6);
        assert_eq!(check(&network(), 6, &planning), Ok(Some(7)));
        let ending = check(&network(), 7, &planning).unwrap_err();
        assert!(ending.text.contains("from block 7 on"), "{}", ending.text);
    }

    #[tokio::test]
    async fn only_a_status_or_a_goodbye_may_come_first() {
        use futures::io::Cursor;
        let hear_bytes = |bytes: Bytes| async move {
            let inlet = Cursor::new(bytes.to_vec());
            hear(&mut Inlet::new(inlet, wire::Lane::Consensus, Arc::default())).await
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
