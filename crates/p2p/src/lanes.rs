//! Reading frames from one stream and writing frames to another. Knows nothing of peers.

use crate::{
    budget::Bucket,
    hearing::{Hearing, Listening},
    limits::{
        EMPTY_FRAMES_PER_SECOND, HEARTBEAT, READ_BUFFER_BYTES, STALL_TIMEOUT, WRITE_ALONE_BYTES,
        WRITE_TOGETHER_BYTES,
    },
    outbox::Outbox,
    stop::Stop,
    wire::{FRAME_LENGTH_BYTES, Kind, Lane, WireError},
};
use alloy_primitives::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, io::BufReader};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use thiserror::Error;
use tokio::time::{sleep, timeout};

/// A frame without a message: the sender is there.
const EMPTY_FRAME: Bytes = Bytes::from_static(&[0; FRAME_LENGTH_BYTES]);

/// Why reading ended.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The stream ended or broke.
    #[error("{0}")]
    Lost(io::Error),
    /// The peer sent what nobody may send.
    #[error(transparent)]
    Broken(#[from] WireError),
}

/// Why writing ended.
#[derive(Debug, Error)]
pub(crate) enum WriteError {
    /// The stream broke.
    #[error("{0}")]
    Lost(#[from] io::Error),
    /// The peer takes nothing.
    #[error("it took nothing for {} seconds", STALL_TIMEOUT.as_secs())]
    Stalled,
}

/// Bytes and messages that passed, in one direction.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes: AtomicU64,
    pub(crate) messages: AtomicU64,
}

/// Reads frames of one lane.
pub(crate) struct Inlet<S> {
    stream: BufReader<Listening<S>>,
    lane: Lane,
    empty_frames: Bucket,
}

/// Writes frames of one lane.
pub(crate) struct Outlet<S> {
    stream: S,
    together: Vec<u8>,
    unflushed: bool,
}

impl Traffic {
    /// Counts one message, here and in the metrics.
    pub(crate) fn count(&self, direction: &'static str, kind: Kind, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.messages.fetch_add(1, Ordering::Relaxed);
        let labels = [("direction", direction), ("kind", kind.label())];
        metrics::counter!("lonja_p2p_bytes_total", &labels).increment(bytes as u64);
        metrics::counter!("lonja_p2p_messages_total", &labels).increment(1);
    }
}

impl<S: AsyncRead + Unpin> Inlet<S> {
    pub(crate) fn new(stream: S, lane: Lane, hearing: Arc<Hearing>) -> Self {
        let stream = Listening::new(stream, lane, hearing);
        Self {
            stream: BufReader::with_capacity(READ_BUFFER_BYTES, stream),
            lane,
            empty_frames: Bucket::new(EMPTY_FRAMES_PER_SECOND, Instant::now()),
        }
    }

    /// Reads the length and the kind of the next message, and refuses what may not come here: nothing of the body is
    /// read, nor memory taken for it, before that. The length includes the kind byte.
    pub(crate) async fn header(&mut self) -> Result<(Kind, usize), ReadError> {
        let length = self.length().await?;
        let mut kind = [0u8; 1];
        self.read(&mut kind).await?;
        let kind = Kind::from_byte(kind[0])?;
        if kind.lane() != self.lane {
            return Err(WireError::Misplaced(kind).into());
        }
        kind.check_length(length)?;
        Ok((kind, length))
    }

    /// The length of the next frame with a message.
    async fn length(&mut self) -> Result<usize, ReadError> {
        loop {
            let mut length = [0u8; FRAME_LENGTH_BYTES];
            self.read(&mut length).await?;
            match u32::from_be_bytes(length) {
                0 => sleep(self.empty_frames.take(1.0, Instant::now())).await,
                length => return Ok(usize::try_from(length).unwrap_or(usize::MAX)),
            }
        }
    }

    /// Reads the rest of the message that [`Inlet::header`] announced. Gives kind byte and body. Memory is taken as
    /// bytes arrive, not as they are announced.
    pub(crate) async fn body(&mut self, kind: Kind, length: usize) -> Result<Bytes, ReadError> {
        let mut message = Vec::with_capacity(length.min(READ_BUFFER_BYTES));
        message.push(kind as u8);
        while message.len() < length {
            let start = message.len();
            let step = (length - start).min(start.max(READ_BUFFER_BYTES));
            message.resize(start + step, 0);
            self.read(&mut message[start..]).await?;
        }
        Ok(message.into())
    }

    /// Reads and forgets until the other side closes.
    pub(crate) async fn drain(&mut self) {
        let mut sink = vec![0u8; READ_BUFFER_BYTES];
        while matches!(self.stream.read(&mut sink).await, Ok(read) if read > 0) {}
    }

    async fn read(&mut self, into: &mut [u8]) -> Result<(), ReadError> {
        self.stream.read_exact(into).await.map_err(ReadError::Lost)
    }
}

