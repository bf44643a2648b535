//! The attributes that say how a stream is encrypted and where it may be reached: `a=crypto` (RFC 4568),
//! `a=fingerprint` (RFC 8122), `a=setup` (RFC 4145), `a=rtcp-mux` (RFC 5761), ICE (RFC 8839), BUNDLE (RFC 9143).

use std::{
    fmt::{self, Formatter},
    net::SocketAddr,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::secure::{Fingerprint, Hash, IceName, Key, Suite};

/// Most lines of one kind that are kept.
const MOST: usize = 16;

/// What an m-line, or the whole session, says about keys and ways.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keying {
    /// `a=crypto`: those that we understand.
    pub crypto: Vec<Crypto>,
    /// `a=fingerprint`: those with a hash that we know.
    pub fingerprints: Vec<Fingerprint>,
    /// `a=setup`: who begins the DTLS handshake.
    pub setup: Option<Setup>,
    /// `a=ice-ufrag` and `a=ice-pwd`.
    pub ice: IceName,
    /// `a=ice-lite`, of a session.
    pub lite: bool,
    /// `a=rtcp-mux`: RTP and RTCP share a port.
    pub mux: bool,
    /// `a=mid`, of an m-line.
    pub mid: Option<String>,
    /// `a=group:BUNDLE`, of a session: the names behind it.
    pub bundle: Option<String>,
    /// Our one ICE candidate. Those of peers are not read: they come to us.
    pub candidate: Option<SocketAddr>,
}

/// One `a=crypto` line with one key, without parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Crypto {
    /// Names it in the answer.
    pub tag: u32,
    /// What its maker encrypts with.
    pub key: Key,
}

/// Who begins the DTLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The maker of the description does.
    Active,
    /// The other side does.
    Passive,
    /// The other side may choose.
    ActPass,
}

impl Setup {
    const ALL: [Setup; 3] = [Setup::Active, Setup::Passive, Setup::ActPass];

    const fn name(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
        }
    }
}

impl Keying {
    /// Reads one attribute. False: it is about something else.
    pub(super) fn attribute(&mut self, name: &str, value: &str) -> bool {
        match name {
            "crypto" => self.crypto.extend(Crypto::parse(value).filter(|_| self.crypto.len() < MOST)),
            "fingerprint" => self.fingerprints.extend(fingerprint(value).filter(|_| self.fingerprints.len() < MOST)),
            "setup" => self.setup = Setup::ALL.into_iter().find(|s| s.name() == value).or(self.setup),
            "ice-ufrag" if is_word(value, 4) => self.ice.user = value.to_owned(),
            "ice-pwd" if is_word(value, 22) => self.ice.password = value.to_owned(),
            "ice-ufrag" | "ice-pwd" => {}
            "ice-lite" => self.lite = true,
            "rtcp-mux" => self.mux = true,
            "mid" if is_word(value, 1) => self.mid = Some(value.to_owned()),
            "group" => {
                let names = value.strip_prefix("BUNDLE ").map(str::trim);
                let plain = |names: &&str| names.split(' ').all(|name| is_word(name, 1));
                self.bundle = names.filter(plain).map(str::to_owned).or(self.bundle.take());
            }
            _ => return false,
        }
        true
    }

    /// Both halves of the ICE name are there.
    pub(super) fn has_ice(&self) -> bool {
        !self.ice.user.is_empty() && !self.ice.password.is_empty()
    }

    pub(super) fn print(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(names) = &self.bundle {
            write!(f, "a=group:BUNDLE {names}\r\n")?;
        }
        if self.lite {
            write!(f, "a=ice-lite\r\n")?;
        }
        if let Some(mid) = &self.mid {
            write!(f, "a=mid:{mid}\r\n")?;
        }
        if !self.ice.user.is_empty() {
            write!(f, "a=ice-ufrag:{}\r\n", self.ice.user)?;
        }
        if !self.ice.password.is_empty() {
            write!(f, "a=ice-pwd:{}\r\n", self.ice.password)?;
        }
        if let Some(at) = self.candidate {
            // The priority of a host's only candidate (RFC 8445 section 5.1.2.1).
            write!(f, "a=candidate:1 1 UDP 2130706431 {} {} typ host\r\n", at.ip(), at.port())?;
            write!(f, "a=end-of-candidates\r\n")?;
        }
        for Crypto { tag, key } in &self.crypto {
            write!(f, "a=crypto:{tag} {} inline:{}\r\n", key.suite().name(), STANDARD.encode(key.both()))?;
        }
        for Fingerprint { hash, bytes } in &self.fingerprints {
            write!(f, "a=fingerprint:{} ", hash.name())?;
            for (at, byte) in bytes.iter().enumerate() {
                write!(f, "{}{byte:02X}", if at == 0 { "" } else { ":" })?;
            }
            write!(f, "\r\n")?;
        }
        if let Some(setup) = self.setup {
            write!(f, "a=setup:{}\r\n", setup.name())?;
        }
        if self.mux {
            write!(f, "a=rtcp-mux\r\n")?;
        }
        Ok(())
    }
}

impl Crypto {
    /// `1 AES_CM_128_HMAC_SHA1_80 inline:PS1u...|2^20`. None: a suite, or a way of using it, that we do not know.
    fn parse(value: &str) -> Option<Crypto> {
        let mut words = value.split_whitespace();
        let tag = words.next()?.parse().ok()?;
        let suite = Suite::from_name(words.next()?)?;
        let mut parts = words.next()?.strip_prefix("inline:")?.split('|');
        let bytes = STANDARD.decode(parts.next()?).ok()?;
        // A lifetime changes nothing for us. An identifier of the key would stand in each packet; a second key, or a
        // parameter of the session, would change the packets in another way.
        let plain = parts.all(|part| !part.contains([':', ';']));
        let alone = words.all(|word| word.starts_with("WSH="));
        Some(Crypto { tag, key: Key::new(suite, &bytes)? }).filter(|_| plain && alone)
    }
}

/// `sha-256 4A:AD:...`.
fn fingerprint(value: &str) -> Option<Fingerprint> {
    let (name, digits) = value.split_once(' ')?;
    let hash = Hash::ALL.into_iter().find(|hash| hash.name().eq_ignore_ascii_case(name))?;
    let one = |two: &str| u8::from_str_radix(two, 16).ok().filter(|_| two.len() == 2);
    let bytes = digits.trim().split(':').map(one).collect::<Option<Vec<_>>>()?;
    (bytes.len() == hash.bytes()).then_some(Fingerprint { hash, bytes })
}

/// Printable, and neither too short nor too long.
fn is_word(value: &str, least: usize) -> bool {
    (least..=256).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
}
