//! Names by a real name server on loopback, and what becomes of a call when the first of two places is dead, refuses or
//! is full.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
    thread,
    time::Duration,
};

use hickory_server::{
    Server as NameServer,
    proto::rr::{
        LowerName, Name, RData, Record,
        rdata::{A, SOA, SRV},
    },
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};

use crate::{
    sipp::now_ns,
    support::{PATIENCE, Server, free_port},
};

fn dns_name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// Serves the zone `test.`, in which `carrier.test` leads to both ports of 127.0.0.1, in this order. Gives its address.
fn name_server(service: &str, ports: [u16; 2]) -> SocketAddr {
    let origin = dns_name("test.");
    let mut zone: InMemoryZoneHandler = InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
    let mut add = |name: &str, data: RData| zone.upsert_mut(Record::from_rdata(dns_name(name), 60, data), 1);
    add("test.", RData::SOA(SOA::new(dns_name("ns.test."), dns_name("root.test."), 1, 60, 60, 60, 60)));
    add("gateway.test.", RData::A(A::new(127, 0, 0, 1)));
    for (priority, port) in (1..).zip(ports) {
        let record = SRV::new(priority, 0, port, dns_name("gateway.test."));
        add(&format!("{service}.carrier.test."), RData::SRV(record));
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(origin), vec![Arc::new(zone)]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let at = socket.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut server = NameServer::new(catalog);
            server.register_socket(tokio::net::UdpSocket::from_std(socket).unwrap());
            // Until the test's process ends.
            let _ = server.block_until_done().await;
        });
    });
    at
}

/// Number 200 dials `carrier.test`.
fn server(dns: SocketAddr, target: &str) -> Server {
    let conf = format!(
        "[dns]\nservers = [\"{dns}\"]\n[sip]\navoid_s = 3\n[[number]]\nnumber = \"200\"\nscript = \"dial.lua\"\n"
    );
    let dial = format!("local peer, why = call:dial{{'{target}', timeout = 20}}\nvars.why = why\n");
    Server::start(&conf, &[("dial.lua", &dial)])
}

/// A peer of its own: what it says is text.
struct Peer {
    socket: UdpSocket,
    at: SocketAddr,
}

impl Peer {
    fn new() -> Peer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let at = socket.local_addr().unwrap();
        Peer { socket, at }
    }

    fn next(&self) -> (String, SocketAddr) {
        let mut buffer = [0; 65_536];
        let (len, from) = self.socket.recv_from(&mut buffer).expect("something comes");
        (String::from_utf8_lossy(&buffer[..len]).into_owned(), from)
    }

    /// The next message that begins so.
    fn wait_for(&self, start: &str) -> (String, SocketAddr) {
        loop {
            let (text, from) = self.next();
            if text.starts_with(start) {
                return (text, from);
            }
        }
    }

    fn invite(&self, server: SocketAddr, call_id: &str) {
        let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
        let us = self.at;
        let text = format!(
            "INVITE sip:200@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{call_id}\r\nMax-Forwards: 70\r\n\
             From: <sip:anna@{us}>;tag=anna\r\nTo: <sip:200@{server}>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:anna@{us}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.socket.send_to(text.as_bytes(), server).unwrap();
    }

    /// Answers a request.
    fn answer(&self, request: &str, to: SocketAddr, status: &str) {
        let kept = |line: &&str| ["Via", "From", "Call-ID", "CSeq"].iter().any(|name| line.starts_with(name));
        let lines: String = request.lines().filter(kept).map(|line| format!("{line}\r\n")).collect();
        let whom = request.lines().find(|line| line.starts_with("To: ")).expect("To");
        let text = format!("SIP/2.0 {status}\r\n{lines}{whom};tag=t\r\nContent-Length: 0\r\n\r\n");
        self.socket.send_to(text.as_bytes(), to).unwrap();
    }
}

/// A call from `caller` that the second place refuses with 486: how long it took to get there, in ms.
fn reaches(server: &Server, caller: &Peer, second: &Peer, call_id: &str) -> u64 {
    let begin = now_ns();
    caller.invite(server.sip, call_id);
    let (invite, from) = second.wait_for("INVITE ");
    let took = (now_ns() - begin) / 1_000_000;
    second.answer(&invite, from, "486 Busy Here");
    second.wait_for("ACK ");
    took
}

