use super::*;
use crate::testing::{array, key, text, vectors};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const SECRET: &str = "Wl+xSyXVuuqzpvznOS7dOobhcn4C5auxkFRi7yLtgtA=";
const PUBLIC: &str = "BULeR8JyUWhiuuCMU/HLA0Q5pzkYT+cHII3ZKBey3Bo=";

/// Small enough that a test does not wait for it.
const QUICK: ArgonOptions =
    ArgonOptions { variant: ArgonVariant::Id, memory_kib: 64, iterations: 1, parallelism: 2 };

fn pair() -> KeyPair {
    PrivateKeyFile::parse(&unlocked().to_string()).unwrap().open(None).unwrap()
}

fn unlocked() -> Value {
    json!({"type": "unlocked", "data": {"bytes": SECRET}})
}

fn refusal(file: &Value) -> String {
    PrivateKeyFile::parse(&file.to_string()).err().map_or_else(String::new, |error| error.to_string())
}

fn open(file: &Value, password: Option<&str>) -> Result<KeyPair, KeyFileError> {
    PrivateKeyFile::parse(&file.to_string())?.open(password.map(Password::new).as_ref())
}

fn check(vector: &Value) {
    let opened = open(&vector["keyFile"], vector["password"].as_str());
    match text(vector, "expect") {
        "ok" => {
            let pair = opened.unwrap_or_else(|error| panic!("{vector}: {error}"));
            assert_eq!(pair.secret(), &array::<32>(vector, "privateKey"));
            assert_eq!(pair.public(), key(vector, "publicKey"));
        }
        "decrypt-error" => assert_eq!(opened.err(), Some(KeyFileError::WrongPassword)),
        other => panic!("unknown expectation {other}"),
    }
}

#[test]
fn files_of_tessera_open() {
    let vectors: Vec<_> = vectors!("locked_keys.json");
    for vector in vectors.iter().filter(|vector| vector["slow"].is_null()) {
        check(vector);
        if let Some(hash) = vector["argonOutputHex"].as_str() {
            let PrivateKeyFile::Locked(locked) =
                PrivateKeyFile::parse(&vector["keyFile"].to_string()).unwrap()
            else {
                panic!("{vector} is locked");
            };
            let key = locked.options.key(&Password::new(text(vector, "password")), &locked.salt).unwrap();
            assert_eq!(alloy_primitives::hex::encode(key.as_bytes()), hash);
        }
    }
}

/// Opening takes 1 GiB, which a run of all tests does not have to spare: what can go wrong short of that is read here. With
/// `LONJA_SLOW_TESTS` set it is opened as well.
#[test]
fn the_published_file_of_one_gibibyte() {
    let vectors: Vec<_> = vectors!("locked_keys.json");
    let slow: Vec<_> = vectors.iter().filter(|vector| !vector["slow"].is_null()).collect();
    assert_eq!(slow.len(), 1);
    let file = PrivateKeyFile::parse(&slow[0]["keyFile"].to_string()).unwrap();
    assert!(file.needs_password());
    let PrivateKeyFile::Locked(locked) = file else { panic!("it is locked") };
    assert_eq!(locked.salt.len(), 32);
    assert_eq!(locked.options, ArgonOptions { variant: ArgonVariant::Id, ..ArgonOptions::TESSERA });
    if std::env::var_os("LONJA_SLOW_TESTS").is_some() {
        check(slow[0]);
    }
}

#[test]
fn what_is_locked_opens_with_its_password_only() {
    for variant in [ArgonVariant::I, ArgonVariant::D, ArgonVariant::Id] {
        let options = ArgonOptions { variant, ..QUICK };
        let file = PrivateKeyFile::lock(&pair(), &Password::new("pass wörd"), options).unwrap();
        assert!(file.needs_password());
        let json: Value = serde_json::from_str(&file.to_json()).unwrap();
        assert_eq!(open(&json, Some("pass wörd")).unwrap().public().to_string(), PUBLIC);
        assert_eq!(open(&json, Some("pass word")).err(), Some(KeyFileError::WrongPassword));
        assert_eq!(open(&json, Some("")).err(), Some(KeyFileError::WrongPassword));
        assert_eq!(open(&json, None).err(), Some(KeyFileError::PasswordNeeded));
        let mut other = json.clone();
        let names = ["i", "d", "id"];
        let now = names.iter().position(|name| json["data"]["aopts"]["variant"] == *name).unwrap();
        other["data"]["aopts"]["variant"] = names[(now + 1) % 3].into();
        assert_eq!(open(&other, Some("pass wörd")).err(), Some(KeyFileError::WrongPassword));
    }
}

