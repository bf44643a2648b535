//! Telephone numbers as peers write them: with `+` or without, as `tel:` (RFC 3966) or as the user of a `sip:` address,
//! with visual separators (`+49 (30) 123-45`) or bare. All ways of writing a number lead to what answers it.

use crate::sip::{Scheme, Uri};

/// Digits of the shortest number that may be an international one without its `+`; a shorter one is an extension.
const SHORTEST: usize = 8;
/// Digits of the longest number (ITU-T E.164).
const LONGEST: usize = 15;

/// The number that an address stands for, or the name: without its parameters (RFC 3261 section 19.1.6), and of a `tel:`
/// address without visual separators.
pub(super) fn of(uri: &Uri) -> Option<String> {
    let user = uri.user_decoded()?;
    let user = user.split(';').next().unwrap_or_default();
    Some(if uri.scheme == Scheme::Tel { bare(user) } else { user.to_owned() })
}

/// A number without visual separators (RFC 3966 section 5.1.1; people also write spaces).
fn bare(number: &str) -> String {
    number.chars().filter(|&c| !is_separator(c)).collect()
}

const fn is_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '(' | ')' | ' ')
}

/// Whether `number` has a `+`, and its digits; none: it is no number.
pub(super) fn digits(number: &str) -> Option<(bool, String)> {
    let rest = number.strip_prefix('+').unwrap_or(number);
    let digits = bare(rest);
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    is_number.then_some((rest.len() < number.len(), digits))
}

/// All ways to write a number without knowing where we are, its own first; [`Dialling::ways`](super::Dialling::ways) has
/// those that one must know it for, too. A name, and what has other characters in it, has only one. A `+` is put
/// before numbers that may be international ones: 8 to 15 digits, of which the first is no 0.
pub(super) fn ways(number: &str) -> Vec<String> {
    let mut ways = vec![number.to_owned()];
    let Some((plus_written, digits)) = digits(number) else { return ways };
    let international = (SHORTEST..=LONGEST).contains(&digits.len()) && !digits.starts_with('0');
    let plus = (plus_written || international).then(|| format!("+{digits}"));
    // What was written with `+` is looked for with it first.
    let others = if plus_written { [plus, Some(digits)] } else { [Some(digits), plus] };
    for way in others.into_iter().flatten() {
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_as_many_ways_as_people_write_it() {
        for (number, all) in [
            ("+49 (30) 123-45", &["+49 (30) 123-45", "+493012345", "493012345"][..]),
            ("+493012345", &["+493012345", "493012345"]),
            ("493012345", &["493012345", "+493012345"]),
            ("03012345", &["03012345"]),
            ("100", &["100"]),
            ("10-20", &["10-20", "1020"]),
            ("+100", &["+100", "100"]),
            ("a-b", &["a-b"]),
            ("+", &["+"]),
            ("", &[""]),
            ("4930123456789012", &["4930123456789012"]),
        ] {
            assert_eq!(ways(number), all, "{number}");
        }
    }

    #[test]
    fn an_address_is_a_number_without_what_is_only_for_the_eye() {
        for (uri, number) in [
            ("tel:+49-30-1234.5", "+493012345"),
            ("tel:(030)1;phone-context=+49", "0301"),
            ("sip:+493012345;npdi@a.example", "+493012345"),
            ("sip:a-b@a.example", "a-b"),
        ] {
            assert_eq!(of(&Uri::parse(uri).unwrap()).as_deref(), Some(number), "{uri}");
        }
        assert_eq!(of(&Uri::parse("sip:a.example").unwrap()), None);
    }
}
