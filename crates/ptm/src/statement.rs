//! What a node states about a payload, for others who cannot open it: whether it is here, who its parties are, and on wish
//! the key that opens it.
//!
//! The signature says which node states it. The ciphertext ties the statement to the chain without anybody's word: the
//! payload's name there is its hash. With the master key everybody can read the payload, and see that it opens. Two things
//! are the node's word only: that a payload is not here, and who else is a party, for a recipient's copy names itself alone.

use crate::crypto::{SealingKey, payload_hash};
use crate::{Nonce, PayloadHash, PublicKey};
use alloy_primitives::{B256, B512, Bytes, keccak256};
use alloy_rlp::RlpEncodable;
use lonja_primitives::{NodeId, Signature, Signer};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Where a payload is, as far as a node is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// It is here, and a key of this node opens it.
    Held,
    /// It was here and was erased.
    Erased,
    /// It is not here, and no record of an erasure either.
    Absent,
}

/// A node's word about a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// The payload.
    pub payload: PayloadHash,
    /// Hash of the network's block 0.
    pub genesis: B256,
    /// Whether it is here.
    pub standing: Standing,
    /// Who sent it, where it is here.
    pub sender: Option<PublicKey>,
    /// Who received it, as this node's copy says: of what was received that is the node itself, mostly.
    pub recipients: Vec<PublicKey>,
    /// Keys of this node that open it.
    pub opened_by: Vec<PublicKey>,
    /// Of an erased one: hash of the document by which it was erased.
    pub order: Option<B256>,
    /// When this was signed, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who signed.
    #[serde(with = "node_text")]
    pub node: NodeId,
    /// Its signature.
    #[serde(with = "signature_text")]
    pub signature: Signature,
    /// Hash of a transaction that names the payload on the chain. Not signed: anybody can look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
    /// What anybody can check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// The payload as it is sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// The ciphertext, whose hash is the payload's name.
    pub cipher_text: Bytes,
    /// Its nonce, 24 bytes.
    pub nonce: Bytes,
    /// The key that opens it, 32 bytes, where it is disclosed. Whoever has it reads the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key: Option<B256>,
}

/// Why a statement is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StatementError {
    /// Somebody changed it, or it was never signed by this node.
    #[error("it is not signed by the node that it names")]
    NotSigned,
    /// The bytes are those of another payload.
    #[error("the ciphertext is not that of the payload: its hash is another")]
    OtherCipherText,
    /// The nonce has another length, or the key does not open the ciphertext.
    #[error("the disclosed key does not open the ciphertext")]
    DoesNotOpen,
}

#[derive(RlpEncodable)]
struct Claim<'a> {
    domain: &'a [u8],
    genesis: B256,
    payload: B512,
    standing: u8,
    sender: B256,
    recipients: Vec<B256>,
    opened_by: Vec<B256>,
    order: B256,
    time_ms: u64,
    node: B512,
}

impl Statement {
    pub(crate) fn sign(mut self, signer: &dyn Signer) -> Self {
        self.signature = signer.sign(self.digest());
        self
    }

    fn digest(&self) -> B256 {
        let words = |keys: &[PublicKey]| keys.iter().map(|key| B256::from(key.0)).collect();
        let standing = match self.standing {
            Standing::Held => 1,
            Standing::Erased => 2,
            Standing::Absent => 3,
        };
        keccak256(alloy_rlp::encode(Claim {
            domain: b"lonja ptm statement 1",
            genesis: self.genesis,
            payload: self.payload.0,
            standing,
            sender: self.sender.map_or(B256::ZERO, |key| B256::from(key.0)),
            recipients: words(&self.recipients),
            opened_by: words(&self.opened_by),
            order: self.order.unwrap_or_default(),
            time_ms: self.time_ms,
            node: self.node.0,
        }))
    }

    /// Checks everything that can be checked without the chain. Answers the payload in clear, where its key is disclosed.
    ///
    /// # Errors
    /// See [`StatementError`].
    pub fn check(&self) -> Result<Option<Bytes>, StatementError> {
        let signed = self.signature.recover(self.digest()).is_ok_and(|signer| signer == self.node.address());
        if !signed {
            return Err(StatementError::NotSigned);
        }
        let Some(evidence) = &self.evidence else { return Ok(None) };
        if payload_hash(&evidence.cipher_text) != self.payload {
            return Err(StatementError::OtherCipherText);
        }
        let Some(key) = evidence.master_key else { return Ok(None) };
        let nonce = Nonce::try_from(evidence.nonce.as_ref()).map_err(|_| StatementError::DoesNotOpen)?;
        let opened = SealingKey::from_bytes(&key.0).open(&nonce, &evidence.cipher_text);
        opened.map(|payload| Some(payload.into())).map_err(|_| StatementError::DoesNotOpen)
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence")
            .field("cipher_text_bytes", &self.cipher_text.len())
            .field("is_disclosed", &self.master_key.is_some())
            .finish_non_exhaustive()
    }
}

/// Signatures as 65 bytes in hex.
mod signature_text {
    use alloy_primitives::FixedBytes;
    use lonja_primitives::Signature;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(signature: &Signature, serializer: S) -> Result<S::Ok, S::Error> {
        FixedBytes(signature.0).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signature, D::Error> {
        FixedBytes::<65>::deserialize(deserializer).map(|bytes| Signature(bytes.0))
    }
}

/// Nodes as 64 bytes in hex.
mod node_text {
    use alloy_primitives::B512;
    use lonja_primitives::NodeId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(node: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
        node.0.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
        B512::deserialize(deserializer).map(NodeId)
    }
}
