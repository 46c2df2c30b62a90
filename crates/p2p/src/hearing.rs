//! Whether a peer is still heard of: on a broken line nothing arrives, and nobody says so.

use crate::wire::Lane;
use futures::AsyncRead;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

/// What is heard on both streams of a session. It is counted in looks, not in time: a process that stood still itself
/// must not blame its peers.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    heard: AtomicBool,
    listening: AtomicBool,
    silent_looks: AtomicU32,
}

/// A stream that notes what is heard on it.
pub(crate) struct Listening<S> {
    stream: S,
    lane: Lane,
    hearing: Arc<Hearing>,
}

impl Hearing {
    /// Says how many looks in a row nothing was heard. While nobody listens, because the peer is beyond its budget or the
    /// node is busy, there is no silence: only the consensus stream counts for that, where a living peer never rests.
    pub(crate) fn look(&self) -> u32 {
        let heard = self.heard.swap(false, Ordering::Relaxed);
        if heard || !self.listening.load(Ordering::Relaxed) {
            self.silent_looks.store(0, Ordering::Relaxed);
            return 0;
        }
        self.silent_looks.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

impl<S> Listening<S> {
    pub(crate) fn new(stream: S, lane: Lane, hearing: Arc<Hearing>) -> Self {
        Self { stream, lane, hearing }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if read.is_ready() {
            self.hearing.heard.store(true, Ordering::Relaxed);
        }
        if self.lane == Lane::Consensus {
            self.hearing.listening.store(read.is_pending(), Ordering::Relaxed);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{AsyncReadExt, FutureExt, io::Cursor};

    /// A stream on which nothing comes.
    struct Silent;

    impl AsyncRead for Silent {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    fn listen(stream: impl AsyncRead + Unpin, lane: Lane, hearing: &Arc<Hearing>) {
        let _ = Listening::new(stream, lane, hearing.clone()).read(&mut [0; 4]).now_or_never();
    }

    #[test]
    fn silence_is_counted_until_something_is_heard() {
        let hearing = Arc::new(Hearing::default());
        listen(Silent, Lane::Consensus, &hearing);
        assert_eq!([hearing.look(), hearing.look(), hearing.look()], [1, 2, 3]);
        listen(Cursor::new([7]), Lane::Data, &hearing);
        assert_eq!([hearing.look(), hearing.look()], [0, 1], "whatever stream it comes on");
    }

    #[test]
    fn who_does_not_listen_hears_no_silence() {
        let hearing = Arc::new(Hearing::default());
        assert_eq!([hearing.look(), hearing.look()], [0, 0]);
        listen(Silent, Lane::Data, &hearing);
        assert_eq!([hearing.look(), hearing.look()], [0, 0], "a peer may have no data for long");
        listen(Silent, Lane::Consensus, &hearing);
        assert_eq!([hearing.look(), hearing.look()], [1, 2]);
        listen(Cursor::new([7]), Lane::Consensus, &hearing);
        assert_eq!([hearing.look(), hearing.look()], [0, 0], "what was read is being dealt with");
    }
}
