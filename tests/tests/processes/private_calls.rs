//! Private contracts that deal with each other and with public ones: what their parties see of it, and everybody else.

mod markers;
mod world;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::SolCall;
use lonja_primitives::PayloadHash;
use lonja_tests::harness::party::Party;
use lonja_tests::harness::{Signed, Wallet};
use serde_json::{Value, json};
use world::{
    World, ask, attempt, borrow, copyCall, firstCall, makeCall, number, pass, seenCall, terms, wordCall,
    write, write_both, written,
};

/// Public writes, each with a private read of the same word, that are sent without waiting.
const AT_ONCE: usize = 24;
/// How often that is tried. The first time does it, unless the machine is very busy.
const BURSTS: usize = 10;
/// What a contract says it saw of a call that it made.
const REFUSED: u64 = 1;
/// There was nobody.
const SILENT: u64 = 2;
/// It was answered.
const ANSWERED: u64 = 3;

#[test]
fn private_contracts_deal_with_private_and_with_public_ones() {
    let mut world = World::start();
    for flag in 0..=3 {
        private_code_calls_private_code(&world, flag);
        private_code_makes_contracts(&world, flag);
    }
    private_code_reads_the_public_state_of_its_place(&world);
    private_code_changes_nothing_public(&world);
    public_code_does_not_see_private_contracts(&world);
    the_past_can_be_read(&world);
    markers::others_see_markers_alone(&world);
    world.assert_same_private_past();
    world.assert_well();
}

fn private_code_calls_private_code(world: &World, flag: u64) {
    let World { a, b, .. } = world;
    let terms = terms(flag, b);
    let (near, far) = (world.dealer(flag), world.dealer(flag));
    for (from, value) in [(a, 7), (b, 17)] {
        let receipt = world.tell(from, near, &write_both(far, value), &terms);
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        assert_eq!(written(&receipt), [(near, U256::from(value)), (far, U256::from(value + 1))]);
        let callers: Vec<Value> = (0..2).map(|n| receipt["logs"][n]["topics"][1].clone()).collect();
        assert_eq!(callers, [json!(from.account.into_word()), json!(near.into_word())]);
        assert_eq!(
            (world.ask(near, &wordCall {}), world.ask(far, &wordCall {})),
            (Some(value), Some(value + 1))
        );
    }
    let root = |party: &Party| party.rpc.get("eth_storageRoot", json!([far]));
    assert_eq!(root(a), root(b));
    world.assert_unseen(near);
    world.assert_unseen(far);

    // What fails inside fails as a whole. Where something is protected, that is said before anything is sent.
    let nowhere = Address::repeat_byte(0x77);
    let sent = a.try_send(Some(near), &write_both(nowhere, 30).abi_encode(), &[b], terms);
    match flag {
        0 => {
            let receipt = world.came_of(sent.expect("it is taken"));
            assert_eq!((&receipt["status"], &receipt["logs"]), (&json!("0x0"), &json!([])));
        }
        _ => assert!(sent.expect_err("it would fail").contains("execution reverted")),
    }
    assert_eq!(world.ask(near, &wordCall {}), Some(17));
}

fn private_code_makes_contracts(world: &World, flag: u64) {
    let World { a, b, c, .. } = world;
    let terms = terms(flag, b);
    let maker = world.dealer(flag);
    let hash = a.send(Some(maker), &makeCall { value: U256::from(40) }.abi_encode(), &[b], terms.clone());
    let receipt = world.came_of(hash);
    let page = maker.create(1);
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    assert_eq!(written(&receipt), [(page, U256::from(41))]);
    assert_eq!(receipt["contractAddress"], Value::Null);
    let code = |party: &Party| party.rpc.get("eth_getCode", json!([page, "latest"]));
    assert_eq!(code(a), code(b));
    assert_eq!((world.ask(page, &firstCall {}), world.ask(page, &wordCall {})), (Some(40), Some(41)));
    world.assert_unseen(page);
    assert_eq!(world.tell(b, page, &write(42), &terms)["status"], "0x1");
    assert_eq!(world.ask(page, &wordCall {}), Some(42));
    if flag == 0 {
        return;
    }

    // It is protected as its maker is, and names the transaction that made it.
    let inner = a.rpc.get("eth_getPrivateTransactionByHash", json!([hash]));
    for party in [a, b] {
        let metadata = party.rpc.get("eth_getContractPrivacyMetadata", json!([page]));
        assert_eq!(metadata["privacyFlag"], flag, "{metadata}");
        let name: Bytes = serde_json::from_value(inner["input"].clone()).expect("bytes");
        assert_eq!(metadata["creationTxHash"], json!(PayloadHash::from_data(&name)), "{metadata}");
    }
    let plain = a.try_send(Some(page), &write(43).abi_encode(), &[b], json!({}));
    assert!(plain.expect_err("it has another flag").contains("privacy flag"));
    let mine = if flag == 2 { json!({ "privacyFlag": 2, "mandatoryFor": [c.key()] }) } else { terms };
    let strange = c.try_send(Some(page), &write(44).abi_encode(), &[a], mine);
    assert!(strange.expect_err("it is no party").contains("contract not found"));
}

