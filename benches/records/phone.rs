//! SIP by hand, for who calls and who is called: messages made and read as text.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
};

use crate::shared::{Failure, header, response};

pub struct Phone {
    pub socket: UdpSocket,
    /// Where its SDP says that audio goes.
    pub audio: SocketAddr,
    buffer: Vec<u8>,
}

/// What a phone took.
pub enum Took {
    Nothing,
    /// An INVITE, which it answered.
    Invite,
    Other,
}

impl Phone {
    pub fn new(audio: SocketAddr) -> Result<Phone, Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        Ok(Phone { socket, audio, buffer: vec![0; 65_536] })
    }

    fn sdp(&self) -> String {
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n\
             a=rtpmap:0 PCMU/8000\r\n",
            self.audio.port()
        )
    }

    /// Call `number` at `server`; `index` tells this phone's calls apart.
    pub fn call(&self, server: SocketAddr, number: &str, index: usize) -> Result<(), Failure> {
        let (me, sdp) = (self.socket.local_addr()?, self.sdp());
        let text = format!(
            "INVITE sip:{number}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKi{index}\r\nMax-Forwards: 70\r\n\
             From: <sip:bench@{me}>;tag=f{index}\r\nTo: <sip:{number}@{server}>\r\nCall-ID: {index}-{me}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:bench@{me}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.socket.send_to(text.as_bytes(), server)?;
        Ok(())
    }

    /// Take one message, and answer as a phone does that answers at once.
    pub fn take(&mut self) -> Result<Took, Failure> {
        let (length, from) = match self.socket.recv_from(&mut self.buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Took::Nothing),
            Err(error) => return Err(error.into()),
        };
        let text = String::from_utf8_lossy(&self.buffer[..length]).into_owned();
        let me = self.socket.local_addr()?;
        if text.starts_with("INVITE ") {
            let contact = format!("Contact: <sip:bench@{me}>\r\n");
            self.socket.send_to(response(&text, ";tag=callee", &contact, &self.sdp()).as_bytes(), from)?;
            return Ok(Took::Invite);
        }
        if text.starts_with("BYE ") {
            self.socket.send_to(response(&text, "", "", "").as_bytes(), from)?;
        } else if text.starts_with("SIP/2.0 200") && header(&text, "CSeq").ends_with("INVITE") {
            let contact = header(&text, "Contact").split(['<', '>']).nth(1).unwrap_or_default();
            let call = header(&text, "Call-ID");
            let ack = format!(
                "ACK {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKa{call}\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
                 To: {}\r\nCall-ID: {call}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
                header(&text, "From"),
                header(&text, "To"),
            );
            self.socket.send_to(ack.as_bytes(), from)?;
        }
        Ok(Took::Other)
    }
}
