//! What the tests of the real program need: a server of its own for each test, peers beside it, files to look into.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

/// Longest wait for anything that should come: generous, because the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_switchhook");

/// A server with its own folder, on ports of its own.
pub struct Server {
    pub folder: tempfile::TempDir,
    pub sip: SocketAddr,
    /// What it listens on, in its own words.
    listening: String,
    process: Process,
}

impl Server {
    /// Start with `conf` laid over a configuration that listens on a free loopback port. `scripts` are written first.
    pub fn start(conf: &str, scripts: &[(&str, &str)]) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["scripts", "prompts", "recordings", "records", "state"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for (name, text) in scripts {
            fs::write(at("scripts").join(name), text).unwrap();
        }
        let (first, last) = rtp_range();
        let numbers = if conf.contains("[[number]]") { "" } else { "number = []\n" };
        let base = format!(
            "{numbers}[folders]\nscripts = {:?}\nprompts = {:?}\nrecordings = {:?}\nrecords = {:?}\nstate = {:?}\n\
             [[interface]]\nbind = \"127.0.0.1:0\"\n",
            at("scripts"),
            at("prompts"),
            at("recordings"),
            at("records"),
            at("state")
        );
        // A busy machine that runs many tests at once must not cost a call.
        let guard = if conf.contains("[guard]") { "" } else { "[guard]\nshed_after_ms = 0\n" };
        let media = if conf.contains("[media]") { String::new() } else { "[media]\n".to_owned() };
        let conf = format!("{base}{conf}\n{guard}{media}")
            .replace("[media]\n", &format!("[media]\nrtp_ports = \"{first}-{last}\"\n"));
        fs::write(at("switchhook.toml"), conf).unwrap();
        let process = Server::run(folder.path());
        let line = process.wait_for("listening on udp ");
        let sip = line.split("udp ").nth(1).and_then(|rest| rest.split([' ', ',']).next()).expect("an address").parse();
        Server { sip: sip.unwrap_or_else(|_| panic!("no address in: {line}")), listening: line, folder, process }
    }

    fn run(folder: &Path) -> Process {
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg("--conf").arg(folder.join("switchhook.toml")).current_dir(folder);
        Process::start(command)
    }

    /// End it by this signal, and start it again with the same folder and port.
    pub fn restart(&mut self, name: &str) {
        self.restart_after(name, |_| {});
    }

    /// As [`Server::restart`], with something done in between.
    pub fn restart_after(&mut self, name: &str, between: impl FnOnce(&Server)) {
        signal(self.pid(), name);
        self.process.wait();
        between(self);
        let file = self.path("switchhook.toml");
        let conf = fs::read_to_string(&file).unwrap();
        let conf = conf.replacen("bind = \"127.0.0.1:0\"", &format!("bind = \"{}\"", self.sip), 1);
        fs::write(&file, conf).unwrap();
        self.process = Server::run(self.folder.path());
        self.process.wait_for("listening on udp ");
    }

    /// Only lines that come from now on are looked at; the line is returned.
    pub fn wait_for(&self, text: &str) -> String {
        self.process.wait_for(text)
    }

