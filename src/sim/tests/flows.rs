//! Scripts: what ends them, what they keep, and what the record says of it.

use super::*;

fn run(scripts: &[(&str, &str)], calls: usize, phone: &str) -> World {
    let mut world = World::new(Weather::CALM, 5);
    world.add(SERVER, config(SERVER, &[("100", "main.lua")]), scripts);
    add_phone(&mut world, PHONE, "", phone);
    world.host(SERVER).prompts.insert("long.wav".into(), hum(600.0, 800_000));
    for _ in 0..calls {
        call_from(&mut world, PHONE, "sip:100@10.0.0.1", secs(20));
        world.run_for(secs(60));
    }
    assert_clean(&mut world, &[SERVER, PHONE]);
    world
}

#[test]
fn the_record_tells_how_a_script_failed_and_whether_the_call_was_answered() {
    use {EndReason as R, Status as S};
    let eats = "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end";
    for (script, status, reason, code, error) in [
        ("error('early')", S::Failed, R::AgentError, 500, "early"),
        ("call:answer() error('late')", S::Completed, R::AgentError, 200, "late"),
        ("call:answer() call:sleep(1) local x = nil + 1", S::Completed, R::AgentError, 200, "main.lua:1"),
        ("call:nonsense()", S::Failed, R::AgentError, 500, "nonsense"),
        ("this is no Lua", S::Failed, R::AgentError, 500, "main.lua"),
        (eats, S::Failed, R::AgentError, 500, "limit reached"),
        ("call:answer() require('gone')", S::Completed, R::AgentError, 200, "gone"),
        ("call:ring() call:sleep(1)", S::NoAnswer, R::NoAnswer, 480, ""),
        ("call:reject(486)", S::Busy, R::Busy, 486, ""),
        ("call:reject(603)", S::Failed, R::AgentUnavailable, 603, ""),
        ("call:answer() call:hangup()", S::Completed, R::AgentCompleted, 200, ""),
        ("call:ring() call:sleep(100)", S::Canceled, R::Canceled, 487, ""),
    ] {
        let mut world = run(&[("main.lua", script)], 1, "call:sleep(10)");
        let record = inbound(&mut world, SERVER);
        assert_eq!(
            (record.status, record.end_reason, record.code),
            (status, reason, Some(code)),
            "{script}: {record:#?}"
        );
        let told = record.error.clone().unwrap_or_default();
        assert!(told.contains(error) && told.is_empty() == error.is_empty(), "{script}: {told}");
        let peer = &world.host(PHONE).records[0];
        assert_eq!(peer.code, Some(code), "{script}");
        assert_eq!(record.answer_ms.is_some(), status == S::Completed);
    }
}

#[test]
fn a_script_that_does_not_exist_fails_its_call_and_no_other() {
    let mut world = World::new(Weather::CALM, 5);
    let routes = [("100", "main.lua"), ("101", "gone.lua")];
    world.add(SERVER, config(SERVER, &routes), &[("main.lua", "call:answer() call:sleep(5)")]);
    add_phone(&mut world, PHONE, "", "call:sleep(60)");
    for number in ["100", "101", "102"] {
        call_from(&mut world, PHONE, &format!("sip:{number}@10.0.0.1"), secs(20));
    }
    world.run_for(secs(20));
    assert_clean(&mut world, &[SERVER, PHONE]);
    let of = |to: &str, world: &mut World| world.host(SERVER).records.iter().find(|r| r.to == to).unwrap().clone();
    let good = of("100", &mut world);
    assert_eq!((good.status, good.end_reason), (Status::Completed, EndReason::AgentCompleted));
    let gone = of("101", &mut world);
    assert_eq!((gone.status, gone.end_reason, gone.code), (Status::Failed, EndReason::AgentError, Some(500)));
    assert!(gone.error.unwrap().contains("gone.lua"));
    let unknown = of("102", &mut world);
    assert_eq!(
        (unknown.status, unknown.end_reason, unknown.code),
        (Status::Failed, EndReason::AgentUnavailable, Some(404))
    );
}

