//! Legs with different codecs, rates and clocks.

use super::*;

const G722: Payload = Payload { number: 9, codec: Codec::G722 };
const OPUS: Payload = Payload { number: 111, codec: Codec::Opus };
const L16: Payload = Payload { number: 97, codec: Codec::L16Wide };
const WIDE_DIGITS: Digits = Digits { number: 110, clock: 48_000 };

fn speaking(n: u64, payload: Payload) -> Stream {
    let wide = payload.codec == Codec::Opus;
    let digits = if wide { WIDE_DIGITS } else { Digits::narrow(101) };
    Stream {
        send: Some(payload),
        receive: vec![payload],
        send_digits: Some(digits),
        receive_digits: vec![digits],
        opus: OpusWish { fec: true, ..OpusWish::default() },
        ..stream_to(address(n))
    }
}

impl World {
    fn open_speaking(&mut self, n: u64, payload: Payload) -> Phone {
        self.open_with(n, speaking(n, payload))
    }

    /// What a phone heard, at 16 kHz or the rate of its codec; the first half second is left out.
    fn heard_by(&self, phone: &Phone) -> (Vec<i16>, Rate) {
        let (codec, rate) = (phone.payload.codec, phone.payload.codec.rate_for(Rate::Wide));
        let mut decoder = audio::Decoder::new(&[codec]);
        let mut heard = Vec::new();
        for (header, payload) in self.packets(phone) {
            if header.payload_type == phone.payload.number {
                let mut out = vec![0; 3 * rate.frame()];
                let length = decoder.decode(codec, rate, payload, &mut out);
                heard.extend_from_slice(&out[..length]);
            }
        }
        (heard.split_off((rate.frame() * 25).min(heard.len())), rate)
    }

    /// How much of a tone of full loudness is in what a phone heard.
    fn share(&self, phone: &Phone, tone: f64) -> f64 {
        let (heard, rate) = self.heard_by(phone);
        assert!(heard.len() > 10 * rate.frame(), "{} samples", heard.len());
        goertzel::power(&heard, tone, rate.hz()) / (8000.0_f64.powi(2) / 2.0)
    }

    /// Timestamps go in step with the time, at the codec's clock.
    fn assert_steps(&self, phone: &Phone, step: u32) {
        for pair in self.packets(phone).windows(2).filter(|pair| pair.iter().all(|(h, _)| h.payload_type < 100)) {
            assert_eq!(pair[1].0.timestamp.wrapping_sub(pair[0].0.timestamp), step);
            assert_eq!(pair[1].0.sequence, pair[0].0.sequence.wrapping_add(1));
        }
    }
}

#[test]
fn any_two_codecs_hear_each_other_at_their_level() {
    let all = [PCMU, PCMA, G722, OPUS, L16, Payload { number: 96, codec: Codec::L16 }];
    for one in all {
        for other in all {
            let mut world = World::new();
            let (mut a, mut b, c) = (world.open_speaking(1, one), world.open_speaking(2, other), world.open(3));
            world.join(&[&a, &b]);
            // Somebody listens in, so that nothing is relayed.
            world.join_as(&c, Role::Listen);
            world.talk(1500, &mut [&mut a, &mut b]);
            for (hearer, speaker) in [(&a, &b), (&b, &a)] {
                let (share, own) = (world.share(hearer, speaker.tone), world.share(hearer, hearer.tone));
                assert!((0.6..1.5).contains(&share), "{one:?} and {other:?}: {share}");
                assert!(own < 0.02, "{one:?} and {other:?}: {own} of itself");
            }
        }
    }
}

#[test]
fn two_wideband_legs_keep_what_a_telephone_would_cut_off() {
    for (one, other, kept) in [(G722, OPUS, true), (L16, G722, true), (OPUS, OPUS, true), (G722, PCMU, false)] {
        let mut world = World::new();
        let (mut a, mut b, c) = (world.open_speaking(1, one), world.open_speaking(2, other), world.open(3));
        world.join(&[&a, &b]);
        world.join_as(&c, Role::Listen);
        a.tone = 5500.0;
        world.talk(1500, &mut [&mut a, &mut b]);
        let share = world.share(&b, 5500.0f64.min(f64::from(other.codec.rate_for(Rate::Wide).hz()) / 2.0 - 100.0));
        assert_eq!(share > 0.25, kept, "{one:?} to {other:?}: {share}");
    }
}

