//! A phone made by hand: its SIP messages are text, so that it can do what no host of the simulator does.

use super::*;

/// How it describes its media.
#[derive(Clone, Debug)]
pub(super) struct Media {
    /// What SDP says; `0.0.0.0` is the old way to hold.
    pub said: SocketAddr,
    /// sendrecv, sendonly, recvonly or inactive.
    pub direction: &'static str,
}

/// A phone that calls the server.
pub(super) struct Hand {
    /// Where its SIP comes from.
    pub sip: SocketAddr,
    /// Where its RTP comes from.
    pub rtp: SocketAddr,
    /// What it says about that.
    pub media: Media,
    /// What it hums, in Hz; nothing: it is silent.
    pub hums: Option<f64>,
    /// Where the server takes RTP.
    pub server_rtp: Option<SocketAddr>,
    /// INVITEs have no offer; the answer comes in the ACK.
    pub late: bool,
    /// All that it heard: address, RTP header and payload, with the time.
    pub heard: Vec<(Time, SocketAddr, Vec<u8>)>,
    /// SIP messages that came.
    pub messages: Vec<String>,
    call_id: String,
    to: String,
    cseq: u32,
    seen: usize,
    sequence: u16,
    version: u32,
}

/// The value of a header field.
pub(super) fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

/// An answer to a request, which is text as well.
pub(super) fn answer_to(request: &str, status: &str, fields: &str, body: &str) -> String {
    let vias: String =
        request.lines().filter(|line| line.starts_with("Via: ")).map(|via| format!("{via}\r\n")).collect();
    let to = field(request, "To");
    let to = if to.contains(";tag=") { to.to_owned() } else { format!("{to};tag=hand") };
    format!(
        "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        field(request, "From"),
        field(request, "Call-ID"),
        field(request, "CSeq"),
        body.len()
    )
}

impl Hand {
    pub(super) fn new(ip: IpAddr) -> Hand {
        let rtp = SocketAddr::new(ip, 40_000);
        Hand {
            sip: SocketAddr::new(ip, SIP_PORT),
            rtp,
            media: Media { said: rtp, direction: "sendrecv" },
            hums: Some(1000.0),
            server_rtp: None,
            late: false,
            heard: Vec::new(),
            messages: Vec::new(),
            call_id: format!("hand-{ip}"),
            to: "<sip:100@10.0.0.1>".into(),
            cseq: 0,
            seen: 0,
            sequence: 0,
            version: 0,
        }
    }

    pub(super) fn sdp(&mut self) -> String {
        self.version += 1;
        let Media { said, direction } = &self.media;
        format!(
            "v=0\r\no=- 1 {} IN IP4 {}\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\nm=audio {} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n",
            self.version,
            said.ip(),
            said.ip(),
            said.port()
        )
    }

    /// A request, within the dialog where there is one.
    pub(super) fn request(&mut self, world: &mut World, method: &str, fields: &str, body: &str) {
        if method != "ACK" {
            self.cseq += 1;
        }
        let text = format!(
            "{method} sip:100@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{method}{}\r\nMax-Forwards: 70\r\nFrom: <sip:hand@{}>;tag=hand\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\nContact: <sip:hand@{}>\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            self.sip,
            self.cseq,
            self.sip.ip(),
            self.to,
            self.call_id,
            self.cseq,
            self.sip,
            body.len()
        );
        let to = SocketAddr::new(SERVER, SIP_PORT);
        world.net.send(world.now, Datagram::udp(self.sip, to, text.into_bytes()));
    }

    /// INVITE, with an offer of what [`Hand::media`] says.
    pub(super) fn invite(&mut self, world: &mut World) {
        if self.late {
            return self.request(world, "INVITE", "", "");
        }
        let body = self.sdp();
        self.request(world, "INVITE", "Content-Type: application/sdp\r\n", &body);
    }

