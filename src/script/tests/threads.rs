//! The library and the thread that drives many flows.

use std::{cell::Cell, fs, path::Path};

use tempfile::TempDir;
use tokio::sync::mpsc::channel;

use super::*;
use crate::{
    ids::RequestId,
    script::{
        Config, Library, ScriptError, check,
        thread::{FromScript, Outbox, Runner, spawn},
    },
    switch::Input,
    verbs::{Keep, Origin, Request, ToFlow},
};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn at(seconds: u64) -> Time {
    Time::START + Duration::from_secs(seconds)
}

#[test]
fn a_changed_script_is_served_after_a_second_and_the_old_one_goes_on_being_itself() {
    let folder = folder(&[("a.lua", "return 1")]);
    let mut library = Library::new(folder.path().into());
    let first = library.get(at(10), "a.lua").unwrap();
    write(folder.path(), "a.lua", "return 1000");
    assert_eq!(library.get(Time::START + Duration::from_millis(10_900), "a.lua").unwrap().code, first.code);
    let second = library.get(at(11), "a.lua").unwrap();
    assert_ne!(second.code, first.code);
    assert!(std::ptr::eq(&*library.get(at(20), "a.lua").unwrap().code, &*second.code), "it was not compiled again");
}

#[test]
fn a_script_that_does_not_compile_leaves_the_one_before_in_service_and_is_logged_once() {
    let folder = folder(&[("a.lua", "return 1")]);
    let mut library = Library::new(folder.path().into());
    let first = library.get(at(0), "a.lua").unwrap();
    write(folder.path(), "a.lua", "local x = 1\nreturn )");
    for second in 2..6 {
        assert_eq!(library.get(at(second), "a.lua").unwrap().code, first.code);
    }
    let complaints = library.take_complaints();
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].starts_with("a.lua:2: unexpected symbol near ')'; the one before"), "{complaints:?}");
    write(folder.path(), "a.lua", "return 22");
    assert_ne!(library.get(at(7), "a.lua").unwrap().code, first.code);
    fs::remove_file(folder.path().join("a.lua")).unwrap();
    for second in 9..12 {
        assert!(library.get(at(second), "a.lua").is_ok());
    }
    assert_eq!(library.take_complaints().len(), 1);
}

#[test]
fn missing_broken_and_foreign_scripts_are_clear_errors() {
    let folder = folder(&[("broken.lua", "x = = 1"), ("d/e.lua", "")]);
    let mut library = Library::new(folder.path().join("d"));
    write(folder.path(), "secret.lua", "return 1");
    assert_eq!(
        library.get(at(0), "no.lua").unwrap_err().to_string(),
        "there is no script 'no.lua' in the script folder"
    );
    for name in ["../secret.lua", "/etc/passwd", "", "a/../../secret.lua", ".", "a\\b", "a\0b", "./e.lua"] {
        assert!(matches!(library.get(at(0), name), Err(ScriptError::BadName(_))), "{name:?}");
    }
    assert!(library.get(at(0), "e.lua").is_ok());
    let mut library = Library::new(folder.path().into());
    assert_eq!(library.get(at(0), "broken.lua").unwrap_err().to_string(), "broken.lua:1: unexpected symbol near '='");
    assert!(matches!(library.get(at(0), "d"), Err(ScriptError::Unreadable(..))));
    write(folder.path(), "broken.lua", "x = 1 + 1");
    assert!(library.get(at(0), "broken.lua").is_err(), "it is looked at once a second");
    assert!(library.get(at(1), "broken.lua").is_ok());
}

#[test]
fn check_reads_all_folders_and_names_each_fault() {
    let folder = folder(&[
        ("a.lua", "x = = 1"),
        ("b/c.lua", "for"),
        ("b/d.lua", "#!/usr/bin/lua\nreturn 1"),
        ("e.txt", "x = ="),
    ]);
    let errors: Vec<String> = check(folder.path()).iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["a.lua:1: unexpected symbol near '='", "b/c.lua:1: <name> expected near <eof>"]);
    assert_eq!(check(&folder.path().join("nowhere")).len(), 1);
}

#[test]
fn bytecode_is_no_script() {
    let code = program("x", "return 1").code;
    assert!(matches!(Program::compile("x.lua", &code), Err(ScriptError::Syntax(_))));
}

