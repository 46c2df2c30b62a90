use super::*;
use proptest::prelude::*;

/// Files that other programs wrote, with passwords and keys.
const VECTORS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/accounts/version_3.json"));

#[derive(Deserialize)]
struct Vector {
    name: String,
    file: Value,
    password: String,
    key: String,
    address: Address,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(VECTORS).unwrap()
}

fn key(n: u8) -> NodeKey {
    NodeKey::from_bytes(&[n; 32]).unwrap()
}

/// A file that is quick to open.
fn file() -> Value {
    serde_json::from_str(&encrypt(&key(7), &"secret".into(), Strength::NONE)).unwrap()
}

fn refusal(file: &Value) -> String {
    decrypt(&file.to_string(), &"secret".into()).unwrap_err().to_string()
}

#[test]
fn files_of_other_programs_open() {
    let vectors = vectors();
    assert!(vectors.len() >= 7);
    for Vector { name, file, password, key, address } in vectors {
        let opened = decrypt(&file.to_string(), &password.as_str().into());
        let opened = opened.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(hex::encode(opened.to_bytes()), format!("{key:0>64}"), "{name}");
        assert_eq!(opened.address(), address, "{name}");
    }
}

#[test]
fn a_wrong_password_opens_none_of_them() {
    for Vector { name, file, password, .. } in vectors() {
        // Dear ones are looked at above.
        if file["crypto"]["kdfparams"]["n"].as_u64().is_some_and(|n| n < 1_000) {
            let wrong = decrypt(&file.to_string(), &format!("{password} ").into());
            assert!(matches!(wrong, Err(AccountError::WrongPassword)), "{name}");
        }
    }
}

#[test]
fn what_is_written_is_read_and_each_time_another() {
    for strength in [Strength::NONE, Strength::LIGHT] {
        let text = encrypt(&key(7), &"secret".into(), strength);
        assert_eq!(decrypt(&text, &"secret".into()).unwrap(), key(7));
        assert_eq!(address(&text).unwrap(), Some(key(7).address()));
        assert!(!text.contains(&hex::encode(key(7).to_bytes())) && !text.contains("secret"));
    }
    let (one, other) = (file(), file());
    for path in ["/id", "/crypto/cipherparams/iv", "/crypto/kdfparams/salt", "/crypto/ciphertext"] {
        assert_ne!(one.pointer(path).unwrap(), other.pointer(path).unwrap(), "{path}");
    }
    let empty = encrypt(&key(7), &"".into(), Strength::NONE);
    assert_eq!(decrypt(&empty, &"".into()).unwrap(), key(7));
}

#[test]
fn new_files_are_as_dear_as_those_of_geth() {
    let (_, standard) = Kdf::new(Strength::STANDARD, [0; 32]).write();
    assert_eq!((&standard["n"], &standard["r"], &standard["p"]), (&json!(262_144), &json!(8), &json!(1)));
    let (_, light) = Kdf::new(Strength::LIGHT, [0; 32]).write();
    assert_eq!((&light["n"], &light["r"], &light["p"]), (&json!(4_096), &json!(8), &json!(6)));
}

#[test]
fn another_spelling_of_crypto_is_read() {
    let mut file = file();
    let crypto = file["crypto"].take();
    file.as_object_mut().unwrap().remove("crypto");
    file["Crypto"] = crypto;
    assert_eq!(decrypt(&file.to_string(), &"secret".into()).unwrap(), key(7));
    file.as_object_mut().unwrap().remove("address");
    assert_eq!(address(&file.to_string()).unwrap(), None);
    assert_eq!(decrypt(&file.to_string(), &"secret".into()).unwrap(), key(7));
}

#[test]
fn a_key_of_another_address_is_refused() {
    let mut file = file();
    file["address"] = json!(hex::encode(key(8).address()));
    let said = refusal(&file);
    assert!(said.contains(&key(7).address().to_string()) && said.contains(&key(8).address().to_string()));
}

