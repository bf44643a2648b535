//! What the prelude finds in its table `rust`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use mlua::{Function, IntoLua, Lua, MultiValue, Table, Value, chunk::ChunkMode, debug::Debug};

use super::{
    args::{Given, Refusal},
    ask::{Arguments, Asked, ask, is_function, kept_value},
    hook,
    meter::Meter,
    prelude, strings,
    vm::{Level, Modules, Step},
};
use crate::{
    ids::CallId,
    verbs::{Ran, Verb},
};

/// Log lines and vars that may wait to be told; then the script yields.
const MOST_TOLD: usize = 100;
/// Longest line of the log, in bytes.
const LONGEST_LINE: usize = 4096;
/// Longest value of a var, in bytes.
const LONGEST_VAR: usize = 4096;

/// What a VM and the functions in it share.
pub(super) struct Shared {
    pub meter: Rc<Meter>,
    /// What the script wants, noted just before it yields.
    pub asked: RefCell<Option<Asked>>,
    /// What is to be told before the next step.
    pub out: RefCell<VecDeque<Step>>,
    /// How the script failed: message and traceback.
    pub failure: RefCell<Option<String>>,
    /// What the script asked for so far.
    pub ran: RefCell<Ran>,
    /// Only closers and handlers run now.
    pub ending: Cell<bool>,
    pub call: Cell<CallId>,
    /// When the flow began, and how long ago that was at the last resume.
    pub unix: Cell<Duration>,
    pub elapsed: Cell<Duration>,
    modules: Modules,
}

impl Shared {
    pub(super) fn new(meter: Rc<Meter>, modules: Modules) -> Rc<Shared> {
        Rc::new(Shared {
            meter,
            asked: RefCell::default(),
            out: RefCell::default(),
            failure: RefCell::default(),
            ran: RefCell::default(),
            ending: Cell::default(),
            call: Cell::default(),
            unix: Cell::default(),
            elapsed: Cell::default(),
            modules,
        })
    }

    /// True: no more now.
    fn tell(&self, step: Step) -> bool {
        let mut out = self.out.borrow_mut();
        if out.len() < 2 * MOST_TOLD {
            out.push_back(step);
        }
        out.len() >= MOST_TOLD
    }

    /// Answers of the prelude's `ask`: nothing (wait), `true, word` (an expected failure), `false, text` (misuse).
    fn ask(&self, lua: &Lua, can_wait: bool, name: &str, given: &Arguments) -> mlua::Result<MultiValue> {
        let answer = |first: bool, text: &str| -> mlua::Result<MultiValue> {
            Ok(MultiValue::from_vec(vec![Value::Boolean(first), text.into_lua(lua)?]))
        };
        let asked = match ask(name, given) {
            Ok(asked) => asked,
            Err(Refusal::Misuse(text)) => return answer(false, &text),
            Err(Refusal::Lua(error)) => return Err(error),
        };
        let store = matches!(asked.step, Step::Keep(_));
        if self.ending.get() && !(store && can_wait) {
            return answer(true, "hangup");
        }
        if !can_wait {
            return answer(false, "this cannot wait here: Lua called it from within C code, such as __tostring");
        }
        self.ran.borrow_mut().note(step(lua, name));
        *self.asked.borrow_mut() = Some(asked);
        self.meter.set_yields(true);
        Ok(MultiValue::new())
    }

    /// Take back what was asked for. False: nothing was.
    fn cancel(&self) -> bool {
        self.meter.set_yields(false);
        self.asked.take().is_some()
    }

    /// The script fails with `error`, and is still where it failed.
    fn failed(&self, lua: &Lua, error: Value) -> mlua::Result<Value> {
        let text = match &error {
            Value::Error(error) => error.to_string(),
            other => other.to_string()?,
        };
        let traceback = lua.traceback(None, 1)?.to_string_lossy();
        *self.failure.borrow_mut() = Some(clean(&format!("{text}\n{traceback}")));
        Ok(error)
    }

    fn log(&self, level: &str, text: &[u8]) -> (Option<String>, bool) {
        let level = match level {
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" => Level::Warn,
            "error" => Level::Error,
            other => {
                return (
                    Some(format!("log: the level must be 'debug', 'info', 'warn' or 'error', not '{other}'")),
                    false,
                );
            }
        };
        let short = String::from_utf8_lossy(&text[..text.len().min(LONGEST_LINE)]).into_owned();
        (None, self.tell(Step::Log(level, short)))
    }

    /// The value as it reads from now on, a refusal, and whether the script shall yield.
    fn set_var(&self, name: &Value, value: &Value) -> mlua::Result<(Option<String>, Option<String>, bool)> {
        let checked = || {
            let given = Given { place: "vars: a name".into(), value: name.clone() };
            let name = given.text(64)?;
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
            if !plain {
                return given.wrong("letters, digits, '_', '-' and '.'");
            }
            let value = kept_value(&Given { place: format!("vars.{name}"), value: value.clone() }, LONGEST_VAR)?;
            Ok((name, value))
        };
        match checked() {
            Ok((name, value)) => {
                let step = Step::Tell(self.call.get(), Verb::SetVar { name, value: value.clone() });
                Ok((value, None, self.tell(step)))
            }
            Err(Refusal::Misuse(text)) => Ok((None, Some(text), false)),
            Err(Refusal::Lua(error)) => Err(error),
        }
    }

