//! What carries SIP besides UDP: TLS with baresip and openssl, WebSocket with a browser's library, TCP for what is too
//! large for a datagram, with SIPp.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::{
    command_line::tone,
    sipp::{caller, phone},
    support::{PATIENCE, Process, Server, free_audio_port, free_port},
};

/// Answers, hums for a second, hangs up.
const HUM: &str = "call:answer()\ncall:tone({600}, {seconds = 1})\n";

/// An authority, `trust.pem`, and what it signed for 127.0.0.1, `own.pem`, key included.
pub fn certificates(folder: &Path) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "An authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let (trust, file) = (folder.join("trust.pem"), folder.join("own.pem"));
    fs::write(&trust, authority.pem()).unwrap();
    fs::write(&file, own.pem() + &key.serialize_pem()).unwrap();
    (trust, file)
}

/// A server that listens on everything, with numbers 100 (hums) and 200 (dials `target`).
fn server(certificates: &(PathBuf, PathBuf), target: &str) -> Server {
    let (trust, own) = certificates;
    let conf = format!(
        "tls = 0\nws = 0\nwss = 0\n[tls]\ncertificate = {own:?}\ntrust = {trust:?}\n\
         [[number]]\nnumber = \"100\"\nscript = \"hum.lua\"\n[[number]]\nnumber = \"200\"\nscript = \"dial.lua\"\n"
    );
    let dial = format!(
        "call:answer()\nlocal peer, why = call:dial{{{target}, timeout = 20}}\n\
         if not peer then error(why) end\ncall:sleep(1)\n"
    );
    Server::start(&conf, &[("hum.lua", HUM), ("dial.lua", &dial)])
}

/// baresip that speaks TLS, takes calls by itself, and does `command` first.
fn baresip(folder: &Path, (trust, own): &(PathBuf, PathBuf), port: u16, command: &str) -> Process {
    let speaks = folder.join("speak.wav");
    tone(&speaks, 1000.0, 8000, 60);
    let config = format!(
        "sip_listen 127.0.0.1:{port}\nsip_certificate {}\nsip_cafile {}\nmodule_path /usr/lib/baresip/modules\n\
         module g711.so\nmodule aufile.so\nmodule_app account.so\nmodule_app menu.so\n\
         audio_source aufile,{}\naudio_alert aufile,/dev/null\naudio_player aufile,{}\naudio_channels 1\n",
        own.display(),
        trust.display(),
        speaks.display(),
        folder.join("heard.wav").display(),
    );
    fs::write(folder.join("config"), config).unwrap();
    fs::write(folder.join("accounts"), "<sip:baresip@127.0.0.1;transport=tls>;regint=0;answermode=auto\n").unwrap();
    fs::write(folder.join("contacts"), "").unwrap();
    let mut program = Command::new("baresip");
    program.arg("-f").arg(folder).current_dir(folder);
    if !command.is_empty() {
        program.args(["-e", command]);
    }
    let process = Process::start(program);
    process.wait_for("baresip is ready");
    process
}

#[test]
fn baresip_calls_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path());
    let server = server(&files, "'sip:nobody@127.0.0.1'");
    let target = format!("/dial sip:100@127.0.0.1:{};transport=tls", server.port("tls"));
    let _phone = baresip(folder.path(), &files, free_port(), &target);
    let record = server.wait_for_records(1).remove(0);
    assert_eq!(record["status"], "completed", "{record:#}");
    server.wait_until_idle();
}

#[test]
fn baresip_is_called_over_tls_and_its_certificate_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path());
    let port = free_port();
    let _phone = baresip(folder.path(), &files, port, "");
    // baresip listens for TLS one port above.
    let server = server(&files, &format!("'sip:baresip@127.0.0.1:{};transport=tls'", port + 1));
    let call = caller(server.sip, folder.path(), "200", &["-sn", "uac", "-m", "1", "-d", "60000"]);
    let records = server.wait_for_records(2);
    assert!(records.iter().all(|record| record["status"] == "completed"), "{records:#?}");
    drop(call);
    // Another authority's certificate will not do.
    let strange = tempfile::tempdir().unwrap();
    let server = self::server(&certificates(strange.path()), &format!("'sips:baresip@127.0.0.1:{}'", port + 1));
    let _call = caller(server.sip, folder.path(), "200", &["-sn", "uac", "-m", "1", "-d", "60000"]);
    let records = server.wait_for_records(2);
    let out = records.iter().find(|record| record["direction"] == "outbound").expect("the leg that failed");
    assert_eq!(out["status"], "failed", "{out:#}");
}

