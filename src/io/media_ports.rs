//! UDP port pairs for media: RTP on an even port, RTCP on the odd one above (RFC 3550 section 11).

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::media::Channel;

/// How the sockets are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Ports to choose from; an odd first or even last port is left out.
    pub range: RangeInclusive<u16>,
    /// Differentiated services code point of what we send, 0 to 63; 46 is expedited forwarding (RFC 3246).
    pub dscp: u8,
    /// SO_RCVBUF of each socket in bytes: what may wait while the thread is busy. The kernel doubles it, and a short
    /// packet takes about 800 bytes of that.
    pub receive_buffer: usize,
    /// SO_SNDBUF of each socket, in bytes.
    pub send_buffer: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { range: 16384..=32767, dscp: 46, receive_buffer: 64 * 1024, send_buffer: 64 * 1024 }
    }
}

/// The two sockets of a port, non-blocking.
#[derive(Debug)]
pub struct Sockets {
    /// Bound to an even port.
    pub rtp: UdpSocket,
    /// Bound to the port above.
    pub rtcp: UdpSocket,
}

impl Sockets {
    /// The one of `channel`.
    pub fn on(&self, channel: Channel) -> &UdpSocket {
        match channel {
            Channel::Rtp => &self.rtp,
            Channel::Rtcp => &self.rtcp,
        }
    }
}

/// Why there is no pair.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Not one even port with its odd neighbour is in the range.
    #[error("no even port with its odd neighbour lies in {}-{}", .0.start(), .0.end())]
    BadRange(RangeInclusive<u16>),
    /// All pairs are taken.
    #[error("all port pairs of {address} in {}-{} are in use", .range.start(), .range.end())]
    NoFreePair {
        /// Where.
        address: IpAddr,
        /// Of these.
        range: RangeInclusive<u16>,
    },
    /// The machine does not have this address.
    #[error("{0} is not an address of this machine")]
    NotOurAddress(IpAddr),
    /// Too many files are open, no memory, not permitted, ...
    #[error("cannot bind a media port on {address}: {source}")]
    System {
        /// Where.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Hands out port pairs, each as long after its last use as the range allows, so that stray packets of a call that is
/// over do not reach the next one.
#[derive(Debug)]
pub struct MediaPorts {
    config: Config,
    /// First even port.
    first: u16,
    pairs: u16,
    /// Counted in pairs from `first`.
    next: u16,
}

impl MediaPorts {
    /// `seed` says where in the range to begin, so that port numbers cannot be guessed from a restart.
    pub fn new(config: Config, seed: u64) -> Result<MediaPorts, BindError> {
        let (start, end) = (u32::from(*config.range.start()), u32::from(*config.range.end()));
        // Port 0 asks the system for any port, and would not give a pair.
        let first = start.max(2).next_multiple_of(2);
        let pairs = (end + 1).saturating_sub(first) / 2;
        let (Ok(first), Ok(pairs @ 1..)) = (u16::try_from(first), u16::try_from(pairs)) else {
            return Err(BindError::BadRange(config.range));
        };
        let next = (seed % u64::from(pairs)) as u16;
        Ok(MediaPorts { config, first, pairs, next })
    }

    /// Bind a pair on `address`, the address of an interface.
    pub fn bind(&mut self, address: IpAddr) -> Result<Sockets, BindError> {
        let failed = |source: io::Error| BindError::System { address, source };
        // A socket whose bind was refused may try another port; it is used up only by success.
        let mut rtp = self.socket(address).map_err(failed)?;
        let mut rtcp = self.socket(address).map_err(failed)?;
        for _ in 0..self.pairs {
            let even = self.first + 2 * self.next;
            self.next = (self.next + 1) % self.pairs;
            if !bound(&rtp, address, even)? {
                continue;
            }
            if bound(&rtcp, address, even + 1)? {
                return Ok(Sockets { rtp: rtp.into(), rtcp: rtcp.into() });
            }
            rtp = self.socket(address).map_err(failed)?;
            rtcp = self.socket(address).map_err(failed)?;
        }
        Err(BindError::NoFreePair { address, range: self.config.range.clone() })
    }

    fn socket(&self, address: IpAddr) -> io::Result<Socket> {
        let domain = Domain::for_address(SocketAddr::new(address, 0));
        let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        // The kernel grants less where its own limit is lower; that is no reason to fail.
        socket.set_recv_buffer_size(self.config.receive_buffer)?;
        socket.set_send_buffer_size(self.config.send_buffer)?;
        // Jitter is measured by it. Who cannot give it is measured by the moment of reading.
        let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
        let traffic_class = u32::from(self.config.dscp & 0x3f) << 2;
        match address {
            IpAddr::V4(_) => socket.set_tos_v4(traffic_class)?,
            IpAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_tclass_v6(traffic_class)?;
            }
        }
        Ok(socket)
    }
}

