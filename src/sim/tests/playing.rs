//! Playing and recording as scripts steer them: pauses, places, volume, keys, and the rate of the call.

use super::*;
use crate::{
    codec::{Codec, Rate},
    media::Pcm,
};

/// Ten seconds, each with a tone of its own: 500 Hz, 700 Hz, and so on.
fn scale() -> std::sync::Arc<Pcm> {
    let samples = (0..10).flat_map(|second| hum(note(second), 8000).samples.to_vec()).collect();
    std::sync::Arc::new(Pcm { rate: Rate::Narrow, samples, looped: false })
}

fn note(second: u32) -> f64 {
    500.0 + 200.0 * f64::from(second)
}

/// The server runs `script`; the phone records what it hears, and does `phone` meanwhile.
fn heard(script: &str, phone: &str) -> (World, Recording) {
    let phone = format!("call:record{{file = 'heard.wav', stereo = true}} {phone}");
    let mut world = world(Weather::CALM, script, &phone);
    world.host(SERVER).prompts.insert("scale.wav".into(), scale());
    world.host(SERVER).prompts.insert("https://x.example/scale.wav".into(), scale());
    call(&mut world, "sip:100@10.0.0.1");
    run_to_the_end(&mut world);
    let heard = recording(&mut world, PHONE, "heard.wav").clone();
    (world, heard)
}

/// How long each of the ten tones was heard, in tenths of a second.
fn tenths(heard: &Recording) -> Vec<u32> {
    // What the server says is what the phone's party says.
    (0..10).map(|second| (seconds_with(heard, 0, note(second)) * 10.0).round() as u32).collect()
}

#[test]
fn a_play_beside_is_paused_sought_and_stopped_by_its_script() {
    let (mut world, heard) = heard(
        "call:answer()
        local p = call:play('scale.wav', {wait = false})
        call:sleep(1) vars.paused = p:pause()
        call:sleep(2) vars.same = p:position() p:resume()
        call:sleep(1) vars.sought = p:seek(5)
        call:sleep(1) vars.back = p:back(3)
        call:sleep(1) p:stop() call:sleep(1)
        local at, why = p:position() vars.gone = why",
        "call:sleep(60)",
    );
    let record = inbound(&mut world, SERVER);
    let place = |name: &str| var(&record, name).parse::<f64>().unwrap_or(-1.0);
    for (name, want) in [("paused", 1.0), ("same", 1.0), ("sought", 5.0), ("back", 3.0)] {
        assert!((place(name) - want).abs() < 0.1, "{name}: {:?} {:?}", record.vars, record.error);
    }
    assert_eq!(var(&record, "gone"), "wrong_state");
    let tenths = tenths(&heard);
    for (second, want) in [10, 10, 0, 10, 0, 10, 0, 0, 0, 0].into_iter().enumerate() {
        assert!(tenths[second].abs_diff(want) <= 1, "second {second}: {tenths:?}");
    }
}

#[test]
fn the_party_pauses_and_winds_by_its_keys_and_stops_by_another() {
    let (mut world, heard) = heard(
        "call:answer()
        local ok, key, seconds = call:play('https://x.example/scale.wav',
          {keys = {pause = '5', forward = '6'}, step = 4, stop_on = '#'})
        vars.key, vars.seconds = key, seconds",
        "call:sleep(1) call:send_digits('5') call:sleep(2) call:send_digits('5') call:sleep(1)
        call:send_digits('6') call:sleep(1) call:send_digits('#') call:sleep(30)",
    );
    let record = inbound(&mut world, SERVER);
    assert_eq!(var(&record, "key"), "#", "{:?}", record.error);
    let seconds: f64 = var(&record, "seconds").parse().unwrap();
    assert!((2.9..3.7).contains(&seconds), "a pause is not played: {seconds}");
    let tenths = tenths(&heard);
    assert!(tenths[0] >= 9 && tenths[1] >= 8 && tenths[4] == 0 && tenths[6] >= 6, "{tenths:?}");
}

