//! Conferences: who comes and goes in turn, who only listens, and rooms over two media threads.

use super::*;

fn tone(last: u8) -> f64 {
    f64::from(last) * 300.0
}

/// Seconds of the recording's left channel in which the tone is loud, whatever else there is.
fn loud(recording: &Recording, frequency: f64) -> f64 {
    let left = channel_of(recording, 0);
    left.chunks_exact(160).filter(|frame| goertzel::power(frame, frequency, 8000) > 1e7).count() as f64 * 0.02
}

/// Phones 2 to 6 enter one second after the other, hum for ten seconds and leave.
fn five(workers: u8, weather: Weather) -> World {
    let mut world = World::new(weather, 3);
    let room = "call:answer() vars.why, vars.reason = call:join('lobby', {muted = vars.muted == 'yes'})";
    let mut server = config(SERVER, &[("100", "room.lua")]);
    server.workers = workers;
    world.add(SERVER, server, &[("room.lua", room)]);
    for last in 2..=6u8 {
        add_phone(
            &mut world,
            other(last),
            "",
            "call:record{file = 'heard.wav', stereo = true} call:play('me.wav') call:hangup()",
        );
        world.host(other(last)).prompts.insert("me.wav".into(), hum(tone(last), 80_000));
    }
    world
}

#[test]
fn five_who_come_and_go_in_turn_hear_each_other_for_as_long_as_both_are_there() {
    for workers in [1, 2, 3] {
        let mut world = five(workers, Weather::CALM);
        for last in 2..=6u8 {
            call_from(&mut world, other(last), "sip:100@10.0.0.1", secs(60));
            world.run_for(secs(1));
        }
        assert_eq!(world.host(SERVER).exchange.counts().rooms, 1);
        world.run_for(secs(15));
        assert_eq!(world.host(SERVER).exchange.counts().rooms, 0, "the room goes with the last one");
        assert_clean(&mut world, &[SERVER, other(2), other(3), other(4), other(5), other(6)]);
        for last in 2..=6u8 {
            let heard = recording(&mut world, other(last), "heard.wav").clone();
            for speaker in 2..=6u8 {
                let seconds = loud(&heard, tone(speaker));
                let both = if speaker == last { 0.0 } else { 10.0 - f64::from(last.abs_diff(speaker)) };
                assert!((seconds - both).abs() < 0.3, "{workers}: {last} hears {speaker} for {seconds} of {both} s");
            }
        }
        let records = &world.host(SERVER).records;
        assert_eq!(records.len(), 5);
        for record in records {
            assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::CallerHangup));
            assert_eq!(record.no_audio, None);
        }
    }
}

#[test]
fn who_is_muted_hears_and_is_not_heard() {
    for workers in [1, 2] {
        let mut world = five(workers, Weather::CALM);
        let mut muted = config(SERVER, &[("100", "room.lua"), ("101", "muted.lua")]);
        muted.workers = workers;
        world.add(
            SERVER,
            muted,
            &[
                ("room.lua", "call:answer() call:join('lobby')"),
                ("muted.lua", "call:answer() call:join('lobby', {muted = true})"),
            ],
        );
        for (last, number) in [(2, "101"), (3, "100"), (4, "100")] {
            call_from(&mut world, other(last), &format!("sip:{number}@10.0.0.1"), secs(60));
        }
        world.run_for(secs(15));
        for (last, speaker, both) in
            [(2, 3, true), (2, 4, true), (3, 2, false), (3, 4, true), (4, 2, false), (4, 3, true)]
        {
            let seconds = loud(&recording(&mut world, other(last), "heard.wav").clone(), tone(speaker));
            assert_eq!(seconds > 9.5, both, "{last} hears {speaker} for {seconds} s");
            assert!(both || seconds == 0.0, "{last} hears {speaker} for {seconds} s");
        }
        assert_clean(&mut world, &[SERVER, other(2), other(3), other(4)]);
    }
}

#[test]
fn two_phones_on_different_media_threads_are_bridged_and_recorded() {
    let mut world = World::new(BAD, 3);
    let mut server = config(SERVER, &[("100", "main.lua")]);
    server.workers = 2;
    let script = "call:answer() call:record{file = call.caller .. '.wav', stereo = true} call:join('x')";
    world.add(SERVER, server, &[("main.lua", script)]);
    for last in 2..=3u8 {
        add_phone(&mut world, other(last), "", "call:play('me.wav') call:hangup()");
        world.host(other(last)).prompts.insert("me.wav".into(), hum(tone(last), 80_000));
        call_from(&mut world, other(last), "sip:100@10.0.0.1", secs(60));
    }
    world.run_for(secs(15));
    let recordings: Vec<Recording> = world.host(SERVER).recordings.values().cloned().collect();
    assert_eq!(recordings.len(), 2);
    for recording in recordings {
        let (a, b) = (seconds_with(&recording, 0, 600.0), seconds_with(&recording, 0, 900.0));
        let (c, d) = (seconds_with(&recording, 1, 600.0), seconds_with(&recording, 1, 900.0));
        assert!((a > 9.0 && d > 9.0) || (b > 9.0 && c > 9.0), "{a} {b} {c} {d}");
    }
    assert_clean(&mut world, &[SERVER, other(2), other(3)]);
}

