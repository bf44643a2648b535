use super::*;
use crate::{
    sip::{CSeq, Limits, Message, Method},
    switch::trunk::{HeaderRule, Identity, Rewrite, What},
};

fn invite(extra: &str) -> Request {
    let text = format!(
        "INVITE sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n\
         To: <sip:100@192.0.2.1>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:a@198.51.100.7>\r\n{extra}\
         Content-Length: 0\r\n\r\n"
    );
    let limits = Limits { max_headers: 100, max_message: 65_535 };
    match Message::parse(text.as_bytes(), &limits).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => unreachable!("an INVITE"),
    }
}

const FROM: &str = "From: \"Anna\" <sip:030123@phone.example>;tag=a\r\n";
const HIDDEN: &str = "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=a\r\nPrivacy: id\r\n";

/// What `trunk` gets to see of a call by `caller` to +4989.
fn seen(trunk: &Trunk, caller: &Caller) -> Headers {
    let own = NameAddr::new(Uri::sip(Some("switchhook"), "192.0.2.1", Some(5060)));
    let called = Uri::parse("sip:+4989@carrier.example;transport=tcp").unwrap();
    let mut from = NameAddr::new(Uri::sip(Some("x"), "192.0.2.1", None));
    from.set_tag("ours");
    let cseq = CSeq { number: 1, method: Method::Invite };
    let mut headers = Headers::new(from, NameAddr::new(called.clone()), "id".into(), cseq);
    dress(trunk, caller, &own, &called, &mut headers);
    headers
}

fn trunk(identity: Identity) -> Trunk {
    Trunk { identity, ..Trunk::new("carrier") }
}

#[test]
fn from_has_the_callers_number_in_the_carriers_form() {
    let caller = Caller::of(&invite(FROM), false);
    let mut plain = trunk(Identity::default());
    plain.out_caller = vec![Rewrite::new("0*", 1, "+49").unwrap()];
    assert_eq!(seen(&plain, &caller).from.to_string(), "\"Anna\" <sip:+4930123@192.0.2.1>;tag=ours");

    let account = Identity {
        from_user: Some("acct7".into()),
        from_host: Some("carrier.example".into()),
        voucher: Voucher::Preferred,
        ..Identity::default()
    };
    let headers = seen(&trunk(account), &caller);
    assert_eq!(headers.from.uri.to_string(), "sip:acct7@carrier.example");
    assert_eq!(headers.get("P-Preferred-Identity"), Some("<sip:030123@carrier.example>"));
    assert_eq!(headers.get("Privacy"), None);
}

#[test]
fn an_asserted_identity_is_believed_from_those_we_trust_only() {
    let said = invite(&format!("{FROM}P-Asserted-Identity: \"Real\" <sip:+4977@carrier.example>, <tel:+4977>\r\n"));
    assert_eq!(Caller::of(&said, true).number, "+4977");
    assert_eq!(Caller::of(&said, true).display, "Real");
    assert_eq!(Caller::of(&said, false).number, "030123");
    let said = invite(&format!("{FROM}P-Asserted-Identity: <tel:+4977>\r\n"));
    assert_eq!(Caller::of(&said, true).number, "+4977");
    let said = invite(&format!("{FROM}P-Asserted-Identity: nonsense\r\n"));
    assert_eq!(Caller::of(&said, true).number, "030123");
}

#[test]
fn a_caller_who_hides_is_known_to_the_trust_domain_only() {
    let said = invite(&format!("{HIDDEN}P-Asserted-Identity: <sip:+4977@carrier.example>\r\n"));
    let caller = Caller::of(&said, true);
    assert!(caller.private);
    for voucher in [Voucher::Asserted, Voucher::Preferred, Voucher::RemoteParty, Voucher::Nothing] {
        let mut trunk = trunk(Identity { voucher, ..Identity::default() });
        trunk.headers = vec![HeaderRule { name: "X-Caller".into(), what: What::Set("{caller}".into()) }];
        let headers = seen(&trunk, &caller);
        assert_eq!(headers.from.to_string(), "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=ours");
        assert_eq!(headers.get("Privacy"), Some("id"));
        assert!(headers.others().all(|(_, value)| !value.contains("4977")), "{voucher:?}: {headers:?}");
    }
    let mut trusted = trunk(Identity { voucher: Voucher::Asserted, ..Identity::default() });
    trusted.trusted = true;
    let headers = seen(&trusted, &caller);
    assert_eq!(headers.get("P-Asserted-Identity"), Some("<sip:+4977@192.0.2.1>"));
    assert_eq!(headers.get("Privacy"), Some("id"));
    assert_eq!(headers.from.uri.user.as_deref(), Some("anonymous"));
    trusted.identity.voucher = Voucher::RemoteParty;
    let said = seen(&trusted, &caller);
    assert_eq!(said.get("Remote-Party-ID"), Some("<sip:+4977@192.0.2.1>;party=calling;screen=yes;privacy=full"));
}

