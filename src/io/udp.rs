//! SIP over UDP: the sockets of the interfaces. Bytes only; what they mean is the Exchange's business.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsRawFd, RawFd},
};

use nix::{
    cmsg_space, libc,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt},
    },
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::{
    ids::InterfaceId,
    io::{BindError, control::watched},
};

/// Kernel buffer of a SIP socket, in bytes: a second of bursts at a thousand calls a second.
const BUFFER: usize = 4 << 20;

/// One UDP socket for each interface, by [`InterfaceId`], and what waits for all of them.
///
/// Errors that ICMP brings wake up a wait for them only where errors are asked for, which tokio's own socket does not
/// do: so the sockets are in an epoll instance of their own, and tokio waits for that one.
pub struct UdpSockets {
    sockets: Vec<UdpSocket>,
    epoll: AsyncFd<Sockets>,
    /// Datagrams that the kernel had no room for.
    pub unsent: u64,
}

/// Bind one socket.
pub fn bind(address: SocketAddr, dscp: u8) -> Result<UdpSocket, BindError> {
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
            socket.set_tclass_v6(u32::from(dscp) << 2)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
            socket.set_tos_v4(u32::from(dscp) << 2)?;
        }
        // The kernel caps this at its own limit, which is fine; one who may do more (CAP_NET_ADMIN) is not held to it.
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
            let _ = socket.set_recv_buffer_size(BUFFER);
        }
        let _ = socket.set_send_buffer_size(BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    open().map_err(|source| BindError { what: "SIP over UDP", address, source })
}

impl UdpSockets {
    /// By interface. To be called within the runtime that will wait.
    pub fn new(sockets: Vec<UdpSocket>) -> io::Result<UdpSockets> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (index, socket) in sockets.iter().enumerate() {
            epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        }
        Ok(UdpSockets { sockets, epoll: watched(Sockets(epoll))?, unsent: 0 })
    }

    /// Wait until a socket has a datagram or an error; tells which interface's, and whether there is an error.
    pub async fn readable(&self) -> io::Result<(InterfaceId, bool)> {
        loop {
            let mut ready = self.epoll.readable().await?;
            let mut events = [EpollEvent::empty()];
            // It stays ready until nothing is left: only then tokio has to wait for the next.
            if self.epoll.get_ref().0.wait(&mut events, EpollTimeout::ZERO)? == 0 {
                ready.clear_ready();
            } else {
                let interface = InterfaceId(u8::try_from(events[0].data()).expect("conf allows few interfaces"));
                return Ok((interface, events[0].events().contains(EpollFlags::EPOLLERR)));
            }
        }
    }

    /// Take one datagram, if there is one, into `buffer`; else, where `errors` were seen, one of those.
    pub fn receive(&self, (interface, errors): (InterfaceId, bool), buffer: &mut [u8]) -> Received {
        let Some(socket) = self.sockets.get(usize::from(interface.0)) else { return Received::Nothing };
        match socket.recv_from(buffer) {
            Ok((len, from)) => Received::Datagram(len, from),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !errors => Received::Nothing,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match unreachable(socket) {
                Some(to) => Received::Unreachable(to),
                None => Received::Nothing,
            },
            Err(_) => match unreachable(socket) {
                Some(to) => Received::Unreachable(to),
                None => Received::Again,
            },
        }
    }

    /// Send one datagram. What the kernel has no room for is lost, as on any network: SIP resends. Returns the
    /// address of an earlier datagram that came back as unreachable, where the kernel tells it in this way.
    pub fn send(&mut self, interface: InterfaceId, to: SocketAddr, bytes: &[u8]) -> Option<SocketAddr> {
        let socket = self.sockets.get(usize::from(interface.0))?;
        match socket.send_to(bytes, to) {
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unsent += 1;
                None
            }
            // A pending ICMP error of some earlier datagram is told to whoever sends next; then this one was not sent.
            Err(_) => {
                let failed = unreachable(socket);
                if socket.send_to(bytes, to).is_err() {
                    self.unsent += 1;
                    return failed.or(Some(to));
                }
                failed
            }
        }
    }
}

/// Tokio wants the descriptor, epoll the instance.
struct Sockets(Epoll);

impl AsRawFd for Sockets {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

/// What [`UdpSockets::receive`] found.
pub enum Received {
    /// So many bytes from this peer.
    Datagram(usize, SocketAddr),
    /// ICMP says that this peer cannot be reached.
    Unreachable(SocketAddr),
    /// An error that names nobody; there may be more to read.
    Again,
    /// Nothing more.
    Nothing,
}

/// The destination of the oldest datagram in the socket's error queue.
fn unreachable(socket: &UdpSocket) -> Option<SocketAddr> {
    let mut payload = [0u8; 64];
    let mut control = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let mut parts = [io::IoSliceMut::new(&mut payload)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags).ok()?;
    let told = |c| matches!(c, ControlMessageOwned::Ipv4RecvErr(..) | ControlMessageOwned::Ipv6RecvErr(..));
    let is_error = message.cmsgs().ok()?.any(told);
    message.address.filter(|_| is_error).and_then(|address| socket_address(&address))
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|a| SocketAddr::from((a.ip(), a.port())));
    v4.or_else(|| storage.as_sockaddr_in6().map(|a| SocketAddr::from((a.ip(), a.port()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unreachable_peer_is_named() {
        let mut sockets = UdpSockets::new(vec![bind(SocketAddr::from(([127, 0, 0, 1], 0)), 24).unwrap()]).unwrap();
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(sockets.send(InterfaceId(0), nobody, b"x"), None);
        let at = sockets.readable().await.unwrap();
        let mut buffer = [0; 100];
        let named = (0..3).find_map(|_| match sockets.receive(at, &mut buffer) {
            Received::Unreachable(to) => Some(to),
            Received::Datagram(..) | Received::Again | Received::Nothing => None,
        });
        assert_eq!(named, Some(nobody));
    }

    #[tokio::test]
    async fn a_busy_port_is_a_clear_error() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address, 0).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("in use"), "{error}");
    }
}
