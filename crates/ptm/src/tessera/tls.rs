//! TLS for the HTTP of managers: certificates in PEM, on one side or both.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, rustls, server};

/// How much of a certificate file is read. The certificates of a whole system take a quarter of a megabyte.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// Where systems keep the certificates of those they trust.
const SYSTEM_CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it. Nothing of what stands in it.
        reason: String,
    },
    /// Nobody is trusted.
    #[error("no certificates of authorities were found: name a file with those that are trusted")]
    NobodyTrusted,
    /// The library refuses these files.
    #[error("TLS: {0}")]
    Refused(String),
}

/// A certificate and its private key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// File with the certificate and those between it and the authority.
    pub certificate: PathBuf,
    /// File with the private key.
    pub key: PathBuf,
}

/// How servers are recognised, and who we are to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsClientOptions {
    /// Files, or folders of files, with the certificates of trusted authorities; the system's own where there are none.
    pub authorities: Vec<PathBuf>,
    /// What we show to servers that ask.
    pub identity: Option<TlsIdentity>,
    /// Name that the server's certificate has to have; the host's where it is `None`.
    pub server_name: Option<String>,
    /// Take any certificate. Whoever stands between can then read and change everything.
    pub skip_verification: bool,
}

/// What a server shows, and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServerOptions {
    /// What we show.
    pub identity: TlsIdentity,
    /// Files, or folders of files, with the authorities of clients. Where there are any, no client comes in without a certificate.
    pub client_authorities: Vec<PathBuf>,
}

/// TLS on connections that we dial.
#[derive(Clone)]
pub(crate) struct TlsClient {
    connector: TlsConnector,
    server_name: Option<String>,
}

/// TLS on connections that others dial.
#[derive(Clone)]
pub(crate) struct TlsServer(TlsAcceptor);

fn file_error(path: &Path, reason: impl ToString) -> TlsError {
    TlsError::File { path: path.into(), reason: reason.to_string() }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let file = fs::File::open(path).map_err(|error| file_error(path, error))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| file_error(path, error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(file_error(path, format!("more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|_| file_error(path, "this is no PEM"))?;
    match found.is_empty() {
        true => Err(file_error(path, "there is no certificate in it")),
        false => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| file_error(path, "there is no private key in PEM in it"))
}

/// The files of a folder, or the file itself.
fn files(path: &Path) -> Result<Vec<PathBuf>, TlsError> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let entries = fs::read_dir(path).map_err(|error| file_error(path, error))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    Ok(paths.map_err(|error| file_error(path, error))?.into_iter().filter(|path| path.is_file()).collect())
}

fn authorities(paths: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let system = SYSTEM_CERTIFICATES.iter().map(PathBuf::from).find(|path| path.exists());
    let system = system.as_slice();
    for path in if paths.is_empty() { system } else { paths } {
        for file in files(path)? {
            // A system's collection has some that the library does not take.
            store.add_parsable_certificates(certificates(&file)?);
        }
    }
    if store.is_empty() { Err(TlsError::NobodyTrusted) } else { Ok(store) }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn refused(error: impl ToString) -> TlsError {
    TlsError::Refused(error.to_string())
}

impl TlsClientOptions {
    /// Reads the files.
    pub(crate) fn load(&self) -> Result<TlsClient, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(refused)?;
        let builder = if self.skip_verification {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider())))
        } else {
            builder.with_root_certificates(authorities(&self.authorities)?)
        };
        let config = match &self.identity {
            Some(TlsIdentity { certificate, key }) => builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|error| file_error(certificate, error))?,
            None => builder.with_no_client_auth(),
        };
        let server_name = self.server_name.clone();
        Ok(TlsClient { connector: TlsConnector::from(Arc::new(config)), server_name })
    }
}

impl TlsServerOptions {
    /// Reads the files.
    pub(crate) fn load(&self) -> Result<TlsServer, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(refused)?;
        let builder = if self.client_authorities.is_empty() {
            builder.with_no_client_auth()
        } else {
            let trusted = Arc::new(authorities(&self.client_authorities)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(trusted, provider()).build();
            builder.with_client_cert_verifier(verifier.map_err(refused)?)
        };
        let TlsIdentity { certificate, key } = &self.identity;
        let config = builder.with_single_cert(certificates(certificate)?, private_key(key)?);
        let config = config.map_err(|error| file_error(certificate, error))?;
        Ok(TlsServer(TlsAcceptor::from(Arc::new(config))))
    }
}

impl TlsClient {
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let name = self.server_name.as_deref().unwrap_or(host.trim_matches(['[', ']']));
        let invalid =
            |_| io::Error::new(io::ErrorKind::InvalidInput, "not a name that a certificate can have");
        let name = ServerName::try_from(name.to_string()).map_err(invalid)?;
        self.connector.connect(name, stream).await
    }
}

impl TlsServer {
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

/// Takes any certificate, whose holder it still wants to see.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
pub(crate) mod tests;
