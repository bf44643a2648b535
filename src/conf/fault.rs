//! What is wrong in a configuration, in one line: where, which key, what was found, what is allowed.

use std::fmt;

/// One thing wrong. `Display` is the line that the user sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name as the user gave it.
    pub file: String,
    /// Line in the file, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The key with its tables, such as `sip.t1_ms` or `number[2].script`; empty: the file as a whole.
    pub key: String,
    /// What was found and what is allowed.
    pub what: String,
}

impl Fault {
    /// A value out of its range.
    pub fn value(file: &str, text: &str, key: &str, found: impl fmt::Display, allowed: impl fmt::Display) -> Fault {
        Fault {
            file: file.to_owned(),
            line: line_of(text, key),
            key: key.to_owned(),
            what: format!("found {found}; allowed: {allowed}"),
        }
    }

    /// Not TOML.
    pub(super) fn syntax(file: &str, text: &str, error: &toml::de::Error) -> Fault {
        let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
        Fault { file: file.to_owned(), line, key: String::new(), what: error.message().trim().to_owned() }
    }

    /// TOML, but not our keys or types. serde's message holds what was found and what is expected.
    pub(super) fn shape(file: &str, text: &str, path: &str, message: &str) -> Fault {
        let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let key = match unknown {
            Some(name) if path.ends_with(name) => path.to_owned(),
            Some(name) if path.is_empty() || path == "." => name.to_owned(),
            Some(name) => format!("{path}.{name}"),
            None => path.to_owned(),
        };
        let what = message.trim().replace("unknown field", "unknown key");
        Fault { file: file.to_owned(), line: line_of(text, &key), key, what }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// The line on which `key` is set: `table.key`, or `list[index].key` for the index-th table of a list.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let (table, wanted) = match table.split_once('[') {
        Some((list, index)) => (list, index.trim_end_matches(']').parse::<usize>().ok()?),
        None => (table, 0),
    };
    let mut here = String::new();
    let mut seen: Option<usize> = None;
    let mut header = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            here = line.split('#').next().unwrap_or("").trim().trim_matches(['[', ']']).trim().to_owned();
            if here == key {
                return Some(number + 1);
            }
            if here == table {
                let index = if line.starts_with("[[") { seen.map_or(0, |i| i + 1) } else { 0 };
                seen = Some(index);
                if index == wanted {
                    header = Some(number + 1);
                }
            }
        } else if here == table
            && seen.unwrap_or(0) == wanted
            && line.split('=').next().is_some_and(|k| k.trim().trim_matches('"') == name)
        {
            return Some(number + 1);
        }
    }
    header
}
