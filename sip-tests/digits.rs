//! Keys that come as tones in the audio, made by sox and sent by ffmpeg in three codecs; and keys that are turned from one
//! form into another between two real phones.

use std::{path::Path, process::Command};

use switchhook::audio::{dtmf, g711};

use crate::{
    baresip::Phone,
    comfort::{Line, Packet},
    command_line::tone,
    sipp::{numbers, passes, phone},
    support::{Process, Server, breathe},
};

const ROWS: [(&str, u32); 4] = [("123A", 697), ("456B", 770), ("789C", 852), ("*0#D", 941)];
const COLUMNS: [u32; 4] = [1209, 1336, 1477, 1633];

/// These keys as tones of 100 ms with pauses of 100 ms, made by sox; half a second of silence before, three after.
fn sounded(folder: &Path, keys: &str) -> std::path::PathBuf {
    let run = |command: &mut Command| assert!(command.status().expect("sox is installed").success(), "{command:?}");
    let mut all = Command::new("sox");
    for (at, key) in keys.chars().enumerate() {
        let (row, column) = ROWS.iter().find_map(|(row, low)| Some((low, row.find(key)?))).expect("a key");
        let file = folder.join(format!("key{at}.wav"));
        let mut make = Command::new("sox");
        make.args(["-n", "-r", "16000", "-b", "16"]).arg(&file);
        make.args(["synth", "0.1", "sine", &row.to_string(), "sine", &COLUMNS[column].to_string()]);
        run(make.args(["remix", "1,2", "gain", "-9", "pad", "0.05", "0.05"]));
        all.arg(file);
    }
    let together = folder.join("keys.wav");
    run(all.arg(&together).args(["pad", "0.5", "3"]));
    together
}

/// ffmpeg sends `file` in real time, from `line`'s port to `to`.
fn sends(file: &Path, codec: &[&str], line: u16, to: u16) -> Process {
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-nostdin", "-re", "-i"]).arg(file).args(["-ac", "1"]).args(codec);
    command.args(["-f", "rtp", &format!("rtp://127.0.0.1:{to}?localrtpport={line}&pkt_size=172")]);
    Process::start(command)
}

#[test]
fn tones_that_ffmpeg_sends_in_three_codecs_are_heard_as_keys_once_each() {
    let script = "call:answer() vars.keys = call:gather{max = 9, first_timeout = 30, timeout = 2, terminators = ''}";
    let codecs: [(&str, &str, &[&str]); 3] = [
        ("0", "PCMU", &["-ar", "8000", "-c:a", "pcm_mulaw"]),
        ("9", "G722", &["-ar", "16000", "-c:a", "g722"]),
        ("111", "opus", &["-ar", "48000", "-c:a", "libopus", "-b:a", "32k", "-payload_type", "111"]),
    ];
    for (number, name, codec) in codecs {
        let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", script)]);
        let folder = server.folder.path().to_owned();
        let file = sounded(&folder, "159*0#D22");
        let line = Line::free();
        let call = line.call(&server, &folder, number);
        let sender = sends(&file, codec, line.port, line.told(&server, &folder));
        let record = server.wait_for_records(1).remove(0);
        assert_eq!(record["vars"]["keys"], "159*0#D22", "{name}: {record:#}");
        assert_eq!(record["codec"], name, "{record:#}");
        drop(sender);
        passes(call, &folder);
        server.wait_until_idle();
    }
}

/// The keys that are heard in these packets, all of them PCMU.
pub fn keys_in(packets: Vec<Packet>) -> String {
    assert!(packets.iter().all(|(_, header, _)| header.payload_type == 0));
    let coded: Vec<u8> = packets.into_iter().flat_map(|(_, _, payload)| payload).collect();
    let mut samples = vec![0; coded.len()];
    g711::decode_ulaw(&coded, &mut samples);
    let mut keys = String::new();
    dtmf::Detector::new(8000).handle(&samples, |key| keys.push(key));
    keys
}

fn bridge_to(address: &str) -> String {
    format!(
        "local peer, why = call:dial{{'sip:bob@{address}', timeout = 20}}\nif not peer then error(why) end\n\
         call:bridge(peer)\n"
    )
}

