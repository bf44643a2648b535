//! Encrypted media: what engine and handshakes are told, and when they are left alone.

use super::*;
use crate::sdp::Policy;

/// An offer with keys in SDP; `key` is its first letter.
fn keyed(key: char) -> String {
    let line = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n");
    sdp().replace("RTP/AVP", "RTP/SAVP") + &line
}

/// An offer of a handshake; `digit` is in each byte of its fingerprint.
fn certified(digit: char) -> String {
    let hex = vec![format!("0{digit}"); 32].join(":");
    let lines = format!("a=fingerprint:sha-256 {hex}\r\na=setup:actpass\r\na=rtcp-mux\r\n");
    sdp().replace("RTP/AVP", "UDP/TLS/RTP/SAVPF") + &lines
}

fn reinvite(world: &mut World, caller: &mut Caller, body: &str) -> String {
    caller.send(world, "INVITE", Some(("application/sdp", body)));
    let response = world.response_at(caller.at, 200);
    caller.ack(world, &response, None);
    String::from_utf8_lossy(&response.body).into_owned()
}

fn shields(world: &World) -> usize {
    world.commands().iter().filter(|name| **name == "Shield").count()
}

fn line<'a>(body: &'a str, start: &str) -> &'a str {
    body.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in {body}"))
}

#[test]
fn the_same_keys_are_told_once_and_our_own_stay_for_the_whole_call() {
    let (mut world, mut caller, _, _) = answered();
    assert_eq!(shields(&world), 0, "a plain call has no shield");
    let first = reinvite(&mut world, &mut caller, &keyed('A'));
    assert_eq!(shields(&world), 1);
    let held = reinvite(&mut world, &mut caller, &(keyed('A') + "a=sendonly\r\n"));
    assert_eq!(shields(&world), 1, "a hold changes no key");
    let other = reinvite(&mut world, &mut caller, &keyed('B'));
    assert_eq!(shields(&world), 2);
    let ours = line(&first, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:");
    assert!(line(&held, "a=crypto") == ours && line(&other, "a=crypto") == ours);
    reinvite(&mut world, &mut caller, &sdp());
    assert_eq!(shields(&world), 3, "and it may become plain again");
}

#[test]
fn who_comes_back_to_a_suite_gets_another_key_for_it() {
    let mut world = World::with(|config| config.security.fingerprint = Some([9; 32]));
    let (mut caller, _, _) = answer_one(&mut world, Caller::new());
    let strong = keyed('A').replace("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32");
    let first = reinvite(&mut world, &mut caller, &keyed('A'));
    let second = reinvite(&mut world, &mut caller, &strong);
    let third = reinvite(&mut world, &mut caller, &keyed('A'));
    let fourth = reinvite(&mut world, &mut caller, &keyed('A'));
    reinvite(&mut world, &mut caller, &certified('1'));
    let last = reinvite(&mut world, &mut caller, &keyed('A'));
    let keys = [&first, &second, &third, &last].map(|body| line(body, "a=crypto").rsplit(':').next().unwrap());
    let different: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(different.len(), 4, "a key whose counters begin anew would encrypt two things alike: {keys:?}");
    assert_eq!(line(&third, "a=crypto"), line(&fourth, "a=crypto"), "who stays keeps it");
}

#[test]
fn a_peer_that_restarts_ice_gets_a_new_name_from_us_and_nobody_else_does() {
    let mut world = World::with(|config| config.security.fingerprint = Some([9; 32]));
    let (mut caller, _, _) = answer_one(&mut world, Caller::new());
    let browser = |name: &str| {
        certified('1') + &format!("a=ice-ufrag:{name}\r\na=ice-pwd:{name}AAAAAAAAAAAAAAAAAAAAAA\r\na=mid:0\r\n")
    };
    let first = reinvite(&mut world, &mut caller, &browser("anna"));
    let held = reinvite(&mut world, &mut caller, &(browser("anna") + "a=inactive\r\n"));
    let restarted = reinvite(&mut world, &mut caller, &browser("bert"));
    let stayed = reinvite(&mut world, &mut caller, &browser("bert"));
    let name = |body: &str| (line(body, "a=ice-ufrag").to_owned(), line(body, "a=ice-pwd").to_owned());
    assert_eq!(name(&first), name(&held));
    assert_ne!(name(&first).0, name(&restarted).0, "RFC 8839: both change in a restart");
    assert_ne!(name(&first).1, name(&restarted).1);
    assert_eq!(name(&restarted), name(&stayed));
    assert_eq!(world.node().handshakes.len(), 1, "the certificate is the same, and so is the association");
}

#[test]
fn two_calls_have_two_keys() {
    let (mut world, mut caller, _, _) = answered();
    let first = reinvite(&mut world, &mut caller, &keyed('A'));
    let (mut other, _, _) = answer_one(&mut world, Caller { call_id: "other@phone".into(), ..Caller::new() });
    let second = reinvite(&mut world, &mut other, &keyed('A'));
    assert_ne!(line(&first, "a=crypto"), line(&second, "a=crypto"));
}

#[test]
fn a_handshake_is_begun_once_for_each_certificate() {
    let mut world = World::with(|config| config.security.fingerprint = Some([9; 32]));
    let (mut caller, _, _) = answer_one(&mut world, Caller::new());
    let body = reinvite(&mut world, &mut caller, &certified('1'));
    assert_eq!((line(&body, "a=setup"), line(&body, "a=fingerprint").len()), ("a=setup:passive", 22 + 95));
    reinvite(&mut world, &mut caller, &(certified('1') + "a=inactive\r\n"));
    assert_eq!(world.node().handshakes.len(), 1);
    reinvite(&mut world, &mut caller, &certified('2'));
    let handshakes = &world.node().handshakes;
    assert_eq!((handshakes.len(), handshakes[1].1.active), (2, false));
    assert_eq!(handshakes[1].1.fingerprints[0].bytes, [2; 32]);
    assert_eq!(handshakes[1].1.way, HandshakeWay::Said(Some("198.51.100.7:4000".parse().unwrap())));
    // What failed for good is begun anew with the next agreement, what may go on is not.
    let port = world.node().opened[0].0;
    for (over, begun) in [(false, 2), (true, 3)] {
        let fault = Box::new(NoKeys { from: None, why: "no".into(), over });
        world.input(0, Input::Shaken { port, result: Err(fault) });
        reinvite(&mut world, &mut caller, &certified('2'));
        assert_eq!(world.node().handshakes.len(), begun, "{over}");
    }
}

#[test]
fn where_encryption_is_required_a_plain_call_is_refused_and_off_refuses_the_other_kind() {
    for (policy, body) in [(Policy::Required, sdp()), (Policy::Off, keyed('A'))] {
        let mut world = World::with(|config| config.security.policy = policy);
        let mut caller = Caller::new();
        caller.invite(&mut world, Some(&body));
        assert!(world.response_at(caller.at, 488).headers.get("Warning").is_some(), "{policy:?}");
    }
}