    fn module(&self, lua: &Lua, name: &str) -> mlua::Result<(Option<Function>, Option<String>)> {
        let parts: Vec<&str> = name.split('.').collect();
        let plain = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '/')
        };
        let path = parts.join("/");
        if !parts.iter().all(plain) || path.starts_with('/') || path.contains("//") || path.ends_with('/') {
            let text =
                format!("module '{name}': a name is made of letters, digits, '_' and '-', with '.' between folders");
            return Ok((None, Some(text)));
        }
        match (self.modules)(&format!("{path}.lua")) {
            Ok(program) => {
                let chunk = lua.load(&program.code[..]).set_mode(ChunkMode::Binary).into_function()?;
                Ok((Some(chunk), None))
            }
            Err(error) => Ok((None, Some(format!("module '{name}': {error}")))),
        }
    }
}

/// Frames between the script's line and us: the function's Lua half, and one for a script's own coroutine library.
const FRAMES: std::ops::Range<usize> = 1..6;

/// What the script asks for, and from which line: `menu.lua:12 play`. The library's own frames have no lines; nor has
/// what was called as the last act of the script (a tail call).
fn step(lua: &Lua, name: &str) -> String {
    let word = name.strip_prefix("call.").unwrap_or(name);
    let step = |frame: &Debug<'_>| {
        let line = frame.current_line()?;
        Some(format!("{}:{line} {word}", frame.source().short_src?))
    };
    let found = FRAMES.into_iter().find_map(|level| lua.inspect_stack(level, step).flatten());
    found.unwrap_or_else(|| word.to_owned())
}

/// A traceback without the lines that say nothing to the script's author: those of C and of the prelude.
pub(super) fn clean(text: &str) -> String {
    let nothing = ["\t[C]:", "\t?", "\t(...tail calls...)"];
    let says_something = |line: &&str| !nothing.iter().any(|start| line.starts_with(start));
    text.lines().filter(says_something).collect::<Vec<_>>().join("\n")
}

/// Make the table.
pub(super) fn table(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let rust = lua.create_table_with_capacity(0, 12)?;
    let limits = shared.meter.limits();
    rust.raw_set("sign", strings::sign())?;
    rust.raw_set("stopped", hook::MESSAGE)?;
    rust.raw_set("coroutines", limits.coroutines)?;
    rust.raw_set("memory", limits.memory)?;

    let own = Rc::clone(shared);
    let asking = move |lua: &Lua, (can_wait, name, own_value, a, b): (bool, mlua::LuaString, Value, Value, Value)| {
        own.ask(lua, can_wait, &name.to_str()?, &Arguments { call: own.call.get(), own: own_value, a, b })
    };
    rust.raw_set("ask", lua.create_function(asking)?)?;
    let knowing = |_: &Lua, (prefix, name): (mlua::LuaString, mlua::LuaString)| {
        Ok(is_function(&prefix.to_string_lossy(), &name.to_string_lossy()))
    };
    rust.raw_set("knows", lua.create_function(knowing)?)?;
    let own = Rc::clone(shared);
    rust.raw_set("cancel", lua.create_function(move |_, ()| Ok(own.cancel()))?)?;
    let meter = Rc::clone(&shared.meter);
    rust.raw_set("find", lua.create_function(move |lua, given| strings::find(lua, &meter, given))?)?;
    let meter = Rc::clone(&shared.meter);
    rust.raw_set("go_on_finding", lua.create_function(move |lua, of| strings::go_on_finding(lua, &meter, of))?)?;
    let own = Rc::clone(shared);
    let logging = move |_: &Lua, (level, text): (mlua::LuaString, mlua::LuaString)| {
        Ok(own.log(&level.to_string_lossy(), &text.as_bytes()))
    };
    rust.raw_set("log", lua.create_function(logging)?)?;
    let own = Rc::clone(shared);
    let setting = move |_: &Lua, (name, value): (Value, Value)| own.set_var(&name, &value);
    rust.raw_set("set_var", lua.create_function(setting)?)?;
    let own = Rc::clone(shared);
    let telling_time = move |_: &Lua, ()| {
        let elapsed = own.elapsed.get();
        Ok(((own.unix.get() + elapsed).as_secs(), elapsed.as_secs_f64()))
    };
    rust.raw_set("time", lua.create_function(telling_time)?)?;
    let part = |lua: &Lua, name: mlua::LuaString| {
        lua.load(prelude::code(&name.to_str()?)).set_mode(ChunkMode::Binary).into_function()
    };
    rust.raw_set("part", lua.create_function(part)?)?;
    let own = Rc::clone(shared);
    rust.raw_set("failed", lua.create_function(move |lua, error: Value| own.failed(lua, error))?)?;
    let own = Rc::clone(shared);
    let loading = move |lua: &Lua, name: mlua::LuaString| own.module(lua, &name.to_string_lossy());
    rust.raw_set("module", lua.create_function(loading)?)?;
    Ok(rust)
}
