use std::net::SocketAddr;

use openssl::{asn1::Asn1Time, hash::MessageDigest, pkey::PKey, rsa::Rsa, x509::X509};

use super::*;
use crate::{
    ids::WorkerId,
    io::worker::ToWorker,
    media::Command,
    media::Pair,
    secure::{Fingerprint, Hash},
    switch::HandshakeWay,
};
use tokio::sync::mpsc::{Receiver as Told, channel};

impl Certificate {
    /// One as older phones have it.
    fn rsa() -> Certificate {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut made = X509::builder().unwrap();
        made.set_pubkey(&key).unwrap();
        made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        made.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        made.sign(&key, MessageDigest::sha256()).unwrap();
        Certificate::new(made.build().to_der().unwrap(), key.private_key_to_pkcs8().unwrap())
    }
}

/// Where the ends are, and a stranger.
const AT: [&str; 2] = ["192.0.2.1:4000", "192.0.2.2:4000"];
const STRANGER: &str = "198.51.100.66:6666";

fn a(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// Two ends whose datagrams are carried by the test.
struct Ends {
    threads: [Thread; 2],
    workers: [WorkerHandle; 2],
    told: [Told<Input>; 2],
    /// From where the first one's come.
    from: SocketAddr,
}

fn thread(certificate: &Certificate) -> (Thread, Told<Input>) {
    let (control, told) = channel(64);
    (Thread::new(certificate, Clock::start(), control).unwrap(), told)
}

fn fingerprint(certificate: &Certificate) -> Vec<Fingerprint> {
    vec![Fingerprint { hash: Hash::Sha256, bytes: certificate.fingerprint().to_vec() }]
}

/// What was told of the port: `Ok`, or why not and whether it is over.
fn outcomes(told: &mut Told<Input>) -> Vec<Result<(), (String, bool)>> {
    std::iter::from_fn(|| told.try_recv().ok())
        .map(|input| match input {
            Input::Shaken { port: PortId(7), result } => result.map_err(|fault| (fault.why, fault.over)),
            other => panic!("{other:?}"),
        })
        .collect()
}

impl Ends {
    /// The first begins. `wrong`: SDP named another certificate to it.
    fn new(wrong: bool) -> Ends {
        Ends::with([(); 2].map(|()| Certificate::generate().unwrap()), wrong)
    }

    fn with(certificates: [Certificate; 2], wrong: bool) -> Ends {
        Ends::with_fronts(certificates, wrong, None)
    }

    /// The second one has another front.
    fn with_fronts(certificates: [Certificate; 2], wrong: bool, front: Option<Front>) -> Ends {
        let mut wanted = [fingerprint(&certificates[1]), fingerprint(&certificates[0])];
        wanted[0][0].bytes[0] ^= u8::from(wrong);
        let [(first, told), (second, also)] = certificates.each_ref().map(thread);
        let workers = [(); 2].map(|()| WorkerHandle::unconnected().unwrap());
        let mut ends = Ends { threads: [first, second], workers, told: [told, also], from: a(AT[0]) };
        if let Some(front) = front {
            ends.threads[1].front = front;
        }
        for (at, fingerprints) in wanted.into_iter().enumerate() {
            let way = HandshakeWay::Said(Some(a(AT[1 - at])));
            ends.begin(at, Handshake { active: at == 0, fingerprints, way });
        }
        ends
    }

    fn begin(&mut self, at: usize, handshake: Handshake) {
        let now = self.threads[at].clock.now();
        let worker = self.workers[at].clone();
        self.threads[at].handle(now, Word::Begin { port: PortId(7), worker, handshake: Box::new(handshake) });
    }

    /// A datagram comes to the second end.
    fn deliver(&mut self, from: &str, bytes: &[u8]) {
        let now = self.threads[1].clock.now();
        self.threads[1].handle(now, Word::Packet { port: PortId(7), from: a(from), bytes: bytes.into() });
    }

    /// Carry datagrams till nothing comes any more; the keys that each end found.
    fn run(&mut self) -> [Option<Box<Pair>>; 2] {
        let mut keys = [None, None];
        for _ in 0..20 {
            for (at, keys) in keys.iter_mut().enumerate() {
                // As if each wait had been as long as it may be.
                let now = self.threads[at].clock.now() + Duration::from_millis(1);
                self.threads[at].handle_timeouts(now);
                while let Some(told) = self.workers[at].inbox().pop() {
                    match told {
                        ToWorker::Command(Command::Handshake { port: PortId(8), .. }) => {}
                        // Where audio goes is where SDP says that the other is.
                        ToWorker::Command(Command::Handshake { port, to, bytes }) => {
                            let (own, other) = if at == 0 { (self.from, a(AT[1])) } else { (a(AT[1]), self.from) };
                            if to.is_none_or(|to| to == other) {
                                let now = self.threads[1 - at].clock.now();
                                self.threads[1 - at].handle(now, Word::Packet { port, from: own, bytes });
                            }
                        }
                        ToWorker::Command(Command::Keys { keys: found, .. }) => *keys = Some(found),
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
        keys
    }
}

/// What one seals the other opens, both ways.
fn understand_each_other([a, b]: [Option<Box<Pair>>; 2]) {
    let [Some(mut a), Some(mut b)] = [a, b] else { panic!("both have keys") };
    let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9];
    packet.extend([5; 160]);
    for (from, to) in [(&mut a.seal, &mut b.open), (&mut b.seal, &mut a.open)] {
        let mut bytes = packet.clone();
        bytes.resize(packet.len() + 20, 0);
        let len = from.rtp(&mut bytes, packet.len()).unwrap();
        assert_ne!(bytes[12..172], packet[12..]);
        let len = to.rtp(&mut bytes[..len]).unwrap();
        assert_eq!(bytes[..len], packet);
    }
}

#[test]
fn two_ends_find_the_same_keys() {
    let mut ends = Ends::new(false);
    understand_each_other(ends.run());
    assert_eq!(ends.workers[0].id(), WorkerId(0));
}

#[test]
fn a_peer_with_an_rsa_certificate_finds_them_too_whoever_begins() {
    for rsa_begins in [true, false] {
        let mut certificates = [Certificate::rsa(), Certificate::generate().unwrap()];
        if !rsa_begins {
            certificates.reverse();
        }
        understand_each_other(Ends::with(certificates, false).run());
    }
}

#[test]
fn the_best_profile_that_both_have_is_taken_and_without_one_there_are_no_keys() {
    let profiles = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM";
    for (theirs, keys) in [("SRTP_AEAD_AES_128_GCM", true), (profiles, true), ("SRTP_AES128_CM_SHA1_32", false)] {
        let certificates = [(); 2].map(|()| Certificate::generate().unwrap());
        let front = Front::agreeing_on(theirs, &certificates[1]).unwrap();
        let mut ends = Ends::with_fronts(certificates, false, Some(front));
        let found = ends.run();
        match keys {
            true => understand_each_other(found),
            false => assert!(found.iter().all(Option::is_none), "{theirs}"),
        }
    }
}

#[test]
fn a_certificate_that_sdp_does_not_name_gives_no_keys() {
    let mut ends = Ends::new(true);
    let [first, second] = ends.run();
    assert!(first.is_none() && second.is_some());
    let told = outcomes(&mut ends.told[0]);
    let Some(Err((why, _))) = told.first() else { panic!("{told:?}") };
    assert_eq!(why, "its certificate is not the one that SDP names");
    assert_eq!(outcomes(&mut ends.told[1]), [Ok(())]);
}

#[test]
fn strange_datagrams_harm_no_other_handshake() {
    let mut ends = Ends::new(false);
    for (thread, worker) in ends.threads.iter_mut().zip(&ends.workers) {
        let way = HandshakeWay::Said(None);
        let handshake = Box::new(Handshake { active: false, fingerprints: vec![], way });
        let now = thread.clock.now();
        thread.handle(now, Word::Begin { port: PortId(8), worker: worker.clone(), handshake });
    }
    for bytes in [&[22][..], &[22, 254, 253, 0, 0], &[63; 1400], &[20; 13]] {
        for thread in &mut ends.threads {
            for port in [8, 9] {
                let now = thread.clock.now();
                thread.handle(now, Word::Packet { port: PortId(port), from: a(AT[1]), bytes: bytes.into() });
            }
        }
    }
    let [first, second] = ends.run();
    assert!(first.is_some() && second.is_some());
}

/// OpenSSL's own clock decides when: the test waits on it as the thread does, for its inbox.
#[test]
fn a_lost_flight_is_sent_again_after_a_second() {
    let mut ends = Ends::new(false);
    let told = ends.workers[0].inbox().pop();
    assert!(matches!(told, Some(ToWorker::Command(Command::Handshake { .. }))), "the first flight, which is lost");
    let (_words, inbox) = sync_channel::<Word>(1);
    for _ in 0..50 {
        assert!(matches!(inbox.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)));
        let now = ends.threads[0].clock.now() + LOOK;
        ends.threads[0].handle_timeouts(now);
        if let Some(again) = ends.workers[0].inbox().pop() {
            let ToWorker::Command(Command::Handshake { bytes, .. }) = again else { panic!("{again:?}") };
            ends.deliver(AT[0], &bytes);
            return understand_each_other(ends.run());
        }
    }
    panic!("nothing came again");
}

#[test]
fn a_peer_that_does_not_go_on_is_given_up_after_a_minute() {
    let mut ends = Ends::new(false);
    let later = ends.threads[0].clock.now() + PATIENCE + LOOK;
    assert_eq!(ends.threads.each_ref().map(|thread| thread.sessions.len()), [1, 1]);
    for thread in &mut ends.threads {
        thread.handle_timeouts(later);
    }
    assert_eq!(ends.threads.each_ref().map(|thread| thread.sessions.len()), [0, 1], "who waits for the other goes on");
    let [Err((why, true))] = &outcomes(&mut ends.told[0])[..] else { panic!("it is told once") };
    assert_eq!(why, "the peer does not go on with it");
}

/// Shakes hands with the second end from `from`, with a certificate that SDP does not name; as far as `rounds` go.
fn stranger_comes(ends: &mut Ends, from: &str, rounds: usize) {
    let certificate = Certificate::generate().unwrap();
    let worker = WorkerHandle::unconnected().unwrap();
    let (mut stranger, _told) = thread(&certificate);
    let now = stranger.clock.now();
    // It does not care whom it talks to: it takes what it gets until it would look at the certificate.
    let way = HandshakeWay::Said(None);
    let handshake = Box::new(Handshake { active: true, fingerprints: vec![], way });
    stranger.handle(now, Word::Begin { port: PortId(7), worker: worker.clone(), handshake });
    for _ in 0..rounds {
        let mut said = Vec::new();
        while let Some(ToWorker::Command(command)) = worker.inbox().pop() {
            let Command::Handshake { bytes, .. } = command else { panic!("{command:?}") };
            said.push(bytes);
        }
        said.iter().for_each(|bytes| ends.deliver(from, bytes));
        while let Some(told) = ends.workers[1].inbox().pop() {
            let ToWorker::Command(Command::Handshake { to, bytes, .. }) = told else { panic!("{told:?}") };
            assert_eq!(to, Some(a(from)), "each hears what is meant for it");
            let now = stranger.clock.now();
            stranger.handle(now, Word::Packet { port: PortId(7), from: a(AT[1]), bytes });
        }
        if outcomes(&mut ends.told[1]).iter().any(Result::is_err) {
            return;
        }
    }
}

#[test]
fn a_stranger_who_shakes_hands_first_keeps_nobody_out() {
    for rounds in [1, 2, 20] {
        for (from, again) in [(STRANGER, 1), (STRANGER, 9), ("192.0.2.1:9999", 1)] {
            let mut ends = Ends::new(false);
            for port in 0..again {
                stranger_comes(&mut ends, &from.replace("6666", &format!("666{port}")), rounds);
            }
            understand_each_other(ends.run());
            assert_eq!(outcomes(&mut ends.told[0]), [Ok(())]);
            assert_eq!(outcomes(&mut ends.told[1]), [Ok(())]);
        }
    }
}

#[test]
fn a_peer_behind_a_nat_and_one_whose_port_changes_on_the_way_find_the_keys_too() {
    let mut ends = Ends::new(false);
    stranger_comes(&mut ends, STRANGER, 20);
    ends.from = a("203.0.113.7:50001");
    understand_each_other(ends.run());
}

#[test]
fn a_forged_alert_ends_nothing_and_is_told_once() {
    let mut ends = Ends::new(false);
    for from in [AT[0], STRANGER, AT[0]] {
        ends.deliver(from, &[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40]);
    }
    let [Err((why, false))] = &outcomes(&mut ends.told[1])[..] else { panic!("it is told once") };
    assert_eq!(why, "the peer refused it with alert 40");
    let now = ends.threads[0].clock.now();
    let alert: Box<[u8]> = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40].into();
    ends.threads[0].handle(now, Word::Packet { port: PortId(7), from: a(AT[1]), bytes: alert });
    understand_each_other(ends.run());
}

#[test]
fn a_peer_that_begins_anew_from_the_same_place_is_taken_and_not_for_ever() {
    let mut ends = Ends::new(false);
    for _ in 0..3 {
        stranger_comes(&mut ends, AT[0], 1);
    }
    understand_each_other(ends.run());
    // Each costs a signature: the sixth is not even read.
    let mut ends = Ends::new(false);
    (0..5).for_each(|_| stranger_comes(&mut ends, AT[0], 20));
    assert!(ends.run().iter().all(Option::is_none));
    // Nor does it end the fifth.
    let mut ends = Ends::new(false);
    (0..4).for_each(|_| stranger_comes(&mut ends, AT[0], 1));
    let told = ends.workers[0].inbox().pop();
    let Some(ToWorker::Command(Command::Handshake { bytes, .. })) = told else { panic!("{told:?}") };
    ends.deliver(AT[0], &bytes);
    let mut forged = bytes.to_vec();
    forged[30] ^= 1;
    ends.deliver(AT[0], &forged);
    understand_each_other(ends.run());
}
