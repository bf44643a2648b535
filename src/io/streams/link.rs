//! One connection: its task, which carries messages both ways until either side has enough.

use std::{io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    sync::mpsc,
    time::timeout,
};

use super::Event;
use crate::{
    sip::{Framed, Framer, Hop},
    switch::Input,
};

/// A connection on which nothing came for so long is closed.
pub const IDLE: Duration = Duration::from_secs(3600);
/// Where nothing was sent for so long on a connection that we made, a ping keeps it open (RFC 5626 section 4.4.1: 95 to
/// 120 s for connections).
const KEEP_ALIVE: Duration = Duration::from_secs(95);
/// A peer that takes nothing for so long has gone, or means harm.
pub const STUCK: Duration = Duration::from_secs(30);
/// What one read takes at most, in bytes.
const CHUNK: usize = 16 << 10;
/// Two empty lines ask, one answers.
const PING: &[u8] = b"\r\n\r\n";
pub const PONG: &[u8] = b"\r\n";

/// What the task of a connection has.
pub struct Link {
    /// Its name.
    pub hop: Hop,
    /// Tells connections with one name apart that came one after the other.
    pub serial: u64,
    /// True: we made it.
    pub ours: bool,
    /// Longest message.
    pub max_message: usize,
    /// For answers to pings.
    pub pongs: mpsc::WeakSender<Bytes>,
    /// What is to be sent.
    pub waiting: mpsc::Receiver<Bytes>,
    /// Where messages go.
    pub control: mpsc::Sender<Input>,
    /// The owner of all connections.
    pub events: mpsc::Sender<Event>,
}

impl Link {
    /// Messages that Content-Length frames, until the connection ends.
    pub async fn run(mut self, stream: impl AsyncRead + AsyncWrite) {
        let (reader, writer) = split(stream);
        let framer = Framer::new(self.max_message);
        let keep_alive = self.ours.then_some(KEEP_ALIVE);
        tokio::select! {
            () = read(reader, framer, self.hop, self.pongs.clone(), self.control.clone()) => {}
            _ = write(writer, &mut self.waiting, keep_alive) => {}
        }
        self.end().await;
    }

    /// Tell the owner.
    pub async fn end(self) {
        let _ = self.events.send(Event::Closed(self.hop, self.serial)).await;
    }
}

async fn read(
    mut reader: impl AsyncRead + Unpin,
    mut framer: Framer,
    hop: Hop,
    pongs: mpsc::WeakSender<Bytes>,
    control: mpsc::Sender<Input>,
) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = match timeout(IDLE, reader.read(&mut chunk)).await {
            Ok(Ok(len)) if len > 0 => len,
            Ok(_) | Err(_) => return,
        };
        framer.push(&chunk[..len]);
        while let Some(framed) = framer.next() {
            match framed {
                Ok(Framed::Message(bytes)) => {
                    if control.send(Input::Datagram { hop, bytes }).await.is_err() {
                        return;
                    }
                }
                // RFC 5626 section 4.4.1: a double CRLF is answered by a single one.
                Ok(Framed::Ping) => {
                    if let Some(queue) = pongs.upgrade() {
                        let _ = queue.try_send(Bytes::from_static(PONG));
                    }
                }
                // Past a bad frame nothing can be found any more (RFC 3261 section 18.3).
                Err(error) => {
                    tracing::info!(remote = %hop.remote, ?error, "connection closed: not SIP");
                    return;
                }
            }
        }
    }
}

/// Until the queue is dropped, or nothing can be written any more.
async fn write(
    mut writer: impl AsyncWrite + Unpin,
    waiting: &mut mpsc::Receiver<Bytes>,
    keep_alive: Option<Duration>,
) -> io::Result<()> {
    loop {
        let next = match keep_alive {
            Some(gap) => timeout(gap, waiting.recv()).await.unwrap_or(Some(Bytes::from_static(PING))),
            None => waiting.recv().await,
        };
        let Some(bytes) = next else { return Ok(()) };
        let written = timeout(STUCK, async {
            writer.write_all(&bytes).await?;
            // TLS keeps what does not fit into the socket's buffer until it is asked.
            writer.flush().await
        });
        written.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    }
}
