//! Whether a stream is encrypted, and with what: what we propose, and what we make of what the peer proposes.
//!
//! ```text
//! RTP/AVP                nothing, or a=crypto that the other side may take up (RFC 8643)
//! RTP/SAVP(F)            a=crypto (RFC 4568), or a=fingerprint
//! UDP/TLS/RTP/SAVP(F)    a=fingerprint (RFC 5764)
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ring::hmac;

use super::{Agreed, Crypto, Keying, Local, Media, Session, Setup};
use crate::secure::{Fingerprint, Hash, IceName, Key, Suite};

/// The suites of our own offers, dearest first.
const OFFERED: [Suite; 4] =
    [Suite::AeadAes256Gcm, Suite::AeadAes128Gcm, Suite::AesCm256Sha1_80, Suite::AesCm128Sha1_80];
/// Name of the one m-line of our offers, where it needs one.
const MID: &str = "0";

/// Whether streams are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Never.
    #[default]
    Off,
    /// Where the peer wants it.
    Optional,
    /// Always: nothing else is agreed on.
    Required,
}

/// What our own offers propose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proposal {
    /// No encryption.
    #[default]
    Plain,
    /// Keys in SDP. Where the policy is not [`Policy::Required`], the peer may leave them.
    Sdes,
    /// Keys from a DTLS handshake.
    Dtls {
        /// The peer is a browser: it wants ICE, too.
        ice: bool,
    },
}

/// From which all keys and names of one call come. Never printed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Our side of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Security {
    /// Whether.
    pub policy: Policy,
    /// How, where we may choose.
    pub proposal: Proposal,
    /// The call's own: so all descriptions of the call name the same keys.
    pub secret: Secret,
    /// SHA-256 of our certificate; absent: no DTLS.
    pub fingerprint: Option<[u8; 32]>,
    /// How often each suite was left for another, by its place in the enum. Each time it gets a new key: counters that
    /// begin anew under an older one would give the same key stream twice (RFC 3711 section 9.1).
    pub left: [u16; Suite::ALL.len()],
    /// Our name and the peer's for ICE, as they were agreed on.
    pub ice: Option<(IceName, IceName)>,
}

/// How the stream that was agreed on is protected.
#[derive(Clone, Debug, PartialEq)]
pub struct Protection {
    /// Where the keys come from.
    pub keys: Keys,
    /// RTCP comes and goes on the port of RTP.
    pub mux: bool,
}

/// Where the keys come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Keys {
    /// From SDP.
    Sdes {
        /// What we encrypt with.
        ours: Key,
        /// What the peer encrypts with.
        theirs: Key,
    },
    /// From a DTLS handshake.
    Dtls {
        /// We begin it.
        active: bool,
        /// The peer's certificate has one of these.
        fingerprints: Vec<Fingerprint>,
        /// Our name and the peer's for ICE, where it is used.
        ice: Option<(IceName, IceName)>,
    },
}

impl Security {
    /// What we make of an offered line. `None`: plain RTP; else why it will not do.
    pub(super) fn judge(&self, offer: &Session, line: &Media) -> Result<Option<Protection>, String> {
        let keying = line.keying.with(&offer.keying);
        let dtls = !keying.fingerprints.is_empty() && self.fingerprint.is_some();
        let sdes = keying.crypto.first().filter(|_| !line.is_dtls());
        match (self.policy, sdes) {
            (Policy::Off, _) if line.is_secure() => Err(format!("audio over {}", super::shown(&line.protocol))),
            (Policy::Off, _) => Ok(None),
            (_, Some(theirs)) => Ok(Some(self.sdes(theirs, keying.mux))),
            (_, None) if dtls => Ok(Some(self.dtls(&keying, keying.setup == Some(Setup::Passive)))),
            (_, None) if line.is_secure() => Err("no key or certificate that we understand".into()),
            (Policy::Required, None) => Err("audio is not encrypted, which is required here".into()),
            (Policy::Optional, None) => Ok(None),
        }
    }

