//! Carriers: Kamailio as registrar and proxy with digest and Record-Route in front of a SIPp switch; SIPp that asks for a
//! password itself; carriers that are not there.

use std::{fs, net::SocketAddr};

use crate::{
    kamailio::Kamailio,
    sipp::{caller, passes, phone},
    support::{Server, breathe, free_port},
};

/// Dials over the carriers, talks for a moment, hangs up.
const OUT: &str = "local peer, why = call:dial('+4930123', {timeout = 20})\nif not peer then call:reject(480, why) return end\n\
                   call:sleep(0.3)\ncall:hangup()\n";
const ANSWER: &str = "call:answer()\ncall:tone('ringing', {seconds = 60})\n";

fn conf(trunks: &str) -> String {
    format!(
        "{trunks}\n[[outbound.rule]]\nnumber = \"+49*\"\ntrunk = \"carrier\"\nprice = 0.06\n\
         [[number]]\nnumber = \"100\"\nscript = \"answer.lua\"\n[[number]]\nnumber = \"200\"\nscript = \"out.lua\"\n"
    )
}

const TRANSPORTS: [&str; 3] = ["udp", "tcp", "tls"];
const SCRIPTS: [(&str, &str); 2] = [("answer.lua", ANSWER), ("out.lua", OUT)];

/// A server that is registered with Kamailio, over `transport`.
fn registered(kamailio: &Kamailio, transport: &str) -> Server {
    registered_with(kamailio, transport, "from_user = \"acct\"\noptions_s = 30\n")
}

/// The same; `more` of the trunk, and of what follows it.
fn registered_with(kamailio: &Kamailio, transport: &str, more: &str) -> Server {
    let at = kamailio.uri(transport);
    let tls = kamailio.tls_conf();
    let trunk = format!(
        "{tls}[[trunk]]\nname = \"carrier\"\ntarget = [\"{at}\"]\nuser = \"acct\"\npassword = \"geheim7\"\n\
         register = \"{at}\"\n{more}"
    );
    let server = Server::start(&conf(&trunk), &SCRIPTS);
    server.wait_for("registered");
    server
}

#[test]
fn a_number_goes_over_kamailio_with_digest_and_record_route_over_each_transport() {
    for (transport, algorithm) in [("udp", "MD5"), ("tcp", "SHA-256"), ("tls", "MD5")] {
        let folder = tempfile::tempdir().unwrap();
        let (switch, switch_at, messages) = phone(folder.path(), "uas_answer", &["-m", "1"]);
        let kamailio = Kamailio::start(folder.path(), switch_at, algorithm);
        let server = registered(&kamailio, transport);
        let file = crate::sipp::scenario("answered");
        let from = caller(server.sip, folder.path(), "200", &["-sf", file.to_str().unwrap(), "-m", "1"]);
        passes(from, folder.path());
        passes(switch, folder.path());
        let records = server.wait_for_records(2);
        let out = records.iter().find(|record| record["direction"] == "outbound").unwrap();
        assert_eq!(
            (&out["trunk"], &out["status"], &out["to"]),
            (&"carrier".into(), &"completed".into(), &"+4930123".into())
        );
        assert!(out["cost"].as_f64().unwrap() > 0.0, "{out:#?}");
        let seen = fs::read_to_string(messages).unwrap();
        assert!(seen.contains("INVITE sip:+4930123@") && seen.contains("Record-Route") && seen.contains("BYE "));
        assert!(!seen.contains("geheim7"));
        server.wait_until_idle();
        assert!(server.stop().success());
    }
}

#[test]
fn a_call_from_the_carrier_comes_through_kamailio_to_where_we_registered() {
    for transport in TRANSPORTS {
        let folder = tempfile::tempdir().unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let kamailio = Kamailio::start(folder.path(), nobody, "MD5");
        let server = registered(&kamailio, transport);
        let file = crate::sipp::scenario("routed");
        let arguments = ["-sf", file.to_str().unwrap(), "-m", "3", "-r", "3"];
        passes(caller(kamailio.address, folder.path(), "100", &arguments), folder.path());
        let records = server.wait_for_records(3);
        let odd: Vec<_> = records
            .iter()
            .filter(|r| r["trunk"] != "carrier" || r["end_reason"] != "caller_hangup" || r["to"] != "100")
            .collect();
        assert!(odd.is_empty(), "{transport}: {odd:#?}");
        server.wait_until_idle();
        assert!(server.stop().success());
    }
}

