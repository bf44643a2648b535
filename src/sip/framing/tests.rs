use proptest::prelude::*;

use super::*;
use crate::sip::fuzz;

const OPTIONS: &str = "OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n";
const MESSAGE: &str = "MESSAGE sip:a@b SIP/2.0\r\nl : \r\n 5\r\n\r\nhello";

fn all(framer: &mut Framer) -> Vec<Result<Framed, FramingError>> {
    std::iter::from_fn(|| framer.next()).collect()
}

fn message(text: &str) -> Result<Framed, FramingError> {
    Ok(Framed::Message(Bytes::copy_from_slice(text.as_bytes())))
}

#[test]
fn messages_are_cut_where_their_length_says() {
    let mut framer = Framer::new(1000);
    framer.push(format!("{OPTIONS}{MESSAGE}{OPTIONS}OPTIONS sip:").as_bytes());
    assert_eq!(all(&mut framer), [message(OPTIONS), message(MESSAGE), message(OPTIONS)]);
    framer.push(&OPTIONS.as_bytes()[12..]);
    assert_eq!(all(&mut framer), [message(OPTIONS)]);
}

#[test]
fn a_message_that_comes_byte_by_byte_is_whole_with_its_last_byte() {
    let mut framer = Framer::new(1000);
    for byte in &MESSAGE.as_bytes()[..MESSAGE.len() - 1] {
        framer.push(&[*byte]);
        assert_eq!(framer.next(), None);
    }
    framer.push(b"o");
    assert_eq!(all(&mut framer), [message(MESSAGE)]);
}

#[test]
fn two_empty_lines_are_a_ping_and_one_is_nothing() {
    let mut framer = Framer::new(1000);
    framer.push(b"\r\n\r");
    assert_eq!(framer.next(), None);
    framer.push(b"\n");
    assert_eq!(all(&mut framer), [Ok(Framed::Ping)]);
    framer.push(format!("\r\n{OPTIONS}").as_bytes());
    assert_eq!(all(&mut framer), [message(OPTIONS)]);
}

#[test]
fn a_length_that_cannot_be_relied_on_breaks_the_stream_and_leaves_the_header_to_answer() {
    for (length, what) in [
        ("Content-Length: five", "an improper Content-Length"),
        ("Content-Length: -999", "an improper Content-Length"),
        ("Content-Length: 99999999999999999999", "an improper Content-Length"),
        ("Content-Length: 18446744073709551615", "a message longer than is taken"),
        ("Content-Length: 1000", "a message longer than is taken"),
        ("l: 5\r\nContent-Length: 5", "more than one Content-Length"),
        ("Subject: none", "no Content-Length"),
    ] {
        let head = format!("OPTIONS sip:a@b SIP/2.0\r\n{length}\r\n\r\n");
        let mut framer = Framer::new(1000);
        framer.push(format!("{head}hello{OPTIONS}").as_bytes());
        assert_eq!(all(&mut framer), [Err(FramingError { what, head: Some(head.into()) })]);
        framer.push(OPTIONS.as_bytes());
        assert_eq!(framer.next(), None, "nothing comes behind an error");
    }
}

#[test]
fn what_never_ends_is_not_kept() {
    let mut framer = Framer::new(1000);
    framer.push(&[b'x'; 1000]);
    assert_eq!(framer.next(), None);
    framer.push(b"x");
    assert_eq!(all(&mut framer), [Err(FramingError { what: "a header longer than is taken", head: None })]);
    framer.push(&[b'x'; 100]);
    assert_eq!(framer.buffer.len(), 0);
}

proptest! {
    #[test]
    fn a_stream_gives_the_same_in_however_many_pieces_it_comes(
        parts in prop::collection::vec(
            prop_oneof![
                3 => Just(OPTIONS.as_bytes().to_vec()),
                3 => Just(MESSAGE.as_bytes().to_vec()),
                2 => Just(b"\r\n".to_vec()),
                1 => Just(b"\n".to_vec()),
                1 => prop::collection::vec(any::<u8>(), 0..20),
                1 => Just(vec![b'x'; 1500]),
            ],
            0..12,
        ),
        size in any::<u8>(),
    ) {
        let mut bytes = vec![size];
        bytes.extend(parts.concat());
        fuzz::framing(&bytes);
    }
}
