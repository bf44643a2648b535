//! A play that is steered, as a baresip phone hears it; and two files without a gap, on the wire and in the recording.

use std::{f64::consts::TAU, fs, path::Path};

use switchhook::audio::{g711, wav};

use crate::{
    baresip::{Phone, heard},
    comfort::Line,
    command_line::{seconds_of, tone},
    sipp::{numbers, passes},
    support::{Server, breathe, read_wav},
};

/// Samples at 8 kHz of the sine of this frequency, from its sample `from` on.
fn sine(frequency: f64, from: usize, count: usize) -> Vec<i16> {
    (from..from + count).map(|n| (8000.0 * (TAU * frequency * n as f64 / 8000.0).sin()) as i16).collect()
}

fn write_wav(file: &Path, samples: &[i16]) {
    let mut bytes = wav::header(1, 8000, samples.len() as u64).to_vec();
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    fs::write(file, bytes).unwrap();
}

/// The first and the last frame of 20 ms with the tone, and how loud it is in the middle of those that have it.
fn range(samples: &[i16], frequency: f64) -> (usize, usize, f64) {
    let frames: Vec<usize> =
        (0..samples.len() / 160).filter(|at| seconds_of(&samples[at * 160..(at + 1) * 160], frequency) > 0.0).collect();
    let level = |at: usize| {
        let frame = &samples[at * 160..(at + 1) * 160];
        (frame.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 160.0).sqrt()
    };
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else { panic!("no {frequency} Hz") };
    (*first, *last, level(frames[frames.len() / 2]))
}

#[test]
fn a_ladder_of_tones_is_paused_sought_and_made_quieter_for_a_phone() {
    let script = "call:answer() call:sleep(1)
        local playing = call:play('ladder.wav', {wait = false})
        call:sleep(1.5)
        vars.paused = playing:pause()
        call:sleep(1.5)
        vars.resumed = playing:resume()
        call:sleep(1)
        vars.sought = playing:seek(4)
        call:sleep(0.5)
        vars.quieter = playing:volume(-20)
        call:sleep(2.5)
        vars.over = select(2, playing:position())";
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", script)]);
    // A second each; the fourth is never heard.
    let ladder = [500.0, 700.0, 900.0, 1100.0, 1300.0, 1500.0];
    let steps: Vec<i16> = ladder.iter().flat_map(|frequency| sine(*frequency, 0, 8000)).collect();
    write_wav(&server.path("prompts/ladder.wav"), &steps);
    let folder = tempfile::tempdir().unwrap();
    tone(&folder.path().join("speak.wav"), 350.0, 8000, 120);
    let account = "<sip:baresip@127.0.0.1>;regint=0";
    let mut phone = Phone::with_account(folder.path(), &folder.path().join("speak.wav"), account);
    phone.dial(&format!("sip:100@{}", server.sip));
    phone.wait_for_event("CALL_CLOSED");
    // It closes its file a moment after it has told the end.
    (0..25).for_each(|_| breathe(server.sip));
    let record = server.wait_for_records(1).remove(0);
    let at = |name: &str| -> f64 { record["vars"][name].as_str().unwrap().parse().unwrap() };
    let paused = at("paused");
    assert!((1.4..1.8).contains(&paused) && (at("resumed") - paused).abs() < 0.021, "{record:#}");
    assert!((at("sought") - 4.0).abs() < 0.021 && (4.4..4.8).contains(&at("quieter")), "{record:#}");
    assert_eq!(record["vars"]["over"], "wrong_state", "{record:#}");
    let samples = read_wav(&heard(folder.path())).0.remove(0);
    let seconds = ladder.map(|frequency| seconds_of(&samples, frequency));
    for (at, expected) in [(0, 1.0), (1, 1.0), (2, 0.5), (4, 1.0), (5, 1.0)] {
        assert!((seconds[at] - expected).abs() < 0.3, "{} Hz: {seconds:?}", ladder[at]);
    }
    assert_eq!(seconds[3], 0.0, "it was left out");
    let [first, second, third, _, fifth, sixth] =
        ladder.map(|frequency| if frequency == 1100.0 { (0, 0, 0.0) } else { range(&samples, frequency) });
    assert!(first.1 <= second.0 && second.1 <= third.0 && third.1 <= fifth.0 && fifth.1 <= sixth.0, "in this order");
    let pause = (second.1 - second.0 + 1) as f64 * 0.02 - seconds[1];
    assert!((1.2..2.0).contains(&pause), "paused for {pause} s");
    let quieter = 20.0 * (third.2 / sixth.2).log10();
    assert!((18.0..22.0).contains(&quieter), "quieter by {quieter} dB");
}

/// By how much the sine of 1000 Hz in these samples is further from itself than it should be, at most: from its first to
/// its last sample, of which there are so many.
fn broken(samples: &[i16]) -> (i32, usize) {
    let first = samples.iter().position(|s| s.unsigned_abs() > 1000).expect("the tone begins");
    let last = samples.iter().rposition(|s| s.unsigned_abs() > 1000).expect("the tone ends");
    let of = |x: &[i16]| (f64::from(x[0]) + f64::from(x[2]) - 2.0_f64.sqrt() * f64::from(x[1])).abs() as i32;
    (samples[first..=last].windows(3).map(of).max().unwrap_or(0), last - first)
}

#[test]
fn two_files_are_joined_to_the_sample_on_the_wire_and_in_the_recording() {
    let script = "call:answer()
        local recording = call:record{file = 'both', stereo = true}
        call:play({'one.wav', 'two.wav'})
        recording:stop()";
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", script)]);
    // One tone in two files, whose border lies in no frame's beginning.
    let whole = sine(1000.0, 0, 16_000);
    write_wav(&server.path("prompts/one.wav"), &whole[..8123]);
    write_wav(&server.path("prompts/two.wav"), &whole[8123..]);
    let gap = [&whole[..8122], &whole[8123..]].concat();
    assert!(broken(&whole).0 < 10 && broken(&gap).0 > 2000, "one sample less is seen: {:?}", broken(&gap));
    let folder = server.folder.path().to_owned();
    let line = Line::free();
    let listening = line.listen();
    passes(line.call(&server, &folder, "0"), &folder);
    let (channels, rate) = read_wav(&server.path("recordings/both.wav"));
    assert_eq!(rate, 8000);
    let (step, length) = broken(&channels[1]);
    assert!(step < 10 && length.abs_diff(16_000) < 8, "recorded: {step}, {length} samples");
    let packets = listening.stop();
    assert!(packets.windows(2).all(|pair| pair[1].1.sequence == pair[0].1.sequence.wrapping_add(1)));
    let coded: Vec<u8> = packets.into_iter().flat_map(|(_, _, payload)| payload).collect();
    let mut samples = vec![0; coded.len()];
    g711::decode_ulaw(&coded, &mut samples);
    let (step, length) = broken(&samples);
    // G.711 is coarse by 256 at most there.
    assert!(step < 1000 && length.abs_diff(16_000) < 8, "sent: {step}, {length} samples");
    server.wait_until_idle();
}
