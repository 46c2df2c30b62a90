//! Sealing as NaCl does it, and the two hashes that name things.
//!
//! One cipher seals everything: XSalsa20-Poly1305 with the tag in front. Its key is either random (an envelope's master
//! key), agreed between two parties (X25519, then HSalsa20), or drawn from a password (`key_file`).

use crate::surroundings::{Machine, Surroundings, draw};
use crate::{Nonce, PayloadHash, PublicKey, RecipientBox, SecurityHash};
use alloy_primitives::B512;
use crypto_secretbox::aead::{AeadInPlace, KeyInit};
use crypto_secretbox::{Tag, XSalsa20Poly1305};
use salsa20::cipher::consts::U10;
use sha3::{Digest, Sha3_512};
use thiserror::Error;
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What sealing adds to a message, in bytes.
pub const TAG_BYTES: usize = 16;

/// Why sealing or opening failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CryptoError {
    /// The key lies in a small subgroup: whatever secret is agreed with it, everybody knows the result.
    #[error("{0} is no key: everybody knows the secret that is agreed with it")]
    WeakKey(PublicKey),
    /// The message was sealed with another key or nonce, or was changed.
    #[error("the sealed bytes do not open with this key")]
    DoesNotOpen,
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
}

/// A key of XSalsa20-Poly1305. Its bytes are wiped when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SealingKey([u8; 32]);

/// A Curve25519 key pair. The secret half is wiped when it is dropped.
pub struct KeyPair {
    public: PublicKey,
    secret: StaticSecret,
}

/// `N` bytes from the operating system's random numbers.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], CryptoError> {
    draw(&Machine)
}

/// A fresh nonce. 24 random bytes never meet again.
pub fn random_nonce() -> Result<Nonce, CryptoError> {
    random_bytes()
}

impl SealingKey {
    /// A fresh key.
    pub fn random() -> Result<Self, CryptoError> {
        Self::drawn(&Machine)
    }

    /// A fresh key from these random numbers.
    pub(crate) fn drawn(from: &dyn Surroundings) -> Result<Self, CryptoError> {
        draw(from).map(Self)
    }

    /// The key with these bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A nonce that follows from this key, and tells nothing of it.
    pub(crate) fn derived_nonce(&self) -> Nonce {
        let digest = Sha3_512::new().chain_update(b"lonja ptm nonce 1").chain_update(self.0).finalize();
        *digest.first_chunk().expect("64 bytes have 24")
    }

    fn cipher(&self) -> XSalsa20Poly1305 {
        XSalsa20Poly1305::new(&self.0.into())
    }

    /// Seals a message: 16 bytes of tag, then as many of ciphertext as the message has.
    pub fn seal(&self, nonce: &Nonce, message: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(message.len().saturating_add(TAG_BYTES));
        sealed.extend_from_slice(&[0; TAG_BYTES]);
        sealed.extend_from_slice(message);
        let (tag, text) = sealed.split_at_mut(TAG_BYTES);
        tag.copy_from_slice(&self.seal_in_place(nonce, text));
        sealed
    }

    /// Seals a key.
    pub fn seal_key(&self, nonce: &Nonce, key: &Self) -> RecipientBox {
        let mut sealed = [0; 48];
        let (tag, text) = sealed.split_at_mut(TAG_BYTES);
        text.copy_from_slice(&key.0);
        tag.copy_from_slice(&self.seal_in_place(nonce, text));
        sealed
    }

    fn seal_in_place(&self, nonce: &Nonce, text: &mut [u8]) -> [u8; TAG_BYTES] {
        let tag = self.cipher().encrypt_in_place_detached(nonce.into(), b"", text);
        tag.expect("a message in memory is shorter than the key stream").into()
    }

    /// Opens what [`seal`](Self::seal) made with the same key and nonce.
    pub fn open(&self, nonce: &Nonce, sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (tag, text) = sealed.split_first_chunk::<TAG_BYTES>().ok_or(CryptoError::DoesNotOpen)?;
        let mut message = text.to_vec();
        self.open_in_place(nonce, tag, &mut message)?;
        Ok(message)
    }

    /// Opens what [`seal_key`](Self::seal_key) made with the same key and nonce.
    pub fn open_key(&self, nonce: &Nonce, sealed: &RecipientBox) -> Result<Self, CryptoError> {
        let (tag, text) = sealed.split_first_chunk::<TAG_BYTES>().ok_or(CryptoError::DoesNotOpen)?;
        let mut key = Self([0; 32]);
        key.0.copy_from_slice(text);
        self.open_in_place(nonce, tag, &mut key.0)?;
        Ok(key)
    }

    fn open_in_place(
        &self,
        nonce: &Nonce,
        tag: &[u8; TAG_BYTES],
        text: &mut [u8],
    ) -> Result<(), CryptoError> {
        let opened = self.cipher().decrypt_in_place_detached(nonce.into(), b"", text, Tag::from_slice(tag));
        opened.map_err(|_| CryptoError::DoesNotOpen)
    }
}

impl KeyPair {
    /// Draws a new pair.
    pub fn generate() -> Result<Self, CryptoError> {
        let secret = Zeroizing::new(random_bytes()?);
        Ok(Self::from_secret(&secret))
    }

    /// The pair with this secret half.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        let secret = StaticSecret::from(*secret);
        let public = PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes());
        Self { public, secret }
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret half. For writing the key file only.
    pub(crate) fn secret(&self) -> &[u8; 32] {
        self.secret.as_bytes()
    }

    /// The key that both parties come to, each from their own secret and the other's public key (NaCl's
    /// `crypto_box_beforenm`). Dear: some 50 microseconds.
    pub fn shared_key(&self, other: &PublicKey) -> Result<SealingKey, CryptoError> {
        let agreed = self.secret.diffie_hellman(&other.0.into());
        if !agreed.was_contributory() {
            return Err(CryptoError::WeakKey(*other));
        }
        let mut hashed = salsa20::hsalsa::<U10>(agreed.as_bytes().into(), &[0; 16].into());
        let key = SealingKey(hashed.into());
        hashed.as_mut_slice().zeroize();
        Ok(key)
    }
}

/// The name of a payload: SHA3-512 (FIPS 202) of its ciphertext, not Keccak, and not of the envelope.
pub fn payload_hash(cipher_text: &[u8]) -> PayloadHash {
    PayloadHash(B512::from_slice(&Sha3_512::digest(cipher_text)))
}

/// What shows that the sender of a new payload can open an affected one.
pub fn security_hash(new: &[u8], affected: &[u8], affected_master_key: &SealingKey) -> SecurityHash {
    let hasher = Sha3_512::new().chain_update(new).chain_update(affected);
    let hash = hasher.chain_update(affected_master_key.as_bytes()).finalize();
    SecurityHash(B512::from_slice(&hash))
}

#[cfg(test)]
mod tests;
