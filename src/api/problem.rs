//! Errors as problem documents (RFC 9457), and readers of requests that name the field that is wrong.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use utoipa::{PartialSchema, ToSchema};

use crate::verbs::Failure;

/// What went wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A word for the kind of problem; stays the same in later versions.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The kind, for people.
    pub title: &'static str,
    /// What it was this time.
    pub detail: String,
    /// The field of the request that is to blame; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// When to come again, in seconds; absent: that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl ToString) -> Problem {
        Problem { kind, status: status.as_u16(), title, detail: detail.to_string(), field: None, retry_after_s: None }
    }

    pub(super) fn field(field: impl ToString, detail: impl ToString) -> Problem {
        let problem =
            Problem::new(StatusCode::BAD_REQUEST, "bad_request", "The request is not as it should be", detail);
        Problem { field: Some(field.to_string()), ..problem }
    }

    /// The field can be read, but what it asks for is not there, or does not go with the rest.
    pub(super) fn unfit(field: impl ToString, detail: impl ToString) -> Problem {
        let title = "What is asked for cannot be done";
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unfit", title, detail);
        Problem { field: Some(field.to_string()), ..problem }
    }

    pub(super) fn no_such(what: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", format!("there is no such {what}"))
    }

    pub(super) fn conflict(kind: &'static str, detail: impl ToString) -> Problem {
        Problem::new(StatusCode::CONFLICT, kind, "It could not be done", detail)
    }

    /// There is room again after `wait`.
    pub(super) fn too_often(wait: Duration) -> Problem {
        let detail = "slow down";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_often", "Too many requests", detail);
        Problem {
            retry_after_s: Some(wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)),
            ..problem
        }
    }

    pub(super) fn gone() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The server stops", "it takes no more requests")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_string(&self).expect("a problem is plain data");
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], text).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The database could not be asked.
pub(super) fn database(error: &sqlx::Error) -> Problem {
    tracing::warn!(%error, "the database did not answer the API");
    away()
}

/// The database does not answer.
pub(super) fn away() -> Problem {
    let (title, detail) = ("The database is not there", "calls go on; what is asked of the database must wait");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database", title, detail)
}

/// Something could not be done to a call.
pub(super) fn failure(failure: &Failure) -> Problem {
    let detail = match failure {
        Failure::Sound(why) => why.text.clone(),
        Failure::Stream(why) => why.text.clone(),
        Failure::Media(why) | Failure::Store(why) => why.clone(),
        Failure::Refused(code) => format!("refused with {code}"),
        Failure::Denied(why) | Failure::Limit(why) => (*why).to_owned(),
        _ => "the call does not allow it now".to_owned(),
    };
    let status = match failure {
        Failure::NoSuchCall | Failure::NoSuchRecording => StatusCode::NOT_FOUND,
        Failure::Denied(_) => StatusCode::FORBIDDEN,
        _ => StatusCode::CONFLICT,
    };
    Problem::new(status, failure.as_str(), "It could not be done", detail)
}

pub(super) async fn nothing_here() -> Problem {
    Problem::no_such("resource")
}

pub(super) async fn wrong_method() -> Problem {
    let title = "Not with this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", title, "see /openapi.json for what there is")
}

/// The part of the path that names something.
pub(super) struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Id, Problem> {
        let read = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        // PostgreSQL knows no text with this in it, and nothing of ours has such a name.
        match read {
            Ok(axum::extract::Path(id)) if !id.contains('\0') => Ok(Id(id)),
            Ok(_) | Err(_) => Err(Problem::no_such("thing of this name")),
        }
    }
}

/// A name and a number in the path.
pub(super) struct Numbered(pub String, pub i64);

impl<S: Send + Sync> FromRequestParts<S> for Numbered {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Numbered, Problem> {
        let read = axum::extract::Path::<(String, i64)>::from_request_parts(parts, state).await;
        match read {
            Ok(axum::extract::Path((id, number))) if !id.contains('\0') => Ok(Numbered(id, number)),
            Ok(_) | Err(_) => Err(Problem::no_such("thing of this name")),
        }
    }
}

/// The first field that a body of this kind must have, and this one has not.
fn missing<T: PartialSchema>(body: &Value) -> Option<String> {
    let fields = body.as_object()?;
    let schema = serde_json::to_value(T::schema()).ok()?;
    let mut needed = schema["required"].as_array()?.iter().filter_map(Value::as_str);
    needed.find(|name| !fields.contains_key(*name)).map(str::to_owned)
}

/// `433.0` is a whole number (JSON Schema, validation, section 4.2.1), and read as one.
fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
            if let Some(whole) = whole.filter(|whole| whole.abs() < 9_007_199_254_740_992.0) {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned + PartialSchema, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Problem::new(status, "too_large", "The request is too large", error.body_text())
        })?;
        // Nothing at all is a body without fields.
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // A list of values would be read as an object's without their names.
        if text.trim_ascii_start().starts_with(b"[") {
            return Err(Problem::field(".", "allowed: an object"));
        }
        let mut body: Value = serde_json::from_slice(text).map_err(|error| Problem::field(".", error))?;
        make_whole(&mut body);
        let value = serde_path_to_error::deserialize(&body).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { missing::<T>(&body).unwrap_or(path) } else { path };
            Problem::field(field, error.inner())
        })?;
        Ok(Body(value))
    }
}

/// The part of the address after `?`.
pub(super) struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params<T>, Problem> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let read = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs));
        read.map(Params).map_err(|error| Problem::field(error.path(), error.inner()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_with_a_fraction_of_nothing_is_a_whole_number() {
        let mut body = serde_json::json!({"a": 433.0, "b": [1.5, -2.0, 1e300], "c": {"d": 7}, "e": "1.0"});
        make_whole(&mut body);
        assert_eq!(body, serde_json::json!({"a": 433, "b": [1.5, -2, 1e300], "c": {"d": 7}, "e": "1.0"}));
    }
}
