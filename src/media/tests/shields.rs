use super::*;
use crate::{
    rtp::{
        rtcp::Packet,
        srtp::{Open, Seal},
        xr::{self, Voip},
    },
    secure::{IceName, Key, Suite},
};

/// The far end of a shield.
struct Far {
    seal: Seal,
    open: Open,
}

fn key(n: u8) -> Key {
    Key::new(Suite::AesCm128Sha1_80, &[n; 30]).unwrap()
}

/// We encrypt with key 1, the phone with key 2.
fn known() -> Shielding {
    Shielding { keys: ShieldKeys::Known { ours: key(1), theirs: key(2) }, mux: false, ice: None }
}

impl Far {
    fn new() -> Far {
        Far { seal: Seal::new(&key(2)), open: Open::new(&key(1)) }
    }

    fn sealed(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut bytes = packet.to_vec();
        bytes.resize(packet.len() + 20, 0);
        let len = self.seal.rtp(&mut bytes, packet.len()).unwrap();
        bytes.truncate(len);
        bytes
    }

    /// All RTP that was sent to a phone, in the clear.
    fn hears(&mut self, world: &World, phone: &Phone) -> Vec<Vec<u8>> {
        let sent = world.sent.iter().filter(|sent| sent.slot == phone.slot && sent.rtp().is_some());
        let clear = sent.map(|sent| {
            let mut bytes = sent.bytes.clone();
            let len = self.open.rtp(&mut bytes).expect("encrypted with our key");
            bytes.truncate(len);
            bytes
        });
        clear.collect()
    }
}

fn shield(world: &mut World, phone: &Phone, how: Shielding) {
    world.command(Command::Shield { port: phone.port, shield: Shield::new(how) });
}

#[test]
fn a_relay_decrypts_on_one_side_and_encrypts_on_the_other() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    shield(&mut world, &a, known());
    world.join(&[&a, &b]);
    let mut far = Far::new();
    for _ in 0..5 {
        let packet = a.speak();
        let sealed = far.sealed(&packet);
        let out = world.receive(&a, &sealed);
        assert_eq!(out[0].1, packet[12..], "in the clear to the plain side");
        assert_eq!(world.receive(&a, &sealed), [], "a second time");
        assert_eq!(world.receive(&a, &packet), [], "not encrypted");
        let packet = b.speak();
        let out = world.receive(&b, &packet);
        assert_ne!(out[0].1[..160], packet[12..]);
    }
    let heard = far.hears(&world, &a);
    assert_eq!(heard.len(), 5);
    world.command(Command::Close { port: a.port });
    world.run(20);
    let Some(Event::Closed { quality, .. }) = world.events.iter().find(|e| matches!(e, Event::Closed { .. })) else {
        panic!("it closes")
    };
    assert_eq!((quality.refused, quality.unproved), (10, 10));
}

#[test]
fn what_is_played_is_encrypted_and_reports_are_too() {
    let mut world = World::new();
    let a = world.open(1);
    shield(&mut world, &a, known());
    world.run(8000);
    let mut far = Far::new();
    assert!(far.hears(&world, &a).len() >= 399);
    let reports: Vec<_> = world.sent.iter().filter(|sent| sent.channel == Channel::Rtcp).collect();
    assert!(!reports.is_empty());
    for report in reports {
        assert_eq!(report.to, SocketAddr::new(a.from.ip(), a.from.port() + 1));
        let mut bytes = report.bytes.clone();
        let len = far.open.rtcp(&mut bytes).unwrap();
        assert!(rtp::rtcp::read(&bytes[..len]).next().is_some());
    }
}

#[test]
fn with_one_port_for_all_reports_go_where_audio_goes() {
    let mut world = World::new();
    let a = world.open(1);
    shield(&mut world, &a, Shielding { mux: true, ..known() });
    world.run(8000);
    assert!(world.sent.iter().all(|sent| sent.channel == Channel::Rtp && sent.to == a.from));
    let mut far = Far::new();
    let report = world.sent.iter().find(|sent| sent.rtp().is_none()).expect("a report");
    assert!(far.open.rtcp(&mut report.bytes.clone()).is_some());
}

#[test]
fn counters_go_on_when_the_agreement_is_made_anew_and_when_it_is_plain_for_a_while() {
    let mut world = World::new();
    let a = world.open(1);
    shield(&mut world, &a, known());
    let mut far = Far::new();
    world.run(1000);
    // The peer has another key now, ours stays.
    let other = ShieldKeys::Known { ours: key(1), theirs: key(3) };
    shield(&mut world, &a, Shielding { keys: other, ..known() });
    world.run(1000);
    assert!(far.hears(&world, &a).len() >= 99);
    world.sent.clear();
    shield(&mut world, &a, Shielding { keys: ShieldKeys::Plain, ..known() });
    world.run(1000);
    assert!(world.packets(&a).iter().all(|(_, payload)| payload.len() == 160), "plain");
    world.sent.clear();
    shield(&mut world, &a, known());
    world.run(1000);
    assert!(far.hears(&world, &a).len() >= 49);
}

