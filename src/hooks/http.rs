//! The one HTTP client of the house: hyper's HTTP/1.1 (RFC 9110, 9112), a connection of its own for each request.
//!
//! Nothing is followed and nothing is kept here; who may be asked, for how long and how much, is for the caller to say.

use std::{error::Error as _, fs, io, net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST},
    http::request,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::address::Url;
use crate::io::trust::{Believed, authorities, client};

/// Longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// What goes with a request.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The file of authorities, and what is wrong with it.
    #[error("{0}")]
    Trust(String),
    /// The connection cannot be made, is not believed, or broke.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The server closed the connection before its answer was whole.
    #[error("it ended early")]
    Early,
    /// What came cannot be understood, or its head is too long.
    #[error("the answer is no HTTP")]
    NoHttp,
    /// The body has more than so many bytes.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// Something has no place in a request.
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
}

impl From<hyper::Error> for HttpError {
    fn from(error: hyper::Error) -> HttpError {
        if error.is_parse() {
            return HttpError::NoHttp;
        }
        if error.is_incomplete_message() || error.is_canceled() {
            return HttpError::Early;
        }
        let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) else {
            return HttpError::Connection(io::Error::other(error));
        };
        match cause.kind() {
            io::ErrorKind::UnexpectedEof => HttpError::Early,
            // A chunk that is none.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => HttpError::NoHttp,
            kind => HttpError::Connection(io::Error::new(kind, cause.to_string())),
        }
    }
}

/// A request as each begins.
pub fn request(method: Method, url: &Url) -> request::Builder {
    let builder = Request::builder().method(method).uri(url.path.as_str());
    builder.header(HOST, url.authority()).header(CONNECTION, "close")
}

/// No body.
pub fn nothing() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// This as the body.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Ask the server of `url`, which is at one of `at`. Over TLS it is believed where an authority of the PEM file `trust` says
/// so. The body of a 200 comes with the answer, where `most` says how many bytes it may have; others are not read.
pub async fn ask(
    (url, at): (&Url, &[SocketAddr]),
    trust: &Path,
    request: Request<Body>,
    most: Option<usize>,
) -> Result<Response<Vec<u8>>, HttpError> {
    let stream = TcpStream::connect(at).await?;
    if !url.secure {
        return exchange(stream, request, most).await;
    }
    let told = |why: String| HttpError::Trust(format!("{}: {why}", trust.display()));
    // Read each time: servers are asked seldom, and the file is renewed by the system.
    let pem = fs::read(trust).map_err(|error| told(error.to_string()))?;
    let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
    let stream = connector(&pem).map_err(told)?.connect(name, stream).await?;
    exchange(stream, request, most).await
}

/// A client that believes servers whose certificates these authorities signed (PEM).
pub fn connector(trust: &[u8]) -> Result<TlsConnector, String> {
    let roots = authorities(trust);
    if roots.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    let config = client(Believed::Signed(Arc::new(roots)), None).map_err(|error| error.to_string())?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// One request and its answer over `line`, as [`ask`] says.
pub(super) async fn exchange(
    line: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Body>,
    most: Option<usize>,
) -> Result<Response<Vec<u8>>, HttpError> {
    let mut http = http1::Builder::new();
    http.max_buf_size(LONGEST_HEAD).title_case_headers(true);
    let (mut sender, connection) = http.handshake(TokioIo::new(line)).await?;
    let talk = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let most = most.filter(|_| head.status == StatusCode::OK);
        let body = match most {
            Some(most) => read(body, most).await?,
            None => Vec::new(),
        };
        Ok::<_, HttpError>(Response::from_parts(head, body))
    };
    let carry = async move {
        // Its error comes out of the talk as well; what came before its end is still to be read there.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = talk => answer,
        () = carry => Err(HttpError::Early),
    }
}

async fn read(mut body: Incoming, most: usize) -> Result<Vec<u8>, HttpError> {
    if body.size_hint().lower() > most as u64 {
        return Err(HttpError::TooLarge(most));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        if piece.len() > most - bytes.len() {
            return Err(HttpError::TooLarge(most));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What is made of `text`, of whose body at most 10 bytes are wanted; and what was asked.
    async fn answer(text: &str) -> (Result<Response<Vec<u8>>, HttpError>, String) {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let url = Url::parse("http://x.example:8080/a.wav?b=c#d").unwrap();
        let request = request(Method::GET, &url).body(nothing()).unwrap();
        let serve = async {
            let mut asked = vec![0; 4000];
            let length = far.read(&mut asked).await.unwrap();
            far.write_all(text.as_bytes()).await.unwrap();
            far.shutdown().await.unwrap();
            String::from_utf8(asked[..length].to_vec()).unwrap()
        };
        tokio::join!(exchange(near, request, Some(10)), serve)
    }

    async fn body(text: &str) -> String {
        String::from_utf8(answer(text).await.0.unwrap().into_body()).unwrap()
    }

    #[tokio::test]
    async fn a_body_ends_where_its_length_its_chunks_or_its_connection_say() {
        let (found, asked) = answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd").await;
        assert_eq!(found.unwrap().body(), b"abc");
        assert_eq!(asked, "GET /a.wav?b=c HTTP/1.1\r\nHost: x.example:8080\r\nConnection: close\r\n\r\n");
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\nabcd").await, "abcd");
        let chunked = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n\
                       3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(body(chunked).await, "abcde");
    }

    #[tokio::test]
    async fn the_body_of_anything_but_200_is_not_read() {
        for code in [201, 304, 404, 500] {
            let text = format!("HTTP/1.1 {code} X\r\nContent-Length: 99\r\nRetry-After: 7\r\n\r\nabc");
            let found = answer(&text).await.0.unwrap();
            assert_eq!((found.status().as_u16(), found.body().len()), (code, 0));
            assert_eq!(found.headers()["retry-after"], "7");
        }
    }

    #[tokio::test]
    async fn what_is_too_long_cut_short_or_no_http_is_told() {
        for (text, want) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", "more than 10 bytes"),
            ("HTTP/1.1 200 OK\r\n\r\n12345678901", "more than 10 bytes"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n2\r\n12\r\n0\r\n\r\n",
                "more than 10 bytes",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", "it ended early"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "it ended early"),
            ("HTTP/1.1 200 OK\r\nX", "it ended early"),
            ("", "it ended early"),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n1", "the answer is no HTTP"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", "the answer is no HTTP"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "the answer is no HTTP"),
            ("SSH-2.0\r\n\r\n", "the answer is no HTTP"),
        ] {
            assert_eq!(answer(text).await.0.unwrap_err().to_string(), want, "{text}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(2 * LONGEST_HEAD));
        assert!(matches!(answer(&endless).await.0, Err(HttpError::NoHttp)));
    }
}
