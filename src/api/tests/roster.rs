//! Queues, agents and AI agents by the API.

use super::*;
use crate::verbs::{Agent, AiAgent, Queue, Roster};

/// What stands in the configuration.
pub(super) fn fixed() -> Arc<Roster> {
    let carl = Agent { id: "carl".into(), addresses: vec!["203".into()], ..Agent::default() };
    let sales = Queue { id: "sales".into(), agents: vec!["carl".into()], ..Queue::default() };
    let ai = AiAgent { id: "shop".into(), key: Some("hidden".into()), ..AiAgent::default() };
    let roster = Roster {
        queues: [("sales".to_owned(), sales)].into(),
        agents: [("carl".to_owned(), carl)].into(),
        ai_agents: [("shop".to_owned(), ai)].into(),
    };
    Arc::new(roster)
}

impl Bench {
    async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("PUT", path, &self.admin, "", &body.to_string()).await
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        self.ask("DELETE", path, &self.admin, "", "").await
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_queue_has_agents_that_are_there_and_stay_while_it_names_them() {
    let bench = Bench::new().await;
    let queue = json!({"id": "support-queue-id", "name": "Support", "agents": ["anna", "carl"], "tags": ["german"],
        "wait_limit_s": 300});
    let (code, problem) = bench.post("/v1/queues", &queue).await;
    assert_eq!((code, &problem["field"]), (422, &json!("agents")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("anna"), "carl stands in the configuration: {problem}");
    let agent =
        json!({"id": "anna", "addresses": ["201", "sip:anna@example.com"], "in_turn": true, "tags": ["german"]});
    let (code, anna) = bench.post("/v1/agents", &agent).await;
    assert_eq!((code, &anna["fixed"], &anna["in_turn"]), (201, &json!(false), &json!(true)), "{anna}");
    let (code, made) = bench.post("/v1/queues", &queue).await;
    assert_eq!((code, &made["agents"], &made["wait_limit_s"]), (201, &json!(["anna", "carl"]), &json!(300)), "{made}");
    assert_eq!(bench.get("/v1/queues/support-queue-id").await, (200, made));
    assert_eq!(bench.post("/v1/queues", &queue).await.1["type"], "there");

    let (code, problem) = bench.delete("/v1/agents/anna").await;
    assert_eq!((code, &problem["type"]), (409, &json!("in_use")));
    assert!(problem["detail"].as_str().unwrap().contains("support-queue-id"), "{problem}");
    let other = json!({"name": "Support", "agents": ["carl"]});
    let (code, now) = bench.put("/v1/queues/support-queue-id", &other).await;
    assert_eq!((code, &now["agents"], &now["wait_limit_s"]), (200, &json!(["carl"]), &json!(0)), "{now}");
    assert_eq!(bench.put("/v1/queues/other", &other).await.0, 404);
    assert_eq!(bench.put("/v1/queues/support-queue-id", &json!({"id": "x"})).await.1["field"], "id");
    assert_eq!(bench.delete("/v1/agents/anna").await.0, 204);
    assert_eq!(bench.get("/v1/agents/anna").await.0, 404);
    assert_eq!(bench.delete("/v1/queues/support-queue-id").await.0, 204);
    assert_eq!(bench.delete("/v1/queues/support-queue-id").await.0, 404);
    let (_, audit) = bench.get("/v1/audit").await;
    for what in ["agent.make", "queue.make", "queue.change", "agent.remove", "queue.remove"] {
        assert!(audit.to_string().contains(what), "{what}");
    }
}

#[tokio::test]
async fn what_stands_in_the_configuration_is_shown_but_not_changed() {
    let bench = Bench::new().await;
    for (path, id, body) in [
        ("/v1/queues", "sales", json!({"id": "sales"})),
        ("/v1/agents", "carl", json!({"id": "carl", "addresses": ["1"]})),
        ("/v1/ai-agents", "shop", json!({"id": "shop"})),
    ] {
        let (_, all) = bench.get(path).await;
        assert_eq!((ids(&all), &all[0]["fixed"]), (vec![id], &json!(true)), "{all}");
        assert!(!all.to_string().contains("hidden"), "{all}");
        let one = format!("{path}/{id}");
        assert_eq!(bench.get(&one).await, (200, all[0].clone()));
        assert_eq!(bench.post(path, &body).await.1["type"], "there");
        assert_eq!(bench.put(&one, &body).await.1["type"], "fixed");
        assert_eq!(bench.delete(&one).await.1["type"], "fixed");
    }
}

#[tokio::test]
async fn a_list_comes_in_parts_by_id_and_one_of_the_configuration_hides_one_of_its_id() {
    let bench = Bench::new().await;
    // From before it stood in the configuration.
    let old = Agent { id: "carl".into(), name: "old".into(), addresses: vec!["9".into()], ..Agent::default() };
    bench.store.add_entry(&old, &[], 1).await.unwrap();
    for id in ["bo", "dora", "anna"] {
        assert_eq!(bench.post("/v1/agents", &json!({"id": id, "addresses": ["1"]})).await.0, 201);
    }
    let (_, head, body) = bench.answer("GET", "/v1/agents?limit=3", &bench.admin, "", "").await;
    let part: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((ids(&part), &part[2]["name"]), (vec!["anna", "bo", "carl"], &json!("")));
    let cursor = head.lines().find_map(|line| line.strip_prefix("x-next-cursor: ")).unwrap();
    let (_, rest) = bench.get(&format!("/v1/agents?limit=3&cursor={cursor}")).await;
    assert_eq!(ids(&rest), ["dora"]);
    let (code, made) = bench.post("/v1/queues", &json!({})).await;
    assert_eq!((code, made["id"].as_str().unwrap().len()), (201, 16), "an id of its own: {made}");
}

#[tokio::test]
async fn an_ai_agent_keeps_its_key_and_shows_it_to_nobody() {
    let bench = Bench::new().await;
    let ai = json!({"id": "desk", "model": "openai.x", "key": "hidden", "prompt": "Sell.", "parameters": {"a": "b"},
        "language": "en-US", "tools": ["all"]});
    let (code, made) = bench.post("/v1/ai-agents", &ai).await;
    assert_eq!((code, &made["has_key"], &made["parameters"]), (201, &json!(true), &json!({"a": "b"})), "{made}");
    let (_, now) = bench.put("/v1/ai-agents/desk", &json!({"model": "openai.y"})).await;
    assert_eq!((&now["has_key"], &now["model"], &now["prompt"]), (&json!(true), &json!("openai.y"), &json!("")));
    let kept = bench.store.entry::<AiAgent>("desk").await.unwrap().unwrap();
    assert_eq!(kept.entry.key.as_deref(), Some("hidden"));
    let (_, now) = bench.put("/v1/ai-agents/desk", &json!({"key": ""})).await;
    assert_eq!(now["has_key"], false);
    let (_, all) = bench.get("/v1/ai-agents").await;
    assert!(!format!("{made}{all}").contains("hidden"), "{all}");
}

#[tokio::test]
async fn what_does_not_fit_is_named_by_its_field() {
    let bench = Bench::new().await;
    for (path, body, (code, field)) in [
        ("/v1/queues", json!({"id": "a b"}), (400, "id")),
        ("/v1/queues", json!({"id": ".."}), (400, "id")),
        ("/v1/queues", json!({"wait_limit_s": 86_401}), (400, "wait_limit_s")),
        ("/v1/queues", json!({"wait_limit_s": -1}), (400, "wait_limit_s")),
        ("/v1/queues", json!({"wait_script": "../x.lua"}), (400, "wait_script")),
        ("/v1/queues", json!({"wait_script": "x.lua"}), (422, "wait_script")),
        ("/v1/queues", json!({"agents": ["nobody"]}), (422, "agents")),
        ("/v1/queues", json!({"agent": ["nobody"]}), (400, "agent")),
        ("/v1/agents", json!({"id": "a"}), (400, "addresses")),
        ("/v1/agents", json!({"addresses": []}), (400, "addresses")),
        ("/v1/agents", json!({"addresses": ["1"], "tags": ["a", "a"]}), (400, "tags")),
        ("/v1/ai-agents", json!({"language": "en_US"}), (400, "language")),
        ("/v1/ai-agents", json!({"parameters": {"a": 1}}), (400, "parameters.a")),
    ] {
        let (found, problem) = bench.post(path, &body).await;
        assert_eq!((found, problem["field"].as_str()), (code, Some(field)), "{body}: {problem}");
    }
    std::fs::write(bench.folder.path().join("scripts/wait.lua"), "call:answer()").unwrap();
    assert_eq!(bench.post("/v1/queues", &json!({"wait_script": "wait.lua"})).await.0, 201);
}
