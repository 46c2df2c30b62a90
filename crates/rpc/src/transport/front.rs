//! What every request passes on every transport, before its method: a bound on what is in flight, refusals in the
//! words that tools know, and batches whose entries run side by side.

use crate::error::RpcError;
use crate::register::Offered;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use jsonrpsee::core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT};
use jsonrpsee::server::{BatchResponseBuilder, MethodCallback, MethodResponse, ResponsePayload};
use jsonrpsee::types::{ErrorObjectOwned, Request, SubscriptionId};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower::Layer;

/// Bytes of parameters in flight on all connections together. Beyond it more requests would only wait, each
/// holding its text.
const BYTES_IN_FLIGHT_MAX: usize = 128 * 1024 * 1024;

/// Calls in flight on one connection.
const CALLS_PER_CONNECTION: usize = 2_048;

/// Entries of a batch that run at the same time: enough to use all workers, few enough that one batch does not
/// fill their queues alone.
const BATCH_WIDTH: usize = 16;

/// The same for a batch of nothing but raw transactions, which go through the door together.
const SUBMISSION_BATCH_WIDTH: usize = 512;

/// Marks requests of a connection that stays, over which news can be sent later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasting;

/// Puts a [`Front`] before a service; one layer per listener, one front per connection.
#[derive(Clone, Debug)]
pub(crate) struct FrontLayer {
    offered: Offered,
    bytes_in_flight: Arc<AtomicUsize>,
    response_bytes_max: usize,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Front<S> {
    inner: S,
    layer: FrontLayer,
    calls_in_flight: Arc<AtomicUsize>,
}

/// Counts a request while it runs.
struct Flight {
    bytes: usize,
    all_bytes: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl FrontLayer {
    /// `bytes_in_flight` is shared by all listeners.
    pub(crate) fn new(offered: Offered, bytes_in_flight: Arc<AtomicUsize>, response_bytes_max: u32) -> Self {
        Self { offered, bytes_in_flight, response_bytes_max: response_bytes_max as usize }
    }
}

impl<S> Layer<S> for FrontLayer {
    type Service = Front<S>;

    fn layer(&self, inner: S) -> Front<S> {
        Front { inner, layer: self.clone(), calls_in_flight: Arc::new(AtomicUsize::new(0)) }
    }
}

impl<S> Front<S> {
    fn take_off(&self, bytes: usize) -> Result<Flight, RpcError> {
        let flight = Flight {
            bytes,
            all_bytes: Arc::clone(&self.layer.bytes_in_flight),
            calls: Arc::clone(&self.calls_in_flight),
        };
        // Counted first, so that dropping the flight always takes back what was added.
        let all = flight.all_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let calls = flight.calls.fetch_add(1, Ordering::Relaxed);
        if all > BYTES_IN_FLIGHT_MAX || calls >= CALLS_PER_CONNECTION {
            return Err(RpcError::busy("requests in flight"));
        }
        Ok(flight)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The service of one connection, as jsonrpsee and the local socket make it.
pub(crate) trait Service:
    RpcServiceT<
        MethodResponse = MethodResponse,
        BatchResponse = MethodResponse,
        NotificationResponse = MethodResponse,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Service for S where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

fn refuse(request: &Request<'_>, error: RpcError) -> MethodResponse {
    MethodResponse::error(request.id.clone(), ErrorObjectOwned::from(error))
}

/// The library's answer to an id that no subscription can have, without its warning: it is the client's mistake.
fn no_subscription(request: &Request<'_>) -> MethodResponse {
    tracing::debug!(method = request.method_name(), "a client ends a subscription without naming it");
    MethodResponse::response(request.id.clone(), ResponsePayload::success(false), usize::MAX)
}

impl<S: Service> RpcServiceT for Front<S> {
    type MethodResponse = MethodResponse;
    type BatchResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let front = self.clone();
        async move {
            let method = request.method_name();
            let Some(callback) = front.layer.offered.methods.method(method) else {
                return refuse(&request, front.layer.offered.unknown(method));
            };
            let subscribes =
                matches!(callback, MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_));
            if subscribes && request.extensions().get::<Lasting>().is_none() {
                return refuse(&request, RpcError::NoNotifications);
            }
            if matches!(callback, MethodCallback::Unsubscription(_))
                && request.params().one::<SubscriptionId<'_>>().is_err()
            {
                return no_subscription(&request);
            }
            let bytes = request.params.as_ref().map_or(0, |params| params.get().len());
            let _flight = match front.take_off(bytes) {
                Ok(flight) => flight,
                Err(error) => return refuse(&request, error),
            };
            front.inner.call(request).await
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let front = self.clone();
        async move {
            let width = width(&batch);
            let mut answers = BatchResponseBuilder::new_with_limit(front.layer.response_bytes_max);
            let mut notified = false;
            let entries: Vec<BoxFuture<'a, Option<MethodResponse>>> =
                batch.into_iter().map(|entry| answer(front.clone(), entry).boxed()).collect();
            let mut entries = futures::stream::iter(entries).buffered(width);
            while let Some(response) = entries.next().await {
                let Some(response) = response else {
                    notified = true;
                    continue;
                };
                if let Err(too_long) = answers.append(response) {
                    return too_long;
                }
            }
            if answers.is_empty() && notified {
                return MethodResponse::notification();
            }
            MethodResponse::from_batch(answers.finish())
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

fn width(batch: &Batch<'_>) -> usize {
    let submission = |entry: &Result<BatchEntry<'_>, BatchEntryErr<'_>>| {
        entry.as_ref().is_ok_and(|entry| entry.method_name() == "eth_sendRawTransaction")
    };
    if batch.iter().all(submission) { SUBMISSION_BATCH_WIDTH } else { BATCH_WIDTH }
}

/// The answer to one entry; `None` for a notification, which gets none.
async fn answer<S: Service>(
    front: Front<S>,
    entry: Result<BatchEntry<'_>, BatchEntryErr<'_>>,
) -> Option<MethodResponse> {
    match entry {
        Ok(BatchEntry::Call(request)) => Some(front.call(request).await),
        Ok(BatchEntry::Notification(notification)) => {
            front.notification(notification).await;
            None
        }
        Err(error) => {
            let (error, id) = error.into_parts();
            Some(MethodResponse::error(id, error))
        }
    }
}
