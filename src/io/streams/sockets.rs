//! The sockets under connections: opened, marked, and set up so that a dead peer is noticed.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::io::BindError;

/// Longest time for a TCP connection to be made, and once more for TLS on it.
const PATIENCE: Duration = Duration::from_secs(5);
/// A peer that went away without a word is noticed after this, and three questions more.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Listen on one interface; `what` is named where that fails.
pub fn listen(what: &'static str, address: SocketAddr, dscp: u8) -> Result<std::net::TcpListener, BindError> {
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
    open().map_err(|source| BindError { what, address, source })
}

fn mark(socket: &SockRef<'_>, address: SocketAddr, dscp: u8) -> io::Result<()> {
    if address.is_ipv6() { socket.set_tclass_v6(u32::from(dscp) << 2) } else { socket.set_tos_v4(u32::from(dscp) << 2) }
}

/// Make a connection from the address `local`.
pub async fn connect(local: Option<SocketAddr>, remote: SocketAddr, dscp: u8) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    mark(&SockRef::from(&socket), remote, dscp)?;
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    let stream = in_time(socket.connect(remote)).await?;
    prepare(&stream)?;
    Ok(stream)
}

/// Small messages must not wait for each other, and a dead peer must be noticed.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(Duration::from_secs(10)).with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}

/// Not longer than is reasonable.
pub async fn in_time<T>(done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, done).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
