//! Comfort noise on the wire: what a SIPp caller that takes it is sent while nobody speaks to it.

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use switchhook::rtp::{self, Header};

use crate::{
    sipp::{caller, now_ns, numbers, passes, scenario},
    support::{Process, Server, breathe, free_audio_port},
};

/// The audio of a SIPp that has none itself: a port of ours, or of another program.
pub struct Line {
    pub port: u16,
}

/// What came to a [`Line`]: when, and what.
pub type Packet = (Duration, Header, Vec<u8>);

/// A thread that takes what comes.
pub struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Packet>>,
}

impl Line {
    pub fn free() -> Line {
        Line { port: free_audio_port() }
    }

    /// A call of number 100 with this line's audio in these formats; it goes on until BYE.
    pub fn call(&self, server: &Server, folder: &Path, formats: &str) -> Process {
        self.call_as(server, folder, "rtp_caller", &["-key", "formats", formats])
    }

    /// The same, by another scenario.
    pub fn call_as(&self, server: &Server, folder: &Path, name: &str, keys: &[&str]) -> Process {
        let (file, log) = (scenario(name), folder.join("caller.log"));
        let port = self.port.to_string();
        let more = ["-sf", file.to_str().unwrap(), "-m", "1", "-key", "audio", &port];
        let more = [&more[..], keys, &["-message_file", log.to_str().unwrap()]].concat();
        caller(server.sip, folder, "100", &more)
    }

    /// The port that the server told it for its audio.
    pub fn told(&self, server: &Server, folder: &Path) -> u16 {
        for _ in 0..1000 {
            let text = fs::read_to_string(folder.join("caller.log")).unwrap_or_default();
            let received = text.split("-------").filter(|message| message.contains("message received"));
            let mut lines = received.flat_map(str::lines);
            if let Some(line) = lines.find(|line| line.starts_with("m=audio ")) {
                return line.split(' ').nth(1).unwrap().parse().unwrap();
            }
            breathe(server.sip);
        }
        panic!("no audio was answered");
    }

    /// Take what comes, from now on.
    pub fn listen(&self) -> Listening {
        let socket = UdpSocket::bind(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut packets, mut bytes) = (Vec::new(), [0; 2000]);
            while !stopped.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut bytes) else { continue };
                let (header, payload) = rtp::read(&bytes[..length]).expect("RTP");
                packets.push((Duration::from_nanos(now_ns()), header, bytes[payload].to_vec()));
            }
            packets
        });
        Listening { stop, thread }
    }
}

impl Listening {
    pub fn stop(self) -> Vec<Packet> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// What a caller that takes PCMU and comfort noise is sent in two seconds of silence and one of a tone.
fn sent(conf: &str) -> Vec<Packet> {
    let script = "call:answer() call:sleep(2) call:tone({600}, {seconds = 1})";
    let server = Server::start(&format!("{conf}{}", numbers(&[("100", "a.lua")])), &[("a.lua", script)]);
    let folder = server.folder.path().to_owned();
    let line = Line::free();
    let listening = line.listen();
    passes(line.call(&server, &folder, "0 13"), &folder);
    server.wait_until_idle();
    listening.stop()
}

#[test]
fn silence_goes_as_one_packet_of_comfort_noise_where_the_operator_wants_it() {
    let packets = sent("[media]\ncomfort_noise = true\n");
    let noise: Vec<usize> = (0..packets.len()).filter(|at| packets[*at].1.payload_type == 13).collect();
    assert_eq!(noise.len(), 1, "{noise:?} of {}", packets.len());
    let at = noise[0];
    assert!((8..=12).contains(&at), "after 200 ms: {at} packets");
    let [(_, before, _), (came, header, payload), (spoke, next, _)] = &packets[at - 1..=at + 1] else { panic!() };
    assert!(payload.len() == 1 && payload[0] >= 90 && !header.marker && next.marker, "{payload:?}");
    assert_eq!(header.timestamp.wrapping_sub(before.timestamp), 160);
    let (units, ms) = (next.timestamp.wrapping_sub(header.timestamp), (*spoke - *came).as_millis() as u32);
    assert!((1600..2000).contains(&ms) && units.abs_diff(ms * 8) < 8 * 60, "{units} units in {ms} ms");
    assert!(packets.windows(2).all(|pair| pair[1].1.sequence == pair[0].1.sequence.wrapping_add(1)));
    assert!((49..=54).contains(&(packets.len() - at - 1)), "a second of the tone: {}", packets.len() - at - 1);
}

#[test]
fn silence_goes_as_packets_where_the_operator_says_nothing() {
    let packets = sent("");
    assert!(packets.iter().all(|(_, header, _)| header.payload_type == 0));
    assert!(packets.len() >= 140, "{}", packets.len());
}
