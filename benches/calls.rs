//! What calls cost the whole program: CPU time and set-up time of short calls that a Lua flow handles, at steady
//! rates, and memory of bridged calls that stay up.
//!
//! The real program runs as a process of its own, on free ports of the loopback, with a folder of its own. The load
//! comes from here: one thread, two sockets (who calls, who is called), messages made by hand; it shares no code with
//! the program. Nothing is resent: what gets lost is a failed call. Run: `cargo bench --bench calls [-- seconds]`.
//! Figures depend on the machine and on what else it does; the calibration line (a fixed amount of work) tells how much.

#[allow(dead_code, reason = "each bench uses some of it")]
mod shared;

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use shared::{Failure, Server, calibrate, header, now, response, wait};

/// Before figures are taken: pools fill up, scripts are compiled.
const WARM_UP: Duration = Duration::from_secs(2);
/// A call that is not over so long after the last one began has failed.
const PATIENCE: Duration = Duration::from_secs(3);
const BRIDGED: usize = 500;
/// Bridged calls a second: slow enough that nothing is resent.
const BRIDGED_RATE: u32 = 100;
/// Virtual machines kept ready, in the configuration that ships.
const POOL: usize = 64;

const PLAY: &str = "call:answer()\ncall:play('short.wav')\ncall:hangup()\n";
const ANSWER: &str = "call:answer()\ncall:hangup()\n";
const BRIDGE: &str = "local who = call:dial(vars.target)\nif who then call:bridge(who) end\n";

fn main() -> Result<(), Failure> {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10);
    let window = Duration::from_secs(seconds);
    println!("calibration: {:.0} ms for a fixed amount of work", calibrate());
    println!(
        "{:<26} {:>6}  {:>11}  {:>6}  {:>14}  {:>14}",
        "flow", "rate/s", "CPU us/call", "failed", "200 p50 ms", "p99 ms"
    );
    for (number, name, rate) in [
        ("play", "answer, play, hang up", 500),
        ("answer", "answer, hang up", 500),
        ("answer", "answer, hang up", 200),
        ("answer", "answer, hang up", 1000),
    ] {
        let mut load = Load::new(POOL, number)?;
        let figures = load.steady(rate, window)?;
        println!(
            "{name:<26} {rate:>6}  {:>11.0}  {:>6}  {:>14.2}  {:>14.2}",
            figures.cpu_a_call, figures.failed, figures.p50, figures.p99
        );
        let threads: Vec<String> = figures.threads.iter().map(|(name, us)| format!("{name} {us:.0}")).collect();
        println!("    us/call by thread: {}", threads.join(", "));
    }
    memory()?;
    println!("calibration: {:.0} ms for a fixed amount of work", calibrate());
    Ok(())
}

/// Memory of a bridged call; and of its flow: what one more virtual machine in the pool takes.
fn memory() -> Result<(), Failure> {
    let mut load = Load::new(POOL, "bridge")?;
    // What is made once is made by these.
    load.begin_at(BRIDGED_RATE, 20)?;
    let before = load.server.rss()?;
    load.begin_at(BRIDGED_RATE, BRIDGED)?;
    let after = load.server.rss()?;
    let up = load.answered();
    let whole = (after - before) / BRIDGED as f64;
    drop(load);
    let idle = |pool| -> Result<f64, Failure> {
        let mut load = Load::new(pool, "bridge")?;
        load.begin_at(BRIDGED_RATE, 20)?;
        load.server.rss()
    };
    let machine = (idle(POOL + BRIDGED)? - idle(POOL)?) / BRIDGED as f64;
    println!("bridged calls up: {up} of {}; before them {before:.0} KiB, with them {after:.0} KiB", BRIDGED + 20);
    println!("memory of a bridged call (two legs, two ports, its flow): {whole:.1} KiB");
    println!(
        "a virtual machine in the pool: {machine:.1} KiB; so a bridged call without it: {:.1} KiB",
        whole - machine
    );
    Ok(())
}

/// The program, with the scripts of this bench.
fn server(callee: &UdpSocket, pool: usize) -> Result<Server, Failure> {
    let target = format!("sip:bench@{}", callee.local_addr()?);
    // A finished INVITE is kept for 32 seconds, so a high rate needs more of them than ship.
    let mut conf = format!(
        "[sip]\ntcp = false\nmax_calls = 4000\nmax_transactions = 100000\n[script]\npool = {pool}\n\
         [media]\nrtp_ports = \"10000-29999\"\n[[interface]]\nbind = \"127.0.0.1:0\"\n"
    );
    for name in ["play", "answer", "bridge"] {
        conf +=
            &format!("[[number]]\nnumber = \"{name}\"\nscript = \"{name}.lua\"\nvars = {{ target = \"{target}\" }}\n");
    }
    Server::start(&conf, &[("play.lua", PLAY), ("answer.lua", ANSWER), ("bridge.lua", BRIDGE)])
}

struct Call {
    began: Duration,
    answered: Option<Duration>,
    over: bool,
}

struct Figures {
    cpu_a_call: f64,
    threads: BTreeMap<String, f64>,
    failed: usize,
    p50: f64,
    p99: f64,
}

/// Who calls, and who is called.
struct Load {
    server: Server,
    caller: UdpSocket,
    /// What is called: for the bridged calls.
    callee: UdpSocket,
    /// Where our SDP says that audio goes; nobody reads it.
    sink: UdpSocket,
    number: &'static str,
    calls: Vec<Call>,
    buffer: Vec<u8>,
}

