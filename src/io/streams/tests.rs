//! Two streams threads talk to each other over loopback, with certificates made on the spot.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::{tls::ClientCertificates, *};

const REQUEST: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n";
const ANSWER: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";
/// Longest wait for what should come.
const LONG: Duration = Duration::from_secs(20);

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Signs certificates; its own is in `trust.pem`.
fn authority(folder: &Path) -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("trust.pem"), authority.pem()).unwrap();
    authority
}

/// A certificate for `name` and its key, in one file.
fn certify(authority: &Authority, name: &str, file: &Path) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let other = file.with_extension("new");
    fs::write(&other, certificate.pem() + &key.serialize_pem()).unwrap();
    fs::rename(other, file).unwrap();
}

/// A thread, and the ends of its channels.
struct Side {
    orders: mpsc::Sender<ToStreams>,
    control: mpsc::Receiver<Input>,
    at: SocketAddr,
}

fn tls(folder: &Path, certificate: Option<&str>, clients: ClientCertificates) -> TlsConfig {
    let certificate = certificate.map(|name| folder.join(name));
    TlsConfig { certificate, key: None, more: Vec::new(), trust: folder.join("trust.pem"), verify: true, clients }
}

fn side(transport: Transport, tls: TlsConfig) -> Side {
    let socket = listen("a test", "127.0.0.1:0".parse().unwrap(), 0).unwrap();
    let at = socket.local_addr().unwrap();
    let dns = DnsConfig {
        servers: vec!["127.0.0.1:9".parse().unwrap()],
        timeout: Duration::from_secs(1),
        max_ttl: Duration::from_secs(1),
        cache: 10,
    };
    let config = Config {
        interfaces: vec![at],
        max_message: 65_535,
        max_connections: 10,
        dscp: 0,
        reload: Duration::from_millis(20),
        tls,
        dns,
    };
    let certificates = Tls::load(&config.tls).unwrap();
    let (orders, to_obey) = mpsc::channel(100);
    let (told, control) = mpsc::channel(100);
    let listener = Listener { transport, interface: InterfaceId(0), socket };
    spawn(config, certificates, vec![listener], to_obey, told).unwrap();
    Side { orders, control, at }
}

impl Side {
    fn send(&self, hop: Hop, bytes: &'static [u8]) {
        self.orders.blocking_send(ToStreams::Send { hop, bytes: Bytes::from_static(bytes) }).unwrap();
    }

    async fn next(&mut self) -> Input {
        timeout(LONG, self.control.recv()).await.expect("something comes in time").expect("the thread lives")
    }

    fn received(&mut self) -> (Hop, Bytes) {
        match here(self.next()) {
            Input::Datagram { hop, bytes } => (hop, bytes),
            other => panic!("a message was expected, but {other:?}"),
        }
    }

    fn fails(&mut self, hop: Hop) {
        match here(self.next()) {
            Input::TransportFailed { hop: failed } => assert_eq!(failed, hop),
            other => panic!("a failure was expected, but {other:?}"),
        }
    }
}

fn here<T>(done: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(done)
}

fn hop(transport: Transport, remote: SocketAddr) -> Hop {
    Hop { transport, interface: InterfaceId(0), remote }
}

/// A server whose certificate is for 127.0.0.1, and a client that trusts its authority.
fn pair(clients: ClientCertificates, shown: Option<&str>) -> (Side, Side, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    certify(&authority, "127.0.0.1", &folder.path().join("server.pem"));
    certify(&authority, "client.test", &folder.path().join("client.pem"));
    let server = side(Transport::Tls, tls(folder.path(), Some("server.pem"), clients));
    let client = side(Transport::Tls, tls(folder.path(), shown, ClientCertificates::Off));
    (server, client, folder)
}

#[test]
fn one_tls_connection_carries_requests_and_answers_both_ways() {
    let (mut server, mut client, _folder) = pair(ClientCertificates::Off, None);
    let there = hop(Transport::Tls, server.at);
    client.send(there, REQUEST);
    let (back, bytes) = server.received();
    assert_eq!((&bytes[..], back.transport), (REQUEST, Transport::Tls));
    server.send(back, ANSWER);
    assert_eq!(client.received(), (there, Bytes::from_static(ANSWER)));
    // A request of the server's goes over the same connection, and so does its answer.
    server.send(back, REQUEST);
    assert_eq!(client.received().0, there);
    client.send(there, ANSWER);
    assert_eq!(server.received(), (back, Bytes::from_static(ANSWER)));
}