/// Public writes and private reads in the same blocks: a read sees what was written before its own place.
fn private_code_reads_the_public_state_of_its_place(world: &World) {
    let World { a, b, network, .. } = world;
    let mut wallet = Wallet::empty();
    let (public, copier) = (world.public_dealer(&mut wallet), world.dealer(0));
    let mut publish = |value: u64| wallet.call(TxKind::Call(public), write(value).abi_encode().into());
    for value in [1, 2] {
        world.publish(publish(value).text());
        let receipt = world.tell(a, copier, &copyCall { other: public }, &json!({}));
        assert_eq!(written(&receipt), [(copier, U256::from(value))]);
    }
    // Until a read has stood between two writes in its block, or it is plain that none ever does.
    let mut value = 2;
    let found = (0..BURSTS).any(|_| {
        let mut next = || {
            value += 1;
            (publish(value), value)
        };
        burst(world, copier, public, &mut next)
    });
    assert!(found, "no block had a write, a read, and a write");
    // What a party reads now is what everybody reads.
    world.tell(b, copier, &copyCall { other: public }, &json!({}));
    assert_eq!(world.ask(copier, &wordCall {}), Some(value));
    assert_eq!(world.public_word(public), U256::from(value));
    network.assert_same_chain(&network.all());
}

/// Sends public writes of rising numbers, and a private read after each, without waiting; looks at what each read, and
/// whether one stands between two writes in its block.
fn burst(world: &World, copier: Address, public: Address, next: &mut dyn FnMut() -> (Signed, u64)) -> bool {
    let World { a, b, .. } = world;
    let copy = copyCall { other: public }.abi_encode();
    let (mut writes, mut copies) = (Vec::new(), Vec::new());
    let before = ask(a.rpc, public, &wordCall {}, "latest").expect("it is there");
    for _ in 0..AT_ONCE {
        let (signed, value) = next();
        writes.push((a.rpc.get("eth_sendRawTransaction", json!([signed.text()])), value));
        copies.push(a.send(Some(copier), &copy, &[b], json!({})));
    }
    let place = |hash: &Value| {
        let receipt = world.public_receipt(a.number, hash);
        (number(&receipt["blockNumber"]), number(&receipt["transactionIndex"]))
    };
    let writes: Vec<_> = writes.iter().map(|(hash, value)| (place(hash), *value)).collect();
    let mut between = false;
    for hash in copies {
        let place = place(&json!(hash));
        let newest = writes.iter().filter(|(written, _)| *written < place).max();
        let expected = newest.map_or(before, |(_, value)| U256::from(*value));
        assert_eq!(written(&world.came_of(hash)), [(copier, expected)], "at {place:?} of {writes:?}");
        let follows = writes.iter().any(|(written, _)| written.0 == place.0 && *written > place);
        between |= follows && newest.is_some_and(|(written, _)| written.0 == place.0);
    }
    between
}

fn private_code_changes_nothing_public(world: &World) {
    let World { a, b, network, .. } = world;
    let mut wallet = Wallet::empty();
    let (public, private) = (world.public_dealer(&mut wallet), world.dealer(0));
    world.publish(wallet.call(TxKind::Call(public), write(5).abi_encode().into()).text());
    let proof = |n: usize| network.member(n).rpc.get("eth_getProof", json!([public, ["0x0"], "latest"]));
    let account = |n: usize| {
        let proof = proof(n);
        ["nonce", "balance", "codeHash", "storageHash"].map(|field| proof[field].clone())
    };
    let before = account(0);

    // What breaks off takes nearly all gas with it.
    let gas = json!({ "gas": "0x7a1200" });
    world.tell(a, private, &write(1), &gas);
    let failed = |receipt: Value, reason: &str| {
        assert_eq!((&receipt["status"], &receipt["logs"]), (&json!("0x0"), &json!([])), "{receipt}");
        assert!(receipt["error"].to_string().contains(reason), "{receipt}");
    };
    // At once, on the way, by way of public code back into private code, and in the private contract's own place.
    failed(world.tell(a, public, &write(6), &gas), "write protection");
    failed(world.tell(b, private, &write_both(public, 7), &gas), "execution reverted");
    failed(world.tell(a, private, &pass(public, &pass(private, &write(8))), &gas), "it was refused there");
    failed(world.tell(a, private, &borrow(public, &write(9)), &gas), "it was refused here");
    failed(world.tell(a, public, &makeCall { value: U256::from(10) }, &gas), "write protection");
    assert_eq!(world.ask(private, &wordCall {}), Some(1));

    // A contract that is told of it goes on, and reading by the same ways is fine.
    let outcome = |receipt: Value| {
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        world.ask(private, &seenCall {})
    };
    assert_eq!(outcome(world.tell(a, private, &attempt(public, &write(11)), &gas)), Some(REFUSED));
    let back = pass(private, &wordCall {});
    assert_eq!(outcome(world.tell(a, private, &attempt(public, &back), &gas)), Some(ANSWERED));
    let nobody = Address::repeat_byte(0x78);
    assert_eq!(outcome(world.tell(a, private, &attempt(nobody, &write(12)), &gas)), Some(SILENT));
    world.tell(a, private, &write(13), &gas);
    assert_eq!(outcome(world.tell(a, private, &borrow(public, &wordCall {}), &gas)), Some(13));

    refused_before_anything_is_sent(world, public, private);
    assert_eq!(world.public_word(public), U256::from(5));
    for n in network.all() {
        assert_eq!(account(n), before, "{}", network.member(n).name);
    }
    network.assert_same_chain(&network.all());
}

