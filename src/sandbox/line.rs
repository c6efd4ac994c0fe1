//! One connection, as it can be told to answer byte by byte or to break.
//!
//! The HTTP server writes only what is well formed. What is not, is written here in the place of its answer.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a connection after an answer was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It stays open for the next request.
    Stay,
    /// It is closed in good order.
    Close,
    /// It is reset: the client's system is told that there is no such connection.
    Reset,
}

/// Says what is written on one connection; shared with the handler of its requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Arc<Mutex<Option<Script>>>);

#[derive(Debug)]
struct Script {
    bytes: Vec<u8>,
    written: usize,
    then: Then,
}

impl Line {
    /// Writes `bytes` in the place of the next thing that the server writes.
    pub(super) fn replace_answer(&self, bytes: Vec<u8>, then: Then) {
        *self.script() = Some(Script {
            bytes,
            written: 0,
            then,
        });
    }

    fn script(&self) -> MutexGuard<'_, Option<Script>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.io().line.clone()
    }
}

/// Accepts connections that can be told how to answer.
#[derive(Debug)]
pub(super) struct Lines(pub(super) TcpListener);

impl Listener for Lines {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Without it small answers wait for the client's delayed acknowledgement.
        drop(stream.set_nodelay(true));
        let line = Line::default();
        (Connection { stream, line }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(&self.0)
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    line: Line,
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, line } = self.get_mut();
        let mut place = line.script();
        let Some(script) = place.as_mut() else {
            return Pin::new(stream).poll_write(context, bytes);
        };
        while let Some(rest) = script.bytes.get(script.written..).filter(|rest| !rest.is_empty()) {
            script.written += ready!(Pin::new(&mut *stream).poll_write(context, rest))?;
        }
        let then = script.then;
        *place = None;
        match then {
            Then::Stay => return Poll::Ready(Ok(bytes.len())),
            Then::Close => {}
            // Dropping the socket then sends a reset.
            Then::Reset => stream.set_zero_linger()?,
        }
        Poll::Ready(Err(io::Error::other("the sandbox ends this connection")))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
