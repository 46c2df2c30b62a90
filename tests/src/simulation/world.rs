//! The world: nodes, a network, time, and the judge. One thread, one seed.

use super::byzantine::Byzantine;
use super::check::Checks;
use super::dice::Dice;
use super::disk::{Crash, Disk};
use super::network::Network;
use super::permits::{self, Permits};
use super::plan::{BEGIN_S, Fault, Plan};
use super::private::{self, Deals};
use super::process::{Birth, Node, Process};
use super::report::{Outcome, Stats, Violation};
use super::schedule::{Happening, Life, Schedule};
use alloy_primitives::{Address, keccak256};
use lonja_consensus::Now;
use lonja_primitives::{ChainSpec, Genesis, NodeId, NodeKey, Signer, VoteKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What can be broken in the world around the nodes, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// A crash loses the whole consensus log.
    WithoutLog,
    /// Messages leave before the records they rest on are durable.
    UnsyncedLog,
    /// Twins are held to what an honest validator promises.
    TwinVotesAsHonest,
    /// A power cut loses blocks that were said to be durable.
    UnsyncedStore,
    /// A second pass does not hear of payloads that come late. For worlds with private transactions, as the next ones.
    LatePayloadsForgotten,
    /// Payloads are sent to somebody who is no party.
    StrangerTold,
    /// Managers say that a payload is durable, and it is not.
    UnsyncedPayloads,
}

impl Break {
    /// All of them, with their names on the command line.
    pub const ALL: [(&'static str, Self); 7] = [
        ("without-log", Self::WithoutLog),
        ("unsynced-log", Self::UnsyncedLog),
        ("twin-votes-as-honest", Self::TwinVotesAsHonest),
        ("unsynced-store", Self::UnsyncedStore),
        ("late-payloads-forgotten", Self::LatePayloadsForgotten),
        ("stranger-told", Self::StrangerTold),
        ("unsynced-payloads", Self::UnsyncedPayloads),
    ];

    /// Whether it is seen in worlds with private transactions alone.
    pub fn is_private(self) -> bool {
        matches!(self, Self::LatePayloadsForgotten | Self::StrangerTold | Self::UnsyncedPayloads)
    }
}

/// How a world is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Print every step.
    pub trace: bool,
    /// What is broken.
    pub broken: Option<Break>,
    /// The worlds are those with private transactions.
    pub private: bool,
}

/// Everything.
pub struct World {
    /// What it was made from.
    pub plan: Plan,
    /// How it is run.
    pub options: Options,
    /// Where chance comes from.
    pub dice: Dice,
    /// The time, microseconds since the world began.
    pub now_us: u64,
    /// What will happen.
    pub schedule: Schedule,
    /// Who is there.
    pub nodes: Vec<Node>,
    /// Who can talk to whom.
    pub network: Network,
    /// The judge.
    pub checks: Checks,
    /// The tally of the run.
    pub stats: Stats,
    /// Keys of people who submit transactions.
    pub senders: Vec<NodeKey>,
    /// Faults happen.
    pub stormy: bool,
    /// When processes ended, and messages that had not left yet were lost.
    pub deaths: BTreeMap<Life, u64>,
    /// When each height was first reached anywhere, microseconds.
    pub reached_us: Vec<u64>,
    /// Everything operators ever wanted of the validator set.
    pub wishes: Vec<(Address, VoteKind)>,
    /// What the nodes say of each other, where a contract decides.
    pub permits: Permits,
    /// What members deal, and the judge of it.
    pub deals: Deals,
    /// The partition in force, so that an old one's end is recognised.
    pub partition: u64,
    pub(super) genesis: Genesis,
    pub(super) spec: Arc<ChainSpec>,
    next_life: Life,
}

/// A key of this world.
fn key_of(seed: u64, what: &str, index: usize) -> NodeKey {
    let digest = keccak256(format!("{what} {index} of world {seed}"));
    NodeKey::from_bytes(&digest.0).expect("a hash is below the order of the curve, but for one in 2^128")
}

impl World {
    /// A world at its beginning: nothing runs yet.
    pub fn new(plan: Plan, options: Options) -> Self {
        let senders: Vec<NodeKey> = (0..3).map(|index| key_of(plan.seed, "sender", index)).collect();
        let nodes = make_nodes(&plan);
        let validators: Vec<Address> = nodes.iter().take(plan.validators).map(|node| node.address).collect();
        let sender_addresses: Vec<Address> = senders.iter().map(Signer::address).collect();
        let ids: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
        let genesis = plan.genesis(validators, &ids, &sender_addresses);
        let spec = Arc::new(genesis.spec.clone());
        let held_to_it =
            |fault: &Fault| *fault == Fault::Twin && options.broken == Some(Break::TwinVotesAsHonest);
        let faulty = plan.faulty.iter().filter(|(_, fault)| !held_to_it(fault));
        let faulty = faulty.map(|(index, _)| nodes[*index].address).collect();
        let mut dice = Dice::new(plan.seed);
        let deals = private::make_deals(&nodes);
        let mut world = Self {
            checks: Checks::new(spec.clone(), &genesis, plan.rules.digest, faulty),
            network: Network::new(&mut dice, &plan, &nodes),
            schedule: Schedule::default(),
            now_us: 0,
            stats: Stats { worlds: 1, ..Stats::default() },
            stormy: false,
            deaths: BTreeMap::new(),
            reached_us: vec![0],
            wishes: Vec::new(),
            permits: Permits::default(),
            deals,
            partition: 0,
            next_life: 1,
            plan,
            options,
            dice,
            nodes,
            senders,
            genesis,
            spec,
        };
        for node in 0..world.nodes.len() {
            world.nodes[node].skew_ms = world.draw_skew();
        }
        world
    }

