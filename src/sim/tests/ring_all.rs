//! Ringing several phones: who is rung, who wins, what the caller hears, and what is left of the others.

use super::*;

const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 4));
const THIRD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
const THREE: &str = "'sip:1@10.0.0.3', 'sip:1@10.0.0.4', 'sip:1@10.0.0.5'";

/// A caller who stays for 20 s, a server that dials `targets`, and three phones that do what is given.
fn hunt(script: &str, phones: [&str; 3]) -> World {
    let mut world = world(
        Weather::CALM,
        script,
        "call:record{file = 'caller.wav', stereo = true} call:play('me.wav') call:sleep(20) call:hangup()",
    );
    world.host(PHONE).prompts.insert("me.wav".into(), hum(1000.0, 160_000));
    world.tap();
    for (ip, answer) in [FIRST, SECOND, THIRD].into_iter().zip(phones) {
        add_phone(&mut world, ip, answer, "");
        world.host(ip).prompts.insert("early.wav".into(), hum(if ip == FIRST { 600.0 } else { 700.0 }, 240_000));
        world.host(ip).prompts.insert("hello.wav".into(), hum(if ip == FIRST { 1400.0 } else { 1500.0 }, 80_000));
    }
    world
}

fn finish(world: &mut World) {
    run_to_the_end(world);
    assert_clean(world, &[FIRST, SECOND, THIRD]);
}

/// Dials, notes what came of it, and stays with who answered.
fn dialling(options: &str) -> String {
    format!(
        "call:answer() local peer, why, code = call:dial{{{options}}}
        vars.peer, vars.why, vars.code = peer and peer.target, why, code
        if peer then vars.left = call:bridge(peer) else call:play('sorry.wav') end"
    )
}

/// The leg that the server dialled to `ip`.
fn leg(world: &mut World, ip: IpAddr) -> CallRecord {
    let peer = Some(format!("{ip}:{SIP_PORT}"));
    let records = &world.host(SERVER).records;
    let found = records.iter().find(|record| record.direction == Direction::Outbound && record.peer == peer);
    found.unwrap_or_else(|| panic!("no leg to {ip}: {records:#?}")).clone()
}

#[test]
fn all_are_invited_at_once_and_the_others_cancelled_as_soon_as_one_answers() {
    let wait = "call:ring() call:sleep(30)";
    let mut world = hunt(
        &dialling(&format!("{THREE}, timeout = 20")),
        [wait, "call:ring() call:sleep(2) call:answer() call:play('hello.wav') call:sleep(100)", wait],
    );
    call(&mut world, "sip:100@10.0.0.1");
    finish(&mut world);
    let invites = [FIRST, SECOND, THIRD].map(|ip| when(&mut world, SERVER, true, ip, "INVITE").unwrap());
    assert!(invites.iter().all(|at| *at - invites[0] <= Duration::from_millis(100)), "{invites:?}");
    let answered = when(&mut world, SERVER, false, SECOND, "SIP/2.0 200").unwrap();
    for loser in [FIRST, THIRD] {
        let cancelled = when(&mut world, SERVER, true, loser, "CANCEL").unwrap();
        assert!(cancelled >= answered && cancelled - answered <= Duration::from_millis(200));
        assert!(when(&mut world, SERVER, false, loser, "SIP/2.0 487").is_some());
        assert!(when(&mut world, SERVER, true, loser, "ACK").is_some());
        let record = leg(&mut world, loser);
        assert_eq!((record.status, record.end_reason), (Status::Canceled, EndReason::Canceled), "{record:#?}");
        assert_eq!(record.code, Some(487));
    }
    let record = inbound(&mut world, SERVER);
    assert_eq!(var(&record, "peer"), "sip:1@10.0.0.4");
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::CallerHangup));
    assert_eq!(leg(&mut world, SECOND).parent, Some(record.id));
    let heard = seconds_of(recording(&mut world, PHONE, "caller.wav"), 0, 1500.0);
    assert!(heard > 9.5, "10 s of the winner's voice, {heard} s heard");
}

