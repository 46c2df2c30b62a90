//! Runs the joining machine: sessions, store, clock, and what the operator sees. When it has come to its end the data
//! directory holds an ordinary chain, and the node starts on it as on any other.

use super::machine::{Input, Join, Joined, Output};
use super::state::Write;
use crate::clock::Clock;
use crate::config::Config;
use crate::node::{NodeError, network_config};
use lonja_p2p::wire::Message;
use lonja_p2p::{Abuse, P2p, PeerEvent, PeerEvents};
use lonja_primitives::transaction::recover_all;
use lonja_primitives::{ChainSpec, SealedHeader};
use lonja_rpc::{Health, HealthCheck};
use lonja_storage::snapshot::{ImportedBlock, StateImport, has_blocks};
use lonja_storage::{StoreError, StoreOptions};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the progress is logged.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// The machine is woken at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How joining ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There are blocks already, which go on in the ordinary way.
    HasBlocks,
    /// The chain is short: every block is fetched.
    NotWorth,
    /// The state after this block is there.
    Joined(u64),
}

/// Joins by a state where the data directory holds no blocks yet; what an earlier attempt left is removed. May be dropped
/// at any await point: it begins anew the next time.
pub async fn join(config: &Config) -> Result<Outcome, NodeError> {
    let path = config.data_dir.join("db");
    if path.exists() {
        let kv = lonja_storage::open_rocks(&path, &StoreOptions::default())?;
        if has_blocks(&*kv)? {
            tracing::info!("there are blocks already: the others are fetched in the ordinary way");
            return Ok(Outcome::HasBlocks);
        }
    }
    remove(&path)?;
    let head = (0, config.genesis.hash());
    let (p2p, events) = lonja_p2p::start(network_config(config, head)).await?;
    let status = Arc::new(Mutex::new(String::new()));
    let health = serve_health(config, &p2p, &status).await?;
    let result = run(config, &path, &p2p, events, &status).await;
    p2p.shutdown().await;
    health.stop().await;
    result
}

async fn run(
    config: &Config,
    path: &Path,
    p2p: &P2p,
    mut events: PeerEvents,
    status: &Mutex<String>,
) -> Result<Outcome, NodeError> {
    let spec = Arc::new(config.genesis.spec.clone());
    let genesis = config.genesis.header.clone();
    let machine = Join::new(spec.clone(), genesis.clone(), config.checkpoint);
    let mut worker = Worker { path: path.to_owned(), spec, genesis, import: None };
    let (mut machine, clock) = (machine, Clock::start());
    let (begun, mut shown) = (Instant::now(), Instant::now() - PROGRESS_EVERY);
    loop {
        let wait = machine.deadline().map_or(LONGEST_WAIT, |at| clock.until(at)).min(LONGEST_WAIT);
        let input = match tokio::time::timeout(wait, events.recv()).await {
            Ok(Some(event)) => input_of(event),
            Ok(None) => return Err(NodeError::Joining("the peer-to-peer service ended".into())),
            Err(_) => Some(Input::Tick),
        };
        let Some(input) = input else { continue };
        // Checking and writing take their time, and other tasks go on meanwhile.
        let outcome = tokio::task::block_in_place(|| {
            let outputs = machine.step(clock.mono_ms(), input);
            worker.carry_out(outputs, p2p)
        })?;
        let progress = progress(&machine, p2p);
        if shown.elapsed() >= PROGRESS_EVERY {
            shown = Instant::now();
            tracing::info!(peers = p2p.connected().len(), "joining: {progress}");
        }
        *status.lock() = progress;
        if let Some(outcome) = outcome {
            log_outcome(outcome, begun.elapsed());
            return Ok(outcome);
        }
    }
}

/// What it is at, and where nobody talks to this node, whether that is because it is not admitted.
fn progress(machine: &Join, p2p: &P2p) -> String {
    match p2p.unwanted_by().len() {
        refused if refused > 0 && p2p.connected().is_empty() => format!(
            "{}; {refused} of the configured peers do not permit this node: it has to be admitted to the network first",
            machine.progress()
        ),
        _ => machine.progress(),
    }
}

fn input_of(event: PeerEvent) -> Option<Input> {
    match event {
        PeerEvent::Connected { peer, .. } => Some(Input::PeerUp(peer)),
        PeerEvent::Disconnected { peer, .. } => Some(Input::PeerDown(peer)),
        PeerEvent::Message { peer, message: Message::Answer { request, content } } => {
            Some(Input::Answer { peer, request, content })
        }
        // Blocks, votes and transactions are for later.
        PeerEvent::Message { .. } => None,
    }
}

