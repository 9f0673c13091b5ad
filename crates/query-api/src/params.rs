//! Request parameters: from the query string and, for a POST, from the form in the body; what they say as values.

use std::hash::Hash;
use std::num::IntErrorKind;
use std::time::Duration;

use model::TimestampMs;
use percent_encoding::percent_decode;

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
    /// A label's name that is none.
    #[error("invalid label name: {0:?}")]
    LabelName(String),
    /// A parameter that is said to be wrong without its value.
    #[error("{0}")]
    Said(String),
}

/// The parameters of one request, in order; names may repeat.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// From a query string and a form body (empty for a GET). The form's come first, as Go's `FormValue` prefers them.
    ///
    /// # Errors
    /// Escapes that put together no UTF-8, and more parameters than anybody needs.
    pub(crate) fn parse(query: Option<&str>, form: &[u8]) -> Result<Self, ParamError> {
        let query = query.unwrap_or("").as_bytes();
        let mut pairs = Vec::new();
        let all = form.split(|byte| *byte == b'&').chain(query.split(|byte| *byte == b'&'));
        for pair in all.filter(|pair| !pair.is_empty()) {
            if pairs.len() == PARAMS_MAX {
                return Err(ParamError::Said(format!("a request may have {PARAMS_MAX} parameters")));
            }
            let end = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = end.map_or((pair, &[][..]), |end| (&pair[..end], &pair[end + 1..]));
            let name =
                decoded(name).map_err(|name| ParamError::Said(format!("parameter {name} is not valid UTF-8")))?;
            let value = decoded(value)
                .map_err(|_| ParamError::Said(format!("the value of parameter {} is not valid UTF-8", shown(&name))))?;
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The first value of a parameter; empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All that is said but of when: neither when it begins nor when it ends, only how long it is.
    pub(crate) fn but_when(&self) -> impl Hash {
        let is_when = |name: &str| matches!(name, "start" | "end" | "time");
        let pairs: Vec<&(String, String)> = self.pairs.iter().filter(|(name, _)| !is_when(name)).collect();
        let [start, end] = ["start", "end"].map(|name| parse_time(self.get(name)));
        (pairs, start.zip(end).map(|(start, end)| end.0.saturating_sub(start.0)))
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
                reason: format!("invalid time value for '{name}': cannot parse {} to a valid timestamp", shown(text)),
            }),
        }
    }

    /// A point in time that must be there.
    ///
    /// # Errors
    /// As for [`time`](Self::time), and when there is none.
    pub(crate) fn required_time(&self, name: &'static str) -> Result<TimestampMs, ParamError> {
        let text = self.get(name);
        let reason = || format!("cannot parse {} to a valid timestamp", shown(text));
        parse_time(text).ok_or_else(|| ParamError::Invalid { name, reason: reason() })
    }

    /// A span of time; `None` when the parameter is not there.
    ///
    /// # Errors
    /// A value that is neither seconds nor a Prometheus duration, or does not fit.
    pub(crate) fn duration_ms(&self, name: &'static str) -> Result<Option<i64>, ParamError> {
        match self.get(name) {
            "" => Ok(None),
            text => match parse_duration_ms(text) {
                Ok(ms) => Ok(Some(ms)),
                Err(reason) => Err(ParamError::Invalid { name, reason }),
            },
        }
    }

    /// How far a selector looks back for the newest sample; `None` for the usual.
    ///
    /// # Errors
    /// As [`duration_ms`](Self::duration_ms).
    pub(crate) fn lookback_ms(&self) -> Result<Option<i64>, ParamError> {
        let said = |reason| ParamError::Said(format!("error parsing lookback delta duration: {reason}"));
        match self.get("lookback_delta") {
            "" => Ok(None),
            // As in Prometheus, what is not above zero is as if it were not there.
            text => parse_duration_ms(text).map(|ms| (ms > 0).then_some(ms)).map_err(said),
        }
    }

    /// A truth value that is false when it is not there.
    ///
    /// # Errors
    /// What Go does not take for one.
    pub(crate) fn boolean(&self, name: &'static str) -> Result<bool, ParamError> {
        match self.get(name) {
            "" | "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
            other => {
                let reason = format!("cannot parse {} to a boolean", shown(other));
                Err(ParamError::Invalid { name, reason })
            }
        }
    }

    /// A whole number; `None` when the parameter is not there.
    ///
    /// # Errors
    /// What is none.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<i64>, ParamError> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| ParamError::Said(format!("{name} must be a number"))),
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
                Err(error) => {
                    let overflows = matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow);
                    let what = if overflows { "value out of range" } else { "invalid syntax" };
                    let reason = format!("strconv.Atoi: parsing {}: {what}", shown(text));
                    Err(ParamError::Invalid { name, reason })
                }
            },
        }
    }

    /// How long the caller is willing to wait, at most `max`.
    ///
    /// # Errors
    /// As [`duration_ms`](Self::duration_ms).
    pub(crate) fn timeout(&self, max: Duration) -> Result<Duration, ParamError> {
        match self.duration_ms("timeout")? {
            None => Ok(max),
            Some(ms) => match u64::try_from(ms) {
                Ok(ms) if ms > 0 => Ok(max.min(Duration::from_millis(ms))),
                _ => {
                    let reason = format!("timeout must be positive, got {ms}ms");
                    Err(ParamError::Invalid { name: "timeout", reason })
                }
            },
        }
    }
}