    /// What the line `theirs` of the answer makes of our offered line `ours`.
    pub(super) fn accept(&self, ours: &Media, answer: &Session, theirs: &Media) -> Result<Option<Protection>, String> {
        let keying = theirs.keying.with(&answer.keying);
        let mux = keying.mux && ours.keying.mux;
        let keying = Keying { mux, ..keying };
        let offered = |crypto: &&Crypto| {
            ours.keying.crypto.iter().any(|ours| (ours.tag, ours.key.suite()) == (crypto.tag, crypto.key.suite()))
        };
        if let Some(theirs) = keying.crypto.iter().find(offered) {
            return Ok(Some(self.sdes(theirs, mux)));
        }
        if !ours.keying.fingerprints.is_empty() && !keying.fingerprints.is_empty() {
            let keying = if ours.keying.has_ice() { keying } else { Keying { ice: IceName::default(), ..keying } };
            return Ok(Some(self.dtls(&keying, keying.setup == Some(Setup::Passive))));
        }
        if ours.is_secure() || self.policy == Policy::Required {
            return Err("the answer has no key or certificate that we understand".into());
        }
        Ok(None)
    }

    /// With ICE, packets come from where the checks came from: that needs one port for all.
    fn dtls(&self, theirs: &Keying, active: bool) -> Protection {
        let ice = (theirs.has_ice() && theirs.mux).then(|| (self.ice_for(&theirs.ice), theirs.ice.clone()));
        let fingerprints = theirs.fingerprints.clone();
        Protection { keys: Keys::Dtls { active, fingerprints, ice }, mux: theirs.mux }
    }

    fn sdes(&self, theirs: &Crypto, mux: bool) -> Protection {
        let keys = Keys::Sdes { ours: self.key(theirs.key.suite()), theirs: theirs.key };
        Protection { keys, mux }
    }

    /// What the line of our answer says.
    pub(super) fn answered(&self, offered: &Keying, protection: Option<&Protection>, local: &Local) -> Keying {
        let mut said = Keying { mid: offered.mid.clone(), ..Keying::default() };
        let Some(Protection { keys, mux }) = protection else { return said };
        said.mux = *mux;
        match keys {
            Keys::Sdes { ours, theirs } => {
                let tag = offered.crypto.iter().find(|crypto| crypto.key == *theirs).map_or(1, |crypto| crypto.tag);
                said.crypto.push(Crypto { tag, key: *ours });
            }
            Keys::Dtls { active, ice, .. } => {
                said.fingerprints = self.fingerprints();
                said.setup = Some(if *active { Setup::Active } else { Setup::Passive });
                name_way(&mut said, ice.as_ref().map(|(ours, _)| ours.clone()), local);
            }
        }
        said
    }

    /// What the line of our offer says, beside its protocol. Within a session it goes on as was `agreed`.
    pub(super) fn offered(&self, agreed: Option<&Agreed>, local: &Local) -> (&'static str, Keying) {
        let mut said = Keying::default();
        let before = agreed.map(|agreed| agreed.protection.as_ref());
        let proposal = match before {
            None => self.proposal,
            Some(None) => Proposal::Plain,
            Some(Some(Protection { keys: Keys::Sdes { .. }, .. })) => Proposal::Sdes,
            Some(Some(Protection { keys: Keys::Dtls { ice, .. }, .. })) => Proposal::Dtls { ice: ice.is_some() },
        };
        match proposal {
            _ if self.policy == Policy::Off => ("RTP/AVP", said),
            Proposal::Plain => ("RTP/AVP", said),
            Proposal::Sdes => {
                let used = before.flatten().and_then(|protection| match &protection.keys {
                    Keys::Sdes { ours, .. } => Some(ours.suite()),
                    Keys::Dtls { .. } => None,
                });
                let others = OFFERED.into_iter().filter(|suite| Some(*suite) != used);
                for (tag, suite) in (1..).zip(used.into_iter().chain(others)) {
                    said.crypto.push(Crypto { tag, key: self.key(suite) });
                }
                said.mux = before.flatten().is_some_and(|protection| protection.mux);
                (if self.policy == Policy::Required { "RTP/SAVP" } else { "RTP/AVP" }, said)
            }
            Proposal::Dtls { ice } => {
                said.fingerprints = self.fingerprints();
                said.setup = Some(Setup::ActPass);
                said.mux = true;
                said.mid = ice.then(|| MID.to_owned());
                name_way(&mut said, ice.then(|| self.ice()), local);
                ("UDP/TLS/RTP/SAVPF", said)
            }
        }
    }

