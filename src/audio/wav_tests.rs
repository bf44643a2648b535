use std::{f64::consts::TAU, io::Cursor};

use hound::{SampleFormat, WavSpec, WavWriter};
use proptest::prelude::*;

use super::*;
use crate::audio::{RATE, goertzel};

/// At 8,000 Hz.
fn decode(bytes: &[u8]) -> Result<Vec<i16>, WavError> {
    super::decode(bytes, Rate::Narrow).map(|(_, samples)| samples)
}

const RATES: [u32; 7] = [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000];
const FULL_SCALE: f64 = 0.5;

/// A sine of half the full scale, as `-1.0..1.0`.
fn sine(rate: u32, frequency: f64, seconds: f64) -> Vec<f64> {
    let count = (f64::from(rate) * seconds) as usize;
    (0..count).map(|n| FULL_SCALE * (TAU * frequency * n as f64 / f64::from(rate)).sin()).collect()
}

/// A file as another program writes it: all channels alike.
fn written(rate: u32, channels: u16, bits: u16, format: SampleFormat, samples: &[f64]) -> Vec<u8> {
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: format };
    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    for &sample in samples {
        for _ in 0..channels {
            match format {
                SampleFormat::Float => writer.write_sample(sample as f32).unwrap(),
                SampleFormat::Int => {
                    writer.write_sample((sample * f64::from(1_u32 << (bits - 1))).round() as i32).unwrap();
                }
            }
        }
    }
    writer.finalize().unwrap();
    file.into_inner()
}