impl<S: AsyncWrite + Unpin> Outlet<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, together: Vec::new(), unflushed: false }
    }

    /// Writes what comes into the queue until told to stop, flushing whenever the queue is empty, and an empty frame now
    /// and then where `beats`. When told to stop, no frame is left half written, unless the peer takes it too slowly for
    /// `stop` to wait: the caller bounds the time.
    pub(crate) async fn run(
        &mut self,
        outbox: &Outbox,
        beats: bool,
        stop: &Stop,
        traffic: &Traffic,
    ) -> Result<(), WriteError> {
        let mut batch = Vec::new();
        while !stop.is_stopped() {
            outbox.take(&mut batch, WRITE_TOGETHER_BYTES);
            if batch.is_empty() {
                self.flush().await?;
                tokio::select! {
                    _ = stop.stopped() => {}
                    () = outbox.filled() => {}
                    () = sleep(HEARTBEAT), if beats => self.write(&[EMPTY_FRAME]).await?,
                }
                continue;
            }
            self.write(&batch).await?;
            for frame in batch.drain(..) {
                count_frame(&frame, traffic);
            }
        }
        Ok(())
    }

    /// Writes frames, the small ones in common pieces.
    pub(crate) async fn write(&mut self, frames: &[Bytes]) -> Result<(), WriteError> {
        self.unflushed = true;
        for frame in frames {
            if frame.len() >= WRITE_ALONE_BYTES {
                self.write_together().await?;
                patient(self.stream.write_all(frame)).await?;
            } else {
                self.together.extend_from_slice(frame);
                if self.together.len() >= WRITE_TOGETHER_BYTES {
                    self.write_together().await?;
                }
            }
        }
        self.write_together().await
    }

    /// Sends what was written on its way.
    pub(crate) async fn flush(&mut self) -> Result<(), WriteError> {
        if std::mem::take(&mut self.unflushed) {
            patient(self.stream.flush()).await?;
        }
        Ok(())
    }

    /// Ends the stream: the other side sees the end after everything written.
    pub(crate) async fn close(&mut self) -> Result<(), WriteError> {
        self.flush().await?;
        patient(self.stream.close()).await
    }

    async fn write_together(&mut self) -> Result<(), WriteError> {
        if !self.together.is_empty() {
            patient(self.stream.write_all(&self.together)).await?;
            self.together.clear();
        }
        Ok(())
    }
}

async fn patient(work: impl Future<Output = io::Result<()>>) -> Result<(), WriteError> {
    timeout(STALL_TIMEOUT, work).await.map_err(|_| WriteError::Stalled)?.map_err(WriteError::Lost)
}

fn count_frame(frame: &[u8], traffic: &Traffic) {
    if let Some(kind) = frame.get(FRAME_LENGTH_BYTES).and_then(|byte| Kind::from_byte(*byte).ok()) {
        traffic.count("out", kind, frame.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Message};
    use futures::io::Cursor;

    async fn read_all(bytes: Vec<u8>, lane: Lane) -> (Vec<Bytes>, ReadError) {
        let mut inlet = Inlet::new(Cursor::new(bytes), lane, Arc::default());
        let mut read = Vec::new();
        loop {
            let next = match inlet.header().await {
                Ok((kind, length)) => inlet.body(kind, length).await,
                Err(error) => Err(error),
            };
            match next {
                Ok(message) => read.push(message),
                Err(error) => return (read, error),
            }
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let messages: Vec<_> = [1, 100, 15_000, 16_384, 70_000, 1_000_000]
            .into_iter()
            .map(|length| Message::Consensus(vec![length as u8; length].into()))
            .collect();
        let frames: Vec<_> = messages.iter().map(|m| wire::encode_frame(m).unwrap()).collect();
        let mut outlet = Outlet::new(Cursor::new(Vec::new()));
        outlet.write(&frames).await.unwrap();
        outlet.close().await.unwrap();
        let (read, end) = read_all(outlet.stream.into_inner(), Lane::Consensus).await;
        let read: Vec<_> = read.iter().map(|bytes| wire::decode(bytes).unwrap()).collect();
        assert_eq!(read, messages);
        assert!(matches!(end, ReadError::Lost(_)));
    }

    #[tokio::test]
    async fn empty_frames_are_skipped() {
        let vote = Message::Consensus(vec![1].into());
        let frame = wire::encode_frame(&vote).unwrap();
        let bytes = [&EMPTY_FRAME[..], &frame, &EMPTY_FRAME, &EMPTY_FRAME, &frame, &EMPTY_FRAME].concat();
        let (read, end) = read_all(bytes, Lane::Consensus).await;
        let read: Vec<_> = read.iter().map(|bytes| wire::decode(bytes).unwrap()).collect();
        assert_eq!(read, [vote.clone(), vote]);
        assert!(matches!(end, ReadError::Lost(_)));
    }

    #[tokio::test]
    async fn what_may_not_come_is_refused_by_its_header() {
        let end = |bytes: &'static [u8], lane| async move { read_all(bytes.to_vec(), lane).await.1 };
        let huge = end(&[0xff, 0xff, 0xff, 0xff, 2], Lane::Consensus).await;
        assert!(matches!(huge, ReadError::Broken(WireError::TooLarge { .. })));
        let misplaced = end(&[0, 0, 0, 2, 4, 0xc0], Lane::Consensus).await;
        assert!(matches!(misplaced, ReadError::Broken(WireError::Misplaced(Kind::NewHead))));
        let unknown = end(&[0, 0, 0, 1, 77], Lane::Data).await;
        assert!(matches!(unknown, ReadError::Broken(WireError::UnknownKind(77))));
        let cut = end(&[0, 0, 0, 9, 2, 1, 1], Lane::Consensus).await;
        assert!(matches!(cut, ReadError::Lost(_)));
    }
}