#[test]
fn files_have_tesseras_shape() {
    let unlocked = PrivateKeyFile::unlocked(pair());
    assert!(!unlocked.needs_password());
    assert_eq!(*unlocked.to_json(), format!(r#"{{"type":"unlocked","data":{{"bytes":"{SECRET}"}}}}"#));
    let locked = PrivateKeyFile::lock(&pair(), &Password::new("p"), QUICK).unwrap();
    let json: Value = serde_json::from_str(&locked.to_json()).unwrap();
    assert_eq!(json["type"], "argon2sbox");
    let options = json!({"variant": "id", "memory": 64, "iterations": 1, "parallelism": 2});
    assert_eq!(json["data"]["aopts"], options);
    let fields: Vec<_> = json["data"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["aopts", "asalt", "sbox", "snonce"]);
    assert_eq!(json["data"]["asalt"].as_str().unwrap().len(), 24);
}

#[test]
fn a_password_inside_is_used_and_not_written() {
    let file = PrivateKeyFile::lock(&pair(), &Password::new("inside"), QUICK).unwrap();
    let mut json: Value = serde_json::from_str(&file.to_json()).unwrap();
    json["data"]["password"] = "inside".into();
    json["data"]["something"] = "else".into();
    let file = PrivateKeyFile::parse(&json.to_string()).unwrap();
    assert!(!file.needs_password());
    assert!(!file.to_json().contains("inside"));
    assert!(file.open(None).is_ok());
    assert_eq!(open(&json, Some("outside")).err(), Some(KeyFileError::WrongPassword));
}

#[test]
fn options_have_defaults_and_bounds() {
    let file = PrivateKeyFile::lock(&pair(), &Password::new("p"), QUICK).unwrap();
    let json: Value = serde_json::from_str(&file.to_json()).unwrap();
    let options = |json: &Value| match PrivateKeyFile::parse(&json.to_string()) {
        Ok(PrivateKeyFile::Locked(locked)) => Ok(locked.options),
        Ok(PrivateKeyFile::Unlocked(_)) => panic!("it is locked"),
        Err(error) => Err(error),
    };
    let mut without = json.clone();
    without["data"].as_object_mut().unwrap().remove("aopts");
    assert_eq!(options(&without), Ok(ArgonOptions::TESSERA));
    let mut variant = json.clone();
    variant["data"]["aopts"].as_object_mut().unwrap().remove("variant");
    assert_eq!(options(&variant), Ok(QUICK));
    let too_much = [
        ("memory", MAX_MEMORY_KIB + 1),
        ("memory", 15),
        ("memory", 0),
        ("iterations", 0),
        ("iterations", MAX_ITERATIONS + 1),
        ("parallelism", 0),
        ("parallelism", MAX_PARALLELISM + 1),
        ("parallelism", 9),
    ];
    for (field, value) in too_much {
        let mut json = json.clone();
        json["data"]["aopts"][field] = value.into();
        assert!(matches!(options(&json), Err(KeyFileError::Options { .. })), "{field} {value}");
    }
}

#[test]
fn what_is_wrong_is_named_and_no_secret_is() {
    let with = |path: &str, value: Value| {
        let file = PrivateKeyFile::lock(&pair(), &Password::new("p"), QUICK).unwrap();
        let mut json: Value = serde_json::from_str(&file.to_json()).unwrap();
        *json.pointer_mut(path).unwrap() = value;
        refusal(&json)
    };
    assert_eq!(
        with("/type", json!("sealed")),
        "in the private key's JSON, type is not unlocked or argon2sbox"
    );
    assert_eq!(with("/type", json!(null)), "the private key's JSON has no type");
    assert_eq!(with("/data", json!(null)), "the private key's JSON has no data");
    assert_eq!(with("/data/snonce", json!(null)), "the private key's JSON has no snonce");
    assert_eq!(
        with("/data/sbox", json!("AAAA")),
        "in the private key's JSON, sbox is not 48 bytes in base64"
    );
    assert_eq!(
        with("/data/asalt", json!("AAAA")),
        "in the private key's JSON, asalt is not 8 to 128 bytes in base64"
    );
    assert_eq!(
        with("/data/aopts/variant", json!("x")),
        "in the private key's JSON, aopts.variant is not i, d or id"
    );
    assert_eq!(with("/data/aopts/memory", json!(null)), "the private key's JSON has no aopts.memory");
    let secret = "my-very-secret";
    let leaks = [
        json!({"type": "unlocked", "data": secret}),
        json!({"type": "unlocked", "data": {"bytes": secret}}),
        json!({"type": "unlocked", "data": {"bytes": [secret]}}),
        json!({"type": secret, "data": {}}),
        json!({"type": "argon2sbox", "data": {"aopts": {"memory": secret}}}),
        json!(secret),
    ];
    for file in leaks {
        let said = refusal(&file);
        assert!(!said.is_empty() && !said.contains(secret), "{said}");
    }
    assert!(refusal(&json!({"type": "unlocked", "data": {}})).contains("has no bytes"));
}

#[test]
fn files_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let [private, public, other] = ["tm.key", "tm.pub", "other.pub"].map(|name| folder.path().join(name));
    let pair = pair();
    let file = PrivateKeyFile::lock(&pair, &Password::new("p"), QUICK).unwrap();
    write_key_pair(&private, &file, &public, &pair.public()).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&private), 0o600);
    assert_eq!(fs::read_to_string(&public).unwrap().trim(), PUBLIC);
    assert_eq!(read_public_key(&public), Ok(pair.public()));
    let password = Password::new("p");
    for public in [Some(public.as_path()), None] {
        let read = read_key_pair(&private, public, Some(&password)).unwrap();
        assert_eq!(read.public(), pair.public());
    }
    let stranger = PublicKey([9; 32]);
    fs::write(&other, stranger.to_string()).unwrap();
    assert_eq!(
        read_key_pair(&private, Some(&other), Some(&password)).err(),
        Some(KeyFileError::Mismatch { derived: pair.public(), given: stranger })
    );
    fs::write(&other, "nonsense").unwrap();
    assert_eq!(read_public_key(&other), Err(KeyFileError::NotAPublicKey));
    fs::write(&other, " ".repeat(70_000)).unwrap();
    assert!(matches!(read_public_key(&other), Err(KeyFileError::TooLong { .. })));
    assert!(matches!(read_public_key(&folder.path().join("none")), Err(KeyFileError::Io { .. })));
}