fn refused_before_anything_is_sent(world: &World, public: Address, private: Address) {
    let World { a, b, .. } = world;
    let data = write(20).abi_encode();
    let error = |to: Address, data: &[u8], more: Value| {
        a.try_send(Some(to), data, &[b], more).expect_err("it cannot come to anything")
    };
    let value = error(private, &data, json!({ "value": "0x1" }));
    assert!(value.contains("ether value is not supported for private transactions"), "{value}");
    let no_code = error(public, &data, json!({ "privacyFlag": 1 }));
    assert!(no_code.contains("contract not found. cannot transact"), "{no_code}");
    let protected = world.dealer(1);
    let fails = error(protected, &write_both(public, 21).abi_encode(), json!({ "privacyFlag": 1 }));
    assert!(fails.contains("execution reverted"), "{fails}");
    assert_eq!(world.ask(protected, &wordCall {}), Some(0));
}

/// Where a private contract stands there is nothing, for public transactions.
fn public_code_does_not_see_private_contracts(world: &World) {
    let World { a, b, network, .. } = world;
    let mut wallet = Wallet::empty();
    let (public, private) = (world.public_dealer(&mut wallet), world.dealer(0));
    world.tell(a, private, &write(50), &json!({}));
    let mut call = |to: Address, data: Vec<u8>| {
        let receipt = world.publish(wallet.call(TxKind::Call(to), data.into()).text());
        assert_eq!(receipt["logs"], json!([]), "{receipt}");
        receipt["status"].clone()
    };
    assert_eq!(call(private, write(51).abi_encode()), "0x1");
    assert_eq!(call(public, attempt(private, &write(52)).abi_encode()), "0x1");
    for n in network.all() {
        let seen = ask(network.member(n).rpc, public, &seenCall {}, "latest");
        assert_eq!(seen, Some(U256::from(SILENT)), "{}", network.member(n).name);
    }
    // Solidity looks whether there is code.
    assert_eq!(call(public, write_both(private, 53).abi_encode()), "0x0");
    assert_eq!(call(public, copyCall { other: private }.abi_encode()), "0x0");
    world.assert_unseen(private);
    assert_eq!(world.ask(private, &wordCall {}), Some(50));

    // Nor does it change anything when the address comes to have an account in public.
    let sent = Wallet::funded().transfer(private, 5);
    assert_eq!(world.publish(sent.text())["status"], "0x1");
    assert_eq!(world.c.rpc.get("eth_getBalance", json!([private, "latest"])), "0x5");
    assert_eq!(world.tell(b, private, &write(54), &json!({}))["status"], "0x1");
    assert_eq!(world.ask(private, &wordCall {}), Some(54));
    world.assert_unseen(private);
}

