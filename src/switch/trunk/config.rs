//! What the operator says about carriers.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{super::Network, Cap, HeaderRule};
use crate::{
    codec::Codec,
    sip::{Uri, auth::Credentials, register::Account},
    switch::{BadPattern, Pattern},
};

/// All carriers, and which numbers may be called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trunking {
    /// The carriers; names are unique.
    pub trunks: Vec<Arc<Trunk>>,
    /// What may go out.
    pub outbound: Outbound,
}

impl Trunking {
    /// The carrier of this name.
    pub fn trunk(&self, name: &str) -> Option<&Arc<Trunk>> {
        self.trunks.iter().find(|trunk| &*trunk.name == name)
    }

    /// The carrier that proves itself as `user`.
    pub(in crate::switch) fn by_user(&self, user: &str) -> Option<&Arc<Trunk>> {
        let is = |trunk: &Trunk| trunk.proves && trunk.credentials.as_ref().is_some_and(|c| c.user == user);
        self.trunks.iter().find(|trunk| is(trunk))
    }
}

/// One carrier.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// Its name in rules, logs and records.
    pub name: Arc<str>,
    /// Where its calls go, best first: `sip:` addresses without user. Empty: none go there.
    pub targets: Vec<Uri>,
    /// Where its calls come from. Empty: only from where we are registered.
    pub sources: Vec<Network>,
    /// It is in our trust domain (RFC 3325 section 2.3): its P-Asserted-Identity is believed, and it gets to see the
    /// number of a caller who hides it.
    pub trusted: bool,
    /// Most calls at a time, both ways; 0: no limit.
    pub calls: usize,
    /// Most new calls a second, both ways; 0: no limit.
    pub calls_per_second: usize,
    /// How long a call of ours waits where there are as many as that; zero: not at all.
    pub queue: Duration,
    /// What is offered and taken there, best first; empty: the codecs of all calls.
    pub codecs: Vec<Codec>,
    /// Whether media is encrypted there; absent: as everybody's.
    pub security: Option<crate::sdp::Policy>,
    /// From the numbers that it calls to ours.
    pub in_called: Vec<Rewrite>,
    /// From the numbers of its callers to ours.
    pub in_caller: Vec<Rewrite>,
    /// From the number of the caller to what it wants to see.
    pub out_caller: Vec<Rewrite>,
    /// How it is told who calls.
    pub identity: Identity,
    /// Header fields of calls that go there.
    pub headers: Vec<HeaderRule>,
    /// Who we are there: what its challenges are answered with.
    pub credentials: Option<Credentials>,
    /// It proves itself to us with the same credentials, wherever it calls from.
    pub proves: bool,
    /// As whom and where we register; absent: we do not.
    pub registration: Option<Account>,
    /// How often its targets are asked whether they are there; zero: never.
    pub options: Duration,
    /// How long it may say nothing but 100 to an INVITE before the next place or carrier has its turn; zero: for ever.
    pub progress: Duration,
    /// How it is told keys.
    pub keys_out: KeysOut,
}

/// How a party is told keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeysOut {
    /// As events (RFC 4733) where they are agreed on; else by INFO, where it says keys so itself; else as tones.
    #[default]
    Auto,
    /// As events where they are agreed on, else as tones; never by INFO.
    Events,
    /// By INFO, whatever is agreed on.
    Info,
    /// As tones, whatever is agreed on.
    Tones,
}

impl Trunk {
    /// A carrier of which nothing but the name is known.
    pub fn new(name: &str) -> Trunk {
        Trunk {
            name: Arc::from(name),
            targets: Vec::new(),
            sources: Vec::new(),
            trusted: false,
            calls: 0,
            calls_per_second: 0,
            queue: Duration::ZERO,
            codecs: Vec::new(),
            security: None,
            in_called: Vec::new(),
            in_caller: Vec::new(),
            out_caller: Vec::new(),
            identity: Identity::default(),
            headers: Vec::new(),
            credentials: None,
            proves: false,
            registration: None,
            options: Duration::ZERO,
            progress: Duration::ZERO,
            keys_out: KeysOut::default(),
        }
    }

    /// A number that it calls, as we know it. Where the Request-URI is only our registered Contact, To has the number.
    pub(in crate::switch) fn called(&self, number: &str, to: &Uri) -> String {
        let own = self.registration.as_ref().and_then(|account| account.address.user_decoded());
        let to = to.user_decoded().filter(|_| own.as_deref() == Some(number));
        rewritten(&self.in_called, to.as_deref().unwrap_or(number))
    }

    /// The number of a caller of its, as we know it.
    pub(in crate::switch) fn caller(&self, number: &str) -> String {
        rewritten(&self.in_caller, number)
    }
}

