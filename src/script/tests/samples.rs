//! The sample scripts, each through its stories; and the stubs for the language server.

use std::{cell::RefCell, collections::BTreeSet, fs, path::Path};

use super::*;
use crate::{
    ids::{PlayId, RecordingId},
    script::{
        Library,
        ask::{OF_CALL, OF_RECORDING, OF_STORE},
        check,
        contacts::OF_CONTACTS,
        play::OF_PLAYING,
        roster::OF_ROSTER,
        texts::{OF_MESSAGE, OF_MESSAGES, OF_PHONES},
    },
    verbs::{Failure, GatherEnd, LeaveReason, Messaging, RecordEnd, Sound, Text, Tone},
};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts"))
}

/// Start a sample with `vars` on top of those of every test.
fn sample(name: &str, vars: &[(&str, &str)]) -> Run {
    let library = Rc::new(RefCell::new(Library::new(folder().into())));
    let program = library.borrow_mut().get(Time::START, name).unwrap();
    let modules: Modules = Rc::new(move |name| library.borrow_mut().get(Time::START, name).map_err(|e| e.to_string()));
    let mut start = start(name);
    start.vars.extend(vars.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    let mut vm = Vm::new(Limits::default(), still(), modules);
    let step = vm.start(&program, &start);
    Run::of(vm, step)
}

/// A verb in a word, for comparing stories.
fn word(verb: &Verb) -> String {
    match verb {
        Verb::Answer => "answer".into(),
        Verb::Ring => "ring".into(),
        Verb::Hangup => "hangup".into(),
        Verb::Reject { code, .. } => format!("reject {code}"),
        Verb::Play(play) => match &play.sounds[0] {
            Sound::Speech(_) => "say".into(),
            Sound::Tone { tone: Tone::Beep, .. } => "beep".into(),
            other => format!("play {other:?}"),
        },
        Verb::Gather(gather) => format!("gather {}", gather.max),
        Verb::Dial(dial) => format!("dial {}", dial.targets.join(" ")),
        Verb::Bridge { other, .. } => format!("bridge {other}"),
        Verb::Join { room, .. } => format!("join {room}"),
        Verb::Record(_) => "record".into(),
        Verb::RecordStop { .. } => "record stop".into(),
        Verb::SendDigits { digits, .. } => format!("digits {digits}"),
        Verb::Sleep(time) => format!("sleep {}", time.as_secs()),
        Verb::Echo { .. } => "echo".into(),
        other => format!("{other:?}"),
    }
}

/// What each verb gets where a story does not say otherwise.
pub(super) fn usual(verb: &Verb) -> Reply {
    match verb {
        Verb::Play(play) if !play.wait => Reply::Playing(PlayId(4)),
        Verb::Steer { .. } => Reply::At(Duration::from_secs(1)),
        Verb::Play(_) => Reply::Played { key: None, length: Duration::from_secs(2) },
        Verb::Gather(_) => Reply::Digits { digits: String::new(), why: GatherEnd::NoInput },
        Verb::Dial(_) | Verb::Park { .. } => Reply::Dialed { call: CallId(8), target: 0 },
        Verb::Bridge { .. } => Reply::Left(LeaveReason::PeerHungUp),
        Verb::Messaging(Messaging::Send(_)) => Reply::Sent { code: 200 },
        Verb::Messaging(Messaging::Await { .. }) => {
            Reply::Message(Text { kind: "text/plain".into(), text: "4711".into() })
        }
        Verb::Registrations { .. } => Reply::Registrations(vec![]),
        Verb::Listen { .. } | Verb::Join { .. } | Verb::Echo { .. } => Reply::Left(LeaveReason::Key('*')),
        Verb::Record(record) if !record.wait => Reply::Recording(RecordingId(3)),
        Verb::Record(_) | Verb::RecordStop { .. } => Reply::Recorded {
            recording: RecordingId(3),
            files: vec!["2026/m.wav".into()],
            length: Duration::from_secs(9),
            why: RecordEnd::Key('#'),
        },
        _ => Reply::Done,
    }
}

/// Run to the end, and give the verbs that were asked for.
fn story(run: &mut Run, mut answer: impl FnMut(&Verb) -> Option<Reply>) -> String {
    let end = run.drive(|verb| answer(verb).unwrap_or_else(|| usual(verb)));
    assert_eq!(end, FlowEnd::Finished, "log: {:?}", run.logs);
    run.asked.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn digits(digits: &str) -> Option<Reply> {
    Some(Reply::Digits { digits: digits.into(), why: GatherEnd::Max })
}

#[test]
fn every_sample_compiles() {
    assert_eq!(check(folder()), []);
}

#[test]
fn every_sample_can_be_hung_up_at_each_of_its_waits() {
    let names = ["echo", "menu", "voicemail", "ring_all", "conference", "phone", "extension", "desk", "codes"];
    for name in names.map(|name| format!("{name}.lua")) {
        let vars = [("targets", "sip:a@b"), ("play", "x.wav"), ("digits", "1"), ("record", "r.wav"), ("wait", "1")];
        for waits in 0..12 {
            let mut run = sample(&name, &vars);
            for _ in 0..waits {
                match run.step.clone() {
                    Step::Request(_, verb) => run.reply(usual(&verb)),
                    Step::Keep(_) => run.reply(Reply::Value(Some("1".into()))),
                    _ => break,
                }
            }
            if !matches!(run.step, Step::Ended(_)) {
                run.hang_up();
                run.drive(usual);
                assert_eq!(run.end(), &FlowEnd::Stopped, "{name} after {waits} waits");
            }
        }
    }
}

#[test]
fn echo_answers_greets_and_echoes() {
    assert_eq!(story(&mut sample("echo.lua", &[]), |_| None), "answer, beep, say, echo, say");
}

#[test]
fn menu_leads_to_sales_who_are_bridged() {
    let story = story(&mut sample("menu.lua", &[]), |verb| match verb {
        Verb::Gather(_) => digits("1"),
        _ => None,
    });
    assert_eq!(story, "answer, gather 1, dial sip:sales@127.0.0.1, bridge c8");
}

#[test]
fn menu_asks_again_after_a_wrong_key_and_silence_then_falls_back_to_voicemail() {
    let mut tries = 0;
    let mut run = sample("menu.lua", &[]);
    let story = story(&mut run, |verb| match verb {
        Verb::Gather(_) => {
            tries += 1;
            if tries == 1 { digits("9") } else { None }
        }
        Verb::Dial(_) => Some(Reply::Failed(Failure::NoAnswer)),
        _ => None,
    });
    assert_eq!(
        story,
        "answer, gather 1, say, gather 1, gather 1, dial sip:sales@127.0.0.1, answer, say, beep, record, say"
    );
    assert_eq!(run.lines()[0], "sales did not answer: no_answer");
    assert_eq!(run.told, [Verb::SetVar { name: "message".into(), value: Some("2026/m.wav".into()) }]);
}

#[test]
fn voicemail_counts_and_keeps_messages() {
    let mut run = sample("voicemail.lua", &[]);
    assert_eq!(story(&mut run, |_| None), "answer, say, beep, record, say");
    assert_eq!(run.lines(), ["message 1 for 200 from 1001: 2026/m.wav"]);
}

#[test]
fn voicemail_forgets_an_empty_message() {
    let mut run = sample("voicemail.lua", &[]);
    let story = story(&mut run, |verb| match verb {
        Verb::Record(_) => Some(Reply::Recorded {
            recording: RecordingId(1),
            files: vec!["x.wav".into()],
            length: Duration::from_millis(300),
            why: RecordEnd::Stopped,
        }),
        _ => None,
    });
    assert_eq!(story, "answer, say, beep, record");
    assert_eq!(run.lines(), ["caller of 200 said nothing"]);
}

#[test]
fn ring_all_bridges_who_answers() {
    let mut run = sample("ring_all.lua", &[("targets", "sip:anna@b sip:bo@b")]);
    let story = story(&mut run, |verb| match verb {
        Verb::Dial(_) => Some(Reply::Dialed { call: CallId(9), target: 1 }),
        _ => None,
    });
    assert_eq!(story, "ring, dial sip:anna@b sip:bo@b, bridge c9");
    assert_eq!(run.lines(), ["answered by sip:bo@b"]);
}

#[test]
fn ring_all_passes_busy_on_and_otherwise_takes_a_message() {
    let vars = [("targets", "sip:anna@b")];
    let busy = story(&mut sample("ring_all.lua", &vars), |verb| match verb {
        Verb::Dial(_) => Some(Reply::Failed(Failure::Busy)),
        _ => None,
    });
    assert_eq!(busy, "ring, dial sip:anna@b, reject 486");
    let refused = story(&mut sample("ring_all.lua", &vars), |verb| match verb {
        Verb::Dial(_) => Some(Reply::Failed(Failure::Refused(603))),
        _ => None,
    });
    assert_eq!(refused, "ring, dial sip:anna@b, answer, say, beep, record, say");
    assert_eq!(story(&mut sample("ring_all.lua", &[]), |_| None), "reject 404");
}

#[test]
fn conference_joins_the_room_and_counts() {
    let mut run = sample("conference.lua", &[]);
    let story = story(&mut run, |verb| match verb {
        Verb::Gather(_) => digits("123"),
        _ => None,
    });
    assert_eq!(story, "answer, gather 6, say, join room-123, say");
}

#[test]
fn conference_asks_for_a_pin_where_the_room_has_one() {
    let mut run = sample("conference.lua", &[]);
    run.reply(Reply::Done);
    run.reply(digits("123").unwrap());
    assert_eq!(run.step, Step::Keep(KeepOp::Get { key: "room.123.pin".into() }));
    run.reply(Reply::Value(Some("4711".into())));
    run.reply(digits("4712").unwrap());
    assert_eq!(word(run.verb()), "say");
    run.reply(Reply::Done);
    assert_eq!(run.end(), &FlowEnd::Finished);
}

#[test]
fn phone_does_what_its_variables_say() {
    let vars = [("play", "x.wav"), ("digits", "12#"), ("record", "r.wav"), ("wait", "5")];
    let mut run = sample("phone.lua", &vars);
    let told = story(&mut run, |_| None);
    assert_eq!(told, "record, play File(\"x.wav\"), digits 12#, sleep 5, record stop, hangup");
    let mut waiting = sample("phone.lua", &[]);
    assert_eq!(word(waiting.verb()), "sleep 3600");
    waiting.reply(Reply::Done);
    assert_eq!(word(waiting.verb()), "sleep 3600");
    waiting.hang_up();
    assert_eq!(waiting.end(), &FlowEnd::Stopped);
}

#[test]
fn a_phone_parks_its_caller_who_is_fetched_or_rings_it_again() {
    let key = Some(Reply::Left(LeaveReason::Key('#')));
    let fetched = story(&mut sample("desk.lua", &[]), |verb| match verb {
        Verb::Bridge { other: CALL, stop_on } if stop_on == "#" => key.clone(),
        _ => None,
    });
    let park = |slot: &str| format!("{:?}", Verb::Park { slot: slot.into(), timeout: Duration::from_secs(120) });
    assert_eq!(fetched, format!("dial 200, bridge c7, say, hangup, {}, bridge c8", park("200")));
    let mut bridges = 0;
    let nobody = story(&mut sample("desk.lua", &[("phone", "201")]), |verb| match verb {
        Verb::Bridge { .. } => {
            bridges += 1;
            key.clone().filter(|_| bridges == 1)
        }
        Verb::Park { .. } => Some(Reply::Failed(Failure::NoAnswer)),
        _ => None,
    });
    assert_eq!(nobody, format!("dial 201, bridge c7, say, hangup, {}, dial 201, bridge c7", park("201")));
    let busy = story(&mut sample("desk.lua", &[]), |verb| match verb {
        Verb::Dial(_) => Some(Reply::Failed(Failure::Busy)),
        _ => None,
    });
    assert_eq!(busy, "dial 200, reject 486");
}

#[test]
fn a_code_takes_a_call_that_rings_or_is_parked_and_is_for_phones_only() {
    assert_eq!(story(&mut sample("codes.lua", &[("code", "2")]), |_| None), "reject 403", "a guest");
    let phone = |vars: &[(&str, &str)]| {
        let library = Rc::new(RefCell::new(Library::new(folder().into())));
        let program = library.borrow_mut().get(Time::START, "codes.lua").unwrap();
        let mut start = start("codes.lua");
        start.facts.phone = Some("anna".into());
        start.facts.called = "88201".into();
        start.vars.extend(vars.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let mut vm = Vm::new(Limits::default(), still(), no_modules());
        let step = vm.start(&program, &start);
        let mut run = Run::of(vm, step);
        story(&mut run, |verb| match verb {
            Verb::Pickup { .. } | Verb::Retrieve { .. } => Some(Reply::Failed(Failure::Unreachable)),
            _ => None,
        })
    };
    let pickup = format!("{:?}", Verb::Pickup { phone: "201".into() });
    assert_eq!(phone(&[("code", "88"), ("what", "pickup")]), format!("answer, {pickup}, say"));
    let fetch = format!("{:?}", Verb::Retrieve { slot: "201".into() });
    assert_eq!(phone(&[("code", "88"), ("what", "fetch")]), format!("answer, {fetch}, say"));
}

#[test]
fn the_stubs_name_all_there_is_and_nothing_else() {
    let stubs = fs::read_to_string(folder().join("meta/switchhook.lua")).unwrap();
    let named: BTreeSet<String> = stubs
        .lines()
        .filter_map(|line| line.strip_prefix("function "))
        .filter_map(|rest| rest.split('(').next())
        .map(|name| name.replace(':', "."))
        .chain(["vars".to_owned()])
        .collect();
    let run = Run::new(
        "local lua = {_G = 1, _VERSION = 1, assert = 1, collectgarbage = 1, coroutine = 1, error = 1, getmetatable = 1,
           ipairs = 1, load = 1, math = 1, next = 1, os = 1, pairs = 1, pcall = 1, print = 1, rawequal = 1, rawget = 1,
           rawlen = 1, rawset = 1, require = 1, select = 1, setmetatable = 1, string = 1, table = 1, tonumber = 1,
           tostring = 1, type = 1, utf8 = 1, xpcall = 1, call = 1, store = 1,
           messages = 1, phones = 1, contacts = 1, queues = 1, agents = 1, ai_agents = 1}
         for name in pairs(_G) do if not lua[name] then print(name) end end",
    );
    let all = [
        ("call", &OF_CALL[..]),
        ("recording", &OF_RECORDING),
        ("playing", &OF_PLAYING),
        ("store", &OF_STORE),
        ("message", &OF_MESSAGE),
        ("messages", &OF_MESSAGES),
        ("phones", &OF_PHONES),
        ("contacts", &OF_CONTACTS),
        ("queues", &OF_ROSTER),
        ("agents", &OF_ROSTER),
        ("ai_agents", &OF_ROSTER),
    ];
    let functions = all.iter().flat_map(|(of, names)| names.iter().map(move |name| format!("{of}.{name}")));
    let registered: BTreeSet<String> = run.lines().into_iter().map(str::to_owned).chain(functions).collect();
    assert_eq!(named, registered);
}

#[test]
fn the_stubs_name_every_fact_and_every_option() {
    let stubs = fs::read_to_string(folder().join("meta/switchhook.lua")).unwrap();
    for fact in printed("for name in pairs(call) do if name ~= '_leg' then print(name) end end") {
        assert!(stubs.contains(&format!("---@field {fact} ")), "{fact}");
    }
    // A wrong option makes the library name all there are (where none is near).
    for (text, class) in [
        ("call:play('x', {zzzzzzzz = 1})", "PlayOptions"),
        ("call:gather {zzzzzzzz = 1}", "GatherOptions"),
        ("call:record {zzzzzzzz = 1}", "RecordOptions"),
        ("call:dial {'sip:a@b', zzzzzzzz = 1}", "DialOptions"),
        ("call:send_digits('1', {zzzzzzzz = 1})", "DigitOptions"),
        ("call:say('x', {zzzzzzzz = 1})", "SayOptions"),
        ("call:tone('beep', {zzzzzzzz = 1})", "ToneOptions"),
        ("call:join('x', {zzzzzzzz = 1})", "JoinOptions"),
        ("call:echo {zzzzzzzz = 1}", "EchoOptions"),
        ("call:send_message('x', {zzzzzzzz = 1})", "SendMessageOptions"),
        ("messages.send {zzzzzzzz = 1}", "MessageOptions"),
    ] {
        let run = Run::new(text);
        let list = run.error().lines().next().unwrap().split("there are ").nth(1).unwrap();
        let registered: BTreeSet<&str> = list.split(", ").collect();
        let mut named = BTreeSet::new();
        let mut next = Some(class);
        while let Some(class) = next.take() {
            let at = stubs.find(&format!("---@class {class}")).unwrap();
            let block: Vec<&str> = stubs[at..].lines().take_while(|line| line.starts_with("---")).collect();
            next = block[0].split(": ").nth(1);
            let fields = block.iter().filter_map(|line| line.strip_prefix("---@field "));
            named.extend(fields.filter_map(|rest| rest.split(['?', ' ']).next()).filter(|name| !name.starts_with('[')));
        }
        assert_eq!(named, registered, "{class}");
    }
}
