//! What is measured of a peer's voice beyond RFC 3550: bursts and gaps of its losses (RFC 3611), how loud it is, and
//! what people would say of it (G.107, G.107.1).

use std::time::Duration;

use super::Quality;
use crate::{
    audio::vad,
    codec::Codec,
    rtp::{
        emodel::{self, Impairment, Loss},
        xr::{GMIN, Voip},
    },
};

/// Packets that may come in any order before one that is missing counts as lost.
const PATIENCE: u64 = 32;
/// A frame below this is silent, in dBm0.
const SILENT: f32 = -60.0;
/// A frame above this is speech.
const SPEECH: f32 = -40.0;
/// A sample beyond this is as loud as G.711 can say: it was probably clipped.
const CLIPPED: u16 = 32_000;
/// How fast mean levels follow.
const FOLLOW: f32 = 1.0 / 32.0;
/// Delay of the phone at the far end that we cannot measure: its own buffer, sound card and codec, in ms.
const FAR_END: f64 = 40.0;

/// Bursts of losses and the gaps between them (RFC 3611 section 4.7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bursts {
    /// How many bursts.
    pub count: u64,
    /// Share of a burst's packets that were lost, 0 to 1.
    pub density: f32,
    /// Mean length of a burst.
    pub length: Duration,
    /// Share of the packets between bursts that were lost, 0 to 1.
    pub gap_density: f32,
    /// Mean length of a gap.
    pub gap_length: Duration,
}

/// How loud a peer is. Where it is relayed, or nobody hears it, one packet in 16 is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// Share of the frames that are silent (below -60 dBm0), 0 to 1.
    pub silent: f32,
    /// Samples at full scale.
    pub clipped: u64,
    /// Mean level of speech, in dBm0.
    pub speech: Option<f32>,
    /// Mean level of what is between, in dBm0.
    pub noise: Option<f32>,
}

/// Losses, in the order of their packets.
#[derive(Clone, Copy, Debug, Default)]
struct Losses {
    /// The newest packet, and which of those before it came: bit n stands for the one n before.
    head: Option<u64>,
    came: u64,
    /// Places of the window that are before the first packet.
    before: u64,
    /// Packets since the first that are older than the window.
    judged: u64,
    lost: u64,
    /// Losses in a row, and how many such rows there were.
    in_row: bool,
    rows: u64,
    /// The losses at hand that may become a burst: how many, and packets from the first of them to the last.
    cluster: (u64, u64),
    /// Packets since the last loss.
    since: u64,
    /// Bursts: how many, their packets, their losses.
    bursts: (u64, u64, u64),
}

impl Losses {
    fn handle(&mut self, number: u64) {
        let Some(head) = self.head else {
            (self.head, self.came, self.before) = (Some(number), 1, PATIENCE - 1);
            return;
        };
        let Some(ahead) = number.checked_sub(head) else {
            if head - number < PATIENCE {
                self.came |= 1 << (head - number);
            }
            return;
        };
        for step in 0..ahead.min(4096) {
            // The oldest of the window leaves it.
            match self.before {
                0 => self.judge(self.came >> (PATIENCE - 1) & 1 == 1),
                _ => self.before -= 1,
            }
            self.came = (self.came << 1 | u64::from(step + 1 == ahead)) & ((1 << PATIENCE) - 1);
        }
        self.head = Some(number);
    }

    /// The source began anew: what is in the window is all that will come of it.
    fn restart(&mut self) {
        (self.head, self.came) = (None, 0);
    }

    fn judge(&mut self, came: bool) {
        self.judged += 1;
        if came {
            self.in_row = false;
            self.since += 1;
            if self.since == u64::from(GMIN) {
                self.end_cluster();
            }
            return;
        }
        self.lost += 1;
        self.rows += u64::from(!self.in_row);
        self.in_row = true;
        let (losses, packets) = self.cluster;
        self.cluster = if losses == 0 { (1, 1) } else { (losses + 1, packets + self.since + 1) };
        self.since = 0;
    }

    fn end_cluster(&mut self) {
        let (losses, packets) = std::mem::take(&mut self.cluster);
        if losses > 1 {
            self.bursts = (self.bursts.0 + 1, self.bursts.1 + packets, self.bursts.2 + losses);
        }
    }

