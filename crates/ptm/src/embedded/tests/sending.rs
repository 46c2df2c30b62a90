//! Sends where nothing goes wrong that has not to be said.

use super::world::{Fault, Net, key, node, request, settings};
use crate::testing::key_pair;
use crate::wire::{Answer, Refusal, Request};
use crate::*;
use alloy_primitives::Bytes;
use lonja_storage::Table;

fn found(lookup: Lookup) -> PrivatePayload {
    match lookup {
        Lookup::Found(payload) => payload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_payload_is_at_its_parties_and_nowhere_else() {
    let net = Net::of(&[1, 2, 3, 4]);
    let sent = net.send(request(1, &[2, 3], b"payload")).unwrap();
    assert_eq!((sent.sender, &sent.managed_parties[..]), (key(1), &[key(1)][..]));
    for name in [1, 2, 3] {
        assert!(net.is_durable(name, &sent.hash));
        let payload = found(net.lookup(name, sent.hash));
        assert_eq!((&payload.payload[..], payload.sender), (&b"payload"[..], key(1)));
        assert_eq!(payload.managed_parties, [key(name)]);
        assert_eq!(payload.metadata, Metadata::default());
    }
    assert_eq!(net.lookup(4, sent.hash), Lookup::NotOurs);
    assert!(!net.has(4, &sent.hash));
    let (first, second) = (net.manager(1), net.manager(2));
    assert_eq!(net.wait(first.is_sender(sent.hash)), Ok(true));
    assert_eq!(net.wait(second.is_sender(sent.hash)), Ok(false));
    assert_eq!(net.wait(first.participants(sent.hash)), Ok(vec![key(2), key(3), key(1)]));
    assert_eq!(net.wait(second.participants(sent.hash)), Ok(vec![key(2)]), "nobody learns of the others");
    assert!(matches!(net.wait(second.mandatory(sent.hash)), Err(PtmError::BadRequest(_))));
    let stranger = net.wait(net.manager(4).participants(sent.hash));
    assert_eq!(stranger, Err(PtmError::NotFound(format!("Message with hash {} was not found", sent.hash))));
    // The same again from the disk.
    net.kill(2);
    net.start(2);
    assert_eq!(&found(net.lookup(2, sent.hash)).payload[..], b"payload");
}

#[test]
fn each_recipient_is_pushed_to_once_and_local_ones_not_at_all() {
    let net = Net::empty();
    net.add(1, &[1, 11], settings());
    net.add(2, &[2, 12], settings());
    net.connect();
    net.send(request(1, &[2], b"first")).unwrap();
    net.asked.lock().clear();
    let sent = net.send(request(1, &[11, 2, 12], b"payload")).unwrap();
    let pushes = net.asked.lock().iter().filter(|(to, _)| *to == 2).count();
    assert_eq!(pushes, 2, "{:?}", net.asked.lock());
    assert_eq!(sent.managed_parties, [key(11), key(1)]);
    let payload = found(net.lookup(2, sent.hash));
    let mut parties = payload.managed_parties;
    parties.sort_unstable();
    let mut expected = vec![key(2), key(12)];
    expected.sort_unstable();
    assert_eq!(parties, expected, "both copies came together");
    let alone = net.send(request(1, &[], b"for us")).unwrap();
    assert_eq!(found(net.lookup(1, alone.hash)).managed_parties, [key(1)]);
}

#[test]
fn stored_payloads_are_sent_by_name() {
    let net = Net::of(&[1, 2]);
    let first = net.manager(1);
    let hash = net.wait(first.store_raw(b"payload".into(), None)).unwrap();
    assert_eq!(net.lookup(1, hash), Lookup::NotOurs, "nobody has sent it");
    let raw = net.wait(first.raw_payload(hash)).unwrap();
    assert_eq!((&raw.payload[..], raw.sender), (&b"payload"[..], key(1)));
    let signed = |to: &[u8]| SendSigned {
        hash,
        to: to.iter().map(|seed| key(*seed)).collect(),
        metadata: Metadata::default(),
    };
    let sent = net.wait(first.send_signed(signed(&[2]))).unwrap();
    assert_eq!(sent.hash, hash);
    assert_eq!(&found(net.lookup(2, hash)).payload[..], b"payload");
    // Again, and to more.
    assert_eq!(net.wait(first.send_signed(signed(&[2]))), Ok(sent));
    net.add(3, &[3], settings());
    net.connect();
    assert!(net.wait(first.send_signed(signed(&[3]))).is_ok());
    assert_eq!(&found(net.lookup(3, hash)).payload[..], b"payload");
    assert_eq!(net.wait(first.participants(hash)).unwrap().len(), 3);
    let unknown = PayloadHash::from_data(b"unknown");
    let text = format!("Raw Transaction with hash {unknown} was not found");
    let refused = net.wait(first.send_signed(SendSigned { hash: unknown, ..signed(&[2]) }));
    assert_eq!(refused, Err(PtmError::NotFound(text)));
    let text = format!("Raw Message with hash {unknown} was not found");
    assert!(net.wait(first.raw_payload(unknown)).is_err_and(|error| error == PtmError::NotFound(text)));
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
    let net = Net::of(&[1, 2]);
    let asked = net.asked.lock().len();
    let send = |request: SendRequest| net.wait(net.manager(1).send(request)).unwrap_err();
    assert!(matches!(send(request(1, &[2], b"")), PtmError::BadRequest(_)));
    assert_eq!(send(request(3, &[2], b"x")), PtmError::UnknownSender(key(3)));
    assert_eq!(send(request(1, &[2, 9], b"x")), PtmError::UnknownRecipient(key(9)));
    let large = SendRequest { payload: vec![0; (10 << 20) + 1].into(), ..request(1, &[2], b"x") };
    assert!(matches!(send(large), PtmError::TooLarge { what: "payload bytes", .. }));
    let many = SendRequest {
        to: (0..300u32)
            .map(|number| PublicKey(alloy_primitives::keccak256(number.to_be_bytes()).0))
            .collect(),
        ..request(1, &[], b"x")
    };
    assert!(matches!(send(many), PtmError::TooLarge { what: "recipients", .. }));
    let group = Metadata { group: Some(b"nobody".into()), ..Metadata::default() };
    let in_group = SendRequest { metadata: group, ..request(1, &[], b"x") };
    assert!(matches!(send(in_group), PtmError::NotFound(_)));
    assert_eq!(net.asked.lock().len(), asked);
    assert_eq!(net.change(1, |member| member.kv.len(Table::Envelopes)), 0);
}

#[test]
fn large_payloads_pass() {
    let net = Net::of(&[1, 2]);
    let payload = vec![0xab; 10 << 20];
    net.change(1, |member| member.settings.answer_time = std::time::Duration::from_secs(20));
    let sent = net.send(request(1, &[2], &payload)).unwrap();
    assert_eq!(found(net.lookup(2, sent.hash)).payload, Bytes::from(payload));
}

#[test]
fn forwarding_keys_and_groups_are_recipients() {
    let net = Net::empty();
    net.add(1, &[1], Settings { always_send_to: vec![key(3)], ..settings() });
    net.add(2, &[2], settings());
    net.add(3, &[3], settings());
    net.connect();
    let sent = net.send(request(1, &[2], b"payload")).unwrap();
    assert!(net.is_durable(3, &sent.hash));
    let group = PrivacyGroup {
        name: "pair".into(),
        description: String::new(),
        members: vec![key(1), key(2)],
        seed: b"seed".into(),
        kind: GroupKind::Pantheon,
        deleted: false,
    };
    let id = group.id();
    net.wait(net.manager(1).put_group(group.clone())).unwrap();
    let metadata = Metadata { group: Some(id.clone()), ..Metadata::default() };
    // Who is named besides the group is passed over.
    let sent = net.send(SendRequest { metadata, ..request(1, &[3], b"payload") }).unwrap();
    assert_eq!(found(net.lookup(2, sent.hash)).metadata.group, Some(id.clone()));
    assert_eq!(net.manager(1).groups(), Ok(vec![group.clone()]));
    net.wait(net.manager(1).put_group(PrivacyGroup { deleted: true, ..group })).unwrap();
    let metadata = Metadata { group: Some(id), ..Metadata::default() };
    assert!(net.send(SendRequest { metadata, ..request(1, &[], b"payload") }).is_err());
}

fn protected(flag: u64, affected: Vec<PayloadHash>, mandatory: Vec<PublicKey>) -> Metadata {
    let exec_hash = if flag == 3 { Bytes::from_static(b"root") } else { Bytes::new() };
    Metadata { mode: PrivacyMode::from_flag(flag).unwrap(), affected, exec_hash, mandatory, group: None }
}

#[test]
fn protected_contracts_are_sent_to_by_their_participants_only() {
    let net = Net::of(&[1, 2, 3]);
    let with =
        |from: u8, to: &[u8], metadata: Metadata| SendRequest { metadata, ..request(from, to, b"payload") };
    for flag in [1, 2, 3] {
        let mandatory = if flag == 2 { vec![key(2)] } else { vec![] };
        let created = net.send(with(1, &[2], protected(flag, vec![], mandatory.clone()))).unwrap().hash;
        let call = protected(flag, vec![created], mandatory.clone());
        let sent = net.send(with(2, &[1], call.clone())).unwrap();
        assert_eq!(found(net.lookup(1, sent.hash)).metadata, call, "flag {flag}");
        // Somebody who does not have the creation cannot even name it.
        let stranger = net.send(with(3, &[1], call.clone())).unwrap_err();
        assert_eq!(stranger.status(), 403, "{stranger}");
        // One who was left out at the creation drops what calls it without a word, where states are validated.
        if flag == 3 {
            let refused = net.send(with(1, &[2, 3], call)).unwrap_err();
            assert!(refused.to_string().starts_with("Recipients mismatched"));
        } else if flag == 1 {
            let sent = net.send(with(1, &[2, 3], call)).unwrap();
            assert_eq!(found(net.lookup(3, sent.hash)).metadata.affected, [], "it vouches for nothing");
            assert_eq!(found(net.lookup(2, sent.hash)).metadata.affected, [created]);
        }
    }
    let mandatory = net.send(with(1, &[2], protected(2, vec![], vec![key(2)]))).unwrap().hash;
    assert_eq!(net.wait(net.manager(2).mandatory(mandatory)), Ok(vec![key(2)]));
}

#[test]
fn what_is_dropped_is_answered_like_what_is_kept() {
    let net = Net::of(&[1, 2, 3]);
    let standard = net.send(request(1, &[2], b"creation")).unwrap().hash;
    // Its sender has lost what it knew of the rules.
    let ring = Keyring::new(vec![key_pair(1)]).unwrap();
    let envelope = net.manager(1).envelope(&standard).unwrap().unwrap();
    let affected = [AffectedTransaction::open(&ring, &envelope).unwrap()];
    let metadata = protected(1, vec![], vec![]);
    let recipients = [key(2), key(1)];
    let addressing = Addressing { recipients: &recipients, metadata: &metadata, affected: &affected };
    let wrong = EncodedPayload::encrypt(&ring, key(1), b"payload", &addressing).unwrap();
    let copy = wrong.strip_for(&key(2)).unwrap();
    assert_eq!(net.wait(net.manager(2).receive(copy.clone())), Ok(wrong.hash()));
    assert!(!net.has(2, &wrong.hash()));
    let push = Request::push(5, &copy.encode(Codec::Cbor));
    let answer = Answer::decode(&net.wait(net.manager(2).handle(node(1), push))).unwrap();
    assert!(matches!(answer, Answer::Stored { hash, .. } if hash == wrong.hash()));
    assert!(!net.has(2, &wrong.hash()));
}

#[test]
fn what_nobody_here_opens_is_refused() {
    let net = Net::of(&[1, 2, 3]);
    let foreign = testing::envelope_between(9, &[8], b"payload");
    let copy = foreign.strip_for(&key(8)).unwrap();
    assert_eq!(net.wait(net.manager(2).receive(copy.clone())), Err(PtmError::NoKey(foreign.hash())));
    let mut broken = testing::envelope_between(9, &[2], b"payload").strip_for(&key(2)).unwrap();
    broken.cipher_text_nonce[0] ^= 1;
    assert!(matches!(net.wait(net.manager(2).receive(broken)), Err(PtmError::NoKey(_))));
    let push = Request::push(5, &copy.encode(Codec::Cbor));
    let answer = Answer::decode(&net.wait(net.manager(2).handle(node(1), push))).unwrap();
    assert!(matches!(answer, Answer::Refused(Refusal::NotHeld, _)));
    assert_eq!(net.change(2, |member| member.kv.len(Table::Envelopes)), 0);
}

#[test]
fn a_missing_key_is_never_taken_for_somebody_elses_payload() {
    let net = Net::of(&[1, 2]);
    let sent = net.send(request(1, &[2], b"payload")).unwrap();
    net.kill(2);
    net.change(2, |member| member.seeds = vec![22]);
    net.start(2);
    let Lookup::Unavailable(reason) = net.lookup(2, sent.hash) else { panic!() };
    assert!(reason.contains(&key(2).to_string()), "{reason}");
    net.kill(2);
    net.change(2, |member| member.seeds = vec![2]);
    net.start(2);
    found(net.lookup(2, sent.hash));
    net.kill(2);
    net.change(2, |member| {
        let mut batch = lonja_storage::Batch::default();
        batch.put(Table::Envelopes, sent.hash.as_slice(), [1, 2, 3]);
        lonja_storage::Kv::write(&member.kv, batch).unwrap();
    });
    net.start(2);
    let Lookup::Unavailable(reason) = net.lookup(2, sent.hash) else { panic!() };
    assert!(reason.contains("damaged"), "{reason}");
}

#[test]
fn erased_payloads_stay_erased() {
    let net = Net::of(&[1, 2]);
    let sent = net.send(request(1, &[2], b"payload")).unwrap();
    let copy = net.manager(2).envelope(&sent.hash).unwrap().unwrap();
    found(net.lookup(2, sent.hash));
    assert_eq!(net.wait(net.manager(2).erase(sent.hash)), Ok(()));
    assert_eq!(net.lookup(2, sent.hash), Lookup::Erased);
    assert_eq!(net.wait(net.manager(2).receive(copy)), Err(PtmError::Erased(sent.hash)));
    net.kill(2);
    net.start(2);
    assert_eq!(net.lookup(2, sent.hash), Lookup::Erased);
    let none = net.wait(net.manager(2).erase(sent.hash));
    assert!(matches!(none, Err(PtmError::NotFound(_))));
    assert_eq!(net.lookup(2, PayloadHash::from_data(b"unknown")), Lookup::NotOurs);
    found(net.lookup(1, sent.hash));
}

#[test]
fn arrivals_are_told_in_order_and_again_until_they_are_done() {
    let net = Net::of(&[1, 2]);
    let mut arrivals = net.manager(2).arrivals();
    assert_eq!(arrivals.take(9), Ok(vec![]));
    let hashes: Vec<_> = (0..3u8).map(|number| net.send(request(1, &[2], &[number])).unwrap().hash).collect();
    let stored: Vec<_> = hashes.iter().map(|hash| Arrival::Stored(*hash)).collect();
    assert!(net.wait(arrivals.wait(std::time::Duration::from_secs(5))));
    assert_eq!(arrivals.take(2).unwrap(), stored[..2]);
    assert!(net.wait(arrivals.wait(std::time::Duration::from_secs(5))), "there is more");
    arrivals.done();
    assert_eq!(arrivals.take(2).unwrap(), stored[2..]);
    net.wait(net.manager(2).erase(hashes[0])).unwrap();
    net.kill(2);
    net.start(2);
    let mut again = net.manager(2).arrivals();
    assert_eq!(again.take(9).unwrap(), [stored[2], Arrival::Erased(hashes[0])]);
    again.done();
    assert_eq!(again.take(9), Ok(vec![]));
    assert!(!net.wait(again.wait(std::time::Duration::from_millis(20))));
}

#[test]
fn nobody_says_what_we_sent() {
    let net = Net::of(&[1, 2]);
    // 2 can make a box between 1 and itself, and so an envelope that 1 seems to have sent.
    let shared = key_pair(2).shared_key(&key(1)).unwrap();
    let mut forged = testing::envelope_between(2, &[1], b"payload");
    let master = forged.first_master_key(&Keyring::new(vec![key_pair(2)]).unwrap()).unwrap();
    forged.boxes = vec![shared.seal_key(&forged.recipient_nonce, &master)];
    (forged.sender, forged.recipients) = (key(1), vec![key(2)]);
    let push = Request::push(5, &forged.encode(Codec::Cbor));
    let answer = Answer::decode(&net.wait(net.manager(1).handle(node(2), push))).unwrap();
    assert!(matches!(answer, Answer::Refused(Refusal::Rule, _)), "{answer:?}");
    assert!(!net.has(1, &forged.hash()));
    // Asked for it is the only way to get back what was lost.
    let sent = net.send(request(1, &[2], b"payload")).unwrap();
    let copy = net.manager(2).envelope(&sent.hash).unwrap().unwrap();
    net.change(1, |member| member.kv = lonja_storage::MemoryKv::new());
    net.kill(1);
    net.start(1);
    assert_eq!(net.lookup(1, sent.hash), Lookup::NotOurs);
    assert_eq!(net.wait(net.manager(1).receive(copy)), Ok(sent.hash));
    let payload = found(net.lookup(1, sent.hash));
    assert_eq!((payload.sender, payload.managed_parties), (key(1), vec![key(1)]));
    assert_eq!(net.wait(net.manager(1).is_sender(sent.hash)), Ok(true));
}

#[test]
fn who_stops_listening_does_not_stop_a_send() {
    let net = Net::of(&[1, 2]);
    let manager = net.manager(1);
    net.plan([Fault::Delay(50)]);
    let hash = net.wait(manager.store_raw(b"payload".into(), None)).unwrap();
    let signed = SendSigned { hash, to: vec![key(2)], metadata: Metadata::default() };
    net.wait(async {
        let send = manager.send_signed(signed);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(10), send).await.is_err());
    });
    net.wait_until("the payload is there", || net.has(2, &hash) && net.has(1, &hash));
}

