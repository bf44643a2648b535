//! Phones that register: baresip over UDP, TCP and TLS, which holds and transfers; SIPp with passwords.

use crate::{
    baresip::{Phone, heard},
    command_line::{seconds_of, tone},
    sipp::{caller, passes, scenario},
    support::{Server, breathe, read_wav},
    wires::certificates,
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

/// Let `ms` pass.
fn wait(server: &Server, ms: u32) {
    (0..ms / 20).for_each(|_| breathe(server.sip));
}

#[test]
fn baresip_registers_over_tls_and_is_called_over_the_connection_that_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let (trust, own) = certificates(folder.path());
    let conf = format!("tls = 0\n[tls]\ncertificate = {own:?}\ntrust = {trust:?}\n{PHONES}");
    let server = Server::start(&conf, &[("extension.lua", EXTENSION)]);
    let (_anna, mut anna) = registered(&server, "anna", "secret", "udp", "");
    tone(&folder.path().join("speak.wav"), 600.0, 8000, 120);
    let account =
        format!("<sip:bo@127.0.0.1:{};transport=tls>;auth_pass=geheim;regint=600;answermode=auto", server.port("tls"));
    let secure = format!("sip_certificate {}\nsip_cafile {}\n", own.display(), trust.display());
    let bo = Phone::with_config(folder.path(), &folder.path().join("speak.wav"), &account, &secure);
    bo.process.wait_for("200 OK");
    anna.dial(&format!("sip:202@{}", server.sip));
    anna.tell("hangup", "");
    let records = server.wait_for_records(2);
    assert!(records.iter().all(|record| record["status"] == "completed"), "{records:#?}");
}

#[test]
fn a_phone_is_called_after_a_restart_though_it_did_not_register_again() {
    let mut server = Server::start(PHONES, &[("extension.lua", EXTENSION)]);
    let (_anna, mut anna) = registered(&server, "anna", "secret", "udp", "");
    let (_bo, _phone) = registered(&server, "bo", "geheim", "udp", ";answermode=auto");
    for (nth, signal) in ["TERM", "KILL"].into_iter().enumerate() {
        // What was told last is written within a moment.
        wait(&server, 200);
        server.restart(signal);
        anna.dial(&format!("sip:202@{}", server.sip));
        anna.tell("hangup", "");
        anna.wait_for_event("CALL_CLOSED");
        let records = server.wait_for_records(2 * (nth + 1));
        assert!(records.iter().all(|record| record["status"] == "completed"), "{signal}: {records:#?}");
        server.wait_until_idle();
    }
}

#[test]
fn who_baresip_puts_on_hold_hears_music_until_it_is_resumed() {
    let server =
        Server::start(&format!("[call]\nhold_music = \"wait.wav\"\n{PHONES}"), &[("extension.lua", EXTENSION)]);
    tone(&server.path("prompts/wait.wav"), 1000.0, 8000, 20);
    let (_anna, mut anna) = registered(&server, "anna", "secret", "udp", "");
    let (bos, mut bo) = registered(&server, "bo", "geheim", "udp", ";answermode=auto");
    anna.dial(&format!("sip:202@{}", server.sip));
    for command in ["hold", "resume", "hangup"] {
        wait(&server, 700);
        anna.tell(command, "");
    }
    bo.wait_for_event("CALL_CLOSED");
    drop(bo);
    let (channels, _) = read_wav(&heard(bos.path()));
    let (partner, music) = (seconds_of(&channels[0], 600.0), seconds_of(&channels[0], 1000.0));
    assert!(music > 0.3 && partner > 0.6, "{music} s of music, {partner} s of the other one");
    server.wait_until_idle();
}

