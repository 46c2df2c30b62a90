//! Keys and signatures: secp256k1 with recovery, as Ethereum and Istanbul use it.

use alloy_primitives::{Address, B256, B512, hex, keccak256};
use secp256k1::{
    Message, PublicKey, SECP256K1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use std::fmt;
use thiserror::Error;

/// The private key of a node: its p2p identity, and its validator key when it validates.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeKey(SecretKey);

/// The public name of a node: the 64 bytes of its uncompressed public key without the leading 0x04, as they
/// stand in an `enode://` address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub B512);

/// A recoverable signature: `r || s || v` with `v` 0 or 1 (never 27 or 28).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signature(pub [u8; 65]);

/// Why a key or a signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The bytes are not a private key: not 32 bytes, zero, or not below the order of the curve.
    #[error(
        "not a secp256k1 private key: 32 bytes (64 hex digits) between 1 and the curve order are expected"
    )]
    BadKey,
    /// The bytes are not a point on the curve.
    #[error("not a secp256k1 public key: 64 bytes (128 hex digits) of a point on the curve are expected")]
    BadPublicKey,
    /// A signature is not 65 bytes long.
    #[error("a signature has {0} bytes, 65 are expected")]
    BadLength(usize),
    /// `v` is neither 0 nor 1.
    #[error("a signature's recovery id is {0}, 0 or 1 is expected")]
    BadRecoveryId(u8),
    /// `s` is in the upper half of the order: a malleated copy of another signature.
    #[error("a signature has a high s value")]
    HighS,
    /// No public key can be recovered.
    #[error("no public key can be recovered from the signature")]
    Unrecoverable,
}

/// Signs 32-byte digests with one key. Implementations: [`NodeKey`], later a hardware module.
pub trait Signer: Send + Sync {
    /// The address of the key.
    fn address(&self) -> Address;
    /// Signs `digest` as it is (no further hashing), deterministically (RFC 6979), with low `s`.
    fn sign(&self, digest: B256) -> Signature;
}

impl NodeKey {
    /// Draws a new key from the operating system's random numbers.
    pub fn generate() -> Self {
        Self(SecretKey::new(&mut rand::rng()))
    }

    /// The key with these 32 bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SignatureError> {
        SecretKey::from_byte_array(*bytes).map(Self).map_err(|_| SignatureError::BadKey)
    }

    /// Reads 64 hex digits, with or without `0x`, surrounding white space ignored.
    pub fn from_hex(text: &str) -> Result<Self, SignatureError> {
        let bytes: [u8; 32] = hex::decode_to_array(text.trim()).map_err(|_| SignatureError::BadKey)?;
        Self::from_bytes(&bytes)
    }

    /// The secret bytes. For writing the key file and for the p2p identity only.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.secret_bytes()
    }

    /// The node's public name.
    pub fn node_id(&self) -> NodeId {
        NodeId::from_public_key(&PublicKey::from_secret_key(SECP256K1, &self.0))
    }
}

impl Signer for NodeKey {
    fn address(&self) -> Address {
        self.node_id().address()
    }

    fn sign(&self, digest: B256) -> Signature {
        let signature = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(digest.0), &self.0);
        let (id, rs) = signature.serialize_compact();
        let mut bytes = [0u8; 65];
        bytes[..64].copy_from_slice(&rs);
        bytes[64] = i32::from(id) as u8;
        Signature(bytes)
    }
}

/// Secret bytes do not stay in memory that is given back.
impl Drop for NodeKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

/// Secret bytes never reach a log.
impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.address())
    }
}

impl NodeId {
    fn from_public_key(key: &PublicKey) -> Self {
        Self(B512::from_slice(&key.serialize_uncompressed()[1..]))
    }

    /// Reads 128 hex digits, with or without `0x`; refuses what is not a point on the curve.
    pub fn from_hex(text: &str) -> Result<Self, SignatureError> {
        let bytes: [u8; 64] = hex::decode_to_array(text).map_err(|_| SignatureError::BadPublicKey)?;
        Self::from_uncompressed(&bytes)
    }

    /// From the 64 bytes of x and y; refuses what is not a point on the curve.
    pub fn from_uncompressed(bytes: &[u8; 64]) -> Result<Self, SignatureError> {
        let mut full = [4u8; 65];
        full[1..].copy_from_slice(bytes);
        PublicKey::from_slice(&full)
            .map(|k| Self::from_public_key(&k))
            .map_err(|_| SignatureError::BadPublicKey)
    }

    /// From the 33 bytes of the compressed form.
    pub fn from_compressed(bytes: &[u8]) -> Result<Self, SignatureError> {
        if bytes.len() != 33 {
            return Err(SignatureError::BadPublicKey);
        }
        PublicKey::from_slice(bytes)
            .map(|k| Self::from_public_key(&k))
            .map_err(|_| SignatureError::BadPublicKey)
    }

    /// The 33 bytes of the compressed form.
    pub fn to_compressed(&self) -> [u8; 33] {
        let mut out = [0u8; 33];
        out[0] = 2 + (self.0[63] & 1);
        out[1..].copy_from_slice(&self.0[..32]);
        out
    }

    /// The Ethereum address of the key: the last 20 bytes of the hash of the public key.
    pub fn address(&self) -> Address {
        Address::from_slice(&keccak256(self.0)[12..])
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({}…)", hex::encode(&self.0[..4]))
    }
}

