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
        let mut local = headers.to.clone();
        local.set_tag(local_tag);
        Ok(Dialog {
            call_id: headers.call_id.clone(),
            local,
            remote: headers.from.clone(),
            local_seq: 0,
            remote_seq: Some(headers.cseq.number),
            route_set: record_route(headers).ok_or_else(|| refuse("Malformed Record-Route"))?,
            target: headers.contact().ok_or_else(|| refuse("No usable Contact"))?.uri,
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
