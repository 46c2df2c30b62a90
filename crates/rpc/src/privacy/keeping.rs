//! `private_`: looking after the payloads of this node: what waits for recipients, what was lost, what has to go, and what can
//! be shown to others. On the local socket only.

use super::marked::Marked;
use super::{RpcPrivacy, payloads_of};
use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, Count};
use crate::register::Table;
use alloy_primitives::{B256, B512, FixedBytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonrpsee::types::Params;
use lonja_ptm::{EmbeddedManager, Erasure, ErasureAnswer, PayloadHash, PublicKey, Reading, Statement};
use lonja_storage::{PrivateReader, private::Fate};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::sync::Arc;

/// Payloads of ours that a recovery looks for by name: more are recovered too, and not listed where they stay away.
const WANTED_MAX: usize = 100_000;

/// Payloads that are compared at once while they are gathered.
const PAGE: usize = 4_096;

/// Missing payloads, and unfinished pages, that an answer lists.
const LISTED_MAX: usize = 1_000;

/// Records of readings in one answer, unless fewer are asked for.
const READINGS_MAX: u64 = 1_000;

pub(super) fn register(table: &mut Table) {
    table.waiting("private_recover", recover);
    table.read("private_recovery", recovery);
    table.waiting("private_purge", purge);
    table.read("private_purged", purged);
    table.read("private_outbox", outbox);
    table.read("private_readings", readings);
    table.waiting("private_statement", statement);
}

/// A payload by its own name, or by the hash of a transaction that names it.
enum Subject {
    Payload(PayloadHash),
    Transaction(B256),
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(hash) = text.parse::<B256>() {
            return Ok(Self::Transaction(hash));
        }
        let hex = text.parse::<B512>().map(PayloadHash).ok();
        hex.or_else(|| text.parse().ok()).map(Self::Payload).ok_or_else(|| {
            serde::de::Error::custom(
                "expected a transaction's hash, or a payload's name: 64 bytes in base64 or in hex",
            )
        })
    }
}

/// What a node signed about an erasure.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TombstoneView {
    payload: PayloadHash,
    order: B256,
    time_ms: u64,
    node: B512,
    signature: FixedBytes<65>,
}

impl From<Erasure> for TombstoneView {
    fn from(erasure: Erasure) -> Self {
        let Erasure { hash, order, time_ms, node, signature } = erasure;
        Self { payload: hash, order, time_ms, node: node.0, signature: FixedBytes(signature.0) }
    }
}