/// A runner over a folder, with a clock that the test moves, and that moves a little at each look.
struct Bench {
    runner: Runner,
    time: Rc<Cell<Time>>,
    _folder: TempDir,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Bench {
        let folder = folder(files);
        let time = Rc::new(Cell::new(Time::START));
        let shown = Rc::clone(&time);
        let clock: Clock = Rc::new(move || {
            shown.set(shown.get() + Duration::from_micros(10));
            shown.get()
        });
        let config = Config { folder: folder.path().into(), pool: 2, limits: Limits::default() };
        Bench { runner: Runner::new(config, clock), time, _folder: folder }
    }

    fn start(&mut self, flow: u64, script: &str) {
        let start = Start { flow: FlowId(flow), call: CallId(flow), ..start(script) };
        self.runner.handle(ToFlow::Start(Box::new(start)));
    }

    fn reply(&mut self, flow: u64, request: u64, reply: Reply) {
        self.runner.handle(ToFlow::Reply { flow: FlowId(flow), request: RequestId(request), reply });
    }

    fn run(&mut self) -> Vec<FromScript> {
        while self.runner.turn() {}
        self.said()
    }

    fn said(&mut self) -> Vec<FromScript> {
        // What they did is looked at elsewhere.
        let said = std::iter::from_fn(|| self.runner.poll()).map(|word| match word {
            FromScript::Ended { flow, end, .. } => FromScript::Ended { flow, end, ran: Box::default() },
            word => word,
        });
        said.collect()
    }
}

fn request(flow: u64, id: u64, verb: Verb) -> FromScript {
    FromScript::Request(Request { origin: Origin::Flow(FlowId(flow)), id: RequestId(id), call: CallId(flow), verb })
}

fn ended(flow: u64, end: FlowEnd) -> FromScript {
    FromScript::Ended { flow: FlowId(flow), end, ran: Box::default() }
}

#[test]
fn a_flow_asks_waits_tells_and_ends() {
    let mut bench = Bench::new(&[("a.lua", "call:answer() vars.x = 1 store.get('k') call:ring()")]);
    bench.start(5, "a.lua");
    assert_eq!(bench.run(), [request(5, 1, Verb::Answer)]);
    bench.reply(5, 1, Reply::Done);
    let set = Verb::SetVar { name: "x".into(), value: Some("1".into()) };
    let keep = FromScript::Keep(Keep { flow: FlowId(5), id: RequestId(3), op: KeepOp::Get { key: "k".into() } });
    assert_eq!(bench.run(), [request(5, 2, set), keep]);
    bench.reply(5, 2, Reply::Done);
    assert_eq!(bench.run(), [], "nobody waits for the reply to a var");
    bench.reply(5, 3, Reply::Value(None));
    assert_eq!(bench.run(), [request(5, 4, Verb::Ring)]);
    bench.reply(5, 4, Reply::Done);
    assert_eq!(bench.run(), [ended(5, FlowEnd::Finished)]);
    bench.reply(5, 4, Reply::Done);
    bench.runner.handle(ToFlow::Stop { flow: FlowId(5) });
    assert_eq!(bench.run(), []);
}

#[test]
fn a_stop_beats_a_reply_that_comes_at_the_same_time() {
    let mut bench = Bench::new(&[("a.lua", "call:answer() call:ring()")]);
    for stop_first in [true, false] {
        bench.start(1, "a.lua");
        bench.run();
        if stop_first {
            bench.runner.handle(ToFlow::Stop { flow: FlowId(1) });
        }
        bench.reply(1, 1, Reply::Done);
        if !stop_first {
            bench.runner.handle(ToFlow::Stop { flow: FlowId(1) });
        }
        assert_eq!(bench.run(), [ended(1, FlowEnd::Stopped)]);
    }
}

#[test]
fn a_stop_while_handlers_run_lets_them_finish() {
    let mut bench = Bench::new(&[("a.lua", "on_hangup(function() store.add('n') end)")]);
    bench.start(1, "a.lua");
    assert!(matches!(bench.run()[..], [FromScript::Keep(_)]));
    bench.runner.handle(ToFlow::Stop { flow: FlowId(1) });
    assert_eq!(bench.run(), []);
    bench.reply(1, 1, Reply::Value(Some("1".into())));
    assert_eq!(bench.run(), [ended(1, FlowEnd::Finished)]);
}