#[test]
fn a_wrong_password_is_told_and_not_repeated_in_a_hurry() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let kamailio = Kamailio::start(folder.path(), nobody, "MD5");
    let at = kamailio.address;
    let trunk = format!(
        "[[trunk]]\nname = \"carrier\"\ntarget = [\"sip:{at}\"]\nuser = \"acct\"\npassword = \"wrong\"\n\
         register = \"sip:{at}\"\n"
    );
    let server = Server::start(&conf(&trunk), &SCRIPTS);
    let line = server.wait_for("registration failed");
    assert!(line.contains("Credentials"), "{line}");
}

#[test]
fn a_carrier_that_asks_for_a_password_itself_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let (switch, at, _) = phone(folder.path(), "uas_auth", &["-m", "1"]);
    let trunk =
        format!("[[trunk]]\nname = \"carrier\"\ntarget = [\"sip:{at}\"]\nuser = \"acct\"\npassword = \"geheim7\"\n");
    let server = Server::start(&conf(&trunk), &SCRIPTS);
    let file = crate::sipp::scenario("answered");
    passes(caller(server.sip, folder.path(), "200", &["-sf", file.to_str().unwrap(), "-m", "1"]), folder.path());
    passes(switch, folder.path());
    server.wait_until_idle();
}

#[test]
fn where_nobody_listens_the_next_carrier_takes_the_call_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (switch, at, _) = phone(folder.path(), "uas_answer", &["-m", "1"]);
    let dead = free_port();
    let trunk = format!(
        "[[trunk]]\nname = \"dead\"\ntarget = [\"sip:127.0.0.1:{dead}\"]\n[[trunk]]\nname = \"carrier\"\n\
         target = [\"sip:{at}\"]\n[[outbound.rule]]\nnumber = \"+49*\"\ntrunk = \"dead\"\npriority = 0\n"
    );
    let server = Server::start(&conf(&trunk), &SCRIPTS);
    let file = crate::sipp::scenario("answered");
    passes(caller(server.sip, folder.path(), "200", &["-sf", file.to_str().unwrap(), "-m", "1"]), folder.path());
    passes(switch, folder.path());
    let records = server.wait_for_records(2);
    let out = records.iter().find(|record| record["direction"] == "outbound").unwrap();
    assert_eq!(out["trunk"], "carrier");
    let before = out["answer_ms"].as_u64().unwrap() - out["start_ms"].as_u64().unwrap();
    assert!(before < 1200, "{before} ms, of which the phone rang for 200");
}

