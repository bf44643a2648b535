//! One attempt to match a pattern at one place of the subject.

use super::{Capture, Choice, Length, Malformed, Search, malformed};

/// Most captures in a pattern, as in Lua.
const MAX_CAPTURES: usize = 32;
/// Most ways back at a time. There is at most one for each item of the pattern, so only monsters get here.
const MAX_CHOICES: usize = 10_000;

/// How an attempt ended.
pub(super) enum Outcome {
    Matched(usize),
    Failed,
    Paused((usize, usize)),
}

/// What one item of the pattern leads to.
enum Next {
    Go(usize, usize),
    Matched(usize),
    Fail,
}

/// The attempt that `search` makes.
pub(super) struct Attempt<'a> {
    pub(super) subject: &'a [u8],
    pub(super) pattern: &'a [u8],
    pub(super) search: &'a mut Search,
    pub(super) steps: &'a mut usize,
}

impl Attempt<'_> {
    /// Go on from this place of the subject and of the pattern.
    pub(super) fn run(&mut self, (mut at, mut item): (usize, usize)) -> Result<Outcome, Malformed> {
        loop {
            if *self.steps == 0 {
                return Ok(Outcome::Paused((at, item)));
            }
            self.charge(1);
            let next = match self.item(at, item)? {
                Next::Fail => self.back(),
                next => next,
            };
            match next {
                Next::Go(new_at, new_item) => (at, item) = (new_at, new_item),
                Next::Matched(end) => return Ok(Outcome::Matched(end)),
                Next::Fail => return Ok(Outcome::Failed),
            }
        }
    }

    fn charge(&mut self, steps: usize) {
        *self.steps = self.steps.saturating_sub(steps);
    }

    /// The byte of the pattern at `index`; behind its end the NUL that Lua's strings end with.
    fn pat(&self, index: usize) -> u8 {
        self.pattern.get(index).copied().unwrap_or(0)
    }

    /// Do what the pattern's item at `item` says.
    fn item(&mut self, at: usize, item: usize) -> Result<Next, Malformed> {
        let Some(&kind) = self.pattern.get(item) else { return Ok(Next::Matched(at)) };
        match kind {
            b'(' if self.pat(item + 1) == b')' => self.open(at, Length::Position, item + 2),
            b'(' => self.open(at, Length::Unfinished, item + 1),
            b')' => self.close(at, item + 1),
            b'$' if item + 1 == self.pattern.len() => {
                Ok(if at == self.subject.len() { Next::Matched(at) } else { Next::Fail })
            }
            b'%' => match self.pat(item + 1) {
                b'b' => self.balance(at, item + 2),
                b'f' => self.frontier(at, item + 2),
                digit @ b'0'..=b'9' => self.back_reference(at, digit, item + 2),
                _ => self.single(at, item),
            },
            _ => self.single(at, item),
        }
    }

    fn open(&mut self, at: usize, length: Length, rest: usize) -> Result<Next, Malformed> {
        if self.search.captures.len() >= MAX_CAPTURES {
            return malformed("too many captures");
        }
        self.search.captures.push(Capture { start: at, length });
        self.remember(Choice::Opened)?;
        Ok(Next::Go(at, rest))
    }

    fn close(&mut self, at: usize, rest: usize) -> Result<Next, Malformed> {
        let open = self.search.captures.iter().rposition(|c| matches!(c.length, Length::Unfinished));
        let Some(index) = open else { return malformed("invalid pattern capture") };
        let capture = &mut self.search.captures[index];
        capture.length = Length::Of(at - capture.start);
        self.remember(Choice::Closed(index))?;
        Ok(Next::Go(at, rest))
    }

    /// `%bxy`.
    fn balance(&mut self, at: usize, arguments: usize) -> Result<Next, Malformed> {
        let Some(&[open, close]) = self.pattern.get(arguments..arguments + 2) else {
            return malformed("malformed pattern (missing arguments to '%b')");
        };
        if self.subject.get(at) != Some(&open) {
            return Ok(Next::Fail);
        }
        let mut depth = 1usize;
        for (passed, &byte) in self.subject[at + 1..].iter().enumerate() {
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    self.charge(passed);
                    return Ok(Next::Go(at + passed + 2, arguments + 2));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        self.charge(self.subject.len() - at);
        Ok(Next::Fail)
    }

    /// `%f[set]`.
    fn frontier(&mut self, at: usize, set: usize) -> Result<Next, Malformed> {
        if self.pat(set) != b'[' {
            return malformed("missing '[' after '%f' in pattern");
        }
        let rest = self.class_end(set)?;
        let before = if at == 0 { 0 } else { self.subject[at - 1] };
        let here = self.subject.get(at).copied().unwrap_or(0);
        let crossed = !self.in_set(before, set, rest - 1) && self.in_set(here, set, rest - 1);
        Ok(if crossed { Next::Go(at, rest) } else { Next::Fail })
    }

    /// `%1` to `%9`.
    fn back_reference(&mut self, at: usize, digit: u8, rest: usize) -> Result<Next, Malformed> {
        let wrong = || malformed(format!("invalid capture index %{}", i32::from(digit) - i32::from(b'0')));
        let Some(index) = digit.checked_sub(b'1') else { return wrong() };
        match self.search.captures.get(usize::from(index)) {
            None | Some(Capture { length: Length::Unfinished, .. }) => wrong(),
            Some(Capture { length: Length::Position, .. }) => Ok(Next::Fail),
            Some(&Capture { start, length: Length::Of(length) }) => {
                self.charge(length / 16);
                let same = self.subject[at..].starts_with(&self.subject[start..start + length]);
                Ok(if same { Next::Go(at + length, rest) } else { Next::Fail })
            }
        }
    }

    /// A single character or class with what follows it.
    fn single(&mut self, at: usize, item: usize) -> Result<Next, Malformed> {
        let end = self.class_end(item)?;
        let fits = self.fits(at, item, end);
        Ok(match (self.pattern.get(end), fits) {
            (Some(b'*' | b'?' | b'-'), false) => Next::Go(at, end + 1),
            (_, false) => Next::Fail,
            (Some(b'?'), true) => {
                self.remember(Choice::Optional { at, rest: end + 1 })?;
                Next::Go(at + 1, end + 1)
            }
            (Some(b'-'), true) => {
                self.remember(Choice::Shortest { at, item, rest: end + 1 })?;
                Next::Go(at, end + 1)
            }
            (Some(b'*'), true) => self.longest(at, item, end)?,
            (Some(b'+'), true) => self.longest(at + 1, item, end)?,
            (_, true) => Next::Go(at + 1, end),
        })
    }

    fn longest(&mut self, from: usize, item: usize, end: usize) -> Result<Next, Malformed> {
        let mut extra = 0;
        while self.fits(from + extra, item, end) {
            extra += 1;
        }
        self.charge(extra);
        if extra > 0 {
            self.remember(Choice::Longest { from, extra, rest: end + 1 })?;
        }
        Ok(Next::Go(from + extra, end + 1))
    }

    fn remember(&mut self, choice: Choice) -> Result<(), Malformed> {
        if self.search.choices.len() >= MAX_CHOICES {
            return malformed("pattern too complex");
        }
        self.search.choices.push(choice);
        Ok(())
    }

    /// The rest did not match: take the latest way back.
    fn back(&mut self) -> Next {
        while let Some(choice) = self.search.choices.pop() {
            match choice {
                Choice::Optional { at, rest } => return Next::Go(at, rest),
                Choice::Longest { from, extra, rest } => {
                    if extra > 1 {
                        self.search.choices.push(Choice::Longest { from, extra: extra - 1, rest });
                    }
                    return Next::Go(from + extra - 1, rest);
                }
                Choice::Shortest { at, item, rest } => {
                    if self.fits(at, item, rest - 1) {
                        self.search.choices.push(Choice::Shortest { at: at + 1, item, rest });
                        return Next::Go(at + 1, rest);
                    }
                }
                Choice::Opened => {
                    self.search.captures.pop();
                }
                Choice::Closed(index) => self.search.captures[index].length = Length::Unfinished,
            }
        }
        Next::Fail
    }

    /// Where the item that begins at `item` ends.
    fn class_end(&self, item: usize) -> Result<usize, Malformed> {
        let mut end = item + 1;
        match self.pat(item) {
            b'%' if end == self.pattern.len() => malformed("malformed pattern (ends with '%')"),
            b'%' => Ok(end + 1),
            b'[' => {
                if self.pat(end) == b'^' {
                    end += 1;
                }
                loop {
                    let Some(&byte) = self.pattern.get(end) else {
                        return malformed("malformed pattern (missing ']')");
                    };
                    end += 1;
                    if byte == b'%' && end < self.pattern.len() {
                        end += 1;
                    }
                    if self.pattern.get(end) == Some(&b']') {
                        return Ok(end + 1);
                    }
                }
            }
            _ => Ok(end),
        }
    }

    /// Does the byte at `at` fit the item `item..end`?
    fn fits(&self, at: usize, item: usize, end: usize) -> bool {
        let Some(&byte) = self.subject.get(at) else { return false };
        match self.pat(item) {
            b'.' => true,
            b'%' => in_class(byte, self.pat(item + 1)),
            b'[' => self.in_set(byte, item, end - 1),
            literal => literal == byte,
        }
    }

    /// Is `byte` in the set whose `[` is at `open` and whose `]` is at `close`?
    fn in_set(&self, byte: u8, open: usize, close: usize) -> bool {
        let mut at = open + 1;
        let negated = self.pat(at) == b'^';
        if negated {
            at += 1;
        }
        while at < close {
            if self.pat(at) == b'%' {
                at += 1;
                if in_class(byte, self.pat(at)) {
                    return !negated;
                }
            } else if self.pat(at + 1) == b'-' && at + 2 < close {
                if (self.pat(at)..=self.pat(at + 2)).contains(&byte) {
                    return !negated;
                }
                at += 2;
            } else if self.pat(at) == byte {
                return !negated;
            }
            at += 1;
        }
        negated
    }
}

/// `%a` and its like, in the C locale.
fn in_class(byte: u8, class: u8) -> bool {
    let inside = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    inside == class.is_ascii_lowercase()
}
