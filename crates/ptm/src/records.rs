//! What a node signs for others to keep: which keys its manager holds, and that a payload is to be erased or was.

use crate::{PayloadHash, PublicKey};
use alloy_primitives::{B256, B512, FixedBytes, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use lonja_primitives::{NodeId, Signature, Signer};

/// A node says that its manager holds a key. Anybody may say so; who believes it without asking for a proof is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The key.
    pub key: PublicKey,
    /// The node.
    pub node: NodeId,
    /// Of two of the same node and key the one with the higher number holds: milliseconds since 1970 when it was made.
    pub sequence_ms: u64,
    /// Hash of the network's block 0.
    pub genesis: B256,
    /// The node's signature.
    pub signature: Signature,
}

/// What an [`Erasure`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureKind {
    /// Erase the payload.
    Order,
    /// It was erased.
    Done,
}

/// A node's word about the erasure of a payload: an order, or the tombstone that it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The payload.
    pub hash: PayloadHash,
    /// Hash of the document by which it is erased, chosen by who orders it; zero where there is none.
    pub order: B256,
    /// When this was signed, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who signed.
    pub node: NodeId,
    /// Its signature.
    pub signature: Signature,
}

#[derive(RlpEncodable, RlpDecodable)]
struct BindingRow {
    key: B256,
    node: B512,
    sequence_ms: u64,
    genesis: B256,
    signature: FixedBytes<65>,
}

#[derive(RlpEncodable)]
struct BindingClaim<'a> {
    domain: &'a [u8],
    genesis: B256,
    key: B256,
    node: B512,
    sequence_ms: u64,
}

#[derive(RlpEncodable, RlpDecodable)]
struct ErasureRow {
    hash: B512,
    order: B256,
    time_ms: u64,
    node: B512,
    signature: FixedBytes<65>,
}

#[derive(RlpEncodable)]
struct ErasureClaim<'a> {
    domain: &'a [u8],
    genesis: B256,
    hash: B512,
    order: B256,
    time_ms: u64,
    node: B512,
}

fn digest(claim: &impl Encodable) -> B256 {
    keccak256(alloy_rlp::encode(claim))
}

fn is_of(signature: &Signature, digest: B256, node: &NodeId) -> bool {
    signature.recover(digest).is_ok_and(|signer| signer == node.address())
}

/// What a node signs a binding with, without the key: the rest is the same for all of its keys.
#[derive(Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) node: NodeId,
    pub(crate) signer: &'a dyn Signer,
    pub(crate) genesis: B256,
}

impl Binding {
    pub(crate) fn sign(author: Author<'_>, key: PublicKey, sequence_ms: u64) -> Self {
        let Author { node, signer, genesis } = author;
        let mut binding = Self { key, node, sequence_ms, genesis, signature: Signature([0; 65]) };
        binding.signature = signer.sign(binding.digest());
        binding
    }

    fn digest(&self) -> B256 {
        digest(&BindingClaim {
            domain: b"lonja ptm binding 1",
            genesis: self.genesis,
            key: B256::from(self.key.0),
            node: self.node.0,
            sequence_ms: self.sequence_ms,
        })
    }

    /// Whether the node signed it. Dear: some 50 microseconds.
    pub fn is_signed(&self) -> bool {
        is_of(&self.signature, self.digest(), &self.node)
    }
}

impl Erasure {
    pub(crate) fn sign(
        author: Author<'_>,
        kind: ErasureKind,
        hash: PayloadHash,
        order: B256,
        time_ms: u64,
    ) -> Self {
        let Author { node, signer, genesis } = author;
        let mut erasure = Self { hash, order, time_ms, node, signature: Signature([0; 65]) };
        erasure.signature = signer.sign(erasure.digest(kind, genesis));
        erasure
    }

    fn digest(&self, kind: ErasureKind, genesis: B256) -> B256 {
        let domain: &[u8] = match kind {
            ErasureKind::Order => b"lonja ptm erase 1",
            ErasureKind::Done => b"lonja ptm erased 1",
        };
        let Self { hash, order, time_ms, node, .. } = self;
        digest(&ErasureClaim {
            domain,
            genesis,
            hash: hash.0,
            order: *order,
            time_ms: *time_ms,
            node: node.0,
        })
    }