    fn fingerprints(&self) -> Vec<Fingerprint> {
        let bytes = self.fingerprint.map(|bytes| bytes.to_vec());
        bytes.map(|bytes| Fingerprint { hash: Hash::Sha256, bytes }).into_iter().collect()
    }

    /// Our name for ICE: the one that was agreed on, as long as the peer has not begun anew.
    pub fn ice(&self) -> IceName {
        self.ice.as_ref().map_or_else(|| self.ice_named("ice"), |(ours, _)| ours.clone())
    }

    /// Who comes with a new name restarts ICE, and gets a new one from us, too (RFC 8839 section 4.4.1.1.1).
    fn ice_for(&self, theirs: &IceName) -> IceName {
        match &self.ice {
            Some((_, had)) if had != theirs => self.ice_named(&format!("ice {} {}", theirs.user, theirs.password)),
            _ => self.ice(),
        }
    }

    fn ice_named(&self, what: &str) -> IceName {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let made = self.derive(what);
        IceName { user: hex(&made[..4]), password: hex(&made[4..20]) }
    }

    /// What we encrypt with.
    fn key(&self, suite: Suite) -> Key {
        let what = match self.left[suite as usize] {
            0 => suite.name().to_owned(),
            left => format!("{} {left}", suite.name()),
        };
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.derive(&what));
        bytes[32..].copy_from_slice(&self.derive(&format!("{what} salt")));
        let wanted = suite.key_bytes() + suite.salt_bytes();
        Key::new(suite, &bytes[..wanted]).expect("so many bytes were cut off")
    }

    fn derive(&self, what: &str) -> [u8; 32] {
        let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.secret.0), what.as_bytes());
        made.as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }
}

fn name_way(said: &mut Keying, ours: Option<IceName>, local: &Local) {
    if let Some(ours) = ours {
        said.ice = ours;
        said.candidate = Some(local.address);
    }
}

impl std::fmt::Display for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.keys {
            Keys::Sdes { ours, .. } => write!(f, "{} by SDES", ours.suite().name())?,
            Keys::Dtls { ice, .. } => write!(f, "DTLS-SRTP{}", if ice.is_some() { " over ICE" } else { "" })?,
        }
        f.write_str(if self.mux { ", RTCP on the same port" } else { "" })
    }
}

impl Local {
    /// No address, of our family.
    pub(super) fn nowhere(&self) -> IpAddr {
        if self.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
    }
}

impl Keying {
    /// What an m-line says, with what the session says where the line is silent.
    pub(super) fn with(&self, session: &Keying) -> Keying {
        let own = self.clone();
        Keying {
            fingerprints: if own.fingerprints.is_empty() { session.fingerprints.clone() } else { own.fingerprints },
            setup: own.setup.or(session.setup),
            ice: if self.has_ice() { own.ice } else { session.ice.clone() },
            ..own
        }
    }
}

impl Media {
    /// RTP in a profile that is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        let protocol = self.protocol.to_ascii_uppercase();
        ["RTP/SAVP", "RTP/SAVPF"].contains(&protocol.strip_prefix("UDP/TLS/").unwrap_or(&protocol))
    }

    fn is_dtls(&self) -> bool {
        self.protocol.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("UDP/TLS/"))
    }
}
