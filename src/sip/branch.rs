//! Names that only we can make up: Via branches, tags and Call-IDs, all from one seed.
//!
//! A name is a keyed hash of a counter: whoever sees some of them cannot tell the next one (RFC 3261 section 19.3),
//! and nothing can be read from it.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What every branch of RFC 3261 starts with (section 8.1.1.7).
const COOKIE: &str = "z9hG4bK";

/// What the tags of [`Names::tag_of`] begin with, and no others of ours: by this an ACK is known that nobody waits for.
pub(super) const TRACELESS: &str = "gone-";

/// Makes names. The same seed makes the same names.
#[derive(Debug)]
pub struct Names {
    seed: u64,
    count: u64,
}

impl Names {
    /// `seed` should be one that nobody can guess.
    pub fn new(seed: u64) -> Names {
        Names { seed, count: 0 }
    }

    /// A number not given before, as far as 64 bits go.
    pub fn number(&mut self) -> u64 {
        self.count += 1;
        self.keyed(self.count)
    }

    /// A tag for From or To.
    pub fn tag(&mut self) -> String {
        format!("{:016x}", self.number())
    }

    /// A tag that follows from `text`: whoever asks again gets the same one (for answers that leave no trace here).
    pub fn tag_of(&self, text: &str) -> String {
        format!("{TRACELESS}{:016x}", self.keyed(text))
    }

    /// A Call-ID.
    pub fn call_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.number(), self.number())
    }

    fn keyed(&self, what: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        what.hash(&mut hasher);
        hasher.finish()
    }
}

/// The branch of our request `number`.
pub fn branch(number: u64) -> String {
    format!("{COOKIE}{number:016x}")
}

/// The number of a branch of ours.
pub fn number(branch: &str) -> Option<u64> {
    let digits = branch.strip_prefix(COOKIE)?;
    let proper = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    proper.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// True for a branch that is unique by itself; those of RFC 2543 are not.
pub fn is_unique(branch: &str) -> bool {
    branch.get(..COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(COOKIE)) && branch.len() > COOKIE.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_of_ours_is_read_back_and_others_are_not() {
        for one in [0, 1, 0xdead_beef, u64::MAX] {
            assert_eq!(number(&branch(one)), Some(one));
            assert!(is_unique(&branch(one)));
        }
        for other in
            ["", "z9hG4bK", "z9hG4bK12", "z9hG4bK+00000000000000f", "z9hG4bK00000000000000001", "1234", "é9hG4bK"]
        {
            assert_eq!(number(other), None, "{other}");
        }
        assert!(!is_unique("z9hG4bK"));
        assert!(!is_unique("1"));
    }

    #[test]
    fn one_seed_makes_one_row_of_names_and_another_seed_another() {
        let row = |seed| {
            let mut names = Names::new(seed);
            (0..100).map(|_| names.tag()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(row(1), row(1));
        assert_eq!(row(1).len(), 100);
        assert!(row(1).is_disjoint(&row(2)));
        assert_eq!(Names::new(1).tag_of("a"), Names::new(1).tag_of("a"));
        assert_ne!(Names::new(1).tag_of("a"), Names::new(1).tag_of("b"));
    }
}