#[test]
fn privacy_alone_hides_a_caller_whose_from_is_plain() {
    let caller = Caller::of(&invite(&format!("{FROM}Privacy: id;critical\r\n")), false);
    assert!(caller.private);
    assert_eq!(seen(&trunk(Identity::default()), &caller).from.uri.host, "anonymous.invalid");
    assert!(!Caller::of(&invite(&format!("{FROM}Privacy: none\r\n")), false).private);
}

#[test]
fn diversion_is_dropped_kept_or_set() {
    let mut caller = Caller::of(&invite(&format!("{FROM}Diversion: <sip:77@x>;reason=user-busy\r\n")), false);
    caller.dialled = "100".into();
    let said = |diversion| {
        let headers = seen(&trunk(Identity { diversion, ..Identity::default() }), &caller);
        headers.all("Diversion").map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(said(Trail::Drop).is_empty());
    assert_eq!(said(Trail::Keep), ["<sip:77@x>;reason=user-busy"]);
    assert_eq!(said(Trail::Set), ["<sip:100@192.0.2.1>;reason=unconditional;counter=1", "<sip:77@x>;reason=user-busy"]);
}

#[test]
fn history_grows_by_an_index_below_the_last() {
    let history = "History-Info: <sip:77@x>;index=1, <sip:100@y>;index=1.1\r\n";
    let said = |caller: &Caller, history| {
        let headers = seen(&trunk(Identity { history, ..Identity::default() }), caller);
        headers.all("History-Info").map(str::to_owned).collect::<Vec<_>>()
    };
    let mut caller = Caller::of(&invite(&format!("{FROM}{history}")), false);
    caller.dialled = "100".into();
    assert!(said(&caller, Trail::Drop).is_empty());
    assert_eq!(said(&caller, Trail::Keep), ["<sip:77@x>;index=1", "<sip:100@y>;index=1.1"]);
    assert_eq!(said(&caller, Trail::Set)[2], "<sip:+4989@carrier.example>;index=1.1.1;mp=1.1");
    let mut fresh = Caller::of(&invite(FROM), false);
    fresh.dialled = "100".into();
    assert_eq!(said(&fresh, Trail::Set), ["<sip:100@192.0.2.1>;index=1", "<sip:+4989@carrier.example>;index=1.1;mp=1"]);
}

#[test]
fn header_rules_are_applied_in_their_order() {
    let caller = Caller::of(&invite(&format!("{FROM}X-Shop: 7\r\nP-Odd: x\r\nP-Charge-Info: <sip:9@x>\r\n")), false);
    let rule = |name: &str, what| HeaderRule { name: name.into(), what };
    let mut trunk = trunk(Identity::default());
    trunk.headers = vec![
        rule("X-Account", What::Set("{trunk}-{caller}-{called}".into())),
        rule("P-Charge-Info", What::Copy),
        rule("X-Shop", What::Copy),
        rule("X-Shop", What::Add("8".into())),
        rule("X-Missing", What::Copy),
        rule("X-Gone", What::Set("1".into())),
        rule("X-Gone", What::Remove),
    ];
    let headers = seen(&trunk, &caller);
    assert_eq!(headers.get("X-Account"), Some("carrier-030123-+4989"));
    assert_eq!(headers.get("P-Charge-Info"), Some("<sip:9@x>"));
    assert_eq!(headers.all("X-Shop").collect::<Vec<_>>(), ["7", "8"]);
    assert_eq!((headers.get("X-Missing"), headers.get("X-Gone")), (None, None));
}
