//! The options of the manager of private transactions: the section `[ptm]` of the file, `--ptm-…` and `LONJA_PTM_…`. Flags
//! that GoQuorum has are known under its names too.

mod check;
mod private_config;

use clap::{Args, ValueEnum};
use eyre::Result;
use lonja_ptm::AcceptErase;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Headline of these options in help and reference.
const HEADING: &str = "Private transactions";
/// Where clients are served if nothing else is said: the port that Tessera's users know.
pub const CLIENT_LISTEN: &str = "127.0.0.1:9080";

/// What was typed about the manager.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PtmArgs {
    /// Which manager of private transactions: `off`; `embedded` for one of this node's own; `remote` for a Tessera; `auto` for
    /// remote where --ptm-url or --ptm-socket is given, else embedded where the genesis file has private transactions [default:
    /// auto]
    #[arg(id = "ptm-mode", long = "ptm", env = "LONJA_PTM", value_name = "WHICH", help_heading = HEADING)]
    pub mode: Option<PtmMode>,
    /// Key file of a party that this node manages, as Tessera writes them, the default sender first; may be repeated. Without
    /// any, one is made at the first start [default: DATA_DIR/ptm/key.key]
    #[arg(
        id = "ptm-keys",
        long = "ptm-key",
        alias = "ptm-keys",
        env = "LONJA_PTM_KEYS",
        value_delimiter = ',',
        value_name = "FILE",
        help_heading = HEADING
    )]
    pub keys: Option<Vec<PathBuf>>,
    /// Passwords of those key files, a line for each in their order; the last line is for all further ones. Without it they are
    /// asked for on the terminal
    #[arg(id = "ptm-password-file", long, env = "LONJA_PTM_PASSWORD_FILE", value_name = "FILE", help_heading = HEADING)]
    pub password_file: Option<PathBuf>,
    /// Public key of a party that gets everything sent from here, a supervisor for instance; may be repeated
    #[arg(
        id = "ptm-always-send-to",
        long,
        env = "LONJA_PTM_ALWAYS_SEND_TO",
        value_delimiter = ',',
        value_name = "KEY",
        help_heading = HEADING
    )]
    pub always_send_to: Option<Vec<String>>,
    /// Let a send with privacy flag 0 succeed where a recipient cannot be reached, and deliver its payload later; otherwise, and
    /// with other flags, the send fails [default: false]
    #[arg(
        id = "ptm-outbox",
        long,
        env = "LONJA_PTM_OUTBOX",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = HEADING
    )]
    pub outbox: Option<bool>,
    /// Whose orders to erase a payload here are carried out: `never`, `from-sender`, or `from-any-party` [default:
    /// from-sender]
    #[arg(id = "ptm-accept-erase", long, env = "LONJA_PTM_ACCEPT_ERASE", value_name = "WHOSE", help_heading = HEADING)]
    pub accept_erase: Option<Accepted>,
    /// Wrap private transactions that this node signs into markers, on networks that have them [default: true]
    #[arg(
        id = "ptm-markers",
        long,
        alias = "privacymarker.enable",
        env = "LONJA_PTM_MARKERS",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = HEADING
    )]
    pub markers: Option<bool>,
    /// Add the supervisors that the network names to the recipients of what is sent; otherwise a send without them is refused
    /// [default: true]
    #[arg(
        id = "ptm-add-supervisors",
        long,
        env = "LONJA_PTM_ADD_SUPERVISORS",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = HEADING
    )]
    pub add_supervisors: Option<bool>,
    /// Serve clients by Tessera's API for third parties at this address, 127.0.0.1:9080 if none is named [default: none]
    #[arg(
        id = "ptm-client-listen",
        long,
        env = "LONJA_PTM_CLIENT_LISTEN",
        num_args = 0..=1,
        default_missing_value = CLIENT_LISTEN,
        value_name = "ADDRESS",
        help_heading = HEADING
    )]
    pub client_listen: Option<String>,
    /// Web origins that browsers may call that API from; `*` for any [default: none]
    #[arg(
        id = "ptm-client-cors",
        long,
        env = "LONJA_PTM_CLIENT_CORS",
        value_delimiter = ',',
        value_name = "ORIGINS",
        help_heading = HEADING
    )]
    pub client_cors: Option<Vec<String>>,
    /// Serve GoQuorum nodes by Tessera's API for nodes (Q2T): HOST:PORT, or unix: and a path. Whoever reaches it reads every
    /// payload [default: none]
    #[arg(id = "ptm-q2t", long, env = "LONJA_PTM_Q2T", value_name = "ADDRESS", help_heading = HEADING)]
    pub q2t: Option<String>,

    /// Serve the Tesseras of other members at this address: [https://]HOST:PORT. Between nodes of lonja payloads travel over the
    /// peer-to-peer port, and none of it is needed [default: none]
    #[arg(
        id = "ptm-p2p",
        long = "ptm-p2p-listen",
        env = "LONJA_PTM_P2P",
        value_name = "ADDRESS",
        help_heading = HEADING
    )]
    pub p2p: Option<String>,
    /// URL by which those Tesseras know this manager [default: that of --ptm-p2p-listen]
    #[arg(id = "ptm-p2p-url", long, env = "LONJA_PTM_P2P_URL", value_name = "URL", help_heading = HEADING)]
    pub p2p_url: Option<String>,
    /// URL of such a Tessera, as it announces it; may be repeated
    #[arg(
        id = "ptm-peers",
        long = "ptm-peer",
        alias = "ptm-peers",
        env = "LONJA_PTM_PEERS",
        value_delimiter = ',',
        value_name = "URL",
        help_heading = HEADING
    )]
    pub peers: Option<Vec<String>>,
    /// Listen to Tesseras that are not named, and find more through others [default: true]
    #[arg(id = "ptm-discovery", long, env = "LONJA_PTM_DISCOVERY", value_name = "BOOL", help_heading = HEADING)]
    pub discovery: Option<bool>,

    /// Where the Tessera is: a URL [default: none]
    #[arg(
        id = "ptm-url",
        long,
        alias = "ptm.url",
        env = "LONJA_PTM_URL",
        value_name = "URL",
        help_heading = HEADING
    )]
    pub url: Option<String>,
    /// Where the Tessera is: its local socket
    #[arg(
        id = "ptm-socket",
        long,
        alias = "ptm.socket",
        env = "LONJA_PTM_SOCKET",
        value_name = "FILE",
        help_heading = HEADING
    )]
    pub socket: Option<PathBuf>,
    /// Its API for third parties, which says which keys it has; not needed for sending and receiving [default: none]
    #[arg(id = "ptm-third-party", long, env = "LONJA_PTM_THIRD_PARTY", value_name = "URL", help_heading = HEADING)]
    pub third_party: Option<String>,
    /// Longest time for an answer of the Tessera, seconds; 0 for no limit [default: 5]
    #[arg(
        id = "ptm-timeout",
        long,
        alias = "ptm.timeout",
        env = "LONJA_PTM_TIMEOUT",
        value_name = "SECONDS",
        help_heading = HEADING
    )]
    pub timeout: Option<u64>,
    /// Longest time until a connection to it stands, seconds; 0 for no limit [default: 1]
    #[arg(
        id = "ptm-dial-timeout",
        long,
        alias = "ptm.dialtimeout",
        env = "LONJA_PTM_DIAL_TIMEOUT",
        value_name = "SECONDS",
        help_heading = HEADING
    )]
    pub dial_timeout: Option<u64>,
    /// How long a connection to it is kept that nobody needs, seconds; 0 for no limit [default: 10]
    #[arg(
        id = "ptm-idle-timeout",
        long,
        alias = "ptm.http.idletimeout",
        env = "LONJA_PTM_IDLE_TIMEOUT",
        value_name = "SECONDS",
        help_heading = HEADING
    )]
    pub idle_timeout: Option<u64>,
    /// Files or folders with the certificates of authorities that vouch for it; the system's where none is named
    #[arg(
        id = "ptm-tls-ca",
        long,
        alias = "ptm.tls.rootca",
        env = "LONJA_PTM_TLS_CA",
        value_delimiter = ',',
        value_name = "FILES",
        help_heading = HEADING
    )]
    pub tls_ca: Option<Vec<PathBuf>>,
    /// Certificate that is shown to it, and by the addresses here that begin with https, PEM
    #[arg(
        id = "ptm-tls-cert",
        long,
        alias = "ptm.tls.clientcert",
        env = "LONJA_PTM_TLS_CERT",
        value_name = "FILE",
        help_heading = HEADING
    )]
    pub tls_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM
    #[arg(
        id = "ptm-tls-key",
        long,
        alias = "ptm.tls.clientkey",
        env = "LONJA_PTM_TLS_KEY",
        value_name = "FILE",
        help_heading = HEADING
    )]
    pub tls_key: Option<PathBuf>,
    /// Files or folders with the certificates of authorities that vouch for those who come to the https addresses here; without
    /// any, everybody comes in
    #[arg(
        id = "ptm-tls-client-ca",
        long,
        env = "LONJA_PTM_TLS_CLIENT_CA",
        value_delimiter = ',',
        value_name = "FILES",
        help_heading = HEADING
    )]
    pub tls_client_ca: Option<Vec<PathBuf>>,
    /// Name that its certificate must have, where that is not the host's [default: none]
    #[arg(id = "ptm-tls-server-name", long, env = "LONJA_PTM_TLS_SERVER_NAME", value_name = "NAME", help_heading = HEADING)]
    pub tls_server_name: Option<String>,
    /// Take any certificate of it; whoever stands between then reads everything [default: false]
    #[arg(
        id = "ptm-tls-skip-verify",
        long,
        alias = "ptm.tls.insecureskipverify",
        env = "LONJA_PTM_TLS_SKIP_VERIFY",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = HEADING
    )]
    pub tls_skip_verify: Option<bool>,
    /// GoQuorum's word for whether TLS is spoken: `strict` wants a URL with https, `off` one without [default: none]
    #[arg(
        id = "ptm-tls-mode",
        long,
        alias = "ptm.tls.mode",
        env = "LONJA_PTM_TLS_MODE",
        ignore_case = true,
        value_name = "MODE",
        help_heading = HEADING
    )]
    pub tls_mode: Option<TlsMode>,
}

