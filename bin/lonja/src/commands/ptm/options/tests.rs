use super::*;
use clap::{Command, FromArgMatches};
use tempfile::TempDir;

fn options(folder: &TempDir, args: &[&str]) -> PtmOptions {
    let data_dir = folder.path().display().to_string();
    let typed = ["ptm", "--data-dir", &data_dir].into_iter().chain(args.iter().copied());
    let matches = PtmOptions::augment_args(Command::new("ptm")).try_get_matches_from(typed).unwrap();
    PtmOptions::from_arg_matches(&matches).unwrap()
}

fn resolved(args: &[&str]) -> Result<PtmSettings> {
    options(&tempfile::tempdir().unwrap(), args).resolve()
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

const TESSERA: &str = r#"{
    "mode": "tessera", "useWhiteList": true, "disablePeerDiscovery": true,
    "jdbc": {"url": "jdbc:h2:/data/db", "username": "sa", "password": ""},
    "serverConfigs": [
        {"app": "Q2T", "communicationType": "REST", "enabled": true, "serverAddress": "unix:/data/tm.ipc"},
        {"app": "ThirdParty", "serverAddress": "http://localhost:9081", "cors": {"allowedOrigins": ["https://a"]}},
        {"app": "P2P", "serverAddress": "http://tm1.example:9001", "bindingAddress": "http://0.0.0.0:9001",
         "sslConfig": {"tls": "OFF"}, "properties": {"partyInfoInterval": "2500", "resendWaitTime": "1"}}],
    "peer": [{"url": "http://tm2.example:9001/"}],
    "keys": {"passwordFile": "/data/pw", "keyData": [
        {"privateKeyPath": "/data/tm.key", "publicKeyPath": "/data/tm.pub"},
        {"publicKey": "MbNJYWVaDpgelfDvwRbHYpLHOwimBFUOBpxZgcSpCDE=", "privateKey": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}]},
    "alwaysSendTo": ["CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg="],
    "features": {"enableRemoteKeyValidation": false, "enablePrivacyEnhancements": true},
    "unknown": {"anything": 1}
}"#;

#[test]
fn without_anything_a_socket_in_the_data_directory_is_served() {
    let settings = resolved(&[]).unwrap();
    assert!(settings.nodes[0].address.to_string().ends_with("/ptm/tm.ipc"));
    assert!(settings.clients.is_none() && settings.managers.is_none() && settings.keys.is_empty());
    assert!(settings.enhancements && !settings.outbox);
}

