//! The description of the API (OpenAPI 3.1), made from the code, and a page that shows it.

use axum::{Json, response::Html};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use super::{access, calls, events, look, steer};

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
pub(super) struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("key", bearer);
    }
}

/// The description itself.
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

/// A page that shows it.
pub(super) async fn page() -> Html<&'static str> {
    Html(include_str!("docs.html"))
}
