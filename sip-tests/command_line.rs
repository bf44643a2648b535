//! What a user does first, and what a user gets wrong.

use std::{fs, process::Command};

use crate::support::{PROGRAM, Process, Server, breathe, read_wav};

/// Runs the program to its end in `folder`; gives its exit code and all that it said.
pub(crate) fn run(folder: &std::path::Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder);
    let (status, said) = Process::start(command).finish();
    (status.code().unwrap_or(-1), said)
}

#[test]
fn the_demo_calls_the_menu_and_saves_what_it_heard() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = run(folder.path(), &["demo"]);
    assert_eq!(code, 0, "{said}");
    for want in [
        "1. a server listens on 127.0.0.1:",
        "INVITE sip:100@127.0.0.1",
        "200 OK",
        "BYE",
        "3. what the phone heard:",
        "\"status\":\"completed\"",
    ] {
        assert!(said.contains(want), "no {want:?} in:\n{said}");
    }
    let (channels, rate) = read_wav(&folder.path().join("heard.wav"));
    let loud = channels[0].iter().filter(|s| s.unsigned_abs() > 1000).count();
    assert!(rate == 8000 && loud > 4000, "{loud} loud samples at {rate} Hz:\n{said}");
}

#[test]
fn the_command_line_phone_plays_presses_keys_and_records() {
    let script = "call:answer()
        local recording = call:record{file = 'in.wav', party_only = true}
        local digits = call:gather{max = 3, terminators = '#', first_timeout = 20}
        vars.digits = digits
        call:tone({600}, {seconds = 1})
        call:sleep(0.5)
        recording:stop()";
    let server = Server::start("[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n", &[("a.lua", script)]);
    let folder = tempfile::tempdir().unwrap();
    tone(&folder.path().join("hello.wav"), 1000.0, 44_100, 1);
    let uri = format!("sip:100@{}", server.sip);
    for transport in ["", ";transport=tcp"] {
        let uri = format!("{uri}{transport}");
        let (code, said) = run(
            folder.path(),
            &["call", &uri, "--play", "hello.wav", "--digits", "12#", "--record", "heard.wav", "--from", "4711"],
        );
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("INVITE") && said.contains("saved in heard.wav"), "{said}");
    }
    let records = server.wait_for_records(2);
    for record in &records {
        assert_eq!((&record["from"], &record["vars"]["digits"]), (&"4711".into(), &"12".into()), "{record:#}");
        assert!(record["quality"]["received"].as_u64().unwrap() > 50, "{record:#}");
    }
    let (heard, _) = read_wav(&folder.path().join("heard.wav"));
    let seconds = seconds_of(&heard[0], 600.0);
    assert!((0.9..=1.12).contains(&seconds), "{seconds} s of the server's tone");
    let (said, _) = read_wav(&server.path("recordings/in.wav"));
    let seconds = seconds_of(&said[0], 1000.0);
    assert!((0.9..=1.12).contains(&seconds), "{seconds} s of the phone's file");
}

#[test]
fn a_call_over_ipv6_has_audio() {
    let script = "call:answer() call:tone({600}, {seconds = 1})";
    let conf = "[[interface]]\nbind = \"[::1]:0\"\n[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n";
    let server = Server::start(conf, &[("a.lua", script)]);
    let v6 = server.wait_for("listening on udp [::1]:");
    let port = v6.split("[::1]:").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("sip:100@[::1]:{port}");
    let (code, said) = run(folder.path(), &["call", &uri, "--record", "heard.wav"]);
    assert_eq!(code, 0, "{said}");
    let (heard, _) = read_wav(&folder.path().join("heard.wav"));
    let seconds = seconds_of(&heard[0], 600.0);
    assert!((0.8..=1.12).contains(&seconds), "{seconds} s of the tone:\n{said}");
}

#[test]
fn calls_that_outlast_the_draining_are_hung_up_and_recorded() {
    let script = "call:answer() call:sleep(100)";
    let server =
        Server::start("[sip]\ndrain_s = 1\n[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n", &[("a.lua", script)]);
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["call", &format!("sip:100@{}", server.sip), "--wait", "60"]).current_dir(folder.path());
    let phone = Process::start(command);
    phone.wait_for("ACK");
    let records = server.path("records/calls.jsonl");
    let kept = tempfile::tempdir().unwrap();
    let copy = kept.path().join("calls.jsonl");
    assert!(server.stop_keeping(&records, &copy).success());
    let (status, said) = phone.finish();
    assert!(status.success() && said.contains("BYE"), "{said}");
    let text = fs::read_to_string(copy).unwrap();
    assert!(text.contains("\"status\":\"completed\"") && text.contains("agent_completed"), "{text}");
}

