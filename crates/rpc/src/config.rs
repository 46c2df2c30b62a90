//! What an operator may choose: addresses, namespaces per transport, limits.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A group of methods, named by what stands before the underscore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Namespace {
    Eth,
    Net,
    Web3,
    Txpool,
    Istanbul,
    Qbft,
    Admin,
    Lonja,
    QuorumPermission,
    QuorumExtension,
    Perm,
    Personal,
    Private,
    Debug,
}

/// Which methods a transport offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Namespaces offered. `rpc_modules` is always there.
    pub namespaces: BTreeSet<Namespace>,
    /// Whether methods that change something on the node are offered too: votes on validators
    /// (`istanbul_propose`, `istanbul_discard`, `qbft_proposeValidatorVote`, `qbft_discardValidatorVote`) and
    /// the peer list (`admin_addPeer`, `admin_removePeer`).
    pub dangerous: bool,
}

/// A TCP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What is offered there.
    pub access: Access,
}

/// The local socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpcConfig {
    /// Path of the socket file; made with mode 0600, so that only the node's user may connect.
    pub path: PathBuf,
    /// What is offered there.
    pub access: Access,
}

/// Everything this crate is configured by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcConfig {
    /// HTTP and WebSocket on one port.
    pub http: Option<HttpConfig>,
    /// WebSocket only, on a second port, for tools that expect it there.
    pub ws: Option<HttpConfig>,
    /// The local socket.
    pub ipc: Option<IpcConfig>,
    /// Metrics and health.
    pub health: Option<SocketAddr>,
    /// Browser origins that may call over HTTP (CORS) and open WebSockets; `*` for all. Empty: no CORS headers,
    /// and WebSockets only from pages served by this machine.
    pub cors_origins: Vec<String>,
    /// Host names by which HTTP clients may address the node (protection against DNS rebinding); IP addresses
    /// are always accepted, `*` accepts all.
    pub allowed_hosts: Vec<String>,
    /// Whether HTTP answers are compressed for clients that ask for it.
    pub compression: bool,
    /// Accounts may be unlocked although others than this machine's own programs reach the node, and can then send as
    /// those accounts.
    pub allow_insecure_unlock: bool,
    /// Bounds.
    pub limits: RpcLimits,
}

/// Every bound of the RPC. The documented defaults fit a small machine with public clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcLimits {
    /// Longest request body or message, bytes. 5 MiB, as in geth: a batch of some thousand transactions.
    pub request_bytes: u32,
    /// Longest answer, bytes. 25 MiB: the densest log answers (`log_results`) stay below it.
    pub response_bytes: u32,
    /// Most requests in one batch. 1,000, as in geth.
    pub batch_length: u32,
    /// Most open connections per listener. 1,024: beyond that a proxy in front serves clients better.
    pub connections: u32,
    /// Most subscriptions on one connection. 128: a tool uses a handful, a gateway some dozens.
    pub subscriptions_per_connection: u32,
    /// Most blocks that one log search may cover. 10,000, what public providers allow.
    pub log_blocks: u64,
    /// Most logs in one answer. 20,000, likewise.
    pub log_results: usize,
    /// Accounts and slots that may have changed between the block of a proof and the newest one. 100,000: some
    /// seconds of work, and some tens of megabytes meanwhile.
    pub proof_changes: usize,
    /// Gas that a call or estimate may use at most; `None` takes the head's gas limit, at least 50,000,000.
    pub call_gas: Option<u64>,
    /// How long one heavy request may run. 5 s, as in geth.
    pub call_time: Duration,
    /// Heavy requests (calls, estimates, searches, proofs) that run at the same time. One less than the
    /// processors, at least one, so that block production always finds a free one.
    pub heavy_running: usize,
    /// Heavy requests that may wait for their turn. 256: some seconds of ordinary calls.
    pub heavy_waiting: usize,
    /// Point reads that run at the same time. Four per processor: they wait for the disk more than they compute.
    pub reads_running: usize,
    /// Point reads that may wait. 4,096: a tenth of a second.
    pub reads_waiting: usize,
    /// Filters (`eth_newFilter` and its kin) that may exist at the same time. 1,024.
    pub filters: usize,
    /// How long a filter lives without being asked. 5 minutes, as in geth.
    pub filter_life: Duration,
    /// Raw transactions that may wait for the door. 8,192: about a second of arrivals at full load.
    pub submissions_waiting: usize,
    /// Raw transactions handed to the door at once. 512: enough to keep all processors recovering, and few
    /// enough (some 15 ms of work) that the first one is not kept waiting.
    pub submission_batch: usize,
}

