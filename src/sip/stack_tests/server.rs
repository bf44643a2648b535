//! Requests of peers, and our answers.

use super::*;

#[test]
fn invite_gets_100_at_once_and_other_requests_get_nothing() {
    let mut stack = stack();
    let seen = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &["Timestamp: 54"]));
    assert_eq!(seen.lines(), ["SIP/2.0 100 Trying"]);
    assert_eq!(seen.response(0).headers.get("Timestamp"), Some("54"));
    assert_eq!(seen.response(0).headers.to.tag(), None);
    assert_eq!(seen.asked().1.method, Method::Invite);
    let options = ["From: <sip:bob@example.org>;tag=other"];
    let seen = hear(&mut stack, 0, udp(), &ask("OPTIONS", "z9hG4bKb", &options));
    assert!(seen.lines().is_empty());
    assert_eq!(seen.asked().1.method, Method::Options);
}

#[test]
fn resent_request_is_answered_again_and_not_told_again() {
    let mut stack = stack();
    let text = ask("INVITE", "z9hG4bKa", &[]);
    let (tx, request) = hear(&mut stack, 0, udp(), &text).asked();
    let seen = hear(&mut stack, 500, udp(), &text);
    assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 100 Trying"], 0));
    respond(&mut stack, 600, tx, &request, 180);
    let seen = hear(&mut stack, 1500, udp(), &text);
    assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 180 Ringing"], 0));
    assert_eq!(stack.counters().retransmitted, 2);
}

#[test]
fn all_answers_to_a_request_have_one_tag_and_the_users_own_is_kept() {
    let mut stack = stack();
    let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
    let ringing = respond(&mut stack, 1, tx, &request, 180).response(0);
    let busy = respond(&mut stack, 2, tx, &request, 486).response(0);
    assert!(ringing.headers.to.tag().is_some());
    assert_eq!(ringing.headers.to.tag(), busy.headers.to.tag());
    assert_eq!(busy.headers.get("Server"), Some("Switchhook"));
    let other = ask("INVITE", "z9hG4bKb", &["Call-ID: other"]);
    let (tx, request) = hear(&mut stack, 3, udp(), &other).asked();
    let mut ringing = request.response(180, None);
    ringing.headers.to.set_tag("mine");
    stack.respond(at(4), tx, ringing);
    drain(&mut stack);
    let busy = respond(&mut stack, 5, tx, &request, 486).response(0);
    assert_eq!(busy.headers.to.tag(), Some("mine"));
}

#[test]
fn answer_goes_to_the_source_port_with_rport_and_to_the_named_port_without() {
    let mut stack = stack();
    let nat = Hop { remote: "203.0.113.9:40000".parse().unwrap(), ..udp() };
    let seen = hear(&mut stack, 0, nat, &ask("INVITE", "z9hG4bKa", &[]));
    assert_eq!(seen.sent[0].0, nat);
    let via = &seen.response(0).headers.via[0];
    assert_eq!(via.rport(), Some(Some(40000)));
    assert_eq!(via.received(), Some("203.0.113.9".parse().unwrap()));
    let plain = ["Via: SIP/2.0/UDP phone.example.org:5071;branch=z9hG4bKb", "Call-ID: b"];
    let seen = hear(&mut stack, 0, nat, &ask("INVITE", "", &plain));
    assert_eq!(seen.sent[0].0.remote, "203.0.113.9:5071".parse().unwrap());
    let bare = ["Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKc;maddr=10.9.9.9", "Call-ID: c"];
    let seen = hear(&mut stack, 0, nat, &ask("INVITE", "", &bare));
    assert_eq!(seen.sent[0].0.remote, "203.0.113.9:5060".parse().unwrap());
    assert_eq!(seen.response(0).headers.via[0].received(), None);
    let stream = ["Via: SIP/2.0/TCP phone.example.org:5071;branch=z9hG4bKd", "Call-ID: d"];
    let seen = hear(&mut stack, 0, tcp(), &ask("INVITE", "", &stream));
    assert_eq!(seen.sent[0].0, tcp());
}

#[test]
fn cancel_is_answered_with_the_invites_tag_and_told_and_the_ack_of_the_487_is_not() {
    let mut stack = stack();
    let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
    let cancel = ask("CANCEL", "z9hG4bKa", &["Reason: SIP;cause=200"]);
    let seen = hear(&mut stack, 10, udp(), &cancel);
    assert_eq!(seen.lines(), ["SIP/2.0 200 OK"]);
    let tag = seen.response(0).headers.to.tag().unwrap().to_owned();
    let [Event::Cancel { tx: cancelled, request: told }] = seen.events.as_slice() else { panic!("{seen:?}") };
    assert_eq!((*cancelled, told.headers.get("Reason")), (tx, Some("SIP;cause=200")));
    let seen = hear(&mut stack, 20, udp(), &cancel);
    assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 200 OK"], 0));
    let refused = respond(&mut stack, 30, tx, &request, 487).response(0);
    assert_eq!(refused.headers.to.tag(), Some(tag.as_str()));
    let ack = ask("ACK", "z9hG4bKa", &[&format!("To: <sip:alice@192.0.2.1>;tag={tag}")]);
    let seen = hear(&mut stack, 40, udp(), &ack);
    assert!(seen.sent.is_empty() && seen.events.is_empty());
    let seen = run_out(&mut stack);
    assert!(seen.sent.is_empty() && seen.events.is_empty());
    assert!(stack.is_empty());
}

