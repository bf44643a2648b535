//! Which carrier a call goes over: by price, by weight, as long as it has room, and never long to one that says nothing.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

use serde_json::json;

use crate::{
    comfort::Line,
    digits::keys_in,
    endings::Bench,
    kamailio::Kamailio,
    sipp::{caller, now_ns, numbers, passes, phone, scenario},
    support::{PATIENCE, Server, free_port},
};

/// Dials over the carriers, talks for a moment, hangs up.
const OUT: &str = "local peer, why = call:dial('+4930123', {timeout = 20})\nif not peer then call:reject(480, why) return end\n\
                   call:sleep(0.5)\ncall:hangup()\n";

/// Carriers by name, address and what else is said of each; the rule of each has `rule`.
fn server(carriers: &[(&str, SocketAddr, &str, &str)]) -> Server {
    let mut conf = numbers(&[("200", "out.lua")]);
    for (name, at, more, rule) in carriers {
        conf.push_str(&format!(
            "[[trunk]]\nname = \"{name}\"\ntarget = [\"sip:{at}\"]\n{more}\n\
             [[outbound.rule]]\nnumber = \"+49*\"\ntrunk = \"{name}\"\n{rule}\n"
        ));
    }
    Server::start(&conf, &[("out.lua", OUT)])
}

/// So many calls to 200, so many a second; all are answered.
fn calls(server: &Server, folder: &Path, count: u32, rate: u32) {
    let file = scenario("answered");
    let (count, rate) = (count.to_string(), rate.to_string());
    let arguments = ["-sf", file.to_str().unwrap(), "-m", &count, "-r", &rate];
    passes(caller(server.sip, folder, "200", &arguments), folder);
}

/// The calls that went out over this carrier.
fn over<'a>(records: &'a [serde_json::Value], trunk: &str) -> Vec<&'a serde_json::Value> {
    let out = records.iter().filter(|record| record["direction"] == "outbound");
    out.filter(|record| record["trunk"] == trunk && record["status"] == "completed").collect()
}

#[test]
fn the_cheapest_carrier_is_asked_first_and_the_next_ones_where_it_has_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let (full, fulls, _) = phone(folder.path(), "uas_full", &["-m", "4"]);
    let (cheap, cheaps, _) = phone(folder.path(), "uas_answer_at_once", &["-m", "2"]);
    let (dear, dears, _) = phone(folder.path(), "uas_answer_at_once", &["-m", "2"]);
    let server = server(&[
        ("dear", dears, "", "price = 0.9"),
        ("cheap", cheaps, "max_calls = 2", "price = 0.6"),
        ("full", fulls, "", "price = 0.3"),
    ]);
    calls(&server, folder.path(), 4, 20);
    for process in [full, cheap, dear] {
        passes(process, folder.path());
    }
    server.wait_until_idle();
    let records = server.wait_for_records(8);
    let (cheap, dear) = (over(&records, "cheap"), over(&records, "dear"));
    assert_eq!((cheap.len(), dear.len()), (2, 2), "{records:#?}");
    let cost = |record: &serde_json::Value| record["cost"].as_f64().unwrap();
    assert!(cheap.iter().all(|one| cost(one) > 0.0 && cost(one) < cost(dear[0])), "{records:#?}");
}

#[test]
fn a_carrier_gets_no_more_calls_a_second_than_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let phones: Vec<_> = (0..2).map(|_| phone(folder.path(), "uas_answer_at_once", &[])).collect();
    let server = server(&[
        ("first", phones[0].1, "max_calls_per_second = 2", "priority = 0"),
        ("second", phones[1].1, "", "priority = 1"),
    ]);
    calls(&server, folder.path(), 20, 10);
    server.wait_until_idle();
    let records = server.wait_for_records(40);
    let (first, second) = (over(&records, "first").len(), over(&records, "second").len());
    assert_eq!(first + second, 20, "{records:#?}");
    let mut starts: Vec<u64> =
        over(&records, "first").iter().map(|record| record["start_ms"].as_u64().unwrap()).collect();
    starts.sort_unstable();
    // Two seconds of calls, and what a busy machine adds to that.
    assert!(first >= 4, "{first} of 20: it gets what it takes");
    let third_in_a_second = starts.windows(3).find(|three| three[2] - three[0] < 950);
    assert_eq!(third_in_a_second, None, "{starts:?}");
}