#[test]
fn flags_stand_over_the_file_and_that_over_tessera_s() {
    let folder = tempfile::tempdir().unwrap();
    let tessera = write(&folder, "tessera.json", TESSERA);
    let toml = write(
        &folder,
        "lonja.toml",
        "p2p-port = 1\n[ptm]\npeers = [\"http://b\"]\nround-ms = 700\ncbor = false\n",
    );
    let args = ["--tessera-config", &tessera, "--config", &toml, "--peer", "http://c:1,http://d"];
    let settings = options(&folder, &args).resolve().unwrap();
    assert_eq!(settings.nodes[0].address.to_string(), "unix:/data/tm.ipc");
    let (clients, cors) = settings.clients.unwrap();
    assert_eq!(
        (clients.address.to_string(), cors.unwrap().origins),
        ("http://localhost:9081/".into(), vec!["https://a".to_string()])
    );
    let (listen, peers) = settings.managers.unwrap();
    assert_eq!(
        (listen.address.to_string(), peers.url.as_str()),
        ("http://0.0.0.0:9001/".into(), "http://tm1.example:9001/")
    );
    let urls: Vec<_> = peers.peers.iter().map(PeerUrl::as_str).collect();
    assert_eq!(
        (urls, peers.interval, peers.cbor),
        (vec!["http://c:1/", "http://d/"], Duration::from_millis(700), false)
    );
    assert!(!peers.discovery && peers.only_configured_hosts && !peers.validate_keys);
    assert_eq!(settings.always_send_to, [PublicKey([8; 32])]);
    assert_eq!((settings.keys.len(), settings.password_file), (2, Some("/data/pw".into())));
    // Keys that are named stand in place of Tessera's.
    let settings = options(&folder, &["--tessera-config", &tessera, "--keys", "/a.key"]).resolve().unwrap();
    assert_eq!(format!("{:?}", settings.keys), "[KeySource(/a.key)]");
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let toml = write(&folder, "lonja.toml", "[ptm]\npeer = []\n");
    assert!(options(&folder, &["--config", &toml]).resolve().unwrap_err().to_string().contains("peer"));
    for (args, word) in [
        (vec!["--q2t", "tm.ipc"], "unix:"),
        (vec!["--q2t", "https://tm:1"], "--tls-cert"),
        (vec!["--tls-key", "a", "--p2p", "https://tm:1"], "go together"),
        (vec!["--peer", "http://a"], "--p2p"),
        (vec!["--p2p", "http://0.0.0.0:9001"], "--p2p-url"),
        (vec!["--p2p", "http://127.0.0.1:0"], "--p2p-url"),
        (vec!["--p2p", "unix:/a"], "over http"),
        (vec!["--p2p", "http://a:1", "--peer", "b:1"], "--peer b:1"),
        (vec!["--p2p", "http://a:1", "--round-ms", "1"], "--round-ms"),
        (vec!["--always-send-to", "x"], "--always-send-to x"),
        (vec!["--third-party-cors", "*"], "--third-party"),
    ] {
        let error = resolved(&args).unwrap_err().to_string();
        assert!(error.contains(word), "{args:?}: {error}");
    }
}