/// False: somebody else has the port.
fn bound(socket: &Socket, address: IpAddr, port: u16) -> Result<bool, BindError> {
    match socket.bind(&SocketAddr::new(address, port).into()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(false),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Err(BindError::NotOurAddress(address)),
        Err(source) => Err(BindError::System { address, source }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn ports(range: RangeInclusive<u16>) -> Result<MediaPorts, BindError> {
        MediaPorts::new(Config { range, ..Config::default() }, u64::from(std::process::id()))
    }

    /// An even port that was free a moment ago, with its neighbour.
    fn free_pair() -> u16 {
        let sockets = ports(20_000..=59_999).unwrap().bind(LOOPBACK).unwrap();
        sockets.rtp.local_addr().unwrap().port()
    }

    #[test]
    fn a_pair_is_an_even_port_and_the_odd_one_above() {
        let mut ports = ports(20_001..=59_998).unwrap();
        for _ in 0..20 {
            let sockets = ports.bind(LOOPBACK).unwrap();
            let (rtp, rtcp) = (sockets.rtp.local_addr().unwrap(), sockets.rtcp.local_addr().unwrap());
            assert_eq!(rtp.port() % 2, 0);
            assert_eq!(rtcp.port(), rtp.port() + 1);
            assert!((20_002..59_998).contains(&rtp.port()));
        }
    }

    #[test]
    fn a_pair_in_use_is_passed_over_and_a_full_range_is_an_error() {
        let even = free_pair();
        let mut ports = ports(even..=even + 1).unwrap();
        let held = ports.bind(LOOPBACK).unwrap();
        assert!(matches!(ports.bind(LOOPBACK), Err(BindError::NoFreePair { .. })));
        drop(held);
        ports.bind(LOOPBACK).unwrap();
    }

    #[test]
    fn a_pair_whose_rtcp_port_is_taken_is_not_used() {
        let even = free_pair();
        let _taken = UdpSocket::bind((LOOPBACK, even + 1)).unwrap();
        let error = ports(even..=even + 1).unwrap().bind(LOOPBACK).unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
    }

    #[test]
    fn a_range_without_a_pair_is_refused() {
        for (first, last) in [(5001, 5001), (5000, 5000), (5001, 5002), (0, 1), (65_535, 65_535)] {
            assert!(matches!(ports(first..=last), Err(BindError::BadRange(_))), "{first}-{last}");
        }
        assert!(ports(65_534..=65_535).is_ok());
        assert!(ports(0..=65_535).is_ok());
    }

    #[test]
    fn an_address_of_another_machine_is_named_in_the_error() {
        let error = ports(20_000..=59_999).unwrap().bind("192.0.2.1".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("192.0.2.1 is not an address of this machine"), "{error}");
    }

    #[test]
    fn packets_carry_the_mark_and_sockets_do_not_block() {
        let sockets = ports(20_000..=59_999).unwrap().bind(LOOPBACK).unwrap();
        assert_eq!(socket2::SockRef::from(&sockets.rtp).tos_v4().unwrap(), 46 << 2);
        assert_eq!(sockets.rtp.recv_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        if let Ok(sockets) = ports(20_000..=59_999).unwrap().bind(Ipv6Addr::LOCALHOST.into()) {
            assert_eq!(socket2::SockRef::from(&sockets.rtcp).tclass_v6().unwrap(), 46 << 2);
        }
    }
}
