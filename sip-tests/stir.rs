//! Signed callers between two servers, also through Kamailio: keys and certificates as openssl makes them, fetched from openssl's web server.

use std::{fs, path::Path, process::Command};

use crate::{
    kamailio::Kamailio,
    support::{PROGRAM, Process, Server},
};

/// A root, an authority between, and two signers of that authority: one for a provider, one for a single number.
const EXTENSIONS: &str = "[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[web]
subjectAltName = DNS:localhost
[provider]
keyUsage = critical, digitalSignature
1.3.6.1.5.5.7.1.26 = ASN1:SEQUENCE:provider_list
[provider_list]
code = EXPLICIT:0,IA5STRING:709J
[number]
keyUsage = critical, digitalSignature
1.3.6.1.5.5.7.1.26 = ASN1:SEQUENCE:number_list
[number_list]
one = EXPLICIT:2,IA5STRING:12155551299
";

/// Dials the other server, in the name of a number of ours.
const DIAL: &str = "call:answer()
local peer, why, code = call:dial{vars.target, timeout = 20, caller_id = '+493012345'}
if peer then call:bridge(peer) end
";

/// Answers who is proven.
const PROVEN: &str = "log(('%s %s %s'):format(call.stir.verdict, call.stir.attest, call.caller))
if call.stir.verdict ~= 'passed' then call:reject(603) end
call:answer()
call:sleep(0.5)
";

fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let done = command.args(arguments.split(' ')).current_dir(folder).output().expect("openssl is installed");
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Makes `name.key` and `name.pem`, signed by `above`.
fn certificate(folder: &Path, name: &str, kind: &str, above: &str) {
    openssl(folder, &format!("ecparam -name prime256v1 -genkey -out {name}.key"));
    let own = format!("-key {name}.key -subj /CN={name} -config x.cnf");
    if above.is_empty() {
        return openssl(folder, &format!("req -x509 -new {own} -extensions {kind} -days 30 -out {name}.pem"));
    }
    openssl(folder, &format!("req -new {own} -out {name}.csr"));
    let sign = format!("x509 -req -in {name}.csr -CA {above}.pem -CAkey {above}.key -CAcreateserial -days 30");
    openssl(folder, &format!("{sign} -extfile x.cnf -extensions {kind} -out {name}.pem"));
}

/// A server that signs with the key of `signer`, whose certificate the web server at `port` has.
fn signing(folder: &Path, signer: &str, port: &str, target: &str, more: &str) -> Server {
    let key = folder.join(format!("{signer}.key"));
    let conf = format!(
        "{more}[stir]\nkey = {key:?}\ncertificate_url = \"https://localhost:{port}/{signer}.chain\"\nown = [\"+4930*\"]\n\
         [[number]]\nnumber = \"200\"\nscript = \"dial.lua\"\nvars = {{ target = \"{target}\" }}\n"
    );
    Server::start(&conf, &[("dial.lua", DIAL)])
}

#[test]
fn a_number_that_its_provider_signed_is_proven_and_one_of_somebody_else_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    fs::write(folder.join("x.cnf"), EXTENSIONS).unwrap();
    certificate(folder, "root", "authority", "");
    certificate(folder, "between", "authority", "root");
    certificate(folder, "web", "web", "root");
    let between = fs::read_to_string(folder.join("between.pem")).unwrap();
    for signer in ["provider", "number"] {
        certificate(folder, signer, signer, "between");
        let own = fs::read_to_string(folder.join(format!("{signer}.pem"))).unwrap();
        fs::write(folder.join(format!("{signer}.chain")), own + &between).unwrap();
    }
    let mut web = Command::new("openssl");
    web.args("s_server -WWW -accept 127.0.0.1:0 -cert web.pem -key web.key".split(' ')).current_dir(folder);
    let web = Process::start(web);
    let place = web.wait_for("ACCEPT ");
    let port = place.rsplit(':').next().unwrap().trim();
    let root = folder.join("root.pem");
    let conf = format!(
        "[stir]\ntrust = {root:?}\nfetch_from = [\"localhost\"]\nfetch_trust = {root:?}\nfetch_ms = 20000\n\
         [stir.treatment]\nnot_authorized = \"refuse\"\n[[number]]\nnumber = \"*\"\nscript = \"proven.lua\"\n"
    );
    let checking = Server::start(&conf, &[("proven.lua", PROVEN)]);
    let target = format!("sip:+12155551212@{}", checking.sip);
    // What is signed survives a carrier's proxy, which challenges and stays on the way.
    let kamailio = Kamailio::start(folder, checking.sip, "MD5");
    let carrier = format!(
        "[[trunk]]\nname = \"carrier\"\ntarget = [\"{}\"]\nuser = \"acct\"\npassword = \"geheim7\"\n\
         [[outbound.rule]]\nnumber = \"+*\"\ntrunk = \"carrier\"\n",
        kamailio.uri("udp")
    );
    for (signer, number, more, code, verdict, reason) in [
        ("provider", target.as_str(), "", 200, "passed", None),
        ("number", target.as_str(), "", 437, "failed", Some("not_authorized")),
        ("provider", "+12155551212", carrier.as_str(), 200, "passed", None),
        ("number", "+12155551212", carrier.as_str(), 437, "failed", Some("not_authorized")),
    ] {
        let before = checking.records().len();
        let server = signing(folder, signer, port, number, more);
        let mut caller = Command::new(PROGRAM);
        caller.args(["call", &format!("sip:200@{}", server.sip), "--wait", "5"]).current_dir(folder);
        Process::start(caller).finish();
        let record = checking.wait_for_records(before + 1).pop().unwrap();
        assert_eq!((record["stir"]["verdict"].as_str(), record["stir"]["reason"].as_str()), (Some(verdict), reason));
        assert_eq!((record["stir"]["attest"].as_str(), record["code"].as_u64()), (Some("A"), Some(code)));
        let records = server.wait_for_records(2);
        let leg = records.iter().find(|record| record["direction"] == "outbound").expect("the leg has its record");
        assert_eq!((leg["stir"]["verdict"].as_str(), leg["code"].as_u64()), (Some("signed"), Some(code)));
        assert_eq!(leg["stir"]["origid"], record["stir"]["origid"]);
        server.stop();
    }
}
