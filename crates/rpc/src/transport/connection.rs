//! The service of one local connection: what jsonrpsee has for its own connections, for those it does not serve.

use crate::config::RpcLimits;
use crate::register::Offered;
use alloy_primitives::B128;
use jsonrpsee::core::middleware::{Batch, Notification, RpcServiceT};
use jsonrpsee::core::traits::IdProvider;
use jsonrpsee::server::{
    BoundedSubscriptions, ConnectionId, MethodCallback, MethodResponse, MethodSink, SubscriptionState,
};
use jsonrpsee::types::error::reject_too_many_subscriptions;
use jsonrpsee::types::{ErrorCode, Params, Request, SubscriptionId};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// Subscription ids as geth makes them: hex, too long to guess.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        SubscriptionId::Str(B128::random().to_string().into())
    }
}

/// Calls methods and holds the subscriptions of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    id: ConnectionId,
    offered: Offered,
    sink: MethodSink,
    subscriptions: BoundedSubscriptions,
    response_bytes_max: usize,
}

impl Connection {
    /// What subscriptions have to say goes out by `messages`.
    pub(crate) fn new(
        id: usize,
        offered: Offered,
        messages: mpsc::Sender<Box<RawValue>>,
        limits: &RpcLimits,
    ) -> Self {
        Self {
            id: ConnectionId(id),
            offered,
            sink: MethodSink::new(messages),
            subscriptions: BoundedSubscriptions::new(limits.subscriptions_per_connection),
            response_bytes_max: limits.response_bytes as usize,
        }
    }

    async fn subscribe(
        &self,
        callback: &jsonrpsee::server::SubscriptionMethod<'static>,
        request: Request<'_>,
    ) -> MethodResponse {
        let Some(subscription_permit) = self.subscriptions.acquire() else {
            return MethodResponse::error(
                request.id,
                reject_too_many_subscriptions(self.subscriptions.max()),
            );
        };
        let state = SubscriptionState { conn_id: self.id, id_provider: &HexIds, subscription_permit };
        let params = Params::new(request.params.as_ref().map(|params| params.get()));
        callback(request.id, params, self.sink.clone(), state, request.extensions).await
    }
}

impl RpcServiceT for Connection {
    type MethodResponse = MethodResponse;
    type BatchResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let connection = self.clone();
        async move {
            let most = connection.response_bytes_max;
            let params = Params::new(request.params.as_ref().map(|params| params.get()));
            match connection.offered.methods.method(request.method_name()) {
                None => MethodResponse::error(request.id, ErrorCode::MethodNotFound),
                Some(MethodCallback::Sync(callback)) => {
                    callback(request.id.clone(), params, most, request.extensions.clone())
                }
                Some(MethodCallback::Async(callback)) => {
                    let (id, params) = (request.id.clone().into_owned(), params.into_owned());
                    callback(id, params, connection.id, most, request.extensions.clone()).await
                }
                Some(MethodCallback::Unsubscription(callback)) => {
                    callback(request.id.clone(), params, connection.id, most, request.extensions.clone())
                }
                Some(MethodCallback::Subscription(callback)) => connection.subscribe(callback, request).await,
            }
        }
    }

    /// Batches are taken apart before they come here.
    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        drop(batch);
        std::future::ready(MethodResponse::notification())
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        drop(notification);
        std::future::ready(MethodResponse::notification())
    }
}
