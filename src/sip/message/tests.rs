use proptest::prelude::*;

use super::*;
use crate::sip::{CSeq, NameAddr, Scheme, Via, fuzz};

const LIMITS: Limits = Limits { max_headers: 100, max_message: 65_535 };

const INVITE: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP pc33.example.com;branch=z9hG4bK776asdhds;rport\r\n\
    Max-Forwards: 70\r\n\
    To: \"Bob \\\"B\\\"\" <sip:bob@biloxi.example.com>\r\n\
    From: Alice <sip:alice@atlanta.example.com>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710@pc33.example.com\r\n\
    CSeq: 314159 INVITE\r\n\
    Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>\r\n\
    Contact: <sip:alice@pc33.example.com>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 5\r\n\
    \r\n\
    v=0\r\n";

fn parse(text: &str) -> Result<Message, Malformed> {
    Message::parse(text.as_bytes(), &LIMITS)
}

fn request(text: &str) -> Request {
    match parse(text).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

fn response(text: &str) -> Response {
    match parse(text).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

/// The code of the answer to what cannot be read.
fn refusal(text: &str) -> Option<u16> {
    parse(text).expect_err(text).answer.map(|answer| answer.code)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn an_invite_is_read() {
    let invite = request(INVITE);
    assert_eq!(invite.method, Method::Invite);
    assert_eq!(invite.uri.to_string(), "sip:bob@biloxi.example.com");
    let headers = &invite.headers;
    assert_eq!(headers.via.len(), 1);
    assert_eq!(headers.via[0].branch(), Some("z9hG4bK776asdhds"));
    assert_eq!(headers.via[0].rport(), Some(None));
    assert_eq!(headers.from.display.as_deref(), Some("Alice"));
    assert_eq!(headers.from.tag(), Some("1928301774"));
    assert_eq!((headers.to.display.as_deref(), headers.to.tag()), (Some("Bob \"B\""), None));
    assert_eq!(headers.call_id, "a84b4c76e66710@pc33.example.com");
    assert_eq!(headers.cseq, CSeq { number: 314159, method: Method::Invite });
    assert_eq!(headers.max_forwards(), Some(70));
    assert_eq!(headers.contact().unwrap().uri.host, "pc33.example.com");
    assert_eq!(headers.get("content-type"), Some("application/sdp"));
    assert_eq!(&invite.body[..], b"v=0\r\n");
}

#[test]
fn folded_compact_and_loosely_spaced_fields_are_read_as_their_plain_kin() {
    let loose = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
        v:SIP / 2.0 / UDP pc33.example.com : 5060 ;branch = z9hG4bK1 ,\r\n\
        \tSIP/2.0/TCP [2001:db8::1];branch=z9hG4bK2\r\n\
        VIA : SIP/2.0/TLS c;branch=z9hG4bK3\r\n\
        t :\r\n sip:bob@biloxi.example.com ;\r\n  tag = x\r\n\
        f:  caller<sip:a@b>;tag=1;note=\"a;b, c\"\r\n\
        i: a\r\n\
        cSeq: 0009\r\n   INVITE\r\n\
        m: \"Doe, J\" <sip:j@c>;q=0.3, <sip:k@d>\r\n\
        m: sip:l@e;expires=5\r\n\
        k: timer,100rel\r\n\
        s:\r\n\
        l: 0\r\n\r\n";
    let invite = request(loose);
    let headers = &invite.headers;
    let vias: Vec<_> = headers.via.iter().map(Via::to_string).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP pc33.example.com:5060;branch=z9hG4bK1",
            "SIP/2.0/TCP [2001:db8::1];branch=z9hG4bK2",
            "SIP/2.0/TLS c;branch=z9hG4bK3",
        ]
    );
    assert_eq!(headers.to.tag(), Some("x"));
    assert_eq!(headers.from.display.as_deref(), Some("caller"));
    assert_eq!(headers.from.param("note"), Some(Some("\"a;b, c\"")));
    assert_eq!(headers.cseq.number, 9);
    let contacts: Vec<_> = headers.all("Contact").collect();
    assert_eq!(contacts, ["\"Doe, J\" <sip:j@c>;q=0.3", "<sip:k@d>", "sip:l@e;expires=5"]);
    assert_eq!(headers.all("Supported").collect::<Vec<_>>(), ["timer", "100rel"]);
    assert_eq!(headers.get("Subject"), Some(""));
}

#[test]
fn line_ends_without_cr_and_empty_lines_in_front_are_let_through() {
    let bare = format!("\r\n\n{}", INVITE.replace("\r\n", "\n").replace("Length: 5", "Length: 4"));
    assert_eq!(request(&bare).headers, request(INVITE).headers);
}

#[test]
fn a_response_is_read() {
    let ok = response(
        "SIP/2.0 200 Alles \u{fc}ber\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n",
    );
    assert_eq!((ok.code, ok.reason.as_str()), (200, "Alles \u{fc}ber"));
    assert_eq!(ok.headers.cseq.method, Method::Bye);
    let bare = "SIP/2.0 100\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n";
    assert_eq!(response(bare).reason, "");
}

#[test]
fn without_a_length_the_body_is_the_rest_and_what_follows_the_length_is_cut() {
    assert_eq!(&request(&INVITE.replace("Content-Length: 5\r\n", "")).body[..], b"v=0\r\n");
    assert_eq!(&request(&format!("{INVITE}BYE sip:a SIP/2.0")).body[..], b"v=0\r\n");
    assert_eq!(&request(&INVITE.replace("Length: 5", "Length: 0")).body[..], b"");
    assert_eq!(refusal(&INVITE.replace("Length: 5", "Length: 6")), Some(400));
}

#[test]
fn each_fault_has_its_answer() {
    let broken = |from: &str, to: &str| {
        assert!(INVITE.contains(from), "{from}");
        refusal(&INVITE.replace(from, to))
    };
    for (from, to, code) in [
        ("INVITE sip:bob@biloxi.example.com SIP/2.0", "INVITE sip:bob@biloxi.example.com SIP/3.0", 505),
        ("INVITE", "FETCH", 501),
        ("INVITE", "invite", 501),
        ("INVITE sip", "FETCH sip", 501),
        ("INVITE sip", "OPTIONS sip", 400),
        ("INVITE sip:bob@biloxi.example.com", "INVITE  sip:bob@biloxi.example.com", 400),
        ("INVITE sip:bob@biloxi.example.com", "INVITE", 400),
        ("INVITE sip:bob@biloxi.example.com", "INVITE sip:bob@biloxi.example.com?a=b", 400),
        ("INVITE sip:bob@biloxi.example.com", "INVITE <sip:bob@biloxi.example.com>", 400),
        ("314159", "4294967296", 400),
        ("314159", "+1", 400),
        ("314159 INVITE", "314159", 400),
        ("CSeq: 314159 INVITE\r\n", "", 400),
        ("CSeq", "CSeq: 1 INVITE\r\nCSeq", 400),
        ("Call-ID: a84b4c76e66710@pc33.example.com\r\n", "", 400),
        ("a84b4c76e66710@", "two words@", 400),
        ("a84b4c76e66710@pc33.example.com", "", 400),
        ("From: Alice ", "From: \"Alice ", 400),
        ("sip:alice@atlanta.example.com", "sip:alice@atlanta example.com", 400),
        ("From: ", "Frm: ", 400),
        ("To: ", "To: <sip:x@y>, ", 400),
        ("Max-Forwards: 70", "Max-Forwards: 256", 400),
        ("Max-Forwards: 70", "Max-Forwards: +7", 400),
        ("Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70", 400),
        ("Content-Length: 5", "Content-Length: -5", 400),
        ("Content-Length: 5", "Content-Length: +5", 400),
        ("Content-Length: 5", "Content-Length:", 400),
        ("Content-Length: 5", "Content-Length: 5\r\nl: 5", 400),
        ("Contact: <sip:alice@pc33.example.com>", "Contact: sip:alice@pc33.example.com?a=b", 400),
        ("Contact: <", "Contact: <<", 400),
        ("Content-Type:", "Content Type:", 400),
        ("Content-Type: ", "no colon\r\nContent-Type: ", 400),
        ("Content-Type: ", "X: a\rb\r\nContent-Type: ", 400),
        (";rport", ";rport;;", 400),
    ] {
        assert_eq!(broken(from, to), Some(code), "{from} -> {to}");
    }
}

#[test]
fn where_to_answer_is_unknown_or_an_answer_is_forbidden_there_is_none() {
    assert_eq!(refusal(&INVITE.replace("Via: SIP/2.0/UDP", "Via: HTTP/1.1/TCP")), None);
    assert_eq!(refusal(&INVITE.replace("Via: SIP/2.0/UDP pc33", "Via: SIP/2.0/UDP ;pc33")), None);
    assert_eq!(refusal(&INVITE.replace("Via", "Vya")), None);
    assert_eq!(refusal(&INVITE.replace("INVITE", "ACK").replace("314159", "x")), None);
    assert_eq!(refusal("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), None);
    assert_eq!(refusal(""), None);
    let answer = INVITE.replace("INVITE sip:bob@biloxi.example.com SIP/2.0", "SIP/2.0 200 OK");
    assert_eq!(response(&answer).code, 200);
    for (from, to) in
        [("314159", "x"), ("1 INVITE", "1 FETCH"), (" 200 ", " 099 "), (" 200 ", " 700 "), (" 200 ", " 2000 ")]
    {
        assert!(answer.contains(from) || from == "1 INVITE");
        assert_eq!(refusal(&answer.replace(from, to).replace("314159 INVITE", "314159 FETCH")), None, "{from} -> {to}");
    }
}

#[test]
fn the_answer_to_a_bad_request_repeats_what_came_be_it_readable_or_not() {
    let bad = "FETCH sip:bob@b SIP/2.0\r\n\
        Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        To: \"Bob <sip:bob@b>\r\n\
        CSeq: 7 FETCH\r\n\
        Call-ID: x y\r\n\
        Via: SIP/2.0/UDP b\r\n\
        Subject: not of interest\r\n\r\n";
    let malformed = parse(bad).unwrap_err();
    assert_eq!(malformed.what, "an unknown method");
    assert_eq!(
        text(&malformed.answer.unwrap().to_bytes()),
        "SIP/2.0 501 Not Implemented\r\n\
        Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        Via: SIP/2.0/UDP b\r\n\
        To: \"Bob <sip:bob@b>\r\n\
        Call-ID: x y\r\n\
        CSeq: 7 FETCH\r\n\
        Content-Length: 0\r\n\r\n"
    );
    let answer = parse(&INVITE.replace("70", "700")).unwrap_err().answer.unwrap();
    assert_eq!(answer.reason, "Bad Request: an improper Max-Forwards");
    assert_eq!(answer.headers.from, request(INVITE).headers.from);
}

#[test]
fn limits_hold() {
    let tight = Limits { max_headers: 6, max_message: INVITE.len() };
    assert!(Message::parse(INVITE.as_bytes(), &tight).is_ok());
    let code = |text: &str| Message::parse(text.as_bytes(), &tight).unwrap_err().answer.map(|answer| answer.code);
    assert_eq!(code(&format!("{INVITE} ")), Some(513));
    let room = Limits { max_message: 1 << 20, ..tight };
    let more = |text: &str| Message::parse(text.as_bytes(), &room).unwrap_err().what;
    assert_eq!(more(&INVITE.replace("Contact:", "X: y\r\nContact:")), "more fields than are taken");
    assert_eq!(more(&INVITE.replace(", <sip:p2", ", <sip:p3>, <sip:p2")), "more fields than are taken");
    assert_eq!(more(&INVITE.replace("Via: ", "Via: SIP/2.0/UDP b, ")), "more fields than are taken");
    let many = INVITE.replace("Contact:", &format!("{}Contact:", "q:\r\ns:\r\n".repeat(5_000)));
    assert_eq!(more(&many), "more fields than are taken");
    let long = "x".repeat(20_000);
    assert_eq!(more(&INVITE.replace("application/sdp", &long)), "a line too long");
    assert_eq!(more(&INVITE.replace("application/sdp", &"x\r\n ".repeat(10_000))), "a line too long");
}

#[test]
fn latin_1_is_let_through_in_what_people_read_and_nowhere_else() {
    let latin = |from: &str, to: &[u8]| {
        let (before, after) = INVITE.split_once(from).unwrap();
        Message::parse(&[before.as_bytes(), to, after.as_bytes()].concat(), &LIMITS)
    };
    let Ok(Message::Request(invite)) = latin("Alice", b"J\xfcrgen") else { panic!("refused") };
    assert_eq!(invite.headers.from.display.as_deref(), Some("J\u{fffd}rgen"));
    assert!(latin("application", b"\xff\xfe").is_ok());
    for from in ["1928301774", "alice@", "a84b4c76e66710", "z9hG4bK776asdhds", "pc33", "INVITE"] {
        assert!(latin(from, b"x\xfc").is_err(), "{from}");
    }
}

#[test]
fn no_value_can_smuggle_in_a_field() {
    let mut invite = request(INVITE);
    invite.headers.push("X-Note", "a\r\nEvil: yes\n\nbody");
    invite.headers.push("X-Evil: yes\r\nX", "a");
    invite.headers.push("", "a");
    invite.headers.push("Content-Length", "9");
    invite.headers.push("i", "other");
    invite.headers.from.display = Some("a\r\nEvil: yes".to_owned());
    let again = request(text(&invite.to_bytes()));
    assert_eq!(again.headers.get("X-Note"), Some("a  Evil: yes  body"));
    assert_eq!(again.headers.from.display.as_deref(), Some("a  Evil: yes"));
    assert_eq!((again.headers.get("Evil"), again.headers.get("X-Evil")), (None, None));
    assert_eq!((again.headers.call_id, again.body), (invite.headers.call_id.clone(), invite.body.clone()));
    let answer = invite.response(486, Some("Busy\r\nEvil: yes"));
    assert_eq!(response(text(&answer.to_bytes())).reason, "Busy  Evil: yes");
}

#[test]
fn fields_are_set_and_removed_by_any_of_their_names() {
    let mut headers = request(INVITE).headers;
    headers.push("Supported", "timer, 100rel");
    headers.push("k", "path");
    assert_eq!(headers.all("supported").collect::<Vec<_>>(), ["timer", "100rel", "path"]);
    headers.set("SUPPORTED", "replaces");
    assert_eq!(headers.all("Supported").collect::<Vec<_>>(), ["replaces"]);
    headers.set("m", "<sip:x@y>");
    assert_eq!(headers.all("Contact").collect::<Vec<_>>(), ["<sip:x@y>"]);
    headers.remove("c");
    assert_eq!(headers.get("Content-Type"), None);
    headers.push("Require", "");
    assert_eq!(headers.all("Require").count(), 0, "an empty list has no elements");
    headers.push("User-Agent", "a, b");
    assert_eq!(headers.all("User-Agent").collect::<Vec<_>>(), ["a, b"], "not a list");
}

#[test]
fn an_answer_repeats_what_it_must() {
    let mut invite = request(INVITE);
    invite.headers.push("Timestamp", "54");
    let trying = invite.response(100, None);
    assert_eq!((trying.code, trying.reason.as_str()), (100, "Trying"));
    assert_eq!((trying.headers.get("Timestamp"), trying.headers.get("Record-Route")), (Some("54"), None));
    let ok = invite.response(200, Some("Fine"));
    assert_eq!(
        ok.headers.all("Record-Route").collect::<Vec<_>>(),
        ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]
    );
    assert_eq!((ok.reason.as_str(), ok.headers.get("Contact"), ok.body.len()), ("Fine", None, 0));
    assert_eq!((&ok.headers.via, &ok.headers.cseq), (&invite.headers.via, &invite.headers.cseq));
    assert_eq!(invite.response(486, None).headers.get("Record-Route"), None);
    let bye = request(&INVITE.replace("INVITE", "BYE"));
    assert_eq!(bye.response(200, None).headers.get("Record-Route"), None);
}

#[test]
fn a_message_prints_as_expected() {
    let from = NameAddr { display: Some("A \"B\"".into()), ..NameAddr::new(Uri::sip(Some("a"), "b", Some(5070))) };
    let to = NameAddr::new(Uri::parse("tel:+49301234").unwrap());
    let mut headers = Headers::new(from, to, "x@y".into(), CSeq { number: 7, method: Method::PRack });
    headers.from.set_tag("t1");
    let mut via = Via::parse("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK1").unwrap();
    via.set_param("rport", Some("1024"));
    via.set_param("received", Some("2001:db8::1"));
    assert_eq!((via.rport(), via.received()), (Some(Some(1024)), "2001:db8::1".parse().ok()));
    headers.via.push(via);
    headers.push("max-forwards", "70");
    let request = Request { method: Method::PRack, uri: Uri::sip(None, "b", None), headers, body: "hi".into() };
    let printed = request.to_bytes();
    assert_eq!(
        text(&printed),
        "PRACK sip:b SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;rport=1024;branch=z9hG4bK1;received=2001:db8::1\r\n\
        From: \"A \\\"B\\\"\" <sip:a@b:5070>;tag=t1\r\n\
        To: <tel:+49301234>\r\n\
        Call-ID: x@y\r\n\
        CSeq: 7 PRACK\r\n\
        Max-Forwards: 70\r\n\
        Content-Length: 2\r\n\r\nhi"
    );
    assert_eq!(Message::parse(&printed, &LIMITS), Ok(Message::Request(request)));
}

#[test]
fn reason_phrases_are_the_registered_ones() {
    assert_eq!((reason_phrase(481), reason_phrase(603)), ("Call/Transaction Does Not Exist", "Decline"));
    assert_eq!(
        (reason_phrase(299), reason_phrase(499), reason_phrase(599)),
        ("Success", "Request Failure", "Server Failure")
    );
    assert!((100..700).all(|code| !reason_phrase(code).is_empty()));
}

fn params() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    let value = prop_oneof!["[a-zA-Z0-9.!%*_+`'~-]{1,9}", "\"[a-z;,<> =]{0,9}\"", "\\[2001:db8::[1-9]\\]"];
    prop::collection::vec(("[a-z][a-z0-9-]{0,7}", prop::option::of(value)), 0..4)
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]([a-z0-9.-]{0,12}[a-z])?", "192\\.0\\.2\\.[1-9]", "\\[2001:db8::[1-9a-f]{1,4}\\]"]
}

