//! Webhooks by the API; what they are told is tested beside them.

use super::*;
use crate::{hooks::Url, store::Told};

/// One that stands in the configuration.
pub(super) fn fixed() -> Fixed {
    let to = Url::parse("https://crm.example:8443/calls?token=hidden").unwrap();
    let (kinds, numbers, trust) = (vec!["call.*".to_owned()], Vec::new(), PathBuf::new());
    let (whole, since_ms) = (false, None);
    let webhook = WebhookConfig { name: "crm".into(), to, secret: "s".into(), kinds, numbers, whole, since_ms, trust };
    [webhook].into()
}

#[tokio::test]
async fn webhooks_are_made_changed_and_removed_and_no_secret_of_theirs_is_shown() {
    let bench = Bench::new().await;
    let new = json!({"name": "shop", "url": "http://127.0.0.1:9/x?key=hidden", "secret": "hidden", "kinds": ["call.ended"],
        "numbers": ["+49 30 1"], "all": true});
    let (code, made) = bench.post("/v1/webhooks", &new).await;
    assert_eq!((code, &made["url"], &made["signed"]), (201, &json!("http://127.0.0.1:9/x"), &json!(true)), "{made}");
    assert_eq!((&made["fixed"], &made["taken_ms"], &made["trouble"]), (&json!(false), &Value::Null, &Value::Null));
    let (_, all) = bench.get("/v1/webhooks").await;
    assert!(!all.to_string().contains("hidden"), "{all}");
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["crm", "shop"]);
    assert_eq!(all[0]["url"], "https://crm.example:8443/calls");
    assert_eq!(bench.post("/v1/webhooks", &new).await.1["type"], "there");
    let path = "/v1/webhooks/shop";
    let (code, now) = bench.ask("PATCH", path, &bench.admin, "", r#"{"kinds": [], "secret": ""}"#).await;
    assert_eq!(
        (code, &now["kinds"], &now["signed"], &now["numbers"]),
        (200, &json!([]), &json!(false), &json!(["+49 30 1"]))
    );
    for (bad, field) in
        [(r#"{"url": "ftp://x/"}"#, "url"), (r#"{"kinds": ["Call"]}"#, "kinds"), (r#"{"numbers": [""]}"#, "numbers")]
    {
        assert_eq!(bench.ask("PATCH", path, &bench.admin, "", bad).await.1["field"], field);
    }
    assert_eq!(bench.ask("DELETE", path, &bench.admin, "", "").await.0, 204);
    assert_eq!(bench.get(path).await.0, 404);
    let (_, audit) = bench.get("/v1/audit").await;
    assert!(["webhook.make", "webhook.change", "webhook.remove"].iter().all(|what| audit.to_string().contains(what)));
}

#[tokio::test]
async fn a_webhook_of_the_configuration_is_shown_but_not_changed() {
    let bench = Bench::new().await;
    let node = spool_name(&bench.folder.path().join("spool")).unwrap();
    let told = Told { taken_ms: 5, trouble: "the answer is 500".into(), trouble_ms: 7, ..Told::default() };
    bench.store.has_told("crm", &node, &told).await.unwrap();
    let (_, crm) = bench.get("/v1/webhooks/crm").await;
    assert_eq!((&crm["fixed"], &crm["waiting"], &crm["taken_ms"]), (&json!(true), &json!(1), &json!(5)), "{crm}");
    assert_eq!((&crm["trouble"], &crm["trouble_ms"]), (&json!("the answer is 500"), &json!(7)));
    for method in ["PATCH", "DELETE"] {
        let (code, problem) = bench.ask(method, "/v1/webhooks/crm", &bench.admin, "", "{}").await;
        assert_eq!((code, &problem["type"]), (409, &json!("fixed")));
    }
    let taken = json!({"name": "crm", "url": "http://127.0.0.1:9/"});
    assert_eq!(bench.post("/v1/webhooks", &taken).await.0, 409);
    let (_, caller) = bench.store.make_key("x", Scope::Call, &[], 1).await.unwrap();
    assert_eq!(bench.ask("GET", "/v1/webhooks", &caller, "", "").await.0, 403);
}
