//! Events, posted to a web server as they come: signed, in their order, and again until they are taken.

use std::{io, path::PathBuf, thread, time::Duration};

use hyper::{Method, header::CONTENT_TYPE};
use tokio::{sync::watch, time::timeout};

use crate::{
    hooks::{
        Url,
        http::{HttpError, ask, request, whole},
    },
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

/// Where events go.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where to.
    pub to: Url,
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
            match timeout(PATIENCE, post(&self.config, now, body)).await {
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

async fn post(config: &WebhookConfig, now: u64, body: String) -> Result<(), String> {
    let url = &config.to;
    let told = |error: HttpError| error.to_string();
    let mut head = request(Method::POST, url).header(CONTENT_TYPE, "application/json");
    if !config.secret.is_empty() {
        head = head.header("Switchhook-Signature", signature(&config.secret, now, &body));
    }
    let request = head.body(whole(body)).map_err(|error| told(error.into()))?;
    let at = url.anywhere().await.map_err(|error| error.to_string())?;
    let answer = ask((url, &at[..]), &config.trust, request, None).await.map_err(told)?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("the answer is {}", status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
        sync::oneshot,
    };

    use super::*;
    use crate::{
        io::Fact,
        store::{JournalConfig, WriterConfig, spawn_journal, spawn_writer, spool_name},
        switch::{Direction, Progress, Status},
    };

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
            days: Default::default(),
            reconciled: Default::default(),
        };
        let (told, ready) = oneshot::channel();
        spawn_writer(config, journal.line(), told).unwrap();
        ready.await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Url::parse(&format!("http://{}/hook", listener.local_addr().unwrap())).unwrap();
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
