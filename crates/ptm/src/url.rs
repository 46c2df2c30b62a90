//! The URL by which a manager is known to its peers. As text it is the peer's identity: hosts are neither resolved nor
//! folded in case, and only an empty path is written as `/`.

use crate::limits::MAX_URL_BYTES;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The URL of a manager, with a path. Two are the same peer when they are the same text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerUrl(String);

/// Why a text is not the URL of a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Neither `http://` nor `https://` stands in front.
    #[error("a manager's URL begins with http:// or https://")]
    Scheme,
    /// Nothing stands between the scheme and the path, or a port is no number.
    #[error("a manager's URL names a host, and a port where it has one")]
    Host,
    /// There is a name before the host, a query or a fragment.
    #[error("a manager's URL has no user, no query and no fragment")]
    Extras,
    /// There are spaces, control characters or letters outside ASCII.
    #[error("a manager's URL is printable ASCII without spaces")]
    Characters,
    /// It is longer than [`MAX_URL_BYTES`].
    #[error("a manager's URL has {0} bytes, {MAX_URL_BYTES} are allowed")]
    TooLong(usize),
}

impl PeerUrl {
    /// The text, with a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of one of its services. `path` begins with `/`.
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.0.trim_end_matches('/'))
    }

    /// Host and port, as they stand there.
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }
}

/// Whether this names a host, with a port or without: a name, an IPv4 address, or an IPv6 address in brackets.
fn names_a_host(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':').or(rest.is_empty().then_some("0"))),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("0")),
        },
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    !host.is_empty() && !host.contains(['[', ']']) && port.is_some_and(digits)
}

impl FromStr for PeerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong(text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Characters);
        }
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let rest = rest.ok_or(UrlError::Scheme)?;
        if rest.contains(['?', '#', '@']) {
            return Err(UrlError::Extras);
        }
        let authority = rest.split('/').next().unwrap_or_default();
        if !names_a_host(authority) {
            return Err(UrlError::Host);
        }
        let path = if rest.len() == authority.len() { "/" } else { "" };
        Ok(Self(format!("{text}{path}")))
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerUrl({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{text, vectors};
    use proptest::prelude::*;

    #[test]
    fn an_empty_path_is_written() {
        for vector in vectors!("url_normalise.json") {
            let url: PeerUrl = text(&vector, "input").parse().unwrap();
            assert_eq!(url.as_str(), text(&vector, "normalised"));
            assert_eq!(url.as_str().parse(), Ok(url));
        }
    }

    #[test]
    fn nothing_else_is_changed() {
        for same in
            ["http://Tm1.Example:9001/", "https://tm/a/../b", "http://[::1]:9001/", "http://127.0.0.1/"]
        {
            assert_eq!(same.parse::<PeerUrl>().unwrap().as_str(), same);
        }
        assert_ne!("http://TM:1".parse::<PeerUrl>(), "http://tm:1".parse());
    }

    #[test]
    fn services_stand_below_the_path() {
        let endpoint = |url: &str| url.parse::<PeerUrl>().unwrap().endpoint("/push");
        assert_eq!(endpoint("http://tm:9001"), "http://tm:9001/push");
        assert_eq!(endpoint("https://tm/tessera"), "https://tm/tessera/push");
        assert_eq!(endpoint("https://tm/tessera/"), "https://tm/tessera/push");
        assert_eq!("https://tm:1/x".parse::<PeerUrl>().unwrap().authority(), "tm:1");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let long = format!("http://{}", "a".repeat(MAX_URL_BYTES));
        let cases = [
            ("", UrlError::Scheme),
            ("tm:9001", UrlError::Scheme),
            ("ftp://tm", UrlError::Scheme),
            ("HTTP://tm", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http:///push", UrlError::Host),
            ("http://:9001", UrlError::Host),
            ("http://tm:", UrlError::Host),
            ("http://tm:+1", UrlError::Host),
            ("http://tm:65536", UrlError::Host),
            ("http://[::1", UrlError::Host),
            ("http://[::1]9", UrlError::Host),
            ("http://::1", UrlError::Host),
            ("http://me@tm", UrlError::Extras),
            ("http://tm/?a", UrlError::Extras),
            ("http://tm#a", UrlError::Extras),
            ("http://t m", UrlError::Characters),
            ("http://tm\n", UrlError::Characters),
            ("http://tmé", UrlError::Characters),
            (&long, UrlError::TooLong(long.len())),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<PeerUrl>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_is_settled_after_once(text in "(http://|https://)?[a-zA-Z0-9:/.@?\\[\\]# -]{0,30}") {
            if let Ok(url) = text.parse::<PeerUrl>() {
                prop_assert_eq!(url.as_str().parse::<PeerUrl>(), Ok(url.clone()));
                prop_assert!(!url.authority().is_empty());
            }
        }
    }
}
