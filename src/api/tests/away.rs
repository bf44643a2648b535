//! The API while the database does not answer, and orders whose outcome nobody could write down.

use sqlx::{Connection, SqliteConnection};

use super::*;

/// A hand in the database, beside everything that is tested.
async fn hand(bench: &Bench) -> SqliteConnection {
    let file = bench.folder.path().join("x.sqlite");
    SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap()
}

async fn change(database: &mut SqliteConnection, statement: &'static str) {
    sqlx::query(statement).execute(database).await.unwrap();
}

/// A control task that does what it is asked to: calls are `c-1`, `c-2` and so on.
fn obliging(bench: &mut Bench) {
    let replies = bench.replies.clone();
    let mut orders = std::mem::replace(&mut bench.orders, mpsc::channel(1).1);
    tokio::spawn(async move {
        let mut made = 0;
        while let Some(order) = orders.recv().await {
            let Order::Input(input) = order else { continue };
            let reply = match *input {
                Input::Originate(wish) => {
                    made += 1;
                    ConsoleReply::Calling { request: wish.request, call: CallId(made), name: format!("c-{made}") }
                }
                Input::Request(asked) => ConsoleReply::Reply { request: asked.id, reply: Reply::Done },
                _ => continue,
            };
            replies.send(reply).unwrap();
        }
    });
}

#[tokio::test]
async fn while_the_database_is_away_who_was_known_acts_and_what_they_did_is_noted_when_it_is_back() {
    let mut bench = Bench::new().await;
    obliging(&mut bench);
    bench.tell("a-1", "4711", Status::InProgress).await;
    let (other, stranger) = bench.store.make_key("k", Scope::Admin, &[], 1).await.unwrap();
    assert_eq!(bench.get("/v1/calls?live=true").await.0, 200);
    let mut database = hand(&bench).await;
    change(&mut database, "ALTER TABLE api_keys RENAME TO gone_keys").await;
    change(&mut database, "ALTER TABLE audit RENAME TO gone_audit").await;
    for _ in 0..3 {
        let (code, live) = bench.get("/v1/calls?live=true").await;
        assert_eq!((code, live["calls"][0]["id"].as_str()), (200, Some("a-1")));
        let (code, problem) = bench.ask("GET", "/v1/calls?live=true", &stranger, "", "").await;
        assert_eq!((code, problem["type"].as_str()), (503, Some("database")), "it was never seen");
    }
    let (code, outcome) = bench.post("/v1/calls/a-1/hangup", &json!({})).await;
    assert_eq!((code, outcome), (200, json!({"outcome": "done"})));
    change(&mut database, "ALTER TABLE gone_keys RENAME TO api_keys").await;
    change(&mut database, "ALTER TABLE gone_audit RENAME TO audit").await;
    let noted = async {
        while !bench.get("/v1/audit").await.1.to_string().contains("call.hangup") {
            pass(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noted).await.expect("it is noted");
    // A key that is removed opens nothing from then on.
    let until = async {
        while bench.ask("GET", "/v1/keys", &stranger, "", "").await.0 != 200 {
            pass(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), until).await.expect("the database is asked again");
    assert_eq!(bench.ask("DELETE", &format!("/v1/keys/{}", other.id), &bench.admin, "", "").await.0, 204);
    assert_eq!(bench.ask("GET", "/v1/keys", &stranger, "", "").await.0, 401);
    change(&mut database, "ALTER TABLE api_keys RENAME TO gone_keys").await;
    assert_eq!(bench.ask("GET", "/v1/keys", &stranger, "", "").await.0, 503, "nor when the database is away then");
}

#[tokio::test]
async fn an_order_of_a_run_that_was_killed_may_be_given_again_and_no_secret_of_it_is_kept() {
    let mut bench = Bench::new().await;
    obliging(&mut bench);
    let body = json!({"to": "sip:a@b", "from": "1", "vars": {"pin": "MARKER-4711"}}).to_string();
    let named = "Idempotency-Key: one\r\n";
    let order = async || {
        let (code, answer) = bench.ask("POST", "/v1/calls", &bench.admin, named, &body).await;
        (code, answer["id"].as_str().or(answer["type"].as_str()).unwrap().to_owned())
    };
    assert_eq!(order().await, (201, "c-1".to_owned()));
    assert_eq!(order().await, (200, "c-1".to_owned()));
    let mut database = hand(&bench).await;
    let (kept,): (String,) = sqlx::query_as("SELECT body FROM orders").fetch_one(&mut database).await.unwrap();
    assert!(kept.len() == 64 && !kept.contains("MARKER"), "{kept}");
    // This run has it in hand.
    change(&mut database, "UPDATE orders SET call = '', at_ms = 9000000000000").await;
    assert_eq!(order().await, (409, "in_hand".to_owned()));
    // Another server of this database has: this one knows nothing of it.
    change(&mut database, "UPDATE orders SET call = '', at_ms = 1, node = 'another'").await;
    assert_eq!(order().await, (409, "in_hand".to_owned()));
    let own = format!("UPDATE orders SET node = '{}'", spool_name(&bench.folder.path().join("spool")).unwrap());
    sqlx::query(sqlx::AssertSqlSafe(own)).execute(&mut database).await.unwrap();
    // One before it had, and is gone.
    change(&mut database, "UPDATE orders SET call = '', at_ms = 1").await;
    assert_eq!(order().await, (201, "c-2".to_owned()));
    assert_eq!(order().await, (200, "c-2".to_owned()));
}

#[tokio::test]
async fn an_order_to_listen_has_a_name_of_its_own_kind() {
    let mut bench = Bench::new().await;
    obliging(&mut bench);
    bench.tell("a-1", "4711", Status::InProgress).await;
    let (body, named) = (json!({"to": "sip:a@b", "from": "1"}).to_string(), "Idempotency-Key: one\r\n");
    let path = "/v1/calls/a-1/listen";
    for code in [201, 200] {
        let (got, begun) = bench.ask("POST", path, &bench.admin, named, &body).await;
        assert_eq!((got, begun["id"].as_str()), (code, Some("c-1")));
    }
    // The same words at another door are another order.
    let (code, problem) = bench.ask("POST", "/v1/calls", &bench.admin, named, &body).await;
    assert_eq!((code, problem["type"].as_str()), (409, Some("other_order")));
}
