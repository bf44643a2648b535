//! The handshakes of one port. Whoever comes first need not be the peer, and no word that anybody may say ends anything:
//! each place that begins has an association of its own, and the first that proves SDP's certificate ends all others.
//!
//! ```text
//! the peer begins      ClientHello from a place ──▶ its Association ──keys──▶ Done, the only one
//!                                    ▲                    └──failed──▶ none; counted
//!                                    └──────another ClientHello─────────┘
//! we begin, or ICE     Association ──keys──▶ Done
//!  chose the way        ▲      └──failed, counted: another at once, five in all
//! ```

use std::net::SocketAddr;

use super::{
    LOOK, PATIENCE, Shaken, Step,
    dtls::{Dtls, Failed, Front},
};
use crate::{
    ids::PortId,
    io::worker::{ToWorker, WorkerHandle},
    media::Command,
    switch::{Handshake, HandshakeWay, NoKeys},
    time::Time,
};

/// Most associations of a port that are begun for the host that SDP names, and as many for all others: each costs a
/// signature, and an answer that is longer than the question.
const TRIES: u8 = 5;
/// Of a record: its header, then that of the handshake message, its version, and 32 random bytes (RFC 6347 sections
/// 4.1, 4.2.2 and 4.2.1).
const RANDOM: std::ops::Range<usize> = 27..59;

/// See the module.
pub(super) struct Session {
    port: PortId,
    worker: WorkerHandle,
    wanted: Handshake,
    open: Vec<Association>,
    /// How many were begun for the host that SDP names, and for others.
    begun: [u8; 2],
    /// What the peer, or who seems to be it, said before it fell silent; told once.
    alert: Option<u8>,
}

/// One association.
struct Association {
    /// Whose datagrams are its own; absent: of all that come.
    from: Option<SocketAddr>,
    /// Where its datagrams go; absent: where audio goes.
    to: Option<SocketAddr>,
    /// What its ClientHello was made with.
    random: Option<[u8; 32]>,
    dtls: Dtls,
    step: Step,
}

impl Session {
    pub fn new(port: PortId, worker: WorkerHandle, wanted: Handshake) -> Session {
        Session { port, worker, wanted, open: Vec::new(), begun: [0; 2], alert: None }
    }

    /// Its port is there now.
    pub fn moved(&mut self, worker: WorkerHandle) {
        self.worker = worker;
    }

    /// When it is to be looked after.
    pub fn due(&self) -> Option<Time> {
        self.open.iter().filter_map(|one| one.step.due()).min()
    }

    /// Begin, where it is not for the peer to begin.
    pub fn start(&mut self, now: Time, front: &Front) -> Option<Shaken> {
        let at = self.is_single().then(|| self.begin(front, None, None)).flatten()?;
        self.attend(now, front, at, None)
    }

    /// A datagram came.
    pub fn handle_packet(&mut self, now: Time, front: &Front, from: SocketAddr, bytes: Box<[u8]>) -> Option<Shaken> {
        if let [one] = &self.open[..]
            && matches!(one.step, Step::Done)
        {
            let own = one.from.is_none_or(|own| own == from);
            return if own { self.attend(now, front, 0, Some((from, bytes))) } else { None };
        }
        if let Some(alert) = plain_alert(&bytes) {
            // Nothing proves whose word it is (RFC 6347 section 4.1.2.7).
            let first = self.alert.replace(alert).is_none();
            return first.then(|| Err(Box::new(NoKeys { from: Some(from), why: refusal(alert), over: false })));
        }
        let at = self.find(front, from, &bytes)?;
        self.attend(now, front, at, Some((from, bytes)))
    }

    /// Time went on.
    pub fn handle_timeout(&mut self, now: Time, front: &Front) -> Option<Shaken> {
        let mut last = None;
        for at in (0..self.open.len()).rev() {
            if self.open.get(at).is_some_and(|one| one.step.due().is_some_and(|due| due <= now)) {
                last = self.attend(now, front, at, None).or(last);
            }
        }
        last
    }

    /// Nothing of it will ever be.
    pub fn is_over(&self) -> bool {
        self.is_single() && self.open.is_empty()
    }

    /// There is one association at a time: we begin it, or only one way leads to it.
    fn is_single(&self) -> bool {
        self.wanted.active || self.wanted.way == HandshakeWay::Chosen
    }

    /// It comes from the host that SDP names, or by the way that was chosen.
    fn is_named(&self, from: SocketAddr) -> bool {
        match self.wanted.way {
            HandshakeWay::Chosen => true,
            HandshakeWay::Said(said) => said.is_some_and(|said| said.ip() == from.ip()),
        }
    }

