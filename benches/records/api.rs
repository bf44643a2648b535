//! Calls that are started by the API: how many a second, and how long a request takes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use crate::{
    phone::{Phone, Took},
    shared::{Failure, Server, now, wait},
};

const CONF: &str = "[api]\nlisten = \"127.0.0.1:0\"\n[sip]\ntcp = false\nmax_calls = 4000\n[media]\n\
                    rtp_ports = \"10000-29999\"\n[[interface]]\nbind = \"127.0.0.1:0\"\n\
                    [[number]]\nnumber = \"100\"\nscript = \"short.lua\"\n[[number]]\nnumber = \"tone\"\n\
                    script = \"tone.lua\"\n";
/// Connections that ask at the same time.
const CLIENTS: usize = 8;

/// The program with an API; where that listens, and a key to it.
pub fn server() -> Result<(Server, SocketAddr, String), Failure> {
    let tone = "call:answer()\nwhile true do call:tone({350, 440}, {seconds = 60}) end\n";
    let server = Server::start(CONF, &[("short.lua", "call:answer()\n"), ("tone.lua", tone)])?;
    for _ in 0..500 {
        let told = server.told()?;
        let at = told.lines().find_map(|line| line.strip_suffix(", the API over HTTP"));
        let at = at.and_then(|line| line.split("listening on ").nth(1)).and_then(|at| at.parse().ok());
        let key = told.lines().find_map(|line| line.split("only this once: ").nth(1));
        if let (Some(at), Some(key)) = (at, key) {
            return Ok((server, at, key.to_owned()));
        }
        wait(&[], Duration::from_millis(10))?;
    }
    Err("no API was told of".into())
}

/// One request over a connection that stays. Gives the code.
fn ask(line: &mut BufReader<TcpStream>, key: &str, body: &str) -> Result<u16, Failure> {
    let request = format!(
        "POST /v1/calls HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    line.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    line.read_line(&mut head)?;
    let code = head.split(' ').nth(1).ok_or("no code")?.parse()?;
    let mut length = 0;
    while head != "\r\n" {
        head.clear();
        line.read_line(&mut head)?;
        if let Some(value) = head.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse()?;
        }
    }
    line.read_exact(&mut vec![0; length])?;
    Ok(code)
}

/// Ask for `calls` calls over one connection, one each `gap`; gives how long each took, in ms.
fn client((at, key): (SocketAddr, &str), target: SocketAddr, calls: usize, gap: Duration) -> Result<Vec<f64>, String> {
    let work = || -> Result<Vec<f64>, Failure> {
        let mut line = BufReader::new(TcpStream::connect(at)?);
        line.get_ref().set_nodelay(true)?;
        let body = format!("{{\"to\": \"sip:x@{target}\", \"from\": \"100\", \"script\": \"short.lua\"}}");
        let (mut times, start) = (Vec::new(), now());
        for call in 0..calls {
            wait(&[], (start + gap * u32::try_from(call)?).saturating_sub(now()))?;
            let began = now();
            let code = ask(&mut line, key, &body)?;
            if !(200..300).contains(&code) {
                return Err(format!("the answer is {code}").into());
            }
            times.push((now() - began).as_secs_f64() * 1e3);
        }
        Ok(times)
    };
    work().map_err(|error| error.to_string())
}

/// `rate` calls a second by all clients together; 0: as many as they can.
fn measure(rate: u32, calls: usize) -> Result<(), Failure> {
    let (_server, at, key) = server()?;
    let sink = UdpSocket::bind("127.0.0.1:0")?;
    let mut phone = Phone::new(sink.local_addr()?)?;
    let target = phone.socket.local_addr()?;
    let (over, invited) = (AtomicBool::new(false), AtomicUsize::new(0));
    let gap = Duration::from_secs(1) * u32::try_from(CLIENTS)? / rate.max(1) * u32::from(rate > 0);
    let key = key.as_str();
    let (times, took) = thread::scope(|scope| -> Result<_, Failure> {
        let answering = scope.spawn(|| {
            let mut quiet = 0;
            // Until nothing has come for a second after the last request.
            while !over.load(Ordering::Relaxed) || quiet < 10 {
                quiet += 1;
                let _ = wait(&[&phone.socket], Duration::from_millis(100));
                while let Ok(took @ (Took::Invite | Took::Other)) = phone.take() {
                    quiet = 0;
                    invited.fetch_add(usize::from(matches!(took, Took::Invite)), Ordering::Relaxed);
                }
            }
        });
        let began = now();
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(move || client((at, key), target, calls / CLIENTS, gap))).collect();
        let times: Vec<_> = clients.into_iter().map(|client| client.join().map_err(|_| "a client died")).collect();
        let took = now() - began;
        over.store(true, Ordering::Relaxed);
        answering.join().map_err(|_| "the phone died")?;
        Ok((times, took))
    })?;
    let mut all = Vec::new();
    for times in times {
        all.extend(times??);
    }
    all.sort_by(f64::total_cmp);
    println!(
        "  {:>6} {:>9.0} {:>9.2} {:>9.2} {:>9} of {}",
        if rate > 0 { rate.to_string() } else { "most".into() },
        all.len() as f64 / took.as_secs_f64(),
        all[all.len() / 2],
        all[all.len() * 99 / 100],
        invited.load(Ordering::Relaxed),
        all.len()
    );
    Ok(())
}

pub fn run() -> Result<(), Failure> {
    println!("calls started by the API, {CLIENTS} connections:");
    println!("  {:>6} {:>9} {:>9} {:>9} {:>9}", "asked", "calls/s", "p50 ms", "p99 ms", "INVITEs");
    measure(100, 1000)?;
    measure(0, 4000)
}
