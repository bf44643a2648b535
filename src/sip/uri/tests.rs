use super::*;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn an_address_is_taken_apart_and_prints_as_it_came() {
    let text = "sips:alice;day=tue:sec%20ret@[2001:db8::9]:5070;transport=tcp;lr?subject=project%20x&priority=urgent";
    let uri = uri(text);
    assert_eq!(uri.scheme, Scheme::Sips);
    assert_eq!(uri.user.as_deref(), Some("alice;day=tue"));
    assert_eq!(uri.password.as_deref(), Some("sec%20ret"));
    assert_eq!((uri.host.as_str(), uri.port), ("[2001:db8::9]", Some(5070)));
    assert_eq!((uri.param("Transport"), uri.param("lr"), uri.param("maddr")), (Some(Some("tcp")), Some(None), None));
    assert_eq!(uri.headers[1], ("priority".to_owned(), "urgent".to_owned()));
    assert_eq!(uri.to_string(), text);
}

#[test]
fn all_kinds_of_addresses_print_as_they_came() {
    for text in [
        "sip:example.com",
        "sip:john.doe@example.com",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sip:1212@gateway.com",
        "sip:alice@192.0.2.4",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
        "sip:%00%00@host5.example.com",
        "sip:bob@example.com?Replaces=425928%40phone.example.org%3Bto-tag%3D7743%3Bfrom-tag%3D6472",
        "tel:+1-201-555-0123;phone-context=example.com",
        "tel:*21#",
        "isbn:2983792873",
        "soap.beep://192.0.2.103:3002",
    ] {
        assert_eq!(uri(text).to_string(), text);
    }
    assert_eq!(uri("SIP:a@EXAMPLE.com").to_string(), "sip:a@EXAMPLE.com");
}

#[test]
fn what_is_no_address_is_refused() {
    for text in [
        "",
        "sip",
        "sip:",
        ":x",
        "sip:@host",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@host",
        "<sip:a@host>",
        "sip:a@host:",
        "sip:a@host:x",
        "sip:a@host:65536",
        "sip:a@host:-1",
        "sip:a@ho st",
        "sip:a@h%6fst",
        "sip:a@[2001:db8::g]",
        "sip:2001:db8::10",
        "sip:a@[::1",
        "sip:a%4@host",
        "sip:a%+1@host",
        "sip:a%zz@host",
        "sip:a@host;",
        "sip:a@host;;lr",
        "sip:a@host;=x",
        "sip:a@host?",
        "sip:a@host?x",
        "sip:a@host?=x",
        "sip:a\u{fffd}@host",
        "sip:a\0@host",
        "tel:",
        "tel:+",
        "tel:alice",
        "1sip:a@host",
        "s\u{ef}p:a@host",
        "sip:a@host;x=\"y\"",
    ] {
        assert!(Uri::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn three_colons_before_an_ipv4_tail_are_taken_as_two() {
    assert_eq!(uri("sip:user@[2001:db8:::192.0.2.1]").host, "[2001:db8::192.0.2.1]");
    assert!(Uri::parse("sip:user@[2001:db8:::1]").is_err());
    assert!(Uri::parse("sip:user@[:::::::::::::::1.2.3.4]").is_err());
}

#[test]
fn a_user_is_told_without_its_escapes() {
    let said = |text| uri(text).user_decoded();
    assert_eq!(said("sip:user;par=u%40example.net@example.com").as_deref(), Some("user;par=u@example.net"));
    assert_eq!(said("sip:I%20have%20spaces@example.net").as_deref(), Some("I have spaces"));
    assert_eq!(said("sip:null-%00-null@example.com").as_deref(), Some("null-\u{fffd}-null"));
    assert_eq!(said("sip:J%C3%BCrgen@example.com").as_deref(), Some("J\u{fc}rgen"));
    assert_eq!(said("sip:J%FCrgen@example.com").as_deref(), Some("J\u{fffd}rgen"));
    assert_eq!(said("sip:value%25%34%31@example.com").as_deref(), Some("value%41"), "undone once, not twice");
    assert_eq!(said("sip:example.com"), None);
}

#[test]
fn sameness_is_that_of_the_rfc() {
    // RFC 3261 section 19.1.4, its own examples.
    let same = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ];
    for (one, other) in same {
        assert!(uri(one).is_same(&uri(other)) && uri(other).is_same(&uri(one)), "{one} {other}");
    }
    let different = [
        ("sip:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com", "sips:carol@chicago.com"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;maddr=192.0.2.1"),
        ("sip:a%2Fb@chicago.com", "sip:a/b@chicago.com"),
    ];
    for (one, other) in different {
        assert!(!uri(one).is_same(&uri(other)) && !uri(other).is_same(&uri(one)), "{one} {other}");
    }
}

/// Why this file exists. Where a newer rsip fails this test, it may be able to do without.
#[test]
fn rsips_addresses_would_not_do() {
    let read = |text| rsip::Uri::try_from(text);
    assert!(read("sip:john.doe@example.com").is_ok_and(|uri| uri.user().is_none()));
    assert!(read("sip:bob@example.com?Replaces=x%3By").is_ok_and(|uri| uri.host().to_string() != "example.com"));
    assert!(read("sip:a@[2001:db8::1]:5060").is_err());
    assert!(read("isbn:2983792873").is_err());
    assert!(read("tel:+1-201-555-0123").is_err());
}
