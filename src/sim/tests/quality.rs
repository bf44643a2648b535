//! What is measured of a call: the figures fall with the network, both ends tell each other, and what is wrong is named.

use super::*;
use crate::{codec::Codec, switch::MosScale};

/// The records of a call of a minute between two hosts: of the one that was called, and of the caller.
fn talk(weather: Weather) -> [CallRecord; 2] {
    let mut world = World::new(weather, 11);
    let answer = "call:answer() call:play('me.wav') local q = call:quality() vars.mos = q and q.mos call:sleep(30)";
    add_phone(&mut world, SERVER, answer, "");
    add_phone(&mut world, other(2), "", "call:play('me.wav') call:sleep(10) call:hangup()");
    for ip in [SERVER, other(2)] {
        world.host(ip).prompts.insert("me.wav".into(), hum(600.0, 200_000));
    }
    call_from(&mut world, other(2), "sip:100@10.0.0.1", secs(60));
    world.run_for(secs(90));
    [SERVER, other(2)].map(|ip| {
        let records = &world.host(ip).records;
        assert_eq!(records.len(), 1);
        records[0].clone()
    })
}

#[test]
fn a_calm_network_scores_well_and_both_ends_say_so() {
    for record in talk(Weather::CALM) {
        let quality = record.quality.unwrap();
        assert!(quality.mos.unwrap() > 4.3 && quality.r_factor.unwrap() > 90.0, "{quality:?}");
        assert!(quality.peer_mos.unwrap() >= 4.3, "{quality:?}");
        assert_eq!((quality.bursts, quality.lost, quality.alarms.len()), (0, 0, 0), "{quality:?}");
        assert!(quality.sources.len() == 1 && quality.sources[0].contains("10.0.0."), "{quality:?}");
        // Each hums at -13 dBm0 or so, or below.
        let level = quality.speech_dbm0.unwrap();
        assert!((-25.0..0.0).contains(&level) && quality.clipped == Some(0), "{quality:?}");
    }
}

#[test]
fn the_figures_are_told_while_the_call_goes_on_and_a_wideband_call_is_judged_as_one() {
    for (codec, scale, best) in [(Codec::Pcmu, MosScale::Narrowband, 93.2), (Codec::G722, MosScale::Wideband, 116.0)] {
        let mut world = World::new(Weather::CALM, 11);
        for (ip, answer, phone) in [
            (SERVER, "call:answer() call:play('me.wav') call:sleep(30)", ""),
            (other(2), "", "call:play('me.wav') call:sleep(10) call:hangup()"),
        ] {
            let config = Config { codecs: vec![codec], ..config(ip, &[("*", "answer.lua")]) };
            world.add(ip, config, &[("answer.lua", answer), ("phone.lua", phone)]);
            world.host(ip).prompts.insert("me.wav".into(), hum(600.0, 200_000));
        }
        call_from(&mut world, other(2), "sip:100@10.0.0.1", secs(60));
        world.run_for(secs(9));
        assert_eq!(world.host(SERVER).records.len(), 0, "it goes on");
        let (call, so_far) = world.host(SERVER).qualities.first_key_value().unwrap();
        let (call, so_far) = (call.clone(), so_far.clone());
        assert!(so_far.received > 50 && so_far.mos_scale == Some(scale), "{so_far:?}");
        assert!((so_far.r_factor.unwrap() - best).abs() < 2.0 && so_far.mos.unwrap() > 4.3, "{so_far:?}");
        world.run_for(secs(81));
        let record = &world.host(SERVER).records[0];
        let whole = record.quality.clone().unwrap();
        assert_eq!((&record.id, whole.mos_scale), (&call, Some(scale)));
        assert!(whole.received > so_far.received && whole.r_factor.unwrap() - so_far.r_factor.unwrap() < 1.0);
    }
}

#[test]
fn a_lossy_network_scores_lower_and_a_script_can_see_it() {
    let [called, caller] = talk(BAD);
    for record in [&called, &caller] {
        let quality = record.quality.as_ref().unwrap();
        let mos = quality.mos.unwrap();
        assert!((2.5..4.1).contains(&mos) && quality.gap_density > 0.005, "{quality:?}");
        assert!(quality.peer_mos.is_some_and(|peer| (2.0..4.2).contains(&peer)), "{quality:?}");
    }
    let seen: f64 = called.vars.get("mos").expect("the script looked").parse().unwrap();
    assert!((2.5..4.1).contains(&seen), "{seen}");
}

#[test]
fn a_party_that_says_nothing_but_silence_is_named() {
    let mut world = World::new(Weather::CALM, 11);
    add_phone(&mut world, SERVER, "call:answer() call:echo{limit = 40}", "");
    add_phone(&mut world, other(2), "", "call:sleep(40) call:hangup()");
    call_from(&mut world, other(2), "sip:100@10.0.0.1", secs(60));
    world.run_for(secs(60));
    let record = world.host(SERVER).records[0].clone();
    let quality = record.quality.unwrap();
    assert!(quality.alarms.iter().any(|alarm| alarm.contains("nothing but silence")), "{quality:?}");
}
