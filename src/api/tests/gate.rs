//! Streams of events end with what opened them.

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::*;
use crate::store::Password;

type Stream = BufReader<TcpStream>;
type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn stream(bench: &Bench, secret: &str) -> Stream {
    let mut stream = TcpStream::connect(bench.at).await.unwrap();
    let text =
        format!("GET /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {secret}\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).await.unwrap();
        assert!(!line.starts_with("HTTP/") || line.contains(" 200 "), "{line}");
    }
    reader
}

async fn socket(bench: &Bench, secret: &str) -> Socket {
    let mut request = format!("ws://{}/v1/events/socket", bench.at).into_client_request().unwrap();
    request.headers_mut().insert("Authorization", format!("Bearer {secret}").parse().unwrap());
    let stream = TcpStream::connect(bench.at).await.unwrap();
    tokio_tungstenite::client_async(request, stream).await.unwrap().0
}

/// Both kinds of streams, opened by this secret.
async fn both(bench: &Bench, secret: &str) -> (Stream, Socket) {
    (stream(bench, secret).await, socket(bench, secret).await)
}

/// Both end within a second, and tell nothing more before; the WebSocket says why.
async fn end((mut stream, mut socket): (Stream, Socket), what: &str) {
    let over = async {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(!rest.contains("data: "), "{what}: {rest}");
        let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else { panic!("{what}: nothing is said") };
        assert_eq!(u16::from(frame.code), 1008, "{what}");
    };
    tokio::time::timeout(Duration::from_secs(1), over).await.unwrap_or_else(|_| panic!("{what}: it goes on"));
}

async fn anna(bench: &Bench) -> String {
    let person = Person { name: "anna".into(), role: Scope::Read, numbers: vec![] };
    bench.store.add_person(&person, &Password::new("correct horse"), 1).await.unwrap();
    let body = json!({"user": "anna", "password": "correct horse"}).to_string();
    let (_, session) = bench.ask("POST", "/v1/session", "", "", &body).await;
    session["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_that_is_taken_back_ends_the_streams_that_it_opened_and_no_others() {
    let bench = Bench::new().await;
    let key = async |name| bench.store.make_key(name, Scope::Read, &[], 1).await.unwrap();
    let ((here, by_api), (there, by_others), (_, stays)) = (key("a").await, key("b").await, key("c").await);
    let mut staying = stream(&bench, &stays).await;
    let streams = both(&bench, &by_api).await;
    assert_eq!(bench.ask("DELETE", &format!("/v1/keys/{}", here.id), &bench.admin, "", "").await.0, 204);
    bench.tell("a-1", "4711", Status::Ringing).await;
    end(streams, "by the API").await;
    let mut line = String::new();
    while !line.contains("a-1") {
        line.clear();
        staying.read_line(&mut line).await.unwrap();
    }
    // Another server, or a command at the machine, takes it out of the database.
    let streams = both(&bench, &by_others).await;
    assert!(bench.store.remove_key(&there.id).await.unwrap());
    end(streams, "by another server").await;
}

#[tokio::test]
async fn what_somebody_may_no_more_see_ends_their_streams() {
    let bench = Bench::new().await;
    let token = anna(&bench).await;
    let streams = both(&bench, &token).await;
    let narrowed = json!({"numbers": ["4711"]}).to_string();
    assert_eq!(bench.ask("PATCH", "/v1/users/anna", &bench.admin, "", &narrowed).await.0, 200);
    end(streams, "for one number only").await;
    // The session goes on, with what she may see now.
    let streams = both(&bench, &token).await;
    assert_eq!(bench.ask("DELETE", "/v1/session", &token, "", "").await.0, 204);
    end(streams, "she logged out").await;
    let body = json!({"user": "anna", "password": "correct horse"}).to_string();
    let (_, session) = bench.ask("POST", "/v1/session", "", "", &body).await;
    let streams = both(&bench, session["token"].as_str().unwrap()).await;
    assert_eq!(bench.ask("DELETE", "/v1/users/anna", &bench.admin, "", "").await.0, 204);
    end(streams, "she is dismissed").await;
}

#[tokio::test]
async fn a_stream_is_over_with_its_session() {
    let bench = Bench::with(|config| Config { session: Duration::from_millis(1200), ..config }).await;
    let token = anna(&bench).await;
    let streams = both(&bench, &token).await;
    let held = tokio::time::timeout(Duration::from_millis(400), streams.0.get_ref().readable()).await;
    assert!(held.is_err(), "it is open as long as the session is");
    let (mut stream, _socket) = streams;
    let mut rest = String::new();
    let over = stream.read_to_string(&mut rest);
    tokio::time::timeout(Duration::from_millis(1800), over).await.expect("it ends").unwrap();
}
