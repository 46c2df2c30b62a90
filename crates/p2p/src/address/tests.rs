use super::*;
use lonja_primitives::NodeKey;
use proptest::prelude::*;

fn id() -> NodeId {
    let mut bytes = [0u8; 32];
    bytes[31] = 3;
    NodeKey::from_bytes(&bytes).unwrap().node_id()
}

fn enode(rest: &str) -> Result<PeerAddress, AddressError> {
    format!("enode://{}@{rest}", id()).parse()
}

fn multiaddr(front: &str) -> Result<PeerAddress, AddressError> {
    format!("{front}/p2p/{}", identity::peer_id_text(&id()).unwrap()).parse()
}

#[test]
fn enodes_are_read_and_printed() {
    for (rest, host, port) in [
        ("127.0.0.1:30303", Host::Ip([127, 0, 0, 1].into()), 30303),
        ("[2001:db8::1]:1", Host::Ip("2001:db8::1".parse().unwrap()), 1),
        ("validator-1.example.org:65535", Host::Name("validator-1.example.org".into()), 65535),
        ("node_2:30303", Host::Name("node_2".into()), 30303),
    ] {
        let address = enode(rest).unwrap();
        assert_eq!((address.host(), address.port()), (&host, port));
        assert_eq!(address.node_id(), id());
        assert_eq!(address.transport(), Transport::TcpThenQuic);
        assert_eq!(address.to_string(), format!("enode://{}@{rest}", id()));
    }
    assert_eq!(enode("10.0.0.1:7?discport=0&raftport=50400"), enode("10.0.0.1:7"));
}

#[test]
fn multiaddrs_are_read() {
    assert_eq!(multiaddr("/ip4/10.0.0.1/tcp/7"), enode("10.0.0.1:7"));
    assert_eq!(multiaddr("/ip6/::1/tcp/7"), enode("[::1]:7"));
    for kind in ["dns", "dns4", "dns6"] {
        assert_eq!(multiaddr(&format!("/{kind}/a.example/tcp/7")), enode("a.example:7"));
    }
    let quic = multiaddr("/dns4/a.example/udp/7/quic-v1").unwrap();
    assert_eq!(quic.transport(), Transport::Quic);
    assert_eq!(quic.to_string().parse(), Ok(quic));
}

#[test]
fn what_is_wrong_is_said() {
    let bad = |text: &str| text.parse::<PeerAddress>().unwrap_err();
    assert_eq!(bad("127.0.0.1:30303"), AddressError::UnknownForm);
    assert_eq!(bad("enode://abcd@127.0.0.1:30303"), AddressError::BadNodeId);
    assert_eq!(bad(&format!("enode://{}@1.2.3.4:1", "ff".repeat(64))), AddressError::BadNodeId);
    assert_eq!(bad(&format!("enode://{}", id())), AddressError::NoHost);
    assert_eq!(enode("127.0.0.1"), Err(AddressError::BadPort(String::new())));
    assert_eq!(enode("127.0.0.1:0"), Err(AddressError::BadPort("0".into())));
    assert_eq!(enode("127.0.0.1:65536"), Err(AddressError::BadPort("65536".into())));
    for host in ["", "::1", "[::1", "256.1.1.1", "a b", "a..b", "ex/ample"] {
        assert_eq!(enode(&format!("{host}:5")), Err(AddressError::BadHost(host.into())), "{host}");
    }
    assert_eq!(enode("a:5?x=1"), Err(AddressError::BadQuery("x=1".into())));
    assert_eq!(bad("/ip4/1.2.3.4/tcp/5"), AddressError::NoPeerId);
    assert!(matches!(bad("/ip4/1.2.3/tcp/5"), AddressError::BadMultiaddr(_)));
    assert!(matches!(multiaddr("/ip4/1.2.3.4/udp/5"), Err(AddressError::UnsupportedMultiaddr(_))));
    assert!(matches!(multiaddr("/ip4/1.2.3.4/tcp/5/ws"), Err(AddressError::UnsupportedMultiaddr(_))));
    assert!(matches!(multiaddr("/dnsaddr/a.example"), Err(AddressError::UnsupportedMultiaddr(_))));
    let ed25519 = libp2p::identity::Keypair::generate_ed25519().public().to_peer_id();
    assert_eq!(bad(&format!("/ip4/1.2.3.4/tcp/5/p2p/{ed25519}")), AddressError::BadPeerId);
}

proptest! {
    #[test]
    fn any_text_parses_or_fails_without_panic(text in "(enode://)?[ -~é]{0,80}", path in "(/[a-z0-9:.]{0,8}){0,8}") {
        let _ = text.parse::<PeerAddress>();
        let _ = enode(&text);
        let _ = path.parse::<PeerAddress>();
    }

    #[test]
    fn what_parses_prints_and_parses_again(host in "[a-z0-9.:\\[\\]-]{1,20}", port in 0u16..) {
        if let Ok(address) = enode(&format!("{host}:{port}")) {
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }
    }
}
