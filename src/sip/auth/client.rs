//! The client's side: challenges are read and answered.

use super::{
    Algorithm, Asked, Credentials,
    digest::{Qop, Terms, response},
    read,
};
use crate::sip::text;

/// A challenge that we understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose it is.
    pub realm: String,
    /// What must go into the answer.
    pub nonce: String,
    /// The answer before was right, but for a nonce that has aged: to be answered again without asking anybody.
    pub stale: bool,
    algorithm: Algorithm,
    session: bool,
    opaque: Option<String>,
    qop: Option<Qop>,
}

impl Challenge {
    /// Reads a WWW-Authenticate or Proxy-Authenticate; none where it is one that we cannot answer (another scheme, an
    /// unknown algorithm or qop).
    pub fn parse(header: &str) -> Option<Challenge> {
        let params = read::params(header)?;
        let take = |name| read::find(&params, name);
        let (algorithm, session) = algorithm(take("algorithm").unwrap_or("MD5"))?;
        let qop = match take("qop") {
            None => None,
            Some(offered) => Some(choose_qop(offered)?),
        };
        Some(Challenge {
            realm: take("realm")?.to_owned(),
            nonce: take("nonce")?.to_owned(),
            stale: take("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
            algorithm,
            session,
            opaque: take("opaque").map(str::to_owned),
            qop,
        })
    }

    /// The value of Authorization or Proxy-Authorization. `count` is how many requests were answered with this nonce,
    /// this one included. None where the secret is made for another algorithm or realm.
    pub fn answer(&self, credentials: &Credentials, asked: &Asked<'_>, cnonce: &str, count: u32) -> Option<String> {
        let count = format!("{count:08x}");
        let terms = Terms {
            algorithm: self.algorithm,
            session: self.session,
            realm: &self.realm,
            nonce: &self.nonce,
            cnonce,
            count: &count,
            qop: self.qop,
        };
        let response = response(&terms, credentials, asked)?;
        Some(self.write(&credentials.user, asked.uri, &response, (cnonce, &count)))
    }

    fn write(&self, user: &str, uri: &str, response: &str, (cnonce, count): (&str, &str)) -> String {
        let mut value = String::from("Digest ");
        let mut quote = |name: &str, said: &str| {
            value.push_str(name);
            value.push('=');
            text::write_quoted(&mut value, said).expect("a String takes everything");
            value.push_str(", ");
        };
        quote("username", user);
        quote("realm", &self.realm);
        quote("nonce", &self.nonce);
        quote("uri", uri);
        quote("response", response);
        if let Some(opaque) = &self.opaque {
            quote("opaque", opaque);
        }
        if self.qop.is_some() || self.session {
            quote("cnonce", cnonce);
        }
        value.push_str("algorithm=");
        value.push_str(self.algorithm.as_str());
        if self.session {
            value.push_str("-sess");
        }
        if let Some(qop) = self.qop {
            value.push_str(&format!(", qop={}, nc={count}", qop.as_str()));
        }
        value
    }
}

/// The algorithm, and whether it is its `-sess` variant.
fn algorithm(word: &str) -> Option<(Algorithm, bool)> {
    let cut = word.len().checked_sub(5).filter(|&at| word.is_char_boundary(at));
    match cut.map(|at| word.split_at(at)) {
        Some((plain, end)) if end.eq_ignore_ascii_case("-sess") => Some((Algorithm::parse(plain)?, true)),
        _ => Some((Algorithm::parse(word)?, false)),
    }
}

fn choose_qop(offered: &str) -> Option<Qop> {
    let has = |qop: Qop| offered.split(',').any(|one| one.trim().eq_ignore_ascii_case(qop.as_str()));
    [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| has(*qop))
}

/// An answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The value of Authorization (for a 401) or Proxy-Authorization (for a 407).
    pub value: String,
    /// What it answers: further requests are answered with it, the count going up, until it is stale.
    pub challenge: Challenge,
}

/// Answers the first challenge that we can: the server lists them as it likes them (RFC 8760 section 2.4). `challenges`
/// are the values of WWW-Authenticate (of a 401) or Proxy-Authenticate (of a 407); `cnonce` is fresh and random.
pub fn authorize<'a>(
    challenges: impl Iterator<Item = &'a str>,
    credentials: &Credentials,
    asked: &Asked<'_>,
    cnonce: &str,
    count: u32,
) -> Option<Authorization> {
    challenges.filter_map(Challenge::parse).find_map(|challenge| {
        let value = challenge.answer(credentials, asked, cnonce, count)?;
        Some(Authorization { value, challenge })
    })
}
