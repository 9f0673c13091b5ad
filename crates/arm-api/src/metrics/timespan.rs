//! `timespan`: `start/end`, `start/duration`, `duration/end`, or a duration that ends now.
//!
//! Times are ISO 8601; one that names no offset is UTC (`az` sends such). `az` encodes the whole value twice, so that after
//! the query is decoded it can still be encoded: both are taken.

use std::fmt;
use std::time::Duration;

use environment::UnixTime;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};
use percent_encoding::percent_decode_str;

use super::utc;

/// From a time on, up to another that is later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Timespan {
    pub(crate) start: UnixTime,
    pub(crate) end: UnixTime,
}

/// Text that is no timespan.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TimespanError {
    #[error("is longer than {TIMESPAN_BYTES_MAX} bytes")]
    TooLong,
    #[error("is not of the form start/end, such as 2030-01-01T00:00:00Z/2030-01-01T01:00:00Z")]
    Form,
    #[error("has {0:?}, which is neither a time such as 2030-01-01T00:00:00Z nor a duration such as PT1H")]
    Part(String),
    #[error("ends before it begins")]
    Empty,
}

impl Timespan {
    /// The hour that ends `now`: for requests that name none.
    pub(crate) fn last_hour(now: UnixTime) -> Self {
        Self { start: now.minus(Duration::from_secs(3600)), end: now }
    }

    /// Reads a timespan.
    pub(crate) fn parse(text: &str, now: UnixTime) -> Result<Self, TimespanError> {
        if text.len() > TIMESPAN_BYTES_MAX {
            return Err(TimespanError::TooLong);
        }
        let decoded = percent_decode_str(text).decode_utf8().map_err(|_| TimespanError::Form)?;
        let mut parts = decoded.split('/').map(|part| Part::parse(part.trim()));
        let span = match (parts.next(), parts.next(), parts.next()) {
            (Some(only), None, _) => match only? {
                Part::Length(length) => Self { start: now.minus(length), end: now },
                Part::Time(_) => return Err(TimespanError::Form),
            },
            (Some(first), Some(second), None) => match (first?, second?) {
                (Part::Time(start), Part::Time(end)) => Self { start, end },
                (Part::Time(start), Part::Length(length)) => Self { start, end: start.plus(length) },
                (Part::Length(length), Part::Time(end)) => Self { start: end.minus(length), end },
                (Part::Length(_), Part::Length(_)) => return Err(TimespanError::Form),
            },
            _ => return Err(TimespanError::Form),
        };
        if span.start < span.end { Ok(span) } else { Err(TimespanError::Empty) }
    }

    /// How long it is.
    pub(crate) fn length(&self) -> Duration {
        self.end.since(self.start)
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", utc(self.start), utc(self.end))
    }
}

enum Part {
    Time(UnixTime),
    Length(Duration),
}

impl Part {
    fn parse(text: &str) -> Result<Self, TimespanError> {
        let found =
            if text.starts_with(['P', 'p']) { length(text).map(Self::Length) } else { time(text).map(Self::Time) };
        found.ok_or_else(|| TimespanError::Part(text.chars().take(SHOWN_CHARS).collect()))
    }
}

fn length(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    // Months and years have no fixed length, and are refused.
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(length).ok().filter(|length| *length <= LENGTH_MAX)
}

fn time(text: &str) -> Option<UnixTime> {
    // A plus sign that was not encoded has become a space.
    let text = match text.rsplit_once(' ') {
        Some((before, offset)) if before.contains(['T', 't']) => format!("{before}+{offset}"),
        _ => text.to_owned(),
    };
    let zoned: Option<Timestamp> = text.parse().ok();
    let naive = || text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0))).ok();
    let at = zoned.or_else(|| naive()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))?;
    let since_epoch = Duration::try_from(at.as_duration()).ok()?;
    Some(UnixTime::from_duration(since_epoch))
}

const TIMESPAN_BYTES_MAX: usize = 256;
const SHOWN_CHARS: usize = 60;
/// Longer ones are somebody's mistake; how much is read is bounded by the number of points.
const LENGTH_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T12:00:00Z.
    const NOW: UnixTime = UnixTime::from_millis(1_795_435_200_000);

    #[test]
    fn timespans() {
        for (text, expected) in [
            ("2026-11-23T10:00:00Z/2026-11-23T11:00:00Z", Some("2026-11-23T10:00:00Z/2026-11-23T11:00:00Z")),
            ("2026-11-23T10:00:00.123456/2026-11-23T11:00:00.9", Some("2026-11-23T10:00:00Z/2026-11-23T11:00:00Z")),
            ("2026-11-23T10%3A00%3A00%2F2026-11-23T11%3A00%3A00", Some("2026-11-23T10:00:00Z/2026-11-23T11:00:00Z")),
            ("2026-11-23T10:00:00+01:00/2026-11-23T10:00:00 00:00", Some("2026-11-23T09:00:00Z/2026-11-23T10:00:00Z")),
            ("2026-11-23 10:00:00/2026-11-23 11:00:00", Some("2026-11-23T10:00:00Z/2026-11-23T11:00:00Z")),
            ("2026-11-22/2026-11-23", Some("2026-11-22T00:00:00Z/2026-11-23T00:00:00Z")),
            ("2026-11-22T00:00:00Z/P1D", Some("2026-11-22T00:00:00Z/2026-11-23T00:00:00Z")),
            ("PT30M/2026-11-22T00:30:00Z", Some("2026-11-22T00:00:00Z/2026-11-22T00:30:00Z")),
            ("PT6H", Some("2026-11-23T06:00:00Z/2026-11-23T12:00:00Z")),
            ("", None),
            ("/", None),
            ("PT1H/PT1H", None),
            ("2026-11-23T10:00:00Z", None),
            ("2026-11-23T10:00:00Z/2026-11-23T11:00:00Z/PT1H", None),
            ("2026-11-23T11:00:00Z/2026-11-23T10:00:00Z", None),
            ("2026-11-23T11:00:00Z/2026-11-23T11:00:00Z", None),
            ("2026-13-23T11:00:00Z/PT1H", None),
            ("1900-01-01T00:00:00Z/PT1H", None),
            ("P1M", None),
            ("-PT1H", None),
            ("PT1H%FF", None),
            ("P999999D", None),
        ] {
            let found = Timespan::parse(text, NOW).map(|span| span.to_string());
            assert_eq!(found.ok().as_deref(), expected, "{text}");
        }
        assert_eq!(Timespan::parse(&"x".repeat(257), NOW), Err(TimespanError::TooLong));
    }
}
