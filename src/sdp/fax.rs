//! Fax over IP (ITU-T T.38 annex D): an m-line `image` over UDPTL, whose attributes are a matter between the two fax
//! machines. What each says of itself is told to the other as it stands, with our address in the place of its own.

use std::net::{IpAddr, SocketAddr};

use super::{
    Agreed, Local, Media, Refusal, Session,
    negotiate::{refused, usable},
    shown,
};

/// Most attributes of a line that are kept, and the most characters of each.
const ATTRIBUTES: usize = 32;
const LENGTH: usize = 128;

/// What a party says of its fax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fax {
    /// Where it receives UDPTL.
    pub remote: SocketAddr,
    attributes: Vec<String>,
}

impl Fax {
    /// What `session`, by a peer that sends to our address `ours`, says of a fax.
    pub fn of(session: &Session, ours: IpAddr) -> Result<Fax, Refusal> {
        let Some(line) = session.media.iter().find(|line| line.is_fax()) else {
            let why = session.media.iter().map(|line| format!("{} with port {}", shown(&line.kind), line.port));
            return Err(Refusal::NoFax { why: why.collect::<Vec<_>>().join(", ") });
        };
        let address = usable(line.connection.as_ref().or(session.connection.as_ref()), ours)?;
        if address.is_unspecified() {
            return Err(Refusal::BadAddress { address: address.to_string() });
        }
        Ok(Fax { remote: SocketAddr::new(address, line.port), attributes: line.fax.clone() })
    }

    /// The line that says the same of us.
    fn line(&self, local: &Local) -> Media {
        Media {
            kind: "image".into(),
            port: local.address.port(),
            protocol: "udptl".into(),
            formats: vec!["t38".into()],
            fax: self.attributes.clone(),
            ..Media::default()
        }
    }
}

impl Session {
    /// It is about a fax: it has a line for that, and none for audio. Where it has both, audio goes on.
    pub fn is_fax(&self) -> bool {
        let audio = |line: &Media| line.is_audio() && line.port != 0;
        self.media.iter().any(Media::is_fax) && !self.media.iter().any(audio)
    }
}

impl Media {
    fn is_fax(&self) -> bool {
        let is = |text: &str, known: &str| text.eq_ignore_ascii_case(known);
        let t38 = self.formats.iter().any(|format| is(format, "t38"));
        is(&self.kind, "image") && is(&self.protocol, "udptl") && t38 && self.port != 0
    }

    /// Keeps an attribute of T.38. False: it is something else.
    pub(super) fn fax_attribute(&mut self, attribute: &str) -> bool {
        let known = self.kind.eq_ignore_ascii_case("image")
            && attribute.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("T38"));
        if known && self.fax.len() < ATTRIBUTES {
            let plain: String = attribute.chars().filter(|c| !c.is_control()).take(LENGTH).collect();
            self.fax.push(plain.trim().to_owned());
        }
        known
    }
}

impl Agreed {
    /// Our description `fax` was about a fax. Its lines stay (RFC 3264 section 8), and audio can come back in its place.
    pub fn keep_lines(&mut self, fax: &Session) {
        let audio = self.lines.get(self.media_index).cloned();
        self.lines = fax.media.iter().map(refused).collect();
        if let (Some(line), Some(audio)) = (self.lines.get_mut(self.media_index), audio) {
            *line = audio;
        }
    }
}

/// Our answer to an `offer` of a fax, where `other` is what the other party says of its own.
pub fn fax_answer(offer: &Session, other: &Fax, local: &Local) -> Session {
    let at = offer.media.iter().position(Media::is_fax);
    let line = |(index, line)| if Some(index) == at { other.line(local) } else { refused(line) };
    local.session(offer.media.iter().enumerate().map(line).collect())
}

/// Our offer of a fax within a session, in the place of its audio (RFC 3264 section 8.3.3); `other` is what the other
/// party says of its own.
pub fn fax_offer(agreed: &Agreed, other: &Fax, local: &Local) -> Session {
    let mut lines: Vec<Media> = agreed.lines.iter().map(refused).collect();
    match lines.get_mut(agreed.media_index) {
        Some(line) => *line = other.line(local),
        None => lines.push(other.line(local)),
    }
    local.session(lines)
}
