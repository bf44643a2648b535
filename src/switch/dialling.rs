//! One form for a telephone number, whichever way it is written where we are: `+49 (30) 1234`, `0049301234`, `4930 1234`
//! and, where our country is told, `0301234` are one number (ITU-T E.123, E.164).

use super::telephone;

/// How numbers are dialled where we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialling {
    /// Our country code; empty: not told, and national numbers stay as they are.
    pub country: String,
    /// What is dialled before a country code, where others write `+`; empty: nothing.
    pub international: String,
    /// What is dialled before a national number, and not after a country code; empty: nothing.
    pub national: String,
}

impl Default for Dialling {
    fn default() -> Dialling {
        Dialling { country: String::new(), international: "00".to_owned(), national: "0".to_owned() }
    }
}

impl Dialling {
    /// The number's one form: its digits, with the country code as far as that is known, and without `+`. A name, and
    /// what has other characters in it, stays as it is, in small letters.
    pub fn form(&self, number: &str) -> String {
        let Some((plus, digits)) = telephone::digits(number.trim()) else { return number.trim().to_lowercase() };
        if plus {
            return digits;
        }
        if let Some(rest) = after(&digits, &self.international) {
            return rest.to_owned();
        }
        match after(&digits, &self.national) {
            Some(rest) if !self.country.is_empty() => format!("{}{rest}", self.country),
            Some(_) | None => digits,
        }
    }

    /// A number's digits as they are written, without visual separators and `+`; anything else as in [`Self::form`].
    pub fn plain(number: &str) -> String {
        telephone::digits(number.trim()).map_or_else(|| number.trim().to_lowercase(), |(_, digits)| digits)
    }

    /// All that [`Self::plain`] may make of this number, whichever way it is written.
    pub fn plain_ways(&self, number: &str) -> Vec<String> {
        let mut plain: Vec<String> = self.ways(number).iter().map(|way| Self::plain(way)).collect();
        plain.sort();
        plain.dedup();
        plain
    }

    /// All texts without visual separators that are this number; what was asked for is the first.
    pub fn ways(&self, number: &str) -> Vec<String> {
        let mut ways = vec![number.to_owned()];
        if telephone::digits(number.trim()).is_some() {
            let form = self.form(number);
            let national = after(&form, &self.country);
            let national = national.map(|rest| format!("{}{rest}", self.national));
            let international = (!self.international.is_empty()).then(|| format!("{}{form}", self.international));
            // Where we are, a `+` before these digits may make another number of them.
            let written = telephone::ways(number.trim()).into_iter().filter(|way| self.same(way, number));
            for way in written.chain([format!("+{form}")]).chain(international).chain(national).chain([form]) {
                if !ways.contains(&way) {
                    ways.push(way);
                }
            }
        }
        ways
    }

    /// Are they one number?
    pub fn same(&self, one: &str, other: &str) -> bool {
        one == other || self.form(one) == self.form(other)
    }
}

/// What follows `prefix`; none: it does not begin so, or there is no prefix, or nothing follows.
fn after<'a>(digits: &'a str, prefix: &str) -> Option<&'a str> {
    digits.strip_prefix(prefix).filter(|rest| !prefix.is_empty() && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn german() -> Dialling {
        Dialling { country: "49".into(), ..Dialling::default() }
    }

    #[test]
    fn all_ways_to_write_a_number_have_one_form() {
        for number in ["+49 30 1", "4930 1", "0049301", "+49 (30) 1", "030-1", "0301"] {
            assert_eq!(german().form(number), "49301", "{number}");
        }
        let abroad = Dialling::default();
        for number in ["+49 30 1", "4930 1", "0049301"] {
            assert_eq!(abroad.form(number), "49301", "{number}");
        }
        assert_eq!(abroad.form("0301"), "0301", "whose country that is, nobody has told");
        assert_ne!(german().form("+43 30 1"), german().form("030 1"));
    }

    #[test]
    fn other_countries_dial_otherwise() {
        let american = Dialling { country: "1".into(), international: "011".into(), national: "1".into() };
        for number in ["+1 212 555 0100", "1 (212) 555-0100", "0111 212 555 0100"] {
            assert_eq!(american.form(number), "12125550100", "{number}");
        }
        let italian = Dialling { country: "39".into(), international: "00".into(), national: String::new() };
        assert_eq!(italian.form("06 1234"), "061234", "without a prefix nobody knows that it is a national one");
    }

    #[test]
    fn extensions_names_and_addresses_are_themselves() {
        for (number, form) in [
            ("100", "100"),
            ("Anna", "anna"),
            ("sip:Anna@a.example", "sip:anna@a.example"),
            ("0", "0"),
            ("00", "00"),
            ("+", "+"),
            ("", ""),
            (" ", ""),
        ] {
            let found = Dialling::default().form(number);
            assert_eq!(found, form, "{number}");
        }
    }

    #[test]
    fn each_way_of_a_number_leads_back_to_it() {
        for number in ["+49 30 1234", "0049301234", "030 1234", "100", "anna"] {
            let ways = german().ways(number);
            assert_eq!(ways[0], number);
            assert!(ways.iter().all(|way| german().same(way, number)), "{ways:?}");
        }
        assert_eq!(german().ways("+49 30 1234"), ["+49 30 1234", "+49301234", "49301234", "0049301234", "0301234"]);
        let russian = Dialling { country: "7".into(), international: "810".into(), national: "8".into() };
        assert_eq!(russian.ways("89261234567"), ["89261234567", "+79261234567", "81079261234567", "79261234567"]);
        assert_eq!(Dialling::default().ways("anna"), ["anna"]);
        assert_eq!(german().plain_ways("+49 30 1234"), ["0049301234", "0301234", "49301234"]);
        assert_eq!(german().plain_ways("Anna"), ["anna"]);
    }
}
