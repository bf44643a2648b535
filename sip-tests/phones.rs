//! Phones that register: baresip over UDP and TCP, SIPp with passwords.

use crate::{
    baresip::Phone,
    command_line::tone,
    sipp::{caller, passes, scenario},
    support::Server,
};

const PHONES: &str = "[[phone]]\nuser = \"anna\"\nnumber = \"201\"\npassword = \"secret\"\n\
                      [[phone]]\nuser = \"bo\"\nnumber = \"202\"\npassword = \"geheim\"\n";
const EXTENSION: &str = include_str!("../scripts/extension.lua");

/// A baresip that registers as `user`.
fn registered(server: &Server, user: &str, password: &str, transport: &str, more: &str) -> (tempfile::TempDir, Phone) {
    let folder = tempfile::tempdir().unwrap();
    let speaks = folder.path().join("speak.wav");
    tone(&speaks, 600.0, 8000, 120);
    let account = format!("<sip:{user}@{};transport={transport}>;auth_pass={password};regint=600{more}", server.sip);
    let phone = Phone::with_account(folder.path(), &speaks, &account);
    phone.process.wait_for("200 OK");
    (folder, phone)
}

#[test]
fn baresip_registers_over_udp_and_tcp_and_one_rings_the_other() {
    let server = Server::start(PHONES, &[("extension.lua", EXTENSION)]);
    let (_anna, mut anna) = registered(&server, "anna", "secret", "udp", "");
    let (_bo, _phone) = registered(&server, "bo", "geheim", "tcp", ";answermode=auto");
    anna.dial(&format!("sip:202@{}", server.sip));
    anna.tell("hangup", "");
    let records = server.wait_for_records(2);
    assert!(records.iter().all(|record| record["status"] == "completed"), "{records:#?}");
    server.wait_until_idle();
}

#[test]
fn baresip_with_a_wrong_password_stays_outside() {
    let server = Server::start(PHONES, &[("extension.lua", EXTENSION)]);
    let folder = tempfile::tempdir().unwrap();
    tone(&folder.path().join("speak.wav"), 600.0, 8000, 120);
    let account = format!("<sip:anna@{}>;auth_pass=guess;regint=600", server.sip);
    let phone = Phone::with_account(folder.path(), &folder.path().join("speak.wav"), &account);
    phone.process.wait_for("401 Unauthorized");
}

#[test]
fn sipp_registers_and_calls_with_its_password() {
    let conf = format!("{PHONES}[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n");
    let script = "call:answer() vars.phone = call.phone call:sleep(30)";
    let server = Server::start(&conf, &[("a.lua", script), ("extension.lua", EXTENSION)]);
    let folder = tempfile::tempdir().unwrap();
    let file = scenario("password");
    let arguments = ["-sf", file.to_str().unwrap(), "-m", "5", "-r", "10"];
    passes(caller(server.sip, folder.path(), "100", &arguments), folder.path());
    let records = server.wait_for_records(5);
    assert!(records.iter().all(|record| record["vars"]["phone"] == "anna"), "{records:#?}");
    server.wait_until_idle();
}
