//! Ten readers of many events, one of which reads nothing and one of which has a WebSocket: the API, the journal and the
//! database behind it in this process, over real HTTP. With PROOF set, 10,000 events a second.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use futures_util::StreamExt;
use switchhook::{
    api,
    ids::CallId,
    io::{Fact, clock::Clock},
    store::{Database, Journal, JournalConfig, Scope, Store, WriterConfig, spawn_journal, spawn_writer},
    switch::{Direction, Progress, Status},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::records::ask;

const READERS: usize = 10;
/// More than all buffers between the journal and a reader hold, so that the stuck one must lose some.
const EVENTS: usize = 40_000;
/// So late, in ms, may 99 of a hundred events come to a reader: where the machine does nothing else, and beside other
/// tests, which keep its disk busy.
const LATE: [u64; 2] = [1000, 5000];
/// Facts come in such heaps.
const HEAP: usize = 100;

fn rate() -> usize {
    if std::env::var_os("PROOF").is_some() { 10_000 } else { 2_000 }
}

fn progress(call: usize) -> Fact {
    Fact::Progress(Box::new(Progress {
        id: format!("1795226792117-{call}"),
        call: CallId(call as u64),
        parent: None,
        direction: Direction::Inbound,
        from: "+4930123456".into(),
        to: "100".into(),
        trunk: Some("carrier".into()),
        sip_call_id: "60fec8041bb9ae5934c7a77adfdb3892".into(),
        start_ms: 1_795_226_793_419,
        answer_ms: None,
        status: Status::Ringing,
        script: Some("menu.lua".into()),
    }))
}

/// What the readers read from; kept as long as they do.
struct Source {
    at: SocketAddr,
    key: String,
    journal: Journal,
    clock: Clock,
    _ends: (mpsc::Sender<switchhook::io::Order>, mpsc::UnboundedSender<switchhook::switch::ConsoleReply>),
    _folder: tempfile::TempDir,
}

impl Source {
    fn start() -> Source {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::start());
        let spool = folder.path().join("spool");
        let journal = spawn_journal(JournalConfig { folder: spool.clone(), limit: 1 << 30, clock }).unwrap();
        let database = Database::file(&folder.path().join("x.sqlite"));
        let config = WriterConfig {
            database: database.clone(),
            folder: spool,
            days: Default::default(),
            reconciled: Default::default(),
        };
        let (told, ready) = oneshot::channel();
        spawn_writer(config, journal.line(), told).unwrap();
        ready.blocking_recv().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_, key) = runtime.block_on(async {
            let store = Store::open(&database).await.unwrap();
            store.make_key("test", Scope::Read, &[], 1).await.unwrap()
        });
        let (orders, _) = mpsc::channel(1);
        let (replies, answers) = mpsc::unbounded_channel();
        let (orders_weak, questions) = (orders.downgrade(), journal.questions.clone());
        // Nobody reloads here.
        let (reload, changed, fixed) =
            (mpsc::channel(1).0, mpsc::channel(1).0, watch::channel(api::Fixed::default()).1);
        let webhooks = api::WebhookEnds { node: "x".into(), fixed, changed };
        let roster = watch::channel(std::sync::Arc::default()).1;
        let ends = api::Ends { orders: orders_weak, replies: answers, questions, reload, webhooks, roster };
        let config = api::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            database,
            clock,
            tls: None,
            requests_per_s: 0,
            max_per_address: 0,
            session: Duration::from_secs(3600),
            scripts: folder.path().to_owned(),
            recordings: folder.path().to_owned(),
            dialling: switchhook::switch::Dialling::default(),
        };
        let at = api::spawn(config, ends).unwrap();
        Source { at, key, journal, clock, _ends: (orders, replies), _folder: folder }
    }

    fn reader(&self, buffer: usize) -> BufReader<TcpStream> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(buffer).unwrap();
        socket.connect(&self.at.into()).unwrap();
        ask(TcpStream::from(socket), &self.key, "/v1/events")
    }

    fn tell_all(&self) {
        let begun = self.clock.now();
        for heap in 0..EVENTS / HEAP {
            let due = begun + Duration::from_secs(1) * u32::try_from(heap * HEAP).unwrap() / rate() as u32;
            pass(due - self.clock.now());
            for call in heap * HEAP..(heap + 1) * HEAP {
                self.journal.facts.blocking_send(progress(call)).unwrap();
            }
        }
    }
}

