//! The API for programs that are no nodes: they store payloads for transactions that they sign, and see who there is.

use super::common;
use super::{Cors, KnownKeys, MAX_REQUEST_BYTES};
use crate::PrivateTransactionManager;
use crate::tessera::listen::Api;
use crate::tessera::reply::{Call, Outcome, Reply};
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Method;
use std::net::IpAddr;
use std::sync::Arc;

pub(super) struct ThirdParty {
    pub(super) manager: Arc<dyn PrivateTransactionManager>,
    pub(super) known: Option<KnownKeys>,
    pub(super) cors: Option<Cors>,
}

impl Api for ThirdParty {
    fn answer(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move {
            if let Some(preflight) = self.cors.as_ref().and_then(|cors| cors.preflight(&call)) {
                return preflight;
            }
            let reply = self.outcome(&call).await.unwrap_or_else(|refusal| refusal);
            match &self.cors {
                Some(cors) => cors.allow(reply, &call),
                None => reply,
            }
        }
        .boxed()
    }

    fn body_limit(&self, _path: &str) -> usize {
        MAX_REQUEST_BYTES
    }

    fn admits(&self, _host: Option<IpAddr>) -> bool {
        true
    }
}

impl ThirdParty {
    async fn outcome(&self, call: &Call) -> Outcome {
        if let Some(outcome) = common::answer(call) {
            return outcome;
        }
        let (get, post) = (call.method == Method::GET, call.method == Method::POST);
        match call.segments().as_slice() {
            ["storeraw"] if post => common::store_raw(self.manager.as_ref(), call).await,
            ["keys"] if get => common::keys(&self.manager.keys().await?),
            ["partyinfo", "keys"] if get => match &self.known {
                Some(known) => common::keys(&known()),
                None => common::keys(&self.manager.keys().await?),
            },
            ["storeraw"] | ["keys"] | ["partyinfo", "keys"] => Ok(Reply::wrong_method()),
            _ => Ok(Reply::unknown_path()),
        }
    }
}
