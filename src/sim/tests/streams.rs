//! Audio for programs outside, from a script's wish to the frames that wait for them.

use super::*;
use crate::media::{Side, Tap};

/// The samples that wait in a tap.
fn waiting(tap: &Tap) -> Vec<i16> {
    std::iter::from_fn(|| tap.take()).flat_map(|frame| frame.samples().to_vec()).collect()
}

#[test]
fn a_program_hears_each_side_of_the_call_on_a_channel_of_its_own_until_the_script_ends_it() {
    let script = "call:answer()
        vars.ok = tostring(call:stream { url = 'wss://words.example/', sides = 'both', rate = 8000, data = 'x' })
        call:play('prompt.wav')
        vars.stopped = tostring(call:stream_stop())
        call:play('prompt.wav')";
    let mut world = world(Weather::CALM, script, "call:play('me.wav') call:sleep(10)");
    world.host(SERVER).prompts.insert("prompt.wav".into(), hum(600.0, 8000));
    world.host(PHONE).prompts.insert("me.wav".into(), hum(1000.0, 32_000));
    call(&mut world, "sip:100@10.0.0.1");
    run_to_the_end(&mut world);
    let record = inbound(&mut world, SERVER);
    assert_eq!((var(&record, "ok").as_str(), var(&record, "stopped").as_str()), ("true", "true"));
    let order = &world.host(SERVER).streams[0];
    assert_eq!((order.wish.url.as_str(), order.about.call == record.id), ("wss://words.example/", true));
    assert_eq!(order.wish.data.as_deref(), Some("x"));
    for tap in &order.taps {
        let samples = waiting(tap);
        let seconds = samples.len() as f64 / 8000.0;
        assert!((0.9..1.1).contains(&seconds), "only while it was wanted: {seconds}");
        let (own, other) = if tap.side == Side::Said { (1000.0, 600.0) } else { (600.0, 1000.0) };
        assert!(holds(&samples[1600..], own) && !holds(&samples[1600..], other), "{:?}", tap.side);
        assert!(tap.is_over());
    }
}
