use tokio::net::TcpListener;
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::handshake::server::{ErrorResponse, Request as Asked, Response},
};

use super::*;
use crate::{
    codec::Rate,
    ids::{StreamId, TapId},
    media::Tap,
    switch::StreamAbout,
    verbs::{Sides, Stream},
};

type Socket = WebSocketStream<TcpStream>;

fn config(hosts: &[&str], most: usize) -> Config {
    Config {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        patience: Duration::from_secs(5),
        most,
        trust: PathBuf::from("/none.pem"),
        agent: "Switchhook".into(),
    }
}

/// A running thread, and what it tells.
struct Bench {
    orders: mpsc::Sender<Box<StreamOrder>>,
    told: mpsc::Receiver<Input>,
    asked: u64,
}

impl Bench {
    fn new(config: Config) -> Bench {
        let (orders, inbox) = mpsc::channel(100);
        let (control, told) = mpsc::channel(100);
        spawn(config, inbox, control).unwrap();
        Bench { orders, told, asked: 0 }
    }

    async fn ask(&mut self, url: &str, taps: &[Arc<Tap>]) {
        self.asked += 1;
        let (token, data) = (Some("secret".to_owned()), Some("order \"17\"".to_owned()));
        let wish = Stream { url: url.to_owned(), sides: Sides::Both, rate: Rate::Narrow, token, data };
        let about = StreamAbout { call: "1-2".into(), from: "100".into(), to: "200".into(), inbound: true };
        let order = StreamOrder { stream: StreamId(self.asked), wish, about, taps: taps.to_vec() };
        self.orders.send(Box::new(order)).await.unwrap();
    }

    async fn news(&mut self) -> StreamNews {
        match timeout(Duration::from_secs(20), self.told.recv()).await {
            Ok(Some(Input::Streamed { news, .. })) => news,
            other => panic!("{other:?}"),
        }
    }

    async fn fault(&mut self) -> StreamFault {
        match self.news().await {
            StreamNews::Over { why: Some(why), .. } => why.fault,
            other => panic!("{other:?}"),
        }
    }
}

fn taps(room: usize) -> [Arc<Tap>; 2] {
    [(1, Side::Said), (2, Side::Heard)].map(|(id, side)| Tap::new(TapId(id), side, Rate::Narrow, room))
}

/// A far end on loopback.
async fn far_end() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/listen?x=1", listener.local_addr().unwrap());
    (listener, url)
}

/// Takes the stream; gives what was asked for, and who asks.
async fn accept(listener: &TcpListener) -> (Socket, String, String) {
    let (line, _) = listener.accept().await.unwrap();
    let mut seen = (String::new(), String::new());
    #[expect(clippy::result_large_err, reason = "the shape of tungstenite's callback")]
    let look = |request: &Asked, response: Response| -> Result<Response, ErrorResponse> {
        let token = request.headers().get("Authorization").map(|value| value.to_str().unwrap().to_owned());
        seen = (request.uri().to_string(), token.unwrap_or_default());
        Ok(response)
    };
    let socket = accept_hdr_async(line, look).await.unwrap();
    (socket, seen.0, seen.1)
}

async fn next(socket: &mut Socket) -> Message {
    timeout(Duration::from_secs(20), socket.next()).await.expect("in time").expect("a message").expect("a whole one")
}

