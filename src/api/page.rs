//! Lists come in pages: how long one is, and where the next begins.

use axum::http::HeaderName;
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::store::Place;

/// Most entries of a page.
const MOST: u32 = 500;
/// Entries of a page where nothing is said.
const USUAL: u32 = 50;
/// The header that tells where the next page begins, where the body has no room for that.
pub(super) const NEXT: HeaderName = HeaderName::from_static("x-next-cursor");
/// Longest id in a cursor.
const LONGEST_ID: usize = 64;

/// The latest moment that can be asked for, in ms since 1970, and the highest number: what each program can hold exactly.
pub(super) const LATEST: i64 = (1 << 53) - 1;

/// After which number the page begins; 0: it is the first.
pub(super) fn after(wanted: Option<u64>) -> Result<u64, Problem> {
    let after = wanted.unwrap_or(0);
    if after <= LATEST.unsigned_abs() { Ok(after) } else { Err(Problem::field("after", "allowed: 0 to 2^53 - 1")) }
}

/// How many are wanted.
pub(super) fn limit(wanted: Option<u32>) -> Result<u32, Problem> {
    let limit = wanted.unwrap_or(USUAL);
    if (1..=MOST).contains(&limit) { Ok(limit) } else { Err(Problem::field("limit", "allowed: 1 to 500")) }
}

/// Which of the things of a call that are counted: its events, the turns of its talk.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// Only those after this one: an event's `id`, or a `turn`.
    #[param(minimum = 0, maximum = 9007199254740991i64)]
    after: Option<u64>,
    /// At most so many, 1 to 500; else 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

impl Since {
    pub fn after(&self) -> Result<u64, Problem> {
        after(self.after)
    }

    pub fn limit(&self) -> Result<u32, Problem> {
        limit(self.limit.or(Some(MOST)))
    }
}

/// Where the page begins. Whatever has the form of a cursor is one: `MS_ID`, `^[0-9]{1,15}_[0-9A-Za-z.-]{0,64}$`.
pub(super) fn read(cursor: Option<&str>) -> Result<Option<Place>, Problem> {
    let Some(text) = cursor else { return Ok(None) };
    let place = || {
        let (at, id) = text.split_once('_')?;
        let digits = (1..=15).contains(&at.len()) && at.bytes().all(|byte| byte.is_ascii_digit());
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        (digits && plain && id.len() <= LONGEST_ID).then_some((at.parse().ok()?, id.to_owned()))
    };
    match place() {
        Some(place) => Ok(Some(place)),
        None => Err(Problem::field("cursor", "allowed: the `next` of an answer of before")),
    }
}

/// The cursor of the next page.
pub(super) fn next(place: Option<Place>) -> Option<String> {
    place.map(|(at, id)| format!("{}_{id}", at.max(0)))
}

/// A word to look for, as a database takes it.
pub(super) fn word(field: &str, text: Option<&String>) -> Result<(), Problem> {
    match text {
        // PostgreSQL knows no text with this in it.
        Some(text) if text.chars().count() > 200 || text.contains('\0') => {
            Err(Problem::field(field, "allowed: up to 200 characters"))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let place = (1_800_000_000_000, "1795226792117-1.0".to_owned());
        let text = next(Some(place.clone())).unwrap();
        assert_eq!(read(Some(&text)).unwrap(), Some(place));
        assert_eq!(read(Some("0_")).unwrap(), Some((0, String::new())), "all of that form are cursors");
        for bad in ["", "_", "x_1", "1", "1234567890123456_1", "1_a b", "-1_x", "1_\u{e4}"] {
            assert_eq!(read(Some(bad)).unwrap_err().field.as_deref(), Some("cursor"), "{bad}");
        }
    }
}