/// Name and text of every namespace.
const NAMESPACES: [(Namespace, &str); 14] = [
    (Namespace::Eth, "eth"),
    (Namespace::Net, "net"),
    (Namespace::Web3, "web3"),
    (Namespace::Txpool, "txpool"),
    (Namespace::Istanbul, "istanbul"),
    (Namespace::Qbft, "qbft"),
    (Namespace::Admin, "admin"),
    (Namespace::Lonja, "lonja"),
    (Namespace::QuorumPermission, "quorumPermission"),
    (Namespace::QuorumExtension, "quorumExtension"),
    (Namespace::Perm, "perm"),
    (Namespace::Personal, "personal"),
    (Namespace::Private, "private"),
    (Namespace::Debug, "debug"),
];

impl Namespace {
    /// What stands before the underscore of its methods.
    pub fn name(self) -> &'static str {
        NAMESPACES.iter().find(|(namespace, _)| *namespace == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Namespace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        NAMESPACES.iter().find(|(_, name)| *name == text).map(|(namespace, _)| *namespace).ok_or_else(|| {
            let known: Vec<&str> = NAMESPACES.iter().map(|(_, name)| *name).collect();
            format!("unknown namespace {text:?}; known are {}", known.join(", "))
        })
    }
}

impl Access {
    /// What strangers may use: everything that only reads, and sending signed transactions.
    pub fn public() -> Self {
        use Namespace::{Eth, Istanbul, Lonja, Net, Qbft, Txpool, Web3};
        Self { namespaces: [Eth, Net, Web3, Txpool, Istanbul, Qbft, Lonja].into(), dangerous: false }
    }

    /// Everything, for the operator.
    pub fn full() -> Self {
        Self { namespaces: NAMESPACES.iter().map(|(namespace, _)| *namespace).collect(), dangerous: true }
    }
}

impl RpcConfig {
    /// Refuses namespaces where they must not be. Passwords go over the local socket only: HTTP and WebSocket are not
    /// encrypted, and whoever may call there could try one after the other.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        let listeners = || self.http.iter().chain(&self.ws);
        let offered = |namespace| listeners().any(|listener| listener.access.namespaces.contains(&namespace));
        if offered(Namespace::Personal) {
            return Err("the namespace personal is offered on IPC only: its calls carry passwords".to_owned());
        }
        if offered(Namespace::Private) {
            return Err(
                "the namespace private is offered on IPC only: its calls erase and disclose payloads"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Who, beside this machine's own programs, could have an unlocked account sign; in words. `None` where nobody could.
    pub fn open_to(&self) -> Option<String> {
        let signs = |namespace: &Namespace| matches!(namespace, Namespace::Eth | Namespace::QuorumExtension);
        let offers = |listener: &&HttpConfig| listener.access.namespaces.iter().any(signs);
        let mut listeners = self.http.iter().chain(&self.ws).filter(offers).peekable();
        listeners.peek()?;
        if let Some(open) = listeners.find(|listener| !listener.address.ip().is_loopback()) {
            return Some(format!("JSON-RPC listens on {}", open.address));
        }
        let any = |list: &[String]| list.iter().any(|entry| entry == "*");
        if any(&self.cors_origins) {
            return Some("web pages of any origin may call JSON-RPC".to_owned());
        }
        any(&self.allowed_hosts).then(|| "JSON-RPC may be called under any host name".to_owned())
    }

    /// Why accounts must not be unlocked with this configuration; `None` where they may be. geth's rule, where it listens on
    /// more than the loopback address.
    pub fn unlocking_refused(&self) -> Option<String> {
        let open = self.open_to().filter(|_| !self.allow_insecure_unlock)?;
        Some(format!(
            "account unlock with HTTP access is forbidden: {open}, so that others could send as an unlocked account"
        ))
    }
}

impl Default for RpcConfig {
    /// HTTP and WebSocket on 127.0.0.1:8545, WebSocket on 127.0.0.1:8546, health on 127.0.0.1:9545, no IPC (its
    /// path belongs to the data directory, which this crate does not know).
    fn default() -> Self {
        let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            http: Some(HttpConfig { address: local(8545), access: Access::public() }),
            ws: Some(HttpConfig { address: local(8546), access: Access::public() }),
            ipc: None,
            health: Some(local(9545)),
            cors_origins: Vec::new(),
            allowed_hosts: vec!["localhost".to_owned()],
            compression: true,
            allow_insecure_unlock: false,
            limits: RpcLimits::default(),
        }
    }
}

impl Default for RpcLimits {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            request_bytes: 5 * 1024 * 1024,
            response_bytes: 25 * 1024 * 1024,
            batch_length: 1_000,
            connections: 1_024,
            subscriptions_per_connection: 128,
            log_blocks: 10_000,
            log_results: 20_000,
            proof_changes: 100_000,
            call_gas: None,
            call_time: Duration::from_secs(5),
            heavy_running: processors.saturating_sub(1).max(1),
            heavy_waiting: 256,
            reads_running: 4 * processors,
            reads_waiting: 4_096,
            filters: 1_024,
            filter_life: Duration::from_secs(300),
            submissions_waiting: 8_192,
            submission_batch: 512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_read_back_from_their_names() {
        for (namespace, name) in NAMESPACES {
            assert_eq!(name.parse(), Ok(namespace));
            assert_eq!(namespace.to_string(), name);
        }
        assert!("miner".parse::<Namespace>().unwrap_err().contains("txpool"));
    }

