//! Session keys, and how they turn a packet over (RFC 3711 sections 4.1 and 4.3, RFC 7714 sections 8 and 9).

use aes::{
    Aes128, Aes256, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::{ENCRYPTED, RTCP_HEADER};
use crate::secure::{Key, Suite};

/// Blocks of key stream that are made at a time: the processor works on eight at once.
const AT_ONCE: usize = 8;
/// Proof of an RTCP packet in counter mode: 80 bits with each suite (RFC 4568 section 6.2).
const RTCP_TAG: usize = 10;
/// Index at the end of an RTCP packet.
const INDEX: usize = 4;

/// Which session keys (RFC 3711 section 4.3.1).
#[derive(Clone, Copy)]
pub(super) struct Labels(u8);

impl Labels {
    pub(super) const RTP: Labels = Labels(0);
    pub(super) const RTCP: Labels = Labels(3);
}

/// One set of session keys.
pub(super) enum Cipher {
    Counter { aes: Aes, salt: [u8; 14], mac: Box<Hmac<Sha1>>, tag: usize },
    Gcm { aead: Box<LessSafeKey>, salt: [u8; 12] },
}

/// AES of either length. The round keys are large, and a port holds four of them at most.
pub(super) enum Aes {
    Short(Box<Aes128>),
    Long(Box<Aes256>),
}

impl Aes {
    pub(super) fn new(key: &[u8]) -> Aes {
        match key.len() {
            16 => Aes::Short(Box::new(Aes128::new_from_slice(key).expect("its length was looked at"))),
            _ => Aes::Long(Box::new(Aes256::new_from_slice(key).expect("a suite has keys of 16 or 32 bytes"))),
        }
    }

    pub(super) fn encrypt(&self, blocks: &mut [Block]) {
        match self {
            Aes::Short(aes) => aes.encrypt_blocks(blocks),
            Aes::Long(aes) => aes.encrypt_blocks(blocks),
        }
    }

    /// Adds the key stream that begins at `start` (whose last two bytes count blocks) to `bytes`.
    fn count(&self, start: [u8; 16], bytes: &mut [u8]) {
        let mut counter = 0u16;
        for part in bytes.chunks_mut(16 * AT_ONCE) {
            let mut blocks = [Block::default(); AT_ONCE];
            let blocks = &mut blocks[..part.len().div_ceil(16)];
            for block in blocks.iter_mut() {
                block.copy_from_slice(&start);
                block[14..].copy_from_slice(&counter.to_be_bytes());
                counter = counter.wrapping_add(1);
            }
            self.encrypt(blocks);
            for (bytes, block) in part.chunks_mut(16).zip(blocks.iter()) {
                bytes.iter_mut().zip(block.iter()).for_each(|(byte, key)| *byte ^= key);
            }
        }
    }
}

impl Cipher {
    /// The session keys of a master key. They never change: the key derivation rate is 0.
    pub(super) fn new(key: &Key, labels: Labels) -> Cipher {
        let suite = key.suite();
        let master = Aes::new(key.key());
        let derive = |label: u8, into: &mut [u8]| {
            let mut start = [0; 16];
            start[..key.salt().len()].copy_from_slice(key.salt());
            start[7] ^= labels.0 + label;
            into.fill(0);
            master.count(start, into);
        };
        let mut session = [0; 32];
        let session = &mut session[..suite.key_bytes()];
        derive(0, session);
        if suite.is_gcm() {
            let mut salt = [0; 12];
            derive(2, &mut salt);
            let algorithm = if suite == Suite::AeadAes128Gcm { &AES_128_GCM } else { &AES_256_GCM };
            let aead = UnboundKey::new(algorithm, session).expect("a suite has keys as long as its cipher wants");
            return Cipher::Gcm { aead: Box::new(LessSafeKey::new(aead)), salt };
        }
        let (mut proof, mut salt) = ([0; 20], [0; 14]);
        derive(1, &mut proof);
        derive(2, &mut salt);
        let mac = Hmac::new_from_slice(&proof).expect("HMAC takes keys of any length");
        let tag = if labels.0 == Labels::RTP.0 { suite.tag_bytes() } else { RTCP_TAG };
        Cipher::Counter { aes: Aes::new(session), salt, mac: Box::new(mac), tag }
    }

    pub(super) fn seal_rtp(
        &self,
        (ssrc, index): (u32, u64),
        buffer: &mut [u8],
        header: usize,
        len: usize,
    ) -> Option<usize> {
        match self {
            Cipher::Counter { aes, salt, mac, tag } => {
                let end = len + tag;
                let packet = buffer.get_mut(..end)?;
                aes.count(start(salt, ssrc, index), &mut packet[header..len]);
                let proof = prove(mac, &packet[..len], ((index >> 16) as u32).to_be_bytes());
                packet[len..].copy_from_slice(&proof[..*tag]);
                Some(end)
            }
            Cipher::Gcm { aead, salt } => {
                let end = len + MAX_TAG_LEN;
                let (head, rest) = buffer.get_mut(..end)?.split_at_mut(header);
                let (payload, place) = rest.split_at_mut(len - header);
                let nonce = Nonce::assume_unique_for_key(nonce_rtp(salt, ssrc, index));
                let tag = aead.seal_in_place_separate_tag(nonce, Aad::from(&*head), payload).ok()?;
                place.copy_from_slice(tag.as_ref());
                Some(end)
            }
        }
    }

    pub(super) fn open_rtp(&self, (ssrc, index): (u32, u64), packet: &mut [u8], header: usize) -> Option<usize> {
        match self {
            Cipher::Counter { aes, salt, mac, tag } => {
                let end = packet.len().checked_sub(*tag).filter(|end| *end >= header)?;
                let proof = prove(mac, &packet[..end], ((index >> 16) as u32).to_be_bytes());
                if !bool::from(proof[..*tag].ct_eq(&packet[end..])) {
                    return None;
                }
                aes.count(start(salt, ssrc, index), &mut packet[header..end]);
                Some(end)
            }
            Cipher::Gcm { aead, salt } => {
                let (head, sealed) = packet.split_at_mut(header);
                let nonce = Nonce::assume_unique_for_key(nonce_rtp(salt, ssrc, index));
                let payload = aead.open_in_place(nonce, Aad::from(&*head), sealed).ok()?;
                Some(header + payload.len())
            }
        }
    }

    /// `word`: the index, and whether the packet is encrypted.
    pub(super) fn seal_rtcp(&self, (ssrc, word): (u32, u32), buffer: &mut [u8], len: usize) -> Option<usize> {
        let index = word & !ENCRYPTED;
        match self {
            Cipher::Counter { aes, salt, mac, tag } => {
                let proved = len + INDEX;
                let end = proved + tag;
                let packet = buffer.get_mut(..end)?;
                aes.count(start(salt, ssrc, index.into()), &mut packet[RTCP_HEADER..len]);
                packet[len..proved].copy_from_slice(&word.to_be_bytes());
                let proof = prove(mac, &packet[..proved], []);
                packet[proved..].copy_from_slice(&proof[..*tag]);
                Some(end)
            }
            Cipher::Gcm { aead, salt } => {
                let end = len + MAX_TAG_LEN + INDEX;
                let (head, rest) = buffer.get_mut(..end)?.split_at_mut(RTCP_HEADER);
                let (payload, places) = rest.split_at_mut(len - RTCP_HEADER);
                let nonce = Nonce::assume_unique_for_key(nonce_rtcp(salt, ssrc, index));
                let tag = aead.seal_in_place_separate_tag(nonce, Aad::from(said(head, word)), payload).ok()?;
                places[..MAX_TAG_LEN].copy_from_slice(tag.as_ref());
                places[MAX_TAG_LEN..].copy_from_slice(&word.to_be_bytes());
                Some(end)
            }
        }
    }

    /// The length in the clear, and the index. `fresh` says whether an index may be taken.
    pub(super) fn open_rtcp(
        &self,
        ssrc: u32,
        packet: &mut [u8],
        fresh: impl FnOnce(u32) -> bool,
    ) -> Option<(usize, u32)> {
        let word_at = match self {
            Cipher::Counter { tag, .. } => packet.len().checked_sub(INDEX + tag)?,
            Cipher::Gcm { .. } => packet.len().checked_sub(INDEX)?,
        };
        let word = u32::from_be_bytes(*packet.get(word_at..)?.first_chunk()?);
        let index = word & !ENCRYPTED;
        if word_at < RTCP_HEADER || !fresh(index) {
            return None;
        }
        match self {
            Cipher::Counter { aes, salt, mac, tag } => {
                let proved = word_at + INDEX;
                let proof = prove(mac, &packet[..proved], []);
                if !bool::from(proof[..*tag].ct_eq(&packet[proved..])) {
                    return None;
                }
                if word & ENCRYPTED != 0 {
                    aes.count(start(salt, ssrc, index.into()), &mut packet[RTCP_HEADER..word_at]);
                }
                Some((word_at, index))
            }
            // A packet that is proved but not encrypted is not understood: nobody sends that.
            Cipher::Gcm { .. } if word & ENCRYPTED == 0 => None,
            Cipher::Gcm { aead, salt } => {
                let (head, sealed) = packet[..word_at].split_at_mut(RTCP_HEADER);
                let nonce = Nonce::assume_unique_for_key(nonce_rtcp(salt, ssrc, index));
                let payload = aead.open_in_place(nonce, Aad::from(said(head, word)), sealed).ok()?;
                Some((RTCP_HEADER + payload.len(), index))
            }
        }
    }
}

/// Where the key stream of a packet begins (RFC 3711 section 4.1.1).
fn start(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut start = [0; 16];
    start[..14].copy_from_slice(salt);
    add(&mut start[4..8], &ssrc.to_be_bytes());
    add(&mut start[8..14], &index.to_be_bytes()[2..]);
    start
}

/// RFC 7714 section 8.1.
fn nonce_rtp(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let mut nonce = *salt;
    add(&mut nonce[2..6], &ssrc.to_be_bytes());
    add(&mut nonce[6..12], &index.to_be_bytes()[2..]);
    nonce
}

/// RFC 7714 section 9.1.
fn nonce_rtcp(salt: &[u8; 12], ssrc: u32, index: u32) -> [u8; 12] {
    let mut nonce = *salt;
    add(&mut nonce[2..6], &ssrc.to_be_bytes());
    add(&mut nonce[8..12], &index.to_be_bytes());
    nonce
}

fn add(to: &mut [u8], what: &[u8]) {
    to.iter_mut().zip(what).for_each(|(to, byte)| *to ^= byte);
}

/// What of an RTCP packet is proved, though it is not encrypted (RFC 7714 section 9.2).
fn said(head: &[u8], word: u32) -> [u8; RTCP_HEADER + INDEX] {
    let mut said = [0; RTCP_HEADER + INDEX];
    said[..RTCP_HEADER].copy_from_slice(head);
    said[RTCP_HEADER..].copy_from_slice(&word.to_be_bytes());
    said
}

fn prove(mac: &Hmac<Sha1>, packet: &[u8], more: impl AsRef<[u8]>) -> [u8; 20] {
    let mut mac = mac.clone();
    mac.update(packet);
    mac.update(more.as_ref());
    mac.finalize().into_bytes().into()
}
