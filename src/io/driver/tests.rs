use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use super::*;
use crate::{
    io::{
        clock::Clock,
        media_ports::{self, MediaPorts},
        ring::Ring,
    },
    media::MAX_PACKET,
};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const RTP: Channel = Channel::Rtp;
/// Nothing that is waited for takes this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A driver and what it needs around it.
struct Bench {
    driver: Driver,
    wake: Ring<()>,
    clock: Clock,
    batch: Batch,
}

impl Bench {
    fn new(choice: Choice) -> io::Result<Bench> {
        let (wake, clock) = (Ring::new(1)?, Clock::start());
        let driver = Driver::open(choice, wake.wake_fd()?, 64, clock)?;
        Ok(Bench { driver, wake, clock, batch: Batch::new(64) })
    }

    /// One turn of at most `limit`; tells how long it took.
    fn turn(&mut self, limit: Duration, apart: Duration) -> Duration {
        let now = self.clock.now();
        self.driver.turn(&mut self.batch, Wait { until: Some(now + limit), apart }) - now
    }

    /// What comes until there are `count` datagrams, or none for a while: slot, source, first two bytes as a number.
    fn receive(&mut self, count: usize) -> Vec<(Slot, Channel, SocketAddr, u16)> {
        let mut all = Vec::new();
        while all.len() < count && self.turn(PATIENCE, Duration::ZERO) < PATIENCE {
            all.extend(self.rest());
        }
        all
    }

    /// What came already.
    fn rest(&mut self) -> Vec<(Slot, Channel, SocketAddr, u16)> {
        let mut all = Vec::new();
        while let Some(came) = self.driver.next() {
            let number = u16::from_be_bytes([came.bytes[0], came.bytes[1]]);
            all.push((came.slot, came.channel, came.from, number));
        }
        all
    }
}

/// Run a test with each driver that this machine allows; epoll it always does.
fn with_each(test: impl Fn(Bench)) {
    test(Bench::new(Choice::Epoll).unwrap());
    match Bench::new(Choice::IoUring) {
        Ok(bench) => test(bench),
        Err(error) => eprintln!("not tested with io_uring: {error}"),
    }
}

fn sockets(address: IpAddr) -> (Sockets, SocketAddr) {
    let config = media_ports::Config { range: 20_000..=59_999, ..media_ports::Config::default() };
    let seed = u64::from(std::process::id()) * 7919;
    let sockets = MediaPorts::new(config, seed).unwrap().bind(address).unwrap();
    let at = sockets.rtp.local_addr().unwrap();
    (sockets, at)
}

fn peer(address: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn a_datagram_comes_with_its_source_and_is_answered_from_the_same_socket() {
    with_each(|mut bench| {
        for (number, address) in [V4, V6].into_iter().enumerate() {
            let Ok(_) = UdpSocket::bind((address, 0)) else { continue };
            let slot = Slot(number as u32);
            let (sockets, rtp) = sockets(address);
            let rtcp = sockets.rtcp.local_addr().unwrap();
            bench.driver.add(slot, sockets).unwrap();
            let peer = peer(address);
            for (to, channel) in [(rtp, RTP), (rtcp, Channel::Rtcp)] {
                peer.send_to(&[1, 2, 3], to).unwrap();
                assert_eq!(bench.receive(1), [(slot, channel, peer.local_addr().unwrap(), 0x0102)]);
                assert!(bench.batch.push(slot, channel, peer.local_addr().unwrap(), |bytes| {
                    bytes[..4].copy_from_slice(b"back");
                    4
                }));
                bench.driver.send(&mut bench.batch);
                let mut buffer = [0; 16];
                assert_eq!(peer.recv_from(&mut buffer).unwrap(), (4, to));
                assert_eq!(&buffer[..4], b"back");
                assert_eq!(bench.batch.room(), 64);
            }
        }
    });
}

#[test]
fn a_sleep_ends_at_its_deadline_and_not_before() {
    with_each(|mut bench| {
        for apart in [Duration::ZERO, Duration::from_millis(1)] {
            let limit = Duration::from_micros(12_345);
            let took = bench.turn(limit, apart);
            assert!(took >= limit, "{took:?}");
            assert!(bench.rest().is_empty());
        }
        assert!(bench.turn(Duration::ZERO, Duration::ZERO) < PATIENCE, "a deadline that has come does not sleep");
    });
}

#[test]
fn the_eventfd_ends_a_sleep_each_time_it_is_written() {
    with_each(|mut bench| {
        for _ in 0..3 {
            bench.wake.wake();
            assert!(bench.turn(PATIENCE, Duration::ZERO) < PATIENCE);
            assert!(bench.rest().is_empty());
            bench.wake.listen();
            // And is reset: nothing more wakes.
            let quiet = Duration::from_millis(5);
            assert!(bench.turn(quiet, Duration::ZERO) >= quiet);
            assert!(bench.rest().is_empty());
        }
    });
}

#[test]
fn gathered_packets_come_together() {
    with_each(|mut bench| {
        let (sockets, at) = sockets(V4);
        bench.driver.add(Slot(0), sockets).unwrap();
        let peer = peer(V4);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..8_u16).for_each(|n| assert!(peer.send_to(&n.to_be_bytes(), at).unwrap() == 2)));
            let mut came = Vec::new();
            while came.len() < 8 {
                assert!(bench.turn(PATIENCE, Duration::from_millis(100)) < PATIENCE);
                came.extend(bench.rest().into_iter().map(|(.., number)| number));
            }
            assert_eq!(came, (0..8).collect::<Vec<u16>>());
        });
    });
}

