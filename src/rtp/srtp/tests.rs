use proptest::prelude::*;

use super::{cipher::Cipher, *};
use crate::secure::Suite;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| b.is_ascii_hexdigit()).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn key(suite: Suite, hex: &str) -> Key {
    Key::new(suite, &bytes(hex)).unwrap()
}

fn some_key(suite: Suite) -> Key {
    let bytes: Vec<u8> = (0..(suite.key_bytes() + suite.salt_bytes()) as u8).map(|n| n.wrapping_mul(37)).collect();
    Key::new(suite, &bytes).unwrap()
}

fn packet(sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let header = crate::rtp::Header { payload_type: 0, sequence, ssrc, timestamp: 7, marker: false };
    let mut packet = vec![0; 12 + payload.len()];
    crate::rtp::write(&header, &mut packet);
    packet[12..].copy_from_slice(payload);
    packet
}

fn sealed(seal: &mut Seal, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + MOST_ADDED, 0);
    let len = seal.rtp(&mut buffer, packet.len()).unwrap();
    buffer.truncate(len);
    buffer
}

fn opened(open: &mut Open, packet: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = packet.to_vec();
    let len = open.rtp(&mut buffer)?;
    buffer.truncate(len);
    Some(buffer)
}

/// RFC 3711 section B.3 and RFC 6188 section 7.2 derive these session keys; a key stream of zeros shows each.
#[test]
fn session_keys_are_those_of_the_rfcs() {
    let short = key(Suite::AesCm128Sha1_80, "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let long = key(
        Suite::AesCm256Sha1_80,
        "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6 3b04803de51ee7c96423ab5b78d2",
    );
    let salts = ["30CBBC08863D8C85D49DB34A9AE1", "fa31791685ca444a9e07c6c64e93"];
    let keys = ["C61E7A93744F39EE10734AFE3FF7A087", "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"];
    let proofs = ["CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4", "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"];
    for (at, master) in [short, long].iter().enumerate() {
        let Cipher::Counter { aes, salt, mac, .. } = Cipher::new(master, Labels::RTP) else { panic!("counter mode") };
        assert_eq!(salt.to_vec(), bytes(salts[at]));
        let (mut ours, mut known) = ([[0; 16].into()], [[0; 16].into()]);
        aes.encrypt(&mut ours);
        cipher::Aes::new(&bytes(keys[at])).encrypt(&mut known);
        assert_eq!(ours, known, "the cipher's key");
        use hmac::{Hmac, KeyInit, Mac};
        let known = Hmac::<sha1::Sha1>::new_from_slice(&bytes(proofs[at])).unwrap();
        assert_eq!(mac.finalize().into_bytes(), known.finalize().into_bytes(), "the proof's key");
    }
}

/// The packets that libsrtp checks itself with.
#[test]
fn packets_are_encrypted_as_everybody_does() {
    let clear = bytes("800f1234decafbadcafebabe abababababababababababababababab");
    let report = bytes("81c8000bcafebabe abababababababababababababababab");
    for (key, rtp, rtcp) in [
        (
            key(Suite::AesCm128Sha1_80, "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6"),
            "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
            "81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798",
        ),
        (
            key(Suite::AeadAes128Gcm, "000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaab"),
            "800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392",
            "81c8000bcafebabe c98b8b5df0392a55852b6c21ac8e7025 c52c6fbea2b3b446ea31123ba88ce61e 80000001",
        ),
    ] {
        let mut seal = Seal::new(&key);
        assert_eq!(sealed(&mut seal, &clear), bytes(rtp));
        let mut buffer = report.clone();
        buffer.resize(100, 0);
        let len = seal.rtcp(&mut buffer, report.len()).unwrap();
        assert_eq!(buffer[..len], bytes(rtcp));
        let mut open = Open::new(&key);
        assert_eq!(opened(&mut open, &bytes(rtp)).unwrap(), clear);
        let mut came = bytes(rtcp);
        let len = open.rtcp(&mut came).unwrap();
        assert_eq!(came[..len], report);
        assert_eq!(open.rtcp(&mut bytes(rtcp)), None, "a second time");
    }
}

