use super::*;
use alloy_primitives::hex;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(3_600);

fn key(n: u8) -> NodeKey {
    NodeKey::from_bytes(&[n; 32]).unwrap()
}

/// Two accounts, with the passwords "one" and "two".
fn accounts() -> (TempDir, Accounts) {
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts::new(folder.path().join("keystore"), Strength::NONE);
    accounts.import(&key(1), &"one".into()).unwrap();
    accounts.import(&key(2), &"two".into()).unwrap();
    (folder, accounts)
}

#[test]
fn only_an_unlocked_account_signs() {
    let (_folder, accounts) = accounts();
    let (address, digest) = (key(1).address(), B256::repeat_byte(7));
    let said = |result: Result<Signature, AccountError>| result.unwrap_err().to_string();
    assert_eq!(said(accounts.sign(address, digest)), "authentication needed: password or unlock");
    assert_eq!(said(accounts.sign(key(3).address(), digest)), "unknown account");
    let wrong = accounts.unlock(address, &"two".into(), None).unwrap_err().to_string();
    assert_eq!(wrong, "could not decrypt key with given password");
    assert!(accounts.unlocked().is_empty());

    accounts.unlock(address, &"one".into(), None).unwrap();
    assert_eq!(accounts.sign(address, digest).unwrap(), key(1).sign(digest));
    assert!(accounts.check_unlocked(address).is_ok());
    assert_eq!(said(accounts.sign(key(2).address(), digest)), "authentication needed: password or unlock");
    assert_eq!(accounts.unlocked(), [address]);

    assert!(accounts.lock(address) && !accounts.lock(address));
    assert!(matches!(accounts.sign(address, digest), Err(AccountError::Locked)));
    assert!(matches!(accounts.check_unlocked(address), Err(AccountError::Locked)));
}

#[test]
fn a_password_signs_once_and_unlocks_nothing() {
    let (_folder, accounts) = accounts();
    let (address, digest) = (key(2).address(), B256::repeat_byte(7));
    assert_eq!(accounts.sign_with(address, &"two".into(), digest).unwrap(), key(2).sign(digest));
    assert!(matches!(accounts.sign(address, digest), Err(AccountError::Locked)));
    let wrong = accounts.sign_with(address, &"one".into(), digest);
    assert!(matches!(wrong, Err(AccountError::WrongPassword)));
    let unknown = accounts.sign_with(key(3).address(), &"two".into(), digest);
    assert!(matches!(unknown, Err(AccountError::Unknown)));
}

#[test]
fn time_runs_out_unless_there_is_no_end() {
    let (_folder, accounts) = accounts();
    let (address, password) = (key(1).address(), Password::from("one"));
    accounts.unlock(address, &password, Some(Duration::ZERO)).unwrap();
    assert!(matches!(accounts.sign(address, B256::ZERO), Err(AccountError::Locked)));
    assert!(!accounts.lock(address), "its time was over");
    // A later call sets the time anew, in both directions.
    accounts.unlock(address, &password, Some(LONG)).unwrap();
    assert!(accounts.sign(address, B256::ZERO).is_ok());
    accounts.unlock(address, &password, Some(Duration::ZERO)).unwrap();
    assert!(matches!(accounts.sign(address, B256::ZERO), Err(AccountError::Locked)));
    accounts.forget_expired();
    assert!(accounts.unlocked.lock().is_empty(), "the key is gone");
    for endless in [None, Some(Duration::MAX)] {
        accounts.unlock(address, &password, endless).unwrap();
        accounts.unlock(address, &password, Some(Duration::ZERO)).unwrap();
        assert!(accounts.sign(address, B256::ZERO).is_ok());
        accounts.lock(address);
    }
}

#[test]
fn an_account_is_named_by_address_or_number() {
    let (_folder, accounts) = accounts();
    let address = key(2).address();
    for name in [&address.to_string(), &hex::encode(address), "1"] {
        assert_eq!(accounts.find(name).unwrap(), address, "{name}");
    }
    assert_eq!(accounts.find("0").unwrap(), key(1).address());
    assert!(accounts.find("2").unwrap_err().to_string().contains("holds 2, counted from 0"));
    assert!(accounts.find("me").unwrap_err().to_string().contains("neither an address"));
    assert!(matches!(accounts.find(&key(3).address().to_string()), Err(AccountError::Unknown)));
}

#[test]
fn a_new_account_has_a_key_of_its_own() {
    let (_folder, accounts) = accounts();
    let made = accounts.create(&"new".into()).unwrap();
    assert_eq!(accounts.addresses().unwrap(), [key(1).address(), key(2).address(), made.address]);
    accounts.unlock(made.address, &"new".into(), None).unwrap();
    let digest = B256::repeat_byte(3);
    assert_eq!(accounts.sign(made.address, digest).unwrap().recover(digest), Ok(made.address));
    // What is unlocked stays usable when its file is taken away.
    std::fs::remove_file(made.path).unwrap();
    assert!(accounts.sign(made.address, digest).is_ok());
    assert_eq!(accounts.addresses().unwrap().len(), 3);
    assert!(accounts.has(made.address).unwrap() && accounts.has(key(1).address()).unwrap());
    accounts.lock(made.address);
    assert!(!accounts.has(made.address).unwrap() && !accounts.has(key(3).address()).unwrap());
    // One that is stored and unlocked is one.
    accounts.unlock(key(2).address(), &"two".into(), None).unwrap();
    assert_eq!(accounts.addresses().unwrap(), [key(1).address(), key(2).address()]);
}

#[test]
fn the_file_of_another_wallet_is_taken_with_its_password() {
    let (_folder, accounts) = accounts();
    let text = crate::encrypt(&key(3), &"three".into(), Strength::NONE);
    let wrong = accounts.import_file(&text, &"one".into());
    assert!(matches!(wrong, Err(AccountError::WrongPassword)));
    let imported = accounts.import_file(&text, &"three".into()).unwrap();
    assert_eq!(imported.address, key(3).address());
    accounts.unlock(key(3).address(), &"three".into(), None).unwrap();
    assert!(matches!(accounts.import_file(&text, &"three".into()), Err(AccountError::Exists)));
}

#[test]
fn nothing_secret_shows() {
    let (_folder, accounts) = accounts();
    accounts.unlock(key(1).address(), &"one".into(), None).unwrap();
    let shown = format!("{accounts:?}");
    assert!(shown.contains(&hex::encode(key(1).address())) && !shown.contains(&"01".repeat(32)), "{shown}");
}
