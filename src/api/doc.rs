//! The description of the API (OpenAPI 3.1), made from the code, and a page that shows it.

use axum::{Json, response::Html};
use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use super::{access, calls, events, look, steer};

/// All of it but for what [`described`] puts right.
#[derive(OpenApi)]
#[openapi(
    info(title = "Switchhook", description = "Calls to look at, to make and to steer, and the events of all calls.",
         license(name = "Apache-2.0 OR MIT")),
    paths(
        look::health, look::metrics, look::numbers, look::trunks, look::phones,
        calls::list, calls::one, calls::events,
        steer::start, steer::hangup, steer::play, steer::record, steer::hold, steer::resume, steer::transfer,
        steer::digits, events::stream, events::socket, access::list, access::make, access::remove,
    ),
    modifiers(&Keys)
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("key", bearer);
    }
}

/// The description itself.
pub(super) async fn document() -> Json<Value> {
    Json(described())
}

/// What is wrong is told as problem documents, which have a content type of their own.
pub(super) fn described() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).expect("a description is plain data");
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let methods = paths.filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut());
    for method in methods {
        let responses = method["responses"].as_object_mut().into_iter().flatten();
        for (_, response) in responses {
            let Some(kinds) = response.get_mut("content").and_then(Value::as_object_mut) else { continue };
            let is_problem = |kind: &Value| kind["schema"]["$ref"] == "#/components/schemas/Problem";
            if kinds.get("application/json").is_some_and(is_problem)
                && let Some(kind) = kinds.remove("application/json")
            {
                kinds.insert("application/problem+json".into(), kind);
            }
        }
    }
    document
}

/// A page that shows it.
pub(super) async fn page() -> Html<&'static str> {
    Html(include_str!("docs.html"))
}
