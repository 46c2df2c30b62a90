//! Managers that find each other and push to each other.

use super::*;
use crate::codec::negotiation::VERSIONS;
use crate::tessera::testing::generous;
use crate::tessera::tls::tests::Authority;
use crate::tessera::tls::{TlsClientOptions, TlsServerOptions};
use crate::tessera::world::{Bound, MODES, Member, Plan, free_url, meet, of_mode, two};
use crate::{
    Codec, GroupKind, Lookup, Metadata, PartyInfo, PayloadHash, PeerVersions, PrivacyMode,
    PrivateTransactionManager, PtmError, SendRequest, Settings,
};
use serde_json::json;

fn octets(versions: &str) -> [(&str, &str); 2] {
    [("content-type", "application/octet-stream"), (VERSIONS_HEADER, versions)]
}

async fn announce(to: &Member, url: &PeerUrl, keys: &[PublicKey], parties: &[PeerUrl]) -> Answer {
    let recipients = keys.iter().map(|key| (*key, url.clone())).collect();
    let info = PartyInfo { url: url.clone(), recipients, parties: parties.to_vec() };
    to.ask().ask("POST", "/partyinfo", &octets(VERSIONS), info.encode()).await
}

#[tokio::test]
async fn payloads_of_all_modes_go_both_ways_in_both_encodings() {
    for cbor in [true, false] {
        let first = Plan::new(1, &[]).start().await;
        let mut plan = Plan::new(2, &[&first]);
        plan.options.cbor = cbor;
        let second = plan.start().await;
        meet(&[&second, &first]).await;
        assert_eq!(first.peers.lines.table.lock().versions(&second.url()).cbor, cbor);
        for (from, to) in [(&first, &second), (&second, &first)] {
            for mode in MODES {
                let created = from.send(b"create", &[to], of_mode(mode, &[to.key()])).await.unwrap().hash;
                let metadata = Metadata { affected: vec![created], ..of_mode(mode, &[to.key()]) };
                let called = from.send(b"call", &[to], metadata.clone()).await.unwrap().hash;
                let Lookup::Found(found) = to.manager.lookup(called).await else { panic!("{mode:?}") };
                // The security hash convinced the recipient: otherwise the contract would be left out.
                assert_eq!((found.payload, found.metadata), (b"call".into(), metadata));
                assert_eq!((found.sender, found.managed_parties), (from.key(), vec![to.key()]));
            }
        }
    }
}

#[tokio::test]
async fn several_keys_and_several_managers() {
    let first = Plan::new(1, &[]).start().await;
    let mut plan = Plan::new(2, &[&first]);
    plan.secrets.push([3; 32]);
    let second = plan.start().await;
    let third = Plan::new(4, &[&first]).start().await;
    meet(&[&second, &third, &first]).await;
    let both = second.manager.keyring().keys().to_vec();
    let to = vec![both[0], both[1], third.key(), first.key()];
    let request = SendRequest { payload: b"x".into(), from: None, to, metadata: Metadata::default() };
    let sent = first.manager.send(request).await.unwrap();
    assert_eq!(sent.managed_parties, [first.key()]);
    for member in [&first, &second, &third] {
        assert!(member.has(sent.hash, b"x").await);
    }
    let Lookup::Found(found) = second.manager.lookup(sent.hash).await else { panic!() };
    assert_eq!(found.managed_parties.len(), 2);
    // To oneself alone: nobody else hears of it.
    let own = first.send(b"own", &[], Metadata::default()).await.unwrap().hash;
    assert_eq!(second.manager.lookup(own).await, Lookup::NotOurs);
}

