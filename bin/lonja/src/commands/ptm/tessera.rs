//! Reads a Tessera's configuration file, as far as this manager has what it asks for. What it has not is an error and not left
//! out: a manager that is less closed than its operator believes is worse than none.

use super::options::PtmArgs;
use super::secrets::KeySource;
use eyre::{Context, Result, bail, eyre};
use lonja_ptm::key_file::PrivateKeyFile;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a Tessera's configuration says to us.
#[derive(Default)]
pub struct TesseraConfig {
    pub args: PtmArgs,
    pub keys: Vec<KeySource>,
}

/// What of the file matters. Other fields are skipped: they concern Tessera's database and its telemetry.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    mode: Option<String>,
    use_white_list: Option<bool>,
    disable_peer_discovery: Option<bool>,
    server_configs: Vec<ServerConfig>,
    peer: Vec<Peer>,
    keys: Keys,
    always_send_to: Option<Vec<String>>,
    features: Features,
    encryptor: Encryptor,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServerConfig {
    app: String,
    enabled: Option<bool>,
    server_address: String,
    binding_address: Option<String>,
    cors: Option<CorsConfig>,
    ssl_config: Option<SslConfig>,
    properties: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CorsConfig {
    allowed_origins: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SslConfig {
    tls: String,
    client_auth: Option<bool>,
    server_trust_mode: Option<String>,
    client_trust_mode: Option<String>,
    server_key_store: Option<PathBuf>,
    server_trust_store: Option<PathBuf>,
    client_key_store: Option<PathBuf>,
    client_trust_store: Option<PathBuf>,
    server_tls_certificate_path: Option<PathBuf>,
    server_tls_key_path: Option<PathBuf>,
    server_trust_certificates: Option<Vec<PathBuf>>,
    client_tls_certificate_path: Option<PathBuf>,
    client_tls_key_path: Option<PathBuf>,
    client_trust_certificates: Option<Vec<PathBuf>>,
}

#[derive(Deserialize)]
struct Peer {
    url: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Keys {
    password_file: Option<PathBuf>,
    passwords: Option<Value>,
    key_vault_configs: Option<Value>,
    key_data: Vec<KeyData>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct KeyData {
    private_key_path: Option<PathBuf>,
    public_key_path: Option<PathBuf>,
    public_key: Option<String>,
    private_key: Option<String>,
    config: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Features {
    enable_remote_key_validation: Option<bool>,
    enable_privacy_enhancements: Option<bool>,
    enable_multiple_private_states: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Encryptor {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Reads the file.
pub fn read(path: &Path) -> Result<TesseraConfig> {
    let text = fs::read_to_string(path)
        .wrap_err_with(|| format!("cannot read Tessera's configuration {}", path.display()))?;
    // Keys and passwords may stand inside: errors give the place, and never quote.
    let file: File = serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        eyre!("{}: line {line}, column {column}: not the configuration of a Tessera", path.display())
    })?;
    file.config().map_err(|error| eyre!("{}: {error}", path.display()))
}

impl File {
    fn config(self) -> Result<TesseraConfig> {
        self.refuse_what_is_missing()?;
        let keys: Result<Vec<KeySource>> = self.keys.key_data.into_iter().map(KeyData::source).collect();
        let mut args = PtmArgs {
            password_file: self.keys.password_file,
            always_send_to: self.always_send_to,
            // Tessera's defaults: what its operator left out is off.
            enhancements: Some(self.features.enable_privacy_enhancements.unwrap_or(false)),
            validate_keys: Some(self.features.enable_remote_key_validation.unwrap_or(false)),
            discovery: Some(!self.disable_peer_discovery.unwrap_or(false)),
            only_peer_hosts: self.use_white_list,
            peers: Some(self.peer.into_iter().map(|peer| peer.url).collect()),
            ..PtmArgs::default()
        };
        for server in self.server_configs.into_iter().filter(|server| server.enabled != Some(false)) {
            server.add_to(&mut args)?;
        }
        Ok(TesseraConfig { args, keys: keys? })
    }

    fn refuse_what_is_missing(&self) -> Result<()> {
        if let Some(mode) = self.mode.as_deref().filter(|mode| *mode != "tessera") {
            bail!("mode {mode} is not supported");
        }
        if let Some(kind) = self.encryptor.kind.as_deref().filter(|kind| *kind != "NACL") {
            bail!("the encryptor {kind} is not supported, only NACL");
        }
        if self.features.enable_multiple_private_states == Some(true) {
            bail!("enableMultiplePrivateStates is not supported");
        }
        if self.keys.key_vault_configs.as_ref().is_some_and(|vaults| !is_empty(vaults)) {
            bail!("keyVaultConfigs are not supported: keys come from files");
        }
        if self.keys.passwords.as_ref().is_some_and(|passwords| !is_empty(passwords)) {
            bail!("passwords inside the file are not read: put them into a passwordFile");
        }
        Ok(())
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

impl KeyData {
    fn source(self) -> Result<KeySource> {
        if let Some(private) = self.private_key_path {
            return Ok(KeySource::Files { private, public: self.public_key_path });
        }
        let public = self.public_key.as_deref().map(str::parse).transpose()?;
        let json = match (&self.config, &self.private_key) {
            (Some(config), _) => config.get().to_string(),
            (None, Some(bytes)) => json!({"type": "unlocked", "data": {"bytes": bytes}}).to_string(),
            (None, None) => bail!("a key in keyData has neither privateKeyPath, privateKey nor config"),
        };
        Ok(KeySource::Inline { private: PrivateKeyFile::parse(&json)?, public })
    }
}

impl ServerConfig {
    fn add_to(self, args: &mut PtmArgs) -> Result<()> {
        if self.app == "ADMIN" {
            return Ok(());
        }
        let listen = self.binding_address.clone().unwrap_or_else(|| self.server_address.clone());
        if let Some(ssl) = self.ssl_config.as_ref().filter(|ssl| ssl.tls.eq_ignore_ascii_case("STRICT")) {
            ssl.add_to(args)?;
            if self.app == "P2P" {
                ssl.add_dialling_to(args)?;
            }
            if listen.starts_with("http://") {
                bail!("tls is STRICT, and {listen} is without TLS: write it with https");
            }
        }
        match self.app.as_str() {
            "Q2T" => args.q2t.get_or_insert_default().push(listen),
            "ThirdParty" => {
                args.client_listen = Some(listen);
                args.client_cors = self.cors.map(|cors| cors.allowed_origins);
            }
            "P2P" => {
                (args.p2p, args.p2p_url) = (Some(listen), Some(self.server_address));
                if let Some(interval) = self.properties.get("partyInfoInterval") {
                    let text = interval.as_str().map_or_else(|| interval.to_string(), str::to_string);
                    let ms = text
                        .parse()
                        .map_err(|_| eyre!("partyInfoInterval is not a number of milliseconds"))?;
                    args.round_ms = Some(ms);
                }
            }
            app => bail!("a server for {app} is not supported"),
        }
        Ok(())
    }
}

impl SslConfig {
    /// One set of files serves all addresses here; where a Tessera has several, they have to be the same.
    fn add_to(&self, args: &mut PtmArgs) -> Result<()> {
        self.refuse_java_stores()?;
        for mode in [&self.server_trust_mode, &self.client_trust_mode].into_iter().flatten() {
            if !["CA", "NONE"].contains(&mode.as_str()) {
                bail!("the trust mode {mode} is not supported, only CA and NONE");
            }
        }
        let (Some(certificate), Some(key)) =
            (self.server_tls_certificate_path.clone(), self.server_tls_key_path.clone())
        else {
            bail!("certificates are read from PEM files: give serverTlsCertificatePath and serverTlsKeyPath");
        };
        let checked = self.server_trust_mode.as_deref() != Some("NONE") && self.client_auth != Some(false);
        let trusted = self.server_trust_certificates.clone().unwrap_or_default();
        if checked && trusted.is_empty() {
            bail!("clientAuth needs serverTrustCertificates in PEM");
        }
        let trusted = checked.then_some(trusted);
        if args.tls_cert.is_some() {
            if (args.tls_cert.as_ref(), args.tls_key.as_ref()) != (Some(&certificate), Some(&key)) {
                bail!("one certificate is used for all servers, and several are given");
            }
            if args.tls_client_ca != trusted {
                bail!("one set of trusted certificates is used for all servers, and several are given");
            }
        }
        (args.tls_cert, args.tls_key, args.tls_client_ca) = (Some(certificate), Some(key), trusted);
        Ok(())
    }

    /// How other managers are dialled: only the one that speaks to them says so.
    fn add_dialling_to(&self, args: &mut PtmArgs) -> Result<()> {
        let shown = (self.client_tls_certificate_path.as_ref(), self.client_tls_key_path.as_ref());
        if shown != (None, None) && shown != (args.tls_cert.as_ref(), args.tls_key.as_ref()) {
            bail!("one certificate is used to serve and to dial: the client's has to be the server's");
        }
        args.tls_ca = self.client_trust_certificates.clone();
        args.tls_skip_verify = Some(self.client_trust_mode.as_deref() == Some("NONE"));
        Ok(())
    }

    fn refuse_java_stores(&self) -> Result<()> {
        let pair =
            |certificate: &Option<PathBuf>, key: &Option<PathBuf>| certificate.is_some() && key.is_some();
        let server_pair = pair(&self.server_tls_certificate_path, &self.server_tls_key_path);
        let client_pair = pair(&self.client_tls_certificate_path, &self.client_tls_key_path);
        let (server_trusts, client_trusts) =
            (self.server_trust_certificates.is_some(), self.client_trust_certificates.is_some());
        for (store, replaced, name, files) in [
            (
                &self.server_key_store,
                server_pair,
                "serverKeyStore",
                "serverTlsCertificatePath and serverTlsKeyPath",
            ),
            (&self.server_trust_store, server_trusts, "serverTrustStore", "serverTrustCertificates"),
            (
                &self.client_key_store,
                client_pair,
                "clientKeyStore",
                "clientTlsCertificatePath and clientTlsKeyPath",
            ),
            (&self.client_trust_store, client_trusts, "clientTrustStore", "clientTrustCertificates"),
        ] {
            if store.is_some() && !replaced {
                bail!("{name}: Java key stores are not read; give {files}, in PEM");
            }
        }
        Ok(())
    }
}