    /// Bursts and gaps so far; the one at hand counts.
    fn bursts(&self, ptime: Duration) -> Bursts {
        let mut all = *self;
        all.end_cluster();
        let (bursts, packets, losses) = all.bursts;
        let (gap_packets, gap_losses) = (all.judged - packets.min(all.judged), all.lost - losses);
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f32 / of as f32 };
        let mean = |packets: u64, count: u64| ptime.mul_f64(packets as f64 / count.max(1) as f64);
        Bursts {
            count: bursts,
            density: share(losses, packets),
            length: mean(packets, bursts),
            gap_density: share(gap_losses, gap_packets),
            gap_length: mean(gap_packets, bursts + 1),
        }
    }

    /// For the E-model; `late`: packets that came and could not be played.
    fn loss(&self, late: u64) -> Loss {
        if self.judged == 0 {
            return Loss { share: 0.0, burst_ratio: 1.0 };
        }
        let share = ((self.lost + late) as f64 / self.judged as f64).min(1.0);
        // Were each packet lost by chance, this many would be lost in a row.
        let by_chance = 1.0 / (1.0 - share).max(0.01);
        let mean = self.lost as f64 / self.rows.max(1) as f64;
        Loss { share, burst_ratio: (mean / by_chance).max(1.0) }
    }
}

/// What is measured of one peer's voice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Metrics {
    losses: Losses,
    /// Frames that were looked at, and the silent ones among them.
    frames: u64,
    silent: u64,
    clipped: u64,
    /// Mean level of speech, and of what is between, in dBm0.
    speech: Option<f32>,
    noise: Option<f32>,
    /// What the peer says of our voice.
    pub(super) told: Option<Voip>,
}

impl Metrics {
    /// A packet came; `restarted`: of a source that began anew.
    pub(super) fn handle_packet(&mut self, number: u64, restarted: bool) {
        if restarted {
            self.losses.restart();
        }
        self.losses.handle(number);
    }

    /// Some of what the peer says: not all need be looked at.
    pub(super) fn handle_audio(&mut self, samples: &[i16]) {
        let level = vad::level(samples);
        self.frames += 1;
        self.silent += u64::from(level < SILENT);
        self.clipped += samples.iter().filter(|s| s.unsigned_abs() >= CLIPPED).count() as u64;
        let mean = if level > SPEECH { &mut self.speech } else { &mut self.noise };
        let before = mean.unwrap_or(level);
        *mean = Some(before + (level - before) * FOLLOW);
    }

    /// Adds to what is known of a port. Nobody can say how good a codec sounds that is not known.
    pub(super) fn complete(&self, quality: &mut Quality, codec: Option<Codec>, ptime: Duration) {
        quality.bursts = self.losses.bursts(ptime);
        quality.level = (self.frames > 0).then(|| Level {
            silent: self.silent as f32 / self.frames as f32,
            clipped: self.clipped,
            speech: self.speech,
            noise: self.noise,
        });
        if let Some(codec) = codec.filter(|_| quality.received > 0) {
            let network = quality.round_trip_us.map_or(0.0, |us| f64::from(us) / 2000.0);
            let here = quality.buffer.as_secs_f64() * 1000.0 + ptime.as_secs_f64() * 1000.0;
            let loss = self.losses.loss(quality.late);
            let impairment = impairment(codec);
            let scale = impairment.scale;
            let listening = emodel::r(0.0, loss, impairment);
            let r = emodel::r(network + here + FAR_END, loss, impairment);
            quality.r = Some(r as f32);
            quality.scale = scale;
            quality.mos = Some(scale.mos(r) as f32);
            quality.mos_listening = Some(scale.mos(listening) as f32);
        }
        let told = self.told.as_ref();
        quality.peer_mos = told.and_then(|told| told.mos.1.or(told.mos.0)).map(|mos| f32::from(mos) / 10.0);
    }
}

/// How much a codec takes away.
fn impairment(codec: Codec) -> Impairment {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::L16 => emodel::G711,
        Codec::G729 => emodel::G729,
        Codec::G722 => emodel::G722,
        Codec::Opus => emodel::OPUS,
        Codec::L16Wide => emodel::LINEAR_WIDE,
    }
}

