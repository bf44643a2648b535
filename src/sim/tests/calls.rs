//! Whole calls between two phones, and random ones.

use super::*;

#[test]
fn a_phone_is_heard_and_recorded_and_its_digits_arrive_once_on_a_bad_network() {
    let script = "call:answer()
        local recording = call:record{file = 'both.wav', stereo = true}
        local digits, why = call:gather{prompt = 'hello.wav', max = 4, terminators = '#', first_timeout = 20, timeout = 5}
        vars.digits, vars.why = digits, why
        call:sleep(3)
        recording:stop()";
    let phone = "call:sleep(0.5) call:send_digits('1223') call:play('me.wav') call:sleep(60)";
    let mut world = world(BAD, script, phone);
    world.host(SERVER).prompts.insert("hello.wav".into(), hum(600.0, 40_000));
    world.host(PHONE).prompts.insert("me.wav".into(), hum(1000.0, 16_000));
    call(&mut world, "sip:100@10.0.0.1");
    run_to_the_end(&mut world);
    let record = world.host(SERVER).records[0].clone();
    assert_eq!(record.vars.get("digits").map(String::as_str), Some("1223"), "{record:#?}");
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::AgentCompleted));
    let both = recording(&mut world, SERVER, "both.wav");
    let heard = seconds_of(both, 0, 1000.0);
    assert!((1.7..=2.1).contains(&heard), "2 s of the phone's tone, {heard} s found");
    let said = seconds_of(both, 1, 600.0);
    assert!((0.3..=1.2).contains(&said), "the prompt until the first digit, {said} s found");
}

#[test]
fn the_echo_comes_back() {
    let mut world = world(
        Weather::CALM,
        "call:answer() call:echo{limit = 3}",
        "call:record{file = 'heard.wav'} call:play('me.wav') call:sleep(10)",
    );
    world.host(PHONE).prompts.insert("me.wav".into(), hum(1000.0, 16_000));
    call(&mut world, "sip:100@10.0.0.1");
    run_to_the_end(&mut world);
    let heard = seconds_of(recording(&mut world, PHONE, "heard.wav"), 0, 1000.0);
    assert!(heard >= 1.9, "{heard} s of its own tone came back");
}

#[test]
fn after_the_last_line_the_call_ends_within_a_second() {
    let mut world = world(Weather::CALM, "call:answer() call:play('bye.wav')", "call:sleep(60)");
    world.host(SERVER).prompts.insert("bye.wav".into(), hum(600.0, 8000));
    call(&mut world, "sip:100@10.0.0.1");
    run_to_the_end(&mut world);
    let record = &world.host(SERVER).records[0];
    assert!((0.95..2.0).contains(&record.talk_seconds), "{record:#?}");
}

#[test]
fn a_caller_who_hangs_up_ends_the_flow_whatever_it_waits_for() {
    for wait in [
        "call:play('long.wav')",
        "call:gather{max = 5, first_timeout = 100}",
        "call:sleep(100)",
        "call:echo()",
        "call:join('room')",
        "call:record{wait = true, max = 100}",
        "call:say('a very long text '..('x'):rep(1000))",
        "call:dial{'sip:100@10.0.0.9', timeout = 100}",
    ] {
        let script =
            format!("on_hangup(function() store.set('ended', 'yes') vars.unwound = 'yes' end) call:answer() {wait}");
        let mut world = world(Weather::CALM, &script, "call:sleep(2) call:hangup()");
        world.host(SERVER).prompts.insert("long.wav".into(), hum(600.0, 800_000));
        call(&mut world, "sip:100@10.0.0.1");
        run_to_the_end(&mut world);
        let host = world.host(SERVER);
        let record = host
            .records
            .iter()
            .find(|record| record.script.is_some())
            .unwrap_or_else(|| panic!("{wait}: {:#?}", host.records));
        assert_eq!(record.end_reason, EndReason::CallerHangup, "{wait}");
        assert_eq!(record.vars.get("unwound").map(String::as_str), Some("yes"), "{wait}");
    }
}

#[test]
fn of_three_phones_one_wins_and_hears_the_caller() {
    let script =
        "call:answer() local peer, why = call:dial{'sip:1@10.0.0.3', 'sip:1@10.0.0.4', 'sip:1@10.0.0.5', timeout = 20}
        if not peer then error(why) end
        call:bridge(peer)";
    for weather in [Weather::CALM, BAD] {
        let mut world = world(weather, script, "call:play('me.wav') call:sleep(5) call:hangup()");
        world.host(PHONE).prompts.insert("me.wav".into(), hum(1000.0, 160_000));
        for last in 3..=5u8 {
            let answer = format!(
                "call:ring() call:sleep({}) call:answer() call:record{{file = 'heard.wav'}} call:sleep(100)",
                last - 2
            );
            world.add(other(last), config(other(last), &[("*", "a.lua")]), &[("a.lua", &answer)]);
        }
        call(&mut world, "sip:100@10.0.0.1");
        run_to_the_end(&mut world);
        let heard = seconds_of(recording(&mut world, other(3), "heard.wav"), 0, 1000.0);
        assert!(heard > 3.0, "{heard} s heard by the winner");
        for last in 3..=5u8 {
            let host = world.host(other(last));
            assert_eq!(host.exchange.counts(), Counts::default());
            let status = host.records[0].status;
            assert_eq!(status, if last == 3 { Status::Completed } else { Status::Canceled }, "phone {last}");
        }
    }
}

