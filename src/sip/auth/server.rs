//! The server's side: challenges that we recognise, and answers that are checked.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use subtle::ConstantTimeEq;

use super::{
    Algorithm, Asked, Credentials, Secret,
    digest::{Qop, Terms, response},
    read,
};
use crate::{sip::Uri, time::Time};

/// How long a nonce serves. A phone that refreshes its registration rarely is challenged anew each time.
const NONCE_LIFE: Duration = Duration::from_secs(300);
/// Most nonces whose counts are remembered. Beyond, the oldest are taken for stale, which costs a round trip.
pub(super) const MOST_NONCES: usize = 65_536;
/// Bytes of the HMAC that go into a nonce.
const MARK: usize = 16;

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is who it says to be.
    Good,
    /// Rightly made, but for a nonce that has aged or that we forgot: to be challenged with `stale=true`.
    Stale,
    /// Not who it says to be, or nobody we know.
    Wrong,
    /// Rightly made, but this nonce and count were used before. The peer may have lost count: to be challenged like
    /// `Stale`.
    Replayed,
    /// Cannot be read, or is made by rules that we did not offer.
    Malformed,
}

/// One realm: what we challenge with, and what we remember of the answers. Nothing is kept of a challenge; a nonce
/// proves by itself that it is ours.
pub struct Realm {
    name: String,
    key: hmac::Key,
    algorithms: Vec<Algorithm>,
    /// Nonces are numbered, or two phones that are challenged at the same moment would share counts.
    issued: u64,
    /// By number, those that were answered rightly.
    counts: BTreeMap<u64, Counts>,
    /// Nonces numbered below this have been forgotten.
    forgotten: u64,
}

/// Which counts of a nonce were used: the highest, and a window of those right below it, as requests may overtake each
/// other.
#[derive(Clone, Copy, Default)]
struct Counts {
    highest: u32,
    /// Bit n: `highest - n` was used.
    used: u64,
}

impl Counts {
    /// Takes `count` as used; false where it was, or is too old to tell.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let by = count - self.highest;
            self.used = self.used.checked_shl(by).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let bit = 1u64.checked_shl(self.highest - count).unwrap_or(0);
        let fresh = bit != 0 && self.used & bit == 0;
        self.used |= bit;
        fresh
    }
}

/// What a nonce of ours says.
struct Nonce {
    issued: Time,
    number: u64,
}

impl Realm {
    /// A realm that offers all algorithms. `key` is random and secret; with another key all nonces become stale.
    pub fn new(name: String, key: [u8; 32]) -> Realm {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let algorithms = Algorithm::ALL.to_vec();
        Realm { name, key, algorithms, issued: 0, counts: BTreeMap::new(), forgotten: 0 }
    }

    /// Its name, as phones show it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Offers only these, in this order.
    pub fn set_algorithms(&mut self, algorithms: Vec<Algorithm>) {
        self.algorithms = algorithms;
    }

    /// The values of WWW-Authenticate or Proxy-Authenticate, one for each algorithm, strongest first.
    pub fn challenge(&mut self, now: Time, stale: bool) -> Vec<String> {
        let number = self.issued;
        self.issued += 1;
        let nonce = self.nonce(now, number);
        let mut realm = String::new();
        crate::sip::text::write_quoted(&mut realm, &self.name).expect("a String takes everything");
        let stale = if stale { ", stale=true" } else { "" };
        let challenge = |algorithm: &Algorithm| {
            format!("Digest realm={realm}, nonce=\"{nonce}\", qop=\"auth\", algorithm={}{stale}", algorithm.as_str())
        };
        self.algorithms.iter().map(challenge).collect()
    }

