use super::*;
use proptest::prelude::*;

const TICK: Duration = Duration::from_millis(20);

/// An event packet on its way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    sequence: u16,
    packet: Packet,
}

/// All packets of `keys`, each `length` long, in order.
fn send(keys: &str, length: Duration) -> Vec<Sent> {
    let mut sender = Sender::default();
    let mut sent: Vec<Sent> = vec![];
    let mut timestamp = u32::MAX - 1000; // the timestamps wrap on the way
    for key in keys.chars() {
        assert!(sender.start(timestamp, key, length, Duration::from_millis(100)));
        while sender.busy() {
            while let Some(packet) = sender.poll(timestamp) {
                sent.push(Sent { sequence: 65530_u16.wrapping_add(sent.len() as u16), packet });
            }
            timestamp = timestamp.wrapping_add(STEP);
        }
    }
    sent
}

fn receive<'a>(sent: impl IntoIterator<Item = &'a Sent>) -> String {
    let mut receiver = Receiver::default();
    hear(&mut receiver, sent)
}

fn hear<'a>(receiver: &mut Receiver, sent: impl IntoIterator<Item = &'a Sent>) -> String {
    let mut now = Time::START;
    let mut keys = String::new();
    for one in sent {
        now += TICK;
        keys.extend(receiver.handle(now, &header(one), &one.packet.payload).map(|press| press.key));
    }
    keys
}

fn header(sent: &Sent) -> Header {
    let Packet { marker, timestamp, .. } = sent.packet;
    Header { payload_type: 101, marker, sequence: sent.sequence, timestamp, ssrc: 3 }
}

#[test]
fn a_digit_is_sent_as_the_table_says() {
    let sent = send("5", Duration::from_millis(100));
    let seen: Vec<_> = sent.iter().map(|s| (s.packet.marker, s.packet.payload[1] >> 7, duration(s))).collect();
    let expected = [
        (true, 0, 160),
        (false, 0, 320),
        (false, 0, 480),
        (false, 0, 640),
        (false, 1, 800),
        (false, 1, 800),
        (false, 1, 800),
    ];
    assert_eq!(seen, expected);
    assert!(sent.iter().all(|s| s.packet.payload[0] == 5 && s.packet.timestamp == sent[0].packet.timestamp));
}

fn duration(sent: &Sent) -> u16 {
    u16::from_be_bytes([sent.packet.payload[2], sent.packet.payload[3]])
}

#[test]
fn the_silence_after_a_digit_is_kept_before_the_next() {
    let mut sender = Sender::default();
    assert!(sender.start(0, '1', Duration::from_millis(40), Duration::from_millis(100)));
    let mut ticks = 0;
    while sender.busy() {
        while sender.poll(ticks * STEP).is_some() {}
        assert!(!sender.busy() || !sender.start(0, '2', TICK, TICK), "one at a time");
        assert_eq!(sender.down(), ticks == 0, "down until the packet that ends it");
        ticks += 1;
    }
    assert_eq!(ticks, 8, "40 ms of digit and 100 ms of silence are over at the tick of 140 ms");
    assert!(!sender.start(0, 'x', TICK, TICK), "no key");
}

#[test]
fn every_key_arrives_once() {
    let keys = "0123456789*#ABCD";
    assert_eq!(receive(&send(keys, Duration::from_millis(60))), keys);
    assert_eq!(receive(&send("555", Duration::from_millis(60))), "555");
    assert_eq!(receive(&send("abcd", Duration::from_millis(60))), "ABCD");
}

#[test]
fn any_one_packet_of_a_digit_is_enough() {
    let sent = send("7", Duration::from_millis(100));
    for one in &sent {
        assert_eq!(receive([one]), "7");
    }
    assert_eq!(receive(&sent[3..]), "7", "the start is lost");
}

#[test]
fn a_digit_whose_end_is_lost_is_released_by_time() {
    let sent = send("7", Duration::from_millis(100));
    let mut receiver = Receiver::default();
    assert_eq!(hear(&mut receiver, &sent[..2]), "7");
    assert_eq!(receiver.down(), Some('7'));
    let until = receiver.timeout().unwrap();
    assert_eq!(until, Time::START + 2 * TICK + MISSED);
    receiver.handle_timeout(until);
    assert_eq!((receiver.down(), receiver.timeout()), (None, None));
    let late = &sent[3];
    assert_eq!(receiver.handle(until + TICK, &header(late), &late.packet.payload), None, "still the same press");
}

#[test]
fn a_digit_whose_end_is_lost_is_released_by_the_next() {
    let sent = send("78", Duration::from_millis(100));
    let mut receiver = Receiver::default();
    assert_eq!(hear(&mut receiver, sent[..2].iter().chain(&sent[7..9])), "78");
    assert_eq!(receiver.down(), Some('8'));
}