/// What we tell the peer of its voice, once there is something to tell.
pub(super) fn voip(ssrc: u32, quality: &Quality, most: Duration) -> Option<Voip> {
    let r = quality.r?;
    let part = |share: f32| (share * 256.0).clamp(0.0, 255.0) as u8;
    let expected = (quality.received + quality.lost).max(1) as f32;
    let ms = |span: Duration| u16::try_from(span.as_millis()).unwrap_or(u16::MAX);
    let score = |mos: Option<f32>| mos.map(|mos| (mos * 10.0).round() as u8);
    let level = quality.level.as_ref();
    let decibels = |level: Option<f32>| level.map(|level| level.clamp(-100.0, 3.0) as i8);
    Some(Voip {
        ssrc,
        loss: part(quality.lost as f32 / expected),
        discard: part(quality.late as f32 / expected),
        density: (part(quality.bursts.density), part(quality.bursts.gap_density)),
        duration: (ms(quality.bursts.length), ms(quality.bursts.gap_length)),
        round_trip: quality.round_trip_us.map_or(0, |us| u16::try_from(us / 1000).unwrap_or(u16::MAX)),
        end_system: ms(quality.buffer),
        level: (level.and_then(|l| decibels(l.speech)), level.and_then(|l| decibels(l.noise))),
        // No block has room for more than 100.
        r: Some(quality.scale.percent(f64::from(r)).round() as u8),
        mos: (score(quality.mos_listening), score(quality.mos)),
        jitter_buffer: (ms(quality.buffer), ms(most)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::emodel::Scale;

    const PTIME: Duration = Duration::from_millis(20);

    /// Packets of which those where `lost` says so do not come.
    fn run(count: u64, lost: impl Fn(u64) -> bool) -> Losses {
        let mut losses = Losses::default();
        (0..count + PATIENCE).filter(|n| *n >= count || !lost(*n)).for_each(|n| losses.handle(70_000 + n));
        losses
    }

    #[test]
    fn single_losses_belong_to_the_gap_and_close_ones_to_a_burst() {
        let far = run(1000, |n| n % 100 == 50);
        let bursts = far.bursts(PTIME);
        assert_eq!((far.judged, far.lost, bursts.count), (1000, 10, 0));
        assert!((bursts.gap_density - 0.01).abs() < 1e-6 && bursts.gap_length == Duration::from_secs(20));

        // Two bursts: 500, 502, 505 and 700 to 704.
        let close = run(1000, |n| [500, 502, 505].contains(&n) || (700..705).contains(&n));
        let bursts = close.bursts(PTIME);
        assert_eq!(bursts.count, 2);
        // 6 + 5 packets, 3 + 5 losses.
        assert!((bursts.density - 8.0 / 11.0).abs() < 1e-6);
        assert_eq!(bursts.length, Duration::from_millis(110));
        assert_eq!(bursts.gap_length, PTIME * (1000 - 11) / 3);
        assert!(bursts.gap_density.abs() < 1e-6);
    }

    #[test]
    fn what_comes_out_of_order_is_not_lost_and_a_restart_loses_nothing() {
        let mut losses = Losses::default();
        for n in (0..200).step_by(2) {
            losses.handle(1001 + n);
            losses.handle(1000 + n);
        }
        losses.restart();
        for n in 0..100 {
            losses.handle(900_000 + n);
        }
        assert_eq!(losses.lost, 0);
        assert!(losses.judged > 200);
    }

    #[test]
    fn losses_in_bursts_score_lower_than_as_many_by_chance() {
        let score = |lost: fn(u64) -> bool| emodel::r(0.0, run(3000, lost).loss(0), emodel::G711);
        let (none, single, bursts) = (score(|_| false), score(|n| n % 20 == 0), score(|n| n % 60 < 3));
        assert!(none > 93.0 && single < 80.0 && bursts < single, "{none} {single} {bursts}");
    }

    #[test]
    fn wideband_is_judged_as_such_and_told_to_a_peer_in_its_own_numbers() {
        let judged = |codec| {
            let mut quality = Quality { received: 500, ..Quality::default() };
            Metrics::default().complete(&mut quality, Some(codec), PTIME);
            let told = voip(1, &quality, PTIME).unwrap();
            (quality.scale, quality.r.unwrap(), quality.mos.unwrap(), told.r.unwrap(), told.mos.1.unwrap())
        };
        assert_eq!(judged(Codec::G722), (Scale::Wide, 116.0, Scale::Wide.mos(116.0) as f32, 90, 43));
        assert_eq!(judged(Codec::Opus).3, 98);
        let (scale, r, mos, told, _) = judged(Codec::Pcmu);
        assert_eq!((scale, told), (Scale::Narrow, 93));
        assert!((r - 93.2).abs() < 0.01 && (mos - 4.41).abs() < 0.01);
    }

    #[test]
    fn silence_and_clipping_are_counted() {
        let mut metrics = Metrics::default();
        (0..30).for_each(|_| metrics.handle_audio(&[0; 160]));
        (0..10).for_each(|_| metrics.handle_audio(&[32_124; 160]));
        let mut quality = Quality::default();
        metrics.complete(&mut quality, Some(Codec::Pcmu), PTIME);
        let level = quality.level.unwrap();
        assert!((level.silent - 0.75).abs() < 1e-6 && level.clipped == 1600);
        assert!(quality.mos.is_none(), "nothing came");
    }
}
