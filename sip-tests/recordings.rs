//! Recordings that other people's programs can play, also when the server was killed while it wrote them.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    process::Command,
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde_json::{Value, json};

use crate::{
    comfort::Line,
    command_line::{run, tone},
    endings::Bench,
    records::{api, get, program},
    sipp::{caller, numbers, passes, phone, scenario},
    support::{PATIENCE, Server, breathe, signal},
};

/// What ffmpeg makes of a stereo file: left, what the party said, right, what it heard; at 8 kHz.
fn decoded(file: &std::path::Path) -> [Vec<i16>; 2] {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-i", file.to_str().unwrap(), "-f", "s16le", "-ac", "2", "-ar", "8000", "-"])
        .output()
        .expect("ffmpeg is installed: apt install ffmpeg");
    assert!(decoded.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&decoded.stderr));
    let sample = |at: usize| i16::from_le_bytes([decoded.stdout[at], decoded.stdout[at + 1]]);
    [0, 2].map(|first| (first..decoded.stdout.len() - 1).step_by(4).map(sample).collect())
}

/// The tone of `frequency` above all that is not it, in dB; both over the whole of the samples.
fn tone_to_rest(samples: &[i16], frequency: f64) -> f64 {
    let turn = std::f64::consts::TAU * frequency / 8000.0;
    let part = |of: fn(f64) -> f64| -> f64 {
        samples.iter().enumerate().map(|(n, s)| f64::from(*s) * of(turn * n as f64)).sum::<f64>() * 2.0
            / samples.len() as f64
    };
    let (cosine, sine) = (part(f64::cos), part(f64::sin));
    let rest = |(n, s): (usize, &i16)| {
        let at = turn * n as f64;
        (f64::from(*s) - cosine * at.cos() - sine * at.sin()).powi(2)
    };
    let noise: f64 = samples.iter().enumerate().map(rest).sum::<f64>() / samples.len() as f64;
    10.0 * ((cosine.powi(2) + sine.powi(2)) / 2.0 / noise.max(1e-9)).log10()
}

#[test]
fn ffmpeg_plays_all_three_formats_and_what_a_killed_server_left_of_them() {
    // How much of what ffmpeg hears may be something else: µ-law alone leaves 37 dB of a tone.
    thread::scope(|scope| {
        let formats = [("wav", 35.0), ("mp3", 20.0), ("ogg", 20.0)].map(|(format, clean)| {
            scope.spawn(move || [false, true].into_iter().for_each(|killed| is_played(format, killed, clean)))
        });
        formats.into_iter().for_each(|format| format.join().unwrap());
    });
}

fn is_played(format: &str, killed: bool, clean: f64) {
    let script = format!(
        "call:answer()
        call:record{{file = 'a', format = '{format}', stereo = true}}
        call:tone({{600}}, {{seconds = 3}})
        log('three seconds')
        call:tone({{600}}, {{seconds = {}}})",
        if killed { 30 } else { 1 }
    );
    let server = Server::start("[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n", &[("a.lua", &script)]);
    let folder = tempfile::tempdir().unwrap();
    let (uri, said) = (format!("sip:100@{}", server.sip), folder.path().join("said.wav"));
    tone(&said, 1000.0, 8000, 10);
    let call = ["call", &uri, "--play", said.to_str().unwrap()];
    let file = server.path(&format!("recordings/a.{format}"));
    if killed {
        thread::scope(|scope| {
            let phone = scope.spawn(|| run(folder.path(), &call));
            server.wait_for("three seconds");
            signal(server.pid(), "KILL");
            phone.join().unwrap();
        });
        let length = decoded(&file)[0].len() as f64 / 8000.0;
        assert!((1.9..=4.0).contains(&length), "{format}: {length} s after the kill");
    } else {
        run(folder.path(), &call);
        assert_eq!(server.wait_for_records(1)[0]["recordings"][0], format!("a.{format}"));
        let length = decoded(&file)[0].len() as f64 / 8000.0;
        assert!((3.9..=4.4).contains(&length), "{format}: {length} s");
    }
    let [said, heard] = decoded(&file).map(|channel| channel[4000..14_000].to_vec());
    let (said, heard) = (tone_to_rest(&said, 1000.0), tone_to_rest(&heard, 600.0));
    assert!(said > clean && heard > clean, "{format}: the party's tone {said:.1} dB, ours {heard:.1} dB");
}

