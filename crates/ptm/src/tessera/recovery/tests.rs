//! Giving payloads again, and getting all of them back.

use super::*;
use crate::tessera::world::{Bound, MODES, Member, Plan, meet, of_mode, two};
use crate::{EncodedPayload, Lookup, Metadata, PayloadHash, PrivacyMode, PrivateTransactionManager};
use std::sync::Arc;

const MEDIA: [(&str, &str); 1] = [("content-type", "application/json")];

fn of_hash(kind: &str, key: PublicKey, hash: &str) -> String {
    json!({"type": kind, "publicKey": key.to_string(), "key": hash}).to_string()
}

#[tokio::test]
async fn one_payload_is_given_again() {
    let (first, second) = two().await;
    let hash = first.send(b"x", &[&second], Metadata::default()).await.unwrap().hash;
    let again = async |from: &Member, key: PublicKey, hash: &str| {
        from.ask().ask("POST", "/resend", &MEDIA, of_hash("INDIVIDUAL", key, hash)).await
    };
    let name = hash.to_string();
    // The recipient asks the sender: its copy, which it can push to itself.
    let answer = again(&first, second.key(), &name).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain"));
    let copy = EncodedPayload::decode(Codec::Legacy, &answer.body.clone().into()).unwrap();
    assert_eq!((copy.boxes.len(), &copy.recipients[..]), (1, &[second.key()][..]));
    let pushed = second.ask().post("/push", "application/octet-stream", answer.body).await;
    assert_eq!((pushed.status, pushed.body_text()), (201, &*name));
    // The sender asks the recipient: all that is there.
    let answer = again(&second, first.key(), &name).await;
    let copy = EncodedPayload::decode(Codec::Legacy, &answer.body.into()).unwrap();
    assert_eq!((copy.sender, &copy.recipients[..]), (first.key(), &[second.key()][..]));

    assert_eq!(again(&first, PublicKey([9; 32]), &name).await.status, 500);
    assert_eq!(again(&first, second.key(), &PayloadHash::from_data(b"x").to_string()).await.status, 404);
    assert_eq!(again(&first, second.key(), "%").await.status, 500);
    let guarded =
        first.send(b"x", &[&second], of_mode(PrivacyMode::PartyProtection, &[])).await.unwrap().hash;
    assert_eq!(again(&first, second.key(), &guarded.to_string()).await.status, 403);
    let answer = first.ask().ask("POST", "/resend", &MEDIA, of_hash("SOME", second.key(), &name)).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn who_asks_by_our_own_keys_learns_nothing() {
    let (first, second) = two().await;
    let sent = first.send(b"x", &[&second], Metadata::default()).await.unwrap().hash.to_string();
    let unknown = PayloadHash::from_data(b"y").to_string();
    for (member, hash) in [(&first, &sent), (&second, &sent), (&first, &unknown)] {
        let ask = member.ask();
        let answer = ask.ask("POST", "/resend", &MEDIA, of_hash("INDIVIDUAL", member.key(), hash)).await;
        let text = format!("Message with hash {hash} was not found");
        assert_eq!((answer.status, answer.body_text()), (404, &*text));
    }
}

#[tokio::test]
async fn what_concerns_a_key_that_is_bound_to_nodes_is_given_to_no_url() {
    let (first, second) = two().await;
    let hash = first.send(b"x", &[&second], Metadata::default()).await.unwrap().hash.to_string();
    let ask = async |path: &str, body: String| first.ask().ask("POST", path, &MEDIA, body).await.status;
    let individual = || of_hash("INDIVIDUAL", second.key(), &hash);
    assert_eq!(ask("/resend", individual()).await, 200);
    first.manager.set_network_rules(Arc::new(Bound(second.key())));
    let batch = json!({"publicKey": second.key().to_string(), "batchSize": 1}).to_string();
    for (path, body) in
        [("/resend", individual()), ("/resend", of_hash("ALL", second.key(), &hash)), ("/resendBatch", batch)]
    {
        assert_eq!(ask(path, body.clone()).await, 404, "{path} {body}");
    }
}

/// What a member had, by name.
async fn everything(member: &Member) -> Vec<(PayloadHash, Lookup, Vec<PublicKey>)> {
    let (rows, _) = member.manager.concerning(&member.key(), 0, 1_000).unwrap();
    let mut all = Vec::new();
    for hash in rows.iter().map(EncodedPayload::hash) {
        let mut parties = member.manager.participants(hash).await.unwrap();
        parties.sort_unstable();
        all.push((hash, member.manager.lookup(hash).await, parties));
    }
    all.sort_by_key(|(hash, ..)| *hash);
    all
}

async fn three() -> [Member; 3] {
    let first = Plan::new(1, &[]).start().await;
    let second = Plan::new(2, &[&first]).start().await;
    let third = Plan::new(3, &[&first]).start().await;
    meet(&[&second, &third, &first]).await;
    [first, second, third]
}

/// Payloads of all modes among three, and contracts that call contracts.
async fn converse(members: &[Member; 3]) {
    let [first, second, third] = members;
    for mode in MODES {
        for (from, to) in [(first, vec![second, third]), (second, vec![first]), (third, vec![second, first])]
        {
            let keys: Vec<_> = to.iter().map(|member| member.key()).collect();
            let metadata = |affected| Metadata { affected, ..of_mode(mode, &keys) };
            let created = from.send(b"create", &to, metadata(vec![])).await.unwrap().hash;
            let caller = from.send(b"caller", &to, metadata(vec![created])).await.unwrap().hash;
            from.send(b"call", &to, metadata(vec![created, caller])).await.unwrap();
        }
    }
}

/// The first of them comes back with an empty store.
async fn lose_and_recover(lost: Member, givers: &[&Member]) -> (Member, RecoveryReport) {
    let mut plan = Plan { recovery: true, ..Plan::new(1, givers) };
    plan.options.url = lost.url();
    lost.p2p.stop().await;
    let member = plan.start().await;
    meet(&[&member]).await;
    meet(givers).await;
    let report = member.recovery.as_ref().unwrap().collect().await;
    (member, report)
}

#[tokio::test]
async fn everything_comes_back() {
    let members = three().await;
    converse(&members).await;
    let before = everything(&members[0]).await;
    assert_eq!(before.len(), 36);
    let [lost, second, third] = members;
    let (found, report) = lose_and_recover(lost, &[&second, &third]).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.stored, report.peers), (36, 2));
    assert_eq!(everything(&found).await, before);
    // Again brings nothing new, and breaks nothing.
    let again = found.recovery.as_ref().unwrap().collect().await;
    assert!(again.is_complete() && again.stored == 0, "{again:?}");
    assert_eq!(everything(&found).await, before);
}

