//! SIPp as a recorder: it is told of the call, and hears both sides of it.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use switchhook::{
    rtp::srtp::Open,
    secure::{Key, Suite},
};

use crate::{
    sipp::{caller, numbers, passes, phone},
    support::{Process, Server},
    wires::{certificates, phone_over, tls_before},
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

/// A recorder, where it is, and where it takes what the party says and what it hears.
fn recorder(folder: &Path) -> (Process, SocketAddr, [UdpSocket; 2]) {
    let lines = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let ports = lines.each_ref().map(|line| line.local_addr().unwrap().port().to_string());
    let keys = ["-m", "1", "-key", "said", &ports[0], "-key", "heard", &ports[1]];
    let (recorder, at, _) = phone(folder, "uas_recorder", &keys);
    (recorder, at, lines)
}

#[test]
fn a_recorder_hears_what_the_party_says_and_what_it_hears() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, at, lines) = recorder(folder.path());
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

#[test]
fn what_is_masked_in_our_own_recording_is_silence_for_the_recorder() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, at, lines) = recorder(folder.path());
    let script = format!(
        "call:answer()\nlocal recording = call:record{{stereo = true}}\nrecording:mask()\n\
         local ok, why = call:siprec{{recorder = 'sip:srs@{at}'}}\nif not ok then error(why) end\n\
         call:tone({{600}}, {{seconds = 2}})\nrecording:resume()\ncall:tone({{600}}, {{seconds = 60}})\n"
    );
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &script)]);
    let call = caller(server.sip, folder.path(), "100", &["-sn", "uac", "-m", "1", "-d", "5000"]);
    let heard = &lines[1];
    heard.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut packet = [0; 1500];
    let silent = (0..500).take_while(|_| {
        let length = heard.recv(&mut packet).unwrap();
        !is_loud(&packet[12..length])
    });
    let silent = silent.count();
    assert!((75..250).contains(&silent), "{silent} packets of silence for two seconds of a masked tone");
    passes(call, folder.path());
    passes(recorder, folder.path());
    server.wait_until_idle();
}

#[test]
fn over_tls_a_recorder_gets_it_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let (trust, own) = certificates(folder.path());
    let line = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = line.local_addr().unwrap().port().to_string();
    let keys = ["-m", "1", "-key", "said", "9", "-key", "heard", &port];
    let (recorder, behind, messages) = phone_over(folder.path(), "uas_recorder_secure", "t1", &keys);
    let at = tls_before(behind, &own);
    let script = format!(
        "call:answer()\nlocal ok, why = call:siprec{{recorder = 'sips:srs@{at}'}}\nif not ok then error(why) end\n\
         call:tone({{600}}, {{seconds = 60}})\n"
    );
    let conf = format!(
        "tls = 0\n[tls]\ncertificate = {own:?}\ntrust = {trust:?}\n[siprec]\nsecurity = \"required\"\n{}",
        numbers(&[("100", "a.lua")])
    );
    let server = Server::start(&conf, &[("a.lua", &script)]);
    let call = caller(server.sip, folder.path(), "100", &["-sn", "uac", "-m", "1", "-d", "3000"]);
    line.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut packet = [0; 1500];
    let length = line.recv(&mut packet).unwrap();
    let seen = fs::read_to_string(messages).unwrap();
    let ours = seen.lines().filter_map(|line| line.strip_prefix("a=crypto:1 AEAD_AES_256_GCM inline:")).nth(1);
    let bytes = STANDARD.decode(ours.expect("a key for the second line").trim()).unwrap();
    let mut open = Open::new(&Key::new(Suite::AeadAes256Gcm, &bytes).unwrap());
    let mut loud = false;
    let mut length = length;
    for _ in 0..50 {
        let plain = open.rtp(&mut packet[..length]).expect("what our key encrypted");
        assert_eq!((plain, packet[1] & 0x7f), (172, 0));
        loud |= is_loud(&packet[12..plain]);
        length = line.recv(&mut packet).unwrap();
    }
    assert!(loud, "the tone is in it");
    passes(call, folder.path());
    passes(recorder, folder.path());
    server.wait_until_idle();
}
