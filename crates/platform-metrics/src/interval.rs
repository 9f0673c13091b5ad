//! The length of the intervals that values are aggregated over.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One of Azure's time grains, or the whole timespan at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval(Option<Duration>);

/// Text that is no interval of metrics.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no interval of metrics: {0:?}; these are: PT1M, PT5M, PT15M, PT30M, PT1H, PT6H, PT12H, P1D, FULL")]
pub struct IntervalError(String);

impl Interval {
    /// A minute: the grain in which metrics are recorded.
    pub const MINUTE: Self = Self(Some(Duration::from_secs(60)));
    /// The whole timespan as one.
    pub const FULL: Self = Self(None);

    /// All grains, from fine to coarse.
    pub fn all() -> impl Iterator<Item = Self> {
        GRAINS.iter().map(|(_, minutes)| Self(Some(Duration::from_secs(minutes * 60))))
    }

    /// Its length; none for the whole timespan.
    pub const fn length(self) -> Option<Duration> {
        self.0
    }

    /// The finest grain that cuts `span` into no more than [`POINTS_BY_DEFAULT`] intervals: for requests that name none.
    pub fn fitting(span: Duration) -> Self {
        let fits =
            |interval: &Self| interval.0.is_some_and(|length| span.as_secs() / length.as_secs() <= POINTS_BY_DEFAULT);
        Self::all().find(fits).unwrap_or(Self(Some(Duration::from_secs(24 * 3600))))
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        if text.eq_ignore_ascii_case("FULL") {
            return Ok(Self::FULL);
        }
        let known = GRAINS.iter().chain(OTHER_WORDS).find(|(name, _)| text.eq_ignore_ascii_case(name));
        match known {
            Some((_, minutes)) => Ok(Self(Some(Duration::from_secs(minutes * 60)))),
            None => Err(IntervalError(text.chars().take(32).collect())),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = GRAINS.iter().find(|(_, minutes)| self.0 == Some(Duration::from_secs(minutes * 60)));
        f.write_str(named.map_or("FULL", |(name, _)| *name))
    }
}

/// With the minutes that each has.
const GRAINS: &[(&str, u64)] = &[
    ("PT1M", 1),
    ("PT5M", 5),
    ("PT15M", 15),
    ("PT30M", 30),
    ("PT1H", 60),
    ("PT6H", 360),
    ("PT12H", 720),
    ("P1D", 1440),
];
/// The same spans in other words.
const OTHER_WORDS: &[(&str, u64)] = &[("PT60M", 60), ("PT24H", 1440)];
/// A day in minutes.
const POINTS_BY_DEFAULT: u64 = 1440;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for interval in Interval::all().chain([Interval::FULL]) {
            assert_eq!(interval.to_string().to_lowercase().parse(), Ok(interval));
        }
        assert_eq!("PT60M".parse::<Interval>().unwrap().to_string(), "PT1H");
        for text in ["", "PT2M", "1m", "PT1M ", "P1Y"] {
            assert!(text.parse::<Interval>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn fits_the_span() {
        for (hours, expected) in [(1, "PT1M"), (24, "PT1M"), (25, "PT5M"), (24 * 30, "PT30M"), (24 * 10_000, "P1D")] {
            assert_eq!(Interval::fitting(Duration::from_secs(hours * 3600)).to_string(), expected, "{hours} h");
        }
    }
}