#[test]
fn of_two_who_answer_at_once_one_stays_and_the_other_gets_ack_and_bye() {
    let answer = "call:ring() call:sleep(2) call:answer() call:record{file = 'heard.wav', stereo = true} call:play('hello.wav') call:sleep(100)";
    let mut world = hunt(&dialling(&format!("{THREE}, timeout = 20")), [answer, answer, "call:reject(486)"]);
    call(&mut world, "sip:100@10.0.0.1");
    finish(&mut world);
    let record = inbound(&mut world, SERVER);
    let (winner, loser) = if var(&record, "peer").contains("10.0.0.3") { (FIRST, SECOND) } else { (SECOND, FIRST) };
    let ack = when(&mut world, SERVER, true, loser, "ACK").expect("the loser's 200 is acknowledged");
    let bye = when(&mut world, SERVER, true, loser, "BYE").expect("the loser is told goodbye");
    assert!(bye >= ack);
    assert!(when(&mut world, SERVER, true, winner, "CANCEL").is_none());
    let there = inbound(&mut world, loser);
    assert_eq!((there.status, there.end_reason), (Status::Completed, EndReason::CallerHangup));
    assert!(there.talk_seconds < 0.5);
    let heard = seconds_of(recording(&mut world, winner, "heard.wav"), 0, 1000.0);
    assert!(heard > 10.0, "{heard} s heard by the winner");
    let (mine, other) = if winner == FIRST { (1400.0, 1500.0) } else { (1500.0, 1400.0) };
    let caller = recording(&mut world, PHONE, "caller.wav");
    assert!(seconds_of(caller, 0, mine) > 9.5);
    assert_eq!(seconds_with(caller, 0, other), 0.0, "the loser is never heard");
}

#[test]
fn early_media_is_heard_before_the_answer_by_callers_who_are_answered_and_by_those_who_are_not() {
    for answer in ["call:answer()", ""] {
        let script = format!(
            "{answer} local peer, why = call:dial{{'sip:1@10.0.0.3', early_media = true, timeout = 30}}
            vars.why = why if peer then call:bridge(peer) end"
        );
        let early = "call:progress() call:play('early.wav', {stop_on = '1'}) call:answer() call:play('hello.wav') call:sleep(60)";
        let mut world = hunt(&script, [early, "", ""]);
        world.host(FIRST).prompts.insert("early.wav".into(), hum(600.0, 32_000));
        call(&mut world, "sip:100@10.0.0.1");
        finish(&mut world);
        let answered = when(&mut world, SERVER, false, FIRST, "SIP/2.0 200").unwrap();
        let heard = audio_at(&world, PHONE);
        let count = |tone: f64, before: bool| {
            heard.iter().filter(|(at, s)| (*at < answered) == before && holds(s, tone)).count()
        };
        assert!(count(600.0, true) > 180, "4 s of early media before the answer: {} packets", count(600.0, true));
        assert!(count(1400.0, false) > 450, "10 s of voice after it: {} packets", count(1400.0, false));
        assert_eq!(count(1400.0, true), 0);
        if answer.is_empty() {
            let told = when(&mut world, SERVER, true, PHONE, "SIP/2.0 200").unwrap();
            assert!(told >= answered, "the caller is answered when somebody answered");
        }
    }
}

#[test]
fn of_two_early_media_legs_the_first_is_heard_and_after_the_answer_only_the_winner() {
    let mut world = hunt(
        &dialling(&format!("{THREE}, early_media = true, timeout = 30")),
        [
            "call:sleep(1) call:progress() call:play('early.wav')",
            "call:sleep(2) call:progress() call:play('early.wav', {stop_on = '1'})",
            "call:ring() call:sleep(5) call:answer() call:play('hello.wav') call:sleep(60)",
        ],
    );
    call(&mut world, "sip:100@10.0.0.1");
    finish(&mut world);
    let heard = audio_at(&world, PHONE);
    let count = |tone: f64| heard.iter().filter(|(_, s)| holds(s, tone)).count();
    assert!((190..=205).contains(&count(600.0)), "4 s of the first one's early media: {} packets", count(600.0));
    assert_eq!(count(700.0), 0, "the second one is never heard");
    assert!(count(1500.0) > 480, "the winner is heard");
    let answered = when(&mut world, SERVER, false, THIRD, "SIP/2.0 200").unwrap();
    let late = heard.iter().filter(|(at, s)| *at > answered + Duration::from_millis(60) && holds(s, 600.0)).count();
    assert_eq!(late, 0, "early media ends with the answer");
    assert!(longest_gap(&heard) <= Duration::from_millis(40), "{:?}", longest_gap(&heard));
}