prop_compose! {
    fn sip_uri()(
        sips in any::<bool>(),
        user in prop::option::of(("[a-zA-Z0-9_.!~*'()&=+$,;?/-]{1,12}", prop::option::of("[a-z0-9&=+$,]{0,6}"))),
        host in host(),
        port in any::<Option<u16>>(),
        params in prop::collection::vec(("[a-z]{1,6}", prop::option::of("[a-z0-9/:&+$.-]{0,6}")), 0..3),
        headers in prop::collection::vec(("[a-z]{1,6}", "[a-z0-9/:+$.-]{0,6}"), 0..3),
    ) -> Uri {
        let (user, password) = user.map_or((None, None), |(user, password)| (Some(user), password));
        Uri { scheme: if sips { Scheme::Sips } else { Scheme::Sip }, user, password, host, port, params, headers }
    }
}

prop_compose! {
    fn name_addr()(
        display in prop::option::of(any::<String>().prop_map(|text| text.replace(['\r', '\n'], "?"))),
        uri in prop_oneof![4 => sip_uri(), 1 => Just(Uri::parse("tel:+1-201-555-0123;x=y").unwrap())],
        params in params(),
    ) -> NameAddr {
        NameAddr { display, uri, params }
    }
}

prop_compose! {
    fn via()(transport in "(UDP|TCP|TLS|x)", host in host(), port in any::<Option<u16>>(), params in params()) -> Via {
        Via { transport, host, port, params }
    }
}

