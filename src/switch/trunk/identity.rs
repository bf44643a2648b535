//! How a carrier is told who calls: From, P-Asserted-Identity and its kin (RFC 3325), Privacy (RFC 3323), Diversion
//! (RFC 5806), History-Info (RFC 7044).

use super::{
    Trail, Trunk, Voucher,
    config::rewritten,
    header::{self, Words},
};
use crate::{
    sdp,
    sip::{Headers, NameAddr, Request, Uri},
};

/// Header fields of an INVITE that are kept for rules to copy.
const KEPT: usize = 32;
/// Entries of Diversion and History-Info that are kept.
const SENT_ON: usize = 16;

/// Who stands behind a call that we make.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::switch) struct Caller {
    /// The caller's number, or what a script says it is. Empty: not known.
    pub number: String,
    /// The caller's name.
    pub display: String,
    /// The caller does not want to be known (RFC 3323 section 4.2, RFC 3325 section 9.3).
    pub private: bool,
    /// Whose calls these are, whatever number is shown: caps count by it.
    pub account: String,
    /// The number of ours that the caller dialled.
    pub dialled: String,
    /// Diversion of the caller's INVITE.
    pub diversion: Vec<String>,
    /// History-Info of the caller's INVITE.
    pub history: Vec<String>,
    /// The other header fields of the caller's INVITE.
    pub headers: Vec<(String, String)>,
    /// What the caller can hear, where that is only what we pass on.
    pub formats: Vec<sdp::Format>,
}

impl Caller {
    /// Who made `invite`; `vouched`: it comes from somebody whose P-Asserted-Identity is believed.
    pub fn of(invite: &Request, vouched: bool) -> Caller {
        let headers = &invite.headers;
        let mut asserted = headers.all("P-Asserted-Identity").filter_map(|one| NameAddr::parse(one).ok());
        let asserted = asserted.find(|one| one.uri.user.is_some()).filter(|_| vouched);
        let from = headers.from.uri.user_decoded().unwrap_or_default();
        let word = |word: &str| headers.all("Privacy").flat_map(|v| v.split([';', ','])).any(|w| w.trim() == word);
        let hidden = from.eq_ignore_ascii_case("anonymous") || headers.from.uri.host.ends_with("anonymous.invalid");
        let private = hidden || ["id", "user", "header"].iter().any(|w| word(w));
        let number = asserted.as_ref().and_then(|one| one.uri.user_decoded());
        let display = asserted.and_then(|one| one.display).or_else(|| headers.from.display.clone());
        let sent_on = |name| headers.all(name).take(SENT_ON).map(str::to_owned).collect();
        Caller {
            number: number.unwrap_or(if hidden { String::new() } else { from }),
            display: display.filter(|_| !hidden).unwrap_or_default(),
            private,
            account: String::new(),
            dialled: String::new(),
            diversion: sent_on("Diversion"),
            history: sent_on("History-Info"),
            headers: headers.others().take(KEPT).map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            formats: Vec::new(),
        }
    }
}

/// Make the INVITE what `trunk` wants to see. `own` is our Contact; From has our tag already.
pub(in crate::switch) fn dress(trunk: &Trunk, caller: &Caller, own: &NameAddr, called: &Uri, headers: &mut Headers) {
    let identity = &trunk.identity;
    let host = identity.from_host.as_deref().unwrap_or(&own.uri.host);
    let number = rewritten(&trunk.out_caller, &caller.number);
    let address = |user: &str| address(user, host);
    let own_user = identity.from_user.as_deref();
    let tag = headers.from.tag().unwrap_or_default().to_owned();
    let from = if caller.private {
        let mut from = NameAddr::new(Uri::sip(Some("anonymous"), "anonymous.invalid", None));
        from.display = Some("Anonymous".to_owned());
        Some(from)
    } else {
        own_user.or((!number.is_empty()).then_some(number.as_str())).and_then(address).map(|mut from| {
            from.display = (!caller.display.is_empty()).then(|| caller.display.clone());
            from
        })
    };
    if let Some(from) = from {
        headers.from = from;
        headers.from.set_tag(&tag);
    }
    let person = if number.is_empty() { own_user.unwrap_or_default() } else { &number };
    vouch(trunk, caller, address(person), headers);
    if let Some(dialled) = address(&caller.dialled) {
        diversion(trunk, caller, &dialled, headers);
        history(trunk, caller, &dialled, called, headers);
    }
    let called = called.user_decoded().unwrap_or_default();
    let words =
        Words { caller: if caller.private { "anonymous" } else { &number }, called: &called, trunk: &trunk.name };
    header::apply(&trunk.headers, &words, &caller.headers, headers);
}

/// Who the caller is, beside From. A caller who hides is told to those in our trust domain only (RFC 3325 section 7).
fn vouch(trunk: &Trunk, caller: &Caller, person: Option<NameAddr>, headers: &mut Headers) {
    if caller.private {
        headers.set("Privacy", "id");
    }
    let Some(person) = person.filter(|_| !caller.private || trunk.trusted) else { return };
    match trunk.identity.voucher {
        Voucher::Nothing => {}
        Voucher::Asserted => headers.set("P-Asserted-Identity", person.to_string()),
        Voucher::Preferred => headers.set("P-Preferred-Identity", person.to_string()),
        Voucher::RemoteParty => {
            let privacy = if caller.private { "full" } else { "off" };
            headers.set("Remote-Party-ID", format!("{person};party=calling;screen=yes;privacy={privacy}"));
        }
    }
}

/// The last who sent the call on stands first (RFC 5806 section 4).
fn diversion(trunk: &Trunk, caller: &Caller, dialled: &NameAddr, headers: &mut Headers) {
    match trunk.identity.diversion {
        Trail::Drop => return,
        Trail::Keep => {}
        Trail::Set => headers.push("Diversion", format!("{dialled};reason=unconditional;counter=1")),
    }
    caller.diversion.iter().for_each(|one| headers.push("Diversion", one.as_str()));
}

/// Each target of the call in turn, the new one with an index below the last (RFC 7044 section 10.3).
fn history(trunk: &Trunk, caller: &Caller, dialled: &NameAddr, called: &Uri, headers: &mut Headers) {
    let trail = trunk.identity.history;
    if trail == Trail::Drop {
        return;
    }
    caller.history.iter().for_each(|one| headers.push("History-Info", one.as_str()));
    if trail == Trail::Keep {
        return;
    }
    let last = caller.history.last().and_then(|one| NameAddr::parse(one).ok());
    let index = last.and_then(|one| one.param("index").flatten().map(str::to_owned));
    let index = index.unwrap_or_else(|| {
        headers.push("History-Info", format!("<{}>;index=1", dialled.uri));
        "1".to_owned()
    });
    let to = Uri { params: Vec::new(), headers: Vec::new(), ..called.clone() };
    headers.push("History-Info", format!("<{to}>;index={index}.1;mp={index}"));
}

fn address(user: &str, host: &str) -> Option<NameAddr> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/%#".contains(c);
    let proper = !user.is_empty() && user.chars().all(allowed);
    proper.then(|| NameAddr::new(Uri::sip(Some(&user.replace('#', "%23")), host, None)))
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
