//! How calls sound, as the API tells it while they go on; and conference rooms with real phones in them.

use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

use crate::{
    api::post,
    baresip::all_heard,
    doors::{Taker, pass, seconds_with},
    endings::Bench,
    records::{get, program},
    sipp::{caller, numbers, scenario},
    support::{breathe, read_wav},
};

impl Bench {
    fn get(&self, path: &str) -> Value {
        get(&self.at, &self.key, path)
    }

    /// What the API answers to this, once `is` says that it is it.
    pub fn get_until(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        for _ in 0..1500 {
            found = self.get(path);
            if is(&found) {
                return found;
            }
            breathe(self.server.sip);
        }
        panic!("{path}: {found:#}");
    }

    /// The events of a kind of this call, once there are so many.
    pub fn events(&self, id: &str, kind: &str, count: usize) -> Vec<Value> {
        let of_kind = |events: &Value| -> Vec<Value> {
            events.as_array().unwrap().iter().filter(|event| event["kind"] == kind).cloned().collect()
        };
        of_kind(&self.get_until(&format!("/v1/calls/{id}/events"), |events| of_kind(events).len() >= count))
    }

    /// Do this to a member of the room.
    fn member(&self, id: &str, action: &str) {
        let body = json!({"member": id, "action": action}).to_string();
        let answer = post(&self.at, &self.key, "/v1/rooms/lobby/member", &body);
        assert!(answer.starts_with("HTTP/1.0 200"), "{action}: {answer}");
    }
}

/// All that a phone heard, in one piece: it begins another file after each re-INVITE.
fn all_samples(folder: &Path) -> Vec<i16> {
    let mut files = all_heard(folder);
    files.sort();
    files.iter().flat_map(|file| read_wav(file).0.remove(0)).collect()
}

/// The longest time without the tone between two times with it.
fn longest_gap(samples: &[i16], frequency: f64) -> f64 {
    let frames: Vec<bool> = samples.chunks_exact(160).map(|frame| seconds_with(frame, frequency) > 0.0).collect();
    let (Some(first), Some(last)) = (frames.iter().position(|on| *on), frames.iter().rposition(|on| *on)) else {
        return f64::INFINITY;
    };
    let gaps = frames[first..=last].split(|on| *on).map(<[bool]>::len);
    gaps.max().unwrap_or(0) as f64 * 0.02
}

/// How the calls that go on sound is told by the API, and by the command line.
fn sound_is_told_while_it_goes_on(bench: &Bench) {
    let live = bench.get_until("/v1/calls?live=true", |live| {
        live["calls"].as_array().unwrap().iter().all(|call| call["quality"]["received"].as_u64() > Some(200))
    });
    for call in live["calls"].as_array().unwrap() {
        let quality = &call["quality"];
        assert!(quality["mos"].as_f64().unwrap() > 4.0 && quality["mos_scale"] == "narrowband", "{call:#}");
        assert_eq!((&quality["lost"], &quality["alarms"]), (&json!(0), &json!([])), "{call:#}");
    }
    let shown = program(&bench.server, &["calls", "--api", &bench.at, "--key", &bench.key]);
    let head = shown.lines().next().unwrap();
    assert!(head.contains("MOS") && head.contains("JITTER_MS") && shown.lines().count() == 4, "{shown}");
}

/// The first note of the chime.
fn is_note(frame: &[i16]) -> bool {
    let energy: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
    let power = switchhook::audio::goertzel::power(frame, 660.0, 8000) * frame.len() as f64;
    energy > 1e6 && power > 0.05 * energy
}