#[tokio::test]
async fn managers_are_found_through_others() {
    let hub = Plan::new(1, &[]).start().await;
    let (one, two) = (Plan::new(2, &[&hub]).start().await, Plan::new(3, &[&hub]).start().await);
    meet(&[&one, &two, &hub]).await;
    assert_eq!(one.peers.lines.table.lock().place(&two.key()), Some(two.url()));
    let hash = one.send(b"x", &[&two], Metadata::default()).await.unwrap().hash;
    assert!(two.has(hash, b"x").await);
    let known = one.manager.known_keys();
    assert!([&hub, &two].iter().all(|member| known.contains(&member.key())));
    let told = one.ask().get("/partyinfo").await.body_json();
    assert_eq!(told["url"], one.url().as_str());
    assert_eq!(told["peers"].as_array().unwrap().len(), 3);
    assert!(
        told["keys"]
            .as_array()
            .unwrap()
            .contains(&json!({"key": two.key().to_string(), "url": two.url().as_str()}))
    );
}

#[tokio::test]
async fn failures_are_told_as_tessera_tells_them() {
    let (first, second) = two().await;
    let stranger = PublicKey([9; 32]);
    let q2t = crate::tessera::testing::Asker::of(&first.q2t);
    let send = |to: PublicKey, flag: u8| {
        let body = json!({"payload": "YQ==", "to": [to.to_string()], "privacyFlag": flag}).to_string();
        q2t.post("/send", "application/vnd.tessera-2.1+json", body)
    };
    let unknown = send(stranger, 0).await;
    assert_eq!(
        (unknown.status, unknown.body_text()),
        (404, &*format!("Recipient not found for key: {stranger}"))
    );

    // It answers, and does not want it.
    let mut plan = Plan::new(3, &[&first]);
    plan.settings = Settings::default();
    let plain = plan.start().await;
    meet(&[&plain]).await;
    let refused = send(plain.key(), 1).await;
    assert_eq!(refused.status, 500);
    assert!(
        refused.body_text().contains(&format!("Unable to push payload to recipient url {}", plain.url()))
    );

    // It does not say that it knows the modes.
    let old = free_url("http");
    first.peers.heard(PartyInfo::of(old.clone()), PeerVersions::default()).await;
    first.peers.lines.table.lock().announced(&old, vec![stranger], PeerVersions::default());
    first.manager.learn_url(&old, &[stranger]);
    let too_old = send(stranger, 1).await;
    assert_eq!(too_old.status, 403);
    assert!(too_old.body_text().contains(&format!("not currently supported on recipient {stranger}")));

    let (key, url) = (second.key(), second.url());
    second.p2p.stop().await;
    let away = send(key, 0).await;
    assert_eq!((away.status, away.body.len()), (410, 0));
    assert!(away.text().contains(url.as_str()) && away.text().contains(&key.to_string()));
    assert!(first.manager.concerning(&key, 0, 9).unwrap().0.is_empty(), "a failed send leaves no row");
}

#[tokio::test]
async fn strangers_are_heard_unless_discovery_is_off() {
    let first = Plan::new(1, &[]).start().await;
    let mut plan = Plan::new(2, &[&first]);
    plan.options.discovery = false;
    let closed = plan.start().await;
    let third = Plan::new(3, &[]).start().await;
    let refused = announce(&closed, &third.url(), &[third.key()], &[]).await;
    assert_eq!(
        (refused.status, refused.body_text()),
        (403, &*format!("Peer {} not found in known peer list", third.url()))
    );
    assert_eq!(announce(&closed, &first.url(), &[first.key()], &[third.url()]).await.status, 200);
    assert_eq!(closed.peers.lines.table.lock().urls(), [first.url()]);
    assert_eq!(announce(&first, &third.url(), &[third.key()], &[]).await.status, 200);
    assert_eq!(first.peers.lines.table.lock().urls(), [third.url()]);
}

