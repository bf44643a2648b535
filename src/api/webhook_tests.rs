use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use super::{super::tellers, *};
use crate::{
    io::{Fact, clock::Clock, pass},
    store::{Database, Journal, JournalConfig, Webhook, WriterConfig, spawn_journal, spawn_writer, spool_name},
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

/// A journal with its database, and webhooks that are told of both.
struct Bench {
    _folder: tempfile::TempDir,
    journal: Journal,
    store: Store,
    node: String,
    fixed: watch::Sender<tellers::Fixed>,
    changed: mpsc::Sender<()>,
}

impl Bench {
    /// With what happened before there was any webhook.
    async fn new(before: Vec<Fact>) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let (clock, spool) = (Clock::start(), folder.path().join("spool"));
        let journal = spawn_journal(JournalConfig { folder: spool.clone(), limit: 1 << 30, clock }).unwrap();
        let (database, node) = (Database::file(&folder.path().join("x.sqlite")), spool_name(&spool).unwrap());
        let (days, reconciled) = Default::default();
        let config = WriterConfig { database: database.clone(), folder: spool, days, reconciled };
        let (told, ready) = oneshot::channel();
        spawn_writer(config, journal.line(), told).unwrap();
        ready.await.unwrap();
        let store = Store::open(&database).await.unwrap();
        let events = 1 + before.len() as i64;
        for fact in before {
            journal.facts.send(fact).await.unwrap();
        }
        while store.count_after(&node, 0, 1000).await.unwrap() < events {
            pass(Duration::from_millis(20)).await;
        }
        // The next event is later than these.
        pass(Duration::from_millis(5)).await;
        let (fixed, seen) = watch::channel(tellers::Fixed::default());
        let (changed, changes) = mpsc::channel(1);
        let dialling = Dialling { country: "49".into(), ..Dialling::default() };
        let config = tellers::TellersConfig { database, node: node.clone(), clock, dialling, trust: PathBuf::new() };
        tellers::spawn(config, seen, changes, journal.stored.subscribe()).unwrap();
        Bench { _folder: folder, journal, store, node, fixed, changed }
    }

    fn fix(&self, webhooks: Vec<WebhookConfig>) {
        self.fixed.send_replace(webhooks.into());
    }

    async fn happens(&self, call: &str, from: &str, statuses: &[Status]) {
        for status in statuses {
            self.journal.facts.send(progress(call, from, *status)).await.unwrap();
        }
    }

    /// Until the webhook is so.
    async fn until(&self, name: &str, is: impl Fn(&Told) -> bool) -> Told {
        for _ in 0..1000 {
            if let Some(told) = self.store.told(name, &self.node).await.unwrap().filter(&is) {
                return told;
            }
            pass(Duration::from_millis(20)).await;
        }
        panic!("{name}: {:?}", self.store.told(name, &self.node).await);
    }
}

fn progress(id: &str, from: &str, status: Status) -> Fact {
    Fact::Progress(Box::new(Progress {
        id: id.into(),
        call: crate::ids::CallId(1),
        parent: None,
        direction: Direction::Inbound,
        from: from.into(),
        to: "100".into(),
        trunk: None,
        sip_call_id: "x".into(),
        start_ms: 1,
        answer_ms: None,
        status,
        script: None,
    }))
}

fn webhook(name: &str, listener: &TcpListener) -> WebhookConfig {
    let to = Url::parse(&format!("http://{}/hook", listener.local_addr().unwrap())).unwrap();
    let (kinds, numbers, trust) = (Vec::new(), Vec::new(), PathBuf::new());
    WebhookConfig { name: name.into(), to, secret: "s".into(), kinds, numbers, whole: false, since_ms: None, trust }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Takes requests until there were so many events; gives their ids and kinds.
async fn taken(listener: &TcpListener, count: usize) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    while all.len() < count {
        let (_, body) = timeout(Duration::from_secs(30), serve(listener, 204)).await.expect("they come");
        let events: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
        let event = |event: &serde_json::Value| (event["id"].as_u64().unwrap(), event["kind"].as_str().unwrap().into());
        all.extend(events.iter().map(event));
    }
    all
}

const STEPS: [Status; 3] = [Status::Initiated, Status::Ringing, Status::InProgress];

