//! Datagrams passed on untouched.

use super::*;

/// The first packet of a fax, as UDPTL has it: number, then the packet, then no repair.
const FAX: &[u8] = &[0, 0, 2, 0xc0, 1, 0, 0];

fn pass(world: &mut World, phone: &Phone) {
    world.command(Command::Pass { port: phone.port, remote: phone.from });
}

/// What is sent to `phone` when `packet` comes from another one.
fn passed(world: &mut World, from: &Phone, packet: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
    let before = world.sent.len();
    world.receive(from, packet);
    world.sent[before..].iter().map(|sent| (sent.to, sent.bytes.clone())).collect()
}

#[test]
fn a_fax_goes_through_byte_by_byte_and_nothing_of_ours_is_mixed_in() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a, &mut b]);
    pass(&mut world, &a);
    assert_eq!(passed(&mut world, &a, FAX), [], "the other side is not there yet");
    pass(&mut world, &b);
    world.sent.clear();
    assert_eq!(passed(&mut world, &a, FAX), [(b.from, FAX.to_vec())]);
    assert_eq!(passed(&mut world, &b, FAX), [(a.from, FAX.to_vec())]);
    let late = a.speak();
    assert_eq!(passed(&mut world, &a, &late), [], "audio that was still under way");
    world.run(12_000);
    assert_eq!(world.sent.len(), 2, "neither silence nor reports");
    assert_eq!(world.count(|event| matches!(event, Event::NoRtp { .. })), 0, "a fax has pauses");
    let numbered = [&[0x80, 0][..], &FAX[2..]].concat();
    assert_eq!(passed(&mut world, &a, &numbered), [(b.from, numbered.clone())], "a long fax counts on");
}

#[test]
fn strangers_do_not_get_into_a_fax_and_its_party_may_be_behind_nat() {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    pass(&mut world, &a);
    world.command(Command::Pass { port: b.port, remote: "10.0.0.9:4000".parse().unwrap() });
    passed(&mut world, &b, FAX);
    assert_eq!(passed(&mut world, &a, FAX)[0].0, b.from, "where it really is");
    world.receive_from(&b, "203.0.113.66:6".parse().unwrap(), FAX);
    assert_eq!(passed(&mut world, &a, FAX)[0].0, b.from);
    let large = vec![0; MAX_PACKET + 1];
    assert_eq!(passed(&mut world, &a, &large), []);
}

#[test]
fn audio_comes_back_with_the_next_agreement() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    for phone in [&a, &b] {
        pass(&mut world, phone);
    }
    passed(&mut world, &a, FAX);
    for phone in [&a, &b] {
        world.update(phone, |_| {});
    }
    assert_eq!(passed(&mut world, &a, FAX), []);
    world.sent.clear();
    world.talk(200, &mut [&mut a, &mut b]);
    assert!(world.packets(&a).len() >= 9 && world.packets(&b).len() >= 9);
}

#[test]
fn a_fax_is_not_encrypted_though_the_audio_was() {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    let key = crate::secure::Key::new(crate::secure::Suite::AesCm128Sha1_80, &[1; 30]).unwrap();
    let how = Shielding { keys: ShieldKeys::Known { ours: key, theirs: key }, mux: false, ice: None };
    world.command(Command::Shield { port: a.port, shield: Shield::new(how) });
    world.join(&[&a, &b]);
    for phone in [&a, &b] {
        pass(&mut world, phone);
    }
    assert_eq!(passed(&mut world, &a, FAX), [(b.from, FAX.to_vec())]);
    assert_eq!(passed(&mut world, &b, FAX), [(a.from, FAX.to_vec())]);
}
