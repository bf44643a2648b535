//! `switchhook call`: a phone without a handset, on the server's own stack. It makes one call, runs the script
//! `phone.lua` on it, prints the SIP ladder while it happens, and tells what it heard.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    ladder::Ladder,
    waveform::{level_db, seconds_heard, waveform},
};
use crate::{
    conf::{Conf, LogFormat},
    ids::RequestId,
    server::{self, Seen, Server, Wishes},
    sip::{Scheme, Uri, reason_phrase},
    switch::{ConsoleReply, Originate, Trace, TraceEvent},
    verbs::Failure,
};

/// The order's number; there is only one.
const ORDER: RequestId = RequestId(1);
/// After the call, so long a silence on the wire ends the ladder.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Characters of the picture of what was heard.
const COLUMNS: usize = 60;

/// Call a SIP address: play a file to it, press keys, record what it says.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  switchhook call sip:100@127.0.0.1
  switchhook call sip:100@127.0.0.1 --play hello.wav --digits 12# --record heard.wav
  switchhook call 'sip:anna@192.0.2.7;transport=tcp' --from 4711 --wait 5")]
pub(super) struct Call {
    /// Whom to call: sip:user@host[:port], optionally with ;transport=tcp or tls
    #[arg(value_parser = address)]
    pub uri: String,
    /// WAV file to play after the answer
    #[arg(long, value_name = "FILE")]
    pub play: Option<PathBuf>,
    /// Keys to press after that: 0-9 * # A-D; a comma waits for a second
    #[arg(long, value_name = "KEYS", value_parser = keys)]
    pub digits: Option<String>,
    /// Record into this WAV file: what is heard left, what is said right
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Stay for so many seconds after everything was played and pressed, unless the other side hangs up
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub wait: f64,
    /// How long to let it ring, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub ring: f64,
    /// The number that is shown to the other side
    #[arg(long, value_name = "NUMBER", default_value = "switchhook")]
    pub from: String,
    /// Local address to call from; by default the one that leads there
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,
    /// Print whole SIP messages, not only the ladder
    #[arg(long)]
    pub messages: bool,
}

fn keys(text: &str) -> Result<String, String> {
    match text.chars().find(|c| !"0123456789*#ABCD,".contains(*c)) {
        Some(other) => Err(format!("found {other:?}; allowed: 0-9 * # A-D and comma")),
        None => Ok(text.to_owned()),
    }
}

fn address(text: &str) -> Result<String, String> {
    match Uri::parse(text) {
        Ok(uri) if matches!(uri.scheme, Scheme::Sip | Scheme::Sips) => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err("allowed: a SIP address such as sip:100@127.0.0.1".to_owned()),
    }
}

/// Why nobody answered, and what to do about it.
fn explain(failure: &Failure, code: Option<u16>) -> String {
    let said = code.map(|code| format!(" ({code} {})", reason_phrase(code))).unwrap_or_default();
    let hint = match (failure, code) {
        (Failure::Unreachable, Some(404)) => "; the other side has no such number",
        (Failure::Unreachable, Some(401 | 407)) => "; the other side wants a password",
        (Failure::Unreachable, _) => "; is a server running there, on that port?",
        (Failure::NoAnswer, _) => "; nobody picked up in time",
        (Failure::Media(_), _) => "; there is no codec in common",
        _ => "",
    };
    format!("not answered: {}{said}{hint}", failure.as_str())
}

/// What came of a call.
pub(super) struct Outcome {
    /// Answered, and ended in order.
    pub answered: bool,
    /// The recording's samples at [`Outcome::rate`], where there is a recording.
    pub heard: Option<(Vec<i16>, u32)>,
}

