//! One key, three names: the 64-byte node id of `enode://` addresses, libp2p's peer id, and (by
//! [`NodeId::address`]) the Ethereum address.

use crate::error::P2pError;
use libp2p::{
    PeerId,
    identity::{Keypair, PublicKey, secp256k1},
};
use lonja_primitives::{NodeId, NodeKey};

/// Multihash code of "the bytes themselves": a peer id of a secp256k1 key holds the whole key.
const IDENTITY_HASH: u64 = 0;

/// libp2p's form of the node key.
pub(crate) fn keypair(key: &NodeKey) -> Result<Keypair, P2pError> {
    let secret = secp256k1::SecretKey::try_from_bytes(key.to_bytes())
        .map_err(|e| P2pError::Identity(e.to_string()))?;
    Ok(secp256k1::Keypair::from(secret).into())
}

/// The node a peer id stands for; `None` when its key is not a secp256k1 key.
pub(crate) fn node_id(peer: &PeerId) -> Option<NodeId> {
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?.try_into_secp256k1().ok()?;
    NodeId::from_compressed(&key.to_bytes()).ok()
}

/// The peer id of a node; `None` when the id is not a point on the curve, which a checked [`NodeId`] always is.
pub(crate) fn peer_id(node: &NodeId) -> Option<PeerId> {
    let key = secp256k1::PublicKey::try_from_bytes(&node.to_compressed()).ok()?;
    // The compressed form leaves y out: make sure that it is the y of this id.
    let full = key.to_bytes_uncompressed();
    (full[1..] == node.0[..]).then(|| PublicKey::from(key).to_peer_id())
}

/// The text form of a node's libp2p peer id (`16Uiu2HA…`), as it stands in multiaddrs; `None` when the id is not a
/// public key.
pub fn peer_id_text(node: &NodeId) -> Option<String> {
    peer_id(node).map(|p| p.to_string())
}

/// The first digits of a node id: enough to find a peer in a log.
pub(crate) fn short(node: &NodeId) -> String {
    let mut text = node.to_string();
    text.truncate(10);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B512;

    #[test]
    fn names_of_one_key_lead_to_each_other() {
        for _ in 0..20 {
            let key = NodeKey::generate();
            let peer = keypair(&key).unwrap().public().to_peer_id();
            assert_eq!(node_id(&peer), Some(key.node_id()));
            assert_eq!(peer_id(&key.node_id()), Some(peer));
            assert!(peer_id_text(&key.node_id()).unwrap().starts_with("16Uiu2HA"));
        }
    }

    #[test]
    fn other_kinds_of_keys_are_nobody() {
        let ed25519 = Keypair::generate_ed25519().public().to_peer_id();
        assert_eq!(node_id(&ed25519), None);
        assert_eq!(node_id(&PeerId::random()), None);
    }

    #[test]
    fn an_id_off_the_curve_is_nobody() {
        assert_eq!(peer_id(&NodeId(B512::repeat_byte(0xff))), None);
        let mut wrong_y = NodeKey::generate().node_id();
        wrong_y.0[40] ^= 1;
        assert_eq!(peer_id(&wrong_y), None);
    }
}
