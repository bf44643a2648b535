//! Audio of calls for programs outside, over WebSocket (RFC 6455): a transcription, an AI that listens. We are the client.
//!
//! ```text
//! {"event":"start","call":"…","rate":16000,"sides":["said","heard"],…}     text, first
//! 16-bit little-endian samples of 20 ms, the sides interleaved              binary, one after another
//! {"event":"gap","at_ms":1240,"frames":3}                                   text, where some were left out
//! {"event":"stop","frames":500,"dropped":3}                                 text, last
//! ```
//!
//! A far end that is slow costs the call nothing: what it does not take in time waits for two seconds at most, then the
//! oldest goes. What it sends is read and thrown away; a ping is answered.

mod weave;

use std::{fs, io, path::PathBuf, sync::Arc, thread, time::Duration};

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use serde_json::json;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::client::Request,
        http::{
            HeaderValue,
            header::{AUTHORIZATION, USER_AGENT},
        },
        protocol::WebSocketConfig,
    },
};

use super::{
    address::{Closed, Url},
    http::connector,
};
use crate::{
    media::{Side, TICK},
    switch::{Input, StreamNews, StreamOrder},
    verbs::{NoStream, StreamFault},
};
use weave::{Piece, Weave};

/// Longest message of the far end that is read, in bytes.
const LONGEST: usize = 64 << 10;
/// What the system may keep for a far end that does not take it: more would only make it later.
const KEPT: usize = 32 << 10;

/// Who may be sent audio, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Hosts that may be sent audio, wherever they are; empty: every one with a public address.
    pub hosts: Vec<String>,
    /// How long a far end may take to answer, and to take something.
    pub patience: Duration,
    /// Streams at a time.
    pub most: usize,
    /// PEM file: authorities of the far ends.
    pub trust: PathBuf,
    /// What we call ourselves.
    pub agent: String,
}

/// What was sent before a stream was over.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    frames: u64,
    dropped: u64,
}

/// Start the thread that streams. It ends when the sender of `orders` is gone.
pub fn spawn(
    config: Config,
    mut orders: mpsc::Receiver<Box<StreamOrder>>,
    control: mpsc::Sender<Input>,
) -> io::Result<thread::JoinHandle<()>> {
    crate::io::runs_alone("listeners", Some(4), async move {
        let config = Arc::new(config);
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some(order) = order else { return };
                    // Those that told their end a moment ago do not count.
                    while streams.try_join_next().is_some() {}
                    let (stream, config, control) = (order.stream, Arc::clone(&config), control.clone());
                    if streams.len() >= config.most {
                        let text = format!("{} streams are open, as many as stream.max allows", config.most);
                        let why = Some(NoStream { fault: StreamFault::Overload, text });
                        let news = StreamNews::Over { frames: 0, dropped: 0, why };
                        let _ = control.send(Input::Streamed { stream, news }).await;
                        continue;
                    }
                    streams.spawn(run(config, order, control));
                }
                Some(_) = streams.join_next() => {}
            }
        }
    })
}

/// One stream, from its beginning to its end.
async fn run(config: Arc<Config>, order: Box<StreamOrder>, control: mpsc::Sender<Input>) {
    let mut sent = Sent::default();
    let done = carry(&config, &order, &control, &mut sent).await;
    let why = done.err().map(|(fault, why)| NoStream { fault, text: format!("{}: {why}", order.wish.url) });
    let Sent { frames, dropped } = sent;
    let ended = why.as_ref().map_or("the stream was over", |why| &why.text);
    tracing::info!(call = order.about.call, frames, dropped, ended, "streamed");
    let news = StreamNews::Over { frames, dropped, why };
    let _ = control.send(Input::Streamed { stream: order.stream, news }).await;
}

type Fault = (StreamFault, String);

async fn carry(
    config: &Config,
    order: &StreamOrder,
    control: &mpsc::Sender<Input>,
    sent: &mut Sent,
) -> Result<(), Fault> {
    let url = parse(&order.wish.url).ok_or((StreamFault::Denied, "no ws:// or wss:// address".to_owned()))?;
    let late = || (StreamFault::Timeout, format!("it did not answer within {} ms", config.patience.as_millis()));
    let line = timeout(config.patience, connect(config, &url)).await.map_err(|_| late())??;
    if !url.secure {
        let socket = shake(config, order, line).await?;
        return talk(config, order, control, (socket, sent)).await;
    }
    let unproven = |why: String| (StreamFault::Unreachable, why);
    // Read each time: the file is renewed by the system.
    let trust = fs::read(&config.trust).map_err(|error| unproven(format!("{}: {error}", config.trust.display())))?;
    let connector = connector(&trust).map_err(unproven)?;
    let name = ServerName::try_from(url.host.clone()).map_err(|_| (StreamFault::Denied, "no host name".to_owned()))?;
    let line = timeout(config.patience, connector.connect(name, line)).await.map_err(|_| late())?;
    let socket = shake(config, order, line.map_err(|error| unproven(error.to_string()))?).await?;
    talk(config, order, control, (socket, sent)).await
}

