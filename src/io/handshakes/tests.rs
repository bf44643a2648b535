use openssl::{asn1::Asn1Time, hash::MessageDigest, pkey::PKey, rsa::Rsa, x509::X509};

use super::*;
use crate::{
    ids::WorkerId,
    media::Pair,
    secure::{Fingerprint, Hash},
};

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

/// Two ends whose datagrams are carried by the test.
struct Ends {
    threads: [Thread; 2],
    workers: [WorkerHandle; 2],
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
        let workers = [(); 2].map(|()| WorkerHandle::unconnected().unwrap());
        let fingerprint = |at: usize| {
            let mut bytes = certificates[at].fingerprint().to_vec();
            bytes[0] ^= u8::from(wrong && at == 1);
            vec![Fingerprint { hash: Hash::Sha256, bytes }]
        };
        let wanted = [fingerprint(1), fingerprint(0)];
        let mut threads = certificates.map(|certificate| Thread::new(&certificate, Clock::start()).unwrap());
        if let Some(front) = front {
            threads[1].front = front;
        }
        for (at, fingerprints) in wanted.into_iter().enumerate() {
            let handshake = Box::new(Handshake { active: at == 0, fingerprints });
            let (port, worker) = (PortId(7), workers[at].clone());
            let now = threads[at].clock.now();
            threads[at].handle(now, Word::Begin { port, worker, handshake });
        }
        Ends { threads, workers }
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
                        ToWorker::Command(Command::Handshake { port, bytes }) => {
                            let now = self.threads[1 - at].clock.now();
                            self.threads[1 - at].handle(now, Word::Packet { port, bytes });
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
    let [first, _] = Ends::new(true).run();
    assert!(first.is_none());
}

#[test]
fn strange_datagrams_harm_no_other_handshake() {
    let mut ends = Ends::new(false);
    for (thread, worker) in ends.threads.iter_mut().zip(&ends.workers) {
        let handshake = Box::new(Handshake { active: false, fingerprints: vec![] });
        let now = thread.clock.now();
        thread.handle(now, Word::Begin { port: PortId(8), worker: worker.clone(), handshake });
    }
    for bytes in [&[22][..], &[22, 254, 253, 0, 0], &[63; 1400], &[20; 13]] {
        for thread in &mut ends.threads {
            for port in [8, 9] {
                let now = thread.clock.now();
                thread.handle(now, Word::Packet { port: PortId(port), bytes: bytes.into() });
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
            let ToWorker::Command(Command::Handshake { port, bytes }) = again else { panic!("{again:?}") };
            let now = ends.threads[1].clock.now();
            ends.threads[1].handle(now, Word::Packet { port, bytes });
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
}
