//! Sizes and spans of time as people write them: `1GiB`, `45m`, `1h30m`.
//!
//! Whole numbers with a unit, nothing else: what looks almost right is a mistake with its mend, not a guess.

use std::time::Duration;

/// Bytes: a whole number with one of the units `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`. A number alone is bytes.
///
/// # Errors
/// What is wrong, and the mend.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let example = "write for example 512MiB or 2GiB";
    let (number, unit) = split(text).ok_or_else(|| format!("is not a size: {example}"))?;
    let (number, unit) = match (number.parse::<u64>(), unit.trim_start()) {
        (Err(_), _) => return Err(format!("is too large: {example}")),
        (Ok(number), unit) => (number, unit),
    };
    let factor = match unit {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => {
            let meant = match other.to_ascii_lowercase().as_str() {
                "k" | "ki" | "kib" | "kb" => " (did you mean KiB?)",
                "m" | "mi" | "mib" | "mb" => " (did you mean MiB?)",
                "g" | "gi" | "gib" | "gb" => " (did you mean GiB?)",
                _ => "",
            };
            return Err(format!("has the unknown unit {}{meant}: {example}; units are {SIZE_UNITS}", shown(other)));
        }
    };
    number.checked_mul(factor).ok_or_else(|| format!("is too large: {example}"))
}

/// A span of time: whole numbers with the units `d`, `h`, `m`, `s`, `ms`, the larger first, each once.
///
/// # Errors
/// What is wrong, and the mend.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let example = "write for example 30s, 45m or 1h30m";
    let mut rest = text;
    let mut total: u64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let (number, behind) = split(rest).ok_or_else(|| format!("is not a span of time: {example}"))?;
        let unit_len = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_len);
        if unit.is_empty() && behind.is_empty() {
            return Err(format!("has no unit: {example}; units are {DURATION_UNITS}"));
        }
        let Some(place) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(format!("has the unknown unit {}: {example}; units are {DURATION_UNITS}", shown(unit)));
        };
        if place < next_unit {
            return Err(format!("has its units out of order: {example}"));
        }
        next_unit = place + 1;
        let added = number.parse::<u64>().ok().and_then(|number| number.checked_mul(UNITS[place].1));
        total = added.and_then(|added| total.checked_add(added)).ok_or_else(|| format!("is too long: {example}"))?;
        rest = behind;
    }
    if text.is_empty() { Err(format!("is empty: {example}")) } else { Ok(Duration::from_millis(total)) }
}

/// Bytes in the largest unit that leaves a whole number.
pub(crate) fn show_size(bytes: u64) -> String {
    [(30, "GiB"), (20, "MiB"), (10, "KiB")]
        .into_iter()
        .find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift)
        .map_or_else(|| format!("{bytes}B"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// A span as [`duration`] reads it, to the millisecond.
pub(crate) fn show_duration(span: Duration) -> String {
    let mut left = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, millis) in UNITS {
        // 24h is how people say it; days begin where hours would hide the size.
        if *unit == "d" && (left < 2 * millis || !left.is_multiple_of(*millis)) {
            continue;
        }
        if left >= *millis {
            text.push_str(&format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Digits at the start, and what follows them. None when there are none.
fn split(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| text.split_at(digits))
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(20).collect::<String>())
}

/// From the largest, in milliseconds.
const UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZE_UNITS: &str = "B, kB, MB, GB, KiB, MiB, GiB";
const DURATION_UNITS: &str = "ms, s, m, h, d";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("17B", 17),
            ("1kB", 1000),
            ("2MB", 2_000_000),
            ("3GB", 3_000_000_000),
            ("64KiB", 65536),
            ("1 GiB", 1 << 30),
            ("16MiB", 16 << 20),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, wrong) in [
            ("", "is not a size"),
            ("GiB", "is not a size"),
            ("-1MiB", "is not a size"),
            ("1Gi", "unknown unit \"Gi\" (did you mean GiB?)"),
            ("1.5GiB", "unknown unit \".5GiB\""),
            ("1KB", "(did you mean KiB?)"),
            ("5TiB", "unknown unit \"TiB\""),
            ("99999999999999999999", "is too large"),
            ("99999999999GiB", "is too large"),
            ("1GiB2", "unknown unit"),
        ] {
            let error = size(text).unwrap_err();
            assert!(error.contains(wrong) && error.contains("512MiB"), "{text}: {error}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("0s", 0),
            ("20s", 20_000),
            ("250ms", 250),
            ("45m", 2_700_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(duration(&show_duration(Duration::from_millis(millis))), Ok(Duration::from_millis(millis)));
        }
        for (text, wrong) in [
            ("", "is empty"),
            ("45", "has no unit"),
            ("1h30", "has no unit"),
            ("m", "is not a span"),
            ("-5s", "is not a span"),
            ("5 s", "unknown unit"),
            ("1.5h", "unknown unit"),
            ("3w", "unknown unit \"w\""),
            ("5M", "unknown unit \"M\""),
            ("30m1h", "out of order"),
            ("1m1m", "out of order"),
            ("99999999999999999999s", "is too long"),
            ("999999999999999999d", "is too long"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(wrong) && error.contains("45m"), "{text}: {error}");
        }
    }

    #[test]
    fn both_are_shown_as_people_write_them() {
        for (bytes, text) in
            [(1 << 30, "1GiB"), (16 << 20, "16MiB"), (1536 << 20, "1536MiB"), (1000, "1000B"), (0, "0B")]
        {
            assert_eq!(show_size(bytes), text);
        }
        for (seconds, text) in
            [(86_400, "24h"), (2700, "45m"), (5400, "1h30m"), (20, "20s"), (604_800, "7d"), (0, "0s")]
        {
            assert_eq!(show_duration(Duration::from_secs(seconds)), text);
        }
    }
}
