//! Transfers with SIPp: the phone that we called transfers its caller, a caller connects two whom it called, we ask a
//! caller to call somebody else.

use crate::{
    sipp::{caller, numbers, passes, phone, scenario},
    support::Server,
};

fn bridge_to(number: &str, at: std::net::SocketAddr) -> String {
    format!(
        "local peer, why = call:dial{{'sip:{number}@{at}', timeout = 20}}\nif not peer then error(why) end\n\
             call:bridge(peer)\n"
    )
}

#[test]
fn a_phone_transfers_its_caller_and_hears_how_that_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (carol, at, _) = phone(folder.path(), "uas_answer", &["-m", "1"]);
    let (bob, bobs, _) = phone(folder.path(), "uas_transfers", &["-m", "1", "-key", "elsewhere", &at.to_string()]);
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", &bridge_to("bob", bobs))]);
    let call = caller(server.sip, folder.path(), "100", &["-sn", "uac", "-m", "1", "-d", "1500"]);
    passes(bob, folder.path());
    passes(call, folder.path());
    passes(carol, folder.path());
    server.wait_until_idle();
    let records = server.wait_for_records(3);
    assert_eq!(records.iter().filter(|record| record["transferred"] == true).count(), 1, "{records:#?}");
}

#[test]
fn a_caller_connects_two_whom_it_called_and_is_out() {
    let folder = tempfile::tempdir().unwrap();
    let (bob, bobs, _) = phone(folder.path(), "uas_hangs_up", &["-m", "1"]);
    let (carol, carols, _) = phone(folder.path(), "uas_answer_at_once", &["-m", "1"]);
    let conf = format!("[call]\ntransfer = \"all\"\n{}", numbers(&[("200", "b.lua"), ("201", "c.lua")]));
    let server = Server::start(&conf, &[("b.lua", &bridge_to("bob", bobs)), ("c.lua", &bridge_to("carol", carols))]);
    let file = scenario("transfers_attended");
    let arguments = ["-sf", file.to_str().unwrap(), "-m", "1", "-cid_str", "%u-%p"];
    passes(caller(server.sip, folder.path(), "200", &arguments), folder.path());
    // Bob hangs up later, and Carol, who is connected to him now, hears of it.
    passes(bob, folder.path());
    passes(carol, folder.path());
    server.wait_until_idle();
    assert_eq!(server.wait_for_records(4).len(), 4);
}

#[test]
fn who_takes_the_place_of_a_call_talks_with_its_partner() {
    let folder = tempfile::tempdir().unwrap();
    let (bob, bobs, _) = phone(folder.path(), "uas_answer_at_once", &["-m", "1"]);
    let conf = format!("[call]\ntransfer = \"all\"\n{}", numbers(&[("100", "a.lua")]));
    let server = Server::start(&conf, &[("a.lua", &bridge_to("bob", bobs))]);
    let file = scenario("replaces");
    let arguments = ["-sf", file.to_str().unwrap(), "-m", "1", "-cid_str", "%u-%p"];
    passes(caller(server.sip, folder.path(), "100", &arguments), folder.path());
    passes(bob, folder.path());
    server.wait_until_idle();
    let records = server.wait_for_records(3);
    assert_eq!(records.iter().filter(|record| record["transferred"] == true).count(), 1, "{records:#?}");
    assert!(records.iter().all(|record| record["status"] == "completed"), "{records:#?}");
}

#[test]
fn what_became_of_a_transfer_is_told_in_one_word() {
    let script = "call:answer()
        local ok, why, code = call:transfer('sip:carol@127.0.0.1:9')
        vars.outcome = ok or why
        call:hangup()";
    let server = Server::start(&numbers(&[("100", "a.lua")]), &[("a.lua", script)]);
    let folder = server.folder.path().to_owned();
    let cases = [
        ("referred", "200 OK", "transferred"),
        ("referred", "486 Busy Here", "busy"),
        ("referred", "480 Temporarily Unavailable", "no_answer"),
        ("referred", "603 Decline", "refused"),
        ("refuses_refer", "", "refused"),
    ];
    for (nth, (name, outcome, word)) in cases.into_iter().enumerate() {
        let file = scenario(name);
        let arguments = ["-sf", file.to_str().unwrap(), "-m", "1", "-key", "outcome", outcome];
        passes(caller(server.sip, &folder, "100", &arguments), &folder);
        let record = server.wait_for_records(nth + 1).pop().unwrap();
        assert_eq!(record["vars"]["outcome"], word, "{outcome}: {record:#}");
    }
    server.wait_until_idle();
}
