//! `Retry-After` in either of its forms.

use std::time::Duration;

use environment::UnixTime;
use identity::parse_http_date;

/// The wait that an answer asks for: seconds, or a date, which is read against the target's own clock when `date` tells it,
/// and against `now` otherwise. A date that has passed asks for none. `None` for what is neither.
pub(super) fn read(retry_after: Option<&str>, date: Option<&str>, now: UnixTime) -> Option<Duration> {
    let text = retry_after?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Ten digits and more are centuries.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = parse_http_date(text)?;
    Some(at.since(date.and_then(parse_http_date).unwrap_or(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        let now = UnixTime::from_secs(784_111_777); // 1994-11-06 08:49:37
        for (text, date, secs) in [
            ("0", None, Some(0)),
            ("7", None, Some(7)),
            ("120", Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(120)),
            ("99999999999999999999999", None, Some(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, Some(60)),
            // The obsolete forms of dates, which nobody sends.
            ("Sunday, 06-Nov-94 08:50:37 GMT", None, None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some("yesterday"), Some(60)),
            ("Tue, 06 Nov 1990 08:50:37 GMT", None, Some(0)),
            ("-3", None, None),
            ("1.5", None, None),
            ("", None, None),
            ("soon", None, None),
        ] {
            assert_eq!(read(Some(text), date, now), secs.map(Duration::from_secs), "{text:?} {date:?}");
        }
        assert_eq!(read(None, Some("Sun, 06 Nov 1994 08:49:37 GMT"), now), None);
    }
}
