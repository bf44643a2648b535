//! Sounds that other people's programs wrote, from files and from a web server, as a phone hears them.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::Value;

use crate::{
    api::post,
    baresip::{Phone, heard},
    command_line::{run, seconds_of, tone},
    records::{api, get, key},
    support::{Server, breathe, read_wav},
};

/// A web server for the files of a folder; it ends with the test program.
fn web(folder: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.find(String::is_empty);
            let name = first.split(['/', ' ']).nth(2).unwrap_or_default().to_owned();
            let mut stream = stream;
            let _ = match fs::read(folder.join(name)) {
                Ok(body) => {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    stream.write_all(&[head.as_bytes(), &body].concat())
                }
                Err(_) => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            };
        }
    });
    at
}

/// Make `file` with ffmpeg out of a WAV file.
fn encoded(wav: &Path, file: &Path, options: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-i"]).arg(wav).args(options).arg(file);
    assert!(command.status().expect("ffmpeg is installed: apt install ffmpeg").success(), "{}", file.display());
}

#[test]
fn what_ffmpeg_wrote_in_each_format_is_heard_from_a_file_and_from_the_web() {
    const FILES: [(&str, &[&str], f64); 5] = [
        ("a.wav", &["-ac", "2", "-ar", "44100"], 500.0),
        ("b.mp3", &["-ar", "22050"], 700.0),
        ("c.ogg", &["-c:a", "libvorbis", "-ac", "2", "-ar", "48000"], 900.0),
        ("d.opus", &["-c:a", "libopus"], 1100.0),
        ("e.wav", &["-c:a", "pcm_mulaw", "-ar", "8000"], 1300.0),
    ];
    let folder = tempfile::tempdir().unwrap();
    let at = web(folder.path().to_owned());
    let mut script = "call:answer()\n".to_owned();
    for (name, ..) in FILES {
        script += &format!(
            "for _, sound in ipairs {{ '{name}', 'http://{at}/{name}' }} do
               local ok, why, text, word = call:play(sound)
               if not ok then log(sound .. ': ' .. text .. ' ' .. word) end
             end\n"
        );
    }
    script += &format!(
        "vars.missing = select(4, call:play('http://{at}/none.wav'))
        vars.none = select(4, call:play('none.wav'))
        vars.format = select(4, call:play('no-sound.ogg'))
        vars.denied = select(4, call:play('http://127.0.0.2/a.wav'))"
    );
    let conf = "[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n[web]\nhosts = [\"127.0.0.1\"]\n";
    let server = Server::start(conf, &[("a.lua", &script)]);
    for (name, options, frequency) in FILES {
        let wav = folder.path().join("source.wav");
        tone(&wav, frequency, 48_000, 1);
        encoded(&wav, &folder.path().join(name), options);
        fs::copy(folder.path().join(name), server.path("prompts").join(name)).unwrap();
    }
    fs::write(server.path("prompts/no-sound.ogg"), "OggS, but nothing more").unwrap();
    run(folder.path(), &["call", &format!("sip:100@{}", server.sip), "--record", "heard.wav", "--wait", "60"]);
    let (channels, rate) = read_wav(&folder.path().join("heard.wav"));
    assert_eq!(rate, 8000);
    for (name, _, frequency) in FILES {
        let seconds = channels.iter().map(|channel| seconds_of(channel, frequency)).fold(0.0, f64::max);
        assert!((1.8..=2.1).contains(&seconds), "{name}: {seconds} s");
    }
    let record = server.wait_for_records(1).remove(0);
    for (name, word) in [("missing", "missing"), ("none", "missing"), ("format", "format"), ("denied", "denied")] {
        assert_eq!(record["vars"][name], word, "{record:#}");
    }
}

#[test]
fn baresip_hears_and_is_recorded_in_wideband() {
    let folder = tempfile::tempdir().unwrap();
    let at = web(folder.path().to_owned());
    let script = format!(
        "call:answer()
        local recording = call:record{{file = 'both', stereo = true}}
        call:play('http://{at}/high.wav', {{times = 2}})
        recording:stop()
        vars.seconds = recording.seconds"
    );
    let conf = "[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n[web]\nhosts = [\"127.0.0.1\"]\n[media]\ncodecs = [\"G722\"]\n";
    let server = Server::start(conf, &[("a.lua", &script)]);
    tone(&folder.path().join("high.wav"), 6000.0, 16_000, 2);
    tone(&folder.path().join("speak.wav"), 5000.0, 16_000, 120);
    let account = "<sip:baresip@127.0.0.1>;regint=0;audio_codecs=G722/16000/1";
    let mut phone = Phone::with_config(folder.path(), &folder.path().join("speak.wav"), account, "module g722.so\n");
    phone.dial(&format!("sip:100@{}", server.sip));
    phone.wait_for_event("CALL_CLOSED");
    // The share of the tone in the loudest of ten parts.
    let share = |samples: &[i16], frequency: f64| {
        let part = |part: &[i16]| {
            let energy = part.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / part.len() as f64;
            switchhook::audio::goertzel::power(part, frequency, 16_000) / energy.max(1.0)
        };
        samples.chunks_exact(samples.len() / 10).map(part).fold(0.0, f64::max)
    };
    let record = server.wait_for_records(1).remove(0);
    assert_eq!(record["codec"], "G722", "{record:#}");
    let seconds: f64 = record["vars"]["seconds"].as_str().unwrap().parse().unwrap();
    assert!((3.9..=4.3).contains(&seconds), "{record:#}");
    let (channels, rate) = read_wav(&server.path("recordings/both.wav"));
    assert_eq!((channels.len(), rate), (2, 16_000));
    assert!(share(&channels[0], 5000.0) > 0.8 && share(&channels[1], 6000.0) > 0.8);
    // It closes its file a moment after it has told the end.
    (0..25).for_each(|_| breathe(server.sip));
    let (channels, rate) = read_wav(&heard(folder.path()));
    assert_eq!(rate, 16_000);
    assert!(share(&channels[0], 6000.0) > 0.8, "{}", share(&channels[0], 6000.0));
}

