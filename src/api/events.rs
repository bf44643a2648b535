//! Events as they happen: server-sent events, and over a WebSocket.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::{
    Shared,
    access::Pass,
    page,
    problem::{Params, Problem},
    reader::{News, Reader},
};
use crate::{
    io::pass,
    store::Scope,
    switch::{CallRecord, MessageRecord, Progress},
};

/// A connection over which nothing can be written for so long is given up.
const STUCK: Duration = Duration::from_secs(60);
/// How often a silent connection is shown to be alive.
const ALIVE: Duration = Duration::from_secs(15);

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Interest {
    /// Only of this call.
    pub call: Option<String>,
    /// Only of these kinds, such as `call.ringing,call.ended`.
    pub kinds: Option<String>,
    /// Only of calls between this number and another, whichever way they are written.
    pub number: Option<String>,
    /// First those that were after the event with this `id`, as far as they are kept; 0: all. Else only those that
    /// happen from now on.
    #[param(minimum = 0, maximum = 9007199254740991i64)]
    pub after: Option<u64>,
}

/// An event, as it is told and kept.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "the description is made of it; the journal writes events")]
pub(crate) struct Told {
    /// Its number: the next event of this server has the next one, also after a restart.
    id: u64,
    /// When, in ms since 1970.
    at_ms: u64,
    /// Such as `call.queued`, `call.initiated`, `call.ringing`, `call.in_progress`, `call.ended`, `call.key`,
    /// `play.started`, `recording.stopped`, `phone.registered` or `server.started`; the operator's guide has all.
    kind: String,
    /// The id of the call that it is about; null: it is about none.
    #[schema(required)]
    call: Option<String>,
    /// Counts the events of a call from 1; 0 where it is about none.
    order: u32,
    /// How the call stands; of `call.ended` its record; of a message its record; of what else happens its particulars;
    /// null of `server.started`.
    #[schema(required)]
    data: Option<About>,
}

/// What an event is about.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, clippy::large_enum_variant, reason = "the description is made of it; the journal writes events")]
enum About {
    Ended(CallRecord),
    Step(Progress),
    Message(MessageRecord),
    Particular(Particular),
}

/// Of what happens beside the steps of a call; more fields by its kind.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "the description is made of it; the journal writes events")]
struct Particular {
    /// Who calls; of a phone its user; else empty.
    from: String,
    /// Who is called; else empty.
    to: String,
}

/// A browser that lost its connection says by itself what it had last.
fn since(headers: &HeaderMap, interest: Interest) -> Result<Interest, Problem> {
    page::after(interest.after)?;
    let Some(last) = headers.get("last-event-id") else { return Ok(interest) };
    let id = last.to_str().ok().and_then(|id| id.trim().parse().ok());
    let id = id
        .filter(|id| page::after(Some(*id)).is_ok())
        .ok_or_else(|| Problem::field("Last-Event-ID", "allowed: the id of an event"))?;
    Ok(Interest { after: Some(id), ..interest })
}

/// Events as they happen, as server-sent events.
///
/// Each has its number as `id`, its kind as `event` and the whole as `data`. The event `lost` says which were lost
/// because they were read too slowly, or are kept no more; it has no `id`. A browser that connects again gets what was
/// told meanwhile: it sends `Last-Event-ID`, which counts as `after`. Where the key or session counts no more, or for
/// less than it did, the stream ends within a second.
#[utoipa::path(get, path = "/v1/events", tag = "events", security(("key" = [])),
    params(Interest, ("Last-Event-ID" = Option<u64>, Header, description = "As `after`; a browser sends it by itself",
        minimum = 0, maximum = 9007199254740991i64)), responses(
    (status = 200, description = "A stream that does not end: each `data` is a Told, or Lost", body = String,
        content_type = "text/event-stream")))]
pub(crate) async fn stream(
    State(context): State<Shared>,
    pass: Pass,
    headers: HeaderMap,
    Params(interest): Params<Interest>,
) -> Result<Response, Problem> {
    pass.caller.need(Scope::Read)?;
    let reader = Reader::begin(&context, pass, since(&headers, interest)?).await?;
    let stream = futures_util::stream::unfold(reader, |mut reader| async move {
        let event = match reader.next().await? {
            News::Event { id, kind, line } => sse::Event::default().id(id.to_string()).event(kind).data(&*line),
            News::Lost(lost) => sse::Event::default().event("lost").data(lost.line()),
        };
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

/// Events as they happen, over a WebSocket: each message is one event, a Told or Lost.
#[utoipa::path(get, path = "/v1/events/socket", tag = "events", security(("key" = [])), params(Interest), responses(
    (status = 101, description = "A WebSocket that sends events"), (status = 426, body = Problem)))]
pub(crate) async fn socket(
    State(context): State<Shared>,
    pass: Pass,
    Params(interest): Params<Interest>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    pass.caller.need(Scope::Read)?;
    let upgrade = upgrade.map_err(|error| {
        Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "A WebSocket is wanted", error.body_text())
    })?;
    page::after(interest.after)?;
    let reader = Reader::begin(&context, pass, interest).await?;
    Ok(upgrade.max_message_size(4096).on_upgrade(|socket| tell(socket, reader)))
}

async fn tell(mut socket: WebSocket, mut reader: Reader) {
    loop {
        let message = tokio::select! {
            news = reader.next() => match news {
                Some(News::Event { line, .. }) => Message::text(&*line),
                Some(News::Lost(lost)) => Message::text(lost.line()),
                None => Message::Close(Some(CloseFrame {
                    code: close_code::POLICY,
                    reason: "the key or session counts no more, or the server stops".into(),
                })),
            },
            heard = socket.recv() => match heard {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            () = pass(ALIVE) => Message::Ping(Default::default()),
        };
        let last = matches!(message, Message::Close(_));
        if !matches!(timeout(STUCK, socket.send(message)).await, Ok(Ok(()))) || last {
            return;
        }
    }
}
