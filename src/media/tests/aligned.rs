//! Both sides of a recording stay aligned though nobody's clock is right and packets are lost.

use super::*;
use crate::chance::Chance;

/// A phone whose clock is off.
struct Skewed {
    phone: Phone,
    /// Its samples a second are 8,000 times this.
    speed: f64,
    /// Packets that it sent.
    count: u64,
}

/// When both phones chirp, for a fifth of a second of true time, in seconds.
const CHIRPS: [f64; 4] = [2.0, 180.0, 1800.0, 3598.0];
const HOUR_MS: u64 = 3_600_000;

impl Skewed {
    /// When the next packet is due, in microseconds of true time.
    fn due(&self) -> u64 {
        (self.count as f64 * 20_000.0 / self.speed) as u64
    }

    /// The next packet: a low hum, and a chirp at its time by the true clock.
    fn speak(&mut self) -> Vec<u8> {
        let first = self.count as usize * FRAME;
        let samples: Vec<i16> = (first..first + FRAME)
            .map(|n| {
                let second = n as f64 / (8000.0 * self.speed);
                let chirps = CHIRPS.iter().any(|chirp| (0.0..0.2).contains(&(second - chirp)));
                let (hertz, level) = if chirps { (1000.0, 12_000.0) } else { (300.0, 600.0) };
                (level * (TAU * hertz * n as f64 / 8000.0).sin()) as i16
            })
            .collect();
        self.count += 1;
        let mut payload = [0; FRAME];
        let Payload { codec, number } = self.phone.payload;
        self.phone.encoder.encode(codec, Rate::Narrow, &samples, &mut payload);
        let packet = self.phone.packet(number, &payload);
        self.phone.next.timestamp = self.phone.next.timestamp.wrapping_add(FRAME as u32);
        packet
    }
}

/// Where it becomes loud after `from`, in samples.
fn onset(samples: &[i16], from: usize) -> usize {
    from + samples[from..].iter().position(|s| s.unsigned_abs() > 6000).expect("there is a chirp")
}

/// The chirps of both channels after an hour (or what is asked for), as (said, heard) in samples.
fn hour(loss: f64, until_ms: u64) -> Vec<(usize, usize)> {
    let mut world = World::with(Config { jitter_min: Duration::from_millis(30), ..config() }, 64);
    let (a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.record(&a, 1, Layout::Stereo);
    let start = world.now;
    let mut phones = [Skewed { phone: a, speed: 1.0002, count: 0 }, Skewed { phone: b, speed: 0.9998, count: 0 }];
    let mut chance = Chance::new(7);
    let mut kept: Vec<i16> = Vec::new();
    while world.now - start < Duration::from_millis(until_ms) {
        let next = phones.iter_mut().min_by_key(|phone| phone.due()).expect("there are two");
        let due = start + Duration::from_micros(next.due());
        let packet = next.speak();
        while let Some(tick) = world.engine.timeout().filter(|tick| *tick <= due) {
            world.now = tick;
            world.engine.handle_timeout(tick, &mut world.batch);
            world.batch.clear();
        }
        world.now = due;
        if chance.share() >= loss {
            let (slot, from) = (next.phone.slot, next.phone.from);
            world.engine.handle_packet(due, slot, Channel::Rtp, from, &packet, &mut world.batch);
            world.batch.clear();
        }
        while let Some(event) = world.engine.poll() {
            if let Event::Recorded { port, recording, block } = event {
                kept.extend(&block.samples);
                world.engine.handle_command(due, Command::Space { port, recording, block });
            }
        }
    }
    let side = |at: usize| kept.iter().skip(at).step_by(2).copied().collect::<Vec<_>>();
    let (said, heard) = (side(0), side(1));
    let asked = CHIRPS.iter().filter(|chirp| (**chirp + 0.5) * 1000.0 < until_ms as f64);
    asked
        .map(|chirp| {
            let from = ((chirp - 0.5) * 8000.0) as usize;
            (onset(&said, from), onset(&heard, from))
        })
        .collect()
}

/// Each side has a delay of its own, which wanders within the jitter buffer, by less than a frame.
const NEAR: usize = FRAME;

fn assert_aligned(loss: f64, until_ms: u64, chirps: usize) {
    let found = hour(loss, until_ms);
    assert_eq!(found.len(), chirps);
    for (said, heard) in &found {
        assert!(said.abs_diff(*heard) <= NEAR, "{found:?}");
    }
    // And the file's time is the true time.
    let (first, last) = (found[0], found[chirps - 1]);
    let true_time = ((CHIRPS[chirps - 1] - CHIRPS[0]) * 8000.0) as usize;
    for length in [last.0 - first.0, last.1 - first.1] {
        assert!(length.abs_diff(true_time) <= FRAME, "{found:?}");
    }
}

#[test]
#[ignore = "an hour of packets takes a minute; the proof runs it"]
fn chirps_of_both_sides_are_aligned_after_an_hour_of_skew_and_loss() {
    assert_aligned(0.03, HOUR_MS, 4);
}

#[test]
fn chirps_stay_aligned_for_three_minutes_at_five_percent_loss() {
    assert_aligned(0.05, 182_000, 2);
}
