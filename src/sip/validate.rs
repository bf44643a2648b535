//! What a request must be before its user sees it (RFC 3261 section 8.2). What cannot even be read (400, 501, 505, 513)
//! is refused where it is parsed; what its method may not do (405) is the user's to say.

use super::{Method, Request, Response, Scheme};

/// Option tags of the extensions that a peer may require (RFC 3262, RFC 3891, RFC 4028, RFC 4488).
const KNOWN: [&str; 4] = ["100rel", "norefersub", "replaces", "timer"];

/// Checks `request`, which is neither ACK nor CANCEL; `merged`: it is in work already, having come by another way. The
/// error is the answer.
///
/// A Require of what we do not know is refused; Path and Outbound (RFC 3327, RFC 5626) only a REGISTER may require.
pub fn validate(request: &Request, merged: bool) -> Result<(), Box<Response>> {
    let headers = &request.headers;
    let refuse = |code, reason| Err(Box::new(request.response(code, reason)));
    if headers.cseq.number >= 1 << 31 {
        return refuse(400, Some("Bad Request: CSeq beyond 31 bits")); // section 8.1.1.5
    }
    if !request.uri.is_sip() && !is_number(request) {
        return refuse(416, None);
    }
    if headers.max_forwards() == Some(0) {
        return refuse(483, None);
    }
    if merged {
        return refuse(482, None);
    }
    let unsupported: Vec<_> =
        headers.all("Require").filter(|tag| !tag.is_empty() && !known(request.method, tag)).collect();
    if unsupported.is_empty() {
        return Ok(());
    }
    let mut answer = request.response(420, None);
    answer.headers.push("Unsupported", unsupported.join(", "));
    Err(Box::new(answer))
}

/// A telephone number (RFC 3966) may be called, and be written to.
fn is_number(request: &Request) -> bool {
    request.uri.scheme == Scheme::Tel && matches!(request.method, Method::Invite | Method::Message)
}

fn known(method: Method, tag: &str) -> bool {
    let among = |tags: &[&str]| tags.iter().any(|one| one.eq_ignore_ascii_case(tag));
    among(&KNOWN) || method == Method::Register && among(&["path", "outbound"])
}
