use super::*;
use crate::{
    facts::{Stir, StirVerdict},
    sip::stir::{
        Attestation, Claims, Identity, Reason, Signer,
        tests::{Kit, NOW, ORIGID, URL, Wish, of_number},
    },
    switch::stir::{Config as StirConfig, Signing, Treatment, Verifying},
};

const CALLER: &str = "12155551212";
const PHONE_B: &str = "203.0.113.9:5060";

/// A world of the moment in which everything was signed, whose switch believes `kit`'s root.
fn world(kit: &Kit, treatments: &[(Reason, Treatment)]) -> World {
    let verifying = Verifying {
        trust: kit.trust(),
        treatments: treatments.iter().copied().collect(),
        mark: "Unverified".into(),
        script: Some(Arc::from("marked.lua")),
        cache: 10,
        keep: secs(3600),
    };
    world_with(|config| config.stir.verifying = Some(verifying))
}

fn world_with(change: impl FnOnce(&mut Config)) -> World {
    let mut world = World::with(change);
    world.now = Time::START + secs(NOW - 1_700_000_000);
    world
}

/// What `kit` signs for a call from the usual caller to 100.
fn signed(kit: &Kit) -> String {
    let shaken = Some((Attestation::B, ORIGID.to_owned()));
    kit.signer().sign(&Claims { orig: CALLER.into(), dest: vec!["100".into()], iat: NOW, shaken })
}

/// An INVITE of the usual caller with this Identity.
fn call(world: &mut World, number: u32, identity: &str) -> Caller {
    let mut caller = Caller { call_id: format!("call{number}"), ..Caller::new() };
    let identity = if identity.is_empty() { String::new() } else { format!("Identity: {identity}\r\n") };
    let text = caller.text("INVITE", Some(("application/sdp", &sdp())), &identity);
    world.say(caller.at, text.replace("<sip:anna@phone>", "<sip:+12155551212@phone>"));
    world.settle();
    caller
}

fn found(world: &mut World, result: Result<&str, &str>) {
    let result = result.map(|text| Bytes::from(text.to_owned())).map_err(str::to_owned);
    world.input(0, Input::Found { url: URL.into(), result });
    world.settle();
}

/// The verdict that the last script was started with.
fn verdict(world: &World) -> Stir {
    *world.node().starts.last().expect("a script was started").facts.stir.clone().expect("somebody looked")
}

#[test]
fn the_script_starts_when_the_signers_certificate_came_and_sees_the_attestation() {
    let kit = Kit::new(Wish::default());
    let mut world = world(&kit, &[]);
    call(&mut world, 1, &signed(&kit));
    assert_eq!(world.node().looks, [URL]);
    assert!(world.node().starts.is_empty(), "it waits");
    found(&mut world, Ok(&kit.chain));
    let told = verdict(&world);
    assert_eq!((told.verdict, told.attest, told.reason), (StirVerdict::Passed, Some("B"), None));
    assert_eq!(told.origid.as_deref(), Some(ORIGID));
    let flow = world.node().starts[0].flow;
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(1);
    assert_eq!(world.node().records[0].stir, Some(told), "and so does the record");
}

#[test]
fn a_certificate_is_fetched_once_for_all_who_wait_and_kept_for_those_who_come() {
    let kit = Kit::new(Wish::default());
    let mut world = world(&kit, &[]);
    call(&mut world, 1, &signed(&kit));
    call(&mut world, 2, &signed(&kit));
    found(&mut world, Ok(&kit.chain));
    assert_eq!(world.node().starts.len(), 2);
    call(&mut world, 3, &signed(&kit));
    assert_eq!(world.node().starts.len(), 3);
    assert_eq!(world.node().looks.len(), 1);
    world.run(secs(3600));
    call(&mut world, 4, &signed(&kit));
    assert_eq!(world.node().starts.len(), 4, "stale by now, so nothing is fetched for it");
    assert_eq!(verdict(&world).reason, Some("stale"));
}

