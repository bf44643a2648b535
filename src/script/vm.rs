//! One flow's Lua VM: a machine that is resumed with replies and gives back steps. No clock, no thread.

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Thread, Value, chunk::ChunkMode};

use super::{
    Clock, Limits, Program,
    ask::Want,
    meter::Meter,
    native::{self, Shared, clean},
    prelude,
    reply::{self, Kinds},
    texts,
};
use crate::{
    facts::{Start, Stir},
    ids::CallId,
    verbs::{FlowEnd, KeepOp, Ran, Reply, Verb},
};

/// What a flow does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It asks, and waits: go on with [`Vm::resume`].
    Request(CallId, Verb),
    /// It asks and does not wait for the reply: go on with [`Vm::go_on`].
    Tell(CallId, Verb),
    /// It asks the key-value store, and waits: go on with [`Vm::resume`].
    Keep(KeepOp),
    /// A line for the log: go on with [`Vm::go_on`].
    Log(Level, String),
    /// Its time slice is over: let others run, then go on with [`Vm::go_on`].
    Slice,
    /// It is over, for good.
    Ended(FlowEnd),
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the script's author.
    Debug,
    /// Ordinary.
    Info,
    /// Somebody should look at it.
    Warn,
    /// Something failed.
    Error,
}

/// Finds the module that a script requires, by its path below the script folder; or says why there is none.
pub type Modules = Rc<dyn Fn(&str) -> Result<Program, String>>;

enum State {
    /// Not started.
    Fresh,
    /// The script runs or waits.
    Running(Thread),
    /// It is over; handlers run or wait.
    Ending(Thread, FlowEnd),
    /// Nothing more will come.
    Over,
}

/// A VM for one flow.
pub struct Vm {
    lua: Lua,
    shared: Rc<Shared>,
    begin: Function,
    enter: Function,
    finish: Function,
    handlers: Table,
    kinds: Kinds,
    state: State,
    /// What the script gets when it is resumed for the reply.
    want: Option<Want>,
    /// The steps to take, in order.
    steps: VecDeque<Step>,
}

impl Vm {
    /// A VM that stands ready. `clock` ends time slices; `modules` finds what scripts require.
    pub fn new(limits: Limits, clock: Clock, modules: Modules) -> Vm {
        Vm::build(limits, clock, modules).expect("nothing here depends on input, and memory is not limited yet")
    }

    fn build(limits: Limits, clock: Clock, modules: Modules) -> mlua::Result<Vm> {
        // The first handle collects garbage when dropped; do that while there is none.
        let first = Lua::new_with(StdLib::NONE, LuaOptions::new())?;
        let lua = first.clone();
        drop(first);
        lua.gc_stop();
        lua.load_std_libs(
            StdLib::COROUTINE | StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH | StdLib::OS,
        )?;
        let shared = Shared::new(Meter::new(limits, clock), modules);
        let prelude = lua.load(prelude::code("core")).set_mode(ChunkMode::Binary);
        let (begin, enter, finish, handlers, call, recording, playing) = prelude.call(native::table(&lua, &shared)?)?;
        shared.meter.install(&lua)?;
        let steps = VecDeque::new();
        let kinds = Kinds { call, recording, playing };
        Ok(Vm { lua, shared, begin, enter, finish, handlers, kinds, state: State::Fresh, want: None, steps })
    }

    /// Run `program` for the call of `start`.
    pub fn start(&mut self, program: &Program, start: &Start) -> Step {
        if !matches!(self.state, State::Fresh) {
            return self.give_up("started twice");
        }
        self.shared.call.set(start.call);
        self.shared.unix.set(start.unix);
        self.shared.ran.borrow_mut().version = Some(program.version.clone());
        // A VM may have stood in the pool for long: its time begins now.
        self.shared.meter.begin_slice(true);
        match self.prepare(program, start) {
            Ok((thread, chunk)) => {
                self.state = State::Running(thread);
                self.run(MultiValue::from_vec(vec![Value::Function(chunk)]), true)
            }
            Err(error) => self.over(failed(&error)),
        }
    }

