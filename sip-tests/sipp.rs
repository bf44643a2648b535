//! SIPp: its own scenarios and ours, calls in and out.

use std::{
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::support::{Process, Server, breathe, free_audio_port, free_port};

/// Answers, plays a tone for ever.
const ANSWER: &str = "call:answer()\ncall:tone('ringing', {seconds = 60})\n";
/// Rings for a minute.
const RING: &str = "call:ring()\ncall:sleep(60)\n";
/// Rings, with audio.
const EARLY: &str = "call:progress()\ncall:tone('ringing', {seconds = 60})\n";

pub fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-tests/scenarios").join(format!("{name}.xml"))
}

/// SIPp as a caller; its own ports are free ones.
pub fn caller(server: SocketAddr, folder: &Path, number: &str, extra: &[&str]) -> Process {
    caller_at("127.0.0.1", server, folder, number, extra)
}

/// The same, from another address of this machine.
pub fn caller_at(from: &str, server: SocketAddr, folder: &Path, number: &str, extra: &[&str]) -> Process {
    let mut command = Command::new("sipp");
    command
        .arg(server.to_string())
        .args(["-s", number, "-i", from, "-p", &free_port().to_string(), "-nostdin"])
        .args(["-mp", &free_audio_port().to_string()])
        .args(["-timeout", "100", "-timeout_error", "-trace_err", "-trace_msg"])
        .args(extra)
        .current_dir(folder);
    Process::start(command)
}

/// SIPp as a phone that is called; answers with its address.
pub fn phone(folder: &Path, name: &str, extra: &[&str]) -> (Process, SocketAddr, PathBuf) {
    phone_at("127.0.0.1", folder, name, extra)
}

/// The same, at another address of this machine.
pub fn phone_at(at: &str, folder: &Path, name: &str, extra: &[&str]) -> (Process, SocketAddr, PathBuf) {
    let address = SocketAddr::new(at.parse().unwrap(), free_port());
    let messages = folder.join(format!("{name}-{}.log", address.port()));
    let mut command = Command::new("sipp");
    command
        .arg("-sf")
        .arg(scenario(name))
        .args(["-i", at, "-p", &address.port().to_string(), "-nostdin"])
        .args(["-mp", &free_audio_port().to_string()])
        .args(["-timeout", "100", "-timeout_error", "-trace_err", "-trace_msg", "-message_file"])
        .arg(&messages)
        .args(extra)
        .current_dir(folder);
    let process = Process::start(command);
    // It is ready when its port is taken.
    for _ in 0..500 {
        if UdpSocket::bind(address).is_err() {
            break;
        }
        breathe(address);
    }
    (process, address, messages)
}

