//! Somebody who writes down every head that any node ever showed. A block that was seen once is final.

use super::{Network, Rpc};
use alloy_primitives::B256;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Looks at the heads of some nodes until it is asked what it saw.
pub struct Witness {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<(u64, B256)>>>,
}

impl Witness {
    /// Begins to look. Nodes that do not answer are asked again.
    pub fn start(nodes: Vec<Rpc>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let look = |node: Rpc| {
            let stop = stop.clone();
            thread::spawn(move || watch(node, &stop))
        };
        let threads = nodes.into_iter().map(look).collect();
        Self { stop, threads }
    }

    /// Every block that any of the nodes showed as its head. Fails when two of one height differ.
    #[track_caller]
    pub fn report(self) -> BTreeMap<u64, B256> {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen: BTreeMap<u64, B256> = BTreeMap::new();
        for thread in self.threads {
            for (number, hash) in thread.join().expect("the witness stays calm") {
                let first = *seen.entry(number).or_insert(hash);
                assert_eq!(first, hash, "two blocks were final at height {number}");
            }
        }
        seen
    }

    /// Every block that anybody saw is on every node's chain now, once the node has come so far. Answers how many
    /// there were.
    #[track_caller]
    pub fn assert_kept(self, network: &Network) -> usize {
        let seen = self.report();
        let newest = *seen.keys().next_back().expect("somebody saw a block");
        for n in network.all() {
            network.wait_for_block(n, newest);
            let chain = network.member(n).rpc.hashes(0, newest);
            for (number, hash) in &seen {
                assert_eq!(chain[*number as usize], Some(*hash), "{}: {number}", network.member(n).name);
            }
        }
        seen.len()
    }
}

fn watch(node: Rpc, stop: &AtomicBool) -> Vec<(u64, B256)> {
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if let Some(head) = node.newest()
            && seen.last() != Some(&head)
        {
            seen.push(head);
        }
        thread::sleep(Duration::from_millis(20));
    }
    seen
}