#[test]
fn one_codec_on_both_sides_is_relayed_whatever_it_is() {
    for payload in [G722, OPUS, L16] {
        let mut world = World::new();
        let (mut a, b) = (world.open_speaking(1, payload), world.open_speaking(2, payload));
        world.join(&[&a, &b]);
        for _ in 0..20 {
            let packet = a.speak();
            let out = world.receive(&a, &packet);
            assert_eq!(out.len(), 1, "{payload:?}");
            assert_eq!(out[0].1, packet[rtp::HEADER..]);
            world.run(20);
        }
        world.assert_steps(&b, payload.codec.clock() / 50);
    }
}

#[test]
fn a_peer_that_changes_its_codec_is_heard_by_what_its_packets_say() {
    let mut world = World::new();
    let stream = Stream { receive: vec![PCMU, PCMA, G722], ..speaking(1, PCMU) };
    let (mut a, b) = (world.open_with(1, stream), world.open_speaking(2, G722));
    world.join(&[&a, &b]);
    for payload in [PCMU, PCMA, G722, PCMU, G722] {
        a.payload = payload;
        a.encoder = audio::Encoder::new(&[], OpusWish::default());
        world.talk(600, &mut [&mut a]);
    }
    let (heard, rate) = world.heard_by(&b);
    let pieces: Vec<_> =
        heard.chunks(rate.frame() * 10).map(|piece| goertzel::power(piece, a.tone, rate.hz())).collect();
    let loud = pieces.iter().filter(|power| **power > 0.5 * 8000.0_f64.powi(2) / 2.0).count();
    assert!(loud + 3 >= pieces.len(), "{loud} of {}", pieces.len());
}

#[test]
fn a_new_agreement_with_another_codec_goes_on_in_the_same_stream() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(500, &mut [&mut a, &mut b]);
    for (payload, step) in [(G722, 160), (OPUS, 960)] {
        world.update(&b, |stream| *stream = speaking(2, payload));
        b.payload = payload;
        b.encoder = audio::Encoder::new(&[payload.codec], OpusWish::default());
        let before = world.packets(&b).len();
        world.talk(1000, &mut [&mut a, &mut b]);
        let packets = world.packets(&b);
        let (ssrc, fresh) = (packets[0].0.ssrc, &packets[before + 2..]);
        assert!(fresh.len() > 40 && fresh.iter().all(|(h, _)| h.payload_type == payload.number && h.ssrc == ssrc));
        assert!(fresh.windows(2).all(|w| w[1].0.timestamp.wrapping_sub(w[0].0.timestamp) == step));
        assert!(world.packets(&a).len() >= before + 40);
        assert!(has_tone(&world.heard(&a, 300), &b));
    }
}

#[test]
fn lost_opus_is_recovered_from_the_packet_after() {
    let level = |every: usize| {
        let mut world = World::new();
        let (mut a, mut b) = (world.open_speaking(1, OPUS), world.open_speaking(2, PCMU));
        world.join(&[&a, &b]);
        for n in 0..150 {
            let (from_a, from_b) = (a.speak(), b.speak());
            if n % every != every - 1 {
                world.receive(&a, &from_a);
            }
            world.receive(&b, &from_b);
            world.run(20);
        }
        let (heard, _) = world.heard_by(&b);
        let quiet = heard.chunks(160).filter(|frame| frame.iter().all(|s| s.abs() < 500)).count();
        (quiet, world.engine.port(a.slot).map(|port| port.quality().concealed))
    };
    let (quiet, concealed) = level(8);
    assert!(quiet <= 2, "{quiet} frames are nearly silent");
    assert!(concealed.is_some_and(|count| (12..25).contains(&count)), "{concealed:?}");
}