#[test]
fn a_play_list_is_heard_from_a_file_and_from_the_web() {
    let folder = tempfile::tempdir().unwrap();
    let at = web(folder.path().to_owned());
    let script = format!(
        "call:answer()
        vars.ok = tostring(call:play('day.m3u'))
        vars.web = tostring(call:play('http://{at}/web.m3u8'))
        vars.hls = select(4, call:play('hls.m3u8'))"
    );
    let conf = "[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n[web]\nhosts = [\"127.0.0.1\"]\n";
    let server = Server::start(conf, &[("a.lua", &script)]);
    for (name, hz) in [("one.wav", 500.0), ("two.wav", 700.0)] {
        tone(&server.path("prompts").join(name), hz, 8000, 1);
        tone(&folder.path().join(name), hz + 400.0, 8000, 1);
    }
    fs::write(server.path("prompts/day.m3u"), format!("#EXTM3U\none.wav\ntwo.wav\nhttp://{at}/one.wav\n")).unwrap();
    fs::write(server.path("prompts/hls.m3u8"), "#EXTM3U\n#EXT-X-TARGETDURATION:9\n1.ts\n").unwrap();
    fs::write(folder.path().join("web.m3u8"), "two.wav\r\n").unwrap();
    run(folder.path(), &["call", &format!("sip:100@{}", server.sip), "--record", "heard.wav", "--wait", "60"]);
    let (channels, _) = read_wav(&folder.path().join("heard.wav"));
    for hz in [500.0, 700.0, 900.0, 1100.0] {
        let seconds = channels.iter().map(|channel| seconds_of(channel, hz)).fold(0.0, f64::max);
        assert!((0.9..=1.1).contains(&seconds), "{hz} Hz: {seconds} s");
    }
    let record = server.wait_for_records(1).remove(0);
    assert_eq!((&record["vars"]["ok"], &record["vars"]["web"]), (&"true".into(), &"true".into()), "{record:#}");
    assert_eq!(record["vars"]["hls"], "format");
}

#[test]
fn what_two_say_in_a_room_is_recorded_by_the_api_and_one_of_them_is_played_to() {
    let conf = "[[number]]\nnumber = \"200\"\nscript = \"room.lua\"\n[api]\nlisten = \"127.0.0.1:0\"\n";
    let server = Server::start(conf, &[("room.lua", "call:answer()\ncall:join('team a')\n")]);
    tone(&server.path("prompts/one.wav"), 500.0, 8000, 1);
    let (folder, api, key) = (tempfile::tempdir().unwrap(), api(&server), key(&server));
    let mine = folder.path();
    let get = |path: &str| get(&api, &key, path);
    let post = |path: &str, body: &str| -> Value {
        let answer = post(&api, &key, path, body);
        let text = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(text).unwrap_or_else(|_| panic!("{path}: {answer}"))
    };
    let talk = |arguments: &[&str]| crate::sipp::caller(server.sip, mine, "200", arguments);
    let parties = [(); 2].map(|()| talk(&["-sn", "uac", "-m", "1", "-d", "8000", "-rtp_echo"]));
    let mut rooms = Value::Null;
    for _ in 0..500 {
        rooms = get("/v1/rooms");
        if rooms[0]["members"] == 2 {
            break;
        }
        breathe(server.sip);
    }
    assert_eq!((&rooms[0]["room"], &rooms[0]["members"]), (&"team a".into(), &2.into()), "{rooms}");
    let begun = post("/v1/rooms/team%20a/record", "{}");
    let recording = begun["recording"].as_u64().unwrap_or_else(|| panic!("{begun}"));
    let members = get("/v1/rooms/team%20a");
    let member = members[0]["id"].as_str().unwrap();
    let play = post(&format!("/v1/calls/{member}/play"), "{\"file\": \"one.wav\", \"loop\": true, \"volume_db\": -6}");
    assert_eq!(play["outcome"], "begun", "{play}");
    let at = post(&format!("/v1/calls/{member}/play/steer"), "{\"action\": \"pause\"}");
    assert!(at["seconds"].is_number(), "{at}");
    assert_eq!(post(&format!("/v1/calls/{member}/play/stop"), "")["outcome"], "done");
    let mode = |mode: &str| {
        let body = serde_json::json!({"recording": recording, "mode": mode}).to_string();
        post("/v1/rooms/team%20a/record/mode", &body)
    };
    assert_eq!(mode("pause")["outcome"], "done");
    assert_eq!(mode("keep")["outcome"], "done");
    let ended = mode("stop");
    let file = ended["files"][0].as_str().unwrap_or_else(|| panic!("{ended}"));
    read_wav(&server.path("recordings").join(file));
    parties.into_iter().for_each(|party| crate::sipp::passes(party, mine));
    server.wait_until_idle();
}
