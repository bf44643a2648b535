//! Requests that follow from an INVITE of ours: the ACK of a failure (RFC 3261 section 17.1.1.3) and CANCEL (9.1).

use super::{CSeq, Headers, Method, NameAddr, Request, Response};

/// The ACK of the failure `response` to `invite`: the same Via, Request-URI and Route, and the To of the answer.
pub fn ack(invite: &Request, response: &Response) -> Request {
    same_way(invite, Method::Ack, response.headers.to.clone())
}

/// The CANCEL of `invite`; `reason` is the value of its Reason header (RFC 3326).
pub fn cancel(invite: &Request, reason: Option<&str>) -> Request {
    let mut cancel = same_way(invite, Method::Cancel, invite.headers.to.clone());
    if let Some(reason) = reason {
        cancel.headers.push("Reason", reason);
    }
    cancel
}

fn same_way(invite: &Request, method: Method, to: NameAddr) -> Request {
    let of = &invite.headers;
    let cseq = CSeq { number: of.cseq.number, method };
    let mut headers = Headers::new(of.from.clone(), to, of.call_id.clone(), cseq);
    headers.via.extend(of.via.first().cloned());
    for route in of.all("Route") {
        headers.push("Route", route);
    }
    headers.push("Max-Forwards", "70");
    Request { method, uri: invite.uri.clone(), headers, body: Default::default() }
}
