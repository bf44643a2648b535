//! Events, posted to a web server as they come: signed, in their order, and again until they are taken.

use std::{fs, io, path::PathBuf, thread, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

use crate::{
    hooks::https_connector,
    io::clock::Clock,
    store::{Database, Store, Stored},
};

/// Events in one request.
const BATCH: u32 = 100;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait after a request that was not taken; each further one is twice as long.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest one.
const SELDOM: Duration = Duration::from_secs(60);
/// Longest head of an answer, in bytes.
const LONGEST: u64 = 64 << 10;

/// Where events go.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where to.
    pub to: Address,
    /// With this the requests are signed; empty: they are not.
    pub secret: String,
    /// PEM file: authorities of web servers.
    pub trust: PathBuf,
}

impl std::fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookConfig").field("host", &self.to.host).finish_non_exhaustive()
    }
}

/// An `http://` or `https://` address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Address {
    /// None: it is no such address.
    pub fn parse(url: &str) -> Option<Address> {
        let (scheme, rest) = url.split_once("://")?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let (place, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
            None => (place, if secure { 443 } else { 80 }),
        };
        let proper = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let fits = !host.is_empty() && host.bytes().all(proper) && path.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Address { secure, host: host.to_owned(), port, path })
    }
}

/// Start the thread. It ends when the database's writer has ended. `stored` says how far the database is with the events
/// of this server, which it knows as `node`.
pub fn spawn(
    config: WebhookConfig,
    (database, node): (Database, String),
    clock: Clock,
    stored: watch::Receiver<Stored>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("webhook".into()).spawn(move || {
        runtime.block_on(async {
            let mut sender = Sender { config, database, node, clock, store: None };
            sender.run(stored).await;
        });
    })?;
    Ok(())
}

struct Sender {
    config: WebhookConfig,
    database: Database,
    node: String,
    clock: Clock,
    store: Option<Store>,
}

impl Sender {
    async fn run(&mut self, mut stored: watch::Receiver<Stored>) {
        let mut pause = AGAIN;
        loop {
            // What comes from now on is news.
            stored.mark_unchanged();
            match self.send_all().await {
                Ok(()) => {
                    if pause > AGAIN {
                        tracing::warn!(host = self.config.to.host, "the webhook takes events again");
                    }
                    pause = AGAIN;
                    if stored.changed().await.is_err() {
                        return;
                    }
                }
                Err(why) => {
                    if pause == AGAIN {
                        tracing::error!(host = self.config.to.host, why, "the webhook takes no events; they wait");
                    }
                    if stored.has_changed().is_err() {
                        return;
                    }
                    wait(pause).await;
                    pause = (2 * pause).min(SELDOM);
                }
            }
        }
    }

    /// All events that the database has.
    async fn send_all(&mut self) -> Result<(), String> {
        let store = match self.store.take() {
            Some(store) => store,
            None => Store::open(&self.database).await.map_err(|error| error.to_string())?,
        };
        let store = self.store.insert(store);
        loop {
            let done = store.told(&self.node).await.map_err(|error| error.to_string())?;
            let events = store.events_after(&self.node, done, BATCH).await.map_err(|error| error.to_string())?;
            let Some(last) = events.last().map(|(id, _)| *id) else { return Ok(()) };
            let lines: Vec<&str> = events.iter().map(|(_, line)| line.as_str()).collect();
            let body = format!("[{}]", lines.join(","));
            let now = self.clock.epoch().unix(self.clock.now()).as_secs();
            match timeout(PATIENCE, post(&self.config, now, &body)).await {
                Ok(done) => done?,
                Err(_) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
            }
            store.has_told(&self.node, last).await.map_err(|error| error.to_string())?;
        }
    }
}

async fn wait(time: Duration) {
    // Nothing comes: that is the point.
    let _ = timeout(time, std::future::pending::<()>()).await;
}

/// The value of `Switchhook-Signature`: HMAC-SHA256 over the time, a dot and the body.
fn signature(secret: &str, now: u64, body: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, format!("{now}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now},v1={hex}")
}

async fn post(config: &WebhookConfig, now: u64, body: &str) -> Result<(), String> {
    let Address { secure, host, port, path } = &config.to;
    let signed = match config.secret.is_empty() {
        true => String::new(),
        false => format!("Switchhook-Signature: {}\r\n", signature(&config.secret, now, body)),
    };
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n{signed}\r\n{body}",
        body.len()
    );
    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| error.to_string())?;
    let code = if *secure {
        let trust = fs::read(&config.trust).map_err(|error| format!("{}: {error}", config.trust.display()))?;
        let connector = https_connector(&trust)?;
        let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
        let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        exchange(stream, &request).await
    } else {
        exchange(stream, &request).await
    };
    match code.map_err(|error| error.to_string())? {
        Some(code) if code.starts_with('2') => Ok(()),
        Some(code) => Err(format!("the answer is {code}")),
        None => Err("the answer is no HTTP".to_owned()),
    }
}