#[test]
fn that_a_certificate_cannot_be_had_is_believed_for_a_moment() {
    let kit = Kit::new(Wish::default());
    let mut world = world(&kit, &[]);
    call(&mut world, 1, &signed(&kit));
    found(&mut world, Err("no such host"));
    assert_eq!(verdict(&world).reason, Some("no_certificate"));
    call(&mut world, 2, &signed(&kit));
    assert_eq!((world.node().starts.len(), world.node().looks.len()), (2, 1));
    world.run(secs(11));
    call(&mut world, 3, &signed(&kit));
    assert_eq!(world.node().looks.len(), 2);
    found(&mut world, Ok(&kit.chain));
    assert_eq!(verdict(&world).verdict, StirVerdict::Passed);
}

#[test]
fn each_reason_is_treated_as_the_operator_wishes_and_refused_with_its_own_code() {
    let expired = Kit::new(Wish { years: (2024, 2025), ..Wish::default() });
    let other = Kit::new(Wish { numbers: Some(of_number("1999")), ..Wish::default() });
    let good = Kit::new(Wish::default());
    let forged = signed(&Kit::new(Wish::default()));
    let for_another = |orig: &str, dest: &str, iat| {
        good.signer().sign(&Claims { orig: orig.into(), dest: vec![dest.into()], iat, shaken: None })
    };
    for (kit, identity, reason, code) in [
        (&good, String::new(), Reason::Missing, 428),
        (&good, signed(&good).replace("ppt=shaken", "ppt=div"), Reason::Unsupported, 428),
        (&good, format!("x.y.z;info=<{URL}>"), Reason::Malformed, 438),
        (&good, for_another(CALLER, "100", NOW - 90), Reason::Stale, 403),
        (&good, for_another("4930123", "100", NOW), Reason::WrongCaller, 438),
        (&good, for_another(CALLER, "200", NOW), Reason::WrongCalled, 438),
        (&good, format!("{};alg=ES256", signed(&good).split(';').next().unwrap()), Reason::NoCertificate, 436),
        (&expired, signed(&expired), Reason::Expired, 437),
        (&other, signed(&other), Reason::NotAuthorized, 437),
        (&good, forged, Reason::BadSignature, 438),
    ] {
        for treatment in [Treatment::Allow, Treatment::Refuse] {
            let mut world = world(kit, &[(reason, treatment)]);
            let caller = call(&mut world, 1, &identity);
            if !world.node().looks.is_empty() {
                found(&mut world, Ok(&kit.chain));
            }
            if treatment == Treatment::Allow {
                assert_eq!(verdict(&world).reason, Some(reason.as_str()));
                continue;
            }
            let response = world.response_at(caller.at, code);
            assert_eq!(response.reason, reason.answer().1);
            let told = response.headers.get("Reason").unwrap();
            assert_eq!(told, format!("STIR;cause={code};text=\"{}\"", reason.as_str()));
            assert!(world.node().starts.is_empty(), "{reason:?}: no script");
            let ack = Caller { to_tag: response.headers.to.tag().map(str::to_owned), ..caller }.text("ACK", None, "");
            world.say(address(PHONE), ack);
            world.assert_clean(1);
            let record = &world.node().records[0];
            assert_eq!((record.code, record.stir.as_ref().unwrap().reason), (Some(code), Some(reason.as_str())));
        }
    }
}

#[test]
fn a_caller_who_gives_up_while_the_certificate_is_fetched_gets_487_and_no_script() {
    let kit = Kit::new(Wish::default());
    let mut world = world(&kit, &[]);
    let mut caller = call(&mut world, 1, &signed(&kit));
    let cancel = caller.text("CANCEL", None, "");
    world.say(caller.at, cancel);
    world.settle();
    world.response_at(caller.at, 487);
    found(&mut world, Ok(&kit.chain));
    assert!(world.node().starts.is_empty());
    world.assert_clean(1);
}

