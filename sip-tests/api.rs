//! The API of the real program: over TLS, with people who log in, and while it drains.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Output},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::{
    records::connect,
    sipp::caller,
    support::{PROGRAM, Server, breathe, signal},
};

const SCRIPT: &str = "call:answer()\ncall:sleep(60)\n";

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).current_dir(folder).output().unwrap()
}

fn good(folder: &Path, arguments: &[&str]) -> String {
    let done = run(folder, arguments);
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// An authority of our own, and a certificate for 127.0.0.1 that it signed: three PEM texts.
pub fn certificates() -> [String; 3] {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &authority).unwrap();
    [authority.pem(), leaf.pem(), key.serialize_pem()]
}

#[test]
fn the_api_speaks_tls_only_where_it_is_told_to() {
    let files = tempfile::tempdir().unwrap();
    let at = |name: &str| files.path().join(name).display().to_string();
    let [authority, leaf, key] = certificates();
    for (name, text) in [("ca.pem", &authority), ("leaf.pem", &leaf), ("key.pem", &key)] {
        fs::write(files.path().join(name), text).unwrap();
    }
    let conf = format!(
        "[api]\nlisten = \"127.0.0.1:0\"\ntls = true\n[tls]\ncertificate = {:?}\nkey = {:?}\n[[number]]\nnumber = \"1\"\nscript = \"some.lua\"\n",
        at("leaf.pem"),
        at("key.pem")
    );
    let server = Server::start(&conf, &[("some.lua", SCRIPT)]);
    let line = server.wait_for("the API over HTTPS");
    let address = line.split("listening on ").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    let folder = server.folder.path();
    let key = good(folder, &["key", "--conf", "switchhook.toml", "--name", "x", "--scope", "admin"]).trim().to_owned();
    let secure = format!("https://{address}");
    let shown = good(folder, &["flows", "--api", &secure, "--key", &key, "--trust", &at("ca.pem")]);
    assert!(shown.contains("some.lua"), "{shown}");
    let stranger = run(folder, &["flows", "--api", &secure, "--key", &key, "--trust", &at("none.pem")]);
    assert!(!stranger.status.success(), "nobody vouches for it");
    assert!(!run(folder, &["flows", "--api", &address, "--key", &key]).status.success(), "nothing in the clear");
    assert!(server.stop().success());
}

#[test]
fn a_flow_is_published_and_a_reload_is_planned_from_the_command_line() {
    let conf = "[api]\nlisten = \"127.0.0.1:0\"\n[[number]]\nnumber = \"1\"\nscript = \"some.lua\"\n";
    let server = Server::start(conf, &[("some.lua", "call:reject(486)\n")]);
    let line = server.wait_for("the API over HTTP");
    let address = line.split("listening on ").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    let folder = server.folder.path().to_owned();
    let key = good(&folder, &["key", "--conf", "switchhook.toml", "--name", "x", "--scope", "admin"]).trim().to_owned();
    let ask = |arguments: &[&str]| good(&folder, &[arguments, &["--api", &address, "--key", &key]].concat());
    fs::write(folder.join("new.lua"), SCRIPT).unwrap();
    assert!(ask(&["publish", "new.lua", "--flow", "some.lua", "--note", "answers"]).contains("version 1 of some.lua"));
    assert!(ask(&["versions"]).contains("some.lua"));
    fs::write(folder.join("broken.lua"), "if").unwrap();
    let broken = ["publish", "broken.lua", "--flow", "some.lua", "--api", &address, "--key", &key];
    assert!(!run(&folder, &broken).status.success());
    // The next call runs it, at the latest after a second.
    let mut shown = String::new();
    for round in 0.. {
        assert!(round < 20, "{shown}");
        let _peer = caller(server.sip, &folder, "1", &["-sn", "uac", "-m", "1", "-d", "60000"]);
        for _ in 0..50 {
            shown = ask(&["calls"]);
            if shown.contains("in_progress") {
                break;
            }
            breathe(server.sip);
        }
        if shown.contains("in_progress") {
            break;
        }
    }
    let file = server.path("switchhook.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("number = \"1\"", "number = \"2\"")).unwrap();
    let plan = ask(&["reload", "--plan"]);
    assert!(plan.contains("+ number 2 -> some.lua") && plan.contains("would be 2 changes"), "{plan}");
    assert!(ask(&["flows"]).contains("\n1  "), "nothing is taken yet");
    assert!(ask(&["reload"]).contains("reloaded: 2 changes"));
    assert!(ask(&["flows"]).contains("\n2  "));
    fs::write(&file, text.replace("some.lua", "none.lua")).unwrap();
    assert!(!run(&folder, &["reload", "--api", &address, "--key", &key]).status.success());
    assert!(ask(&["calls"]).contains("in_progress"), "calls know nothing of all that");
    let audit = ask(&["audit"]);
    assert!(audit.contains("flow.activate") && audit.contains("server.reload"), "{audit}");
    assert!(server.stop().success());
}