    /// To which association a datagram belongs; it may be a new one.
    fn find(&mut self, front: &Front, from: SocketAddr, bytes: &[u8]) -> Option<usize> {
        if self.is_single() {
            let one = self.open.first()?;
            // Where the named host answered nobody else does.
            let deaf = one.to.is_some_and(|to| self.is_named(to)) && !self.is_named(from);
            return (!deaf).then_some(0);
        }
        let Some(random) = client_hello(bytes) else {
            let place = |is: &dyn Fn(SocketAddr) -> bool| self.open.iter().position(|one| one.from.is_some_and(is));
            return place(&|own| own == from).or_else(|| place(&|own| own.ip() == from.ip()));
        };
        let before = self.open.iter().position(|one| one.from == Some(from));
        if let Some(at) = before.filter(|at| self.open[*at].random == Some(random)) {
            return Some(at);
        }
        let begun = self.begin(front, Some(from), Some(random))?;
        match before {
            // It begins anew (RFC 6347 section 4.2.8): the last one takes the place of the one before.
            Some(at) => {
                self.open.swap_remove(at);
                Some(at)
            }
            None => Some(begun),
        }
    }

    fn begin(&mut self, front: &Front, from: Option<SocketAddr>, random: Option<[u8; 32]>) -> Option<usize> {
        let named = from.is_none_or(|from| self.is_named(from));
        let begun = &mut self.begun[usize::from(!named)];
        if *begun >= TRIES {
            return None;
        }
        *begun += 1;
        match front.begin(self.wanted.clone()) {
            Ok(dtls) => self.open.push(Association { from, to: from, random, dtls, step: Step::Waiting }),
            Err(why) => {
                tracing::error!(port = %self.port, %why, "no keys for media: the handshake cannot begin");
                return None;
            }
        }
        Some(self.open.len() - 1)
    }

    /// Time goes on for an association, and perhaps a datagram came.
    fn attend(
        &mut self,
        now: Time,
        front: &Front,
        at: usize,
        packet: Option<(SocketAddr, Box<[u8]>)>,
    ) -> Option<Shaken> {
        let from = packet.as_ref().map(|(from, _)| *from);
        let one = &mut self.open[at];
        match one.go_on(now, packet, (self.port, &self.worker)) {
            Ok(false) => None,
            Ok(true) => {
                let proved = self.open.swap_remove(at);
                self.open = vec![proved];
                Some(Ok(()))
            }
            Err(why) => {
                let failed = self.open.swap_remove(at);
                let from = failed.to.or(from);
                tracing::warn!(port = %self.port, ?from, %why, "no keys for media yet: a handshake failed");
                let again = self.is_single() && !matches!(why, Failed::Silence | Failed::Fault);
                if again && let Some(at) = self.begin(front, None, None) {
                    // What an active one says first; it does not fail by that.
                    self.attend(now, front, at, None);
                }
                let over = self.open.is_empty() && (self.is_single() || self.begun.iter().any(|n| *n >= TRIES));
                let silent = matches!(why, Failed::Silence);
                let why = self.alert.filter(|_| silent).map_or_else(|| why.to_string(), refusal);
                Some(Err(Box::new(NoKeys { from, why, over })))
            }
        }
    }
}

impl Association {
    /// True: it has the keys now.
    fn go_on(
        &mut self,
        now: Time,
        packet: Option<(SocketAddr, Box<[u8]>)>,
        (port, worker): (PortId, &WorkerHandle),
    ) -> Result<bool, Failed> {
        let (from, bytes) = packet.unzip();
        let went = self.dtls.go_on(bytes);
        // Also what tells the peer of a failure.
        let said = self.dtls.take_datagrams();
        if self.from.is_none() && !said.is_empty() {
            // It was worth an answer.
            self.to = from.or(self.to);
        }
        self.step = match self.step {
            Step::Waiting if !said.is_empty() => Step::Shaking { due: now + LOOK, until: now + PATIENCE },
            Step::Shaking { until, .. } => Step::Shaking { due: now + LOOK, until },
            step @ (Step::Waiting | Step::Done) => step,
        };
        for bytes in said {
            tell(worker, Command::Handshake { port, to: self.to, bytes });
        }
        if let Some(found) = went? {
            tracing::info!(%port, profile = found.profile, "media is encrypted");
            tell(worker, Command::Keys { port, keys: Box::new(found.keys) });
            self.step = Step::Done;
            return Ok(true);
        }
        match self.step {
            Step::Shaking { until, .. } if until <= now => Err(Failed::Silence),
            Step::Shaking { .. } | Step::Waiting | Step::Done => Ok(false),
        }
    }
}

fn tell(worker: &WorkerHandle, command: Command) {
    if worker.send(ToWorker::Command(command)).is_err() {
        tracing::error!(worker = worker.id().0, "a media thread takes no commands: one is lost");
    }
}

fn refusal(alert: u8) -> String {
    format!("the peer refused it with alert {alert}")
}

/// What a fatal alert says that is not encrypted: content type 21, epoch 0, level 2 (RFC 6347 section 4.1, RFC 5246
/// section 7.2).
fn plain_alert(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [21, _, _, 0, 0, ..] if bytes.len() >= 15 && bytes[13] == 2 => Some(bytes[14]),
        _ => None,
    }
}

/// What a ClientHello was made with, where one begins here: content type 22, epoch 0, message type 1, fragment offset 0.
fn client_hello(bytes: &[u8]) -> Option<[u8; 32]> {
    let random = bytes.get(RANDOM)?;
    let begins = matches!(bytes, [22, _, _, 0, 0, ..]) && bytes[13] == 1 && bytes[19..22] == [0; 3];
    begins.then(|| random.try_into().expect("32 bytes"))
}
