//! Who asks for something and goes away: it is done all the same, and known afterwards.

use super::*;

/// Ask, and close the connection when the control task has heard of it; give what it heard.
async fn ask_and_go(bench: &mut Bench, path: &str, more: &str, body: &Value) -> Input {
    let (body, key) = (body.to_string(), bench.admin.clone());
    let mut stream = TcpStream::connect(bench.at).await.unwrap();
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let input = loop {
        let Order::Input(input) = bench.orders.recv().await.unwrap() else { continue };
        break *input;
    };
    drop(stream);
    // The server hears of it.
    pass(Duration::from_millis(200)).await;
    input
}

#[tokio::test]
async fn who_goes_away_after_asking_leaves_nothing_half_done() {
    let mut bench = Bench::new().await;
    bench.tell("a-1", "4711", Status::InProgress).await;
    let Input::Request(hangup) = ask_and_go(&mut bench, "/v1/calls/a-1/hangup", "", &json!({})).await else {
        panic!("a call is hung up")
    };
    bench.replies.send(ConsoleReply::Reply { request: hangup.id, reply: Reply::Done }).unwrap();
    let (order, named) = (json!({"to": "sip:a@b", "from": "1"}), "Idempotency-Key: one\r\n");
    let Input::Originate(wish) = ask_and_go(&mut bench, "/v1/calls", named, &order).await else {
        panic!("a call is made")
    };
    let calling = ConsoleReply::Calling { request: wish.request, call: CallId(8), name: "c-1".into() };
    bench.replies.send(calling).unwrap();
    let noted = async {
        loop {
            let told = bench.get("/v1/audit").await.1.to_string();
            if told.contains("call.hangup") && told.contains("call.start") {
                return;
            }
            pass(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), noted).await.expect("the audit log has both");
    let (code, begun) = bench.ask("POST", "/v1/calls", &bench.admin, named, &order.to_string()).await;
    assert_eq!((code, begun["id"].as_str()), (200, Some("c-1")), "the order is carried out, and not in hand");
}