#[test]
fn the_first_early_leg_wins_without_a_gap() {
    let mut world = hunt(
        &dialling("'sip:1@10.0.0.3', early_media = true, timeout = 30"),
        ["call:progress() call:play({silence = 1}) call:answer() call:play('hello.wav') call:sleep(60)", "", ""],
    );
    call(&mut world, "sip:100@10.0.0.1");
    finish(&mut world);
    let gap = longest_gap(&audio_at(&world, PHONE));
    assert!(gap <= Duration::from_millis(40), "{gap:?}");
    assert!(seconds_of(recording(&mut world, PHONE, "caller.wav"), 0, 1400.0) > 9.5);
}

#[test]
fn when_all_fail_the_flow_goes_on_with_the_reason_that_says_most() {
    for (phones, why, code) in [
        (["call:reject(486)", "call:reject(486)", "call:reject(486)"], "busy", ""),
        (["call:reject(486)", "call:reject(404)", "call:reject(503)"], "busy", ""),
        (["call:reject(486)", "call:reject(603)", "call:reject(404)"], "refused", "603"),
        (["call:reject(404)", "call:reject(503)", "call:reject(503)"], "unreachable", ""),
        (["call:ring() call:sleep(60)", "call:sleep(60)", "call:reject(500)"], "no_answer", ""),
    ] {
        let mut world = hunt(&dialling(&format!("{THREE}, timeout = 4")), phones);
        world.host(SERVER).prompts.insert("sorry.wav".into(), hum(500.0, 8000));
        call(&mut world, "sip:100@10.0.0.1");
        finish(&mut world);
        let record = inbound(&mut world, SERVER);
        assert_eq!((var(&record, "why").as_str(), var(&record, "code").as_str()), (why, code), "{phones:?}");
        assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::AgentCompleted));
        let heard = seconds_of(recording(&mut world, PHONE, "caller.wav"), 0, 500.0);
        assert!(heard > 0.9, "the flow goes on: {heard} s, {phones:?}");
    }
}

#[test]
fn one_bad_target_does_not_spoil_the_others() {
    for bad in
        ["sip:1@[nonsense", "sip:1@nowhere.example", "sip:1@10.0.0.4:5999", "sip:1@10.9.9.9", "sip:1@[2001:db8::1]"]
    {
        let good = "call:ring() call:sleep(3) call:answer() call:play('hello.wav') call:sleep(60)";
        let targets = format!("'sip:1@10.0.0.5', '{bad}', 'sip:1@10.0.0.3', timeout = 20");
        let mut world = hunt(&dialling(&targets), [good, "", "call:reject(486)"]);
        call(&mut world, "sip:100@10.0.0.1");
        finish(&mut world);
        let record = inbound(&mut world, SERVER);
        assert_eq!(var(&record, "peer"), "sip:1@10.0.0.3", "{bad}");
        assert!(seconds_of(recording(&mut world, PHONE, "caller.wav"), 0, 1400.0) > 9.5, "{bad}");
        // Alone, it is a reason.
        let mut world = hunt(&dialling(&format!("'{bad}', timeout = 5")), ["", "", ""]);
        world.host(SERVER).prompts.insert("sorry.wav".into(), hum(500.0, 8000));
        call(&mut world, "sip:100@10.0.0.1");
        finish(&mut world);
        let why = var(&inbound(&mut world, SERVER), "why");
        assert!(why == "unreachable" || (bad == "sip:1@10.9.9.9" && why == "no_answer"), "{bad}: {why}");
    }
}

