//! Which numbers a certificate may speak for: its TNAuthList (RFC 8226 section 9).
//!
//! ```text
//! TNAuthorizationList ::= SEQUENCE SIZE (1..MAX) OF TNEntry          explicit tags
//! TNEntry ::= CHOICE { spc [0] IA5String, range [1] SEQUENCE { start IA5String, count INTEGER }, one [2] IA5String }
//! ```

/// Most entries that are read.
const MOST: usize = 10_000;

/// What one TNAuthList says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Authority {
    /// A service provider code: which numbers the provider has is not written down.
    pub provider: Option<String>,
    /// First number and how many from there, all of one length.
    ranges: Vec<(String, u64)>,
}

impl Authority {
    /// Reads the value of the extension. None: it is not what it should be.
    pub fn read(der: &[u8]) -> Option<Authority> {
        let (mut entries, rest) = element(der, 0x30)?;
        let mut authority = Authority::default();
        let mut count = 0;
        while !entries.is_empty() {
            let tag = entries[0];
            let (inside, next) = element(entries, tag)?;
            match tag {
                0xa0 => authority.provider = Some(ia5(inside)?),
                0xa1 => authority.ranges.push(range(inside)?),
                0xa2 => authority.ranges.push((number(ia5(inside)?)?, 1)),
                _ => return None,
            }
            entries = next;
            count += 1;
            if count > MOST {
                return None;
            }
        }
        (rest.is_empty() && count > 0).then_some(authority)
    }

    /// True where it holds this number. A provider's code holds them all: a list of who has which numbers is nothing
    /// that a certificate tells.
    pub fn holds(&self, number: &str) -> bool {
        let within = |(start, count): &(String, u64)| {
            if *count == 1 || start.len() != number.len() {
                return start == number;
            }
            match (start.parse::<u64>(), number.parse::<u64>()) {
                (Ok(start), Ok(number)) => number.checked_sub(start).is_some_and(|above| above < *count),
                (Ok(_), Err(_)) | (Err(_), _) => false,
            }
        };
        self.provider.is_some() || self.ranges.iter().any(within)
    }
}

fn range(der: &[u8]) -> Option<(String, u64)> {
    let (inside, rest) = element(der, 0x30)?;
    let (start, after) = element(inside, 0x16)?;
    let (count, end) = element(after, 0x02)?;
    let count = match count {
        // A number above zero may have one zero byte in front.
        [0, digits @ ..] | digits if !digits.is_empty() && digits.len() <= 8 => {
            digits.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte))
        }
        _ => return None,
    };
    let start = number(text(start)?)?;
    (rest.is_empty() && end.is_empty() && count > 0).then_some((start, count))
}

fn ia5(der: &[u8]) -> Option<String> {
    let (inside, rest) = element(der, 0x16)?;
    if rest.is_empty() { text(inside) } else { None }
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii() && !text.is_empty())?;
    Some(text.to_owned())
}

/// RFC 8226: 1 to 15 of `0-9 # *`.
fn number(text: String) -> Option<String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'#' || b == b'*');
    (digits && text.len() <= 15).then_some(text)
}

/// One DER element with this tag: what is in it, and what is behind.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, inside: &[u8]) -> Vec<u8> {
        let length = u8::try_from(inside.len()).unwrap();
        [&[tag, length], inside].concat()
    }

    #[test]
    fn a_single_number_and_a_range_hold_what_is_in_them() {
        let one = tlv(0xa2, &tlv(0x16, b"12155551212"));
        let range = tlv(0xa1, &tlv(0x30, &[tlv(0x16, b"493012000"), tlv(0x02, &[0x03, 0xe8])].concat()));
        let authority = Authority::read(&tlv(0x30, &[one, range].concat())).unwrap();
        for (number, held) in [
            ("12155551212", true),
            ("12155551213", false),
            ("493011999", false),
            ("493012000", true),
            ("493012999", true),
            ("493013000", false),
            ("4930120001", false),
            ("*3012000", false),
        ] {
            assert_eq!(authority.holds(number), held, "{number}");
        }
    }

    #[test]
    fn a_providers_code_speaks_for_every_number() {
        let authority = Authority::read(&tlv(0x30, &tlv(0xa0, &tlv(0x16, b"709J")))).unwrap();
        assert_eq!(authority.provider.as_deref(), Some("709J"));
        assert!(authority.holds("12155551212"));
    }

    #[test]
    fn what_is_no_list_is_refused_and_never_panics() {
        let whole = tlv(0x30, &tlv(0xa1, &tlv(0x30, &[tlv(0x16, b"493012000"), tlv(0x02, &[5])].concat())));
        assert!(Authority::read(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(Authority::read(&whole[..end]), None, "cut at {end}");
        }
        for at in 0..whole.len() {
            for flip in [1u8, 0x80, 0xff] {
                let mut broken = whole.clone();
                broken[at] ^= flip;
                let _ = Authority::read(&broken);
            }
        }
        assert_eq!(Authority::read(&tlv(0x30, &[])), None, "an empty list");
        assert_eq!(Authority::read(&tlv(0x30, &tlv(0xa2, &tlv(0x16, b"123456789012345678")))), None, "too long");
    }
}
