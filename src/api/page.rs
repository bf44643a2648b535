//! Lists come in pages: how long one is, and where the next begins.

use axum::{
    Json,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
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

/// Which page of a list, where nothing else is to be said.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// At most so many, 1 to 500; else 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = "^[0-9]{1,15}_[0-9A-Za-z.-]{0,64}$")]
    cursor: Option<String>,
}

impl Which {
    pub fn limit(&self) -> Result<u32, Problem> {
        limit(self.limit)
    }

    pub fn cursor(&self) -> Result<Option<Place>, Problem> {
        read(self.cursor.as_deref())
    }
}

/// Which part of a list whose entries come without anything around them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// At most so many, 1 to 500; else 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `X-Next-Cursor` of the part before.
    #[param(max_length = 2000, pattern = "^([0-9a-f]{2})*$")]
    cursor: Option<String>,
}

impl Part {
    /// This part of a list, in the order of the places of its entries; each has one of its own.
    pub fn of<T: Serialize>(&self, all: Vec<(String, T)>) -> Result<Response, Problem> {
        let (entries, next) = self.cut(all)?;
        Ok(answer(entries, next))
    }

    /// The same for who has yet to fetch what is shown of them; and where the next part begins.
    pub fn cut<T>(&self, mut all: Vec<(String, T)>) -> Result<(Vec<T>, Option<HeaderValue>), Problem> {
        let limit = limit(self.limit.or(Some(MOST)))? as usize;
        if let Some(after) = self.cursor.as_deref() {
            let fits = after.len() <= 2000 && after.len().is_multiple_of(2);
            if !fits || !after.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(Problem::field("cursor", "allowed: the `X-Next-Cursor` of an answer of before"));
            }
            // Digits of equal bytes are in the order of the bytes.
            all.retain(|(place, _)| *hex(place) > *after);
        }
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().filter(|_| more).and_then(|(place, _)| hex(place).parse().ok());
        Ok((all.into_iter().map(|(_, entry)| entry).collect(), next))
    }

    /// The same of a list whose order says nothing but what is before what.
    pub fn of_ordered<T: Serialize>(&self, all: impl IntoIterator<Item = T>) -> Result<Response, Problem> {
        self.of(all.into_iter().enumerate().map(|(at, entry)| (format!("{at:08}"), entry)).collect())
    }
}

/// A part of a list, and where the next one begins.
pub(super) fn answer<T: Serialize>(entries: Vec<T>, next: Option<HeaderValue>) -> Response {
    let mut response = Json(entries).into_response();
    response.headers_mut().extend(next.map(|next| (NEXT, next)));
    response
}

fn hex(place: &str) -> String {
    place.bytes().map(|byte| format!("{byte:02x}")).collect()
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
    fn a_list_is_cut_into_parts_that_together_are_all_of_it() {
        let all = || ["b", "a", "\u{e4} c", "a b", "d"].map(|name| (name.to_owned(), name)).to_vec();
        let (mut cursor, mut seen) = (None, 0);
        loop {
            let answer = Part { limit: Some(2), cursor: cursor.clone() }.of(all()).unwrap();
            seen += 1;
            cursor = answer.headers().get(NEXT).map(|next| next.to_str().unwrap().to_owned());
            match seen {
                1 => assert_eq!(cursor.as_deref(), Some("612062"), "a, a b"),
                2 => assert_eq!(cursor.as_deref(), Some("64"), "b, d"),
                _ => break,
            }
        }
        assert_eq!((seen, cursor), (3, None));
        for bad in ["x", "6", "6A"] {
            let part = Part { limit: None, cursor: Some(bad.into()) };
            assert_eq!(part.of(all()).unwrap_err().field.as_deref(), Some("cursor"), "{bad}");
        }
        assert!(Part { limit: Some(0), cursor: None }.of(all()).is_err());
    }

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
