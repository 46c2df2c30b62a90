//! Passwords.

use std::fmt;
use zeroize::Zeroizing;

/// A password, as its owner typed it. Its memory is wiped when it is given up, and it shows in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// One password a line: the content of a password file. The end of the last line may be left out, and an empty text
    /// is one empty password.
    pub fn lines(text: String) -> Vec<Self> {
        let text = Zeroizing::new(text);
        let without_end = text.strip_suffix('\n').unwrap_or(&text);
        without_end.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).into()).collect()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The password itself, for those who open other kinds of files with it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_password() {
        let read = |text: &str| Password::lines(text.to_owned());
        let passwords = |all: &[&str]| all.iter().map(|one| Password::from(*one)).collect::<Vec<_>>();
        for (text, expected) in [
            ("one", passwords(&["one"])),
            ("one\n", passwords(&["one"])),
            ("one\r\n two \r\n", passwords(&["one", " two "])),
            ("one\n\nthree", passwords(&["one", "", "three"])),
            ("", passwords(&[""])),
            ("\n", passwords(&[""])),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_password_does_not_show() {
        assert!(!format!("{:?}", Password::from("open sesame")).contains("sesame"));
        assert!(Password::from("").is_empty() && !Password::from(" ").is_empty());
    }
}
