//! Text messages with the real program: from a socket of our own, and between two baresips that registered.

use std::{io::BufRead, net::UdpSocket};

use crate::{
    baresip::Phone,
    command_line::tone,
    records::{api, connect, key},
    support::{PATIENCE, Server},
};

const FORWARD: &str = include_str!("../scripts/forward.lua");
const MESSAGES: &str = "[phones]\nguests = true\nscript = \"\"\n[[message]]\nnumber = \"*\"\nscript = \"text.lua\"\n\
                        [[phone]]\nuser = \"anna\"\nnumber = \"201\"\npassword = \"secret\"\n\
                        [[phone]]\nuser = \"bo\"\nnumber = \"202\"\npassword = \"geheim\"\n";

struct Peer(UdpSocket);

impl Peer {
    fn new() -> Peer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer(socket)
    }

    fn post(&self, server: &Server, body: &str) {
        let text = format!(
            "MESSAGE sip:55@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {1};branch=z9hG4bKm;rport\r\nFrom: <sip:gus@elsewhere>;tag=1\r\n\
             To: <sip:55@{0}>\r\nCall-ID: m1\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Type: text/plain\r\n\
             Content-Length: {2}\r\n\r\n{body}",
            server.sip,
            self.0.local_addr().unwrap(),
            body.len()
        );
        self.0.send_to(text.as_bytes(), server.sip).unwrap();
    }

    /// The next message that begins with `start`.
    fn hear(&self, start: &str) -> String {
        let mut buffer = [0; 65_536];
        loop {
            let len = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("no {start}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if text.starts_with(start) {
                return text;
            }
        }
    }

    /// Answer a request with 200.
    fn accept(&self, server: &Server, request: &str) {
        let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let lines = request.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
        let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
        let text = format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
        self.0.send_to(text.as_bytes(), server.sip).unwrap();
    }
}

#[test]
fn a_script_answers_a_message_with_one_of_its_own() {
    let peer = Peer::new();
    let script = format!(
        "local how, code = messages.send {{ to = 'sip:gus@{}', text = message.text:upper() .. ' ' .. message.from }}
         if how == 'delivered' and code == 200 then message:accept() else message:reject(500) end",
        peer.0.local_addr().unwrap()
    );
    let server = Server::start(&format!("[api]\nlisten = \"127.0.0.1:0\"\n{MESSAGES}"), &[("text.lua", &script)]);
    let at = api(&server);
    let mut events = connect(&at, &key(&server), "/v1/events?kinds=message.received,message.sent").lines();
    peer.post(&server, "hello");
    let answer = peer.hear("MESSAGE ");
    assert!(answer.ends_with("\r\n\r\nHELLO gus"), "{answer}");
    assert!(answer.contains("From: <sip:55@") && !answer.contains("\r\nContact:"), "{answer}");
    peer.accept(&server, &answer);
    peer.hear("SIP/2.0 200 ");
    server.wait_until_idle();
    assert_eq!(server.counts()["messages"], 0);
    let mut told = || {
        let data = events.find_map(|line| line.unwrap().strip_prefix("data: ").map(str::to_owned));
        serde_json::from_str::<serde_json::Value>(&data.expect("an event")).unwrap()
    };
    let (sent, received) = (told(), told());
    assert_eq!(
        (&sent["kind"], &sent["data"]["bytes"], &sent["data"]["code"]),
        (&"message.sent".into(), &9.into(), &200.into())
    );
    assert_eq!((&received["kind"], &received["data"]["script"]), (&"message.received".into(), &"text.lua".into()));
    assert!(!format!("{sent}{received}").to_lowercase().contains("hello"), "what it says is not told");
}

#[test]
fn what_one_baresip_writes_is_taken_by_another() {
    let server = Server::start(MESSAGES, &[("text.lua", FORWARD)]);
    let phone = |user: &str, password: &str, contact: &str| {
        let folder = tempfile::tempdir().unwrap();
        let speaks = folder.path().join("speak.wav");
        tone(&speaks, 600.0, 8000, 1);
        let contact = format!("\"peer\" <sip:{contact}@{}>\n", server.sip);
        std::fs::write(folder.path().join("contacts"), contact).unwrap();
        let account = format!("<sip:{user}@{}>;auth_pass={password};regint=600", server.sip);
        let phone = Phone::with_account(folder.path(), &speaks, &account);
        phone.process.wait_for("200 OK");
        (folder, phone)
    };
    let (_bo, _phone) = phone("bo", "geheim", "201");
    let (_anna, mut anna) = phone("anna", "secret", "202");
    anna.tell("contact_next", "");
    anna.tell("message", "see you at nine");
    // The sample accepts it when the other baresip has; what that shows is only for the eyes of its user.
    let line = server.wait_for("message answered");
    assert!(line.contains("code=200"), "{line}");
    server.wait_until_idle();
}