impl Call {
    /// The command.
    pub(super) fn run(&self) -> ExitCode {
        server::log_to_stderr("warn", LogFormat::Text);
        match self.call() {
            Ok(outcome) => {
                self.tell(&outcome);
                if outcome.answered { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(fault) => {
                eprintln!("switchhook: {fault}");
                ExitCode::from(super::EXIT_MISUSE)
            }
        }
    }

    /// Make the call, drawing it while it happens.
    pub(super) fn call(&self) -> Result<Outcome, String> {
        let home = tempfile_folder()?;
        let conf = self.conf(&home)?;
        let mut server = Server::start(&conf, Wishes { trace: true }).map_err(|error| error.to_string())?;
        server.originate(Originate {
            request: ORDER,
            target: self.uri.clone(),
            from: self.from.clone(),
            script: Some("phone.lua".into()),
            vars: self.vars()?,
            headers: Vec::new(),
            timeout: Duration::from_secs_f64(self.ring.clamp(1.0, 3600.0)),
        });
        let mut ladder = Ladder::default();
        let ended = self.watch(&mut server, &mut ladder);
        let answered = ended.is_ok();
        // The last words, such as the answer to our BYE.
        let mut last = Vec::new();
        while answered && let Some(seen) = server.watch_within(LAST_WORDS) {
            last.push(seen);
        }
        last.extend(server.stop());
        for seen in last {
            if let Seen::Trace(trace) = seen {
                self.draw(&mut ladder, &trace, &ProgressBar::hidden());
            }
        }
        if let Err(why) = ended {
            println!("{why}");
        }
        let _ = std::fs::remove_dir_all(&home);
        let heard = self.record.as_deref().filter(|file| answered && file.exists()).map(read).transpose()?;
        Ok(Outcome { answered, heard })
    }

    fn draw(&self, ladder: &mut Ladder, trace: &Trace, bar: &ProgressBar) {
        bar.suspend(|| print!("{}", ladder.draw(trace)));
        if let (true, TraceEvent::Message { text, .. }) = (self.messages, &trace.what) {
            bar.suspend(|| println!("{}", text.trim_end()));
        }
    }

    /// Until the call is over, or why nobody answered.
    fn watch(&self, server: &mut Server, ladder: &mut Ladder) -> Result<(), String> {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a constant"));
        bar.set_message(format!("calling {}", self.uri));
        bar.enable_steady_tick(Duration::from_millis(120));
        let mut ended = Err("not answered: the server stopped".to_owned());
        while let Some(seen) = server.watch() {
            match seen {
                Seen::Trace(trace) => self.draw(ladder, &trace, &bar),
                Seen::Console(ConsoleReply::Answered { .. }) => {
                    ended = Ok(());
                    bar.set_message("in the call");
                }
                Seen::Console(ConsoleReply::Failed { failure, code, .. }) => {
                    ended = Err(explain(&failure, code));
                    break;
                }
                Seen::Console(ConsoleReply::Ended { .. }) => break,
                Seen::Console(
                    ConsoleReply::Calling { .. }
                    | ConsoleReply::Reply { .. }
                    | ConsoleReply::Drained
                    | ConsoleReply::Trunk { .. }
                    | ConsoleReply::Alarm(_),
                ) => {}
                Seen::Counts { .. } => {}
            }
        }
        bar.finish_and_clear();
        ended
    }

    /// Print what was heard.
    pub(super) fn tell(&self, outcome: &Outcome) {
        let Some((samples, rate)) = &outcome.heard else { return };
        let length = samples.len() as f64 / f64::from(*rate);
        println!(
            "heard {:.1} s, of which {:.1} s are not silent, at {:.0} dBFS",
            length,
            seconds_heard(samples, *rate),
            level_db(samples)
        );
        println!("  |{}|", waveform(samples, COLUMNS));
        if let Some(file) = &self.record {
            println!("  saved in {}", file.display());
        }
    }

    fn vars(&self) -> Result<Vec<(String, String)>, String> {
        let mut vars = vec![("wait".to_owned(), self.wait.clamp(0.0, 86_400.0).to_string())];
        if let Some(file) = &self.play {
            let file = file.canonicalize().map_err(|error| format!("--play {}: {error}", file.display()))?;
            vars.push(("play".to_owned(), below_root(&file)));
        }
        if let Some(digits) = &self.digits {
            vars.push(("digits".to_owned(), digits.clone()));
        }
        if let Some(file) = &self.record {
            let file = std::path::absolute(file).map_err(|error| format!("--record {}: {error}", file.display()))?;
            vars.push(("record".to_owned(), below_root(&file)));
        }
        Ok(vars)
    }

    /// A server of its own on a free port: no numbers, files anywhere, its script in `home`.
    fn conf(&self, home: &Path) -> Result<Conf, String> {
        let mut conf = Conf::load(None).map_err(|fault| fault.to_string())?;
        let local = match self.bind {
            Some(address) => address,
            None => leads_to(&self.uri),
        };
        conf.interfaces.truncate(1);
        conf.interfaces[0].bind = SocketAddr::new(local, 0);
        // Those of a server that runs beside it.
        conf.interfaces[0].ports.iter_mut().for_each(|(_, port)| *port = None);
        conf.routes.clear();
        conf.folders.prompts = PathBuf::from("/");
        conf.folders.recordings = PathBuf::from("/");
        conf.folders.scripts = home.join("scripts");
        conf.folders.records = home.join("records");
        conf.folders.state = home.join("state");
        conf.sip.tcp = true;
        conf.workers = 1;
        conf.script_pool = 1;
        // A phone uses few ports, far from those of a server on the same machine.
        conf.rtp_ports = 30_000..=39_999;
        conf.sip.max_calls = 16;
        conf.media.max_ports = 16;
        server::bring_scripts(&conf.folders).map_err(|error| error.to_string())?;
        Ok(conf)
    }
}

fn below_root(file: &Path) -> String {
    file.strip_prefix("/").unwrap_or(file).display().to_string()
}

fn tempfile_folder() -> Result<PathBuf, String> {
    let home = std::env::temp_dir().join(format!("switchhook-{}-{}", std::process::id(), server::unique()));
    std::fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    Ok(home)
}

/// Our address on the way to the host of `uri`; where that cannot be told, any.
fn leads_to(uri: &str) -> IpAddr {
    let host = uri.rsplit('@').next().unwrap_or(uri);
    let host = host.trim_start_matches("sip:").trim_start_matches("sips:").split([';', '?']).next().unwrap_or(host);
    let host = if host.rsplit(']').next().is_some_and(|rest| rest.contains(':')) {
        host.to_owned()
    } else {
        format!("{host}:5060")
    };
    let found =
        std::net::UdpSocket::bind("[::]:0").or_else(|_| std::net::UdpSocket::bind("0.0.0.0:0")).and_then(|socket| {
            use std::net::ToSocketAddrs;
            let remote = host.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
            let any: IpAddr =
                if remote.is_ipv6() { std::net::Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            drop(socket);
            let socket = std::net::UdpSocket::bind((any, 0))?;
            socket.connect(remote)?;
            socket.local_addr()
        });
    found.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip())
}

/// What was heard: the only channel, or the left one beside what was said.
fn read(file: &Path) -> Result<(Vec<i16>, u32), String> {
    let mut reader = hound::WavReader::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (rate, channels) = (reader.spec().sample_rate, usize::from(reader.spec().channels.max(1)));
    let samples = reader
        .samples::<i16>()
        .step_by(channels)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok((samples, rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_no_phone_has_are_refused() {
        assert_eq!(keys("12#,*A").unwrap(), "12#,*A");
        assert_eq!(keys("12x").unwrap_err(), "found 'x'; allowed: 0-9 * # A-D and comma");
    }

    #[test]
    fn what_is_no_address_is_refused_and_a_failure_says_what_to_do() {
        assert!(address("sip:100@127.0.0.1").is_ok() && address("sips:a@example.com").is_ok());
        assert!(address("anna").unwrap_err().contains("sip:100@"));
        assert!(address("tel:+4930").is_err());
        assert_eq!(
            explain(&Failure::Unreachable, Some(404)),
            "not answered: unreachable (404 Not Found); the other side has no such number"
        );
        assert_eq!(explain(&Failure::Busy, Some(486)), "not answered: busy (486 Busy Here)");
    }

    #[test]
    fn the_way_to_this_machine_begins_on_loopback() {
        assert_eq!(leads_to("sip:100@127.0.0.1"), IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(leads_to("sip:100@127.0.0.1:5070;transport=tcp"), IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(leads_to("sips:127.0.0.1"), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
