//! Signing on the side, for runs that are too long to be signed ahead.

use super::ledger::Ledger;
use super::workload::{Signed, Workload};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use tokio::sync::mpsc;

struct Order {
    account: usize,
    nonces: Range<u64>,
}

struct Delivery {
    account: usize,
    signed: Vec<Signed>,
}

/// A thread that signs what is ordered. An account has one order under way at most, which bounds both queues.
pub struct Signing {
    orders: SyncSender<Order>,
    deliveries: RefCell<Option<mpsc::Receiver<Delivery>>>,
    count: Cell<u64>,
}

impl Signing {
    /// Starts the thread, which ends when this is dropped.
    pub fn start(workload: Arc<Workload>) -> Self {
        let (orders, ordered) = sync_channel::<Order>(workload.accounts());
        let (deliver, deliveries) = mpsc::channel(workload.accounts());
        std::thread::spawn(move || {
            for Order { account, nonces } in ordered {
                let signed = nonces.map(|nonce| workload.sign(account, nonce)).collect();
                if deliver.blocking_send(Delivery { account, signed }).is_err() {
                    return;
                }
            }
        });
        Self { orders, deliveries: RefCell::new(Some(deliveries)), count: Cell::new(0) }
    }

    /// Orders transactions of an account.
    pub fn order(&self, account: usize, nonces: Range<u64>) {
        self.count.set(self.count.get() + (nonces.end - nonces.start));
        // Full it is never, and a thread that has ended shows as accounts that have run dry.
        let _ = self.orders.try_send(Order { account, nonces });
    }

    /// How many were ordered so far.
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// Carries what is signed to the ledger. Runs as long as the signing.
    pub async fn deliver(self: Rc<Self>, ledger: Rc<RefCell<Ledger>>) {
        let Some(mut deliveries) = self.deliveries.take() else { return };
        while let Some(Delivery { account, signed }) = deliveries.recv().await {
            ledger.borrow_mut().stock(account, signed);
        }
    }
}
