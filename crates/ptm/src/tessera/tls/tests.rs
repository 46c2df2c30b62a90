use super::*;
use crate::tessera::client::{RemoteManager, RemoteOptions};
use crate::tessera::listen::{Listen, ListenError, Server};
use crate::tessera::server::serve_nodes;
use crate::tessera::testing::{MemoryManager, generous};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair};
use std::path::Path;
use tempfile::TempDir;

/// An authority, and what it signed, in files of a folder.
pub(crate) struct Authority {
    folder: TempDir,
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let authority = Self { folder: tempfile::tempdir().unwrap(), certificate, key };
        fs::write(authority.file(), authority.certificate.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    fn identity(&self, host: &str) -> TlsIdentity {
        self.identity_in(host, host)
    }

    /// A certificate for this host, in files of this name.
    pub(crate) fn identity_in(&self, name: &str, host: &str) -> TlsIdentity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_string()]).unwrap();
        let signed = params.signed_by(&key, &self.certificate, &self.key).unwrap();
        let path = |ending: &str| self.path(&format!("{name}.{ending}"));
        let identity = TlsIdentity { certificate: path("pem"), key: path("key") };
        fs::write(&identity.certificate, signed.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    pub(crate) fn trusting(&self) -> TlsClientOptions {
        TlsClientOptions { authorities: vec![self.file()], ..TlsClientOptions::default() }
    }
}

async fn server(identity: TlsIdentity, client_authorities: Vec<PathBuf>) -> Server {
    let tls = Some(TlsServerOptions { identity, client_authorities });
    let listen = Listen { address: "https://127.0.0.1:0".parse().unwrap(), tls };
    serve_nodes(&listen, MemoryManager::new(), None).await.unwrap()
}

async fn reaches(server: &Server, tls: TlsClientOptions) -> bool {
    let address = server.address().clone();
    let options = RemoteOptions { address, third_party: None, timeouts: generous(), tls };
    RemoteManager::new(&options).unwrap().features().await.is_ok()
}

#[tokio::test]
async fn a_server_is_known_by_its_authority_and_its_name() {
    let (ours, others) = (Authority::new(), Authority::new());
    let by_address = server(ours.identity("127.0.0.1"), Vec::new()).await;
    assert!(reaches(&by_address, ours.trusting()).await);
    assert!(!reaches(&by_address, others.trusting()).await);
    assert!(
        !reaches(&by_address, TlsClientOptions { server_name: Some("tm".into()), ..ours.trusting() }).await
    );
    let all = TlsClientOptions { skip_verification: true, ..TlsClientOptions::default() };
    assert!(reaches(&by_address, all).await);
    let folder = vec![ours.path("trusted")];
    fs::create_dir(&folder[0]).unwrap();
    fs::copy(ours.file(), folder[0].join("ca.pem")).unwrap();
    let in_folder = TlsClientOptions { authorities: folder, ..TlsClientOptions::default() };
    assert!(reaches(&by_address, in_folder).await);

    let by_name = server(ours.identity("tm.example"), Vec::new()).await;
    assert!(!reaches(&by_name, ours.trusting()).await);
    assert!(
        reaches(&by_name, TlsClientOptions { server_name: Some("tm.example".into()), ..ours.trusting() })
            .await
    );
}

#[tokio::test]
async fn a_client_is_known_by_its_authority() {
    let (ours, others) = (Authority::new(), Authority::new());
    let server = server(ours.identity("127.0.0.1"), vec![ours.file()]).await;
    assert!(!reaches(&server, ours.trusting()).await);
    let stranger = TlsClientOptions { identity: Some(others.identity("tm2")), ..ours.trusting() };
    assert!(!reaches(&server, stranger).await);
    let member = TlsClientOptions { identity: Some(ours.identity("tm2")), ..ours.trusting() };
    assert!(reaches(&server, member).await);
}

#[tokio::test]
async fn plain_and_secret_are_not_confused() {
    let ours = Authority::new();
    let server = server(ours.identity("127.0.0.1"), Vec::new()).await;
    let plain = server.address().to_string().replace("https", "http").parse().unwrap();
    let options =
        RemoteOptions { address: plain, third_party: None, timeouts: generous(), tls: ours.trusting() };
    assert!(RemoteManager::new(&options).unwrap().features().await.is_err());
    for (address, tls) in [
        ("https://127.0.0.1:0", None),
        (
            "http://127.0.0.1:0",
            Some(TlsServerOptions { identity: ours.identity("a"), client_authorities: Vec::new() }),
        ),
    ] {
        let listen = Listen { address: address.parse().unwrap(), tls };
        let refused = serve_nodes(&listen, MemoryManager::new(), None).await.err();
        assert!(matches!(refused, Some(ListenError::TlsMismatch(_))));
    }
}

#[test]
fn files_that_are_none_are_named() {
    let ours = Authority::new();
    let empty = ours.path("empty");
    fs::write(&empty, "").unwrap();
    let TlsIdentity { certificate, key } = ours.identity("a");
    let with = |certificate: &Path, key: &Path| {
        let identity = TlsIdentity { certificate: certificate.into(), key: key.into() };
        let loaded = TlsServerOptions { identity, client_authorities: Vec::new() }.load();
        loaded.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(with(&certificate, &key), "");
    assert!(with(&empty, &key).contains("empty: there is no certificate"));
    assert!(with(&certificate, &empty).contains("empty: there is no private key"));
    assert!(with(&ours.path("none"), &key).contains("none"));
    assert!(with(&ours.file(), &key).contains("ca.pem"), "a key that does not fit");
    let nobody = TlsClientOptions { authorities: vec![empty], ..TlsClientOptions::default() };
    assert!(nobody.load().is_err());
}
