//! What scripts ask for, what they get back, and what they are told when they ask wrongly.

use super::*;
use crate::{
    ids::RecordingId,
    verbs::{
        Dial, Failure, Gather, GatherEnd, LeaveReason, Manner, NoSound, Play, PlayKey, Record, RecordEnd, RecordMode,
        SignalTone, Sound, SoundFault, Speech, Steer, Strategy, Tone, Voices,
    },
};

/// The verb that `text` asks for first.
fn asks(text: &str) -> Verb {
    Run::new(text).verb().clone()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn speech(text: &str) -> Sound {
    Sound::Speech(Speech { text: text.into(), language: None, voice: None })
}

#[test]
fn simple_verbs_are_asked_for_as_they_are() {
    assert_eq!(asks("call:answer()"), Verb::Answer);
    assert_eq!(asks("call:ring()"), Verb::Ring);
    assert_eq!(asks("call:progress()"), Verb::Progress);
    assert_eq!(asks("call:hangup()"), Verb::Hangup);
    assert_eq!(asks("call:reject(486, 'Not now')"), Verb::Reject { code: 486, reason: Some("Not now".into()) });
    assert_eq!(asks("call:reject(603)"), Verb::Reject { code: 603, reason: None });
    assert_eq!(asks("call:sleep(1.5)"), Verb::Sleep(seconds(1.5)));
    assert_eq!(
        asks("call:send_digits('12,#a', {length = 0.2})"),
        Verb::SendDigits { digits: "12,#A".into(), length: seconds(0.2), gap: seconds(0.1) }
    );
    assert_eq!(asks("call:echo()"), Verb::Echo { stop_on: String::new(), limit: None });
    assert_eq!(
        asks("call:echo {stop_on = '#', limit = 5}"),
        Verb::Echo { stop_on: "#".into(), limit: Some(seconds(5.0)) }
    );
    assert_eq!(
        asks("call:join('r', {muted = true})"),
        Verb::Join { room: "r".into(), stop_on: String::new(), muted: true, entry: crate::verbs::Entry::default() }
    );
}

#[test]
fn sounds_are_files_texts_tones_and_silences_alone_or_in_a_row() {
    let play = |sounds: Vec<Sound>| Verb::Play(Play::new(sounds));
    assert_eq!(asks("call:play('a/b.wav')"), play(vec![Sound::File("a/b.wav".into())]));
    assert_eq!(
        asks(
            "call:play({'a.wav', {say = 'hi'}, {tone = 'busy', country = 'DE', seconds = 1}, {silence = 0.5}}, {stop_on = 'any'})"
        ),
        Verb::Play(Play {
            stop_on: "0123456789*#ABCD".into(),
            ..Play::new(vec![
                Sound::File("a.wav".into()),
                speech("hi"),
                Sound::Tone {
                    tone: Tone::Signal { signal: SignalTone::Busy, country: Some("de".into()) },
                    length: Some(seconds(1.0)),
                },
                Sound::Silence(seconds(0.5)),
            ])
        })
    );
    assert_eq!(
        asks("call:say('hi', {language = 'de-DE', voice = 'x'})"),
        play(vec![Sound::Speech(Speech {
            text: "hi".into(),
            language: Some("de-DE".into()),
            voice: Some("x".into())
        })])
    );
    let tone = |tone, length| play(vec![Sound::Tone { tone, length }]);
    assert_eq!(asks("call:tone('beep')"), tone(Tone::Beep, None));
    assert_eq!(asks("call:tone(440, {seconds = 2})"), tone(Tone::Frequencies(vec![440]), Some(seconds(2.0))));
    assert_eq!(asks("call:tone({350, 440})"), tone(Tone::Frequencies(vec![350, 440]), None));
}

#[test]
fn a_gather_has_defaults_and_takes_prompts_and_texts() {
    let mut gather = Gather {
        prompt: vec![],
        max: 1,
        terminators: "#".into(),
        first_timeout: seconds(5.0),
        timeout: seconds(5.0),
        barge_in: true,
        secret: false,
    };
    assert_eq!(asks("call:gather()"), Verb::Gather(gather.clone()));
    assert_eq!(asks("call:gather {}"), Verb::Gather(gather.clone()));
    gather.first_timeout = seconds(2.0);
    gather.timeout = seconds(2.0);
    assert_eq!(asks("call:gather {timeout = 2}"), Verb::Gather(gather));
    assert_eq!(
        asks(
            "call:gather {prompt = 'a.wav', say = 'b', max = 4, terminators = '', timeout = 2, first_timeout = 8, barge_in = false, secret = true}"
        ),
        Verb::Gather(Gather {
            prompt: vec![Sound::File("a.wav".into()), speech("b")],
            max: 4,
            terminators: String::new(),
            first_timeout: seconds(8.0),
            timeout: seconds(2.0),
            barge_in: false,
            secret: true,
        })
    );
}

#[test]
fn a_dial_takes_one_target_or_many_with_options() {
    let mut dial = Dial {
        targets: vec!["sip:a@b".into()],
        strategy: Strategy::All,
        timeout: seconds(30.0),
        early_media: false,
        caller_id: None,
        headers: vec![],
        ringback: None,
    };
    assert_eq!(asks("call:dial('sip:a@b')"), Verb::Dial(dial.clone()));
    dial.timeout = seconds(5.0);
    assert_eq!(asks("call:dial('sip:a@b', {timeout = 5})"), Verb::Dial(dial));
    assert_eq!(
        asks(
            "call:dial {'sip:a@b', 'sip:c@d', strategy = 'in_turn', timeout = 12.5, early_media = true, caller_id = '030',
               headers = {['X-B'] = '2', ['X-A'] = '1'}, ringback = {tone = 'ringing', country = 'us'}}"
        ),
        Verb::Dial(Dial {
            targets: vec!["sip:a@b".into(), "sip:c@d".into()],
            strategy: Strategy::InTurn,
            timeout: seconds(12.5),
            early_media: true,
            caller_id: Some("030".into()),
            headers: vec![("X-A".into(), "1".into()), ("X-B".into(), "2".into())],
            ringback: Some(Sound::Tone {
                tone: Tone::Signal { signal: SignalTone::Ringing, country: Some("us".into()) },
                length: None,
            }),
        })
    );
}

