use super::super::{Role, Seat};
use super::*;
use crate::settings::NodeArgs;
use lonja_permissioning::registry::genesis::seed;
use lonja_permissioning::registry::plan::MemberPlan;
use lonja_primitives::{Genesis, Signer};

const PORTS: OutsiderPorts = OutsiderPorts { p2p: 30308, rpc: 21005, metrics: 9550 };

/// Four validators and the regular node.
fn members(dir: &Path) -> Vec<DevNode> {
    let member = |n: u16| DevNode {
        seat: Seat {
            name: format!("node-{n}"),
            folder: dir.join(n.to_string()),
            p2p_port: 30303 + n,
            rpc_port: 21001 + n,
            metrics_port: 9545 + n,
            clients_port: None,
            role: if n < ORGANISATIONS { Role::Validator } else { Role::Regular },
        },
        id: NodeKey::from_bytes(&[n as u8 + 1; 32]).unwrap().node_id(),
    };
    (0..=ORGANISATIONS).map(member).collect()
}

#[test]
fn four_organisations_found_a_network() {
    let dir = tempfile::tempdir().unwrap();
    let members = members(dir.path());
    let plan = Plan::from_json(&plan(&members).to_string()).unwrap();
    assert_eq!(plan.warnings(1000), Vec::<String>::new());
    let counts: Vec<usize> = plan.members.iter().map(|member| member.nodes.len()).collect();
    assert_eq!(counts, [2, 1, 1, 1], "the regular node is the first organisation's");
    let mut validators: Vec<Address> = members[..4].iter().map(|member| member.id.address()).collect();
    validators.sort();
    assert_eq!(seed(&plan, 1337, 1000).unwrap().validators, validators);
    let accounts = plan.members.iter().flat_map(|member| &member.accounts).map(|one| one.address);
    let mut all: Vec<Address> = accounts.chain(plan.council).collect();
    let mut known: Vec<Address> = ACCOUNTS.iter().map(|(address, _)| *address).collect();
    all.sort();
    known.sort();
    assert_eq!(all, known, "every known account has a place");
}

#[test]
fn members_belong_to_organisations_with_their_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = members(dir.path());
    let regular = nodes.pop().unwrap();
    for number in 1..=3u16 {
        let seat = Seat {
            name: format!("member-{number}"),
            folder: dir.path().join(number.to_string()),
            p2p_port: 40_000 + number,
            rpc_port: 20_000,
            metrics_port: 9_600 + number,
            clients_port: Some(9_080 + number),
            role: Role::Member(number),
        };
        nodes.push(DevNode { seat, id: NodeKey::from_bytes(&[90 + number as u8; 32]).unwrap().node_id() });
    }
    nodes.push(regular);
    let plan = Plan::from_json(&plan(&nodes).to_string()).unwrap();
    let counts: Vec<usize> = plan.members.iter().map(|member| member.nodes.len()).collect();
    assert_eq!(counts, [2, 2, 2, 2]);
    for number in 1..=3u16 {
        let account = super::super::members::account(number).unwrap();
        let place = plan.members.iter().position(|m| m.accounts.iter().any(|one| one.address == account));
        assert_eq!(place, Some(usize::from(number)));
    }
}

#[test]
fn the_genesis_file_has_the_registry_beside_the_balances() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = NewNetwork::default();
    network.balances.insert(ACCOUNTS[0].0, alloy_primitives::U256::from(5));
    add(&mut network, dir.path(), &members(dir.path())).unwrap();
    let genesis = Genesis::from_json(&network.to_json()).unwrap();
    assert_eq!(genesis.warnings, Vec::<String>::new());
    assert!(genesis.alloc.contains_key(&ACCOUNTS[0].0));
    let told = contracts::explain(&genesis);
    assert!(told.contains("LEI 9598000BANCALEVA0T48") && told.contains("127.0.0.1:30305"), "{told}");
    assert!(dir.path().join(PLAN).exists());
    let taken = alloy_primitives::address!("0000000000000000000000000000000000007001");
    network.balances.insert(taken, alloy_primitives::U256::from(1));
    assert!(
        add(&mut network, dir.path(), &members(dir.path())).unwrap_err().to_string().contains("no balance")
    );
}

#[test]
fn the_outsider_is_ready_to_start_and_to_be_admitted() {
    let dir = tempfile::tempdir().unwrap();
    let members = members(dir.path());
    let mut network = NewNetwork::default();
    add(&mut network, dir.path(), &members).unwrap();
    fs::write(dir.path().join(files::GENESIS), network.to_json()).unwrap();
    prepare(dir.path(), &members, PORTS).unwrap();
    let folder = dir.path().join(OUTSIDER);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let member = MemberPlan::from_json(&read(OUTSIDER_MEMBER)).unwrap();
    let key = files::read_key(&folder.join(files::NODE_KEY)).unwrap();
    assert_eq!(member.nodes[0].node, key.node_id());
    assert_eq!(member.nodes[0].input.endpoints.as_ref(), b"127.0.0.1:30308");
    let admin = files::read_key(&folder.join(OUTSIDER_KEY)).unwrap();
    assert_eq!((admin.address(), &member.input.admins[..]), (NEWCOMER_ADMIN.0, &[NEWCOMER_ADMIN.0][..]));
    let founder = files::read_key(&dir.path().join("keys/energia-sur.key")).unwrap();
    assert_eq!(founder.address(), ACCOUNTS[2].0);
    assert!(dir.path().join("keys/council-2.key").exists());
    assert_eq!(read(files::GENESIS), network.to_json());
    let settings: NodeArgs = toml::from_str(&read(files::CONFIG)).unwrap();
    assert_eq!((settings.p2p_port, settings.peers.map(|peers| peers.len())), (Some(30308), Some(5)));
    let before = read(OUTSIDER_MEMBER);
    prepare(dir.path(), &members, PORTS).unwrap();
    assert_eq!(read(OUTSIDER_MEMBER), before, "the second start changes nothing");
}

#[test]
fn the_newcomer_is_in_no_plan() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::from_json(&plan(&members(dir.path())).to_string()).unwrap();
    let newcomer = NEWCOMER.member(NEWCOMER_ADMIN.0, Vec::new(), Vec::new()).to_string();
    let newcomer = MemberPlan::from_json(&newcomer).unwrap();
    assert!(plan.members.iter().all(|member| member.id != newcomer.id));
    assert!(plan.members.iter().all(|member| member.input.record.sector != newcomer.input.record.sector));
}
