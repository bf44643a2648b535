//! Offer and answer: RFC 3264 sections 6 and 7, with the older way of holding (address 0.0.0.0) of RFC 2543.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use thiserror::Error;

use super::{
    DIGITS_CLOCK, Direction, Format, Host, Keying, Local, Media, Payload, Protection, Session, foreign,
    offer::takes_comfort, shown,
};
use crate::codec::{Codec, Digits, OpusWish, Rate};

/// Our packet length where the peer's wish cannot be met, in ms.
const PTIME: u8 = 20;
/// Most names of codecs in a line for people.
const NAMES: usize = 12;

/// What both sides settled on for the one audio stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreed {
    /// Where the peer receives RTP; `None`: it wants none (0.0.0.0).
    pub remote: Option<SocketAddr>,
    /// Where the peer receives RTCP: RFC 3605, else the port above that of RTP.
    pub remote_rtcp: Option<SocketAddr>,
    /// What we send, and under which payload type; absent: nothing that we speak, only `foreign`.
    pub send: Option<(u8, Codec)>,
    /// What may come, dearest first.
    pub receive: Vec<(u8, Codec)>,
    /// Formats that are only passed on, with the numbers under which they are sent; and those under which they come.
    pub foreign: Vec<(Format, u8)>,
    /// telephone-event as we send it: at the clock of what we send, or at 8 kHz.
    pub send_digits: Option<Digits>,
    /// telephone-event as it may come.
    pub receive_digits: Vec<Digits>,
    /// Payload type of comfort noise (RFC 3389), both ways.
    pub comfort: Option<u8>,
    /// The same, where we send it in the place of silence.
    pub send_comfort: Option<u8>,
    /// What the peer told about Opus.
    pub opus: OpusWish,
    /// Length of the packets that we send, in ms: 10 to 60, a multiple of 10.
    pub ptime: u8,
    /// The longest packet that the peer takes, in ms (`a=maxptime`), where it says so.
    pub longest: Option<u8>,
    /// What we do.
    pub direction: Direction,
    /// How it is encrypted, where it is.
    pub protection: Option<Protection>,
    /// Which m-line it is, from 0.
    pub media_index: usize,
    /// The m-lines of our own description, for [`super::reoffer`].
    pub lines: Vec<Media>,
    /// For people, in one line: what was chosen and why, and what was refused.
    pub why: String,
}

/// Why there is nothing to agree on; for a 488, its Warning header and the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No m-line is audio in a profile that we speak.
    #[error("no audio over plain RTP: {why}")]
    NoAudio {
        /// Each m-line with what is wrong about it.
        why: String,
    },
    /// There is audio, but none that we can decode.
    #[error("no common codec: {offered} offered")]
    NoCommonCodec {
        /// Names of what the peer speaks.
        offered: String,
    },
    /// There is audio, but it is not encrypted as it has to be.
    #[error("{why}")]
    Security {
        /// What is missing.
        why: String,
    },
    /// There is no fax.
    #[error("no fax over UDPTL: {why}")]
    NoFax {
        /// What is there.
        why: String,
    },
    /// No address to send to.
    #[error("the connection address cannot be used: {address}")]
    BadAddress {
        /// As it was given.
        address: String,
    },
    /// IPv6 on one side and IPv4 on the other.
    #[error("media is at {theirs}, ours at {ours}: not the same IP version")]
    OtherFamily {
        /// The peer's.
        theirs: IpAddr,
        /// Ours.
        ours: IpAddr,
    },
}