#[test]
fn who_answered_is_a_call_of_its_own() {
    let mut run = Run::new(
        "local peer = call:dial {'sip:a@b', 'sip:c@d'}
         print(peer.target, peer.index)
         peer:send_digits('1')
         print(call:bridge(peer, {stop_on = '*'}))
         peer:hangup()",
    );
    run.reply(Reply::Dialed { call: CallId(9), target: 1 });
    assert!(matches!(&run.step, Step::Request(CallId(9), Verb::SendDigits { .. })));
    run.reply(Reply::Done);
    assert_eq!(run.step, Step::Request(CALL, Verb::Bridge { other: CallId(9), stop_on: "*".into() }));
    run.reply(Reply::Left(LeaveReason::Key('*')));
    assert_eq!(run.step, Step::Request(CallId(9), Verb::Hangup));
    run.reply(Reply::Done);
    assert_eq!(run.lines(), ["sip:c@d\t2", "key\t*"]);
}

#[test]
fn a_recording_is_an_object_that_knows_its_file_at_the_end() {
    let mut run = Run::new(
        "local r = call:record {file = 'a/b.wav', stereo = true, max = 60}
         r:pause() r:resume()
         print(r == r:stop(), r.file, r.seconds, r.key)
         print(select(2, r:stop()))",
    );
    let record = Record {
        file: Some("a/b.wav".into()),
        format: None,
        voices: Voices::Stereo,
        room: None,
        rate: None,
        max: Some(seconds(60.0)),
        end_of_silence: None,
        beep: false,
        stop_on: String::new(),
        wait: false,
    };
    assert_eq!(run.verb(), &Verb::Record(record));
    let recording = RecordingId(5);
    run.reply(Reply::Recording(recording));
    assert_eq!(run.verb(), &Verb::RecordAs { recording, mode: RecordMode::Pause });
    run.reply(Reply::Done);
    assert_eq!(run.verb(), &Verb::RecordAs { recording, mode: RecordMode::Keep });
    run.reply(Reply::Done);
    assert_eq!(run.verb(), &Verb::RecordStop { recording });
    run.reply(Reply::Recorded {
        recording,
        files: vec!["a/b.wav".into()],
        length: seconds(2.5),
        why: RecordEnd::Stopped,
    });
    run.reply(Reply::Failed(Failure::NoSuchRecording));
    assert_eq!(run.lines(), ["true\ta/b.wav\t2.5\tnil", "no_such_recording"]);
}