#[test]
fn an_end_releases_and_its_repetitions_press_nothing() {
    let sent = send("7", Duration::from_millis(100));
    let mut receiver = Receiver::default();
    assert_eq!(hear(&mut receiver, &sent[..5]), "7");
    assert_eq!(receiver.down(), None);
    assert_eq!(hear(&mut receiver, &sent[4..]), "");
    assert_eq!(hear(&mut receiver, &sent[1..3]), "", "late packets");
    assert_eq!(receiver.down(), None);
}

#[test]
fn packets_that_a_new_digit_overtook_press_nothing_twice() {
    let sent = send("12", Duration::from_millis(60));
    let (one, two) = sent.split_at(5);
    let mixed = [one[0], two[0], one[1], two[1], one[2], one[4], two[2], one[3]];
    let mut receiver = Receiver::default();
    assert_eq!(hear(&mut receiver, &mixed[..5]), "12");
    assert_eq!(receiver.down(), Some('2'), "the late end of 1 does not release 2");
    assert_eq!(hear(&mut receiver, &mixed[5..]), "");
}

#[test]
fn a_digit_that_was_overtaken_whole_still_counts() {
    let sent = send("12", Duration::from_millis(60));
    assert_eq!(receive([&sent[5], &sent[0], &sent[1], &sent[6]]), "21");
}

#[test]
fn a_digit_longer_than_its_duration_field_is_one_press() {
    let sent = send("9", Duration::from_secs(20));
    let segments: std::collections::BTreeSet<u32> = sent.iter().map(|s| s.packet.timestamp).collect();
    assert_eq!(segments.len(), 3, "20 s are 2.4 times 65535 units");
    assert_eq!(sent.iter().filter(|s| s.packet.marker).count(), 1);
    assert_eq!(sent.iter().filter(|s| duration(s) == 0xffff).count(), 2 * 3, "a segment's last packet three times");
    assert_eq!(receive(&sent), "9");
    let thinned: Vec<Sent> = sent.iter().copied().filter(|s| s.sequence % 7 == 0).collect();
    assert_eq!(receive(&thinned), "9");
    let whole_segment_lost = sent.iter().filter(|s| s.packet.timestamp != sent[1000 / 2].packet.timestamp);
    assert_eq!(receive(whole_segment_lost), "9");
}

#[test]
fn the_same_key_again_after_a_whole_segment_is_a_new_press_by_its_marker() {
    let first = Sent { sequence: 1, packet: Packet { marker: true, timestamp: 0, payload: [1, 10, 0, 160] } };
    let again = Sent { sequence: 2, packet: Packet { timestamp: SEGMENT, ..first.packet } };
    assert_eq!(receive([&first, &again]), "11");
}

#[test]
fn a_new_source_is_heard_from_the_beginning() {
    let sent = send("7", Duration::from_millis(60));
    let mut receiver = Receiver::default();
    assert_eq!(hear(&mut receiver, &sent), "7");
    let other = Header { ssrc: 4, ..header(&sent[0]) };
    assert_eq!(receiver.handle(Time::START, &other, &sent[0].packet.payload), Some(Press { key: '7' }));
}

#[test]
fn other_events_and_short_payloads_press_nothing() {
    let mut receiver = Receiver::default();
    let header = Header::default();
    assert_eq!(receiver.handle(Time::START, &header, &[16, 10, 0, 160]), None, "flash");
    assert_eq!(receiver.handle(Time::START, &header, &[5, 10, 0]), None);
    assert_eq!(receiver.handle(Time::START, &header, &[]), None);
    assert_eq!(receiver.down(), None);
}

proptest! {
    #[test]
    fn loss_duplication_and_reordering_leave_each_press_once(
        fate in prop::collection::vec((0..4_usize, 0..6_usize), 200),
    ) {
        let keys = "1123#";
        let sent = send(keys, Duration::from_millis(120));
        // Each packet comes 0 to 3 times, up to 5 places late; the first of each digit comes, so that none is lost.
        let mut arriving: Vec<(usize, Sent)> = vec![];
        for ((at, one), (copies, late)) in sent.iter().enumerate().zip(fate) {
            let copies = if one.packet.marker { copies.max(1) } else { copies };
            arriving.extend((0..copies).map(|copy| (at + late * copy, *one)));
        }
        arriving.sort_by_key(|(at, _)| *at);
        prop_assert_eq!(receive(arriving.iter().map(|(_, one)| one)), keys);
    }

    #[test]
    fn arbitrary_packets_never_panic(packets in prop::collection::vec((any::<u16>(), any::<u32>(), any::<[u8; 5]>(), 0..6_usize), 0..50)) {
        let mut receiver = Receiver::default();
        let count = packets.len();
        let mut presses = 0;
        for (sequence, timestamp, bytes, length) in packets {
            let header = Header { sequence, timestamp, ..Header::default() };
            presses += usize::from(receiver.handle(Time::START, &header, &bytes[..length.min(5)]).is_some());
        }
        prop_assert!(presses <= count);
    }
}
