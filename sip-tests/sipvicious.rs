//! sipvicious, a scanner that is seen everywhere, against the real program: it finds nothing, and is banned.
//!
//! A few seconds each; with PROOF set, a minute each.

use std::{
    net::UdpSocket,
    process::{Command, Stdio},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

use crate::support::{Process, Server};

/// 100 is a number that is there; nobody is trusted, not even the loopback.
fn server(more: &str) -> Server {
    let conf = format!(
        "[guard]\ntrusted = []\n{more}\n[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n[script]\nthreads = 1\n"
    );
    Server::start(&conf, &[("a.lua", "call:ring() call:sleep(1) call:reject(486)")])
}

fn installed(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_err() {
        println!("left out: {tool} is not installed");
    }
    there.is_ok()
}

fn seconds() -> u64 {
    if std::env::var_os("PROOF").is_some() { 60 } else { 5 }
}

/// What the tool prints in its time, over and over again where it ends sooner.
fn scan(server: &Server, tool: &str, arguments: &[&str]) -> String {
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    let until = now() + Duration::from_secs(seconds());
    let mut said = String::new();
    while now() < until {
        let left = until.saturating_sub(now()).as_secs().max(2);
        let mut command = Command::new("timeout");
        command.args(["--signal=INT", "--kill-after=5", &left.to_string(), tool]).args(arguments);
        command.args(["-p", &server.sip.port().to_string(), &server.sip.ip().to_string()]);
        command.env("HOME", server.folder.path()).env("COLUMNS", "200");
        said.push_str(&Process::start(command).finish().1);
        said.push('\n');
    }
    said
}

/// What a call to the number that is there gets from this machine.
fn is_answered(server: &Server) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let at = socket.local_addr().unwrap();
    let text = format!(
        "OPTIONS sip:100@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKlast;rport\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:100@{0}>\r\nCall-ID: last{at}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        server.sip
    );
    socket.send_to(text.as_bytes(), server.sip).unwrap();
    socket.recv(&mut [0; 2000]).is_ok()
}

#[test]
fn svmap_finds_no_device() {
    if !installed("svmap") {
        return;
    }
    let server = server("");
    assert!(is_answered(&server));
    let said = scan(&server, "svmap", &[]);
    assert!(!said.contains("Switchhook"), "{said}");
    server.wait_for("banned");
    assert!(!is_answered(&server), "the whole source is banned");
}

#[test]
fn svwar_finds_no_number_whatever_it_asks_with() {
    if !installed("svwar") {
        return;
    }
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        // As if it did not tell its name: then it is what it does that gives it away.
        let server = server("scanners = [\"none of these\"]\nrate = 10\nburst = 20");
        let said = scan(&server, "svwar", &["--force", "-m", method, "-e", "90-999", "-t", "0.005"]);
        let found = said.lines().any(|line| line.contains("| 100 ") && !line.contains("unknown"));
        assert!(!found, "{method}: {said}");
        // It gives up by itself where the first REGISTER is refused.
        if method != "REGISTER" {
            server.wait_for("banned");
            assert!(!is_answered(&server), "{method}");
        }
        assert_eq!(server.records().iter().filter(|record| record["status"] == "completed").count(), 0);
    }
}

#[test]
fn svcrack_gets_no_password() {
    if !installed("svcrack") {
        return;
    }
    let server = server("scanners = [\"none of these\"]");
    let said = scan(&server, "svcrack", &["-u", "100", "-r", "1-9999", "-t", "0.005"]);
    assert!(!said.contains("The password for"), "{said}");
    server.wait_until_idle();
}
