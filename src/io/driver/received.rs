//! What a multishot recvmsg writes in front of a datagram: `struct io_uring_recvmsg_out` (four 32-bit numbers: lengths of
//! source address, control data and payload, and flags), then room for the address as asked for, then the payload.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    ops::Range,
};

use crate::media::{Channel, MAX_PACKET, Slot};

/// Room for a source address: `struct sockaddr_in6`.
pub(super) const NAME: usize = 28;
const NUMBERS: usize = 16;

/// A datagram that came and has not been given out.
pub(super) struct Came {
    pub(super) slot: Slot,
    pub(super) channel: Channel,
    pub(super) from: SocketAddr,
    pub(super) buffer: u16,
    /// Where in the buffer.
    pub(super) payload: Range<usize>,
}

/// Source and place of the datagram in the filled part of a buffer. None: it was longer than [`MAX_PACKET`].
pub(super) fn read(filled: &[u8]) -> Option<(SocketAddr, Range<usize>)> {
    let length = u32::from_ne_bytes(filled.get(8..12)?.try_into().ok()?) as usize;
    let from = address(filled.get(NUMBERS..NUMBERS + NAME)?)?;
    let payload = NUMBERS + NAME..NUMBERS + NAME + length;
    (length <= MAX_PACKET && payload.end <= filled.len()).then_some((from, payload))
}

/// A `struct sockaddr_in` or `sockaddr_in6`.
fn address(name: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes([name[0], name[1]]);
    let port = u16::from_be_bytes([name[2], name[3]]);
    match i32::from(family) {
        libc::AF_INET => Some((Ipv4Addr::new(name[4], name[5], name[6], name[7]), port).into()),
        libc::AF_INET6 => {
            let octets: [u8; 16] = name[8..24].try_into().ok()?;
            let scope = u32::from_ne_bytes(name[24..28].try_into().ok()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(family: i32, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0; NUMBERS + NAME];
        bytes[8..12].copy_from_slice(&(payload as u32).to_ne_bytes());
        bytes[16..18].copy_from_slice(&(family as u16).to_ne_bytes());
        bytes[18..20].copy_from_slice(&5004_u16.to_be_bytes());
        bytes[20..24].copy_from_slice(&[192, 0, 2, 7]);
        bytes[24..40].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        bytes.resize(NUMBERS + NAME + payload.min(buffers_left()), 7);
        bytes
    }

    fn buffers_left() -> usize {
        super::super::buffers::SIZE - NUMBERS - NAME
    }

    #[test]
    fn source_and_payload_are_found_in_a_buffer() {
        let (from, payload) = read(&buffer(libc::AF_INET, 172)).unwrap();
        assert_eq!((from, payload), ("192.0.2.7:5004".parse().unwrap(), 44..216));
        let (from, _) = read(&buffer(libc::AF_INET6, 172)).unwrap();
        assert_eq!(from, "[::1]:5004".parse().unwrap());
    }

    #[test]
    fn a_datagram_beyond_the_limit_is_none() {
        assert!(read(&buffer(libc::AF_INET, MAX_PACKET)).is_some());
        assert!(read(&buffer(libc::AF_INET, MAX_PACKET + 1)).is_none());
        assert!(read(&buffer(libc::AF_INET, 60_000)).is_none());
        assert!(read(&[]).is_none());
    }
}
