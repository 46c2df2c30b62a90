use super::*;
use crate::registry::abi::Quotas;
use crate::registry::plan::EXAMPLE;
use crate::registry::testing::{World, genesis_of};
use crate::{ConnectionQuestion, ConnectionVerdict, OwnEnd, TransactionQuestion, Verdict};
use alloy_primitives::{B512, address};
use lonja_primitives::{ExtraData, NodeId};

const STRANGER: Address = address!("00000000000000000000000000000000000057a6");
const SOMEBODY: Address = address!("00000000000000000000000000000000000000bb");

fn transact(world: &World, sender: Address, target: Option<Address>, payload: &[u8]) -> Verdict {
    let question =
        TransactionQuestion { sender, target, value: U256::ZERO, gas_price: 0, gas_limit: 100_000, payload };
    let mut judge = world.judge();
    let verdict = judge.transaction(&question).unwrap();
    verdict.map_err(|refusal| judge.transaction_in_words(&question, refusal).unwrap())
}

fn connect(world: &World, node: NodeId) -> ConnectionVerdict {
    let own = OwnEnd { node, ip: None, port: 0 };
    world.judge().connection(&ConnectionQuestion { node, at: None }, &own).unwrap()
}

/// The example with these texts replaced by those, seeded.
fn refusal(changes: &[(&str, &str)]) -> String {
    let mut text = EXAMPLE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let plan = Plan::from_json(&text).unwrap();
    seed(&plan, 1337, 1000).unwrap_err().to_string()
}

#[test]
fn a_plan_becomes_a_network_with_its_validators() {
    let world = World::new();
    assert_eq!(world.genesis.warnings, Vec::<String>::new());
    let mut planned: Vec<Address> = world.plan.first_validators().map(|(_, node)| node.validator()).collect();
    planned.sort();
    let extra = ExtraData::decode(&world.genesis.header.extra_data, world.genesis.spec.format_at(0)).unwrap();
    assert_eq!(extra.validators, planned);
    assert!(!world.genesis.needs_first_validators());
    assert_eq!(first_validators(&world.genesis), Ok(planned));
    assert!(is_ours(&world.genesis));
    assert_eq!(*world.genesis.spec.permissions_at(1), permissions());
}

#[test]
fn the_same_plan_gives_the_same_block_0() {
    let plan = Plan::from_json(EXAMPLE).unwrap();
    let one = seed(&plan, 7, 1000).unwrap();
    assert_eq!(one, seed(&plan, 7, 1000).unwrap());
    assert!(one.alloc.keys().all(|address| artifacts().iter().any(|artifact| artifact.address == *address)));
    assert!(one.alloc.values().all(|account| account.nonce == 1 && account.balance.is_zero()));
}

#[test]
fn planned_nodes_connect_and_no_others() {
    let world = World::new();
    for node in world.plan.members.iter().flat_map(|member| &member.nodes) {
        assert_eq!(connect(&world, node.node), ConnectionVerdict::Allowed);
    }
    let ConnectionVerdict::Refused(refusal) = connect(&world, NodeId(B512::repeat_byte(7))) else {
        panic!("a stranger was let in, or asked for its address")
    };
    assert!(!refusal.reason.contains("does not allow"), "in the contract's words: {refusal}");
}

#[test]
fn planned_accounts_do_what_they_may_and_no_more() {
    let world = World::new();
    let (bank, factory) = (&world.plan.members[0], &world.plan.members[3]);
    let full = bank.accounts[0].address;
    let calls = factory.accounts[0].address;
    for (target, payload) in [(Some(SOMEBODY), &[][..]), (Some(SOMEBODY), &[1]), (None, &[1])] {
        assert_eq!(transact(&world, full, target, payload), Ok(()));
        assert_eq!(transact(&world, calls, target, payload).is_ok(), target.is_some() && !payload.is_empty());
        assert!(transact(&world, STRANGER, target, payload).is_err());
    }
    let refusal = transact(&world, calls, None, &[1]).unwrap_err();
    assert!(refusal.reason.contains("deploy"), "{refusal}");
    // An admin governs, whatever its account may do.
    let admin = world.plan.members[2].input.admins[0];
    assert!(transact(&world, admin, Some(SOMEBODY), &[1]).is_err());
    assert_eq!(transact(&world, admin, Some(abi::GOVERNANCE), &[1]), Ok(()));
    assert!(transact(&world, STRANGER, Some(abi::GOVERNANCE), &[1]).is_err());
}