    /// Let time pass: send RTP every 20 ms, acknowledge, take what comes.
    pub(super) fn run(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            self.hum(world);
            world.run_for(Duration::from_millis(20));
            self.take(world);
        }
    }

    fn hum(&mut self, world: &mut World) {
        let (Some(tone), Some(to)) = (self.hums, self.server_rtp) else { return };
        let at = f64::from(self.sequence) * 160.0;
        let wave = |n: i32| (8000.0 * (2.0 * std::f64::consts::PI * tone * (at + f64::from(n)) / 8000.0).sin()) as i16;
        let samples: Vec<i16> = (0..160).map(wave).collect();
        let mut payload = vec![0; 160];
        g711::encode_ulaw(&samples, &mut payload);
        let packet = rtp(0, self.sequence, u32::from(self.sequence) * 160, false, &payload);
        self.sequence += 1;
        world.net.send(world.now, Datagram::udp(self.rtp, to, packet));
    }

    /// The RFC 4733 packets of one key, 100 ms long, beside the audio.
    pub(super) fn event(&mut self, world: &mut World, key: u8, keep: impl Fn(usize) -> bool) {
        let Some(to) = self.server_rtp else { return };
        let stamp = u32::from(self.sequence) * 160;
        for n in 0..8usize {
            let length = (n.min(5) as u16 + 1) * 160;
            let end = if n >= 5 { 0x8a } else { 0x0a };
            let [high, low] = length.to_be_bytes();
            let packet = rtp(101, self.sequence, stamp, n == 0, &[key, end, high, low]);
            self.sequence += 1;
            if keep(n) {
                world.net.send(world.now, Datagram::udp(self.rtp, to, packet));
            }
            world.run_for(Duration::from_millis(20));
            self.take(world);
        }
    }

    fn take(&mut self, world: &mut World) {
        let new: Vec<_> = world.wire()[self.seen..].to_vec();
        self.seen += new.len();
        for (at, datagram) in new {
            if datagram.to == self.sip {
                self.read(world, String::from_utf8_lossy(&datagram.bytes).into_owned());
            } else if datagram.to.ip() == self.rtp.ip() || datagram.to == self.media.said {
                self.heard.push((at, datagram.to, datagram.bytes));
            }
        }
    }

    fn read(&mut self, world: &mut World, text: String) {
        let body = text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
        if let Some(line) = body.lines().find_map(|line| line.strip_prefix("m=audio ")) {
            let port = line.split(' ').next().and_then(|port| port.parse().ok()).unwrap_or(0);
            self.server_rtp = Some(SocketAddr::new(SERVER, port));
        }
        if text.starts_with("BYE ") {
            let answer = answer_to(&text, "200 OK", "", "");
            let to = SocketAddr::new(SERVER, SIP_PORT);
            world.net.send(world.now, Datagram::udp(self.sip, to, answer.into_bytes()));
        } else if text.starts_with("SIP/2.0 2") && field(&text, "CSeq").ends_with("INVITE") {
            self.to = field(&text, "To").to_owned();
            // A late offer gets its answer here.
            let answer = if self.late { self.sdp() } else { String::new() };
            let fields = if self.late { "Content-Type: application/sdp\r\n" } else { "" };
            self.request(world, "ACK", fields, &answer);
        }
        self.messages.push(text);
    }

    /// The RTP audio that was heard at `place`, decoded, since `from`.
    pub(super) fn audio(&self, place: SocketAddr, from: Time) -> Vec<(Time, Vec<i16>)> {
        let audio = |(at, to, bytes): &(Time, SocketAddr, Vec<u8>)| {
            (*to == place && *at >= from && bytes.len() > 12 && bytes[1] & 0x7f == 0).then(|| {
                let mut samples = vec![0; bytes.len() - 12];
                g711::decode_ulaw(&bytes[12..], &mut samples);
                (*at, samples)
            })
        };
        self.heard.iter().filter_map(audio).collect()
    }

    /// The body of the last answer to an INVITE.
    pub(super) fn last_answer(&self) -> &str {
        let answers = self.messages.iter().rev();
        answers
            .filter(|text| text.starts_with("SIP/2.0 2"))
            .find_map(|text| text.split("\r\n\r\n").nth(1).filter(|b| !b.is_empty()))
            .unwrap_or_default()
    }

    /// The first line of the last answer.
    pub(super) fn last_status(&self) -> &str {
        let last = self.messages.iter().rev().find(|text| text.starts_with("SIP/2.0"));
        last.and_then(|text| text.lines().next()).unwrap_or_default()
    }
}

/// An RTP packet.
pub(super) fn rtp(kind: u8, sequence: u16, stamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, kind | if marker { 0x80 } else { 0 }];
    packet.extend(sequence.to_be_bytes());
    packet.extend(stamp.to_be_bytes());
    packet.extend(0x1234_5678u32.to_be_bytes());
    packet.extend(payload);
    packet
}
