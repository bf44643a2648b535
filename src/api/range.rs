//! A part of a file, as a browser asks for one that seeks (RFC 9110 section 14).

use axum::http::{HeaderMap, header};

/// What is to be sent of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// So many bytes from this one on.
    Bytes {
        /// Counted from 0.
        first: u64,
        /// At least one.
        length: u64,
    },
    /// What is asked for is not there.
    Beyond,
}

/// Which part of a file of `length` bytes is asked for. Several parts at once, or what nobody can read, is as if nothing
/// had been asked (section 14.2); so is a part with a condition, since we give nothing that it could be about.
pub(super) fn part(headers: &HeaderMap, length: u64) -> Part {
    let text = headers.get(header::RANGE).filter(|_| !headers.contains_key(header::IF_RANGE));
    text.and_then(|text| read(text.to_str().ok()?, length)).unwrap_or(Part::Whole)
}

fn read(text: &str, length: u64) -> Option<Part> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX));
    let (first, end) = match (first, last) {
        ("", "") => return None,
        // The last so many.
        ("", last) => (length.saturating_sub(number(last)?), if number(last)? == 0 { 0 } else { length }),
        (first, "") => (number(first)?, length),
        (first, last) if number(first)? > number(last)? => return None,
        (first, last) => (number(first)?, number(last)?.saturating_add(1).min(length)),
    };
    Some(if first < end { Part::Bytes { first, length: end - first } } else { Part::Beyond })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: &str) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        part(&headers, 100)
    }

    #[test]
    fn one_part_is_read_in_each_of_its_forms() {
        assert_eq!(asked("bytes=0-"), Part::Bytes { first: 0, length: 100 });
        assert_eq!(asked("bytes=10-19"), Part::Bytes { first: 10, length: 10 });
        assert_eq!(asked("Bytes = 99-99"), Part::Bytes { first: 99, length: 1 });
        assert_eq!(asked("bytes=90-1000"), Part::Bytes { first: 90, length: 10 });
        assert_eq!(asked("bytes=-30"), Part::Bytes { first: 70, length: 30 });
        assert_eq!(asked("bytes=-1000"), Part::Bytes { first: 0, length: 100 });
        assert_eq!(asked("bytes=5-99999999999999999999999"), Part::Bytes { first: 5, length: 95 });
    }

    #[test]
    fn a_part_behind_the_end_is_not_there() {
        for beyond in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(asked(beyond), Part::Beyond, "{beyond}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=0-".parse().unwrap());
        assert_eq!(part(&headers, 0), Part::Beyond, "nothing has no first byte");
    }

    #[test]
    fn what_cannot_be_read_or_depends_on_something_is_the_whole() {
        for odd in
            ["", "bytes", "bytes=", "bytes=-", "bytes=x-1", "bytes=1-x", "bytes=5-4", "lines=1-2", "bytes=0-1,3-4"]
        {
            assert_eq!(asked(odd), Part::Whole, "{odd}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(part(&headers, 100), Part::Whole);
        headers.insert(header::RANGE, "bytes=1-2".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"x\"".parse().unwrap());
        assert_eq!(part(&headers, 100), Part::Whole);
    }
}
