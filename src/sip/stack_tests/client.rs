//! Requests of ours, and what comes back.

use super::*;

#[test]
fn request_goes_out_with_what_the_user_need_not_know() {
    let mut stack = stack();
    let (tx, request) = send(&mut stack, Method::Options, udp());
    let via = &request.headers.via[0];
    assert_eq!((via.transport.as_str(), via.host.as_str(), via.port), ("UDP", "192.0.2.1", Some(5060)));
    assert_eq!((via.rport(), via.branch()), (Some(None), Some(branch::branch(tx.0).as_str())));
    assert_eq!(request.headers.max_forwards(), Some(70));
    assert_eq!(request.headers.get("User-Agent"), Some("Switchhook"));
    assert_eq!(request.body, "body");
}

#[test]
fn unanswered_invite_fails_once_after_seven_sends() {
    let mut stack = stack();
    let (tx, _) = send(&mut stack, Method::Invite, udp());
    let seen = run_out(&mut stack);
    assert_eq!(seen.sent.len(), 6);
    assert!(matches!(seen.events.as_slice(), [Event::Failed { tx: t, why: Failure::TimedOut }] if *t == tx));
    assert_eq!(stack.counters().retransmitted, 6);
    assert!(stack.is_empty());
}

#[test]
fn failure_is_acknowledged_on_the_invites_way_and_told_once() {
    let mut stack = stack();
    let (_, invite) = send(&mut stack, Method::Invite, udp());
    let seen = answer(&mut stack, 10, &invite, 486, "bob");
    assert_eq!(seen.codes(), [486]);
    let ack = seen.request(0);
    assert_eq!((ack.method, &ack.uri), (Method::Ack, &invite.uri));
    assert_eq!(ack.headers.via, invite.headers.via);
    assert_eq!(ack.headers.get("Route"), Some("<sip:proxy.example.org;lr>"));
    assert_eq!((ack.headers.to.tag(), ack.headers.cseq.number), (Some("bob"), 1));
    assert_eq!((&ack.headers.from, &ack.headers.call_id), (&invite.headers.from, &invite.headers.call_id));
    assert!(ack.body.is_empty());
    let again = answer(&mut stack, 500, &invite, 486, "bob");
    assert_eq!((again.lines(), again.events.len()), (vec!["ACK sip:bob@example.org SIP/2.0"], 0));
}

#[test]
fn cancel_waits_for_a_provisional_answer_and_its_own_answer_is_not_told() {
    let mut stack = stack();
    let (tx, invite) = send(&mut stack, Method::Invite, udp());
    stack.cancel(at(1), tx, Some("SIP;cause=200;text=\"Call completed elsewhere\""));
    assert!(drain(&mut stack).sent.is_empty());
    let seen = answer(&mut stack, 10, &invite, 100, "bob");
    assert_eq!(seen.codes(), [100]);
    let cancel = seen.request(0);
    assert_eq!((cancel.method, &cancel.uri), (Method::Cancel, &invite.uri));
    assert_eq!((&cancel.headers.via, &cancel.headers.to), (&invite.headers.via, &invite.headers.to));
    assert_eq!(cancel.headers.get("Route"), Some("<sip:proxy.example.org;lr>"));
    assert_eq!(cancel.headers.get("Reason"), Some("SIP;cause=200;text=\"Call completed elsewhere\""));
    assert!(answer(&mut stack, 20, &cancel, 200, "bob").events.is_empty());
    assert_eq!(answer(&mut stack, 30, &invite, 487, "bob").codes(), [487]);
    assert!(run_out(&mut stack).events.is_empty());
    assert!(stack.is_empty());
}

#[test]
fn unanswered_cancel_is_resent_and_ends_the_invite_as_timed_out() {
    let mut stack = stack();
    let (tx, invite) = send(&mut stack, Method::Invite, udp());
    answer(&mut stack, 10, &invite, 180, "bob");
    stack.cancel(at(20), tx, None);
    let seen = run_out(&mut stack);
    assert_eq!(seen.lines(), ["CANCEL sip:bob@example.org SIP/2.0"; 11]);
    assert!(matches!(seen.events.as_slice(), [Event::Failed { why: Failure::TimedOut, .. }]));
    assert!(stack.is_empty());
}

#[test]
fn every_fork_that_answers_is_told_and_so_is_every_resend() {
    let mut stack = stack();
    let (_, invite) = send(&mut stack, Method::Invite, udp());
    for (ms, tag) in [(10, "one"), (20, "two"), (510, "one"), (31_000, "two")] {
        let seen = answer(&mut stack, ms, &invite, 200, tag);
        assert_eq!((seen.codes(), seen.sent.len()), (vec![200], 0));
    }
    run_out(&mut stack);
    answer(&mut stack, 33_000, &invite, 200, "one");
    assert_eq!(stack.counters().dropped_stray, 1);
}

#[test]
fn response_that_nobody_waits_for_is_dropped_and_counted() {
    let mut stack = stack();
    let (_, request) = send(&mut stack, Method::Options, udp());
    let mut strays: [Request; 4] = std::array::from_fn(|_| request.clone());
    strays[0].headers.via[0].set_param("branch", Some("z9hG4bK0123456789abcdef"));
    strays[1].headers.via[0].host = "192.0.2.99".to_owned();
    strays[2].headers.via.push(request.headers.via[0].clone());
    strays[3].headers.cseq.method = Method::Invite;
    for stray in strays {
        assert!(answer(&mut stack, 1, &stray, 200, "bob").events.is_empty());
    }
    assert_eq!(stack.counters().dropped_stray, 4);
    assert_eq!(answer(&mut stack, 2, &request, 200, "bob").codes(), [200]);
}

#[test]
fn broken_transport_fails_all_that_waits_for_an_answer_over_it_and_nothing_else() {
    let mut stack = stack();
    let (invite, _) = send(&mut stack, Method::Invite, tcp());
    let (options, _) = send(&mut stack, Method::Options, tcp());
    send(&mut stack, Method::Options, udp());
    stack.handle_transport_failed(at(5), tcp());
    let mut failed: Vec<_> = drain(&mut stack).events.into_iter().map(failed_tx).collect();
    failed.sort();
    let mut expected = [invite, options];
    expected.sort();
    assert_eq!(failed, expected);
    assert_eq!(stack.counters().clients, 1);
    stack.handle_transport_failed(at(6), tcp());
    assert!(drain(&mut stack).events.is_empty());
}

fn failed_tx(event: Event) -> ClientTx {
    let Event::Failed { tx, why: Failure::Transport } = event else { panic!("{event:?}") };
    tx
}

#[test]
fn ack_of_a_2xx_has_a_branch_of_its_own_and_the_dialogs_route() {
    let mut stack = stack();
    let (_, invite) = send(&mut stack, Method::Invite, udp());
    let mut response = invite.response(200, None);
    response.headers.to.set_tag("bob");
    response.headers.push("Record-Route", "<sip:p2.example.org;lr>, <sip:p1.example.org;lr>");
    response.headers.push("Contact", "<sip:bob@203.0.113.7>");
    let dialog = Dialog::uac(&invite, &response, udp()).unwrap();
    stack.send_ack(at(1), dialog.ack(1), udp());
    let ack = drain(&mut stack).request(0);
    assert_ne!(ack.headers.via[0].branch(), invite.headers.via[0].branch());
    assert_eq!(ack.uri, "sip:bob@203.0.113.7".parse().unwrap());
    let routes: Vec<_> = ack.headers.all("Route").collect();
    assert_eq!(routes, ["<sip:p1.example.org;lr>", "<sip:p2.example.org;lr>"]);
}
