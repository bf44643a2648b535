//! The streams thread: SIP over TCP, TLS and WebSocket, and names looked up. It moves bytes, and knows nothing of what
//! they mean.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    io,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::spawn_local,
    time::interval,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use self::sockets::listen;
use self::{
    link::Link,
    sockets::{connect, in_time, prepare},
    tls::{Tls, TlsConfig},
};
use crate::{
    ids::{InterfaceId, QueryId},
    io::dns::{Dns, DnsConfig, Name},
    sip::{Hop, Target, Transport},
    switch::Input,
};

mod link;
mod sni;
mod sockets;
#[cfg(test)]
mod tests;
pub mod tls;
mod web;

/// Messages that may wait for a slow peer; past that its connection is closed.
const WAITING: usize = 256;
/// Addresses whose names are remembered, for TLS.
const NAMES: usize = 10_000;

/// What the control task asks for.
#[derive(Debug)]
pub enum ToStreams {
    /// Send on the connection that `hop` names; make one if there is none.
    Send {
        /// Where to.
        hop: Hop,
        /// One whole message.
        bytes: Bytes,
    },
    /// Find the addresses of a name; answered by [`Input::Resolved`].
    Resolve {
        /// Carried by the answer.
        query: QueryId,
        /// What is looked up.
        name: Name,
    },
}

/// Limits and marks of the thread.
#[derive(Clone, Debug)]
pub struct Config {
    /// Local address of each interface, for outgoing connections.
    pub interfaces: Vec<SocketAddr>,
    /// Longest message.
    pub max_message: usize,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Mark on packets.
    pub dscp: u8,
    /// Certificates.
    pub tls: TlsConfig,
    /// How often the certificates' files are looked at.
    pub reload: Duration,
    /// Who knows names.
    pub dns: DnsConfig,
}

/// A socket that takes connections.
#[derive(Debug)]
pub struct Listener {
    /// What is spoken on them.
    pub transport: Transport,
    /// Whose it is.
    pub interface: InterfaceId,
    /// The socket.
    pub socket: std::net::TcpListener,
}

/// Start the thread. It ends when the sender of `orders` is gone. `certificates` are those of `config`, read before.
pub fn spawn(
    config: Config,
    certificates: Tls,
    listeners: Vec<Listener>,
    orders: mpsc::Receiver<ToStreams>,
    control: mpsc::Sender<Input>,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("streams".into()).spawn(move || {
        let runtime = super::runtime().expect("a runtime needs only what every process has");
        let (events, inbox) = mpsc::channel(1024);
        let streams = Streams {
            tls: certificates,
            dns: {
                let _here = runtime.enter();
                Dns::new(&config.dns).inspect_err(|error| tracing::error!(%error, "names cannot be looked up")).ok()
            },
            config,
            connections: HashMap::new(),
            names: BTreeMap::new(),
            serial: 0,
            control,
            events,
        };
        tokio::task::LocalSet::new().block_on(&runtime, streams.run(listeners, orders, inbox));
    })
}

/// What the tasks tell their owner.
enum Event {
    Accepted(Transport, InterfaceId, TcpStream, SocketAddr),
    Closed(Hop, u64),
    Named(String, Vec<Target>),
}

struct Connection {
    serial: u64,
    queue: mpsc::Sender<Bytes>,
}

struct Streams {
    config: Config,
    tls: Tls,
    /// None: it could not be made, and every question fails.
    dns: Option<Dns>,
    connections: HashMap<Hop, Connection>,
    /// Whom we meant when we looked up these addresses: certificates must say so.
    names: BTreeMap<SocketAddr, String>,
    serial: u64,
    control: mpsc::Sender<Input>,
    events: mpsc::Sender<Event>,
}

