//! Reads what a script gives to a function of the call API; what is wrong with it becomes a sentence for its author.

use std::{ops::RangeInclusive, time::Duration};

use mlua::Value;

/// Every digit a phone can send.
pub(super) const ALL_DIGITS: &str = "0123456789*#ABCD";
/// Longest time that can be asked for: a day.
const LONGEST: f64 = 86_400.0;
/// Most entries of a list.
const MOST_LISTED: usize = 64;

/// Why an argument cannot be taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The author's mistake, in a sentence.
    Misuse(String),
    /// Lua failed (memory).
    Lua(mlua::Error),
}

impl From<mlua::Error> for Refusal {
    fn from(error: mlua::Error) -> Refusal {
        Refusal::Lua(error)
    }
}

pub(super) fn misuse<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Misuse(text.into()))
}

/// A value, in words.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Nil => "nothing".into(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let text = text.to_string_lossy();
            let short: String = text.chars().take(40).collect();
            let more = if short.len() < text.len() { "..." } else { "" };
            format!("the text '{short}{more}'")
        }
        other => format!("a {}", other.type_name()),
    }
}

/// One argument or option: where it stands, for the message, and its value.
pub(super) struct Given {
    pub place: String,
    pub value: Value,
}

impl Given {
    /// Argument `name` of `function`.
    pub(super) fn argument(function: &str, name: &str, value: &Value) -> Given {
        Given { place: format!("{function}: {name}"), value: value.clone() }
    }

    pub(super) fn wrong<T>(&self, allowed: &str) -> Result<T, Refusal> {
        misuse(format!("{} must be {allowed}, not {}", self.place, describe(&self.value)))
    }

    /// Absent: none.
    pub(super) fn optional(self) -> Option<Given> {
        (!self.value.is_nil()).then_some(self)
    }