impl Load {
    fn new(pool: usize, number: &'static str) -> Result<Load, Failure> {
        let bind = || UdpSocket::bind("127.0.0.1:0");
        let (caller, callee, sink) = (bind()?, bind()?, bind()?);
        let server = server(&callee, pool)?;
        caller.set_nonblocking(true)?;
        callee.set_nonblocking(true)?;
        Ok(Load { server, caller, callee, sink, number, calls: Vec::new(), buffer: vec![0; 65_536] })
    }

    /// Calls at `rate` a second for the warm-up and `window`, and what those within the window cost.
    fn steady(&mut self, rate: u32, window: Duration) -> Result<Figures, Failure> {
        let count = |time: Duration| (time.as_secs_f64() * f64::from(rate)) as usize;
        self.begin(rate, count(WARM_UP))?;
        let first = self.calls.len();
        let (before, threads_before) = self.server.cpu()?;
        self.begin(rate, count(window))?;
        let (after, mut threads) = self.server.cpu()?;
        let last = self.calls.len();
        self.serve_until(now() + PATIENCE)?;
        let calls = &self.calls[first..last];
        let mut delays: Vec<f64> =
            calls.iter().filter_map(|c| c.answered.map(|at| (at - c.began).as_secs_f64() * 1e3)).collect();
        delays.sort_by(f64::total_cmp);
        let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        for (name, us) in &mut threads {
            *us = (*us - threads_before.get(name).unwrap_or(&0.0)) / calls.len() as f64;
        }
        Ok(Figures {
            cpu_a_call: (after - before) / calls.len() as f64,
            threads,
            failed: calls.iter().filter(|call| !call.over).count(),
            p50: at(0.5),
            p99: at(0.99),
        })
    }

    /// Begin `count` calls at `rate`, and give the last ones time to settle.
    fn begin_at(&mut self, rate: u32, count: usize) -> Result<(), Failure> {
        self.begin(rate, count)?;
        self.serve_until(now() + PATIENCE)
    }

    fn begin(&mut self, rate: u32, count: usize) -> Result<(), Failure> {
        let start = now();
        for index in 0..count {
            self.serve_until(start + Duration::from_secs(1) * u32::try_from(index)? / rate)?;
            self.invite()?;
        }
        self.serve_until(start + Duration::from_secs(1) * u32::try_from(count)? / rate)
    }

    fn answered(&self) -> usize {
        self.calls.iter().filter(|call| call.answered.is_some() && !call.over).count()
    }

    fn serve_until(&mut self, until: Duration) -> Result<(), Failure> {
        loop {
            while self.receive_as_caller()? | self.receive_as_callee()? {}
            let Some(left) = until.checked_sub(now()) else { return Ok(()) };
            wait(&[&self.caller, &self.callee], left)?;
        }
    }

    fn invite(&mut self) -> Result<(), Failure> {
        let (index, me, sdp) = (self.calls.len(), self.caller.local_addr()?, self.sdp()?);
        let (number, server) = (self.number, self.server.sip);
        let text = format!(
            "INVITE sip:{number}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKi{index}\r\nMax-Forwards: 70\r\n\
             From: <sip:bench@{me}>;tag=f{index}\r\nTo: <sip:{number}@{server}>\r\nCall-ID: {index}@bench\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:bench@{me}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.calls.push(Call { began: now(), answered: None, over: false });
        self.caller.send_to(text.as_bytes(), server)?;
        Ok(())
    }

    fn sdp(&self) -> Result<String, Failure> {
        let port = self.sink.local_addr()?.port();
        Ok(format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
             a=rtpmap:0 PCMU/8000\r\n"
        ))
    }

    /// False: nothing was there.
    fn receive_as_caller(&mut self) -> Result<bool, Failure> {
        let Some((text, from)) = receive(&self.caller, &mut self.buffer)? else { return Ok(false) };
        let index: usize = header(&text, "Call-ID").split('@').next().unwrap_or_default().parse()?;
        if text.starts_with("BYE ") {
            self.caller.send_to(response(&text, "", "", "").as_bytes(), from)?;
            self.calls[index].over = true;
        } else if text.starts_with("SIP/2.0 200") && header(&text, "CSeq").ends_with("INVITE") {
            self.calls[index].answered.get_or_insert(now());
            let contact = header(&text, "Contact").split(['<', '>']).nth(1).unwrap_or_default();
            let ack = format!(
                "ACK {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKa{index}\r\nMax-Forwards: 70\r\n\
                 From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
                self.caller.local_addr()?,
                header(&text, "From"),
                header(&text, "To"),
                header(&text, "Call-ID"),
            );
            self.caller.send_to(ack.as_bytes(), from)?;
        }
        Ok(true)
    }

    fn receive_as_callee(&mut self) -> Result<bool, Failure> {
        let Some((text, from)) = receive(&self.callee, &mut self.buffer)? else { return Ok(false) };
        let answer = if text.starts_with("INVITE ") {
            let contact = format!("Contact: <sip:bench@{}>\r\n", self.callee.local_addr()?);
            response(&text, ";tag=callee", &contact, &self.sdp()?)
        } else if text.starts_with("BYE ") {
            response(&text, "", "", "")
        } else {
            return Ok(true);
        };
        self.callee.send_to(answer.as_bytes(), from)?;
        Ok(true)
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Result<Option<(String, SocketAddr)>, Failure> {
    match socket.recv_from(buffer) {
        Ok((len, from)) => Ok(Some((String::from_utf8_lossy(&buffer[..len]).into_owned(), from))),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
