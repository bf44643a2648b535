//! One GET over HTTP/1.1 (RFC 9110, 9112): the head that matters for keeping what comes, and a body of limited size.

use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::{Url, WebError};

/// Longest head of an answer, and longest sizes and trailers of chunks, in bytes.
const LONGEST_HEAD: u64 = 64 << 10;

/// How a server tells one version from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    tag: Option<String>,
    date: Option<String>,
}

/// What the server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// This.
    Body { bytes: Vec<u8>, version: Version, keep: Option<Duration> },
    /// It is what it was.
    Same { keep: Option<Duration> },
    /// It is somewhere else.
    Elsewhere(Url),
}

/// What is at `url`; of a body at most `most` bytes. `known`: the version that is here already.
pub(super) async fn get(
    line: impl AsyncRead + AsyncWrite + Unpin,
    url: &Url,
    (agent, known): (&str, Option<&Version>),
    most: usize,
) -> Result<Answer, WebError> {
    let mut line = BufReader::new(line);
    let (path, authority) = (&url.path, url.authority());
    let mut ask = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n");
    for (name, value) in known.map_or([("", None), ("", None)], |v| {
        [("If-None-Match", v.tag.as_deref()), ("If-Modified-Since", v.date.as_deref())]
    }) {
        if let Some(value) = value {
            ask += &format!("{name}: {value}\r\n");
        }
    }
    ask += "Connection: close\r\n\r\n";
    line.write_all(ask.as_bytes()).await?;
    line.flush().await?;
    let head = loop {
        let head = Head::read(&mut line).await?;
        if !(100..200).contains(&head.status) {
            break head;
        }
    };
    match head.status {
        200 => {
            let bytes = head.body(&mut line, most).await?;
            Ok(Answer::Body { bytes, version: head.version, keep: head.keep })
        }
        304 if known.is_some() => Ok(Answer::Same { keep: head.keep }),
        301 | 302 | 303 | 307 | 308 => {
            let to = head.location.as_deref().and_then(|location| url.follow(location));
            to.map(Answer::Elsewhere).ok_or(WebError::Status(head.status))
        }
        other => Err(WebError::Status(other)),
    }
}

/// The head of an answer.
#[derive(Debug, Default)]
struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    version: Version,
    keep: Option<Duration>,
    location: Option<String>,
}

impl Head {
    async fn read(line: &mut (impl AsyncBufRead + Unpin)) -> Result<Head, WebError> {
        let mut left = LONGEST_HEAD;
        let first = read_line(line, &mut left).await?;
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
        let mut head = Head { status: status.and_then(|s| s.parse().ok()).ok_or(WebError::Http)?, ..Head::default() };
        loop {
            let field = read_line(line, &mut left).await?;
            if field.is_empty() {
                return Ok(head);
            }
            let (name, value) = field.split_once(':').ok_or(WebError::Http)?;
            head.take(&name.to_ascii_lowercase(), value.trim())?;
        }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), WebError> {
        // What goes back into a request is one line of plain text.
        let plain = || value.bytes().all(|b| (b' '..0x7f).contains(&b)).then(|| value.to_owned());
        match name {
            "content-length" => self.length = Some(value.parse().map_err(|_| WebError::Http)?),
            "transfer-encoding" => self.chunked = value.eq_ignore_ascii_case("chunked"),
            "etag" => self.version.tag = plain(),
            "last-modified" => self.version.date = plain(),
            "location" => self.location = plain(),
            "cache-control" => self.keep = keep(value).or(self.keep),
            _ => {}
        }
        Ok(())
    }

    async fn body(&self, line: &mut (impl AsyncBufRead + Unpin), most: usize) -> Result<Vec<u8>, WebError> {
        let mut body = Vec::new();
        if self.chunked {
            let mut left = LONGEST_HEAD;
            loop {
                let size = read_line(line, &mut left).await?;
                let size = size.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).map_err(|_| WebError::Http)?;
                if size == 0 {
                    return Ok(body);
                }
                read_exactly(line, size, &mut body, most).await?;
                if !read_line(line, &mut left).await?.is_empty() {
                    return Err(WebError::Http);
                }
            }
        }
        match self.length {
            Some(length) => read_exactly(line, length, &mut body, most).await?,
            None => {
                line.take(most as u64 + 1).read_to_end(&mut body).await?;
                if body.len() > most {
                    return Err(WebError::TooLarge(most));
                }
            }
        }
        Ok(body)
    }
}