#[test]
fn a_play_has_its_manner_and_keys() {
    let sound = || vec![Sound::Web("https://x.example/a.mp3?b".into())];
    assert_eq!(
        asks(
            "call:play('https://x.example/a.mp3?b', {volume = -6, times = 3, from = 1.5, step = 10,
              keys = {pause = '5', back = '4'}, stop_on = '#'})"
        ),
        Verb::Play(Play {
            stop_on: "#".into(),
            manner: Manner { volume: -6.0, times: Some(3), from: seconds(1.5) },
            keys: vec![('5', PlayKey::Pause), ('4', PlayKey::Back)],
            step: seconds(10.0),
            ..Play::new(sound())
        })
    );
    let always = Manner { times: None, ..Manner::default() };
    let tone = Sound::Tone { tone: Tone::Beep, length: None };
    assert_eq!(
        asks("call:tone('beep', {loop = true, wait = false})"),
        Verb::Play(Play { manner: always, wait: false, ..Play::new(vec![tone]) })
    );
    for (text, want) in [
        ("call:play('a', {volume = 30})", "a number of decibels from -60 to 20, not 30"),
        ("call:play('a', {loop = true, times = 2})", "'loop' and 'times' exclude each other"),
        ("call:play('a', {keys = {pause = '55'}})", "'pause' must be one digit"),
        ("call:play('a', {keys = {pause = '5', back = '5'}})", "'5' is there twice"),
        ("call:play('a', {keys = {pause = '5'}, stop_on = '45'})", "'5' is both in 'stop_on' and in 'keys'"),
        ("call:play('a', {keys = {stop = '5'}})", "unknown option 'stop'"),
        ("call:play('http://x y')", "without white space"),
        ("call:record{room = 'a', stereo = true}", "exclude each other"),
        ("call:record{rate = 44100}", "8000, 16000 or 48000"),
    ] {
        let run = Run::new(text);
        assert!(run.error().contains(want), "{text}: {}", run.error());
    }
}

#[test]
fn what_plays_beside_is_an_object_that_is_steered() {
    let mut run = Run::new(
        "local p = call:play('a.wav', {wait = false})
         print(p:pause(), p:resume(), p:seek(1.5), p:forward(5), p:back(2), p:volume(3), p:position(), p:stop())",
    );
    let play = crate::ids::PlayId(9);
    run.reply(Reply::Playing(play));
    let at = Reply::At(seconds(2.5));
    for steer in [
        Steer::Pause,
        Steer::Resume,
        Steer::Seek(seconds(1.5)),
        Steer::Forward(seconds(5.0)),
        Steer::Back(seconds(2.0)),
        Steer::Volume(3.0),
        Steer::Tell,
    ] {
        assert_eq!(run.verb(), &Verb::Steer { play: Some(play), steer });
        run.reply(at.clone());
    }
    assert_eq!(run.verb(), &Verb::StopPlay { play: Some(play) });
    run.reply(Reply::Done);
    assert_eq!(run.lines(), ["2.5\t2.5\t2.5\t2.5\t2.5\t2.5\t2.5\ttrue"]);
    let run = Run::new("call.pause = nil local p = {} getmetatable(call).__index.play(call, 'x')");
    assert!(matches!(run.verb(), Verb::Play(_)));
}

#[test]
fn replies_read_as_the_guide_says() {
    let results = |text: &str, reply: Reply| {
        let mut run = Run::new(&format!("print({text})"));
        run.reply(reply);
        run.lines().join(" ")
    };
    let played = |key| Reply::Played { key, length: seconds(1.5) };
    assert_eq!(results("call:play('x')", played(None)), "true\tnil\t1.5");
    assert_eq!(results("call:play('x')", played(Some('5'))), "true\t5\t1.5");
    let digits = |digits: &str, why| Reply::Digits { digits: digits.into(), why };
    assert_eq!(results("call:gather()", digits("12", GatherEnd::Max)), "12\tmax\tnil");
    assert_eq!(results("call:gather()", digits("12", GatherEnd::Terminator('#'))), "12\tterminator\t#");
    assert_eq!(results("call:gather()", digits("1", GatherEnd::Timeout)), "1\ttimeout\tnil");
    assert_eq!(results("call:gather()", digits("", GatherEnd::NoInput)), "\tno_input\tnil");
    assert_eq!(results("call:echo()", Reply::Left(LeaveReason::Limit)), "limit\tnil");
    assert_eq!(results("call:join('x')", Reply::Left(LeaveReason::PeerHungUp)), "peer_hangup\tnil");
    assert_eq!(results("call:answer()", Reply::Done), "true");
    for (failure, text) in [
        (Failure::WrongState, "nil\twrong_state"),
        (Failure::HungUp, "nil\thangup"),
        (Failure::Busy, "nil\tbusy"),
        (Failure::Refused(603), "nil\trefused\t603"),
        (Failure::Sound(NoSound::new(SoundFault::Missing, "no such file")), "nil\tsound\tno such file\tmissing"),
        (Failure::Limit("ports"), "nil\tlimit\tports"),
        (Failure::Store("disk full".into()), "nil\tstore\tdisk full"),
    ] {
        assert_eq!(results("call:answer()", Reply::Failed(failure)), text);
    }
}