#[test]
fn a_key_that_is_revoked_at_the_machine_ends_what_it_opened_in_the_running_server() {
    let conf = "[api]\nlisten = \"127.0.0.1:0\"\n[[number]]\nnumber = \"1\"\nscript = \"some.lua\"\n";
    let server = Server::start(conf, &[("some.lua", SCRIPT)]);
    let line = server.wait_for("the API over HTTP");
    let address = line.split("listening on ").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    let folder = server.folder.path().to_owned();
    let keys = |arguments: &[&str]| good(&folder, &[&["keys"], arguments, &["--conf", "switchhook.toml"]].concat());
    let add = |name: &str, scope: &str| keys(&["add", "--name", name, "--scope", scope]).trim().to_owned();
    let (admin, wall) = (add("admin", "admin"), add("wall", "read"));
    let listed: serde_json::Value = serde_json::from_str(&keys(&["list", "--json"])).unwrap();
    let listed = listed.as_array().unwrap();
    let id = listed.iter().find(|key| key["name"] == "wall").unwrap()["id"].as_str().unwrap().to_owned();
    assert!(!keys(&["list"]).contains(&wall) && keys(&["list"]).contains("admin"));
    // Somebody reads events with it.
    let mut stream = TcpStream::connect(&address).unwrap();
    let ask = format!("GET /v1/events HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {wall}\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert!(first.ends_with(b"200"));
    assert_eq!(keys(&["revoke", &id]).trim(), format!("revoked: {id}"));
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the stream ends");
    assert!(!run(&folder, &["calls", "--api", &address, "--key", &wall]).status.success());
    assert!(!run(&folder, &["keys", "revoke", &id, "--conf", "switchhook.toml"]).status.success(), "it is gone");
    let audit = good(&folder, &["audit", "--api", &address, "--key", &admin]);
    let told: Vec<&str> = audit.lines().filter(|line| line.contains(&id) && line.contains("command")).collect();
    assert!(told.len() == 2 && told[0].contains("key.remove") && told[1].contains("key.make"), "{audit}");
    assert!(server.stop().success());
}

/// Run the program in `folder` until it has said `text`, then end it; gives all that it said.
fn run_until(folder: &Path, text: &str) -> String {
    let said = folder.join("said");
    let mut child = Command::new(PROGRAM)
        .args(["run", "--conf", "switchhook.toml"])
        .current_dir(folder)
        .stdout(fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let mut told = String::new();
    for _ in 0..3000 {
        told = fs::read_to_string(&said).unwrap();
        if told.contains(text) || child.try_wait().unwrap().is_some() {
            break;
        }
        breathe(([127, 0, 0, 1], 0).into());
    }
    signal(child.id(), "TERM");
    child.wait().unwrap();
    assert!(told.contains(text), "{told}");
    fs::read_to_string(&said).unwrap()
}

#[test]
fn the_first_start_tells_a_password_once_and_a_lost_one_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let conf = "number = []\n[folders]\nstate = \"state\"\nscripts = \"scripts\"\nrecords = \"records\"\n\
                recordings = \"recordings\"\n[api]\nlisten = \"127.0.0.1:0\"\n[[interface]]\nbind = \"127.0.0.1:0\"\n\
                [media]\nrtp_ports = \"32000-32100\"\n";
    fs::write(folder.path().join("switchhook.toml"), conf).unwrap();
    let said = run_until(folder.path(), "user admin may log in");
    assert_eq!(said.matches("shown only this once").count(), 2, "a key, and a password: {said}");
    let said = run_until(folder.path(), "ready");
    assert!(!said.contains("shown only this once"), "{said}");
    let password = good(folder.path(), &["password", "--conf", "switchhook.toml"]);
    assert_eq!(password.trim().len(), 23);
    let other = "vars.moved = vars.why\ncall:sleep(60)\n";
    assert_ne!(password, other);
}

pub fn post(at: &str, key: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A tenth of a second of 1,000 Hz.
fn square_wave(at: &Path) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut wav = hound::WavWriter::create(at, spec).unwrap();
    (0..800).for_each(|at| wav.write_sample(if at % 8 < 4 { 9000i16 } else { -9000 }).unwrap());
    wav.finalize().unwrap();
}

#[test]
fn a_real_call_is_played_to_recorded_moved_to_another_flow_and_its_recording_fetched_and_erased() {
    let conf = "[api]\nlisten = \"127.0.0.1:0\"\n[[number]]\nnumber = \"1\"\nscript = \"some.lua\"\n";
    let other = "vars.moved = vars.why\ncall:sleep(60)\n";
    let server = Server::start(conf, &[("some.lua", SCRIPT), ("other.lua", other)]);
    let line = server.wait_for("the API over HTTP");
    let at = line.split("listening on ").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    let folder = server.folder.path().to_owned();
    let key = good(&folder, &["key", "--conf", "switchhook.toml", "--name", "x", "--scope", "admin"]).trim().to_owned();
    let ask = |arguments: &[&str]| good(&folder, &[arguments, &["--api", &at, "--key", &key]].concat());
    let _peer = caller(server.sip, &folder, "1", &["-sn", "uac", "-m", "1", "-d", "60000"]);
    let mut shown = ask(&["calls"]);
    while !shown.contains("in_progress") {
        breathe(server.sip);
        shown = ask(&["calls"]);
    }
    let id = shown.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    let steer = |what: &str, body: &str| post(&at, &key, &format!("/v1/calls/{id}/{what}"), body);
    assert!(steer("record", "{}").starts_with("HTTP/1.0 200"));
    square_wave(&folder.join("prompts/short.wav"));
    assert!(steer("play", "{\"file\": \"short.wav\"}").contains("\"outcome\":\"done\""));
    assert!(steer("mute", "").contains("done"));
    assert!(steer("flow", "{\"script\": \"other.lua\", \"vars\": {\"why\": \"vip\"}}").contains("done"));
    while !ask(&["calls"]).contains("other.lua") {
        breathe(server.sip);
    }
    ask(&["hangup", id]);
    let records = server.wait_for_records(1);
    assert_eq!((&records[0]["script"], &records[0]["vars"]["moved"]), (&"other.lua".into(), &"vip".into()));
    let runs: Vec<_> = records[0]["runs"].as_array().unwrap().iter().map(|run| (&run["script"], &run["end"])).collect();
    assert_eq!(runs, [(&"some.lua".into(), &"replaced".into()), (&"other.lua".into(), &"call_over".into())]);
    let mut table = String::new();
    // The database has it in a moment.
    while !table.contains(" replaced; other.lua ") {
        breathe(server.sip);
        table.clear();
        connect(&at, &key, "/v1/calls?format=csv").read_to_string(&mut table).unwrap();
    }
    let mut recordings = ask(&["recordings"]);
    while !recordings.contains(".wav") {
        breathe(server.sip);
        recordings = ask(&["recordings"]);
    }
    let recording = recordings.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let file = server.path("recordings").join(records[0]["recordings"][0].as_str().unwrap());
    let mut stream = TcpStream::connect(&at).unwrap();
    write!(stream, "GET /v1/recordings/{recording}/audio HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&fs::read(&file).unwrap()));
    let mut samples = hound::WavReader::open(&file).unwrap();
    assert!(samples.samples::<i16>().any(|sample| sample.unwrap().abs() > 5000), "what was played is in it");
    let mut stream = TcpStream::connect(&at).unwrap();
    write!(stream, "DELETE /v1/recordings/{recording} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n")
        .unwrap();
    stream.read_to_end(&mut answer).unwrap();
    assert!(!file.exists());
    assert!(server.stop().success());
}
