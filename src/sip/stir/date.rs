//! The Date header: `Thu, 21 Feb 2002 13:02:03 GMT` (RFC 3261 section 20.17), as seconds since 1970.

use crate::time::civil;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: u64 = 86_400;

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn month_days(year: u64) -> [u64; 12] {
    [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

/// Seconds since 1970 as the header has them.
pub fn write_date(unix: u64) -> String {
    let weekday = DAYS[(unix / DAY % 7) as usize];
    let (year, month, day) = civil(unix);
    let month = MONTHS[month as usize - 1];
    let (hour, minute, second) = (unix / 3600 % 24, unix / 60 % 60, unix % 60);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Seconds since 1970; None: no such header, or a year before 1970 or beyond 9999. The weekday is not looked at.
pub(super) fn read_date(text: &str) -> Option<u64> {
    let (_, rest) = text.trim().split_once(',')?;
    let mut words = rest.split_ascii_whitespace();
    let day: u64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    let year: u64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let zone = words.next()?;
    let there = (1970..10_000).contains(&year) && (1..=month_days(year)[month]).contains(&day);
    if !there || hour > 23 || minute > 59 || second > 60 || !zone.eq_ignore_ascii_case("GMT") {
        return None;
    }
    let years: u64 = (1970..year).map(days_of).sum();
    let months: u64 = month_days(year)[..month].iter().sum();
    Some((years + months + day - 1) * DAY + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_the_rfc_is_read_and_written() {
        let text = "Thu, 21 Feb 2002 13:02:03 GMT";
        assert_eq!(read_date(text), Some(1_014_296_523));
        assert_eq!(write_date(1_014_296_523), text);
        assert_eq!(write_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn what_is_written_is_read_again_around_leap_days_and_new_years() {
        for unix in [951_782_399, 951_782_400, 951_868_800, 1_709_164_800, 1_735_689_599, 1_735_689_600, 4_107_542_400]
        {
            assert_eq!(read_date(&write_date(unix)), Some(unix), "{}", write_date(unix));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "now",
            "Thu, 21 Feb 2002 13:02:03 CET",
            "Thu, 30 Feb 2002 13:02:03 GMT",
            "Thu, 21 Feb 2002 24:00:00 GMT",
            "Thu, 21 Feb 99999999999 13:02:03 GMT",
            "Thu, 21 Feb 1969 13:02:03 GMT",
        ] {
            assert_eq!(read_date(text), None, "{text}");
        }
    }
}
