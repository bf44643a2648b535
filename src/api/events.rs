//! Events as they happen: server-sent events, and over a WebSocket. A reader that falls behind is told how many events
//! it lost, and delays nobody.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use serde::Deserialize;
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        oneshot,
    },
    time::timeout,
};
use utoipa::IntoParams;

use super::{
    Context, Shared,
    access::Caller,
    problem::{Params, Problem},
};
use crate::store::{Event, Key, Question, Scope};

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
    call: Option<String>,
    /// Only of these kinds, such as `call.ringing,call.ended`.
    kinds: Option<String>,
    /// Only of calls between this number and another.
    number: Option<String>,
}

/// What one reader is told.
struct Reader {
    events: broadcast::Receiver<Arc<Event>>,
    interest: Interest,
    key: Key,
}

enum News {
    Event(Arc<Event>),
    Lost(u64),
}

impl Reader {
    async fn next(&mut self) -> Option<News> {
        loop {
            match self.events.recv().await {
                Ok(event) if self.wants(&event) => return Some(News::Event(event)),
                Ok(_) => {}
                Err(RecvError::Lagged(lost)) => return Some(News::Lost(lost)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn wants(&self, event: &Event) -> bool {
        let [from, to] = [event.parties[0].as_str(), event.parties[1].as_str()];
        self.key.sees([from, to])
            && self.interest.call.as_ref().is_none_or(|call| *call == event.call)
            && self.interest.kinds.as_ref().is_none_or(|kinds| kinds.split(',').any(|kind| kind.trim() == event.kind))
            && self.interest.number.as_ref().is_none_or(|number| [from, to].contains(&number.as_str()))
    }
}

async fn reader(context: &Context, caller: Caller, interest: Interest) -> Result<Reader, Problem> {
    caller.need(Scope::Read)?;
    let (to, events) = oneshot::channel();
    context.questions.send(Question::Follow(to)).await.map_err(|_| Problem::gone())?;
    let events = events.await.map_err(|_| Problem::gone())?;
    Ok(Reader { events, interest, key: caller.0 })
}

/// Events as they happen, as server-sent events.
///
/// Each has its number as `id`, its kind as `event` and the whole as `data`. The event `lost` says how many were lost
/// since the one before, because they were read too slowly.
#[utoipa::path(get, path = "/v1/events", tag = "events", security(("key" = [])), params(Interest), responses(
    (status = 200, description = "A stream that does not end", body = String, content_type = "text/event-stream")))]
pub(crate) async fn stream(
    State(context): State<Shared>,
    caller: Caller,
    Params(interest): Params<Interest>,
) -> Result<Response, Problem> {
    let reader = reader(&context, caller, interest).await?;
    let stream = futures_util::stream::unfold(reader, |mut reader| async move {
        let event = match reader.next().await? {
            News::Event(event) => sse::Event::default().id(event.id.to_string()).event(event.kind).data(&*event.line),
            News::Lost(lost) => sse::Event::default().event("lost").data(lost_line(lost)),
        };
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

fn lost_line(lost: u64) -> String {
    format!("{{\"kind\":\"lost\",\"count\":{lost}}}")
}

/// Events as they happen, over a WebSocket: each message is one event.
#[utoipa::path(get, path = "/v1/events/socket", tag = "events", security(("key" = [])), params(Interest), responses(
    (status = 101, description = "A WebSocket that sends events"), (status = 426, body = Problem)))]
pub(crate) async fn socket(
    State(context): State<Shared>,
    caller: Caller,
    Params(interest): Params<Interest>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let reader = reader(&context, caller, interest).await?;
    let upgrade = upgrade.map_err(|error| {
        Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "A WebSocket is wanted", error.body_text())
    })?;
    Ok(upgrade.max_message_size(4096).on_upgrade(|socket| tell(socket, reader)))
}

async fn tell(mut socket: WebSocket, mut reader: Reader) {
    loop {
        let message = tokio::select! {
            news = reader.next() => match news {
                Some(News::Event(event)) => Message::text(&*event.line),
                Some(News::Lost(lost)) => Message::text(lost_line(lost)),
                None => return,
            },
            heard = socket.recv() => match heard {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            () = alive() => Message::Ping(Default::default()),
        };
        if !matches!(timeout(STUCK, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn alive() {
    // Nothing comes: that is the point.
    let _ = timeout(ALIVE, std::future::pending::<()>()).await;
}
