//! The members of a devnet: regular nodes that take part in private transactions, with the ports, keys and accounts that
//! the scripts of Quorum's quickstart know.

use super::{DevNode, Role, own_command};
use crate::files;
use crate::manager;
use alloy_primitives::{Address, address};
use eyre::{Context, Result, eyre};
use lonja_accounts::{AccountError, Accounts, Password, Strength};
use lonja_primitives::NodeKey;
use lonja_ptm::PublicKey;
use lonja_ptm::key_file::{self, PrivateKeyFile};
use std::fs;
use std::path::{Path, PathBuf};

/// First RPC port; the next member has the second next. The port between is for WebSocket.
pub const RPC: u16 = 20_000;
/// First port of the manager's API for clients.
pub const CLIENTS: u16 = 9_081;
/// As many as there are keys that everybody knows.
pub const MOST: u16 = MEMBERS.len() as u16;

/// Creates a contract that keeps 42 and answers every call with it: `SSTORE(0, 42)`, then code of eleven bytes.
const ANSWER: &str = "0x602a600055600b8060106000396000f360005460005260206000f3";

/// The file with the empty password of the account.
const PASSWORD: &str = "account.password";

/// Keys of example networks, which are public: worth nothing outside a devnet.
struct Known {
    /// Secret half of the party's key, base64.
    party: &'static str,
    account: Address,
    /// Of the account.
    key: &'static str,
}

const MEMBERS: [Known; 3] = [
    Known {
        party: "Wl+xSyXVuuqzpvznOS7dOobhcn4C5auxkFRi7yLtgtA=",
        account: address!("f0e2Db6C8dC6c681bB5D6aD121A107f300e9B2b5"),
        key: "8bbbb1b345af56b560a5b20bd4b0ed1cd8cc9958a16262bc75118453cb546df7",
    },
    Known {
        party: "nDFwJNHSiT1gNzKBy9WJvMhmYRkW3TzFUmPsNzR6oFk=",
        account: address!("cA843569e3427144cEad5e4d5999a3D0cCF92B8e"),
        key: "4762e04d10832808a0aebdaa79c12de54afbe006bfffd228b3abcc494fe986f9",
    },
    Known {
        party: "tMxUVR8bX7aq/TbpVHc2QV3SN2iUuExBwefAuFsO0Lg=",
        account: address!("0fBDc686b912d7722dc86510934589E0AAf3b55A"),
        key: "61dced5af778942996880120b303fc11ee28cc8e5036d2fdff619b5675ded3f0",
    },
];

impl Known {
    fn party(&self) -> Result<PrivateKeyFile> {
        let json = format!("{{\"type\":\"unlocked\",\"data\":{{\"bytes\":\"{}\"}}}}", self.party);
        Ok(PrivateKeyFile::parse(&json)?)
    }

    fn public(&self) -> Result<PublicKey> {
        Ok(self.party()?.open(None)?.public())
    }
}

/// The keys of a member, counted from 1.
fn known(number: u16) -> Result<&'static Known> {
    let known = usize::from(number).checked_sub(1).and_then(|place| MEMBERS.get(place));
    known.ok_or_else(|| eyre!("there is no member {number}"))
}

/// The accounts of so many members.
pub fn accounts(members: u16) -> impl Iterator<Item = Address> {
    MEMBERS.iter().take(members.into()).map(|known| known.account)
}

/// The account of a member.
pub fn account(number: u16) -> Option<Address> {
    known(number).ok().map(|known| known.account)
}

/// Puts the member's keys into its data directory, where they are not there yet.
pub fn prepare(number: u16, folder: &Path) -> Result<()> {
    let known = known(number)?;
    let path = folder.join(manager::FOLDER).join(manager::KEY);
    if !path.exists() {
        let folder = folder.join(manager::FOLDER);
        fs::create_dir_all(&folder).wrap_err_with(|| format!("cannot make {}", folder.display()))?;
        key_file::write_key_pair(&path, &known.party()?, &manager::public_half(&path), &known.public()?)?;
    }
    let accounts = Accounts::new(folder.join(files::KEYSTORE), Strength::LIGHT);
    let key = NodeKey::from_hex(known.key).map_err(|error| eyre!("{error}"))?;
    match accounts.import(&key, &Password::from("")) {
        Ok(_) | Err(AccountError::Exists) => {}
        Err(error) => return Err(error.into()),
    }
    let password = password_file(folder);
    fs::write(&password, "\n").wrap_err_with(|| format!("cannot write {}", password.display()))
}