#[test]
fn in_turn_each_target_rings_for_the_whole_timeout() {
    let mut world = hunt(
        &dialling(&format!("{THREE}, strategy = 'in_turn', timeout = 3")),
        [
            "call:ring() call:sleep(60)",
            "call:sleep(1) call:reject(486)",
            "call:ring() call:sleep(2) call:answer() call:play('hello.wav') call:sleep(60)",
        ],
    );
    call(&mut world, "sip:100@10.0.0.1");
    finish(&mut world);
    let invites = [FIRST, SECOND, THIRD].map(|ip| when(&mut world, SERVER, true, ip, "INVITE").unwrap());
    let (first, second) = (invites[1] - invites[0], invites[2] - invites[1]);
    assert!((2.9..3.2).contains(&first.as_secs_f64()), "the first one rings for 3 s: {first:?}");
    assert!((1.0..1.2).contains(&second.as_secs_f64()), "the second one refuses after 1 s: {second:?}");
    assert_eq!(var(&inbound(&mut world, SERVER), "peer"), "sip:1@10.0.0.5");
    assert_eq!(leg(&mut world, FIRST).status, Status::NoAnswer);
    assert_eq!((leg(&mut world, SECOND).status, leg(&mut world, SECOND).code), (Status::Busy, Some(486)));
    let gap = longest_gap(&audio_at(&world, PHONE));
    assert!(gap <= Duration::from_millis(40), "{gap:?}");
}

#[test]
fn while_it_dials_the_caller_hears_ringing_without_a_gap() {
    let mut world = hunt(
        &dialling("'sip:1@10.0.0.3', timeout = 20"),
        ["call:ring() call:sleep(9) call:answer() call:play('hello.wav') call:sleep(60)", "", ""],
    );
    call(&mut world, "sip:100@10.0.0.1");
    finish(&mut world);
    let heard = audio_at(&world, PHONE);
    assert!(longest_gap(&heard) <= Duration::from_millis(40), "{:?}", longest_gap(&heard));
    // The US cadence: 2 s of 440 and 480 Hz, 4 s of silence.
    let rings = heard.iter().filter(|(_, s)| [440.0, 460.0, 480.0].iter().any(|tone| holds(s, *tone))).count();
    assert!((190..=210).contains(&rings), "4 s of ringing: {rings} packets");
}

#[test]
fn a_caller_who_gives_up_before_the_answer_takes_the_ringing_phone_along() {
    let script = "call:dial{'sip:1@10.0.0.3', timeout = 60}";
    let mut world = hunt(script, ["call:ring() call:sleep(60)", "", ""]);
    call_from(&mut world, PHONE, "sip:100@10.0.0.1", secs(4));
    finish(&mut world);
    let cancelled = when(&mut world, SERVER, false, PHONE, "CANCEL").unwrap();
    let passed_on = when(&mut world, SERVER, true, FIRST, "CANCEL").unwrap();
    assert!(passed_on - cancelled < Duration::from_millis(100));
    assert!(when(&mut world, SERVER, true, PHONE, "SIP/2.0 487").is_some());
    assert!(when(&mut world, SERVER, false, PHONE, "ACK").is_some());
    assert!(when(&mut world, SERVER, false, FIRST, "SIP/2.0 487").is_some());
    assert!(when(&mut world, SERVER, false, PHONE, "INVITE").is_some());
    assert!(when(&mut world, SERVER, true, PHONE, "SIP/2.0 180").is_some(), "the caller hears that it rings");
    let record = inbound(&mut world, SERVER);
    assert_eq!((record.status, record.end_reason, record.code), (Status::Canceled, EndReason::Canceled, Some(487)));
    assert_eq!(inbound(&mut world, FIRST).status, Status::Canceled);
}