#[test]
fn more_signers_than_can_be_fetched_at_a_time_are_not_waited_for() {
    let kit = Kit::new(Wish::default());
    let mut world = world(&kit, &[]);
    let shaken = Some((Attestation::A, ORIGID.to_owned()));
    let claims = Claims { orig: CALLER.into(), dest: vec!["100".into()], iat: NOW, shaken };
    for number in 0..70 {
        let url = format!("https://host{number}.example/");
        let identity = Signer::new(&kit.key, &url).unwrap().sign(&claims);
        let text = Caller { call_id: format!("call{number}"), ..Caller::new() }.text(
            "INVITE",
            Some(("application/sdp", &sdp())),
            &format!("Identity: {identity}\r\n"),
        );
        world.say(address(PHONE), text.replace("<sip:anna@phone>", "<sip:+12155551212@phone>"));
    }
    world.settle();
    assert_eq!((world.node().looks.len(), world.node().starts.len()), (64, 6));
    assert_eq!(verdict(&world).reason, Some("no_certificate"));
}

/// A caller is answered and its script rings a phone; the phone's INVITE.
fn rings(world: &mut World, mut caller: Caller, caller_id: Option<&str>) -> SipRequest {
    let start = world.node().starts.last().unwrap().clone();
    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let response = world.response_at(caller.at, 200);
    caller.ack(world, &response, None);
    let dial = Dial {
        targets: vec![format!("sip:+4930123@{PHONE_B}")],
        strategy: Strategy::All,
        timeout: secs(20),
        early_media: true,
        caller_id: caller_id.map(str::to_owned),
        headers: vec![],
        ringback: None,
    };
    world.ask(start.flow, start.call, Verb::Dial(dial));
    world.settle();
    world.request_at(address(PHONE_B), Method::Invite)
}

#[test]
fn phones_show_a_marked_caller_as_the_operator_says_unless_the_script_chose_the_number() {
    let kit = Kit::new(Wish::default());
    for (treatment, caller_id, want) in [
        (Treatment::Mark, None, Some("Unverified")),
        (Treatment::Allow, None, None),
        (Treatment::Mark, Some("+49301"), None),
    ] {
        let mut world = world(&kit, &[(Reason::Missing, treatment)]);
        let caller = call(&mut world, 1, "");
        let invite = rings(&mut world, caller, caller_id);
        assert_eq!(invite.headers.from.display.as_deref(), want, "{treatment:?} {caller_id:?}");
    }
}

#[test]
fn a_call_to_an_emergency_number_is_never_refused() {
    let kit = Kit::new(Wish::default());
    let mut stir = verified_stir(&kit);
    let verifying = stir.verifying.as_mut().unwrap();
    verifying.treatments.insert(Reason::Missing, Treatment::Refuse);
    let mut world = world_with(|config| {
        config.stir = stir;
        config.trunking.outbound.emergency = ["100".to_owned()].into_iter().collect();
    });
    call(&mut world, 1, "");
    assert_eq!(verdict(&world).reason, Some("missing"));
}

#[test]
fn a_script_of_its_own_takes_the_calls_of_marked_callers() {
    let kit = Kit::new(Wish::default());
    for (treatment, want) in [(Treatment::Mark, "marked.lua"), (Treatment::Allow, "100.lua")] {
        let mut world = world(&kit, &[(Reason::Missing, treatment)]);
        call(&mut world, 1, "");
        let start = world.node().starts[0].clone();
        assert_eq!(&*start.script, want);
        let own = start.vars.iter().find(|(name, _)| name == "script").map(|(_, value)| value.as_str());
        assert_eq!(own, (treatment == Treatment::Mark).then_some("100.lua"), "it can go on with the number's own");
        assert!(start.vars.contains(&("number".into(), "100".into())));
    }
}

fn signing(kit: &Kit, own: &[&str]) -> Signing {
    Signing {
        signer: kit.signer(),
        to: vec![Pattern::parse("+*").unwrap()],
        numbers: own.iter().map(|own| (Pattern::parse(own).unwrap(), Attestation::A)).collect(),
        other: Some(Attestation::C),
        origid: ORIGID.into(),
    }
}