#[test]
fn the_store_gets_sets_and_adds() {
    let mut run = Run::new(
        "print(store.get('a')) print(store.get('b')) print(store.set('c', 5)) store.set('c') print(store.add('n') + 1)
         print(store.add('n', -2))",
    );
    let mut asked = Vec::new();
    while let Step::Keep(op) = run.step.clone() {
        run.reply(match &op {
            KeepOp::Get { key } if key == "a" => Reply::Value(Some("x".into())),
            KeepOp::Get { .. } => Reply::Value(None),
            KeepOp::Set { .. } => Reply::Done,
            KeepOp::Contact { .. } => Reply::Contact(None),
            KeepOp::Resource { .. } => Reply::Resource(None),
            KeepOp::Add { by, .. } => Reply::Value(Some((by + 40).to_string())),
        });
        asked.push(op);
    }
    assert_eq!(run.lines(), ["x", "nil", "true", "42", "38"]);
    assert_eq!(asked[2], KeepOp::Set { key: "c".into(), value: Some("5".into()) });
    assert_eq!(asked[3], KeepOp::Set { key: "c".into(), value: None });
}

#[test]
fn the_callers_signature_is_a_table_of_the_call_or_nothing() {
    use crate::facts::{Stir, StirVerdict};
    assert_eq!(printed("print(call.stir)"), ["nil"]);
    let stir = Stir { verdict: StirVerdict::Failed, attest: Some("A"), reason: Some("stale"), origid: None };
    let mut start = start("test.lua");
    start.facts.stir = Some(Box::new(stir));
    let mut vm = Vm::new(Limits::default(), still(), no_modules());
    let text = "print(call.stir.verdict, call.stir.attest, call.stir.reason, call.stir.origid)";
    let step = vm.start(&program("test.lua", text), &start);
    assert_eq!(Run::of(vm, step).lines(), ["failed\tA\tstale\tnil"]);
}

#[test]
fn the_facts_of_the_call_are_fields_and_vars() {
    let lines = printed(
        "print(call.caller, call.caller_name, call.called, call.id, call.inbound, call.source, call.sip_call_id)
         print(call.headers['X-Account'], call.headers['x-account'], call.headers.other)
         print(vars.colour, vars.caller, vars.nothing)
         local n = 0 for name, value in pairs(vars) do n = n + 1 print(name, value) end
         for name, value in pairs(call.headers) do print(name, value) end",
    );
    assert_eq!(
        lines,
        [
            "1001\tAnna\t200\tc7-01\ttrue\t192.0.2.1:5060\tx@y",
            "gold\tgold\tnil",
            "blue\t1001\tnil",
            "colour\tblue",
            "X-Account\tgold",
        ]
    );
}

#[test]
fn vars_are_told_without_waiting_and_read_back_as_text() {
    let run = Run::new(
        "vars.a = 5 vars.b = true vars.colour = nil print(vars.a, math.type(vars.a), vars.b, vars.colour) call:answer()",
    );
    assert_eq!(run.verb(), &Verb::Answer);
    let var = |name: &str, value: Option<&str>| Verb::SetVar { name: name.into(), value: value.map(String::from) };
    assert_eq!(run.told, [var("a", Some("5")), var("b", Some("true")), var("colour", None)]);
    assert_eq!(run.lines(), ["5\tnil\ttrue\tnil"]);
}

#[test]
fn the_log_has_levels_and_takes_anything() {
    let run = Run::new("log('a') log('warn', 'b') log('debug', 5) log({} ~= nil) print(1, nil, 'x') log('error', nil)");
    let expected = [
        (Level::Info, "a"),
        (Level::Warn, "b"),
        (Level::Debug, "5"),
        (Level::Info, "true"),
        (Level::Info, "1\tnil\tx"),
        (Level::Error, "nil"),
    ];
    assert_eq!(run.logs, expected.map(|(level, text)| (level, text.to_owned())));
}

