//! What a flow ran, for the record of its call.

use std::{collections::VecDeque, sync::Arc};

/// Steps that are kept of the beginning, and as many of the end.
const KEPT: usize = 32;

/// Which text a flow ran, and what it did, step by step: the first 32 and the last 32 steps, so that a script that goes
/// round and round needs no more room than any other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// The version's number where the script was put into service by the API, else `sha256:` and the first 16 digits of
    /// the text's hash. Absent: nothing ran.
    pub version: Option<Arc<str>>,
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: u64,
}

impl Ran {
    /// One more step, such as `menu.lua:12 play`.
    pub fn note(&mut self, step: String) {
        if self.first.len() < KEPT {
            return self.first.push(step);
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(step);
    }

    /// What another flow did after this one, on the same call.
    pub fn then(&mut self, next: Ran) {
        self.version = next.version.or(self.version.take());
        next.first.into_iter().chain(next.last).for_each(|step| self.note(step));
        self.left_out += next.left_out;
    }

    /// The steps in their order.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.first.iter().chain(&self.last).map(String::as_str)
    }

    /// Steps in the middle that were not kept.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(steps: std::ops::Range<u32>) -> Ran {
        let mut ran = Ran::default();
        steps.for_each(|step| ran.note(format!("a.lua:{step} play")));
        ran
    }

    #[test]
    fn the_first_and_the_last_steps_are_kept_and_the_rest_is_counted() {
        let ran = ran(0..100);
        let steps: Vec<&str> = ran.steps().collect();
        assert_eq!((steps.len(), ran.left_out()), (64, 36));
        assert_eq!((steps[31], steps[32], steps[63]), ("a.lua:31 play", "a.lua:68 play", "a.lua:99 play"));
    }

    #[test]
    fn a_second_flow_goes_on_where_the_first_one_ended() {
        let mut both = Ran { version: Some("1".into()), ..ran(0..2) };
        both.then(Ran { version: Some("2".into()), ..ran(2..4) });
        both.then(Ran::default());
        assert_eq!(both.version.as_deref(), Some("2"));
        assert_eq!(both.steps().collect::<Vec<_>>(), [0, 1, 2, 3].map(|step| format!("a.lua:{step} play")));
        both.then(ran(0..100));
        assert_eq!((both.steps().count(), both.left_out()), (64, 40));
    }
}
