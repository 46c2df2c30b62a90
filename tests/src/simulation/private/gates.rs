//! Holds the threads of a manager still, but for the moments at which the world lets them work.
//!
//! A manager hands its writes to a thread, and what takes long to a pool. When they get there is up to the machine; so both
//! stand at gates, which the world opens when nothing else moves. What they do then they do in the order in which it was
//! handed to them, and nobody sees when.

use lonja_storage::{Batch, Kv, KvRead, MemoryKv, StoreError, Table, Tuning};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, ThreadId};
use tokio::runtime::Handle;

/// A gate for all threads but one.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    passed: AtomicU64,
}

/// A store that other threads than the world's reach only while its gate is open.
#[derive(Clone)]
pub(super) struct GatedKv {
    kv: MemoryKv,
    gate: Arc<Gate>,
    own: ThreadId,
    /// It says that everything is durable, and nothing is.
    lies: bool,
}

impl GatedKv {
    /// In front of a store, for the thread that calls this.
    pub(super) fn new(kv: MemoryKv, lies: bool) -> Self {
        Self { kv, gate: Arc::default(), own: thread::current().id(), lies }
    }

    /// Whether others get through.
    pub(super) fn open(&self, open: bool) {
        *self.gate.open.lock() = open;
        self.gate.opened.notify_all();
    }

    /// How often others got through.
    pub(super) fn passed(&self) -> u64 {
        self.gate.passed.load(Ordering::SeqCst)
    }

    fn kv(&self) -> &MemoryKv {
        if thread::current().id() != self.own {
            let mut open = self.gate.open.lock();
            while !*open {
                self.gate.opened.wait(&mut open);
            }
            self.gate.passed.fetch_add(1, Ordering::SeqCst);
        }
        &self.kv
    }
}

impl KvRead for GatedKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.kv().get(table, key)
    }

    fn first_from(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.kv().first_from(table, from, until)
    }

    fn last_at(&self, table: Table, at: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.kv().last_at(table, at)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.kv().scan(table, from, visit)
    }
}

impl Kv for GatedKv {
    fn snapshot(&self) -> Box<dyn KvRead + '_> {
        self.kv().snapshot()
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.kv().write(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        if self.lies { Ok(()) } else { self.kv().sync() }
    }

    fn forget_history(&self, up_to: u64) {
        self.kv().forget_history(up_to);
    }

    fn scrub(&self) -> Result<(), StoreError> {
        self.kv().scrub()
    }

    fn tuning(&self) -> Tuning {
        self.kv.tuning()
    }
}

/// Stands in the only thread of a pool, so that nothing behind it is done before the world wants it.
pub(super) struct Stopper {
    runtime: Handle,
    /// Dropped, it lets the thread go on.
    held: Sender<()>,
}

impl Stopper {
    /// In the pool of this runtime.
    pub(super) fn new(runtime: Handle) -> Self {
        let (held, _) = stop(&runtime);
        Self { runtime, held }
    }

    /// Everything that was handed to the pool so far is done.
    pub(super) fn pass(&mut self) {
        let (held, there) = stop(&self.runtime);
        self.held = held;
        there.recv().expect("the pool goes on until its runtime ends");
    }
}

fn stop(runtime: &Handle) -> (Sender<()>, Receiver<()>) {
    let ((held, release), (arrive, there)) = (channel(), channel());
    drop(runtime.spawn_blocking(move || {
        let _ = arrive.send(());
        let _: Result<(), _> = release.recv();
    }));
    (held, there)
}
