//! L16: linear samples, big-endian (RFC 3551 section 4.5.11).

/// Samples to bytes. Returns how many bytes were written: two a sample, or as many as fit.
pub fn encode(samples: &[i16], out: &mut [u8]) -> usize {
    for (bytes, sample) in out.chunks_exact_mut(2).zip(samples) {
        bytes.copy_from_slice(&sample.to_be_bytes());
    }
    2 * samples.len().min(out.len() / 2)
}

/// Bytes to samples. Returns how many samples were written; an odd byte is left out.
pub fn decode(payload: &[u8], out: &mut [i16]) -> usize {
    for (sample, bytes) in out.iter_mut().zip(payload.chunks_exact(2)) {
        *sample = i16::from_be_bytes([bytes[0], bytes[1]]);
    }
    out.len().min(payload.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_sent_high_byte_first_and_come_back() {
        let mut bytes = [0; 5];
        assert_eq!(encode(&[0x0102, -2, 7], &mut bytes), 4);
        assert_eq!(bytes, [1, 2, 0xff, 0xfe, 0]);
        let mut samples = [0; 3];
        assert_eq!(decode(&bytes, &mut samples), 2);
        assert_eq!(samples, [0x0102, -2, 0]);
    }
}
