//! What every API answers, and what more than one of them does.

use crate::codec::negotiation::API_VERSIONS;
use crate::path::hash_to_path;
use crate::tessera::json::{KeysJson, SendJson, SentJson};
use crate::tessera::media::{JSON_TO_21, Media, PLAIN_JSON};
use crate::tessera::reply::{Call, Outcome, Reply};
use crate::{PayloadHash, PrivateTransactionManager, PublicKey};
use hyper::Method;
use hyper::header::{HeaderValue, LOCATION};

/// A description of the APIs, for tools.
const OPEN_API: &str = include_str!("openapi.json");

/// The answer, where the path is one that all APIs have.
pub(crate) fn answer(call: &Call) -> Option<Outcome> {
    let segments = call.segments();
    let reply = match segments.as_slice() {
        [""] => |_: &Call| Ok(Reply::text(200, "lonja, a private-transaction manager")),
        ["upcheck"] => |_: &Call| Ok(Reply::text(200, "I'm up!")),
        ["version"] | ["version", "distribution"] => {
            |_: &Call| Ok(Reply::text(200, env!("CARGO_PKG_VERSION")))
        }
        ["version", "api"] => |_: &Call| Ok(Reply::json(200, Media::Json, &API_VERSIONS)),
        ["api"] => |call: &Call| {
            call.accepted(PLAIN_JSON)?;
            Ok(Reply { media: Some(Media::Json), ..Reply::text(200, OPEN_API) })
        },
        _ => return None,
    };
    Some(if call.method == Method::GET { reply(call) } else { Ok(Reply::wrong_method()) })
}

/// `POST /storeraw`.
pub(crate) async fn store_raw(manager: &dyn PrivateTransactionManager, call: &Call) -> Outcome {
    let media = call.media(JSON_TO_21)?;
    let request: SendJson = call.json()?;
    let hash = manager.store_raw(request.payload()?, request.sender()?).await?;
    Ok(Reply::json(200, media, &SentJson::of_hash(&hash)))
}

/// `GET /keys` and the like.
pub(crate) fn keys(keys: &[PublicKey]) -> Outcome {
    Ok(Reply::json(200, Media::Json, &KeysJson::of(keys)))
}

/// Says where a payload is to be had from now on: the path alone, for a client knows by which scheme and name it came.
pub(crate) fn located(reply: Reply, hash: &PayloadHash) -> Reply {
    match HeaderValue::from_str(&format!("/transaction/{}", hash_to_path(hash))) {
        Ok(value) => reply.with(LOCATION, value),
        Err(_) => reply,
    }
}