#[tokio::test]
async fn events_come_signed_and_in_order_and_again_until_they_are_taken() {
    let bench = Bench::new(vec![]).await;
    let at = listener().await;
    bench.fix(vec![WebhookConfig { whole: true, ..webhook("crm", &at) }]);
    bench.happens("a-1", "1", &STEPS).await;
    let all = async {
        let (mut ids, mut refused) = (Vec::new(), 0);
        while ids.len() < 4 {
            // The first request is refused, whatever is in it.
            let code = if refused == 0 { 500 } else { 204 };
            let (head, body) = serve(&at, code).await;
            let sign = head.lines().find_map(|line| line.strip_prefix("Switchhook-Signature: ")).unwrap();
            let now = sign[2..].split(',').next().unwrap().parse().unwrap();
            assert_eq!(sign, signature("s", now, &body));
            assert!(head.starts_with("POST /hook HTTP/1.1\r\n"));
            let events: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
            if code == 500 {
                let told = bench.until("crm", |told| !told.trouble.is_empty()).await;
                assert_eq!((told.trouble.as_str(), told.taken_ms), ("the answer is 500", 0));
            } else {
                ids.extend(events.iter().map(|event| event["id"].as_u64().unwrap()));
            }
            refused += u32::from(code == 500);
        }
        ids
    };
    let ids = timeout(Duration::from_secs(30), all).await.expect("they come");
    assert_eq!(ids, [1, 2, 3, 4]);
    let told = bench.until("crm", |told| told.done == 4).await;
    assert!(told.trouble.is_empty() && told.taken_ms > 0, "{told:?}");
}

#[tokio::test]
async fn a_new_webhook_begins_with_what_comes_unless_it_wants_all_that_is_kept() {
    let before = STEPS.iter().map(|status| progress("a-1", "1", *status)).collect();
    let bench = Bench::new(before).await;
    let (new, whole) = (listener().await, listener().await);
    let all = WebhookConfig { whole: true, ..webhook("whole", &whole) };
    bench.fix(vec![webhook("new", &new), all]);
    assert_eq!(taken(&whole, 4).await.len(), 4, "the start of the server, and the call of before");
    bench.until("new", |told| told.done == 4).await;
    bench.happens("a-2", "1", &STEPS[..1]).await;
    assert_eq!(taken(&new, 1).await, [(5, "call.initiated".to_owned())]);
    assert_eq!(taken(&whole, 1).await[0].0, 5);
}

#[tokio::test]
async fn each_webhook_is_told_of_its_kinds_and_numbers_only_and_one_that_is_stuck_delays_no_other() {
    let bench = Bench::new(vec![]).await;
    let (some, mine, stuck) = (listener().await, listener().await, listener().await);
    let kinds = vec!["call.ringing".to_owned(), "server.*".to_owned()];
    let numbers = vec!["+49 30 1234".to_owned()];
    bench.fix(vec![
        WebhookConfig { kinds, ..webhook("some", &some) },
        WebhookConfig { numbers, ..webhook("mine", &mine) },
        // Nobody takes its connections.
        webhook("stuck", &stuck),
    ]);
    bench.until("stuck", |_| true).await;
    bench.happens("a-1", "030 1234", &STEPS).await;
    bench.happens("a-2", "030 9999", &STEPS).await;
    let kinds = |all: Vec<(u64, String)>| all.into_iter().map(|(_, kind)| kind).collect::<Vec<_>>();
    assert_eq!(kinds(taken(&some, 2).await), ["call.ringing", "call.ringing"]);
    assert_eq!(kinds(taken(&mine, 3).await), ["call.initiated", "call.ringing", "call.in_progress"]);
    for name in ["some", "mine"] {
        bench.until(name, |told| told.done == 7).await;
    }
    assert_eq!(bench.until("stuck", |_| true).await.taken_ms, 0);
}

#[tokio::test]
async fn a_webhook_that_is_changed_goes_on_from_its_place_and_one_that_is_removed_forgets_it() {
    let bench = Bench::new(vec![]).await;
    let (old, new) = (listener().await, listener().await);
    let url = |at: &TcpListener| format!("http://{}/hook", at.local_addr().unwrap());
    let made = Webhook {
        name: "crm".into(),
        url: url(&old),
        secret: "s".into(),
        kinds: vec![],
        numbers: vec![],
        whole: true,
        created_ms: 1,
    };
    assert!(bench.store.add_webhook(&made).await.unwrap());
    assert!(!bench.store.add_webhook(&made).await.unwrap(), "there is one of this name");
    bench.changed.send(()).await.unwrap();
    assert_eq!(taken(&old, 1).await[0].0, 1);
    bench.until("crm", |told| told.done == 1).await;
    let moved = Webhook { url: url(&new), ..made.clone() };
    assert!(bench.store.change_webhook(&moved).await.unwrap());
    drop(old);
    bench.changed.send(()).await.unwrap();
    bench.happens("a-1", "1", &STEPS[..1]).await;
    assert_eq!(taken(&new, 1).await, [(2, "call.initiated".to_owned())]);
    bench.until("crm", |told| told.done == 2).await;
    assert!(bench.store.remove_webhook("crm").await.unwrap());
    assert!(!bench.store.remove_webhook("crm").await.unwrap());
    assert_eq!(bench.store.told("crm", &bench.node).await.unwrap(), None);
}
