//! Telephone numbers as they are signed (RFC 8224 section 8.3).

use crate::sip::{Headers, NameAddr, Uri};

/// Longest number that a TNAuthList can hold (RFC 8226 section 9); E.164 has the same limit.
const LONGEST: usize = 15;

/// The number that the user part of an address is, without `+` and visual separators: `+1 (215) 555-1212` is
/// `12155551212`. None: it is no number. Nothing is added: a number without its country code stays without.
pub fn canonical(user: &str) -> Option<String> {
    let user = user.split(';').next().unwrap_or(user).trim();
    let mut number = String::with_capacity(LONGEST);
    for (at, c) in user.chars().enumerate() {
        match c {
            '0'..='9' | '*' | '#' => number.push(c),
            '+' if at == 0 => {}
            ' ' | '-' | '.' | '(' | ')' => {}
            _ => return None,
        }
    }
    (1..=LONGEST).contains(&number.len()).then_some(number)
}

/// The number of an address.
fn of(uri: &Uri) -> Option<String> {
    canonical(&uri.user_decoded()?)
}

/// The caller's number: From's, or where that is none (a name, `anonymous`), the one that P-Asserted-Identity tells.
/// Where From is a number, it alone counts: it is the one that people see.
pub fn caller(headers: &Headers) -> Option<String> {
    of(&headers.from.uri).or_else(|| {
        let mut asserted = headers.all("P-Asserted-Identity").filter_map(|value| NameAddr::parse(value).ok());
        asserted.find_map(|address| of(&address.uri))
    })
}

/// The called number: To's, which stays the same where a call is sent on.
pub fn called(headers: &Headers) -> Option<String> {
    of(&headers.to.uri)
}
