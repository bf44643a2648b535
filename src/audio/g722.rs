//! G.722 at 64 kbit/s: 16 kHz audio in two bands, each ADPCM-coded; bit-exact with the ITU's test data (G.191).
//!
//! ```text
//! 2 samples ─▶ QMF ─┬─ low band:  6 bits ─┐
//!                   └─ high band: 2 bits ─┴─▶ 1 byte
//! ```
//!
//! The names in here are those of the recommendation's blocks (G.722 section 6).

mod follow;

pub use follow::AHEAD;

/// Low band: decision levels of the 60-step quantizer (table 17), for a scale factor of 1.
const LOW_LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// Codes of the steps, for differences below zero and from zero up.
const LOW_NEGATIVE: [u8; 30] =
    [63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4];
const LOW_POSITIVE: [u8; 30] = [
    61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33,
    32,
];
/// Outputs of the inverse quantizers with 4, 5 and 6 bits (table 18).
const LOW_4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
#[cfg(test)]
const LOW_5: [i32; 32] = [
    -280, -280, -23352, -17560, -14120, -11664, -9752, -8184, -6864, -5712, -4696, -3784, -2960, -2208, -1520, -880,
    23352, 17560, 14120, 11664, 9752, 8184, 6864, 5712, 4696, 3784, 2960, 2208, 1520, 880, 280, -280,
];
const LOW_6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const LOW_MOST: i32 = LOW_LEVELS[LOW_LEVELS.len() - 1];
/// How many decision levels are not above a value.
static LOW_STEPS: [u8; LOW_MOST as usize + 1] = low_steps();
const HIGH_2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// Steps of the logarithmic scale factors by code (blocks LOGSCL, LOGSCH).
const LOW_SCALE: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const HIGH_SCALE: [i32; 4] = [798, -214, 798, -214];
/// From the logarithmic to the linear scale factor (blocks SCALEL, SCALEH).
const LINEAR: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
/// Every other coefficient of the band filters; the rest are the same backwards (table 11).
const FILTER: [i16; TAPS] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
const BACKWARDS: [i16; TAPS] = [-11, 53, -156, 362, -805, 3876, 951, -210, 32, 12, -11, 3];
const TAPS: usize = 12;
const ZEROS: usize = 8;
/// Pairs of samples that are filtered in one go.
const PIECE: usize = 160;

/// Adaptive prediction and scale of one band.
#[derive(Clone, Debug)]
struct Band {
    /// Prediction for the next sample, and its part by the zeros.
    s: i32,
    sz: i32,
    /// Poles: coefficients, and the last two reconstructed and partly reconstructed samples.
    a: [i32; 2],
    r: [i32; 2],
    p: [i32; 2],
    /// Zeros: coefficients and twice the last six differences, the newest first. Two more places, always zero, make
    /// them as wide as a vector register: that halves the cost of a sample.
    b: [i16; ZEROS],
    d: [i16; ZEROS],
    /// Scale factor: logarithmic, linear.
    nb: i32,
    det: i32,
}

impl Band {
    const fn new(det: i32) -> Band {
        Band { s: 0, sz: 0, a: [0; 2], r: [0; 2], p: [0; 2], b: [0; ZEROS], d: [0; ZEROS], nb: 0, det }
    }

    /// The scale factors follow (blocks LOGSCL/SCALEL, LOGSCH/SCALEH).
    fn scale(&mut self, step: i32, most: i32, shift: i32) {
        self.nb = (((self.nb * 127) >> 7) + step).clamp(0, most);
        let linear = LINEAR[(self.nb >> 6) as usize & 31];
        let shift = shift - (self.nb >> 11);
        self.det = if shift < 0 { linear << -shift << 2 } else { linear >> shift << 2 };
    }

