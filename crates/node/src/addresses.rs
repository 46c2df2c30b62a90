//! Addresses of the other nodes, from lonja's registry at our own newest block.
//!
//! Reading thousands of entries takes a part of a second, so a thread of its own does it: at the start, and when a block
//! may have changed who may connect. The chain thread only pokes it.

use alloy_primitives::{B256, keccak256};
use lonja_chain::PeerJudge;
use lonja_p2p::{Host, MAX_KNOWN_PEERS, P2p, PeerAddress, Transport};
use lonja_permissioning::ConnectionVerdict;
use lonja_permissioning::registry::abi::{Node, Role};
use lonja_primitives::NodeId;
use metrics::{gauge, histogram};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Entries of the registry that are looked at: several times as many as can be remembered, and some seconds of work.
const ENTRIES_MAX: usize = 4 * MAX_KNOWN_PEERS;
/// The status of an entry that may be permitted.
const ACTIVE: u8 = 2;
/// After each reading it rests, and several times as long as that took: a chain that is caught up with may change the
/// registry in every block.
const REST: Duration = Duration::from_millis(250);
const REST_TIMES: u32 = 4;
/// Before the first reading.
const UNREAD: usize = usize::MAX;

/// The way to the thread, which ends when every clone is dropped.
#[derive(Clone, Debug)]
pub struct Poke(SyncSender<()>);

impl Poke {
    /// Who may connect may have changed. Never waits.
    pub fn poke(&self) {
        // A full channel says already what there is to say.
        let _ = self.0.try_send(());
    }
}

/// How many permitted nodes with an address the registry has.
#[derive(Clone, Debug)]
pub struct Known(Arc<AtomicUsize>);

impl Known {
    /// `None` before they were read for the first time.
    pub fn count(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|count| *count != UNREAD)
    }
}

/// Starts the thread for the network of this node. With `wanted` false no address is ever learned.
pub fn start(judge: PeerJudge, p2p: P2p, wanted: bool) -> (Poke, Known, JoinHandle<()>) {
    let (sender, pokes) = sync_channel(1);
    let known = Known(Arc::new(AtomicUsize::new(if wanted { UNREAD } else { 0 })));
    let worker = Worker { judge, p2p, known: known.clone(), told: Vec::new() };
    let run = move || {
        if wanted {
            worker.run(&pokes);
        }
    };
    let thread = thread::Builder::new().name("addresses".into()).spawn(run);
    (Poke(sender), known, thread.expect("the system can start a thread"))
}

struct Worker {
    judge: PeerJudge,
    p2p: P2p,
    known: Known,
    told: Vec<PeerAddress>,
}

impl Worker {
    fn run(mut self, pokes: &Receiver<()>) {
        loop {
            let begun = Instant::now();
            self.read();
            match rest(pokes, REST.max(begun.elapsed() * REST_TIMES)) {
                Some(true) => {}
                Some(false) if pokes.recv().is_ok() => {}
                _ => return,
            }
        }
    }

    fn read(&mut self) {
        let begun = Instant::now();
        let found = read(&self.judge, &self.p2p.node_id()).unwrap_or_default();
        histogram!("lonja_registry_addresses_seconds").record(begun.elapsed().as_secs_f64());
        gauge!("lonja_registry_addresses").set(found.addresses.len() as f64);
        gauge!("lonja_registry_addresses_bad").set(found.bad as f64);
        if found.addresses != self.told {
            let (known, left_out, bad) = (found.addresses.len(), found.left_out, found.bad);
            tracing::info!(known, left_out, bad, "addresses of nodes read from the registry");
            self.p2p.set_known_addresses(found.addresses.clone());
            self.told = found.addresses;
        }
        self.known.0.store(self.told.len(), Ordering::Relaxed);
    }
}

/// Rests, and says whether somebody poked meanwhile; `None` when nobody is left who could.
fn rest(pokes: &Receiver<()>, how_long: Duration) -> Option<bool> {
    let (until, mut poked) = (Instant::now() + how_long, false);
    loop {
        match pokes.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(()) => poked = true,
            Err(RecvTimeoutError::Timeout) => return Some(poked),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// What the registry says of addresses.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Of permitted nodes, one each; the most useful first.
    addresses: Vec<PeerAddress>,
    /// Texts that are none.
    bad: usize,
    /// Nodes that are too many.
    left_out: usize,
}

/// Reads the registry; `None` where there is none that answers.
fn read(judge: &PeerJudge, own: &NodeId) -> Option<Found> {
    let (entries, seats) = judge.registry(|registry| {
        let count = registry.node_count().ok()?;
        let seats = registry.validators().unwrap_or_default();
        let entries: Vec<(B256, Node)> = (0..count.min(ENTRIES_MAX))
            .filter_map(|index| registry.node_at(index).ok())
            .filter(|(_, node)| node.status == ACTIVE)
            .collect();
        Some((entries, seats.into_iter().map(|(_, key)| key).collect::<BTreeSet<B256>>()))
    })??;
    let mut found = Found::default();
    let mut ranked = Vec::new();
    for (key, entry) in entries {
        let Some(node) = node_id(&entry).filter(|node| node != own) else { continue };
        let Some(address) = first_address(node, &entry.endpoints, &mut found.bad) else { continue };
        let (host, port) = crate::gate::place_of(&address);
        if matches!(judge.judge(node, Some((&host, port))), Ok(ConnectionVerdict::Allowed)) {
            ranked.push((rank(&key, &entry, &seats, own), address));
        }
    }
    ranked.sort();
    found.left_out = ranked.len().saturating_sub(MAX_KNOWN_PEERS);
    found.addresses = ranked.into_iter().take(MAX_KNOWN_PEERS).map(|(_, address)| address).collect();
    Some(found)
}

/// Where there are too many: validators, then nodes for newcomers, then others; each node has an order of its own, or all
/// would dial the same few.
fn rank(key: &B256, entry: &Node, seats: &BTreeSet<B256>, own: &NodeId) -> (u8, B256) {
    let class = match entry.roles {
        _ if seats.contains(key) => 0,
        roles if roles & Role::Boot.number() != 0 => 1,
        _ => 2,
    };
    (class, keccak256([own.0.as_slice(), key.as_slice()].concat()))
}

fn node_id(entry: &Node) -> Option<NodeId> {
    let bytes = [entry.publicKeyHigh.0, entry.publicKeyLow.0].concat();
    NodeId::from_uncompressed(bytes.as_slice().try_into().ok()?).ok()
}

/// The first of the texts with commas between that is an address. What members write there nobody checked.
fn first_address(node: NodeId, endpoints: &[u8], bad: &mut usize) -> Option<PeerAddress> {
    let texts = endpoints.split(|byte| *byte == b',').filter(|text| !text.trim_ascii().is_empty());
    for text in texts {
        match address(node, text) {
            Some(address) => return Some(address),
            None => *bad += 1,
        }
    }
    None
}

fn address(node: NodeId, text: &[u8]) -> Option<PeerAddress> {
    let (host, port) = std::str::from_utf8(text).ok()?.trim().rsplit_once(':')?;
    let port = port.parse().ok().filter(|port: &u16| *port != 0)?;
    // An IPv6 address without brackets cannot be told from one with a port behind it.
    let host: Host = Some(host).filter(|host| host.starts_with('[') || !host.contains(':'))?.parse().ok()?;
    Some(PeerAddress::new(node, host, port, Transport::TcpThenQuic))
}

#[cfg(test)]
pub(crate) mod tests;