#[test]
fn baresip_transfers_its_partner_to_a_third_phone_and_leaves() {
    let conf = format!("{PHONES}[[phone]]\nuser = \"cy\"\nnumber = \"203\"\npassword = \"word\"\n");
    let server = Server::start(&conf, &[("extension.lua", EXTENSION)]);
    let (_anna, mut anna) = registered(&server, "anna", "secret", "udp", "");
    let (_bo, mut bo) = registered(&server, "bo", "geheim", "tcp", ";answermode=auto");
    let (_cy, mut cy) = registered(&server, "cy", "word", "udp", ";answermode=auto");
    anna.dial(&format!("sip:202@{}", server.sip));
    anna.tell("transfer", &format!("sip:203@{}", server.sip));
    cy.wait_for_event("CALL_ESTABLISHED");
    anna.wait_for_event("CALL_CLOSED");
    assert_eq!(server.counts()["calls"], 2, "the two that are left");
    cy.tell("hangup", "");
    bo.wait_for_event("CALL_CLOSED");
    let records = server.wait_for_records(3);
    let moved: Vec<_> = records.iter().filter(|record| record["transferred"] == true).collect();
    assert_eq!(moved.len(), 1, "{records:#?}");
    server.wait_until_idle();
}

const CODES: &str = include_str!("../scripts/codes.lua");
/// A third phone; 88 and the number of one that rings picks it up, 77 and a slot fetches who is parked there.
const OFFICE: &str = "[[phone]]\nuser = \"cy\"\nnumber = \"203\"\npassword = \"word\"\n\
    [[number]]\nnumber = \"88*\"\nscript = \"codes.lua\"\nvars = { code = \"88\", what = \"pickup\" }\n\
    [[number]]\nnumber = \"77*\"\nscript = \"codes.lua\"\nvars = { code = \"77\", what = \"fetch\" }\n\
    [[number]]\nnumber = \"700\"\nscript = \"park.lua\"\n";

#[test]
fn a_baresip_picks_up_what_rings_another_one() {
    let server = Server::start(
        &format!("{PHONES}{OFFICE}"),
        &[("extension.lua", EXTENSION), ("codes.lua", CODES), ("park.lua", "")],
    );
    let (_anna, mut anna) = registered(&server, "anna", "secret", "udp", "");
    let (_bo, mut bo) = registered(&server, "bo", "geheim", "udp", "");
    let (_cy, mut cy) = registered(&server, "cy", "word", "udp", "");
    anna.tell("dial", &format!("sip:202@{}", server.sip));
    bo.wait_for_event("CALL_INCOMING");
    cy.dial(&format!("sip:88202@{}", server.sip));
    anna.wait_for_event("CALL_ESTABLISHED");
    bo.wait_for_event("CALL_CLOSED");
    assert_eq!(server.counts()["calls"], 2, "the two that talk");
    cy.tell("hangup", "");
    anna.wait_for_event("CALL_CLOSED");
    let records = server.wait_for_records(3);
    let rang = records.iter().find(|record| record["direction"] == "outbound").expect("the phone that rang");
    assert_eq!(rang["status"], "canceled", "{records:#?}");
    server.wait_until_idle();
}

#[test]
fn who_a_baresip_fetches_from_where_it_was_parked_is_heard() {
    let park = "call:answer()\nlocal other = call:park('5', {timeout = 60})\nif other then call:bridge(other) end";
    let server = Server::start(
        &format!("{PHONES}{OFFICE}"),
        &[("extension.lua", EXTENSION), ("codes.lua", CODES), ("park.lua", park)],
    );
    let (_anna, mut anna) = registered(&server, "anna", "secret", "udp", "");
    let (cys, mut cy) = registered(&server, "cy", "word", "udp", "");
    anna.dial(&format!("sip:700@{}", server.sip));
    wait(&server, 300);
    cy.dial(&format!("sip:775@{}", server.sip));
    wait(&server, 1500);
    cy.tell("hangup", "");
    anna.wait_for_event("CALL_CLOSED");
    cy.wait_for_event("CALL_CLOSED");
    drop(cy);
    let (channels, _) = read_wav(&heard(cys.path()));
    let heard = seconds_of(&channels[0], 600.0);
    assert!(heard > 0.5, "{heard} s of the one who was parked");
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