#[test]
fn the_store_outlives_calls_and_modules_of_ones_own_can_be_required() {
    let module = "local M = {} function M.greet(n) return 'hello ' .. n end return M";
    let script =
        "local m = require('greeting') call:answer() vars.count = store.add('calls', 1) vars.text = m.greet(vars.count)
        store.set('last', call.caller) vars.last = store.get('last')";
    let world = &mut run(&[("main.lua", script), ("greeting.lua", module)], 3, "call:sleep(10)");
    for (at, record) in world.host(SERVER).records.iter().enumerate() {
        assert_eq!(var(record, "count"), (at + 1).to_string());
        assert_eq!(var(record, "text"), format!("hello {}", at + 1));
        assert_eq!(var(record, "last"), "phone");
    }
    assert_eq!(world.host(SERVER).records.len(), 3);
}

#[test]
fn what_runs_at_the_hang_up_can_still_keep_things() {
    for (script, phone) in [
        ("call:answer() call:sleep(60)", "call:sleep(1) call:hangup()"),
        ("call:answer() pcall(function() call:sleep(60) end) vars.past = 'pcall'", "call:sleep(1) call:hangup()"),
        ("call:answer()", "call:sleep(60)"),
        ("call:answer() error('x')", "call:sleep(60)"),
        ("call:ring() call:sleep(60)", ""),
    ] {
        let script = format!("on_hangup(function() vars.unwound = store.add('n', 1) end) {script}");
        let mut world = run(&[("main.lua", &script)], 1, phone);
        let record = inbound(&mut world, SERVER);
        assert_eq!(var(&record, "unwound"), "1", "{script}");
        assert_eq!(var(&record, "past"), "", "{script}");
    }
}

#[test]
fn a_hang_up_in_any_wait_with_other_legs_frees_all_of_them() {
    let rings = "call:ring() call:sleep(100)";
    let talks = "call:answer() call:play('hello.wav') call:sleep(100)";
    let early = "call:progress() call:play('hello.wav') call:sleep(100)";
    for (wait, callee) in [
        ("call:dial{'sip:1@10.0.0.3', 'sip:1@10.0.0.4', timeout = 60}", rings),
        ("call:dial{'sip:1@10.0.0.3', timeout = 60, early_media = true}", early),
        ("call:dial{'sip:1@10.0.0.3', timeout = 60, strategy = 'in_turn'}", rings),
        ("local p = call:dial{'sip:1@10.0.0.3', timeout = 60} call:bridge(p)", talks),
        ("local p = call:dial{'sip:1@10.0.0.3', timeout = 60} call:sleep(100)", talks),
        ("local p = call:dial{'sip:1@10.0.0.3', timeout = 60} p:play('long.wav')", talks),
        ("local p = call:dial{'sip:1@10.0.0.3', timeout = 60} p:gather{max = 3, first_timeout = 100}", talks),
        (
            "local p = call:dial{'sip:1@10.0.0.3', timeout = 60} call:record{file = 'r'} p:record{file = 'p', wait = true}",
            talks,
        ),
        ("call:send_digits((',1'):rep(60))", talks),
        ("call:dial{'sip:1@nowhere.example', 'sip:1@10.9.9.9', timeout = 100}", talks),
        ("call:tone('ringing')", talks),
    ] {
        for gives_up in [false, true] {
            let answer = if gives_up { "" } else { "call:answer()" };
            let mut world = World::new(BAD, 5);
            let script = format!("{answer} {wait}");
            world.add(SERVER, config(SERVER, &[("100", "main.lua")]), &[("main.lua", &script)]);
            add_phone(&mut world, PHONE, "", "call:sleep(6) call:hangup()");
            for ip in [other(3), other(4)] {
                add_phone(&mut world, ip, callee, "");
                world.host(ip).prompts.insert("hello.wav".into(), hum(600.0, 800_000));
            }
            world.host(SERVER).prompts.insert("long.wav".into(), hum(600.0, 800_000));
            call_from(&mut world, PHONE, "sip:100@10.0.0.1", secs(6));
            world.run_for(secs(20));
            assert_clean(&mut world, &[SERVER, PHONE, other(3), other(4)]);
            let record = inbound(&mut world, SERVER);
            if !gives_up {
                assert_eq!(
                    (record.status, record.end_reason),
                    (Status::Completed, EndReason::CallerHangup),
                    "{script}: {:?}",
                    record.error
                );
                assert!(record.talk_seconds < 8.0, "{script}: {}", record.talk_seconds);
            }
        }
    }
}

