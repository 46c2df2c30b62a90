use super::super::NodeArgs;
use super::*;
use clap::{Args, Command, FromArgMatches};
use std::fs;
use std::os::unix::net::UnixListener;

fn parse(flags: &[&str]) -> PtmArgs {
    try_parse(flags).unwrap()
}

fn try_parse(flags: &[&str]) -> Result<PtmArgs, clap::Error> {
    let command = NodeArgs::augment_args(Command::new("node"));
    let matches = command.try_get_matches_from([&["node"], flags].concat())?;
    Ok(NodeArgs::from_arg_matches(&matches)?.ptm)
}

fn refused(flags: &[&str]) -> String {
    format!("{:#}", parse(flags).settle().unwrap_err())
}

#[test]
fn goquorum_s_flags_mean_the_same() {
    let ours = [
        "--ptm-url=https://tm:9101",
        "--ptm-timeout=3",
        "--ptm-dial-timeout=2",
        "--ptm-idle-timeout=9",
        "--ptm-tls-mode=strict",
        "--ptm-tls-ca=/ca.pem",
        "--ptm-tls-cert=/c.pem",
        "--ptm-tls-key=/k.pem",
        "--ptm-tls-skip-verify",
        "--ptm-markers",
    ];
    let theirs = [
        "--ptm.url=https://tm:9101",
        "--ptm.timeout=3",
        "--ptm.dialtimeout=2",
        "--ptm.http.idletimeout=9",
        "--ptm.tls.mode=strict",
        "--ptm.tls.rootca=/ca.pem",
        "--ptm.tls.clientcert=/c.pem",
        "--ptm.tls.clientkey=/k.pem",
        "--ptm.tls.insecureskipverify",
        "--privacymarker.enable",
    ];
    assert_eq!(parse(&theirs), parse(&ours));
    let settings = parse(&theirs).settle().unwrap();
    assert_eq!(settings.remote_address().unwrap().unwrap().to_string(), "https://tm:9101/");
    assert_eq!((settings.timeout, settings.mode), (3, PtmMode::Auto));
    let socket = parse(&["--ptm.socket=/tm.ipc"]).settle().unwrap();
    assert_eq!(socket.remote_address().unwrap().unwrap().to_string(), "unix:/tm.ipc");
    assert!(try_parse(&["--ptm.uri=x"]).is_err());
}

#[test]
fn contradictions_are_refused() {
    let key = "BULeR8JyUWhiuuCMU/HLA0Q5pzkYT+cHII3ZKBey3Bo=";
    assert!(refused(&["--ptm=remote"]).contains("--ptm-url"));
    assert!(refused(&["--ptm=off", "--ptm-url=http://tm"]).contains("--ptm remote"));
    assert!(refused(&["--ptm-url=http://tm", "--ptm-socket=/x"]).contains("two places"));
    assert!(refused(&["--ptm-url=tm"]).contains("--ptm-url"));
    assert!(refused(&["--ptm-url=http://tm", "--ptm-key=/k"]).contains("--ptm-key"));
    assert!(refused(&["--ptm-url=http://tm", "--ptm-always-send-to", key]).contains("always-send-to"));
    assert!(refused(&["--ptm-always-send-to=abc"]).contains("abc"));
    assert!(refused(&["--ptm-url=https://tm", "--ptm-tls-cert=/c"]).contains("together"));
    assert!(refused(&["--ptm-url=http://tm", "--ptm-tls-mode=strict"]).contains("https"));
    assert!(refused(&["--ptm-url=https://tm", "--ptm-tls-mode=OFF"]).contains("contradicts"));
    assert!(refused(&["--ptm-client-cors=*"]).contains("--ptm-client-listen"));
    assert!(refused(&["--ptm-q2t=https://0.0.0.0:9101"]).contains("--ptm-tls-cert"));
    assert!(refused(&["--ptm-peer=http://tm:9000"]).contains("--ptm-p2p-listen"));
    assert!(refused(&["--ptm-p2p-listen=unix:/x"]).contains("local socket"));
    assert!(refused(&["--ptm-p2p-listen=:9000", "--ptm-peer=tm"]).contains("--ptm-p2p-listen"));
    for nobody_dials in ["0.0.0.0:9001", "http://[::]:9001", "127.0.0.1:0"] {
        let flags = ["--ptm-p2p-listen", nobody_dials];
        assert!(refused(&flags).contains("--ptm-p2p-url"), "{nobody_dials}");
        assert!(parse(&[&flags[..], &["--ptm-p2p-url=http://me:9001"]].concat()).settle().is_ok());
    }
    assert!(refused(&["--ptm-p2p-listen=0.0.0.0:9001", "--ptm-p2p-url=http://[::]:9001"]).contains("nobody"));
    assert!(refused(&["--ptm-q2t=localhost"]).contains("HOST:PORT"));
    assert!(parse(&["--ptm-always-send-to", key, "--ptm-outbox"]).settle().is_ok());
}