fn log_outcome(outcome: Outcome, took: Duration) {
    match outcome {
        Outcome::Joined(number) => {
            tracing::info!(
                number,
                seconds = took.as_secs_f32(),
                "the state is here; the node goes on from it"
            )
        }
        Outcome::NotWorth => tracing::info!("the chain is short: every block is fetched and executed"),
        Outcome::HasBlocks => {}
    }
}

/// The side of the store.
struct Worker {
    path: PathBuf,
    spec: Arc<ChainSpec>,
    genesis: SealedHeader,
    import: Option<StateImport>,
}

impl Worker {
    fn carry_out(&mut self, outputs: Vec<Output>, p2p: &P2p) -> Result<Option<Outcome>, NodeError> {
        for output in outputs {
            match output {
                Output::Ask { peer, request, question } => {
                    // A full queue, or a session that just ended: it is asked again when the time is up.
                    let _ = p2p.send_to(&peer, Message::Question { request, content: question.encode() });
                }
                Output::Blame { peer, reason } => {
                    tracing::warn!(peer = %peer.address(), %reason, "a peer sent what is provably wrong");
                    p2p.penalise(&peer, Abuse::InvalidBlock(reason));
                }
                Output::Doubt { peer, reason } => {
                    tracing::warn!(peer = %peer.address(), %reason, "another chain than --checkpoint says");
                }
                Output::Begin(block) => {
                    tracing::info!(number = block.number, hash = %block.hash(), "the state after this block is fetched");
                    self.begin()?;
                }
                Output::Restart => {
                    tracing::warn!("no peer gives that state any more; another is looked for");
                    self.import = None;
                }
                Output::Write(write) => self.write(write)?,
                Output::Joined(joined) => return self.finish(*joined).map(Some),
                Output::NotWorth { .. } => return Ok(Some(Outcome::NotWorth)),
            }
        }
        Ok(None)
    }

    /// An empty store, whatever was written before.
    fn begin(&mut self) -> Result<(), NodeError> {
        self.import = None;
        remove(&self.path)?;
        let kv = lonja_storage::open_rocks(&self.path, &StoreOptions::default())?;
        self.import = Some(StateImport::begin(kv, &self.genesis)?);
        Ok(())
    }

    fn write(&self, write: Write) -> Result<(), NodeError> {
        let Some(import) = &self.import else { return Ok(()) };
        match write {
            Write::Headers(headers) => import.put_headers(&headers)?,
            Write::Accounts(accounts) => import.put_accounts(&accounts)?,
            Write::Slots(owner, slots, branches) => import.put_slots(&owner, &slots, branches.as_deref())?,
            Write::StorageComplete(owner, root) => import.finish_storage(&owner, &root)?,
            Write::Codes(codes) => import.put_codes(&codes)?,
        }
        Ok(())
    }

    fn finish(&mut self, joined: Joined) -> Result<Outcome, NodeError> {
        let Joined { block, hash, receipts, votes } = joined;
        let recovered: Result<Vec<_>, _> =
            recover_all(block.transactions.clone(), self.spec.chain_id).into_iter().collect();
        let recovered = recovered.map_err(|error| {
            NodeError::Joining(format!(
                "block {} has a transaction that is none: {error}",
                block.header.number
            ))
        })?;
        let import = self.import.take().ok_or_else(|| NodeError::Joining("nothing was fetched".into()))?;
        import.finish(
            &ImportedBlock {
                block: &block,
                hash,
                transaction_hashes: &recovered.iter().map(|tx| tx.hash()).collect::<Vec<_>>(),
                senders: &recovered.iter().map(|tx| tx.sender()).collect::<Vec<_>>(),
                receipts: &receipts,
            },
            &votes.encode(),
        )?;
        Ok(Outcome::Joined(block.header.number))
    }
}

fn remove(path: &Path) -> Result<(), NodeError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Unavailable(format!("cannot remove {}: {error}", path.display())).into())
        }
        _ => Ok(()),
    }
}

/// Alive, and not ready, with what it is at.
async fn serve_health(
    config: &Config,
    p2p: &P2p,
    status: &Arc<Mutex<String>>,
) -> Result<lonja_rpc::HealthHandle, NodeError> {
    let (p2p, status) = (p2p.clone(), status.clone());
    let health = move || {
        let peers = p2p.connected().len();
        let check = |name, ok, reason| HealthCheck { name, ok, reason };
        Health {
            liveness: vec![check("loop", true, "the node fetches a state".to_owned())],
            readiness: vec![
                check("peers", peers > 0, format!("{peers} peers connected")),
                check("sync", false, status.lock().clone()),
            ],
        }
    };
    let metrics = crate::telemetry::install();
    Ok(lonja_rpc::serve_health(config.rpc.health, Arc::new(health), metrics).await?)
}