/// Our answer to `offer`. The first audio line with a common codec is taken, every other line is refused with port 0.
pub fn answer(offer: &Session, local: &Local) -> Result<(Session, Agreed), Refusal> {
    let judged: Vec<Result<(), String>> = judge(offer, local);
    let Some(media_index) = judged.iter().position(Result::is_ok) else {
        return Err(unprotected(offer, local).unwrap_or_else(|| no_line(&offer.media, &judged)));
    };
    let theirs = &offer.media[media_index];
    let common = Common::of(theirs, &local.codecs, &local.relayed);
    let remote = Remote::of(offer, theirs, local)?;
    let protection = local.security.judge(offer, theirs).expect("the line was judged before");
    let ptime = ptime(theirs, local.ptime);
    let direction = remote.direction.reversed().and(local.direction);

    // The peer's numbers serve both ways, which spares everyone a second table (RFC 3264 section 6.1).
    let mut audio = local.audio(&theirs.protocol, &common.codecs);
    audio.take_formats(&common.formats);
    audio.take_digits(&common.digits);
    audio.take_comfort(common.comfort);
    audio.ptime = Some(ptime.into());
    audio.direction = Some(direction);
    let offered = theirs.keying.with(&offer.keying);
    audio.keying = local.security.answered(&offered, protection.as_ref(), local);
    let mut lines: Vec<Media> = offer.media.iter().map(refused).collect();
    lines[media_index] = audio;

    let agreed = Agreed {
        remote: remote.rtp,
        remote_rtcp: remote.rtcp,
        send: common.codecs.first().copied(),
        receive: common.codecs.clone(),
        foreign: common.formats.iter().map(|format| (format.clone(), format.number)).collect(),
        send_digits: common.sent_digits(),
        receive_digits: common.digits.clone(),
        comfort: common.comfort,
        send_comfort: common.sent_comfort(local),
        opus: common.opus,
        ptime,
        longest: longest(theirs),
        direction,
        why: why(&common, ptime, direction, &judged, protection.as_ref()),
        protection,
        media_index,
        lines: lines.clone(),
    };
    Ok((local.session(lines), agreed))
}

/// What `answer` makes of our `offer`.
pub fn accept(offer: &Session, answer: &Session, local: &Local) -> Result<Agreed, Refusal> {
    let ours = offer.media.iter().position(|media| media.is_audio() && media.port != 0);
    let Some((media_index, theirs)) = ours.and_then(|at| Some((at, answer.media.get(at)?))) else {
        return Err(Refusal::NoAudio { why: "the answer has no line for it".into() });
    };
    let ours = &offer.media[media_index];
    let relayed: Vec<String> =
        local.formats.iter().map(|format| format.name.clone()).chain(local.relayed.iter().cloned()).collect();
    let offered = Common::of(ours, &local.codecs, &relayed);
    let offered_codecs: Vec<Codec> = offered.codecs.iter().map(|(_, codec)| *codec).collect();
    let names: Vec<String> = offered.formats.iter().map(|format| format.name.clone()).collect();
    if let Err(why) = fits(theirs, &offered_codecs, &names) {
        return Err(no_line(std::slice::from_ref(theirs), &[Err(why)]));
    }
    let common = Common::of(theirs, &offered_codecs, &names);
    if theirs.is_secure() && ours.keying == Keying::default() {
        let why = format!("audio over {}", shown(&theirs.protocol));
        return Err(no_line(std::slice::from_ref(theirs), &[Err(why)]));
    }
    let protection = local.security.accept(ours, answer, theirs).map_err(|why| Refusal::Security { why })?;
    let remote = Remote::of(answer, theirs, local)?;
    let ptime = ptime(theirs, local.ptime);
    let direction = ours.direction.or(offer.direction).unwrap_or_default().and(remote.direction.reversed());

    // What comes bears the numbers of our offer, what goes those of the answer.
    let number = |codec| offered.codecs.iter().find(|(_, had)| *had == codec).copied();
    let receive = common.codecs.iter().filter_map(|(_, codec)| number(*codec)).collect();
    let both = |digits: &Digits| common.digits.iter().any(|theirs| theirs.clock == digits.clock);
    let receive_digits = offered.digits.iter().copied().filter(both).collect();
    let mut lines: Vec<Media> = offer.media.clone();
    for (at, line) in lines.iter_mut().enumerate() {
        if at != media_index {
            *line = refused(line);
        }
    }
    Ok(Agreed {
        remote: remote.rtp,
        remote_rtcp: remote.rtcp,
        send: common.codecs.first().copied(),
        receive,
        foreign: foreign::matched(common.formats.clone(), &offered.formats),
        send_digits: common.sent_digits().filter(|digits| offered.digits.iter().any(|ours| ours.clock == digits.clock)),
        receive_digits,
        comfort: common.comfort.filter(|number| offered.comfort == Some(*number)),
        send_comfort: common.sent_comfort(local).filter(|number| offered.comfort == Some(*number)),
        opus: common.opus,
        ptime,
        longest: longest(theirs),
        direction,
        why: why(&common, ptime, direction, &[], protection.as_ref()),
        protection,
        media_index,
        lines,
    })
}