async fn json(socket: &mut Socket) -> serde_json::Value {
    match next(socket).await {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_far_end_is_told_of_the_call_and_gets_both_sides_and_the_end() {
    let (listener, url) = far_end().await;
    let mut bench = Bench::new(config(&["127.0.0.1"], 10));
    let [said, heard] = taps(100);
    bench.ask(&url, &[said.clone(), heard.clone()]).await;
    let (mut socket, path, token) = accept(&listener).await;
    assert_eq!((path.as_str(), token.as_str()), ("/listen?x=1", "Bearer secret"));
    let first = json(&mut socket).await;
    let want = json!({
        "event": "start", "call": "1-2", "from": "100", "to": "200", "direction": "inbound", "format": "s16le",
        "rate": 8000, "sides": ["said", "heard"], "frame_ms": 20, "data": "order \"17\"",
    });
    assert_eq!(first, want);
    assert_eq!(bench.news().await, StreamNews::Open);
    socket.send(Message::Ping("x".into())).await.unwrap();
    for number in 0..3 {
        said.give(number, &[100 + number as i16; 160]);
        heard.give(number, &[-2; 160]);
        match next(&mut socket).await {
            Message::Binary(bytes) => {
                assert_eq!(bytes.len(), 640);
                assert_eq!(bytes[..4], [100 + number as u8, 0, 0xfe, 0xff]);
            }
            Message::Pong(_) => assert!(matches!(next(&mut socket).await, Message::Binary(_))),
            other => panic!("{other:?}"),
        }
    }
    said.end();
    heard.end();
    let last = loop {
        if let Message::Text(text) = next(&mut socket).await {
            break serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    };
    assert_eq!(last, json!({"event": "stop", "frames": 3, "dropped": 0}));
    assert!(matches!(next(&mut socket).await, Message::Close(_)));
    assert_eq!(bench.news().await, StreamNews::Over { frames: 3, dropped: 0, why: None });
}

#[tokio::test]
async fn what_a_slow_far_end_missed_is_told_as_a_gap_and_counted() {
    let (listener, url) = far_end().await;
    let mut bench = Bench::new(config(&["127.0.0.1"], 10));
    let [said, heard] = taps(10);
    bench.ask(&url, &[said.clone(), heard.clone()]).await;
    let (mut socket, ..) = accept(&listener).await;
    json(&mut socket).await;
    // The taps are full before anybody looks: 15 frames of the 25 are gone.
    for number in 0..25 {
        said.give(number, &[1; 160]);
        heard.give(number, &[2; 160]);
    }
    said.end();
    heard.end();
    let (mut gap, mut audio, mut told) = (0, 0, 0);
    loop {
        match next(&mut socket).await {
            Message::Text(text) => {
                let said: serde_json::Value = serde_json::from_str(&text).unwrap();
                gap += if said["event"] == "gap" { said["frames"].as_u64().unwrap() } else { 0 };
                told += said["dropped"].as_u64().unwrap_or(0);
            }
            Message::Binary(_) => audio += 1,
            _ => break,
        }
    }
    assert_eq!(audio + gap, 25, "every frame is accounted for");
    assert!(gap > 0 && told == gap, "{gap} {told}");
    assert_eq!(bench.news().await, StreamNews::Open);
    assert_eq!(bench.news().await, StreamNews::Over { frames: audio, dropped: gap, why: None });
}

#[tokio::test]
async fn who_may_not_be_sent_audio_or_is_not_there_or_refuses_is_named() {
    let (listener, url) = far_end().await;
    let mut strict = Bench::new(config(&[], 10));
    strict.ask(&url, &taps(1)).await;
    assert_eq!(strict.fault().await, StreamFault::Denied, "an address of our own network");
    let mut named = Bench::new(config(&["other.example"], 10));
    named.ask(&url, &taps(1)).await;
    assert_eq!(named.fault().await, StreamFault::Denied);
    let mut bench = Bench::new(config(&["127.0.0.1"], 10));
    for url in ["http://127.0.0.1/", "wsx://127.0.0.1/", "ws://a b/", "ws://"] {
        bench.ask(url, &taps(1)).await;
        assert_eq!(bench.fault().await, StreamFault::Denied, "{url}");
    }
    bench.ask(&url, &taps(1)).await;
    let (mut line, _) = listener.accept().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut line, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(bench.fault().await, StreamFault::Status(403));
    let gone = listener.local_addr().unwrap();
    drop(listener);
    bench.ask(&format!("ws://{gone}/"), &taps(1)).await;
    assert_eq!(bench.fault().await, StreamFault::Unreachable);
    bench.ask(&format!("wss://{gone}/"), &taps(1)).await;
    assert_eq!(bench.fault().await, StreamFault::Unreachable);
}

#[tokio::test]
async fn a_far_end_that_says_nothing_or_closes_ends_its_stream_and_there_are_no_more_than_allowed() {
    let (listener, url) = far_end().await;
    let patience = Duration::from_millis(200);
    let mut bench = Bench::new(Config { patience, ..config(&["127.0.0.1"], 1) });
    bench.ask(&url, &taps(1)).await;
    assert_eq!(bench.fault().await, StreamFault::Timeout);
    let _silent = listener.accept().await.unwrap();
    bench.ask(&url, &taps(1)).await;
    let (mut socket, ..) = accept(&listener).await;
    json(&mut socket).await;
    assert_eq!(bench.news().await, StreamNews::Open);
    bench.ask(&url, &taps(1)).await;
    assert_eq!(bench.fault().await, StreamFault::Overload);
    // What it sends is thrown away, unless it is out of all measure.
    socket.send(Message::text("hello")).await.unwrap();
    // Perhaps it is gone before all of this is sent.
    let _ = socket.send(Message::Binary(vec![0; LONGEST + 1].into())).await;
    assert_eq!(bench.fault().await, StreamFault::Closed);
}

#[tokio::test]
async fn a_far_end_that_takes_nothing_any_more_is_left() {
    let (listener, url) = far_end().await;
    SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let patience = Duration::from_millis(300);
    let mut bench = Bench::new(Config { patience, ..config(&["127.0.0.1"], 1) });
    let [said, heard] = taps(1000);
    bench.ask(&url, &[said.clone(), heard.clone()]).await;
    let (mut socket, ..) = accept(&listener).await;
    json(&mut socket).await;
    assert_eq!(bench.news().await, StreamNews::Open);
    for number in 0..1000 {
        said.give(number, &[1; 160]);
        heard.give(number, &[2; 160]);
    }
    let StreamNews::Over { frames, why: Some(why), .. } = bench.news().await else { panic!("it goes on") };
    assert_eq!(why.fault, StreamFault::Timeout);
    assert!(frames < 1000, "{frames}");
}

#[test]
fn frames_meet_by_their_numbers_and_what_is_missing_is_silence_or_a_gap() {
    let taps = taps(10);
    let mut weave = Weave::new(&taps);
    assert_eq!(weave.next(), None);
    taps[0].give(0, &[1; 160]);
    assert_eq!(weave.next(), None, "the other side is awaited");
    taps[1].give(2, &[2; 160]);
    let audio = |piece: Option<Piece>| match piece {
        Some(Piece::Audio(bytes)) => bytes[..4].to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(audio(weave.next()), [1, 0, 0, 0]);
    taps[0].give(2, &[3; 160]);
    assert_eq!(weave.next(), Some(Piece::Gap { at: 1, frames: 1 }));
    assert_eq!(audio(weave.next()), [3, 0, 2, 0]);
    taps[1].end();
    taps[0].give(3, &[4; 160]);
    assert_eq!(audio(weave.next()), [4, 0, 0, 0], "a side that is over is silent");
    assert!(!weave.is_over());
    taps[0].end();
    assert!(weave.is_over());
    assert_eq!(weave.next(), None);
}
