//! Calls over each transport.

use super::*;
use crate::sip::{Target, Transport};

fn two(transport: Transport) -> World {
    let weather = Weather { latency: Duration::from_millis(30), jitter: Duration::from_millis(30), ..BAD };
    let mut world = world(weather, "call:answer() call:sleep(2)", "call:sleep(60)");
    world.tap();
    let name = vec![Target { transport, address: SocketAddr::new(SERVER, transport.default_port()) }];
    world.host(PHONE).names.insert("server.test".into(), name);
    world
}

#[test]
fn calls_over_streams_lose_nothing_and_resend_nothing() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let mut world = two(transport);
        call(&mut world, &format!("sip:100@10.0.0.1;transport={}", transport.param()));
        run_to_the_end(&mut world);
        let record = inbound(&mut world, SERVER);
        assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::AgentCompleted));
        let sip: Vec<String> = world.wire().iter().filter(|(_, d)| d.transport == transport).map(first_line).collect();
        assert!(world.wire().iter().all(|(_, d)| d.transport == transport || d.to.port() >= 20_000), "{sip:?}");
        let methods = sip.iter().filter(|line| !line.starts_with("SIP/2.0")).count();
        assert_eq!(methods, 3, "INVITE, ACK, BYE, each once: {sip:?}");
        assert_clean(&mut world, &[SERVER, PHONE]);
    }
}

fn first_line((_, datagram): &(Time, Datagram)) -> String {
    String::from_utf8_lossy(&datagram.bytes).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_name_may_lead_to_tls_and_the_messages_say_so() {
    let mut world = two(Transport::Tls);
    call(&mut world, "sips:100@server.test");
    run_to_the_end(&mut world);
    let messages = world.wire().iter().filter(|(_, d)| d.transport == Transport::Tls);
    let texts: Vec<String> = messages.map(|(_, d)| String::from_utf8_lossy(&d.bytes).into_owned()).collect();
    let invite = texts.iter().find(|text| text.starts_with("INVITE ")).expect("an INVITE over TLS");
    assert!(invite.contains("Via: SIP/2.0/TLS 10.0.0.2:5060;"), "{invite}");
    assert!(invite.contains("Contact: <sips:switchhook@10.0.0.2:5060>"), "{invite}");
    assert_eq!(inbound(&mut world, SERVER).status, Status::Completed);
}