/// How a carrier is told who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// User of From; absent: the caller's number.
    pub from_user: Option<String>,
    /// Host of From and of the other addresses that name us; absent: our own address.
    pub from_host: Option<String>,
    /// Where the caller's number stands besides From.
    pub voucher: Voucher,
    /// Diversion (RFC 5806).
    pub diversion: Trail,
    /// History-Info (RFC 7044).
    pub history: Trail,
}

/// The header that vouches for the caller's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Voucher {
    /// None: From says it all.
    #[default]
    Nothing,
    /// P-Asserted-Identity (RFC 3325 section 9.1).
    Asserted,
    /// P-Preferred-Identity (RFC 3325 section 9.2).
    Preferred,
    /// Remote-Party-ID, older than RFC 3325.
    RemoteParty,
}

/// What becomes of the list of those who sent the call on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trail {
    /// Not told.
    #[default]
    Drop,
    /// Told as the caller's side told it.
    Keep,
    /// The same, and the number that the caller dialled with us is added.
    Set,
}

/// Turns numbers of one kind into another: `number = "0*", strip = 1, prepend = "+49"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Which numbers.
    pub number: Pattern,
    /// How many characters go away in front.
    pub strip: usize,
    /// What comes in their place.
    pub prepend: String,
}

impl Rewrite {
    /// See the fields.
    pub fn new(number: &str, strip: usize, prepend: &str) -> Result<Rewrite, BadPattern> {
        Ok(Rewrite { number: Pattern::parse(number)?, strip, prepend: prepend.to_owned() })
    }
}

/// The number as the best fitting of `rules` makes it; as it is where none fits.
pub(super) fn rewritten(rules: &[Rewrite], number: &str) -> String {
    let fitting = rules.iter().enumerate().filter(|(_, rule)| rule.number.matches(number));
    let best = fitting.max_by_key(|(at, rule)| (rule.number.exactness(), std::cmp::Reverse(*at)));
    best.map_or_else(|| number.to_owned(), |(_, rule)| stripped(number, rule.strip, &rule.prepend))
}

pub(super) fn stripped(number: &str, strip: usize, prepend: &str) -> String {
    let rest = number.char_indices().nth(strip).map_or("", |(at, _)| &number[at..]);
    format!("{prepend}{rest}")
}

/// What may go out, and over whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbound {
    /// Scripts and the console may dial `sip:` addresses.
    pub allow_uris: bool,
    /// From what is dialled to the numbers of the rules.
    pub rewrite: Vec<Rewrite>,
    /// Numbers that pass every limit.
    pub emergency: BTreeSet<String>,
    /// Answers after which the next carrier is tried.
    pub next_on: BTreeSet<u16>,
    /// Which numbers may be called, and over whom. What no rule names is denied.
    pub rules: Vec<Rule>,
    /// How much may be called away before somebody looks.
    pub caps: Vec<Cap>,
}

impl Default for Outbound {
    fn default() -> Outbound {
        Outbound {
            allow_uris: true,
            rewrite: Vec::new(),
            emergency: BTreeSet::new(),
            next_on: BTreeSet::from([401, 402, 403, 407, 408, 500, 501, 502, 503, 504, 505, 513]),
            rules: Vec::new(),
            caps: Vec::new(),
        }
    }
}

/// Numbers, and a carrier that they may go over.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Which numbers.
    pub number: Pattern,
    /// Over whom; absent: these numbers may not be called.
    pub trunk: Option<Arc<str>>,
    /// How many characters go away in front.
    pub strip: usize,
    /// What comes in their place.
    pub prepend: String,
    /// What a minute costs, in millionths of the operator's currency.
    pub price: u64,
    /// Lower is tried first.
    pub priority: u32,
    /// Share of the calls among rules of one priority and price (RFC 2782).
    pub weight: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_fitting_rule_rewrites_a_number() {
        let rules = [
            Rewrite::new("0*", 1, "+49").unwrap(),
            Rewrite::new("00*", 2, "+").unwrap(),
            Rewrite::new("NXXXXX", 0, "+4930").unwrap(),
        ];
        for (number, want) in [
            ("03012345", "+493012345"),
            ("0044201234", "+44201234"),
            ("234567", "+4930234567"),
            ("+1555", "+1555"),
            ("0", "+49"),
        ] {
            assert_eq!(rewritten(&rules, number), want, "{number}");
        }
    }

    #[test]
    fn more_can_be_stripped_than_there_is() {
        assert_eq!(stripped("12", 5, "+"), "+");
        assert_eq!(stripped("äöü1", 3, ""), "1");
    }
}
