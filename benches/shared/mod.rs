//! What the benches of whole calls share: the program as a process of its own, and what it used.

use std::{
    collections::BTreeMap,
    error::Error,
    fs::{self, File},
    net::{SocketAddr, UdpSocket},
    os::fd::AsFd,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    time::{ClockId, clock_gettime},
};

pub type Failure = Box<dyn Error>;

/// Clock ticks a second in /proc, the same on every Linux (USER_HZ).
const TICKS: f64 = 100.0;

/// Milliseconds of a multiply-and-shift chain that is always the same.
pub fn calibrate() -> f64 {
    let began = now();
    let mut x: u64 = 1;
    for _ in 0..200_000_000_u32 {
        x = std::hint::black_box(x.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (x >> 31));
    }
    (now() - began).as_secs_f64() * 1e3
}

pub fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has it").into()
}

/// The program under test. Killed when dropped.
pub struct Server {
    child: Child,
    pub sip: SocketAddr,
    folder: tempfile::TempDir,
}

impl Server {
    /// Runs with this configuration and these scripts, and with 200 ms of a tone as `short.wav`.
    pub fn start(conf: &str, scripts: &[(&str, &str)]) -> Result<Server, Failure> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("scripts"))?;
        for (name, text) in scripts {
            fs::write(at("scripts").join(name), text)?;
        }
        prompt(&at("prompts"))?;
        fs::write(at("bench.toml"), conf)?;
        let (out, log) = (at("out"), at("log"));
        // Under a tool such as `valgrind --tool=callgrind`, where the environment names one.
        let program = env!("CARGO_BIN_EXE_switchhook");
        let under = std::env::var("SWITCHHOOK_UNDER").unwrap_or_default();
        let mut words = under.split_whitespace().chain([program]);
        let mut command = Command::new(words.next().unwrap_or(program));
        let child = command
            .args(words)
            .args(["run", "--conf", "bench.toml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut server = Server { child, sip: SocketAddr::from(([127, 0, 0, 1], 0)), folder };
        for _ in 0..3000 {
            wait(&[], Duration::from_millis(10))?;
            let text = fs::read_to_string(&out)?;
            if text.contains("ready;") {
                let address = text.split("udp ").nth(1).and_then(|rest| rest.split([' ', ',', '\n']).next());
                server.sip = address.ok_or("no address was told")?.parse()?;
                return Ok(server);
            }
        }
        Err(format!("the server did not start: {}", fs::read_to_string(&log)?).into())
    }

    /// What it has told so far.
    pub fn told(&self) -> Result<String, Failure> {
        Ok(fs::read_to_string(self.folder.path().join("out"))?)
    }

    /// Microseconds of CPU, user and system, in all; and by thread's name.
    pub fn cpu(&self) -> Result<(f64, BTreeMap<String, f64>), Failure> {
        let of = |file: &Path| -> Result<(String, f64), Failure> {
            let text = fs::read_to_string(file)?;
            let name = text.split(['(', ')']).nth(1).ok_or("no name")?.to_owned();
            // From the third field on: proc(5) counts utime as the 14th, stime as the 15th.
            let rest: Vec<&str> = text.rsplit(')').next().ok_or("short")?.split_whitespace().collect();
            let field = |index: usize| rest.get(index).and_then(|text| text.parse::<f64>().ok()).ok_or("short");
            Ok((name, (field(11)? + field(12)?) * 1e6 / TICKS))
        };
        let home = Path::new("/proc").join(self.child.id().to_string());
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(home.join("task"))? {
            let (name, us) = of(&thread?.path().join("stat"))?;
            *threads.entry(name).or_default() += us;
        }
        Ok((of(&home.join("stat"))?.1, threads))
    }

    /// Resident memory, in KiB.
    pub fn rss(&self) -> Result<f64, Failure> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be over already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// 200 ms of a tone.
fn prompt(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let spec =
        hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut file = hound::WavWriter::create(folder.join("short.wav"), spec)?;
    for index in 0..1600_i32 {
        file.write_sample(if index % 20 < 10 { 4000_i16 } else { -4000 })?;
    }
    Ok(file.finalize()?)
}

/// Wait until one of `sockets` has something, or for so long.
pub fn wait(sockets: &[&UdpSocket], longest: Duration) -> Result<(), Failure> {
    let mut fds: Vec<PollFd> = sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
    // Rounded down: the last millisecond is spent awake, so that calls begin on time.
    let longest = u16::try_from(longest.as_millis()).unwrap_or(1000);
    match poll(&mut fds, PollTimeout::from(longest)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The value of the first header with this name.
pub fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let named = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    named.unwrap_or_default().trim()
}

/// A 200 to `request`.
pub fn response(request: &str, tag: &str, more: &str, body: &str) -> String {
    let mut text = "SIP/2.0 200 OK\r\n".to_owned();
    for via in request.lines().filter(|line| line.starts_with("Via:")) {
        text += &format!("{via}\r\n");
    }
    for (name, end) in [("From", ""), ("To", tag), ("Call-ID", ""), ("CSeq", "")] {
        text += &format!("{name}: {}{end}\r\n", header(request, name));
    }
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    text + &format!("{more}{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}