impl Signature {
    /// Takes exactly 65 bytes; the content is judged at recovery.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SignatureError> {
        bytes.try_into().map(Self).map_err(|_| SignatureError::BadLength(bytes.len()))
    }

    /// The address that signed `digest`. Strict, for everything received live: `v` is 0 or 1 and `s` is low,
    /// so that a signature has one form only.
    pub fn recover(&self, digest: B256) -> Result<Address, SignatureError> {
        let signature = self.parse()?;
        let mut normalized = signature.to_standard();
        normalized.normalize_s();
        if normalized != signature.to_standard() {
            return Err(SignatureError::HighS);
        }
        recover(&signature, digest)
    }

    /// As [`Signature::recover`], but a high `s` is taken too: for seals in the history of older clients.
    pub fn recover_lenient(&self, digest: B256) -> Result<Address, SignatureError> {
        recover(&self.parse()?, digest)
    }

    fn parse(&self) -> Result<RecoverableSignature, SignatureError> {
        let v = self.0[64];
        if v > 1 {
            return Err(SignatureError::BadRecoveryId(v));
        }
        let id = RecoveryId::try_from(i32::from(v)).map_err(|_| SignatureError::BadRecoveryId(v))?;
        RecoverableSignature::from_compact(&self.0[..64], id).map_err(|_| SignatureError::Unrecoverable)
    }
}

fn recover(signature: &RecoverableSignature, digest: B256) -> Result<Address, SignatureError> {
    SECP256K1
        .recover_ecdsa(Message::from_digest(digest.0), signature)
        .map(|key| NodeId::from_public_key(&key).address())
        .map_err(|_| SignatureError::Unrecoverable)
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_prefixed(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256};

    fn key(n: u8) -> NodeKey {
        let mut bytes = [0u8; 32];
        bytes[31] = n;
        NodeKey::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn address_of_a_small_key() {
        assert_eq!(key(3).address(), address!("6813eb9362372eef6200f3b1dbc3f819671cba69"));
        assert_eq!(NodeId::from_compressed(&key(3).node_id().to_compressed()).unwrap(), key(3).node_id());
        assert_eq!(NodeId::from_hex(&key(3).node_id().to_string()).unwrap(), key(3).node_id());
    }

    #[test]
    fn a_signature_recovers_to_its_signer() {
        let digest = b256!("b50bf5e057cd1999032718febf4fde06cc21fb76048a2c7393f800e188561508");
        assert_eq!(key(3).sign(digest).recover(digest).unwrap(), key(3).address());
    }

    #[test]
    fn malformed_signatures_are_refused() {
        let digest = B256::repeat_byte(7);
        let good = key(5).sign(digest);
        let mut v27 = good;
        v27.0[64] += 27;
        assert!(matches!(v27.recover(digest), Err(SignatureError::BadRecoveryId(_))));
        assert_eq!(Signature::from_slice(&[0; 64]), Err(SignatureError::BadLength(64)));
        assert_eq!(Signature([0; 65]).recover(digest), Err(SignatureError::Unrecoverable));
        let order = alloy_primitives::U256::from_be_slice(&secp256k1::constants::CURVE_ORDER);
        let s = alloy_primitives::U256::from_be_slice(&good.0[32..64]);
        let mut high = good;
        high.0[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
        high.0[64] ^= 1;
        assert_eq!(high.recover(digest), Err(SignatureError::HighS));
        assert_eq!(high.recover_lenient(digest), Ok(key(5).address()));
    }

    /// Public test values: a PREPARE of the Istanbul vectors, signed with the key 3.
    #[test]
    fn signing_is_deterministic() {
        let payload = alloy_primitives::hex!(
            "e513e30180a0b50bf5e057cd1999032718febf4fde06cc21fb76048a2c7393f800e188561508"
        );
        let signature = alloy_primitives::hex!(
            "a86d5e4b5fda11908bafbe9ce581c8a15540fe84d46542b29832a3dad169622c
             38e86876f10362a039691d03c970ccbaa4e36274b39fb5575a0b62cae61fe4d201"
        );
        assert_eq!(key(3).sign(keccak256(payload)), Signature(signature));
    }

    #[test]
    fn bad_keys_are_refused() {
        assert!(NodeKey::from_hex(&"00".repeat(32)).is_err());
        assert!(NodeKey::from_hex("0x1234").is_err());
        assert!(NodeId::from_hex(&"ff".repeat(64)).is_err());
        assert!(NodeId::from_hex(&format!("{}00", key(3).node_id())).is_err());
        assert!(NodeId::from_compressed(&[2; 32]).is_err());
        let mut uncompressed = vec![4];
        uncompressed.extend_from_slice(key(3).node_id().0.as_slice());
        assert!(NodeId::from_compressed(&uncompressed).is_err());
        let order = secp256k1::constants::CURVE_ORDER;
        assert_eq!(NodeKey::from_bytes(&order), Err(SignatureError::BadKey));
        assert!(!format!("{:?}", key(9)).contains("0000000009"));
    }

    /// The hash that everything stands on is written in assembly; another implementation agrees.
    #[test]
    fn keccak_agrees_with_a_second_implementation() {
        use sha3::{Digest, Keccak256};
        for length in [0usize, 1, 31, 32, 64, 135, 136, 137, 1024] {
            let bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
            assert_eq!(keccak256(&bytes).as_slice(), Keccak256::digest(&bytes).as_slice(), "{length} bytes");
        }
    }
}