#[test]
fn carriers_of_one_price_share_the_calls_by_their_weight() {
    let folder = tempfile::tempdir().unwrap();
    let phones: Vec<_> = (0..2).map(|_| phone(folder.path(), "uas_answer_at_once", &[])).collect();
    let server = server(&[("heavy", phones[0].1, "", "weight = 3"), ("light", phones[1].1, "", "weight = 1")]);
    calls(&server, folder.path(), 120, 40);
    server.wait_until_idle();
    let records = server.wait_for_records(240);
    let (heavy, light) = (over(&records, "heavy").len(), over(&records, "light").len());
    assert_eq!(heavy + light, 120);
    // Five standard deviations of the toss: one run in a million is outside.
    assert!((66..=114).contains(&heavy), "{heavy} of 120, where 90 are meant");
}

/// The carrier behind Kamailio takes everything in and says nothing. How long it took until the next carrier had the
/// call, in ms.
fn leaves_silent(patience: Duration, more: &str) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let _kamailio = Kamailio::start_with(folder.path(), silent.local_addr().unwrap(), "MD5", at, patience);
    let second = UdpSocket::bind("127.0.0.1:0").unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    let account = format!("user = \"acct\"\npassword = \"geheim7\"\nfrom_user = \"acct\"\n{more}");
    let server = server(&[
        ("silent", at, &account, "priority = 0"),
        ("second", second.local_addr().unwrap(), "", "priority = 1"),
    ]);
    let begin = now_ns();
    let _caller = caller(server.sip, folder.path(), "200", &["-sn", "uac", "-m", "1"]);
    let mut buffer = [0; 65_536];
    let len = second.recv(&mut buffer).expect("the next carrier is asked");
    let took = (now_ns() - begin) / 1_000_000;
    let invite = String::from_utf8_lossy(&buffer[..len]).into_owned();
    assert!(invite.starts_with("INVITE sip:+4930123@"), "{invite}");
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let len = silent.recv(&mut buffer).expect("Kamailio had sent it on");
    assert!(buffer[..len].starts_with(b"INVITE "));
    took
}

#[test]
fn a_silent_carrier_behind_kamailio_is_left_within_two_seconds_of_kamailios_or_of_our_own_patience() {
    // Kamailio gives up and says 408; or it says 100, and we give up. SIPp is up a moment after the clock starts.
    for (patience, more) in [(Duration::from_millis(1200), ""), (Duration::from_secs(30), "progress_ms = 1200")] {
        let took = leaves_silent(patience, more);
        assert!((1200..2000).contains(&took), "{took} ms with {more:?}");
    }
}

#[test]
fn a_carrier_is_told_keys_in_the_form_that_its_operator_names_though_it_agrees_on_events() {
    let folder = tempfile::tempdir().unwrap();
    for (keys_out, heard, events) in [("info", "", 0), ("inband", "7", 0), ("rfc4733", "", 1)] {
        let line = Line::free();
        let listening = line.listen();
        let name = if keys_out == "info" { "uas_told_by_info" } else { "uas_hangs_up_later" };
        let (carrier, at, _) = phone(folder.path(), name, &["-m", "1", "-key", "audio", &line.port.to_string()]);
        let script = "call:send_digits('7', {length = 0.2}) call:sleep(20)";
        let conf = format!(
            "[[trunk]]\nname = \"a\"\ntarget = [\"sip:{at}\"]\nkeys_out = \"{keys_out}\"\n\
             [[outbound.rule]]\nnumber = \"+49*\"\ntrunk = \"a\"\n"
        );
        let bench = Bench::new(&conf, &[("out.lua", script)]);
        let id = bench.start("/v1/calls", &json!({"to": "+4930123", "from": "1", "script": "out.lua"}));
        passes(carrier, folder.path());
        assert_eq!(bench.over(&id)["trunk"], "a");
        let (audio, others): (Vec<_>, Vec<_>) =
            listening.stop().into_iter().partition(|(_, header, _)| header.payload_type == 0);
        let presses: BTreeSet<u32> = others.iter().map(|(_, header, _)| header.timestamp).collect();
        assert_eq!(presses.len(), events, "{keys_out}");
        assert!(others.iter().all(|(_, header, payload)| header.payload_type == 101 && payload[0] == 7));
        assert_eq!(keys_in(audio), heard, "{keys_out}");
    }
}