    #[test]
    fn strangers_get_nothing_dangerous() {
        let access = Access::public();
        assert!(!access.dangerous && !access.namespaces.contains(&Namespace::Admin));
    }

    fn config(address: &str) -> RpcConfig {
        let http = HttpConfig { address: address.parse().unwrap(), access: Access::public() };
        RpcConfig { http: Some(http), ..RpcConfig::default() }
    }

    #[test]
    fn passwords_and_payloads_go_over_the_local_socket_only() {
        assert!(RpcConfig::default().check().is_ok());
        let mut with_personal = config("127.0.0.1:1");
        with_personal.http.as_mut().unwrap().access.namespaces.insert(Namespace::Personal);
        assert!(with_personal.check().unwrap_err().contains("IPC only"));
        let mut on_ws = RpcConfig::default();
        on_ws.ws.as_mut().unwrap().access.namespaces.insert(Namespace::Personal);
        assert!(on_ws.check().is_err());
        assert!(Access::full().namespaces.contains(&Namespace::Personal));
        assert!(!Access::public().namespaces.contains(&Namespace::Personal));
        let mut with_private = config("127.0.0.1:1");
        with_private.http.as_mut().unwrap().access.namespaces.insert(Namespace::Private);
        assert!(with_private.check().unwrap_err().contains("IPC only"));
        assert!(!Access::public().namespaces.contains(&Namespace::Private));
    }

    #[test]
    fn accounts_are_unlocked_where_only_this_machine_calls() {
        for address in ["127.0.0.1:1", "[::1]:1", "127.9.9.9:1"] {
            assert_eq!(config(address).unlocking_refused(), None, "{address}");
        }
        let refused = |config: &RpcConfig| config.unlocking_refused().unwrap();
        for address in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1"] {
            let said = refused(&config(address));
            assert!(said.starts_with("account unlock with HTTP access is forbidden"), "{said}");
            assert!(said.contains(address), "{said}");
            let allowed = RpcConfig { allow_insecure_unlock: true, ..config(address) };
            assert_eq!(allowed.unlocking_refused(), None);
            assert!(allowed.open_to().is_some());
        }
        let any = || vec!["*".to_owned()];
        let pages = RpcConfig { cors_origins: any(), ..config("127.0.0.1:1") };
        assert!(refused(&pages).contains("any origin"));
        let names = RpcConfig { allowed_hosts: any(), ..config("127.0.0.1:1") };
        assert!(refused(&names).contains("any host name"));
        let named = RpcConfig { cors_origins: vec!["https://app.example".into()], ..config("127.0.0.1:1") };
        assert_eq!(named.unlocking_refused(), None);
    }

    #[test]
    fn where_nobody_may_send_nothing_is_open() {
        let mut without = RpcConfig { ws: None, ..config("0.0.0.0:1") };
        without.http.as_mut().unwrap().access.namespaces.remove(&Namespace::Eth);
        assert_eq!(without.unlocking_refused(), None);
        let none = RpcConfig { http: None, ws: None, cors_origins: vec!["*".into()], ..RpcConfig::default() };
        assert_eq!(none.unlocking_refused(), None);
        let mut ws = RpcConfig { http: None, ..RpcConfig::default() };
        ws.ws.as_mut().unwrap().address = "0.0.0.0:2".parse().unwrap();
        assert!(ws.unlocking_refused().unwrap().contains("0.0.0.0:2"));
    }
}