    /// The port on which it listens for `tls`, `ws` or `wss`.
    pub fn port(&self, kind: &str) -> u16 {
        let mut told = self.listening.split(", ").filter_map(|one| one.strip_prefix(kind)?.trim().parse().ok());
        told.next().unwrap_or_else(|| panic!("no {kind} in: {}", self.listening))
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is still held, as the program itself counts it.
    pub fn counts(&self) -> serde_json::Value {
        signal(self.pid(), "USR1");
        let line = self.wait_for("counts ");
        serde_json::from_str(line.split("counts ").nth(1).expect("JSON follows")).expect("JSON")
    }

    /// Wait until no call, flow or port is left; panics with what is left otherwise.
    pub fn wait_until_idle(&self) {
        let mut counts = self.counts();
        // Each round is a signal and an answer; a call that is ending needs a few hundred milliseconds at most.
        for _ in 0..2000 {
            if ["calls", "flows", "ports"].iter().all(|key| counts[key] == 0) {
                return;
            }
            breathe(self.sip);
            counts = self.counts();
        }
        panic!("left behind: {counts}");
    }

    /// The records of the calls that are over, in the order in which they ended.
    pub fn records(&self) -> Vec<serde_json::Value> {
        let mut files: Vec<_> = fs::read_dir(self.path("records")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        let lines = files.iter().flat_map(|file| {
            fs::read_to_string(file)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"))
                .collect::<Vec<_>>()
        });
        lines.collect()
    }

    /// Wait until `count` records are written.
    pub fn wait_for_records(&self, count: usize) -> Vec<serde_json::Value> {
        for _ in 0..2000 {
            let records = self.records();
            if records.len() >= count {
                return records;
            }
            breathe(self.sip);
        }
        panic!("{count} records wanted, these are there: {:#?}", self.records());
    }

    /// Everything that it says until it ends, from the last line on that somebody waited for.
    pub fn rest_of_log(&self) -> String {
        let mut all = Vec::new();
        while let Ok(line) = self.process.lines.recv_timeout(PATIENCE) {
            all.push(line);
        }
        all.join("\n")
    }

    /// As [`Server::stop`]; one of its files is copied before its folder goes.
    pub fn stop_keeping(mut self, file: &Path, copy: &Path) -> ExitStatus {
        signal(self.pid(), "TERM");
        self.process.wait_for("stopped with");
        let status = self.process.wait();
        fs::copy(file, copy).unwrap();
        status
    }

    /// Ask the program to stop, and wait for it.
    pub fn stop(mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        self.process.wait_for("stopped with");
        self.process.wait()
    }
}

/// Pass a little time without sleeping: wait for a datagram that does not come.
pub fn breathe(_: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let _ = socket.recv(&mut [0; 1]);
}

/// A port range of this process's own, so that servers of tests that run side by side seldom meet.
fn rtp_range() -> (u16, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the ports that the system gives out (32,768 and up), which are the peers'.
    let slot = NEXT.fetch_add(1, Ordering::Relaxed) % 10;
    let first = 10_000 + slot * 2_200;
    (first, first + 2_199)
}

pub fn signal(pid: u32, name: &str) {
    let done = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(done.success());
}

/// The next port of `range` that is free, and so are those up to the next but three: whoever gets it may take these, too.
/// None is given out twice in a run, unless all of them were; the system gives out others.
fn next_port(range: std::ops::Range<u16>, turn: &AtomicU16, is_free: impl Fn(u16) -> bool) -> u16 {
    let count = (range.end - range.start) / 4;
    // Runs beside this one begin elsewhere.
    let first = std::process::id() as u16 % count;
    let mut ports =
        (0..count).map(|_| range.start + turn.fetch_add(1, Ordering::Relaxed).wrapping_add(first) % count * 4);
    ports.find(|port| (*port..port + 4).all(&is_free)).expect("one of them is free")
}

/// A port for SIP, free for UDP and TCP; baresip takes the next one for TLS.
pub fn free_port() -> u16 {
    static TURN: AtomicU16 = AtomicU16::new(0);
    let is_free = |port| UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok();
    next_port(2000..4000, &TURN, is_free)
}

/// An even port for audio, with one for its reports; SIPp takes the next two for video.
pub fn free_audio_port() -> u16 {
    static TURN: AtomicU16 = AtomicU16::new(0);
    next_port(4000..10_000, &TURN, |port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

/// A child process whose lines (standard output and error) can be waited for. Killed when dropped.
pub struct Process {
    pub child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub fn start(mut command: Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = channel();
        let out: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("piped"));
        let err: Box<dyn Read + Send> = Box::new(child.stderr.take().expect("piped"));
        for stream in [out, err] {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                        return;
                    }
                }
            });
        }
        Process { child, lines }
    }

    /// The next line that holds `text`; panics with everything that came instead.
    pub fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line with {text:?} came; these did:\n{}", seen.join("\n")),
            }
        }
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Wait for the end, and give all lines.
    pub fn finish(mut self) -> (ExitStatus, String) {
        let mut all = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            all.push(line);
        }
        (self.wait(), all.join("\n"))
    }
}

impl Drop for Server {
    /// A failed test tells what the server complained about.
    fn drop(&mut self) {
        if thread::panicking() {
            let complaints =
                self.process.lines.try_iter().filter(|line| line.contains("ERROR") || line.contains("WARN"));
            complaints.take(20).for_each(|line| eprintln!("server: {line}"));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The samples of a WAV file, channel by channel, and its rate.
pub fn read_wav(file: &Path) -> (Vec<Vec<i16>>, u32) {
    let mut reader = hound::WavReader::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let spec = reader.spec();
    let mut channels = vec![Vec::new(); usize::from(spec.channels)];
    for (index, sample) in reader.samples::<i16>().enumerate() {
        channels[index % usize::from(spec.channels)].push(sample.unwrap());
    }
    (channels, spec.sample_rate)
}