/// Takes files, and tells the name of each and how long it is.
fn storage() -> (SocketAddr, Receiver<(String, usize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (told, files) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let head: Vec<String> = (&mut reader).lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
            let field =
                |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
            let mut body = vec![0; field("Content-Length: ").parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            if told.send((field("X-Recording: "), body.len())).is_err() {
                return;
            }
        }
    });
    (at, files)
}

#[test]
fn what_a_killed_server_recorded_is_uploaded_once_and_is_in_the_record_and_in_the_list() {
    let (storage, files) = storage();
    let upload = format!("[recording]\nupload = \"webhook\"\nupload_url = \"http://{storage}/\"\n");
    let conf = upload + &numbers(&[("100", "keep.lua")]);
    let script = "call:answer() call:record{file = 'left.wav'} call:tone({600}, {seconds = 60})";
    let mut bench = Bench::new(&conf, &[("keep.lua", script)]);
    let _peer = caller(bench.server.sip, bench.folder(), "100", &["-sn", "uac", "-m", "1", "-d", "60000"]);
    let file = bench.recording("left.wav");
    let live = get(&bench.at, &bench.key, "/v1/calls?live=true");
    let id = live["calls"][0]["id"].as_str().unwrap().to_owned();
    assert!(files.try_recv().is_err(), "not while it is recorded");
    bench.server.restart("KILL");
    bench.at = api(&bench.server);
    let (name, length) = files.recv_timeout(PATIENCE).expect("it is uploaded");
    assert!(name == "left.wav" && length > 40_000, "{name}: {length}");
    let record = bench.over(&id);
    assert_eq!((&record["end_reason"], &record["recordings"]), (&json!("reconciled"), &json!(["left.wav"])));
    let mut listed = Value::Null;
    for _ in 0..1500 {
        listed = get(&bench.at, &bench.key, &format!("/v1/recordings?call={id}"));
        if listed["recordings"][0]["file"] == "left.wav" {
            break;
        }
        breathe(bench.server.sip);
    }
    assert_eq!((&listed["recordings"][0]["file"], &listed["recordings"][0]["to"]), (&json!("left.wav"), &json!("100")));
    let note = || fs::read_to_string(format!("{}.json", file.display())).unwrap();
    for _ in 0..1500 {
        if note().contains("reconciled") {
            break;
        }
        breathe(bench.server.sip);
    }
    assert!(note().contains("reconciled") && !bench.server.path("recordings/left.wav.todo").exists());
    assert!(files.try_recv().is_err(), "once");
}

#[test]
fn a_recording_is_found_and_erased_by_the_number_of_whoever_is_on_it_however_it_is_written() {
    let line = Line::free();
    let folder = tempfile::tempdir().unwrap();
    let (called, at, _) =
        phone(folder.path(), "uas_hangs_up_later", &["-m", "1", "-key", "audio", &line.port.to_string()]);
    let script = format!(
        "call:answer() call:record{{file = 'own.wav', party_only = true}} call:record{{file = 'both.wav', stereo = true}}
        local peer, why = call:dial{{'sip:+4930123@{at}', timeout = 20}}
        if not peer then error(why) end
        call:bridge(peer)"
    );
    let bench = Bench::new(&numbers(&[("100", "both.lua")]), &[("both.lua", &script)]);
    let file = scenario("answered");
    let _peer = caller(bench.server.sip, bench.folder(), "100", &["-sf", file.to_str().unwrap(), "-m", "1"]);
    passes(called, folder.path());
    let record = bench.server.wait_for_records(2).into_iter().find(|record| record["direction"] == "inbound").unwrap();
    assert_eq!(record["recorded_parties"]["own.wav"], json!(["100", "sipp"]), "{record:#}");
    assert_eq!(record["recorded_parties"]["both.wav"], json!(["+4930123", "100", "sipp"]), "{record:#}");
    let found = bench.get_until("/v1/recordings?number=%2B49%2030%20123", |found| found["recordings"][0].is_object());
    let files: Vec<&Value> = found["recordings"].as_array().unwrap().iter().map(|one| &one["file"]).collect();
    assert_eq!((files, &found["recordings"][0]["parties"][0]), (vec![&json!("both.wav")], &json!("+4930123")));
    let said = program(&bench.server, &["erase", "0049 (30) 123", "--conf", "switchhook.toml"]);
    assert!(said.contains("both.wav") && said.contains("erased: 1"), "{said}");
    let there = |name: &str| bench.server.path("recordings").join(name).exists();
    assert_eq!((there("both.wav"), there("both.wav.json"), there("own.wav")), (false, false, true));
}