#[test]
fn cancel_after_the_final_answer_gets_200_and_is_not_told() {
    let mut stack = stack();
    let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
    respond(&mut stack, 10, tx, &request, 200);
    let seen = hear(&mut stack, 20, udp(), &ask("CANCEL", "z9hG4bKa", &[]));
    assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 200 OK"], 0));
}

#[test]
fn cancel_of_nothing_gets_481_and_leaves_no_trace() {
    let mut stack = stack();
    let seen = hear(&mut stack, 0, udp(), &ask("CANCEL", "z9hG4bKa", &[]));
    assert_eq!(seen.lines(), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
    assert!(stack.is_empty());
}

#[test]
fn the_same_request_by_another_way_gets_482_but_not_within_a_dialog() {
    let mut stack = stack();
    hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
    let seen = hear(&mut stack, 1, udp(), &ask("INVITE", "z9hG4bKb", &[]));
    assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 482 Loop Detected"], 0));
    hear(&mut stack, 2, udp(), &ask("INVITE", "z9hG4bKc", &["CSeq: 2 INVITE"])).asked();
    hear(&mut stack, 3, udp(), &ask("INVITE", "z9hG4bKd", &["To: <sip:alice@192.0.2.1>;tag=x"])).asked();
}

#[test]
fn request_that_cannot_be_served_is_refused_with_the_code_for_it() {
    let mut stack = stack();
    let cases = [
        ("OPTIONS", "Require: never, timer", "420"),
        ("OPTIONS", "Max-Forwards: 0", "483"),
        ("OPTIONS", "CSeq: 2147483648 OPTIONS", "400"),
        ("OPTIONS", "CSeq: 1 INVITE", "400"),
        ("FROBNICATE", "Subject: x", "501"),
    ];
    for (method, line, code) in cases {
        let seen = hear(&mut stack, 0, udp(), &ask(method, "z9hG4bKa", &[line]));
        assert_eq!(seen.lines().len(), 1, "{line}");
        assert!(seen.lines()[0].starts_with(&format!("SIP/2.0 {code} ")), "{line}: {:?}", seen.lines());
        assert!(seen.response_tag().is_some(), "{line}");
        assert!(seen.events.is_empty(), "{line}");
    }
    let text = ask("OPTIONS", "z9hG4bKa", &[]);
    let seen = hear(&mut stack, 0, udp(), &text.replace("sip:alice@192.0.2.1 SIP", "mailto:alice@192.0.2.1 SIP"));
    assert_eq!(seen.lines(), ["SIP/2.0 416 Unsupported URI Scheme"]);
    let seen = hear(&mut stack, 0, udp(), &text.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"));
    assert_eq!(seen.lines(), ["SIP/2.0 505 Version Not Supported"]);
    let seen = hear(&mut stack, 0, udp(), &ask("OPTIONS", "z9hG4bKa", &["Require: never, timer, sometimes"]));
    assert_eq!(seen.response(0).headers.all("Unsupported").collect::<Vec<_>>(), ["never", "sometimes"]);
    assert_eq!(stack.counters().refused, 8);
    assert!(stack.is_empty());
}

impl Seen {
    fn response_tag(&self) -> Option<&str> {
        self.sent[0].1.lines().find(|line| line.starts_with("To: "))?.split_once(";tag=").map(|(_, tag)| tag)
    }
}

#[test]
fn ack_of_a_refusal_without_transaction_is_not_told_but_that_of_a_2xx_is() {
    let mut stack = stack();
    let seen = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &["Require: x"]));
    let tag = seen.response(0).headers.to.tag().unwrap().to_owned();
    let again = hear(&mut stack, 500, udp(), &ask("INVITE", "z9hG4bKa", &["Require: x"]));
    assert_eq!(again.response(0).headers.to.tag(), Some(tag.as_str()), "a resend gets the same tag");
    let ack = ask("ACK", "z9hG4bKa", &[&format!("To: <sip:alice@192.0.2.1>;tag={tag}")]);
    assert!(hear(&mut stack, 600, udp(), &ack).events.is_empty());
    let (tx, request) = hear(&mut stack, 700, udp(), &ask("INVITE", "z9hG4bKb", &[])).asked();
    let tag = respond(&mut stack, 800, tx, &request, 200).response(0).headers.to.tag().unwrap().to_owned();
    for branch in ["z9hG4bKc", "z9hG4bKb"] {
        let ack = ask("ACK", branch, &[&format!("To: <sip:alice@192.0.2.1>;tag={tag}")]);
        let seen = hear(&mut stack, 900, udp(), &ack);
        assert!(matches!(seen.events.as_slice(), [Event::Ack { .. }]), "{branch}: {seen:?}");
    }
}