#[test]
fn openssl_speaks_tls_of_both_versions_and_no_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path());
    let server = server(&files, "'sip:nobody@127.0.0.1'");
    let speaks = |version: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &format!("127.0.0.1:{}", server.port("tls")), version, "-brief"]);
        openssl.args(["-verify_return_error", "-CAfile"]).arg(&files.0).stdin(Stdio::null());
        openssl.output().expect("openssl is installed").status.success()
    };
    assert!(speaks("-tls1_3") && speaks("-tls1_2"));
    assert!(!speaks("-tls1_1"));
}

/// What a server shows of its certificate, as openssl prints it.
fn serial(port: u16) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-showcerts"]).stdin(Stdio::null());
    let output = openssl.stderr(Stdio::null()).output().expect("openssl is installed").stdout;
    let text = String::from_utf8_lossy(&output).into_owned();
    text.split("-----").nth(2).expect("a certificate").to_owned()
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (trust, own) = certificates(folder.path());
    let conf = format!("tls = 0\n[tls]\nreload_s = 1\ncertificate = {own:?}\ntrust = {trust:?}\n");
    let server = Server::start(&conf, &[]);
    let old = serial(server.port("tls"));
    assert_eq!(serial(server.port("tls")), old);
    certificates(folder.path());
    server.wait_for("new certificates are in use");
    // The authority's file may have been seen first.
    let changed = (0..500).any(|_| {
        crate::support::breathe(server.sip);
        serial(server.port("tls")) != old
    });
    assert!(changed);
    assert!(server.stop().success());
}

/// A browser's part of a call, in its own words.
pub fn browser_says(method: &str, call_id: &str, to_tag: &str, body: &str) -> Message {
    Message::text(format!(
        "{method} sip:100@switchhook.test SIP/2.0\r\nVia: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK{call_id}{method}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:anna@switchhook.test>;tag=anna\r\nTo: <sip:100@switchhook.test>{to_tag}\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 {method}\r\nContact: <sip:anna@df7jal23ls0d.invalid;transport=ws>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// Calls number 100 until the server hangs up; the messages that came.
async fn browse<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(stream: S, call_id: &str) -> Vec<String> {
    let mut request = "ws://switchhook.test/".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
    let (mut socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "sip");
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
    socket.send(browser_says("INVITE", call_id, "", sdp)).await.unwrap();
    let mut came: Vec<String> = Vec::new();
    loop {
        let text = socket.next().await.expect("the call goes on").unwrap().into_text().unwrap().to_string();
        came.push(text.clone());
        if text.starts_with("SIP/2.0 200") {
            let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
            let tag = to.split_once(";tag=").expect("a To-tag").1;
            socket.send(browser_says("ACK", call_id, &format!(";tag={tag}"), "")).await.unwrap();
        }
        if text.starts_with("BYE ") {
            let kept = |line: &&str| ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|name| line.starts_with(name));
            let lines: String = text.lines().filter(kept).map(|line| format!("{line}\r\n")).collect();
            socket.send(Message::text(format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n"))).await.unwrap();
            return came;
        }
    }
}

#[test]
fn a_browser_calls_over_websocket_and_secure_websocket() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path());
    let server = server(&files, "'sip:nobody@127.0.0.1'");
    let connect = |kind: &str| tokio::net::TcpStream::connect(("127.0.0.1", server.port(kind)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (plain, secure) = runtime.block_on(async {
        let plain = tokio::time::timeout(PATIENCE, browse(connect("ws").await.unwrap(), "plain")).await.unwrap();
        let stream = connector(&files.0).connect("127.0.0.1".try_into().unwrap(), connect("wss").await.unwrap());
        let secure = tokio::time::timeout(PATIENCE, browse(stream.await.unwrap(), "secure")).await.unwrap();
        (plain, secure)
    });
    for (came, via) in [(plain, "SIP/2.0/WS "), (secure, "SIP/2.0/WSS ")] {
        let bye = came.last().unwrap();
        assert!(bye.starts_with("BYE sip:anna@df7jal23ls0d.invalid;transport=ws ") && bye.contains(via), "{bye}");
        let answer = came.iter().find(|text| text.starts_with("SIP/2.0 200")).unwrap();
        assert!(answer.contains(";transport=ws>"), "{answer}");
    }
    let records = server.wait_for_records(2);
    assert!(records.iter().all(|record| record["status"] == "completed"), "{records:#?}");
    server.wait_until_idle();
}

/// TLS in front of a program that only speaks TCP, at `to`: where one connection is taken.
pub fn tls_before(to: std::net::SocketAddr, own: &Path) -> std::net::SocketAddr {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let certificates = CertificateDer::pem_file_iter(own).unwrap().map(Result::unwrap).collect();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(own).unwrap())
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let carry = async move {
        let (stream, _) = tokio::net::TcpListener::from_std(listener).unwrap().accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let mut secure = acceptor.accept(stream).await.unwrap();
        let mut plain = tokio::net::TcpStream::connect(to).await.unwrap();
        // Either may break off at the end of the test.
        drop(tokio::io::copy_bidirectional(&mut secure, &mut plain).await);
    };
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(carry);
    });
    address
}

fn connector(trust: &Path) -> tokio_rustls::TlsConnector {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trust).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    std::sync::Arc::new(config).into()
}

