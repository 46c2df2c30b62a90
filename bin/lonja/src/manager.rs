//! From settings to the manager of private transactions: which one, with which keys.

use crate::commands::ptm::secrets::{self, KeySource};
use crate::settings::Settings;
use crate::settings::ptm::{PtmMode, PtmSettings};
use eyre::{Context, Result, bail, eyre};
use lonja_node::{EmbeddedConfig, ManagerConfig};
use lonja_primitives::ChainSpec;
use lonja_ptm::key_file::{self, PrivateKeyFile};
use lonja_ptm::tessera::{
    Address, Listen, PeerOptions, RemoteOptions, Timeouts, TlsIdentity, TlsServerOptions,
};
use lonja_ptm::{KeyPair, PeerUrl, PublicKey};
use std::fs::DirBuilder;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Folder of the manager in a data directory.
pub const FOLDER: &str = "ptm";
/// Name of the key file that is made where none is named.
pub const KEY: &str = "key.key";
/// What stands for no limit of time.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The manager that these settings mean on a network with these rules.
pub fn config(settings: &Settings, spec: &ChainSpec) -> Result<ManagerConfig> {
    let ptm = &settings.ptm;
    let address = ptm.remote_address()?;
    let has_private = spec.privacy.iter().any(|(_, privacy)| privacy.transactions);
    match (ptm.mode, address) {
        (PtmMode::Off, _) => Ok(ManagerConfig::Off),
        (PtmMode::Auto, None) if !has_private => Ok(ManagerConfig::Off),
        _ if !has_private => {
            bail!(
                "--ptm: the genesis file of this network has no private transactions; leave the options away"
            )
        }
        (_, Some(_)) => Ok(ManagerConfig::Remote(Box::new(remote(ptm)?))),
        (_, None) => Ok(ManagerConfig::Embedded(Box::new(embedded(ptm, &settings.data_dir)?))),
    }
}

/// Where the Tessera is that these settings name, and how it is asked.
pub fn remote(ptm: &PtmSettings) -> Result<RemoteOptions> {
    let address =
        ptm.remote_address()?.ok_or_else(|| eyre!("no Tessera is named: --ptm-url or --ptm-socket"))?;
    Ok(RemoteOptions {
        address,
        third_party: ptm.third_party.as_deref().map(str::parse).transpose().wrap_err("--ptm-third-party")?,
        timeouts: Timeouts {
            dial: seconds(ptm.dial_timeout),
            request: seconds(ptm.timeout),
            idle: seconds(ptm.idle_timeout),
        },
        tls: ptm.tls_client()?,
    })
}

fn seconds(seconds: u64) -> Duration {
    if seconds == 0 { NO_LIMIT } else { Duration::from_secs(seconds).min(NO_LIMIT) }
}

fn embedded(ptm: &PtmSettings, data_dir: &Path) -> Result<EmbeddedConfig> {
    let sources = match ptm.keys.is_empty() {
        true => vec![own_key(&data_dir.join(FOLDER))?],
        false => ptm.keys.iter().cloned().map(KeySource::of_file).collect(),
    };
    let (nodes, managers) = (ptm.nodes()?, ptm.managers()?);
    warn_of_open_doors(nodes.as_slice(), managers.as_ref(), "--ptm-tls-client-ca keeps strangers out");
    Ok(EmbeddedConfig {
        keyring: secrets::open(sources, ptm.password_file.as_deref())?,
        always_send_to: ptm.always_send_to()?,
        outbox: ptm.outbox,
        accept_erase: ptm.accept_erase.into(),
        clients: ptm.clients()?,
        nodes,
        managers,
    })
}

/// What the addresses of a manager have in common, whether it is a node's or a process of its own.
pub struct Doors<'a> {
    /// What stands before the names of its options.
    pub prefix: &'static str,
    /// Certificate and key of those with https.
    pub certificate: (Option<&'a Path>, Option<&'a Path>),
    /// Authorities of those who may come in there; anybody may where there are none.
    pub client_authorities: &'a [PathBuf],
}

impl Doors<'_> {
    /// The certificate with its key, where they are given.
    pub fn identity(&self) -> Result<Option<TlsIdentity>> {
        match self.certificate {
            (Some(certificate), Some(key)) => {
                Ok(Some(TlsIdentity { certificate: certificate.into(), key: key.into() }))
            }
            (None, None) => Ok(None),
            _ => bail!("{0}tls-cert and {0}tls-key go together", self.prefix),
        }
    }

    /// An address to listen on: `HOST:PORT`, a URL, or `unix:` and a path.
    pub fn listen(&self, option: &str, text: &str) -> Result<Listen> {
        let plain = !text.contains("://") && !text.starts_with("unix:");
        if plain && !text.contains(':') {
            bail!("{option} {text}: give HOST:PORT, or unix:PATH for a local socket");
        }
        let url = if plain { format!("http://{text}") } else { text.to_owned() };
        let address: Address = url.parse().map_err(|error| eyre!("{option} {error}"))?;
        if !address.is_tls() {
            return Ok(Listen { address, tls: None });
        }
        let Some(identity) = self.identity()? else {
            bail!("{option} {address}: https needs {0}tls-cert and {0}tls-key", self.prefix);
        };
        let client_authorities = self.client_authorities.to_vec();
        Ok(Listen { address, tls: Some(TlsServerOptions { identity, client_authorities }) })
    }

    /// The URL by which other managers dial the one that listens there: as given, or else that of the address itself.
    pub fn own_url(&self, option: &str, listen: &Listen, given: Option<&str>) -> Result<PeerUrl> {
        let url_option = format!("{}p2p-url", self.prefix);
        let url: PeerUrl = match (given, &listen.address) {
            (Some(url), _) => url.parse().map_err(|error| eyre!("{url_option} {url}: {error}"))?,
            (None, Address::Url(url)) => url.clone(),
            (None, Address::Unix(_)) => {
                bail!("{option}: other managers come over http or https, and none reaches a local socket")
            }
        };
        let anywhere = host(&url).parse().is_ok_and(|address: IpAddr| address.is_unspecified());
        if anywhere || url.authority().ends_with(":0") {
            bail!(
                "nobody can dial {url}: give the URL under which other managers reach this one with {url_option}"
            );
        }
        Ok(url)
    }
}

