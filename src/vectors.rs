//! Tests against reference data that is not part of this project: the ITU's test sequences, byte for byte.
//!
//! `SWITCHHOOK_VECTORS` names the folder that holds them (`g711/sweep.src` and its kin). Where it is not set, these
//! tests say that they were left out.

use std::{fs, path::PathBuf};

use crate::audio::{g711, g722};

/// The bytes of a file, or nothing where no folder is named.
fn bytes(file: &str) -> Option<Vec<u8>> {
    let Some(folder) = std::env::var_os("SWITCHHOOK_VECTORS") else {
        eprintln!("left out: SWITCHHOOK_VECTORS is not set");
        return None;
    };
    let path = PathBuf::from(folder).join(file);
    Some(fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display())))
}

/// Its 16-bit little-endian words.
fn words(file: &str) -> Option<Vec<i16>> {
    Some(bytes(file)?.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect())
}

type Encode = fn(&[i16], &mut [u8]) -> usize;
type Decode = fn(&[u8], &mut [i16]) -> usize;

fn check_law(codes: &str, decoded: &str, encode: Encode, decode: Decode) {
    let (Some(source), Some(codes), Some(decoded)) = (words("g711/sweep.src"), words(codes), words(decoded)) else {
        return;
    };
    assert_eq!(source.len(), 65_536, "the sweep holds every sample there is");
    let codes: Vec<u8> = codes.into_iter().map(|word| word as u8).collect();
    let mut ours = vec![0; source.len()];
    assert_eq!(encode(&source, &mut ours), source.len());
    assert!(ours == codes, "first difference at {:?}", ours.iter().zip(&codes).position(|(a, b)| a != b));
    let mut back = vec![0; codes.len()];
    assert_eq!(decode(&codes, &mut back), codes.len());
    assert!(back == decoded, "first difference at {:?}", back.iter().zip(&decoded).position(|(a, b)| a != b));
}

#[test]
fn alaw_is_bit_exact_with_the_itu_sweep() {
    check_law("g711/sweep-r.a", "g711/sweep-r.rea", g711::encode_alaw, g711::decode_alaw);
}

#[test]
fn ulaw_is_bit_exact_with_the_itu_sweep() {
    check_law("g711/sweep-r.u", "g711/sweep-r.reu", g711::encode_ulaw, g711::decode_ulaw);
}

#[test]
fn g722_is_bit_exact_with_the_itu_sequences_in_all_three_modes() {
    let (Some(source), Some(codes)) = (words("g722/inpsp.bin"), bytes("g722/codsp.cod")) else { return };
    // Two codes a word, the first in its high byte.
    let codes: Vec<u8> = codes.chunks_exact(2).flat_map(|word| [word[1], word[0]]).collect();
    let mut ours = vec![0; source.len() / 2];
    assert_eq!(g722::Encoder::new().encode(&source, &mut ours), codes.len());
    assert!(ours == codes, "first difference at {:?}", ours.iter().zip(&codes).position(|(a, b)| a != b));
    for (bits, file) in [(0, "g722/outsp1.bin"), (1, "g722/outsp2.bin"), (2, "g722/outsp3.bin")] {
        let decoded = words(file).expect("the folder is there");
        let mut back = vec![0; decoded.len()];
        assert_eq!(g722::Decoder::new().decode_dropping(bits, &codes, &mut back), back.len());
        assert!(back == decoded, "{file}: {:?}", back.iter().zip(&decoded).position(|(a, b)| a != b));
    }
}
