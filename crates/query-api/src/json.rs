//! The JSON of answers, written straight into bytes: exactly what Prometheus' API writes, down to how Go prints floats.

use std::io::Write;

use model::{Labels, TimestampMs};

/// Writes a JSON string as Prometheus writes labels: of the control characters only line ends and tabs have short forms, and
/// nothing else but quote and backslash is escaped.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write_escaped(out, text, is_special_in_label, |_| 0);
    }
}

/// Writes a JSON string as Prometheus writes every other text: safe inside of HTML and JavaScript, too.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    let is_special = |byte| byte < b' ' || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
    // U+2028 and U+2029 end lines in JavaScript.
    let long = |rest: &[u8]| if matches!(rest, [0xe2, 0x80, 0xa8 | 0xa9, ..]) { 3 } else { 0 };
    write_escaped(out, text, is_special, long);
}

/// Copies runs of plain bytes, and escapes what `is_special`. `long` says how many bytes belong to a special character that
/// is not ASCII; 0 when it need not be escaped after all.
fn write_escaped(out: &mut Vec<u8>, text: &str, is_special: impl Fn(u8) -> bool, long: impl Fn(&[u8]) -> usize) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    let mut plain = 0;
    while let Some(byte) = rest.get(plain) {
        if !is_special(*byte) {
            plain += 1;
            continue;
        }
        let taken = if byte.is_ascii() { 1 } else { long(&rest[plain..]) };
        if taken == 0 {
            plain += 1;
            continue;
        }
        out.extend_from_slice(&rest[..plain]);
        let short = match byte {
            b'"' | b'\\' => Some(*byte),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            _ => None,
        };
        let _infallible = match short {
            Some(short) => out.write_all(&[b'\\', short]),
            None if taken == 1 => write!(out, "\\u{byte:04x}"),
            None => write!(out, "\\u202{:x}", rest[plain + 2] & 0xf),
        };
        rest = &rest[plain + taken..];
        plain = 0;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Whether a label's text stands in JSON as it is. Eight bytes at a time: nearly all texts do, and are looked at for that alone.
fn is_plain(text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_first_chunk() else {
        return !text.iter().copied().any(is_special_in_label);
    };
    let (eights, _) = rest.as_chunks();
    // The last eight bytes overlap those before.
    let last = text.last_chunk().unwrap_or(first);
    let found =
        eights.iter().chain([first, last]).fold(0, |found, eight| found | special_bytes(u64::from_le_bytes(*eight)));
    found == 0
}

/// Not zero if any of eight bytes is special in a label's text.
const fn special_bytes(eight: u64) -> u64 {
    const EACH: u64 = u64::MAX / 255;
    const HIGH: u64 = EACH << 7;
    // Below `n`, of bytes below 128: subtracting borrows the high bit. A borrow from the byte beneath may only name one more
    // when there is one already.
    const fn below(eight: u64, n: u64) -> u64 {
        eight.wrapping_sub(EACH * n) & !eight & HIGH
    }
    const fn equal(eight: u64, byte: u8) -> u64 {
        below(eight ^ (EACH * byte as u64), 1)
    }
    below(eight, b' ' as u64) | equal(eight, b'"') | equal(eight, b'\\')
}

const fn is_special_in_label(byte: u8) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\')
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

/// Writes an array of texts.
pub(crate) fn write_texts<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>) {
    out.push(b'[');
    for (index, text) in texts.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(out, text);
    }
    out.push(b']');
}

/// Writes a list, an item after the other.
pub(crate) fn write_list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
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
    out.extend_from_slice(itoa::Buffer::new().format(ms / 1000).as_bytes());
    let fraction = (ms % 1000) as u16;
    if fraction != 0 {
        let digit = |unit: u16| b'0' + (fraction / unit % 10) as u8;
        out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
    }
}