    /// A wall clock's error, milliseconds.
    pub fn draw_skew(&mut self) -> i64 {
        let most = self.plan.skew_ms;
        self.dice.below(2 * most + 1) as i64 - most as i64
    }

    /// What a node's clocks say.
    pub fn now_of(&self, node: usize) -> Now {
        let mono_ms = self.nodes[node].process.as_ref().map_or(0, |process| process.mono_ms(self.now_us));
        Now { unix_ms: self.unix_ms_of(node), mono_ms }
    }

    fn unix_ms_of(&self, node: usize) -> u64 {
        (BEGIN_S * 1_000 + self.now_us / 1_000).saturating_add_signed(self.nodes[node].skew_ms)
    }

    /// Schedules something, microseconds from now.
    pub fn after(&mut self, delay_us: u64, happening: Happening) {
        self.schedule.at(self.now_us + delay_us, happening);
    }

    /// Prints a line of the trace.
    pub fn trace(&self, line: impl FnOnce() -> String) {
        if self.options.trace {
            let seconds = self.now_us / 1_000_000;
            println!("{seconds:>6}.{:06} {}", self.now_us % 1_000_000, line());
        }
    }

    /// Does the next thing. Returns whether there was one.
    pub fn step(&mut self) -> Outcome<bool> {
        let Some((time_us, happening)) = self.schedule.pop() else { return Ok(false) };
        self.now_us = time_us;
        self.stats.steps += 1;
        self.happen(happening)?;
        Ok(true)
    }

    /// Goes on until `until` says so, at most up to a time. Returns whether it did.
    pub fn run_until(&mut self, most_us: u64, until: impl Fn(&Self) -> bool) -> Outcome<bool> {
        while !until(self) {
            match self.schedule.next_us() {
                Some(next_us) if next_us <= most_us => self.step()?,
                _ => {
                    self.now_us = self.now_us.max(most_us);
                    return Ok(until(self));
                }
            };
        }
        Ok(true)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time_us: u64) -> Outcome {
        self.run_until(self.now_us + time_us, |_| false).map(drop)
    }

    fn happen(&mut self, happening: Happening) -> Outcome {
        match happening {
            Happening::Loop { node, life } => self.loop_step(node, life),
            Happening::Wake { node, life } => self.wake(node, life),
            Happening::Outbox { node, life } => self.outbox_step(node, life),
            Happening::LogSynced { node, life } => self.log_synced(node, life),
            Happening::ChainDone { node, life } => self.chain_done(node, life),
            Happening::StoreSynced { node, life } => self.store_synced(node, life),
            Happening::Arrival(arrival) => self.arrive(*arrival),
            Happening::Dial { one, other } => self.dial(one, other),
            Happening::SessionLost { node, life, peer, session } => {
                self.session_lost(node, life, peer, session);
                Ok(())
            }
            Happening::SessionExpires { one, other, session } => {
                self.session_expires(one, other, session);
                Ok(())
            }
            Happening::Crash { node, crash } => self.crash(node, crash),
            Happening::Restart { node } => self.boot(node),
            Happening::Chaos => self.chaos(),
            Happening::Heal { partition } => {
                if partition == self.partition {
                    self.heal();
                }
                Ok(())
            }
            Happening::DiskRoom { node, room } => {
                self.tell(node, lonja_node::event::Event::Room(room));
                Ok(())
            }
            Happening::FastDisk { node } => {
                self.nodes[node].sync_us = self.plan.sync_us;
                Ok(())
            }
            Happening::Transaction => self.transaction(),
            Happening::Manager { node, life } => self.manager_turn(node, life),
            Happening::SecondPass { node, life } => self.second_pass(node, life),
            Happening::Deal => self.deal(),
        }
    }

    /// Counts a step of a node's own work, and lets it die when its time has come. Returns whether it lives.
    pub fn lives(&mut self, node: usize, life: Life) -> Outcome<bool> {
        let this = &mut self.nodes[node];
        if this.alive(life).is_none() {
            return Ok(false);
        }
        this.steps += 1;
        match &mut this.dies_in {
            Some(0) => {
                let crash = if self.dice.chance(50) { Crash::Kill } else { Crash::PowerCut };
                self.crash(node, crash)?;
                Ok(false)
            }
            Some(steps) => {
                *steps -= 1;
                Ok(true)
            }
            None => Ok(true),
        }
    }