/// What a verifier finds in one of our INVITEs.
fn attested(kit: &Kit, invite: &SipRequest) -> Result<Option<Attestation>, Reason> {
    let identity = Identity::read(&invite.headers)?;
    identity.fits(&invite.headers, &invite.uri, NOW)?;
    identity.check(&kit.trust().read(kit.chain.as_bytes())?, NOW)?;
    Ok(identity.claims().attestation())
}

#[test]
fn a_strangers_word_for_one_of_our_own_numbers_is_signed_as_nothing_but_a_gateway() {
    let kit = Kit::new(Wish::default());
    let own = || signing(&kit, &["+1215*"]);
    let mut unverified = world_with(|config| config.stir.signing = Some(own()));
    let caller = call(&mut unverified, 1, "");
    let invite = rings(&mut unverified, caller, None);
    assert_eq!(attested(&kit, &invite), Ok(Some(Attestation::C)), "anybody can say that");
    let mut verified = world(&kit, &[]);
    let config = Config {
        stir: StirConfig { signing: Some(own()), ..verified_stir(&kit) },
        ..config(address("192.0.2.1:5060"))
    };
    verified.input(0, Input::Configure(Box::new(config)));
    let caller = call(&mut verified, 1, &signed(&kit));
    found(&mut verified, Ok(&kit.chain));
    let invite = rings(&mut verified, caller, None);
    assert_eq!(attested(&kit, &invite), Ok(Some(Attestation::A)), "it was proven");
    let mut chosen = world_with(|config| config.stir.signing = Some(own()));
    let caller = call(&mut chosen, 1, "");
    let invite = rings(&mut chosen, caller, Some("+12155550000"));
    assert_eq!(attested(&kit, &invite), Ok(Some(Attestation::A)), "the operator's script says so");
}

fn verified_stir(kit: &Kit) -> StirConfig {
    let (treatments, mark) = (BTreeMap::new(), String::new());
    let verifying = Verifying { trust: kit.trust(), treatments, mark, script: None, cache: 10, keep: secs(3600) };
    StirConfig { verifying: Some(verifying), signing: None }
}

#[test]
fn our_calls_are_signed_where_a_rule_says_so_and_the_record_tells() {
    let kit = Kit::new(Wish::default());
    let order = |world: &mut World, from: &str, target: &str| {
        let wish = Originate {
            request: RequestId(1),
            target: format!("sip:{target}@{PHONE_B}"),
            from: from.into(),
            script: None,
            vars: vec![],
            headers: vec![],
            timeout: secs(20),
        };
        world.input(0, Input::Originate(wish));
        world.settle();
        world.request_at(address(PHONE_B), Method::Invite)
    };
    let mut world = world_with(|config| config.stir.signing = Some(signing(&kit, &["4930*"])));
    let invite = order(&mut world, "+493012345", "+12155551212");
    assert_eq!(attested(&kit, &invite), Ok(Some(Attestation::A)));
    assert_eq!(invite.headers.get("Date"), Some("Wed, 01 Jul 2026 12:00:00 GMT"));
    let invite = order(&mut world, "+43155", "+12155551212");
    assert_eq!(attested(&kit, &invite), Ok(Some(Attestation::C)));
    for (from, target) in [("+493012345", "201"), ("anna", "+12155551212")] {
        let invite = order(&mut world, from, target);
        assert_eq!(invite.headers.get("Identity"), None, "{from} to {target}");
    }
    world.run(secs(100));
    let told = world.node().records[0].stir.clone().unwrap();
    assert_eq!((told.verdict, told.attest), (StirVerdict::Signed, Some("A")));
    let none = Signing { other: None, ..signing(&kit, &[]) };
    let mut world = world_with(|config| config.stir.signing = Some(none));
    assert_eq!(order(&mut world, "+43155", "+12155551212").headers.get("Identity"), None);
}
