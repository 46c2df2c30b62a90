//! What a world is made of: drawn from its seed, or written down for a story.

use super::byzantine::Habits;
use super::dice::Dice;
use super::permits;
use super::private::Dealings;
use alloy_primitives::{Address, U256, address, hex};
use lonja_primitives::genesis::{GenesisAccount, NewNetwork};
use lonja_primitives::spec::{ClientRules, DigestRule, Privacy};
use lonja_primitives::{Genesis, NodeId};
use std::collections::BTreeMap;

/// Wall-clock time at which every world begins, seconds.
pub const BEGIN_S: u64 = 1_800_000_000;
/// A contract that counts its calls, so that blocks change storage too.
pub const COUNTER: Address = address!("00000000000000000000000000000000000c0de1");
/// `SSTORE(0, SLOAD(0) + 1)`.
const COUNTER_CODE: [u8; 9] = hex!("600054600101600055");
/// What every sender has at block 0, wei.
pub const FUNDS: u64 = 1_000_000_000;

/// A world before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything random comes from here.
    pub seed: u64,
    /// The rules of the chain.
    pub rules: Rules,
    /// Validators at block 0: the first nodes.
    pub validators: usize,
    /// Further nodes. They have keys and would validate once voted in.
    pub regulars: usize,
    /// Validators that are not honest, by index; never more than the network tolerates.
    pub faulty: Vec<(usize, Fault)>,
    /// Pairs of nodes without a direct link.
    pub missing_links: usize,
    /// The network while everything goes wrong.
    pub storm: Weather,
    /// The network after that.
    pub calm: Weather,
    /// How slow disks and processors are, microseconds.
    pub sync_us: (u64, u64),
    /// Time for building, checking and writing a block, microseconds.
    pub work_us: (u64, u64),
    /// How far wall clocks are off, milliseconds either way.
    pub skew_ms: u64,
    /// What goes wrong, and for how long.
    pub chaos: Chaos,
    /// Mean time between two transactions, microseconds; 0 for none.
    pub transaction_pause_us: u64,
    /// A contract says who may connect and transact.
    pub permits: bool,
    /// Some of the further nodes are members with private transactions.
    pub dealings: Option<Dealings>,
}

/// The rules of the chain, as far as worlds differ.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Rules {
    pub period_ms: u64,
    pub empty_period_ms: u64,
    pub timeout_ms: u64,
    pub max_timeout_ms: u64,
    pub epoch_length: u64,
    pub digest: DigestRule,
    pub client: ClientRules,
}

/// How a validator is faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Two machines with one key and separate disks, both honest by themselves.
    Twin,
    /// Its program has the permission rules taken out.
    Lawless,
    /// It does what it likes.
    Byzantine(Habits),
}

/// How the network treats messages.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Shortest and longest delay, microseconds.
    pub delay_us: (u64, u64),
    /// Messages of a thousand that take ten times as long.
    pub spike_permille: u64,
    /// Messages of a thousand that are lost.
    pub loss_permille: u64,
    /// Messages of a thousand that arrive twice.
    pub duplicate_permille: u64,
    /// Messages of one session arrive in order, as on a stream, and none outlives its session.
    pub streams: bool,
}

/// What goes wrong. Numbers are weights of a draw; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Chaos {
    /// It ends with this many blocks,
    pub blocks: u64,
    /// or after this time, microseconds.
    pub most_us: u64,
    /// Mean time between two events, microseconds.
    pub pause_us: u64,
    pub crash_one: u64,
    pub crash_many: u64,
    pub partition: u64,
    pub one_way: u64,
    pub silence: u64,
    pub clock_jump: u64,
    pub slow_disk: u64,
    pub votes: u64,
    pub full_disk: u64,
    pub switch_twin: u64,
    pub noise: u64,
}