#[test]
fn the_ring_limit_is_kept() {
    let mut world = hunt(&dialling("'sip:1@10.0.0.3', timeout = 5"), ["call:ring() call:sleep(60)", "", ""]);
    world.host(SERVER).prompts.insert("sorry.wav".into(), hum(500.0, 8000));
    call(&mut world, "sip:100@10.0.0.1");
    finish(&mut world);
    let began = when(&mut world, SERVER, true, FIRST, "INVITE").unwrap();
    let ended = when(&mut world, SERVER, true, FIRST, "CANCEL").unwrap();
    assert!((4.7..=5.3).contains(&(ended - began).as_secs_f64()));
    assert_eq!(var(&inbound(&mut world, SERVER), "why"), "no_answer");
    let record = leg(&mut world, FIRST);
    assert_eq!((record.status, record.end_reason), (Status::NoAnswer, EndReason::NoAnswer));
}

#[test]
fn a_redirection_is_followed_and_one_in_a_circle_ends() {
    for (contact, reached) in [("sip:1@10.0.0.3", true), ("sip:1@10.0.0.77", false)] {
        let good = "call:ring() call:sleep(1) call:answer() call:play('hello.wav') call:sleep(60)";
        let mut world = hunt(&dialling("'sip:1@10.0.0.77', timeout = 20"), [good, "", ""]);
        world.host(SERVER).prompts.insert("sorry.wav".into(), hum(500.0, 8000));
        let moved = other(77);
        call(&mut world, "sip:100@10.0.0.1");
        let mut seen = 0;
        let mut answered = 0;
        for _ in 0..2000 {
            world.run_for(Duration::from_millis(10));
            let new = world.wire()[seen..].to_vec();
            seen += new.len();
            for (_, datagram) in new.iter().filter(|(_, d)| d.to.ip() == moved && d.bytes.starts_with(b"INVITE")) {
                answered += 1;
                let text = String::from_utf8_lossy(&datagram.bytes).into_owned();
                let answer = phone::answer_to(&text, "302 Moved Temporarily", &format!("Contact: <{contact}>\r\n"), "");
                world.net.send(world.now, Datagram::udp(datagram.to, datagram.from, answer.into_bytes()));
            }
        }
        finish(&mut world);
        let record = inbound(&mut world, SERVER);
        if reached {
            assert_eq!(answered, 1);
            assert!(seconds_of(recording(&mut world, PHONE, "caller.wav"), 0, 1400.0) > 9.5);
        } else {
            assert_eq!(answered, 6, "five redirections are followed");
            assert_eq!((var(&record, "why").as_str(), var(&record, "code").as_str()), ("refused", "302"));
        }
    }
}

#[test]
fn when_the_early_leg_fails_the_caller_hears_ringing_again_and_then_the_winner() {
    let mut world = hunt(
        &dialling(&format!("{THREE}, early_media = true, timeout = 30")),
        [
            "call:progress() call:play('early.wav', {stop_on = '1'}) call:reject(486)",
            "call:reject(404)",
            "call:ring() call:sleep(10) call:answer() call:play('hello.wav') call:sleep(60)",
        ],
    );
    world.host(FIRST).prompts.insert("early.wav".into(), hum(600.0, 24_000));
    call(&mut world, "sip:100@10.0.0.1");
    finish(&mut world);
    let heard = audio_at(&world, PHONE);
    let order: Vec<char> = heard
        .iter()
        .filter_map(|(_, s)| match () {
            () if holds(s, 600.0) => Some('e'),
            () if holds(s, 1500.0) => Some('w'),
            () if holds(s, 440.0) || holds(s, 480.0) => Some('r'),
            () => None,
        })
        .collect();
    let count = |what: char| order.iter().filter(|c| **c == what).count();
    assert!(count('e') > 140 && count('w') > 480 && count('r') > 100, "{order:?}");
    let last_early = order.iter().rposition(|c| *c == 'e').unwrap();
    let first_winner = order.iter().position(|c| *c == 'w').unwrap();
    assert!(last_early < first_winner && order[last_early..first_winner].contains(&'r'));
    assert!(longest_gap(&heard) <= Duration::from_millis(40), "{:?}", longest_gap(&heard));
}

