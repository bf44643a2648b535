//! What a call costs that goes through us to somebody else, with no audio flowing: by a static route, and by a Lua flow
//! that routes each call.
//!
//! The real program runs as a process of its own, on free ports of the loopback, with a folder of its own. The load
//! comes from here: one thread, two sockets (who calls, who is called), messages made by hand; it shares no code with
//! the program. Nothing is resent here: what gets lost is a failed call. Each call: INVITE, 180, 200, ACK, then BYE after
//! a second. Run: `cargo bench --bench b2bua [-- seconds] [cost|rate|standing|many|flood|only=name ...]`;
//! without words, all of it.
//! Figures depend on the machine and on what else it does; the calibration line (a fixed amount of work) tells how much.

#[allow(dead_code, reason = "each bench uses some of it")]
mod shared;

use std::{collections::BTreeSet, io::ErrorKind, net::UdpSocket, time::Duration};

use shared::{Failure, Server, calibrate, header, now, wait};

/// How long a call lasts.
const TALK: Duration = Duration::from_secs(1);
/// Before figures are taken.
const WARM_UP: Duration = Duration::from_secs(2);
/// A call that is not over so long after its BYE was due has failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// The rate at which the cost of a call is told.
const STEADY: u32 = 1000;
/// Rates that are tried, a second: the highest without a failed call is told.
const RATES: [u32; 12] = [600, 800, 1000, 1200, 1400, 1600, 1800, 2000, 2400, 2800, 3200, 3600];
const STANDING: usize = 2000;
const MANY: usize = 100_000;
/// The server keeps what may still be answered for 32 s.
const FORGET: Duration = Duration::from_secs(36);

const ROUTE: &str = "local who = call:dial('sip:' .. call.called:sub(2) .. '@' .. vars.callee)\n\
                     if who then call:bridge(who) end\n";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(10);
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|a| a.parse::<u64>().is_err()).collect();
    let parts = words.iter().filter(|word| !word.starts_with("only=")).count();
    let wanted = |word: &str| parts == 0 || words.contains(&word);
    let window = Duration::from_secs(seconds);
    println!("calibration: {:.0} ms for a fixed amount of work", calibrate());
    let ways = [("static route", '1'), ("no media", '2'), ("Lua flow", '3')];
    let ways = ways.into_iter().filter(|(name, _)| only(&words, name));
    for (name, way) in ways {
        if wanted("cost") {
            let mut load = Load::new(way)?;
            load.steady(STEADY, WARM_UP)?;
            let figures = load.steady(STEADY, window)?;
            figures.print(name, STEADY);
        }
        if wanted("rate") {
            highest(name, way, window)?;
        }
        if wanted("standing") {
            standing(name, way)?;
        }
        if wanted("many") {
            many(name, way)?;
        }
        if wanted("flood") {
            flood(name, way, window)?;
        }
    }
    println!("calibration: {:.0} ms for a fixed amount of work", calibrate());
    Ok(())
}

/// A word `only=route` and the like picks one way.
fn only(words: &[&str], name: &str) -> bool {
    let mut named = words.iter().filter_map(|word| word.strip_prefix("only=")).peekable();
    named.peek().is_none() || named.any(|part| name.contains(part))
}

/// The highest rate without a failed call, and how long messages take at 80 % of it.
fn highest(name: &str, way: char, window: Duration) -> Result<(), Failure> {
    let mut best = 0;
    for rate in RATES {
        let mut load = Load::new(way)?;
        load.steady(rate, WARM_UP)?;
        if load.steady(rate, window)?.failed > 0 {
            break;
        }
        best = rate;
    }
    println!("{name}: the highest rate without a failed call: {best} a second; at 80 % of it:");
    let mut load = Load::new(way)?;
    load.steady(best * 4 / 5, WARM_UP)?;
    load.steady(best * 4 / 5, window)?.print(name, best * 4 / 5);
    Ok(())
}

/// What a standing call takes.
fn standing(name: &str, way: char) -> Result<(), Failure> {
    let mut load = Load::new(way)?;
    load.talk = Duration::from_secs(3600);
    // What is made once is made by these.
    load.steady(200, Duration::from_secs(1))?;
    load.serve_until(now() + FORGET)?;
    let before = load.server.rss()?;
    load.steady(200, Duration::from_secs(1) * u32::try_from(STANDING)? / 200)?;
    load.serve_until(now() + FORGET)?;
    let up = load.calls.iter().filter(|call| call.answered.is_some() && call.over.is_none()).count();
    let a_call = (load.server.rss()? - before) / STANDING as f64;
    println!("{name}: {up} calls stand (of {}); a standing call takes {a_call:.1} KiB", load.calls.len());
    Ok(())
}