#[test]
fn a_large_invite_goes_over_tcp_and_over_udp_where_there_is_no_tcp() {
    for (transport, via) in [("t1", "SIP/2.0/TCP"), ("u1", "SIP/2.0/UDP")] {
        let folder = tempfile::tempdir().unwrap();
        let files = certificates(folder.path());
        let (callee, address, messages) = phone_over(folder.path(), "uas_answer_at_once", transport, &[]);
        let long = |n: u8| format!("['X-Long-{n}'] = string.rep('x', 250)");
        let headers = format!("headers = {{{}}}", (0..6).map(long).collect::<Vec<_>>().join(", "));
        let server = server(&files, &format!("'sip:bob@{address}', {headers}"));
        let call = caller(server.sip, folder.path(), "200", &["-sn", "uac", "-m", "1", "-d", "60000"]);
        let records = server.wait_for_records(2);
        assert!(records.iter().all(|record| record["status"] == "completed"), "{via}: {records:#?}");
        drop(call);
        drop(callee);
        let seen = fs::read_to_string(messages).unwrap();
        let invite = seen.split("INVITE sip:bob").nth(1).expect("an INVITE");
        assert!(invite.lines().any(|line| line.starts_with(&format!("Via: {via} "))), "{via}: {invite:.600}");
    }
}

/// SIPp as a phone that is called over `transport`, and the log of its messages.
pub fn phone_over(
    folder: &Path,
    name: &str,
    transport: &str,
    extra: &[&str],
) -> (Process, std::net::SocketAddr, PathBuf) {
    if transport == "u1" {
        return phone(folder, name, extra);
    }
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let messages = folder.join("tcp.log");
    let mut command = Command::new("sipp");
    command
        .arg("-sf")
        .arg(crate::sipp::scenario(name))
        .args(["-t", transport, "-i", "127.0.0.1", "-p", &address.port().to_string(), "-nostdin"])
        .args(["-mp", &free_audio_port().to_string()])
        .args(["-timeout", "100", "-trace_msg", "-message_file"])
        .arg(&messages)
        .args(extra)
        .current_dir(folder);
    let process = Process::start(command);
    // It is ready when its port is taken.
    for _ in 0..500 {
        if std::net::TcpListener::bind(address).is_err() {
            break;
        }
        crate::support::breathe(address);
    }
    (process, address, messages)
}