pub fn passes(process: Process, folder: &Path) {
    let (status, output) = process.finish();
    if !status.success() {
        let errors = std::fs::read_dir(folder).unwrap().filter_map(|e| {
            let path = e.unwrap().path();
            path.to_string_lossy().contains("errors").then(|| std::fs::read_to_string(path).unwrap_or_default())
        });
        let table: Vec<&str> = output.lines().filter(|line| line.contains("--->") || line.contains("<---")).collect();
        panic!("SIPp says {status}\n{}\n{}", errors.collect::<String>(), table.join("\n"));
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

pub fn numbers(list: &[(&str, &str)]) -> String {
    list.iter().map(|(number, script)| format!("[[number]]\nnumber = \"{number}\"\nscript = \"{script}\"\n")).collect()
}

fn server() -> Server {
    let conf = numbers(&[("100", "answer.lua"), ("180", "ring.lua"), ("183", "early.lua")]);
    Server::start(&conf, &[("answer.lua", ANSWER), ("ring.lua", RING), ("early.lua", EARLY)])
}

fn scenario_passes(name: &str, number: &str, extra: &[&str]) -> Server {
    let server = server();
    let folder = server.folder.path().to_owned();
    let file = scenario(name);
    let mut arguments = vec!["-sf", file.to_str().unwrap()];
    arguments.extend(if extra.contains(&"-m") { &[][..] } else { &["-m", "5", "-r", "10"][..] });
    arguments.extend(extra);
    passes(caller(server.sip, &folder, number, &arguments), &folder);
    server.wait_until_idle();
    server
}

#[test]
fn a_thousand_calls_of_sipps_own_scenario_leave_nothing_behind() {
    let server = server();
    let folder = server.folder.path().to_owned();
    passes(caller(server.sip, &folder, "100", &["-sn", "uac", "-m", "1000", "-r", "100", "-d", "200"]), &folder);
    server.wait_until_idle();
    let records = server.wait_for_records(1000);
    assert_eq!(records.len(), 1000);
    let odd: Vec<_> =
        records.iter().filter(|r| r["status"] != "completed" || r["end_reason"] != "caller_hangup").collect();
    assert!(odd.is_empty(), "{odd:#?}");
    assert!(server.stop().success());
}

#[test]
fn calls_over_tcp_pass_as_well() {
    let server = scenario_passes("hold_resume_move", "100", &["-t", "t1", "-m", "20", "-r", "20"]);
    assert_eq!(server.wait_for_records(20).len(), 20);
}

#[test]
fn lost_and_repeated_messages_lose_no_call() {
    let server = server();
    let folder = server.folder.path().to_owned();
    // One message in ten is lost, each way.
    passes(
        caller(server.sip, &folder, "100", &["-sn", "uac", "-m", "100", "-r", "50", "-d", "100", "-lost", "10"]),
        &folder,
    );
    let records = server.wait_for_records(100);
    let odd: Vec<_> = records.iter().filter(|r| r["status"] != "completed").collect();
    // Where its ACK and its BYE are both lost, SIPp takes the repeated 200 to the INVITE for the answer to the BYE, and
    // goes away: that call ends 32 s later, for want of an ACK.
    assert!(odd.len() <= 5 && odd.iter().all(|r| r["error"] == "no ACK came"), "{odd:#?}");
}

#[test]
fn cancel_before_ringing() {
    let server = scenario_passes("cancel_after_100", "180", &[]);
    let records = server.wait_for_records(5);
    assert!(records.iter().all(|r| r["status"] == "canceled" && r["code"] == 487), "{records:#?}");
}

#[test]
fn cancel_while_ringing() {
    let server = scenario_passes("cancel_after_180", "180", &[]);
    assert!(server.wait_for_records(5).iter().all(|r| r["status"] == "canceled"));
}

#[test]
fn cancel_in_early_media() {
    let server = scenario_passes("cancel_after_183", "183", &[]);
    assert!(server.wait_for_records(5).iter().all(|r| r["status"] == "canceled"));
}

#[test]
fn hold_resume_and_a_moved_port() {
    let server = scenario_passes("hold_resume_move", "100", &[]);
    assert!(server.wait_for_records(5).iter().all(|r| r["status"] == "completed"));
}

#[test]
fn an_invite_without_an_offer_gets_ours() {
    scenario_passes("late_offer", "100", &[]);
}

#[test]
fn a_200_whose_ack_is_lost_comes_again_at_doubling_gaps() {
    let server = server();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let us = socket.local_addr().unwrap();
    let message = |method: &str, cseq: &str, to_tag: &str, body: &str| {
        format!(
            "{method} sip:100@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{cseq}{method};rport\r\nFrom: <sip:x@{us}>;tag=1\r\n\
             To: <sip:100@{0}>{to_tag}\r\nCall-ID: lost\r\nCSeq: {cseq} {method}\r\nContact: <sip:x@{us}>\r\nMax-Forwards: 70\r\n\
             Content-Type: application/sdp\r\nContent-Length: {1}\r\n\r\n{body}",
            server.sip,
            body.len()
        )
    };
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
    socket.send_to(message("INVITE", "1", "", sdp).as_bytes(), server.sip).unwrap();
    let mut buffer = [0; 65_536];
    let mut next = || {
        let len = socket.recv(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    let mut answers = Vec::new();
    while answers.len() < 3 {
        let answer = next();
        if answer.starts_with("SIP/2.0 200") {
            answers.push((Duration::from_nanos(now_ns()), answer));
        }
    }
    assert!(answers.iter().all(|(_, answer)| *answer == answers[0].1), "the same one each time");
    let gaps: Vec<u128> = answers.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_millis()).collect();
    assert!((450..900).contains(&gaps[0]) && (900..1800).contains(&gaps[1]), "T1, then twice as long: {gaps:?} ms");
    let tag = answers[0]
        .1
        .lines()
        .find_map(|line| line.strip_prefix("To: ")?.split_once(";tag="))
        .expect("a To-tag")
        .1
        .to_owned();
    let tag = format!(";tag={}", tag.trim());
    socket.send_to(message("ACK", "1", &tag, "").as_bytes(), server.sip).unwrap();
    socket.send_to(message("BYE", "2", &tag, "").as_bytes(), server.sip).unwrap();
    while !next().contains("2 BYE") {}
    assert_eq!(server.wait_for_records(1)[0]["end_reason"], "caller_hangup");
}

/// The kernel's monotonic clock.
pub fn now_ns() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("every Linux has it");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

#[test]
fn an_unknown_number_gets_404() {
    let server = server();
    let folder = server.folder.path().to_owned();
    let (status, output) = caller(server.sip, &folder, "999", &["-sn", "uac", "-m", "1"]).finish();
    assert!(!status.success(), "{}", tail(&output));
    let messages = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
    let log =
        messages.filter(|p| p.to_string_lossy().contains("messages")).map(|p| std::fs::read_to_string(p).unwrap());
    assert!(log.collect::<String>().contains("SIP/2.0 404"));
    let records = server.wait_for_records(1);
    assert_eq!((&records[0]["status"], &records[0]["code"]), (&"failed".into(), &404.into()));
}

#[test]
fn a_thousand_calls_out_are_bridged_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (phone, address, _) = phone(folder.path(), "uas_answer_at_once", &[]);
    let dial = format!(
        "local peer, why = call:dial{{'sip:bob@{address}', timeout = 20}}\nif peer then call:bridge(peer) else error(why) end\n"
    );
    let dial = dial.replace("local peer", "call:answer()\nlocal peer");
    let server = Server::start(&numbers(&[("200", "dial.lua")]), &[("dial.lua", &dial)]);
    passes(
        caller(server.sip, folder.path(), "200", &["-sn", "uac", "-m", "500", "-r", "50", "-d", "1500"]),
        folder.path(),
    );
    server.wait_until_idle();
    let records = server.wait_for_records(1000);
    assert_eq!(records.iter().filter(|r| r["status"] == "completed").count(), 1000, "500 in, 500 out");
    drop(phone);
}