#[test]
fn a_datagram_that_is_too_long_is_dropped_and_counted() {
    with_each(|mut bench| {
        let (sockets, at) = sockets(V4);
        bench.driver.add(Slot(0), sockets).unwrap();
        let peer = peer(V4);
        for length in [MAX_PACKET + 1, 9000, MAX_PACKET] {
            peer.send_to(&vec![9; length], at).unwrap();
        }
        assert_eq!(bench.receive(1).len(), 1);
        assert_eq!(bench.driver.counters().too_long, 2);
    });
}

#[test]
fn a_slot_that_is_used_again_gets_nothing_of_its_earlier_port() {
    with_each(|mut bench| {
        let peer = peer(V4);
        for round in 0..200_u16 {
            let (sockets, at) = sockets(V4);
            bench.driver.add(Slot(3), sockets).unwrap();
            for _ in 0..3 {
                peer.send_to(&round.to_be_bytes(), at).unwrap();
            }
            // In some rounds all three are read before the slot changes hands, in some one, in some none.
            if round % 3 > 0 {
                bench.turn(PATIENCE, Duration::ZERO);
            }
            if round % 3 > 1 {
                assert!(bench.driver.next().is_some_and(|came| came.bytes == round.to_be_bytes()));
            }
            if round % 2 == 0 {
                bench.driver.close(Slot(3));
                assert!(bench.rest().is_empty());
            }
        }
    });
}

#[test]
fn a_closed_port_can_be_bound_again() {
    with_each(|mut bench| {
        let (sockets, at) = sockets(V4);
        bench.driver.add(Slot(0), sockets).unwrap();
        bench.driver.close(Slot(0));
        let freed = (0..100).any(|_| {
            bench.turn(Duration::from_millis(1), Duration::ZERO);
            assert!(bench.rest().is_empty());
            UdpSocket::bind(at).is_ok()
        });
        assert!(freed);
    });
}

#[test]
fn a_port_moves_between_drivers_with_all_its_packets() {
    for choice in [Choice::Epoll, Choice::IoUring] {
        let (Ok(mut from), Ok(mut to)) = (Bench::new(choice), Bench::new(Choice::Epoll)) else { continue };
        let (sockets, at) = sockets(V4);
        from.driver.add(Slot(1), sockets).unwrap();
        let peer = peer(V4);
        let send = |numbers: std::ops::Range<u16>| {
            numbers.for_each(|n| assert!(peer.send_to(&n.to_be_bytes(), at).unwrap() == 2));
        };
        send(0..40);
        from.turn(PATIENCE, Duration::ZERO);
        let mut numbers: Vec<u16> = from.driver.next().iter().map(|came| u16::from(came.bytes[1])).collect();
        send(40..60);
        from.driver.stop(Slot(1));
        send(60..80);
        numbers.extend(from.rest().into_iter().map(|(.., number)| number));
        let sockets = from.driver.take(Slot(1)).unwrap();
        send(80..100);
        to.driver.add(Slot(7), sockets).unwrap();
        let left = 100 - numbers.len();
        numbers.extend(to.receive(left).into_iter().map(|(.., number)| number));
        assert_eq!(numbers, (0..100).collect::<Vec<u16>>(), "{choice:?}");
    }
}

#[test]
fn more_packets_than_buffers_all_come() {
    with_each(|mut bench| {
        let peer = peer(V4);
        for slot in 0..16 {
            let (sockets, at) = sockets(V4);
            bench.driver.add(Slot(slot), sockets).unwrap();
            (0..60_u16).for_each(|n| assert!(peer.send_to(&n.to_be_bytes(), at).unwrap() == 2));
        }
        let came = bench.receive(16 * 60);
        for slot in 0..16 {
            let numbers = came.iter().filter(|(at, ..)| *at == Slot(slot)).map(|(.., number)| *number);
            assert_eq!(numbers.collect::<Vec<_>>(), (0..60).collect::<Vec<u16>>());
        }
        assert_eq!(bench.driver.counters().received, 16 * 60);
    });
}

#[test]
fn packets_to_where_nobody_listens_do_no_harm() {
    with_each(|mut bench| {
        let (sockets, at) = sockets(V4);
        bench.driver.add(Slot(0), sockets).unwrap();
        let nobody = peer(V4).local_addr().unwrap();
        let peer = peer(V4);
        for _ in 0..20 {
            bench.batch.push(Slot(0), RTP, nobody, |bytes| bytes.len().min(100));
            // No port is in this slot.
            bench.batch.push(Slot(9), RTP, nobody, |bytes| bytes.len().min(100));
            bench.driver.send(&mut bench.batch);
        }
        peer.send_to(&[0, 5], at).unwrap();
        assert_eq!(bench.receive(1).len(), 1);
        assert_eq!(bench.driver.counters().sent, 20);
        assert_eq!(bench.driver.counters().send_dropped, 20);
    });
}

#[test]
fn a_send_that_the_system_refuses_is_a_counted_drop() {
    with_each(|mut bench| {
        let (sockets, _) = sockets(V4);
        bench.driver.add(Slot(0), sockets).unwrap();
        // An IPv4 socket reaches no IPv6 address.
        bench.batch.push(Slot(0), RTP, (V6, 5004).into(), |_| 100);
        bench.turn(Duration::from_millis(1), Duration::ZERO);
        assert!(bench.rest().is_empty());
        assert_eq!((bench.driver.counters().sent, bench.driver.counters().send_dropped), (0, 1));
    });
}