/// A baresip that answers by itself.
fn answering(folder: &Path) -> Phone {
    tone(&folder.join("speak.wav"), 350.0, 8000, 120);
    let account = "<sip:bob@127.0.0.1>;regint=0;answermode=auto";
    Phone::with_account(folder, &folder.join("speak.wav"), account)
}

/// A baresip that calls the phone at this address through a server.
fn anna_calls(folder: &Path, address: &str) -> (Server, Phone) {
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &bridge_to(address))]);
    tone(&folder.join("speak.wav"), 350.0, 8000, 120);
    let mut anna = Phone::with_account(folder, &folder.join("speak.wav"), "<sip:anna@127.0.0.1>;regint=0");
    anna.dial(&format!("sip:100@{}", server.sip));
    // Nobody presses a key in the moment of the answer, when the two are not joined yet.
    (0..25).for_each(|_| breathe(server.sip));
    (server, anna)
}

#[test]
fn tones_of_one_phone_are_events_for_baresip() {
    let bobs = tempfile::tempdir().unwrap();
    let mut bob = answering(bobs.path());
    let script = bridge_to(&format!("127.0.0.1:{}", bob.sip));
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &script)]);
    let folder = server.folder.path().to_owned();
    let file = sounded(&folder, "159*0#22");
    let line = Line::free();
    let call = line.call(&server, &folder, "0");
    let to = line.told(&server, &folder);
    bob.wait_for_event("CALL_ESTABLISHED");
    let sender = sends(&file, &["-ar", "8000", "-c:a", "pcm_mulaw"], line.port, to);
    assert_eq!(bob.wait_for_keys(8), "159*0#22");
    bob.tell("hangup", "");
    drop(sender);
    passes(call, &folder);
    server.wait_until_idle();
}

#[test]
fn events_of_baresip_are_tones_for_a_phone_that_knows_no_events() {
    let folder = tempfile::tempdir().unwrap();
    let line = Line::free();
    let listening = line.listen();
    let more = ["-m", "1", "-key", "audio", &line.port.to_string(), "-key", "formats", "0"];
    let (called, address, _) = phone(folder.path(), "uas_rtp", &more);
    let annas = tempfile::tempdir().unwrap();
    let (server, mut anna) = anna_calls(annas.path(), &address.to_string());
    "17*3".chars().for_each(|key| anna.press(key));
    (0..25).for_each(|_| breathe(server.sip));
    anna.tell("hangup", "");
    passes(called, folder.path());
    assert_eq!(keys_in(listening.stop()), "17*3");
    server.wait_until_idle();
}

#[test]
fn events_of_baresip_are_info_for_a_phone_that_says_keys_so_and_its_info_is_an_event_for_baresip() {
    let folder = tempfile::tempdir().unwrap();
    let line = Line::free();
    let listening = line.listen();
    let more = ["-m", "1", "-key", "audio", &line.port.to_string(), "-key", "formats", "0"];
    let (called, address, _) = phone(folder.path(), "uas_info", &more);
    let annas = tempfile::tempdir().unwrap();
    let (server, mut anna) = anna_calls(annas.path(), &address.to_string());
    assert_eq!(anna.wait_for_keys(1), "4");
    anna.press('7');
    anna.wait_for_event("CALL_CLOSED");
    passes(called, folder.path());
    assert_eq!(keys_in(listening.stop()), "", "it is told once: by INFO");
    server.wait_until_idle();
}

#[test]
fn an_info_is_a_tone_for_a_phone_that_knows_neither_events_nor_info_and_its_tones_are_info() {
    let folder = tempfile::tempdir().unwrap();
    let (line, bobs) = (Line::free(), Line::free());
    let more = ["-m", "1", "-key", "audio", &bobs.port.to_string(), "-key", "formats", "0"];
    let (called, address, _) = phone(folder.path(), "uas_info", &more);
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &bridge_to(&address.to_string()))]);
    let annas = server.folder.path().to_owned();
    let listening = line.listen();
    let call = line.call(&server, &annas, "0");
    let to = line.told(&server, &annas);
    (0..100).for_each(|_| breathe(server.sip));
    assert_eq!(keys_in(listening.stop()), "4");
    let sender = sends(&sounded(&annas, "7"), &["-ar", "8000", "-c:a", "pcm_mulaw"], line.port, to);
    passes(called, folder.path());
    passes(call, &annas);
    drop(sender);
    server.wait_until_idle();
}