fn the_past_can_be_read(world: &World) {
    let World { a, b, c, .. } = world;
    let contract = world.dealer(0);
    let mut past = Vec::new();
    for value in 60..64 {
        let receipt = world.tell(if value % 2 == 0 { a } else { b }, contract, &write(value), &json!({}));
        past.push((number(&receipt["blockNumber"]), value, receipt));
    }
    let mut before = 0;
    for (block, value, receipt) in &past {
        for party in [a, b] {
            for (block, word) in [(block - 1, before), (*block, *value)] {
                let (block, word) = (format!("{block:#x}"), U256::from(word));
                assert_eq!(ask(party.rpc, contract, &wordCall {}, &block), Some(word));
                let slot = party.rpc.get("eth_getStorageAt", json!([contract, "0x0", block]));
                assert_eq!(slot, json!(B256::from(word)));
            }
            let filter = json!([{ "blockHash": receipt["blockHash"], "address": contract }]);
            assert_eq!(party.rpc.get("eth_getLogs", filter), receipt["logs"]);
        }
        before = *value;
    }
    // Any two of them by a range of blocks; nobody else finds any.
    for pair in past.windows(2) {
        let range = json!([{
            "fromBlock": format!("{:#x}", pair[0].0),
            "toBlock": format!("{:#x}", pair[1].0),
            "address": contract,
        }]);
        let expected = json!([pair[0].2["logs"][0], pair[1].2["logs"][0]]);
        assert_eq!(a.rpc.get("eth_getLogs", range.clone()), expected);
        assert_eq!(b.rpc.get("eth_getLogs", range.clone()), expected);
        assert_eq!(c.rpc.get("eth_getLogs", range), json!([]));
    }
    let long_ago = json!([contract, "0x1"]);
    assert_eq!(a.rpc.get("eth_getCode", long_ago.clone()), "0x");
    assert_eq!(b.rpc.get("eth_getCode", long_ago), "0x");
}

/// A contract of two that calls a contract of one of them and a third.
#[test]
fn contracts_of_others_are_not_there() {
    let mut world = World::start();
    let World { a, b, c, .. } = &world;
    // Without protection parties drift apart. They can tell by their roots.
    let (shared, foreign) = (world.dealer(0), world.dealer_of(a, &[c], json!({})));
    world.tell(a, shared, &write(1), &json!({}));
    let root = |party: &Party| party.rpc.get("eth_storageRoot", json!([shared]));
    assert_eq!(root(a), root(b));
    let send = |message: Vec<u8>| a.send(Some(shared), &message, &[b], json!({}));
    let hash = send(attempt(foreign, &write(2)).abi_encode());
    let (one, other) = (a.receipt(hash), b.receipt(hash));
    assert_eq!((&one["status"], &other["status"]), (&json!("0x1"), &json!("0x1")));
    assert_eq!((written(&one), written(&other)), (vec![(foreign, U256::from(2))], Vec::new()));
    let seen = |party: &Party, contract: Address| {
        ask(party.rpc, contract, &seenCall {}, "latest").map(|seen| seen.to::<u64>())
    };
    assert_eq!((seen(a, shared), seen(b, shared)), (Some(ANSWERED), Some(SILENT)));
    assert_ne!(root(a), root(b));
    let word = |party: &Party| ask(party.rpc, foreign, &wordCall {}, "latest");
    assert_eq!((word(a), word(c)), (Some(U256::from(2)), Some(U256::ZERO)));
    let hash = send(write_both(foreign, 3).abi_encode());
    assert_eq!((&a.receipt(hash)["status"], &b.receipt(hash)["status"]), (&json!("0x1"), &json!("0x0")));

    contracts_of_others_under_protection(&world, foreign);
    world.assert_well();
}

/// Nothing is called by whoever is no party to it, and the flags and parties of all that is called must fit.
fn contracts_of_others_under_protection(world: &World, plain: Address) {
    let World { a, b, c, .. } = world;
    let foreign = |flag: u64| world.dealer_of(a, &[c], terms(flag, c));
    let refused = |flag: u64, to: Address, through: Address| {
        let message = attempt(to, &write(4)).abi_encode();
        a.try_send(Some(through), &message, &[b], terms(flag, b)).expect_err("it is refused")
    };
    let (shared, protected) = (world.dealer(1), foreign(1));
    let error = refused(1, plain, shared);
    assert!(error.contains("PrivacyMetadata not found"), "{error}");
    let error = refused(0, protected, world.dealer(0));
    assert!(error.contains("sent privacy flag doesn't match"), "{error}");
    let error = refused(2, foreign(2), world.dealer(2));
    assert!(error.contains("Privacy metadata mismatched"), "{error}");
    let error = refused(3, foreign(3), world.dealer(3));
    assert!(error.contains("Recipients mismatched"), "{error}");

    // One that is no party cannot know what it calls. Who is one does not let it happen.
    let message = attempt(protected, &write(5)).abi_encode();
    let hash = b.send(Some(shared), &message, &[a], terms(1, b));
    let receipt = a.receipt(hash);
    assert_eq!(receipt["status"], "0x0");
    assert!(receipt["error"].to_string().contains("not among those that the sender named"), "{receipt}");
    for party in [a, c] {
        assert_eq!(ask(party.rpc, protected, &wordCall {}, "latest"), Some(U256::ZERO));
    }
    let stranger = c.try_send(Some(shared), &write(6).abi_encode(), &[a], terms(1, b));
    assert!(stranger.expect_err("it is no party").contains("contract not found. cannot transact"));
}
