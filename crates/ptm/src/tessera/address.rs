//! Where a manager's API is: on TCP, with TLS or without, or on a local socket.

use crate::url::{PeerUrl, UrlError};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;

/// What stands before the path of a local socket.
const UNIX: &str = "unix:";

/// Longest path of a local socket: the kernel's limit, less the zero at its end.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// Where an API is served, or listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `http://host:port/` or `https://host:port/`.
    Url(PeerUrl),
    /// `unix:/path`: plain HTTP on a local socket.
    Unix(PathBuf),
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// It is neither a URL nor a socket.
    #[error("{text}: {reason}, or unix: and a path")]
    Url {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: UrlError,
    },
    /// The path is empty or longer than the system takes.
    #[error("the path of a local socket has 1 to {MAX_SOCKET_PATH_BYTES} bytes, not {0}")]
    SocketPath(usize),
    /// Servers listen on hosts and ports only.
    #[error("{0}: an address to listen on has no path")]
    ListenPath(PeerUrl),
}

impl Address {
    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Url(url) if url.as_str().starts_with("https://"))
    }

    /// The local socket, where it is one.
    pub fn socket(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Url(_) => None,
        }
    }

    /// The URL of one of its services, as HTTP wants it. `path` begins with `/`. On a local socket the host is `c`, as GoQuorum
    /// has it.
    pub(crate) fn endpoint(&self, path: &str) -> String {
        match self {
            Self::Url(url) => url.endpoint(path),
            Self::Unix(_) => format!("http://c{path}"),
        }
    }

    /// Host and port to bind.
    pub(crate) fn host_and_port(url: &PeerUrl) -> Result<(String, u16), AddressError> {
        let text = url.as_str();
        let default = if text.starts_with("https://") { 443 } else { 80 };
        let authority = url.authority();
        if text.split_once("://").is_none_or(|(_, rest)| rest.trim_end_matches('/') != authority) {
            return Err(AddressError::ListenPath(url.clone()));
        }
        let port = authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = match port {
            Some((host, port)) => (host, port),
            None => (authority, default),
        };
        Ok((host.trim_matches(['[', ']']).to_string(), port))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some(path) = text.strip_prefix(UNIX) else {
            let url = text.parse().map_err(|reason| AddressError::Url { text: text.into(), reason })?;
            return Ok(Self::Url(url));
        };
        // unix:///path is the same as unix:/path.
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.len() > MAX_SOCKET_PATH_BYTES {
            return Err(AddressError::SocketPath(path.len()));
        }
        Ok(Self::Unix(path.into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn urls_and_sockets() {
        assert_eq!(address("unix:/a/tm.ipc"), address("unix:///a/tm.ipc"));
        assert_eq!(address("unix:tm.ipc").to_string(), "unix:tm.ipc");
        assert_eq!(address("unix:/a").endpoint("/send"), "http://c/send");
        assert_eq!(address("http://tm:1").endpoint("/send"), "http://tm:1/send");
        assert_eq!(address("http://tm:1/x").endpoint("/send"), "http://tm:1/x/send");
        assert!(address("https://tm").is_tls() && !address("http://tm").is_tls());
        assert!(!address("unix:/a").is_tls());
        for wrong in ["", "unix:", "tm:9001", "/a/tm.ipc", &format!("unix:/{}", "a".repeat(200))] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_to_listen_on() {
        let bind = |text: &str| Address::host_and_port(&text.parse().unwrap());
        assert_eq!(bind("http://0.0.0.0:9001"), Ok(("0.0.0.0".into(), 9001)));
        assert_eq!(bind("https://tm/"), Ok(("tm".into(), 443)));
        assert_eq!(bind("http://[::1]:0"), Ok(("::1".into(), 0)));
        assert_eq!(bind("http://[::1]"), Ok(("::1".into(), 80)));
        assert!(bind("http://tm:1/x").is_err());
    }
}