/// Nothing comes meanwhile.
fn pass(time: Duration) {
    let (_keep, nothing) = std::sync::mpsc::channel::<()>();
    let _ = nothing.recv_timeout(time);
}

fn number(line: &str, name: &str) -> u64 {
    let rest = line.split_once(name).unwrap_or_else(|| panic!("no {name} in {line}")).1;
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// What came to one reader.
struct Came {
    clock: Clock,
    count: usize,
    /// Events that it was told to be lost.
    lost: usize,
    /// How late each came, in ms.
    late: Vec<u64>,
}

impl Came {
    fn none(clock: Clock) -> Came {
        Came { clock, count: 0, lost: 0, late: Vec::new() }
    }

    /// False: it was the last one.
    fn take(&mut self, event: &str) -> bool {
        if event.contains("\"kind\":\"lost\"") {
            self.lost += number(event, "\"count\":") as usize;
            return true;
        }
        let now = self.clock.epoch().unix(self.clock.now()).as_millis() as u64;
        self.late.push(now.saturating_sub(number(event, "\"at_ms\":")));
        self.count += 1;
        !event.contains(&format!("1795226792117-{}\"", EVENTS - 1))
    }
}

/// Read until the last event.
fn read_all(mut reader: BufReader<TcpStream>, clock: Clock) -> Came {
    let (mut came, mut line) = (Came::none(clock), String::new());
    loop {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream ended after {}", came.count);
        if line.strip_prefix("data: ").is_some_and(|event| !came.take(event)) {
            return came;
        }
    }
}

/// The same over a WebSocket, once `begun` was told that it is open.
fn read_all_by_websocket((at, key): (SocketAddr, String), clock: Clock, begun: oneshot::Sender<()>) -> Came {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(at).await.unwrap();
        let mut request = format!("ws://{at}/v1/events/socket").into_client_request().unwrap();
        request.headers_mut().insert("Authorization", format!("Bearer {key}").parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        begun.send(()).unwrap();
        let mut came = Came::none(clock);
        loop {
            let message = socket.next().await.expect("it goes on").unwrap();
            if message.is_text() && !came.take(message.to_text().unwrap()) {
                return came;
            }
        }
    })
}

fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_reader_that_reads_nothing_delays_no_other_and_is_told_what_it_lost() {
    let source = Source::start();
    let stuck = source.reader(4096);
    let clock = source.clock;
    let (begun, open) = oneshot::channel();
    let place = (source.at, source.key.clone());
    let by_websocket = thread::spawn(move || read_all_by_websocket(place, clock, begun));
    open.blocking_recv().unwrap();
    let mut others = vec![("a WebSocket", by_websocket)];
    for _ in 2..READERS {
        let reader = source.reader(1 << 20);
        others.push(("server-sent events", thread::spawn(move || read_all(reader, clock))));
    }
    let before = resident_kib();
    source.tell_all();
    for (kind, other) in others {
        let Came { count, lost, mut late, .. } = other.join().unwrap();
        late.sort_unstable();
        let (half, most) = (late[late.len() / 2], late[late.len() * 99 / 100]);
        println!("{kind}: {count} events, {lost} lost, late by p50 {half} ms, p99 {most} ms");
        assert_eq!((count, lost), (EVENTS, 0));
        assert!(most < LATE[usize::from(std::env::var_os("PROOF").is_none())], "p99 is late by {most} ms");
    }
    let grown = resident_kib().saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 150_000, "{grown} KiB");
    // It wakes up, reads what lay in the buffers, and is told of the rest.
    let Came { count, lost, .. } = read_all(stuck, clock);
    println!("the stuck one: {count} events, {lost} lost");
    assert!(lost > 0);
    assert_eq!(count + lost, EVENTS);
}
