//! Fax over IP (ITU-T T.38 annex D): an m-line `image` over UDPTL, whose attributes are a matter between the two fax
//! machines. What each says of itself is told to the other as it stands, with our address in the place of its own.

use std::net::{IpAddr, SocketAddr};

use super::{
    Agreed, Direction, Local, Media, Refusal, Session,
    negotiate::{refused, usable},
    offer, shown,
};
use crate::codec::OpusWish;

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
        self.has_fax() && !self.media.iter().any(audio)
    }

    /// It has a line for a fax, be there audio beside it or not.
    pub fn has_fax(&self) -> bool {
        self.media.iter().any(Media::is_fax)
    }
}

impl Media {
    pub(super) fn is_fax(&self) -> bool {
        self.is_place_of_fax() && self.port != 0
    }

    /// The line is for a fax, though there may be none.
    fn is_place_of_fax(&self) -> bool {
        let is = |text: &str, known: &str| text.eq_ignore_ascii_case(known);
        let t38 = self.formats.iter().any(|format| is(format, "t38"));
        is(&self.kind, "image") && is(&self.protocol, "udptl") && t38
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
    /// What there is where a session begins with a fax, by `ours`, our description of it: no audio, but a line in which
    /// it may come.
    pub fn of_fax(ours: &Session, theirs: &Fax, local: &Local) -> Agreed {
        let mut lines: Vec<Media> = ours.media.iter().map(refused).collect();
        let audio = lines.iter().position(Media::is_audio);
        let media_index = audio.or_else(|| lines.iter().position(Media::is_place_of_fax)).unwrap_or_default();
        if audio.is_none()
            && let Some(line) = lines.get_mut(media_index)
        {
            *line = refused(&local.audio("RTP/AVP", &[]));
        }
        Agreed {
            remote: Some(theirs.remote),
            remote_rtcp: None,
            send: None,
            receive: Vec::new(),
            foreign: Vec::new(),
            send_digits: None,
            receive_digits: Vec::new(),
            comfort: None,
            send_comfort: None,
            opus: OpusWish::default(),
            ptime: local.ptime,
            longest: None,
            direction: Direction::Inactive,
            protection: None,
            media_index,
            lines,
            why: "a fax, no audio".to_owned(),
        }
    }

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

/// Our first offer, where another party offers a fax, and says `other` of its own; `alone`: without audio. A line beside
/// audio has its port: who takes both is asked to choose, by a re-INVITE without the fax.
pub fn fax_invitation(other: &Fax, local: &Local, alone: bool) -> Session {
    let audio = if alone { Vec::new() } else { offer(local).media };
    local.session(audio.into_iter().chain([other.line(local)]).collect())
}

/// Our offer of a fax within a session, in the line that it has or had, else in the place of its audio (RFC 3264 section
/// 8.3.3); `other` is what the other party says of its own.
pub fn fax_offer(agreed: &Agreed, other: &Fax, local: &Local) -> Session {
    let mut lines: Vec<Media> = agreed.lines.iter().map(refused).collect();
    let at = lines.iter().position(Media::is_place_of_fax).unwrap_or(agreed.media_index);
    match lines.get_mut(at) {
        Some(line) => *line = other.line(local),
        None => lines.push(other.line(local)),
    }
    local.session(lines)
}
