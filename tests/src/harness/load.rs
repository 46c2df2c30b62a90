//! Transfers that flow into one node, whatever happens to it meanwhile.

use super::wallet::Signed;
use super::{Rpc, Wallet, wait_until};
use alloy_primitives::B256;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Accounts that send; each has one transaction in a batch, so that gaps between nonces would show.
const ACCOUNTS: usize = 16;
/// Pause between batches: hundreds of transfers a second, which leaves a small machine time for its nodes.
const PAUSE: Duration = Duration::from_millis(50);

/// A thread that sends transfers until it is told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<B256>>,
}

impl Load {
    /// Begins to send to the node at `rpc`. A batch without an answer is sent again until it has one.
    pub fn start(rpc: Rpc) -> Self {
        Self::from(rpc, (0..ACCOUNTS).map(|_| Wallet::empty()).collect())
    }

    /// Accounts that are the same in every run, for networks that ask who sends.
    pub fn registered() -> Vec<Wallet> {
        (0..ACCOUNTS).map(|n| Wallet::numbered(1_000 + n)).collect()
    }

    /// As [`Load::start`], from these accounts.
    pub fn from(rpc: Rpc, wallets: Vec<Wallet>) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), count.clone());
        let thread = thread::spawn(move || send(rpc, wallets, &stopped, &counted));
        Self { stop, count, thread }
    }

    /// Transfers acknowledged up to now.
    pub fn acknowledged(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until so many more transfers are acknowledged.
    #[track_caller]
    pub fn wait_for(&self, more: usize) {
        let target = self.acknowledged() + more;
        wait_until("the node takes transfers", || self.acknowledged() >= target || self.thread.is_finished());
    }

    /// Ends it; the hashes of all transfers that the node acknowledged.
    #[track_caller]
    pub fn finish(self) -> Vec<B256> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no transfer is refused")
    }
}

fn send(rpc: Rpc, mut wallets: Vec<Wallet>, stop: &AtomicBool, count: &AtomicUsize) -> Vec<B256> {
    let receiver = Wallet::empty().address();
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let batch: Vec<Signed> = wallets.iter_mut().map(|wallet| wallet.transfer(receiver, 0)).collect();
        let params: Vec<Value> = batch.iter().map(|signed| json!([signed.text()])).collect();
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
            if let Ok(answers) = rpc.batch("eth_sendRawTransaction", &params) {
                answers.iter().for_each(check);
                acknowledged.extend(batch.iter().map(|signed| signed.hash));
                count.store(acknowledged.len(), Ordering::Relaxed);
                break;
            }
        }
    }
    acknowledged
}

/// A batch is sent twice when its answer was lost. Then the node may know it, or have mined it.
fn check(answer: &Result<Value, String>) {
    if let Err(error) = answer {
        let known = error.contains("already known") || error.contains("nonce too low");
        assert!(known, "a transfer was refused: {error}");
    }
}