/// For each line whether it is taken; at most one is.
fn judge(offer: &Session, local: &Local) -> Vec<Result<(), String>> {
    let mut had_one = false;
    let judge = |line: &Media| {
        fits(line, &local.codecs, &local.relayed)?;
        local.security.judge(offer, line)?;
        if std::mem::replace(&mut had_one, true) { Err("a second audio".to_owned()) } else { Ok(()) }
    };
    offer.media.iter().map(judge).collect()
}

/// Whether encryption is all that keeps a line from being taken.
fn unprotected(offer: &Session, local: &Local) -> Option<Refusal> {
    let fitting = offer.media.iter().filter(|line| fits(line, &local.codecs, &local.relayed).is_ok());
    let why = fitting.filter(|line| line.is_plain_rtp() || local.security.policy != super::Policy::Off);
    why.filter_map(|line| local.security.judge(offer, line).err()).next().map(|why| Refusal::Security { why })
}

fn fits(line: &Media, codecs: &[Codec], relayed: &[String]) -> Result<(), String> {
    if !line.is_audio() {
        return Err(shown(&line.kind));
    }
    if line.port == 0 {
        return Err("audio with port 0".into());
    }
    if !line.is_plain_rtp() && !line.is_secure() {
        return Err(format!("audio over {}", shown(&line.protocol)));
    }
    let common = Common::of(line, codecs, relayed);
    if common.codecs.is_empty() && common.formats.is_empty() {
        return Err(format!("audio without a codec of ours: {}", names(line)));
    }
    Ok(())
}

/// Why none of `media` was taken.
fn no_line(media: &[Media], judged: &[Result<(), String>]) -> Refusal {
    let audio = media.iter().find(|line| line.is_audio() && line.port != 0 && line.is_plain_rtp());
    match audio {
        Some(audio) => Refusal::NoCommonCodec { offered: names(audio) },
        None if media.is_empty() => Refusal::NoAudio { why: "there is no m-line".into() },
        None => Refusal::NoAudio { why: refusals(judged) },
    }
}

pub(super) fn refused(line: &Media) -> Media {
    let mut formats = line.formats.clone();
    if formats.is_empty() {
        formats.push("0".into()); // the grammar asks for one
    }
    let keying = Keying { mid: line.keying.mid.clone(), ..Keying::default() };
    Media { kind: line.kind.clone(), protocol: line.protocol.clone(), formats, keying, ..Media::default() }
}

/// What an m-line and we have in common, under its numbers and in its order.
struct Common {
    codecs: Vec<(u8, Codec)>,
    /// What is only passed on; empty where there is a codec.
    formats: Vec<Format>,
    /// One for each clock.
    digits: Vec<Digits>,
    comfort: Option<u8>,
    opus: OpusWish,
    /// Names of all that the line has.
    names: String,
}