/// Which manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PtmMode {
    /// By the other options and the genesis file.
    #[default]
    Auto,
    /// None.
    Off,
    /// One of the node's own.
    Embedded,
    /// A Tessera.
    Remote,
}

/// Whose orders to erase count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Accepted {
    /// Nobody's.
    Never,
    /// The sender's.
    #[default]
    FromSender,
    /// Those of each party.
    FromAnyParty,
}

/// Whether TLS is spoken with a Tessera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// No.
    #[serde(alias = "OFF")]
    Off,
    /// Yes.
    #[serde(alias = "STRICT")]
    Strict,
}

/// What the node uses of it: everything decided but what the genesis file says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct PtmSettings {
    pub mode: PtmMode,
    pub keys: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    pub always_send_to: Vec<String>,
    pub outbox: bool,
    pub accept_erase: Accepted,
    pub markers: bool,
    pub add_supervisors: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_listen: Option<String>,
    pub client_cors: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q2t: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p2p: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p2p_url: Option<String>,
    pub peers: Vec<String>,
    pub discovery: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub third_party: Option<String>,
    pub timeout: u64,
    pub dial_timeout: u64,
    pub idle_timeout: u64,
    pub tls_ca: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    pub tls_client_ca: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    pub tls_skip_verify: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_mode: Option<TlsMode>,
}

