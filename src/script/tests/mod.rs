//! Scripts against a scripted world, in virtual time.

mod api;
mod bad;
mod docs;
mod lua;
mod paths;
mod patterns;
mod roster;
mod samples;
mod texts;
mod threads;

use std::{rc::Rc, time::Duration};

use super::{Clock, Level, Limits, Modules, Program, Step, Vm};
use crate::{
    facts::{Facts, Start},
    ids::{CallId, FlowId},
    time::Time,
    verbs::{FlowEnd, KeepOp, Reply, Text, Verb},
};

/// The call that every flow of these tests is about.
pub(super) const CALL: CallId = CallId(7);

pub(super) fn start(script: &str) -> Start {
    Start {
        flow: FlowId(1),
        call: CALL,
        script: script.into(),
        facts: Facts {
            phone: None,
            id: "c7-01".into(),
            caller: "1001".into(),
            caller_name: "Anna".into(),
            called: "200".into(),
            sip_call_id: "x@y".into(),
            source: "192.0.2.1:5060".into(),
            trunk: Some("carrier".into()),
            inbound: true,
            headers: vec![("X-Account".into(), "gold".into())],
            stir: None,
            message: None,
        },
        vars: vec![("colour".into(), "blue".into())],
        // 2026-03-02 10:30:00 UTC, a Monday.
        unix: Duration::from_secs(1_772_447_400),
        seed: 42,
    }
}

pub(super) fn still() -> Clock {
    Rc::new(|| Time::START)
}

pub(super) fn no_modules() -> Modules {
    Rc::new(|name| Err(format!("there is no script '{name}'")))
}

pub(super) fn program(name: &str, text: &str) -> Program {
    Program::compile(name, text.as_bytes()).unwrap()
}

/// A flow under test, with all that it said.
pub(super) struct Run {
    pub(super) vm: Vm,
    pub(super) step: Step,
    pub(super) logs: Vec<(Level, String)>,
    pub(super) told: Vec<Verb>,
    pub(super) asked: Vec<Verb>,
    pub(super) slices: usize,
    pub(super) elapsed: Duration,
}

impl Run {
    /// Start `text` and go up to its first wait, or its end.
    pub(super) fn new(text: &str) -> Run {
        Run::with(text, Limits::default(), no_modules())
    }

    pub(super) fn with(text: &str, limits: Limits, modules: Modules) -> Run {
        let mut vm = Vm::new(limits, still(), modules);
        let step = vm.start(&program("test.lua", text), &start("test.lua"));
        Run::of(vm, step)
    }

    /// Start `text` for a message.
    pub(super) fn letter(text: &str) -> Run {
        let mut vm = Vm::new(Limits::default(), still(), no_modules());
        let mut start = start("test.lua");
        start.facts.message = Some(Box::new(Text { kind: "text/plain".into(), text: "Stop it".into() }));
        let step = vm.start(&program("test.lua", text), &start);
        Run::of(vm, step)
    }

    /// A VM that was just started.
    pub(super) fn of(vm: Vm, step: Step) -> Run {
        let (logs, told, asked) = Default::default();
        let mut run = Run { vm, step, logs, told, asked, slices: 0, elapsed: Duration::ZERO };
        run.settle();
        run
    }

    /// Go on to the next wait or the end.
    fn settle(&mut self) {
        loop {
            match &self.step {
                Step::Slice => self.slices += 1,
                Step::Log(level, text) => self.logs.push((*level, text.clone())),
                Step::Tell(call, verb) => {
                    assert_eq!(*call, CALL);
                    self.told.push(verb.clone());
                }
                Step::Request(_, verb) => return self.asked.push(verb.clone()),
                Step::Keep(_) | Step::Ended(_) => return,
            }
            assert!(self.slices < 100_000, "it goes on for ever");
            self.step = self.vm.go_on();
        }
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        self.step = self.vm.resume(self.elapsed, reply);
        self.settle();
    }

    pub(super) fn hang_up(&mut self) {
        self.step = self.vm.hang_up(self.elapsed);
        self.settle();
    }

    /// Answer everything with `answer`, up to the end.
    pub(super) fn drive(&mut self, mut answer: impl FnMut(&Verb) -> Reply) -> FlowEnd {
        for _ in 0..10_000 {
            let reply = match &self.step {
                Step::Request(_, verb) => answer(verb),
                Step::Keep(KeepOp::Add { by, .. }) => Reply::Value(Some(by.to_string())),
                Step::Keep(KeepOp::Resource { kind, .. }) => roster::there(*kind),
                Step::Keep(_) => Reply::Value(None),
                Step::Ended(end) => return end.clone(),
                step => panic!("{step:?} was not settled"),
            };
            self.reply(reply);
        }
        panic!("it asks for ever");
    }

    pub(super) fn verb(&self) -> &Verb {
        match &self.step {
            Step::Request(_, verb) => verb,
            step => panic!("{step:?} instead of a request; log: {:?}", self.logs),
        }
    }

    pub(super) fn end(&self) -> &FlowEnd {
        match &self.step {
            Step::Ended(end) => end,
            step => panic!("{step:?} instead of an end"),
        }
    }

    /// The error that ended it.
    pub(super) fn error(&self) -> &str {
        match self.end() {
            FlowEnd::Error(text) => text,
            end => panic!("{end:?} instead of an error; log: {:?}", self.logs),
        }
    }

    /// The lines of the log, without levels.
    pub(super) fn lines(&self) -> Vec<&str> {
        self.logs.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// Run `text`, which asks for nothing, and give what it printed.
pub(super) fn printed(text: &str) -> Vec<String> {
    let run = Run::new(text);
    assert_eq!(run.end(), &FlowEnd::Finished, "log: {:?}", run.logs);
    run.lines().into_iter().map(str::to_owned).collect()
}
