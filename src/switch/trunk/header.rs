//! Header fields that a carrier wants to have or not to have, as data.

use crate::{sip::Headers, switch::target};

/// One change to the INVITEs that go to a carrier; rules are applied in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// The field; never one that the stack needs.
    pub name: String,
    /// What becomes of it.
    pub what: What,
}

impl HeaderRule {
    /// True where the field may be changed, and the value is one line.
    pub fn is_allowed(&self) -> bool {
        let value = match &self.what {
            What::Set(value) | What::Add(value) => value.clone(),
            What::Remove | What::Copy => String::new(),
        };
        target::may_add(&[(self.name.clone(), value)])
    }
}

/// What becomes of a header field. `{caller}`, `{called}` and `{trunk}` in a value stand for what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It has this value, and no other.
    Set(String),
    /// It has this value, too.
    Add(String),
    /// It is not there.
    Remove,
    /// It is as in the INVITE of the call that dials, where that has it.
    Copy,
}

/// What stands in for the words of a value.
pub(super) struct Words<'a> {
    pub caller: &'a str,
    pub called: &'a str,
    pub trunk: &'a str,
}

impl Words<'_> {
    fn fill(&self, value: &str) -> String {
        value.replace("{caller}", self.caller).replace("{called}", self.called).replace("{trunk}", self.trunk)
    }
}

/// Apply `rules`; `came` are the fields of the INVITE of the call that dials.
pub(super) fn apply(rules: &[HeaderRule], words: &Words<'_>, came: &[(String, String)], headers: &mut Headers) {
    for HeaderRule { name, what } in rules {
        match what {
            What::Set(value) => headers.set(name, words.fill(value)),
            What::Add(value) => headers.push(name, words.fill(value)),
            What::Remove => headers.remove(name),
            What::Copy => {
                let same = came.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
                same.for_each(|(_, value)| headers.push(name, value.as_str()));
            }
        }
    }
}
