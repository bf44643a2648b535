//! `string.find`, `match`, `gmatch` and `gsub` over [`super::pattern`], a time slice at a time.

use std::{ops::Range, rc::Rc};

use mlua::{AnyUserData, IntoLua, LightUserData, Lua, LuaString, MultiValue, UserData, Value};

use super::{
    meter::Meter,
    pattern::{Captured, Malformed, Progress, Search, is_plain},
};

/// Steps between two looks at the clock.
const STEPS: usize = 10_000;

/// What is wanted of a search.
enum Job {
    /// Positions and captures.
    Find,
    /// Captures.
    Match,
    /// The position behind the match, and captures.
    GMatch,
    /// Both positions and captures.
    Pieces,
    /// The whole of `gsub` with a text.
    Replace(Replace),
}

struct Replace {
    with: LuaString,
    most: i64,
    count: i64,
    /// Up to where the subject was copied.
    copied: usize,
    out: Vec<u8>,
}

/// A search that is not through.
struct Paused {
    job: Job,
    search: Search,
    subject: LuaString,
    pattern: LuaString,
}

impl UserData for Paused {}

enum Trouble {
    Misuse(String),
    Lua(mlua::Error),
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Trouble {
        Trouble::Misuse(malformed.0)
    }
}

impl From<mlua::Error> for Trouble {
    fn from(error: mlua::Error) -> Trouble {
        Trouble::Lua(error)
    }
}

/// The value that marks an answer as not being a result.
pub(super) fn sign() -> Value {
    static MARK: u8 = 0;
    Value::LightUserData(LightUserData((&raw const MARK).cast_mut().cast()))
}

type Arguments = (LuaString, Value, Value, Value, Value);

/// `find(job, subject, pattern, number, more)`.
pub(super) fn find(lua: &Lua, meter: &Rc<Meter>, arguments: Arguments) -> mlua::Result<MultiValue> {
    answer(
        lua,
        begin(lua, arguments).and_then(|begun| match begun {
            Begun::Search(paused) => go_on(lua, meter, paused),
            Begun::Done(values) => Ok(values),
        }),
    )
}

/// Go on with a search that was not through.
pub(super) fn go_on_finding(lua: &Lua, meter: &Rc<Meter>, paused: AnyUserData) -> mlua::Result<MultiValue> {
    let paused = paused.take::<Paused>()?;
    answer(lua, go_on(lua, meter, paused))
}

fn answer(lua: &Lua, result: Result<MultiValue, Trouble>) -> mlua::Result<MultiValue> {
    match result {
        Ok(values) => Ok(values),
        Err(Trouble::Misuse(text)) => Ok(MultiValue::from_vec(vec![sign(), text.into_lua(lua)?])),
        Err(Trouble::Lua(error)) => Err(error),
    }
}

enum Begun {
    Search(Paused),
    Done(MultiValue),
}

fn begin(lua: &Lua, (job, subject, pattern, number, more): Arguments) -> Result<Begun, Trouble> {
    let job = job.to_string_lossy();
    let function = match job.as_str() {
        "find" => "find",
        "match" => "match",
        "replace" | "gsub" => "gsub",
        _ => "gmatch",
    };
    let subject = text(lua, subject, 1, function)?;
    let pattern = text(lua, pattern, 2, function)?;
    let length = subject.as_bytes().len();
    let (job, search) = {
        let magic = pattern.as_bytes();
        match job.as_str() {
            "find" | "match" | "check" => {
                let from = start(number, length, function)?;
                if job == "check" {
                    return Ok(Begun::Done(MultiValue::from_vec(vec![(from.min(length + 1) + 1).into_lua(lua)?])));
                }
                if from > length {
                    return Ok(Begun::Done(MultiValue::from_vec(vec![Value::Nil])));
                }
                let plain = job == "find" && (!matches!(more, Value::Nil | Value::Boolean(false)) || is_plain(&magic));
                let search = if plain { Search::plain(from) } else { Search::new(from, None, &magic, true) };
                (if job == "find" { Job::Find } else { Job::Match }, search)
            }
            "replace" => {
                let with = lua.coerce_string(more)?.ok_or_else(|| Trouble::Misuse("no replacement".into()))?;
                let most = number.as_i64().unwrap_or(i64::MAX);
                let replace = Replace { with, most, count: 0, copied: 0, out: Vec::new() };
                (Job::Replace(replace), Search::new(0, None, &magic, true))
            }
            _ => {
                let from = before(&number).unwrap_or(0);
                let pieces = function == "gsub";
                (if pieces { Job::Pieces } else { Job::GMatch }, Search::new(from, before(&more), &magic, pieces))
            }
        }
    };
    Ok(Begun::Search(Paused { job, search, subject, pattern }))
}