/// A file of any format tag, chunk by chunk.
fn raw(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let frame = channels.saturating_mul(bits / 8);
    let mut file = b"RIFF\0\0\0\0WAVEfmt ".to_vec();
    file.extend(18_u32.to_le_bytes());
    file.extend([tag.to_le_bytes(), channels.to_le_bytes()].concat());
    file.extend([rate.to_le_bytes(), rate.wrapping_mul(frame.into()).to_le_bytes()].concat());
    file.extend([frame.to_le_bytes(), bits.to_le_bytes(), [0, 0]].concat());
    // A chunk of odd length that nobody knows.
    file.extend(b"LIST\x03\0\0\0abc\0data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

/// How far the level of `frequency` is from that of the source, in dB.
fn off_by(samples: &[i16], frequency: f64) -> f64 {
    let expected = (FULL_SCALE * 32_768.0).powi(2) / 2.0;
    10.0 * (goertzel::power(samples, frequency, RATE) / expected).log10()
}

/// The middle of a sound: the ends of a filtered sine ring.
fn middle(samples: &[i16]) -> &[i16] {
    &samples[800..samples.len() - 800]
}

#[test]
fn every_rate_width_and_channel_count_keeps_a_tone_at_its_frequency_and_level() {
    let int = SampleFormat::Int;
    for rate in RATES {
        for channels in [1, 2] {
            for (bits, format) in [(8, int), (16, int), (24, int), (32, int), (32, SampleFormat::Float)] {
                let file = written(rate, channels, bits, format, &sine(rate, 1000.0, 0.6));
                let samples = decode(&file).unwrap();
                assert_eq!(samples.len(), 4800, "{rate} Hz");
                let off = off_by(middle(&samples), 1000.0);
                assert!(off.abs() < 0.1, "{rate} Hz, {channels} x {bits} bits: {off} dB");
                let rest = crate::audio::speech::rms(middle(&samples)).powi(2);
                let noise = rest - goertzel::power(middle(&samples), 1000.0, RATE);
                let distance = 10.0 * (rest / noise.max(1.0)).log10();
                assert!(distance > if bits == 8 { 38.0 } else { 60.0 }, "{rate} Hz, {bits} bits: {distance} dB");
            }
        }
    }
}

#[test]
fn both_laws_are_read_at_every_rate() {
    for rate in RATES {
        for (tag, encode) in [(ALAW, g711::encode_alaw as fn(&[i16], &mut [u8]) -> usize), (ULAW, g711::encode_ulaw)] {
            for channels in [1, 2] {
                let tone: Vec<i16> = sine(rate, 700.0, 0.6).iter().map(|s| (s * 32_768.0) as i16).collect();
                let frames: Vec<i16> = tone.iter().flat_map(|&s| vec![s; channels]).collect();
                let mut codes = vec![0; frames.len()];
                encode(&frames, &mut codes);
                let samples = decode(&raw(tag, channels as u16, rate, 8, &codes)).unwrap();
                let off = off_by(middle(&samples), 700.0);
                assert!(off.abs() < 0.1, "{rate} Hz, {channels} channels, format {tag}: {off} dB");
            }
        }
    }
}

#[test]
fn the_speech_band_keeps_its_level_and_what_lies_above_is_not_folded_into_it() {
    for rate in RATES.into_iter().filter(|&r| r > 8000) {
        for frequency in [100.0, 300.0, 2000.0, 3400.0, 3700.0] {
            let file = written(rate, 1, 16, SampleFormat::Int, &sine(rate, frequency, 0.6));
            let off = off_by(middle(&decode(&file).unwrap()), frequency);
            assert!(off.abs() < 0.5, "{frequency} Hz at {rate}: {off} dB");
        }
        for frequency in [4100.0, 4600.0, 5000.0, 7000.0] {
            if frequency < f64::from(rate) / 2.0 {
                let file = written(rate, 1, 16, SampleFormat::Int, &sine(rate, frequency, 0.6));
                let samples = decode(&file).unwrap();
                let left = 20.0 * (crate::audio::speech::rms(middle(&samples)).max(0.1) / 11_585.0).log10();
                assert!(left < -60.0, "{frequency} Hz at {rate}: {left} dB are left");
            }
        }
    }
}

#[test]
fn samples_at_8000_hz_come_through_untouched() {
    let samples: Vec<i16> = (0..1000).map(|n| (n * 977 % 65_536 - 32_768) as i16).collect();
    let mut file = header(1, 8000, samples.len() as u64).to_vec();
    file.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    assert_eq!(decode(&file).unwrap(), samples);
    assert!(hound::WavReader::new(Cursor::new(&file)).unwrap().into_samples::<i16>().map(Result::unwrap).eq(samples));
}

#[test]
fn opposite_channels_cancel_out_and_eight_are_mixed() {
    let opposite: Vec<u8> = (0..800).flat_map(|_| [5000_i16, -5000]).flat_map(i16::to_le_bytes).collect();
    assert!(decode(&raw(PCM, 2, 8000, 16, &opposite)).unwrap().iter().all(|&s| s == 0));
    let eight: Vec<u8> = (0..800).flat_map(|_| [8000_i16, 0, 0, 0, 0, 0, 0, 0]).flat_map(i16::to_le_bytes).collect();
    assert_eq!(decode(&raw(PCM, 8, 8000, 16, &eight)).unwrap(), vec![1000; 800]);
}

#[test]
fn a_sound_begins_and_ends_where_it_did_before() {
    for rate in RATES {
        // Silence, a burst, silence: its middle must stay in the middle.
        let mut samples = vec![0.0; rate as usize];
        let (from, to) = ((rate as usize) * 45 / 100, (rate as usize) * 55 / 100);
        for (n, sample) in samples[from..to].iter_mut().enumerate() {
            *sample = (TAU * 500.0 * n as f64 / f64::from(rate)).sin() * 0.5;
        }
        let made = decode(&written(rate, 1, 16, SampleFormat::Int, &samples)).unwrap();
        let loud = |s: &&i16| s.abs() > 3000;
        let first = made.iter().position(|s| loud(&s)).unwrap();
        let last = made.iter().rposition(|s| loud(&s)).unwrap();
        assert!((3595..3612).contains(&first) && (4388..4405).contains(&last), "{rate} Hz: {first} to {last}");
    }
}

#[test]
fn broken_files_are_refused_with_what_is_wrong_with_them() {
    let good = raw(PCM, 1, 8000, 16, &[0; 100]);
    assert_eq!(decode(&[]), Err(WavError::NotWav));
    assert_eq!(decode(b"ID3\x04 an MP3 file"), Err(WavError::NotWav));
    assert_eq!(decode(&good[..12]), Err(WavError::NoFormat));
    assert_eq!(decode(&good[..38]), Err(WavError::NoData));
    assert_eq!(decode(&good[..good.len() - 7]), Err(WavError::CutShort { missing: 7 }));
    assert_eq!(decode(&good[..30]), Err(WavError::CutShort { missing: 8 }));
    assert_eq!(decode(&raw(PCM, 0, 8000, 16, &[])), Err(WavError::Channels(0)));
    assert_eq!(decode(&raw(PCM, 9, 8000, 16, &[])), Err(WavError::Channels(9)));
    assert_eq!(decode(&raw(PCM, 1, 0, 16, &[])), Err(WavError::Rate(0)));
    assert_eq!(decode(&raw(PCM, 1, 200_000, 16, &[])), Err(WavError::Rate(200_000)));
    assert_eq!(decode(&raw(PCM, 1, 8000, 12, &[])), Err(WavError::Format { tag: PCM, bits: 12 }));
    assert_eq!(decode(&raw(0x55, 1, 8000, 16, &[])), Err(WavError::Format { tag: 0x55, bits: 16 }));
    assert_eq!(WavError::CutShort { missing: 7 }.to_string(), "the file is cut short: 7 bytes are missing at its end");
}

#[test]
fn too_long_sounds_and_too_large_files_are_refused() {
    let hour = vec![0; 4000 * 3602];
    assert_eq!(decode(&raw(ULAW, 1, 4000, 8, &hour)), Err(WavError::TooLong { seconds: 3602, most: 3600 }));
    assert_eq!(decode(&vec![0; LARGEST + 1]), Err(WavError::TooLarge(LARGEST + 1)));
}

#[test]
fn a_stream_of_unknown_length_is_read_to_its_end() {
    for unknown in [0, 0x7FFF_FFFF, u32::MAX] {
        let mut file = header(1, 8000, 0).to_vec();
        file[40..44].copy_from_slice(&unknown.to_le_bytes());
        file.extend([1, 0, 2, 0, 3]);
        assert_eq!(decode(&file).unwrap(), [1, 2], "an odd byte at the end is no sample");
    }
}

#[test]
fn floats_that_are_no_numbers_or_too_loud_do_no_harm() {
    let wild = [f32::NAN, f32::INFINITY, -7.0, 0.25];
    let data: Vec<u8> = wild.iter().flat_map(|s| s.to_le_bytes()).collect();
    assert_eq!(decode(&raw(FLOAT, 1, 8000, 32, &data)).unwrap(), [0, i16::MAX, i16::MIN, 8192]);
    let double: Vec<u8> = [0.25_f64, -0.25].iter().flat_map(|s| s.to_le_bytes()).collect();
    assert_eq!(decode(&raw(FLOAT, 1, 8000, 64, &double)).unwrap(), [8192, -8192]);
}

#[test]
fn heads_say_how_much_follows_and_stop_at_what_they_can_say() {
    let head = header(2, 8000, 100);
    assert_eq!(head[4..8], 436_u32.to_le_bytes());
    assert_eq!(head[40..44], 400_u32.to_le_bytes());
    assert_eq!(head[28..32], 32_000_u32.to_le_bytes());
    assert_eq!(header(2, 8000, u64::MAX)[40..44], [0xFF; 4]);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), tag in 0..9_u16,
        rate in any::<u32>(), channels in 0..10_u16, bits in 0..70_u16, cut in 0..400_usize)
    {
        let _ = decode(&bytes);
        let rate = if rate & 1 == 0 { rate % 200_000 } else { rate };
        let file = raw(tag, channels, rate, bits / 8 * 8, &bytes);
        let _ = decode(&file[..cut.min(file.len())]);
        let _ = decode(&file);
    }
}

