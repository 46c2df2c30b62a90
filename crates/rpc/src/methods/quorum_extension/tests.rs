//! Over a real small chain with a second pass, and a manager in memory.

use super::*;
use crate::testing::{Client, NOBODY, OURS, THEIRS, TestNode, init_code, key, privacy_rules};
use crate::{Access, RpcLimits};
use alloy_consensus::TxLegacy;
use alloy_eips::Encodable2718;
use alloy_primitives::{B512, TxKind, U256, hex};
use lonja_chain::private::extension::contract::parties as parties_in;
use lonja_primitives::Signer;
use lonja_primitives::transaction::sign_private;
use lonja_ptm::{PrivatePayload, PtmError};
use lonja_storage::private::Origin;
use serde_json::{Value, json};

/// Accounts: ours, which is unlocked, and that of another party.
const OWN: u8 = 2;
const OTHER: u8 = 5;

/// A party that has the contract too.
const THIRD: PublicKey = PublicKey([7; 32]);

fn account(n: u8) -> Address {
    key(n).address()
}

fn party() -> (TestNode, Client) {
    let node = TestNode::with_parties(privacy_rules(None));
    let client = node.client();
    (node, client)
}

/// The receipt of a private transaction that the next block takes.
async fn mined(node: &mut TestNode, client: &Client, hash: &Value) -> Value {
    node.mine_and_follow();
    client.call("eth_getTransactionReceipt", json!([hash])).await
}

/// A private contract of ours with this privacy flag.
async fn contract(node: &mut TestNode, client: &Client, flag: u8) -> Address {
    let mandatory = (flag == 2).then(|| json!([THEIRS]));
    let request = json!({ "from": account(OWN), "data": hex::encode_prefixed(init_code()),
        "privateFor": [THEIRS], "privacyFlag": flag, "mandatoryFor": mandatory });
    let hash = client.call("eth_sendTransaction", json!([request])).await;
    let receipt = mined(node, client, &hash).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    serde_json::from_value(receipt["contractAddress"].clone()).unwrap()
}

fn extending(contract: Address, txa: Value) -> Value {
    json!([contract, NOBODY.to_string(), account(OTHER), txa])
}

/// The only extension that goes on.
async fn active(client: &Client) -> Value {
    let list = client.call("quorumExtension_activeExtensionContracts", json!([])).await;
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    list[0].clone()
}

fn own() -> Value {
    json!({ "from": account(OWN) })
}

/// An extension that another party began, to us.
struct Incoming {
    node: TestNode,
    client: Client,
    management: Address,
    nonce: u64,
    flag: u8,
    creation: PayloadHash,
    payloads: u8,
}

impl Incoming {
    fn new(flag: u8) -> Self {
        let (node, client) = party();
        let creation = PayloadHash(B512::ZERO);
        let management = account(OTHER).create(0);
        let mut it = Self { node, client, management, nonce: 0, flag, creation, payloads: 0 };
        let init = super::creation(Address::repeat_byte(0xcc), account(OWN), &OURS, &[OURS, THEIRS, THIRD]);
        it.creation = it.theirs(TxKind::Create, init);
        it.node.mine_and_follow();
        it
    }

    /// A private transaction of the other party.
    fn theirs(&mut self, to: TxKind, payload: Bytes) -> PayloadHash {
        self.payloads += 1;
        let hash = PayloadHash(B512::repeat_byte(self.payloads));
        let mode = PrivacyMode::from_flag(u64::from(self.flag)).unwrap();
        let affected = if self.payloads > 1 && self.flag > 0 { vec![self.creation] } else { Vec::new() };
        let metadata = Metadata { mode, affected, ..Metadata::default() };
        let found = PrivatePayload { payload, metadata, managed_parties: vec![OURS], sender: THEIRS };
        self.node.manager().answer(hash, Lookup::Found(found));
        let input = Bytes::copy_from_slice(hash.as_slice());
        let (nonce, gas_limit) = (self.nonce, DEFAULT_GAS);
        let tx = TxLegacy { chain_id: None, nonce, gas_price: 0, gas_limit, to, value: U256::ZERO, input };
        self.node.submit(sign_private(tx, &key(OTHER)).encoded_2718().into());
        self.nonce += 1;
        hash
    }