#[test]
fn envelopes_are_read_in_pages_by_their_parties() {
    let net = Net::of(&[1, 2, 3]);
    for number in 0..5u8 {
        net.send(request(1, if number % 2 == 0 { &[2] } else { &[3] }, &[number])).unwrap();
    }
    let manager = net.manager(1);
    let (first, cursor) = manager.concerning(&key(2), 0, 2).unwrap();
    let (second, end) = manager.concerning(&key(2), cursor.unwrap(), 2).unwrap();
    assert_eq!((first.len(), second.len(), end), (2, 1, None));
    assert!(first.iter().chain(&second).all(|envelope| envelope.recipients.contains(&key(2))));
    assert_eq!(manager.concerning(&key(1), 0, 99).unwrap().0.len(), 5);
    assert_eq!(manager.concerning(&key(9), 0, 99).unwrap().0.len(), 0);
}

#[test]
fn encrypting_and_decrypting_store_nothing() {
    let net = Net::of(&[1, 2]);
    let envelope = net.wait(net.manager(1).encrypt(request(1, &[2], b"payload"))).unwrap();
    let payload = net.wait(net.manager(2).decrypt(envelope.clone())).unwrap();
    assert_eq!((&payload.payload[..], payload.managed_parties), (&b"payload"[..], vec![key(2)]));
    assert!(!net.has(1, &envelope.hash()) && !net.has(2, &envelope.hash()));
    let foreign = testing::envelope_between(9, &[8], b"payload");
    let refused = net.wait(net.manager(1).decrypt(foreign.clone())).err();
    assert_eq!(refused, Some(PtmError::NoKey(foreign.hash())));
}
