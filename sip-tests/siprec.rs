//! SIPp as a recorder: it is told of the call, and hears both sides of it.

use std::{net::UdpSocket, time::Duration};

use crate::{
    sipp::{caller, numbers, passes, phone},
    support::Server,
};

/// Loudest sample of PCMU, by the byte alone: the lower the bits below the sign, the louder.
fn is_loud(payload: &[u8]) -> bool {
    payload.iter().any(|byte| byte & 0x7f < 0x50)
}

/// Wait for a voice.
fn hears_something(line: &UdpSocket) -> bool {
    line.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut packet = [0; 1500];
    for _ in 0..500 {
        let length = line.recv(&mut packet).unwrap();
        if length == 172 && packet[1] & 0x7f == 0 && is_loud(&packet[12..length]) {
            return true;
        }
    }
    false
}

#[test]
fn a_recorder_hears_what_the_party_says_and_what_it_hears() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let ports = lines.each_ref().map(|line| line.local_addr().unwrap().port().to_string());
    let keys = ["-m", "1", "-key", "said", &ports[0], "-key", "heard", &ports[1]];
    let (recorder, at, _) = phone(folder.path(), "uas_recorder", &keys);
    let script = format!(
        "call:answer()\nlocal ok, why = call:siprec{{recorder = 'sip:srs@{at}'}}\nif not ok then error(why) end\n\
         call:tone('busy', {{seconds = 60}})\n"
    );
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &script)]);
    // It says what it hears.
    let arguments = ["-sn", "uac", "-m", "1", "-d", "4000", "-rtp_echo"];
    let call = caller(server.sip, folder.path(), "100", &arguments);
    for (line, whose) in lines.iter().zip(["what it says", "what it hears"]) {
        assert!(hears_something(line), "{whose}");
    }
    passes(call, folder.path());
    passes(recorder, folder.path());
    server.wait_until_idle();
    let records = server.wait_for_records(2);
    assert!(records.iter().all(|record| record["status"] == "completed"), "{records:#?}");
}
