//! Packets on the wire that are longer than the other party takes: ffmpeg sends 60 ms, a SIPp phone takes 20.

use std::process::Command;

use serde_json::json;
use switchhook::audio::g711;

use crate::{
    comfort::Line,
    command_line::{seconds_of, tone},
    endings::Bench,
    records::get,
    sipp::{numbers, passes, phone},
    support::{Process, breathe},
};

#[test]
fn packets_of_60_ms_reach_a_phone_that_takes_20_in_packets_of_20() {
    let folder = tempfile::tempdir().unwrap();
    let (caller, called) = (Line::free(), Line::free());
    let listening = called.listen();
    // Without events for keys their tones would be listened for, and all be decoded anyway.
    let plain = "0 101\r\na=rtpmap:101 telephone-event/8000";
    let short = format!("{plain}\r\na=ptime:20\r\na=maxptime:20");
    let more = ["-m", "1", "-key", "audio", &called.port.to_string(), "-key", "formats", &short];
    let (taker, address, _) = phone(folder.path(), "uas_rtp", &more);
    let script = format!("local peer = assert(call:dial{{'sip:bob@{address}'}}) call:bridge(peer)");
    let bench = Bench::new(&numbers(&[("100", "a.lua")]), &[("a.lua", &script)]);
    let call = caller.call(&bench.server, folder.path(), plain);
    let to = caller.told(&bench.server, folder.path());
    let file = folder.path().join("tone.wav");
    tone(&file, 600.0, 8000, 3);
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-nostdin", "-re", "-i"]).arg(&file);
    command.args(["-af", "asetnsamples=n=480", "-c:a", "pcm_mulaw", "-f", "rtp"]);
    command.arg(format!("rtp://127.0.0.1:{to}?localrtpport={}&pkt_size=492", caller.port));
    let sender = Process::start(command);
    let line = bench.server.wait_for("packed anew");
    assert!(line.contains("its packets of 60 ms") && line.contains("takes 20 ms at most"), "{line}");
    sender.finish();
    breathe(bench.server.sip);
    let live = get(&bench.at, &bench.key, "/v1/calls?live=true");
    let own = live["calls"].as_array().unwrap().iter().find(|call| call["direction"] == "inbound").expect("it lives");
    bench.steer(own["id"].as_str().unwrap(), "hangup", &json!({}));
    passes(call, folder.path());
    passes(taker, folder.path());
    let packets = listening.stop();
    let sizes: Vec<usize> = packets.iter().map(|(_, _, payload)| payload.len()).collect();
    assert!(sizes.len() > 120 && sizes.iter().all(|size| *size == 160), "{sizes:?}");
    let coded: Vec<u8> = packets.into_iter().flat_map(|(_, _, payload)| payload).collect();
    let mut samples = vec![0; coded.len()];
    g711::decode_ulaw(&coded, &mut samples);
    let heard = seconds_of(&samples, 600.0);
    assert!((2.6..=3.1).contains(&heard), "{heard} s");
}