#[tokio::test]
async fn what_is_left_is_told() {
    let members = three().await;
    converse(&members).await;
    let [lost, second, third] = members;
    third.p2p.stop().await;
    let (_, report) = lose_and_recover(lost, &[&second]).await;
    assert!(!report.failed.is_empty() && !report.is_complete() && !report.is_failure(), "{report:?}");
    let nobody = Plan { recovery: true, ..Plan::new(7, &[]) }.start().await;
    assert!(nobody.recovery.as_ref().unwrap().collect().await.is_failure());
}

#[tokio::test]
async fn an_old_peer_gives_one_by_one() {
    let (first, second) = two().await;
    let hash = second.send(b"x", &[&first], Metadata::default()).await.unwrap().hash;
    second.send(b"y", &[&first], of_mode(PrivacyMode::PartyProtection, &[])).await.unwrap();
    let mut plan = Plan { recovery: true, ..Plan::new(1, &[&second]) };
    plan.options.url = first.url();
    first.p2p.stop().await;
    let member = plan.start().await;
    // It hears of us, and we never hear which versions it has.
    meet(&[&member]).await;
    let report = member.recovery.as_ref().unwrap().collect().await;
    assert!(report.failed.is_empty(), "{report:?}");
    assert!(member.has(hash, b"x").await);
    let (rows, _) = member.manager.concerning(&member.key(), 0, 9).unwrap();
    assert_eq!(rows.len(), 1, "only standard payloads come this way");
}

#[tokio::test]
async fn a_recovery_takes_what_it_should_and_gives_nothing() {
    let (first, second) = two().await;
    let guarded =
        second.send(b"x", &[&first], of_mode(PrivacyMode::PartyProtection, &[])).await.unwrap().hash;
    let copy = second.manager.envelope(&guarded).unwrap().unwrap().strip_for(&first.key()).unwrap();
    let member = Plan { recovery: true, ..Plan::new(1, &[]) }.start().await;
    let ask = member.ask();
    let encoded = copy.encode(Codec::Legacy);
    assert_eq!(ask.post("/push", "application/octet-stream", encoded.clone()).await.status, 403);
    for path in ["/resend", "/resendBatch", "/pushPrivacyGroup"] {
        assert_eq!(ask.ask("POST", path, &MEDIA, "{}").await.status, 404, "{path}");
    }
    let batch = json!({"encodedPayloads": [base64::encode(&encoded), "%", base64::encode(b"nonsense")]});
    assert_eq!(ask.ask("POST", "/pushBatch", &MEDIA, batch.to_string()).await.status, 200);
    assert!(member.has(guarded, b"x").await);
    assert_eq!(member.recovery.as_ref().unwrap().pass.lock().refused, 2);
    assert_eq!(ask.ask("POST", "/pushBatch", &MEDIA, "[").await.status, 400);
    assert_eq!(ask.get("/partyinfo").await.status, 200);
}

#[tokio::test]
async fn batches_have_the_size_that_is_asked_for() {
    let (first, second) = two().await;
    for _ in 0..5 {
        second.send(b"x", &[&first], Metadata::default()).await.unwrap();
    }
    drop(first);
    // At another place: those who do not answer any more are not asked first.
    let member = Plan { recovery: true, ..Plan::new(1, &[&second]) }.start().await;
    meet(&[&member, &second]).await;
    for (size, total) in [(1, 5), (3, 5), (0, 5), (-1, 5), (1_000_000, 5)] {
        let body = json!({"publicKey": member.key().to_string(), "batchSize": size}).to_string();
        let answer = second.ask().ask("POST", "/resendBatch", &MEDIA, body).await;
        assert_eq!((answer.status, answer.body_json()), (200, json!({"total": total})));
    }
    let unknown = json!({"publicKey": PublicKey([9; 32]).to_string()}).to_string();
    assert_eq!(second.ask().ask("POST", "/resendBatch", &MEDIA, unknown).await.status, 404);
}
