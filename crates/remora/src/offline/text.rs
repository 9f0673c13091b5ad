//! How numbers, times and labels are written.

use std::fmt::Write as _;

use jiff::Timestamp;
use model::Labels;

/// A number as Go's `%g` writes it, which promtool uses.
pub(super) fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("the form has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    if value != 0.0 && !PLAIN_EXPONENTS.contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

/// Others are written with their exponents.
const PLAIN_EXPONENTS: std::ops::Range<i32> = -4..6;

/// `{name="value", …}`, the metric's name among them: as promtool writes label sets.
pub(super) fn write_labels(labels: &Labels, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push('=');
        write_quoted(value, out);
    }
    out.push('}');
}

/// A text in quotes, as Go quotes.
pub(super) fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            control if u32::from(control) < 0x20 || control == '\u{7f}' => {
                write!(out, "\\x{:02x}", u32::from(control)).expect("a String takes any text");
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Milliseconds as a date.
pub(super) fn date(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .map_or_else(|_| ms.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Bytes with a unit.
pub(super) fn bytes(bytes: u64) -> String {
    let mut amount = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if amount < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") };
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} TiB")
}

/// So many of something whose plural has an `s`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A span of time, in its two largest units.
pub(super) fn span(ms: i64) -> String {
    let seconds = ms / 1000;
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, each) in units {
        if rest >= each {
            parts.push(format!("{}{unit}", rest / each));
            rest %= each;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { format!("{ms}ms") } else { parts.join("") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (123.0, "123"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456.5, "123456.5"),
            (1_234_567.0, "1.234567e+06"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (1_609_954_636.0, "1.609954636e+09"),
            (1_000_000.0, "1e+06"),
            (999_999.0, "999999"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(go_float(value), text);
        }
    }

    #[test]
    fn spans_bytes_and_labels() {
        assert_eq!([span(7_200_000), span(500), span(90_061_000)], ["2h", "500ms", "1d1h"]);
        assert_eq!([bytes(5), bytes(1536), bytes(5 << 40)], ["5 B", "1.5 KiB", "5.0 TiB"]);
        assert_eq!([0, 1, 2].map(|count| counted(count, "block")), ["0 blocks", "1 block", "2 blocks"]);
        let labels = Labels::from_pairs([("__name__", "up"), ("a", "x\"\\\n\u{1}é")]).unwrap();
        let mut out = String::new();
        write_labels(&labels, &mut out);
        assert_eq!(out, r#"{__name__="up", a="x\"\\\n\x01é"}"#);
    }
}
