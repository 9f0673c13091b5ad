//! The few ways in which issuers write a moment.

use environment::UnixTime;

/// Reads a moment as token endpoints write `expires_on`: seconds since the epoch, RFC 3339, `yyyy-MM-dd HH:mm:ss`, or
/// `MM/dd/yyyy HH:mm:ss` with an optional `AM`/`PM` and an optional `+00:00` (App Service of old).
pub(crate) fn parse(text: &str) -> Option<UnixTime> {
    let text = text.trim();
    if text.is_empty() || text.len() > 40 || !text.is_ascii() {
        return None;
    }
    if let Some(seconds) = whole_seconds(text) {
        return Some(UnixTime::from_secs(seconds));
    }
    let mut words = text.splitn(2, [' ', 'T', 't']);
    let date = date(words.next()?)?;
    let (time, offset) = time_and_offset(words.next()?)?;
    let seconds = date.checked_mul(86_400)?.checked_add(time)?.checked_sub(offset)?;
    (seconds >= 0).then(|| UnixTime::from_secs(seconds))
}

/// Reads the date of an HTTP header, `Sun, 06 Nov 1994 08:49:37 GMT`. The two obsolete forms are not read.
pub fn parse_http_date(text: &str) -> Option<UnixTime> {
    let mut words = text.split_ascii_whitespace();
    words.next().filter(|weekday| weekday.ends_with(','))?;
    let day = number(words.next()?, 1, 31)?;
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let word = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == word)?).ok()? + 1;
    let year = number(words.next()?, 1970, 9999)?;
    let time = clock_time(words.next()?)?;
    if words.next()? != "GMT" || words.next().is_some() {
        return None;
    }
    Some(UnixTime::from_secs(days_since_epoch(year, month, day)? * 86_400 + time))
}

fn whole_seconds(text: &str) -> Option<i64> {
    let digits = text.split_once('.').map_or(text, |(whole, fraction)| {
        if !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()) { whole } else { "" }
    });
    // Twelve digits are the year 33658; more is no time in seconds.
    (!digits.is_empty() && digits.len() <= 12 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

fn date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ['-', '/']);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = if text.contains('/') { (third, first, second) } else { (first, second, third) };
    days_since_epoch(number(year, 1970, 9999)?, number(month, 1, 12)?, number(day, 1, 31)?)
}

fn time_and_offset(text: &str) -> Option<(i64, i64)> {
    let text = text.trim();
    let (text, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(rest) => (rest, 0),
        None => split_offset(text)?,
    };
    let text = text.trim();
    let (text, half) = match text.split_once(' ') {
        Some((time, half)) => (time, Some(half)),
        None => (text, None),
    };
    let time = clock_time(text)?;
    let hour = time / 3600;
    match half {
        None => Some((time, offset)),
        Some("AM") if (1..=12).contains(&hour) => Some((time - if hour == 12 { 12 * 3600 } else { 0 }, offset)),
        Some("PM") if (1..=12).contains(&hour) => Some((time + if hour == 12 { 0 } else { 12 * 3600 }, offset)),
        Some(_) => None,
    }
}

fn split_offset(text: &str) -> Option<(&str, i64)> {
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let (hours, minutes) = text[at + 1..].split_once(':')?;
    let span = number(hours, 0, 23)? * 3600 + number(minutes, 0, 59)? * 60;
    Some((&text[..at], if text.as_bytes()[at] == b'-' { -span } else { span }))
}

/// Seconds since midnight of `HH:mm:ss`, a fraction dropped.
fn clock_time(text: &str) -> Option<i64> {
    let text = text.split_once('.').map_or(text, |(whole, _)| whole);
    let mut parts = text.split(':');
    let time =
        number(parts.next()?, 0, 23)? * 3600 + number(parts.next()?, 0, 59)? * 60 + number(parts.next()?, 0, 60)?;
    parts.next().is_none().then_some(time)
}

fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    if text.is_empty() || text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|value| (least..=most).contains(value))
}

/// Days of the proleptic Gregorian calendar, with years that begin in March so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > in_month {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form_seen() {
        for (text, seconds) in [
            ("1732360000", 1_732_360_000),
            ("1732360000.25", 1_732_360_000),
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T12:00:00Z", 1_709_208_000),
            ("2024-02-29T13:30:00.123+01:30", 1_709_208_000),
            ("2024-02-29T10:00:00-02:00", 1_709_208_000),
            ("2024-02-29 12:00:00", 1_709_208_000),
            ("02/29/2024 12:00:00", 1_709_208_000),
            ("2/29/2024 12:00:00 PM +00:00", 1_709_208_000),
            ("2/29/2024 12:00:00 AM +00:00", 1_709_164_800),
            ("02/29/2024 01:00:00 PM", 1_709_211_600),
        ] {
            assert_eq!(parse(text), Some(UnixTime::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "soon",
            "-5",
            "1.",
            "99999999999999",
            "2023-02-29 00:00:00",
            "2024-13-01 00:00:00",
            "13:00:00",
            "2024-01-01T25:00:00Z",
            "2024-01-01",
            "01/01/2024 13:00:00 PM",
            "2024-01-01T00:00:00+1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn header_dates_are_read() {
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(UnixTime::from_secs(784_111_777)));
        for text in ["", "06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37", "Sunday, 06-Nov-94 08:49:37 GMT"] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }
}
