use super::*;
use crate::sip::{
    auth::{Credentials, Secret},
    register::{Account, Change, Why},
};

/// Carrier "a" wants us to register.
fn registers(config: &mut Config, registrar: &str) {
    let credentials = Credentials { user: "acct".into(), secret: Secret::Password("secret".into()) };
    let registration = Account {
        registrar: sip::Uri::parse(registrar).unwrap(),
        address: sip::Uri::parse("sip:acct@carrier.example").unwrap(),
        credentials: Some(credentials.clone()),
        expires: secs(600),
    };
    let trunk = first(config);
    trunk.credentials = Some(credentials);
    trunk.registration = Some(registration);
    trunk.sources.clear();
}

fn register_at(world: &mut World, at: &str) -> SipRequest {
    world.request_at(address(at), Method::Register)
}

fn answers(world: &mut World, at: &str, request: &SipRequest, code: u16, fields: &[(&str, &str)]) {
    let mut response = request.response(code, None);
    response.headers.to.set_tag("registrar");
    fields.iter().for_each(|(name, value)| response.headers.push(name, *value));
    world.say(address(at), response.to_bytes());
    world.settle();
}

fn news(world: &World) -> Vec<TrunkNews> {
    let told = world.node().console.iter().filter_map(|reply| match reply {
        ConsoleReply::Trunk { news, .. } => Some(news.clone()),
        _ => None,
    });
    told.collect()
}

const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"");

fn registered() -> World {
    let mut world = world_with(|config| registers(config, "sip:203.0.113.1"));
    world.settle();
    let first = register_at(&mut world, CARRIER_A);
    answers(&mut world, CARRIER_A, &first, 401, &[CHALLENGE]);
    let second = register_at(&mut world, CARRIER_A);
    assert!(second.headers.get("Authorization").is_some());
    assert_eq!(second.headers.get("Contact"), Some("<sip:acct@192.0.2.1:5060>"));
    answers(&mut world, CARRIER_A, &second, 200, &[("Contact", "<sip:acct@192.0.2.1:5060>;expires=100")]);
    assert_eq!(news(&world), [TrunkNews::Registration(Change::Registered(secs(100)))]);
    world
}

#[test]
fn we_register_refresh_and_take_it_back_when_we_stop() {
    let mut world = registered();
    world.run(secs(79));
    assert!(world.inbox.is_empty(), "{:?}", world.seen());
    world.run(secs(1));
    let refresh = register_at(&mut world, CARRIER_A);
    answers(&mut world, CARRIER_A, &refresh, 200, &[("Expires", "100")]);
    world.input(0, Input::Drain);
    world.settle();
    let goodbye = register_at(&mut world, CARRIER_A);
    assert_eq!(goodbye.headers.get("Expires"), Some("0"));
    answers(&mut world, CARRIER_A, &goodbye, 200, &[]);
    assert_eq!(news(&world).last(), Some(&TrunkNews::Registration(Change::Left)));
    // A refresh is no news.
    let trunk = || "a".to_owned();
    let told: Vec<Happened> = world.node().happenings.iter().map(|one| one.what.clone()).collect();
    let left = Happened::TrunkUnregistered { trunk: trunk(), reason: "left".into() };
    assert_eq!(told, [Happened::TrunkRegistered { trunk: trunk() }, left]);
    world.inbox.clear();
    world.run(secs(3600));
    assert!(world.inbox.is_empty(), "{:?}", world.seen());
}

#[test]
fn a_carrier_shows_until_when_we_are_registered_and_what_failed_last() {
    let mut world = registered();
    let seat = |world: &World| world.node().switch.trunks()[0].seat.clone().unwrap();
    assert_eq!(seat(&world).until.map(|until| until > world.now + secs(99)), Some(true));
    assert_eq!(seat(&world).trouble, None);
    assert_eq!(world.node().switch.trunks()[1].seat, None, "we have no account with the other one");
    world.run(secs(80));
    let refresh = register_at(&mut world, CARRIER_A);
    answers(&mut world, CARRIER_A, &refresh, 403, &[]);
    let trouble = seat(&world).trouble.unwrap();
    assert_eq!((trouble.why.as_str(), world.now - trouble.at < secs(1)), ("refused with 403", true));
    assert!(seat(&world).until.is_some(), "the one before still holds");
    world.run(secs(30));
    assert_eq!(seat(&world).until, None);
}

#[test]
fn calls_from_the_registrar_belong_to_the_carrier_and_the_number_is_in_to() {
    let mut world = registered();
    let mut caller = Caller { at: address("203.0.113.1:5080"), ..Caller::new() };
    let text = caller.text("INVITE", Some(("application/sdp", &sdp())), "");
    world.say(caller.at, text.replacen("INVITE sip:100@", "INVITE sip:acct@", 1));
    world.settle();
    let facts = &world.node().starts[0].facts;
    assert_eq!((facts.called.as_str(), facts.trunk.as_deref()), ("100", Some("a")));
}