    fn extension(&self) -> Extension {
        look(&self.node.node.privacy.as_ref().unwrap().reader, &self.management).unwrap().unwrap()
    }

    async fn approve(&mut self, vote: bool) -> Value {
        let hash =
            self.client.call("quorumExtension_approveExtension", json!([self.management, vote, own()]));
        let hash = hash.await;
        mined(&mut self.node, &self.client, &hash).await
    }

    async fn refused(&self, method: &str, params: Value, text: &str) {
        let refused = self.client.refused(&format!("quorumExtension_{method}"), params).await;
        assert_eq!(refused.message, text);
    }
}

#[tokio::test]
async fn an_extension_is_begun_with_the_protection_of_the_contract() {
    for flag in 0..=3 {
        let (mut node, client) = party();
        let contract = contract(&mut node, &client, flag).await;
        let before = node.manager().sent().len();
        let params = json!([contract, THEIRS.to_string(), account(OTHER), own()]);
        let hash = client.call("quorumExtension_extendContract", params).await;
        let receipt = mined(&mut node, &client, &hash).await;
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        let sent = node.manager().sent()[before].clone();
        assert_eq!((sent.from, sent.to), (Some(OURS), vec![OURS, THEIRS]));
        assert_eq!(sent.metadata.mode.flag(), flag);
        assert_eq!(sent.metadata.mandatory, if flag == 2 { vec![THEIRS] } else { Vec::new() });
        assert_eq!(parties_in(&sent.payload), [OURS, THEIRS]);
        let found = active(&client).await;
        let management: Address = serde_json::from_value(receipt["contractAddress"].clone()).unwrap();
        let reader = &node.node.privacy.as_ref().unwrap().reader;
        let record = reader.contract(&management, reader.head().number).unwrap().unwrap();
        assert_eq!((record.origin, record.flag), (Origin::Management, flag));
        assert_eq!(
            found,
            json!({
                "contractExtended": contract,
                "initiator": account(OWN),
                "recipient": account(OTHER),
                "managementContractAddress": management,
                "recipientPtmKey": THEIRS.to_string(),
                "creationData": record.creation,
            })
        );
        assert_eq!(client.call("quorumExtension_getExtensionStatus", json!([management])).await, "ACTIVE");
        let again = client
            .refused("quorumExtension_extendContract", json!([contract, THEIRS, account(OTHER), own()]))
            .await;
        assert_eq!(again.message, "contract extension in progress for the given contract address");
    }
}

#[tokio::test]
async fn what_cannot_be_extended_is_refused_in_the_words_of_goquorum() {
    let (mut node, client) = party();
    let open = contract(&mut node, &client, 0).await;
    let nowhere = Address::repeat_byte(0xee);
    let sent = node.manager().sent().len();
    let (them, to) = (THEIRS.to_string(), account(OTHER));
    let with_parties = |parties: Value| json!({ "from": account(OWN), "privateFor": parties });
    let cases = [
        (json!([crate::testing::CONTRACT, them, to, own()]), "extending a public contract!!! not allowed"),
        (json!([open, them, Address::ZERO, own()]), "invalid recipient address"),
        (json!([nowhere, them, to, own()]), "extending a non-existent private contract!!! not allowed"),
        (
            json!([open, them, account(OWN), own()]),
            "account accepting the extension cannot be the account initiating extension",
        ),
        (json!([open, "nonsense", to, own()]), "invalid new recipient transaction manager key provided"),
        (
            json!([open, them, to, with_parties(json!([OURS]))]),
            "mismatch between recipient transaction manager key and privateFor argument",
        ),
        (
            json!([open, them, to, with_parties(json!([them, them]))]),
            "mismatch between recipient transaction manager key and privateFor argument",
        ),
        (extending(open, own()), &format!("404 status: {}", PtmError::UnknownRecipient(NOBODY))),
    ];
    for (params, text) in cases {
        let refused = client.refused("quorumExtension_extendContract", params).await;
        assert_eq!(refused.message, text);
    }
    assert_eq!(node.manager().sent().len(), sent, "nobody got anything");
    let named = json!([open, them, to, with_parties(json!([them]))]);
    client.call("quorumExtension_extendContract", named).await;
}

