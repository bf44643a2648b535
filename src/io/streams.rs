//! The streams thread: SIP over TCP, and names looked up. It moves bytes, framed by Content-Length, and knows nothing
//! of what they mean.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    net::SocketAddr,
    thread,
    time::Duration,
};

use bytes::Bytes;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::spawn_local,
    time::timeout,
};

use crate::{
    ids::{InterfaceId, QueryId},
    io::{
        BindError,
        dns::{self, Name},
    },
    sip::{Framed, Framer, Hop, Transport},
    switch::Input,
};

/// Longest time for a TCP connection to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection on which nothing came for so long is closed.
const IDLE: Duration = Duration::from_secs(3600);
/// Messages that may wait for a slow peer; past that its connection is closed.
const WAITING: usize = 256;
/// What one read takes at most, in bytes.
const CHUNK: usize = 16 << 10;

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
}

/// Listen on one interface.
pub fn listen(address: SocketAddr, dscp: u8) -> Result<std::net::TcpListener, BindError> {
    let open = || -> io::Result<std::net::TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        mark(&SockRef::from(&socket), address, dscp)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(socket.into())
    };
    open().map_err(|source| BindError { what: "SIP over TCP", address, source })
}

fn mark(socket: &SockRef<'_>, address: SocketAddr, dscp: u8) -> io::Result<()> {
    if address.is_ipv6() { socket.set_tclass_v6(u32::from(dscp) << 2) } else { socket.set_tos_v4(u32::from(dscp) << 2) }
}

/// Start the thread. It ends when the sender of `orders` is gone.
pub fn spawn(
    config: Config,
    listeners: Vec<(InterfaceId, std::net::TcpListener)>,
    orders: mpsc::Receiver<ToStreams>,
    control: mpsc::Sender<Input>,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("streams".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime needs only what every process has");
        let (events, inbox) = mpsc::channel(1024);
        let streams = Streams { config, connections: HashMap::new(), serial: 0, control, events };
        tokio::task::LocalSet::new().block_on(&runtime, streams.run(listeners, orders, inbox));
    })
}

/// What the tasks tell their owner.
enum Event {
    Accepted(InterfaceId, TcpStream, SocketAddr),
    Closed(Hop, u64),
}

struct Connection {
    serial: u64,
    queue: mpsc::Sender<Bytes>,
}

struct Streams {
    config: Config,
    connections: HashMap<Hop, Connection>,
    serial: u64,
    control: mpsc::Sender<Input>,
    events: mpsc::Sender<Event>,
}

impl Streams {
    async fn run(
        mut self,
        listeners: Vec<(InterfaceId, std::net::TcpListener)>,
        mut orders: mpsc::Receiver<ToStreams>,
        mut inbox: mpsc::Receiver<Event>,
    ) {
        for (interface, listener) in listeners {
            spawn_local(accept(interface, listener, self.events.clone()));
        }
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(ToStreams::Send { hop, bytes }) => self.send(hop, bytes).await,
                    Some(ToStreams::Resolve { query, name }) => {
                        let control = self.control.clone();
                        spawn_local(async move {
                            let result = dns::resolve(name).await;
                            let _ = control.send(Input::Resolved { query, result }).await;
                        });
                    }
                    None => return,
                },
                event = inbox.recv() => match event {
                    Some(Event::Accepted(interface, stream, remote)) => {
                        self.accepted(Hop { transport: Transport::Tcp, interface, remote }, stream);
                    }
                    Some(Event::Closed(hop, serial)) => self.closed(hop, serial).await,
                    None => return,
                },
            }
        }
    }

    async fn send(&mut self, hop: Hop, bytes: Bytes) {
        if !self.connections.contains_key(&hop) {
            if self.connections.len() >= self.config.max_connections {
                tracing::warn!(remote = %hop.remote, "no new connection: sip.max_connections is reached");
                return self.failed(hop).await;
            }
            let local = self.config.interfaces.get(usize::from(hop.interface.0)).copied();
            let (connection, task) = self.connection(hop);
            self.connections.insert(hop, connection);
            let dscp = self.config.dscp;
            spawn_local(async move {
                match connect(local, hop.remote, dscp).await {
                    Ok(stream) => task.run(stream).await,
                    Err(error) => {
                        tracing::info!(remote = %hop.remote, %error, "no connection");
                        task.end().await;
                    }
                }
            });
        }
        let queued = self.connections.get(&hop).is_some_and(|c| c.queue.try_send(bytes).is_ok());
        if !queued {
            // Dropping the queue ends the connection's task.
            self.connections.remove(&hop);
            self.failed(hop).await;
        }
    }

    fn accepted(&mut self, hop: Hop, stream: TcpStream) {
        if self.connections.len() >= self.config.max_connections {
            tracing::warn!(remote = %hop.remote, "connection refused: sip.max_connections is reached");
            return;
        }
        let (connection, task) = self.connection(hop);
        if let Entry::Vacant(free) = self.connections.entry(hop) {
            free.insert(connection);
            spawn_local(task.run(stream));
        }
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

    fn connection(&mut self, hop: Hop) -> (Connection, Task) {
        self.serial += 1;
        let (queue, waiting) = mpsc::channel(WAITING);
        let task = Task {
            hop,
            serial: self.serial,
            max_message: self.config.max_message,
            pongs: queue.downgrade(),
            waiting,
            control: self.control.clone(),
            events: self.events.clone(),
        };
        (Connection { serial: self.serial, queue }, task)
    }
}