    /// The prediction follows the quantized difference `d` (block 4).
    fn adapt(&mut self, d: i32) {
        let r = saturate(self.s + d);
        let p = saturate(self.sz + d);
        // UPPOL2, UPPOL1
        let (same1, same2) = ((p ^ self.p[0]) >= 0, (p ^ self.p[1]) >= 0);
        let wide = saturate(self.a[0] << 2);
        let turned = if same1 { saturate(-wide) } else { wide };
        let a2 = (turned >> 7) + if same2 { 128 } else { -128 } + ((self.a[1] * 32512) >> 15);
        let a2 = a2.clamp(-12288, 12288);
        let a1 = saturate(((self.a[0] * 32640) >> 15) + if same1 { 192 } else { -192 });
        let most = 15360 - a2;
        let a1 = a1.clamp(-most, most);
        // UPZERO, FILTEZ
        let step: i16 = if d == 0 { 0 } else { 128 };
        let (d, past) = (saturate(2 * d) as i16, self.d);
        self.d = [d, past[0], past[1], past[2], past[3], past[4], 0, 0];
        for (b, past) in self.b.iter_mut().zip(&past) {
            let sign = (d ^ past) >> 15;
            *b = b.wrapping_add(b.wrapping_neg() >> 8).saturating_add((step ^ sign) - sign);
        }
        (self.b[6], self.b[7]) = (0, 0);
        let products = self.b.iter().zip(&self.d).map(|(&b, &d)| (i32::from(b) * i32::from(d)) >> 15);
        self.sz = saturate(products.sum());
        // FILTEP, PREDIC
        let poles = ((a1 * saturate(2 * r)) >> 15) + ((a2 * saturate(2 * self.r[0])) >> 15);
        self.s = saturate(saturate(poles) + self.sz);
        (self.a, self.r, self.p) = ([a1, a2], [r, self.r[0]], [p, self.p[0]]);
    }

    /// A code of the low band, without its two lowest bits, was sent: what both sides make of it.
    fn follow_low(&mut self, code: usize) {
        let d = (self.det * LOW_4[code & 15]) >> 15;
        self.scale(LOW_SCALE[code & 15], 18432, 8);
        self.adapt(d);
    }

    fn follow_high(&mut self, code: usize) -> i32 {
        let d = (self.det * HIGH_2[code & 3]) >> 15;
        let reconstructed = (self.s + d).clamp(-16384, 16383);
        self.scale(HIGH_SCALE[code & 3], 22528, 10);
        self.adapt(d);
        reconstructed
    }
}

const fn low_steps() -> [u8; LOW_MOST as usize + 1] {
    let mut steps = [0; LOW_MOST as usize + 1];
    let mut level = 0;
    while level < LOW_LEVELS.len() {
        let mut at = LOW_LEVELS[level] as usize;
        while at < steps.len() {
            steps[at] += 1;
            at += 1;
        }
        level += 1;
    }
    steps
}

