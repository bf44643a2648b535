//! DTLS handshakes for media (RFC 5764), on a thread of their own: they compute for a millisecond and wait for answers,
//! which is no work for a media thread. It finds keys and hands them over to the port's media thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use dimpl::{Config, Dtls, DtlsCertificate, KeyingMaterial, Output, SrtpProfile};
use ring::digest;

use super::{
    clock::Clock,
    worker::{ToWorker, WorkerHandle},
};
use crate::{
    ids::PortId,
    media::{Command, Pair},
    rtp::srtp::{Open, Seal},
    secure::{Fingerprint, Hash, Key, Suite},
    switch::Handshake,
    time::Time,
};

/// Words that wait; one more is lost, as a datagram may be.
const INBOX: usize = 4096;
/// Longest wait of the thread when nothing is due.
const IDLE: Duration = Duration::from_secs(60);
/// The usual reason: our library (dimpl) takes ECDSA only, and a peer that has nothing but RSA ends the handshake without
/// showing its certificate, so that we cannot tell for sure.
const RSA: &str = "peers need an ECDSA certificate (P-256, P-384), or keys in SDP: RSA is not understood";
/// Longest datagram that a handshake makes.
const LONGEST: usize = 2048;

/// The certificate of all handshakes, made at the start.
#[derive(Clone, Debug)]
pub struct Certificate(DtlsCertificate);

impl Certificate {
    /// Self-signed: SDP vouches for it by its fingerprint (RFC 5763).
    pub fn generate() -> io::Result<Certificate> {
        let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
        let mut names = rcgen::CertificateParams::new(Vec::<String>::new()).map_err(io::Error::other)?;
        names.distinguished_name = rcgen::DistinguishedName::new();
        names.distinguished_name.push(rcgen::DnType::CommonName, "switchhook");
        let signed = names.self_signed(&key).map_err(io::Error::other)?;
        let (certificate, private_key) = (signed.der().to_vec(), key.serialize_der());
        Ok(Certificate(DtlsCertificate { certificate, private_key }))
    }

    /// What SDP says about it: its SHA-256.
    pub fn fingerprint(&self) -> [u8; 32] {
        let made = digest::digest(&digest::SHA256, &self.0.certificate);
        made.as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }
}

#[derive(Debug)]
enum Word {
    Begin { port: PortId, worker: WorkerHandle, handshake: Box<Handshake> },
    Packet { port: PortId, bytes: Box<[u8]> },
    Moved { port: PortId, worker: WorkerHandle },
    End { port: PortId },
}

/// How the control task reaches the thread.
#[derive(Debug)]
pub struct Handshakes {
    words: SyncSender<Word>,
    ports: BTreeSet<PortId>,
}

impl Handshakes {
    /// Start the thread.
    pub fn spawn(certificate: Certificate, clock: Clock) -> io::Result<Handshakes> {
        let (words, inbox) = sync_channel(INBOX);
        let thread = Thread::new(certificate, clock)?;
        thread::Builder::new().name("handshakes".into()).spawn(move || thread.run(&inbox))?;
        Ok(Handshakes { words, ports: BTreeSet::new() })
    }

    /// A handshake for a port, on the media thread that has it. It takes the place of the one before.
    pub fn begin(&mut self, port: PortId, worker: WorkerHandle, handshake: Box<Handshake>) {
        self.ports.insert(port);
        self.tell(Word::Begin { port, worker, handshake });
    }

    /// A datagram came to a port.
    pub fn packet(&self, port: PortId, bytes: Box<[u8]>) {
        if self.ports.contains(&port) {
            self.tell(Word::Packet { port, bytes });
        }
    }

    /// Another media thread has the port.
    pub fn moved(&self, port: PortId, worker: WorkerHandle) {
        if self.ports.contains(&port) {
            self.tell(Word::Moved { port, worker });
        }
    }

    /// The port is gone.
    pub fn end(&mut self, port: PortId) {
        if self.ports.remove(&port) {
            self.tell(Word::End { port });
        }
    }

    fn tell(&self, word: Word) {
        if self.words.try_send(word).is_err() {
            tracing::warn!("handshakes cannot follow: one word is lost");
        }
    }
}

struct Thread {
    clock: Clock,
    config: Arc<Config>,
    certificate: Certificate,
    sessions: BTreeMap<PortId, Session>,
}

/// One association.
struct Session {
    dtls: Dtls,
    worker: WorkerHandle,
    wanted: Handshake,
    /// The peer showed a certificate with a fingerprint that SDP named.
    known: bool,
    /// When it wants to be called.
    due: Time,
}

