//! Scripts that harm themselves, and messages that are none, beside calls that must not notice.

use std::{net::UdpSocket, time::Duration};

use crate::{
    sipp::{caller, scenario},
    support::Server,
};

const BAD: [(&str, &str); 6] = [
    ("loop.lua", "call:answer() while true do pcall(function() while true do end end) end"),
    ("find.lua", "call:answer() string.find(('a'):rep(30000), ('.-'):rep(30)..'b')"),
    ("memory.lua", "call:answer() local t = {} while true do t[#t + 1] = {} end"),
    ("coroutine.lua", "call:answer() local co = coroutine.wrap(function() while true do end end) co()"),
    ("error.lua", "call:answer() error({code = 5})"),
    ("huge.lua", "call:answer() local s = 'x' while true do s = s .. s end"),
];

#[test]
fn of_a_hundred_calls_the_bad_scripts_end_only_their_own() {
    let mut scripts = vec![("good.lua", "call:answer() call:echo{limit = 20}")];
    scripts.extend(BAD);
    let number = |(at, (name, _)): (usize, &(&str, &str))| {
        format!("[[number]]\nnumber = \"{}\"\nscript = \"{name}\"\n", 100 + at)
    };
    let conf: String = scripts.iter().enumerate().map(number).collect();
    let server = Server::start(&format!("[script]\nrun_ms = 1000\n{conf}"), &scripts);
    let folder = server.folder.path().to_owned();
    // 94 calls with audio: SIPp sends a packet each 20 ms and the echo brings it back.
    let audio = folder.join("audio.pcmu");
    std::fs::write(&audio, vec![0x31; 8000 * 4]).unwrap();
    let file = scenario("talk");
    let good = caller(server.sip, &folder, "100", &["-sf", file.to_str().unwrap(), "-m", "94", "-r", "50"]);
    let bad: Vec<_> = (1..=6)
        .map(|number| {
            caller(
                server.sip,
                &folder,
                &(100 + number).to_string(),
                &["-sf", scenario("answered").to_str().unwrap(), "-m", "1"],
            )
        })
        .collect();
    for process in bad {
        let (status, said) = process.finish();
        assert!(status.success(), "the server ends the call by itself: {said}");
    }
    let (status, said) = good.finish();
    assert!(status.success(), "{said}");
    server.wait_until_idle();
    let records = server.wait_for_records(100);
    let good: Vec<_> = records.iter().filter(|record| record["script"] == "good.lua").collect();
    assert_eq!(good.len(), 94);
    for record in &good {
        assert_eq!(record["end_reason"], "caller_hangup", "{record:#}");
        let (received, sent) =
            (record["quality"]["received"].as_u64().unwrap(), record["quality"]["sent"].as_u64().unwrap());
        assert!(received >= 150 && sent + 5 >= received && record["quality"]["lost"] == 0, "{}", record["quality"]);
    }
    let ends = |reason: &str| records.iter().filter(|r| r["script"] != "good.lua" && r["end_reason"] == reason).count();
    assert_eq!((ends("agent_error") + ends("agent_crashed"), ends("caller_hangup")), (6, 0), "{records:#?}");
}

#[test]
fn noise_on_the_sip_port_is_survived() {
    let server = Server::start("[[number]]\nnumber = \"1\"\nscript = \"a.lua\"\n", &[("a.lua", "call:reject(486)")]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut seed = 1u64;
    for round in 0..5000u64 {
        let mut text = format!(
            "INVITE sip:1@{} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{round}\r\nCall-ID: {round}\r\n\r\n",
            server.sip
        )
        .into_bytes();
        for _ in 0..8 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (seed >> 33) as usize % text.len();
            text[at] = (seed >> 20) as u8;
        }
        socket.send_to(&text, server.sip).unwrap();
    }
    let options = format!(
        "OPTIONS sip:x@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {1};branch=z9hG4bKlast;rport\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@{0}>\r\n\
         Call-ID: last\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        server.sip,
        socket.local_addr().unwrap()
    );
    socket.send_to(options.as_bytes(), server.sip).unwrap();
    let mut buffer = [0; 65_536];
    loop {
        let len = socket.recv(&mut buffer).expect("an answer to OPTIONS");
        let answer = String::from_utf8_lossy(&buffer[..len]).into_owned();
        if answer.contains("OPTIONS") {
            assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
            break;
        }
        assert!(answer.starts_with("SIP/2.0 "), "{answer}");
        // Resent answers of the others may fill the socket's buffer: ask again, it is the same transaction.
        socket.send_to(options.as_bytes(), server.sip).unwrap();
    }
    assert_eq!(server.counts()["calls"], 0);
}