    /// UTF-8 text of `1..=most` bytes.
    pub(super) fn text(&self, most: usize) -> Result<String, Refusal> {
        let Value::String(text) = &self.value else { return self.wrong("a text") };
        let length = text.as_bytes().len();
        if length == 0 {
            return misuse(format!("{} must not be empty", self.place));
        }
        if length > most {
            return misuse(format!("{} must be at most {most} bytes long, not {length}", self.place));
        }
        match text.to_str() {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => misuse(format!("{} must be UTF-8 text", self.place)),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, Refusal> {
        match self.value {
            Value::Boolean(yes) => Ok(yes),
            _ => self.wrong("true or false"),
        }
    }

    pub(super) fn whole(&self, allowed: RangeInclusive<i64>) -> Result<i64, Refusal> {
        let number = match self.value {
            Value::Integer(number) => Some(number),
            #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
            Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(number as i64),
            _ => None,
        };
        match number {
            Some(number) if allowed.contains(&number) => Ok(number),
            _ => self.wrong(&format!("a whole number from {} to {}", allowed.start(), allowed.end())),
        }
    }

    /// A time in seconds.
    pub(super) fn seconds(&self, least: f64) -> Result<Duration, Refusal> {
        self.seconds_up_to(least, LONGEST)
    }

    pub(super) fn seconds_up_to(&self, least: f64, most: f64) -> Result<Duration, Refusal> {
        let seconds = match self.value {
            #[expect(clippy::cast_precision_loss, reason = "the range is checked")]
            Value::Integer(seconds) => seconds as f64,
            Value::Number(seconds) => seconds,
            _ => f64::NAN,
        };
        if !(least..=most).contains(&seconds) {
            return self.wrong(&format!("a number of seconds from {least} to {most}"));
        }
        Ok(Duration::from_secs_f64(seconds))
    }

    /// Digits out of `allowed`; `"any"` stands for all of them where `any` says so.
    pub(super) fn digits(&self, allowed: &str, any: bool) -> Result<String, Refusal> {
        let Value::String(text) = &self.value else { return self.wrong("a text of digits") };
        let digits = text.to_string_lossy().to_ascii_uppercase();
        if any && digits == "ANY" {
            return Ok(ALL_DIGITS.into());
        }
        if digits.len() > 128 || !digits.chars().all(|digit| allowed.contains(digit)) {
            let or_any = if any { ", or 'any'" } else { "" };
            return self.wrong(&format!("at most 128 digits out of '{allowed}'{or_any}"));
        }
        Ok(digits)
    }

    /// A path below a folder: relative, without `..`.
    pub(super) fn path(&self) -> Result<String, Refusal> {
        let path = self.text(255)?;
        let bad = path.contains(['\\', '\0', '\n', '\r'])
            || path.split('/').any(|part| part.is_empty() || part == "." || part == "..");
        if bad { self.wrong("a path below the folder, without '..'") } else { Ok(path) }
    }
}

/// The options of a call: a table with names, read once and without metamethods.
pub(super) struct Options<'a> {
    function: &'a str,
    given: Vec<(&'a str, Value)>,
}

impl<'a> Options<'a> {
    /// `value` is a table whose names are all among `known`, or nothing. `listed`: it may have entries by number, too.
    pub(super) fn new(
        function: &'a str,
        value: &Value,
        known: &[&'a str],
        listed: bool,
    ) -> Result<Options<'a>, Refusal> {
        let mut given = Vec::new();
        let table = match value {
            Value::Nil => return Ok(Options { function, given }),
            Value::Table(table) => table,
            other => return misuse(format!("{function}: the options must be a table, not {}", describe(other))),
        };
        let mut entries = 0;
        for pair in table.pairs::<Value, Value>() {
            match pair? {
                (Value::String(name), value) => {
                    match known.iter().find(|known| known.as_bytes() == &*name.as_bytes()) {
                        Some(known) => given.push((*known, value)),
                        None => {
                            let name: String = name.to_string_lossy().chars().take(40).collect();
                            return misuse(format!("{function}: unknown option '{name}'{}", hint(&name, known)));
                        }
                    }
                }
                (Value::Integer(_), _) if listed && entries < MOST_LISTED => entries += 1,
                (Value::Integer(_), _) if listed => {
                    return misuse(format!("{function}: the list is longer than {MOST_LISTED}"));
                }
                (other, _) => return misuse(format!("{function}: an option's name cannot be {}", describe(&other))),
            }
        }
        Ok(Options { function, given })
    }

    /// What is given under `name`.
    pub(super) fn get(&self, name: &str) -> Option<Given> {
        let (_, value) = self.given.iter().find(|(given, _)| *given == name)?;
        Some(Given { place: format!("{}: option '{name}'", self.function), value: value.clone() })
    }

    pub(super) fn flag(&self, name: &str, otherwise: bool) -> Result<bool, Refusal> {
        self.get(name).map_or(Ok(otherwise), |given| given.flag())
    }

    pub(super) fn text(&self, name: &str, most: usize) -> Result<Option<String>, Refusal> {
        self.get(name).map(|given| given.text(most)).transpose()
    }

    pub(super) fn seconds(&self, name: &str, least: f64) -> Result<Option<Duration>, Refusal> {
        self.get(name).map(|given| given.seconds(least)).transpose()
    }

    /// The digits under `name`; `otherwise` where there are none.
    pub(super) fn digits(&self, name: &str, otherwise: &str) -> Result<String, Refusal> {
        self.get(name).map_or_else(|| Ok(otherwise.to_owned()), |given| given.digits(ALL_DIGITS, true))
    }
}

/// "; did you mean 'x'?" for the nearest known name, else the list of all.
fn hint(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|other| (distance(name, other), other)).min();
    match nearest {
        Some((2.., _)) | None if known.is_empty() => "; there are no options".into(),
        Some((away, other)) if away <= 2 => format!("; did you mean '{other}'?"),
        _ => format!("; there are {}", known.join(", ")),
    }
}

/// Letters to insert, remove or replace to get from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
