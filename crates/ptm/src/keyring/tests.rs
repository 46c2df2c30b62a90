use super::*;

fn pair(seed: u8) -> KeyPair {
    KeyPair::from_secret(&[seed; 32])
}

fn refusal(pairs: Vec<KeyPair>) -> Option<KeyringError> {
    Keyring::new(pairs).err()
}

#[test]
fn the_first_key_is_the_default_one() {
    let ring = Keyring::new(vec![pair(3), pair(1), pair(2)]).unwrap();
    let [a, b, c] = [3, 1, 2].map(|seed| pair(seed).public());
    let stranger = pair(9).public();
    assert_eq!(ring.keys(), [a, b, c]);
    assert_eq!(ring.default_key(), a);
    assert_eq!(ring.sender(None), Ok(a));
    assert_eq!(ring.sender(Some(c)), Ok(c));
    assert_eq!(ring.sender(Some(stranger)), Err(PtmError::UnknownSender(stranger)));
    assert!(ring.manages(&b) && !ring.manages(&stranger));
    assert_eq!(ring.managed_among(&[c, stranger, a, c]), [c, a]);
}

#[test]
fn no_keyring_without_keys_or_with_a_key_twice() {
    assert_eq!(refusal(vec![]), Some(KeyringError::Empty));
    assert_eq!(refusal(vec![pair(1), pair(2), pair(1)]), Some(KeyringError::Twice(pair(1).public())));
    let many: Vec<_> = (0..=MAX_KEYS as u32)
        .map(|n| {
            let mut secret = [1; 32];
            secret[4..8].copy_from_slice(&n.to_be_bytes());
            KeyPair::from_secret(&secret)
        })
        .collect();
    assert_eq!(refusal(many), Some(KeyringError::TooMany(MAX_KEYS + 1)));
}

#[test]
fn a_shared_key_is_worked_out_once() {
    let ring = Keyring::new(vec![pair(1), pair(2)]).unwrap();
    let (own, other) = (pair(1).public(), pair(7).public());
    let first = ring.shared_key(&own, &other).unwrap();
    let again = ring.shared_key(&own, &other).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(first.as_bytes(), pair(7).shared_key(&own).unwrap().as_bytes());
    let elsewhere = ring.shared_key(&pair(2).public(), &other).unwrap();
    assert_ne!(first.as_bytes(), elsewhere.as_bytes());
    assert_eq!(ring.shared_key(&other, &own).err(), Some(KeyringError::NotManaged(other)));
    let weak = PublicKey([0; 32]);
    assert_eq!(ring.shared_key(&own, &weak).err(), Some(KeyringError::Crypto(CryptoError::WeakKey(weak))));
}