#[test]
fn addresses_to_listen_on_may_be_short() {
    let settle = |flags: &[&str]| parse(flags).settle().unwrap();
    let client = |flag| settle(&[flag]).clients().unwrap().unwrap().0.address.to_string();
    assert_eq!(client("--ptm-client-listen"), format!("http://{CLIENT_LISTEN}/"));
    assert_eq!(client("--ptm-client-listen=0.0.0.0:9081"), "http://0.0.0.0:9081/");
    let nodes = settle(&["--ptm-q2t=unix:/q2t.ipc"]).nodes().unwrap().unwrap();
    assert_eq!(nodes.address.to_string(), "unix:/q2t.ipc");
    let secure =
        ["--ptm-q2t=https://[::1]:9101", "--ptm-tls-cert=/c", "--ptm-tls-key=/k", "--ptm-tls-client-ca=/a"];
    let tls = settle(&secure).nodes().unwrap().unwrap().tls.unwrap();
    assert_eq!(tls.client_authorities, [PathBuf::from("/a")]);
}

#[test]
fn tesseras_are_named_by_url() {
    let flags =
        ["--ptm-p2p-listen=0.0.0.0:9001", "--ptm-peer=http://a:1,http://b:2", "--ptm-p2p-url=http://me:9001"];
    let (listen, options) = parse(&flags).settle().unwrap().managers().unwrap().unwrap();
    assert_eq!(listen.address.to_string(), "http://0.0.0.0:9001/");
    assert_eq!((options.url.as_str(), options.peers.len(), options.discovery), ("http://me:9001/", 2, true));
    let flags = ["--ptm-p2p-listen=127.0.0.1:9001", "--ptm-discovery=false"];
    let (_, options) = parse(&flags).settle().unwrap().managers().unwrap().unwrap();
    assert_eq!((options.url.as_str(), options.discovery), ("http://127.0.0.1:9001/", false));
}

#[test]
fn private_config_decides_where_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let ipc = folder.path().join("tm.ipc");
    let _listener = UnixListener::bind(&ipc).unwrap();
    let with = |flags: &[&str], value: &Path| parse(flags).or_private_config(Some(value)).unwrap();
    assert_eq!(with(&[], &ipc).socket, Some(ipc.clone()));
    assert_eq!(with(&[], Path::new("ignore")).mode, Some(PtmMode::Off));
    assert_eq!(with(&["--ptm=embedded"], Path::new("ignore")).mode, Some(PtmMode::Embedded));
    assert_eq!(with(&["--ptm-url=http://tm"], &ipc).socket, None);
    assert_eq!(with(&[], Path::new("")), PtmArgs::default());
    assert_eq!(parse(&[]).or_private_config(None).unwrap(), PtmArgs::default());
    let file = folder.path().join("tm.toml");
    let text = "httpUrl = \"https://tm:1\"\ntimeout = 7\ntlsMode = \"STRICT\"\ntlsRootCA = \"/a, /b\"\nhttpWriteBufferSize = 0\n";
    fs::write(&file, text).unwrap();
    let args = with(&["--ptm-timeout=8"], &file);
    assert_eq!((args.timeout, args.tls_mode), (Some(8), Some(TlsMode::Strict)));
    assert_eq!(args.tls_ca, Some(vec!["/a".into(), "/b".into()]));
    assert!(args.settle().is_ok());
    fs::write(&file, "socket = \"tm.ipc\"\nworkdir = \"/qdata\"\n").unwrap();
    assert_eq!(with(&[], &file).socket, Some("/qdata/tm.ipc".into()));
    let missing = parse(&[]).or_private_config(Some(&folder.path().join("none"))).unwrap_err();
    assert!(format!("{missing:#}").contains("PRIVATE_CONFIG"));
    for wrong in ["workdir = \"/x\"\n", "socke = \"x\"\n", "httpUrl = \"http://x\"\ntlsMode = \"maybe\"\n"] {
        fs::write(&file, wrong).unwrap();
        let error = parse(&[]).or_private_config(Some(&file)).unwrap_err();
        assert!(format!("{error:#}").contains("PRIVATE_CONFIG"), "{error:#}");
    }
}

#[test]
fn the_section_of_the_file_has_the_same_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lonja.toml");
    fs::write(&path, "p2p-port = 1\n[ptm]\nmode = \"embedded\"\nkeys = [\"/a\"]\noutbox = true\n").unwrap();
    let flags = NodeArgs { ptm: parse(&["--ptm-key=/b"]), ..NodeArgs::default() };
    let settings = flags.resolve(Some(&path)).unwrap().ptm;
    assert_eq!((settings.mode, settings.outbox), (PtmMode::Embedded, true));
    assert_eq!(settings.keys, [PathBuf::from("/b")]);
    fs::write(&path, "[ptm]\nurll = \"x\"\n").unwrap();
    let error = NodeArgs::default().resolve(Some(&path)).unwrap_err().to_string();
    assert!(error.contains("urll"), "{error}");
}
