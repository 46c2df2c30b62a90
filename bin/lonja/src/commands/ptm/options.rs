//! What a manager of its own is told: text, then checked. Flags stand over the section `[ptm]` of a configuration file, and that
//! over a Tessera's.

use super::secrets::KeySource;
use super::tessera;
use crate::files;
use crate::manager::Doors;
use crate::settings::LogFormat;
use crate::settings::ptm::{Accepted, CLIENT_LISTEN};
use clap::Args;
use eyre::{Context, Result, bail, eyre};
use lonja_ptm::tessera::{Cors, Listen, PeerOptions, TlsClientOptions};
use lonja_ptm::{PeerUrl, PublicKey};
use serde::{Deserialize, Deserializer};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The shortest interval between two rounds of talks with peers.
const MIN_ROUND: Duration = Duration::from_millis(100);

/// What was typed: everything optional. The fields are the flags, and the keys of `[ptm]`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PtmArgs {
    /// Private key files, the default key first; public keys beside them (.pub) have to fit [default: DATA_DIR/ptm/key.key,
    /// made when missing]
    #[arg(long, value_delimiter = ',', value_name = "FILES")]
    pub keys: Option<Vec<PathBuf>>,
    /// Passwords of locked keys, a line for each key in their order; asked for on the terminal without it
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Public keys that get everything that is sent from here
    #[arg(long, value_delimiter = ',', value_name = "KEYS")]
    pub always_send_to: Option<Vec<String>>,
    /// Let a send with privacy flag 0 succeed where a recipient cannot be reached, and deliver later [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub outbox: Option<bool>,
    /// Whose orders to erase a payload here are carried out: `never`, `from-sender`, or `from-any-party` [default:
    /// from-sender]
    #[arg(long, value_name = "WHOSE")]
    pub accept_erase: Option<Accepted>,
    /// Send and take payloads with privacy flags above 0 [default: true]
    #[arg(long, value_name = "BOOL")]
    pub enhancements: Option<bool>,

    /// Where nodes are served: unix:PATH or [https://]HOST:PORT; may be repeated. Whoever reaches it reads every payload
    /// [default: unix:DATA_DIR/ptm/tm.ipc]
    #[arg(long, value_delimiter = ',', value_name = "ADDRESSES", help_heading = "Nodes and clients")]
    #[serde(deserialize_with = "one_or_more")]
    pub q2t: Option<Vec<String>>,
    /// Where clients are served by Tessera's API for third parties: [https://]HOST:PORT, 127.0.0.1:9080 if none is named
    /// [default: none]
    #[arg(
        long = "third-party",
        alias = "client-listen",
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = CLIENT_LISTEN,
        help_heading = "Nodes and clients"
    )]
    pub client_listen: Option<String>,
    /// Web origins that browsers may call that API from, such as https://*.example; `*` for any [default: none]
    #[arg(
        long = "third-party-cors",
        alias = "client-cors",
        value_delimiter = ',',
        value_name = "ORIGINS",
        help_heading = "Nodes and clients"
    )]
    pub client_cors: Option<Vec<String>>,

    /// Where other managers are served: [https://]HOST:PORT
    #[arg(long, value_name = "ADDRESS", help_heading = "Other managers")]
    pub p2p: Option<String>,
    /// Our URL, as other managers dial it: they know us by exactly this text [default: that of --p2p]
    #[arg(long, value_name = "URL", help_heading = "Other managers")]
    pub p2p_url: Option<String>,
    /// Another manager, by its URL as it announces it; may be repeated
    #[arg(long = "peer", value_delimiter = ',', value_name = "URLS", help_heading = "Other managers")]
    pub peers: Option<Vec<String>>,
    /// Listen to managers that are not named here, and find more through others [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Other managers")]
    pub discovery: Option<bool>,
    /// Let only hosts of named managers ask anything [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Other managers")]
    pub only_peer_hosts: Option<bool>,
    /// Have managers show that they hold the keys they announce [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Other managers")]
    pub validate_keys: Option<bool>,
    /// Announce and use CBOR (API 5.0); otherwise the older encoding [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Other managers")]
    pub cbor: Option<bool>,
    /// Milliseconds between two rounds in which managers tell each other who is there [default: 5000]
    #[arg(long, value_name = "MS", help_heading = "Other managers")]
    pub round_ms: Option<u64>,

    /// Certificate in PEM, for https addresses, and shown to other managers
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_key: Option<PathBuf>,
    /// Files or folders with the certificates of authorities that vouch for those who come in on https addresses; without any,
    /// everybody comes in
    #[arg(long, value_delimiter = ',', value_name = "FILES", help_heading = "TLS")]
    pub tls_client_ca: Option<Vec<PathBuf>>,
    /// The same for the managers that are dialled; the system's where none is named
    #[arg(long, value_delimiter = ',', value_name = "FILES", help_heading = "TLS")]
    pub tls_ca: Option<Vec<PathBuf>>,
    /// Take any certificate of the managers that are dialled [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "TLS")]
    pub tls_skip_verify: Option<bool>,

    /// What to log: error, warn, info, debug, trace, or a filter [default: info]
    #[arg(long, value_name = "FILTER", help_heading = "Logs")]
    pub log: Option<String>,
    /// Form of the log: text or json [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Logs")]
    pub log_format: Option<LogFormat>,
}

