//! One key in one file: Web3 Secret Storage, version 3, as geth, GoQuorum and every wallet read and write it.
//!
//! The password is stretched to 32 bytes (`kdf`). The first 16 are the key of AES-128-CTR, which hides the private key;
//! the others, before the hidden bytes, are hashed with keccak-256 to the sum (`mac`) that tells a wrong password.

use crate::kdf::{DERIVED_BYTES, Kdf, Strength};
use crate::{AccountError, Password};
use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use alloy_primitives::{Address, B256, Keccak256, hex};
use ctr::Ctr128BE;
use lonja_primitives::{NodeKey, Signer};
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The version that is read and written.
const VERSION: u64 = 3;
/// The only cipher of the format.
const CIPHER: &str = "aes-128-ctr";

/// A file that was read and not opened. What is not listed here (`id`, names of wallets) makes no difference.
#[derive(Deserialize)]
struct Fields {
    address: Option<String>,
    #[serde(alias = "Crypto")]
    crypto: CryptoFields,
}

#[derive(Deserialize)]
struct CryptoFields {
    cipher: String,
    cipherparams: CipherFields,
    ciphertext: String,
    kdf: String,
    kdfparams: Value,
    mac: String,
}

#[derive(Deserialize)]
struct CipherFields {
    iv: String,
}

/// What every version has, read first so that an older one is named.
#[derive(Deserialize)]
struct VersionField {
    version: Value,
}

/// The address that a file says its key has, where it does; `Err` for what is no key file.
pub(crate) fn address(text: &str) -> Result<Option<Address>, AccountError> {
    let fields = fields(text)?;
    let parse = |text: String| {
        text.parse().map_err(|_| AccountError::Malformed("the field `address` is no address".into()))
    };
    fields.address.filter(|text| !text.is_empty()).map(parse).transpose()
}

/// Opens a key file: its text, and the password.
///
/// # Errors
/// [`AccountError::WrongPassword`], also for damaged bytes; [`AccountError::Malformed`] for what is no file of version
/// 3, for a derivation that would cost too much, and for a key that is not the one of the file's address.
pub fn decrypt(text: &str, password: &Password) -> Result<NodeKey, AccountError> {
    let named = address(text)?;
    let crypto = fields(text)?.crypto;
    if crypto.cipher != CIPHER {
        return Err(AccountError::Malformed(format!("another cipher than {CIPHER}")));
    }
    let iv: [u8; 16] = bytes("cipherparams.iv", &crypto.cipherparams.iv)?;
    let sum: [u8; 32] = bytes("mac", &crypto.mac)?;
    let hidden = hex::decode(&crypto.ciphertext)
        .map_err(|_| AccountError::Malformed("the field `ciphertext` is not hex".into()))?;
    // Early writers left leading zeros of a key out.
    if hidden.is_empty() || hidden.len() > 32 {
        return Err(AccountError::Malformed(format!("a key of {} bytes; 32 are expected", hidden.len())));
    }
    let derived = Kdf::read(&crypto.kdf, crypto.kdfparams)?.derive(password);
    if mac(&derived, &hidden) != sum {
        return Err(AccountError::WrongPassword);
    }
    let mut key = Zeroizing::new([0; 32]);
    key[32 - hidden.len()..].copy_from_slice(&hidden);
    apply_cipher(&derived, iv, &mut key[32 - hidden.len()..]);
    let key = NodeKey::from_bytes(&key).map_err(|error| AccountError::Malformed(error.to_string()))?;
    match named.filter(|named| *named != key.address()) {
        Some(named) => Err(AccountError::Malformed(format!(
            "the file says {named}, but holds the key of {}",
            key.address()
        ))),
        None => Ok(key),
    }
}

/// The text of a key file that this password opens.
pub fn encrypt(key: &NodeKey, password: &Password, strength: Strength) -> String {
    let kdf = Kdf::new(strength, random());
    let derived = kdf.derive(password);
    let iv: [u8; 16] = random();
    let mut bytes = Zeroizing::new(key.to_bytes());
    apply_cipher(&derived, iv, bytes.as_mut());
    let (kdf, kdfparams) = kdf.write();
    let file = json!({
        "address": hex::encode(key.address()),
        "crypto": {
            "cipher": CIPHER,
            "ciphertext": hex::encode(*bytes),
            "cipherparams": { "iv": hex::encode(iv) },
            "kdf": kdf,
            "kdfparams": kdfparams,
            "mac": hex::encode(mac(&derived, bytes.as_ref())),
        },
        "id": random_id(),
        "version": VERSION,
    });
    file.to_string()
}

fn fields(text: &str) -> Result<Fields, AccountError> {
    let refuse = |error: serde_json::Error| AccountError::Malformed(format!("not a key file: {error}"));
    let VersionField { version } = serde_json::from_str(text).map_err(refuse)?;
    if version.as_u64() != Some(VERSION) {
        let version: String = version.to_string().chars().take(20).collect();
        return Err(AccountError::Malformed(format!("a key file of version {version}; version 3 is read")));
    }
    serde_json::from_str(text).map_err(refuse)
}

fn bytes<const LENGTH: usize>(name: &str, text: &str) -> Result<[u8; LENGTH], AccountError> {
    let refuse = |_| AccountError::Malformed(format!("the field `{name}` is not {LENGTH} bytes in hex"));
    hex::decode_to_array(text).map_err(refuse)
}

/// Hides, or shows again.
fn apply_cipher(derived: &[u8; DERIVED_BYTES], iv: [u8; 16], bytes: &mut [u8]) {
    let (mut key, iv) = (Zeroizing::new([0; 16]), iv);
    key.copy_from_slice(&derived[..16]);
    let key: &[u8; 16] = &key;
    Ctr128BE::<Aes128>::new(key.into(), &iv.into()).apply_keystream(bytes);
}

fn mac(derived: &[u8; DERIVED_BYTES], hidden: &[u8]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(&derived[16..]);
    hasher.update(hidden);
    hasher.finalize()
}

fn random<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    OsRng.try_fill_bytes(&mut bytes).expect("the operating system has random numbers");
    bytes
}

/// A random UUID (RFC 9562, version 4).
fn random_id() -> String {
    let mut id: [u8; 16] = random();
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let digits = hex::encode(id);
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

#[cfg(test)]
mod tests;
