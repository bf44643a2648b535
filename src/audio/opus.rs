//! Opus (RFC 6716, 7587) by libopus, mono; what comes in stereo is heard as mono. The memory of a coder is taken once; it
//! begins anew in the same memory when its rate changes.
#![expect(unsafe_code, reason = "libopus is C; the safe crates around it allocate a coder for each rate")]

use audiopus_sys::{
    OPUS_APPLICATION_VOIP, OPUS_OK, OPUS_SET_BITRATE_REQUEST, OPUS_SET_COMPLEXITY_REQUEST, OPUS_SET_DTX_REQUEST,
    OPUS_SET_INBAND_FEC_REQUEST, OPUS_SET_PACKET_LOSS_PERC_REQUEST, opus_decode, opus_decoder_get_size,
    opus_decoder_init, opus_encode, opus_encoder_ctl, opus_encoder_get_size, opus_encoder_init,
};

use crate::codec::{OpusWish, Rate};

/// Shortest frame, in samples at 8 kHz: 2.5 ms. What is made up comes in multiples of it.
pub const GRAIN: usize = 20;
/// Longest packet, in samples at 8 kHz: 120 ms (RFC 6716 section 3.2.5).
const LONGEST: usize = 960;
/// How hard the encoder tries, of 10: from here on more is hardly heard, and costs.
const COMPLEXITY: i32 = 4;
/// The most loss that FEC is prepared for, in percent: libopus makes no difference above.
const MOST_LOSS: u8 = 25;
/// What the redundant data is given beside the bits of the voice, in bits a second. Taken from those, it would cost a calm
/// network more than it gives a bad one: at 24 kbit/s PESQ falls from 4.4 to 3.5 where nothing is lost.
const FOR_REDUNDANCY: i32 = 12_000;

/// Memory in which libopus keeps a coder: aligned for anything that it puts there.
type Memory = Box<[u64]>;

fn memory(bytes: i32) -> Memory {
    vec![0; usize::try_from(bytes).unwrap_or(0).div_ceil(8)].into_boxed_slice()
}

/// One direction of a call, encoding.
pub struct Encoder {
    memory: Memory,
    /// What its state is made for; absent: to be made.
    rate: Option<Rate>,
    wish: OpusWish,
    /// What the peer lost of late, in percent.
    loss: u8,
}

impl Encoder {
    /// Takes its memory.
    pub fn new(wish: OpusWish) -> Encoder {
        // SAFETY: a pure function of its argument.
        let size = unsafe { opus_encoder_get_size(1) };
        Encoder { memory: memory(size), rate: None, wish, loss: 0 }
    }

    /// The peer lost so many percent of late. There is redundant data (FEC) while it loses some, if it can use it; less is
    /// believed step by step only.
    pub fn set_loss(&mut self, percent: u8) {
        let loss = percent.min(MOST_LOSS).max(self.loss - self.loss.div_ceil(4));
        if std::mem::replace(&mut self.loss, loss) != loss
            && let Some(rate) = self.rate
        {
            let settings = self.settings(rate);
            self.control(&settings);
        }
    }

    /// What the peer wants is something else now.
    pub fn set_wish(&mut self, wish: OpusWish) {
        if std::mem::replace(&mut self.wish, wish) != wish {
            self.rate = None;
        }
    }

    /// Encode one frame of 2.5, 5, 10, 20, 40 or 60 ms at `rate`. Returns how many bytes were written; 0: nothing is to be
    /// sent, because nobody speaks (DTX), or because the length is none of these.
    pub fn encode(&mut self, rate: Rate, samples: &[i16], out: &mut [u8]) -> usize {
        if self.rate != Some(rate) {
            self.begin(rate);
        }
        let (count, room) = (samples.len() as i32, out.len().min(1275) as i32);
        // SAFETY: the memory has the size that libopus asked for and was initialised by `begin`; both slices are as long
        // as is said.
        let written =
            unsafe { opus_encode(self.memory.as_mut_ptr().cast(), samples.as_ptr(), count, out.as_mut_ptr(), room) };
        // RFC 6716 section 3.4 R1, and opus_encode(3): up to two bytes need not be sent.
        usize::try_from(written).ok().filter(|written| *written > 2).unwrap_or(0)
    }

    fn begin(&mut self, rate: Rate) {
        let state = self.memory.as_mut_ptr().cast();
        // SAFETY: the memory has the size that libopus asked for.
        let result = unsafe { opus_encoder_init(state, rate.hz() as i32, 1, OPUS_APPLICATION_VOIP) };
        assert!(result == OPUS_OK, "the rate is one of libopus's, and the memory is there");
        self.rate = Some(rate);
        let settings = self.settings(rate);
        self.control(&settings);
    }

