//! The JSON of answers, written straight into bytes: exactly what Prometheus' API writes, down to how Go prints floats.

use std::io::Write;

use model::{Labels, TimestampMs};

/// Writes a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string into memory cannot fail");
}

/// Writes a label set as an object.
pub(crate) fn write_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write_string(out, value);
    }
    out.push(b'}');
}

/// Writes an array of strings.
pub(crate) fn write_strings<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>) {
    out.push(b'[');
    for (index, text) in texts.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, text);
    }
    out.push(b']');
}

/// Writes `[time,"value"]`.
pub(crate) fn write_point(out: &mut Vec<u8>, at: TimestampMs, value: f64) {
    out.push(b'[');
    write_time(out, at);
    out.extend_from_slice(b",\"");
    write_float(out, value);
    out.extend_from_slice(b"\"]");
}

/// Writes a time as seconds, with three decimals only where the milliseconds are not zero.
pub(crate) fn write_time(out: &mut Vec<u8>, at: TimestampMs) {
    if at.0 < 0 {
        out.push(b'-');
    }
    let ms = at.0.unsigned_abs();
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(ms / 1000).as_bytes());
    let fraction = ms % 1000;
    if fraction != 0 {
        let _infallible = write!(out, ".{fraction:03}");
    }
}

/// Writes a float as Go does with the shortest digits that read back the same: plain from 1e-6 up to below 1e21, with an
/// exponent of at least two digits outside (Prometheus' `jsonutil.MarshalFloat`).
pub(crate) fn write_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value.trunc() == value && value.abs() < WHOLE_MAX {
        if value == 0.0 && value.is_sign_negative() {
            out.push(b'-');
        }
        // Counts are most of all values; whole numbers print much quicker as integers.
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else if value.abs() < 1e-6 || value.abs() >= 1e21 {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').expect("the exponent form has an exponent");
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        let _infallible = write!(out, "{mantissa}e{sign}{digits:0>2}");
    } else {
        let _infallible = write!(out, "{value}");
    }
}

/// Whole numbers below this are exact in a double and in an `i64`.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_as_go_prints_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-12.0, "-12"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1e-6, "0.000001"),
            (9.9e-7, "9.9e-07"),
            (1e-7, "1e-07"),
            (5e-324, "5e-324"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (123_456.789, "123456.789"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(|out| write_float(out, value)), expected);
        }
    }

    #[test]
    fn times_have_milliseconds_only_where_needed() {
        for (ms, expected) in [
            (0, "0"),
            (1_732_360_000_000, "1732360000"),
            (1_732_360_000_120, "1732360000.120"),
            (5, "0.005"),
            (-1500, "-1.500"),
        ] {
            assert_eq!(text(|out| write_time(out, TimestampMs(ms))), expected);
        }
    }

    #[test]
    fn label_sets_are_objects() {
        let labels = Labels::from_pairs([("__name__", "up"), ("quote", "a\"b\n")]).unwrap();
        assert_eq!(text(|out| write_labels(out, &labels)), r#"{"__name__":"up","quote":"a\"b\n"}"#);
        assert_eq!(text(|out| write_strings(out, ["a", "b"])), r#"["a","b"]"#);
        assert_eq!(text(|out| write_point(out, TimestampMs(1000), 2.5)), r#"[1,"2.5"]"#);
    }
}