/// What is left of the memory when 100,000 calls are over.
fn many(name: &str, way: char) -> Result<(), Failure> {
    let mut load = Load::new(way)?;
    load.steady(STEADY, Duration::from_secs(5))?;
    load.serve_until(now() + FORGET)?;
    let before = load.server.rss()?;
    let figures = load.steady(STEADY, Duration::from_secs(1) * u32::try_from(MANY)? / STEADY)?;
    load.serve_until(now() + FORGET)?;
    let after = load.server.rss()?;
    println!(
        "{name}: {before:.0} KiB before {MANY} calls, {after:.0} KiB after them ({} failed): {:+.1} %",
        figures.failed,
        (after / before - 1.0) * 100.0
    );
    Ok(())
}

/// Three times the best load, while calls stand: they must not notice.
fn flood(name: &str, way: char, window: Duration) -> Result<(), Failure> {
    let mut best = 0;
    for rate in RATES {
        let mut load = Load::new(way)?;
        if load.steady(rate, WARM_UP)?.failed > 0 {
            break;
        }
        best = rate;
    }
    let mut load = Load::new(way)?;
    load.talk = Duration::from_secs(3600);
    load.steady(100, Duration::from_secs(3))?;
    let standing = load.calls.len();
    load.talk = TALK;
    let figures = load.steady(best * 3, window)?;
    let cut = load.calls[..standing].iter().filter(|call| call.over.is_some()).count();
    for index in 0..standing {
        load.hang_up(index)?;
    }
    load.serve_until(now() + PATIENCE)?;
    let ended = load.calls[..standing].iter().filter(|call| call.over.is_some()).count();
    println!(
        "{name}: at {} calls a second, three times {best}: {} went through, {} were shed with 503, {} got no answer; \
         of {standing} calls in progress {cut} were cut, and {ended} ended as they should",
        best * 3,
        figures.calls - figures.failed,
        figures.shed,
        figures.failed - figures.shed
    );
    Ok(())
}

/// One call, by the times of what happened.
#[derive(Default)]
struct Call {
    began: Duration,
    /// The INVITE came to who is called.
    arrived: Option<Duration>,
    /// The 200 came back.
    answered: Option<Duration>,
    over: Option<Duration>,
    shed: bool,
    /// What the BYE needs.
    to: String,
    contact: String,
}

struct Figures {
    calls: usize,
    failed: usize,
    shed: usize,
    cpu: f64,
    threads: Vec<(String, f64)>,
    /// Milliseconds, in order: INVITE from end to end, 200 from end to end.
    invite: Vec<f64>,
    ok: Vec<f64>,
}