impl Plan {
    /// A world in which nothing goes wrong: what stories begin with.
    pub fn calm(validators: usize, seed: u64) -> Self {
        let rules = Rules {
            period_ms: 1_000,
            empty_period_ms: 1_000,
            timeout_ms: 2_000,
            max_timeout_ms: 60_000,
            epoch_length: 30_000,
            digest: DigestRule::Eea,
            client: ClientRules::Besu,
        };
        let weather = Weather {
            delay_us: (1_000, 20_000),
            spike_permille: 0,
            loss_permille: 0,
            duplicate_permille: 0,
            streams: true,
        };
        Self {
            seed,
            rules,
            validators,
            regulars: 0,
            faulty: Vec::new(),
            missing_links: 0,
            storm: weather,
            calm: weather,
            sync_us: (200, 2_000),
            work_us: (200, 2_000),
            skew_ms: 50,
            chaos: Chaos::default(),
            transaction_pause_us: 400_000,
            permits: false,
            dealings: None,
        }
    }

    /// The world of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let validators = dice.pick(&[1, 4, 4, 4, 4, 5, 5, 6, 6, 7, 7]);
        let rules = Rules::draw(&mut dice);
        let calm_most_us = (rules.timeout_ms * 1_000 / 25).min(40_000);
        let calm = Weather {
            delay_us: (100, dice.between(200, calm_most_us)),
            spike_permille: 0,
            loss_permille: 0,
            duplicate_permille: 0,
            streams: dice.chance(70),
        };
        let mut plan = Self {
            seed: dice.next(),
            rules,
            validators,
            regulars: dice.pick(&[0, 0, 1, 1, 2]),
            faulty: draw_faulty(&mut dice, validators),
            missing_links: dice.pick(&[0, 0, 0, 1, 2]),
            storm: Weather::draw(&mut dice, &rules),
            calm,
            sync_us: (50, dice.magnitude(100, 20_000)),
            work_us: (50, dice.magnitude(100, 20_000)),
            skew_ms: if dice.chance(15) { dice.between(500, 5_000) } else { dice.below(200) },
            chaos: Chaos::draw(&mut dice, &rules),
            transaction_pause_us: dice.pick(&[0, 200_000, 700_000, 3_000_000]),
            permits: false,
            dealings: None,
        };
        if validators < 4 {
            plan.missing_links = 0;
        }
        plan
    }

    /// The world of a seed, of those with private transactions: four validators, and members who deal.
    pub fn draw_private(seed: u64) -> Self {
        let plan = Self::draw(seed);
        let mut dice = Dice::new(!seed);
        let period_ms = dice.pick(&[250, 500, 1_000]);
        let rules = Rules {
            period_ms,
            empty_period_ms: period_ms * dice.pick(&[1, 1, 2, 5]),
            timeout_ms: plan.rules.timeout_ms.clamp(1_000, 3_000),
            max_timeout_ms: plan.rules.max_timeout_ms.max(3_000),
            ..plan.rules
        };
        let beat_us = rules.period_ms.max(rules.timeout_ms / 4) * 1_000;
        let dealings = Dealings::draw(&mut dice, beat_us);
        // Who is nobody's neighbour is nobody's partner; and whom a vote made a validator may be switched off.
        let chaos = Chaos { blocks: dice.between(8, 20), votes: 0, ..Chaos::draw(&mut dice, &rules) };
        Self {
            rules,
            validators: 4,
            regulars: dealings.members + dealings.strangers,
            faulty: if dice.chance(40) { draw_faulty(&mut dice, 4) } else { Vec::new() },
            missing_links: 0,
            storm: Weather::draw(&mut dice, &rules),
            chaos,
            dealings: Some(dealings),
            ..plan
        }
    }

    /// Nodes in all, the second bodies of twins included.
    pub fn nodes(&self) -> usize {
        let twins = self.faulty.iter().filter(|(_, fault)| *fault == Fault::Twin).count();
        self.validators + self.regulars + twins
    }

    /// Block 0 with its rules.
    pub fn genesis(&self, validators: Vec<Address>, nodes: &[NodeId], senders: &[Address]) -> Genesis {
        let funded = GenesisAccount { balance: U256::from(FUNDS), ..GenesisAccount::default() };
        let counter = GenesisAccount { code: COUNTER_CODE.into(), ..GenesisAccount::default() };
        let mut alloc: BTreeMap<_, _> = senders.iter().map(|sender| (*sender, funded.clone())).collect();
        alloc.insert(COUNTER, counter);
        let (permissions, lists) = permits::genesis_part(nodes, senders);
        if self.permits {
            alloc.insert(permits::LISTS, lists);
        }
        let network = NewNetwork {
            validators,
            alloc,
            timestamp: BEGIN_S - 10,
            block_period_ms: Some(self.rules.period_ms),
            empty_block_period_ms: Some(self.rules.empty_period_ms),
            request_timeout_ms: Some(self.rules.timeout_ms),
            max_request_timeout_ms: Some(self.rules.max_timeout_ms),
            epoch_length: Some(self.rules.epoch_length),
            privacy: self.dealings.map_or_else(Privacy::default, |_| Privacy::OF_NEW_NETWORKS),
            ..NewNetwork::default()
        };
        let mut genesis = Genesis::from_json(&network.to_json()).expect("the file is well-formed");
        for (_, params) in &mut genesis.spec.consensus {
            (params.digest, params.rules) = (self.rules.digest, self.rules.client);
        }
        if self.permits {
            genesis.spec.permissions = vec![(0, permissions)];
        }
        genesis
    }
}