impl Thread {
    fn new(certificate: Certificate, clock: Clock) -> io::Result<Thread> {
        let config = Config::builder().mtu(1200).build().map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Thread { clock, config: Arc::new(config), certificate, sessions: BTreeMap::new() })
    }

    fn run(mut self, inbox: &Receiver<Word>) {
        loop {
            let now = self.clock.now();
            let due = self.sessions.values().map(|session| session.due).min();
            let wait = due.map_or(IDLE, |due| due - now).min(IDLE);
            match inbox.recv_timeout(wait) {
                Ok(word) => self.handle(self.clock.now(), word),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.handle_timeouts(self.clock.now());
        }
    }

    fn handle(&mut self, now: Time, word: Word) {
        match word {
            Word::Begin { port, worker, handshake } => {
                let mut dtls = Dtls::new_auto(self.config.clone(), self.certificate.0.clone(), self.clock.instant(now));
                dtls.set_active(handshake.active);
                let session = Session { dtls, worker, wanted: *handshake, known: false, due: now };
                self.sessions.insert(port, session);
                self.attend(now, port, None);
            }
            Word::Packet { port, bytes } => self.attend(now, port, Some(&bytes)),
            Word::Moved { port, worker } => {
                if let Some(session) = self.sessions.get_mut(&port) {
                    session.worker = worker;
                }
            }
            Word::End { port } => drop(self.sessions.remove(&port)),
        }
    }

    fn handle_timeouts(&mut self, now: Time) {
        let due: Vec<PortId> = self.sessions.iter().filter(|(_, s)| s.due <= now).map(|(port, _)| *port).collect();
        for port in due {
            self.attend(now, port, None);
        }
    }

    /// Time goes on for an association, and perhaps a datagram came. A failure ends that association only; so does a
    /// panic in the crate, which a stranger's bytes might find.
    fn attend(&mut self, now: Time, port: PortId, packet: Option<&[u8]>) {
        let clock = self.clock;
        let Some(session) = self.sessions.get_mut(&port) else { return };
        let attend = || session.attend((now, clock), port, packet);
        let why = match catch_unwind(AssertUnwindSafe(attend)) {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => "a fault in our own code".to_owned(),
        };
        tracing::warn!(%port, why, hint = RSA, "no keys for media: the handshake failed");
        self.sessions.remove(&port);
    }
}

impl Session {
    fn attend(&mut self, (now, clock): (Time, Clock), port: PortId, packet: Option<&[u8]>) -> Result<(), String> {
        let failed = |error: dimpl::Error| error.to_string();
        self.dtls.handle_timeout(clock.instant(now)).map_err(failed)?;
        self.drain(port, clock)?;
        if let Some(packet) = packet {
            self.dtls.handle_packet(packet).map_err(failed)?;
            self.drain(port, clock)?;
        }
        Ok(())
    }

    /// Carry out what the association wants.
    fn drain(&mut self, port: PortId, clock: Clock) -> Result<(), String> {
        let mut buffer = vec![0; LONGEST];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(bytes) => self.worker_command(Command::Handshake { port, bytes: bytes.into() }),
                Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                Output::Timeout(at) => {
                    self.due = clock.time(at);
                    return Ok(());
                }
                Output::PeerCert(certificate) => {
                    self.known = self.wanted.fingerprints.iter().any(|wanted| fits(wanted, certificate));
                    if !self.known {
                        return Err("its certificate is not the one that SDP names".into());
                    }
                }
                Output::KeyingMaterial(material, profile) => {
                    if !self.known {
                        return Err("it showed no certificate".into());
                    }
                    let active = self.dtls.is_active();
                    let keys = pair(&material, profile, active).ok_or("its SRTP profile is unknown")?;
                    tracing::info!(%port, profile = %profile, "media is encrypted");
                    self.worker_command(Command::Keys { port, keys: Box::new(keys) });
                }
                // A closed association ends no call: SIP does.
                _ => {}
            }
        }
    }

    fn worker_command(&self, command: Command) {
        if self.worker.send(ToWorker::Command(command)).is_err() {
            tracing::error!(worker = self.worker.id().0, "a media thread takes no commands: one is lost");
        }
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

/// RFC 5764 section 4.2: client's key, server's key, client's salt, server's salt.
fn pair(material: &KeyingMaterial, profile: SrtpProfile, active: bool) -> Option<Pair> {
    let suite = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Suite::AesCm128Sha1_80,
        SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
        _ => return None,
    };
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

#[cfg(test)]
mod tests;
