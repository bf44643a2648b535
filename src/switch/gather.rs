//! Collecting digits: a small machine of its own, fed with keys and time.
//!
//! ```text
//! prompt runs ──key (barge-in)──▶ between digits ──max, terminator, pause──▶ done
//!      └──end──▶ before the first digit ──key──▶ ┘          └──pause──▶ done (no input)
//! ```

use super::{
    switch::Switch,
    task::{Ask, DIGITS, Doing, Task},
};
use crate::{
    ids::CallId,
    time::Time,
    verbs::{Failure, Gather, GatherEnd, Reply},
};

/// The machine. The prompt itself is played by its owner.
#[derive(Debug)]
pub(super) struct Collector {
    how: Gather,
    digits: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The prompt runs. Keys that may not stop it wait here.
    Prompt { behind: String },
    /// Nothing more comes after this moment.
    Waiting { until: Time },
}

/// What the owner has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    /// Stop the prompt; it need not be told that the prompt ended.
    StopPrompt,
    /// This is the result. Where the prompt still runs, stop it.
    Done(GatherEnd),
}

impl Collector {
    /// The prompt is about to be played.
    pub fn new(how: Gather) -> Collector {
        Collector { how, digits: String::new(), state: State::Prompt { behind: String::new() } }
    }

    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// What is collected is not to be written down.
    pub fn is_secret(&self) -> bool {
        self.how.secret
    }

    /// The prompt runs, or is about to.
    pub fn is_prompting(&self) -> bool {
        matches!(self.state, State::Prompt { .. })
    }

    pub fn handle_key(&mut self, now: Time, key: char) -> Step {
        match &mut self.state {
            State::Prompt { behind } if !self.how.barge_in => {
                if behind.len() < self.how.max {
                    behind.push(key);
                }
                Step::Wait
            }
            State::Prompt { .. } => match self.take(now, key) {
                Step::Wait => Step::StopPrompt,
                step @ (Step::StopPrompt | Step::Done(_)) => step,
            },
            State::Waiting { .. } => self.take(now, key),
        }
    }

    fn take(&mut self, now: Time, key: char) -> Step {
        self.state = State::Waiting { until: now + self.how.timeout };
        if self.how.terminators.contains(key) {
            return Step::Done(GatherEnd::Terminator(key));
        }
        self.digits.push(key);
        if self.digits.len() >= self.how.max { Step::Done(GatherEnd::Max) } else { Step::Wait }
    }

    /// The prompt came to its end.
    pub fn handle_prompt_end(&mut self, now: Time) -> Step {
        let next = State::Waiting { until: now + self.how.first_timeout };
        let State::Prompt { behind } = std::mem::replace(&mut self.state, next) else { return Step::Wait };
        for key in behind.chars() {
            let step = self.take(now, key);
            if step != Step::Wait {
                return step;
            }
        }
        Step::Wait
    }

    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Prompt { .. } => None,
            State::Waiting { until } => Some(until),
        }
    }

    pub fn handle_timeout(&mut self, now: Time) -> Step {
        match self.state {
            State::Waiting { until } if until <= now && self.digits.is_empty() => Step::Done(GatherEnd::NoInput),
            State::Waiting { until } if until <= now => Step::Done(GatherEnd::Timeout),
            State::Waiting { .. } | State::Prompt { .. } => Step::Wait,
        }
    }
}

impl Switch {
    /// Begin to collect; keys that were pressed before count.
    pub(super) fn begin_gather(&mut self, ask: Ask, id: CallId, gather: Gather) -> Result<(), Failure> {
        if gather.max == 0 || gather.max > DIGITS {
            return Err(Failure::Limit("digits to collect"));
        }
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        let (prompt, barge_in) = (gather.prompt.clone(), gather.barge_in);
        let mut collector = Collector::new(gather);
        let mut step = Step::Wait;
        while !matches!(step, Step::Done(_))
            && let Some(key) = call.keys.pop_front()
        {
            step = collector.handle_key(core.now, key);
        }
        // Whoever knows the menu and typed ahead does not hear the prompt.
        let prompted = collector.is_prompting() && !prompt.is_empty();
        debug_assert!(collector.is_prompting() || barge_in, "only barge-in ends the prompt");
        if prompted {
            call.play_told(core, &prompt)?;
        } else if collector.is_prompting() {
            step = collector.handle_prompt_end(core.now);
        }
        call.task = Some(Task { ask, doing: Doing::Gather(Box::new(collector)) });
        self.gathered(id, step);
        Ok(())
    }

    /// What the collector wants done.
    pub(super) fn gathered(&mut self, id: CallId, step: Step) {
        let Some((call, core)) = self.call(id) else { return };
        match step {
            Step::Wait => {}
            Step::StopPrompt => call.hush(core),
            Step::Done(why) => {
                call.hush(core);
                let Some(Task { ask, doing: Doing::Gather(collector) }) = call.task.take() else { return };
                self.reply(ask, Reply::Digits { digits: collector.digits().to_owned(), why });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn gather(max: usize, barge_in: bool) -> Collector {
        let (first_timeout, timeout) = (Duration::from_secs(5), Duration::from_secs(2));
        let (prompt, terminators, secret) = (vec![], "#".into(), false);
        Collector::new(Gather { prompt, max, terminators, first_timeout, timeout, barge_in, secret })
    }

    fn at(seconds: u64) -> Time {
        Time::START + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_key_stops_the_prompt_and_the_last_one_ends_it() {
        let mut c = gather(2, true);
        assert_eq!(c.handle_key(at(0), '1'), Step::StopPrompt);
        assert_eq!(c.handle_key(at(1), '2'), Step::Done(GatherEnd::Max));
        assert_eq!(c.digits(), "12");
    }

    #[test]
    fn keys_wait_behind_a_prompt_that_may_not_be_stopped() {
        let mut c = gather(4, false);
        assert_eq!(c.handle_key(at(0), '1'), Step::Wait);
        assert_eq!(c.handle_key(at(1), '#'), Step::Wait);
        assert_eq!(c.timeout(), None);
        assert_eq!(c.handle_prompt_end(at(9)), Step::Done(GatherEnd::Terminator('#')));
        assert_eq!(c.digits(), "1");
    }

    #[test]
    fn the_pause_before_the_first_digit_counts_from_the_end_of_the_prompt() {
        let mut c = gather(4, true);
        assert_eq!(c.handle_prompt_end(at(10)), Step::Wait);
        assert_eq!(c.timeout(), Some(at(15)));
        assert_eq!(c.handle_timeout(at(14)), Step::Wait);
        assert_eq!(c.handle_timeout(at(15)), Step::Done(GatherEnd::NoInput));
    }

    #[test]
    fn each_digit_begins_a_new_pause() {
        let mut c = gather(4, true);
        c.handle_prompt_end(at(0));
        assert_eq!(c.handle_key(at(4), '7'), Step::Wait);
        assert_eq!(c.timeout(), Some(at(6)));
        assert_eq!(c.handle_key(at(5), '8'), Step::Wait);
        assert_eq!(c.handle_timeout(at(7)), Step::Done(GatherEnd::Timeout));
        assert_eq!(c.digits(), "78");
    }
}
