//! One DTLS 1.2 association (RFC 6347) that agrees on keys for SRTP (RFC 5764), by OpenSSL. Datagrams go in and out as
//! values. What is due is sent again by OpenSSL's own clock, when it is asked to go on.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
};

use openssl::{
    error::ErrorStack,
    pkey::PKey,
    srtp::SrtpProfileId,
    ssl::{
        ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslSessionCacheMode, SslStream, SslVerifyMode, SslVersion,
    },
    x509::X509,
};
use ring::digest;
use thiserror::Error;

use crate::{
    media::Pair,
    rtp::srtp::{Open, Seal},
    secure::{Fingerprint, Hash, Key, Suite},
    switch::Handshake,
};

/// What we agree on, dearest first.
const PROFILES: &str = "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80";
/// Each call has keys of its own, and none is known later. Which kind of certificate the peer has does not matter.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20";
/// Longest datagram of ours: with its headers it goes through nearly every network.
const LONGEST: u32 = 1200;
/// Names the keying material (RFC 5764 section 4.2).
const LABEL: &str = "EXTRACTOR-dtls_srtp";
/// Datagrams of the peer's that wait to be read. One more is lost.
const WAITING: usize = 64;

/// The certificate of all handshakes, made at the start.
#[derive(Clone)]
pub struct Certificate {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
}

impl Certificate {
    /// Self-signed: SDP vouches for it by its fingerprint (RFC 5763). ECDSA on P-256.
    pub fn generate() -> io::Result<Certificate> {
        let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
        let mut names = rcgen::CertificateParams::new(Vec::<String>::new()).map_err(io::Error::other)?;
        names.distinguished_name = rcgen::DistinguishedName::new();
        names.distinguished_name.push(rcgen::DnType::CommonName, "switchhook");
        let signed = names.self_signed(&key).map_err(io::Error::other)?;
        Ok(Certificate::new(signed.der().to_vec(), key.serialize_der()))
    }

    /// Both in DER.
    pub(super) fn new(certificate: Vec<u8>, private_key: Vec<u8>) -> Certificate {
        Certificate { certificate, private_key }
    }

    /// What SDP says about it: its SHA-256.
    pub fn fingerprint(&self) -> [u8; 32] {
        let made = digest::digest(&digest::SHA256, &self.certificate);
        made.as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }
}

/// Why there are no keys.
#[derive(Debug, Error)]
pub(super) enum Failed {
    /// OpenSSL, or the peer by an alert, says no.
    #[error("{0}")]
    Refused(String),
    /// It may be somebody else.
    #[error("its certificate is not the one that SDP names")]
    Stranger,
    /// It knows DTLS, but nothing of ours for SRTP.
    #[error("it shares no SRTP profile with us: AEAD_AES_256_GCM, AEAD_AES_128_GCM or AES128_CM_SHA1_80")]
    NoProfile,
    /// It does not go on.
    #[error("the peer does not go on with it")]
    Silence,
    /// Ours.
    #[error("a fault in our own code")]
    Fault,
}

impl From<ErrorStack> for Failed {
    fn from(errors: ErrorStack) -> Failed {
        Failed::Refused(errors.to_string())
    }
}

/// What a handshake found.
#[derive(Debug)]
pub(super) struct Found {
    pub keys: Pair,
    pub profile: &'static str,
}

/// What all associations have in common.
pub(super) struct Front(SslContext);

impl Front {
    pub fn new(certificate: &Certificate) -> io::Result<Front> {
        Front::agreeing_on(PROFILES, certificate)
    }

    pub fn agreeing_on(profiles: &str, certificate: &Certificate) -> io::Result<Front> {
        let mut context = SslContext::builder(SslMethod::dtls())?;
        context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        context.set_cipher_list(CIPHERS)?;
        context.set_certificate(&*X509::from_der(&certificate.certificate)?)?;
        context.set_private_key(&*PKey::private_key_from_der(&certificate.private_key)?)?;
        context.set_tlsext_use_srtp(profiles)?;
        context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION);
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        // No authority stands behind it: its fingerprint is looked at when the handshake is through.
        let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        context.set_verify_callback(mode, |_, _| true);
        Ok(Front(context.build()))
    }

    pub fn begin(&self, wanted: Handshake) -> Result<Dtls, Failed> {
        let mut ssl = Ssl::new(&self.0)?;
        ssl.set_mtu(LONGEST)?;
        if wanted.active {
            ssl.set_connect_state();
        } else {
            ssl.set_accept_state();
        }
        Ok(Dtls { stream: SslStream::new(ssl, Wire::default())?, wanted, is_done: false })
    }
}