fn saturate(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

fn dot(a: &[i16; TAPS], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

/// The filter's memory: the samples at even and at odd places, the past first.
#[derive(Clone, Debug)]
struct Past {
    even: [i16; TAPS - 1],
    odd: [i16; TAPS - 1],
}

impl Past {
    const fn new() -> Past {
        Past { even: [0; TAPS - 1], odd: [0; TAPS - 1] }
    }

    /// What both bands say next.
    fn push(&mut self, low: i32, high: i32) {
        self.even.copy_within(1.., 0);
        self.odd.copy_within(1.., 0);
        // Both bands have 15 bits, so that sum and difference have 16.
        (self.even[TAPS - 2], self.odd[TAPS - 2]) = ((low + high) as i16, (low - high) as i16);
    }
}

/// One direction of a call, encoding.
#[derive(Clone, Debug)]
pub struct Encoder {
    low: Band,
    high: Band,
    past: Past,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

impl Encoder {
    /// As at the beginning of a stream.
    pub const fn new() -> Encoder {
        Encoder { low: Band::new(32), high: Band::new(8), past: Past::new() }
    }

    /// Encode pairs of samples at 16 kHz. Returns how many bytes were written: one a pair, or as many as fit.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let mut written = 0;
        for (samples, out) in samples.chunks(2 * PIECE).zip(out.chunks_mut(PIECE)) {
            written += self.encode_piece(samples, out);
        }
        written
    }

    fn encode_piece(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let count = (samples.len() / 2).min(out.len());
        let (mut even, mut odd) = ([0; TAPS - 1 + PIECE], [0; TAPS - 1 + PIECE]);
        even[..TAPS - 1].copy_from_slice(&self.past.even);
        odd[..TAPS - 1].copy_from_slice(&self.past.odd);
        for (at, pair) in samples.chunks_exact(2).take(count).enumerate() {
            (even[TAPS - 1 + at], odd[TAPS - 1 + at]) = (pair[0], pair[1]);
        }
        for (at, code) in out[..count].iter_mut().enumerate() {
            let (first, second) = (dot(&FILTER, &even[at..at + TAPS]), dot(&BACKWARDS, &odd[at..at + TAPS]));
            let low = (second + first) >> 14;
            let high = (second - first) >> 14;
            *code = quantize((&mut self.low, &mut self.high), (low, high));
        }
        self.past.even.copy_from_slice(&even[count..count + TAPS - 1]);
        self.past.odd.copy_from_slice(&odd[count..count + TAPS - 1]);
        count
    }
}

/// The code for the next sample of each band, which the bands follow.
fn quantize((low_band, high_band): (&mut Band, &mut Band), (low, high): (i32, i32)) -> u8 {
    let difference = saturate(low - low_band.s);
    let magnitude = if difference < 0 { -(difference + 1) } else { difference };
    let det = low_band.det;
    // Levels with (level * det) >> 12 <= magnitude, solved for the level.
    let most = (((magnitude + 1) << 12) - 1) / det;
    let step = usize::from(LOW_STEPS[most.min(LOW_MOST) as usize]);
    let low = if difference < 0 { LOW_NEGATIVE[step] } else { LOW_POSITIVE[step] };
    low_band.follow_low(usize::from(low >> 2));

    let difference = saturate(high - high_band.s);
    let magnitude = if difference < 0 { -(difference + 1) } else { difference };
    let large = magnitude >= (564 * high_band.det) >> 12;
    let high = match (difference < 0, large) {
        (true, true) => 0,
        (true, false) => 1,
        (false, true) => 2,
        (false, false) => 3,
    };
    high_band.follow_high(high);
    (high as u8) << 6 | low
}

/// One direction of a call, decoding.
#[derive(Clone, Debug)]
pub struct Decoder {
    low: Band,
    high: Band,
    past: Past,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    /// As at the beginning of a stream.
    pub const fn new() -> Decoder {
        Decoder { low: Band::new(32), high: Band::new(8), past: Past::new() }
    }

    /// Decode to 16 kHz. Returns how many samples were written: two a byte, or as many pairs as fit.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        self.decode_with(payload, out, |code| LOW_6[usize::from(code & 63)])
    }

    /// As [`Decoder::decode`], in the modes whose last one or two bits of the low band carry data.
    #[cfg(test)]
    pub(crate) fn decode_dropping(&mut self, bits: u32, payload: &[u8], out: &mut [i16]) -> usize {
        match bits {
            0 => self.decode(payload, out),
            1 => self.decode_with(payload, out, |code| LOW_5[usize::from(code >> 1 & 31)]),
            _ => self.decode_with(payload, out, |code| LOW_4[usize::from(code >> 2 & 15)]),
        }
    }

    fn decode_with(&mut self, payload: &[u8], out: &mut [i16], low: impl Fn(u8) -> i32) -> usize {
        let mut written = 0;
        for (payload, out) in payload.chunks(PIECE).zip(out.chunks_mut(2 * PIECE)) {
            written += self.decode_piece(payload, out, &low);
        }
        written
    }

    fn decode_piece(&mut self, payload: &[u8], out: &mut [i16], low: impl Fn(u8) -> i32) -> usize {
        let count = payload.len().min(out.len() / 2);
        let (mut even, mut odd) = ([0; TAPS - 1 + PIECE], [0; TAPS - 1 + PIECE]);
        even[..TAPS - 1].copy_from_slice(&self.past.even);
        odd[..TAPS - 1].copy_from_slice(&self.past.odd);
        for (at, &code) in payload[..count].iter().enumerate() {
            let low = (self.low.s + ((self.low.det * low(code)) >> 15)).clamp(-16384, 16383);
            self.low.follow_low(usize::from(code >> 2));
            let high = self.high.follow_high(usize::from(code >> 6));
            // Both bands have 15 bits, so that sum and difference have 16.
            (even[TAPS - 1 + at], odd[TAPS - 1 + at]) = ((low + high) as i16, (low - high) as i16);
        }
        for (at, pair) in out.chunks_exact_mut(2).take(count).enumerate() {
            pair[0] = saturate(dot(&BACKWARDS, &odd[at..at + TAPS]) >> 11) as i16;
            pair[1] = saturate(dot(&FILTER, &even[at..at + TAPS]) >> 11) as i16;
        }
        self.past.even.copy_from_slice(&even[count..count + TAPS - 1]);
        self.past.odd.copy_from_slice(&odd[count..count + TAPS - 1]);
        2 * count
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::audio::goertzel;

    fn there_and_back(signal: &[i16], piece: usize) -> Vec<i16> {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let mut heard = Vec::new();
        for samples in signal.chunks(piece) {
            let mut bytes = vec![0; samples.len() / 2];
            assert_eq!(encoder.encode(samples, &mut bytes), bytes.len());
            let mut out = vec![0; samples.len()];
            assert_eq!(decoder.decode(&bytes, &mut out), samples.len());
            heard.extend(out);
        }
        heard
    }

    #[test]
    fn tones_up_to_seven_kilohertz_come_back_as_loud_as_they_went() {
        for frequency in [100.0, 1000.0, 3500.0, 4500.0, 6500.0] {
            let tone: Vec<i16> =
                (0..16_000).map(|n| (8000.0 * (TAU * frequency * f64::from(n) / 16_000.0).sin()) as i16).collect();
            let heard = there_and_back(&tone, 320);
            let power = goertzel::power(&heard[1600..], frequency, 16_000) / 8000.0_f64.powi(2) * 2.0;
            assert!((0.85..1.15).contains(&power), "{frequency} Hz: {power}");
        }
    }

    #[test]
    fn pieces_of_any_length_give_the_same_as_the_whole() {
        let tone: Vec<i16> = (0..3200).map(|n| (9000.0 * (TAU * 0.03 * f64::from(n)).sin()) as i16).collect();
        let whole = there_and_back(&tone, 3200);
        for piece in [2, 160, 322, 960] {
            assert_eq!(there_and_back(&tone, piece), whole, "{piece}");
        }
    }

    #[test]
    fn nothing_that_comes_makes_it_overflow() {
        let mut decoder = Decoder::new();
        let mut seed = 1_u32;
        let mut out = [0; 2];
        for n in 0..200_000_u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let code = if n % 9000 < 3000 { [0x20, 0xdf][n as usize / 50 % 2] } else { (seed >> 24) as u8 };
            decoder.decode(&[code], &mut out);
        }
        let mut encoder = Encoder::new();
        for n in 0..20_000 {
            encoder.encode(&[[i16::MAX; 2], [i16::MIN; 2], [i16::MAX, i16::MIN]][n / 7 % 3], &mut [0]);
        }
        assert_eq!(encoder.encode(&[1], &mut [0]), 0, "half a pair");
        assert_eq!(decoder.decode(&[0; 4], &mut out), 2);
    }
}
