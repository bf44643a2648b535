//! Dialogs (RFC 3261 section 12): what two user agents remember of each other. Plain data, owned by whoever has the call.

use super::{CSeq, Headers, Hop, Malformed, Method, NameAddr, Request, Response, Uri};

/// One dialog, seen from our side.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialog {
    /// Shared by both sides.
    pub call_id: String,
    /// We, with our tag.
    pub local: NameAddr,
    /// They. A tag is missing only with peers of RFC 2543.
    pub remote: NameAddr,
    /// CSeq of our newest request; 0 before the first one.
    pub local_seq: u32,
    /// CSeq of their newest request.
    pub remote_seq: Option<u32>,
    /// Values of Route, in the order we send them.
    pub route_set: Vec<String>,
    /// Their Contact: where requests are meant to end.
    pub target: Uri,
    /// The way that the dialog came into being by.
    pub hop: Hop,
}

impl Dialog {
    /// The dialog that our answer to `request`, which came over `hop`, makes (section 12.1.1).
    pub fn uas(request: &Request, hop: Hop, local_tag: &str) -> Result<Dialog, Malformed> {
        let refuse = |what: &str| {
            let answer = Some(Box::new(request.response(400, Some(what))));
            Malformed { what: what.to_owned(), answer }
        };
        let headers = &request.headers;
        // RFC 2543 knew neither From-tags nor the duty to say Contact: its callers are reached at From (section 8.1.1.8).
        let old = headers.from.tag().is_none() && headers.get("Contact").is_none();
        let target = if old { Some(headers.from.uri.clone()) } else { headers.contact().map(|contact| contact.uri) };
        let mut local = headers.to.clone();
        local.set_tag(local_tag);
        Ok(Dialog {
            call_id: headers.call_id.clone(),
            local,
            remote: headers.from.clone(),
            local_seq: 0,
            remote_seq: Some(headers.cseq.number),
            route_set: record_route(headers).ok_or_else(|| refuse("Malformed Record-Route"))?,
            target: target.ok_or_else(|| refuse("No usable Contact"))?,
            hop,
        })
    }

    /// The dialog that `response` to our `request`, which went over `hop`, makes (section 12.1.2). Where the peer forgot
    /// its Contact, we go on to ask where we asked.
    pub fn uac(request: &Request, response: &Response, hop: Hop) -> Result<Dialog, Malformed> {
        let refuse = || Malformed { what: "Malformed Record-Route".to_owned(), answer: None };
        let headers = &response.headers;
        let mut route_set = record_route(headers).ok_or_else(refuse)?;
        route_set.reverse();
        Ok(Dialog {
            call_id: request.headers.call_id.clone(),
            local: request.headers.from.clone(),
            remote: headers.to.clone(),
            local_seq: request.headers.cseq.number,
            remote_seq: None,
            route_set,
            target: headers.contact().map_or_else(|| request.uri.clone(), |contact| contact.uri),
            hop,
        })
    }

    /// Our next request in this dialog, without a body (section 12.2.1.1). Not for ACK.
    pub fn request(&mut self, method: Method, contact: &NameAddr) -> Request {
        self.local_seq += 1;
        let mut request = self.build(method, self.local_seq);
        request.headers.push("Contact", contact.to_string());
        request
    }

    /// The ACK of a 2xx to our INVITE with that CSeq (section 13.2.2.4).
    pub fn ack(&self, invite_cseq: u32) -> Request {
        self.build(Method::Ack, invite_cseq)
    }

    /// Where our requests go next: this is to be resolved.
    pub fn next_hop_uri(&self) -> Uri {
        self.first_route().unwrap_or_else(|| self.target.clone())
    }

    /// Takes note of the CSeq of a request of theirs. False where it is out of order; the answer is 500 (12.2.2).
    pub fn accepts(&mut self, request: &Request) -> bool {
        let number = request.headers.cseq.number;
        if self.remote_seq.is_some_and(|last| number < last) {
            return false;
        }
        self.remote_seq = Some(number);
        true
    }

    /// Takes the Contact of a target refresh, be it their request or their 2xx (section 12.2).
    pub fn refresh_target(&mut self, headers: &Headers) {
        if let Some(contact) = headers.contact() {
            self.target = contact.uri;
        }
    }

    fn build(&self, method: Method, number: u32) -> Request {
        let cseq = CSeq { number, method };
        let mut headers = Headers::new(self.local.clone(), self.remote.clone(), self.call_id.clone(), cseq);
        let strict = self.first_route().filter(|first| first.param("lr").is_none());
        let uri = match strict {
            None => {
                for route in &self.route_set {
                    headers.push("Route", route.as_str());
                }
                self.target.clone()
            }
            // A router of RFC 2543 finds itself in the Request-URI, and the target at the end of the Route.
            Some(first) => {
                for route in self.route_set.iter().skip(1) {
                    headers.push("Route", route.as_str());
                }
                headers.push("Route", format!("<{}>", self.target));
                first
            }
        };
        Request { method, uri, headers, body: Default::default() }
    }

    fn first_route(&self) -> Option<Uri> {
        NameAddr::parse(self.route_set.first()?).ok().map(|route| route.uri)
    }
}

