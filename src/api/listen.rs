//! Connections to the API: in the clear, or over TLS with the certificates that SIP has.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Interval, interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    io::{
        clock::Clock,
        streams::tls::{Tls, TlsConfig},
    },
    time::Time,
};

/// Connections at a time; more wait until one ends.
pub const MOST_CONNECTIONS: usize = 256;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait where no connection can be taken.
const AGAIN: Duration = Duration::from_secs(1);

/// Certificates, and when their files are looked at.
#[derive(Clone, Debug)]
pub struct Secure {
    /// Which files.
    pub files: TlsConfig,
    /// How often they are looked at.
    pub reload: Duration,
}

/// A connection over which nothing comes and nothing can be sent for so long gives its place to others. Streams of
/// events show more often than that that they are alive.
pub(super) const IDLE: Duration = Duration::from_secs(120);

/// A connection, for as long as it holds its place.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// Its next tick is the end.
    idle: Interval,
    _place: OwnedSemaphorePermit,
}

/// From where somebody asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Ready>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Ready>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// The connections that are ready, as the HTTP server takes them.
#[derive(Debug)]
pub(super) struct Ready {
    at: SocketAddr,
    connections: mpsc::Receiver<(Connection, SocketAddr)>,
}

/// Certificates in use.
pub(super) struct Certificates {
    secure: Secure,
    clock: Clock,
    tls: Tls,
    looked: Time,
}

impl Certificates {
    /// Read the files.
    pub fn load(secure: Secure, clock: Clock) -> io::Result<Certificates> {
        let tls = Tls::load(&secure.files).map_err(io::Error::other)?;
        if tls.server.is_none() {
            return Err(io::Error::other("tls.certificate is empty; allowed: a PEM file"));
        }
        Ok(Certificates { secure, tls, looked: clock.now(), clock })
    }

    /// As the files are now; where they are broken, as they were.
    fn acceptor(&mut self) -> Option<TlsAcceptor> {
        let now = self.clock.now();
        if now - self.looked >= self.secure.reload {
            self.looked = now;
            if self.tls.is_stale(&self.secure.files) {
                match Tls::load(&self.secure.files) {
                    Ok(tls) => self.tls = tls,
                    Err(error) => tracing::error!(%error, "the API keeps the certificate that it has"),
                }
            }
        }
        self.tls.server.clone().map(TlsAcceptor::from)
    }
}

/// Take connections from now on, by a task of their own, and end those that are `idle` for so long.
pub(super) fn open(listener: TcpListener, at: SocketAddr, certificates: Option<Certificates>, idle: Duration) -> Ready {
    let (to, connections) = mpsc::channel(16);
    tokio::spawn(take(listener, certificates, to, idle));
    Ready { at, connections }
}

async fn take(
    listener: TcpListener,
    mut certificates: Option<Certificates>,
    to: mpsc::Sender<(Connection, SocketAddr)>,
    idle: Duration,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the API takes no connection");
                // Nothing comes: that is the point.
                let _ = timeout(AGAIN, std::future::pending::<()>()).await;
                continue;
            }
        };
        // What is answered is small, and is to go at once.
        let _ = stream.set_nodelay(true);
        let Some(certificates) = &mut certificates else {
            let connection = Connection::new(Stream::Plain(stream), idle, place);
            if to.send((connection, from)).await.is_err() {
                return;
            }
            continue;
        };
        let Some(acceptor) = certificates.acceptor() else { return };
        let to = to.clone();
        tokio::spawn(async move {
            // Who cannot shake hands is not let in, and there is nobody to tell.
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await {
                let connection = Connection::new(Stream::Secure(Box::new(stream)), idle, place);
                let _ = to.send((connection, from)).await;
            }
        });
    }
}

impl axum::serve::Listener for Ready {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.connections.recv().await {
            Some(ready) => ready,
            // Nobody takes connections any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Connection {
    fn new(stream: Stream, idle: Duration, place: OwnedSemaphorePermit) -> Connection {
        let mut connection = Connection { stream, idle: interval(idle), _place: place };
        // The first tick would be at once.
        connection.idle.reset();
        connection
    }

    /// What came of reading or writing: anything at all is a sign of life.
    fn noted<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.idle.reset();
            return done;
        }
        self.idle.poll_tick(context).map(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        let done = match &mut own.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        own.noted(context, done)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        let done = match &mut own.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        own.noted(context, done)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::serve::Listener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_says_nothing_for_long_loses_the_connection_and_who_talks_keeps_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut ready = open(listener, at, None, Duration::from_millis(300));
        let mut talker = TcpStream::connect(at).await.unwrap();
        let (mut heard, _) = ready.accept().await;
        for _ in 0..5 {
            // Less than the limit each time, more than it in all.
            let _ = timeout(Duration::from_millis(100), std::future::pending::<()>()).await;
            talker.write_all(b"x").await.unwrap();
            assert_eq!(heard.read_u8().await.unwrap(), b'x');
        }
        let error = heard.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