/// RFC 7714 sections 16.1.1 and 17.1: with session keys given.
#[test]
fn gcm_does_as_its_rfc_says() {
    use ring::aead::{AES_128_GCM, LessSafeKey, UnboundKey};
    let session = UnboundKey::new(&AES_128_GCM, &bytes("000102030405060708090a0b0c0d0e0f")).unwrap();
    let salt = bytes("517569642070726f2071756f").try_into().unwrap();
    let cipher = Cipher::Gcm { aead: Box::new(LessSafeKey::new(session)), salt };
    let mut packet = bytes("8040f17b8041f8d35501a0b2");
    packet.extend(b"Gallia est omnis divisa in partes tres");
    let len = packet.len();
    packet.resize(len + 16, 0);
    assert_eq!(cipher.seal_rtp((0x5501_a0b2, 0xf17b), &mut packet, 12, len), Some(len + 16));
    assert_eq!(
        packet,
        bytes(
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d\
             7f27beb16a9152cf765ee4390cce"
        )
    );
    let mut report = bytes(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    );
    let len = report.len();
    report.resize(len + 20, 0);
    assert_eq!(cipher.seal_rtcp((0x4d61_7273, 0x8000_05d4), &mut report, len), Some(len + 20));
    assert_eq!(
        report,
        bytes(
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b\
             c84aa45896cf4d2fc5abf87245d9eade800005d4"
        )
    );
}

#[test]
fn what_was_changed_or_came_before_is_refused() {
    for suite in Suite::ALL {
        let (mut seal, mut open) = (Seal::new(&some_key(suite)), Open::new(&some_key(suite)));
        let sealed = sealed(&mut seal, &packet(5, 1, &[1; 160]));
        assert_eq!(sealed.len(), 172 + suite.tag_bytes());
        for at in [1, 20, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(opened(&mut open, &changed), None, "{suite:?}, byte {at}");
        }
        assert!(opened(&mut open, &sealed).is_some(), "{suite:?}");
        assert_eq!(opened(&mut open, &sealed), None, "{suite:?}: a second time");
    }
}

#[test]
fn the_rollover_counter_counts_on_through_losses_and_late_packets() {
    for suite in [Suite::AesCm128Sha1_80, Suite::AeadAes256Gcm] {
        let (mut seal, mut open) = (Seal::new(&some_key(suite)), Open::new(&some_key(suite)));
        let mut late = Vec::new();
        for number in (65_000..200_000u32).step_by(3) {
            let sealed = sealed(&mut seal, &packet(number as u16, 1, &[7; 20]));
            if number % 5 == 0 {
                late.push(sealed);
            } else {
                assert!(opened(&mut open, &sealed).is_some(), "{number}");
            }
            if late.len() == 4 {
                assert!(late.drain(..).all(|packet| opened(&mut open, &packet).is_some()), "late before {number}");
            }
        }
    }
}

#[test]
fn each_source_has_a_counter_of_its_own() {
    let key = some_key(Suite::AesCm128Sha1_80);
    let mut open = Open::new(&key);
    for ssrc in [1, 2, 1] {
        // Another sender with the same key: the counters of both begin at 0.
        let mut seal = Seal::new(&key);
        let first = if ssrc == 1 { 65_535 } else { 9 };
        assert!(opened(&mut open, &sealed(&mut seal, &packet(first, ssrc, &[0; 20]))).is_some());
        if ssrc == 1 {
            assert!(opened(&mut open, &sealed(&mut seal, &packet(0, 1, &[0; 20]))).is_some());
            open = Open::new(&key);
        }
    }
}

#[test]
fn under_a_new_key_the_counter_goes_on_or_begins_anew() {
    for (suite, goes_on) in [
        (Suite::AesCm128Sha1_80, true),
        (Suite::AesCm128Sha1_80, false),
        (Suite::AeadAes128Gcm, true),
        (Suite::AeadAes128Gcm, false),
    ] {
        let old = some_key(suite);
        let mut bytes = old.both().to_vec();
        bytes[0] ^= 1;
        let new = Key::new(suite, &bytes).unwrap();
        let (mut seal, mut open) = (Seal::new(&old), Open::new(&old));
        for sequence in [65_535, 0, 1] {
            assert!(opened(&mut open, &sealed(&mut seal, &packet(sequence, 1, &[0; 20]))).is_some());
        }
        let mut after = Seal::new(&new);
        if goes_on {
            (after.ssrc, after.index) = (seal.ssrc, seal.index);
        }
        let mut next = Open::new(&new);
        next.follow(&open);
        for sequence in [2, 3] {
            let packet = packet(sequence, 1, &[3; 20]);
            assert_eq!(opened(&mut next, &sealed(&mut after, &packet)), Some(packet), "{suite:?} {goes_on}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..6usize) {
        let key = some_key(Suite::ALL[at]);
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = *first & 0x3f | 0x80;
        }
        prop_assert_eq!(Open::new(&key).rtp(&mut bytes.clone()), None);
        prop_assert_eq!(Open::new(&key).rtcp(&mut bytes.clone()), None);
        let (len, mut buffer) = (bytes.len(), bytes.clone());
        buffer.resize(len + MOST_ADDED, 0);
        if let Some(len) = Seal::new(&key).rtp(&mut buffer, len) {
            prop_assert_eq!(opened(&mut Open::new(&key), &buffer[..len]), Some(bytes));
        }
    }
}
