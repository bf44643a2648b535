//! Kamailio as a carrier's edge: `kamailio.cfg` with its words filled in.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    support::{Process, breathe, free_port, signal},
    wires::certificates,
};

/// Kamailio with `sip-tests/kamailio.cfg`, on UDP, TCP and TLS.
pub struct Kamailio {
    process: Process,
    /// Of UDP and TCP.
    pub address: SocketAddr,
    tls: SocketAddr,
    /// The authority, and what it signed.
    files: (PathBuf, PathBuf),
}

fn run(folder: &Path, text: &str) -> Process {
    let file = folder.join("kamailio.cfg");
    fs::write(&file, text).unwrap();
    let mut command = Command::new("kamailio");
    command.arg("-f").arg(&file).args(["-DD", "-E", "-m", "64", "-M", "8", "-Y"]).arg(folder);
    command.arg("-P").arg(folder.join("kamailio.pid"));
    Process::start(command)
}

impl Kamailio {
    /// `switch`: where calls go for which it was asked with the right password.
    pub fn start(folder: &Path, switch: SocketAddr, algorithm: &str) -> Kamailio {
        Kamailio::start_at(folder, switch, algorithm, SocketAddr::from(([127, 0, 0, 1], free_port())))
    }

    pub fn start_at(folder: &Path, switch: SocketAddr, algorithm: &str, address: SocketAddr) -> Kamailio {
        Kamailio::start_with(folder, switch, algorithm, address, Duration::from_secs(30))
    }

    /// `patience`: how long it waits for the first word of what lies behind it, before it says 408.
    pub fn start_with(
        folder: &Path,
        switch: SocketAddr,
        algorithm: &str,
        address: SocketAddr,
        patience: Duration,
    ) -> Kamailio {
        let files = certificates(folder);
        let template =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-tests/kamailio.cfg")).unwrap();
        let template = template
            .replace("PROXY_PORT", &address.port().to_string())
            .replace("SWITCH_PORT", &switch.port().to_string())
            .replace("TRUST_FILE", files.0.to_str().unwrap())
            .replace("OWN_FILE", files.1.to_str().unwrap())
            .replace("ALGORITHM", algorithm)
            .replace("PATIENCE_MS", &patience.as_millis().to_string());
        // Somebody may be faster to take the port that was free.
        let mut said = String::new();
        for _ in 0..3 {
            let tls = SocketAddr::from(([127, 0, 0, 1], free_port()));
            let process = run(folder, &template.replace("SECURE_PORT", &tls.port().to_string()));
            // It is ready when it takes connections: UDP comes first.
            for _ in 0..500 {
                if TcpStream::connect(address).is_ok() {
                    return Kamailio { process, address, tls, files };
                }
                breathe(address);
            }
            said = process.finish().1;
        }
        panic!("Kamailio does not start: {said}");
    }

    /// How it is called over `transport`.
    pub fn uri(&self, transport: &str) -> String {
        let at = if transport == "tls" { self.tls } else { self.address };
        format!("sip:{at};transport={transport}")
    }

    /// A line that its configuration has it log.
    pub fn wait_for(&self, text: &str) {
        self.process.wait_for(text);
    }

    /// The beginning of the configuration of a server that it can call over TLS, and that believes its certificate.
    pub fn tls_conf(&self) -> String {
        format!("tls = 0\n[tls]\ncertificate = {:?}\ntrust = {:?}\n", self.files.1, self.files.0)
    }
}

impl Drop for Kamailio {
    /// Killed, it would leave its children behind.
    fn drop(&mut self) {
        signal(self.process.child.id(), "TERM");
        let _ = self.process.wait();
    }
}