#[test]
fn no_key_is_overwritten_and_no_half_pair_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let [private, public] = ["tm.key", "tm.pub"].map(|name| folder.path().join(name));
    let pair = pair();
    fs::write(&public, "somebody's").unwrap();
    let write =
        || write_key_pair(&private, &PrivateKeyFile::unlocked(super::tests::pair()), &public, &pair.public());
    assert_eq!(write(), Err(KeyFileError::Exists(public.clone())));
    assert!(!private.exists());
    assert_eq!(fs::read_to_string(&public).unwrap(), "somebody's");
    fs::remove_file(&public).unwrap();
    fs::write(&private, "somebody's").unwrap();
    assert_eq!(write(), Err(KeyFileError::Exists(private.clone())));
    assert!(!public.exists());
    assert_eq!(fs::read_to_string(&private).unwrap(), "somebody's");
}

proptest! {
    #[test]
    fn every_key_comes_back(secret in any::<[u8; 32]>()) {
        let pair = KeyPair::from_secret(&secret);
        let public = pair.public();
        let json = PrivateKeyFile::unlocked(pair).to_json();
        let read = PrivateKeyFile::parse(&json).unwrap().open(None).unwrap();
        prop_assert_eq!((read.secret(), read.public()), (&secret, public));
    }

    #[test]
    fn no_text_is_a_trap(text in "\\PC{0,80}", at in any::<prop::sample::Index>(), with in "\\PC") {
        let _ = PrivateKeyFile::parse(&text);
        let almost = format!(
            r#"{{"type":"argon2sbox","data":{{"aopts":{{"memory":64,"iterations":1,"parallelism":1}},"snonce":"","asalt":"{SECRET}"}}}}"#
        );
        let at = at.index(almost.len());
        let _ = PrivateKeyFile::parse(&format!("{}{with}{}", &almost[..at], &almost[at..]));
    }
}
