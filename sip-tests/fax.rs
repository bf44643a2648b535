//! A fax between two SIPps: the called machine changes to T.38, and what each sends comes to the other as it is.

use std::{fs, net::UdpSocket, path::Path, time::Duration};

use crate::{
    sipp::{caller, numbers, passes, phone, scenario},
    support::{Server, breathe},
};

/// A fax machine's socket, and its port.
fn machine() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    (socket, port)
}

/// The port that we told a SIPp for its fax, read from its log of messages.
fn told(log: &Path, server: &Server) -> u16 {
    for _ in 0..1000 {
        let text = fs::read_to_string(log).unwrap_or_default();
        let received = text.split("-------").filter(|message| message.contains("message received"));
        let lines = received.flat_map(str::lines);
        if let Some(line) = lines.filter(|line| line.starts_with("m=image ") && line.contains("udptl")).last() {
            return line.split(' ').nth(1).unwrap().parse().unwrap();
        }
        breathe(server.sip);
    }
    panic!("no fax was offered or answered: {}", log.display());
}

#[test]
fn a_fax_between_two_machines_goes_through_untouched() {
    goes_through("fax_caller", "uas_fax");
}

#[test]
fn a_call_that_begins_with_a_fax_goes_through_too() {
    goes_through("fax_first_caller", "uas_fax_first");
}

/// An INVITE that offers nothing else, to a script that answers by itself.
#[test]
fn a_fax_that_nobody_takes_gets_488() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", "call:answer()\ncall:sleep(60)\n")]);
    let file = scenario("fax_first_caller");
    let arguments = ["-sf", file.to_str().unwrap(), "-m", "1", "-key", "fax", "9999"];
    let (status, _) = caller(server.sip, folder.path(), "100", &arguments).finish();
    assert!(!status.success(), "it is not answered with 200");
    assert_eq!(server.wait_for_records(1)[0]["code"], 488);
    server.wait_until_idle();
}

fn goes_through(calls: &str, is_called: &str) {
    let folder = tempfile::tempdir().unwrap();
    let ((a, a_port), (b, b_port)) = (machine(), machine());
    let (bob, bobs, bobs_log) = phone(folder.path(), is_called, &["-m", "1", "-key", "fax", &b_port]);
    let script = format!(
        "local peer, why = call:dial{{'sip:bob@{bobs}', timeout = 20}}\nif not peer then error(why) end\ncall:bridge(peer)\n"
    );
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &script)]);
    let (file, log) = (scenario(calls), folder.path().join("caller.log"));
    let arguments =
        ["-sf", file.to_str().unwrap(), "-m", "1", "-key", "fax", &a_port, "-message_file", log.to_str().unwrap()];
    let call = caller(server.sip, folder.path(), "100", &arguments);
    // The called one hears last, so that both are through.
    let (to_b, to_a) = (told(&bobs_log, &server), told(&log, &server));
    let mut heard = [0; 1500];
    for number in 0..50u8 {
        let packet: Vec<u8> = [0, number].into_iter().chain((0..200).map(|n: u8| n.wrapping_mul(number))).collect();
        for (from, port, to) in [(&a, to_a, &b), (&b, to_b, &a)] {
            from.send_to(&packet, ("127.0.0.1", port)).unwrap();
            let length = to.recv(&mut heard).unwrap();
            assert_eq!(heard[..length], packet, "packet {number}");
        }
    }
    passes(call, folder.path());
    passes(bob, folder.path());
    server.wait_until_idle();
    assert_eq!(server.wait_for_records(2).len(), 2);
}