#[test]
fn a_script_commands_the_legs_that_it_dialled_like_its_own_call() {
    let script = "call:answer() local peer = call:dial{'sip:1@10.0.0.3', timeout = 20}
        vars.played = peer:play('whisper.wav')
        vars.keys, vars.ended = peer:gather{max = 2, first_timeout = 10}
        local r = peer:record{file = 'peer', party_only = true, max = 1, wait = true} vars.file = r.file
        vars.hung = peer:hangup() vars.gone, vars.why = peer:play('whisper.wav')
        vars.left = call:bridge(peer) call:play('whisper.wav')";
    let mut world = World::new(Weather::CALM, 5);
    world.add(SERVER, config(SERVER, &[("100", "main.lua")]), &[("main.lua", script)]);
    world.host(SERVER).prompts.insert("whisper.wav".into(), hum(600.0, 16_000));
    add_phone(&mut world, PHONE, "", "call:record{file = 'caller.wav'} call:sleep(60)");
    let callee = "call:answer() call:record{file = 'callee.wav'} call:sleep(3) call:send_digits('42') call:sleep(60)";
    add_phone(&mut world, other(3), callee, "");
    call(&mut world, "sip:100@10.0.0.1");
    run_to_the_end(&mut world);
    assert_clean(&mut world, &[other(3)]);
    let record = inbound(&mut world, SERVER);
    assert_eq!(record.error, None);
    let vars = ["played", "keys", "ended", "file", "hung", "gone", "why", "left"].map(|name| var(&record, name));
    assert_eq!(vars, ["true", "42", "max", "peer.wav", "true", "", "hangup", "peer_hangup"]);
    assert!(seconds_of(recording(&mut world, other(3), "callee.wav"), 0, 600.0) > 1.9, "the leg hears the whisper");
    let caller = seconds_of(recording(&mut world, PHONE, "caller.wav"), 0, 600.0);
    assert!((1.8..2.1).contains(&caller), "the caller hears only its own: {caller}");
}

#[test]
fn a_leg_that_leaves_in_a_wait_is_told_to_the_script() {
    for (wait, why) in [
        ("peer:play('long.wav')", "hangup"),
        ("peer:gather{max = 3, first_timeout = 60}", "hangup"),
        ("peer:record{file = 'r', wait = true}", "hangup"),
        ("peer:sleep(60)", "hangup"),
        ("call:bridge(peer)", ""),
    ] {
        let script = format!(
            "call:answer() local peer = call:dial{{'sip:1@10.0.0.3', timeout = 20}}
            local word, why = {wait} vars.word, vars.why = word, why call:sleep(1) vars.on = 'yes'"
        );
        let mut world = World::new(Weather::CALM, 5);
        world.add(SERVER, config(SERVER, &[("100", "main.lua")]), &[("main.lua", &script)]);
        world.host(SERVER).prompts.insert("long.wav".into(), hum(600.0, 800_000));
        add_phone(&mut world, PHONE, "", "call:sleep(60)");
        add_phone(&mut world, other(3), "call:answer() call:sleep(3)", "");
        call(&mut world, "sip:100@10.0.0.1");
        run_to_the_end(&mut world);
        let record = inbound(&mut world, SERVER);
        assert_eq!((var(&record, "why").as_str(), var(&record, "on").as_str()), (why, "yes"), "{wait}: {record:#?}");
        assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::AgentCompleted));
        assert!(record.talk_seconds < 8.0, "{wait}: {}", record.talk_seconds);
    }
}