#[test]
fn three_in_a_room_hear_each_other_and_not_themselves() {
    let mut world = World::new(Weather::CALM, 3);
    world.add(SERVER, config(SERVER, &[("100", "room.lua")]), &[("room.lua", "call:answer() call:join('lobby')")]);
    for last in 2..=4u8 {
        let script = "call:record{file = 'heard.wav', stereo = true} call:sleep(1) call:play('me.wav') call:sleep(2) call:hangup()";
        world.add(other(last), config(other(last), &[]), &[("phone.lua", script)]);
        world.host(other(last)).prompts.insert("me.wav".into(), hum(f64::from(last) * 300.0, 16_000));
        let originate = Originate {
            request: RequestId(1),
            target: "sip:100@10.0.0.1".into(),
            from: "phone".into(),
            script: Some("phone.lua".into()),
            vars: Vec::new(),
            headers: Vec::new(),
            timeout: secs(60),
        };
        world.tell(other(last), Input::Originate(originate));
    }
    world.run_for(secs(120));
    assert_eq!(world.host(SERVER).exchange.counts(), Counts::default());
    for last in 2..=4u8 {
        let heard = recording(&mut world, other(last), "heard.wav").clone();
        for speaker in 2..=4u8 {
            let party: Vec<i16> = heard.samples.iter().step_by(2).copied().collect();
            let power: f64 =
                party.chunks_exact(160).map(|frame| goertzel::power(frame, f64::from(speaker) * 300.0, 8000)).sum();
            assert_eq!(power > 1e7, speaker != last, "{last} hears {speaker} with {power}");
        }
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let tell = || {
        let mut world = world(
            BAD,
            "call:answer() call:play('bye.wav') log(math.random())",
            "call:send_digits('12') call:sleep(60)",
        );
        world.host(SERVER).prompts.insert("bye.wav".into(), hum(600.0, 8000));
        call(&mut world, "sip:100@10.0.0.1");
        run_to_the_end(&mut world);
        story(&mut world)
    };
    assert_eq!(tell(), tell());
}

/// Orders of events of random calls: whoever hangs up, cancels, holds or loses packets whenever, both sides end clean.
#[test]
fn random_calls_leave_nothing_behind_on_either_side() {
    let rounds = if std::env::var_os("PROOF").is_some() { 20_000 } else { 150 };
    let mut chance = Chance::new(11);
    for round in 0..rounds {
        let mut pick = |choices: &[&str]| chance.of(choices).to_owned();
        let early = pick(&[
            "call:ring()",
            "call:progress()",
            "",
            "call:sleep(1)",
            "call:reject(486)",
            "call:play('hello.wav')",
        ]);
        let middle = pick(&[
            "call:play('hello.wav')",
            "call:gather{max = 2, first_timeout = 3}",
            "call:echo{limit = 2}",
            "call:hangup()",
            "error('x')",
            "call:record{file = 'r.wav'}",
            "call:dial{'sip:1@10.0.0.2', timeout = 3}",
        ]);
        let answer = pick(&["call:answer()", "call:answer()", "call:answer()", ""]);
        let phone =
            pick(&["call:sleep(1) call:hangup()", "call:sleep(20)", "call:send_digits('12')", "", "call:hangup()"]);
        let script = format!("{early} {answer} {middle}");
        let weather = if round % 2 == 0 { BAD } else { Weather { loss: 0.3, ..BAD } };
        let mut world = world(weather, &script, &phone);
        world.host(SERVER).prompts.insert("hello.wav".into(), hum(600.0, 16_000));
        call(&mut world, "sip:100@10.0.0.1");
        world.run_for(Duration::from_millis(chance.below(4000)));
        if chance.below(4) == 0 {
            // The network goes away for good in the middle of it.
            world.net.set_weather(Weather { loss: 1.0, ..BAD });
            world.run_for(secs(40));
            world.net.set_weather(BAD);
        }
        world.run_for(secs(400));
        for ip in [SERVER, PHONE] {
            let host = world.host(ip);
            let counts = host.exchange.counts();
            // A side that lost the other's BYE for good may still believe in the call; its flow ends it in time.
            assert_eq!(counts, Counts::default(), "round {round} at {ip}: {script} / {phone}");
        }
    }
}
