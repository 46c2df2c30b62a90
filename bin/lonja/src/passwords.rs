//! Passwords: from a file, or asked for on the terminal without being shown.

use crate::files::warn_if_readable_by_others;
use eyre::{Context, Result, bail, eyre};
use lonja_accounts::Password;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

/// The passwords in a file, a line each.
pub fn read_file(path: &Path) -> Result<Vec<Password>> {
    let text = fs::read_to_string(path)
        .wrap_err_with(|| format!("cannot read the password file {}", path.display()))?;
    warn_if_readable_by_others(path);
    Ok(Password::lines(text))
}

/// The password in the first line of the file, or else one that is asked for.
pub fn read_or_ask(file: Option<&Path>, question: &str) -> Result<Password> {
    match file {
        Some(path) => {
            let passwords = read_file(path)?;
            passwords.into_iter().next().ok_or_else(|| eyre!("{} is empty", path.display()))
        }
        None => ask(question),
    }
}

/// A new password: the first line of the file, or one that is asked for twice.
pub fn choose(file: Option<&Path>) -> Result<Password> {
    if file.is_some() {
        return read_or_ask(file, "");
    }
    let password = ask("Password for the new key file")?;
    if password.is_empty() {
        bail!("an empty password protects nothing; to have one all the same, give an empty --password-file");
    }
    match ask("Again")? == password {
        true => Ok(password),
        false => bail!("the two passwords differ; nothing was written"),
    }
}

/// Asks on the terminal.
pub fn ask(question: &str) -> Result<Password> {
    let input = io::stdin();
    if !input.is_terminal() {
        bail!("a password is needed, and there is no terminal to ask on: name a file with --password-file");
    }
    eprint!("{question}: ");
    let mut line = String::new();
    let silence = Silence::begin()?;
    let read = input.read_line(&mut line);
    drop(silence);
    eprint!("\n");
    // Kept out of memory in either case.
    let password = Password::lines(line).into_iter().next();
    match read.wrap_err("cannot read from the terminal")? {
        0 => bail!("no password was given"),
        _ => password.ok_or_else(|| eyre!("no password was given")),
    }
}

/// While this lives, the terminal does not show what is typed.
struct Silence(Termios);

impl Silence {
    fn begin() -> Result<Self> {
        let before = tcgetattr(io::stdin()).wrap_err("cannot look at the terminal")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent).wrap_err("cannot silence the terminal")?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing anyway.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(read_or_ask(Some(&path), "").unwrap(), "one".into());
        assert_eq!(choose(Some(&path)).unwrap(), "one".into());
        assert_eq!(read_file(&path).unwrap(), ["one".into(), "two".into()]);
        fs::write(&path, "").unwrap();
        assert!(choose(Some(&path)).unwrap().is_empty());
        let missing = read_file(&folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
