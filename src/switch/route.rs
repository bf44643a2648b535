//! Numbers to what answers them: a script, or other numbers that are rung instead. A pattern is a number, of which `X` stands for one digit 0-9, `N` for one digit 2-9 and a `*` at
//! the end for the rest, be it empty:
//!
//! ```text
//! 100          the number 100
//! +49*         all that begins with +49
//! 9NXX         9, a digit 2-9, two digits
//! *            everything
//! ```
//!
//! The most exact pattern wins: one without `*` before one with, then the one with more literal characters, then the
//! one that stands first.

use std::{cmp::Reverse, fmt, sync::Arc, time::Duration};

use super::telephone;
use crate::verbs::Strategy;

/// What answers which number.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The numbers.
    pub number: Pattern,
    /// What answers them.
    pub service: Service,
}

/// What answers a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// A script.
    Script {
        /// Its name, a path below the script folder.
        script: Arc<str>,
        /// Variables that it starts with.
        vars: Vec<(String, String)>,
    },
    /// Whom it is put through to, without a script.
    Through(Arc<Through>),
}

impl Service {
    /// A script without variables.
    pub fn script(name: &str) -> Service {
        Service::Script { script: Arc::from(name), vars: Vec::new() }
    }

    /// Audio does not come to us.
    pub fn is_direct(&self) -> bool {
        matches!(self, Service::Through(through) if through.direct)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Script { script, .. } => f.write_str(script),
            Service::Through(through) => f.write_str(&through.targets.join(", ")),
        }
    }
}

/// How a number is put through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// Numbers or addresses, at least one. In each, `{called}` stands for the number that was called.
    pub targets: Vec<String>,
    /// In which order they are rung.
    pub strategy: Strategy,
    /// How long: in all with [`Strategy::All`], each with [`Strategy::InTurn`].
    pub timeout: Duration,
    /// Audio goes from party to party, and not through us.
    pub direct: bool,
}

impl Through {
    /// The targets for a call to `called`. What cannot stand in an address is left out of it.
    pub fn targets(&self, called: &str) -> Vec<String> {
        let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.!~*'()+$,#".contains(*c);
        let called: String = called.chars().filter(plain).collect();
        self.targets.iter().map(|target| target.replace("{called}", &called)).collect()
    }
}

/// Numbers that a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    places: Vec<Place>,
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Is(char),
    Digit { from: char },
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Nothing is written there.
    #[error("the number is empty")]
    Empty,
    /// The star is not the last character.
    #[error("`*` may only stand at the end")]
    Star,
    /// White space or a control character.
    #[error("{0:?} cannot be in a number")]
    Character(char),
}

impl Pattern {
    /// Read a pattern. Text that contains a lower-case letter is a name such as `support`: in it, `X` and `N` stand
    /// for themselves.
    pub fn parse(text: &str) -> Result<Pattern, BadPattern> {
        let (head, open) = match text.strip_suffix('*') {
            Some(head) => (head, true),
            None => (text, false),
        };
        if head.is_empty() && !open {
            return Err(BadPattern::Empty);
        }
        let name = head.chars().any(|c| c.is_lowercase());
        let place = |c: char| match c {
            '*' => Err(BadPattern::Star),
            c if c.is_whitespace() || c.is_control() => Err(BadPattern::Character(c)),
            'X' if !name => Ok(Place::Digit { from: '0' }),
            'N' if !name => Ok(Place::Digit { from: '2' }),
            c => Ok(Place::Is(c)),
        };
        let places = head.chars().map(place).collect::<Result<Vec<_>, _>>()?;
        Ok(Pattern { text: text.to_owned(), places, open })
    }

    /// True where `number` is among them.
    pub fn matches(&self, number: &str) -> bool {
        let mut characters = number.chars();
        let all = self.places.iter().all(|place| match (place, characters.next()) {
            (Place::Is(want), Some(c)) => *want == c,
            (Place::Digit { from }, Some(c)) => (*from..='9').contains(&c),
            (Place::Is(_) | Place::Digit { .. }, None) => false,
        });
        all && (self.open || characters.next().is_none())
    }

    /// True where it is one number and no other.
    pub fn is_exact(&self) -> bool {
        !self.open && self.places.iter().all(|place| matches!(place, Place::Is(_)))
    }

    pub(super) fn exactness(&self) -> (bool, usize, usize) {
        let literal = self.places.iter().filter(|p| matches!(p, Place::Is(_))).count();
        (!self.open, literal, self.places.len())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The route of `number`, whichever way it is written.
pub fn find<'a>(routes: &'a [Route], number: &str) -> Option<&'a Route> {
    best(routes.iter().map(|route| &route.number), number).and_then(|at| routes.get(at))
}