    /// Starts a node from its disk.
    pub fn boot(&mut self, node: usize) -> Outcome {
        if self.nodes[node].is_up() || self.nodes[node].retired {
            return Ok(());
        }
        let life = self.next_life;
        self.next_life += 1;
        let mono_ms = self.dice.below(1_000_000);
        let birth = Birth { life, time_us: self.now_us, unix_ms: self.unix_ms_of(node), mono_ms };
        let spec =
            if self.nodes[node].lawless { permits::without_rules(&self.spec) } else { self.spec.clone() };
        let Node { disk, key, .. } = &mut self.nodes[node];
        let mut process = Process::boot(disk, &self.genesis, &spec, key, birth)
            .map_err(|violation| Violation::new(format!("node {node} does not start: {}", violation.0)))?;
        let head = process.chain.position().head.clone();
        self.trace(|| {
            format!("n{node} starts behind block {} with {} records", head.number, process.kept.len())
        });
        self.check_start(node, &process)?;
        self.boot_member(node, &mut process)?;
        let this = &mut self.nodes[node];
        (this.published, this.written, this.safe) = (head.number, head.number, head.number);
        this.process = Some(process);
        self.after(1, Happening::Loop { node, life });
        if let Some(process) = &mut self.nodes[node].process {
            process.loop_busy = true;
        }
        self.rouse_member(node);
        self.dial_all(node);
        Ok(())
    }

    /// What was published must still be there, and what was written unless the power was cut.
    fn check_start(&self, node: usize, process: &Process) -> Outcome {
        let head = &process.chain.position().head;
        let this = &self.nodes[node];
        if head.number < this.published {
            return Err(Violation::new(format!(
                "durability: node {node} starts behind block {}, but has published block {}",
                head.number, this.published
            )));
        }
        match self.checks.chain.header(head.number) {
            Some(known) if known.hash() == head.hash() => {}
            _ => return Err(Violation::new(format!("node {node} starts behind a block nobody decided"))),
        }
        let validators = process.chain.position().votes.validators().as_slice().to_vec();
        self.checks.chain.expect_validators(node, head.number, &validators)
    }

    /// Ends a node's process.
    pub fn crash(&mut self, node: usize, crash: Crash) -> Outcome {
        let Some(mut process) = self.nodes[node].process.take() else { return Ok(()) };
        // Its threads end before anybody looks at what they leave.
        process.member = None;
        self.forget_deals(process.life);
        match crash {
            Crash::Kill => self.stats.kills += 1,
            Crash::PowerCut => self.stats.power_cuts += 1,
        }
        self.deaths.insert(process.life, self.now_us);
        let this = &mut self.nodes[node];
        this.dies_in = None;
        if crash == Crash::PowerCut {
            // Written blocks may be lost, published ones may not.
            this.written = this.safe;
        }
        let torn = this.disk.crash(crash, &mut self.dice);
        let kept = self.nodes.iter().map(|node| node.written).max().unwrap_or(0);
        self.checks.chain.forget_unseen(kept);
        self.reached_us.truncate(self.checks.chain.height() as usize + 1);
        self.stats.torn_logs += u64::from(torn);
        if self.options.broken == Some(Break::WithoutLog) {
            self.nodes[node].disk.log.erase();
        }
        self.trace(|| format!("n{node} dies: {crash:?}, torn log: {torn}"));
        self.sever_all(node, &process, crash);
        if self.stormy {
            let away_us = self.dice.magnitude(1_000, 40_000_000);
            self.after(away_us, Happening::Restart { node });
        }
        Ok(())
    }

    /// A promise that was broken.
    pub fn violation<T>(&self, what: impl Into<String>) -> Outcome<T> {
        Err(Violation::new(what))
    }
}

fn make_nodes(plan: &Plan) -> Vec<Node> {
    let mut nodes: Vec<Node> = (0..plan.validators + plan.regulars)
        .map(|index| new_node(key_of(plan.seed, "node", index), plan.sync_us))
        .collect();
    for (index, fault) in &plan.faulty {
        nodes[*index].honest = false;
        match fault {
            Fault::Byzantine(habits) => {
                let key = nodes[*index].key.clone();
                nodes[*index].malice = Some(Byzantine::new(key, *habits, plan.rules.digest));
            }
            Fault::Lawless => nodes[*index].lawless = true,
            Fault::Twin => {
                let mut other = new_node(nodes[*index].key.clone(), plan.sync_us);
                (other.honest, other.twin) = (false, Some(*index));
                nodes[*index].twin = Some(nodes.len());
                nodes.push(other);
            }
        }
    }
    private::make_parties(plan, &mut nodes);
    nodes
}

fn new_node(key: NodeKey, sync_us: (u64, u64)) -> Node {
    Node {
        id: key.node_id(),
        address: key.address(),
        key,
        honest: true,
        malice: None,
        lawless: false,
        party: None,
        twin: None,
        disk: Disk::default(),
        process: None,
        skew_ms: 0,
        sync_us,
        published: 0,
        written: 0,
        safe: 0,
        dies_in: None,
        steps: 0,
        retired: false,
    }
}
