//! baresip: a phone that other people wrote. It registers nowhere, dials, presses keys, and records what it hears.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    command_line::{seconds_of, tone},
    support::{Process, Server, breathe, free_port, read_wav},
};

/// Where Debian keeps baresip's modules.
const MODULES: &str = "/usr/lib/baresip/modules";

/// baresip hangs up when its file ends: it shall be longer than any test, in seconds.
const LONG: u32 = 120;

/// A running baresip with a control socket.
pub struct Phone {
    pub process: Process,
    /// The port where it is called.
    pub sip: u16,
    control: TcpStream,
    seen: String,
}

impl Phone {
    /// `speaks` is the WAV file that it sends; what it hears is saved below `folder`.
    fn start(folder: &Path, speaks: &Path) -> Phone {
        Phone::with_account(folder, speaks, "<sip:baresip@127.0.0.1>;regint=0")
    }

    /// The same, with an account line of its own.
    pub fn with_account(folder: &Path, speaks: &Path, account: &str) -> Phone {
        Phone::with_config(folder, speaks, account, "")
    }

    /// The same, with more lines of configuration.
    pub fn with_config(folder: &Path, speaks: &Path, account: &str, more: &str) -> Phone {
        let (sip, ctrl) = (free_port(), free_port());
        let config = format!(
            "sip_listen 127.0.0.1:{sip}\nmodule_path {MODULES}\nmodule g711.so\nmodule aufile.so\nmodule sndfile.so\n\
             module srtp.so\nmodule dtls_srtp.so\nmodule_app account.so\nmodule_app contact.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{ctrl}\naudio_source aufile,{}\naudio_alert aufile,/dev/null\n\
             audio_channels 1\nsnd_path {}\n{more}",
            speaks.display(),
            folder.display(),
        );
        fs::write(folder.join("config"), config).unwrap();
        fs::write(folder.join("accounts"), format!("{account}\n")).unwrap();
        if !folder.join("contacts").exists() {
            fs::write(folder.join("contacts"), "").unwrap();
        }
        let mut command = Command::new("baresip");
        command.arg("-f").arg(folder).current_dir(folder);
        let process = Process::start(command);
        process.wait_for("baresip is ready");
        let control = TcpStream::connect(("127.0.0.1", ctrl)).expect("its control socket");
        control.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Phone { process, sip, control, seen: String::new() }
    }

    /// A command in baresip's own words, as a netstring of JSON.
    pub fn tell(&mut self, command: &str, params: &str) {
        let json = format!("{{\"command\":\"{command}\",\"params\":\"{params}\",\"token\":\"t\"}}");
        write!(self.control, "{}:{json},", json.len()).unwrap();
    }