/// The place of the pattern that is for `number`, whichever way that is written: the most exact one; of equals the one
/// that is for the number as it stands, then the first.
pub fn best<'a>(patterns: impl Iterator<Item = &'a Pattern>, number: &str) -> Option<usize> {
    let ways = telephone::ways(number);
    let fitting = patterns.enumerate().filter_map(|(at, pattern)| {
        let way = ways.iter().position(|way| pattern.matches(way))?;
        let (closed, literal, places) = pattern.exactness();
        // A `+` makes no pattern more exact: only the other ways lack it.
        let plus = usize::from(pattern.text.starts_with('+'));
        Some((at, (closed, literal - plus, places - plus), way))
    });
    fitting.max_by_key(|(at, exactness, way)| (*exactness, Reverse(*way), Reverse(*at))).map(|(at, ..)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(numbers: &[&str]) -> Vec<Route> {
        let route = |n: &&str| Route { number: Pattern::parse(n).unwrap(), service: Service::script(n) };
        numbers.iter().map(route).collect()
    }

    fn found(numbers: &[&str], number: &str) -> Option<String> {
        find(&routes(numbers), number).map(|r| r.service.to_string())
    }

    #[test]
    fn the_most_exact_pattern_wins_wherever_it_stands() {
        let all = ["*", "1*", "1XX", "10X", "100"];
        for (number, want) in [("100", "100"), ("101", "10X"), ("120", "1XX"), ("1200", "1*"), ("7", "*")] {
            assert_eq!(found(&all, number).as_deref(), Some(want), "{number}");
        }
        assert_eq!(found(&["1X0", "10X"], "100").as_deref(), Some("1X0"), "the first of two equals");
    }

    #[test]
    fn x_is_any_digit_and_n_is_two_to_nine() {
        assert_eq!(found(&["NX"], "20").as_deref(), Some("NX"));
        assert_eq!(found(&["NX"], "10"), None);
        assert_eq!(found(&["NX"], "2a"), None);
        assert_eq!(found(&["NX"], "200"), None);
    }

    #[test]
    fn a_name_may_have_capital_x_and_n_in_it() {
        assert_eq!(found(&["No-Xmas"], "No-Xmas").as_deref(), Some("No-Xmas"));
        assert_eq!(found(&["No-Xmas"], "2o-1mas"), None);
    }

    #[test]
    fn the_plus_of_a_number_may_be_left_out_in_the_route() {
        assert_eq!(found(&["49*"], "+4930").as_deref(), Some("49*"));
        assert_eq!(found(&["49*", "+4930"], "+4930").as_deref(), Some("+4930"));
    }

    #[test]
    fn all_ways_to_write_a_number_lead_to_the_same_route() {
        let written = ["+493012345", "493012345", "+49 30 123-45", "49(30)12345"];
        for routed in ["+493012345", "493012345", "+4930XXXXX", "49*"] {
            for number in written {
                assert_eq!(found(&["*", routed], number).as_deref(), Some(routed), "{number}");
            }
        }
        for number in written {
            assert_eq!(found(&["*"], number).as_deref(), Some("*"), "{number}");
        }
        assert_eq!(found(&["+1*"], "100"), None, "an extension is no international number");
        assert_eq!(found(&["+49*", "49*"], "493012345").as_deref(), Some("49*"), "as it stands");
        assert_eq!(found(&["49*", "+49*"], "+493012345").as_deref(), Some("+49*"), "as it stands");
    }

    #[test]
    fn targets_are_told_the_number_that_was_called_and_nothing_else_gets_into_them() {
        let targets = vec!["{called}".to_owned(), "sip:{called}@192.0.2.9".to_owned(), "200".to_owned()];
        let through = Through { targets, strategy: Strategy::All, timeout: Duration::from_secs(60), direct: false };
        assert_eq!(through.targets("+491"), ["+491", "sip:+491@192.0.2.9", "200"]);
        assert_eq!(through.targets("1@evil;x=\r\n>")[1], "sip:1evilx@192.0.2.9");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert_eq!(Pattern::parse(""), Err(BadPattern::Empty));
        assert_eq!(Pattern::parse("1*2"), Err(BadPattern::Star));
        assert_eq!(Pattern::parse("1 2"), Err(BadPattern::Character(' ')));
    }
}