#[test]
fn before_we_are_registered_nobody_is_taken_for_the_carrier() {
    let mut world = world_with(|config| registers(config, "sip:203.0.113.1"));
    world.settle();
    let mut caller = Caller { at: address(CARRIER_A), ..Caller::new() };
    caller.invite(&mut world, Some(&sdp()));
    assert_eq!(world.node().starts[0].facts.trunk, None);
}

#[test]
fn a_registrars_name_is_looked_up_and_its_addresses_are_tried_in_turn() {
    let mut world = world_with(|config| registers(config, "sip:reg.example"));
    world.settle();
    let (query, host) = world.nodes[0].queries.pop().unwrap();
    assert_eq!(host, "reg.example");
    let place = |at| sip::Target { transport: Transport::Udp, address: address(at) };
    world.input(0, Input::Resolved { query, result: Ok(vec![place(CARRIER_A), place(CARRIER_B)]) });
    world.settle();
    let first = register_at(&mut world, CARRIER_A);
    answers(&mut world, CARRIER_A, &first, 503, &[]);
    let second = register_at(&mut world, CARRIER_B);
    assert_eq!(second.headers.cseq.number, first.headers.cseq.number + 1);
    answers(&mut world, CARRIER_B, &second, 500, &[]);
    let [TrunkNews::Registration(Change::Failed { why: Why::Refused(500), again, still: false })] = news(&world)[..]
    else {
        panic!("{:?}", news(&world));
    };
    world.run(again);
    assert_eq!(world.nodes[0].queries.pop().unwrap().1, "reg.example", "the name is looked up again");
}

#[test]
fn a_name_that_leads_nowhere_is_tried_again_later() {
    let mut world = world_with(|config| registers(config, "sip:reg.example"));
    world.settle();
    let (query, _) = world.nodes[0].queries.pop().unwrap();
    world.input(0, Input::Resolved { query, result: Err("no such name".into()) });
    assert!(matches!(news(&world)[..], [TrunkNews::Registration(Change::Failed { why: Why::NoPlace, .. })]));
    world.run(secs(31));
    assert_eq!(world.nodes[0].queries.len(), 1);
}

#[test]
fn a_new_configuration_changes_only_the_links_that_it_changes() {
    let mut world = registered();
    let mut config = config(address("192.0.2.1:5060"));
    config.trunking = trunking();
    registers(&mut config, "sip:203.0.113.1");
    world.input(0, Input::Configure(Box::new(config.clone())));
    world.settle();
    assert!(world.inbox.is_empty(), "{:?}", world.seen());
    config.trunking.trunks.clear();
    world.input(0, Input::Configure(Box::new(config)));
    world.settle();
    assert_eq!(register_at(&mut world, CARRIER_A).headers.get("Expires"), Some("0"));
    world.run(secs(3600));
    assert!(!world.seen().iter().any(|line| line.ends_with("INVITE")));
}

#[test]
fn a_target_that_does_not_answer_options_is_tried_last_until_it_does() {
    let mut world = world_with(|config| first(config).options = secs(30));
    world.settle();
    let options = world.request_at(address(CARRIER_A), Method::Options);
    assert_eq!(options.uri.to_string(), "sip:203.0.113.1:5060");
    says(&mut world, CARRIER_A, &options, 404, None);
    let up = |up| TrunkNews::Target { uri: sip::Uri::parse("sip:203.0.113.1:5060").unwrap(), up };
    assert_eq!(news(&world), [up(true)], "whoever answers is there");
    world.run(secs(36));
    assert_eq!(news(&world), [up(true), up(false)]);
    world.inbox.clear();
    originate(&mut world, "+4930", "1");
    let invite = invite_at(&mut world, CARRIER_B);
    says(&mut world, CARRIER_B, &invite, 503, None);
    invite_at(&mut world, CARRIER_A);

    world.inbox.clear();
    world.run(secs(25));
    // The question before is still being resent.
    let last = world.inbox.iter().rev().find_map(|(_, message)| match message {
        Message::Request(request) if request.method == Method::Options => Some(request.clone()),
        _ => None,
    });
    says(&mut world, CARRIER_A, &last.unwrap(), 200, None);
    assert_eq!(news(&world).last(), Some(&up(true)));
    world.inbox.clear();
    originate(&mut world, "+4931", "1");
    assert_eq!(invite_at(&mut world, CARRIER_A).uri.user.as_deref(), Some("+4931"));
}