#[test]
fn a_list_is_played_in_rounds_from_a_place_and_softer() {
    let (mut world, heard) = heard(
        "call:answer()
        local ok, key, seconds = call:play({'scale.wav', {silence = 1}}, {times = 2, from = 9, volume = -12})
        vars.seconds = seconds",
        "call:sleep(60)",
    );
    let record = inbound(&mut world, SERVER);
    let seconds: f64 = var(&record, "seconds").parse().unwrap();
    assert!((seconds - 13.0).abs() < 0.05, "{seconds}");
    let tenths = tenths(&heard);
    assert!(tenths[9].abs_diff(20) <= 1 && (0..9).all(|second| tenths[second].abs_diff(10) <= 1), "{tenths:?}");
    let loudest = channel_of(&heard, 0).iter().map(|s| s.unsigned_abs()).max();
    assert!((1800..2300).contains(&loudest.unwrap_or(0)), "a quarter of 8,000: {loudest:?}");
}

#[test]
fn a_wideband_call_is_played_to_and_recorded_in_wideband() {
    for (codec, rate) in [(Codec::G722, 16_000), (Codec::Opus, 48_000), (Codec::Pcmu, 8000)] {
        let script = "call:answer() local r = call:record{file = 'a', stereo = true}
            call:record{file = 'low', rate = 8000} call:play('high.wav') r:stop() vars.seconds = r.seconds";
        let mut world = World::new(Weather::CALM, 1);
        let mut server = config(SERVER, &[("100", "main.lua")]);
        server.codecs = vec![codec];
        world.add(SERVER, server, &[("main.lua", script)]);
        let mut phone = config(PHONE, &[]);
        phone.codecs = vec![codec];
        world.add(PHONE, phone, &[("phone.lua", "call:record{file = 'heard.wav'} call:sleep(60)")]);
        let high =
            (0..96_000).map(|n| (8000.0 * (std::f64::consts::TAU * 6000.0 * f64::from(n) / 48_000.0).sin()) as i16);
        let pcm = Pcm { rate: Rate::Full, samples: high.collect(), looped: false };
        world.host(SERVER).prompts.insert("high.wav".into(), std::sync::Arc::new(pcm));
        call(&mut world, "sip:100@10.0.0.1");
        run_to_the_end(&mut world);
        let seconds: f64 = var(&inbound(&mut world, SERVER), "seconds").parse().unwrap();
        assert!((seconds - 2.0).abs() < 0.05, "{codec}: {seconds}");
        let share = |kept: &Recording, channel| {
            let samples = channel_of(kept, channel);
            let middle = &samples[samples.len() / 4..samples.len() / 2];
            goertzel::power(middle, 6000.0, kept.rate) / (8000.0_f64.powi(2) / 2.0)
        };
        let sent = recording(&mut world, SERVER, "a.wav").clone();
        assert_eq!(sent.rate, rate, "{codec}");
        assert_eq!(recording(&mut world, SERVER, "low.wav").rate, 8000);
        let heard = recording(&mut world, PHONE, "heard.wav").clone();
        assert_eq!(heard.rate, rate, "{codec}");
        if rate > 8000 {
            assert!(share(&sent, 1) > 0.5, "{codec}: {}", share(&sent, 1));
        }
    }
}

