//! The description of the API (OpenAPI 3.1), made from the code, and a page that shows it.

use axum::{Json, response::Html};
use serde_json::{Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use super::{
    access, agents, ai_agents, audit, calls, calls::LiveCall, contacts, events, events::Told, figures, flows, login,
    look, people, play, queues, reader::Lost, recordings, reload, rooms, shapes, start, steer, transcripts, webhooks,
};
use crate::switch::CallRecord;

/// All of it but for what [`described`] puts right.
#[derive(OpenApi)]
#[openapi(
    info(title = "Switchhook", description = "Calls to look at, to make and to steer, and the events of all calls.",
         license(name = "Apache-2.0 OR MIT")),
    paths(
        look::health, figures::metrics, look::numbers, look::trunks, look::phones, reload::reload,
        calls::list, calls::one, calls::events, transcripts::one, transcripts::add,
        start::start, start::quick, steer::hangup, play::play, play::steering, play::stop, steer::record, steer::record_stop, steer::record_mode, steer::siprec_mask,
        steer::hold, steer::resume, steer::mute, steer::unmute, steer::transfer, steer::digits, steer::flow,
        start::listen, events::stream, events::socket,
        webhooks::list, webhooks::one, webhooks::make, webhooks::change, webhooks::remove,
        rooms::list, rooms::members, rooms::member, rooms::record, rooms::record_mode,
        contacts::list, contacts::make, contacts::one, contacts::calls, contacts::change, contacts::remove,
        queues::list, queues::make, queues::one, queues::change, queues::remove,
        agents::list, agents::make, agents::one, agents::change, agents::remove,
        ai_agents::list, ai_agents::make, ai_agents::one, ai_agents::change, ai_agents::remove,
        flows::list, flows::versions, flows::upload, flows::version, flows::activate,
        recordings::list, recordings::one, recordings::audio, recordings::erase,
        access::list, access::make, access::remove, people::list, people::make, people::change, people::remove,
        login::begin, login::look, login::end, audit::list,
    ),
    components(schemas(CallRecord, LiveCall, Told, Lost)),
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

/// What all requests may be refused with, unless they say something of their own: who needs a key, or sends something.
const REFUSALS: [(&str, &str, Needs); 8] = [
    ("400", "Something in the request is not as it should be", Needs::Body),
    ("401", "No key or session, or none that is known", Needs::Key),
    ("403", "The key does not go so far", Needs::Key),
    ("404", "There is no such thing", Needs::Name),
    ("413", "The request is too large", Needs::Body),
    ("422", "What is asked for can be read, but is not there or does not fit together: see `field`", Needs::Said),
    ("429", "The key asks too often; Retry-After says when to come again", Needs::Key),
    ("503", "The database does not answer, or the server stops", Needs::Key),
];

/// Which requests a refusal is for.
enum Needs {
    Key,
    Body,
    /// A body with fields.
    Said,
    Name,
}

/// With all refusals. What is wrong is told as problem documents, which have a content type of their own.
pub(super) fn described() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).expect("a description is plain data");
    let mut schemas = document["components"]["schemas"].take();
    shapes::refine(&mut schemas);
    // A call that goes on is shown as it stands, or as the database last heard of it; one that is over as its record.
    let kinds =
        ["CallRecord", "LiveCall", "Progress"].map(|name| json!({"$ref": format!("#/components/schemas/{name}")}));
    let call = json!({"anyOf": kinds});
    // A record has all that a step has.
    if let Some(about) = schemas["About"].as_object_mut()
        && let Some(kinds) = about.remove("oneOf")
    {
        about.insert("anyOf".into(), kinds);
    }
    schemas["Calls"]["properties"]["calls"]["items"] = call.clone();
    document["paths"]["/v1/calls/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"] = call;
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let methods = paths.filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut());
    for method in methods {
        for (code, why, needs) in REFUSALS {
            let concerned = match needs {
                Needs::Key => method.get("security").is_some(),
                Needs::Body => method.get("requestBody").is_some() || has(method, "query"),
                Needs::Said => method.get("requestBody").is_some(),
                Needs::Name => has(method, "path"),
            };
            if concerned && method["responses"].get(code).is_none() {
                let schema = json!({"schema": {"$ref": PROBLEM}});
                method["responses"][code] = json!({"description": why, "content": {"application/json": schema}});
            }
        }
        // Nothing at all is a body without fields.
        let body = &method["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let body = body.as_str().and_then(|name| name.rsplit('/').next()).map(|name| &schemas[name]);
        if body.is_some_and(|body| body.get("required").is_none()) {
            method["requestBody"]["required"] = false.into();
        }
        let responses = method["responses"].as_object_mut().into_iter().flatten();
        for (_, response) in responses {
            let Some(kinds) = response.get_mut("content").and_then(Value::as_object_mut) else { continue };
            let is_problem = |kind: &Value| kind["schema"]["$ref"] == PROBLEM;
            if kinds.get("application/json").is_some_and(is_problem)
                && let Some(kind) = kinds.remove("application/json")
            {
                kinds.insert("application/problem+json".into(), kind);
            }
        }
    }
    document["components"]["schemas"] = schemas;
    document
}

/// Is there a parameter in this place?
fn has(method: &Value, place: &str) -> bool {
    method["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["in"] == place))
}

const PROBLEM: &str = "#/components/schemas/Problem";

/// A page that shows it.
pub(super) async fn page() -> Html<&'static str> {
    Html(include_str!("docs.html"))
}
