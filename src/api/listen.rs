//! Connections to the API: in the clear, or over TLS with the certificates that SIP has.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Interval, interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::limit::house;
use crate::{
    io::{
        clock::Clock,
        pass,
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

/// How long a connection may hold its place, and how many one address may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// A connection over which nothing comes and nothing can be sent for so long gives its place to others. Streams of
    /// events show more often than that that they are alive.
    pub idle: Duration,
    /// The same where the head of a request, the first or the next one, is not there after so long.
    pub head: Duration,
    /// Connections of an address that is not this machine's; 0: as many as there are places.
    pub per_address: usize,
}

impl Limits {
    /// As the server has them.
    pub fn new(per_address: usize) -> Limits {
        Limits { idle: Duration::from_secs(120), head: Duration::from_secs(10), per_address }
    }
}

/// A place among all, and among those of an address.
#[derive(Debug)]
struct Place {
    _all: OwnedSemaphorePermit,
    _address: Option<OwnedSemaphorePermit>,
}

/// How many more each address may have.
struct Addresses {
    each: usize,
    left: HashMap<IpAddr, Arc<Semaphore>>,
}

impl Addresses {
    fn new(each: usize) -> Addresses {
        Addresses { each, left: HashMap::new() }
    }

    /// Let somebody in from there, with `_all`; none: they have as many as they may. A proxy on this machine speaks for
    /// everybody.
    fn come(&mut self, from: IpAddr, _all: OwnedSemaphorePermit) -> Option<Place> {
        let from = house(from);
        if self.each == 0 || from.is_loopback() {
            return Some(Place { _all, _address: None });
        }
        if self.left.len() > MOST_CONNECTIONS {
            self.left.retain(|_, left| left.available_permits() < self.each);
        }
        let left = self.left.entry(from).or_insert_with(|| Arc::new(Semaphore::new(self.each)));
        let _address = left.clone().try_acquire_owned().ok()?;
        Some(Place { _all, _address: Some(_address) })
    }
}

/// A connection, for as long as it holds its place.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// Its next tick is the end.
    idle: Interval,
    _place: Place,
}

/// From where somebody asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub SocketAddr);

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// The connections that are ready.
type Ready = mpsc::Receiver<(Connection, SocketAddr)>;

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

/// Take connections from now on, by a task of their own.
pub(super) fn open(listener: TcpListener, certificates: Option<Certificates>, limits: Limits) -> Ready {
    let (to, connections) = mpsc::channel(16);
    tokio::spawn(take(listener, certificates, to, limits));
    connections
}

/// Answer on each of them until nobody takes connections any more.
pub(super) async fn serve(mut ready: Ready, router: Router, limits: Limits) {
    while let Some((connection, from)) = ready.recv().await {
        let service = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(Peer(from)));
            service.call(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.head);
        let answering = http.serve_connection(TokioIo::new(connection), service).with_upgrades();
        // Who breaks off, or speaks something else, is not there to be told.
        tokio::spawn(async move { drop(answering.await) });
    }
}

async fn take(
    listener: TcpListener,
    mut certificates: Option<Certificates>,
    to: mpsc::Sender<(Connection, SocketAddr)>,
    limits: Limits,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut addresses = Addresses::new(limits.per_address);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the API takes no connection");
                pass(AGAIN).await;
                continue;
            }
        };
        // They have enough of them; more are closed.
        let Some(place) = addresses.come(from.ip(), place) else { continue };
        // What is answered is small, and is to go at once.
        let _ = stream.set_nodelay(true);
        let Some(certificates) = &mut certificates else {
            let connection = Connection::new(Stream::Plain(stream), limits.idle, place);
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
                let connection = Connection::new(Stream::Secure(Box::new(stream)), limits.idle, place);
                let _ = to.send((connection, from)).await;
            }
        });
    }
}

impl Connection {
    fn new(stream: Stream, idle: Duration, place: Place) -> Connection {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_says_nothing_for_long_loses_the_connection_and_who_talks_keeps_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut ready = open(listener, None, Limits { idle: Duration::from_secs(2), ..Limits::new(0) });
        let mut talker = TcpStream::connect(at).await.unwrap();
        let (mut heard, _) = ready.recv().await.unwrap();
        for _ in 0..25 {
            // Less than the limit each time, more than it in all.
            pass(Duration::from_millis(100)).await;
            talker.write_all(b"x").await.unwrap();
            assert_eq!(heard.read_u8().await.unwrap(), b'x');
        }
        let error = heard.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_does_not_say_what_they_want_gives_their_place_to_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let limits = Limits { head: Duration::from_secs(1), ..Limits::new(0) };
        tokio::spawn(serve(open(listener, None, limits), Router::new(), limits));
        let mut slow = TcpStream::connect(at).await.unwrap();
        // A head that comes bit by bit, and so is never idle.
        let (mut answer, mut sent) = (Vec::new(), 0);
        let over = async {
            loop {
                let _ = slow.write_all(b"X").await;
                sent += 1;
                if timeout(Duration::from_millis(50), slow.read_to_end(&mut answer)).await.is_ok() {
                    return;
                }
            }
        };
        timeout(Duration::from_secs(5), over).await.expect("it is closed");
        assert!(sent >= 4, "it had its time");
        // Who has asked is answered, and may ask again for as long.
        let mut quick = TcpStream::connect(at).await.unwrap();
        for _ in 0..4 {
            quick.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut head = [0; 12];
            quick.read_exact(&mut head).await.unwrap();
            assert_eq!(&head, b"HTTP/1.1 404");
            let mut rest = [0; 4096];
            assert!(quick.read(&mut rest).await.unwrap() > 0);
            pass(Duration::from_millis(300)).await;
        }
        assert_eq!(timeout(Duration::from_secs(5), quick.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    }

    #[test]
    fn an_address_has_so_many_places_and_this_machine_all() {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut addresses = Addresses::new(2);
        let mut come = |from: &str| addresses.come(from.parse().unwrap(), places.clone().try_acquire_owned().unwrap());
        let held = [come("192.0.2.1"), come("192.0.2.1"), come("2001:db8::1"), come("2001:db8::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(come("192.0.2.1").is_none() && come("::ffff:192.0.2.1").is_none() && come("2001:db8::3").is_none());
        assert!(come("192.0.2.2").is_some());
        let machine: Vec<_> = (0..10).map(|_| come("127.0.0.1")).collect();
        assert!(machine.iter().all(Option::is_some));
        drop(held);
        assert!(come("192.0.2.1").is_some());
        drop(machine);
        assert_eq!(places.available_permits(), MOST_CONNECTIONS, "who is sent away holds no place");
    }
}