impl Common {
    fn of(line: &Media, ours: &[Codec], relayed: &[String]) -> Common {
        let (opus, names) = (OpusWish::default(), names(line));
        let mut common = Common { codecs: vec![], formats: vec![], digits: vec![], comfort: None, opus, names };
        for (number, payload) in line.payloads() {
            match payload {
                Payload::Codec(codec) if ours.contains(&codec) => {
                    if common.codecs.iter().all(|(n, had)| *had != codec && *n != number) {
                        common.codecs.push((number, codec));
                    }
                    if codec == Codec::Opus {
                        common.opus = opus_wish(line.parameters.get(&number).map_or("", String::as_str));
                    }
                }
                Payload::Digits(clock)
                    if common.digits.iter().all(|had| had.clock != clock && had.number != number) =>
                {
                    common.digits.push(Digits { number, clock });
                }
                Payload::Comfort => common.comfort = common.comfort.or(Some(number)),
                Payload::Digits(_) | Payload::Codec(_) | Payload::Other(_) => {}
            }
        }
        if common.codecs.is_empty() {
            common.formats = line.foreign(relayed);
        }
        let Common { codecs, digits, .. } = &mut common;
        digits.retain(|digits| {
            digits.clock == DIGITS_CLOCK || codecs.iter().any(|(_, codec)| codec.clock() == digits.clock)
        });
        common
    }

    /// Comfort noise that we send in the place of silence, where we may.
    fn sent_comfort(&self, local: &Local) -> Option<u8> {
        let (_, codec) = self.codecs.first()?;
        self.comfort.filter(|_| local.comfort && takes_comfort(*codec))
    }

    /// Of the digits, those at the clock of what is sent (RFC 4733 section 2.1), or any.
    fn sent_digits(&self) -> Option<Digits> {
        let clock = self.codecs.first().map(|(_, codec)| codec.clock());
        let fitting = self.digits.iter().find(|digits| Some(digits.clock) == clock);
        fitting.or_else(|| self.digits.iter().find(|digits| digits.clock == DIGITS_CLOCK)).copied()
    }
}

/// What `a=fmtp` of Opus says about what its maker wants to get (RFC 7587 section 6.1).
fn opus_wish(parameters: &str) -> OpusWish {
    let mut wish = OpusWish::default();
    for parameter in parameters.split(';') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let number: Option<u32> = value.trim().parse().ok();
        match name.trim().to_ascii_lowercase().as_str() {
            "useinbandfec" => wish.fec = number == Some(1),
            "usedtx" => wish.dtx = number == Some(1),
            "maxaveragebitrate" => wish.bitrate = number,
            "maxplaybackrate" => {
                let fits = |rate: &Rate| number.is_some_and(|number| rate.hz() <= number);
                wish.rate = Rate::ALL.into_iter().rfind(fits).unwrap_or_default();
            }
            _ => {}
        }
    }
    wish
}