#[test]
fn what_is_damaged_or_foreign_is_named() {
    for (path, value, said) in [
        ("/version", json!(1), "version 1"),
        ("/version", json!("1"), "version \"1\""),
        ("/address", json!("0x12"), "`address`"),
        ("/crypto/cipher", json!("aes-256-cbc"), "aes-128-ctr"),
        ("/crypto/cipherparams/iv", json!("00"), "cipherparams.iv"),
        ("/crypto/ciphertext", json!("x"), "`ciphertext`"),
        ("/crypto/ciphertext", json!(""), "a key of 0 bytes"),
        ("/crypto/ciphertext", json!("00".repeat(33)), "a key of 33 bytes"),
        ("/crypto/mac", json!("00".repeat(31)), "`mac`"),
        ("/crypto/mac", json!("00".repeat(32)), "could not decrypt key with given password"),
        ("/crypto/kdf", json!("bcrypt"), "bcrypt"),
        ("/crypto/kdfparams/n", json!(1_u64 << 40), "the most"),
        ("/crypto/kdfparams/n", json!(-2), "kdfparams"),
        ("/crypto", json!([]), "not a key file"),
    ] {
        let mut file = file();
        *file.pointer_mut(path).unwrap() = value;
        assert!(refusal(&file).contains(said), "{path}: {}", refusal(&file));
    }
    for text in ["", "{}", "null", "[3]", "0123456789abcdef"] {
        let said = decrypt(text, &"secret".into()).unwrap_err().to_string();
        assert!(said.contains("not a key file"), "{text}: {said}");
    }
}

#[test]
fn the_key_zero_is_none() {
    // A file with a right sum and no possible key: only one who knows the password can make it.
    let mut file = file();
    let hidden: [u8; 32] = hex::decode_to_array(file["crypto"]["ciphertext"].as_str().unwrap()).unwrap();
    let params = file["crypto"]["kdfparams"].clone();
    let derived = Kdf::read("scrypt", params).unwrap().derive(&"secret".into());
    let zero: Vec<u8> = hidden.iter().zip(key(7).to_bytes()).map(|(hidden, key)| hidden ^ key).collect();
    file["crypto"]["ciphertext"] = json!(hex::encode(&zero));
    file["crypto"]["mac"] = json!(hex::encode(mac(&derived, &zero)));
    assert!(refusal(&file).contains("not a secp256k1 private key"), "{}", refusal(&file));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_key_and_any_password_come_back(bytes: [u8; 32], password: String) {
        prop_assume!(NodeKey::from_bytes(&bytes).is_ok());
        let key = NodeKey::from_bytes(&bytes).unwrap();
        let text = encrypt(&key, &password.as_str().into(), Strength::NONE);
        prop_assert_eq!(decrypt(&text, &password.as_str().into()).unwrap(), key);
        let other = decrypt(&text, &format!("{password}x").into());
        prop_assert!(matches!(other, Err(AccountError::WrongPassword)));
    }

    #[test]
    fn no_text_harms(text: String) {
        prop_assert!(decrypt(&text, &"".into()).is_err());
        prop_assert!(address(&text).is_err());
    }

    /// A flipped digit anywhere in what counts is a refusal, never another key.
    #[test]
    fn a_flipped_digit_opens_nothing(place in 0_usize..64, field in 0_usize..4) {
        let mut file = file();
        let path = ["/crypto/ciphertext", "/crypto/mac", "/crypto/kdfparams/salt", "/address"][field];
        let value = file.pointer_mut(path).unwrap();
        let mut digits = value.as_str().unwrap().to_owned().into_bytes();
        let place = place % digits.len();
        digits[place] = if digits[place] == b'0' { b'1' } else { b'0' };
        *value = json!(String::from_utf8(digits).unwrap());
        prop_assert!(decrypt(&file.to_string(), &"secret".into()).is_err());
    }
}
