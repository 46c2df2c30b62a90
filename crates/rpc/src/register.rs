//! The method table of one transport: which methods it offers, on which lane each runs, how often and how long.

use crate::config::Access;
use crate::context::Context;
use crate::error::RpcError;
use crate::workers::{Lane, Workers};
use futures::future::BoxFuture;
use jsonrpsee::RpcModule;
use jsonrpsee::server::Methods;
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// A method: parameters in, something serialisable or a refusal out. It may block.
pub(crate) type Handler<T> = fn(&Context, &Params<'_>) -> Result<T, RpcError>;

/// A method that waits for others without blocking.
pub(crate) type Waiting =
    fn(Arc<Context>, Params<'static>) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>>;

/// The methods of one transport while they are being registered.
pub(crate) struct Table {
    module: RpcModule<Context>,
    access: Access,
    /// Methods that exist and are not offered here, so that the refusal can say so.
    withheld: BTreeSet<&'static str>,
}

/// The methods of one transport.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    pub(crate) methods: Methods,
    withheld: Arc<BTreeSet<&'static str>>,
}

impl Table {
    pub(crate) fn new(context: Arc<Context>, access: Access) -> Self {
        Self { module: RpcModule::from_arc(context), access, withheld: BTreeSet::new() }
    }

    /// What this transport offers.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// A method that answers from memory, on the thread that read the request.
    pub(crate) fn inline<T: Serialize + 'static>(&mut self, name: &'static str, handler: Handler<T>) {
        if !self.offers(name) {
            self.withheld.insert(name);
            return;
        }
        let registered = self.module.register_method(name, move |params, context, _| {
            answer(name, Instant::now(), handler(context, &params).and_then(|result| raw(&result)))
        });
        registered.expect("every method is registered once");
    }

    /// As [`Table::inline`], for a method that changes something on the node.
    pub(crate) fn dangerous<T: Serialize + 'static>(&mut self, name: &'static str, handler: Handler<T>) {
        if self.access.dangerous {
            // Not on the thread that read the request: a vote is written to the disk before its answer.
            self.read(name, handler);
        } else {
            self.withheld.insert(name);
        }
    }

    /// A method that others have and that is refused here, with what to use instead (-32604).
    pub(crate) fn refused(&mut self, name: &'static str, instead: &'static str) {
        if !self.offers(name) {
            self.withheld.insert(name);
            return;
        }
        let registered = self.module.register_method(name, move |_, _, _| {
            answer(name, Instant::now(), Err(RpcError::NotEnabled(instead.to_owned())))
        });
        registered.expect("every method is registered once");
    }

    /// A method that reads a few records of the store.
    pub(crate) fn read<T: Serialize + 'static>(&mut self, name: &'static str, handler: Handler<T>) {
        self.blocking(name, |workers| &workers.reads, handler);
    }

    /// A method that computes or searches.
    pub(crate) fn heavy<T: Serialize + 'static>(&mut self, name: &'static str, handler: Handler<T>) {
        self.blocking(name, |workers| &workers.heavy, handler);
    }

    /// A method that executes once more and tells what happened.
    pub(crate) fn traces<T: Serialize + 'static>(&mut self, name: &'static str, handler: Handler<T>) {
        self.blocking(name, |workers| &workers.traces, handler);
    }

    /// A method that waits for others.
    pub(crate) fn waiting(&mut self, name: &'static str, handler: Waiting) {
        if !self.offers(name) {
            self.withheld.insert(name);
            return;
        }
        let registered = self.module.register_async_method(name, move |params, context, _| async move {
            let started = Instant::now();
            answer(name, started, handler(context, params).await)
        });
        registered.expect("every method is registered once");
    }

    /// The module itself, for subscriptions.
    pub(crate) fn module(&mut self) -> &mut RpcModule<Context> {
        &mut self.module
    }

    pub(crate) fn finish(self) -> Offered {
        Offered { methods: self.module.into(), withheld: Arc::new(self.withheld) }
    }

    /// Whether the namespace of a method is enabled here; the methods about the RPC itself always are.
    fn offers(&self, name: &str) -> bool {
        let namespace = name.split_once('_').map_or(name, |(namespace, _)| namespace);
        namespace == "rpc" || namespace.parse().is_ok_and(|known| self.access.namespaces.contains(&known))
    }

    fn blocking<T: Serialize + 'static>(
        &mut self,
        name: &'static str,
        lane: fn(&Workers) -> &Lane,
        handler: Handler<T>,
    ) {
        if !self.offers(name) {
            self.withheld.insert(name);
            return;
        }
        let registered = self.module.register_async_method(name, move |params, context, _| async move {
            let started = Instant::now();
            let owned = Arc::clone(&context);
            let job = move || handler(&owned, &params).and_then(|result| raw(&result));
            answer(name, started, lane(&context.workers).run(job).await)
        });
        registered.expect("every method is registered once");
    }
}

impl Offered {
    /// The answer to a method that is not in the table.
    pub(crate) fn unknown(&self, method: &str) -> RpcError {
        // A client chooses this text, so it must not fill the answer or the log.
        let name: String = method.chars().take(100).collect();
        if self.withheld.contains(method) { RpcError::NotOffered(name) } else { RpcError::NoSuchMethod(name) }
    }
}

fn raw<T: Serialize>(result: &T) -> Result<Box<RawValue>, RpcError> {
    to_raw_value(result).map_err(|error| RpcError::Internal(format!("a result does not serialise: {error}")))
}

/// Counts calls that were refused before they came to their method.
pub(crate) fn refused(method: &'static str, count: u64) {
    metrics::counter!("lonja_rpc_requests_total", "method" => method, "outcome" => "failure")
        .increment(count);
}

fn answer(
    method: &'static str,
    started: Instant,
    result: Result<Box<RawValue>, RpcError>,
) -> Result<Box<RawValue>, ErrorObjectOwned> {
    let outcome = if result.is_ok() { "success" } else { "failure" };
    metrics::counter!("lonja_rpc_requests_total", "method" => method, "outcome" => outcome).increment(1);
    metrics::histogram!("lonja_rpc_request_seconds", "method" => method)
        .record(started.elapsed().as_secs_f64());
    result.map_err(ErrorObjectOwned::from)
}