    /// What libopus is told, by the name of the request.
    fn settings(&self, rate: Rate) -> [(i32, i32); 5] {
        let OpusWish { fec, dtx, bitrate, .. } = self.wish;
        let usual = match rate {
            Rate::Narrow => 16_000,
            Rate::Wide => 24_000,
            Rate::Full => 32_000,
        };
        let redundant = fec && self.loss > 0;
        let usual = if redundant { usual + FOR_REDUNDANCY } else { usual };
        let bitrate = bitrate.map_or(usual, |most| usual.min(most.clamp(6000, 510_000) as i32));
        [
            (OPUS_SET_COMPLEXITY_REQUEST, COMPLEXITY),
            (OPUS_SET_BITRATE_REQUEST, bitrate),
            (OPUS_SET_INBAND_FEC_REQUEST, redundant.into()),
            (OPUS_SET_PACKET_LOSS_PERC_REQUEST, if redundant { self.loss.into() } else { 0 }),
            (OPUS_SET_DTX_REQUEST, dtx.into()),
        ]
    }

    /// After [`Encoder::begin`].
    fn control(&mut self, settings: &[(i32, i32)]) {
        let state = self.memory.as_mut_ptr().cast();
        for &(request, value) in settings {
            // SAFETY: the state was initialised; each of these requests takes one int.
            unsafe { opus_encoder_ctl(state, request, value) };
        }
    }
}

/// One direction of a call, decoding.
pub struct Decoder {
    memory: Memory,
    /// What its state is made for; absent: to be made.
    rate: Option<Rate>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    /// Takes its memory.
    pub fn new() -> Decoder {
        // SAFETY: a pure function of its argument.
        let size = unsafe { opus_decoder_get_size(1) };
        Decoder { memory: memory(size), rate: None }
    }

    /// Decode a packet. Returns how many samples at `rate` were written; 0 for what is no Opus.
    pub fn decode(&mut self, rate: Rate, packet: &[u8], out: &mut [i16]) -> usize {
        self.run(rate, Some(packet), out, false)
    }

    /// What was lost before `next`, by its redundant data (FEC), where it has some; made up otherwise. `out` is as long as
    /// what was lost: a multiple of [`GRAIN`].
    pub fn recover(&mut self, rate: Rate, next: &[u8], out: &mut [i16]) -> usize {
        self.run(rate, Some(next), out, true)
    }

    /// Make up what was lost: `out` is a multiple of [`GRAIN`] long.
    pub fn make_up(&mut self, rate: Rate, out: &mut [i16]) -> usize {
        self.run(rate, None, out, false)
    }

    fn run(&mut self, rate: Rate, packet: Option<&[u8]>, out: &mut [i16], fec: bool) -> usize {
        if packet.is_some_and(|packet| units(packet) == 0) {
            return 0;
        }
        if self.rate != Some(rate) {
            // SAFETY: the memory has the size that libopus asked for.
            let result = unsafe { opus_decoder_init(self.memory.as_mut_ptr().cast(), rate.hz() as i32, 1) };
            assert!(result == OPUS_OK, "the rate is one of libopus's, and the memory is there");
            self.rate = Some(rate);
        }
        let room = out.len().min(LONGEST * rate.scale()) as i32;
        let (data, length) = packet.map_or((std::ptr::null(), 0), |packet| (packet.as_ptr(), packet.len() as i32));
        // SAFETY: the state was initialised above; both slices are as long as is said; no packet is a null pointer.
        let decoded =
            unsafe { opus_decode(self.memory.as_mut_ptr().cast(), data, length, out.as_mut_ptr(), room, fec.into()) };
        usize::try_from(decoded).unwrap_or(0)
    }
}