/// Wrong calls, and how their messages begin.
const MISUSE: &[(&str, &str)] = &[
    (
        "call:play()",
        "call:play: the sound must be a file, an http(s) address, a table with say, tone or silence, or a list of these, not nothing",
    ),
    (
        "call:play('../x.wav')",
        "call:play: the sound must be a path below the folder, without '..', not the text '../x.wav'",
    ),
    ("call:play('/etc/x.wav')", "call:play: the sound must be a path below the folder"),
    ("call:play({})", "call:play: the sound must have 1 to 64 sounds, not 0"),
    ("call:play({'a.wav', 5})", "call:play: the sound[2] must be a file"),
    (
        "call:play('a', {stop_on = 'x'})",
        "call:play: option 'stop_on' must be at most 128 digits out of '0123456789*#ABCD', or 'any', not the text 'x'",
    ),
    ("call:play('a', 'b')", "call:play: the options must be a table, not the text 'b'"),
    ("call:play('a', {1})", "call:play: an option's name cannot be 1"),
    ("call:gather {timout = 3}", "call:gather: unknown option 'timout'; did you mean 'timeout'?"),
    ("call:gather {colour = 3}", "call:gather: unknown option 'colour'; there are prompt, say, language"),
    ("call:gather {max = 0}", "call:gather: option 'max' must be a whole number from 1 to 128, not 0"),
    (
        "call:gather {max = 'four'}",
        "call:gather: option 'max' must be a whole number from 1 to 128, not the text 'four'",
    ),
    ("call:gather {max = 1.5}", "call:gather: option 'max' must be a whole number from 1 to 128, not 1.5"),
    ("call:gather {timeout = -1}", "call:gather: option 'timeout' must be a number of seconds from 0 to 86400, not -1"),
    ("call:gather {timeout = 0/0}", "call:gather: option 'timeout' must be a number of seconds"),
    ("call:gather {barge_in = 'no'}", "call:gather: option 'barge_in' must be true or false, not the text 'no'"),
    ("call:gather {prompt = {tone = 'x'}}", "call:gather: option 'prompt'.tone must be 'beep', 'ringing'"),
    ("call:gather {prompt = {say = 'x', speed = 2}}", "call:gather: option 'prompt': unknown option 'speed'"),
    ("call:say('')", "call:say: the text must not be empty"),
    ("call:say(5)", "call:say: the text must be a text, not 5"),
    ("call:say(('x'):rep(4001))", "call:say: the text must be at most 4000 characters long"),
    ("call:say('\\xff')", "call:say: the text must be UTF-8 text"),
    (
        "call:tone('bleep')",
        "call:tone: the tone must be 'beep', 'ringing', 'busy', 'congestion' or 'dial', or one or two frequencies, not the text 'bleep'",
    ),
    ("call:tone(5)", "call:tone: the tone must be a whole number from 20 to 3800, not 5"),
    ("call:tone({300, 400, 500})", "call:tone: the tone can have at most two frequencies"),
    (
        "call:record {stereo = true, party_only = true}",
        "call:record: 'stereo', 'party_only', 'legs' and 'room' exclude each other",
    ),
    ("call:record {file = 'a\\nb'}", "call:record: option 'file' must be a path below the folder"),
    ("call:dial()", "call:dial: give a SIP URI or a number, or a table of them, not nothing"),
    ("call:dial {}", "call:dial: there must be 1 to 32 targets, not 0"),
    (
        "call:dial('an na')",
        "call:dial: the target must be a SIP URI such as 'sip:anna@example.com', or a number, not the text 'an na'",
    ),
    ("call:dial {'sip:a@b', 5}", "call:dial: target 2 must be a text, not 5"),
    ("call:dial('sip:a@b c')", "call:dial: the target must be a SIP URI"),
    (
        "call:dial {'sip:a@b', strategy = 'any'}",
        "call:dial: option 'strategy' must be 'all' or 'in_turn', not the text 'any'",
    ),
    (
        "call:dial {'sip:a@b', headers = {Via = 'x'}}",
        "call:dial: option 'headers': a name must be a header name that is not the stack's own, not the text 'Via'",
    ),
    (
        "call:dial {'sip:a@b', headers = {['X-A'] = 'a\\r\\nb'}}",
        "call:dial: option 'headers': 'X-A' must be one line of text",
    ),
    ("call:dial {'sip:a@b', caller_id = 'a\\nb'}", "call:dial: option 'caller_id' must be one line of text"),
    ("call:bridge('x')", "call:bridge: the other call must be a call object, not the text 'x'"),
    ("call:join('')", "call:join: the room must not be empty"),
    ("call:reject(200)", "call:reject: the code must be a whole number from 300 to 699, not 200"),
    (
        "call:send_digits('1x')",
        "call:send_digits: the digits must be at most 128 digits out of '0123456789*#ABCD,', not the text '1x'",
    ),
    (
        "call:send_digits('1', {length = 9})",
        "call:send_digits: option 'length' must be a number of seconds from 0.04 to 5, not 9",
    ),
    ("call:sleep()", "call:sleep: the time must be a number of seconds from 0 to 86400, not nothing"),
    ("call:sleep('1')", "call:sleep: the time must be a number of seconds from 0 to 86400, not the text '1'"),
    ("call.answer()", "call:answer: write it with a colon, call:answer(...), on a call; found nothing"),
    ("store.get()", "store.get: the key must be a text, not nothing"),
    ("store:get('x')", "store.get: the key must be a text, not a table"),
    ("store.get(('x'):rep(257))", "store.get: the key must be at most 256 bytes long, not 257"),
    ("store.set('x', {})", "store.set: the value must be a text, a number, true, false or nil, not a table"),
    ("store.add('x', 'y')", "store.add: the value must be a whole number"),
    ("vars['a b'] = 1", "vars: a name must be letters, digits, '_', '-' and '.', not the text 'a b'"),
    ("vars.a = {}", "vars.a must be a text, a number, true, false or nil, not a table"),
    ("log('loud', 'x')", "log: the level must be 'debug', 'info', 'warn' or 'error', not 'loud'"),
    ("on_hangup()", "bad argument #1 to 'on_hangup' (function expected, got no value)"),
];