#[test]
fn a_sound_keeps_what_its_rate_can_carry_up_to_the_rate_that_is_of_use() {
    for (rate, most, want, frequency) in [
        (8000, Rate::Full, Rate::Narrow, 3000.0),
        (11_025, Rate::Full, Rate::Wide, 5000.0),
        (16_000, Rate::Full, Rate::Wide, 7000.0),
        (22_050, Rate::Wide, Rate::Wide, 7000.0),
        (44_100, Rate::Wide, Rate::Wide, 7000.0),
        (44_100, Rate::Full, Rate::Full, 15_000.0),
        (48_000, Rate::Full, Rate::Full, 15_000.0),
        (96_000, Rate::Full, Rate::Full, 15_000.0),
        (48_000, Rate::Narrow, Rate::Narrow, 3000.0),
    ] {
        let file = written(rate, 1, 16, SampleFormat::Int, &sine(rate, frequency, 0.6));
        let (found, samples) = super::decode(&file, most).unwrap();
        assert_eq!(found, want, "{rate} Hz");
        assert_eq!(samples.len(), 4800 * want.scale(), "{rate} Hz");
        let inner = &samples[800 * want.scale()..samples.len() - 800 * want.scale()];
        let expected = (FULL_SCALE * 32_768.0).powi(2) / 2.0;
        let off = 10.0 * (goertzel::power(inner, frequency, want.hz()) / expected).log10();
        assert!(off.abs() < 0.5, "{frequency} Hz at {rate}, read at {found:?}: {off} dB");
    }
}