/// Writes a float as Go does with the shortest digits that read back the same: plain from 1e-6 up to below 1e21, with an
/// exponent of at least two digits outside (Prometheus' `jsonutil.MarshalFloat`).
pub(crate) fn write_float(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    if value.trunc() == value && magnitude < WHOLE_MAX {
        if value == 0.0 && value.is_sign_negative() {
            out.push(b'-');
        }
        // Counts are most of all values; whole numbers print much quicker as integers.
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else if !value.is_finite() {
        write_not_finite(out, value);
    } else {
        if value < 0.0 {
            out.push(b'-');
        }
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(magnitude);
        let is_plain = (1e-6..1e21).contains(&magnitude);
        // Most values are written alike by all: nothing to move.
        if is_plain && !text.as_bytes().contains(&b'e') {
            return out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        }
        let digits = Digits::of(text);
        if is_plain { digits.write_plain(out) } else { digits.write_exponent(out) }
    }
}

/// Writes a float as Go's `%f` does with the shortest digits that read back the same: never with an exponent.
pub(crate) fn write_plain_float(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() || value == 0.0 {
        return write_float(out, value);
    }
    if value < 0.0 {
        out.push(b'-');
    }
    Digits::of(zmij::Buffer::new().format_finite(value.abs())).write_plain(out);
}

/// Writes a float as Go's `%g` does with the shortest digits that read back the same: plain from 1e-4 up to below 1e6.
pub(crate) fn write_general_float(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() || value == 0.0 {
        return write_float(out, value);
    }
    if value < 0.0 {
        out.push(b'-');
    }
    let mut buffer = zmij::Buffer::new();
    let digits = Digits::of(buffer.format_finite(value.abs()));
    if (-3..=6).contains(&digits.point) { digits.write_plain(out) } else { digits.write_exponent(out) }
}

fn write_not_finite(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(match value {
        f64::INFINITY => b"+Inf",
        f64::NEG_INFINITY => b"-Inf",
        _ => b"NaN",
    });
}

/// The shortest decimal digits of a float: `0.DIGITS · 10^point`.
struct Digits {
    digits: [u8; DIGITS_MAX],
    length: usize,
    point: i32,
}

impl Digits {
    /// Those in the text of a finite float above zero: a decimal fraction, perhaps with an exponent.
    fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent.parse().expect("an exponent is a number");
        let mut digits = Self { digits: [0; DIGITS_MAX], length: 0, point: whole.len() as i32 + exponent };
        for byte in whole.bytes().chain(fraction.bytes()) {
            // Zeros in front move the point.
            if digits.length == 0 && byte == b'0' {
                digits.point -= 1;
            } else if digits.length < DIGITS_MAX {
                digits.digits[digits.length] = byte;
                digits.length += 1;
            }
        }
        while digits.length > 1 && digits.digits[digits.length - 1] == b'0' {
            digits.length -= 1;
        }
        digits
    }

    fn write_plain(&self, out: &mut Vec<u8>) {
        let digits = &self.digits[..self.length];
        let point = usize::try_from(self.point).unwrap_or(0);
        if point == 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + self.point.unsigned_abs() as usize, b'0');
            out.extend_from_slice(digits);
        } else if point >= digits.len() {
            out.extend_from_slice(digits);
            out.resize(out.len() + point - digits.len(), b'0');
        } else {
            out.extend_from_slice(&digits[..point]);
            out.push(b'.');
            out.extend_from_slice(&digits[point..]);
        }
    }

    fn write_exponent(&self, out: &mut Vec<u8>) {
        let digits = &self.digits[..self.length];
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let exponent = self.point - 1;
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let _infallible = write!(out, "{:02}", exponent.unsigned_abs());
    }
}

/// Digits of a double, and zeros that a text may have among them (`0.00001234…`, `1234….0`).
const DIGITS_MAX: usize = 32;

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
            (1.5e-6, "0.0000015"),
            (1.2345e20, "123450000000000000000"),
            (9.007_199_254_740_993e15, "9007199254740992"),
            (1.234_567_890_123_456_7e16, "12345678901234568"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (2.225_073_858_507_201_4e-308, "2.2250738585072014e-308"),
            (-0.000_123, "-0.000123"),
        ] {
            assert_eq!(text(|out| write_float(out, value)), expected);
        }
    }

    #[test]
    fn plain_and_general_floats_as_go_prints_them() {
        for (value, plain, general) in [
            (0.0, "0", "0"),
            (-2.0, "-2", "-2"),
            (1e21, "1000000000000000000000", "1e+21"),
            (1e20, "100000000000000000000", "1e+20"),
            (1_234_567.0, "1234567", "1.234567e+06"),
            (123_456.0, "123456", "123456"),
            (0.000_01, "0.00001", "1e-05"),
            (0.000_1, "0.0001", "0.0001"),
            (1.5e-7, "0.00000015", "1.5e-07"),
            (f64::NAN, "NaN", "NaN"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
        ] {
            assert_eq!(text(|out| write_plain_float(out, value)), plain);
            assert_eq!(text(|out| write_general_float(out, value)), general);
        }
    }

    #[test]
    fn every_float_reads_back() {
        let mut bits = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..100_000 {
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                for write in [write_float, write_plain_float, write_general_float] {
                    let text = text(|out| write(out, value));
                    assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text}");
                }
            }
        }
    }

    #[test]
    fn texts_are_escaped_as_go_escapes_them() {
        let odd = "q\" b\\ n\n r\r t\t \u{8}\u{c}\u{1f}\u{7f} <&> \u{2028}\u{2029}\u{202a} é€";
        let label =
            r#""q\" b\\ n\n r\r t\t \u0008\u000c\u001f"#.to_owned() + "\u{7f} <&> \u{2028}\u{2029}\u{202a} é€\"";
        assert_eq!(text(|out| write_string(out, odd)), label);
        let other = r#""q\" b\\ n\n r\r t\t \u0008\u000c\u001f"#.to_owned()
            + "\u{7f} "
            + r#"\u003c\u0026\u003e \u2028\u2029"#
            + "\u{202a} é€\"";
        assert_eq!(text(|out| write_text(out, odd)), other);
        for text in [label, other] {
            assert_eq!(serde_json::from_str::<String>(&text).unwrap(), odd);
        }
    }

    #[test]
    fn special_bytes_are_found_wherever_they_stand() {
        for length in 0..40 {
            let text = "Ä~ !#[]\u{7f}z".repeat(4).chars().take(length).collect::<String>().into_bytes();
            assert!(is_plain(&text), "{text:?}");
            for place in 0..text.len() {
                for special in (0..b' ').chain([b'"', b'\\']) {
                    let mut text = text.clone();
                    text[place] = special;
                    assert!(!is_plain(&text), "{text:?}");
                }
            }
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
        assert_eq!(text(|out| write_texts(out, ["a", "b"])), r#"["a","b"]"#);
        assert_eq!(text(|out| write_point(out, TimestampMs(1000), 2.5)), r#"[1,"2.5"]"#);
    }
}
