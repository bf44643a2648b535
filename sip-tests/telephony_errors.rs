//! Calls that end because the telephone network, or the party behind it, does not do its part (R250): each with SIPp on the
//! other side. A party whose audio stops is in `silent.rs`, what a phone refuses in `endings.rs`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::{
    doors::pass,
    endings::Bench,
    records::get,
    sipp::{caller, numbers, phone, scenario},
    support::{Process, Server, breathe, free_port},
    wires::browser_says,
};

const STAYS: &str = "call:answer()\ncall:sleep(300)\n";

/// Timer T1 is a fifth of what it usually is, so that nobody waits for half a minute.
fn bench() -> Bench {
    let conf = format!("[sip]\nt1_ms = 100\n{}", numbers(&[("*", "stays.lua")]));
    Bench::new(&conf, &[("stays.lua", STAYS), ("hangs_up.lua", "call:sleep(0.1)\n")])
}

fn calling(bench: &Bench, number: &str, name: &str, more: &[&str]) -> Process {
    let file = scenario(name).to_str().unwrap().to_owned();
    caller(bench.server.sip, bench.folder(), number, &[&["-sf", &file, "-m", "1"], more].concat())
}

/// The record of the call to this number, which ends within so many seconds.
fn ended(bench: &Bench, number: &str, seconds: u32) -> Value {
    let path = format!("/v1/calls?number={number}&direction=inbound");
    for _ in 0..seconds * 10 {
        let page = get(&bench.at, &bench.key, &path);
        if let Some(call) = page["calls"].as_array().unwrap().iter().find(|call| !call["end_reason"].is_null()) {
            return call.clone();
        }
        pass(Duration::from_millis(100));
    }
    panic!("the call to {number} goes on: {:#}", get(&bench.at, &bench.key, &path));
}

fn how(call: &Value) -> [&str; 3] {
    ["status", "end_reason", "end_detail"].map(|name| call[name].as_str().unwrap_or("null"))
}

#[test]
fn a_caller_that_never_acknowledges_the_answer_is_hung_up() {
    let bench = bench();
    let peer = calling(&bench, "201", "never_acks", &[]);
    let call = ended(&bench, "201", 60);
    // An answer without its ACK is none.
    assert_eq!(how(&call), ["failed", "telephony_error", "no_ack"], "{call:#}");
    assert!(call["answer_ms"].is_null(), "{call:#}");
    // 64 times T1 (RFC 3261 section 13.3.1.4).
    let seconds = call["total_seconds"].as_f64().unwrap();
    assert!((6.3..12.0).contains(&seconds), "{seconds}");
    let (status, said) = peer.finish();
    assert!(status.success(), "it gets a BYE: {said}");
}

#[test]
fn a_session_that_nobody_refreshes_is_over() {
    let bench = bench();
    let peer = calling(&bench, "201", "never_refreshes", &[]);
    let call = ended(&bench, "201", 100);
    assert_eq!(how(&call), ["completed", "telephony_error", "session_expired"], "{call:#}");
    // A third of the 90 s before it expires (RFC 4028 section 10).
    let seconds = call["talk_seconds"].as_f64().unwrap();
    assert!((59.0..75.0).contains(&seconds), "{seconds}");
    let (status, said) = peer.finish();
    assert!(status.success(), "it gets a BYE: {said}");
}

#[test]
fn a_caller_whose_connection_is_cut_and_that_is_not_there_without_it_is_gone() {
    let bench = bench();
    let peer = calling(&bench, "201", "answered", &["-t", "t1"]);
    let live = || get(&bench.at, &bench.key, "/v1/calls?live=true&status=in_progress")["calls"][0].clone();
    for round in 0.. {
        if !live().is_null() {
            break;
        }
        assert!(round < 1000, "it is not answered");
        breathe(bench.server.sip);
    }
    // Its sockets are closed by the kernel, and nobody listens at its Contact any more.
    drop(peer);
    let call = ended(&bench, "201", 60);
    assert_eq!(how(&call), ["completed", "telephony_error", "transport_lost"], "{call:#}");
    assert!(call["error"].as_str().unwrap().starts_with("the party's connection closed"), "{call:#}");
    let seconds = call["talk_seconds"].as_f64().unwrap();
    assert!((10.0..30.0).contains(&seconds), "{seconds}");
}

#[test]
fn a_browser_that_is_closed_while_it_rings_rings_nowhere_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let (rings, at, messages) = phone(folder.path(), "uas_ring", &["-m", "1"]);
    let script = format!("call:ring()\ncall:dial('sip:bob@{at}')\n");
    let server = Server::start(&format!("ws = 0\n{}", numbers(&[("100", "dial.lua")])), &[("dial.lua", &script)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port("ws"))).await.unwrap();
        let mut request = "ws://switchhook.test/".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
        socket.send(browser_says("INVITE", "closed", "", sdp)).await.unwrap();
        while !std::fs::read_to_string(&messages).unwrap_or_default().contains("SIP/2.0 180 Ringing") {
            let _ = tokio::time::timeout(Duration::from_millis(20), socket.next()).await;
        }
    });
    let (status, said) = rings.finish();
    assert!(status.success(), "it is cancelled: {said}");
    let records = server.wait_for_records(2);
    let call = records.iter().find(|record| record["direction"] == "inbound").unwrap();
    assert_eq!(how(call), ["failed", "telephony_error", "transport_lost"], "{call:#}");
}

#[test]
fn servers_that_fail_and_servers_that_are_not_there_are_telephony_errors_before_the_answer() {
    let bench = bench();
    let text = std::fs::read_to_string(scenario("uas_refuses")).unwrap();
    for (answer, code) in [("500 Server Internal Error", 500), ("502 Bad Gateway", 502), ("504 Server Time-out", 504)] {
        let file = bench.folder().join(format!("refuses-{code}"));
        std::fs::write(file.with_extension("xml"), text.replace("[answer]", answer)).unwrap();
        let (_there, at, _) = phone(bench.folder(), file.to_str().unwrap(), &["-m", "1"]);
        let id = bench.start("/v1/calls", &json!({"to": format!("sip:x@{at}"), "from": "100"}));
        let call = bench.over(&id);
        assert_eq!(how(&call), ["failed", "telephony_error", "null"], "{answer}: {call:#}");
        assert_eq!(call["code"], code, "{call:#}");
    }
    for uri in ["sip:x@127.0.0.1:PORT", "sip:x@127.0.0.1:PORT;transport=tcp", "sips:x@127.0.0.1:PORT"] {
        let to = uri.replace("PORT", &free_port().to_string());
        let id = bench.start("/v1/calls", &json!({"to": to, "from": "100"}));
        let call = bench.over(&id);
        assert_eq!(how(&call), ["failed", "telephony_error", "null"], "{uri}: {call:#}");
        assert_eq!(bench.kinds(&id).last().map(String::as_str), Some("call.ended"));
    }
}