/// The names of what a line offers, digits left out.
fn names(line: &Media) -> String {
    let mut names: Vec<String> = vec![];
    for (_, payload) in line.payloads() {
        let name = match payload {
            Payload::Codec(codec) => codec.word().to_owned(),
            Payload::Other(name) => name,
            Payload::Comfort => "CN".to_owned(),
            Payload::Digits(_) => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() > NAMES {
        names.truncate(NAMES);
        names.push("...".into());
    }
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// Where the peer is, and what it does.
struct Remote {
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
    direction: Direction,
}

impl Remote {
    fn of(session: &Session, line: &Media, local: &Local) -> Result<Remote, Refusal> {
        let direction = line.direction.or(session.direction).unwrap_or_default();
        let host = line.connection.as_ref().or(session.connection.as_ref());
        if line.keying.with(&session.keying).has_ice() {
            // Where packets go, the checks will tell. What stands here is often no address at all, or of the other family.
            let address = usable(host, local.address.ip()).unwrap_or_else(|_| local.nowhere());
            let rtp = Some(SocketAddr::new(address, line.port));
            return Ok(Remote { rtp, rtcp: rtp, direction });
        }
        let address = usable(host, local.address.ip())?;
        if address.is_unspecified() {
            // RFC 3264 section 8.4: the older way of saying "send me nothing".
            let direction = Direction::new(direction.sends(), false);
            return Ok(Remote { rtp: None, rtcp: None, direction });
        }
        let rtcp = match &line.rtcp {
            None => line.port.checked_add(1).map(|port| (address, port)),
            Some((0, _)) => None,
            Some((port, None)) => Some((address, *port)),
            // An address that cannot be used costs reports, not the call.
            Some((port, host)) => usable(host.as_ref(), local.address.ip()).ok().map(|address| (address, *port)),
        };
        let rtcp = rtcp.filter(|(address, _)| !address.is_unspecified()).map(SocketAddr::from);
        Ok(Remote { rtp: Some(SocketAddr::new(address, line.port)), rtcp, direction })
    }
}

/// An address that we may and can send to, or 0.0.0.0.
pub(super) fn usable(host: Option<&Host>, ours: IpAddr) -> Result<IpAddr, Refusal> {
    let bad = |address: String| Err(Refusal::BadAddress { address });
    let address = match host {
        None => return bad("none".into()),
        Some(Host::Name(name)) => return bad(shown(name)),
        Some(Host::Address(address)) => address.to_canonical(),
    };
    // Groups would multiply what we send.
    if address.is_multicast() || address == Ipv4Addr::BROADCAST {
        return bad(address.to_string());
    }
    let ours = ours.to_canonical();
    if address.is_ipv4() != ours.is_ipv4() && !address.is_unspecified() {
        return Err(Refusal::OtherFamily { theirs: address, ours });
    }
    Ok(address)
}

/// The length of our packets in ms: the peer's wish, if it is one that we can send, but never above its limit.
fn ptime(line: &Media, ours: u8) -> u8 {
    let possible = |ms: u16| (10..=60).contains(&ms) && ms.is_multiple_of(10);
    let wish = match line.ptime {
        None => u16::from(ours),
        Some(ms) => ms,
    };
    let wish = if possible(wish) { wish } else { PTIME.into() };
    let limit = line.maxptime.map_or(60, |ms| ms / 10 * 10).max(10);
    wish.min(limit) as u8
}

/// The longest packet that the peer takes, in ms, but no less than the shortest that we can send.
fn longest(line: &Media) -> Option<u8> {
    line.maxptime.map(|ms| ms.clamp(10, u8::MAX.into()) as u8)
}

fn why(
    common: &Common,
    ptime: u8,
    direction: Direction,
    judged: &[Result<(), String>],
    protection: Option<&Protection>,
) -> String {
    let mut why = match (common.codecs.first(), common.formats.first()) {
        (Some((number, codec)), _) => format!("{codec} under {number}, the first we speak of {}; ", common.names),
        (None, Some(format)) => {
            format!("{} under {}, only passed on, of {}; ", shown(&format.name), format.number, common.names)
        }
        (None, None) => String::new(),
    };
    // Writing to a string cannot fail.
    let _ = match common.sent_digits() {
        Some(Digits { number, clock: DIGITS_CLOCK }) => write!(why, "digits under {number}; "),
        Some(Digits { number, clock }) => write!(why, "digits under {number} at {clock} Hz; "),
        None => write!(why, "no digits; "),
    };
    let _ = write!(why, "{ptime} ms, we {}", direction.name());
    if let Some(protection) = protection {
        let _ = write!(why, "; encrypted with {protection}");
    }
    if judged.iter().any(Result::is_err) {
        let _ = write!(why, "; refused: {}", refusals(judged));
    }
    why
}

fn refusals(judged: &[Result<(), String>]) -> String {
    let said = judged.iter().enumerate().filter_map(|(at, judged)| {
        let reason = judged.as_ref().err()?;
        Some(format!("m-line {} ({reason})", at + 1))
    });
    said.collect::<Vec<_>>().join(", ")
}