#[test]
fn misuse_names_the_line_the_argument_what_was_found_and_what_is_allowed() {
    for (text, message) in MISUSE {
        let run = Run::new(&format!("local x = 1\n\n{text}\nlog('never')"));
        let expected = format!("test.lua:3: {message}");
        assert!(run.error().starts_with(&expected), "{text}\n  {}\nis not\n  {expected}", run.error());
    }
}

#[test]
fn misuse_points_at_the_callers_line_through_functions_coroutines_and_pcalls() {
    let run = Run::new("local function f()\n  call:gather {maxx = 1}\nend\ncoroutine.wrap(function()\n  f()\nend)()");
    assert!(run.error().starts_with("test.lua:6: test.lua:2: call:gather: unknown option 'maxx'"), "{}", run.error());
    let caught = printed("print(pcall(function()\ncall:gather {maxx = 1} end))");
    assert!(
        caught[0].starts_with("false\ttest.lua:2: call:gather: unknown option 'maxx'; did you mean 'max'?"),
        "{caught:?}"
    );
}

#[test]
fn a_table_with_a_million_options_is_refused_at_the_first() {
    let run = Run::new("local t = {} for i = 1, 20000 do t['o' .. i] = 1 end call:gather(t)");
    assert!(run.error().contains("unknown option 'o"), "{}", run.error());
    let run = Run::new("local t = {} for i = 1, 60000 do t[i] = 'sip:a@b' end call:dial(t)");
    assert!(run.error().contains("there must be 1 to 32 targets, not 60000"), "{}", run.error());
}

#[test]
fn options_are_read_without_metamethods() {
    let run = Run::new("call:gather(setmetatable({}, {__index = function() while true do end end, __pairs = error}))");
    assert!(matches!(run.verb(), Verb::Gather(_)));
}

#[test]
fn another_machine_records_is_masked_and_stops() {
    let mut run = Run::new(
        "print(call:siprec {recorder = 'sips:srs@a.example'})
         call:siprec_mask()
         call:siprec_mask {on = false}
         print(call:siprec_stop())",
    );
    assert_eq!(run.verb(), &Verb::Siprec { recorder: Some("sips:srs@a.example".into()) });
    run.reply(Reply::Done);
    for on in [true, false] {
        assert_eq!(run.verb(), &Verb::SiprecMask { on });
        run.reply(Reply::Done);
    }
    assert_eq!(run.verb(), &Verb::SiprecStop);
    run.reply(Reply::Failed(Failure::NoSuchRecording));
    assert_eq!(run.lines(), ["true", "nil\tno_such_recording"]);
}