/// One association.
pub(super) struct Dtls {
    stream: SslStream<Wire>,
    wanted: Handshake,
    is_done: bool,
}

impl Dtls {
    /// A datagram came, or time passed. Gives the keys when they are found.
    pub fn go_on(&mut self, packet: Option<Box<[u8]>>) -> Result<Option<Found>, Failed> {
        let inbox = &mut self.stream.get_mut().inbox;
        inbox.extend(packet.filter(|_| inbox.len() < WAITING));
        // What an association before left would be taken for this one's.
        drop(ErrorStack::get());
        if self.is_done {
            // The peer may not have got our last flight. What else it says, and that it closes the association, ends no
            // call: SIP does.
            while self.stream.ssl_read(&mut [0; 64]).is_ok() {}
            return Ok(None);
        }
        match self.stream.do_handshake() {
            Ok(()) => {
                self.is_done = true;
                self.found().map(Some)
            }
            Err(error) if matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE) => Ok(None),
            Err(error) => Err(Failed::Refused(error.to_string())),
        }
    }

    /// What is to be sent.
    pub fn take_datagrams(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.stream.get_mut().outbox)
    }

    fn found(&self) -> Result<Found, Failed> {
        let ssl = self.stream.ssl();
        let certificate = ssl.peer_certificate().ok_or(Failed::Stranger)?.to_der()?;
        if !self.wanted.fingerprints.iter().any(|wanted| fits(wanted, &certificate)) {
            return Err(Failed::Stranger);
        }
        let profile = ssl.selected_srtp_profile().ok_or(Failed::NoProfile)?;
        let suite = suite(profile.id()).ok_or(Failed::NoProfile)?;
        let mut material = vec![0; 2 * (suite.key_bytes() + suite.salt_bytes())];
        ssl.export_keying_material(&mut material, LABEL, None)?;
        let keys = pair(&material, suite, self.wanted.active).ok_or(Failed::Fault)?;
        Ok(Found { keys, profile: suite.name() })
    }
}

/// The datagrams of one association.
#[derive(Debug, Default)]
struct Wire {
    inbox: VecDeque<Box<[u8]>>,
    outbox: Vec<Box<[u8]>>,
}

impl Read for Wire {
    /// The next datagram; what is longer than `buffer` is cut off.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(packet) = self.inbox.pop_front() else { return Err(io::ErrorKind::WouldBlock.into()) };
        let length = packet.len().min(buffer.len());
        buffer[..length].copy_from_slice(&packet[..length]);
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outbox.push(datagram.into());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fits(wanted: &Fingerprint, certificate: &[u8]) -> bool {
    let algorithm = match wanted.hash {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    };
    digest::digest(algorithm, certificate).as_ref() == wanted.bytes
}

fn suite(profile: SrtpProfileId) -> Option<Suite> {
    [
        (SrtpProfileId::SRTP_AES128_CM_SHA1_80, Suite::AesCm128Sha1_80),
        (SrtpProfileId::SRTP_AEAD_AES_128_GCM, Suite::AeadAes128Gcm),
        (SrtpProfileId::SRTP_AEAD_AES_256_GCM, Suite::AeadAes256Gcm),
    ]
    .into_iter()
    .find_map(|(id, suite)| (id == profile).then_some(suite))
}

/// RFC 5764 section 4.2: client's key, server's key, client's salt, server's salt.
fn pair(material: &[u8], suite: Suite, active: bool) -> Option<Pair> {
    let (key, salt) = (suite.key_bytes(), suite.salt_bytes());
    let side = |server: usize| {
        let mut bytes = material.get(server * key..(server + 1) * key)?.to_vec();
        bytes.extend(material.get(2 * key + server * salt..2 * key + (server + 1) * salt)?);
        Key::new(suite, &bytes)
    };
    let (client, server) = (side(0)?, side(1)?);
    let (ours, theirs) = if active { (client, server) } else { (server, client) };
    Some(Pair { seal: Seal::new(&ours), open: Open::new(&theirs) })
}
