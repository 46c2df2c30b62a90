//! `lonja account`, and nodes that are told to unlock accounts, as far as they come without a network.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A key and its address.
const KEY: &str = "4646464646464646464646464646464646464646464646464646464646464646";
const ADDRESS: &str = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";

/// A folder with a data directory, and files for passwords and keys.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file; its path in text.
    fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        self.path(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lonja"));
        command.args(arguments).env("LONJA_DATA_DIR", self.path("data")).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn success(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn failure(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
        let said = text(&output.stderr);
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    fn listed(&self) -> Vec<Value> {
        serde_json::from_str(&self.success(&["account", "list", "--json"])).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("data/keystore")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Imports the key, with the password "secret".
    fn with_account(&self) -> String {
        let (key, password) = (self.file("key", KEY), self.file("password", "secret\n"));
        self.success(&["account", "import", &key, "--password-file", &password, "--light-kdf"])
    }
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_account_stands_in_a_private_file() {
    let place = Place::new();
    let none = place.success(&["account", "list"]);
    assert!(none.contains("lonja account new") && place.listed().is_empty(), "{none}");
    assert!(!place.path("data").exists(), "looking makes nothing");
    let password = place.file("password", "secret\n");
    let said = place.success(&["account", "new", "--password-file", &password]);
    let [file] = &place.files()[..] else { panic!("{:?}", place.files()) };
    assert!(said.contains(&file.display().to_string()) && said.contains("Back up"), "{said}");
    assert_eq!((mode(&place.path("data/keystore")), mode(file)), (0o700, 0o600));
    let written: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!((&written["version"], &written["crypto"]["kdfparams"]["n"]), (&3.into(), &262_144.into()));
    let listed = place.listed();
    assert_eq!((listed.len(), &listed[0]["index"]), (1, &0.into()));
    let address = listed[0]["address"].as_str().unwrap();
    assert!(said.to_lowercase().contains(address), "{said}");
    place.success(&["account", "new", "--password-file", &password, "--light-kdf"]);
    assert_eq!(place.listed().len(), 2);
}

#[test]
fn keys_come_in_as_digits_and_as_files_of_other_wallets() {
    let place = Place::new();
    let said = place.with_account();
    assert!(said.contains(ADDRESS) && said.contains("still where it was"), "{said}");
    let again = place.file("key", &format!("0x{KEY}\n"));
    let password = place.path("password").display().to_string();
    let exists = place.failure(&["account", "import", &again, "--password-file", &password]);
    assert!(exists.contains("account already exists"), "{exists}");

    let other = Place::new();
    let file = place.files()[0].display().to_string();
    let wrong = other.file("wrong", "public");
    let refused = other.failure(&["account", "import", &file, "--password-file", &wrong]);
    assert!(
        refused.contains("could not decrypt key with given password") && refused.contains(&file),
        "{refused}"
    );
    let said = other.success(&["account", "import", &file, "--password-file", &password]);
    assert!(said.contains(ADDRESS), "{said}");
    let list = other.success(&["account", "list"]);
    assert!(list.starts_with("0   ") && list.contains(ADDRESS), "{list}");
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let place = Place::new();
    let password = place.file("password", "secret");
    for (content, said) in [
        ("4646", "not a secp256k1 private key"),
        (&*"zz".repeat(32), "not a secp256k1 private key"),
        ("", "not a secp256k1 private key"),
        ("{}", "not a key file"),
        (r#"{"version":1,"crypto":{}}"#, "version 1"),
    ] {
        let file = place.file("bad", content);
        let refused = place.failure(&["account", "import", &file, "--password-file", &password]);
        assert!(refused.contains(said) && refused.contains(&file), "{content}: {refused}");
        assert!(!refused.contains("zzzz") && !refused.contains("secret"), "{refused}");
    }
    let hostile = format!(
        r#"{{"version":3,"crypto":{{"cipher":"aes-128-ctr","cipherparams":{{"iv":"{}"}},"ciphertext":"{}","kdf":"scrypt",
        "kdfparams":{{"dklen":32,"n":1073741824,"r":8,"p":1,"salt":"00"}},"mac":"{}"}}}}"#,
        "00".repeat(16),
        "00".repeat(32),
        "00".repeat(32)
    );
    let file = place.file("hostile", &hostile);
    let refused = place.failure(&["account", "import", &file, "--password-file", &password]);
    assert!(refused.contains("1048576 MiB"), "{refused}");
    let missing = place.failure(&["account", "import", "nowhere", "--password-file", &password]);
    assert!(missing.contains("nowhere"), "{missing}");
    assert!(!place.path("data").exists());
}

#[test]
fn without_a_terminal_a_password_comes_from_a_file() {
    let place = Place::new();
    let refused = place.failure(&["account", "new"]);
    assert!(refused.contains("--password-file"), "{refused}");
    let refused = place.failure(&["account", "new", "--password-file", "nowhere"]);
    assert!(refused.contains("nowhere"), "{refused}");
    assert!(!place.path("data").exists());
}

#[test]
fn strange_files_are_told() {
    let place = Place::new();
    place.with_account();
    fs::write(place.path("data/keystore/README"), "keys").unwrap();
    let listed = place.run(&["account", "list"]);
    assert!(text(&listed.stderr).contains("README") && text(&listed.stdout).contains(ADDRESS));
}

/// None of these nodes gets as far as opening its database.
#[test]
fn a_node_that_cannot_unlock_does_not_start() {
    let place = Place::new();
    place.with_account();
    let genesis = place.path("genesis.json").display().to_string();
    place.success(&["genesis", "new", "--make-validators", "1", "--out", &genesis]);
    let (right, wrong) = (place.file("right", "secret\n"), place.file("wrong", "public\n"));
    let refusal = |more: &[&str]| place.failure(&[&["node", "--genesis", &genesis], more].concat());
    for (more, said) in [
        (vec!["--unlock", "0", "--password-file", &wrong], "could not decrypt key with given password"),
        (vec!["--unlock", "7", "--password-file", &right], "counted from 0"),
        (vec!["--unlock", "me", "--password-file", &right], "neither an address"),
        (
            vec!["--unlock", "0x00000000000000000000000000000000000000aa", "--password-file", &right],
            "unknown account",
        ),
        (vec!["--unlock", ADDRESS, "--password-file", "nowhere"], "nowhere"),
        (vec!["--unlock", "0"], "--password-file"),
    ] {
        let refused = refusal(&more);
        assert!(refused.contains(said), "{more:?}: {refused}");
        assert!(!refused.contains("secret") && !refused.contains("public\n"), "{refused}");
    }
    let open = ["--unlock", "0", "--password-file", &right, "--http-addr", "0.0.0.0"];
    let refused = refusal(&open);
    assert!(refused.contains("account unlock with HTTP access is forbidden"), "{refused}");
    assert!(refused.contains("--allow-insecure-unlock") && refused.contains("0.0.0.0"), "{refused}");
    let pages = ["--unlock", "0", "--password-file", &right, "--http-cors", "*"];
    assert!(refusal(&pages).contains("any origin"));
    let personal = refusal(&["--http-api", "eth,personal"]);
    assert!(personal.contains("IPC only"), "{personal}");
    assert!(!place.path("data/db").exists());
}