#[test]
fn a_refused_call_says_why_and_ends_with_failure() {
    let server = Server::start("", &[]);
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = run(folder.path(), &["call", &format!("sip:nobody@{}", server.sip)]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("(404 Not Found)"), "{said}");
}

#[test]
fn what_is_wrong_in_the_configuration_is_one_clear_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    fs::create_dir(folder.path().join("scripts")).unwrap();
    let address = taken.local_addr().unwrap();
    for (conf, want) in [
        ("[sip]\nt1_millis = 5\n".to_owned(), "x.toml:2: sip.t1_millis: unknown key".to_owned()),
        (
            "number = []\n[media]\nptime_ms = 25\n".into(),
            "x.toml:3: media.ptime_ms: found 25; allowed: 10, 20, 30, 40 or 60".into(),
        ),
        (
            format!("number = []\n[[interface]]\nbind = \"{address}\"\n"),
            format!("interface[0].bind: SIP over UDP on {address}: Address already in use"),
        ),
        ("[[number]]\nnumber = \"1\"\nscript = \"none.lua\"\n".into(), "number[0].script: found \"none.lua\"".into()),
    ] {
        fs::write(folder.path().join("x.toml"), conf).unwrap();
        for command in ["check", "run"] {
            let (code, said) = run(folder.path(), &[command, "--conf", "x.toml"]);
            assert_eq!(code, 2, "{command}: {said}");
            let told: Vec<&str> = said.lines().filter(|line| line.starts_with("switchhook: ")).collect();
            assert!(told.len() == 1 && told[0].contains(&want), "{command}: {want:?} in {said}");
        }
    }
    let (code, said) = run(folder.path(), &["check", "--conf", "absent.toml"]);
    assert!(code == 2 && said.contains("absent.toml"), "{said}");
}

#[test]
fn check_says_ok_to_the_defaults_and_to_a_script_that_compiles() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("scripts")).unwrap();
    fs::write(folder.path().join("scripts/a.lua"), "call:answer()").unwrap();
    fs::write(
        folder.path().join("x.toml"),
        "[[interface]]\nbind = \"127.0.0.1:0\"\n[[number]]\nnumber = \"1*\"\nscript = \"a.lua\"\n",
    )
    .unwrap();
    let (code, said) = run(folder.path(), &["check", "--conf", "x.toml"]);
    assert_eq!((code, said.trim()), (0, "ok: 1 number, 1 interface"));
    fs::write(folder.path().join("scripts/a.lua"), "call:answer(").unwrap();
    let (code, said) = run(folder.path(), &["check", "--conf", "x.toml"]);
    assert!(code == 2 && said.contains("a.lua:1"), "{said}");
}

#[test]
fn a_changed_script_serves_new_calls_and_a_broken_one_does_not_replace_it() {
    let server = Server::start("[[number]]\nnumber = \"1\"\nscript = \"a.lua\"\n", &[("a.lua", "call:reject(486)")]);
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("sip:1@{}", server.sip);
    let code_of = |want: &str| {
        // A file is looked at once a second.
        for _ in 0..500 {
            let (_, said) = run(folder.path(), &["call", &uri]);
            if said.contains(want) {
                return true;
            }
        }
        false
    };
    assert!(code_of("(486 Busy Here)"));
    fs::write(server.path("scripts/a.lua"), "call:reject(603)").unwrap();
    assert!(code_of("(603 Decline)"), "the new one serves");
    fs::write(server.path("scripts/a.lua"), "call:reject(").unwrap();
    for _ in 0..50 {
        let (_, said) = run(folder.path(), &["call", &uri]);
        assert!(said.contains("(603 Decline)"), "the old one stays: {said}");
        breathe(server.sip);
    }
    server.wait_for("a.lua:1");
}

/// So many seconds of a sine.
pub fn tone(file: &std::path::Path, frequency: f64, rate: u32, seconds: u32) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(file, spec).unwrap();
    for n in 0..rate * seconds {
        let sample = 10_000.0 * (2.0 * std::f64::consts::PI * frequency * f64::from(n) / f64::from(rate)).sin();
        writer.write_sample(sample as i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// Seconds that hold the tone, in steps of 20 ms.
pub fn seconds_of(samples: &[i16], frequency: f64) -> f64 {
    let holds = |frame: &&[i16]| {
        let energy: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
        let power = switchhook::audio::goertzel::power(frame, frequency, 8000) * frame.len() as f64;
        energy > 1e6 && power > 0.5 * energy
    };
    samples.chunks_exact(160).filter(holds).count() as f64 * 0.02
}