#[test]
fn ack_of_an_invite_refused_within_a_dialog_is_not_told() {
    let mut stack = stack();
    let to = "To: <sip:alice@192.0.2.1>;tag=dialog";
    let seen = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &["Require: x", to]));
    assert_eq!(seen.lines(), ["SIP/2.0 100 Trying", "SIP/2.0 420 Bad Extension"]);
    let seen = hear(&mut stack, 1, udp(), &ask("ACK", "z9hG4bKa", &[to]));
    assert!(seen.events.is_empty() && seen.sent.is_empty());
}

#[test]
fn one_transaction_too_many_gets_503_with_retry_after_and_no_memory() {
    let mut stack = Stack::new(Config { max_transactions: 1, ..config() }, 1);
    hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
    let seen = hear(&mut stack, 1, udp(), &ask("INVITE", "z9hG4bKb", &["Call-ID: b"]));
    assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 503 Service Unavailable"], 0));
    assert!(seen.response(0).headers.get("Retry-After").is_some());
    assert_eq!((stack.counters().overloaded, stack.counters().servers), (1, 1));
    let seen = hear(&mut stack, 2, udp(), &ask("CANCEL", "z9hG4bKa", &[]));
    assert_eq!(seen.lines(), ["SIP/2.0 200 OK"], "what makes room is let in");
}

#[test]
fn requests_of_rfc_2543_without_the_cookie_find_their_transaction() {
    let mut stack = stack();
    let via = "Via: SIP/2.0/UDP 198.51.100.2:5070;branch=1";
    let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "", &[via])).asked();
    let seen = hear(&mut stack, 1, udp(), &ask("INVITE", "", &[via]));
    assert_eq!(seen.lines(), ["SIP/2.0 100 Trying"]);
    let seen = hear(&mut stack, 2, udp(), &ask("CANCEL", "", &[via]));
    assert!(matches!(seen.events.as_slice(), [Event::Cancel { .. }]));
    let tag = respond(&mut stack, 3, tx, &request, 487).response(0).headers.to.tag().unwrap().to_owned();
    let ack = ask("ACK", "", &[via, &format!("To: <sip:alice@192.0.2.1>;tag={tag}")]);
    assert!(hear(&mut stack, 4, udp(), &ack).events.is_empty());
    assert!(run_out(&mut stack).sent.is_empty());
    // The next request has the same branch and is another one all the same.
    hear(&mut stack, 60_000, udp(), &ask("INVITE", "", &[via, "CSeq: 2 INVITE"])).asked();
}

#[test]
fn one_branch_of_two_senders_or_of_two_methods_is_two_transactions() {
    let mut stack = stack();
    hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
    let other = ["Via: SIP/2.0/UDP 198.51.100.3:5070;branch=z9hG4bKa", "Call-ID: b"];
    hear(&mut stack, 1, udp(), &ask("INVITE", "", &other)).asked();
    hear(&mut stack, 2, udp(), &ask("BYE", "z9hG4bKa", &[])).asked();
    assert_eq!(stack.counters().servers, 3);
}

#[test]
fn what_cannot_be_read_is_counted_and_keepalives_are_not() {
    let mut stack = stack();
    for bytes in ["", "\r\n\r\n", "\0\0\0\0"] {
        stack.handle_datagram(at(0), udp(), bytes.as_bytes());
    }
    assert_eq!(stack.counters().dropped_malformed, 0);
    stack.handle_datagram(at(0), udp(), b"\x80\x00 no SIP");
    stack.handle_datagram(at(0), udp(), ask("ACK", "z9hG4bKa", &["CSeq: x"]).as_bytes());
    assert_eq!(stack.counters().dropped_malformed, 2);
    let seen = hear(&mut stack, 0, udp(), &ask("OPTIONS", "z9hG4bKa", &["CSeq: x"]));
    assert!(seen.lines()[0].starts_with("SIP/2.0 400 "));
    assert!(stack.is_empty());
}

#[test]
fn accepted_call_is_resent_by_accept_until_its_ack_or_for_64_t1() {
    let mut stack = stack();
    let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
    let response = request.response(200, None);
    stack.respond(at(0), tx, response.clone());
    let mut accept = Accept::new(at(0), &config(), tx, response);
    drain(&mut stack);
    let mut times = Vec::new();
    let mut gave_up = false;
    while let Some(due) = accept.timeout() {
        accept.handle_timeout(due);
        times.push((due - Time::START).as_millis());
        match accept.poll() {
            Some(AcceptOutput::Resend(response)) => stack.respond(due, accept.tx(), response),
            Some(AcceptOutput::GaveUp) => gave_up = true,
            None => panic!("nothing to do"),
        }
    }
    assert_eq!(times, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]);
    assert!(gave_up);
    assert_eq!(drain(&mut stack).lines(), ["SIP/2.0 200 OK"; 10]);
    let mut acknowledged = Accept::new(at(0), &config(), tx, request.response(200, None));
    acknowledged.handle_ack();
    assert_eq!(acknowledged.timeout(), None);
}
