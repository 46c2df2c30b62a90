//! What a message is as JSON-RPC: a request, a notification, or neither. The library takes a request whose id cannot
//! be read for a notification, and what cannot be understood for broken JSON; clients then wait for an answer that
//! says nothing.

use jsonrpsee::core::middleware::Notification;
use jsonrpsee::server::MethodResponse;
use jsonrpsee::types::{ErrorCode, ErrorObject, Id, InvalidRequest, Request};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The method that brings a transaction in.
pub(crate) const SEND_RAW: &str = "eth_sendRawTransaction";

/// One message.
pub(crate) enum Shape<'a> {
    Request(Request<'a>),
    Notification(Notification<'a>),
    /// Neither, with its id as far as it can be read.
    Invalid(Id<'a>, ErrorCode),
}

/// How the body of an HTTP request is to be dealt with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// It can be handed on as it is.
    Pass,
    /// This is to be handed on in its place: the same batch, its unreadable entries made plainly invalid.
    Rewritten(Vec<u8>),
    /// It holds notifications only, which get no answer.
    Silent,
    /// It is no request; the answer.
    Invalid(String),
}

/// Whether an object has an id, readable or not, once or more often.
struct HasId(bool);

impl<'de> Deserialize<'de> for HasId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = HasId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<HasId, A::Error> {
                let mut has_id = false;
                while let Some(name) = members.next_key::<String>()? {
                    has_id |= name == "id";
                    members.next_value::<IgnoredAny>()?;
                }
                Ok(HasId(has_id))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The answer to a batch of nothing but raw transactions, all of which are refused alike, and their number; `None` for
/// any other body. One look at the text: what a node refuses by the ten thousand must cost it little.
pub(crate) fn refused_submissions(
    body: &[u8],
    most: usize,
    refusal: &ErrorObject<'_>,
) -> Option<(String, usize)> {
    if body.first() != Some(&b'[') {
        return None;
    }
    let requests: Vec<Request<'_>> = serde_json::from_slice(body).ok()?;
    let all_send = requests.iter().all(|request| request.method == SEND_RAW);
    if !all_send || requests.is_empty() || requests.len() > most {
        return None;
    }
    let refusal = serde_json::to_string(refusal).ok()?;
    let mut answer = String::with_capacity(requests.len() * (refusal.len() + 48));
    for request in &requests {
        answer.push(if answer.is_empty() { '[' } else { ',' });
        let id = serde_json::to_string(&request.id).ok()?;
        answer.extend([r#"{"jsonrpc":"2.0","id":"#, &id, r#","error":"#, &refusal, "}"]);
    }
    answer.push(']');
    Some((answer, requests.len()))
}

/// The shape of a single message.
pub(crate) fn single(message: &[u8]) -> Shape<'_> {
    if let Ok(request) = serde_json::from_slice(message) {
        return Shape::Request(request);
    }
    let Ok(HasId(has_id)) = serde_json::from_slice(message) else {
        return Shape::Invalid(Id::Null, ErrorCode::ParseError);
    };
    if !has_id && let Ok(notification) = serde_json::from_slice(message) {
        return Shape::Notification(notification);
    }
    let id = serde_json::from_slice::<InvalidRequest<'_>>(message).map_or(Id::Null, |invalid| invalid.id);
    Shape::Invalid(id, ErrorCode::InvalidRequest)
}

/// The shape of an entry of a batch, which is JSON of some kind already.
pub(crate) fn entry(raw: &RawValue) -> Shape<'_> {
    match single(raw.get().as_bytes()) {
        Shape::Invalid(id, _) => Shape::Invalid(id, ErrorCode::InvalidRequest),
        shape => shape,
    }
}

/// What to do with the body of an HTTP request. Broken JSON passes: the library's answer to it is right.
pub(crate) fn body(body: &[u8]) -> Body {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => match single(body) {
            Shape::Request(_) | Shape::Invalid(_, ErrorCode::ParseError) => Body::Pass,
            Shape::Notification(_) => Body::Silent,
            Shape::Invalid(id, code) => {
                let answer = MethodResponse::error(id, ErrorObject::from(code)).into_json();
                Body::Invalid(String::from(Box::<str>::from(answer)))
            }
        },
        Some(b'[') => batch(body),
        _ => Body::Pass,
    }
}

/// An entry that the library answers as it should be answered: invalid, without an id.
const PLAINLY_INVALID: &str = "0";

fn batch(body: &[u8]) -> Body {
    let Ok(entries) = serde_json::from_slice::<Vec<&RawValue>>(body) else { return Body::Pass };
    let (mut silent, mut rewritten) = (!entries.is_empty(), false);
    let mut texts = Vec::with_capacity(entries.len());
    for raw in entries {
        let shape = entry(raw);
        silent &= matches!(shape, Shape::Notification(_));
        if matches!(shape, Shape::Invalid(Id::Null, _)) {
            rewritten = true;
            texts.push(PLAINLY_INVALID);
        } else {
            texts.push(raw.get());
        }
    }
    match (silent, rewritten) {
        (true, _) => Body::Silent,
        (false, true) => Body::Rewritten(format!("[{}]", texts.join(",")).into_bytes()),
        (false, false) => Body::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const GOOD: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    const NOTE: &str = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;

    fn refusal(text: &str) -> Value {
        match body(text.as_bytes()) {
            Body::Invalid(answer) => serde_json::from_str(&answer).unwrap(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn requests_and_broken_json_pass() {
        for text in [
            GOOD,
            r#"{"id":1,}"#,
            "{",
            "[",
            "[]",
            "hello",
            "",
            r#" {"jsonrpc":"2.0","id":null,"method":"x"}"#,
        ] {
            assert_eq!(body(text.as_bytes()), Body::Pass, "{text}");
        }
        assert_eq!(body(format!("[{GOOD},{NOTE},{{\"id\":7}}]").as_bytes()), Body::Pass);
    }

    #[test]
    fn a_batch_of_transactions_is_refused_as_one() {
        let refusal = ErrorObject::borrowed(-32005, "too busy", None);
        let send = |id: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_sendRawTransaction","params":["0x01"]}}"#)
        };
        let refused = |text: &str| refused_submissions(text.as_bytes(), 3, &refusal);
        let (answer, count) = refused(&format!("[{},{}]", send("7"), send(r#""a\"b""#))).unwrap();
        let error = json!({ "code": -32005, "message": "too busy" });
        let expected = json!([
            { "jsonrpc": "2.0", "id": 7, "error": error },
            { "jsonrpc": "2.0", "id": "a\"b", "error": error },
        ]);
        assert_eq!((serde_json::from_str::<Value>(&answer).unwrap(), count), (expected, 2));
        for other in [
            format!("[{},{GOOD}]", send("7")),
            format!("[{},{NOTE}]", send("7")),
            format!("[{},{}]", send("7"), send("1.5")),
            format!("[{0},{0},{0},{0}]", send("7")),
            send("7"),
            "[]".to_owned(),
            "[".to_owned(),
            String::new(),
        ] {
            assert_eq!(refused(&other), None, "{other}");
        }
    }

    #[test]
    fn notifications_get_no_answer() {
        assert_eq!(body(NOTE.as_bytes()), Body::Silent);
        assert_eq!(body(format!("[{NOTE}, {NOTE}]").as_bytes()), Body::Silent);
    }

    #[test]
    fn a_request_whose_id_cannot_be_read_is_no_notification() {
        let invalid = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": "Invalid request" } });
        for id in ["1.5", "{}", "1e23", "[]", "true", "-1", r#"1,"id":2"#] {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"eth_chainId","id":{id}}}"#);
            assert_eq!(refusal(&text), invalid, "{text}");
            let batch = format!("[{GOOD},{text}]");
            let expected = Body::Rewritten(format!("[{GOOD},0]").into_bytes());
            assert_eq!(body(batch.as_bytes()), expected, "{text}");
        }
        for text in ["{}", r#"{"hello":1}"#, r#"{"jsonrpc":"2.0","method":7}"#] {
            assert_eq!(refusal(text), invalid, "{text}");
        }
        assert_eq!(refusal(r#"{"id":7}"#)["id"], 7);
    }
}