#[test]
fn everything_planned_can_be_read() {
    let world = World::new();
    let mut reader = world.reader();
    assert_eq!(reader.member_count(), Ok(5));
    for (index, planned) in world.plan.members.iter().enumerate() {
        let (id, member) = reader.member_at(index).unwrap();
        assert_eq!(id, planned.id);
        assert_eq!((member.status, &member.admins), (2, &planned.input.admins));
        assert_eq!(member.legalNameHash, keccak256(&planned.name));
        assert_eq!(member.controlGroup, planned.input.record.controlGroup);
        for node in &planned.nodes {
            let stored = reader.node(node.key()).unwrap();
            assert_eq!((stored.status, stored.roles, stored.memberId), (2, node.input.roles, id));
            assert_eq!(stored.endpoints, node.input.endpoints);
            assert_eq!(stored.validatorAddress, node.validator());
        }
    }
    assert_eq!(reader.node_count(), Ok(5));
    let (account, entry) = reader.account_at(0).unwrap();
    assert_eq!((account, entry.access), (world.plan.members[0].accounts[0].address, 7));
    assert_eq!(reader.account_count(), Ok(3));
    assert_eq!(reader.policy(), Ok(world.plan.policy_values(1000)));
    let council = reader.ask(abi::REGISTRY, &Registry::councilCall {});
    assert_eq!(council.as_ref(), Ok(&world.plan.council));
    assert_eq!(reader.ask(abi::REGISTRY, &Registry::electorateCall {}), Ok(U256::from(4)));
    let seats = reader.validators().unwrap();
    assert_eq!(seats.len(), 4);
    assert!(seats.iter().all(|(address, key)| reader.node(*key).unwrap().validatorAddress == *address));
}

#[test]
fn a_question_that_a_contract_refuses_is_answered_in_words() {
    let world = World::new();
    let call = abi::Validators::actAtCall { index: U256::from(4096) };
    assert_eq!(world.reader().ask(abi::VALIDATORS, &call), Err("act 4096 is not kept".into()));
    let missing = world.reader().ask(SOMEBODY, &call).unwrap_err();
    assert!(missing.contains("no contract"), "{missing}");
}

#[test]
fn nobody_seeds_later() {
    let mut world = World::new();
    let call = Registry::seedCouncilCall { keys: vec![STRANGER] };
    let outcome = world.system(1, abi::REGISTRY, &call);
    assert!(!outcome.success);
    assert_eq!(explain_revert(&outcome.output).unwrap(), "only the making of the genesis may call this");
    assert!(world.system(0, abi::REGISTRY, &call).success, "block 0 is what makes the difference");
}

#[test]
fn what_a_contract_refuses_is_said_with_whom_it_is_about() {
    let said = refusal(&[("\"lei\": \"9598000SUPERVISOR068\"", "\"lei\": \"9598000BANCOUNO00045\"")]);
    assert!(said.starts_with("member \"Supervisor\": ") && said.contains("there already"), "{said}");
    let said = refusal(&[(
        "\"0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\"]",
        "\"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"]",
    )]);
    assert!(said.starts_with("member \"Puerto Dos\": ") && said.contains("an admin already"), "{said}");
    let account = "{ \"address\": \"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65\", \"access\"";
    let said =
        refusal(&[(account, "{ \"address\": \"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\", \"access\"")]);
    let subject = "member \"Fábrica Cuatro\", account 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266: ";
    assert!(said.starts_with(subject) && said.contains("another member"), "{said}");
    let said = refusal(&[("\"n\": 4", "\"n\": 5")]);
    assert_eq!(said, "policy: the policy's n is out of bounds");
    let said = refusal(&[("\"nodesPerMember\": 32", "\"nodesPerMember\": 0")]);
    assert!(said.starts_with("policy: ") && said.contains("nodesPerMember"), "{said}");
}

#[test]
fn a_node_twice_is_refused_by_its_key() {
    let plan = Plan::from_json(EXAMPLE).unwrap();
    let (first, fourth) = (plan.members[0].nodes[0].node, plan.members[3].nodes[0].node);
    let said = refusal(&[(fourth.to_string().as_str(), first.to_string().as_str())]);
    let subject = format!("member \"Fábrica Cuatro\", node {first}: ");
    assert!(said.starts_with(&subject) && said.contains("there already"), "{said}");
}

