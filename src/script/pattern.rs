//! Lua 5.4 patterns (reference manual section 6.4.1), matched by a machine that can stop at any point and go on later.
//!
//! Lua's own matcher is C code that recurses: no hook stops it, so a pattern that backtracks would hold up a whole
//! thread. This one keeps its way back on a stack of [`Choice`]s, counts steps, and gives control back when the steps
//! that it was given are used up. The results are the same, captures and error texts included; only the "pattern too
//! complex" of Lua's recursion limit comes later here.

mod attempt;

use std::{fmt, ops::Range};

use attempt::{Attempt, Outcome};

/// What is wrong with a pattern, in Lua's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn malformed<T>(what: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(what.into()))
}

/// How far a search got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This part of the subject matches; the captures can be asked for.
    Found(Range<usize>),
    /// There is no (further) match.
    Nothing,
    /// The steps are used up; call again with the same arguments.
    More,
}

/// What a capture holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Captured {
    /// A part of the subject.
    Part(Range<usize>),
    /// A position, counted from 1: `()`.
    Position(usize),
}

#[derive(Clone, Copy)]
enum Length {
    Unfinished,
    Position,
    Of(usize),
}

#[derive(Clone, Copy)]
struct Capture {
    start: usize,
    length: Length,
}

/// A way back: what to do when the pattern's rest does not match.
enum Choice {
    /// `*` and `+` that took `extra` bytes more than needed from `from`: give one back.
    Longest { from: usize, extra: usize, rest: usize },
    /// `-` that took as little as possible up to `at`: take one more.
    Shortest { at: usize, item: usize, rest: usize },
    /// `?` that took its byte: go on at `at` without.
    Optional { at: usize, rest: usize },
    /// Undo `(`.
    Opened,
    /// Undo the `)` of this capture.
    Closed(usize),
}

/// One search through one subject, going on match by match. Subject and pattern are given to every call anew and must
/// stay the same.
pub struct Search {
    /// Where in the subject the current attempt began.
    from: usize,
    /// End of the match before: a match that ends there, too, does not count (`gmatch`, `gsub`).
    last: Option<usize>,
    /// The pattern is searched for as it is.
    plain: bool,
    /// The pattern began with `^`, and is to be tried only once.
    anchored: bool,
    /// Offset of the pattern's first item.
    first: usize,
    /// Where the attempt stands (subject, pattern); none: not begun.
    at: Option<(usize, usize)>,
    choices: Vec<Choice>,
    captures: Vec<Capture>,
}

impl Search {
    /// From `from` on. With `anchor`, a leading `^` ties the match to `from`; without, it is an ordinary character.
    pub fn new(from: usize, last: Option<usize>, pattern: &[u8], anchor: bool) -> Search {
        let anchored = anchor && pattern.first() == Some(&b'^');
        Search {
            from,
            last,
            plain: false,
            anchored,
            first: anchored.into(),
            at: None,
            choices: vec![],
            captures: vec![],
        }
    }

    /// Search for `pattern` as it is, without magic characters, from `from` on.
    pub fn plain(from: usize) -> Search {
        Search { plain: true, ..Search::new(from, None, &[], false) }
    }

    /// Look for the next match. Each byte looked at takes one of `steps`.
    pub fn run(&mut self, subject: &[u8], pattern: &[u8], steps: &mut usize) -> Result<Progress, Malformed> {
        if self.plain {
            return Ok(self.run_plain(subject, pattern, steps));
        }
        while self.from <= subject.len() {
            let at = self.at.take().unwrap_or_else(|| {
                self.choices.clear();
                self.captures.clear();
                (self.from, self.first)
            });
            let mut attempt = Attempt { subject, pattern, search: self, steps };
            match attempt.run(at)? {
                Outcome::Matched(end) if self.last != Some(end) => {
                    let found = self.from..end;
                    self.last = Some(end);
                    return Ok(Progress::Found(found));
                }
                Outcome::Matched(_) | Outcome::Failed if self.anchored => break,
                Outcome::Matched(_) | Outcome::Failed => self.from += 1,
                Outcome::Paused(at) => {
                    self.at = Some(at);
                    return Ok(Progress::More);
                }
            }
        }
        self.from = subject.len() + 1;
        Ok(Progress::Nothing)
    }

    fn run_plain(&mut self, hay: &[u8], needle: &[u8], steps: &mut usize) -> Progress {
        let Some(&first) = needle.first() else { return Progress::Found(self.from..self.from) };
        while let Some(rest) = hay.get(self.from..).filter(|rest| rest.len() >= needle.len()) {
            if *steps == 0 {
                return Progress::More;
            }
            let candidates = &rest[..=rest.len() - needle.len()];
            let Some(passed) = candidates.iter().position(|&c| c == first) else { break };
            self.from += passed;
            if hay[self.from..].starts_with(needle) {
                return Progress::Found(self.from..self.from + needle.len());
            }
            self.from += 1;
            *steps = steps.saturating_sub(1 + passed / 16 + needle.len() / 16);
        }
        Progress::Nothing
    }

    /// Go on behind the match that was found. False: an anchored pattern matches once only.
    pub fn go_on(&mut self, end: usize) -> bool {
        self.from = end;
        !self.anchored
    }

    /// How many captures the match has.
    pub fn captures(&self) -> usize {
        self.captures.len()
    }

    /// Capture `index` of the match `found`; index 0 of a pattern without captures is the whole match.
    pub fn capture(&self, index: usize, found: &Range<usize>) -> Result<Captured, Malformed> {
        match self.captures.get(index) {
            None if index == 0 => Ok(Captured::Part(found.clone())),
            None => malformed(format!("invalid capture index %{}", index + 1)),
            Some(Capture { length: Length::Unfinished, .. }) => malformed("unfinished capture"),
            Some(Capture { start, length: Length::Position }) => Ok(Captured::Position(start + 1)),
            Some(Capture { start, length: Length::Of(length) }) => Ok(Captured::Part(*start..start + length)),
        }
    }
}

/// True: no character of `pattern` is magic, so it can be searched for as it is.
pub fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|c| b"^$*+?.([%-".contains(c))
}
