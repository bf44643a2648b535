//! The lines of a header: where they end, unfolded, cut at the colon (RFC 3261 section 7.3.1).
//!
//! Line ends without CR are let through. Bytes that are no UTF-8 become U+FFFD: many a phone still writes Latin-1 into
//! display names. Where such a byte matters (an address, a tag, a Call-ID), its reader takes no U+FFFD.

use std::borrow::Cow;

use super::{
    headers::{Kind, known},
    text,
};

/// Reads lines up to the empty one.
pub(super) struct Lines<'a> {
    /// What is not read yet; behind the last line, the body.
    pub(super) rest: &'a [u8],
    /// True once a line had no end.
    pub(super) broken_off: bool,
}

impl<'a> Lines<'a> {
    /// Empty lines in front are none of the message (RFC 3261 section 7.5).
    pub(super) fn new(bytes: &'a [u8]) -> Lines<'a> {
        let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
        Lines { rest: &bytes[start..], broken_off: false }
    }

    /// One line as it was sent, without its end.
    fn physical(&mut self) -> Option<&'a [u8]> {
        let line = match self.rest.iter().position(|b| *b == b'\n') {
            Some(end) => {
                let line = &self.rest[..end];
                self.rest = &self.rest[end + 1..];
                line
            }
            None => {
                self.broken_off |= !self.rest.is_empty();
                std::mem::take(&mut self.rest)
            }
        };
        Some(line.strip_suffix(b"\r").unwrap_or(line)).filter(|line| !line.is_empty())
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Cow<'a, str>> {
        let mut line = text_of(self.physical()?);
        while let [b' ' | b'\t', ..] = self.rest {
            let more = text_of(self.physical().unwrap_or_default());
            let line = line.to_mut();
            line.push(' ');
            line.push_str(text::trim(&more));
        }
        Some(line)
    }
}

/// The strict reading first: it is several times as fast, and nearly always enough.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Name, kind and value of an unfolded line.
pub(super) fn field(line: &str) -> Option<(Cow<'static, str>, Kind, &str)> {
    let (name, value) = text::cut(line, b':')?;
    let (name, value) = (text::trim(name), text::trim(value));
    if !text::is_token(name) || value.as_bytes().contains(&b'\r') {
        return None;
    }
    let (name, kind) = known(name);
    Some((name, kind, value))
}

/// Digits and nothing else.
pub(super) fn read_length(value: &str) -> Result<usize, &'static str> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or("an improper Content-Length")
}

/// Where the body starts. Nothing before `from` is looked at.
pub(super) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let end = at + bytes.get(at..)?.iter().position(|b| *b == b'\n')? + 1;
        match bytes.get(end..)? {
            [b'\n', ..] => return Some(end + 1),
            [b'\r', b'\n', ..] => return Some(end + 2),
            _ => at = end,
        }
    }
}