/// All values of Record-Route; `None` where one cannot be read.
fn record_route(headers: &Headers) -> Option<Vec<String>> {
    let values = headers.all("Record-Route");
    values.map(|value| NameAddr::parse(value).is_ok().then(|| value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};
    use crate::ids::InterfaceId;

    fn hop() -> Hop {
        let remote = "198.51.100.2:5060".parse().unwrap();
        Hop { transport: Transport::Udp, interface: InterfaceId(0), remote }
    }

    fn contact() -> NameAddr {
        "<sip:alice@192.0.2.1:5060>".parse().unwrap()
    }

    /// An INVITE of Bob's with these Record-Routes, nearest to us first.
    fn invite(record_routes: &[&str]) -> Request {
        let cseq = CSeq { number: 7, method: Method::Invite };
        let from = "\"Bob\" <sip:bob@example.org>;tag=bob".parse().unwrap();
        let to = "<sip:alice@example.com>".parse().unwrap();
        let mut headers = Headers::new(from, to, "call@example.org".to_owned(), cseq);
        headers.push("Contact", "<sip:bob@203.0.113.7:5070;transport=udp>");
        for route in record_routes {
            headers.push("Record-Route", *route);
        }
        Request { method: Method::Invite, uri: "sip:alice@192.0.2.1".parse().unwrap(), headers, body: Bytes::new() }
    }

    fn routes(request: &Request) -> Vec<&str> {
        request.headers.all("Route").collect()
    }

    #[test]
    fn called_side_asks_back_with_the_tags_turned_around_and_its_own_count() {
        let mut dialog = Dialog::uas(&invite(&[]), hop(), "alice").unwrap();
        let bye = dialog.request(Method::Bye, &contact());
        assert_eq!(bye.uri, "sip:bob@203.0.113.7:5070;transport=udp".parse().unwrap());
        assert_eq!(bye.headers.from.to_string(), "<sip:alice@example.com>;tag=alice");
        assert_eq!(bye.headers.to.to_string(), "\"Bob\" <sip:bob@example.org>;tag=bob");
        assert_eq!((bye.headers.call_id.as_str(), bye.headers.cseq.number), ("call@example.org", 1));
        assert_eq!(bye.headers.get("Contact"), Some("<sip:alice@192.0.2.1:5060>"));
        assert_eq!(dialog.request(Method::Info, &contact()).headers.cseq.to_string(), "2 INFO");
        assert_eq!(dialog.next_hop_uri(), bye.uri);
    }

    #[test]
    fn called_side_takes_the_routes_in_order_and_the_calling_side_turns_them_around() {
        let request = invite(&["<sip:near;lr>", "<sip:far;lr>"]);
        let mut called = Dialog::uas(&request, hop(), "alice").unwrap();
        assert_eq!(routes(&called.request(Method::Bye, &contact())), ["<sip:near;lr>", "<sip:far;lr>"]);
        assert_eq!(called.next_hop_uri(), "sip:near;lr".parse().unwrap());
        let mut response = request.response(200, None);
        response.headers.to.set_tag("alice");
        let mut calling = Dialog::uac(&request, &response, hop()).unwrap();
        let bye = calling.request(Method::Bye, &contact());
        assert_eq!(routes(&bye), ["<sip:far;lr>", "<sip:near;lr>"]);
        assert_eq!(bye.headers.cseq.number, 8);
        assert_eq!(bye.uri, request.uri, "without a Contact in the answer we ask where we asked");
        let ack = calling.ack(7);
        assert_eq!((ack.headers.cseq.to_string(), routes(&ack)), ("7 ACK".to_owned(), routes(&bye)));
    }

    #[test]
    fn strict_router_finds_itself_in_the_request_line_and_the_target_behind() {
        let mut dialog = Dialog::uas(&invite(&["<sip:strict>", "<sip:loose;lr>"]), hop(), "alice").unwrap();
        let bye = dialog.request(Method::Bye, &contact());
        assert_eq!(bye.uri, "sip:strict".parse().unwrap());
        assert_eq!(routes(&bye), ["<sip:loose;lr>", "<sip:bob@203.0.113.7:5070;transport=udp>"]);
        assert_eq!(dialog.next_hop_uri(), bye.uri);
    }

    #[test]
    fn invite_without_contact_or_with_a_broken_route_makes_no_dialog() {
        let mut request = invite(&[]);
        request.headers.remove("Contact");
        let refused = Dialog::uas(&request, hop(), "alice").unwrap_err();
        assert_eq!(refused.answer.map(|answer| answer.code), Some(400));
        let request = invite(&["<sip:near"]);
        assert!(Dialog::uas(&request, hop(), "alice").is_err());
        assert!(Dialog::uac(&request, &{ request.response(200, None) }, hop()).is_err());
    }

    #[test]
    fn request_older_than_the_newest_is_not_accepted() {
        let mut request = invite(&[]);
        let mut dialog = Dialog::uas(&request, hop(), "alice").unwrap();
        for (number, accepted) in [(6, false), (8, true), (7, false), (20, true), (21, true)] {
            request.headers.cseq.number = number;
            assert_eq!(dialog.accepts(&request), accepted, "{number}");
        }
        let mut calling = Dialog::uac(&request, &request.response(200, None), hop()).unwrap();
        request.headers.cseq.number = 3;
        assert!(calling.accepts(&request), "the first one may be anything");
    }

    #[test]
    fn new_contact_becomes_the_target_and_a_missing_one_does_not() {
        let mut request = invite(&[]);
        let mut dialog = Dialog::uas(&request, hop(), "alice").unwrap();
        request.headers.set("Contact", "<sip:bob@203.0.113.99>");
        dialog.refresh_target(&request.headers);
        assert_eq!(dialog.target, "sip:bob@203.0.113.99".parse().unwrap());
        request.headers.remove("Contact");
        dialog.refresh_target(&request.headers);
        assert_eq!(dialog.target, "sip:bob@203.0.113.99".parse().unwrap());
    }
}
