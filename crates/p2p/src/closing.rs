//! Closing a connection takes a bounded time, also where nobody takes what is still to be sent.

use crate::limits::CLOSE_TIME;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Sleep, sleep};

/// A connection that is dropped when closing it takes longer than [`CLOSE_TIME`]. By itself it would wait until
/// everything written is taken, and a dead line takes nothing: for a quarter of an hour the system would try, and the peer
/// would count as connected.
pub(crate) struct Closing {
    connection: StreamMuxerBox,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Closing {
    pub(crate) fn new(connection: StreamMuxerBox) -> Self {
        Self { connection, patience: None }
    }

    fn connection(self: Pin<&mut Self>) -> Pin<&mut StreamMuxerBox> {
        Pin::new(&mut self.get_mut().connection)
    }
}

impl StreamMuxer for Closing {
    type Substream = SubstreamBox;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        self.connection().poll_inbound(context)
    }

    fn poll_outbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        self.connection().poll_outbound(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(closed) = self.as_mut().connection().poll_close(context) {
            return Poll::Ready(closed);
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIME)));
        let over = patience.as_mut().poll(context);
        over.map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the rest was not taken")))
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.connection().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use std::future::poll_fn;

    /// A connection that is closed at once or never.
    struct Stuck(bool);

    impl StreamMuxer for Stuck {
        type Substream = Cursor<Vec<u8>>;
        type Error = io::Error;

        fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
            Poll::Pending
        }

        fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
            Poll::Pending
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.0 { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
            Poll::Pending
        }
    }

    async fn close(stuck: bool) -> io::Result<()> {
        let mut connection = Closing::new(StreamMuxerBox::new(Stuck(stuck)));
        poll_fn(|context| Pin::new(&mut connection).poll_close(context)).await
    }

    #[tokio::test]
    async fn closing_ends() {
        assert!(close(false).await.is_ok());
        assert_eq!(close(true).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