/// Flags, and where more stands.
#[derive(Args, Debug)]
pub struct PtmOptions {
    /// Data directory
    #[arg(long, env = "LONJA_DATA_DIR", default_value_os_t = files::default_data_dir(), value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Configuration file with a section [ptm], whose keys are the options here
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A Tessera's configuration file: keys, addresses, peers, alwaysSendTo and features are taken from it; its database is not
    #[arg(long, value_name = "FILE")]
    tessera_config: Option<PathBuf>,
    #[command(flatten)]
    args: PtmArgs,
}

/// What the manager uses: everything decided.
#[derive(Debug)]
pub struct PtmSettings {
    /// Where its store is, below `ptm`.
    pub data_dir: PathBuf,
    /// Its keys; none for the one that is made.
    pub keys: Vec<KeySource>,
    pub password_file: Option<PathBuf>,
    pub always_send_to: Vec<PublicKey>,
    pub outbox: bool,
    pub accept_erase: Accepted,
    pub enhancements: bool,
    pub nodes: Vec<Listen>,
    pub clients: Option<(Listen, Option<Cors>)>,
    /// Where other managers are served, and what is said about them.
    pub managers: Option<(Listen, PeerOptions)>,
    pub log: String,
    pub log_format: LogFormat,
}

/// Takes each field from the first of the two that has it.
macro_rules! merge {
    ($over:expr, $under:expr; $($field:ident)*) => {
        PtmArgs { $($field: $over.$field.or($under.$field)),* }
    };
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    ptm: PtmArgs,
}

impl PtmOptions {
    /// Reads the files and checks everything.
    pub fn resolve(self) -> Result<PtmSettings> {
        let tessera = self.tessera_config.as_deref().map(tessera::read).transpose()?.unwrap_or_default();
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let args = self.args.over(file).over(tessera.args);
        let keys = match &args.keys {
            Some(files) => files.iter().cloned().map(KeySource::of_file).collect(),
            None => tessera.keys,
        };
        args.settings(self.data_dir, keys)
    }
}

/// One text, or a list of them: a node has one address where a manager of its own may have several.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(Some(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    }))
}

