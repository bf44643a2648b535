//! How long flows wait for sounds, by where these come from.

use std::{collections::HashMap, time::Duration};

use crate::{ids::LoadId, time::Time};

/// From where a sound comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A file below the prompt folder.
    File,
    /// A web server.
    Web,
    /// The program that speaks.
    Speech,
}

impl Hook {
    /// All of them.
    pub const ALL: [Hook; 3] = [Hook::File, Hook::Web, Hook::Speech];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Hook::File => "file",
            Hook::Web => "web",
            Hook::Speech => "speech",
        }
    }
}

/// Upper ends of the classes of [`Waited`], in seconds, and in ms.
pub const CLASSES: [(&str, u64); 7] =
    [("0.01", 10), ("0.05", 50), ("0.1", 100), ("0.5", 500), ("1", 1000), ("2", 2000), ("5", 5000)];

/// How long sounds of one kind took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waited {
    /// How many took so long, and not so short as the class before.
    pub classes: [u64; CLASSES.len()],
    /// How many there were.
    pub count: u64,
    /// What all took together, in seconds.
    pub seconds: f64,
    /// How many could not be had.
    pub failed: u64,
}

/// What is waited for, and how long it took until now.
#[derive(Debug, Default)]
pub struct Waits {
    /// Each ends, by [`Waits::ended`].
    begun: HashMap<LoadId, (Hook, Time)>,
    waited: [Waited; Hook::ALL.len()],
}

impl Waits {
    /// It is being fetched.
    pub fn began(&mut self, now: Time, load: LoadId, hook: Hook) {
        self.begun.insert(load, (hook, now));
    }

    /// It is there, or will never be.
    pub fn ended(&mut self, now: Time, load: LoadId, is_there: bool) {
        let Some((hook, since)) = self.begun.remove(&load) else { return };
        let took: Duration = now - since;
        let waited = &mut self.waited[hook as usize];
        waited.count += 1;
        waited.seconds += took.as_secs_f64();
        waited.failed += u64::from(!is_there);
        if let Some(class) = CLASSES.iter().position(|(_, ms)| took <= Duration::from_millis(*ms)) {
            waited.classes[class] += 1;
        }
    }

    /// How long they took, by kind.
    pub fn waited(&self) -> [(Hook, Waited); Hook::ALL.len()] {
        Hook::ALL.map(|hook| (hook, self.waited[hook as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_and_what_failed_is_counted_by_where_it_comes_from() {
        let (mut waits, now) = (Waits::default(), Time::START);
        waits.began(now, LoadId(1), Hook::Web);
        waits.began(now, LoadId(2), Hook::Web);
        waits.began(now, LoadId(3), Hook::Speech);
        waits.ended(now + Duration::from_millis(30), LoadId(1), true);
        waits.ended(now + Duration::from_secs(6), LoadId(2), false);
        waits.ended(now + Duration::from_secs(7), LoadId(9), false);
        let [(_, file), (_, web), (_, speech)] = waits.waited();
        assert_eq!((file, speech), (Waited::default(), Waited::default()), "one goes on");
        assert_eq!((web.classes, web.count, web.failed), ([0, 1, 0, 0, 0, 0, 0], 2, 1));
        assert!((web.seconds - 6.03).abs() < 1e-9);
    }
}
