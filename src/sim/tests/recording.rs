//! Recordings: what they hold, how long they are, and what ends them.

use super::*;

/// The server plays 600 Hz while the phone hums 1,000 Hz, both for 4 s.
fn recorded(script: &str, phone: &str) -> World {
    let mut world = world(Weather::CALM, script, phone);
    world.host(SERVER).prompts.insert("prompt.wav".into(), hum(600.0, 32_000));
    world.host(PHONE).prompts.insert("me.wav".into(), hum(1000.0, 32_000));
    call(&mut world, "sip:100@10.0.0.1");
    run_to_the_end(&mut world);
    world
}

#[test]
fn a_mix_and_a_stereo_recording_hold_both_tones_for_the_right_time() {
    for (stereo, said, heard) in [(false, 0, 0), (true, 0, 1)] {
        let script = format!(
            "call:answer() local r = call:record{{file = 'a', stereo = {stereo}}} call:play('prompt.wav') r:stop()
            vars.file, vars.seconds = r.file, r.seconds"
        );
        let mut world = recorded(&script, "call:play('me.wav') call:sleep(10)");
        let record = inbound(&mut world, SERVER);
        assert_eq!(
            (var(&record, "file").as_str(), record.recordings.as_slice()),
            ("a.wav", ["a.wav".to_owned()].as_slice())
        );
        let kept = recording(&mut world, SERVER, "a.wav").clone();
        let seconds = channel_of(&kept, 0).len() as f64 / 8000.0;
        assert!((seconds - 4.0).abs() <= 0.04, "{seconds}");
        assert!((var(&record, "seconds").parse::<f64>().unwrap() - seconds).abs() < 0.001);
        assert!(seconds_with(&kept, said, 1000.0) > 3.8, "{}", seconds_with(&kept, said, 1000.0));
        assert!(seconds_with(&kept, heard, 600.0) > 3.8, "{}", seconds_with(&kept, heard, 600.0));
        if stereo {
            assert_eq!(seconds_with(&kept, 1, 1000.0) + seconds_with(&kept, 0, 600.0), 0.0);
        }
        assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::AgentCompleted));
    }
}

#[test]
fn a_recording_ends_at_its_limit_and_the_flow_goes_on() {
    let mut world = recorded(
        "call:answer() local r = call:record{file = 'a', max = 2.5, wait = true, party_only = true}
        vars.seconds, vars.key = r.seconds, tostring(r.key) call:sleep(1)",
        "call:play('me.wav') call:sleep(10)",
    );
    let record = inbound(&mut world, SERVER);
    assert_eq!((var(&record, "seconds").as_str(), var(&record, "key").as_str()), ("2.5", "nil"));
    assert_eq!(recording(&mut world, SERVER, "a.wav").samples.len(), 20_000);
    assert!((3.4..3.7).contains(&record.talk_seconds), "{}", record.talk_seconds);
}

#[test]
fn a_key_ends_a_recording_and_is_told() {
    let mut world = recorded(
        "call:answer() local r = call:record{file = 'a', stop_on = '#*', wait = true} vars.key, vars.seconds = r.key, r.seconds
        vars.after, vars.why = call:gather{max = 1, first_timeout = 1}",
        "call:sleep(2) call:send_digits('1') call:sleep(1) call:send_digits('*') call:sleep(10)",
    );
    let record = inbound(&mut world, SERVER);
    assert_eq!(var(&record, "key"), "*");
    let seconds: f64 = var(&record, "seconds").parse().unwrap();
    assert!((3.0..3.6).contains(&seconds), "{seconds}");
    assert_ne!(var(&record, "after"), "*", "the key is used up");
}

#[test]
fn what_is_said_during_a_pause_is_left_out() {
    let mut world = recorded(
        "call:answer() local r = call:record{file = 'a', party_only = true} call:sleep(1) vars.p = r:pause() call:sleep(2)
        vars.r = r:resume() call:sleep(3) r:stop() vars.seconds = r.seconds",
        "call:play('me.wav') call:sleep(10)",
    );
    let record = inbound(&mut world, SERVER);
    assert_eq!((var(&record, "p").as_str(), var(&record, "r").as_str()), ("true", "true"));
    let kept = recording(&mut world, SERVER, "a.wav").clone();
    let seconds = kept.samples.len() as f64 / 8000.0;
    assert!((seconds - 4.0).abs() <= 0.04, "{seconds}");
    let heard = seconds_with(&kept, 0, 1000.0);
    assert!((1.8..2.1).contains(&heard), "the first second, and the fourth: {heard}");
    assert!(largest_jump(&kept.samples) < 8200);
}

#[test]
fn a_voicemail_holds_only_the_caller_and_is_kept_when_the_caller_hangs_up() {
    let mut world = recorded(
        "call:answer() call:play('prompt.wav') call:record{file = 'mail', party_only = true, wait = true, max = 120, stop_on = '#'}",
        "call:sleep(4.2) call:play('me.wav') call:hangup()",
    );
    let record = inbound(&mut world, SERVER);
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::CallerHangup));
    assert_eq!(record.recordings, ["mail.wav"], "the file is in the record");
    let kept = recording(&mut world, SERVER, "mail.wav").clone();
    assert_eq!(kept.layout.channels(), 1);
    assert!((3.7..4.1).contains(&seconds_with(&kept, 0, 1000.0)), "{}", seconds_with(&kept, 0, 1000.0));
    assert_eq!(seconds_with(&kept, 0, 600.0), 0.0);
}

#[test]
fn a_recording_without_packets_is_silence_of_the_right_length() {
    let mut world = world(
        Weather::CALM,
        "call:answer() call:sleep(1) local r = call:record{file = 'a', stereo = true} call:sleep(20) r:stop()",
        "call:play('me.wav') call:sleep(60)",
    );
    world.host(PHONE).prompts.insert("me.wav".into(), hum(1000.0, 80_000));
    call(&mut world, "sip:100@10.0.0.1");
    world.run_for(secs(6));
    world.net.set_weather(Weather { loss: 1.0, ..Weather::CALM });
    world.run_for(secs(5));
    world.net.set_weather(Weather::CALM);
    run_to_the_end(&mut world);
    let samples = recording(&mut world, SERVER, "a.wav").samples.len();
    assert!((samples as f64 / 16_000.0 - 20.0).abs() <= 0.04, "{samples}");
}