/// What a party answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartyView {
    party: PublicKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    tombstone: Option<TombstoneView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl From<ErasureAnswer> for PartyView {
    fn from(ErasureAnswer { party, result }: ErasureAnswer) -> Self {
        let (tombstone, refused) = match result {
            Ok(erasure) => (Some(erasure.into()), None),
            Err(reason) => (None, Some(reason)),
        };
        Self { party, tombstone, refused }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurgeView {
    tombstone: TombstoneView,
    /// Whether it was executed in a block whose state is not kept any more: what it did to the private state stays.
    state_stays: bool,
    parties: Vec<PartyView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadingView {
    number: u64,
    time_ms: u64,
    payload: PayloadHash,
    key: PublicKey,
    previous: B256,
    record_hash: B256,
    node: B512,
    signature: FixedBytes<65>,
}

impl From<Reading> for ReadingView {
    fn from(reading: Reading) -> Self {
        let record_hash = reading.record_hash();
        let Reading { number, time_ms, hash, key, previous, node, signature } = reading;
        let (node, signature) = (node.0, FixedBytes(signature.0));
        Self { number, time_ms, payload: hash, key, previous, record_hash, node, signature }
    }
}

fn embedded(privacy: &RpcPrivacy) -> Result<&EmbeddedManager, RpcError> {
    privacy.embedded.as_ref().ok_or_else(|| {
        let why =
            "the manager of this node is another process, which looks after its payloads: lonja ptm recover";
        RpcError::NotEnabled(why.to_owned())
    })
}

fn managed(context: &Context) -> Result<(&RpcPrivacy, &EmbeddedManager), RpcError> {
    let privacy = payloads_of(context)?;
    Ok((privacy, embedded(privacy)?))
}

/// Begins a recovery in the background; with `true`, from the beginning rather than where the last one stopped. Answers how
/// many payloads were executed here and are not in the store.
fn recover(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let afresh = Args::new(&params, 1)?.optional(0, "afresh")?.unwrap_or(false);
        let manager = managed(&context)?.1.clone();
        let looking = context.clone();
        let wanted = context.workers.heavy.run(move || wanted(&looking)).await?;
        let count = wanted.len();
        manager.start_recovery(afresh, wanted)?;
        answer(&json!({ "wanted": count }))
    }
    .boxed()
}

/// Payloads that were executed here, and that the store lacks without a record of their erasure.
fn wanted(context: &Context) -> Result<Vec<PayloadHash>, RpcError> {
    let (privacy, manager) = managed(context)?;
    let (mut wanted, mut after) = (Vec::new(), None);
    while wanted.len() < WANTED_MAX {
        let page = privacy.reader.payloads_of_ours(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(*last);
        for hash in page {
            if !manager.has(&hash)? && manager.tombstone(&hash)?.is_none() {
                wanted.push(hash);
            }
        }
    }
    Ok(wanted)
}

fn recovery(context: &Context, _params: &Params<'_>) -> Result<Value, RpcError> {
    let (privacy, manager) = managed(context)?;
    let status = manager.recovery_status();
    let outcome = status.outcome;
    let incomplete = outcome.incomplete.iter().take(LISTED_MAX);
    let incomplete: Vec<Value> = incomplete
        .map(|(node, key, reason)| json!({ "node": node.0, "key": key, "reason": reason }))
        .collect();
    Ok(json!({
        "running": status.running,
        "nodes": status.nodes,
        "asked": status.asked,
        "recovered": outcome.recovered,
        "known": outcome.known,
        "refused": outcome.refused,
        "unproven": outcome.unproven,
        "missing": outcome.missing.len(),
        "missingPayloads": outcome.missing.iter().take(LISTED_MAX).collect::<Vec<_>>(),
        "incomplete": incomplete,
        "failed": status.failed,
        "followed": manager.is_followed()?,
        "publicHead": context.head().number,
        "private": privacy.standing(),
    }))
}

/// The payloads that are meant: a marker names two, what carries its private transaction, and that transaction's own.
fn payloads(context: &Context, subject: Subject) -> Result<Vec<PayloadHash>, RpcError> {
    let hash = match subject {
        Subject::Payload(payload) => return Ok(vec![payload]),
        Subject::Transaction(hash) => hash,
    };
    let unknown = || RpcError::Refused(format!("no transaction of the chain has the hash {hash}"));
    let marked = Marked::at(context, hash)?.ok_or_else(unknown)?;
    let payloads = marked.payloads(context.node.spec.chain_id)?;
    match payloads.is_empty() {
        true => Err(RpcError::Refused(format!("the transaction {hash} names no payload"))),
        false => Ok(payloads),
    }
}

/// Erases payloads for good: orders the other parties to do so, unless told not to, and leaves tombstones. What came of the
/// payload here, and its bytes in the files, goes soon after: `private_purged` says when.
fn purge(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let args = Args::new(&params, 3)?;
        let (subject, order): (Subject, B256) = (args.required(0, "hash")?, args.required(1, "order")?);
        let ask = args.optional(2, "askParties")?.unwrap_or(true);
        let manager = managed(&context)?.1.clone();
        let looking = context.clone();
        let payloads = context.workers.reads.run(move || payloads_here(&looking, subject)).await?;
        let mut purged = Vec::with_capacity(payloads.len());
        for Here { payload, has_parties, state_stays } in payloads {
            let asked =
                if ask && has_parties { manager.ask_parties(payload, order).await? } else { Vec::new() };
            let tombstone = manager.erase_wherever(payload, order).await?.into();
            let parties = asked.into_iter().map(PartyView::from).collect();
            purged.push(PurgeView { tombstone, state_stays, parties });
        }
        // Its bytes are to be gone soon; who asks need not wait for it.
        tokio::spawn(async move {
            if let Err(error) = manager.scrub().await {
                tracing::warn!(%error, "erased bytes could not be removed from the files yet");
            }
        });
        answer(&purged)
    }
    .boxed()
}

/// A payload that is, or was, here.
struct Here {
    payload: PayloadHash,
    /// Whether its parties are known.
    has_parties: bool,
    /// Whether the private state cannot be led back to before it.
    state_stays: bool,
}

fn payloads_here(context: &Context, subject: Subject) -> Result<Vec<Here>, RpcError> {
    let (privacy, manager) = managed(context)?;
    let oldest = context.node.reader.oldest_state().max(privacy.reader.oldest_state());
    let mut here = Vec::new();
    for payload in payloads(context, subject)? {
        let has_parties = manager.has(&payload)? || manager.tombstone(&payload)?.is_some();
        let executed = first_shown(&privacy.reader, &payload)?;
        if has_parties || executed.is_some() || manager.has_raw(&payload)? {
            let state_stays = executed.is_some_and(|number| number <= oldest);
            here.push(Here { payload, has_parties, state_stays });
        }
    }
    match here.is_empty() {
        true => Err(RpcError::Refused("no such payload is here: this node is no party to it".to_owned())),
        false => Ok(here),
    }
}

/// The first block in which a payload was executed or read, as the private state stands.
fn first_shown(reader: &PrivateReader, payload: &PayloadHash) -> Result<Option<u64>, RpcError> {
    let mut seen = reader.seen(payload)?.into_iter();
    let shown = seen.find(|(_, _, fate)| matches!(fate, Fate::Executed | Fate::Read));
    Ok(shown.map(|(number, _, _)| number))
}

/// How far the erasure of payloads has come; their names, as `private_purge` tells them.
fn purged(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let payloads: Vec<PayloadHash> = Args::new(params, 1)?.required(0, "payloads")?;
    let (privacy, manager) = managed(context)?;
    let mut tombstones = Vec::new();
    for payload in &payloads {
        tombstones.extend(manager.tombstone(payload)?.map(TombstoneView::from));
    }
    let shown: Result<Vec<_>, _> =
        payloads.iter().map(|payload| first_shown(&privacy.reader, payload)).collect();
    let (stands, followed) = match shown {
        Ok(shown) => (shown.iter().any(Option::is_some), manager.is_followed()?),
        // On its way back at this moment.
        Err(RpcError::Limit(_)) => (true, false),
        Err(error) => return Err(error),
    };
    Ok(json!({
        "tombstones": tombstones,
        "followed": followed,
        "stands": stands,
        "scrubbed": manager.is_scrubbed()?,
        "publicHead": context.head().number,
        "private": privacy.standing(),
    }))
}

fn outbox(context: &Context, _params: &Params<'_>) -> Result<Value, RpcError> {
    let status = managed(context)?.1.outbox_status();
    let recipients: Vec<Value> = status
        .recipients
        .iter()
        .map(|waits| {
            json!({
                "recipient": waits.recipient,
                "waiting": waits.waiting,
                "sinceMs": waits.since_ms,
                "lastError": waits.last_error,
            })
        })
        .collect();
    Ok(json!({ "waiting": status.waiting, "recipients": recipients }))
}

/// Records of readings by supervisors: from a number on (1 is the first), so many at most.
fn readings(context: &Context, params: &Params<'_>) -> Result<Vec<ReadingView>, RpcError> {
    let args = Args::new(params, 2)?;
    let since = args.optional(0, "since")?.map_or(1, |Count(since)| since);
    let limit = args.optional(1, "limit")?.map_or(READINGS_MAX, |Count(limit)| limit.min(READINGS_MAX));
    let readings = managed(context)?.1.readings(since, usize::try_from(limit).unwrap_or(usize::MAX))?;
    Ok(readings.into_iter().map(ReadingView::from).collect())
}

/// What this node states about payloads, for others to check; with `true`, with the keys that open them.
fn statement(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let args = Args::new(&params, 2)?;
        let subject: Subject = args.required(0, "hash")?;
        let disclose = args.optional(1, "disclose")?.unwrap_or(false);
        let manager = managed(&context)?.1.clone();
        let looking = context.clone();
        // The transaction names the first of them in what everybody sees.
        let mut transaction = match &subject {
            Subject::Transaction(hash) => Some(*hash),
            Subject::Payload(_) => None,
        };
        let payloads = context.workers.reads.run(move || payloads(&looking, subject)).await?;
        let mut statements: Vec<Statement> = Vec::with_capacity(payloads.len());
        for payload in payloads {
            let statement = manager.statement(payload, disclose).await?;
            statements.push(Statement { transaction: transaction.take(), ..statement });
        }
        answer(&statements)
    }
    .boxed()
}

fn answer<T: Serialize>(result: &T) -> Result<Box<RawValue>, RpcError> {
    to_raw_value(result).map_err(|error| RpcError::Internal(error.to_string()))
}