/// A WebSocket address, as that of a web server.
fn parse(url: &str) -> Option<Url> {
    let rest = url.strip_prefix("ws").filter(|rest| rest.starts_with("://") || rest.starts_with("s://"))?;
    Url::parse(&format!("http{rest}"))
}

async fn connect(config: &Config, url: &Url) -> Result<TcpStream, Fault> {
    let at = url.places(&config.hosts).await.map_err(|closed| match closed {
        Closed::Unnamed => (StreamFault::Denied, format!("{} is not among the hosts of stream.hosts", url.host)),
        Closed::Unknown(error) => (StreamFault::Unreachable, error.to_string()),
        Closed::Private => {
            (StreamFault::Denied, format!("{} has no public address, and stream.hosts does not name it", url.host))
        }
    })?;
    let open = async {
        let line = TcpStream::connect(&at[..]).await?;
        line.set_nodelay(true)?;
        SockRef::from(&line).set_send_buffer_size(KEPT)?;
        Ok::<_, io::Error>(line)
    };
    open.await.map_err(|error| (StreamFault::Unreachable, error.to_string()))
}

/// The opening handshake (RFC 6455 section 4.1).
async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    config: &Config,
    order: &StreamOrder,
    line: S,
) -> Result<WebSocketStream<S>, Fault> {
    let request = request(config, order).map_err(|why| (StreamFault::Denied, why))?;
    let limits = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let shaken = timeout(config.patience, client_async_with_config(request, line, Some(limits))).await;
    match shaken {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(Error::Http(answer))) => {
            let status = answer.status().as_u16();
            Err((StreamFault::Status(status), format!("it answered {status}")))
        }
        Ok(Err(error)) => Err((StreamFault::Unreachable, error.to_string())),
        Err(_) => Err((StreamFault::Timeout, "it did not answer the handshake".to_owned())),
    }
}

fn request(config: &Config, order: &StreamOrder) -> Result<Request, String> {
    let mut request = order.wish.url.as_str().into_client_request().map_err(|error| error.to_string())?;
    if let Ok(agent) = HeaderValue::from_str(&config.agent) {
        request.headers_mut().insert(USER_AGENT, agent);
    }
    if let Some(token) = &order.wish.token {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// The first message.
fn start(order: &StreamOrder) -> String {
    let sides: Vec<&str> = order.taps.iter().map(|tap| if tap.side == Side::Said { "said" } else { "heard" }).collect();
    let rate = order.taps.first().map_or(0, |tap| tap.rate.hz());
    let about = &order.about;
    json!({
        "event": "start",
        "call": about.call,
        "from": about.from,
        "to": about.to,
        "direction": if about.inbound { "inbound" } else { "outbound" },
        "format": "s16le",
        "rate": rate,
        "sides": sides,
        "frame_ms": TICK.as_millis() as u64,
        "data": order.wish.data,
    })
    .to_string()
}

/// Audio, until one of the three sides ends it: the call, the far end, or a connection that is stuck.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    config: &Config,
    order: &StreamOrder,
    control: &mpsc::Sender<Input>,
    (socket, sent): (WebSocketStream<S>, &mut Sent),
) -> Result<(), Fault> {
    let (mut out, mut back) = socket.split();
    let patience = config.patience;
    let stuck = || (StreamFault::Timeout, format!("it took nothing for {} ms", patience.as_millis()));
    let mut send = async |message: Message| match timeout(patience, out.send(message)).await {
        Ok(done) => done.map_err(|error| (StreamFault::Closed, error.to_string())),
        Err(_) => Err(stuck()),
    };
    send(Message::text(start(order))).await?;
    let _ = control.send(Input::Streamed { stream: order.stream, news: StreamNews::Open }).await;
    let mut weave = Weave::new(&order.taps);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let sending = async {
        loop {
            ticks.tick().await;
            let over = weave.is_over();
            while let Some(piece) = weave.next() {
                let message = match piece {
                    Piece::Audio(bytes) => {
                        sent.frames += 1;
                        Message::Binary(bytes.into())
                    }
                    Piece::Gap { at, frames } => {
                        sent.dropped += frames;
                        let at_ms = at * TICK.as_millis() as u64;
                        Message::text(json!({"event": "gap", "at_ms": at_ms, "frames": frames}).to_string())
                    }
                };
                send(message).await?;
            }
            if over {
                let (frames, dropped) = (sent.frames, sent.dropped);
                send(Message::text(json!({"event": "stop", "frames": frames, "dropped": dropped}).to_string())).await?;
                return send(Message::Close(None)).await;
            }
        }
    };
    // Reading answers pings, and sees the end.
    let reading = async {
        loop {
            match back.next().await {
                Some(Ok(Message::Close(_))) | None => return Err((StreamFault::Closed, "it closed".to_owned())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err((StreamFault::Closed, error.to_string())),
            }
        }
    };
    tokio::select! {
        done = sending => done,
        done = reading => done,
    }
}

#[cfg(test)]
mod tests;
