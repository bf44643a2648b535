//! Who watches calls: many calls that are looked at all the time keep their audio, and who may see some numbers only is
//! told of these, as it happens.

use std::{
    io::BufRead,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use switchhook::io::clock::Clock;

use crate::{
    api::post,
    doors::Hand,
    endings::Bench,
    records::{connect, get},
    sipp::{caller, numbers, passes},
    support::breathe,
};

fn proof() -> bool {
    std::env::var_os("PROOF").is_some()
}

/// The longest gaps between the packets that come within this time, in ms, the longest first.
fn gaps(hand: &Hand, time: Duration) -> Vec<u64> {
    let (clock, mut bytes, mut gaps) = (Clock::start(), [0; 2000], Vec::new());
    hand.rtp.recv(&mut bytes).expect("audio comes");
    let begun = clock.now();
    let mut last = begun;
    while last - begun < time {
        hand.rtp.recv(&mut bytes).expect("audio comes");
        let now = clock.now();
        gaps.push((now - last).as_millis() as u64);
        last = now;
    }
    gaps.sort_unstable_by(|a, b| b.cmp(a));
    gaps
}

#[test]
fn many_calls_keep_their_audio_while_their_list_and_events_are_read_all_the_time() {
    // Of a build for tests, beside other tests, fewer.
    let count = if proof() { 500 } else { 60 };
    let script = "call:answer()\ncall:tone({600}, {seconds = 300})\n";
    let bench = Bench::new(&numbers(&[("1", "some.lua")]), &[("some.lua", script)]);
    let many = count.to_string();
    let how = ["-sn", "uac", "-m", &many, "-l", &many, "-r", "100", "-d", "90000"];
    let _peers = caller(bench.server.sip, bench.folder(), "1", &how);
    let live = |at: &str, key: &str| get(at, key, "/v1/calls?live=true&status=in_progress&limit=500");
    for round in 0.. {
        assert!(round < 3000, "they do not begin");
        if live(&bench.at, &bench.key)["calls"].as_array().unwrap().len() >= count {
            break;
        }
        breathe(bench.server.sip);
    }
    let hand = Hand::new();
    let to = format!("sip:anna@{}", hand.at());
    let id = bench.start("/v1/calls", &json!({"to": to, "from": "201", "script": "some.lua"}));
    let invite = hand.next("INVITE ");
    hand.answer(&invite, 200, true);
    hand.first_sound();
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (at, key, over, asked) = (bench.at.clone(), bench.key.clone(), over.clone(), asked.clone());
            thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    assert!(
                        get(&at, &key, "/v1/calls?live=true&limit=500")["calls"].as_array().unwrap().len() >= count
                    );
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let _events = connect(&bench.at, &bench.key, "/v1/events?after=0");
    let gaps = gaps(&hand, Duration::from_secs(if proof() { 30 } else { 8 }));
    over.store(true, Ordering::SeqCst);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    let asked = asked.load(Ordering::SeqCst);
    println!("{count} calls, lists read: {asked}; {} packets, longest gaps {:?} ms", gaps.len(), &gaps[..5]);
    assert!(asked > 3, "{asked}");
    // The machine may be busy with other tests; with PROOF set it is not.
    let most = if proof() { 40 } else { 500 };
    assert!(gaps[0] <= most, "{:?}", &gaps[..10]);
    let call = get(&bench.at, &bench.key, &format!("/v1/calls/{id}"));
    assert_eq!(call["status"], "in_progress");
    bench.server.stop();
}

#[test]
fn somebody_who_may_see_one_number_is_told_of_its_calls_as_they_happen_and_of_no_others() {
    let bench = Bench::new(
        &numbers(&[("201", "some.lua"), ("202", "some.lua")]),
        &[("some.lua", "call:answer()\ncall:sleep(60)\n")],
    );
    let bo = json!({"name": "bo", "password": "long enough", "role": "call", "numbers": ["201"]});
    assert!(post(&bench.at, &bench.key, "/v1/users", &bo.to_string()).starts_with("HTTP/1.0 201"));
    let session = post(&bench.at, "", "/v1/session", &json!({"user": "bo", "password": "long enough"}).to_string());
    let session: Value = serde_json::from_str(session.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let token = session["token"].as_str().unwrap_or_else(|| panic!("{session}")).to_owned();
    let mut events = connect(&bench.at, &token, "/v1/events");
    let told = thread::spawn(move || {
        let (mut all, mut line) = (Vec::new(), String::new());
        loop {
            line.clear();
            assert!(events.read_line(&mut line).unwrap() > 0, "it ended");
            let Some(event) = line.strip_prefix("data: ") else { continue };
            let event: Value = serde_json::from_str(event).unwrap();
            let over = event["kind"] == "call.ended";
            all.push(event);
            if over {
                return all;
            }
        }
    });
    // The other one comes first and ends first.
    for (number, time) in [("202", "100"), ("201", "1000")] {
        let how = ["-sn", "uac", "-m", "1", "-d", time];
        let peer = caller(bench.server.sip, bench.folder(), number, &how);
        if number == "201" {
            let seen = || get(&bench.at, &token, "/v1/calls?live=true")["calls"].clone();
            for round in 0.. {
                if seen().as_array().unwrap().iter().any(|call| call["to"] == "201") {
                    break;
                }
                assert!(round < 1000, "{}", seen());
                breathe(bench.server.sip);
            }
        }
        passes(peer, bench.folder());
    }
    let told = told.join().unwrap();
    assert!(told.len() >= 2 && told.iter().all(|event| event["data"]["to"] == "201"), "{told:#?}");
    let all = get(&bench.at, &bench.key, "/v1/calls?number=202");
    let other = all["calls"][0]["id"].as_str().unwrap();
    let hidden = get(&bench.at, &token, &format!("/v1/calls/{other}"));
    assert_eq!(hidden["status"], 404, "{hidden}");
    let refused = post(&bench.at, &token, &format!("/v1/calls/{other}/hangup"), "{}");
    assert!(refused.starts_with("HTTP/1.0 404"), "{refused}");
    bench.server.stop();
}