    fn nonce(&self, now: Time, number: u64) -> String {
        let mut bytes = [0; 16 + MARK];
        let nanos = u64::try_from(now.since_start().as_nanos()).unwrap_or(u64::MAX);
        bytes[..8].copy_from_slice(&nanos.to_be_bytes());
        bytes[8..16].copy_from_slice(&number.to_be_bytes());
        let mark = hmac::sign(&self.key, &bytes[..16]);
        bytes[16..].copy_from_slice(&mark.as_ref()[..MARK]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a nonce; none where it is not ours.
    fn read_nonce(&self, nonce: &str) -> Option<Nonce> {
        let bytes: [u8; 16 + MARK] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let (said, mark) = bytes.split_at(16);
        let right = hmac::sign(&self.key, said);
        if !bool::from(right.as_ref()[..MARK].ct_eq(mark)) {
            return None;
        }
        let word = |at: usize| u64::from_be_bytes(said[at..at + 8].try_into().expect("eight bytes are eight bytes"));
        Some(Nonce { issued: Time::from_start(Duration::from_nanos(word(0))), number: word(8) })
    }

    /// Checks `header`, the value of an Authorization or Proxy-Authorization, against what we know of its user
    /// ([`super::claim`]). An unknown user (no credentials) costs the same work as a wrong password, and is as wrong.
    pub fn check(&mut self, now: Time, header: &str, credentials: Option<&Credentials>, asked: &Asked<'_>) -> Verdict {
        let Some(params) = read::params(header) else { return Verdict::Malformed };
        let Some(answer) = Answer::read(&params) else { return Verdict::Malformed };
        if !self.algorithms.contains(&answer.terms.algorithm) {
            return Verdict::Malformed;
        }
        let nobody = Credentials { user: answer.user.to_owned(), secret: Secret::Password("nobody's".to_owned()) };
        let known = credentials.is_some();
        let right = response(&answer.terms, credentials.unwrap_or(&nobody), &Asked { uri: answer.uri, ..*asked });
        let right = right.unwrap_or_else(|| "-".repeat(answer.terms.algorithm.hex_len()));
        let same = bool::from(right.as_bytes().ct_eq(answer.response.to_ascii_lowercase().as_bytes()));
        let belongs = credentials.is_none_or(|c| c.user == answer.user)
            && answer.terms.realm == self.name
            && same_resource(answer.uri, asked.uri);
        match self.read_nonce(answer.terms.nonce) {
            _ if !(same && known && belongs) => Verdict::Wrong,
            None => Verdict::Stale,
            Some(nonce) => self.count(now, &nonce, answer.count),
        }
    }

    /// The answer is right: is it the first with its count, and is its nonce still good?
    fn count(&mut self, now: Time, nonce: &Nonce, count: u32) -> Verdict {
        if now - nonce.issued > NONCE_LIFE || nonce.number < self.forgotten {
            return Verdict::Stale;
        }
        let counts = self.counts.entry(nonce.number).or_default();
        if !counts.take(count) {
            return Verdict::Replayed;
        }
        if self.counts.len() > MOST_NONCES
            && let Some((oldest, _)) = self.counts.pop_first()
        {
            self.forgotten = oldest + 1;
        }
        Verdict::Good
    }
}

impl std::fmt::Debug for Realm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Realm").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An answer, as far as it can be read.
struct Answer<'a> {
    user: &'a str,
    uri: &'a str,
    response: &'a str,
    count: u32,
    terms: Terms<'a>,
}

impl<'a> Answer<'a> {
    fn read(params: &'a [(String, String)]) -> Option<Answer<'a>> {
        let take = |name| read::find(params, name);
        let qop = match take("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => Some(Qop::Auth),
            Some(_) => return None,
        };
        // An old phone that knows no qop (RFC 2069) counts as one that counts to one: each nonce serves it once.
        let (cnonce, written, count) = match qop {
            None => ("", "", 1),
            Some(_) => {
                let written = take("nc")?;
                (take("cnonce")?, written, hex_count(written)?)
            }
        };
        let terms = Terms {
            algorithm: Algorithm::parse(take("algorithm").unwrap_or("MD5"))?,
            session: false,
            realm: take("realm")?,
            nonce: take("nonce")?,
            cnonce,
            count: written,
            qop,
        };
        Some(Answer { user: take("username")?, uri: take("uri")?, response: take("response")?, count, terms })
    }
}

/// True where an answer made for `made_for` may serve a request for `asked`: the same, or the same user at another
/// host, as a proxy in between may change the host; some clients leave the user out.
fn same_resource(made_for: &str, asked: &str) -> bool {
    if made_for == asked {
        return true;
    }
    match (Uri::parse(made_for), Uri::parse(asked)) {
        (Ok(a), Ok(b)) => a.user.is_none() || a.user == b.user,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) | (Err(_), Err(_)) => false,
    }
}

/// A nonce count: eight hexadecimal digits, from 1.
fn hex_count(written: &str) -> Option<u32> {
    let proper = written.len() == 8 && written.bytes().all(|b| b.is_ascii_hexdigit());
    proper.then(|| u32::from_str_radix(written, 16).ok())?.filter(|&count| count > 0)
}