/// Send, and read the code of the answer.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> io::Result<Option<String>> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    let mut reader = stream.take(LONGEST);
    while !head.contains(&b'\n') && reader.read_buf(&mut head).await? > 0 {}
    let line = String::from_utf8_lossy(&head);
    let mut words = line.lines().next().unwrap_or_default().split(' ');
    let http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let code = words.next().filter(|code| http && code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()));
    Ok(code.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use tokio::{io::BufReader, net::TcpListener, sync::oneshot};

    use tokio::io::AsyncBufReadExt;

    use super::*;
    use crate::{
        io::Fact,
        store::{JournalConfig, WriterConfig, spawn_journal, spawn_writer, spool_name},
        switch::{Direction, Progress, Status},
    };

    #[test]
    fn addresses_are_taken_apart() {
        let address =
            |secure, host: &str, port, path: &str| Some(Address { secure, host: host.into(), port, path: path.into() });
        assert_eq!(Address::parse("https://a.example/x?y=1"), address(true, "a.example", 443, "/x?y=1"));
        assert_eq!(Address::parse("http://10.0.0.1:8080"), address(false, "10.0.0.1", 8080, "/"));
        for bad in ["a.example", "ftp://a", "http://", "http://a b/", "http://a:0/", "http://a/\r\nX: y"] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // openssl dgst -sha256 -hmac secret, of "1800000000.[]"
        let made = signature("secret", 1_800_000_000, "[]");
        assert!(made.starts_with("t=1800000000,v1=") && made.len() == 16 + 64, "{made}");
        assert_ne!(made, signature("other", 1_800_000_000, "[]"));
        assert_ne!(made[13..], signature("secret", 1_800_000_001, "[]")[13..]);
    }

    /// Takes one request, answers with `code`, and gives its head and body.
    async fn serve(listener: &TcpListener, code: u16) -> (String, String) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).await.unwrap();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await.unwrap();
        reader.write_all(format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    #[tokio::test]
    async fn events_come_signed_and_in_order_and_again_until_they_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let spool = folder.path().join("spool");
        let journal = spawn_journal(JournalConfig { folder: spool.clone(), limit: 1 << 30, clock }).unwrap();
        let database = Database::file(&folder.path().join("x.sqlite"));
        let node = spool_name(&spool).unwrap();
        let config = WriterConfig {
            database: database.clone(),
            folder: spool,
            event_days: 0,
            record_days: 0,
            reconciled: Default::default(),
        };
        let (told, ready) = oneshot::channel();
        spawn_writer(config, journal.line(), told).unwrap();
        ready.await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Address::parse(&format!("http://{}/hook", listener.local_addr().unwrap())).unwrap();
        let config = WebhookConfig { to, secret: "s".into(), trust: PathBuf::new() };
        spawn(config, (database, node), clock, journal.stored.subscribe()).unwrap();
        let progress = |status| Progress {
            id: "a-1".into(),
            call: crate::ids::CallId(1),
            parent: None,
            direction: Direction::Inbound,
            from: "1".into(),
            to: "2".into(),
            trunk: None,
            sip_call_id: "x".into(),
            start_ms: 1,
            answer_ms: None,
            status,
            script: None,
        };
        for status in [Status::Initiated, Status::Ringing, Status::InProgress] {
            journal.facts.send(Fact::Progress(Box::new(progress(status)))).await.unwrap();
        }
        let all = async {
            let mut ids = Vec::new();
            let mut refused = 0;
            while ids.len() < 4 {
                // The first request is refused, whatever is in it.
                let code = if refused == 0 { 500 } else { 204 };
                let (head, body) = serve(&listener, code).await;
                let sign = head.lines().find_map(|line| line.strip_prefix("Switchhook-Signature: ")).unwrap();
                let now = sign[2..].split(',').next().unwrap().parse().unwrap();
                assert_eq!(sign, signature("s", now, &body));
                assert!(head.starts_with("POST /hook HTTP/1.1\r\n"));
                let events: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
                refused += u32::from(code == 500);
                if code == 204 {
                    ids.extend(events.iter().map(|event| event["id"].as_u64().unwrap()));
                }
            }
            ids
        };
        let ids = timeout(Duration::from_secs(30), all).await.expect("they come");
        assert_eq!(ids, [1, 2, 3, 4]);
    }
}