/// What a picky carrier wants of outgoing calls; those to another one fail there first.
const PICKY: &str = "identity = \"pai\"\ntrusted = true\ndiversion = \"set\"\nhistory = \"set\"\ncodecs = [\"PCMU\"]
out_caller = [{ number = \"+49*\", strip = 3, prepend = \"0\" }]
headers = [{ action = \"set\", name = \"X-Account\", value = \"42 {called}\" }, { action = \"copy\", name = \"X-Shop\" },
           { action = \"copy\", name = \"X-Inner\" }, { action = \"remove\", name = \"X-Inner\" }]
[[outbound.rule]]
number = \"+4930*\"
trunk = \"carrier\"
strip = 3
prepend = \"0\"
[[outbound.rule]]
number = \"+4930*\"
trunk = \"full\"
priority = 0
";

#[test]
fn each_wish_of_a_picky_carrier_is_seen_behind_kamailio_over_each_transport() {
    for transport in TRANSPORTS {
        let folder = tempfile::tempdir().unwrap();
        let (switch, switch_at, messages) = phone(folder.path(), "uas_answer", &["-m", "2"]);
        let kamailio = Kamailio::start(folder.path(), switch_at, "MD5");
        let full = format!(
            "{PICKY}[[trunk]]\nname = \"full\"\ntarget = [\"{}\"]\nfrom_user = \"full\"\n",
            kamailio.uri(transport)
        );
        let server = registered_with(&kamailio, transport, &full);
        let file = crate::sipp::scenario("sent_on");
        for privacy in ["none", "id"] {
            let arguments = ["-sf", file.to_str().unwrap(), "-m", "1", "-key", "privacy", privacy];
            passes(caller(server.sip, folder.path(), "200", &arguments), folder.path());
        }
        passes(switch, folder.path());
        server.wait_until_idle();
        let seen = fs::read_to_string(messages).unwrap();
        let invites: Vec<&str> =
            seen.split("INVITE sip:").skip(1).map(|rest| rest.split("-----").next().unwrap()).collect();
        let [plain, hidden] = invites[..] else { panic!("{transport}: {} INVITEs", invites.len()) };
        let holds = |invite: &str, line: &str| {
            assert!(invite.lines().any(|one| one.starts_with(line)), "{transport}: no {line:?} in INVITE sip:{invite}");
        };
        for line in [
            "030123@",
            "Record-Route: ",
            "X-Account: 42 030123",
            "X-Shop: 7",
            "m=audio ",
            "P-Asserted-Identity: ",
            "Diversion: <sip:200@",
            "Diversion: <sip:+4940777@example.org>;reason=no-answer",
            "History-Info: <sip:+4940777@example.org>;index=1",
            "History-Info: <sip:030123@",
        ] {
            holds(plain, line);
            holds(hidden, line);
        }
        holds(plain, "From: \"Anna\" <sip:040555@");
        holds(hidden, "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>");
        holds(hidden, "Privacy: id");
        for (invite, word) in
            [(plain, "Privacy: id"), (plain, "PCMA"), (hidden, "PCMA"), (plain, "10.9.8.7"), (plain, "P-Nobody-Knows")]
        {
            assert!(!invite.contains(word), "{transport}: {word} in INVITE sip:{invite}");
        }
        assert!(server.stop().success());
    }
}

#[test]
fn calls_from_the_carrier_are_rewritten_limited_and_taken_with_fields_nobody_knows() {
    for transport in TRANSPORTS {
        let folder = tempfile::tempdir().unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let kamailio = Kamailio::start(folder.path(), nobody, "MD5");
        let more = "max_calls = 1\nin_called = [{ number = \"0*\", strip = 1 }]\n\
                    in_caller = [{ number = \"sipp\", strip = 4, prepend = \"+49555\" }]\n";
        let server = registered_with(&kamailio, transport, more);
        let call = |name: &str| {
            let file = crate::sipp::scenario(name);
            caller(kamailio.address, folder.path(), "0100", &["-sf", file.to_str().unwrap(), "-m", "1"])
        };
        let first = call("stays");
        while server.counts()["calls"] != 1 {
            breathe(server.sip);
        }
        passes(call("full"), folder.path());
        kamailio.wait_for("come back later");
        passes(first, folder.path());
        server.wait_until_idle();
        let records = server.wait_for_records(1);
        let taken: Vec<_> = records.iter().filter(|record| record["status"] == "completed").collect();
        let [taken] = taken[..] else { panic!("{transport}: {records:#?}") };
        assert_eq!((&taken["from"], &taken["to"]), (&"+49555".into(), &"100".into()), "{transport}");
        assert!(server.stop().success());
    }
}

#[test]
fn a_carrier_that_proves_itself_does_so_through_kamailio_from_anywhere() {
    let trunk = "[[trunk]]\nname = \"carrier\"\nuser = \"acct\"\npassword = \"geheim7\"\nproves = true\n";
    let server = Server::start(&conf(trunk), &SCRIPTS);
    let folder = tempfile::tempdir().unwrap();
    let kamailio = Kamailio::start(folder.path(), server.sip, "MD5");
    for (name, password) in [("proves_nothing", "wrong"), ("proves", "geheim7")] {
        let file = crate::sipp::scenario(name);
        let arguments = ["-sf", file.to_str().unwrap(), "-m", "1", "-au", "acct", "-ap", password];
        passes(caller(kamailio.address, folder.path(), "100", &arguments), folder.path());
    }
    let records = server.wait_for_records(1);
    let taken = records.iter().find(|record| record["status"] == "completed").expect("the one that is proven");
    assert_eq!(taken["trunk"], "carrier", "{taken:#}");
}

#[test]
fn a_carrier_that_goes_away_is_noticed_and_seen_again() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let kamailio = Kamailio::start(folder.path(), nobody, "MD5");
    let server = registered_with(&kamailio, "udp", "options_s = 1\n");
    let address = kamailio.address;
    drop(kamailio);
    server.wait_for("target does not answer");
    let _again = Kamailio::start_at(folder.path(), nobody, "MD5", address);
    server.wait_for("target answers");
}
