//! `eth_subscribe`: news on a connection that stays.

use crate::context::Context;
use crate::error::RpcError;
use crate::feed::HeadNews;
use crate::methods::eth::chain::syncing;
use crate::params::{Args, LogFilter};
use crate::register::Table;
use crate::view::{LogView, TransactionView};
use jsonrpsee::core::SubscriptionError;
use jsonrpsee::server::{PendingSubscriptionSink, SubscriptionSink};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use lonja_chain::history::{self, FoundLog};
use lonja_primitives::RecoveredTransaction;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How often a `syncing` subscription looks for a change.
const SYNCING_PERIOD: Duration = Duration::from_secs(1);

/// What a client subscribes to.
enum Topic {
    Heads { news: Receiver<Arc<HeadNews>> },
    Logs { news: Receiver<Arc<HeadNews>>, private: Receiver<Arc<Vec<FoundLog>>>, filter: history::LogFilter },
    Transactions { arrivals: Receiver<RecoveredTransaction>, full: bool },
    Syncing,
}

/// How a subscription ends early: told to the client as its last message.
type Ended = Result<(), SubscriptionError>;

pub(super) fn register(table: &mut Table) {
    if !table.access().namespaces.contains(&crate::config::Namespace::Eth) {
        return;
    }
    let registered = table.module().register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, context, _| async move { subscribe(&params, pending, context).await },
    );
    registered.expect("every method is registered once");
}

async fn subscribe(params: &Params<'_>, pending: PendingSubscriptionSink, context: Arc<Context>) -> Ended {
    // The feed is joined before the client learns its id, so that nothing is missed in between.
    let topic = match topic(params, &context) {
        Ok(topic) => topic,
        Err(error) => {
            pending.reject(ErrorObjectOwned::from(error)).await;
            return Ok(());
        }
    };
    let Ok(sink) = pending.accept().await else { return Ok(()) };
    metrics::gauge!("lonja_rpc_subscriptions").increment(1);
    let ended = match topic {
        Topic::Heads { news } => heads(&sink, news).await,
        Topic::Logs { news, private, filter } => logs(&sink, news, private, &filter).await,
        Topic::Transactions { arrivals, full } => transactions(&sink, arrivals, full).await,
        Topic::Syncing => sync(&sink, &context).await,
    };
    metrics::gauge!("lonja_rpc_subscriptions").decrement(1);
    ended
}

fn topic(params: &Params<'_>, context: &Context) -> Result<Topic, RpcError> {
    let args = Args::new(params, 2)?;
    let name: String = args.required(0, "subscription")?;
    match name.as_str() {
        "newHeads" => Ok(Topic::Heads { news: context.news.subscribe() }),
        "syncing" => Ok(Topic::Syncing),
        "newPendingTransactions" => {
            let full = args.optional(1, "fullTransactions")?.unwrap_or(false);
            Ok(Topic::Transactions { arrivals: context.node.transactions.subscribe(), full })
        }
        "logs" => {
            let filter = args.optional::<LogFilter>(1, "filter")?.unwrap_or_default().checked()?;
            Ok(Topic::Logs {
                news: context.news.subscribe(),
                private: context.private.news.subscribe(),
                filter: filter.search(),
            })
        }
        other => {
            let other: String = other.chars().take(80).collect();
            Err(RpcError::InvalidParams(format!("no {other:?} subscription in eth namespace")))
        }
    }
}

async fn heads(sink: &SubscriptionSink, mut news: Receiver<Arc<HeadNews>>) -> Ended {
    while let Some(news) = next(sink, &mut news).await? {
        if sink.send(news.header.clone()).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Those of private transactions come when they are known.
async fn logs(
    sink: &SubscriptionSink,
    mut news: Receiver<Arc<HeadNews>>,
    mut private: Receiver<Arc<Vec<FoundLog>>>,
    filter: &history::LogFilter,
) -> Ended {
    loop {
        let found = tokio::select! {
            news = next(sink, &mut news) => news?.map(|news| news.block.logs(filter)),
            logs = next(sink, &mut private) => logs?.map(|logs| wanted(&logs, filter)),
        };
        let Some(found) = found else { return Ok(()) };
        for log in found {
            if sink.send(raw(&LogView::from(log))?).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn wanted(logs: &[FoundLog], filter: &history::LogFilter) -> Vec<FoundLog> {
    logs.iter().filter(|found| filter.matches(&found.log)).cloned().collect()
}

async fn transactions(
    sink: &SubscriptionSink,
    mut arrivals: Receiver<RecoveredTransaction>,
    full: bool,
) -> Ended {
    while let Some(tx) = next(sink, &mut arrivals).await? {
        let message = match full {
            true => raw(&TransactionView::waiting(&tx))?,
            false => raw(&tx.hash())?,
        };
        if sink.send(message).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Tells the state at the beginning and every change between syncing and synced.
async fn sync(sink: &SubscriptionSink, context: &Context) -> Ended {
    let mut told: Option<bool> = None;
    loop {
        let status = syncing(context);
        let is_syncing = status != Value::Bool(false);
        if told != Some(is_syncing) {
            told = Some(is_syncing);
            let message = if is_syncing { json!({ "syncing": true, "status": status }) } else { status };
            if sink.send(raw(&message)?).await.is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            () = sink.closed() => return Ok(()),
            () = tokio::time::sleep(SYNCING_PERIOD) => {}
        }
    }
}

/// The next message; `None` when the client or the node is gone. A client that cannot keep up is told so and
/// dropped, rather than left to believe that nothing happened.
async fn next<T: Clone>(
    sink: &SubscriptionSink,
    feed: &mut Receiver<T>,
) -> Result<Option<T>, SubscriptionError> {
    tokio::select! {
        () = sink.closed() => Ok(None),
        news = feed.recv() => match news {
            Ok(news) => Ok(Some(news)),
            Err(RecvError::Closed) => Ok(None),
            Err(RecvError::Lagged(missed)) => {
                metrics::counter!("lonja_rpc_subscriptions_dropped_total").increment(1);
                Err(format!("the subscription is ended: {missed} messages were not read in time").into())
            }
        },
    }
}

fn raw<T: Serialize>(message: &T) -> Result<Box<RawValue>, SubscriptionError> {
    to_raw_value(message).map_err(Into::into)
}
