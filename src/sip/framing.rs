//! Cuts a stream into messages (RFC 3261 section 18.3): each says in Content-Length where it ends.

use bytes::{Bytes, BytesMut};

use super::{
    headers::Kind,
    lines::{Lines, field, head_end, read_length},
};

/// Why a stream is of no use any more; the connection is to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct FramingError {
    /// What is wrong.
    pub what: &'static str,
    /// The header of the message in question, where it is whole. [`super::Message::parse`] makes the answer out of it
    /// that may be sent before closing.
    pub head: Option<Bytes>,
}

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framed {
    /// One whole message.
    Message(Bytes),
    /// Two empty lines between messages: to be answered with one, `\r\n` (RFC 5626 section 4.4.1).
    Ping,
}

/// One direction of one connection. Holds at most one message and what one [`Framer::push`] brought, if it is drained
/// after each.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    max_message: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Looking for the end of the header; nothing ends before `looked`.
    Head { looked: usize },
    /// Waiting for `length` bytes in all.
    Body { length: usize },
    /// Nothing can be told apart any more.
    Broken,
}

impl Framer {
    /// For a new connection. Messages longer than `max_message` bytes break it.
    pub fn new(max_message: usize) -> Framer {
        Framer { buffer: BytesMut::new(), max_message, state: State::Head { looked: 0 } }
    }

    /// Bytes came.
    pub fn push(&mut self, bytes: &[u8]) {
        match self.state {
            State::Head { .. } | State::Body { .. } => self.buffer.extend_from_slice(bytes),
            State::Broken => {}
        }
    }

    /// The next thing that is whole. Nothing comes behind an error.
    #[expect(clippy::should_implement_trait, reason = "None is not the end: more may be pushed")]
    pub fn next(&mut self) -> Option<Result<Framed, FramingError>> {
        loop {
            match self.state {
                State::Head { looked } => {
                    if looked == 0 && self.skip_empty_lines()? {
                        return Some(Ok(Framed::Ping));
                    }
                    if let Err(error) = self.look_for_body(looked)? {
                        self.state = State::Broken;
                        self.buffer = BytesMut::new();
                        return Some(Err(error));
                    }
                }
                State::Body { length } if self.buffer.len() >= length => {
                    self.state = State::Head { looked: 0 };
                    return Some(Ok(Framed::Message(self.buffer.split_to(length).freeze())));
                }
                State::Body { .. } | State::Broken => return None,
            }
        }
    }

    /// Drops empty lines in front of a message. True: there were two, a ping. `None`: what is there may become one.
    fn skip_empty_lines(&mut self) -> Option<bool> {
        loop {
            let length = match self.buffer.as_ref() {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    let _ = self.buffer.split_to(4);
                    return Some(true);
                }
                [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return None,
                [b'\r', b'\n', ..] => 2,
                [b'\r' | b'\n', ..] => 1,
                _ => return Some(false),
            };
            let _ = self.buffer.split_to(length);
        }
    }

    /// `None`: the header is not whole yet.
    fn look_for_body(&mut self, looked: usize) -> Option<Result<(), FramingError>> {
        let end = head_end(&self.buffer, looked);
        if end.unwrap_or(self.buffer.len()) > self.max_message {
            return Some(Err(FramingError { what: "a header longer than is taken", head: None }));
        }
        let Some(body) = end else {
            // The end may have begun with the last two bytes.
            self.state = State::Head { looked: self.buffer.len().saturating_sub(2) };
            return None;
        };
        let length = content_length(&self.buffer[..body]).and_then(|length| match body.checked_add(length) {
            Some(length) if length <= self.max_message => Ok(length),
            _ => Err("a message longer than is taken"),
        });
        Some(match length {
            Ok(length) => {
                self.state = State::Body { length };
                Ok(())
            }
            Err(what) => Err(FramingError { what, head: Some(self.buffer.split_to(body).freeze()) }),
        })
    }
}

/// The one Content-Length of a header.
fn content_length(head: &[u8]) -> Result<usize, &'static str> {
    let mut found = None;
    for line in Lines::new(head).skip(1) {
        match field(&line) {
            Some((_, Kind::ContentLength, _)) if found.is_some() => return Err("more than one Content-Length"),
            Some((_, Kind::ContentLength, value)) => found = Some(read_length(value)?),
            _ => {}
        }
    }
    found.ok_or("no Content-Length")
}

#[cfg(test)]
mod tests;