#[test]
fn a_ringback_of_ones_own_goes_on_as_long_as_it_rings_and_one_that_cannot_be_had_is_the_networks() {
    for (ringback, tones) in
        [("'music.wav'", [900.0, 900.0]), ("'gone.wav'", [440.0, 480.0]), ("{silence = 0}", [440.0, 480.0])]
    {
        let mut world = hunt(
            &dialling(&format!("'sip:1@10.0.0.3', timeout = 20, ringback = {ringback}")),
            ["call:ring() call:sleep(8) call:answer() call:play('hello.wav') call:sleep(60)", "", ""],
        );
        world.host(SERVER).prompts.insert("music.wav".into(), hum(900.0, 12_000));
        call(&mut world, "sip:100@10.0.0.1");
        finish(&mut world);
        let heard = audio_at(&world, PHONE);
        assert!(longest_gap(&heard) <= Duration::from_millis(40), "{ringback}: {:?}", longest_gap(&heard));
        let rings = heard.iter().filter(|(_, s)| tones.iter().any(|tone| holds(s, *tone))).count();
        assert!(rings > if ringback == "'music.wav'" { 380 } else { 150 }, "{ringback}: {rings}");
        assert!(heard.iter().filter(|(_, s)| holds(s, 1400.0)).count() > 480);
    }
}

#[test]
fn whatever_crosses_exactly_one_phone_stays_with_the_caller() {
    for seed in 0..20 {
        let mut world = World::new(Weather { loss: 0.1, ..BAD }, seed);
        let script = dialling(&format!("{THREE}, timeout = 20"));
        world.add(SERVER, config(SERVER, &[("100", "main.lua")]), &[("main.lua", &script)]);
        add_phone(&mut world, PHONE, "", "call:play('me.wav') call:sleep(12) call:hangup()");
        world.host(PHONE).prompts.insert("me.wav".into(), hum(1000.0, 8000));
        for ip in [FIRST, SECOND, THIRD] {
            add_phone(
                &mut world,
                ip,
                "call:ring() call:sleep(1 + math.random() * 0.08) call:answer() call:sleep(60)",
                "",
            );
        }
        call(&mut world, "sip:100@10.0.0.1");
        finish(&mut world);
        let there = [FIRST, SECOND, THIRD].map(|ip| inbound(&mut world, ip));
        let long = there.iter().filter(|record| record.talk_seconds > 8.0).count();
        assert_eq!(long, 1, "seed {seed}: {there:#?}");
        let legs = &world.host(SERVER).records;
        let completed = legs.iter().filter(|r| r.direction == Direction::Outbound && r.status == Status::Completed);
        assert_eq!(completed.count(), 1, "seed {seed}: {legs:#?}");
    }
}

#[test]
fn other_outcomes_are_told_as_they_are() {
    for (answer, why, code) in [
        ("call:reject(407)", "refused", "407"),
        ("call:reject(401)", "refused", "401"),
        ("call:ring() call:sleep(1) call:reject(480)", "no_answer", ""),
        ("call:reject(480)", "unreachable", ""),
        ("call:reject(488)", "refused", "488"),
        ("call:reject(600)", "busy", ""),
        ("call:progress() call:sleep(2) call:reject(486)", "busy", ""),
        ("call:answer() call:hangup()", "", ""),
    ] {
        let mut world = hunt(&dialling("'sip:1@10.0.0.3', timeout = 5"), [answer, "", ""]);
        world.host(SERVER).prompts.insert("sorry.wav".into(), hum(500.0, 8000));
        call(&mut world, "sip:100@10.0.0.1");
        finish(&mut world);
        let record = inbound(&mut world, SERVER);
        assert_eq!((var(&record, "why").as_str(), var(&record, "code").as_str()), (why, code), "{answer}");
        if why.is_empty() {
            assert_eq!(var(&record, "left"), "peer_hangup");
        }
    }
}