async fn accept(interface: InterfaceId, listener: std::net::TcpListener, events: mpsc::Sender<Event>) {
    let listener = TcpListener::from_std(listener).expect("it is non-blocking, and this is a runtime");
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if events.send(Event::Accepted(interface, stream, remote)).await.is_err() {
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

async fn connect(local: Option<SocketAddr>, remote: SocketAddr, dscp: u8) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    mark(&SockRef::from(&socket), remote, dscp)?;
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    timeout(PATIENCE, socket.connect(remote)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// One connection's task.
struct Task {
    hop: Hop,
    serial: u64,
    max_message: usize,
    pongs: mpsc::WeakSender<Bytes>,
    waiting: mpsc::Receiver<Bytes>,
    control: mpsc::Sender<Input>,
    events: mpsc::Sender<Event>,
}

impl Task {
    async fn run(mut self, stream: TcpStream) {
        // Small messages must not wait for each other; failing to say so costs delay only.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let framer = Framer::new(self.max_message);
        tokio::select! {
            () = read(reader, framer, self.hop, self.pongs.clone(), self.control.clone()) => {}
            () = write(writer, &mut self.waiting) => {}
        }
        self.end().await;
    }

    async fn end(self) {
        let _ = self.events.send(Event::Closed(self.hop, self.serial)).await;
    }
}

async fn read(
    mut reader: OwnedReadHalf,
    mut framer: Framer,
    hop: Hop,
    pongs: mpsc::WeakSender<Bytes>,
    control: mpsc::Sender<Input>,
) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = match timeout(IDLE, reader.read(&mut chunk)).await {
            Ok(Ok(len)) if len > 0 => len,
            Ok(_) | Err(_) => return,
        };
        framer.push(&chunk[..len]);
        while let Some(framed) = framer.next() {
            match framed {
                Ok(Framed::Message(bytes)) => {
                    if control.send(Input::Datagram { hop, bytes }).await.is_err() {
                        return;
                    }
                }
                // RFC 5626 section 4.4.1: a double CRLF is answered by a single one.
                Ok(Framed::Ping) => {
                    if let Some(queue) = pongs.upgrade() {
                        let _ = queue.try_send(Bytes::from_static(b"\r\n"));
                    }
                }
                // Past a bad frame nothing can be found any more (RFC 3261 section 18.3).
                Err(error) => {
                    tracing::info!(remote = %hop.remote, ?error, "connection closed: not SIP");
                    return;
                }
            }
        }
    }
}

async fn write(mut writer: OwnedWriteHalf, waiting: &mut mpsc::Receiver<Bytes>) {
    while let Some(bytes) = waiting.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