impl Streams {
    async fn run(
        mut self,
        listeners: Vec<Listener>,
        mut orders: mpsc::Receiver<ToStreams>,
        mut inbox: mpsc::Receiver<Event>,
    ) {
        for listener in listeners {
            spawn_local(accept(listener, self.events.clone()));
        }
        let mut reload = interval(self.config.reload);
        loop {
            tokio::select! {
                // A name must be known before the first message goes to its address.
                biased;
                event = inbox.recv() => match event {
                    Some(event) => self.handle(event).await,
                    None => return,
                },
                order = orders.recv() => match order {
                    Some(ToStreams::Send { hop, bytes }) => self.send(hop, bytes).await,
                    Some(ToStreams::Resolve { query, name }) => self.resolve(query, name),
                    None => return,
                },
                _ = reload.tick() => self.reload(),
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Accepted(transport, interface, stream, remote) => {
                self.accepted(Hop { transport, interface, remote }, stream);
            }
            Event::Closed(hop, serial) => self.closed(hop, serial).await,
            Event::Named(name, targets) => {
                if self.names.len() + targets.len() > NAMES {
                    self.names.clear();
                }
                self.names.extend(targets.iter().map(|target| (target.address, name.clone())));
            }
        }
    }

    fn resolve(&self, query: QueryId, name: Name) {
        let (control, events, dns) = (self.control.clone(), self.events.clone(), self.dns.clone());
        spawn_local(async move {
            let host = name.host.clone();
            let result = match dns {
                Some(dns) => dns.resolve(name).await,
                None => Err(format!("{host}: names cannot be looked up here")),
            };
            if let Ok(targets) = &result {
                let secure = targets.iter().filter(|target| target.transport.is_secure()).copied().collect();
                let _ = events.send(Event::Named(host, secure)).await;
            }
            let _ = control.send(Input::Resolved { query, result }).await;
        });
    }

    /// New certificates are for new connections; those that are there go on.
    fn reload(&mut self) {
        if !self.tls.is_stale(&self.config.tls) {
            return;
        }
        match Tls::load(&self.config.tls) {
            Ok(tls) => {
                self.tls = tls;
                tracing::info!("new certificates are in use");
            }
            Err(error) => tracing::warn!(%error, "new certificates cannot be used; the old ones stay"),
        }
    }

    async fn send(&mut self, hop: Hop, bytes: Bytes) {
        if !self.connections.contains_key(&hop) {
            if self.connections.len() >= self.config.max_connections {
                tracing::warn!(remote = %hop.remote, "no new connection: sip.max_connections is reached");
                return self.failed(hop).await;
            }
            if !hop.transport.can_connect() {
                return self.failed(hop).await;
            }
            self.connect(hop);
        }
        let queued = self.connections.get(&hop).is_some_and(|c| c.queue.try_send(bytes).is_ok());
        if !queued {
            // Dropping the queue ends the connection's task.
            self.connections.remove(&hop);
            self.failed(hop).await;
        }
    }

    fn connect(&mut self, hop: Hop) {
        let (connection, link) = self.connection(hop, true);
        self.connections.insert(hop, connection);
        let local = self.config.interfaces.get(usize::from(hop.interface.0)).copied();
        let dscp = self.config.dscp;
        let secured = hop.transport.is_secure().then(|| {
            let name = tls::server_name(self.names.get(&hop.remote).map(String::as_str), hop.remote.ip());
            (TlsConnector::from(self.tls.client.clone()), name)
        });
        spawn_local(async move {
            let connected = async {
                let stream = connect(local, hop.remote, dscp).await?;
                Ok(match secured {
                    None => Either::Plain(stream),
                    Some((connector, name)) => Either::Tls(in_time(connector.connect(name, stream)).await?),
                })
            };
            match connected.await {
                Ok(Either::Plain(stream)) => link.run(stream).await,
                Ok(Either::Tls(stream)) => link.run(stream).await,
                Err::<_, io::Error>(error) => {
                    tracing::info!(remote = %hop.remote, transport = hop.transport.as_str(), %error, "no connection");
                    link.end().await;
                }
            }
        });
    }

    fn accepted(&mut self, hop: Hop, stream: TcpStream) {
        if self.connections.len() >= self.config.max_connections {
            tracing::warn!(remote = %hop.remote, "connection refused: sip.max_connections is reached");
            return;
        }
        let (connection, link) = self.connection(hop, false);
        let Entry::Vacant(free) = self.connections.entry(hop) else { return };
        free.insert(connection);
        let tls = self.tls.server.clone();
        spawn_local(async move {
            if prepare(&stream).is_err() {
                return link.end().await;
            }
            match hop.transport {
                Transport::Tcp | Transport::Udp => link.run(stream).await,
                Transport::Ws => web::run(link, stream).await,
                Transport::Tls => match secured(tls, hop, stream).await {
                    Some(stream) => link.run(stream).await,
                    None => link.end().await,
                },
                Transport::Wss => match secured(tls, hop, stream).await {
                    Some(stream) => web::run(link, stream).await,
                    None => link.end().await,
                },
            }
        });
    }

    async fn closed(&mut self, hop: Hop, serial: u64) {
        if self.connections.get(&hop).is_some_and(|c| c.serial == serial) {
            self.connections.remove(&hop);
            self.failed(hop).await;
        }
    }

    async fn failed(&self, hop: Hop) {
        // The control task being gone means that the program ends.
        let _ = self.control.send(Input::TransportFailed { hop }).await;
    }

    fn connection(&mut self, hop: Hop, ours: bool) -> (Connection, Link) {
        self.serial += 1;
        let (queue, waiting) = mpsc::channel(WAITING);
        let link = Link {
            hop,
            serial: self.serial,
            ours,
            max_message: self.config.max_message,
            pongs: queue.downgrade(),
            waiting,
            control: self.control.clone(),
            events: self.events.clone(),
        };
        (Connection { serial: self.serial, queue }, link)
    }
}

async fn accept(listener: Listener, events: mpsc::Sender<Event>) {
    let Listener { transport, interface, socket } = listener;
    let listener = TcpListener::from_std(socket).expect("it is non-blocking, and this is a runtime");
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if events.send(Event::Accepted(transport, interface, stream, remote)).await.is_err() {
                    return;
                }
            }
            // Out of descriptors, or the peer went away meanwhile: others may still come.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// A connection of ours.
#[expect(clippy::large_enum_variant, reason = "it lives for the blink between connecting and running")]
enum Either {
    Plain(TcpStream),
    Tls(tokio_rustls::client::TlsStream<TcpStream>),
}

/// The server's side of a TLS handshake; none where it fails.
async fn secured(
    tls: Option<Arc<ServerConfig>>,
    hop: Hop,
    stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let shaken = in_time(TlsAcceptor::from(tls?).accept(stream)).await;
    shaken.inspect_err(|error| tracing::info!(remote = %hop.remote, %error, "no TLS with this peer")).ok()
}
