//! What a request must be before its user sees it (RFC 3261 section 8.2). What cannot even be read (400, 416, 501, 505,
//! 513) is refused where it is parsed.

use super::{Method, Request, Response};

/// Checks `request` in the order of the RFC; `merged`: it is in work already, having come by another way. The error is
/// the answer.
///
/// No extension is known, so every Require is refused. ACK and CANCEL carry none that counts (section 8.2.2.3).
pub fn validate(request: &Request, merged: bool) -> Result<(), Box<Response>> {
    let headers = &request.headers;
    let refuse = |code, reason| Err(Box::new(request.response(code, reason)));
    if headers.cseq.number >= 1 << 31 {
        return refuse(400, Some("CSeq beyond 31 bits"));
    }
    if !request.uri.is_sip() {
        return refuse(416, None);
    }
    if headers.max_forwards() == Some(0) {
        return refuse(483, None);
    }
    if merged {
        return refuse(482, None);
    }
    match request.method {
        Method::Ack | Method::Cancel => Ok(()),
        Method::Invite
        | Method::Bye
        | Method::Options
        | Method::Register
        | Method::Info
        | Method::Message
        | Method::Notify
        | Method::PRack
        | Method::Publish
        | Method::Refer
        | Method::Subscribe
        | Method::Update => check_require(request),
    }
}

fn check_require(request: &Request) -> Result<(), Box<Response>> {
    let unsupported: Vec<_> = request.headers.all("Require").filter(|tag| !tag.is_empty()).collect();
    if unsupported.is_empty() {
        return Ok(());
    }
    let mut answer = request.response(420, None);
    answer.headers.push("Unsupported", unsupported.join(", "));
    Err(Box::new(answer))
}