#[tokio::test]
async fn keys_are_shown_to_be_held() {
    let (first, second) = two().await;
    let mallory = Plan::new(3, &[]).start().await;
    // Its own key and another's: its own is believed.
    let claimed = [mallory.key(), second.key()];
    let heard = announce(&first, &mallory.url(), &claimed, &[]).await;
    assert_eq!((heard.status, heard.body.len()), (200, 0));
    assert_eq!(first.peers.lines.table.lock().place(&mallory.key()), Some(mallory.url()));
    assert_eq!(first.peers.lines.table.lock().place(&second.key()), Some(second.url()));
    // None of its own, another's URL, or nobody there.
    for (url, key) in [
        (mallory.url(), second.key()),
        (second.url(), mallory.key()),
        (free_url("http"), mallory.key()),
        (mallory.url(), PublicKey([0; 32])),
    ] {
        let refused = announce(&first, &url, &[key], &[]).await;
        assert_eq!((refused.status, refused.body.len()), (500, 0));
    }
    assert_eq!(first.peers.lines.table.lock().place(&second.key()), Some(second.url()));
    // Nobody speaks for us.
    assert_eq!(announce(&first, &first.url(), &[mallory.key()], &[]).await.status, 200);
    assert_eq!(announce(&first, &mallory.url(), &[mallory.key(), first.key()], &[]).await.status, 200);
    assert_eq!(first.manager.known_keys()[0], first.key());
    let own = first.send(b"own", &[&first], Metadata::default()).await.unwrap();
    assert!(first.has(own.hash, b"own").await);
}

#[tokio::test]
async fn whoever_leaves_a_riddle_unanswered_gets_no_more_of_them() {
    let first = Plan::new(1, &[]).start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: PeerUrl = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let keys: Vec<_> = (1..=60).map(|n| PublicKey([n; 32])).collect();
    assert_eq!(announce(&first, &url, &keys, &[]).await.status, 500);
    let asked = asked.load(std::sync::atomic::Ordering::SeqCst);
    assert!((1..=validation::TO_ONE_AT_ONCE).contains(&asked), "{asked}");
}

#[tokio::test]
async fn announcements_that_wait_for_others_leave_room() {
    let (first, second) = two().await;
    let third = Plan::new(3, &[]).start().await;
    let places = u32::try_from(validation::HEARINGS_AT_ONCE).unwrap();
    let taken = first.peers.hearings.try_acquire_many(places).unwrap();
    let refused = announce(&first, &third.url(), &[third.key()], &[]).await;
    assert_eq!(refused.status, 503);
    assert_eq!(first.peers.lines.table.lock().place(&third.key()), None);
    // Those who have shown their keys need no hearing.
    assert_eq!(announce(&first, &second.url(), &[second.key()], &[]).await.status, 200);
    drop(taken);
    assert_eq!(announce(&first, &third.url(), &[third.key()], &[]).await.status, 200);
    assert_eq!(first.peers.lines.table.lock().place(&third.key()), Some(third.url()));
}

#[tokio::test]
async fn without_validation_everything_is_believed() {
    let mut plan = Plan::new(1, &[]);
    plan.options.validate_keys = false;
    let first = plan.start().await;
    let url = free_url("http");
    let heard = announce(&first, &url, &[PublicKey([7; 32])], &[]).await;
    assert_eq!(heard.status, 200);
    assert_eq!(PartyInfo::decode(&heard.body.into()), Ok(PartyInfo::of(first.url())));
    assert_eq!(first.peers.lines.table.lock().place(&PublicKey([7; 32])), Some(url));
}

#[tokio::test]
async fn vectors_of_party_infos_are_heard() {
    for vector in crate::testing::vectors!("party_info.json") {
        let mut plan = Plan::new(1, &[]);
        plan.options.validate_keys = false;
        let first = plan.start().await;
        let body = crate::testing::bytes(&vector, "encodedHex");
        let heard = first.ask().ask("POST", "/partyinfo", &octets(VERSIONS), body.0.clone()).await;
        assert_eq!(heard.status, 200);
        let info = PartyInfo::decode(&body).unwrap();
        let table = first.peers.lines.table.lock();
        assert!(info.own_keys().all(|key| table.place(&key) == Some(info.url.clone())));
        assert!(info.parties.iter().all(|party| table.urls().contains(party)));
    }
}

