//! Hand-written peers: a caller, and what a callee answers.

use super::*;

/// A hand-written caller, and the call it makes.
pub(super) struct Caller {
    pub(super) at: SocketAddr,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    pub(super) branch: u32,
    pub(super) to_tag: Option<String>,
    /// Its user.
    pub(super) user: &'static str,
}

pub(super) const PHONE: &str = "198.51.100.7:5070";

pub(super) fn sdp_at(ip: &str, port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    )
}

pub(super) fn sdp() -> String {
    sdp_at("198.51.100.7", 4000)
}

impl Caller {
    pub(super) fn new() -> Caller {
        Caller { at: address(PHONE), call_id: "abc@phone".into(), cseq: 1, branch: 0, to_tag: None, user: "anna" }
    }

    /// A request in the caller's dialog, or one that begins it.
    pub(super) fn text(&mut self, method: &str, body: Option<(&str, &str)>, extra: &str) -> String {
        if method != "ACK" && method != "CANCEL" {
            self.branch += 1;
        }
        let Caller { at, call_id, cseq, branch, user, .. } = self;
        let tag = self.to_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let (kind, body) = body.map_or((String::new(), ""), |(k, b)| (format!("Content-Type: {k}\r\n"), b));
        format!(
            "{method} sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{call_id}{branch}\r\n\
             Max-Forwards: 70\r\nFrom: \"Anna\" <sip:{user}@phone>;tag=anna\r\nTo: <sip:100@192.0.2.1>{tag}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:anna@{at}>\r\n{extra}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    pub(super) fn invite(&mut self, world: &mut World, body: Option<&str>) {
        let text = self.text("INVITE", body.map(|body| ("application/sdp", body)), "X-Shop: 7\r\n");
        world.say(self.at, text);
        world.settle();
    }

    pub(super) fn send(&mut self, world: &mut World, method: &str, body: Option<(&str, &str)>) {
        self.cseq += 1;
        let text = self.text(method, body, "");
        world.say(self.at, text);
        world.settle();
    }

    pub(super) fn ack(&mut self, world: &mut World, response: &Response, body: Option<&str>) {
        self.to_tag = response.headers.to.tag().map(str::to_owned);
        self.cseq = response.headers.cseq.number;
        self.branch += 1;
        let text = self.text("ACK", body.map(|body| ("application/sdp", body)), "");
        world.say(self.at, text);
        world.settle();
    }
}

/// A world in which a call is answered: its caller, flow and call.
pub(super) fn answered() -> (World, Caller, FlowId, CallId) {
    answered_in(World::new())
}

pub(super) fn answered_in(mut world: World) -> (World, Caller, FlowId, CallId) {
    let (caller, flow, call) = answer_one(&mut world, Caller::new());
    (world, caller, flow, call)
}

pub(super) fn answer_one(world: &mut World, mut caller: Caller) -> (Caller, FlowId, CallId) {
    caller.invite(world, Some(&sdp()));
    let start = world.node().starts.last().unwrap().clone();
    let id = world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let at = caller.at;
    let response = world.response_at(at, 200);
    caller.ack(world, &response, None);
    assert_eq!(world.reply(id), Some(&Reply::Done));
    world.inbox.clear();
    (caller, start.flow, start.call)
}

/// What a hand-written callee answers.
pub(super) fn answer(request: &SipRequest, code: u16, tag: &str, body: Option<&str>) -> Bytes {
    let mut response = request.response(code, None);
    response.headers.to.set_tag(tag);
    let host = &request.uri.host;
    let port = request.uri.port.unwrap_or(5060);
    response.headers.set("Contact", format!("<sip:{tag}@{host}:{port}>"));
    if let Some(body) = body {
        response.headers.set("Content-Type", "application/sdp");
        response.body = body.to_owned().into();
    }
    response.to_bytes()
}

/// A call over a TCP connection, answered; its Contact says where else the caller listens.
pub(super) fn answer_over_tcp(world: &mut World) -> (Hop, FlowId) {
    let phone = Hop { transport: Transport::Tcp, interface: InterfaceId(0), remote: address("198.51.100.7:40000") };
    let mut caller = Caller::new();
    let over_tcp = |text: String| Bytes::from(text.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    let invite = caller.text("INVITE", Some(("application/sdp", &sdp())), "");
    let invite = invite.replace("<sip:anna@198.51.100.7:5070>", "<sip:anna@198.51.100.7:5070;transport=tcp>");
    world.input(0, Input::Datagram { hop: phone, bytes: over_tcp(invite) });
    let start = world.node().starts[0].clone();
    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let response = world.response_at(phone.remote, 200);
    caller.to_tag = response.headers.to.tag().map(str::to_owned);
    caller.branch += 1;
    let ack = caller.text("ACK", None, "");
    world.input(0, Input::Datagram { hop: phone, bytes: over_tcp(ack) });
    (phone, start.flow)
}

/// Both sides in one file, without an end of its own and without waiting for it.
pub(super) fn mixed() -> Record {
    Record {
        file: None,
        format: None,
        voices: Voices::Mixed,
        room: None,
        rate: None,
        max: None,
        end_of_silence: None,
        stop_on: String::new(),
        beep: false,
        wait: false,
    }
}