#[test]
fn parts_of_tessera_that_are_missing_here_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, word) in [
        (r#""mode": "tessera""#, r#""mode": "orion""#, "orion"),
        (r#"{"tls": "OFF"}"#, r#"{"tls": "STRICT", "serverKeyStore": "a.jks"}"#, "serverTlsCertificatePath"),
        (r#"{"tls": "OFF"}"#, r#"{"tls": "STRICT", "serverTrustStore": "a.jks"}"#, "serverTrustCertificates"),
        (r#"{"tls": "OFF"}"#, r#"{"tls": "STRICT", "clientTrustStore": "a.jks"}"#, "clientTrustCertificates"),
        (
            r#"{"tls": "OFF"}"#,
            r#"{"tls": "STRICT", "clientKeyStore": "a.jks", "clientTlsKeyPath": "/k"}"#,
            "clientTlsCertificatePath",
        ),
        (
            r#"{"tls": "OFF"}"#,
            r#"{"tls": "STRICT", "serverTlsCertificatePath": "a", "serverTlsKeyPath": "b", "clientAuth": false}"#,
            "write it with https",
        ),
        (
            r#"{"tls": "OFF"}"#,
            r#"{"tls": "STRICT", "serverTlsCertificatePath": "a", "serverTlsKeyPath": "b", "clientTrustMode": "TOFU"}"#,
            "TOFU",
        ),
        (
            r#""enablePrivacyEnhancements": true"#,
            r#""enableMultiplePrivateStates": true"#,
            "enableMultiplePrivateStates",
        ),
        (r#""passwordFile": "/data/pw""#, r#""keyVaultConfigs": [{}]"#, "keyVaultConfigs"),
        (r#""passwordFile": "/data/pw""#, r#""passwords": ["SECRET"]"#, "passwordFile"),
        (r#""unknown": {"anything": 1}"#, r#""encryptor": {"type": "EC"}"#, "EC"),
        (r#""privateKey": "AQEB"#, r#""config": {"type": "SECRET"}, "x": "AQEB"#, "has no data"),
        (r#"{"app": "Q2T","#, r#"{"app": "ENCLAVE","#, "ENCLAVE"),
        (r#""partyInfoInterval": "2500""#, r#""partyInfoInterval": "soon""#, "partyInfoInterval"),
    ] {
        assert!(TESSERA.contains(from), "{from}");
        let file = write(&folder, "tessera.json", &TESSERA.replace(from, to));
        let error = options(&folder, &["--tessera-config", &file]).resolve().unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains("SECRET"), "{word}: {error}");
    }
}

#[test]
fn tls_of_tessera_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let ssl = r#"{"tls": "STRICT", "serverTlsCertificatePath": "/c", "serverTlsKeyPath": "/k", "serverTrustMode": "CA",
        "serverTrustCertificates": ["/ca"], "clientTlsCertificatePath": "/c", "clientTlsKeyPath": "/k",
        "clientTrustMode": "CA", "clientTrustCertificates": ["/ca2"]}"#;
    let text = TESSERA
        .replace(r#"{"tls": "OFF"}"#, ssl)
        .replace("http://0.0.0.0", "https://0.0.0.0")
        .replace("http://tm1", "https://tm1");
    let file = write(&folder, "tessera.json", &text);
    let (listen, peers) = options(&folder, &["--tessera-config", &file]).resolve().unwrap().managers.unwrap();
    let tls = listen.tls.unwrap();
    assert_eq!((tls.identity.key, tls.client_authorities), ("/k".into(), vec!["/ca".into()]));
    assert_eq!(
        (peers.tls.authorities, peers.url.as_str()),
        (vec!["/ca2".into()], "https://tm1.example:9001/")
    );
}

/// Tessera's configuration with a server for nodes and one for managers that have these options of TLS.
fn two_servers(q2t: &str, p2p: &str) -> Result<PtmSettings> {
    let folder = tempfile::tempdir().unwrap();
    let common = r#""tls": "STRICT", "serverTlsCertificatePath": "/c", "serverTlsKeyPath": "/k""#;
    let servers = [("ADMIN", "9102", r#""clientAuth": false"#), ("Q2T", "9101", q2t), ("P2P", "9001", p2p)];
    let servers = servers.map(|(app, port, ssl)| {
        format!(
            r#"{{"app": "{app}", "serverAddress": "https://tm:{port}", "sslConfig": {{{common}, {ssl}}}}}"#
        )
    });
    let json = format!(r#"{{"serverConfigs": [{}]}}"#, servers.join(", "));
    let file = write(&folder, "tessera.json", &json);
    options(&folder, &["--tessera-config", &file]).resolve()
}

#[test]
fn no_server_of_tessera_opens_another_one() {
    let closed = r#""serverTrustCertificates": ["/ca"]"#;
    let settings = two_servers(closed, closed).unwrap();
    let authorities = |listen: &Listen| listen.tls.as_ref().unwrap().client_authorities.clone();
    assert_eq!(authorities(&settings.nodes[0]), [PathBuf::from("/ca")]);
    assert_eq!(authorities(&settings.managers.unwrap().0), [PathBuf::from("/ca")]);
    for other in [
        r#""clientAuth": false"#,
        r#""serverTrustMode": "NONE""#,
        r#""serverTrustCertificates": ["/ca", "/other"]"#,
    ] {
        for (q2t, p2p) in [(closed, other), (other, closed)] {
            let error = two_servers(q2t, p2p).unwrap_err().to_string();
            assert!(error.contains("one set of trusted certificates"), "{q2t} {p2p}: {error}");
        }
    }
    // How others are dialled is said by the server for managers alone.
    let dials = format!(r#"{closed}, "clientTrustCertificates": ["/ca2"]"#);
    let anybody = format!(r#"{closed}, "clientTrustMode": "NONE""#);
    let tls = two_servers(&anybody, &dials).unwrap().managers.unwrap().1.tls;
    assert_eq!((tls.authorities, tls.skip_verification), (vec![PathBuf::from("/ca2")], false));
}