#[tokio::test]
async fn vectors_of_negotiation_say_how_a_push_is_read() {
    let (first, second) = two().await;
    for vector in crate::testing::vectors!("codec_negotiation.json") {
        let hash = second.send(b"x", &[&first], Metadata::default()).await.unwrap().hash;
        let copy = second.manager.envelope(&hash).unwrap().unwrap().strip_for(&first.key()).unwrap();
        let media = ("content-type", "application/octet-stream");
        let versions = vector[VERSIONS_HEADER].as_str();
        let headers: Vec<_> =
            [media].into_iter().chain(versions.map(|text| (VERSIONS_HEADER, text))).collect();
        for (codec, name) in [(Codec::Cbor, "CBOR"), (Codec::Legacy, "LEGACY")] {
            let answer = first.ask().ask("POST", "/push", &headers, copy.encode(codec)).await;
            let expected = if vector["codec"] == name { 201 } else { 500 };
            assert_eq!(answer.status, expected, "{vector} {name}");
        }
    }
}

#[tokio::test]
async fn only_hosts_of_configured_managers_come_in() {
    let mut plan = Plan::new(1, &[]);
    plan.options.only_configured_hosts = true;
    plan.options.peers = vec!["http://192.0.2.7:9001".parse().unwrap()];
    plan.options.interval = Duration::from_millis(20);
    let closed = plan.start().await;
    closed.peers.round().await;
    for path in ["/upcheck", "/partyinfo"] {
        assert_eq!(closed.ask().get(path).await.status, 401);
    }
    let mut plan = Plan::new(1, &[]);
    plan.options.only_configured_hosts = true;
    plan.options.peers = vec!["http://localhost".parse().unwrap()];
    plan.options.interval = Duration::from_millis(20);
    let open = plan.start().await;
    assert_eq!(open.ask().get("/upcheck").await.status, 401, "nobody before names are looked up");
    open.peers.round().await;
    assert_eq!(open.ask().get("/upcheck").await.status, 200);
}

