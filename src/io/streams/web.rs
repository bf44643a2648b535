//! SIP over WebSocket (RFC 7118): the server's side. One message a frame, subprotocol `sip`.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use super::link::{IDLE, Link, PONG, STUCK};
use crate::switch::Input;

/// The subprotocol (RFC 7118 section 4).
const SUBPROTOCOL: &str = "sip";
/// Longest time for the HTTP request to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// A browser that was silent for so long is pinged: one that went away without a word is noticed when that fails.
const PING: Duration = Duration::from_secs(30);

/// The handshake, then messages until the connection ends.
pub async fn run(mut link: Link, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let size = Some(link.max_message);
    let config = WebSocketConfig::default().max_message_size(size).max_frame_size(size);
    let accepted = timeout(PATIENCE, accept_hdr_async_with_config(stream, agree, Some(config))).await;
    match accepted {
        Ok(Ok(socket)) => {
            if let Err(error) = carry(&mut link, socket).await {
                tracing::debug!(remote = %link.hop.remote, %error, "WebSocket closed");
            }
        }
        Ok(Err(error)) => tracing::info!(remote = %link.hop.remote, %error, "connection closed: no WebSocket"),
        Err(_) => tracing::info!(remote = %link.hop.remote, "connection closed: no WebSocket handshake came"),
    }
    link.end().await;
}

/// Only those who speak SIP are let in: a page of another kind must not reach us by chance (RFC 7118 section 4.1).
#[expect(clippy::result_large_err, reason = "the shape of tungstenite's callback")]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    if offered.flat_map(|list| list.split(',')).any(|one| one.trim().eq_ignore_ascii_case(SUBPROTOCOL)) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(Some("the subprotocol is sip\n".to_owned()));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    Err(refusal)
}

/// Pings are sent, too, so a peer that takes nothing is noticed here.
async fn send(
    socket: &mut WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>,
    message: Message,
) -> Result<(), Error> {
    timeout(STUCK, socket.send(message)).await.map_err(|_| Error::Io(io::Error::from(io::ErrorKind::TimedOut)))?
}

async fn carry(link: &mut Link, mut socket: WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>) -> Result<(), Error> {
    let mut silent = Duration::ZERO;
    loop {
        tokio::select! {
            bytes = link.waiting.recv() => match bytes {
                Some(bytes) => send(&mut socket, message(bytes)).await?,
                None => return socket.close(None).await,
            },
            came = timeout(PING, socket.next()) => match came {
                Ok(Some(came)) => {
                    silent = Duration::ZERO;
                    if let Some(answer) = take(link, came?).await {
                        send(&mut socket, answer).await?;
                    }
                }
                Ok(None) => return Ok(()),
                Err(_) => {
                    silent += PING;
                    if silent > IDLE {
                        return socket.close(None).await;
                    }
                    send(&mut socket, Message::Ping(Bytes::new())).await?;
                }
            },
        }
    }
}

/// What came; gives what is to be answered at once. Pings of WebSocket itself are answered by the library.
async fn take(link: &Link, came: Message) -> Option<Message> {
    let bytes: Bytes = match came {
        Message::Text(_) | Message::Binary(_) => came.into_data(),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return None,
    };
    // Many clients keep to the pings of streams (RFC 5626 section 4.4.1).
    if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return (bytes.len() >= 4).then(|| message(Bytes::from_static(PONG)));
    }
    // The control task being gone means that the program ends.
    let _ = link.control.send(Input::Datagram { hop: link.hop, bytes }).await;
    None
}

/// Text where it is text, because browsers expect that (RFC 7118 section 5).
fn message(bytes: Bytes) -> Message {
    match std::str::from_utf8(&bytes) {
        Ok(text) => Message::text(text),
        Err(_) => Message::Binary(bytes),
    }
}