/// Takes each field from the first of the two that has it.
macro_rules! merge {
    ($over:expr, $under:expr; $($field:ident)*) => {
        PtmArgs { $($field: $over.$field.or($under.$field)),* }
    };
}

impl PtmArgs {
    /// These, and the others where these say nothing.
    pub fn over(self, under: PtmArgs) -> PtmArgs {
        merge!(self, under;
            mode keys password_file always_send_to outbox accept_erase markers add_supervisors client_listen client_cors q2t
            p2p p2p_url peers discovery
            url socket third_party timeout dial_timeout idle_timeout
            tls_ca tls_cert tls_key tls_client_ca tls_server_name tls_skip_verify tls_mode)
    }

    /// Where nothing says which manager there is, GoQuorum's variable `PRIVATE_CONFIG` does: `ignore`, the socket of a
    /// Tessera, or a file with GoQuorum's settings.
    pub fn or_private_config(self, value: Option<&Path>) -> Result<PtmArgs> {
        let decided = self.mode.is_some() || self.url.is_some() || self.socket.is_some();
        match value.filter(|value| !decided && !value.as_os_str().is_empty()) {
            None => Ok(self),
            Some(value) => Ok(self.over(private_config::read(value)?)),
        }
    }

    /// Fills in the defaults, and refuses what contradicts itself.
    pub fn settle(self) -> Result<PtmSettings> {
        let settings = self.with_defaults();
        settings.check()?;
        Ok(settings)
    }

    pub(super) fn with_defaults(self) -> PtmSettings {
        PtmSettings {
            mode: self.mode.unwrap_or_default(),
            keys: self.keys.unwrap_or_default(),
            password_file: self.password_file,
            always_send_to: self.always_send_to.unwrap_or_default(),
            outbox: self.outbox.unwrap_or(false),
            accept_erase: self.accept_erase.unwrap_or_default(),
            markers: self.markers.unwrap_or(true),
            add_supervisors: self.add_supervisors.unwrap_or(true),
            client_listen: self.client_listen,
            client_cors: self.client_cors.unwrap_or_default(),
            q2t: self.q2t,
            p2p: self.p2p,
            p2p_url: self.p2p_url,
            peers: self.peers.unwrap_or_default(),
            discovery: self.discovery.unwrap_or(true),
            url: self.url,
            socket: self.socket,
            third_party: self.third_party,
            timeout: self.timeout.unwrap_or(5),
            dial_timeout: self.dial_timeout.unwrap_or(1),
            idle_timeout: self.idle_timeout.unwrap_or(10),
            tls_ca: self.tls_ca.unwrap_or_default(),
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            tls_client_ca: self.tls_client_ca.unwrap_or_default(),
            tls_server_name: self.tls_server_name,
            tls_skip_verify: self.tls_skip_verify.unwrap_or(false),
            tls_mode: self.tls_mode,
        }
    }
}

impl From<Accepted> for AcceptErase {
    fn from(accepted: Accepted) -> Self {
        match accepted {
            Accepted::Never => Self::Never,
            Accepted::FromSender => Self::FromSender,
            Accepted::FromAnyParty => Self::FromAnyParty,
        }
    }
}

#[cfg(test)]
mod tests;
