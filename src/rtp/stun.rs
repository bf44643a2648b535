//! What an ICE-lite agent needs of STUN (RFC 8489): it reads Binding requests and answers them.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Bytes of a header: type, length, cookie, transaction.
const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
/// What a fingerprint is mixed with, so that it is not taken for another check sum.
const FINGERPRINT_MIX: u32 = 0x5354_554e;
/// Bytes of MESSAGE-INTEGRITY with its header.
const INTEGRITY_BYTES: usize = 24;
/// Bytes of FINGERPRINT with its header.
const FINGERPRINT_BYTES: usize = 8;

/// A Binding request that proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    transaction: [u8; 12],
    /// The peer wants to use this pair of addresses (RFC 8445 section 7.3.1.5).
    pub nominates: bool,
}

/// Reads a Binding request for `user` (the part of USERNAME before the colon), proved with `password`. `None`: it is
/// something else, or it is not the peer's.
pub fn read(packet: &[u8], user: &str, password: &str) -> Option<Request> {
    let header = packet.first_chunk::<HEADER>()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if u16::from_be_bytes([header[0], header[1]]) != BINDING_REQUEST
        || header[4..8] != COOKIE
        || packet.len() != HEADER + length
    {
        return None;
    }
    let transaction = header[8..].try_into().ok()?;
    let (mut named, mut nominates) = (false, false);
    let mut at = HEADER;
    while let Some([kind_high, kind_low, high, low]) = packet.get(at..at + 4) {
        let kind = u16::from_be_bytes([*kind_high, *kind_low]);
        let value = packet.get(at + 4..at + 4 + usize::from(u16::from_be_bytes([*high, *low])))?;
        match kind {
            USERNAME => named = value.split(|byte| *byte == b':').next() == Some(user.as_bytes()),
            USE_CANDIDATE => nominates = true,
            // What follows it is not proved, and not looked at.
            MESSAGE_INTEGRITY => {
                let proof = prove(&packet[..at], at + INTEGRITY_BYTES - HEADER, password);
                return (named && bool::from(proof.ct_eq(value))).then_some(Request { transaction, nominates });
            }
            _ => {}
        }
        at += 4 + value.len().next_multiple_of(4);
    }
    None
}

impl Request {
    /// Writes the success response to the one at `from`, proved with our own `password`. Returns its length, or 0 where
    /// `into` is too short.
    pub fn answer(&self, from: SocketAddr, password: &str, into: &mut [u8]) -> usize {
        let address = mapped(from, &self.transaction);
        let address = &address[..if from.is_ipv4() { 8 } else { 20 }];
        let integrity = HEADER + 4 + address.len();
        let fingerprint = integrity + INTEGRITY_BYTES;
        let end = fingerprint + FINGERPRINT_BYTES;
        let Some(into) = into.get_mut(..end) else { return 0 };
        into[..2].copy_from_slice(&BINDING_SUCCESS.to_be_bytes());
        into[2..4].copy_from_slice(&((end - HEADER) as u16).to_be_bytes());
        into[4..8].copy_from_slice(&COOKIE);
        into[8..HEADER].copy_from_slice(&self.transaction);
        attribute(into, HEADER, XOR_MAPPED_ADDRESS, address);
        let proof = prove(&into[..integrity], fingerprint - HEADER, password);
        attribute(into, integrity, MESSAGE_INTEGRITY, &proof);
        let sum = check_sum(&into[..fingerprint]) ^ FINGERPRINT_MIX;
        attribute(into, fingerprint, FINGERPRINT, &sum.to_be_bytes());
        end
    }
}

fn attribute(into: &mut [u8], at: usize, kind: u16, value: &[u8]) {
    into[at..at + 2].copy_from_slice(&kind.to_be_bytes());
    into[at + 2..at + 4].copy_from_slice(&(value.len() as u16).to_be_bytes());
    into[at + 4..at + 4 + value.len()].copy_from_slice(value);
}

/// The value of XOR-MAPPED-ADDRESS: 8 bytes of it for IPv4 (RFC 8489 section 14.2).
fn mapped(address: SocketAddr, transaction: &[u8; 12]) -> [u8; 20] {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&COOKIE);
    key[4..].copy_from_slice(transaction);
    let mut value = [0; 20];
    value[1] = if address.is_ipv4() { 1 } else { 2 };
    let port = address.port().to_be_bytes();
    (value[2], value[3]) = (port[0] ^ key[0], port[1] ^ key[1]);
    let mut put = |octets: &[u8]| {
        for (at, octet) in octets.iter().enumerate() {
            value[4 + at] = octet ^ key[at];
        }
    };
    match address.ip() {
        IpAddr::V4(address) => put(&address.octets()),
        IpAddr::V6(address) => put(&address.octets()),
    }
    value
}

/// HMAC over what comes before, with the length that the header has when this attribute is the last one.
fn prove(before: &[u8], length: usize, password: &str) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(&before[..2]);
    mac.update(&(length as u16).to_be_bytes());
    mac.update(&before[4..]);
    mac.finalize().into_bytes().into()
}

/// CRC-32 of ITU V.42. Few messages come in a call: a bit at a time will do.
fn check_sum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    /// RFC 5769 section 2.1.
    fn sample() -> Vec<u8> {
        let hex = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
                   002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
                   000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
        hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn the_request_of_the_rfc_is_read_and_only_with_its_password_and_name() {
        let request = read(&sample(), "evtj", PASSWORD).unwrap();
        assert!(!request.nominates);
        assert_eq!(read(&sample(), "evtj", "another"), None);
        assert_eq!(read(&sample(), "other", PASSWORD), None);
        for at in 0..sample().len() - FINGERPRINT_BYTES {
            let mut changed = sample();
            changed[at] ^= 1;
            assert_eq!(read(&changed, "evtj", PASSWORD), None, "byte {at}");
        }
    }

    /// RFC 5769 section 2.2 says what the address looks like, sections 2.1 the check sum.
    #[test]
    fn the_answer_tells_where_the_request_came_from() {
        let request = read(&sample(), "evtj", PASSWORD).unwrap();
        let mut answer = [0; 100];
        let len = request.answer("192.0.2.1:32853".parse().unwrap(), PASSWORD, &mut answer);
        assert_eq!(len, HEADER + 12 + INTEGRITY_BYTES + FINGERPRINT_BYTES);
        assert_eq!(answer[..2], [1, 1]);
        assert_eq!(answer[24..32], [0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let end = sample().len() - FINGERPRINT_BYTES;
        assert_eq!(check_sum(&sample()[..end]) ^ FINGERPRINT_MIX, 0xe57a_3bcf);
        let six =
            request.answer("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap(), PASSWORD, &mut answer);
        assert_eq!(six, len + 12);
        assert_eq!(
            answer[24..44],
            [
                0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe,
                0xd2, 0xb9, 0xd9
            ]
        );
        assert_eq!(request.answer("192.0.2.1:1".parse().unwrap(), PASSWORD, &mut [0; 20]), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
            let mut packet = sample()[..HEADER].to_vec();
            packet[2..4].copy_from_slice(&(tail.len() as u16).to_be_bytes());
            packet.extend(tail);
            proptest::prop_assert_eq!(read(&packet, "evtj", PASSWORD), None);
        }
    }
}
