//! One GET of a sound: what is said of the version that is here, and what the answer means for keeping what comes
//! (RFC 9110, 9111).

use std::time::Duration;

use hyper::{
    Method, Request, Response,
    header::{
        ACCEPT, CACHE_CONTROL, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, USER_AGENT,
    },
};

use super::{Url, WebError};
use crate::hooks::http::{self, Body, HttpError};

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

/// Ask for what is at `url`. `known`: the version that is here already.
pub(super) fn request(url: &Url, agent: &str, known: Option<&Version>) -> Result<Request<Body>, HttpError> {
    let mut request = http::request(Method::GET, url).header(USER_AGENT, agent).header(ACCEPT, "*/*");
    if let Some(Version { tag, date }) = known {
        for (name, value) in [(IF_NONE_MATCH, tag), (IF_MODIFIED_SINCE, date)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
    }
    Ok(request.body(http::nothing())?)
}

/// What the answer to [`request`] means.
pub(super) fn answer(url: &Url, known: Option<&Version>, answer: Response<Vec<u8>>) -> Result<Answer, WebError> {
    let (head, bytes) = answer.into_parts();
    // What goes back into a request is one line of plain text.
    let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let said = head.headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let keep = said.filter_map(keep).next_back();
    match head.status.as_u16() {
        200 => Ok(Answer::Body { bytes, version: Version { tag: text(ETAG), date: text(LAST_MODIFIED) }, keep }),
        304 if known.is_some() => Ok(Answer::Same { keep }),
        code @ (301 | 302 | 303 | 307 | 308) => {
            let to = text(LOCATION).and_then(|location| url.follow(&location));
            to.map(Answer::Elsewhere).ok_or(WebError::Status(code))
        }
        code => Err(WebError::Status(code)),
    }
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

    fn url() -> Url {
        Url::parse("http://x.example:8080/a.wav").unwrap()
    }

    fn said(code: u16, fields: &[(&str, &str)], known: Option<&Version>) -> Result<Answer, WebError> {
        let mut response = Response::builder().status(code);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        answer(&url(), known, response.body(b"abc".to_vec()).unwrap())
    }

    #[test]
    fn a_version_that_is_here_is_asked_for_by_its_name() {
        let fields = [("ETag", "\"7\""), ("Last-Modified", "yesterday"), ("Cache-Control", "public, max-age=60")];
        let Ok(Answer::Body { bytes, version, keep }) = said(200, &fields, None) else { panic!("a body") };
        assert_eq!((bytes.as_slice(), keep), (b"abc".as_slice(), Some(Duration::from_secs(60))));
        let asked = request(&url(), "us", None).unwrap();
        assert!(!asked.headers().contains_key(IF_NONE_MATCH) && !asked.headers().contains_key(IF_MODIFIED_SINCE));
        let asked = request(&url(), "us", Some(&version)).unwrap();
        assert_eq!(asked.headers()[IF_NONE_MATCH], "\"7\"");
        assert_eq!(asked.headers()[IF_MODIFIED_SINCE], "yesterday");
        assert_eq!((&asked.headers()[USER_AGENT], asked.uri().path()), (&"us".parse().unwrap(), "/a.wav"));
        let same = said(304, &[("Cache-Control", "no-cache")], Some(&version));
        assert_eq!(same, Ok(Answer::Same { keep: Some(Duration::ZERO) }));
    }

    #[test]
    fn what_is_elsewhere_or_nowhere_is_told() {
        let there = said(302, &[("Location", "http://y.example/b")], None);
        assert_eq!(there, Ok(Answer::Elsewhere(Url::parse("http://y.example/b").unwrap())));
        for (code, fields) in [(404, vec![]), (304, vec![]), (302, vec![]), (302, vec![("Location", "ftp://y/")])] {
            assert_eq!(said(code, &fields, None), Err(WebError::Status(code)));
        }
    }
}