#[test]
fn a_server_whose_certificate_is_for_another_name_or_of_an_unknown_authority_is_not_talked_to() {
    let folder = tempfile::tempdir().unwrap();
    certify(&authority(folder.path()), "other.test", &folder.path().join("server.pem"));
    let server = side(Transport::Tls, tls(folder.path(), Some("server.pem"), ClientCertificates::Off));
    let mut client = side(Transport::Tls, tls(folder.path(), None, ClientCertificates::Off));
    let there = hop(Transport::Tls, server.at);
    client.send(there, REQUEST);
    client.fails(there);
    let stranger = tempfile::tempdir().unwrap();
    authority(stranger.path());
    let mut client = side(Transport::Tls, tls(stranger.path(), None, ClientCertificates::Off));
    client.send(there, REQUEST);
    client.fails(there);
}

#[test]
fn without_checking_any_certificate_will_do() {
    let folder = tempfile::tempdir().unwrap();
    certify(&authority(folder.path()), "other.test", &folder.path().join("server.pem"));
    let mut server = side(Transport::Tls, tls(folder.path(), Some("server.pem"), ClientCertificates::Off));
    let unchecked = TlsConfig { verify: false, ..tls(folder.path(), None, ClientCertificates::Off) };
    let client = side(Transport::Tls, unchecked);
    client.send(hop(Transport::Tls, server.at), REQUEST);
    assert_eq!(&server.received().1[..], REQUEST);
}

#[test]
fn the_name_that_was_looked_up_is_the_one_that_the_certificate_must_have() {
    let address = "127.0.0.1".parse().unwrap();
    assert_eq!(tls::server_name(Some("pbx.test."), address), ServerName::try_from("pbx.test").unwrap());
    assert_eq!(tls::server_name(None, address), ServerName::IpAddress(address.into()));
    assert_eq!(tls::server_name(Some("not a name"), address), ServerName::IpAddress(address.into()));
}

#[test]
fn a_client_certificate_may_be_required() {
    let (mut server, client, _folder) = pair(ClientCertificates::Required, Some("client.pem"));
    client.send(hop(Transport::Tls, server.at), REQUEST);
    assert_eq!(&server.received().1[..], REQUEST);
    let (server, mut client, _folder) = pair(ClientCertificates::Required, None);
    let there = hop(Transport::Tls, server.at);
    client.send(there, REQUEST);
    client.fails(there);
    let (mut server, client, _folder) = pair(ClientCertificates::Asked, None);
    client.send(hop(Transport::Tls, server.at), REQUEST);
    assert_eq!(&server.received().1[..], REQUEST, "who is only asked may have none");
}

