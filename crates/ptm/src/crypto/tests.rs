use super::*;
use crate::testing::{array, bytes, key, pair, text, vectors};
use proptest::prelude::*;

fn sealing_key(bytes: [u8; 32]) -> SealingKey {
    SealingKey::from_bytes(&bytes)
}

#[test]
fn public_keys_follow_from_private_ones() {
    for vector in vectors!("keys.json") {
        assert_eq!(
            pair(&vector, "privateKey").public(),
            key(&vector, "publicKey"),
            "{}",
            text(&vector, "id")
        );
    }
}

#[test]
fn shared_keys_and_boxes() {
    for vector in vectors!("nacl_box.json") {
        let shared = pair(&vector, "privateKey").shared_key(&key(&vector, "publicKey")).unwrap();
        assert_eq!(shared.as_bytes(), &array::<32>(&vector, "sharedKeyHex"));
        let nonce = array(&vector, "nonceHex");
        let message = sealing_key(array(&vector, "messageHex"));
        let sealed = shared.seal_key(&nonce, &message);
        assert_eq!(sealed, array::<48>(&vector, "sealedHex"));
        assert_eq!(shared.seal(&nonce, message.as_bytes()), sealed);
        let opened = shared.open_key(&nonce, &sealed).expect("it opens");
        assert_eq!(opened.as_bytes(), message.as_bytes());
    }
}

#[test]
fn secret_boxes() {
    for vector in vectors!("nacl_secretbox.json") {
        let key = sealing_key(array(&vector, "keyHex"));
        let nonce = array(&vector, "nonceHex");
        let (message, sealed) = (bytes(&vector, "messageHex"), bytes(&vector, "sealedHex"));
        assert_eq!(key.seal(&nonce, &message), sealed);
        assert_eq!(key.open(&nonce, &sealed).unwrap(), message);
    }
}

#[test]
fn payload_hashes_are_fips_202() {
    for vector in vectors!("payload_hash.json") {
        let hash = payload_hash(&bytes(&vector, "cipherTextHex"));
        assert_eq!(hash.as_slice(), &bytes(&vector, "sha3_512Hex")[..]);
        assert_eq!(hash.to_string(), text(&vector, "sha3_512Base64"));
        assert_ne!(hash.as_slice(), &bytes(&vector, "notThisKeccak512Hex")[..]);
    }
}

#[test]
fn security_hashes() {
    for vector in vectors!("security_hash.json") {
        let (new, affected) = (bytes(&vector, "newCipherTextHex"), bytes(&vector, "affectedCipherTextHex"));
        let master = sealing_key(array(&vector, "affectedMasterKeyHex"));
        let expected = bytes(&vector, "securityHashHex");
        assert_eq!(security_hash(&new, &affected, &master).0.as_slice(), &expected[..]);
        assert_ne!(security_hash(&affected, &new, &master).0.as_slice(), &expected[..]);
    }
}

#[test]
fn a_shared_key_needs_a_real_partner() {
    let own = KeyPair::from_secret(&[7; 32]);
    let mut one = [0; 32];
    one[0] = 1;
    let order_eight = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let order_eight: [u8; 32] = alloy_primitives::hex::decode_to_array(order_eight).unwrap();
    for weak in [[0; 32], one, order_eight] {
        let error = own.shared_key(&PublicKey(weak)).err();
        assert_eq!(error, Some(CryptoError::WeakKey(PublicKey(weak))));
    }
}

#[test]
fn what_is_drawn_differs() {
    assert_ne!(random_nonce().unwrap(), random_nonce().unwrap());
    let (first, second) = (SealingKey::random().unwrap(), SealingKey::random().unwrap());
    assert_ne!(first.as_bytes(), second.as_bytes());
    assert_ne!(KeyPair::generate().unwrap().public(), KeyPair::generate().unwrap().public());
}

proptest! {
    #[test]
    fn sealed_messages_open_only_as_they_are(
        key in any::<[u8; 32]>(),
        nonce in any::<Nonce>(),
        message in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let key = sealing_key(key);
        let mut sealed = key.seal(&nonce, &message);
        prop_assert_eq!(sealed.len(), message.len() + TAG_BYTES);
        prop_assert_eq!(key.open(&nonce, &sealed), Ok(message));
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert_eq!(key.open(&nonce, &sealed), Err(CryptoError::DoesNotOpen));
        prop_assert_eq!(key.open(&nonce, &sealed[..at]), Err(CryptoError::DoesNotOpen));
    }

    #[test]
    fn both_parties_come_to_one_key(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
        let (a, b) = (KeyPair::from_secret(&a), KeyPair::from_secret(&b));
        let ours = a.shared_key(&b.public()).expect("a real key");
        let theirs = b.shared_key(&a.public()).expect("a real key");
        prop_assert_eq!(ours.as_bytes(), theirs.as_bytes());
    }
}