/// The host that a URL names, without brackets.
fn host(url: &PeerUrl) -> &str {
    let authority = url.authority();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    host.unwrap_or_default()
}

/// Whether anybody elsewhere may come in.
fn is_open(listen: &Listen) -> bool {
    let here = match &listen.address {
        Address::Unix(_) => true,
        Address::Url(url) => {
            let host = host(url);
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    };
    let asked = listen.tls.as_ref().is_some_and(|tls| !tls.client_authorities.is_empty());
    !here && !asked
}

/// Says where more is open than an operator may have meant. `help`: what keeps strangers from the managers' address.
pub fn warn_of_open_doors(nodes: &[Listen], managers: Option<&(Listen, PeerOptions)>, help: &str) {
    for listen in nodes.iter().filter(|listen| is_open(listen)) {
        tracing::warn!(address = %listen.address, "whoever reaches this address reads and sends everything");
    }
    if let Some((listen, options)) = managers
        && is_open(listen)
        && !options.only_configured_hosts
    {
        tracing::warn!(
            address = %listen.address,
            "whoever reaches this address can push payloads and have them given again, sealed; {help}"
        );
    }
}

/// The key in the manager's own folder, made when there is none.
pub fn own_key(folder: &Path) -> Result<KeySource> {
    let path = folder.join(KEY);
    // What cannot be looked at is not missing: reading it tells why.
    if !path.try_exists().unwrap_or(true) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.wrap_err_with(|| format!("cannot make {}", folder.display()))?;
        let key = make_key(&path)?;
        tracing::info!(file = %path.display(), %key, "there was no key for private transactions; a new one was made");
    }
    Ok(KeySource::of_file(path))
}

/// Makes a key pair, in the open: the private half at this path, the public half beside it. Says the public half.
pub fn make_key(path: &Path) -> Result<PublicKey> {
    let pair = KeyPair::generate()?;
    let public = pair.public();
    key_file::write_key_pair(path, &PrivateKeyFile::unlocked(pair), &public_half(path), &public)?;
    Ok(public)
}

/// Where the public half of a key file stands, if anywhere.
pub fn public_half(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::NodeArgs;
    use lonja_primitives::genesis::NewNetwork;
    use lonja_primitives::spec::Privacy;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn spec(privacy: Privacy) -> ChainSpec {
        let validators = vec![alloy_primitives::Address::repeat_byte(1)];
        let network = NewNetwork { validators, privacy, ..NewNetwork::default() };
        lonja_primitives::Genesis::from_json(&network.to_json()).unwrap().spec
    }

    fn settings(folder: &Path, toml: &str) -> Settings {
        let file = folder.join("lonja.toml");
        fs::write(&file, format!("[ptm]\n{toml}\n")).unwrap();
        NodeArgs { data_dir: Some(folder.into()), ..NodeArgs::default() }.resolve(Some(&file)).unwrap()
    }

    fn keys(config: ManagerConfig) -> Vec<PublicKey> {
        match config {
            ManagerConfig::Embedded(config) => config.keyring.keys().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_is_open_unless_it_is_here_or_asks_for_certificates() {
        let authorities = [PathBuf::from("/ca")];
        let open = |text: &str, client_authorities: &[PathBuf]| {
            let certificate = (Some(Path::new("/c")), Some(Path::new("/k")));
            is_open(&Doors { prefix: "--", certificate, client_authorities }.listen("--q2t", text).unwrap())
        };
        for here in ["unix:/tm.ipc", "127.0.0.1:1", "localhost:1", "http://[::1]:1", "https://127.1.2.3:1"] {
            assert!(!open(here, &[]), "{here}");
        }
        for elsewhere in ["0.0.0.0:1", "http://[::]:1", "tm:1", "https://tm:1", "http://127.0.0.1.example:1"]
        {
            assert!(open(elsewhere, &[]), "{elsewhere}");
        }
        assert!(!open("https://tm:1", &authorities) && open("http://tm:1", &authorities));
    }

    #[test]
    fn the_genesis_file_decides_where_nobody_does() {
        let folder = tempfile::tempdir().unwrap();
        let (with, without) = (spec(Privacy::OF_NEW_NETWORKS), spec(Privacy::default()));
        let of = |toml: &str, spec: &ChainSpec| config(&settings(folder.path(), toml), spec);
        assert!(matches!(of("", &without), Ok(ManagerConfig::Off)));
        assert!(matches!(of("mode = \"off\"", &with), Ok(ManagerConfig::Off)));
        assert!(!folder.path().join(FOLDER).exists(), "no key for nothing");
        assert!(matches!(of("url = \"http://tm:1\"", &with), Ok(ManagerConfig::Remote(_))));
        assert!(of("mode = \"embedded\"", &without).is_err());
        assert!(of("url = \"http://tm:1\"", &without).is_err());
        let first = keys(of("", &with).unwrap());
        assert_eq!(keys(of("mode = \"embedded\"", &with).unwrap()), first, "the same key again");
        let key = folder.path().join(FOLDER).join(KEY);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let public = fs::read_to_string(public_half(&key)).unwrap();
        assert_eq!(public.trim(), first[0].to_string());
    }
}
