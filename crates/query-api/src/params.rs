//! Request parameters: from the query string and, for a POST, from the form in the body; what they say as values.

use std::time::Duration;

use model::TimestampMs;
use url::form_urlencoded;

/// A parameter that says nothing understandable. The text is Prometheus' own.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ParamError {
    /// A parameter's value does not parse.
    #[error("invalid parameter {name:?}: {reason}")]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// `match[]` is needed and not there.
    #[error("no match[] parameter provided")]
    NoMatcher,
    /// A selector that does not select.
    #[error("match[] must contain at least one non-empty matcher")]
    OnlyEmptyMatchers,
}

/// The parameters of one request, in order; names may repeat.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// From a query string and a form body (empty for a GET). The form's come first, as Go's `FormValue` prefers them.
    pub(crate) fn parse(query: Option<&str>, form: &[u8]) -> Self {
        let query = query.unwrap_or("").as_bytes();
        let pairs =
            form_urlencoded::parse(form).into_owned().chain(form_urlencoded::parse(query).into_owned()).collect();
        Self { pairs }
    }

    /// The first value of a parameter; empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A point in time, or `default` when the parameter is not there.
    ///
    /// # Errors
    /// A value that is neither seconds since the epoch nor RFC 3339.
    pub(crate) fn time(&self, name: &'static str, default: TimestampMs) -> Result<TimestampMs, ParamError> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).ok_or_else(|| ParamError::Invalid {
                name,
                reason: format!("cannot parse {text:?} to a valid timestamp"),
            }),
        }
    }

    /// A span of time; `None` when the parameter is not there.
    ///
    /// # Errors
    /// A value that is neither seconds nor a Prometheus duration, or does not fit.
    pub(crate) fn duration_ms(&self, name: &'static str) -> Result<Option<i64>, ParamError> {
        match self.get(name) {
            "" => Ok(None),
            text => match parse_duration_ms(text) {
                Some(ms) => Ok(Some(ms)),
                None => Err(ParamError::Invalid { name, reason: format!("cannot parse {text:?} to a valid duration") }),
            },
        }
    }

    /// A bound on the number of results; 0 means none.
    ///
    /// # Errors
    /// A value that is no number, or below zero.
    pub(crate) fn limit(&self) -> Result<usize, ParamError> {
        let name = "limit";
        match self.get(name) {
            "" => Ok(0),
            text => match text.parse::<i64>() {
                Ok(number) => usize::try_from(number)
                    .map_err(|_| ParamError::Invalid { name, reason: "limit must be non-negative".to_owned() }),
                Err(_) => Err(ParamError::Invalid { name, reason: format!("cannot parse {text:?} to a number") }),
            },
        }
    }

    /// How long the caller is willing to wait, at most `max`.
    ///
    /// # Errors
    /// As [`duration_ms`](Self::duration_ms).
    pub(crate) fn timeout(&self, max: Duration) -> Result<Duration, ParamError> {
        let asked = self.duration_ms("timeout")?;
        Ok(asked.and_then(|ms| u64::try_from(ms).ok()).map_or(max, |ms| max.min(Duration::from_millis(ms))))
    }
}

/// Seconds since the epoch with a fraction, or RFC 3339. Prometheus' own texts for the ends of time are understood too.
fn parse_time(text: &str) -> Option<TimestampMs> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        // The range in which a double still counts single milliseconds, and more than any sample needs.
        return (ms.abs() <= 9.0e15).then_some(TimestampMs(ms as i64));
    }
    match text {
        MIN_TIME => return Some(TimestampMs::MIN),
        MAX_TIME => return Some(TimestampMs::MAX),
        _ => {}
    }
    text.parse::<jiff::Timestamp>().ok().map(|time| TimestampMs(time.as_millisecond()))
}

/// Seconds with a fraction, or a Prometheus duration such as `1h30m`.
fn parse_duration_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        return (ms.is_finite() && ms.abs() <= 9.0e15).then_some(ms as i64);
    }
    parse_prometheus_duration_ms(text)
}

/// `y w d h m s ms` in falling order, each at most once; a lone `0` is zero.
fn parse_prometheus_duration_ms(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (_, ms) = units.find(|(unit, _)| *unit == &rest[..letters])?;
        total = total.checked_add(number.checked_mul(*ms)?)?;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then_some(total)
}

const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// How Prometheus prints its smallest and largest time; clients send them back.
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, ms) in [
            ("0", Some(0)),
            ("1732360000", Some(1_732_360_000_000)),
            ("1732360000.123", Some(1_732_360_000_123)),
            ("-3000", Some(-3_000_000)),
            ("1.5e3", Some(1_500_000)),
            ("2024-11-23T11:06:40Z", Some(1_732_360_000_000)),
            ("2024-11-23T12:06:40.5+01:00", Some(1_732_360_000_500)),
            ("now", None),
            ("NaN", None),
            ("1e300", None),
            ("2024-11-23", None),
        ] {
            assert_eq!(parse_time(text), ms.map(TimestampMs), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("15", Some(15_000)),
            ("0.5", Some(500)),
            ("1m", Some(60_000)),
            ("1h30m", Some(5_400_000)),
            ("1d2ms", Some(86_400_002)),
            ("30m1h", None),
            ("1m1m", None),
            ("m", None),
            ("1x", None),
            ("inf", None),
        ] {
            assert_eq!(parse_duration_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn form_comes_before_query_string() {
        let params = Params::parse(Some("query=a&match%5B%5D=x"), b"query=b%2Bc&match[]=y");
        assert_eq!(params.get("query"), "b+c");
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["y", "x"]);
        assert_eq!(params.get("absent"), "");
    }

    #[test]
    fn errors_say_which_parameter() {
        let params = Params::parse(Some("time=x&step=y&limit=-1&timeout=2s"), b"");
        let texts = [
            params.time("time", TimestampMs(0)).unwrap_err().to_string(),
            params.duration_ms("step").unwrap_err().to_string(),
            params.limit().unwrap_err().to_string(),
        ];
        assert_eq!(
            texts,
            [
                r#"invalid parameter "time": cannot parse "x" to a valid timestamp"#,
                r#"invalid parameter "step": cannot parse "y" to a valid duration"#,
                r#"invalid parameter "limit": limit must be non-negative"#,
            ]
        );
        assert_eq!(params.timeout(Duration::from_secs(120)), Ok(Duration::from_secs(2)));
        assert_eq!(params.timeout(Duration::from_secs(1)), Ok(Duration::from_secs(1)));
    }
}