/// What a member is started with beside what every node is.
pub fn arguments(number: u16, folder: &Path, clients: u16) -> Result<Vec<String>> {
    Ok(vec![
        "--unlock".into(),
        known(number)?.account.to_string(),
        "--password-file".into(),
        password_file(folder).display().to_string(),
        "--ptm-client-listen".into(),
        format!("127.0.0.1:{clients}"),
    ])
}

fn password_file(folder: &Path) -> PathBuf {
    folder.join(PASSWORD)
}

/// Who takes part in private transactions, and where.
pub fn print(nodes: &[DevNode]) {
    let members = || nodes.iter().filter_map(|node| Some((node, node.seat.role.member()?)));
    if members().next().is_none() {
        return;
    }
    println!("\n  members, each with the key of a party and an unlocked account (public test keys):");
    for (node, number) in members() {
        let Ok(known) = known(number) else { continue };
        let (rpc, ws) = (node.seat.rpc_port, node.seat.rpc_port.saturating_add(1));
        println!("  {:<12} http://127.0.0.1:{rpc}   ws://127.0.0.1:{ws}", node.seat.name);
        if let (Some(clients), Ok(public)) = (node.seat.clients_port, known.public()) {
            println!("    party    {public}   payloads http://127.0.0.1:{clients}");
        }
        println!("    account  {}  0x{}", known.account, known.key);
    }
}

/// A private transaction to try.
pub fn print_hint(nodes: &[DevNode]) {
    let seats = nodes.iter().map(|node| &node.seat);
    let first = seats.clone().find(|seat| seat.role == Role::Member(1));
    let Some((first, from)) = first.zip(MEMBERS.first()) else { return };
    let last = seats.filter_map(|seat| seat.role.member()).max().and_then(|number| known(number).ok());
    let Some(Ok(to)) = last.map(Known::public) else { return };
    println!("\na private transaction from member-1, which only its parties see: a contract that answers 42");
    println!("      curl -s -H 'content-type: application/json' \\");
    println!(
        "        -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_sendTransaction\",\"params\":[{{\"from\":\"{}\",\
         \"data\":\"{ANSWER}\",\"gas\":\"0x47b760\",\"privateFor\":[\"{to}\"]}}]}}' http://127.0.0.1:{}",
        from.account, first.rpc_port
    );
    println!("      {} status --rpc http://127.0.0.1:{}", own_command(), first.rpc_port);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::ptm::secrets::{self, KeySource};
    use lonja_primitives::Signer;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_keys_are_those_that_everybody_knows() {
        let public = [
            "BULeR8JyUWhiuuCMU/HLA0Q5pzkYT+cHII3ZKBey3Bo=",
            "QfeDAys9MPDs2XHExtc84jKGHxZg/aj52DTh0vtA3Xc=",
            "1iTZde/ndBHvzhcl7V68x44Vx7pl8nwx9LqnM/AfJUg=",
        ];
        for (known, public) in MEMBERS.iter().zip(public) {
            assert_eq!(known.public().unwrap().to_string(), public);
            assert_eq!(NodeKey::from_hex(known.key).unwrap().address(), known.account);
        }
        assert!(known(0).is_err() && known(MOST).is_ok() && known(MOST + 1).is_err());
        assert_eq!(accounts(2).collect::<Vec<_>>(), [MEMBERS[0].account, MEMBERS[1].account]);
    }

    #[test]
    fn a_member_has_its_keys_after_any_number_of_starts() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            prepare(2, folder.path()).unwrap();
            let key = folder.path().join("ptm/key.key");
            assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
            let opened = secrets::open(vec![KeySource::of_file(key)], None).unwrap();
            assert_eq!(opened.default_key(), MEMBERS[1].public().unwrap());
            let keystore: Vec<_> = fs::read_dir(folder.path().join("keystore")).unwrap().collect();
            assert_eq!(keystore.len(), 1);
            assert_eq!(fs::read_to_string(password_file(folder.path())).unwrap(), "\n");
        }
        let accounts = Accounts::new(folder.path().join("keystore"), Strength::LIGHT);
        accounts.unlock(MEMBERS[1].account, &Password::from(""), None).unwrap();
    }
}