fn text(lua: &Lua, value: Value, number: u8, function: &str) -> Result<LuaString, Trouble> {
    let found = if value.is_nil() { "no value" } else { value.type_name() };
    let wrong = || Trouble::Misuse(format!("bad argument #{number} to '{function}' (string expected, got {found})"));
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(_) | Value::Number(_) => lua.coerce_string(value)?.ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// Where a search begins, counted from 0; negative numbers count from the end.
fn start(number: Value, length: usize, function: &str) -> Result<usize, Trouble> {
    let wrong = |what: &str| Err(Trouble::Misuse(format!("bad argument #3 to '{function}' ({what})")));
    let at = match number {
        Value::Nil => 1,
        Value::Integer(at) => at,
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        Value::Number(at) if at.fract() == 0.0 && at.abs() < 9e15 => at as i64,
        Value::Number(_) => return wrong("number has no integer representation"),
        other => return wrong(&format!("number expected, got {}", other.type_name())),
    };
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if at > 0 {
        at - 1
    } else if at == 0 {
        0
    } else {
        length.saturating_add(at).max(0)
    };
    Ok(usize::try_from(at).unwrap_or(usize::MAX))
}

/// The prelude's own positions count from 1.
fn before(position: &Value) -> Option<usize> {
    position.as_usize().and_then(|at| at.checked_sub(1))
}

fn go_on(lua: &Lua, meter: &Rc<Meter>, mut paused: Paused) -> Result<MultiValue, Trouble> {
    loop {
        let mut steps = STEPS;
        let done = turn(lua, &mut paused, &mut steps, meter.limits().memory)?;
        let over = meter.charge(STEPS - steps);
        if let Some(values) = done {
            return Ok(values);
        }
        if over {
            return Ok(MultiValue::from_vec(vec![sign(), Value::UserData(lua.create_userdata(paused)?)]));
        }
    }
}

/// One turn; none: not through.
fn turn(lua: &Lua, paused: &mut Paused, steps: &mut usize, memory: usize) -> Result<Option<MultiValue>, Trouble> {
    let Paused { job, search, subject, pattern } = paused;
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    loop {
        let found = match search.run(&subject, &pattern, steps)? {
            Progress::More => return Ok(None),
            Progress::Nothing => match job {
                Job::Replace(replace) => return replace.finish(lua, &subject).map(Some),
                _ => return Ok(Some(MultiValue::from_vec(vec![Value::Nil]))),
            },
            Progress::Found(found) => found,
        };
        let mut values = MultiValue::new();
        match job {
            Job::Replace(replace) => {
                if replace.most <= replace.count {
                    return replace.finish(lua, &subject).map(Some);
                }
                replace.add(&subject, search, &found)?;
                if replace.out.len() > memory {
                    return Err(Trouble::Misuse("not enough memory for 'gsub'".into()));
                }
                *steps = steps.saturating_sub(replace.with.as_bytes().len() / 16);
                if !search.go_on(found.end) || replace.most <= replace.count {
                    return replace.finish(lua, &subject).map(Some);
                }
                continue;
            }
            Job::Find => {
                values.push_back((found.start + 1).into_lua(lua)?);
                values.push_back(found.end.into_lua(lua)?);
            }
            Job::Match => {}
            Job::GMatch => values.push_back((found.end + 1).into_lua(lua)?),
            Job::Pieces => {
                values.push_back((found.start + 1).into_lua(lua)?);
                values.push_back((found.end + 1).into_lua(lua)?);
            }
        }
        let whole = usize::from(!matches!(job, Job::Find));
        for index in 0..search.captures().max(whole) {
            values.push_back(match search.capture(index, &found)? {
                Captured::Part(range) => Value::String(lua.create_string(&subject[range])?),
                Captured::Position(at) => at.into_lua(lua)?,
            });
        }
        return Ok(Some(values));
    }
}

impl Replace {
    /// Copy what lies before the match, then the replacement.
    fn add(&mut self, subject: &[u8], search: &Search, found: &Range<usize>) -> Result<(), Malformed> {
        self.out.extend_from_slice(&subject[self.copied..found.start]);
        let with = self.with.as_bytes();
        let mut rest: &[u8] = &with;
        while let Some(at) = rest.iter().position(|&c| c == b'%') {
            self.out.extend_from_slice(&rest[..at]);
            match rest.get(at + 1) {
                Some(b'%') => self.out.push(b'%'),
                Some(b'0') => self.out.extend_from_slice(&subject[found.clone()]),
                Some(digit @ b'1'..=b'9') => match search.capture(usize::from(digit - b'1'), found)? {
                    Captured::Part(range) => self.out.extend_from_slice(&subject[range]),
                    Captured::Position(at) => self.out.extend_from_slice(at.to_string().as_bytes()),
                },
                _ => return Err(Malformed("invalid use of '%' in replacement string".into())),
            }
            rest = &rest[at + 2..];
        }
        self.out.extend_from_slice(rest);
        self.copied = found.end;
        self.count += 1;
        Ok(())
    }

    fn finish(&mut self, lua: &Lua, subject: &[u8]) -> Result<MultiValue, Trouble> {
        self.out.extend_from_slice(&subject[self.copied..]);
        let result = Value::String(lua.create_string(&self.out)?);
        Ok(MultiValue::from_vec(vec![result, Value::Integer(self.count)]))
    }
}
