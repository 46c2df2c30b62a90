//! Reads the bodies of HTTP requests: no longer than allowed, and not for ever.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderValue, StatusCode, header};
use futures::StreamExt;
use jsonrpsee::core::BoxError;
use jsonrpsee::server::http::response;
use jsonrpsee::server::{HttpBody, HttpResponse};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a body may take to arrive: the longest one by default (5 MiB) over a line of 1.5 Mbit/s.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Room made for a body before its first byte has come, at most.
const FIRST_BYTES: usize = 16 * 1024;

/// Bytes of bodies in hand on all connections together: being read, or waiting for their answer. Beyond it a node of
/// 4 GB could be filled by a thousand clients that each send the longest body.
const BYTES_IN_HAND_MAX: usize = 256 << 20;

/// Counts the bytes in hand. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct InHand(Arc<AtomicUsize>);

/// The bytes of one body, given back when it is dropped.
pub(crate) struct Held {
    all: InHand,
    bytes: usize,
}

impl Held {
    fn grow(&mut self, bytes: usize) -> Result<(), Unread> {
        // Counted first, so that dropping it always takes back what was added.
        self.bytes = self.bytes.saturating_add(bytes);
        let all = self.all.0.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if all > BYTES_IN_HAND_MAX { Err(Unread::Busy) } else { Ok(()) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is longer than this many bytes.
    TooLong(u32),
    /// It did not arrive within [`BODY_PATIENCE`].
    TooSlow,
    /// Too many others are in hand.
    Busy,
    /// The client went away, or what came is no HTTP.
    Broken,
}

/// The whole body, with what it counts for until it is answered.
pub(crate) async fn read<B>(
    body: B,
    bytes_max: u32,
    patience: Duration,
    in_hand: &InHand,
) -> Result<(Vec<u8>, Held), Unread>
where
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut held = Held { all: in_hand.clone(), bytes: 0 };
    let collected = tokio::time::timeout(patience, collect(Body::new(body), bytes_max, &mut held)).await;
    Ok((collected.unwrap_or(Err(Unread::TooSlow))?, held))
}

async fn collect(body: Body, bytes_max: u32, held: &mut Held) -> Result<Vec<u8>, Unread> {
    let most = bytes_max as usize;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(Unread::TooLong(bytes_max));
    }
    let mut bytes = Vec::with_capacity(announced.min(FIRST_BYTES));
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            tracing::debug!(%error, "the body of a request could not be read");
            Unread::Broken
        })?;
        if bytes.len().saturating_add(piece.len()) > most {
            return Err(Unread::TooLong(bytes_max));
        }
        held.grow(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

impl Unread {
    /// Counts it and makes the answer, after which the connection is closed.
    pub(crate) fn answer(&self) -> HttpResponse {
        let (reason, mut answer) = match self {
            Self::TooLong(bytes_max) => ("too long", response::too_large(*bytes_max)),
            Self::TooSlow => {
                let text = format!("the body did not arrive within {} s\n", BODY_PATIENCE.as_secs());
                ("too slow", plain(StatusCode::REQUEST_TIMEOUT, text))
            }
            Self::Busy => {
                let text = "too many requests at the moment; try again\n".to_owned();
                ("busy", plain(StatusCode::SERVICE_UNAVAILABLE, text))
            }
            Self::Broken => ("broken", response::malformed()),
        };
        tracing::debug!(reason, "the body of a request was refused");
        metrics::counter!("lonja_rpc_bodies_refused_total", "reason" => reason).increment(1);
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        answer
    }
}

fn plain(status: StatusCode, text: String) -> HttpResponse {
    let mut answer = HttpResponse::new(HttpBody::from(text));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::convert::Infallible;

    async fn read_all(body: Body) -> Result<Vec<u8>, Unread> {
        read(body, 5, BODY_PATIENCE, &InHand::default()).await.map(|(bytes, _)| bytes)
    }

    fn pieces(sizes: &[usize]) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
        stream::iter(sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn bodies_of_known_and_unknown_length_are_bounded() {
        assert_eq!(read_all(Body::from("hello")).await, Ok(b"hello".to_vec()));
        assert_eq!(read_all(Body::from("hello!")).await, Err(Unread::TooLong(5)));
        assert_eq!(read_all(Body::from_stream(pieces(&[2, 3]))).await.unwrap().len(), 5);
        assert_eq!(read_all(Body::from_stream(pieces(&[2, 4]))).await, Err(Unread::TooLong(5)));
        assert_eq!(Unread::TooLong(5).answer().status(), 413);
    }

    #[tokio::test]
    async fn a_body_without_end_is_not_waited_for() {
        let endless = pieces(&[1]).chain(stream::pending());
        let unread = read(Body::from_stream(endless), 5, Duration::from_millis(1), &InHand::default()).await;
        assert_eq!(unread.err(), Some(Unread::TooSlow));
        assert_eq!(Unread::TooSlow.answer().status(), 408);
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded_and_counted_until_they_are_answered() {
        let in_hand = InHand::default();
        let read = || read(Body::from("hello"), 5, BODY_PATIENCE, &in_hand);
        let (_, first) = read().await.unwrap();
        assert_eq!(in_hand.0.load(Ordering::Relaxed), 5);
        in_hand.0.fetch_add(BYTES_IN_HAND_MAX - 9, Ordering::Relaxed);
        assert_eq!(read().await.err(), Some(Unread::Busy));
        drop(first);
        assert!(read().await.is_ok());
        assert_eq!(in_hand.0.load(Ordering::Relaxed), BYTES_IN_HAND_MAX - 9);
        assert_eq!(Unread::Busy.answer().status(), 503);
    }

    #[tokio::test]
    async fn a_broken_body_is_said() {
        let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
        assert_eq!(read_all(Body::from_stream(broken)).await, Err(Unread::Broken));
        assert_eq!(Unread::Broken.answer().status(), 400);
    }
}
