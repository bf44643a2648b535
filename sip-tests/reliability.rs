//! What must not go wrong between two parties that lose, cross and repeat messages: PRACK, UPDATE, session timers,
//! glare, forks, redirections, lost ACKs. SIPp on one side or on both.

use std::path::Path;

use crate::{
    sipp::{caller, caller_at, numbers, passes, phone, phone_at, scenario},
    support::Server,
};

const TALK: &str = "call:answer() call:sleep(60)";

/// A caller with this scenario to 100, which runs `script`. The server is given back when the call is over.
fn calls(name: &str, script: &str) -> Server {
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", script)]);
    one_call(&server, name, server.folder.path());
    server.wait_until_idle();
    server
}

fn one_call(server: &Server, name: &str, folder: &Path) {
    let file = scenario(name);
    passes(caller(server.sip, folder, "100", &["-sf", file.to_str().unwrap(), "-m", "1"]), folder);
}

/// A caller with scenario `a`, bridged by `early` or after its answer to a phone with scenario `b`.
fn bridged(a: &str, b: &str, script: &str) -> (Server, String) {
    let folder = tempfile::tempdir().unwrap();
    let (process, at, log) = phone(folder.path(), b, &["-m", "1"]);
    let script = script.replace("BOB", &format!("sip:bob@{at}"));
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &script)]);
    one_call(&server, a, folder.path());
    passes(process, folder.path());
    server.wait_until_idle();
    (server, std::fs::read_to_string(log).unwrap())
}

/// Rings the other one, lets early media through, answers, and stays until one leaves.
const CONNECT: &str = "local peer, why, code = call:dial{'BOB', timeout = 20, early_media = true}
if not peer then return call:reject(tonumber(code) or 480) end
call:answer()
call:bridge(peer)";

#[test]
fn a_caller_acknowledges_early_media_and_changes_its_own_before_the_answer() {
    calls("prack_caller", "call:progress() call:sleep(0.4) call:answer() call:sleep(60)");
}

#[test]
fn a_caller_without_an_offer_gets_ours_before_the_answer() {
    calls("late_offer_prack", "call:progress() call:sleep(0.4) call:answer() call:sleep(60)");
}

#[test]
fn a_phone_that_wants_its_provisional_answers_acknowledged_gets_a_prack_for_each() {
    bridged("routed", "uas_prack", CONNECT);
}

#[test]
fn a_caller_holds_and_resumes_by_update() {
    calls("update_caller", TALK);
}

#[test]
fn a_phone_that_we_called_moves_its_early_media_and_holds_by_update() {
    bridged("routed", "uas_updates", CONNECT);
}

#[test]
fn sessions_are_timed_as_the_caller_and_we_agree() {
    calls("session_timer_caller", TALK);
    if std::env::var_os("PROOF").is_some() {
        calls("session_timer_left_to_us", TALK);
    }
}

#[test]
fn a_phone_that_finds_the_session_too_short_is_asked_again() {
    bridged("routed", "uas_session_timer", CONNECT);
}

#[test]
fn crossing_reinvites_are_refused_on_both_sides_and_ours_comes_again() {
    calls("glare_caller", "call:answer() call:sleep(0.1) call:hold() call:sleep(60)");
}

#[test]
fn of_two_forks_that_answer_one_stays() {
    bridged("routed", "uas_forked", CONNECT);
}

#[test]
fn an_answer_that_comes_again_is_acknowledged_again() {
    bridged("routed", "uas_ack_lost", CONNECT);
}

#[test]
fn a_phone_that_moved_is_followed_and_the_chase_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (there, at, _) = phone(folder.path(), "uas_answer", &["-m", "1"]);
    let (moved, from, _) = phone(folder.path(), "uas_moved", &["-m", "1", "-key", "elsewhere", &at.to_string()]);
    let script = CONNECT.replace("BOB", &format!("sip:bob@{from}"));
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &script)]);
    one_call(&server, "routed", folder.path());
    passes(moved, folder.path());
    passes(there, folder.path());
    server.wait_until_idle();
}

#[test]
fn the_caller_hears_each_step_in_order_and_the_cause_of_the_end() {
    let plain = CONNECT.replace(", early_media = true", "");
    bridged("told_how_far", "uas_order", &plain);
}

#[test]
fn ringing_early_media_and_answer_come_to_the_caller_in_the_phones_order() {
    let folder = tempfile::tempdir().unwrap();
    let (process, at, _) = phone(folder.path(), "uas_order", &["-m", "1"]);
    let conf = format!("[[number]]\nnumber = \"100\"\ndial = [\"sip:bob@{at}\"]\n");
    let server = Server::start(&conf, &[]);
    one_call(&server, "hears_in_order", folder.path());
    passes(process, folder.path());
    server.wait_until_idle();
}

#[test]
fn a_refusal_keeps_its_cause() {
    bridged("told_the_cause", "uas_refuses_with_cause", &CONNECT.replace(", early_media = true", ""));
}

#[test]
fn requests_that_went_astray_are_refused_and_the_call_goes_on() {
    calls("loops", TALK);
    calls("merged", "call:ring() call:sleep(0.3) call:answer() call:sleep(60)");
}

/// The values of a field in what a SIPp log holds.
fn values<'a>(log: &'a str, name: &str) -> std::collections::BTreeSet<&'a str> {
    log.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim).collect()
}

#[test]
fn neither_party_sees_where_the_other_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let (process, at, callee) = phone_at("127.0.0.3", folder.path(), "uas_order", &["-m", "1"]);
    let script = CONNECT.replace("BOB", &format!("sip:bob@{at}"));
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &script)]);
    let (file, caller) = (scenario("sent_on"), folder.path().join("caller.log"));
    let arguments = [
        "-sf",
        file.to_str().unwrap(),
        "-m",
        "1",
        "-key",
        "privacy",
        "none",
        "-message_file",
        caller.to_str().unwrap(),
    ];
    passes(caller_at("127.0.0.2", server.sip, folder.path(), "100", &arguments), folder.path());
    passes(process, folder.path());
    server.wait_until_idle();
    let (caller, callee) = (std::fs::read_to_string(caller).unwrap(), std::fs::read_to_string(callee).unwrap());
    assert!(caller.contains("127.0.0.2") && callee.contains("127.0.0.3"));
    assert!(!caller.contains("127.0.0.3"), "{caller}");
    for word in ["127.0.0.2", "10.9.8.7", "example.org"] {
        assert!(!callee.contains(word), "{word}: {callee}");
    }
    for name in ["Call-ID", "Via", "From", "To", "Contact"] {
        let both: Vec<_> = values(&caller, name).intersection(&values(&callee, name)).copied().collect();
        // Our own Contact is the same everywhere.
        assert!(both.iter().all(|value| name == "Contact" && value.contains("switchhook@")), "{name}: {both:?}");
    }
}