#[test]
fn of_three_phones_in_a_room_one_is_muted_one_deafened_and_one_put_out_and_all_is_recorded() {
    let script = "vars.why = call:join('lobby', {chime = true}) call:sleep(60)";
    let bench = Bench::new("", &[("room.lua", script)]);
    let mut takers = [600.0, 1000.0, 1500.0].map(Taker::new);
    let calls = [0, 1, 2].map(|at: usize| {
        let order = json!({"to": takers[at].uri(), "from": "1", "script": "room.lua"});
        let id = bench.start("/v1/calls", &order);
        takers[at].phone.wait_for_event("CALL_ESTABLISHED");
        bench.get_until("/v1/rooms", |rooms| rooms[0]["members"] == at + 1);
        // The second enters a while after the first: its chime is heard before anything else.
        pass(Duration::from_secs(1));
        id
    });
    let begun = post(&bench.at, &bench.key, "/v1/rooms/lobby/record", "{}");
    let recording =
        serde_json::from_str::<Value>(begun.split("\r\n\r\n").nth(1).unwrap()).unwrap()["recording"].clone();
    pass(Duration::from_secs(1));
    bench.member(&calls[0], "mute");
    pass(Duration::from_secs(3));
    bench.member(&calls[0], "unmute");
    bench.member(&calls[1], "deafen");
    pass(Duration::from_secs(3));
    bench.member(&calls[1], "undeafen");
    pass(Duration::from_secs(2));
    bench.member(&calls[2], "kick");
    pass(Duration::from_secs(2));
    sound_is_told_while_it_goes_on(&bench);
    calls.iter().for_each(|id| drop(post(&bench.at, &bench.key, &format!("/v1/calls/{id}/hangup"), "{}")));
    takers.iter_mut().for_each(|taker| taker.phone.wait_for_event("CALL_CLOSED"));
    let records = calls.each_ref().map(|id| bench.over(id));
    assert_eq!(records[2]["vars"]["why"], "kicked", "{:#}", records[2]);
    pass(Duration::from_millis(500));
    let heard = takers.each_ref().map(|taker| all_samples(taker.folder.path()));
    let seconds = |who: usize, frequency: f64| seconds_with(&heard[who], frequency);
    for (who, own) in [600.0, 1000.0, 1500.0].into_iter().enumerate() {
        assert_eq!(seconds(who, own), 0.0, "nobody hears itself");
    }
    // Muted: silence of three seconds for both others. Deafened: the same, and from both others.
    let gap = |who: usize, frequency: f64| longest_gap(&heard[who], frequency);
    assert!((2.5..4.5).contains(&gap(2, 600.0)), "muted for {} s", gap(2, 600.0));
    assert!((2.5..4.5).contains(&gap(1, 1500.0)), "deaf for {} s", gap(1, 1500.0));
    assert!(gap(0, 1000.0) < 0.5 && gap(0, 1500.0) < 0.5, "the first hears all the time");
    // Who was put out hears nobody after it, and is heard no more.
    assert!(seconds(2, 1000.0) + 1.5 < seconds(0, 1000.0) && seconds(0, 1500.0) + 1.5 < seconds(0, 1000.0));
    // Two notes tell of each who comes: the first one of the second's.
    let notes = heard[0].chunks_exact(160).filter(|frame| is_note(frame)).count();
    assert!((3..60).contains(&notes), "{notes} frames of the note");
    let stopped = calls.iter().find_map(|id| {
        let events = bench.get(&format!("/v1/calls/{id}/events"));
        events.as_array().unwrap().iter().find(|event| event["kind"] == "recording.stopped").cloned()
    });
    let stopped = stopped.expect("the end of the recording is told");
    assert_eq!((&stopped["data"]["recording"], &stopped["data"]["reason"]), (&recording, &json!("stopped")));
    let file = bench.server.path("recordings").join(stopped["data"]["files"][0].as_str().unwrap());
    let (channels, _) = read_wav(&file);
    let all = [600.0, 1000.0, 1500.0].map(|frequency| seconds_with(&channels[0], frequency));
    assert!(all.iter().all(|seconds| *seconds > 3.0) && all[0] + 2.0 < all[1], "the room's recording: {all:?}");
    let note: Value = serde_json::from_str(&fs::read_to_string(format!("{}.json", file.display())).unwrap()).unwrap();
    assert!(calls.iter().any(|id| note["id"] == **id), "{note:#}");
}

#[test]
fn a_phone_that_sends_nothing_is_an_event_with_the_reason_and_where_it_should_be() {
    let conf = format!("[media]\nsilence_timeout_s = 1\n{}", numbers(&[("100", "wait.lua")]));
    let bench = Bench::new(&conf, &[("wait.lua", "call:answer() call:sleep(60)")]);
    let file = scenario("answered").to_str().unwrap().to_owned();
    let _silent = caller(bench.server.sip, bench.folder(), "100", &["-sf", &file, "-m", "1"]);
    let live = bench.get_until("/v1/calls?live=true", |live| live["calls"][0]["status"] == "in_progress");
    let id = live["calls"][0]["id"].as_str().unwrap().to_owned();
    let told = bench.events(&id, "media.one_way", 1).remove(0);
    let data = &told["data"];
    assert_eq!((&data["reason"], &data["source"], &data["to"]), (&json!("nothing"), &Value::Null, &json!("100")));
    let sdp = data["sdp"].as_str().unwrap();
    assert!(sdp.starts_with("127.0.0.1:") && data["text"] == format!("no packet came; SDP says {sdp}"), "{told:#}");
    // The database keeps it as it was told.
    bench.steer(&id, "hangup", &json!({}));
    assert_eq!(bench.over(&id)["quality"]["alarms"], json!([data["text"]]));
    assert_eq!(bench.events(&id, "media.one_way", 1), [told]);
}

#[test]
fn a_recording_of_a_killed_server_is_erased_by_its_number() {
    let conf = numbers(&[("100", "keep.lua")]);
    let script = "call:answer() call:record{file = 'left.wav'} call:tone({600}, {seconds = 30})";
    let mut bench = Bench::new(&conf, &[("keep.lua", script)]);
    let _peer = caller(bench.server.sip, bench.folder(), "100", &["-sn", "uac", "-m", "1", "-d", "60000"]);
    let file = bench.recording("left.wav");
    bench.server.restart("KILL");
    assert!(file.exists() && read_wav(&file).0[0].len() > 4000, "what was recorded stays");
    let erase = |number: &str| program(&bench.server, &["erase", number, "--conf", "switchhook.toml"]);
    assert!(erase("999").contains("erased: 0"));
    let said = erase("sipp");
    assert!(said.contains("left.wav") && said.contains("erased: 1"), "{said}");
    let left: Vec<_> = fs::read_dir(bench.server.path("recordings")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}
