//! Numbers as OpenMetrics writes them.

use model::TimestampMs;

/// A value: a decimal number, `NaN`, or `Inf` with or without a sign, in any case.
pub(super) fn value(text: &str) -> Option<f64> {
    // The ways of `f64::from_str` are those of the format, but for an infinity that is spelt out, which it has, too.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_word = ["inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word));
    match text {
        nan if nan.eq_ignore_ascii_case("nan") => Some(f64::from_bits(PLAIN_NAN)),
        number if is_plain || is_word => number.parse().ok(),
        _ => None,
    }
}

/// Seconds with a fraction.
pub(super) fn timestamp(text: &str) -> Option<TimestampMs> {
    let seconds = value(text)?;
    let ms = (seconds * 1000.0).round();
    // The range in which a double still counts single milliseconds.
    (ms.abs() <= 9.0e15).then_some(TimestampMs(ms as i64))
}

/// The NaN that Go's parser gives, which no staleness marker is.
const PLAIN_NAN: u64 = 0x7ff8_0000_0000_0001;