#[tokio::test]
async fn only_who_made_a_protected_contract_extends_it() {
    for (flag, allowed) in [(0, true), (1, false)] {
        let (mut node, client) = party();
        let contract = contract(&mut node, &client, flag).await;
        let reader = &node.node.privacy.as_ref().unwrap().reader;
        let made = client.call("eth_getTransactionCount", json!([account(OWN)])).await;
        assert_eq!(made, "0x1");
        let record = reader.contract(&contract, reader.head().number).unwrap();
        // As if the payload had come from another party.
        if let Some(record) = record {
            let Lookup::Found(payload) =
                node.node.privacy.as_ref().unwrap().manager.lookup(record.creation).await
            else {
                panic!("it is here");
            };
            let theirs = PrivatePayload { sender: THEIRS, ..payload };
            node.manager().answer(record.creation, Lookup::Found(theirs));
        }
        let params = json!([contract, THEIRS, account(OTHER), own()]);
        match client.try_call("quorumExtension_extendContract", params).await {
            Ok(_) => assert!(allowed),
            Err(refused) => assert!(!allowed && refused.message == "operation not allowed", "{refused:?}"),
        }
    }
}

#[tokio::test]
async fn a_yes_consents_and_tells_all_parties() {
    for flag in [0, 1] {
        let mut incoming = Incoming::new(flag);
        assert_eq!(incoming.extension().state.vote, None);
        let receipt = incoming.approve(true).await;
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        let [consent, vote] = incoming.node.manager().sent().try_into().unwrap();
        assert_eq!((consent.from, consent.to), (Some(OURS), Vec::new()));
        assert_eq!(*consent.payload, *incoming.management.as_slice());
        assert_eq!((vote.from, vote.to), (Some(OURS), vec![OURS, THEIRS, THIRD]));
        assert_eq!(vote.metadata.mode.flag(), flag);
        let state = incoming.extension().state;
        assert_eq!(state.vote, Some(true));
        let named: PayloadHash = state.consent.parse().unwrap();
        let manager = &incoming.node.node.privacy.as_ref().unwrap().manager;
        assert!(
            matches!(manager.lookup(named).await, Lookup::Found(found) if found.payload == consent.payload)
        );
        let params = json!([incoming.management, true, own()]);
        incoming.refused("approveExtension", params, "already voted").await;
    }
}

#[tokio::test]
async fn a_no_ends_it() {
    let mut incoming = Incoming::new(0);
    assert_eq!(active(&incoming.client).await["managementContractAddress"], json!(incoming.management));
    assert_eq!(incoming.approve(false).await["status"], "0x1");
    assert_eq!(incoming.node.manager().sent().len(), 1, "no consent");
    let status =
        incoming.client.call("quorumExtension_getExtensionStatus", json!([incoming.management])).await;
    assert_eq!(status, "DONE");
    let list = incoming.client.call("quorumExtension_activeExtensionContracts", json!([])).await;
    assert_eq!(list, json!([]));
    let done = "contract extension process complete. nothing to accept";
    incoming.refused("approveExtension", json!([incoming.management, true, own()]), done).await;
    let done = "contract extension process complete. nothing to cancel";
    incoming.refused("cancelExtension", json!([incoming.management, own()]), done).await;
}

#[tokio::test]
async fn who_has_no_part_in_it_is_refused() {
    let incoming = Incoming::new(0);
    let (management, other) = (incoming.management, json!({ "from": account(OTHER) }));
    let no_acceptor = "account is not acceptor of this extension request";
    incoming.refused("approveExtension", json!([management, true, other]), no_acceptor).await;
    let params = json!([management, account(OTHER), own()]);
    incoming.refused("generateExtensionApprovalUuid", params, no_acceptor).await;
    let no_creator = "account is not the creator of this extension request";
    incoming.refused("cancelExtension", json!([management, own()]), no_creator).await;
    let strange = json!({ "from": account(OWN), "privateFor": [NOBODY] });
    let text = "invalid transaction manager keys given in privateFor argument";
    incoming.refused("approveExtension", json!([management, false, strange]), text).await;
    let nowhere = Address::repeat_byte(9);
    let text = format!("{nowhere:#x} manages no extension that this node is a party to");
    incoming.refused("getExtensionStatus", json!([nowhere]), &text).await;
    incoming.refused("approveExtension", json!([nowhere, true, own()]), &text).await;
    incoming.refused("cancelExtension", json!([nowhere, own()]), &text).await;
}

