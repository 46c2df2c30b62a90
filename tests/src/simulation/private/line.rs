//! The courier of one manager: its questions become messages of the world, and answers come back as such.

use alloy_primitives::Bytes;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use lonja_primitives::NodeId;
use lonja_ptm::{Courier, CourierError};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A question that is to leave: to whom, its number, and what it says.
pub(super) type Asked = (NodeId, u64, Bytes);

/// The way to other managers.
#[derive(Clone)]
pub(super) struct Line(Arc<Mutex<State>>);

struct State {
    reachable: BTreeSet<NodeId>,
    next: u64,
    leaving: Vec<Asked>,
    waiting: BTreeMap<u64, (NodeId, oneshot::Sender<Bytes>)>,
}

impl Line {
    /// Numbers questions from here on.
    pub(super) fn new(first: u64) -> Self {
        let (leaving, waiting) = (Vec::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(State { reachable: BTreeSet::new(), next: first, leaving, waiting })))
    }

    /// There is a session with this node.
    pub(super) fn peer_up(&self, peer: NodeId) {
        self.0.lock().reachable.insert(peer);
    }

    /// There is none any more: no answer will come on it.
    pub(super) fn peer_down(&self, peer: &NodeId) {
        let mut state = self.0.lock();
        state.reachable.remove(peer);
        state.waiting.retain(|_, (asked, _)| asked != peer);
    }

    /// What is to leave.
    pub(super) fn leaving(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().leaving)
    }

    /// An answer came. One that nobody waits for is dropped.
    pub(super) fn answered(&self, peer: &NodeId, number: u64, body: Bytes) {
        let mut state = self.0.lock();
        if state.waiting.get(&number).is_some_and(|(asked, _)| asked == peer)
            && let Some((_, answer)) = state.waiting.remove(&number)
        {
            drop(state);
            let _ = answer.send(body);
        }
    }

    fn ask(&self, to: NodeId, body: Bytes) -> Result<(Number<'_>, oneshot::Receiver<Bytes>), CourierError> {
        let mut state = self.0.lock();
        if !state.reachable.contains(&to) {
            return Err(CourierError::NotConnected);
        }
        let (sender, receiver) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        state.leaving.push((to, number, body));
        state.waiting.insert(number, (to, sender));
        Ok((Number { line: self, number }, receiver))
    }
}

/// Gives the number of a question back, however its future ends.
struct Number<'a> {
    line: &'a Line,
    number: u64,
}

impl Drop for Number<'_> {
    fn drop(&mut self) {
        self.line.0.lock().waiting.remove(&self.number);
    }
}

impl Courier for Line {
    fn ask(&self, to: NodeId, request: Bytes) -> BoxFuture<'_, Result<Bytes, CourierError>> {
        Box::pin(async move {
            let (_number, answer) = Line::ask(self, to, request)?;
            match answer.await {
                Ok(body) if body.is_empty() => Err(CourierError::Failed("the node has no manager".into())),
                Ok(body) => Ok(body),
                Err(_) => Err(CourierError::Failed("the node was disconnected before it answered".into())),
            }
        })
    }

    fn is_reachable(&self, node: &NodeId) -> bool {
        self.0.lock().reachable.contains(node)
    }
}
