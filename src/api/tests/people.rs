//! People log in and out, and do what their role allows; what was done is known afterwards.

use super::*;
use crate::store::{Done, Password};

async fn with_anna(role: Scope) -> Bench {
    let bench = Bench::new().await;
    let anna = Person { name: "anna".into(), role, numbers: vec![] };
    assert!(bench.store.add_person(&anna, &Password::new("correct horse"), 1).await.unwrap());
    bench
}

async fn log_in(bench: &Bench, password: &str) -> (u16, String, Value) {
    let body = json!({"user": "anna", "password": password}).to_string();
    let (code, head, body) = bench.answer("POST", "/v1/session", "", "", &body).await;
    (code, head, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn a_session_opens_what_its_role_allows_until_it_ends() {
    let bench = with_anna(Scope::Read).await;
    let (code, head, session) = log_in(&bench, "correct horse").await;
    assert_eq!((code, session["scope"].as_str(), session["name"].as_str()), (201, Some("read"), Some("anna")));
    assert!(session["expires_ms"].as_i64().unwrap() > 3_600_000);
    let token = session["token"].as_str().unwrap();
    assert!(head.contains(&format!("set-cookie: switchhook={token}; Path=/; HttpOnly; SameSite=Strict")), "{head}");
    let ask = async |method, path| bench.ask(method, path, token, "", "").await.0;
    assert_eq!(ask("GET", "/v1/contacts").await, 200);
    assert_eq!(ask("POST", "/v1/contacts").await, 400, "first what is asked is read");
    assert_eq!(bench.ask("POST", "/v1/contacts", token, "", r#"{"name": "x"}"#).await.0, 403);
    assert_eq!(ask("DELETE", "/v1/session").await, 204);
    assert_eq!(ask("GET", "/v1/contacts").await, 401);
    assert_eq!(bench.ask("DELETE", "/v1/session", &bench.admin, "", "").await.0, 409, "a key is no session");
}

#[tokio::test]
async fn a_cookie_is_a_session_but_not_for_the_pages_of_others() {
    let bench = with_anna(Scope::Call).await;
    let (_, _, session) = log_in(&bench, "correct horse").await;
    let cookie = format!("Cookie: a=b; switchhook={}\r\n", session["token"].as_str().unwrap());
    assert_eq!(bench.ask("GET", "/v1/session", "", &cookie, "").await.0, 200);
    let own = format!("{cookie}Origin: http://x\r\n");
    assert_eq!(bench.ask("POST", "/v1/contacts", "", &own, r#"{"name": "x"}"#).await.0, 201);
    let other = format!("{cookie}Origin: https://evil.example\r\n");
    assert_eq!(bench.ask("POST", "/v1/contacts", "", &other, r#"{"name": "x"}"#).await.0, 401);
}

#[tokio::test]
async fn a_wrong_password_is_told_as_an_unknown_name_is_and_tries_are_counted() {
    let bench = with_anna(Scope::Admin).await;
    let wrong = log_in(&bench, "wrong").await;
    let nobody = bench.ask("POST", "/v1/session", "", "", r#"{"user": "bo", "password": "x"}"#).await;
    assert_eq!((wrong.0, &wrong.2), (401, &nobody.1));
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(log_in(&bench, "wrong").await.0);
    }
    assert_eq!(codes, [401, 401, 401, 401, 429]);
    let (code, head, _) = log_in(&bench, "correct horse").await;
    assert!(code == 429 && head.contains("retry-after: "), "{code} {head}");
    let (_, audit) = bench.get("/v1/audit").await;
    assert_eq!(audit["entries"][0]["what"], "session.refused");
}

#[tokio::test]
async fn a_session_that_is_too_old_opens_nothing() {
    let bench = Bench::with(|config| Config { session: Duration::ZERO, ..config }).await;
    let anna = Person { name: "anna".into(), role: Scope::Admin, numbers: vec![] };
    bench.store.add_person(&anna, &Password::new("correct horse"), 1).await.unwrap();
    let (code, _, session) = log_in(&bench, "correct horse").await;
    assert_eq!(code, 201);
    assert_eq!(bench.ask("GET", "/v1/session", session["token"].as_str().unwrap(), "", "").await.0, 401);
}

#[tokio::test]
async fn administrators_let_people_in_and_out_at_once() {
    let bench = Bench::new().await;
    let new = json!({"name": "anna", "password": "correct horse", "role": "read", "numbers": ["4711"]});
    assert_eq!(bench.post("/v1/users", &new).await.0, 201);
    assert_eq!(bench.post("/v1/users", &new).await.0, 409);
    for (field, value) in [("name", "a b"), ("password", "short"), ("role", "king")] {
        let mut bad = new.clone();
        bad[field] = value.into();
        let (code, problem) = bench.post("/v1/users", &bad).await;
        assert_eq!((code, problem["field"].as_str()), (400, Some(field)));
    }
    let (_, users) = bench.get("/v1/users").await;
    let names: Vec<_> = users.as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"anna") && !users.to_string().contains("horse"), "{users}");
    let (_, _, session) = log_in(&bench, "correct horse").await;
    let token = session["token"].as_str().unwrap();
    assert_eq!(bench.ask("GET", "/v1/contacts", token, "", "").await.0, 403, "she is for one number only");
    // It holds in the open session.
    let change = json!({"role": "call", "numbers": []}).to_string();
    assert_eq!(bench.ask("PATCH", "/v1/users/anna", &bench.admin, "", &change).await.0, 200);
    assert_eq!(bench.ask("GET", "/v1/contacts", token, "", "").await.0, 200);
    // Her own password is hers to change; her role is not.
    assert_eq!(bench.ask("PATCH", "/v1/users/anna", token, "", r#"{"role": "admin"}"#).await.0, 403);
    let own = json!({"password": "another horse"}).to_string();
    assert_eq!(bench.ask("PATCH", "/v1/users/anna", token, "", &own).await.0, 200);
    assert_eq!(bench.ask("GET", "/v1/contacts", token, "", "").await.0, 401, "which ended all sessions");
    let (code, _, session) = log_in(&bench, "another horse").await;
    assert_eq!(code, 201);
    assert_eq!(bench.ask("DELETE", "/v1/users/anna", &bench.admin, "", "").await.0, 204);
    assert_eq!(bench.ask("GET", "/v1/contacts", session["token"].as_str().unwrap(), "", "").await.0, 401);
    assert_eq!(bench.ask("DELETE", "/v1/users/anna", &bench.admin, "", "").await.0, 404);
}

#[tokio::test]
async fn what_was_done_is_told_page_by_page_the_newest_first() {
    let bench = Bench::new().await;
    for at in 0..5 {
        let [who, what, outcome] = ["key", "test.done", "done"].map(str::to_owned);
        let done = Done { at_ms: at, who, what, about: at.to_string(), outcome };
        bench.store.note(&done).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (code, page) = bench.get(&format!("/v1/audit?limit=2{cursor}")).await;
        assert_eq!(code, 200, "{page}");
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.len() <= 2);
        seen.extend(entries.iter().filter(|one| one["what"] == "test.done").map(|one| one["about"].clone()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["4", "3", "2", "1", "0"]);
}