/// So many bytes are added to `body`, which has at most `most` then.
async fn read_exactly(
    line: &mut (impl AsyncBufRead + Unpin),
    count: usize,
    body: &mut Vec<u8>,
    most: usize,
) -> Result<(), WebError> {
    if count > most - body.len() {
        return Err(WebError::TooLarge(most));
    }
    let came = line.take(count as u64).read_to_end(body).await?;
    if came < count { Err(WebError::Connection("it ended early".to_owned())) } else { Ok(()) }
}

/// One line without its end, of at most `left` bytes.
async fn read_line(line: &mut (impl AsyncBufRead + Unpin), left: &mut u64) -> Result<String, WebError> {
    let mut bytes = Vec::new();
    *left -= line.take(*left).read_until(b'\n', &mut bytes).await? as u64;
    if bytes.pop() != Some(b'\n') {
        return Err(WebError::Http);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| WebError::Http)
}

/// How long it may be kept without asking, as Cache-Control says (RFC 9111 section 5.2.2).
fn keep(value: &str) -> Option<Duration> {
    let mut keep = None;
    for directive in value.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
        match directive.split_once('=') {
            None if directive == "no-store" || directive == "no-cache" => return Some(Duration::ZERO),
            Some(("max-age", seconds)) => {
                keep = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
            }
            Some(_) | None => {}
        }
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(text: &str, known: Option<&Version>, most: usize) -> (Result<Answer, WebError>, String) {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        far.write_all(text.as_bytes()).await.unwrap();
        far.shutdown().await.unwrap();
        let url = Url::parse("http://x.example:8080/a.wav?b=c#d").unwrap();
        let found = get(near, &url, ("us", known), most).await;
        let mut asked = String::new();
        far.read_to_string(&mut asked).await.unwrap();
        (found, asked)
    }

    fn bytes(found: Result<Answer, WebError>) -> Vec<u8> {
        match found {
            Ok(Answer::Body { bytes, .. }) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_body_ends_where_its_length_its_chunks_or_its_connection_say() {
        let (found, asked) = answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", None, 10).await;
        assert_eq!(bytes(found), b"abc");
        assert!(asked.starts_with("GET /a.wav?b=c HTTP/1.1\r\nHost: x.example:8080\r\n"), "{asked}");
        let (found, _) = answer("HTTP/1.1 200 OK\r\n\r\nabcd", None, 10).await;
        assert_eq!(bytes(found), b"abcd");
        let chunked = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n\
                       3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(bytes(answer(chunked, None, 10).await.0), b"abcde");
    }

    #[tokio::test]
    async fn what_is_too_long_cut_short_or_no_http_is_told() {
        for (text, want) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", WebError::TooLarge(10)),
            ("HTTP/1.1 200 OK\r\n\r\n12345678901", WebError::TooLarge(10)),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n2\r\n12\r\n0\r\n\r\n",
                WebError::TooLarge(10),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", WebError::Connection("it ended early".into())),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n1", WebError::Http),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", WebError::Http),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", WebError::Http),
            ("HTTP/1.1 200 OK\r\nX", WebError::Http),
            ("SSH-2.0\r\n\r\n", WebError::Http),
            ("", WebError::Http),
            ("HTTP/1.1 404 Not Found\r\n\r\n", WebError::Status(404)),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", WebError::Status(304)),
            ("HTTP/1.1 302 Found\r\n\r\n", WebError::Status(302)),
        ] {
            assert_eq!(answer(text, None, 10).await.0, Err(want), "{text}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(LONGEST_HEAD as usize));
        assert_eq!(answer(&endless, None, 10).await.0, Err(WebError::Http));
    }

    #[tokio::test]
    async fn a_version_that_is_here_is_asked_for_by_its_name() {
        let text =
            "HTTP/1.1 200 OK\r\nETag: \"7\"\r\nLast-Modified: yesterday\r\nCache-Control: public, max-age=60\r\n\r\n";
        let (found, asked) = answer(text, None, 10).await;
        assert!(!asked.contains("If-"), "{asked}");
        let Ok(Answer::Body { version, keep, .. }) = found else { panic!("{found:?}") };
        assert_eq!(keep, Some(Duration::from_secs(60)));
        let text = "HTTP/1.1 304 Not Modified\r\nCache-Control: no-cache\r\n\r\n";
        let (found, asked) = answer(text, Some(&version), 10).await;
        assert_eq!(found, Ok(Answer::Same { keep: Some(Duration::ZERO) }));
        assert!(asked.contains("If-None-Match: \"7\"\r\nIf-Modified-Since: yesterday\r\n"), "{asked}");
    }
}