#[tokio::test]
async fn a_consent_is_made_for_a_vote_that_is_signed_elsewhere() {
    let mut incoming = Incoming::new(0);
    let params = json!([incoming.management, account(OWN), own()]);
    let uuid = incoming.client.call("quorumExtension_generateExtensionApprovalUuid", params).await;
    let sent = incoming.node.manager().sent();
    assert_eq!((sent.len(), sent[0].payload.as_ref()), (1, incoming.management.as_slice()));
    let call = Management::doVoteCall { vote: true, nextuuid: uuid.as_str().unwrap().to_owned() };
    let request = json!({ "from": account(OWN), "to": incoming.management, "privateFor": [THEIRS],
        "data": hex::encode_prefixed(call.abi_encode()) });
    let hash = incoming.client.call("eth_sendTransaction", json!([request])).await;
    let receipt = mined(&mut incoming.node, &incoming.client, &hash).await;
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(json!(incoming.extension().state.consent), uuid);
}

#[tokio::test]
async fn who_began_it_may_cancel_it() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 1).await;
    let hash =
        client.call("quorumExtension_extendContract", json!([contract, THEIRS, account(OTHER), own()])).await;
    let made = mined(&mut node, &client, &hash).await;
    let management = made["contractAddress"].clone();
    let hash = client.call("quorumExtension_cancelExtension", json!([management, own()])).await;
    assert_eq!(mined(&mut node, &client, &hash).await["status"], "0x1");
    assert_eq!(client.call("quorumExtension_getExtensionStatus", json!([management])).await, "DONE");
    let sent = node.manager().sent().pop().unwrap();
    assert_eq!((sent.to, sent.metadata.mode), (vec![OURS, THEIRS], PrivacyMode::PartyProtection));
    // And it can be begun again.
    client.call("quorumExtension_extendContract", json!([contract, THEIRS, account(OTHER), own()])).await;
}

#[tokio::test]
async fn the_node_goes_on_with_what_its_accounts_began() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    let params = json!([contract, THEIRS, account(OTHER), own()]);
    let hash = client.call("quorumExtension_extendContract", params).await;
    let made = mined(&mut node, &client, &hash).await;
    let management: Address = serde_json::from_value(made["contractAddress"].clone()).unwrap();
    let extension = look(&node.node.privacy.as_ref().unwrap().reader, &management).unwrap().unwrap();
    let sender = ExtensionSender(Arc::clone(&client.context));
    let call: Bytes = Management::finishCall {}.abi_encode().into();
    let hash = sender.send(&extension, call.clone()).await.unwrap();
    assert_eq!(mined(&mut node, &client, &json!(hash)).await["status"], "0x1");
    node.node.accounts.lock(account(OWN));
    let locked = sender.send(&extension, call).await.unwrap_err();
    assert!(locked.contains("authentication needed"), "{locked}");
}

#[tokio::test]
async fn it_is_offered_to_the_operator_and_needs_a_manager() {
    let (node, client) = party();
    let public = node.client_with(Access::public(), RpcLimits::default());
    for method in client.methods().into_iter().filter(|method| method.starts_with("quorumExtension_")) {
        assert_eq!(public.refused(method, json!([])).await.code, -32601);
    }
    let plain = TestNode::with_rules(privacy_rules(None)).client();
    for (method, params) in [
        ("activeExtensionContracts", json!([])),
        ("getExtensionStatus", json!([Address::ZERO])),
        ("extendContract", extending(Address::ZERO, own())),
    ] {
        let refused = plain.refused(&format!("quorumExtension_{method}"), params).await;
        assert_eq!(refused.message, "private transaction manager is not in use");
    }
}
