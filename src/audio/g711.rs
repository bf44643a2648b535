//! G.711: A-law and µ-law, bit-exact with the ITU's own test data (G.191).
//!
//! Both laws are tables, made when the program is compiled: 256 samples to decode, and one code for each magnitude
//! (11 bits for A-law, 13 bits for µ-law) to encode. A-law codes have their even bits inverted, as they are sent.
//! A negative sample's magnitude is its ones' complement, as in G.191; that is what makes the sweep match at each edge.

const ALAW_DECODED: [i16; 256] = alaw_decoded();
const ULAW_DECODED: [i16; 256] = ulaw_decoded();
static ALAW_CODES: [u8; 2048] = alaw_codes();
static ULAW_CODES: [u8; 8192] = ulaw_codes();

/// A-law to linear. Returns how many samples were written (the shorter of the two lengths).
pub fn decode_alaw(payload: &[u8], out: &mut [i16]) -> usize {
    decode(&ALAW_DECODED, payload, out)
}

/// µ-law to linear. Returns how many samples were written (the shorter of the two lengths).
pub fn decode_ulaw(payload: &[u8], out: &mut [i16]) -> usize {
    decode(&ULAW_DECODED, payload, out)
}

/// Linear to A-law. Returns how many bytes were written (the shorter of the two lengths).
pub fn encode_alaw(samples: &[i16], out: &mut [u8]) -> usize {
    for (code, &sample) in out.iter_mut().zip(samples) {
        let sign = if sample < 0 { 0 } else { 0x80 };
        // The mask changes nothing; it shows the compiler that the index is in range.
        *code = ALAW_CODES[(magnitude(sample) >> 4) & 2047] ^ sign;
    }
    samples.len().min(out.len())
}

/// Linear to µ-law. Returns how many bytes were written (the shorter of the two lengths).
pub fn encode_ulaw(samples: &[i16], out: &mut [u8]) -> usize {
    for (code, &sample) in out.iter_mut().zip(samples) {
        let sign = if sample < 0 { 0 } else { 0x80 };
        *code = ULAW_CODES[(magnitude(sample) >> 2) & 8191] ^ sign;
    }
    samples.len().min(out.len())
}

fn decode(table: &[i16; 256], payload: &[u8], out: &mut [i16]) -> usize {
    for (sample, &code) in out.iter_mut().zip(payload) {
        *sample = table[usize::from(code)];
    }
    payload.len().min(out.len())
}

/// 15 bits: the sample, or its ones' complement where it is negative.
fn magnitude(sample: i16) -> usize {
    usize::from((sample ^ (sample >> 15)) as u16)
}

/// Codes of negative samples; the sign bit is set for the others.
const fn alaw_codes() -> [u8; 2048] {
    let mut codes = [0; 2048];
    let mut at = 0;
    while at < codes.len() {
        let mut mantissa = at;
        let mut exponent = 0;
        if mantissa > 15 {
            exponent = 1;
            while mantissa > 31 {
                mantissa >>= 1;
                exponent += 1;
            }
            mantissa -= 16;
        }
        codes[at] = ((exponent << 4 | mantissa) as u8) ^ 0x55;
        at += 1;
    }
    codes
}

/// Codes of negative samples; the sign bit is set for the others.
const fn ulaw_codes() -> [u8; 8192] {
    const BIAS: usize = 33;
    let mut codes = [0; 8192];
    let mut at = 0;
    while at < codes.len() {
        let biased = if at + BIAS > 0x1FFF { 0x1FFF } else { at + BIAS };
        let mut segment = 0;
        while biased >> (segment + 6) != 0 {
            segment += 1;
        }
        let step = (biased >> (segment + 1)) & 15;
        codes[at] = !((segment << 4 | step) as u8) & 0x7F;
        at += 1;
    }
    codes
}

const fn alaw_decoded() -> [i16; 256] {
    let mut samples = [0; 256];
    let mut code = 0;
    while code < 256 {
        let plain = code ^ 0x55;
        let exponent = (plain >> 4) & 7;
        let mantissa = plain & 15;
        // The middle of the step.
        let level = if exponent == 0 { (mantissa << 4) + 8 } else { (((mantissa + 16) << 4) + 8) << (exponent - 1) };
        samples[code as usize] = if code & 0x80 != 0 { level as i16 } else { -level as i16 };
        code += 1;
    }
    samples
}

const fn ulaw_decoded() -> [i16; 256] {
    let mut samples = [0; 256];
    let mut code: i32 = 0;
    while code < 256 {
        let plain = !code;
        let exponent = (plain >> 4) & 7;
        let mantissa = plain & 15;
        let level = (((mantissa << 3) + 0x84) << exponent) - 0x84;
        samples[code as usize] = if code & 0x80 != 0 { level as i16 } else { -level as i16 };
        code += 1;
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_codes_stand_for_silence_and_for_the_loudest_samples() {
        let mut code = [0; 3];
        assert_eq!(encode_ulaw(&[0, i16::MAX, i16::MIN], &mut code), 3);
        assert_eq!(code, [0xFF, 0x80, 0x00]);
        assert_eq!(encode_alaw(&[0, i16::MAX, i16::MIN], &mut code), 3);
        assert_eq!(code, [0xD5, 0xAA, 0x2A]);
    }

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        let codes: Vec<u8> = (0..=255).collect();
        let (mut samples, mut again) = ([0; 256], [0; 256]);
        decode_alaw(&codes, &mut samples);
        encode_alaw(&samples, &mut again);
        assert_eq!(again.as_slice(), codes);
        decode_ulaw(&codes, &mut samples);
        encode_ulaw(&samples, &mut again);
        // µ-law has two zeros; the negative one comes back as the positive.
        let expected: Vec<u8> = codes.iter().map(|&c| if c == 0x7F { 0xFF } else { c }).collect();
        assert_eq!(again.as_slice(), expected);
    }

    #[test]
    fn coding_error_stays_below_one_part_in_sixteen() {
        for sample in i16::MIN..=i16::MAX {
            for (encode, decode, floor) in [
                (encode_alaw as fn(&[i16], &mut [u8]) -> usize, decode_alaw as fn(&[u8], &mut [i16]) -> usize, 16),
                (encode_ulaw, decode_ulaw, 8),
            ] {
                let (mut code, mut back) = ([0], [0]);
                encode(&[sample], &mut code);
                decode(&code, &mut back);
                let error = (i32::from(sample) - i32::from(back[0])).abs();
                assert!(error <= floor + i32::from(sample).abs() / 16, "{sample} became {}", back[0]);
            }
        }
    }

    #[test]
    fn the_shorter_slice_decides_how_much_is_coded() {
        let mut out = [7; 4];
        assert_eq!(decode_alaw(&[0xD5; 2], &mut out), 2);
        assert_eq!(out, [8, 8, 7, 7]);
        assert_eq!(encode_ulaw(&[0; 9], &mut [0; 3]), 3);
    }
}