#[test]
fn a_first_place_that_refuses_costs_less_than_a_second_and_the_next_calls_nothing() {
    let (caller, second) = (Peer::new(), Peer::new());
    let server = server(name_server("_sip._udp", [free_port(), second.at.port()]), "sip:bob@carrier.test");
    let took = reaches(&server, &caller, &second, "refused-1");
    assert!(took < 1000, "{took} ms after ICMP");
    let took = reaches(&server, &caller, &second, "refused-2");
    assert!(took < 500, "{took} ms with a dead place that is known");
    println!("refused: {took} ms");
}

#[test]
fn a_first_place_that_says_503_gets_its_ack_and_costs_less_than_a_second() {
    let (caller, first, second) = (Peer::new(), Peer::new(), Peer::new());
    let ports = [first.at.port(), second.at.port()];
    let server = server(name_server("_sip._udp", ports), "sip:bob@carrier.test");
    let full = thread::spawn(move || {
        let (invite, from) = first.wait_for("INVITE ");
        first.answer(&invite, from, "503 Service Unavailable");
        first.wait_for("ACK ");
    });
    let took = reaches(&server, &caller, &second, "full");
    assert!(took < 1000, "{took} ms after a 503");
    full.join().expect("the 503 is acknowledged");
}

#[test]
fn a_silent_first_place_is_left_after_two_seconds_passed_over_for_a_while_and_comes_back() {
    let (caller, first, second) = (Peer::new(), Peer::new(), Peer::new());
    let ports = [first.at.port(), second.at.port()];
    let server = server(name_server("_sip._udp", ports), "sip:bob@carrier.test");
    let took = reaches(&server, &caller, &second, "silent-1");
    assert!((2000..3000).contains(&took), "{took} ms of silence");
    let known = reaches(&server, &caller, &second, "silent-2");
    assert!(known < 500, "{known} ms with a silent place that is known");
    println!("silent: {took} ms, then {known} ms");
    // avoid_s later it has its turn again, works, and is the one that is called. Its old INVITEs still wait there.
    first.socket.set_nonblocking(true).unwrap();
    while first.socket.recv(&mut [0; 1]).is_ok() {}
    first.socket.set_nonblocking(false).unwrap();
    for attempt in 0..20 {
        caller.invite(server.sip, &format!("back-{attempt}"));
        first.socket.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        let mut buffer = [0; 65_536];
        if let Ok((len, from)) = first.socket.recv_from(&mut buffer) {
            let invite = String::from_utf8_lossy(&buffer[..len]).into_owned();
            assert!(invite.starts_with("INVITE "), "{invite}");
            first.answer(&invite, from, "486 Busy Here");
            return;
        }
        let (invite, from) = second.wait_for("INVITE ");
        second.answer(&invite, from, "486 Busy Here");
    }
    panic!("the first place was never tried again");
}

#[test]
fn over_tcp_a_place_that_refuses_or_is_full_is_left_at_once_as_well() {
    let (caller, second) = (Peer::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [closed, second.local_addr().unwrap().port()];
    let server = server(name_server("_sip._tcp", ports), "sip:bob@carrier.test;transport=tcp");
    let begin = now_ns();
    caller.invite(server.sip, "tcp");
    let (connection, _) = second.accept().unwrap();
    let took = (now_ns() - begin) / 1_000_000;
    assert!(took < 1000, "{took} ms after a refused connection");
    use std::io::{BufRead, BufReader};
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line).unwrap();
    assert!(line.starts_with("INVITE sip:bob@carrier.test;transport=tcp "), "{line}");
}

#[test]
fn a_name_that_is_not_there_fails_the_call_and_is_told_in_its_record() {
    let caller = Peer::new();
    let server = server(name_server("_sip._udp", [free_port(), free_port()]), "sip:bob@nowhere.test");
    caller.invite(server.sip, "nowhere");
    let records = server.wait_for_records(2);
    let out = records.iter().find(|record| record["direction"] == "outbound").expect("the leg that failed");
    assert!(out["error"].as_str().unwrap_or_default().starts_with("nowhere.test: "), "{out:#}");
}