impl Rules {
    fn draw(dice: &mut Dice) -> Self {
        let period_ms = dice.pick(&[20, 50, 100, 250, 300, 500, 1_000, 1_000, 2_000]);
        let timeout_ms = dice.pick(&[500, 1_000, 1_000, 2_000, 3_000, 10_000]);
        Self {
            period_ms,
            empty_period_ms: period_ms * dice.pick(&[1, 1, 1, 2, 5]),
            timeout_ms,
            max_timeout_ms: timeout_ms * dice.pick(&[1, 4, 10, 20]),
            epoch_length: dice.pick(&[3, 10, 30_000]),
            digest: dice.pick(&[DigestRule::Eea, DigestRule::Eea, DigestRule::GoQuorum]),
            client: dice.pick(&[ClientRules::Besu, ClientRules::GoQuorum]),
        }
    }
}

impl Weather {
    fn draw(dice: &mut Dice, rules: &Rules) -> Self {
        let most_us = dice.magnitude(1_000, rules.timeout_ms * 300);
        Self {
            delay_us: (dice.between(50, 1_000), most_us),
            spike_permille: dice.pick(&[0, 5, 50]),
            loss_permille: dice.pick(&[0, 0, 5, 30, 150]),
            duplicate_permille: dice.pick(&[0, 0, 10, 100]),
            streams: dice.chance(50),
        }
    }
}

impl Chaos {
    fn draw(dice: &mut Dice, rules: &Rules) -> Self {
        let mut weight = |percent: u64, most: u64| {
            if dice.chance(percent) { dice.between(1, most) } else { 0 }
        };
        let chaos = Self {
            crash_one: weight(75, 6),
            crash_many: weight(40, 2),
            partition: weight(50, 3),
            one_way: weight(30, 3),
            silence: weight(60, 6),
            clock_jump: weight(25, 1),
            slow_disk: weight(25, 2),
            votes: weight(50, 3),
            full_disk: weight(15, 1),
            switch_twin: 2,
            noise: 6,
            ..Self::default()
        };
        let beat_us = rules.period_ms.max(rules.timeout_ms / 4) * 1_000;
        Self {
            blocks: dice.between(4, 14),
            most_us: beat_us * dice.between(10, 60),
            pause_us: dice.magnitude(beat_us / 8, beat_us * 3),
            ..chaos
        }
    }
}

/// Up to as many as are tolerated.
fn draw_faulty(dice: &mut Dice, validators: usize) -> Vec<(usize, Fault)> {
    let most = (validators - 1) / 3;
    let count = if dice.chance(65) { dice.between(0, most as u64) as usize } else { 0 };
    let mut indices: Vec<usize> = (0..validators).collect();
    dice.shuffle(&mut indices);
    let mut draw = |index| match dice.chance(30) {
        true => (index, Fault::Twin),
        false => (index, Fault::Byzantine(Habits::draw(dice))),
    };
    indices.into_iter().take(count).map(&mut draw).collect()
}
