//! `lonja account`: the accounts that a node signs for.

use crate::settings::Settings;
use crate::{files, passwords};
use clap::{Args, Subcommand};
use eyre::{Context, Result, bail, eyre};
use lonja_accounts::{AccountError, Accounts, KeyFile, Password, Strength};
use lonja_rpc::RpcConfig;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Accounts that a node signs for: key files with passwords, in the folder `keystore` of its data directory. For users
/// who leave signing to their node; wallets and tools that sign by themselves need none of it.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make a new account: a key that nobody else knows, in a file that its password opens
    New(NewArgs),
    /// List the accounts of a data directory, with the numbers that --unlock takes
    List(ListArgs),
    /// Put a key into the keystore: 64 hex digits, or the key file of another wallet (Web3 Secret Storage, version 3)
    Import(ImportArgs),
}

/// Options of `lonja account new`.
#[derive(Args, Debug)]
pub struct NewArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    writing: Writing,
}

/// Options of `lonja account list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Options of `lonja account import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// File with the key
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    writing: Writing,
}

#[derive(Args, Debug)]
struct Place {
    /// Data directory of the node
    #[arg(long, env = "LONJA_DATA_DIR", default_value_os_t = files::default_data_dir())]
    data_dir: PathBuf,
}

#[derive(Args, Debug)]
struct Writing {
    /// File whose first line is the password; without it the password is asked for
    #[arg(long, env = "LONJA_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Let the file be opened with 4 MiB of memory instead of 256, for very small machines; its password is then easier to
    /// guess for whoever gets hold of the file
    #[arg(long)]
    light_kdf: bool,
}

impl AccountCommand {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self {
            Self::New(args) => args.run(),
            Self::List(args) => args.run(),
            Self::Import(args) => args.run(),
        }
    }
}

impl NewArgs {
    fn run(self) -> Result<()> {
        let accounts = self.place.accounts(self.writing.strength());
        let password = passwords::choose(self.writing.password_file.as_deref())?;
        print_made(&accounts.create(&password)?);
        Ok(())
    }
}

impl ImportArgs {
    fn run(self) -> Result<()> {
        let accounts = self.place.accounts(self.writing.strength());
        let made = match self.is_key_file()? {
            true => self.import_file(&accounts)?,
            false => {
                let key = files::read_key(&self.file)?;
                let password = passwords::choose(self.writing.password_file.as_deref())?;
                accounts.import(&key, &password).map_err(|error| self.refusal(&error))?
            }
        };
        print_made(&made);
        println!("The imported file is still where it was: remove it, if it is not needed any more.");
        Ok(())
    }

    /// Whether the file is JSON. What else it may be, reading it tells.
    fn is_key_file(&self) -> Result<bool> {
        let bytes = fs::read(&self.file).wrap_err_with(|| format!("cannot read {}", self.file.display()))?;
        Ok(bytes.trim_ascii_start().starts_with(b"{"))
    }

    fn import_file(&self, accounts: &Accounts) -> Result<KeyFile> {
        let text = fs::read_to_string(&self.file)?;
        let question = format!("Password of {}", self.file.display());
        let password = passwords::read_or_ask(self.writing.password_file.as_deref(), &question)?;
        accounts.import_file(&text, &password).map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &AccountError) -> eyre::Report {
        match error {
            AccountError::Exists => eyre!("{error}: see `lonja account list`"),
            _ => eyre!("{}: {error}", self.file.display()),
        }
    }
}

impl ListArgs {
    fn run(self) -> Result<()> {
        let accounts = self.place.accounts(Strength::STANDARD);
        let listing = accounts.list()?;
        for (path, reason) in &listing.others {
            eprintln!("warning: {} is passed over: {reason}", path.display());
        }
        if self.json {
            let line =
                |(n, key): (usize, &KeyFile)| json!({ "index": n, "address": key.address, "file": key.path });
            let lines: Vec<_> = listing.keys.iter().enumerate().map(line).collect();
            println!("{:#}", json!(lines));
            return Ok(());
        }
        for (n, key) in listing.keys.iter().enumerate() {
            println!("{n:<4}{}  {}", key.address, key.path.display());
        }
        if listing.keys.is_empty() {
            let place = accounts.folder().display();
            println!("there are no accounts in {place}; make one with `lonja account new`");
        }
        Ok(())
    }
}

impl Place {
    fn accounts(&self, strength: Strength) -> Accounts {
        Accounts::new(self.data_dir.join(files::KEYSTORE), strength)
    }
}

impl Writing {
    fn strength(&self) -> Strength {
        if self.light_kdf { Strength::LIGHT } else { Strength::STANDARD }
    }
}

fn print_made(made: &KeyFile) {
    println!("address  {}\nfile     {}", made.address, made.path.display());
    println!(
        "\nBack up the file and keep its password: without both, nobody can send as this account any more."
    );
}

/// The accounts of a node that starts, those unlocked that its operator wants to be.
pub fn unlocked(settings: &Settings, rpc: &RpcConfig) -> Result<Accounts> {
    let accounts = Accounts::new(settings.data_dir.join(files::KEYSTORE), Strength::STANDARD);
    if settings.unlock.is_empty() {
        return Ok(accounts);
    }
    if let Some(reason) = rpc.unlocking_refused() {
        bail!(
            "--unlock: {reason}. Let JSON-RPC listen on the loopback address, with neither `--http-cors *` nor \
             `--http-hosts *`, or, where a firewall or proxy keeps others out, add --allow-insecure-unlock"
        );
    }
    let passwords = settings.password_file.as_deref().map(passwords::read_file).transpose()?;
    for (n, name) in settings.unlock.iter().enumerate() {
        let refuse = |error| unlock_refusal(name, &accounts, settings.password_file.as_deref(), error);
        let address = accounts.find(name).map_err(refuse)?;
        let password = match &passwords {
            Some(lines) => line_for(lines, n),
            None => passwords::ask(&format!("Password of {address}"))?,
        };
        accounts.unlock(address, &password, None).map_err(refuse)?;
        tracing::info!(%address, "an account is unlocked");
    }
    if let Some(open) = rpc.open_to() {
        tracing::warn!(
            "accounts are unlocked, and {open}: whoever can call this node can send as them (--allow-insecure-unlock)"
        );
    }
    Ok(accounts)
}

/// As in geth: a line for each account, and the last one for all further ones.
fn line_for(lines: &[Password], n: usize) -> Password {
    lines.get(n).or(lines.last()).cloned().unwrap_or_else(|| "".into())
}

fn unlock_refusal(
    name: &str,
    accounts: &Accounts,
    password_file: Option<&Path>,
    error: AccountError,
) -> eyre::Report {
    let hint = match (&error, password_file) {
        (AccountError::Unknown, _) => {
            format!(" (no key file of it in {}; see `lonja account list`)", accounts.folder().display())
        }
        (AccountError::WrongPassword, Some(path)) => {
            format!(" (from {}: a line for each account, in the order of --unlock)", path.display())
        }
        _ => String::new(),
    };
    eyre!("--unlock {name}: {error}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_for_all_further_accounts() {
        let lines: Vec<Password> = vec!["one".into(), "two".into()];
        let chosen: Vec<Password> = (0..4).map(|n| line_for(&lines, n)).collect();
        assert_eq!(chosen, ["one".into(), "two".into(), "two".into(), "two".into()]);
    }
}
