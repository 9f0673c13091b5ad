//! Numbers, durations and quoted texts: from their text form to values.

use std::string::FromUtf8Error;

/// A number as Go's `strconv` reads it: first as an integer with a base prefix, then as a decimal float.
///
/// # Errors
/// The message of Go's `ParseFloat`.
pub fn number(text: &str) -> Result<f64, String> {
    if let Some(integer) = integer(text) {
        return Ok(integer as f64);
    }
    let is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let value: Option<f64> = match text.contains('_') {
        // Go reads hexadecimal floats only with an exponent, which the lexer lets nobody write.
        _ if is_hexadecimal => None,
        true if underscores_separate_digits(text) => text.replace('_', "").parse().ok(),
        true => None,
        false => text.parse().ok(),
    };
    let Some(value) = value else {
        return Err(format!("strconv.ParseFloat: parsing {}: invalid syntax", crate::quote::quoted(text)));
    };
    if value.is_infinite() && text.contains(|character: char| character.is_ascii_digit()) {
        return Err(format!("strconv.ParseFloat: parsing {}: value out of range", crate::quote::quoted(text)));
    }
    Ok(value)
}

/// A 64-bit integer: hexadecimal with `0x`, octal with a leading zero, otherwise decimal; `_` between digits.
fn integer(text: &str) -> Option<i64> {
    let (digits, base) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // After a prefix, and a leading zero is one, an underscore may come first.
    let digits = if base == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    if digits.contains('_') {
        return i64::from_str_radix(&digits.replace('_', ""), base).ok();
    }
    i64::from_str_radix(digits, base).ok()
}

fn underscores_separate_digits(text: &str) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'_')
        .all(|(index, _)| index > 0 && is_digit(bytes.get(index - 1)) && is_digit(bytes.get(index + 1)))
}

/// Milliseconds per unit, in the order in which units must stand.
const UNITS: &[(&str, i64)] = &[
    ("y", 365 * 24 * 60 * 60 * 1000),
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// The longest duration: Go counts nanoseconds in 64 bits.
const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;

/// A duration such as `1h30m`, in milliseconds.
///
/// # Errors
/// The message of Prometheus' `ParseDuration`.
pub fn duration_ms(text: &str) -> Result<i64, String> {
    let invalid = || format!("not a valid duration string: {}", crate::quote::quoted(text));
    let mut units = UNITS;
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits_end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(digits_end);
        let unit_end = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let number: u64 = digits.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(invalid());
        }
        let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let (unit, text) = (crate::quote::quoted(unit), crate::quote::quoted(text));
            return Err(format!("unknown unit {unit} in duration {text}"));
        };
        let Some(index) = units.iter().position(|(name, _)| *name == unit) else {
            return Err(invalid());
        };
        units = &units[index + 1..];
        total = i64::try_from(number)
            .ok()
            .and_then(|number| number.checked_mul(*unit_ms))
            .and_then(|ms| total.checked_add(ms))
            .filter(|total| *total <= DURATION_MS_MAX)
            .ok_or("duration out of range")?;
        rest = after;
    }
    Ok(total)
}

/// The text inside the quotes of a string token, escapes resolved. The lexer has checked all escapes.
///
/// # Errors
/// The bytes, where escapes have put some together that are no valid UTF-8.
pub(crate) fn unquote(token: &str) -> Result<String, FromUtf8Error> {
    let quote = token.as_bytes()[0];
    let inner = &token[1..token.len() - 1];
    if quote == b'`' || !inner.contains('\\') {
        return Ok(inner.to_owned());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first().expect("the lexer lets no escape end early");
        rest = after;
        match escape {
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'x' => out.push(take_code(&mut rest, 2, 16) as u8),
            b'u' => push_code_point(&mut out, take_code(&mut rest, 4, 16)),
            b'U' => push_code_point(&mut out, take_code(&mut rest, 8, 16)),
            b'0'..=b'7' => {
                let low = take_code(&mut rest, 2, 8);
                out.push((u32::from(escape - b'0') * 64 + low) as u8);
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out)
}

fn take_code(rest: &mut &[u8], digits: usize, base: u32) -> u32 {
    let (code, after) = rest.split_at(digits);
    *rest = after;
    code.iter().fold(0, |code, digit| {
        code * base + char::from(*digit).to_digit(base).expect("the lexer checked the digits of escapes")
    })
}

fn push_code_point(out: &mut Vec<u8>, code: u32) {
    let character = char::from_u32(code).expect("the lexer checked the code points of escapes");
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, value) in [
            ("1", 1.0),
            ("0755", 493.0),
            ("08", 8.0),
            ("0xc", 12.0),
            ("0X_1f", 31.0),
            ("1_000", 1000.0),
            ("0_7", 7.0),
            ("0_8", 8.0),
            ("1_000.5", 1000.5),
            ("1e1_0", 1e10),
            ("5.", 5.0),
            (".5", 0.5),
            ("1e-3", 1e-3),
            ("Inf", f64::INFINITY),
            ("9223372036854775807", 9_223_372_036_854_775_807.0),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        assert!(number("NaN").unwrap().is_nan());
        for text in ["1_e5", "0xffffffffffffffffff", "1__0", ".5.5"] {
            assert_eq!(number(text), Err(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")));
        }
        assert_eq!(number("1e400"), Err("strconv.ParseFloat: parsing \"1e400\": value out of range".to_owned()));
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("1ms", 1),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
            ("1y1w1d1h1m1s1ms", 365 * 86_400_000 + 8 * 86_400_000 + 3_661_001),
            ("292y", 292 * 365 * 86_400_000),
        ] {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        for (text, message) in [
            ("5y1hs", "unknown unit \"hs\" in duration \"5y1hs\""),
            ("5m1h", "not a valid duration string: \"5m1h\""),
            ("5m1m", "not a valid duration string: \"5m1m\""),
            ("99999999999999999999s", "not a valid duration string: \"99999999999999999999s\""),
            ("9999999999999999999s", "duration out of range"),
            ("293y", "duration out of range"),
        ] {
            assert_eq!(duration_ms(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn texts() {
        for (token, text) in [
            (r#""""#, ""),
            (r#""a\"b'\\\n\t\a\b\f\r\v""#, "a\"b'\\\n\t\u{7}\u{8}\u{c}\r\u{b}"),
            (r"'it\'s'", "it's"),
            (r"`a\n`", r"a\n"),
            (r#""\x41\101\u65e5\U0001f600\xe6\x97\xa5""#, "AA日\u{1f600}日"),
        ] {
            assert_eq!(unquote(token).as_deref(), Ok(text), "{token}");
        }
        assert!(unquote(r#""\xff""#).is_err());
    }
}