    /// Whether its node said this, in this network.
    pub fn is_signed(&self, kind: ErasureKind, genesis: B256) -> bool {
        is_of(&self.signature, self.digest(kind, genesis), &self.node)
    }
}

impl Encodable for Binding {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        BindingRow::from(self).encode(out);
    }

    fn length(&self) -> usize {
        BindingRow::from(self).length()
    }
}

impl From<&Binding> for BindingRow {
    fn from(binding: &Binding) -> Self {
        Self {
            key: B256::from(binding.key.0),
            node: binding.node.0,
            sequence_ms: binding.sequence_ms,
            genesis: binding.genesis,
            signature: FixedBytes(binding.signature.0),
        }
    }
}

impl Decodable for Binding {
    fn decode(bytes: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let BindingRow { key, node, sequence_ms, genesis, signature } = BindingRow::decode(bytes)?;
        let signature = Signature(signature.0);
        Ok(Self { key: PublicKey(key.0), node: NodeId(node), sequence_ms, genesis, signature })
    }
}

impl Encodable for Erasure {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        ErasureRow::from(self).encode(out);
    }

    fn length(&self) -> usize {
        ErasureRow::from(self).length()
    }
}

impl From<&Erasure> for ErasureRow {
    fn from(erasure: &Erasure) -> Self {
        Self {
            hash: erasure.hash.0,
            order: erasure.order,
            time_ms: erasure.time_ms,
            node: erasure.node.0,
            signature: FixedBytes(erasure.signature.0),
        }
    }
}

impl Decodable for Erasure {
    fn decode(bytes: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let ErasureRow { hash, order, time_ms, node, signature } = ErasureRow::decode(bytes)?;
        let signature = Signature(signature.0);
        Ok(Self { hash: PayloadHash(hash), order, time_ms, node: NodeId(node), signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::NodeKey;

    const GENESIS: B256 = B256::repeat_byte(1);

    fn author(key: &NodeKey) -> Author<'_> {
        Author { node: key.node_id(), signer: key, genesis: GENESIS }
    }

    fn read_back<T: Encodable + Decodable + PartialEq>(value: &T) -> bool {
        alloy_rlp::decode_exact::<T>(alloy_rlp::encode(value)).is_ok_and(|read| read == *value)
    }

    #[test]
    fn a_binding_is_its_nodes_word_and_every_field_counts() {
        let node = NodeKey::from_bytes(&[1; 32]).unwrap();
        let other = NodeKey::from_bytes(&[2; 32]).unwrap().node_id();
        let binding = Binding::sign(author(&node), PublicKey([3; 32]), 4);
        assert!(binding.is_signed() && read_back(&binding));
        let forged = [
            Binding { key: PublicKey([4; 32]), ..binding.clone() },
            Binding { node: other, ..binding.clone() },
            Binding { sequence_ms: 5, ..binding.clone() },
            Binding { genesis: B256::ZERO, ..binding.clone() },
            Binding { signature: Signature([0; 65]), ..binding.clone() },
        ];
        assert!(forged.iter().all(|forged| !forged.is_signed() && read_back(forged)));
    }

    #[test]
    fn an_erasure_is_its_nodes_word_and_an_order_is_no_tombstone() {
        let node = NodeKey::from_bytes(&[1; 32]).unwrap();
        let other = NodeKey::from_bytes(&[2; 32]).unwrap().node_id();
        let hash = PayloadHash::from_data(b"payload");
        let order = B256::repeat_byte(9);
        let erasure = Erasure::sign(author(&node), ErasureKind::Order, hash, order, 7);
        assert!(erasure.is_signed(ErasureKind::Order, GENESIS) && read_back(&erasure));
        assert!(!erasure.is_signed(ErasureKind::Done, GENESIS));
        assert!(!erasure.is_signed(ErasureKind::Order, B256::ZERO));
        let forged = [
            Erasure { hash: PayloadHash::from_data(b"another"), ..erasure.clone() },
            Erasure { order: B256::ZERO, ..erasure.clone() },
            Erasure { time_ms: 8, ..erasure.clone() },
            Erasure { node: other, ..erasure.clone() },
        ];
        assert!(forged.iter().all(|forged| !forged.is_signed(ErasureKind::Order, GENESIS)));
    }
}