#[test]
fn packets_of_every_length_are_made_of_every_codec() {
    for payload in [PCMA, G722, OPUS, L16] {
        for ptime in [10, 20, 30, 40, 50, 60] {
            let mut world = World::new();
            let mut a = world.open(1);
            let b = world.open_with(2, Stream { ptime, ..speaking(2, payload) });
            world.join(&[&a, &b]);
            world.talk(1500, &mut [&mut a]);
            let expected = match (payload.codec, ptime) {
                (Codec::Opus, 30) => 20,
                (Codec::Opus, 50) | (Codec::L16Wide, 50 | 60) => 40,
                _ => ptime,
            };
            world.assert_steps(&b, u32::from(expected) * payload.codec.clock() / 1000);
            let share = world.share(&b, a.tone);
            assert!((0.6..1.5).contains(&share), "{payload:?} at {ptime} ms: {share}");
        }
    }
}

#[test]
fn digits_to_opus_count_at_its_clock_and_those_of_it_are_heard() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open_speaking(2, OPUS));
    world.join(&[&a, &b]);
    world.talk(400, &mut [&mut a, &mut b]);
    for packet in a.press(7) {
        world.receive(&a, &packet);
        world.run(20);
    }
    world.talk(600, &mut [&mut a, &mut b]);
    let packets = world.packets(&b);
    let digits: Vec<_> = packets.iter().filter(|(header, _)| header.payload_type == WIDE_DIGITS.number).collect();
    assert_eq!(digits.len(), 7);
    assert!(digits.iter().all(|(header, _)| header.timestamp == digits[0].0.timestamp));
    let lengths: Vec<u16> = digits.iter().map(|(_, payload)| u16::from_be_bytes([payload[2], payload[3]])).collect();
    assert_eq!(lengths, [960, 1920, 2880, 3840, 4800, 4800, 4800], "100 ms at 48 kHz");
    let before = packets.iter().rev().find(|(h, _)| h.payload_type == OPUS.number && h.sequence < digits[0].0.sequence);
    let step = before.map(|(header, _)| digits[0].0.timestamp.wrapping_sub(header.timestamp));
    assert_eq!(step, Some(960));
    let packet = b.packet(WIDE_DIGITS.number, &[3, 10, 0, 100]);
    world.receive(&b, &packet);
    assert_eq!(world.keys(&b), "3");
}

#[test]
fn a_recording_has_its_own_rate_whatever_the_call_has() {
    for (payload, rate, length) in [(G722, Rate::Wide, 16_000), (PCMU, Rate::Wide, 16_000), (OPUS, Rate::Narrow, 8000)]
    {
        let mut world = World::new();
        let mut a = world.open_speaking(1, payload);
        let blocks = (0..100).map(|_| Block { samples: Vec::with_capacity(1600) }).collect();
        let (recording, layout) = (RecordingId(1), Layout::Party);
        world.command(Command::Record { port: a.port, recording, layout, rate, ends: Ends::default(), blocks });
        world.talk(1000, &mut [&mut a]);
        world.command(Command::StopRecording { port: a.port, recording });
        let samples: Vec<i16> = world
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Recorded { block, .. } => Some(block.samples.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(samples.len(), length);
        let share = goertzel::power(&samples[length / 4..], a.tone, rate.hz()) / (8000.0_f64.powi(2) / 2.0);
        assert!((0.6..1.5).contains(&share), "{payload:?} at {rate:?}: {share}");
    }
}

#[test]
fn comfort_noise_fills_the_pause_at_the_level_that_the_peer_said() {
    let mut world = World::new();
    let with_noise = Stream { comfort: Some(13), ..stream_to(address(1)) };
    let (mut a, b) = (world.open_with(1, with_noise), world.open_speaking(2, PCMA));
    world.join(&[&a, &b]);
    world.talk(500, &mut [&mut a]);
    let packet = a.packet(13, &[50]);
    world.receive(&a, &packet);
    world.run(1000);
    let (heard, _) = world.heard_by(&b);
    let noise = audio::speech::rms(&heard[heard.len() - 4000..]);
    assert!((60.0..160.0).contains(&noise), "{noise}");
    world.talk(500, &mut [&mut a]);
    assert!(world.share(&b, a.tone) > 0.1);
}
