//! What a multishot recvmsg writes in front of a datagram: `struct io_uring_recvmsg_out` (four 32-bit numbers: lengths of
//! source address, control data and payload, and flags), then room for the address and for the control data as asked for,
//! then the payload.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    ops::Range,
    time::Duration,
};

use crate::media::{Channel, MAX_PACKET, Slot};

/// Room for a source address: `struct sockaddr_in6`, and four bytes more, so that what follows is aligned.
pub(super) const NAME: usize = 32;
/// Room for control data: `struct cmsghdr` (length of it all, level and type) with a `struct timespec`.
pub(super) const CONTROL: usize = 32;
const NUMBERS: usize = 16;
const FRONT: usize = NUMBERS + NAME + CONTROL;

/// A datagram that came and has not been given out.
pub(super) struct Came {
    pub(super) slot: Slot,
    pub(super) channel: Channel,
    pub(super) from: SocketAddr,
    /// When, by the wall clock.
    pub(super) stamp: Option<Duration>,
    pub(super) buffer: u16,
    /// Where in the buffer.
    pub(super) payload: Range<usize>,
}

/// Source, time and place of the datagram in the filled part of a buffer. None: it was longer than [`MAX_PACKET`].
pub(super) fn read(filled: &[u8]) -> Option<(SocketAddr, Option<Duration>, Range<usize>)> {
    let length = u32::from_ne_bytes(filled.get(8..12)?.try_into().ok()?) as usize;
    let from = address(filled.get(NUMBERS..NUMBERS + NAME)?)?;
    let controls = u32::from_ne_bytes(filled.get(4..8)?.try_into().ok()?) as usize;
    let control = filled.get(NUMBERS + NAME..FRONT)?;
    let payload = FRONT..FRONT + length;
    let stamp = (controls >= CONTROL).then(|| stamp(control)).flatten();
    (length <= MAX_PACKET && payload.end <= filled.len()).then_some((from, stamp, payload))
}

/// The `struct timespec` of a control message SCM_TIMESTAMPNS.
fn stamp(control: &[u8]) -> Option<Duration> {
    let word = |at: usize| Some(i32::from_ne_bytes(control.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(i64::from_ne_bytes(control.get(at..at + 8)?.try_into().ok()?));
    let named = (word(8)?, word(12)?) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
    let stamp = Duration::new(long(16)?.try_into().ok()?, long(24)?.try_into().ok()?);
    named.then_some(stamp)
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
        let mut bytes = vec![0; FRONT];
        bytes[8..12].copy_from_slice(&(payload as u32).to_ne_bytes());
        bytes[16..18].copy_from_slice(&(family as u16).to_ne_bytes());
        bytes[18..20].copy_from_slice(&5004_u16.to_be_bytes());
        bytes[20..24].copy_from_slice(&[192, 0, 2, 7]);
        bytes[24..40].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        bytes.resize(FRONT + payload.min(buffers_left()), 7);
        bytes
    }

    fn buffers_left() -> usize {
        super::super::buffers::SIZE - FRONT
    }

    #[test]
    fn source_and_payload_are_found_in_a_buffer() {
        let (from, stamp, payload) = read(&buffer(libc::AF_INET, 172)).unwrap();
        assert_eq!((from, stamp, payload), ("192.0.2.7:5004".parse().unwrap(), None, 80..252));
        let (from, ..) = read(&buffer(libc::AF_INET6, 172)).unwrap();
        assert_eq!(from, "[::1]:5004".parse().unwrap());
    }

    #[test]
    fn the_kernels_stamp_is_found_and_other_control_data_is_none() {
        let mut bytes = buffer(libc::AF_INET, 172);
        bytes[4..8].copy_from_slice(&(CONTROL as u32).to_ne_bytes());
        bytes[48..56].copy_from_slice(&CONTROL.to_ne_bytes());
        bytes[56..60].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        bytes[60..64].copy_from_slice(&libc::SCM_TIMESTAMPNS.to_ne_bytes());
        bytes[64..72].copy_from_slice(&1_800_000_000_i64.to_ne_bytes());
        bytes[72..80].copy_from_slice(&250_i64.to_ne_bytes());
        assert_eq!(read(&bytes).unwrap().1, Some(Duration::new(1_800_000_000, 250)));
        bytes[60..64].copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
        assert_eq!(read(&bytes).unwrap().1, None);
    }

    #[test]
    fn a_datagram_beyond_the_limit_is_none() {
        assert!(read(&buffer(libc::AF_INET, MAX_PACKET)).is_some());
        assert!(read(&buffer(libc::AF_INET, MAX_PACKET + 1)).is_none());
        assert!(read(&buffer(libc::AF_INET, 60_000)).is_none());
        assert!(read(&[]).is_none());
    }
}