fn read_file(path: &Path) -> Result<PtmArgs> {
    let text = fs::read_to_string(path)
        .wrap_err_with(|| format!("cannot read the configuration file {}", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| eyre!("{}: {error}", path.display()))?;
    Ok(file.ptm)
}

impl PtmArgs {
    fn over(self, under: Self) -> Self {
        merge!(self, under;
            keys password_file always_send_to outbox enhancements accept_erase q2t client_listen client_cors
            p2p p2p_url peers discovery only_peer_hosts validate_keys cbor round_ms
            tls_cert tls_key tls_client_ca tls_ca tls_skip_verify log log_format)
    }

    fn settings(self, data_dir: PathBuf, keys: Vec<KeySource>) -> Result<PtmSettings> {
        let always_send_to = self.always_send_to.iter().flatten();
        let always_send_to: Result<Vec<PublicKey>> = always_send_to
            .map(|key| key.parse().map_err(|error| eyre!("--always-send-to {key}: {error}")))
            .collect();
        let own_socket = || vec![format!("unix:{}", data_dir.join("ptm").join("tm.ipc").display())];
        let nodes = self.q2t.clone().unwrap_or_else(own_socket);
        let doors = self.doors();
        let nodes: Result<Vec<Listen>> = nodes.iter().map(|address| doors.listen("--q2t", address)).collect();
        let origins = self.client_cors.clone().filter(|origins| !origins.is_empty());
        let cors = origins.map(|origins| Cors { origins, headers: Vec::new(), credentials: true });
        let clients = self
            .client_listen
            .as_deref()
            .map(|address| doors.listen("--third-party", address))
            .transpose()?;
        if clients.is_none() && cors.is_some() {
            bail!("--third-party-cors is for --third-party, which is not given");
        }
        let (nodes, managers) = (nodes?, self.managers()?);
        Ok(PtmSettings {
            data_dir,
            keys,
            always_send_to: always_send_to?,
            outbox: self.outbox.unwrap_or(false),
            accept_erase: self.accept_erase.unwrap_or_default(),
            enhancements: self.enhancements.unwrap_or(true),
            nodes,
            clients: clients.map(|listen| (listen, cors)),
            managers,
            password_file: self.password_file,
            log: self.log.unwrap_or_else(|| "info".into()),
            log_format: self.log_format.unwrap_or(LogFormat::Text),
        })
    }

    fn doors(&self) -> Doors<'_> {
        Doors {
            prefix: "--",
            certificate: (self.tls_cert.as_deref(), self.tls_key.as_deref()),
            client_authorities: self.tls_client_ca.as_deref().unwrap_or_default(),
        }
    }

    fn managers(&self) -> Result<Option<(Listen, PeerOptions)>> {
        let Some(address) = &self.p2p else {
            if self.peers.as_ref().is_some_and(|peers| !peers.is_empty()) {
                bail!("--peer is for managers that can answer us: give an address with --p2p");
            }
            return Ok(None);
        };
        let doors = self.doors();
        let listen = doors.listen("--p2p", address)?;
        let url = doors.own_url("--p2p", &listen, self.p2p_url.as_deref())?;
        let round = Duration::from_millis(self.round_ms.unwrap_or(5_000));
        if round < MIN_ROUND {
            bail!("--round-ms: at least {}", MIN_ROUND.as_millis());
        }
        let peers = self.peers.iter().flatten();
        let peers: Result<Vec<PeerUrl>> =
            peers.map(|url| url.parse().map_err(|error| eyre!("--peer {url}: {error}"))).collect();
        let options = PeerOptions {
            peers: peers?,
            discovery: self.discovery.unwrap_or(true),
            only_configured_hosts: self.only_peer_hosts.unwrap_or(false),
            validate_keys: self.validate_keys.unwrap_or(true),
            cbor: self.cbor.unwrap_or(true),
            interval: round,
            tls: TlsClientOptions {
                authorities: self.tls_ca.clone().unwrap_or_default(),
                identity: doors.identity()?,
                server_name: None,
                skip_verification: self.tls_skip_verify.unwrap_or(false),
            },
            ..PeerOptions::new(url)
        };
        Ok(Some((listen, options)))
    }
}

#[cfg(test)]
mod tests;