impl Figures {
    fn print(&self, name: &str, rate: u32) {
        let at = |all: &[f64], share: f64| all.get((all.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        println!(
            "{name:<13} {rate:>5}/s: {:>4.0} us CPU a call; {} of {} failed; ms added to INVITE p50 {:.2} p99 {:.2}, \
             to 200 p50 {:.2} p99 {:.2}",
            self.cpu,
            self.failed,
            self.calls,
            at(&self.invite, 0.5),
            at(&self.invite, 0.99),
            at(&self.ok, 0.5),
            at(&self.ok, 0.99),
        );
        let threads: Vec<String> =
            self.threads.iter().filter(|(_, us)| *us >= 0.5).map(|(name, us)| format!("{name} {us:.0}")).collect();
        println!("    us/call by thread: {}", threads.join(", "));
    }
}

/// Who calls, and who is called.
struct Load {
    server: Server,
    caller: UdpSocket,
    callee: UdpSocket,
    /// The first character of what is dialled.
    way: char,
    talk: Duration,
    calls: Vec<Call>,
    /// When which call is to be hung up: not in the order of their answers, where some stand and others are short.
    due: BTreeSet<(Duration, usize)>,
    sdp: String,
    buffer: Vec<u8>,
}

impl Load {
    fn new(way: char) -> Result<Load, Failure> {
        let bind = || -> Result<UdpSocket, Failure> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &(4 << 20))?;
            Ok(socket)
        };
        let (caller, callee) = (bind()?, bind()?);
        let at = callee.local_addr()?;
        let conf = format!(
            "[log]\nlevel = \"warn\"\n[sip]\ntcp = false\nmax_calls = 8000\nmax_transactions = 400000\n\
             [media]\nrtp_ports = \"10000-29999\"\n[[interface]]\nbind = \"127.0.0.1:0\"\n\
             [[number]]\nnumber = \"1*\"\ndial = [\"sip:{{called}}@{at}\"]\n\
             [[number]]\nnumber = \"2*\"\ndial = [\"sip:{{called}}@{at}\"]\nmedia = \"direct\"\n\
             [[number]]\nnumber = \"3*\"\nscript = \"route.lua\"\nvars = {{ callee = \"{at}\" }}\n"
        );
        let server = Server::start(&conf, &[("route.lua", ROUTE)])?;
        // Nobody sends audio; the address is that of a socket that nobody reads.
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0 101\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n",
            at.port()
        );
        let (calls, due, buffer) = (Vec::new(), BTreeSet::new(), vec![0; 65_536]);
        Ok(Load { server, caller, callee, way, talk: TALK, calls, due, sdp, buffer })
    }

    /// Calls at `rate` a second for `window`, and what they cost.
    fn steady(&mut self, rate: u32, window: Duration) -> Result<Figures, Failure> {
        let count = (window.as_secs_f64() * f64::from(rate)) as u32;
        let (first, start) = (self.calls.len(), now());
        let (before, threads_before) = self.server.cpu()?;
        for index in 0..count {
            self.serve_until(start + Duration::from_secs(1) * index / rate)?;
            self.invite()?;
        }
        self.serve_until(start + window)?;
        let (after, threads) = self.server.cpu()?;
        let wait = if self.talk == TALK { self.talk + PATIENCE } else { PATIENCE };
        self.serve_until(now() + wait)?;
        let calls = &self.calls[first..];
        let standing = self.talk != TALK;
        let failed = calls.iter().filter(|call| call.answered.is_none() || (call.over.is_none() && !standing)).count();
        let sorted = |time: fn(&Call) -> Option<f64>| {
            let mut all: Vec<f64> = calls.iter().filter_map(time).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let per_call = |us: f64| us / f64::from(count);
        let threads = threads.into_iter().map(|(name, us)| {
            let before = threads_before.get(&name).copied().unwrap_or(0.0);
            (name, per_call(us - before))
        });
        Ok(Figures {
            calls: calls.len(),
            failed,
            shed: calls.iter().filter(|call| call.shed).count(),
            cpu: per_call(after - before),
            threads: threads.collect(),
            invite: sorted(|call| call.arrived.map(|at| (at - call.began).as_secs_f64() * 1e3)),
            ok: sorted(|call| call.answered.zip(call.arrived).map(|(to, from)| (to - from).as_secs_f64() * 1e3)),
        })
    }

    fn serve_until(&mut self, until: Duration) -> Result<(), Failure> {
        loop {
            while self.receive_as_callee()? | self.receive_as_caller()? {}
            let moment = now();
            if let Some((at, index)) = self.due.first().copied().filter(|(at, _)| *at <= moment) {
                self.due.remove(&(at, index));
                self.hang_up(index)?;
                continue;
            }
            let Some(left) = until.checked_sub(moment) else { return Ok(()) };
            let due = self.due.first().map_or(left, |(at, _)| at.saturating_sub(moment));
            wait(&[&self.caller, &self.callee], left.min(due))?;
        }
    }

    fn invite(&mut self) -> Result<(), Failure> {
        let (index, me, server, way) = (self.calls.len(), self.caller.local_addr()?, self.server.sip, self.way);
        let text = format!(
            "INVITE sip:{way}{index}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKi{index}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bench@{me}>;tag=f{index}\r\nTo: <sip:{way}{index}@{server}>\r\n\
             Call-ID: {index}@bench\r\nCSeq: 1 INVITE\r\nContact: <sip:bench@{me}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{}",
            self.sdp.len(),
            self.sdp
        );
        self.calls.push(Call { began: now(), ..Call::default() });
        self.caller.send_to(text.as_bytes(), server)?;
        Ok(())
    }

    fn in_dialog(&self, index: usize, method: &str, cseq: u32) -> Result<(), Failure> {
        let (call, me, server) = (&self.calls[index], self.caller.local_addr()?, self.server.sip);
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{method}{index}\r\nMax-Forwards: 70\r\n\
             From: <sip:bench@{me}>;tag=f{index}\r\nTo: {}\r\nCall-ID: {index}@bench\r\nCSeq: {cseq} {method}\r\n\
             Content-Length: 0\r\n\r\n",
            call.contact, call.to
        );
        self.caller.send_to(text.as_bytes(), server)?;
        Ok(())
    }

    fn hang_up(&self, index: usize) -> Result<(), Failure> {
        self.in_dialog(index, "BYE", 2)
    }

    /// False: nothing was there.
    fn receive_as_caller(&mut self) -> Result<bool, Failure> {
        let Some((len, from)) = receive(&self.caller, &mut self.buffer)? else { return Ok(false) };
        let Ok(text) = std::str::from_utf8(&self.buffer[..len]) else { return Ok(true) };
        let index: usize = header(text, "Call-ID").split('@').next().unwrap_or_default().parse()?;
        let method = header(text, "CSeq");
        if text.starts_with("BYE ") {
            // We hang up: whoever else does cuts the call.
            let answer = response(text, "200 OK", "", "", "");
            self.caller.send_to(answer.as_bytes(), from)?;
            self.calls[index].over = Some(now());
        } else if method.ends_with("BYE") {
            self.calls[index].over.get_or_insert(now());
        } else if text.starts_with("SIP/2.0 200") {
            let first = self.calls[index].answered.is_none();
            let contact = header(text, "Contact").split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            let call = &mut self.calls[index];
            (call.to, call.contact) = (header(text, "To").to_owned(), contact);
            if first {
                call.answered = Some(now());
                self.due.insert((now() + self.talk, index));
            }
            self.in_dialog(index, "ACK", 1)?;
        } else if !text.starts_with("SIP/2.0 1") {
            let call = &mut self.calls[index];
            call.shed = text.starts_with("SIP/2.0 503");
            (call.to, call.contact) = (header(text, "To").to_owned(), format!("sip:{}", self.server.sip));
            self.ack_refusal(index)?;
        }
        Ok(true)
    }

    /// Within the INVITE's own transaction (RFC 3261 section 17.1.1.3).
    fn ack_refusal(&self, index: usize) -> Result<(), Failure> {
        let (call, me, server) = (&self.calls[index], self.caller.local_addr()?, self.server.sip);
        let text = format!(
            "ACK sip:{}{index}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKi{index}\r\nMax-Forwards: 70\r\n\
             From: <sip:bench@{me}>;tag=f{index}\r\nTo: {}\r\nCall-ID: {index}@bench\r\nCSeq: 1 ACK\r\n\
             Content-Length: 0\r\n\r\n",
            self.way, call.to
        );
        self.caller.send_to(text.as_bytes(), server)?;
        Ok(())
    }

    fn receive_as_callee(&mut self) -> Result<bool, Failure> {
        let Some((len, from)) = receive(&self.callee, &mut self.buffer)? else { return Ok(false) };
        // A report of RTCP may find its way here: it is no text.
        let Ok(text) = std::str::from_utf8(&self.buffer[..len]) else { return Ok(true) };
        if text.starts_with("INVITE ") {
            let user = text.split([':', '@']).nth(1).unwrap_or_default();
            // The first character says the way; a flow took it off.
            let index = if self.way == '3' { user } else { &user[1..] };
            self.calls[index.parse::<usize>()?].arrived.get_or_insert(now());
            let contact = format!("Contact: <sip:bench@{}>\r\n", self.callee.local_addr()?);
            let ringing = response(text, "180 Ringing", ";tag=callee", &contact, "");
            let ok = response(text, "200 OK", ";tag=callee", &contact, &self.sdp);
            self.callee.send_to(ringing.as_bytes(), from)?;
            self.callee.send_to(ok.as_bytes(), from)?;
        } else if text.starts_with("BYE ") {
            let answer = response(text, "200 OK", "", "", "");
            self.callee.send_to(answer.as_bytes(), from)?;
        }
        Ok(true)
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Result<Option<(usize, std::net::SocketAddr)>, Failure> {
    match socket.recv_from(buffer) {
        Ok(received) => Ok(Some(received)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An answer to `request`.
fn response(request: &str, line: &str, tag: &str, more: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {line}\r\n");
    for line in request.lines().take_while(|line| !line.is_empty()) {
        let end = if line.starts_with("To:") { tag } else { "" };
        if ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            text += line;
            text += end;
            text += "\r\n";
        }
    }
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    text + &format!("{more}{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}