prop_compose! {
    fn headers()(
        via in prop::collection::vec(via(), 1..4),
        from in name_addr(),
        to in name_addr(),
        call_id in "[a-zA-Z0-9()<>:\"/{}?-]{1,20}(@[a-z0-9.]{1,9})?",
        number in any::<u32>(),
        others in prop::collection::vec(("X-[a-z]{1,5}|Route|Subject|User-Agent|Warning", "([!-~]([ -~]{0,20}[!-~])?)?"), 0..6),
    ) -> Headers {
        let mut headers = Headers::new(from, to, call_id, CSeq { number, method: Method::Info });
        headers.via = via;
        for (name, value) in others {
            if name == "Subject" { headers.set(&name, value) } else { headers.push(&name, value) }
        }
        headers
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(
        start in prop_oneof![sip_uri().prop_map(Ok), (100u16..700, "[^\r\n]{0,20}").prop_map(Err)],
        headers in headers(),
        body in prop::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from),
    ) {
        let message = match start {
            Ok(uri) => {
                let uri = Uri { headers: Vec::new(), ..uri };
                Message::Request(Request { method: Method::Info, uri, headers, body })
            }
            Err((code, reason)) => Message::Response(Response { code, reason, headers, body }),
        };
        let printed = message.to_bytes();
        prop_assert_eq!(Message::parse(&printed, &LIMITS), Ok(message), "{}", String::from_utf8_lossy(&printed));
    }

    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz::message(&bytes);
    }

    #[test]
    fn real_messages_with_some_bytes_changed_can_be_read(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..4, prop_oneof![
                "[\r\n \t;,:<>\"\\\\=@%?/\\[\\]]{0,3}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..3),
            ]),
            1..8,
        ),
    ) {
        let mut bytes = INVITE.as_bytes().to_vec();
        for (at, gone, new) in changes {
            let from = at.index(bytes.len());
            let to = bytes.len().min(from + gone);
            bytes.splice(from..to, new);
        }
        fuzz::message(&bytes);
    }
}
