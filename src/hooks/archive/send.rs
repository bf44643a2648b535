//! One file to one server: an HTTP request of which only the answer's status matters.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    Method, Request,
    body::Frame,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE},
};
use ring::digest;
use tokio::time::timeout;

use super::{
    Destination, Upload,
    s3::{Signed, authorization, encoded, hex, timestamp},
};
use crate::hooks::{
    Url,
    http::{Body, ask, request},
};

/// Longest time in which nothing goes on.
const PATIENCE: Duration = Duration::from_secs(30);
/// Read and sent in one piece, in bytes.
const PIECE: usize = 64 << 10;

/// Send `file`, which is called `name` there and belongs to `call`. `unix` is the time since 1970. An error says what the
/// other end said.
pub(super) async fn send(
    upload: &Upload,
    trust: &Path,
    (file, name): (&Path, &str),
    call: &str,
    unix: Duration,
) -> io::Result<()> {
    let sent = Arc::new(AtomicU64::new(0));
    let (url, request) = prepare(upload, (file, name), (call, unix), Arc::clone(&sent))?;
    let at = url.anywhere().await?;
    let mut talk = pin!(ask((&url, &at[..]), trust, request, None));
    let mut before = 0;
    let answer = loop {
        match timeout(PATIENCE, talk.as_mut()).await {
            Ok(answer) => break answer.map_err(io::Error::other)?,
            // It takes long, but it goes on.
            Err(_) if sent.load(Ordering::Relaxed) > before => before = sent.load(Ordering::Relaxed),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    };
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(io::Error::other(format!("the server says {}", status.as_u16()))),
    }
}

/// The request, and where it goes. `sent` counts the pieces of the body.
fn prepare(
    upload: &Upload,
    (file, name): (&Path, &str),
    (call, unix): (&str, Duration),
    sent: Arc<AtomicU64>,
) -> io::Result<(Url, Request<Body>)> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    let folder = upload.place.path.trim_end_matches('/');
    let kind = match name.rsplit('.').next() {
        Some("mp3") => "audio/mpeg",
        Some("ogg") => "audio/ogg",
        _ => "audio/wav",
    };
    let (url, head) = match &upload.to {
        Destination::Webhook { token } => {
            let url = Url { path: format!("{folder}/"), ..upload.place.clone() };
            let head = request(Method::POST, &url).header("X-Recording", encoded(name)).header("X-Call", call);
            let sign = (!token.is_empty()).then(|| format!("Bearer {token}"));
            (url, sign.into_iter().fold(head, |head, sign| head.header(AUTHORIZATION, sign)))
        }
        Destination::S3(key) => {
            let url = Url { path: format!("{folder}/{}", encoded(name)), ..upload.place.clone() };
            let hash = hash(&mut file)?;
            io::Seek::rewind(&mut file)?;
            let (time, host) = (timestamp(unix), url.authority());
            let headers = [("host", host.as_str()), ("x-amz-content-sha256", &hash), ("x-amz-date", &time)];
            let sign = authorization(key, "PUT", &Signed { path: &url.path, headers: &headers, hash: &hash }, &time);
            let head = request(Method::PUT, &url).header(AUTHORIZATION, sign);
            (url, head.header("x-amz-content-sha256", &hash).header("x-amz-date", &time))
        }
    };
    let head = head.header(CONTENT_TYPE, kind).header(CONTENT_LENGTH, length);
    let request = head.body(body(file, length, sent)).map_err(io::Error::other)?;
    Ok((url, request))
}

/// The file piece by piece, and no more than `length`: it may still be written to.
fn body(file: File, length: u64, sent: Arc<AtomicU64>) -> Body {
    let mut file = file.take(length);
    let pieces = std::iter::from_fn(move || {
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                sent.fetch_add(1, Ordering::Relaxed);
                Some(Ok(Frame::data(Bytes::from(piece))))
            }
            Err(error) => Some(Err(error)),
        }
    });
    StreamBody::new(stream::iter(pieces)).boxed_unsync()
}

fn hash(body: &mut File) -> io::Result<String> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut some = vec![0; 64 << 10];
    loop {
        match body.read(&mut some)? {
            0 => return Ok(hex(context.finish().as_ref())),
            count => context.update(&some[..count]),
        }
    }
}
