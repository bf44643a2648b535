//! Against a real name server on loopback.

use std::sync::Arc;

use hickory_resolver::proto::rr::{
    LowerName, Name as DnsName, Record,
    rdata::{A, AAAA, NAPTR, SOA, SRV},
};
use hickory_server::{
    Server,
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use tokio::net::UdpSocket;

use super::*;

fn dns_name(text: &str) -> DnsName {
    DnsName::from_ascii(text).unwrap()
}

fn a(host: &str, last: u8) -> Record {
    Record::from_rdata(dns_name(host), 60, RData::A(A::new(192, 0, 2, last)))
}

fn srv(name: &str, priority: u16, host: &str, port: u16) -> Record {
    Record::from_rdata(dns_name(name), 60, RData::SRV(SRV::new(priority, 0, port, dns_name(host))))
}

fn naptr(order: u16, service: &str, replacement: &str) -> Record {
    let bytes = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
    let data = NAPTR::new(order, 1, bytes("s"), bytes(service), Vec::new().into_boxed_slice(), dns_name(replacement));
    Record::from_rdata(dns_name("naptr.test."), 60, RData::NAPTR(data))
}

/// What the zone `test.` holds.
fn records() -> Vec<Record> {
    vec![
        a("one.test.", 1),
        a("two.test.", 2),
        a("plain.test.", 3),
        Record::from_rdata(dns_name("plain.test."), 60, RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
        srv("_sip._udp.srv.test.", 20, "two.test.", 5070),
        srv("_sip._udp.srv.test.", 10, "one.test.", 5080),
        srv("_sip._udp.srv.test.", 5, "nowhere.test.", 5080),
        srv("_sip._tcp.srv.test.", 10, "two.test.", 5090),
        srv("_sip._tcp.onlytcp.test.", 10, "two.test.", 5090),
        srv("_sip._udp.none.test.", 0, ".", 0),
        naptr(10, "SIPS+D2T", "_sips._tcp.elsewhere.test."),
        naptr(20, "SIP+D2T", "_sip._tcp.srv.test."),
        srv("_sips._tcp.elsewhere.test.", 1, "one.test.", 5061),
    ]
}

/// Asks a server of its own.
async fn asker() -> (Dns, Server<Catalog>) {
    let origin = dns_name("test.");
    let mut zone: InMemoryZoneHandler = InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
    let soa = SOA::new(dns_name("ns.test."), dns_name("root.test."), 1, 60, 60, 60, 60);
    zone.upsert_mut(Record::from_rdata(origin.clone(), 60, RData::SOA(soa)), 1);
    for record in records() {
        zone.upsert_mut(record, 1);
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(origin), vec![Arc::new(zone)]);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = vec![socket.local_addr().unwrap()];
    let mut server = Server::new(catalog);
    server.register_socket(socket);
    let config = DnsConfig { servers, timeout: Duration::from_secs(2), max_ttl: Duration::from_secs(60), cache: 100 };
    (Dns::new(&config).unwrap(), server)
}

fn name(host: &str) -> Name {
    Name { host: host.to_owned(), port: None, transport: None, secure: false }
}

/// Transport, address and port of each target, as text.
fn told(result: Result<Vec<Target>, String>) -> String {
    let targets = result.unwrap_or_else(|why| panic!("{why}"));
    let one = |target: &Target| format!("{} {}", target.transport.as_str(), target.address);
    targets.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn srv_records_lead_to_hosts_by_priority_and_one_without_address_is_passed_over() {
    let (dns, _server) = asker().await;
    assert_eq!(told(dns.resolve(name("srv.test")).await), "UDP 192.0.2.1:5080, UDP 192.0.2.2:5070");
    let tcp = Name { transport: Some(Transport::Tcp), ..name("srv.test") };
    assert_eq!(told(dns.resolve(tcp).await), "TCP 192.0.2.2:5090");
}

#[tokio::test]
async fn without_records_for_udp_those_for_tcp_are_taken() {
    let (dns, _server) = asker().await;
    assert_eq!(told(dns.resolve(name("onlytcp.test")).await), "TCP 192.0.2.2:5090");
}

#[tokio::test]
async fn naptr_records_choose_the_transport_and_the_name() {
    let (dns, _server) = asker().await;
    assert_eq!(told(dns.resolve(name("naptr.test")).await), "TLS 192.0.2.1:5061, TCP 192.0.2.2:5090");
    let secure = Name { secure: true, ..name("naptr.test") };
    assert_eq!(told(dns.resolve(secure).await), "TLS 192.0.2.1:5061");
}

#[tokio::test]
async fn a_host_without_srv_is_taken_at_the_default_port_and_ipv4_comes_first() {
    let (dns, _server) = asker().await;
    assert_eq!(told(dns.resolve(name("plain.test")).await), "UDP 192.0.2.3:5060, UDP [2001:db8::1]:5060");
    let secure = Name { secure: true, ..name("one.test") };
    assert_eq!(told(dns.resolve(secure).await), "TLS 192.0.2.1:5061");
}

#[tokio::test]
async fn a_port_asks_for_addresses_only() {
    let (dns, _server) = asker().await;
    // srv.test has SRV records, but no address.
    let found = dns.resolve(Name { port: Some(5099), ..name("srv.test") }).await;
    assert!(found.unwrap_err().starts_with("srv.test: "));
    let found = dns.resolve(Name { port: Some(5099), ..name("one.test") }).await;
    assert_eq!(told(found), "UDP 192.0.2.1:5099");
}

#[tokio::test]
async fn a_domain_that_has_no_such_service_says_so() {
    let (dns, _server) = asker().await;
    assert!(dns.resolve(name("none.test")).await.unwrap_err().contains("no such service"));
    assert!(dns.resolve(name("nowhere.test")).await.unwrap_err().starts_with("nowhere.test: "));
}

#[tokio::test]
async fn an_answer_is_kept_after_the_server_is_gone() {
    let (dns, mut server) = asker().await;
    let first = told(dns.resolve(name("srv.test")).await);
    server.shutdown_gracefully().await.unwrap();
    assert_eq!(told(dns.resolve(Name { transport: Some(Transport::Udp), ..name("srv.test") }).await), first);
}