#[test]
fn nothing_leaves_and_nothing_is_heard_before_there_are_keys() {
    let mut world = World::new();
    let mut a = world.open(1);
    shield(&mut world, &a, Shielding { keys: ShieldKeys::Awaited, ..known() });
    let mut far = Far::new();
    let packet = a.speak();
    world.receive(&a, &packet);
    let sealed = far.sealed(&packet);
    world.receive(&a, &sealed);
    world.run(6000);
    assert!(world.sent.is_empty() && world.count(|event| matches!(event, Event::Latched { .. })) == 0);
    let keys = Box::new(Pair { seal: Seal::new(&key(1)), open: Open::new(&key(2)) });
    world.command(Command::Keys { port: a.port, keys });
    world.run(100);
    assert!(far.hears(&world, &a).len() >= 4);
    let packet = a.speak();
    world.receive(&a, &far.sealed(&packet));
    assert_eq!(world.count(|event| matches!(event, Event::Latched { .. })), 1);
}

#[test]
fn handshakes_are_told_and_answered_at_once() {
    let mut world = World::new();
    let a = world.open(1);
    shield(&mut world, &a, Shielding { keys: ShieldKeys::Awaited, ..known() });
    let from: SocketAddr = "203.0.113.7:999".parse().unwrap();
    world.receive_from(&a, from, &[22, 1, 2, 3]);
    let is_told = |event: &Event| matches!(event, Event::Handshake { bytes, from: told, .. } if **bytes == [22, 1, 2, 3] && *told == from);
    assert_eq!(world.count(is_told), 1);
    // What is no answer goes where SDP says, whoever came.
    for (to, goes_to) in [(Some(from), from), (None, a.from)] {
        world.command(Command::Handshake { port: a.port, to, bytes: [22, 9].into() });
        assert_eq!(world.engine.timeout(), Some(Time::START));
        world.run(0);
        let sent = world.sent.last().unwrap();
        assert_eq!((sent.to, &sent.bytes[..]), (goes_to, &[22, 9][..]));
    }
}

/// RFC 5769 section 2.1: a check for `evtj`.
fn check() -> Vec<u8> {
    let hex = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
               002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
               000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
    hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

#[test]
fn with_ice_packets_go_where_the_checks_came_from() {
    let mut world = World::new();
    let mut a = world.open_with(1, stream_to("0.0.0.0:9".parse().unwrap()));
    let ice = IceName { user: "evtj".into(), password: "VOkJxbRl1RmTxUk/WvJxBt".into() };
    shield(&mut world, &a, Shielding { mux: true, ice: Some(ice), ..known() });
    world.run(100);
    assert!(world.sent.is_empty(), "nobody knows where to");
    let mut wrong = check();
    wrong[60] ^= 1;
    world.receive(&a, &wrong);
    assert!(world.sent.is_empty());
    world.receive(&a, &check());
    let answer = world.sent.pop().unwrap();
    assert_eq!((answer.to, &answer.bytes[..2]), (a.from, &[1, 1][..]));
    world.run(100);
    assert!(world.sent.len() >= 4 && world.sent.iter().all(|sent| sent.to == a.from));
    // Audio that proves itself is heard, wherever it comes from.
    let mut far = Far::new();
    for from in ["203.0.113.7:1", "203.0.113.8:2"] {
        let sealed = far.sealed(&a.speak());
        world.receive_from(&a, from.parse().unwrap(), &sealed);
    }
    assert_eq!(world.count(|event| matches!(event, Event::Latched { .. })), 2);
}

#[test]
fn what_is_told_of_the_voice_is_encrypted_and_what_the_peer_tells_of_ours_is_read() {
    for mux in [false, true] {
        let mut world = World::new();
        let mut a = world.open(1);
        shield(&mut world, &a, Shielding { mux, ..known() });
        world.join(&[&a]);
        let mut far = Far::new();
        for _ in 0..400 {
            let sealed = far.sealed(&a.speak());
            world.receive(&a, &sealed);
            world.run(20);
        }
        let (mut told, mut ours) = (0, 0);
        for report in world.sent.iter().filter(|sent| matches!(sent.bytes[1], 192..=223)) {
            let clear = |bytes: &[u8]| rtp::rtcp::read(bytes).any(|packet| matches!(packet, Packet::Voip { .. }));
            assert!(!clear(&report.bytes), "anybody could read it");
            let mut bytes = report.bytes.clone();
            let len = far.open.rtcp(&mut bytes).expect("encrypted with our key");
            ours = u32::from_be_bytes(bytes[4..8].try_into().unwrap());
            told += usize::from(clear(&bytes[..len]));
        }
        assert!(told > 0, "the voice came well, and it was told so");
        // A report of the peer, whose list of sources is empty, and its view of our voice.
        let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 1];
        report.resize(8 + xr::LENGTH + 30, 0);
        let len = 8 + Voip { ssrc: ours, mos: (Some(43), Some(41)), ..Voip::default() }.write(1, &mut report[8..]);
        let plain = report[..len].to_vec();
        let len = far.seal.rtcp(&mut report, len).unwrap();
        for (packet, told) in [(&plain[..], false), (&report[..len], true)] {
            let channel = if mux { Channel::Rtp } else { Channel::Rtcp };
            let from = SocketAddr::new(a.from.ip(), a.from.port() + u16::from(!mux));
            world.engine.handle_packet(world.now, a.slot, channel, from, packet, &mut world.batch);
            world.events.clear();
            world.run(8000);
            let quality = world.events.iter().rev().find_map(|event| match event {
                Event::Quality { quality, .. } => Some(quality),
                _ => None,
            });
            assert_eq!(quality.expect("it is told every few seconds").peer_mos.is_some(), told);
        }
    }
}
