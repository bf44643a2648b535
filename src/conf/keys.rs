//! The keys of a configuration as they were written, and what is different in another one.

use std::{collections::BTreeMap, fmt};

use toml::{Table, Value};

/// Lists of tables whose entries have names, and which of their keys that is.
const NAMED: [(&str, &str); 8] = [
    ("number", "number"),
    ("trunk", "name"),
    ("phone", "user"),
    ("message", "number"),
    ("webhook", "name"),
    ("queue", "id"),
    ("agent", "id"),
    ("ai_agent", "id"),
];

/// All keys and their values, defaults included.
#[derive(Clone, Default, PartialEq)]
pub struct Keys(Table);

/// There are passwords among the values.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// One thing that is different. `Display` tells it without values: there are passwords among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key, such as `media.codecs`, has another value.
    Key(String),
    /// An entry of a list has come: the list, and the entry's name.
    Come(&'static str, String),
    /// An entry of a list has gone.
    Gone(&'static str, String),
    /// An entry of a list has other values under these keys.
    Entry(&'static str, String, Vec<String>),
    /// A list has the same entries in another order.
    Order(&'static str),
}

impl Change {
    /// The key that it concerns, such as `media.codecs` or `trunk`.
    pub fn key(&self) -> &str {
        match self {
            Change::Key(key) => key,
            Change::Come(list, _) | Change::Gone(list, _) | Change::Entry(list, ..) | Change::Order(list) => list,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Key(key) => write!(f, "~ {key}"),
            Change::Come(list, name) => write!(f, "+ {list} {name}"),
            Change::Gone(list, name) => write!(f, "- {list} {name}"),
            Change::Entry(list, name, keys) => write!(f, "~ {list} {name}: {}", keys.join(", ")),
            Change::Order(list) => write!(f, "~ {list}: another order"),
        }
    }
}

impl Keys {
    /// All of the file, laid over the defaults.
    pub(super) fn new(whole: Table) -> Keys {
        Keys(whole)
    }

    /// What is different in `new`, in the order of the keys.
    pub fn changes(&self, new: &Keys) -> Vec<Change> {
        let mut changes = Vec::new();
        compare("", &self.0, &new.0, &mut changes);
        changes
    }
}

fn compare(path: &str, old: &Table, new: &Table, changes: &mut Vec<Change>) {
    for key in differing(old, new) {
        let whole = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some((list, name)) = NAMED.into_iter().find(|(list, _)| *list == whole) {
            compare_lists((list, name), old.get(&key), new.get(&key), changes);
            continue;
        }
        match (old.get(&key), new.get(&key)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => compare(&whole, old, new, changes),
            _ => changes.push(Change::Key(whole)),
        }
    }
}

/// Keys with other values, or that only one of them has; in alphabetical order.
fn differing(old: &Table, new: &Table) -> Vec<String> {
    let more = new.keys().filter(|key| !old.contains_key(*key));
    let mut keys: Vec<String> = old.keys().chain(more).filter(|key| old.get(*key) != new.get(*key)).cloned().collect();
    keys.sort();
    keys
}

fn compare_lists(
    (list, name): (&'static str, &str),
    old: Option<&Value>,
    new: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    let (old, new) = (by_name(name, old), by_name(name, new));
    let before = changes.len();
    for (name, was) in &old {
        match new.get(name) {
            None => changes.push(Change::Gone(list, name.clone())),
            Some(is) if is != was => changes.push(Change::Entry(list, name.clone(), keys_of(was, is))),
            Some(_) => {}
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        changes.push(Change::Come(list, name.clone()));
    }
    if changes.len() == before {
        changes.push(Change::Order(list));
    }
}

/// The entries of a list by their names; several may have the same.
fn by_name<'a>(name: &str, list: Option<&'a Value>) -> BTreeMap<String, Vec<&'a Table>> {
    let mut found: BTreeMap<String, Vec<&Table>> = BTreeMap::new();
    for entry in list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table) {
        let name = entry.get(name).and_then(Value::as_str).unwrap_or_default();
        found.entry(name.to_owned()).or_default().push(entry);
    }
    found
}

fn keys_of(was: &[&Table], is: &[&Table]) -> Vec<String> {
    if was.len() != is.len() {
        return vec!["how many there are".to_owned()];
    }
    let mut keys: Vec<String> = was.iter().zip(is).flat_map(|(was, is)| differing(was, is)).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use crate::conf::Conf;

    fn told(old: &str, new: &str) -> Vec<String> {
        let read = |text| Conf::read("x", text).unwrap().keys;
        read(old).changes(&read(new)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_different_is_named_by_its_key_and_entries_of_lists_by_their_names() {
        let old = "[media]\nptime_ms = 20\n[stir.treatment]\nstale = \"mark\"\n[[trunk]]\nname = \"a\"\nmax_calls = 1\n\
                   [[trunk]]\nname = \"b\"\n[[phone]]\nuser = \"anna\"\npassword = \"secret\"\n";
        let new = "[media]\nptime_ms = 30\n[stir.treatment]\nstale = \"allow\"\n[[trunk]]\nname = \"a\"\nmax_calls = 2\n\
                   password = \"x\"\nuser = \"u\"\n[[trunk]]\nname = \"c\"\n[[phone]]\nuser = \"anna\"\npassword = \"other\"\n";
        let want = [
            "~ media.ptime_ms",
            "~ phone anna: password",
            "~ stir.treatment.stale",
            "~ trunk a: max_calls, password, user",
            "- trunk b",
            "+ trunk c",
        ];
        assert_eq!(told(old, new), want);
        assert!(told(old, old).is_empty());
    }

    #[test]
    fn another_order_is_a_change_of_its_own_and_so_is_one_more_of_the_same_name() {
        let list =
            |names: [&str; 2]| names.map(|name| format!("[[message]]\nnumber = \"{name}\"\nscript = \"a.lua\"\n"));
        let text = |names| list(names).concat();
        assert_eq!(told(&text(["1", "2"]), &text(["2", "1"])), ["~ message: another order"]);
        let one = "[[message]]\nnumber = \"1\"\nscript = \"a.lua\"\n";
        assert_eq!(told(one, &text(["1", "1"])), ["~ message 1: how many there are"]);
    }
}