#[test]
fn a_room_is_recorded_from_its_first_to_its_last_whoever_ordered_it() {
    let mut world = World::new(Weather::CALM, 3);
    let server = config(SERVER, &[("100", "room.lua"), ("101", "first.lua"), ("102", "last.lua")]);
    let first =
        "call:answer() call:record{room = 'lobby', file = 'early'} vars.early = select(2, call:record{room = 'lobby'})
        call:join('lobby')";
    let room = "call:answer() local r = call:record{room = 'lobby', file = 'room', rate = 16000}
        vars.recorded = r and 'yes' call:join('lobby')";
    world.add(
        SERVER,
        server,
        &[("room.lua", room), ("first.lua", first), ("last.lua", "call:answer() call:join('lobby')")],
    );
    for (last, hums) in [(2u8, 6.0), (3, 3.0), (4, 8.0)] {
        let phone = format!("call:play('me.wav', {{stop_on = ''}}) call:sleep({hums} - 3) call:hangup()");
        add_phone(&mut world, other(last), "", &phone);
        world.host(other(last)).prompts.insert("me.wav".into(), hum(f64::from(last) * 300.0, 24_000));
    }
    call_from(&mut world, other(2), "sip:101@10.0.0.1", secs(60));
    world.run_for(secs(1));
    call_from(&mut world, other(3), "sip:100@10.0.0.1", secs(60));
    world.run_for(secs(4));
    call_from(&mut world, other(4), "sip:102@10.0.0.1", secs(60));
    world.run_for(secs(30));
    assert_clean(&mut world, &[SERVER, other(2), other(3), other(4)]);
    let records = world.host(SERVER).records.clone();
    let of = |number: &str| records.iter().filter(|record| record.to == number).cloned().collect::<Vec<_>>();
    assert_eq!(var(&of("101")[0], "early"), "no_such_call", "there was no room yet");
    let kept = recording(&mut world, SERVER, "room.wav").clone();
    assert_eq!((kept.rate, kept.layout.channels()), (16_000, 1));
    let seconds = kept.samples.len() as f64 / 16_000.0;
    assert!((10.0..14.0).contains(&seconds), "from the second who came to the last who went: {seconds}");
    let files: Vec<_> = records.iter().flat_map(|record| record.recordings.clone()).collect();
    assert_eq!(files.iter().filter(|file| *file == "room.wav").count(), 1, "{files:?}");
    let narrow: Vec<i16> = kept.samples.iter().step_by(2).copied().collect();
    for last in [2, 3, 4] {
        let loud = narrow.chunks_exact(160).filter(|f| goertzel::power(f, f64::from(last) * 300.0, 8000) > 1e7).count();
        assert!(loud > 60, "{last} is heard for {loud} ticks");
    }
}

#[test]
fn a_play_list_is_played_entry_by_entry_and_steered_as_one_sound() {
    let phone = "call:record{file = 'heard.wav', stereo = true} call:sleep(60)";
    let script = "call:answer() vars.ok, _, vars.seconds = call:play('music/day.m3u', {times = 2})
        local p = call:play('music/day.m3u', {wait = false}) vars.at = p:seek(1.5) call:sleep(1) p:stop()
        vars.none = select(4, call:play('none.m3u'))";
    let mut world = world(Weather::CALM, script, phone);
    let server = world.host(SERVER);
    server.lists.insert("music/day.m3u".into(), "#EXTM3U\n#EXTINF:1,one\none.wav\nhttp://x.example/more.m3u8\n".into());
    server.lists.insert("http://x.example/more.m3u8".into(), "two.wav\r\n".into());
    server.prompts.insert("music/one.wav".into(), hum(note(0), 8000));
    server.prompts.insert("http://x.example/two.wav".into(), hum(note(3), 8000));
    call(&mut world, "sip:100@10.0.0.1");
    run_to_the_end(&mut world);
    let record = inbound(&mut world, SERVER);
    assert_eq!((var(&record, "seconds").as_str(), var(&record, "none").as_str()), ("4", "missing"));
    assert_eq!(var(&record, "at"), "1.5");
    let heard = recording(&mut world, PHONE, "heard.wav").clone();
    let (one, two) = (seconds_with(&heard, 0, note(0)), seconds_with(&heard, 0, note(3)));
    assert!((1.9..2.2).contains(&one) && (2.4..2.7).contains(&two), "{one} {two}");
}
