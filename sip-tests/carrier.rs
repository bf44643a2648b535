//! Carriers: Kamailio as registrar and proxy with digest and Record-Route in front of a SIPp switch; SIPp that asks for a
//! password itself; carriers that are not there.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
};

use crate::{
    sipp::{caller, passes, phone},
    support::{Process, Server, breathe, free_port, signal},
};

/// Dials over the carriers, talks for a moment, hangs up.
const OUT: &str = "local peer, why = call:dial('+4930123', {timeout = 20})\nif not peer then call:reject(480, why) return end\n\
                   call:sleep(0.3)\ncall:hangup()\n";
const ANSWER: &str = "call:answer()\ncall:tone('ringing', {seconds = 60})\n";

/// Kamailio with `sip-tests/kamailio.cfg`.
struct Kamailio {
    process: Process,
    address: SocketAddr,
}

impl Kamailio {
    fn start(folder: &Path, switch: SocketAddr, algorithm: &str) -> Kamailio {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let template =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-tests/kamailio.cfg")).unwrap();
        let text = template
            .replace("PROXY_PORT", &address.port().to_string())
            .replace("SWITCH_PORT", &switch.port().to_string())
            .replace("ALGORITHM", algorithm);
        let file = folder.join("kamailio.cfg");
        fs::write(&file, text).unwrap();
        let mut command = Command::new("kamailio");
        command.arg("-f").arg(&file).args(["-DD", "-E", "-m", "32", "-M", "4", "-Y"]).arg(folder);
        command.arg("-P").arg(folder.join("kamailio.pid"));
        let process = Process::start(command);
        // It is ready when it takes connections: UDP comes first.
        for _ in 0..1000 {
            if TcpStream::connect(address).is_ok() {
                return Kamailio { process, address };
            }
            breathe(address);
        }
        panic!("Kamailio does not start: {}", process.finish().1);
    }
}

impl Drop for Kamailio {
    /// Killed, it would leave its children behind.
    fn drop(&mut self) {
        signal(self.process.child.id(), "TERM");
        let _ = self.process.wait();
    }
}

fn conf(trunks: &str) -> String {
    format!(
        "{trunks}\n[[outbound.rule]]\nnumber = \"+49*\"\ntrunk = \"carrier\"\nprice = 0.06\n\
         [[number]]\nnumber = \"100\"\nscript = \"answer.lua\"\n[[number]]\nnumber = \"200\"\nscript = \"out.lua\"\n"
    )
}

const SCRIPTS: [(&str, &str); 2] = [("answer.lua", ANSWER), ("out.lua", OUT)];

/// A server that is registered with Kamailio, over `transport`.
fn registered(kamailio: &Kamailio, transport: &str) -> Server {
    let at = kamailio.address;
    let trunk = format!(
        "[[trunk]]\nname = \"carrier\"\ntarget = [\"sip:{at};transport={transport}\"]\nuser = \"acct\"\n\
         password = \"geheim7\"\nfrom_user = \"acct\"\nregister = \"sip:{at};transport={transport}\"\n\
         options_s = 30\n"
    );
    let server = Server::start(&conf(&trunk), &SCRIPTS);
    server.wait_for("registered");
    server
}

#[test]
fn a_number_goes_over_kamailio_with_digest_and_record_route_over_udp_and_tcp() {
    for (transport, algorithm) in [("udp", "MD5"), ("tcp", "SHA-256")] {
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
    for transport in ["udp", "tcp"] {
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