/// The certificate that a server shows.
async fn shown(connector: &TlsConnector, at: SocketAddr) -> Vec<u8> {
    let stream = TcpStream::connect(at).await.unwrap();
    let stream = connector.connect(tls::server_name(None, at.ip()), stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn each_name_is_shown_its_own_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let file = |name: &str| folder.path().join(name);
    certify(&authority, "127.0.0.1", &file("server.pem"));
    certify(&authority, "pbx.test", &file("pbx.pem"));
    certify(&authority, "*.office.test", &file("office.pem"));
    let own = TlsConfig {
        more: vec![file("pbx.pem"), file("office.pem")],
        ..tls(folder.path(), Some("server.pem"), ClientCertificates::Off)
    };
    let server = side(Transport::Tls, own.clone());
    let connector = TlsConnector::from(Tls::load(&own).unwrap().client);
    here(async {
        // The handshake fails where the certificate is not for the name.
        for name in ["pbx.test", "PBX.test", "a.office.test", "127.0.0.1"] {
            let stream = TcpStream::connect(server.at).await.unwrap();
            let name = ServerName::try_from(name).unwrap();
            connector.connect(name.clone(), stream).await.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        }
    });
    fs::write(file("pbx.pem"), "").unwrap();
    assert!(Tls::load(&own).err().unwrap().to_string().starts_with("tls.more: "));
}

#[test]
fn a_new_certificate_serves_new_connections_and_the_old_ones_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let file = folder.path().join("server.pem");
    certify(&authority, "127.0.0.1", &file);
    let own = tls(folder.path(), Some("server.pem"), ClientCertificates::Off);
    let mut server = side(Transport::Tls, own.clone());
    let client = side(Transport::Tls, own.clone());
    let there = hop(Transport::Tls, server.at);
    client.send(there, REQUEST);
    let (old, _) = server.received();
    let connector = TlsConnector::from(Tls::load(&own).unwrap().client);
    here(async {
        let old = shown(&connector, server.at).await;
        assert_eq!(shown(&connector, server.at).await, old);
        // What cannot be read changes nothing.
        fs::write(&file, "rubbish").unwrap();
        for _ in 0..50 {
            assert_eq!(shown(&connector, server.at).await, old);
            while server.control.try_recv().is_ok() {}
        }
        certify(&authority, "127.0.0.1", &file);
        let changed = async {
            while shown(&connector, server.at).await == old {
                while server.control.try_recv().is_ok() {}
            }
        };
        timeout(LONG, changed).await.expect("the new certificate is shown");
    });
    client.send(there, REQUEST);
    let bytes = loop {
        // The connections that only looked at the certificate end meanwhile.
        match here(server.next()) {
            Input::Datagram { bytes, .. } => break bytes,
            Input::TransportFailed { hop } => assert_ne!(hop, old),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(&bytes[..], REQUEST, "the old connection goes on");
}

#[test]
fn a_certificate_that_cannot_be_used_names_its_key_and_file() {
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    let config = tls(folder.path(), Some("none.pem"), ClientCertificates::Off);
    let told = Tls::load(&config).err().unwrap().to_string();
    assert!(told.starts_with("tls.certificate: ") && told.contains("none.pem"), "{told}");
    fs::write(folder.path().join("none.pem"), "").unwrap();
    let told = Tls::load(&config).err().unwrap().to_string();
    assert!(told.contains("no certificate"), "{told}");
}

#[test]
fn nobody_listening_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    let mut client = side(Transport::Tcp, tls(folder.path(), None, ClientCertificates::Off));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for transport in [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
        client.send(hop(transport, closed), REQUEST);
        client.fails(hop(transport, closed));
    }
}

/// A browser's side of WebSocket over `stream`.
async fn browser<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: S,
    subprotocol: Option<&'static str>,
) -> Result<tokio_tungstenite::WebSocketStream<S>, tokio_tungstenite::tungstenite::Error> {
    let mut request = "ws://127.0.0.1/".into_client_request().unwrap();
    if let Some(name) = subprotocol {
        request.headers_mut().insert("Sec-WebSocket-Protocol", name.parse().unwrap());
    }
    tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| socket)
}

/// Sends a request, gets an answer; pings of both kinds are answered.
async fn talk<S>(server: &mut Side, stream: S, transport: Transport)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    use futures_util::{SinkExt, StreamExt};
    let mut socket = browser(stream, Some("chat, sip")).await.unwrap();
    socket.send(Message::text(std::str::from_utf8(REQUEST).unwrap())).await.unwrap();
    let Input::Datagram { hop, bytes } = server.next().await else { panic!("a message was expected") };
    assert_eq!((&bytes[..], hop.transport), (REQUEST, transport));
    let answer = ToStreams::Send { hop, bytes: Bytes::from_static(ANSWER) };
    server.orders.send(answer).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(std::str::from_utf8(ANSWER).unwrap()));
    socket.send(Message::text("\r\n\r\n")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("\r\n"));
    socket.send(Message::Ping(Bytes::from_static(b"x"))).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"x")));
    socket.close(None).await.unwrap();
    let Input::TransportFailed { hop: closed } = server.next().await else { panic!("an end was expected") };
    assert_eq!(closed, hop);
}

#[test]
fn a_browser_talks_over_websocket_with_and_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    certify(&authority(folder.path()), "127.0.0.1", &folder.path().join("server.pem"));
    let own = tls(folder.path(), Some("server.pem"), ClientCertificates::Off);
    here(async {
        let mut server = side(Transport::Ws, own.clone());
        let stream = TcpStream::connect(server.at).await.unwrap();
        talk(&mut server, stream, Transport::Ws).await;
        let mut server = side(Transport::Wss, own.clone());
        let connector = TlsConnector::from(Tls::load(&own).unwrap().client);
        let stream = TcpStream::connect(server.at).await.unwrap();
        let stream = connector.connect(tls::server_name(None, server.at.ip()), stream).await.unwrap();
        talk(&mut server, stream, Transport::Wss).await;
    });
}

#[test]
fn a_websocket_of_another_subprotocol_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    here(async {
        let server = side(Transport::Ws, tls(folder.path(), None, ClientCertificates::Off));
        for subprotocol in [None, Some("chat")] {
            let stream = TcpStream::connect(server.at).await.unwrap();
            let refused = browser(stream, subprotocol).await.err().unwrap().to_string();
            assert!(refused.contains("400"), "{refused}");
        }
    });
}
