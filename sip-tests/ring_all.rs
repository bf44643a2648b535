//! Ring-all with real phones (SIPp): who wins, who is cancelled and when, what the caller hears before the answer.

use std::{fs, path::Path};

use crate::{
    command_line::seconds_of,
    sipp::{caller, phone, scenario},
    support::{Server, read_wav},
};

fn server(targets: &[std::net::SocketAddr], early: bool) -> Server {
    let list: Vec<String> = targets.iter().map(|a| format!("'sip:phone@{a}'")).collect();
    let script = format!(
        "local peer, why = call:dial{{{}, strategy = 'all', timeout = 10, early_media = {early}}}\n\
         if not peer then return call:reject(486) end\n\
         call:answer()\ncall:bridge(peer)\n",
        list.join(", ")
    );
    let conf = "[[number]]\nnumber = \"103\"\nscript = \"ring.lua\"\n";
    Server::start(conf, &[("ring.lua", &script)])
}

/// The messages of a SIPp log, as (seconds, received by SIPp, text).
fn messages(file: &Path) -> Vec<(f64, bool, String)> {
    let text = fs::read_to_string(file).unwrap();
    text.split("-----------------------------------------------")
        .filter_map(|part| {
            let (head, rest) = part.trim_start().split_once('\n')?;
            let clock = head.split_whitespace().nth(1)?;
            let mut parts = clock.split(':').map(|p| p.parse::<f64>().ok());
            let at = parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??;
            let (how, message) = rest.split_once('\n')?;
            Some((at, how.contains("received"), message.trim_start().to_owned()))
        })
        .collect()
}

fn time_of(file: &Path, received: bool, start: &str) -> Option<f64> {
    messages(file).into_iter().find(|(_, r, text)| *r == received && text.starts_with(start)).map(|(at, ..)| at)
}

#[test]
fn the_first_answer_wins_and_the_others_are_cancelled_within_200_ms() {
    let folder = tempfile::tempdir().unwrap();
    let (winner, a, heard_by_winner) = phone(folder.path(), "uas_answer", &["-m", "1"]);
    let (second, b, heard_by_second) = phone(folder.path(), "uas_ring", &["-m", "1"]);
    let (third, c, heard_by_third) = phone(folder.path(), "uas_ring", &["-m", "1"]);
    let server = server(&[a, b, c], false);
    let (status, output) = caller(server.sip, folder.path(), "103", &["-sn", "uac", "-m", "1", "-d", "500"]).finish();
    assert!(status.success(), "{output}");
    for (name, process) in [("winner", winner), ("second", second), ("third", third)] {
        let (status, output) = process.finish();
        assert!(status.success(), "{name}: {output}");
    }
    let invited: Vec<f64> =
        [&heard_by_winner, &heard_by_second, &heard_by_third].map(|f| time_of(f, true, "INVITE").unwrap()).into();
    let spread = invited.iter().cloned().fold(f64::MIN, f64::max) - invited.iter().cloned().fold(f64::MAX, f64::min);
    assert!(spread < 0.1, "INVITEs {spread} s apart");
    let answered = time_of(&heard_by_winner, false, "SIP/2.0 200").unwrap();
    for loser in [&heard_by_second, &heard_by_third] {
        let cancelled = time_of(loser, true, "CANCEL").unwrap() - answered;
        assert!(cancelled < 0.2, "CANCEL {cancelled} s after the answer");
        assert!(time_of(loser, true, "ACK").is_some(), "the 487 is acknowledged");
    }
    server.wait_until_idle();
    assert_eq!(server.wait_for_records(4).len(), 4, "the caller and three legs");
}

#[test]
fn of_two_answers_at_once_the_loser_gets_ack_then_bye() {
    let folder = tempfile::tempdir().unwrap();
    let phones: Vec<_> = (0..2).map(|_| phone(folder.path(), "uas_answer_at_once", &["-m", "1"])).collect();
    let server = server(&phones.iter().map(|(_, address, _)| *address).collect::<Vec<_>>(), false);
    let (status, output) = caller(server.sip, folder.path(), "103", &["-sn", "uac", "-m", "1", "-d", "1000"]).finish();
    assert!(status.success(), "{output}");
    let mut byes = Vec::new();
    for (process, _, log) in phones {
        let (status, output) = process.finish();
        assert!(status.success(), "{output}");
        let (ack, bye) = (time_of(&log, true, "ACK").unwrap(), time_of(&log, true, "BYE").unwrap());
        assert!(ack <= bye);
        byes.push(bye - time_of(&log, false, "SIP/2.0 200").unwrap());
    }
    byes.sort_by(f64::total_cmp);
    assert!(byes[0] < 0.2, "the loser's BYE comes at once: {byes:?}");
    assert!(byes[1] > 0.8, "the winner stays until the caller hangs up: {byes:?}");
    server.wait_until_idle();
}

#[test]
fn when_all_are_busy_the_script_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let phones: Vec<_> = (0..3).map(|_| phone(folder.path(), "uas_busy", &["-m", "1"])).collect();
    let server = server(&phones.iter().map(|(_, address, _)| *address).collect::<Vec<_>>(), false);
    let (status, _) = caller(server.sip, folder.path(), "103", &["-sn", "uac", "-m", "1"]).finish();
    assert!(!status.success(), "SIPp's own caller wants to be answered");
    server.wait_until_idle();
    let records = server.wait_for_records(4);
    assert!(records.iter().all(|r| r["status"] == "busy"), "{records:#?}");
}

#[test]
fn audio_before_the_answer_is_heard_by_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<i16> = (0..8000 * 5)
        .map(|n| (8000.0 * (2.0 * std::f64::consts::PI * 600.0 * f64::from(n) / 8000.0).sin()) as i16)
        .collect();
    let mut coded = vec![0; samples.len()];
    switchhook::audio::g711::encode_ulaw(&samples, &mut coded);
    fs::write(folder.path().join("tone.pcmu"), coded).unwrap();
    let (early, address, log) = phone(folder.path(), "uas_early_media", &["-m", "1"]);
    // What the caller hears is the right channel of a recording that begins before anybody is asked.
    let script = format!(
        "call:progress()\nlocal heard = call:record{{file = 'heard.wav', stereo = true}}\n\
         local peer, why = call:dial{{'sip:phone@{address}', timeout = 20, early_media = true}}\n\
         heard:stop()\nif not peer then error(why) end\ncall:answer()\ncall:bridge(peer)\n"
    );
    let server = Server::start("[[number]]\nnumber = \"103\"\nscript = \"ring.lua\"\n", &[("ring.lua", &script)]);
    let talk = scenario("early_caller");
    let extra = ["-sf", talk.to_str().unwrap(), "-m", "1"];
    let (status, output) = caller(server.sip, folder.path(), "103", &extra).finish();
    assert!(status.success(), "{output}");
    let (status, output) = early.finish();
    assert!(status.success(), "{output}");
    let waited = time_of(&log, false, "SIP/2.0 200").unwrap() - time_of(&log, false, "SIP/2.0 183").unwrap();
    server.wait_for_records(2);
    let (channels, _) = read_wav(&server.path("recordings/heard.wav"));
    let heard = seconds_of(&channels[1], 600.0);
    assert!(heard > 0.7 * waited && waited > 1.0, "{heard} s of the tone heard in the {waited} s before the answer");
}
