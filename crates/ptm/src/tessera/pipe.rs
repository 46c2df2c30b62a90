//! A connection, whatever it goes over: TCP, TLS or a local socket.

use super::tls::{TlsClient, TlsServer};
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep, timeout};

/// How long the other side may leave bytes untaken. One that sends a request and then never reads the answer would keep the
/// connection's place for ever.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// What a connection goes over.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connection on which no write waits for ever.
pub(crate) struct Pipe {
    wire: Box<dyn Wire>,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Pipe {
    fn over(wire: impl Wire + 'static) -> Self {
        Self { wire: Box::new(wire), stall: WRITE_STALL, stalled: None }
    }

    /// Over a local socket.
    pub(crate) fn unix(stream: UnixStream) -> Self {
        Self::over(stream)
    }

    /// Dials a local socket.
    pub(crate) async fn dial_unix(path: &Path, limit: Duration) -> io::Result<Self> {
        Ok(Self::over(within(limit, UnixStream::connect(path)).await?))
    }

    /// Dials a host, and speaks TLS with it where a client for that is given.
    pub(crate) async fn dial(
        host: &str,
        port: u16,
        limit: Duration,
        tls: Option<&TlsClient>,
    ) -> io::Result<Self> {
        let stream = within(limit, TcpStream::connect((host.trim_matches(['[', ']']), port))).await?;
        stream.set_nodelay(true)?;
        match tls {
            None => Ok(Self::over(stream)),
            // The handshake costs the other side time; the request's own limit is around all of it.
            Some(tls) => Ok(Self::over(tls.connect(host, stream).await?)),
        }
    }

    /// Over TCP that somebody dialled us by, with TLS where we serve that.
    pub(crate) async fn accepted(
        stream: TcpStream,
        limit: Duration,
        tls: Option<&TlsServer>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        match tls {
            None => Ok(Self::over(stream)),
            Some(tls) => Ok(Self::over(within(limit, tls.accept(stream)).await?)),
        }
    }

    /// Fails a write that has waited for too long.
    fn watch<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let stall = self.stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side does not read")))
    }
}

async fn within<T>(limit: Duration, task: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let timed_out = || io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
    timeout(limit, task).await.map_err(|_| timed_out())?
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.wire).poll_write(cx, buf);
        self.watch(outcome, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.wire).poll_flush(cx);
        self.watch(outcome, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.wire).poll_shutdown(cx);
        self.watch(outcome, cx)
    }
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn nobody_holds_a_connection_by_not_reading() {
        let (near, _far) = tokio::io::duplex(16);
        let mut pipe = Pipe { stall: Duration::from_millis(20), ..Pipe::over(near) };
        pipe.write_all(&[0; 16]).await.unwrap();
        let error = pipe.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