    /// Wait until an event holds `text`, or see that one did.
    pub fn wait_for_event(&mut self, text: &str) {
        let mut chunk = [0; 4096];
        loop {
            if self.seen.contains(text) {
                return;
            }
            let len = self
                .control
                .read(&mut chunk)
                .unwrap_or_else(|error| panic!("no {text}: {error}; so far: {}", self.seen));
            assert!(len > 0, "baresip went away; so far: {}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&chunk[..len]));
        }
    }

    /// Wait until it was told so many keys as events (RFC 4733), and give all of them.
    pub fn wait_for_keys(&mut self, count: usize) -> String {
        let mut chunk = [0; 4096];
        loop {
            let told = self.seen.split("\"CALL_DTMF_START\"").skip(1);
            let keys: String = told.filter_map(|rest| rest.split_once("\"param\":\"")?.1.chars().next()).collect();
            if keys.len() >= count {
                return keys;
            }
            let length = self.control.read(&mut chunk).unwrap_or_else(|error| panic!("{error}; so far: {}", self.seen));
            assert!(length > 0, "baresip went away; so far: {}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
    }

    /// Press a key, and let it go after 300 ms.
    pub fn press(&mut self, key: char) {
        self.tell("sndcode", &key.to_string());
        (0..15).for_each(|_| breathe(([127, 0, 0, 1], self.sip).into()));
        self.tell("sndcode", "\\u0004");
        (0..10).for_each(|_| breathe(([127, 0, 0, 1], self.sip).into()));
    }

    pub fn dial(&mut self, uri: &str) {
        self.seen.clear();
        self.tell("dial", uri);
        self.wait_for_event("CALL_ESTABLISHED");
    }
}

/// The file in which baresip's sndfile module saves what it decodes.
pub fn heard(folder: &Path) -> PathBuf {
    all_heard(folder).pop().expect("baresip saves what it hears")
}

/// All of them: it begins another one after each re-INVITE.
pub fn all_heard(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.to_string_lossy().ends_with("-dec.wav")).collect()
}

#[test]
fn its_keys_arrive_once_each_and_it_hears_the_speech() {
    let script = "call:answer()
        local digits = call:gather{say = 'Welcome. Please press some keys now.', barge_in = false, max = 4, first_timeout = 20, timeout = 10}
        vars.digits = digits
        call:tone({600}, {seconds = 1})
        call:sleep(0.3)";
    let server = Server::start("[[number]]\nnumber = \"100\"\nscript = \"menu.lua\"\n", &[("menu.lua", script)]);
    let folder = tempfile::tempdir().unwrap();
    tone(&folder.path().join("speak.wav"), 1000.0, 8000, LONG);
    let mut phone = Phone::start(folder.path(), &folder.path().join("speak.wav"));
    phone.dial(&format!("sip:100@{}", server.sip));
    for key in ["1", "2", "2", "3"] {
        // A key is held until the next one or an empty one.
        phone.tell("sndcode", key);
        (0..15).for_each(|_| breathe(server.sip));
        phone.tell("sndcode", "\\u0004");
        (0..10).for_each(|_| breathe(server.sip));
    }
    phone.wait_for_event("CALL_CLOSED");
    let record = server.wait_for_records(1).remove(0);
    assert_eq!(record["vars"]["digits"], "1223", "{record:#}");
    assert_eq!(record["end_reason"], "agent_completed", "{record:#}");
    let (channels, rate) = read_wav(&heard(folder.path()));
    assert_eq!(rate, 8000);
    let tone = seconds_of(&channels[0], 600.0);
    assert!((0.9..=1.1).contains(&tone), "{tone} s of the tone");
    // Speech is loud in many places before the tone begins.
    let speech = channels[0].chunks(160).filter(|frame| frame.iter().any(|s| s.unsigned_abs() > 2000)).count();
    assert!(speech > 50 + 25, "only {speech} loud frames");
}

#[test]
fn two_of_them_hear_each_other_in_a_conference() {
    hear_each_other(["", ""]);
}

/// Two in a conference, their accounts with these parameters: each hears the other's tone, and never its own.
pub fn hear_each_other(accounts: [&str; 2]) {
    let server = Server::start(
        "[[number]]\nnumber = \"104\"\nscript = \"room.lua\"\n",
        &[("room.lua", "call:answer() call:join('lobby')")],
    );
    let phones: Vec<_> = [(600.0, accounts[0]), (1000.0, accounts[1])]
        .map(|(frequency, more)| {
            let folder = tempfile::tempdir().unwrap();
            let speaks = folder.path().join("speak.wav");
            tone(&speaks, frequency, 8000, LONG);
            let account = format!("<sip:baresip@127.0.0.1>;regint=0{more}");
            let mut phone = Phone::with_account(folder.path(), &speaks, &account);
            phone.dial(&format!("sip:104@{}", server.sip));
            (folder, phone)
        })
        .into();
    (0..150).for_each(|_| breathe(server.sip));
    for (folder, mut phone) in phones {
        phone.tell("hangup", "");
        phone.wait_for_event("CALL_CLOSED");
        drop(phone);
        let (channels, _) = read_wav(&heard(folder.path()));
        let (low, high) = (seconds_of(&channels[0], 600.0), seconds_of(&channels[0], 1000.0));
        assert!(
            low.min(high) == 0.0 && low.max(high) > 0.5,
            "its own tone never, the other's: {low} s of 600 Hz, {high} s of 1000 Hz"
        );
    }
    server.wait_until_idle();
}