/// A name or value as it stands in a form; the error is what to call it when it is no text.
fn decoded(raw: &[u8]) -> Result<String, String> {
    let spaced: Vec<u8> = raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(bytes).map_err(|error| shown(&String::from_utf8_lossy(error.as_bytes())))
}

/// A value as messages repeat it: quoted, and no longer than a line.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
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

/// Seconds with a fraction, or a Prometheus duration such as `1h30m`. The error says why not.
fn parse_duration_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        // Go's durations are 64 bits of nanoseconds.
        if ms.is_nan() || ms.abs() >= DURATION_MS_MAX {
            return Err(format!("cannot parse {} to a valid duration. It overflows int64", shown(text)));
        }
        return Ok(ms as i64);
    }
    let parsed = parse_prometheus_duration_ms(text).filter(|ms| (*ms as f64) < DURATION_MS_MAX);
    parsed.ok_or_else(|| format!("cannot parse {} to a valid duration", shown(text)))
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

/// Nanoseconds of Go's longest duration, in milliseconds.
const DURATION_MS_MAX: f64 = 9_223_372_036_854.775;

/// Characters of a value that a message repeats.
const SHOWN_CHARS_MAX: usize = 100;

/// Parameters that a request may have. Each is looked for one after the other.
const PARAMS_MAX: usize = 10_000;

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
            ("NaN", None),
            ("1e300", None),
            ("9223372036.9", None),
            ("300y", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(parse_duration_ms(text).ok(), ms, "{text}");
        }
    }

    #[test]
    fn form_comes_before_query_string() {
        let params = Params::parse(Some("query=a&match%5B%5D=x"), b"query=b%2Bc&match[]=y").unwrap();
        assert_eq!(params.get("query"), "b+c");
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["y", "x"]);
        assert_eq!(params.get("absent"), "");
    }

    #[test]
    fn errors_say_which_parameter() {
        let params = Params::parse(Some("time=x&step=y&limit=-1&timeout=2s"), b"").unwrap();
        let texts = [
            params.time("time", TimestampMs(0)).unwrap_err().to_string(),
            params.duration_ms("step").unwrap_err().to_string(),
            params.limit().unwrap_err().to_string(),
        ];
        assert_eq!(
            texts,
            [
                r#"invalid parameter "time": invalid time value for 'time': cannot parse "x" to a valid timestamp"#,
                r#"invalid parameter "step": cannot parse "y" to a valid duration"#,
                r#"invalid parameter "limit": limit must be non-negative"#,
            ]
        );
        assert_eq!(params.timeout(Duration::from_secs(120)), Ok(Duration::from_secs(2)));
        assert_eq!(params.timeout(Duration::from_secs(1)), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn bad_forms_are_refused() {
        let error = |query: &str| Params::parse(Some(query), b"").err().map(|error| error.to_string());
        assert_eq!(error("query=%E2%82%AC&a=%EF%BF%BD&&x&=y&+%2b=%zz"), None);
        assert_eq!(error("query=%ff").unwrap(), r#"the value of parameter "query" is not valid UTF-8"#);
        assert_eq!(error("%c3%28=1").unwrap(), "parameter \"\u{fffd}(\" is not valid UTF-8");
        assert_eq!(error(&"a=1&".repeat(PARAMS_MAX + 1)).unwrap(), "a request may have 10000 parameters");
        let said = |query: &str| {
            let params = Params::parse(Some(query), b"").unwrap();
            let timeout = params.timeout(Duration::from_secs(120)).err();
            let all = [params.limit().err(), params.lookback_ms().err(), timeout, params.required_time("start").err()];
            all.into_iter().flatten().map(|error| error.to_string()).next().unwrap()
        };
        for (query, expected) in [
            ("limit=x", r#"invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax"#),
            (
                "limit=9999999999999999999",
                r#"invalid parameter "limit": strconv.Atoi: parsing "9999999999999999999": value out of range"#,
            ),
            ("lookback_delta=x", r#"error parsing lookback delta duration: cannot parse "x" to a valid duration"#),
            ("timeout=0", r#"invalid parameter "timeout": timeout must be positive, got 0ms"#),
            (
                "timeout=1e300",
                r#"invalid parameter "timeout": cannot parse "1e300" to a valid duration. It overflows int64"#,
            ),
            ("start=NaN", r#"invalid parameter "start": cannot parse "NaN" to a valid timestamp"#),
            ("", r#"invalid parameter "start": cannot parse "" to a valid timestamp"#),
        ] {
            assert_eq!(said(query), expected);
        }
        assert_eq!(Params::parse(Some("lookback_delta=-5"), b"").unwrap().lookback_ms(), Ok(None));
        assert!(shown(&"é".repeat(1000)).chars().count() < 110);
    }
}