    fn prepare(&self, program: &Program, start: &Start) -> mlua::Result<(Thread, Function)> {
        let (lua, facts) = (&self.lua, &start.facts);
        let pairs = |pairs: &[(String, String)]| -> mlua::Result<Option<Table>> {
            let pairs = (!pairs.is_empty()).then_some(pairs);
            pairs.map(|pairs| lua.create_table_from(pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())))).transpose()
        };
        let (leg, seed) = (start.call.0.cast_signed(), start.seed.cast_signed());
        let texts = [&facts.id, &facts.caller, &facts.caller_name, &facts.called, &facts.sip_call_id, &facts.source];
        let [id, caller, name, called, sip_call_id, source] = texts.map(String::as_str);
        let (route, headers) = (pairs(&start.vars)?, pairs(&facts.headers)?);
        let stir = facts.stir.as_ref().map(|stir| signature(lua, stir)).transpose()?;
        let (trunk, phone) = (facts.trunk.as_deref(), facts.phone.as_deref());
        let (inbound, letter) = (facts.inbound, texts::letter(lua, facts)?);
        let about = (
            leg,
            seed,
            id,
            caller,
            name,
            called,
            sip_call_id,
            source,
            inbound,
            trunk,
            phone,
            route,
            headers,
            stir,
            letter,
        );
        self.begin.call::<()>(about)?;
        let chunk = lua.load(&program.code[..]).set_mode(ChunkMode::Binary).into_function()?;
        let thread = lua.create_thread(self.enter.clone())?;
        // Without a limit `mlua` need not guard each of its calls; so it comes only now.
        lua.set_memory_limit(self.shared.meter.limits().memory.max(256 << 10))?;
        Ok((thread, chunk))
    }

    /// The answer to what was asked came, `elapsed` after the start.
    pub fn resume(&mut self, elapsed: Duration, reply: Reply) -> Step {
        let Some(want) = self.want.take() else { return self.give_up("resumed without having asked") };
        self.shared.elapsed.set(elapsed);
        match reply::values(&self.lua, &self.kinds, want, reply) {
            Ok(values) => self.run(values, true),
            Err(error) => self.end_failed(failed(&error)),
        }
    }

    /// Go on after a step that asked for nothing.
    pub fn go_on(&mut self) -> Step {
        if self.want.is_some() && self.steps.is_empty() {
            return self.give_up("went on without the reply");
        }
        self.steps.pop_front().unwrap_or_else(|| self.run(MultiValue::new(), false))
    }

    /// The call is gone, `elapsed` after the start: unwind the script, then run its handlers. Said a second time, give
    /// up on these, too.
    pub fn hang_up(&mut self, elapsed: Duration) -> Step {
        self.shared.elapsed.set(elapsed);
        self.want = None;
        self.steps.retain(|step| matches!(step, Step::Log(..) | Step::Tell(..)));
        let step = match std::mem::replace(&mut self.state, State::Over) {
            State::Running(thread) => self.end(FlowEnd::Stopped, Some(thread)),
            State::Ending(_, end) => self.over(end),
            State::Fresh | State::Over => self.over(FlowEnd::Stopped),
        };
        self.steps.push_back(step);
        self.steps.pop_front().expect("one was just put in")
    }

    /// True: the script is over, and only handlers run or wait.
    pub fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending(..))
    }

    /// Which text was run, and what it asked for.
    pub fn ran(&self) -> Ran {
        self.shared.ran.take()
    }

    /// Bytes that the VM uses.
    pub fn memory(&self) -> usize {
        self.lua.used_memory()
    }

    /// Run a slice. What it told comes first, then the step that ended it.
    fn run(&mut self, values: MultiValue, waited: bool) -> Step {
        let (State::Running(thread) | State::Ending(thread, _)) = &self.state else {
            return self.over(FlowEnd::Error("the flow is over".into()));
        };
        let thread = thread.clone();
        let meter = Rc::clone(&self.shared.meter);
        meter.begin_slice(waited);
        let result = catch_unwind(AssertUnwindSafe(|| thread.resume::<Option<bool>>(values)));
        meter.end_slice();
        self.steps.extend(self.shared.out.take());
        let step = match (meter.doom(), result) {
            (_, Err(panic)) => self.over(FlowEnd::Error(format!("internal error: {}", panic_text(&*panic)))),
            (Some(limit), _) => {
                let text = format!("stopped: the flow reached its limit '{limit}'\n{}", clean(&meter.traceback()));
                self.steps.push_back(Step::Log(Level::Error, text));
                self.end(FlowEnd::Limit(limit), None)
            }
            (None, Ok(Err(error))) => self.end_failed(failed(&error)),
            (None, Ok(Ok(success))) if thread.is_finished() => {
                let end = match (success, self.shared.failure.take()) {
                    (Some(false), Some(text)) => FlowEnd::Error(text),
                    // Lua asks no handler when memory runs out.
                    (Some(false), None) => FlowEnd::Limit("memory"),
                    _ => FlowEnd::Finished,
                };
                self.end_failed(end)
            }
            (None, Ok(Ok(_))) => match self.shared.asked.take() {
                Some(asked) => {
                    self.want = Some(asked.want);
                    asked.step
                }
                None => Step::Slice,
            },
        };
        self.steps.push_back(step);
        self.steps.pop_front().expect("one was just put in")
    }

    /// As [`Vm::end`]; where memory ran out, say so in the log.
    fn end_failed(&mut self, end: FlowEnd) -> Step {
        if let FlowEnd::Limit(limit) = end {
            let place = self.shared.meter.place();
            let text = format!("stopped: the flow reached its limit '{limit}' near {place}");
            self.steps.push_back(Step::Log(Level::Error, text));
        }
        self.end(end, None)
    }

    /// The script is over: close what is open in `unwind`, then let the handlers run.
    fn end(&mut self, end: FlowEnd, unwind: Option<Thread>) -> Step {
        if let State::Ending(_, end) = std::mem::replace(&mut self.state, State::Over) {
            return self.over(end);
        }
        if unwind.is_none() && self.handlers.raw_len() == 0 {
            return self.over(end);
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.begin_ending(&end, unwind)));
        self.steps.extend(self.shared.out.take());
        match result {
            Ok(Ok(Some(thread))) => {
                self.state = State::Ending(thread, end);
                Step::Slice
            }
            Ok(Ok(None)) => self.over(end),
            Ok(Err(error)) => {
                self.steps.push_back(Step::Log(Level::Error, format!("at the end: {}", text_of(&error))));
                self.over(end)
            }
            Err(panic) => self.over(FlowEnd::Error(format!("internal error: {}", panic_text(&*panic)))),
        }
    }

    fn begin_ending(&mut self, end: &FlowEnd, unwind: Option<Thread>) -> mlua::Result<Option<Thread>> {
        let reason = match end {
            FlowEnd::Finished => "finished",
            FlowEnd::Stopped => "hangup",
            FlowEnd::Error(_) => "error",
            FlowEnd::Limit(_) => "limit",
        };
        let (lua, meter) = (&self.lua, &self.shared.meter);
        self.shared.asked.take();
        self.shared.ending.set(true);
        meter.begin_ending(lua)?;
        meter.begin_slice(true);
        let rest: mlua::Result<Function> = self.finish.call((unwind, reason));
        meter.end_slice();
        if let Some(limit) = meter.doom() {
            let text = format!("stopped while closing: limit '{limit}'\n{}", clean(&meter.traceback()));
            self.steps.push_back(Step::Log(Level::Error, text));
        }
        meter.begin_ending(lua)?;
        if self.handlers.raw_len() == 0 {
            return Ok(None);
        }
        let rest = match rest {
            Ok(rest) => rest,
            Err(_) => self.finish.call((Value::Nil, reason))?,
        };
        lua.create_thread(rest).map(Some)
    }

    fn over(&mut self, end: FlowEnd) -> Step {
        self.state = State::Over;
        Step::Ended(end)
    }

    fn give_up(&mut self, why: &str) -> Step {
        self.steps.clear();
        self.over(FlowEnd::Error(format!("internal error: the flow was {why}")))
    }
}

/// How a flow ends that failed with `error`.
fn failed(error: &mlua::Error) -> FlowEnd {
    match error {
        mlua::Error::MemoryError(_) => FlowEnd::Limit("memory"),
        mlua::Error::CallbackError { cause, .. } if matches!(**cause, mlua::Error::MemoryError(_)) => {
            FlowEnd::Limit("memory")
        }
        other => FlowEnd::Error(text_of(other)),
    }
}

fn text_of(error: &mlua::Error) -> String {
    match error {
        mlua::Error::RuntimeError(text) => clean(text),
        mlua::Error::CallbackError { traceback, cause } => format!("{}\n{}", text_of(cause), clean(traceback)),
        other => other.to_string(),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic")
}

/// `call.stir`: what is known of the caller's signature.
fn signature(lua: &Lua, stir: &Stir) -> mlua::Result<Table> {
    let fields = [
        ("verdict", Some(stir.verdict.as_str())),
        ("attest", stir.attest),
        ("reason", stir.reason),
        ("origid", stir.origid.as_deref()),
    ];
    lua.create_table_from(fields.into_iter().filter_map(|(name, value)| Some((name, value?))))
}
