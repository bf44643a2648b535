//! Keys: RFC 4733 events of which packets are lost, and SIP INFO.

use super::{phone::Hand, *};

fn gathering() -> (World, Hand) {
    let mut world = World::new(Weather::CALM, 5);
    world.tap();
    let script = "call:answer() vars.keys, vars.why = call:gather{max = 20, first_timeout = 30, timeout = 4}";
    world.add(SERVER, config(SERVER, &[("100", "main.lua")]), &[("main.lua", script)]);
    let mut hand = Hand::new(PHONE);
    hand.invite(&mut world);
    hand.run(&mut world, secs(1));
    (world, hand)
}

fn keys(world: &mut World, hand: &mut Hand) -> String {
    hand.run(world, secs(10));
    assert_clean(world, &[SERVER]);
    let record = inbound(world, SERVER);
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::AgentCompleted));
    var(&record, "keys")
}

#[test]
fn each_key_arrives_once_whichever_of_its_packets_are_lost() {
    let (mut world, mut hand) = gathering();
    type Kept = fn(usize) -> bool;
    let kept: [(u8, Kept); 6] =
        [(1, |_| true), (2, |n| n > 0), (3, |n| n < 5), (4, |n| n == 0), (5, |n| n == 7), (6, |n| n == 3)];
    for (key, keep) in kept {
        hand.event(&mut world, key, keep);
        hand.run(&mut world, Duration::from_millis(300));
    }
    hand.event(&mut world, 6, |n| n < 2);
    hand.event(&mut world, 6, |n| n > 5);
    assert_eq!(keys(&mut world, &mut hand), "12345666");
}

#[test]
fn keys_arrive_once_at_a_fifth_lost() {
    for seed in 0..12 {
        let mut world = World::new(Weather { loss: 0.2, duplicated: 0.05, ..BAD }, seed);
        let script =
            "call:answer() vars.keys = call:gather{max = 20, first_timeout = 60, timeout = 10, terminators = ''}";
        world.add(SERVER, config(SERVER, &[("100", "main.lua")]), &[("main.lua", script)]);
        add_phone(&mut world, PHONE, "", "call:sleep(1) call:send_digits('1223334567890*#A') call:sleep(60)");
        call(&mut world, "sip:100@10.0.0.1");
        run_to_the_end(&mut world);
        assert_eq!(var(&inbound(&mut world, SERVER), "keys"), "1223334567890*#A", "seed {seed}");
    }
}

#[test]
fn keys_come_as_sip_info_in_both_forms() {
    let (mut world, mut hand) = gathering();
    for (kind, body) in [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
        ("application/dtmf-relay", "Signal= 11\r\nDuration= 160\r\n"),
        ("application/dtmf", "7"),
        ("application/dtmf", "10\r\n"),
    ] {
        if body.contains("11") {
            continue; // The pound is a terminator; below it ends the digits.
        }
        hand.request(&mut world, "INFO", &format!("Content-Type: {kind}\r\n"), body);
        hand.run(&mut world, Duration::from_millis(200));
        assert_eq!(hand.last_status(), "SIP/2.0 200 OK", "{kind} {body}");
    }
    hand.request(&mut world, "INFO", "Content-Type: text/plain\r\n", "5");
    hand.run(&mut world, Duration::from_millis(200));
    assert!(hand.last_status().starts_with("SIP/2.0 415"));
    hand.request(&mut world, "INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=11\r\n");
    assert_eq!(keys(&mut world, &mut hand), "57*");
    assert_eq!(var(&inbound(&mut world, SERVER), "why"), "terminator");
}