#[test]
fn a_contract_is_asked_for_the_first_validators_of_a_foreign_file() {
    // Answers the list of these two, in this order.
    let (high, low) = (Address::repeat_byte(2), Address::repeat_byte(1));
    let code = format!("6020600052600260205273{high:x}60405273{low:x}60605260806000f3");
    let mut file = serde_json::json!({
        "config": {
            "chainId": 1337, "londonBlock": 0, "zeroBaseFee": true,
            "qbft": { "blockperiodseconds": 1, "validatorcontractaddress": SOMEBODY },
        },
        "extraData": "0xe5a00000000000000000000000000000000000000000000000000000000000000000c0c080c0",
        "gasLimit": "0x1fffffffffffff", "difficulty": "0x1",
        "mixHash": "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365",
        "alloc": { SOMEBODY.to_string(): { "balance": "0x0", "code": format!("0x{code}") } },
    });
    let mut genesis = Genesis::from_json(&file.to_string()).unwrap();
    assert!(genesis.needs_first_validators());
    let list = first_validators(&genesis).unwrap();
    assert_eq!(list, [high, low]);
    complete(&mut genesis).unwrap();
    assert_eq!(genesis.spec.validators_listed_at(0), Some(&[low, high][..]));
    let before = genesis.spec.clone();
    complete(&mut genesis).unwrap();
    assert_eq!(genesis.spec, before, "nothing is left to do");
    file["alloc"][SOMEBODY.to_string()]["code"] = "0x60006000fd".into();
    let genesis = Genesis::from_json(&file.to_string()).unwrap();
    assert!(first_validators(&genesis).unwrap_err().contains("reverted"));
}

#[test]
fn first_validators_need_a_contract_that_answers() {
    let plain = genesis_of(RegistryGenesis {
        alloc: BTreeMap::new(),
        validators: vec![SOMEBODY],
        permissions: Permissions::default(),
        validator_contract: abi::VALIDATORS,
        parties: abi::PARTIES,
    });
    assert!(first_validators(&plain).unwrap_err().contains("no contract at"));
    assert!(!is_ours(&plain));
    let mut unseeded = BTreeMap::new();
    for one in artifacts() {
        unseeded
            .insert(one.address, GenesisAccount { code: one.runtime, nonce: 1, ..GenesisAccount::default() });
    }
    let unseeded = genesis_of(RegistryGenesis {
        alloc: unseeded,
        validators: vec![SOMEBODY],
        permissions: Permissions::default(),
        validator_contract: abi::VALIDATORS,
        parties: abi::PARTIES,
    });
    assert!(first_validators(&unseeded).unwrap_err().contains("names no validators"));
}

/// In a quiet network what was asked once is known: nothing that is asked of every transaction looks at the block.
#[test]
fn what_every_transaction_asks_is_answered_once() {
    let world = World::new();
    let rules = world.genesis.spec.rules_at(1, 0);
    let mut inquiry = lonja_evm::Inquiry::new(&rules, &lonja_evm::BlockEnv::default(), &world.state);
    let member = &world.plan.members[0];
    let account = member.accounts[0].address;
    let sender = crate::TransactionQuestion {
        sender: account,
        target: None,
        value: U256::ZERO,
        gas_price: 0,
        gas_limit: 1_000_000,
        payload: &[1; 40],
    };
    let asked: [(Address, Vec<u8>); 3] = [
        (abi::ACCOUNT_RULES, sender.allowed().to_vec()),
        (abi::QUOTAS, Quotas::memberOfCall { account }.abi_encode()),
        (abi::QUOTAS, Quotas::availableCall { member: member.id }.abi_encode()),
    ];
    for (contract, input) in asked {
        let answer = inquiry.ask(contract, input.into(), crate::interface::QUESTION_GAS).unwrap();
        assert!(
            matches!(answer.said, lonja_evm::Said::Returned(_)) && !answer.block,
            "{contract}: {answer:?}"
        );
        assert!(
            !answer.accounts.contains_key(&abi::VALIDATORS),
            "{contract} looks at what changes with every block"
        );
    }
}
