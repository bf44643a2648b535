//! baresip: a phone that other people wrote. It registers nowhere, dials, presses keys, and records what it hears.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use crate::support::{Process, Server, free_port, read_wav};

/// Where Debian keeps baresip's modules.
const MODULES: &str = "/usr/lib/baresip/modules";

/// A running baresip with a control socket.
struct Phone {
    process: Process,
    control: TcpStream,
}

impl Phone {
    /// `speaks` is the WAV file that it sends; what it hears is recorded below `folder`.
    fn start(folder: &Path, speaks: &Path) -> Phone {
        let (sip, ctrl) = (free_port(), free_port());
        let config = format!(
            "sip_listen 127.0.0.1:{sip}\nmodule_path {MODULES}\nmodule g711.so\nmodule aufile.so\nmodule sndfile.so\n\
             module stdio.so\nmodule_app account.so\nmodule_app contact.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{ctrl}\naudio_player aufile,{out}\naudio_source aufile,{speaks}\n\
             audio_alert aufile,/dev/null\naudio_channels 1\nausrc_srate 8000\nauplay_srate 8000\n\
             snd_path {folder}\nrtp_ports 40000-49000\ncall_local_timeout 120\n",
            out = folder.join("heard.wav").display(),
            speaks = speaks.display(),
            folder = folder.display(),
        );
        fs::write(folder.join("config"), config).unwrap();
        fs::write(folder.join("accounts"), "<sip:baresip@127.0.0.1>;regint=0\n").unwrap();
        fs::write(folder.join("contacts"), "").unwrap();
        let mut command = Command::new("baresip");
        command.arg("-f").arg(folder).arg("-v");
        let process = Process::start(command);
        process.wait_for("baresip is ready");
        let control = (0..50).find_map(|_| TcpStream::connect(("127.0.0.1", ctrl)).ok()).expect("its control socket");
        control.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Phone { process, control }
    }

    /// A command in baresip's own words, as a netstring of JSON.
    fn tell(&mut self, command: &str, params: &str) {
        let json = format!("{{\"command\":\"{command}\",\"params\":\"{params}\",\"token\":\"t\"}}");
        write!(self.control, "{}:{json},", json.len()).unwrap();
    }

    /// Read events until one holds `text`.
    fn wait_for_event(&mut self, text: &str) {
        let mut all = String::new();
        let mut chunk = [0; 4096];
        while !all.contains(text) {
            let len = self.control.read(&mut chunk).unwrap_or_else(|error| panic!("no {text}: {error}; so far: {all}"));
            assert!(len > 0, "baresip went away; so far: {all}");
            all.push_str(&String::from_utf8_lossy(&chunk[..len]));
        }
    }
}
