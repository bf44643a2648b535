//! A program outside that hears a call over WebSocket, as a transcription would.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    thread::{JoinHandle, spawn},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    sipp::{caller, numbers, passes},
    support::{PATIENCE, Server},
};

/// What such a program got.
#[derive(Debug, Default)]
struct Heard {
    texts: Vec<Value>,
    /// Samples of each channel.
    sides: [Vec<i16>; 2],
}

/// Takes one stream, to its end. `slow`: it reads nothing for so long after the beginning.
fn program(slow: Option<Duration>) -> (SocketAddr, JoinHandle<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let at = listener.local_addr().unwrap();
    let running = spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (line, _) = listener.accept().unwrap();
            line.set_nonblocking(true).unwrap();
            let line = tokio::net::TcpStream::from_std(line).unwrap();
            let mut socket = tokio_tungstenite::accept_async(line).await.unwrap();
            socket.send(Message::Ping("are you there".into())).await.unwrap();
            let mut heard = Heard::default();
            if let Some(slow) = slow {
                // Nothing is sent on this channel: it only passes the time.
                let (_open, mut never) = tokio::sync::mpsc::channel::<()>(1);
                let _ = tokio::time::timeout(slow, never.recv()).await;
            }
            while let Ok(Some(Ok(message))) = tokio::time::timeout(PATIENCE, socket.next()).await {
                match message {
                    Message::Text(text) => heard.texts.push(serde_json::from_str(&text).unwrap()),
                    Message::Binary(bytes) => {
                        for (at, sample) in bytes.chunks_exact(2).enumerate() {
                            heard.sides[at % 2].push(i16::from_le_bytes([sample[0], sample[1]]));
                        }
                    }
                    _ => {}
                }
            }
            heard
        })
    });
    (at, running)
}

fn conf() -> String {
    numbers(&[("100", "a.lua")]) + "[stream]\nhosts = [\"127.0.0.1\"]\n"
}

fn run(at: SocketAddr, script: &str, arguments: &[&str], folder: &Path) -> Vec<Value> {
    let script = script.replace("AT", &at.to_string());
    let server = Server::start(&conf(), &[("a.lua", &script)]);
    passes(caller(server.sip, folder, "100", arguments), folder);
    server.wait_until_idle();
    assert_eq!(server.counts()["streams"], 0);
    server.wait_for_records(1)
}

fn is_loud(samples: &[i16]) -> bool {
    samples.iter().filter(|sample| sample.unsigned_abs() > 1000).count() > samples.len() / 4
}

#[test]
fn a_program_hears_both_sides_and_is_told_of_beginning_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let (at, running) = program(None);
    let script = "call:answer()
        local ok, why, text = call:stream { url = 'ws://AT/hear', sides = 'both', rate = 8000, data = 'order 17' }
        vars.why = tostring(ok) .. ' ' .. tostring(text)
        vars.denied = select(4, call:stream { url = 'ws://10.0.0.9/' })
        call:tone('busy', { seconds = 60 })";
    let records = run(at, script, &["-sn", "uac", "-m", "1", "-d", "4000", "-rtp_echo"], folder.path());
    assert_eq!(records[0]["vars"]["why"], "true nil", "{records:#?}");
    let heard = running.join().unwrap();
    let (first, last) = (&heard.texts[0], heard.texts.last().unwrap());
    assert_eq!((&first["event"], &first["rate"], &first["data"]), (&"start".into(), &8000.into(), &"order 17".into()));
    assert_eq!(first["call"], records[0]["id"]);
    assert_eq!(first["sides"], serde_json::json!(["said", "heard"]));
    assert_eq!(last["event"], "stop");
    let [said, listened] = &heard.sides;
    assert_eq!(last["frames"].as_u64().unwrap(), said.len() as u64 / 160);
    let seconds = said.len() as f64 / 8000.0;
    assert!((3.0..6.0).contains(&seconds), "{seconds} s");
    // Busy sounds for half a second and is silent for half a second; the caller sends back what it hears.
    for side in [said, listened] {
        assert!(side.chunks(800).any(is_loud), "each side has a voice");
    }
}

#[test]
fn a_program_that_does_not_read_costs_the_call_nothing_and_sees_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let (at, running) = program(Some(Duration::from_secs(12)));
    let script = "call:answer()
        local ok, why, text = call:stream { url = 'ws://AT/hear', sides = 'both', rate = 16000 }
        vars.why = tostring(ok) .. ' ' .. tostring(text)
        local _, _, seconds = call:play({ silence = 14 })
        vars.seconds = tostring(seconds)
        call:sleep(60)";
    let conf = conf().replace("[stream]\n", "[stream]\ntimeout_ms = 60000\n");
    let server = Server::start(&conf, &[("a.lua", &script.replace("AT", &at.to_string()))]);
    let call = caller(server.sip, folder.path(), "100", &["-sn", "uac", "-m", "1", "-d", "16000", "-rtp_echo"]);
    passes(call, folder.path());
    server.wait_until_idle();
    let records = server.wait_for_records(1);
    assert_eq!(records[0]["vars"]["why"], "true nil", "{records:#?}");
    assert_eq!(records[0]["vars"]["seconds"], "14.0", "the call's own audio never waited");
    let heard = running.join().unwrap();
    let gaps: u64 =
        heard.texts.iter().filter(|text| text["event"] == "gap").map(|t| t["frames"].as_u64().unwrap()).sum();
    let last = heard.texts.last().unwrap();
    assert!(gaps > 100, "{:?}", heard.texts);
    assert_eq!(last["dropped"].as_u64(), Some(gaps));
    assert_eq!(last["frames"].as_u64(), Some(heard.sides[0].len() as u64 / 320));
}

#[test]
fn while_our_recording_is_masked_the_program_hears_silence_and_then_the_call_again() {
    let folder = tempfile::tempdir().unwrap();
    let (at, running) = program(None);
    let script = "call:answer()
        local recording = call:record { file = 'own.wav' }
        call:stream { url = 'ws://AT/hear', sides = 'both', rate = 8000 }
        call:tone({600}, { seconds = 1 })
        recording:mask()
        call:tone({600}, { seconds = 2 })
        recording:resume()
        call:tone({600}, { seconds = 1 })
        call:stream_stop()
        recording:stop()
        call:sleep(60)";
    run(at, script, &["-sn", "uac", "-m", "1", "-d", "6000", "-rtp_echo"], folder.path());
    let heard = running.join().unwrap();
    // The caller sends back what it hears: on both sides it is loud, silent for two seconds, and loud.
    for side in &heard.sides {
        let loud: Vec<bool> = side.chunks_exact(160).map(is_loud).collect();
        let (first, last) = (loud.iter().position(|on| *on).unwrap(), loud.iter().rposition(|on| *on).unwrap());
        let silent = loud[first..last].split(|on| *on).map(<[bool]>::len).max().unwrap() as f64 * 0.02;
        assert!((1.8..2.4).contains(&silent), "{silent} s");
        assert!(last - first > 150, "loud before and after it");
    }
}
