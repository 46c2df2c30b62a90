use super::*;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

fn key(n: u8) -> NodeKey {
    NodeKey::from_bytes(&[n; 32]).unwrap()
}

fn keystore() -> (TempDir, Keystore) {
    let folder = tempfile::tempdir().unwrap();
    let keystore = Keystore::new(folder.path().join("data/keystore"), Strength::NONE);
    (folder, keystore)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nothing_is_made_before_it_is_needed() {
    let (_folder, keystore) = keystore();
    assert_eq!(keystore.list().unwrap(), Listing::default());
    assert!(matches!(keystore.find(key(1).address()), Err(AccountError::Unknown)));
    assert!(!keystore.folder().exists());
}

#[test]
fn a_key_is_its_owner_s_alone() {
    let (_folder, keystore) = keystore();
    let file = keystore.store(&key(1), &"one".into()).unwrap();
    assert_eq!((mode(keystore.folder()), mode(&file.path)), (0o700, 0o600));
    let name = file.path.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(address_in(&name), Some(key(1).address()), "{name}");
    assert_eq!(fs::read_dir(keystore.folder()).unwrap().count(), 1, "nothing is left beside it");
    assert_eq!(keystore.open(key(1).address(), &"one".into()).unwrap(), key(1));
    let wrong = keystore.open(key(1).address(), &"two".into());
    assert!(matches!(wrong, Err(AccountError::WrongPassword)));
    assert!(matches!(keystore.store(&key(1), &"two".into()), Err(AccountError::Exists)));
}

#[test]
fn the_oldest_stands_first_and_changes_are_seen() {
    let (_folder, keystore) = keystore();
    let files: Vec<KeyFile> = (1..4).map(|n| keystore.store(&key(n), &"".into()).unwrap()).collect();
    assert_eq!(keystore.list().unwrap(), Listing { keys: files.clone(), others: Vec::new() });
    fs::remove_file(&files[1].path).unwrap();
    assert_eq!(keystore.list().unwrap().keys, [files[0].clone(), files[2].clone()]);
    // A folder that rested for a while is not read again.
    let long_ago = SystemTime::now() - Duration::from_secs(3_600);
    File::open(keystore.folder()).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(keystore.list().unwrap().keys.len(), 2);
    assert!(keystore.seen.lock().is_some());
    keystore.store(&key(9), &"".into()).unwrap();
    assert_eq!(keystore.list().unwrap().keys.len(), 3);
}

#[test]
fn strange_files_are_told_apart_and_none_is_waited_for() {
    let (_folder, keystore) = keystore();
    let own = keystore.store(&key(1), &"".into()).unwrap();
    let folder = keystore.folder();
    let text = encrypt(&key(2), &"".into(), Strength::NONE);
    let without = |name: &str| {
        let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
        file.as_object_mut().unwrap().remove("address");
        fs::write(folder.join(name), file.to_string()).unwrap();
    };
    without("no-address");
    without(&file_name(Duration::ZERO, &key(2).address()));
    for hidden in [".hidden", "backup~"] {
        fs::write(folder.join(hidden), &text).unwrap();
    }
    fs::write(folder.join("README"), "keys stand here").unwrap();
    fs::write(folder.join("binary"), [0xff, 0xfe]).unwrap();
    fs::write(folder.join("long"), " ".repeat(FILE_BYTES_MAX as usize + 1)).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.join("pipe")).status();
    assert!(made.unwrap().success());

    let listing = keystore.list().unwrap();
    let addresses: Vec<Address> = listing.keys.iter().map(|key| key.address).collect();
    assert_eq!(addresses, [key(2).address(), own.address]);
    let reason = |name: &str| {
        let found = listing.others.iter().find(|(path, _)| path.ends_with(name));
        found.unwrap_or_else(|| panic!("{name} is not told")).1.clone()
    };
    assert_eq!(listing.others.len(), 6);
    assert!(reason("no-address").contains("which address"));
    assert!(reason("README").contains("not a key file"));
    assert!(reason("binary").contains("no text"));
    assert!(reason("long").contains("longer than"));
    assert!(reason("sub").contains("not a file") && reason("pipe").contains("not a file"));
    assert_eq!(keystore.open(key(2).address(), &"".into()).unwrap(), key(2));
}

#[test]
fn one_address_in_two_files_is_for_the_operator_to_decide() {
    let (_folder, keystore) = keystore();
    let first = keystore.store(&key(1), &"".into()).unwrap();
    let second = keystore.folder().join("copy.json");
    fs::copy(&first.path, &second).unwrap();
    let said = keystore.open(key(1).address(), &"".into()).unwrap_err().to_string();
    assert!(said.contains("copy.json") && said.contains("UTC--") && said.contains("keep one"), "{said}");
}

#[test]
fn a_file_that_lies_about_its_address_is_of_no_use() {
    let (_folder, keystore) = keystore();
    keystore.store(&key(1), &"".into()).unwrap();
    let mut file: serde_json::Value =
        serde_json::from_str(&encrypt(&key(2), &"".into(), Strength::NONE)).unwrap();
    file.as_object_mut().unwrap().remove("address");
    let path = keystore.folder().join(file_name(Duration::ZERO, &key(3).address()));
    fs::write(path, file.to_string()).unwrap();
    let said = keystore.open(key(3).address(), &"".into()).unwrap_err().to_string();
    assert!(said.contains(&key(2).address().to_string()), "{said}");
}

#[test]
fn too_many_files_are_an_answer() {
    let (_folder, keystore) = keystore();
    fs::create_dir_all(keystore.folder()).unwrap();
    for n in 0..=FILES_MAX {
        File::create(keystore.folder().join(n.to_string())).unwrap();
    }
    assert!(matches!(keystore.list(), Err(AccountError::TooMany(_, FILES_MAX))));
}
