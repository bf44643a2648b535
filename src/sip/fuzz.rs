//! What must hold for any bytes. The fuzzer's targets and the property tests call these.

use super::{Framed, Framer, Limits, Message};

/// Generous, so that what a message grows by when it is printed does not matter.
const LIMITS: Limits = Limits { max_headers: 1000, max_message: 1 << 20 };

/// Any bytes can be read; what was understood prints as something that is understood in the same way; what was not has
/// an answer that prints.
pub fn message(bytes: &[u8]) {
    match Message::parse(bytes, &LIMITS) {
        Ok(message) => {
            let printed = message.to_bytes();
            let again = Message::parse(&printed, &LIMITS).expect("what we print can be read");
            assert_eq!(again, message, "printed as {}", String::from_utf8_lossy(&printed));
        }
        Err(malformed) => {
            assert!(!malformed.what.is_empty());
            let answer = malformed.answer.map(|answer| answer.to_bytes());
            assert!(answer.is_none_or(|answer| answer.ends_with(b"\r\n\r\n")));
        }
    }
}

/// A stream gives the same, in however many pieces it comes. The first byte says how long the pieces are.
pub fn framing(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let whole = cut(stream, stream.len().max(1));
    assert_eq!(cut(stream, usize::from(*size).max(1)), whole);
}

/// All that comes out of `stream` when it is pushed in pieces of `size` bytes; the last may be why it broke.
fn cut(stream: &[u8], size: usize) -> Vec<Result<Framed, &'static str>> {
    let mut framer = Framer::new(2000);
    let mut out = Vec::new();
    for piece in stream.chunks(size) {
        framer.push(piece);
        while let Some(one) = framer.next() {
            out.push(one.map_err(|error| error.what));
        }
    }
    out
}