#[tokio::test]
async fn misuse_between_managers() {
    let (first, second) = two().await;
    let ask = first.ask();
    let sent = second.send(b"x", &[&first], Metadata::default()).await.unwrap().hash;
    let envelope = second.manager.envelope(&sent).unwrap().unwrap().strip_for(&first.key()).unwrap();
    let push = async |versions: &str, body: Vec<u8>| {
        let answer = ask.ask("POST", "/push", &octets(versions), body).await;
        (answer.status, answer.body_text().to_string())
    };
    // The header says how to read it; without one it is the legacy encoding.
    let (cbor, legacy) = (envelope.encode(Codec::Cbor), envelope.encode(Codec::Legacy));
    for (versions, body, status) in [
        (VERSIONS, &cbor, 201),
        ("5.0", &cbor, 201),
        ("v1,v2", &legacy, 201),
        ("", &legacy, 201),
        ("v1, 5.0", &legacy, 201),
        (VERSIONS, &legacy, 500),
        ("v1", &cbor, 500),
    ] {
        let answer = push(versions, body.clone()).await;
        assert_eq!(answer.0, status, "{versions}");
        assert!(status != 201 || answer.1 == sent.to_string());
    }
    assert_eq!(push(VERSIONS, Vec::new()).await.0, 500);
    // What we sent comes back only when we ask.
    let own = first.send(b"own", &[&second], Metadata::default()).await.unwrap().hash;
    let own = first.manager.envelope(&own).unwrap().unwrap().strip_for(&second.key()).unwrap();
    assert_eq!(push("", own.encode(Codec::Legacy)).await.0, 403);
    // A payload for somebody else.
    let other = crate::EncodedPayload { recipients: vec![PublicKey([5; 32])], ..envelope };
    assert_eq!(push("", other.encode(Codec::Legacy)).await.0, 500);

    for (method, path, media, status) in [
        ("POST", "/push", "text/plain", 500),
        ("POST", "/partyinfo", "application/json", 500),
        ("POST", "/partyinfo", "application/octet-stream", 500),
        ("POST", "/partyinfo/validate", "application/octet-stream", 400),
        ("POST", "/resend", "application/json", 400),
        ("POST", "/resendBatch", "application/json", 400),
        ("POST", "/pushBatch", "application/json", 404),
        ("POST", "/pushPrivacyGroup", "application/octet-stream", 500),
        ("GET", "/push", "", 500),
        ("DELETE", "/partyinfo", "", 500),
        ("GET", "/keys", "", 404),
        ("POST", "/send", "application/json", 404),
    ] {
        assert_eq!(
            ask.ask(method, path, &[("content-type", media)], "").await.status,
            status,
            "{path} {media}"
        );
    }
    let large = vec![0; 5 << 20];
    assert_eq!(ask.ask("POST", "/partyinfo", &octets(""), large.clone()).await.status, 413);
    assert_eq!(ask.ask("POST", "/resend", &[("content-type", "application/json")], large).await.status, 413);
    // A riddle gives away nothing but a UUID.
    let copy = second.manager.envelope(&sent).unwrap().unwrap().strip_for(&first.key()).unwrap();
    let answer = ask.ask("POST", "/partyinfo/validate", &octets(""), copy.encode(Codec::Legacy)).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn groups_reach_their_members() {
    let (first, second) = two().await;
    let q2t = crate::tessera::testing::Asker::of(&first.q2t);
    let media = "application/json";
    let members = json!([first.key().to_string(), second.key().to_string()]);
    let create = json!({"addresses": members, "name": "n", "description": "d"}).to_string();
    let made = q2t.post("/createPrivacyGroup", media, create.clone()).await;
    assert_eq!(made.status, 200);
    let (group, id) = (made.body_json(), made.body_json()["privacyGroupId"].clone());
    assert_eq!(
        (&group["type"], &group["members"], &group["name"]),
        (&json!("PANTHEON"), &members, &json!("n"))
    );
    let kept = second.manager.groups().unwrap();
    assert!(kept.len() == 1 && crate::base64::encode(&kept[0].id()) == id.as_str().unwrap());
    // Another one of the same members is another one.
    assert_ne!(q2t.post("/createPrivacyGroup", media, create).await.body_json()["privacyGroupId"], id);

    let reversed = json!({"addresses": [second.key().to_string(), first.key().to_string()]}).to_string();
    let found = q2t.post("/findPrivacyGroup", media, reversed).await.body_json();
    assert!(found.as_array().unwrap().len() == 2 && found.as_array().unwrap().contains(&group));
    let alone = json!({"addresses": [first.key().to_string()]}).to_string();
    assert_eq!(q2t.post("/findPrivacyGroup", media, alone).await.body_json(), json!([]));
    let by_id = json!({"privacyGroupId": id}).to_string();
    assert_eq!(q2t.post("/retrievePrivacyGroup", media, by_id.clone()).await.body_json(), group);
    assert_eq!(q2t.get("/groups/pantheon").await.body_json().as_array().unwrap().len(), 2);
    assert_eq!(q2t.get("/groups/legacy").await.body_json(), json!([]));

    let send = json!({"payload": "YQ==", "privacyGroupId": id}).to_string();
    let sent = q2t.post("/send", "application/vnd.tessera-3.0+json", send).await;
    let hash: PayloadHash = sent.body_json()["key"].as_str().unwrap().parse().unwrap();
    assert!(second.has(hash, b"a").await);
    let read = format!("/transaction/{}", crate::path::hash_to_path(&hash));
    assert_eq!(q2t.get(&read).await.body_json()["privacyGroupId"], id);

    let stranger = json!({"privacyGroupId": id, "from": second.key().to_string()}).to_string();
    assert_eq!(q2t.post("/deletePrivacyGroup", media, stranger).await.status, 404);
    assert_eq!(q2t.post("/deletePrivacyGroup", media, by_id.clone()).await.body_json(), id);
    assert_eq!(q2t.post("/retrievePrivacyGroup", media, by_id).await.status, 404);
    assert!(second.manager.groups().unwrap().iter().any(|group| group.deleted));
    for (addresses, status) in
        [(json!([second.key().to_string()]), 403), (json!([]), 400), (json!(["%"]), 500)]
    {
        let body = json!({"addresses": addresses}).to_string();
        assert_eq!(q2t.post("/createPrivacyGroup", media, body).await.status, status);
    }
    let unknown = json!({"addresses": [first.key().to_string(), PublicKey([9; 32]).to_string()]}).to_string();
    assert_eq!(q2t.post("/createPrivacyGroup", media, unknown).await.status, 404);
    // Tenants, and groups of others, are not pushed.
    let mut foreign = kept[0].clone();
    (foreign.kind, foreign.seed) = (GroupKind::Resident, Default::default());
    let refused = first.ask().ask("POST", "/pushPrivacyGroup", &octets(""), foreign.encode()).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn groups_do_not_go_to_urls_for_keys_that_are_bound_to_nodes() {
    let (first, second) = two().await;
    first.manager.set_network_rules(Arc::new(Bound(second.key())));
    let q2t = crate::tessera::testing::Asker::of(&first.q2t);
    let create = json!({"addresses": [first.key().to_string(), second.key().to_string()]}).to_string();
    assert_eq!(q2t.post("/createPrivacyGroup", "application/json", create).await.status, 404);
    assert!(first.manager.groups().unwrap().is_empty() && second.manager.groups().unwrap().is_empty());
}

#[tokio::test]
async fn with_certificates_on_both_sides() {
    let authority = Authority::new();
    let secure = |secret, peers: &[&Member], name: &str| {
        let identity = authority.identity_in(name, "127.0.0.1");
        let mut plan = Plan::new(secret, peers);
        plan.options.url = free_url("https");
        plan.options.tls = TlsClientOptions { identity: Some(identity.clone()), ..authority.trusting() };
        plan.tls = Some(TlsServerOptions { identity, client_authorities: vec![authority.file()] });
        plan
    };
    let first = secure(1, &[], "first").start().await;
    let second = secure(2, &[&first], "second").start().await;
    meet(&[&second, &first]).await;
    let hash = first.send(b"x", &[&second], Metadata::default()).await.unwrap().hash;
    assert!(second.has(hash, b"x").await);
    // Who has no certificate does not come in.
    let mut stranger = Plan::new(3, &[&first]);
    stranger.options.tls = authority.trusting();
    let stranger = stranger.start().await;
    meet(&[&stranger]).await;
    assert_eq!(first.peers.lines.table.lock().place(&stranger.key()), None);
    let http = HttpClient::new(generous(), &authority.trusting()).unwrap();
    let request = Request::get(first.url().endpoint("/upcheck")).body(Full::default()).unwrap();
    assert!(http.ask(request, 100).await.is_err());
}

#[tokio::test]
async fn rounds_go_on_until_told_to_stop() {
    let first = Plan::new(1, &[]).start().await;
    let mut plan = Plan::new(2, &[&first]);
    plan.options.interval = Duration::from_millis(20);
    let second = plan.start().await;
    let (stop, peers) = (tokio_util::sync::CancellationToken::new(), second.peers.clone());
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { peers.run(stop).await }
    });
    while first.peers.lines.table.lock().place(&second.key()).is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    task.await.unwrap();
    assert!(matches!(
        first.send(b"x", &[&second], of_mode(PrivacyMode::Standard, &[])).await,
        Ok(_) | Err(PtmError::Unreachable { .. })
    ));
}