#[test]
fn a_missing_script_ends_its_flow_with_a_clear_error() {
    let mut bench = Bench::new(&[]);
    bench.start(1, "no.lua");
    let text = "there is no script 'no.lua' in the script folder".to_owned();
    assert_eq!(bench.run(), [ended(1, FlowEnd::Error(text))]);
}

#[test]
fn flows_share_the_thread_fairly_and_a_stuck_one_delays_others_by_its_slice_only() {
    let mut bench = Bench::new(&[("loop.lua", "while true do end"), ("ask.lua", "while true do call:ring() end")]);
    for flow in 1..=3 {
        bench.start(flow, "loop.lua");
    }
    bench.start(9, "ask.lua");
    let mut asked = 0;
    for _ in 0..40 {
        for message in bench.said() {
            if let FromScript::Request(request) = message {
                asked += 1;
                bench.reply(9, request.id.0, Reply::Done);
            }
        }
        let before = bench.time.get();
        bench.runner.turn();
        assert!(bench.time.get() - before < Duration::from_micros(1200));
    }
    assert!(asked >= 9, "asked {asked} times in 40 turns among four");
}

#[test]
fn a_stuck_flow_ends_by_the_clock_and_alone() {
    let mut bench = Bench::new(&[("loop.lua", "while true do end"), ("ask.lua", "call:ring()")]);
    bench.start(1, "loop.lua");
    bench.start(2, "ask.lua");
    let said = bench.run();
    assert_eq!(said, [request(2, 1, Verb::Ring), ended(1, FlowEnd::Limit("run_time"))]);
    assert!(bench.time.get() > at(5) && bench.time.get() < at(7), "{}", bench.time.get());
    bench.reply(2, 1, Reply::Done);
    assert_eq!(bench.run(), [ended(2, FlowEnd::Finished)]);
}

#[test]
fn a_failing_flow_says_where() {
    let mut bench = Bench::new(&[("a.lua", "local x\nprint(x.y)")]);
    bench.start(1, "a.lua");
    let said = bench.run();
    assert!(
        matches!(&said[..], [FromScript::Ended { end: FlowEnd::Error(text), .. }] if text.starts_with("a.lua:2: attempt to index a nil value")),
        "{said:?}"
    );
}

#[test]
fn new_calls_get_the_new_script_and_running_calls_keep_theirs() {
    let mut bench = Bench::new(&[("a.lua", "call:ring() call:sleep(1)")]);
    bench.start(1, "a.lua");
    assert_eq!(bench.run(), [request(1, 1, Verb::Ring)]);
    write(bench._folder.path(), "a.lua", "call:answer()");
    bench.time.set(at(2));
    bench.start(2, "a.lua");
    bench.reply(1, 1, Reply::Done);
    assert_eq!(bench.run(), [request(2, 1, Verb::Answer), request(1, 2, Verb::Sleep(Duration::from_secs(1)))]);
}

#[test]
fn the_pool_is_filled_to_its_size() {
    let mut bench = Bench::new(&[]);
    assert!(bench.runner.fill_pool() && bench.runner.fill_pool() && !bench.runner.fill_pool());
}

#[test]
fn a_real_thread_runs_flows_and_waits_when_its_outbox_is_full() {
    let folder = folder(&[("a.lua", "for i = 1, 50 do vars['v' .. i] = i end call:answer()")]);
    let (control, mut said) = channel(1);
    let outbox = Outbox { control, keep: channel(1).0 };
    let config = Config { folder: folder.path().into(), pool: 2, limits: Limits::default() };
    let script = spawn(0, config, || Time::START, outbox).unwrap();
    for flow in 1..=3 {
        let start = Start { flow: FlowId(flow), ..start("a.lua") };
        script.blocking_send(ToFlow::Start(Box::new(start))).unwrap();
    }
    let (mut vars, mut ends) = (0, 0);
    while ends < 3 {
        match said.blocking_recv().unwrap() {
            Input::Request(Request { verb: Verb::SetVar { .. }, .. }) => vars += 1,
            Input::Request(Request { origin: Origin::Flow(flow), id, .. }) => {
                script.blocking_send(ToFlow::Reply { flow, request: id, reply: Reply::Done }).unwrap();
            }
            Input::FlowEnded { end, .. } => {
                assert_eq!(end, FlowEnd::Finished);
                ends += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(vars, 150);
    drop(script);
    assert!(said.blocking_recv().is_none(), "the thread ends with its inbox");
}