/// How long a packet lasts, in samples at 8 kHz (RFC 6716 section 3.1); 0 for what is no packet.
pub fn units(packet: &[u8]) -> usize {
    let Some(&first) = packet.first() else { return 0 };
    let frame = match first >> 3 {
        config @ 0..12 => [80, 160, 320, 480][usize::from(config & 3)],
        config @ 12..16 => [80, 160][usize::from(config & 1)],
        config => [20, 40, 80, 160][usize::from(config & 3)],
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| usize::from(count & 63)),
    };
    let units = frame * frames;
    if units <= LONGEST { units } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::audio::goertzel;

    fn tone(rate: Rate, frequency: f64, ms: usize) -> Vec<i16> {
        let hz = f64::from(rate.hz());
        (0..ms * 8 * rate.scale()).map(|n| (8000.0 * (TAU * frequency * n as f64 / hz).sin()) as i16).collect()
    }

    fn encoded(encoder: &mut Encoder, rate: Rate, frame: &[i16]) -> Vec<u8> {
        let mut bytes = vec![0; 1275];
        let written = encoder.encode(rate, frame, &mut bytes);
        bytes.truncate(written);
        bytes
    }

    #[test]
    fn a_tone_comes_back_at_any_rate_from_any_rate() {
        for from in Rate::ALL {
            for to in Rate::ALL {
                let (mut encoder, mut decoder) = (Encoder::new(OpusWish::default()), Decoder::new());
                let mut heard = Vec::new();
                for frame in tone(from, 440.0, 1000).chunks(from.frame()) {
                    let packet = encoded(&mut encoder, from, frame);
                    assert_eq!(units(&packet), 160);
                    let mut out = vec![0; to.frame()];
                    assert_eq!(decoder.decode(to, &packet, &mut out), to.frame());
                    heard.extend(out);
                }
                let power = goertzel::power(&heard[to.frame() * 10..], 440.0, to.hz()) / 8000.0_f64.powi(2) * 2.0;
                assert!((0.7..1.4).contains(&power), "{from:?} to {to:?}: {power}");
            }
        }
    }

    #[test]
    fn stereo_is_heard_as_mono() {
        use audiopus::{Application, Channels, SampleRate, coder::Encoder as Coder};
        let coder = Coder::new(SampleRate::Hz48000, Channels::Stereo, Application::Audio).unwrap();
        let mut decoder = Decoder::new();
        let mut heard = Vec::new();
        for (left, right) in tone(Rate::Full, 440.0, 1000).chunks(960).zip(tone(Rate::Full, 1500.0, 1000).chunks(960)) {
            let both: Vec<i16> = left.iter().zip(right).flat_map(|(left, right)| [*left, *right]).collect();
            let mut packet = [0; 1275];
            let length = coder.encode(&both, &mut packet[..]).unwrap();
            assert!(packet[0] & 4 != 0, "its own word for stereo (RFC 6716 section 3.1)");
            let mut out = [0; 960];
            assert_eq!(decoder.decode(Rate::Full, &packet[..length], &mut out), 960);
            heard.extend(out);
        }
        for frequency in [440.0, 1500.0] {
            let power = goertzel::power(&heard[9600..], frequency, 48_000) / 4000.0_f64.powi(2) * 2.0;
            assert!((0.7..1.4).contains(&power), "{frequency} Hz at half its height: {power}");
        }
    }

    #[test]
    fn a_lost_frame_comes_back_by_the_redundancy_of_the_next_and_two_are_made_up() {
        let wish = OpusWish { fec: true, ..OpusWish::default() };
        let (mut encoder, mut decoder) = (Encoder::new(wish), Decoder::new());
        encoder.set_loss(10);
        let speech = crate::audio::speech::speech(4, 16_000);
        let packets: Vec<_> = speech.chunks(160).map(|f| encoded(&mut encoder, Rate::Narrow, f)).collect();
        let mut out = [0; 160];
        for packet in &packets[..50] {
            decoder.decode(Rate::Narrow, packet, &mut out);
        }
        assert_eq!(decoder.make_up(Rate::Narrow, &mut out), 160);
        assert!(out.iter().any(|s| *s != 0));
        assert_eq!(decoder.recover(Rate::Narrow, &packets[52], &mut out), 160);
        assert!(out.iter().any(|s| *s != 0));
        assert_eq!(decoder.make_up(Rate::Narrow, &mut out[..GRAIN]), GRAIN);
    }

    #[test]
    fn redundant_data_is_sent_while_the_peer_loses_some_and_only_if_it_can_use_it() {
        let speech = crate::audio::speech::speech(4, 32_000);
        let bytes = |encoder: &mut Encoder| -> usize {
            speech.chunks(320).map(|frame| encoded(encoder, Rate::Wide, frame).len()).sum()
        };
        let mut encoder = Encoder::new(OpusWish { fec: true, ..OpusWish::default() });
        let calm = bytes(&mut encoder);
        encoder.set_loss(8);
        let lossy = bytes(&mut encoder);
        assert!(lossy > calm * 5 / 4, "{lossy} bytes instead of {calm}");
        (0..16).for_each(|_| encoder.set_loss(0));
        assert!(bytes(&mut encoder).abs_diff(calm) < calm / 20);
        let mut unable = Encoder::new(OpusWish::default());
        unable.set_loss(8);
        assert_eq!(bytes(&mut unable), bytes(&mut Encoder::new(OpusWish::default())));
    }

    #[test]
    fn nobody_speaking_is_not_sent_where_the_peer_wants_that() {
        let count = |dtx| {
            let mut encoder = Encoder::new(OpusWish { dtx, ..OpusWish::default() });
            (0..100).filter(|_| !encoded(&mut encoder, Rate::Wide, &[0; 320]).is_empty()).count()
        };
        assert_eq!(count(false), 100);
        assert!(count(true) < 50, "{}", count(true));
    }

    #[test]
    fn what_is_no_opus_is_nothing() {
        let mut decoder = Decoder::new();
        let mut out = [0; 960];
        assert_eq!(decoder.decode(Rate::Narrow, &[], &mut out), 0);
        assert_eq!(decoder.decode(Rate::Narrow, &[0xff, 63], &mut out), 0, "63 frames");
        let mut seed = 7_u32;
        for length in 1..600 {
            let packet: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            let written = decoder.decode(Rate::Narrow, &packet, &mut out);
            assert!(written == 0 || written == units(&packet), "{written}");
        }
    }
}