/// Hums for ten seconds and records all that it hears.
fn add_humming(world: &mut World, last: u8) {
    add_phone(
        world,
        other(last),
        "",
        "call:record{file = 'heard.wav', stereo = true} call:play('me.wav') call:hangup()",
    );
    world.host(other(last)).prompts.insert("me.wav".into(), hum(tone(last), 80_000));
}

#[test]
fn a_supervisor_mutes_deafens_and_kicks_and_sees_who_is_there() {
    let mut world = World::new(Weather::CALM, 3);
    let server = config(SERVER, &[("100", "room.lua"), ("900", "boss.lua")]);
    let boss = "
        call:answer()
        local list = call:members('lobby')
        vars.count, vars.first = #list, list[1].party
        vars.muted = call:mute('lobby', {member = list[1].id}) and 'yes'
        vars.kicked = call:kick('lobby', {member = list[2].id}) and 'yes'
        vars.left, vars.after = #call:members('lobby'), tostring(call:members('lobby')[1].muted)
        local ok, why = call:mute('lobby', {member = 'nobody-1'})
        vars.unknown = why
        vars.none = #call:members('nowhere')";
    let room = "call:answer() vars.why = call:join('lobby', {chime = true, level = true})";
    world.add(SERVER, server, &[("room.lua", room), ("boss.lua", boss)]);
    for last in [2, 3] {
        add_humming(&mut world, last);
        call_from(&mut world, other(last), "sip:100@10.0.0.1", secs(60));
        world.run_for(secs(1));
    }
    add_humming(&mut world, 4);
    call_from(&mut world, other(4), "sip:900@10.0.0.1", secs(60));
    world.run_for(secs(20));
    let records = world.host(SERVER).records.clone();
    let boss = records.iter().find(|record| record.to == "900").expect("the supervisor called");
    for (name, value) in [
        ("count", "2"),
        ("muted", "yes"),
        ("kicked", "yes"),
        ("left", "1"),
        ("after", "true"),
        ("unknown", "no_such_call"),
        ("none", "0"),
    ] {
        assert_eq!(boss.vars.get(name).map(String::as_str), Some(value), "{name}: {:?} {:?}", boss.vars, boss.error);
    }
    let whys: Vec<_> =
        records.iter().filter(|record| record.to == "100").map(|record| record.vars.get("why")).collect();
    assert_eq!(whys.iter().filter(|why| why.is_some_and(|why| why == "kicked")).count(), 1, "{whys:?}");
    assert_clean(&mut world, &[SERVER, other(2), other(3), other(4)]);
}

#[test]
fn a_supervisor_listens_in_on_a_conversation_and_whispers_to_one_side() {
    for whisper in [false, true] {
        let mut world = World::new(Weather::CALM, 3);
        let mut server = config(SERVER, &[("100", "desk.lua"), ("900", "boss.lua")]);
        server.workers = 2;
        let desk =
            "call:answer() store.set('id', call.id) local peer = call:dial('sip:200@10.0.0.3') call:bridge(peer)";
        let boss = format!(
            "call:answer() vars.why, vars.word = call:listen(store.get('id'), {{whisper = {whisper}}})
             call:sleep(1)"
        );
        world.add(SERVER, server, &[("desk.lua", desk), ("boss.lua", &boss)]);
        for last in [2, 4] {
            add_humming(&mut world, last);
        }
        let answering =
            "call:answer() call:record{file = 'heard.wav', stereo = true} call:play('me.wav') call:hangup()";
        add_phone(&mut world, other(3), answering, "");
        world.host(other(3)).prompts.insert("me.wav".into(), hum(tone(3), 80_000));
        call_from(&mut world, other(2), "sip:100@10.0.0.1", secs(60));
        world.run_for(secs(1));
        call_from(&mut world, other(4), "sip:900@10.0.0.1", secs(60));
        world.run_for(secs(20));
        let seconds = |world: &mut World, of: u8, speaker: u8| {
            let heard = recording(world, other(of), "heard.wav").clone();
            loud(&heard, tone(speaker))
        };
        assert!(seconds(&mut world, 2, 3) > 8.0 && seconds(&mut world, 3, 2) > 8.0);
        assert!(seconds(&mut world, 4, 2) > 6.0 && seconds(&mut world, 4, 3) > 6.0);
        assert_eq!(seconds(&mut world, 3, 4), 0.0, "the other side never hears the supervisor");
        let to_desk = seconds(&mut world, 2, 4);
        assert!(if whisper { to_desk > 6.0 } else { to_desk == 0.0 }, "{to_desk}");
        let boss = world.host(SERVER).records.iter().find(|record| record.to == "900").cloned().unwrap();
        assert_eq!(boss.vars.get("why").map(String::as_str), Some("peer_hangup"), "{:?}", boss.vars);
        assert_clean(&mut world, &[SERVER, other(2), other(3), other(4)]);
    }
}
